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
    span::{Edge, has_parent, server},
};

/// A Redis connection with a client span for each command or pipeline that runs within a request.
#[derive(Debug, Clone)]
pub struct RedisSpans<C> {
    inner: C,
    server: Vec<KeyValue>,
}

impl<C> RedisSpans<C> {
    /// Wraps a connection to `host`:`port`.
    pub fn new(inner: C, host: &str, port: u16) -> Self {
        Self { inner, server: server(host, port) }
    }
}

impl<C: ConnectionLike> RedisSpans<C> {
    fn start(&self, operation: &str, batch: Option<&Batch>) -> Option<Edge> {
        let parent = Context::current();
        if !makes_spans() || !has_parent(&parent) {
            return None;
        }
        let mut attributes = Vec::with_capacity(7);
        attributes.extend([
            KeyValue::new(semconv::DB_SYSTEM_NAME, "redis"),
            KeyValue::new(semconv::DB_NAMESPACE, self.inner.get_db().to_string()),
            KeyValue::new(semconv::DB_OPERATION_NAME, operation.to_owned()),
        ]);
        attributes.extend_from_slice(&self.server);
        if let Some(batch) = batch {
            attributes.extend(i64::try_from(batch.size).map(|size| KeyValue::new(semconv::DB_OPERATION_BATCH_SIZE, size)));
            attributes.push(KeyValue::new(semconv::DB_QUERY_TEXT, batch.text()));
        }
        Some(Edge::start(operation.to_owned(), SpanKind::Client, attributes, &parent))
    }
}

impl<C: ConnectionLike + Send> ConnectionLike for RedisSpans<C> {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let name = command_name(command);
        match self.start(&name, None) {
            Some(edge) => Box::pin(watch(self.inner.req_packed_command(command), edge, name)),
            None => self.inner.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(&'a mut self, pipeline: &'a Pipeline, offset: usize, count: usize) -> RedisFuture<'a, Vec<Value>> {
        let batch = Batch::of(pipeline);
        let operation = batch.operation();
        match self.start(&operation, Some(&batch)) {
            Some(edge) => Box::pin(watch(self.inner.req_packed_commands(pipeline, offset, count), edge, operation)),
            None => self.inner.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        self.inner.get_db()
    }
}

/// The commands of a pipeline. Neighbours that do the same are one, with their number of arguments.
struct Batch {
    commands: Vec<(String, usize)>,
    size: usize,
}

impl Batch {
    fn of(pipeline: &Pipeline) -> Self {
        let mut commands: Vec<_> = pipeline.cmd_iter().map(|command| (command_name(command), command.args_iter().count())).collect();
        let size = commands.len();
        commands.dedup();
        Self { commands, size }
    }

    /// `PIPELINE SET` where all do the same, else the bare word: what the conventions ask for batches.
    fn operation(&self) -> String {
        match self.commands.split_first() {
            Some(((name, _), rest)) if rest.iter().all(|(other, _)| other == name) => format!("PIPELINE {name}"),
            _ => "PIPELINE".to_owned(),
        }
    }

    /// Which commands, in the conventions' form: without their arguments, separated by semicolons.
    fn text(&self) -> String {
        let commands = self.commands.iter().map(|(name, words)| name.clone() + &" ?".repeat(words.saturating_sub(1)));
        commands.collect::<Vec<_>>().join("; ")
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
    use bb8_redis::redis::{cmd, pipe};

    use super::{Batch, command_name};

    #[test]
    fn the_operation_is_the_command_without_its_arguments() {
        assert_eq!(command_name(cmd("get").arg("session:secret")), "GET");
    }

    #[test]
    fn a_pipeline_tells_its_commands_without_their_arguments() {
        let mut mixed = pipe();
        mixed.zadd("sessions:of:ada", "secret", 1).expire("sessions:of:ada", 60).incr("count", 1).incr("other", 1);
        let batch = Batch::of(&mixed);
        assert_eq!((batch.operation().as_str(), batch.size), ("PIPELINE", 4));
        assert_eq!(batch.text(), "ZADD ? ? ?; EXPIRE ? ?; INCRBY ? ?");
        let mut alike = pipe();
        alike.set("a", 1).set("b", 2);
        let batch = Batch::of(&alike);
        assert_eq!((batch.operation().as_str(), batch.text().as_str()), ("PIPELINE SET", "SET ? ?"));
    }
}
