//! The spans that the backend holds: by trace id, bounded by bytes, the oldest trace going first.
//!
//! Adding or evicting a span costs the same however many traces are held. The bound is on an estimate of the memory
//! taken (span bodies, indexes and what the allocator adds), not on a count, because spans differ a hundredfold in size.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use serde::Serialize;

use super::{
    byte_size::ByteSize,
    id::TraceId,
    names::{Names, Operation},
    raw::{Export, OfResource},
    record::{Incoming, Record, Snapshot, Source, envelope},
};

/// What a trace costs beside its spans: its entries in the two maps, and the map of its spans.
const TRACE: usize = 224;
/// Traces visited by a scan before it lets go of the lock.
const PAGE: usize = 256;

/// What became of the spans of one export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Spans that are new.
    pub stored: u64,
    /// Spans which were there already (same trace id and span id) and are kept once.
    pub duplicates: u64,
    /// Spans without a valid trace id or span id.
    pub refused: u64,
}

/// Counters since the start, and what is held now. `GET /api/stats` answers this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Spans in exports that could be decoded: stored, duplicate and refused ones.
    pub spans_received: u64,
    /// Spans received once more, and left out.
    pub spans_duplicate: u64,
    /// Spans lost: the sum of the refused and the evicted ones.
    pub spans_dropped: u64,
    /// Spans without a valid trace id or span id.
    pub spans_refused: u64,
    /// Spans that went because the bytes were needed for newer traces.
    pub spans_evicted: u64,
    /// Traces that went for the same reason.
    pub traces_evicted: u64,
    /// Exports that could not be decoded, or were too large; nobody can say how many spans were in them.
    pub exports_rejected: u64,
    /// Spans held now.
    pub spans: u64,
    /// Traces held now.
    pub traces: u64,
    /// Bytes which they are estimated to take.
    pub bytes: u64,
    /// The bound of `bytes`.
    pub max_bytes: u64,
}

/// The store. All methods may be called from any thread.
#[derive(Debug)]
pub struct Store(Mutex<Held>);

#[derive(Debug)]
struct Held {
    max_bytes: usize,
    bytes: usize,
    traces: HashMap<TraceId, BTreeMap<u64, Record>>,
    /// Traces by the number of their arrival: the first one is the next to go.
    arrivals: BTreeMap<u64, TraceId>,
    next_arrival: u64,
    sources: HashMap<Arc<[u8]>, CountedSource>,
    names: Names,
    stats: Stats,
}

#[derive(Debug)]
struct CountedSource {
    source: Arc<Source>,
    spans: usize,
}

impl Store {
    /// An empty store that holds at most about `max_bytes`.
    pub fn new(max_bytes: ByteSize) -> Self {
        Self(Mutex::new(Held {
            max_bytes: usize::try_from(max_bytes.0).unwrap_or(usize::MAX),
            bytes: 0,
            traces: HashMap::new(),
            arrivals: BTreeMap::new(),
            next_arrival: 0,
            sources: HashMap::new(),
            names: Names::default(),
            stats: Stats::default(),
        }))
    }

    /// Takes spans that did not come as an export.
    pub fn insert(&self, spans: Vec<ResourceSpans>) -> Accepted {
        self.take(spans.into())
    }

    /// Takes the spans of one export, and evicts the oldest traces where they need the room.
    pub(crate) fn take(&self, export: Export) -> Accepted {
        let mut accepted = Accepted::default();
        let mut groups = Vec::new();
        for OfResource { resource, scope_spans, schema_url } in export.resource_spans {
            for scope in scope_spans {
                let given = scope.spans.len() as u64;
                let spans: Vec<_> = scope.spans.iter().filter_map(Incoming::new).collect();
                accepted.refused += given - spans.len() as u64;
                groups.push((envelope(resource.as_ref(), &schema_url, scope.scope, scope.schema_url), spans));
            }
        }
        let mut held = self.lock();
        for ((envelope, service), spans) in groups {
            held.insert_group(envelope, &service, spans, &mut accepted);
        }
        held.stats.spans_received += accepted.stored + accepted.duplicates + accepted.refused;
        held.stats.spans_duplicate += accepted.duplicates;
        held.stats.spans_refused += accepted.refused;
        accepted
    }

    /// Counts an export that could not be read.
    pub fn count_rejected_export(&self) {
        self.lock().stats.exports_rejected += 1;
    }

    /// The counters and sizes of this moment.
    pub fn stats(&self) -> Stats {
        let held = self.lock();
        Stats {
            spans_dropped: held.stats.spans_refused + held.stats.spans_evicted,
            traces: held.traces.len() as u64,
            bytes: held.bytes as u64,
            max_bytes: held.max_bytes as u64,
            ..held.stats.clone()
        }
    }

    /// The names of the services which have a span in the store, sorted.
    pub fn services(&self) -> Vec<String> {
        self.lock().names.services()
    }

    /// The span names and kinds of a service, sorted; empty for an unknown one.
    pub fn operations(&self, service: &str) -> Vec<Operation> {
        self.lock().names.operations(service)
    }

    /// The spans of a trace in order of their start; `None` where the store has none.
    pub(crate) fn trace(&self, id: TraceId) -> Option<Snapshot> {
        let mut spans: Snapshot = self.lock().traces.get(&id)?.iter().map(|(id, record)| (*id, record.clone())).collect();
        spans.sort_by_key(|(id, record)| (record.start, *id));
        Some(spans)
    }

    /// Shows all traces to `visit`, oldest first, a page at a time so that exports need not wait for a scan.
    pub(crate) async fn scan(&self, mut visit: impl FnMut(TraceId, &BTreeMap<u64, Record>)) {
        let mut next = Some(0);
        while let Some(first) = next {
            next = self.scan_page(first, &mut visit);
            tokio::task::yield_now().await;
        }
    }

    fn scan_page(&self, first: u64, visit: &mut impl FnMut(TraceId, &BTreeMap<u64, Record>)) -> Option<u64> {
        let held = self.lock();
        let mut next = None;
        for (arrival, id) in held.arrivals.range(first..).take(PAGE) {
            if let Some(spans) = held.traces.get(id) {
                visit(*id, spans);
            }
            next = Some(arrival + 1);
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn insert_group(&mut self, envelope: Vec<u8>, service: &str, spans: Vec<Incoming>, accepted: &mut Accepted) {
        if spans.is_empty() {
            return;
        }
        let source = self.hold_source(envelope, service);
        for span in spans {
            if self.insert_span(span, &source) {
                accepted.stored += 1;
            } else {
                accepted.duplicates += 1;
            }
            while self.bytes > self.max_bytes && self.evict_oldest() {}
        }
        self.release_source(&source);
    }

    /// True where the span is new.
    fn insert_span(&mut self, span: Incoming, source: &Arc<Source>) -> bool {
        let spans = self.traces.entry(span.trace).or_insert_with(|| {
            self.arrivals.insert(self.next_arrival, span.trace);
            self.next_arrival += 1;
            self.bytes += TRACE;
            BTreeMap::new()
        });
        let Entry::Vacant(place) = spans.entry(span.id) else { return false };
        let (name, name_bytes) = self.names.add(&source.service, &span.name, span.kind);
        let Incoming { parent, start, end, kind, body, .. } = span;
        let record = Record { parent, start, end, kind, name, source: Arc::clone(source), body };
        self.bytes += record.cost() + name_bytes;
        place.insert(record);
        if let Some(counted) = self.sources.get_mut(source.envelope()) {
            counted.spans += 1;
        }
        self.stats.spans += 1;
        true
    }

    /// False where there is nothing left to evict.
    fn evict_oldest(&mut self) -> bool {
        let Some((_, id)) = self.arrivals.pop_first() else { return false };
        let Some(spans) = self.traces.remove(&id) else { return true };
        self.bytes -= TRACE;
        self.stats.traces_evicted += 1;
        self.stats.spans_evicted += spans.len() as u64;
        self.stats.spans -= spans.len() as u64;
        for record in spans.into_values() {
            self.bytes -= record.cost() + self.names.remove(&record.source.service, &record.name, record.kind);
            self.release_source(&record.source);
        }
        true
    }

    /// The shared source with this encoding, counted once more so that it outlives the group being added.
    fn hold_source(&mut self, envelope: Vec<u8>, service: &str) -> Arc<Source> {
        if let Some(counted) = self.sources.get_mut(envelope.as_slice()) {
            counted.spans += 1;
            return Arc::clone(&counted.source);
        }
        let envelope: Arc<[u8]> = envelope.into();
        let source = Arc::new(Source::new(Arc::clone(&envelope), service.into()));
        self.bytes += source.cost();
        self.sources.insert(envelope, CountedSource { source: Arc::clone(&source), spans: 1 });
        source
    }

    fn release_source(&mut self, source: &Source) {
        let Some(counted) = self.sources.get_mut(source.envelope()) else { return };
        counted.spans -= 1;
        if counted.spans == 0 {
            self.sources.remove(source.envelope());
            self.bytes -= source.cost();
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
