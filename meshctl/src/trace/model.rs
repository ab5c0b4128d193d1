//! A trace as the commands and tests see it, read from Jaeger's JSON.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::protocol::Protocol;

/// All spans that carry one trace id, in order of their start.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    id: String,
    spans: Vec<Span>,
    places: HashMap<String, usize>,
    children: HashMap<String, Vec<usize>>,
    caller: Option<String>,
}

/// One span. Times are microseconds, the start since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Span {
    /// 16 hex digits.
    pub id: String,
    /// The parent's id; it need not be in the trace.
    pub parent: Option<String>,
    /// Spans that this one follows from, in this trace or another.
    pub links: Vec<Link>,
    /// `service.name` of the process.
    pub service: String,
    /// `service.instance.id` of the process.
    pub instance: Option<String>,
    /// The span name.
    pub name: String,
    /// Client, server and so on.
    pub kind: Kind,
    /// Whether it failed.
    pub status: Status,
    /// The status message, which OpenTelemetry allows for errors only.
    pub status_message: Option<String>,
    /// Start, microseconds since the Unix epoch.
    pub start_us: u64,
    /// Duration in microseconds.
    pub duration_us: u64,
    /// Attributes with their JSON values, those of the instrumentation scope (`otel.scope.*`) included.
    pub attributes: BTreeMap<String, Value>,
    /// Attributes of the process, without `service.name`.
    pub resource: BTreeMap<String, Value>,
    /// Events in the order recorded.
    pub events: Vec<Event>,
}

/// A reference to a span which is not the parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// 32 hex digits.
    pub trace: String,
    /// 16 hex digits.
    pub span: String,
}

/// A span event; the time is in microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// When it happened.
    pub time_us: u64,
    /// Its attributes; the name is `event`.
    pub attributes: BTreeMap<String, Value>,
}

/// OpenTelemetry's span kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Not told.
    #[default]
    Unspecified,
    /// Work inside a process.
    Internal,
    /// Answers a request.
    Server,
    /// Makes a request.
    Client,
    /// Sends a message.
    Producer,
    /// Receives or processes a message.
    Consumer,
}

/// OpenTelemetry's span status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not told, which means that nothing is known to have failed.
    #[default]
    Unset,
    /// Declared a success.
    Ok,
    /// Failed.
    Error,
}

impl Span {
    /// An attribute as text; numbers and booleans as JSON writes them.
    pub fn text(&self, key: &str) -> Option<String> {
        self.attributes.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// What the span speaks; `None` for work inside a process.
    pub fn protocol(&self) -> Option<Protocol> {
        Protocol::of(self)
    }

    /// The end in microseconds since the Unix epoch.
    pub fn end_us(&self) -> u64 {
        self.start_us.saturating_add(self.duration_us)
    }

    /// Whether the status is an error.
    pub fn failed(&self) -> bool {
        self.status == Status::Error
    }
}

impl Trace {
    /// A trace of these spans; they are put in order of start, parents before children that start with them.
    pub fn new(id: String, mut spans: Vec<Span>) -> Self {
        spans.sort_by(|a, b| (a.start_us, u64::MAX - a.duration_us).cmp(&(b.start_us, u64::MAX - b.duration_us)));
        let mut children: HashMap<String, Vec<usize>> = HashMap::new();
        let mut places = HashMap::new();
        for (place, span) in spans.iter().enumerate() {
            places.insert(span.id.clone(), place);
            if let Some(parent) = &span.parent {
                children.entry(parent.clone()).or_default().push(place);
            }
        }
        let mut trace = Self { id, spans, places, children, caller: None };
        trace.caller = trace.outside().map(str::to_owned);
        trace
    }

    /// The trace id, 32 hex digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The spans in order of start.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The span with this id.
    pub fn span(&self, id: &str) -> Option<&Span> {
        self.places.get(id).map(|place| &self.spans[*place])
    }

    /// The parent, where it is in the trace.
    pub fn parent_of(&self, span: &Span) -> Option<&Span> {
        self.span(span.parent.as_deref()?)
    }

    /// The spans whose parent is this one, in order of start.
    pub fn children_of(&self, span: &Span) -> impl Iterator<Item = &Span> {
        self.children.get(&span.id).into_iter().flatten().map(|place| &self.spans[*place])
    }

    /// Spans that name no parent. A complete trace whose caller sent no `traceparent` has exactly one.
    pub fn roots(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(|span| span.parent.is_none())
    }

    /// The id of the span outside the trace under which it begins, where the caller sent a `traceparent` of its own: the
    /// missing parent of the first span, if that one serves a request and no span is without parent.
    pub fn caller(&self) -> Option<&str> {
        self.caller.as_deref()
    }

    fn outside(&self) -> Option<&str> {
        let entry = self.spans.first().filter(|span| span.kind == Kind::Server && self.roots().next().is_none())?;
        entry.parent.as_deref().filter(|parent| self.span(parent).is_none())
    }

    /// Whether the span's parent should be in the trace and is not. The caller's own span is none of ours.
    pub fn is_orphan(&self, span: &Span) -> bool {
        span.parent.is_some() && self.parent_of(span).is_none() && span.parent != self.caller
    }

    /// Spans whose parent is missing.
    pub fn orphans(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(|span| self.is_orphan(span))
    }

    /// Spans with an error status.
    pub fn errors(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(|span| span.failed())
    }

    /// The names of the services, in order of their first span.
    pub fn services(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.spans.iter().map(|span| span.service.as_str()).filter(|service| seen.insert(*service)).collect()
    }

    /// The protocols spoken.
    pub fn protocols(&self) -> BTreeSet<Protocol> {
        self.spans.iter().filter_map(Span::protocol).collect()
    }

    /// The earliest start, microseconds since the Unix epoch; 0 for no spans.
    pub fn start_us(&self) -> u64 {
        self.spans.first().map_or(0, |span| span.start_us)
    }

    /// From the earliest start to the latest end, in microseconds.
    pub fn duration_us(&self) -> u64 {
        self.spans.iter().map(Span::end_us).max().unwrap_or(0).saturating_sub(self.start_us())
    }

    /// The trace as `--json` prints it: a summary (`trace_id`, `start_us`, `duration_us`, `services`, `protocols`,
    /// and the span ids of `roots`, `orphans` and `errors`) and all `spans`.
    pub fn to_json(&self) -> Value {
        fn ids<'a>(spans: impl Iterator<Item = &'a Span>) -> Vec<&'a str> {
            spans.map(|span| span.id.as_str()).collect()
        }
        serde_json::json!({
            "trace_id": self.id,
            "start_us": self.start_us(),
            "duration_us": self.duration_us(),
            "services": self.services(),
            "protocols": self.protocols(),
            "roots": ids(self.roots()),
            "orphans": ids(self.orphans()),
            "errors": ids(self.errors()),
            "spans": self.spans,
        })
    }
}

#[cfg(test)]
impl Span {
    /// A span of `gateway` that takes a millisecond, with these attributes.
    pub(crate) fn example(id: &str, attributes: &[(&str, &str)]) -> Self {
        Self {
            id: id.to_owned(),
            parent: None,
            links: Vec::new(),
            service: "gateway".to_owned(),
            instance: None,
            name: format!("span {id}"),
            kind: Kind::Internal,
            status: Status::Unset,
            status_message: None,
            start_us: 1_000,
            duration_us: 1_000,
            attributes: attributes.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect(),
            resource: BTreeMap::new(),
            events: Vec::new(),
        }
    }
}
