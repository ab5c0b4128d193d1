//! Spans for Postgres, from diesel's instrumentation hook.
//! <https://opentelemetry.io/docs/specs/semconv/database/postgresql/>

mod summary;

use std::{
    collections::HashMap,
    fmt::{self, Write},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context as Poller, Poll, ready},
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
#[derive(Debug, Clone, Default)]
pub struct SqlSpans(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    namespace: Arc<str>,
    server: Vec<KeyValue>,
    summaries: HashMap<String, Arc<Summary>>,
    open: Option<(Edge, Arc<Summary>)>,
    /// The statement that runs is over when its rows have come, not when it was sent.
    rows: bool,
}

impl SqlSpans {
    /// For connections to `database` (`db.namespace`) at `host`:`port`.
    pub fn new(database: &str, host: &str, port: u16) -> Self {
        let server = vec![KeyValue::new(semconv::SERVER_ADDRESS, host.to_owned()), KeyValue::new(semconv::SERVER_PORT, i64::from(port))];
        Self(Arc::new(Mutex::new(State { namespace: database.into(), server, ..State::default() })))
    }

    /// The rows of the statement that has just begun are going to be [read](Self::reading): an error may be among them.
    pub fn expect_rows(&self) {
        self.state().rows = true;
    }

    /// The rows of the statement that was announced by [`expect_rows`](Self::expect_rows). Its span ends with the last of
    /// them, with an error, or when nobody wants them any more.
    pub fn reading<S>(&self, rows: S) -> Rows<S> {
        Rows { rows, spans: self.clone(), over: false }
    }

    /// A panic of another holder leaves nothing half-done in here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begin(&mut self, query: &dyn fmt::Display) {
        // a statement before this one may have been abandoned
        self.rows = false;
        let parent = Context::current();
        if !makes_spans() || !has_parent(&parent) {
            return;
        }
        let text = statement_text(query);
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
        let edge = Edge::start(summary.text.clone(), SpanKind::Client, attributes, &parent);
        self.open = Some((edge, summary));
    }

    /// The statement was sent and understood, or refused.
    fn sent(&mut self, error: Option<&Error>) {
        let rows = std::mem::take(&mut self.rows);
        if error.is_some() || !rows {
            self.finish(error);
        }
    }

    fn finish(&mut self, error: Option<&Error>) {
        if let Some((edge, summary)) = self.open.take() {
            metrics::db("postgresql", &summary.operation, edge.since, &edge.context);
            edge.end(error.filter(|error| !matches!(error, Error::NotFound)).map(describe));
        }
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
        match event {
            InstrumentationEvent::StartQuery { query, .. } => self.state().begin(&query),
            InstrumentationEvent::FinishQuery { error, .. } => self.state().sent(error),
            _ => {}
        }
    }
}

pin_project_lite::pin_project! {
    /// See [`SqlSpans::reading`].
    #[derive(Debug)]
    pub struct Rows<S> {
        #[pin]
        rows: S,
        spans: SqlSpans,
        over: bool,
    }

    impl<S> PinnedDrop for Rows<S> {
        fn drop(this: Pin<&mut Self>) {
            if !this.over {
                this.spans.state().finish(None);
            }
        }
    }
}

impl<S: Stream<Item = Result<R, Error>>, R> Stream for Rows<S> {
    type Item = Result<R, Error>;

    fn poll_next(self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let row = ready!(this.rows.poll_next(poller));
        if !*this.over && !matches!(row, Some(Ok(_))) {
            *this.over = true;
            this.spans.state().finish(row.as_ref().and_then(|row| row.as_ref().err()));
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
    fn a_query_that_was_abandoned_says_nothing_about_the_next_statement() {
        let spans = SqlSpans::default();
        spans.state().begin(&"SELECT 1");
        spans.expect_rows();
        spans.state().begin(&"ROLLBACK");
        assert!(!spans.state().rows, "the end of ROLLBACK would wait for rows");
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
