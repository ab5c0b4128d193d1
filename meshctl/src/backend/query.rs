//! Searches over the store: traces by a filter, and which service calls which.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::{
    id::TraceId,
    jaeger::translate,
    record::{Record, Snapshot},
    store::Store,
};

/// Traces read between two pauses of a search that looks into attributes.
const PAUSE: usize = 64;

/// Which traces to find: those with at least one span that meets all conditions at once. Times and durations are
/// nanoseconds (times since the Unix epoch), bounds are inclusive.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) service: Option<String>,
    pub(crate) operation: Option<String>,
    /// Attributes of the span, its process or its events by their text.
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) start: (u64, u64),
    pub(crate) duration: (u64, u64),
    /// How many traces to return at most.
    pub(crate) limit: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Self { service: None, operation: None, tags: Vec::new(), start: (0, u64::MAX), duration: (0, u64::MAX), limit: usize::MAX }
    }
}

impl Filter {
    fn admits(&self, record: &Record) -> bool {
        self.service.as_ref().is_none_or(|service| **service == *record.source.service)
            && self.operation.as_ref().is_none_or(|operation| **operation == *record.name)
            && (self.start.0..=self.start.1).contains(&record.start)
            && (self.duration.0..=self.duration.1).contains(&record.duration())
    }

    fn admits_tags(&self, record: &Record) -> bool {
        self.tags.is_empty() || {
            let found = translate::searchable_tags(record);
            self.tags.iter().all(|wanted| found.contains(wanted))
        }
    }
}

/// What a search found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The traces, the newest first by their earliest span.
    pub(crate) traces: Vec<(TraceId, Snapshot)>,
    /// How many traces the store was asked about.
    pub(crate) inspected: u64,
}

/// Finds the newest traces that pass the filter. Reads the headers of all spans once (the store is bounded by bytes),
/// and the attributes of those only that pass otherwise, until the limit is reached.
pub(crate) async fn search(store: &Store, filter: &Filter) -> Found {
    let mut found = Found::default();
    let mut candidates = Vec::new();
    store
        .scan(|id, spans| {
            found.inspected += 1;
            if spans.values().any(|record| filter.admits(record)) {
                candidates.push((spans.values().map(|record| record.start).min(), id));
            }
        })
        .await;
    candidates.sort_unstable_by(|a, b| b.cmp(a));
    for (number, (_, id)) in candidates.into_iter().enumerate() {
        if found.traces.len() >= filter.limit {
            break;
        }
        if let Some(spans) = store.trace(id)
            && spans.iter().any(|(_, record)| filter.admits(record) && filter.admits_tags(record))
        {
            found.traces.push((id, spans));
        }
        if number % PAUSE == PAUSE - 1 {
            tokio::task::yield_now().await;
        }
    }
    found
}

/// How often one service called another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dependency {
    parent: String,
    child: String,
    call_count: u64,
}

/// Counts the parent and child spans of different services in the traces which started within the bounds (nanoseconds).
pub(crate) async fn dependencies(store: &Store, start: (u64, u64), service: Option<&str>) -> Vec<Dependency> {
    let mut calls: BTreeMap<(Arc<str>, Arc<str>), u64> = BTreeMap::new();
    store
        .scan(|_, spans| {
            let started = spans.values().map(|record| record.start).min().unwrap_or(0);
            if started < start.0 || started > start.1 {
                return;
            }
            for record in spans.values() {
                let child = &record.source.service;
                if let Some(parent) = spans.get(&record.parent).map(|parent| &parent.source.service)
                    && parent != child
                    && service.is_none_or(|service| service == &**parent || service == &**child)
                {
                    *calls.entry((Arc::clone(parent), Arc::clone(child))).or_default() += 1;
                }
            }
        })
        .await;
    calls
        .into_iter()
        .map(|((parent, child), call_count)| Dependency { parent: parent.to_string(), child: child.to_string(), call_count })
        .collect()
}
