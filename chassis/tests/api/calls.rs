//! What a server does around a call: panics become answers, calls become lines in the log.

use std::{
    io::Write,
    sync::{Mutex, Once},
};

use chassis::testing::eventually;
use futures::{StreamExt, stream};
use serde_json::Value;
use telemetry::logs::CallLevel;
use tonic::{Code, Request, Status};
use tracing_subscriber::EnvFilter;

use crate::probe::{ASK, MODELS, Probe, Server, Work, ask, process, watch};

static LINES: Mutex<Vec<Value>> = Mutex::new(Vec::new());

struct Collector;

impl Write for Collector {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.lock().unwrap().push(serde_json::from_slice(bytes)?);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Gathers the log of the whole test process.
fn observe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing_subscriber::fmt().json().with_env_filter(EnvFilter::new("info")).with_writer(|| Collector).init());
}

fn lines_of(method: &str) -> Vec<Value> {
    let of_method = |line: &&Value| line["fields"]["rpc.method"].as_str().is_some_and(|name| method.ends_with(name));
    LINES.lock().unwrap().iter().filter(of_method).cloned().collect()
}

#[tokio::test]
async fn a_panic_is_internal_for_its_own_call_only_and_logged_once() {
    observe();
    for (model, method) in MODELS.into_iter().zip(["/test.Probe/PanicShared", "/test.Probe/PanicThread"]) {
        let probe = Probe::answering(|text| async move {
            tokio::task::yield_now().await;
            assert!(text != "panic", "the secret is {}", 42);
            Ok(text)
        });
        let server = Server::start(process(model), probe);
        let channel = server.channel();
        let status = ask(channel.clone(), method, Request::new("panic".into())).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
        assert_eq!(ask(channel, ASK, Request::new("hello".into())).await.unwrap().into_inner(), "hello");
        let lines = lines_of(method);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!((&lines[0]["level"], &lines[0]["fields"]["panic"]), (&"ERROR".into(), &"the secret is 42".into()));
    }
}

async fn panicking() -> Result<String, Status> {
    tokio::task::yield_now().await;
    panic!("in the middle")
}

#[tokio::test]
async fn a_stream_that_panics_ends_with_internal() {
    for model in MODELS {
        let panicking = |_| stream::iter([Ok("first".to_owned())]).chain(stream::once(panicking())).boxed();
        let server = Server::start(process(model), Probe::streaming(panicking));
        let mut answers = watch(server.channel(), "").await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap(), "first");
        let status = answers.message().await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    }
}

#[tokio::test]
async fn each_call_is_one_line_where_that_is_wanted() {
    observe();
    let (work, wanted, unwanted) = (Work::default(), "/test.Probe/Wanted", "/test.Probe/Unwanted");
    let probe = Probe::answering(|text| async move { if text.is_empty() { Err(Status::not_found("nothing")) } else { Ok(text) } });
    let server = Server::start(process(MODELS[0]).with_calls_at(CallLevel::Info), probe.clone());
    ask(server.channel(), wanted, Request::new("a".into())).await.unwrap();
    ask(server.channel(), wanted, Request::new(String::new())).await.unwrap_err();
    let hanging = Server::start(process(MODELS[0]).with_calls_at(CallLevel::Info), work.endless());
    let call = chassis::spawn(ask(hanging.channel(), wanted, Request::new(String::new())));
    eventually("it works", async || work.running() == 1).await;
    call.abort();
    eventually("three lines are there", async || lines_of(wanted).len() == 3).await;
    let lines = lines_of(wanted);
    let said: Vec<_> = lines.iter().map(|line| line["fields"]["rpc.response.status_code"].as_str().unwrap()).collect();
    assert_eq!(said, ["OK", "NOT_FOUND", "CANCELLED"]);
    for line in &lines {
        let fields = &line["fields"];
        assert_eq!((&line["level"], &fields["rpc.method"]), (&"INFO".into(), &"test.Probe/Wanted".into()));
        assert_eq!(fields["client.address"], "127.0.0.1");
        assert!(fields["duration_ms"].as_f64().is_some_and(|duration| duration > 0.0), "{fields}");
    }
    let silent = Server::start(process(MODELS[0]), probe);
    ask(silent.channel(), unwanted, Request::new("a".into())).await.unwrap();
    assert_eq!(lines_of(unwanted), Vec::<Value>::new());
}

/// The admin port answers before the service has said what it needs.
#[tokio::test]
async fn nothing_is_ready_before_it_serves() {
    for model in MODELS {
        let process = process(model);
        assert_eq!(process.readiness.failures().await, [("start", "not yet serving".to_owned())]);
        let server = Server::start(process, Probe::answering(async |text| Ok(text)));
        ask(server.channel(), ASK, Request::new(String::new())).await.unwrap();
        assert!(server.process.readiness.failures().await.is_empty());
    }
}
