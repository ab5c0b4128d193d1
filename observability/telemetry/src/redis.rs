//! Spans for Redis, by wrapping the connection. <https://opentelemetry.io/docs/specs/semconv/database/redis/>

use bb8_redis::redis::{Cmd, Pipeline, RedisError, RedisFuture, Value, aio::ConnectionLike};
use opentelemetry::{
    Context, KeyValue,
    trace::{FutureExt, SpanKind},
};
use opentelemetry_semantic_conventions::attribute as semconv;

use crate::{
    metrics,
    setup::makes_spans,
    span::{Edge, has_parent},
};

/// A Redis connection with a client span for each command or pipeline that runs within a request.
#[derive(Debug, Clone)]
pub struct RedisSpans<C> {
    inner: C,
    host: String,
    port: u16,
}

impl<C> RedisSpans<C> {
    /// Wraps a connection to `host`:`port`.
    pub fn new(inner: C, host: &str, port: u16) -> Self {
        Self { inner, host: host.to_owned(), port }
    }
}

impl<C: ConnectionLike> RedisSpans<C> {
    fn start(&self, name: String, operation: String, batch: Option<usize>) -> Option<Edge> {
        let parent = Context::current();
        if !makes_spans() || !has_parent(&parent) {
            return None;
        }
        let mut attributes = vec![
            KeyValue::new(semconv::DB_SYSTEM_NAME, "redis"),
            KeyValue::new(semconv::DB_NAMESPACE, self.inner.get_db().to_string()),
            KeyValue::new(semconv::DB_OPERATION_NAME, operation),
            KeyValue::new(semconv::SERVER_ADDRESS, self.host.clone()),
            KeyValue::new(semconv::SERVER_PORT, i64::from(self.port)),
        ];
        let size = batch.and_then(|size| i64::try_from(size).ok());
        attributes.extend(size.map(|size| KeyValue::new(semconv::DB_OPERATION_BATCH_SIZE, size)));
        Some(Edge::start(name, SpanKind::Client, attributes, &parent))
    }
}

impl<C: ConnectionLike + Send> ConnectionLike for RedisSpans<C> {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let name = command_name(command);
        match self.start(name.clone(), name.clone(), None) {
            Some(edge) => Box::pin(watch(self.inner.req_packed_command(command), edge, name)),
            None => self.inner.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(&'a mut self, pipeline: &'a Pipeline, offset: usize, count: usize) -> RedisFuture<'a, Vec<Value>> {
        let mut names: Vec<String> = pipeline.cmd_iter().map(command_name).collect();
        let size = names.len();
        names.dedup();
        // "PIPELINE SET" where all do the same, else the bare word: what the conventions ask for batches
        let name = if let [only] = names.as_slice() { format!("PIPELINE {only}") } else { "PIPELINE".to_owned() };
        match self.start(name.clone(), name.clone(), Some(size)) {
            Some(edge) => Box::pin(watch(self.inner.req_packed_commands(pipeline, offset, count), edge, name)),
            None => self.inner.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        self.inner.get_db()
    }
}

async fn watch<T>(call: RedisFuture<'_, T>, edge: Edge, operation: String) -> Result<T, RedisError> {
    let result = call.with_context(edge.context.clone()).await;
    metrics::db("redis", &operation, edge.since, &edge.context);
    edge.end(result.as_ref().err().map(|error| (error.code().unwrap_or("_OTHER").to_owned(), error.category().to_owned())));
    result
}

fn command_name(command: &Cmd) -> String {
    use bb8_redis::redis::Arg;
    match command.args_iter().next() {
        Some(Arg::Simple(name)) => String::from_utf8_lossy(name).to_ascii_uppercase(),
        _ => "UNKNOWN".into(),
    }
}

#[cfg(test)]
mod tests {
    use bb8_redis::redis::cmd;

    use super::command_name;

    #[test]
    fn the_operation_is_the_command_without_its_arguments() {
        assert_eq!(command_name(cmd("get").arg("session:secret")), "GET");
    }
}
