//! Spans for Postgres, from diesel's instrumentation hook.
//! <https://opentelemetry.io/docs/specs/semconv/database/postgresql/>

mod summary;

use std::{
    collections::HashMap,
    fmt::{self, Write},
    sync::Arc,
};

use diesel::{
    connection::{Instrumentation, InstrumentationEvent},
    result::Error,
};
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
/// text but never its bind values.
#[derive(Debug, Default)]
pub struct SqlSpans {
    namespace: Arc<str>,
    server: Vec<KeyValue>,
    summaries: HashMap<String, Arc<Summary>>,
    open: Option<(Edge, Arc<Summary>)>,
}

impl SqlSpans {
    /// For connections to `database` (`db.namespace`) at `host`:`port`.
    pub fn new(database: &str, host: &str, port: u16) -> Self {
        Self {
            namespace: database.into(),
            server: vec![KeyValue::new(semconv::SERVER_ADDRESS, host.to_owned()), KeyValue::new(semconv::SERVER_PORT, i64::from(port))],
            ..Self::default()
        }
    }

    fn begin(&mut self, query: &dyn fmt::Display) {
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
            InstrumentationEvent::StartQuery { query, .. } => self.begin(&query),
            InstrumentationEvent::FinishQuery { error, .. } => self.finish(error),
            _ => {}
        }
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
