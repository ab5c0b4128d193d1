//! The services and operations that the store holds spans of, counted so that they vanish with their last span.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::Serialize;

/// The kinds of OTLP: unspecified, internal, server, client, producer, consumer.
const KINDS: usize = 6;
/// What a name costs beside its text: two reference counts, an entry in the map and its counters.
const ENTRY: usize = 96;

/// A span name of a service together with the kind of its spans, as `GET /api/operations` shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Operation {
    /// The span name.
    pub name: String,
    /// `server`, `client`, `producer`, `consumer`, `internal`, or empty where unspecified.
    #[serde(rename = "spanKind")]
    pub kind: &'static str,
}

/// Jaeger's word for an OTLP span kind; empty for an unspecified one.
pub(crate) fn kind_name(kind: i32) -> &'static str {
    ["", "internal", "server", "client", "producer", "consumer"][slot(kind)]
}

fn slot(kind: i32) -> usize {
    usize::try_from(kind).ok().filter(|kind| *kind < KINDS).unwrap_or(0)
}

#[derive(Debug, Default)]
struct Operations(HashMap<Arc<str>, [u64; KINDS]>);

/// Reference-counted names: every span counts once under its service, name and kind.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<Arc<str>, Operations>);

impl Names {
    /// Counts one more span; returns the shared copy of its name and the bytes that new names take.
    pub(crate) fn add(&mut self, service: &Arc<str>, name: &str, kind: i32) -> (Arc<str>, usize) {
        let mut bytes = 0;
        if !self.0.contains_key(service) {
            bytes += service.len() + ENTRY;
            self.0.insert(Arc::clone(service), Operations::default());
        }
        let operations = self.0.entry(Arc::clone(service)).or_default();
        let shared = if let Some((shared, _)) = operations.0.get_key_value(name) {
            Arc::clone(shared)
        } else {
            bytes += name.len() + ENTRY;
            Arc::from(name)
        };
        operations.0.entry(Arc::clone(&shared)).or_default()[slot(kind)] += 1;
        (shared, bytes)
    }

    /// Counts one span less; returns the bytes which that gives back.
    pub(crate) fn remove(&mut self, service: &str, name: &str, kind: i32) -> usize {
        let Some(operations) = self.0.get_mut(service) else { return 0 };
        let Some(counts) = operations.0.get_mut(name) else { return 0 };
        let count = &mut counts[slot(kind)];
        *count = count.saturating_sub(1);
        if counts.iter().any(|count| *count > 0) {
            return 0;
        }
        operations.0.remove(name);
        let mut bytes = name.len() + ENTRY;
        if operations.0.is_empty() {
            self.0.remove(service);
            bytes += service.len() + ENTRY;
        }
        bytes
    }

    /// The names of all services, sorted.
    pub(crate) fn services(&self) -> Vec<String> {
        self.0.keys().map(ToString::to_string).collect()
    }

    /// All operations of a service, sorted by name and kind; none of an unknown service.
    pub(crate) fn operations(&self, service: &str) -> Vec<Operation> {
        let Some(operations) = self.0.get(service) else { return Vec::new() };
        let mut found: Vec<_> = operations
            .0
            .iter()
            .flat_map(|(name, counts)| (0i32..).zip(counts).map(move |(kind, count)| (name, kind, *count)))
            .filter(|(_, _, count)| *count > 0)
            .map(|(name, kind, _)| Operation { name: name.to_string(), kind: kind_name(kind) })
            .collect();
        found.sort();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_live_as_long_as_their_spans_and_give_their_bytes_back() {
        let mut names = Names::default();
        let service: Arc<str> = "orders".into();
        let taken: usize = [("a", 2), ("a", 3), ("b", 2)].map(|(name, kind)| names.add(&service, name, kind).1).iter().sum();
        assert_eq!(names.services(), ["orders"]);
        let kinds: Vec<_> = names.operations("orders").into_iter().map(|o| (o.name, o.kind)).collect();
        assert_eq!(kinds, [("a".into(), "client"), ("a".into(), "server"), ("b".into(), "server")]);

        let given: usize = [("a", 2), ("b", 2), ("a", 3)].map(|(name, kind)| names.remove("orders", name, kind)).iter().sum();
        assert_eq!(given, taken);
        assert!(names.services().is_empty() && names.operations("orders").is_empty());
    }
}
