//! Spans for Postgres, from diesel's instrumentation hook.
//! <https://opentelemetry.io/docs/specs/semconv/database/postgresql/>

mod summary;

use std::{
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
    metrics,
    setup::makes_spans,
    span::{Edge, has_parent},
};

/// Statements whose summary a connection remembers. A program has dozens; the bound is for those that build SQL.
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
    summaries: HashMap<String, Arc<Summary>>,
    begun: Statement,
}

impl SqlSpans {
    /// For connections to `database` (`db.namespace`) at `host`:`port`.
    pub fn new(database: &str, host: &str, port: u16) -> Self {
        let server = vec![KeyValue::new(semconv::SERVER_ADDRESS, host.to_owned()), KeyValue::new(semconv::SERVER_PORT, i64::from(port))];
        Self(Arc::new(Mutex::new(State { namespace: database.into(), server, ..State::default() })))
    }

    /// The same; each statement is logged, too, where `on`: its text without bind values, and how long it took.
    #[must_use]
    pub fn with_echo(self, on: bool) -> Self {
        self.state().echo = on;
        self
    }

    /// The statement that has just begun, to whoever has sent it.
    #[must_use]
    pub fn begun(&self) -> Statement {
        std::mem::take(&mut self.state().begun)
    }

    /// A panic of another holder leaves nothing half-done in here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A statement under way. It is over when it is dropped: nobody waits for it any more.
#[derive(Debug, Default)]
pub struct Statement {
    span: Option<(Edge, Arc<Summary>)>,
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
        if let Some((edge, summary)) = self.span.take() {
            metrics::db("postgresql", &summary.operation, edge.since, &edge.context);
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
        let parent = Context::current();
        let spans = makes_spans() && has_parent(&parent);
        if !spans && !self.echo {
            return;
        }
        let text = statement_text(query);
        let echo = self.echo.then(|| (text.clone(), Instant::now()));
        let span = spans.then(|| self.span(text, &parent));
        self.begun = Statement { span, echo };
    }

    fn span(&mut self, text: String, parent: &Context) -> (Edge, Arc<Summary>) {
        let summary = self.summary(&text);
        let mut attributes = vec![
            KeyValue::new(semconv::DB_SYSTEM_NAME, "postgresql"),
            KeyValue::new(semconv::DB_NAMESPACE, Arc::clone(&self.namespace)),
            KeyValue::new(semconv::DB_OPERATION_NAME, summary.operation.clone()),
            KeyValue::new(semconv::DB_QUERY_SUMMARY, summary.text.clone()),
            KeyValue::new(semconv::DB_QUERY_TEXT, text),
        ];
        attributes.extend(summary.collection.clone().map(|name| KeyValue::new(semconv::DB_COLLECTION_NAME, name)));
        attributes.extend(self.server.iter().cloned());
        (Edge::start(summary.text.clone(), SpanKind::Client, attributes, parent), summary)
    }

    fn summary(&mut self, text: &str) -> Arc<Summary> {
        if let Some(summary) = self.summaries.get(text) {
            return Arc::clone(summary);
        }
        let summary = Arc::new(Summary::of(text));
        if self.summaries.len() < REMEMBERED {
            self.summaries.insert(text.to_owned(), Arc::clone(&summary));
        }
        summary
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
mod tests {
    use diesel::{ExpressionMethods, QueryDsl, debug_query, pg::Pg};

    use super::*;

    diesel::table! {
        users (user_id) {
            user_id -> Integer,
            email -> Text,
        }
    }

    #[test]
    fn statements_under_way_at_once_are_each_its_senders() {
        let spans = SqlSpans::default().with_echo(true);
        let text = |statement: &Statement| statement.echo.as_ref().map(|(text, _)| text.clone());
        spans.state().begin(&"SELECT 1");
        let one = spans.begun();
        spans.state().begin(&"SELECT 2");
        let other = spans.begun();
        one.end(None);
        assert_eq!(text(&other).as_deref(), Some("SELECT 2"));
        assert_eq!(text(&spans.begun()), None, "nothing has begun since");
    }

    #[test]
    fn bind_values_stay_out_of_the_text() {
        let query = users::table.filter(users::email.eq("secret@example.com")).select(users::user_id);
        let printed = debug_query::<Pg, _>(&query);
        assert!(printed.to_string().contains("secret@example.com"), "diesel prints binds, so the test can fail");
        let text = statement_text(&printed);
        assert!(text.starts_with("SELECT"), "{text}");
        assert!(!text.contains("secret"), "{text}");
        assert!(!text.contains("binds"), "{text}");
    }
}
