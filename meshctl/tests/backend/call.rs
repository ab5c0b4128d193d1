//! `mesh call` against a server that is known by its reflection only.

use std::{future::pending, net::SocketAddr};

use clap::Parser;
use meshctl::call::{CallArgs, run_to};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: CallArgs,
}

struct Outcome {
    code: u8,
    out: String,
    err: String,
}

/// A health service which serves `orders`, with reflection; it lives as long as the test's runtime.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("orders", tonic_health::ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .unwrap();
    let routes = Server::builder().add_service(health).add_service(reflection);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { routes.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap() });
    tasks.detach_all();
    address
}

async fn call(server: SocketAddr, line: &[&str]) -> Outcome {
    let args = Line::parse_from(["call", "health"].iter().chain(line)).args;
    let resolve = |name: &str| (name == "health").then(|| format!("http://{server}"));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run_to(args, resolve, &mut out, &mut err).await.unwrap();
    Outcome { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

const CHECK: &str = "grpc.health.v1.Health/Check";

#[tokio::test]
async fn a_unary_call() {
    let server = server().await;
    for method in [CHECK, "grpc.health.v1.Health.Check"] {
        let done = call(server, &[method, r#"{"service":"orders"}"#]).await;
        assert_eq!((done.code, value(&done.out), done.err.as_str()), (0, json!({ "status": "SERVING" }), ""));
    }
    let empty = call(server, &[CHECK, "--json"]).await;
    assert_eq!((empty.code, empty.out.as_str()), (0, "{\"status\":\"SERVING\"}\n"));
}

#[tokio::test]
async fn an_error_tells_code_and_message() {
    let server = server().await;
    let done = call(server, &[CHECK, r#"{"service":"nobody"}"#]).await;
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    assert!(done.err.starts_with("NOT_FOUND (5): "), "{}", done.err);
    let done = call(server, &[CHECK, r#"{"service":"nobody"}"#, "--json"]).await;
    let error = &value(&done.err)["error"];
    assert_eq!((&error["code"], &error["status"], &error["details"]), (&json!(5), &json!("NOT_FOUND"), &json!([])));
}

#[tokio::test]
async fn streams_in_both_directions() {
    let server = server().await;
    let watch = call(server, &["grpc.health.v1.Health/Watch", r#"{"service":"orders"}"#, "--json", "--timeout", "1"]).await;
    assert_eq!((watch.code, watch.out.as_str()), (1, "{\"status\":\"SERVING\"}\n"));
    assert_eq!(value(&watch.err)["error"]["status"], "DEADLINE_EXCEEDED");

    let method = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let asked = call(server, &[method, r#"[{"listServices":""},{"fileContainingSymbol":"grpc.health.v1.Health"}]"#, "--json"]).await;
    assert_eq!(asked.code, 0, "{}", asked.err);
    let answers: Vec<_> = asked.out.lines().map(value).collect();
    assert_eq!(answers.len(), 2);
    assert!(answers[1]["fileDescriptorResponse"]["fileDescriptorProto"][0].is_string());
    let nothing = call(server, &[method]).await;
    assert!(nothing.code == 2 && nothing.err.contains("takes a stream"), "{}", nothing.err);
}

#[tokio::test]
async fn list_and_describe() {
    let server = server().await;
    let services = call(server, &["list"]).await;
    assert_eq!(services.out, "grpc.health.v1.Health\ngrpc.reflection.v1.ServerReflection\n");
    let methods = call(server, &["list", "grpc.health.v1.Health", "--json"]).await;
    assert_eq!(value(&methods.out)[0], CHECK);
    let method = call(server, &["describe", CHECK]).await;
    assert!(method.out.starts_with("rpc Check(grpc.health.v1.HealthCheckRequest) returns "), "{}", method.out);
    assert!(method.out.contains("message grpc.health.v1.HealthCheckRequest {\n  string service = 1;\n}"), "{}", method.out);
    let status = call(server, &["describe", "grpc.health.v1.HealthCheckResponse.ServingStatus"]).await;
    assert!(status.out.contains("SERVING = 1;"), "{}", status.out);
}

#[tokio::test]
async fn mistakes_name_what_is_wrong_and_what_exists() {
    let server = server().await;
    for (line, words) in [
        (&["shop.Orders/Place"][..], &["shop.Orders", "grpc.health.v1.Health"][..]),
        (&["grpc.health.v1.Health/Chekc"], &["Chekc", "Check, "]),
        (&[CHECK, r#"{"service":5}"#], &["HealthCheckRequest", "at service"]),
        (&[CHECK, r#"{"servcie":"orders"}"#], &["servcie"]),
        (&[CHECK, "{"], &["not JSON"]),
        (&[CHECK, "{} {}"], &["one JSON object, 2 were given"]),
        (&[CHECK, "-H", "no-colon"], &["no-colon", "key: value"]),
        (&["Check"], &["package.Service/Method"]),
    ] {
        let done = call(server, line).await;
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{line:?}");
        assert!(words.iter().all(|word| done.err.contains(word)), "{line:?}: {}", done.err);
    }
}

#[tokio::test]
async fn servers_that_do_not_answer_are_told_apart() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    drop(silent);
    let done = call(address, &["list"]).await;
    assert!(done.code == 1 && done.err.contains(&format!("cannot connect to http://{address}")), "{}", done.err);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let bare = Server::builder().add_service(health).serve_with_incoming(TcpIncoming::from(listener));
    let done = tokio::select! {
        done = call(address, &["list"]) => done,
        _ = bare => pending().await,
    };
    assert!(done.code == 1 && done.err.contains("no gRPC server reflection"), "{}", done.err);

    let args = Line::parse_from(["call", "nowhere", "list"]).args;
    let mut err = Vec::new();
    assert_eq!(run_to(args, |_| None, &mut Vec::new(), &mut err).await.unwrap(), 2);
    assert!(String::from_utf8(err).unwrap().contains("\"nowhere\" is neither"));
}
