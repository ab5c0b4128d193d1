//! Spans for Postgres, from diesel's instrumentation hook.
//! <https://opentelemetry.io/docs/specs/semconv/database/postgresql/>

mod summary;

use std::{
    any::TypeId,
    collections::HashMap,
    fmt::{self, Write},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context as Poller, Poll, ready},
    time::Instant,
};

use diesel::{
    connection::{Instrumentation, InstrumentationEvent},
    result::Error,
};
use futures::Stream;
use opentelemetry::{Context, KeyValue, trace::SpanKind};
use opentelemetry_semantic_conventions::attribute as semconv;
use summary::Summary;

use crate::{
    metrics::DbLatency,
    setup::makes_spans,
    span::{Edge, has_parent, server, shared},
};

/// Statements that a connection remembers. A program has dozens; the bound is for those that build SQL.
const REMEMBERED: usize = 256;

/// Instrumentation for one connection: a client span for each statement that runs within a request, with the statement's
/// text but never its bind values. Clones are of one connection.
///
/// The hook tells when a statement begins, and of which one; when it ends it cannot tell, since several may be under way at
/// once (pipelining) and what the server refuses while it runs comes among the rows. So whoever sends a statement takes it by
/// [`begun`](Self::begun), and ends it.
#[derive(Debug, Clone, Default)]
pub struct SqlSpans(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    namespace: Arc<str>,
    server: Vec<KeyValue>,
    echo: bool,
    known: HashMap<String, Arc<Known>>,
    known_types: HashMap<TypeId, Arc<Known>>,
    expected: Option<TypeId>,
    begun: Statement,
}

/// What is always the same about a statement.
#[derive(Debug)]
struct Known {
    text: String,
    summary: String,
    attributes: Vec<KeyValue>,
    latency: DbLatency,
}

impl SqlSpans {
    /// For connections to `database` (`db.namespace`) at `host`:`port`.
    pub fn new(database: &str, host: &str, port: u16) -> Self {
        Self(Arc::new(Mutex::new(State { namespace: database.into(), server: server(host, port), ..State::default() })))
    }

    /// The same; each statement is logged, too, where `on`: its text without bind values, and how long it took.
    #[must_use]
    pub fn with_echo(self, on: bool) -> Self {
        self.state().echo = on;
        self
    }

    /// The statement that is sent next is of this type, and all of that type have one text: diesel's own rule for which
    /// statements are prepared once. Its text is made once then, and not each time.
    pub fn next_is(&self, statement: Option<TypeId>) {
        self.state().expected = statement;
    }

    /// The statement that has just begun, to whoever has sent it.
    #[must_use]
    pub fn begun(&self) -> Statement {
        let mut state = self.state();
        state.expected = None;
        std::mem::take(&mut state.begun)
    }

    /// A panic of another holder leaves nothing half-done in here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A statement under way. It is over when it is dropped: nobody waits for it any more.
#[derive(Debug, Default)]
pub struct Statement {
    span: Option<(Edge, Arc<Known>)>,
    echo: Option<(String, Instant)>,
}

impl Statement {
    /// It is over, or was refused.
    pub fn end(mut self, error: Option<&Error>) {
        self.finish(error);
    }

    /// It was sent and its rows come: it ends with the last of them, with an error, or when nobody wants them any more.
    pub fn reading<S>(self, rows: S) -> Rows<S> {
        Rows { rows, statement: self }
    }

    fn finish(&mut self, error: Option<&Error>) {
        let error = error.filter(|error| !matches!(error, Error::NotFound)).map(describe);
        if let Some((text, since)) = self.echo.take() {
            let (duration_ms, error) = (since.elapsed().as_secs_f64() * 1_000.0, error.as_ref().map(|(kind, _)| kind.as_str()));
            tracing::info!(target: "sql", duration_ms, error, "{text}");
        }
        if let Some((edge, known)) = self.span.take() {
            known.latency.observe(edge.since, &edge.context);
            edge.end(error);
        }
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        self.finish(None);
    }
}

impl State {
    fn begin(&mut self, query: &dyn fmt::Display) {
        let expected = self.expected.take();
        let parent = Context::current();
        let spans = makes_spans() && has_parent(&parent);
        if !spans && !self.echo {
            return;
        }
        let known = self.known(expected, query);
        let echo = self.echo.then(|| (known.text.clone(), Instant::now()));
        let edge = |known: &Known| Edge::start(known.summary.clone(), SpanKind::Client, known.attributes.clone(), &parent);
        self.begun = Statement { span: spans.then(|| (edge(&known), known)), echo };
    }

    fn known(&mut self, expected: Option<TypeId>, query: &dyn fmt::Display) -> Arc<Known> {
        if let Some(known) = expected.and_then(|id| self.known_types.get(&id)) {
            return Arc::clone(known);
        }
        let known = self.known_text(statement_text(query));
        if let Some(id) = expected.filter(|_| self.known_types.len() < REMEMBERED) {
            self.known_types.insert(id, Arc::clone(&known));
        }
        known
    }

    fn known_text(&mut self, text: String) -> Arc<Known> {
        if let Some(known) = self.known.get(&text) {
            return Arc::clone(known);
        }
        let known = Arc::new(self.learn(&text));
        if self.known.len() < REMEMBERED {
            self.known.insert(text, Arc::clone(&known));
        }
        known
    }

    fn learn(&self, text: &str) -> Known {
        let Summary { text: summary, operation, collection } = Summary::of(text);
        let latency = DbLatency::new("postgresql", &operation);
        let mut attributes = vec![
            KeyValue::new(semconv::DB_SYSTEM_NAME, "postgresql"),
            KeyValue::new(semconv::DB_NAMESPACE, Arc::clone(&self.namespace)),
            KeyValue::new(semconv::DB_OPERATION_NAME, shared(&operation)),
            KeyValue::new(semconv::DB_QUERY_SUMMARY, shared(&summary)),
            KeyValue::new(semconv::DB_QUERY_TEXT, shared(text)),
        ];
        attributes.extend(collection.map(|name| KeyValue::new(semconv::DB_COLLECTION_NAME, shared(&name))));
        attributes.extend(self.server.iter().cloned());
        Known { text: text.to_owned(), summary, attributes, latency }
    }
}

impl Instrumentation for SqlSpans {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            self.state().begin(&query);
        }
    }
}

pin_project_lite::pin_project! {
    /// See [`Statement::reading`].
    #[derive(Debug)]
    pub struct Rows<S> {
        #[pin]
        rows: S,
        statement: Statement,
    }
}

impl<S: Stream<Item = Result<R, Error>>, R> Stream for Rows<S> {
    type Item = Result<R, Error>;

    fn poll_next(self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let row = ready!(this.rows.poll_next(poller));
        if !matches!(row, Some(Ok(_))) {
            this.statement.finish(row.as_ref().and_then(|row| row.as_ref().err()));
        }
        Poll::Ready(row)
    }
}

/// The kind of database error, without the server's message: that may quote values.
fn describe(error: &Error) -> (String, String) {
    match error {
        Error::DatabaseError(kind, information) => {
            let constraint = information.constraint_name().unwrap_or_default();
            (format!("{kind:?}"), constraint.to_owned())
        }
        _ => ("_OTHER".into(), String::new()),
    }
}

/// diesel prints `STATEMENT -- binds: [...]`. The writer stops it at the marker, before a value is formatted.
fn statement_text(query: &dyn fmt::Display) -> String {
    struct UpToBinds(String);
    impl Write for UpToBinds {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            if let Some((head, _)) = part.split_once(" -- binds: ") {
                self.0.push_str(head);
                return Err(fmt::Error);
            }
            self.0.push_str(part);
            Ok(())
        }
    }
    let mut text = UpToBinds(String::new());
    // the error is the writer's own way to stop
    let _ = write!(text, "{query}");
    text.0
}

#[cfg(test)]
mod tests;
