//! Jaeger and Tempo, ours and stand-ins, and what they are asked.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;

use crate::{
    command::{jaeger, tempo, verify},
    gateway::serve,
    story::{backend, order, text},
};

#[tokio::test]
async fn jaeger_and_tempo_say_the_same() {
    let backend = backend().await;
    backend.store.insert(order(7).batches());
    let mut broken = order(8);
    broken.drop(|made| made.node == "auth.session");
    backend.store.insert(broken.batches());
    for backend in [jaeger(&backend), tempo(&backend)] {
        let both = verify(&["--trace", "7", "8", "--json", &backend]).await;
        assert_eq!((both.code(), &both.json()["complete_percent"]), (1, &50.0.into()), "{backend}");
        assert_eq!(both.defects(), ["missing span: auth.validate → auth.session (auth client Redis)"], "{backend}");
        assert_eq!(both.json()["defects"][0]["example"], format!("{:032x}", 8), "{backend}");
    }
}

#[tokio::test]
async fn a_search_finds_what_is_to_be_checked() {
    let backend = backend().await;
    for id in 1..=3 {
        backend.store.insert(order(id).batches());
    }
    let mut other = order(9);
    other.drop(|made| made.service != "gateway");
    other.get("gateway.orders").attributes = vec![text("http.route", "/other")];
    backend.store.insert(other.batches());
    for backend in [jaeger(&backend), tempo(&backend)] {
        let found = verify(&["--search", "service=gateway,http.route=/api/v1/orders", "--json", &backend]).await;
        assert_eq!((found.code(), &found.json()["traces"]["checked"]), (0, &3.into()), "{backend}: {}", found.stdout);
        let limited = verify(&["--search", "service=gateway,http.route=/api/v1/orders", "--limit", "2", "--json", &backend]).await;
        assert_eq!(limited.json()["traces"]["checked"], 2, "{backend}");
        let nothing = verify(&["--search", "service=nobody", "--json", &backend]).await;
        assert_eq!((nothing.code(), &nothing.json()["traces"]["checked"]), (1, &0.into()), "nothing checked is no success: {backend}");
    }
}

/// A Tempo behind a proxy that wants to know who asks.
#[derive(Clone, Default)]
struct Guarded {
    asked: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

async fn guarded(State(tempo): State<Guarded>, uri: Uri, headers: HeaderMap) -> Response {
    tempo.asked.lock().unwrap().push((uri.path().to_owned(), headers.clone()));
    if headers.get(header::AUTHORIZATION).is_none_or(|value| value != "Bearer secret") {
        return (StatusCode::UNAUTHORIZED, "who are you?").into_response();
    }
    if uri.path().ends_with(&format!("{:032x}", 6)) {
        return (StatusCode::BAD_GATEWAY, "come back later").into_response();
    }
    if !uri.path().ends_with(&format!("{:032x}", 7)) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let data = TracesData { resource_spans: order(7).batches() };
    ([(header::CONTENT_TYPE, "application/protobuf")], data.encode_to_vec()).into_response()
}

#[tokio::test]
async fn headers_go_with_every_request_and_a_refusal_says_how() {
    let tempo = Guarded::default();
    let (address, _serving) = serve(Router::new().fallback(guarded).with_state(tempo.clone())).await;
    let backend = format!("--backend=tempo=http://{address}/prefix/");

    let refused = verify(&["--trace", "7", &backend]).await;
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("401") && refused.stderr.contains("who are you?"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--header Authorization"), "{}", refused.stderr);

    tempo.asked.lock().unwrap().clear();
    let headers = ["--header=Authorization=Bearer secret", "--header=X-Scope-OrgID=shop"];
    let ended = verify(&["--trace", "7", "--json", &backend, headers[0], headers[1]]).await;
    assert_eq!(ended.code(), 0, "{}{}", ended.stdout, ended.stderr);
    let asked = tempo.asked.lock().unwrap();
    assert_eq!(asked.last().unwrap().0, format!("/prefix/api/traces/{:032x}", 7));
    for (_, headers) in asked.iter() {
        assert_eq!((&headers["x-scope-orgid"], &headers["accept"]), (&"shop".parse().unwrap(), &"application/protobuf".parse().unwrap()));
    }
}

#[tokio::test]
async fn a_trace_that_cannot_be_fetched_is_unknown_rather_than_missing() {
    let (address, _serving) = serve(Router::new().fallback(guarded).with_state(Guarded::default())).await;
    let backend = format!("--backend=tempo=http://{address}");
    let ended = verify(&["--trace", "7", "6", "--json", &backend, "--header=Authorization=Bearer secret"]).await;
    let json = ended.json();
    assert_eq!((ended.code(), &json["complete_percent"], &json["traces"]["unknown"]), (1, &50.0.into(), &1.into()), "{json:#}");
    assert_eq!((ended.defects().len(), &json["traces"]["absent"]), (0, &0.into()));
    assert!(json["backend_failure"].as_str().unwrap().contains("come back later"), "{json:#}");
}

#[tokio::test]
async fn a_backend_that_cannot_be_reached_is_an_error_of_its_own() {
    let ended = verify(&["--trace", "7", "--json", "--backend=jaeger=http://127.0.0.1:1"]).await;
    assert_eq!(ended.code(), 1);
    let error = ended.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("Jaeger at http://127.0.0.1:1") && error.contains("cannot reach"), "{error}");
}

#[tokio::test]
async fn bad_input_is_exit_code_2_and_says_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("--contract={}", path.display())
    };
    let contract = |node: &str, edges: &str| format!("name: shop\nnodes:\n  - {{id: a, service: shop, {node}}}\nedges: [{edges}]\n");
    let to_a = "{from: caller, to: a}";
    for (arguments, said) in [
        (vec![file("kind", &contract("kind: sever", to_a))], vec!["line 3", "server, client"]),
        (vec![file("key", &contract("kind: server, cuont: 1", to_a))], vec!["line 3", "cuont", "count"]),
        (vec![file("count", &contract("kind: server, count: 2..1", to_a))], vec!["line 3", "0..3"]),
        (vec![file("regex", &contract("kind: server, values: {x: '('}", to_a))], vec!["line 3", "regular expression"]),
        (vec![file("edge", &contract("kind: server", "{from: b, to: a}"))], vec!["edges, b -> a: from", "there are a"]),
        (vec!["--contract=/nowhere/at/all.yaml".to_owned()], vec!["/nowhere/at/all.yaml"]),
        (vec!["--mode=fast".to_owned()], vec!["--mode fast", "sdk, ebpf"]),
        (vec!["--trace=xyz".to_owned()], vec!["\"xyz\" is not a trace id"]),
        (vec!["--explain=xyz".to_owned()], vec!["\"xyz\" is not a trace id"]),
        (vec!["--backend=zipkin=http://z".to_owned()], vec!["tempo=URL"]),
        (vec!["--ca=/nowhere.pem".to_owned()], vec!["--ca /nowhere.pem"]),
    ] {
        let backend = backend().await;
        let own = format!("--backend=jaeger=http://{}", backend.page_address);
        let given = arguments.iter().any(|argument| argument.starts_with("--backend"));
        let with_backend = arguments.iter().map(String::as_str).chain((!given).then_some(own.as_str()));
        let mut line: Vec<&str> = with_backend.collect();
        if !arguments.iter().any(|argument| argument.starts_with("--trace") || argument.starts_with("--explain")) {
            line.extend(["--trace", "7"]);
        }
        let ended = verify(&line).await;
        assert_eq!(ended.code(), 2, "{arguments:?}: {}", ended.stderr);
        for word in said {
            assert!(ended.stderr.contains(word), "{arguments:?}: {}", ended.stderr);
        }
    }
}
