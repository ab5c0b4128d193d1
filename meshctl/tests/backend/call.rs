//! `mesh call` against a server that is known by its reflection only.

mod shop;
mod typing;

use std::{collections::BTreeMap, future::pending, io::Read, net::SocketAddr, thread};

use clap::Parser;
use meshctl::call::{CallArgs, Credentials, Person, Streams, Surroundings, run_on};
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

/// A mesh whose services are all this server; its demo user knows the password, and its admin has forgotten it.
fn around(server: SocketAddr) -> Surroundings {
    let services = ["health", "auth"].map(|name| (name.to_owned(), format!("http://{server}")));
    let login = |password: &str| Credentials { email: "ada@example.org".to_owned(), password: password.to_owned() };
    let people = BTreeMap::from([(Person::Demo, login(shop::PASSWORD)), (Person::Admin, login("forgotten"))]);
    Surroundings { services: BTreeMap::from(services), people, certs: None }
}

fn args(line: &[&str]) -> CallArgs {
    Line::parse_from(["call", "health"].iter().chain(line)).args
}

async fn call(server: SocketAddr, line: &[&str]) -> Outcome {
    fed(server, line, "").await
}

/// A call that reads `input`.
async fn fed(server: SocketAddr, line: &[&str], input: &'static str) -> Outcome {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let streams = Streams { input: Box::new(input.as_bytes()), out: &mut out, err: &mut err, is_interactive: false };
    let code = run_on(args(line), &around(server), streams).await.unwrap();
    Outcome { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

const CHECK: &str = "grpc.health.v1.Health/Check";
const REFLECT: &str = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

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

    let asked = call(server, &[REFLECT, r#"[{"listServices":""},{"fileContainingSymbol":"grpc.health.v1.Health"}]"#, "--json"]).await;
    assert_eq!(asked.code, 0, "{}", asked.err);
    let answers: Vec<_> = asked.out.lines().map(value).collect();
    assert_eq!(answers.len(), 2);
    assert!(answers[1]["fileDescriptorResponse"]["fileDescriptorProto"][0].is_string());
}

#[tokio::test]
async fn a_stream_is_read_from_standard_input_in_whatever_way_its_objects_are_written() {
    let server = server().await;
    for (line, input, answers) in [
        (&[REFLECT, "--json"][..], "{\"listServices\": \"\"}\n\n{\"listServices\": \"\"}\n", 2),
        (&[REFLECT, "-", "--json"], "[{\"listServices\": \"\"},\n {\"listServices\":\n \"\"}] {\"listServices\": \"\"}", 3),
        (&[REFLECT, "list_services=", "--json"], "nobody reads this", 1),
        (&[REFLECT, "--json"], "", 0),
    ] {
        let done = fed(server, line, input).await;
        assert_eq!((done.code, done.out.lines().count()), (0, answers), "{input:?}: {}", done.err);
    }
    let wrong = fed(server, &[REFLECT], "{\"listServices\": \"\"}\n{\"listService\": \"\"}\n").await;
    assert!(wrong.code == 2 && wrong.err.contains("listService"), "{}", wrong.err);
    let broken = fed(server, &[REFLECT], "{\"listServices\": \"\"}\njoin\n").await;
    assert!(broken.code == 2 && broken.err.contains("not JSON at line 2"), "{}", broken.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_is_sent_as_it_is_typed_and_the_end_of_input_ends_the_stream() {
    let (server, handle) = (server().await, tokio::runtime::Handle::current());
    let ((typist, keyboard), (answers, mut screen)) = (typing::Keyboard::new(), typing::Screen::new());
    let mut hints = Vec::new();
    let done = thread::scope(|scope| {
        let call = scope.spawn(|| {
            let streams = Streams { input: Box::new(keyboard), out: &mut screen, err: &mut hints, is_interactive: true };
            handle.block_on(run_on(args(&[REFLECT, "--json"]), &around(server), streams)).unwrap()
        });
        for _ in 0..3 {
            typist.send("{\"listServices\": \"\"}\n".to_owned()).unwrap();
            assert!(typing::next(&answers).contains("grpc.health.v1.Health"));
        }
        drop(typist);
        call.join().unwrap()
    });
    assert_eq!((done, answers.try_recv().ok()), (0, None));
    assert!(String::from_utf8(hints).unwrap().contains("ServerReflectionRequest as JSON a line"));
}

#[tokio::test]
async fn a_call_that_is_over_does_not_wait_for_more_input() {
    /// One line, and then nothing for ever.
    struct Silence(&'static [u8]);
    impl Read for Silence {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            while self.0.is_empty() {
                thread::park();
            }
            self.0.read(buffer)
        }
    }
    let server = server().await;
    for (typed, code) in [("{\"fileContainingSymbol\": \"shop.Order\"}\n", "NOT_FOUND (5): "), ("", "DEADLINE_EXCEEDED (4): ")] {
        let mut err = Vec::new();
        let input = Box::new(Silence(typed.as_bytes()));
        let streams = Streams { input, out: &mut Vec::new(), err: &mut err, is_interactive: false };
        let done = run_on(args(&[REFLECT, "--timeout", "1.5"]), &around(server), streams).await.unwrap();
        let told = String::from_utf8(err).unwrap();
        assert!(done == 1 && told.starts_with(code), "{told}");
    }
}

#[tokio::test]
async fn a_method_is_found_by_its_short_name_and_fields_are_given_one_by_one() {
    let server = shop::server().await;
    for name in ["login", "Login", "AuthService/Login", "auth-service/login", "throughline.auth.v1.AuthService.Login"] {
        let done = call(server, &[name, "email=ada@example.org", &format!("password={}", shop::PASSWORD)]).await;
        assert_eq!((done.code, value(&done.out)["accessToken"].as_str()), (0, Some("the.right.token")), "{name}: {}", done.err);
    }
    let refused = call(server, &["login", "password=x", "--json"]).await;
    let error = &value(&refused.err)["error"];
    assert_eq!(
        (refused.code, &error["status"], &error["details"][0]["reason"]),
        (1, &json!("UNAUTHENTICATED"), &json!("WRONG_CREDENTIALS"))
    );
}

#[tokio::test]
async fn a_token_is_sent_along() {
    let server = shop::server().await;
    let right = [&["--as", "demo"][..], &["--token", "the.right.token"], &["-H", "authorization: Bearer the.right.token"]];
    for who in right {
        let done = call(server, &[&["get-session", "session_id=5"], who].concat()).await;
        assert_eq!((done.code, &value(&done.out)["session"]["sessionId"]), (0, &json!("5")), "{who:?}: {}", done.err);
    }
    let nobody = call(server, &["get-session", "--token", "another"]).await;
    assert!(nobody.code == 1 && nobody.err.starts_with("UNAUTHENTICATED (16): who are you?"), "{}", nobody.err);
    let forgetful = call(server, &["get-session", "--as", "admin"]).await;
    assert!(forgetful.code == 1 && forgetful.err.starts_with("UNAUTHENTICATED (16): --as admin: wrong"), "{}", forgetful.err);
    let both = call(server, &["get-session", "--token", "a", "-H", "Authorization: Bearer b"]).await;
    assert!(both.code == 2 && both.err.contains("exclude each other"), "{}", both.err);
    assert!(Line::try_parse_from(["call", "auth", "get-session", "--as", "demo", "--token", "a"]).is_err());

    let mut err = Vec::new();
    let unstarted = Surroundings { people: BTreeMap::new(), ..around(server) };
    let streams = Streams { input: Box::new(std::io::empty()), out: &mut Vec::new(), err: &mut err, is_interactive: false };
    assert_eq!(run_on(args(&["get-session", "--as", "demo"]), &unstarted, streams).await.unwrap(), 2);
    assert!(String::from_utf8(err).unwrap().contains("--as demo: this mesh was never started"));
}

#[tokio::test]
async fn the_server_is_told_of_the_deadline() {
    let server = shop::server().await;
    let told = async |more: &[&str]| {
        let done = call(server, &[&["get-session", "--token", "the.right.token", "--emit-defaults"], more].concat()).await;
        value(&done.out)["session"]["userId"].as_str().unwrap().to_owned()
    };
    assert_eq!(told(&[]).await, "");
    assert!(!told(&["--timeout", "5"]).await.is_empty());
    assert_eq!(told(&["--timeout", "5", "-H", "grpc-timeout: 3S"]).await, "3S");
    let late = call(server, &["logout", "--timeout", "0.1"]).await;
    assert!(late.code == 1 && late.err.starts_with("DEADLINE_EXCEEDED (4): "), "{}", late.err);
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
        (&["Health/Check"], &["Health", "grpc.health.v1.Health"]),
        (&[CHECK, "servcie=orders"], &["servcie", "service"]),
        (&[CHECK, "service=orders", "{}"], &["\"{}\" is not FIELD=VALUE"]),
        (&[CHECK, "orders"], &["not JSON, nor FIELD=VALUE"]),
        (&["list", "a", "b"], &["one service"]),
        (&["describe"], &["describe what?"]),
    ] {
        let done = call(server, line).await;
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{line:?}");
        assert!(words.iter().all(|word| done.err.contains(word)), "{line:?}: {}", done.err);
    }
    let shop = shop::server().await;
    for (line, words) in [
        (&["logn"][..], &["\"logn\"", "AuthService/Login", "SessionService/GetSession"][..]),
        (&["SessionService/Login"], &["SessionService/Login", "SessionService/DeleteSession"]),
        (&["UserService/Login"], &["UserService", "throughline.auth.v1.SessionService"]),
        (&["throughline.auth.v1.LoginRequest/login"], &["no service"]),
        (&["stream-events", "event_types.x=y", "kinds=a"], &["event_types", "kinds"]),
    ] {
        let done = call(shop, line).await;
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

    for (server, told) in [("nowhere", "\"nowhere\" is neither"), ("ftp://x", "ftp://x: is neither http://")] {
        let args = Line::parse_from(["call", server, "list"]).args;
        let mut err = Vec::new();
        let streams = Streams { input: Box::new(std::io::empty()), out: &mut Vec::new(), err: &mut err, is_interactive: false };
        assert_eq!(run_on(args, &Surroundings::default(), streams).await.unwrap(), 2);
        assert!(String::from_utf8(err).unwrap().contains(told));
    }
}
