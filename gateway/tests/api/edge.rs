//! What holds for every request: names, logs, routes that are none, and panics.

use std::time::Duration;

use actix_web::{HttpResponse, http::Method, web};
use chassis::Process;
use futures::future::join_all;
use gateway::{Config, routes};
use proto::orders::PlaceOrderResponse;
use reqwest::Client;
use tonic::Status;

use crate::{
    answer::Answer,
    orders::{ORDER, basket, order},
    world::{ANYWHERE, World, log_of, observe, send},
};

#[tokio::test]
async fn a_request_keeps_the_name_that_its_caller_gave() {
    let world = World::start().await;
    let longest = "r".repeat(128);
    for id in ["abc-1", "~!{}", longest.as_str()] {
        assert_eq!(send(world.request("GET", "/health").header("x-request-id", id)).await.header("x-request-id"), id);
        assert_eq!(send(world.request("GET", "/nowhere").header("x-request-id", id)).await.json["request_id"], id);
    }
    let too_long = "r".repeat(129);
    for id in ["", "two words", "caf\u{e9}", too_long.as_str()] {
        let answer = send(world.request("GET", "/health").header("x-request-id", id)).await;
        let made = answer.header("x-request-id");
        assert!(made.len() == 36 && made.as_bytes()[14] == b'7', "{id:?} became {made}");
    }
}

#[tokio::test]
async fn a_path_that_is_none_is_404() {
    let world = World::start().await;
    for path in
        ["/", "/api/v1", "/api/v1/", "/api/v1/orders/", "/api/v2/orders", "/favicon.ico", "/metrics", "/api/v1/orders/a/b", "/%ff%00"]
    {
        let answer = world.get(path).await;
        assert_eq!((answer.problem(), answer.json["instance"].as_str()), ((404, "not-found"), Some(path)));
    }
}

#[tokio::test]
async fn a_method_that_is_none_is_405_and_the_allowed_ones_are_named() {
    let world = World::start().await;
    for (method, path, allowed) in [
        ("GET", "/api/v1/auth/register", "POST"),
        ("PUT", "/api/v1/auth/login", "POST"),
        ("DELETE", "/api/v1/products", "GET, HEAD, POST"),
        ("POST", "/api/v1/products/x", "GET, HEAD, PUT, DELETE"),
        ("PATCH", "/api/v1/orders", "GET, HEAD, POST"),
        ("OPTIONS", "/api/v1/orders/x", "GET, HEAD, DELETE"),
        ("POST", "/health", "GET, HEAD"),
        ("BREW", "/api/v1/health", "GET, HEAD"),
    ] {
        let answer = send(world.request(method, path)).await;
        assert_eq!((answer.problem(), answer.header("allow")), ((405, "method-not-allowed"), allowed), "{method} {path}");
    }
}

#[tokio::test]
async fn one_line_is_logged_for_each_request() {
    let world = World::start().await;
    send(world.request("GET", &format!("/api/v1/orders/{ORDER}")).header("x-request-id", "log-1")).await;
    let lines = log_of("log-1");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let fields = &lines[0]["fields"];
    assert_eq!((&lines[0]["level"], &fields["message"]), (&"INFO".into(), &"request".into()));
    assert_eq!((&fields["method"], &fields["status"], &fields["client_address"]), (&"GET".into(), &401.into(), &"127.0.0.1".into()));
    assert_eq!(fields["route"], "/api/v1/orders/{order_id}");
    assert_eq!(fields["path"], format!("/api/v1/orders/{ORDER}"));
    assert!(fields["duration_ms"].as_f64().is_some_and(|duration| duration > 0.0), "{fields}");
}

#[tokio::test]
async fn the_cause_of_a_fault_is_logged_once_and_never_told() {
    let world = World::start().await;
    world.neighbours.list_products.fails(&Status::internal("relation \"products\" does not exist"));
    let answer = send(world.request("GET", "/api/v1/products").header("x-request-id", "log-2")).await;
    assert_eq!(answer.problem(), (500, "internal"));
    assert!(!answer.json.to_string().contains("relation"), "{}", answer.json);
    let faults: Vec<_> = log_of("log-2").into_iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let cause = faults[0]["fields"]["cause"].as_str().unwrap();
    assert!(cause.contains("catalog-cache") && cause.contains("relation \"products\""), "{cause}");
}

#[tokio::test]
async fn a_panic_is_500_for_its_own_request_only() {
    observe();
    let process = Process::default();
    let listener = chassis::listen("server.address", ANYWHERE).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = Config::default();
    let shared = routes::Shared::new(&config, &process);
    let app = move || routes::app(&config, &shared).service(routes::resource("/panic", vec![(Method::GET, web::to(panicking))]));
    let stop = process.shutdown.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(chassis::http::serve(listener, &process, app)).unwrap();
    });
    let client = Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str, number: usize| {
        let request = client.get(format!("{url}{path}")).header("x-request-id", format!("panic-{number}"));
        Answer::of(request.send().await.unwrap()).await
    };
    let answers = join_all((0..64).map(|number| get(if number % 2 == 0 { "/panic" } else { "/nowhere" }, number))).await;
    for (number, answer) in answers.iter().enumerate() {
        let expected = if number % 2 == 0 { (500, "internal") } else { (404, "not-found") };
        assert_eq!((answer.problem(), answer.header("x-request-id")), (expected, format!("panic-{number}").as_str()));
        assert!(!answer.json.to_string().contains("secret"), "{}", answer.json);
    }
    let faults: Vec<_> = log_of("panic-0").into_iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0]["fields"]["cause"], "panicked: the secret is 42");
    stop.cancel();
}

async fn panicking() -> HttpResponse {
    // elsewhere than at the first poll
    tokio::task::yield_now().await;
    panic!("the secret is {}", 42)
}

#[tokio::test]
async fn a_request_that_was_begun_is_finished_before_the_stop() {
    let world = World::start().await;
    world.neighbours.place_order.answers(|_| Ok(PlaceOrderResponse { order: Some(order()), replayed: false }));
    world.neighbours.place_order.takes(Duration::from_millis(600));
    let basket = basket();
    let (answer, ()) = tokio::join!(world.post("/api/v1/orders", &basket), async {
        while world.neighbours.place_order.messages().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.process.shutdown.cancel();
    });
    assert_eq!(answer.status.as_u16(), 201);
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while world.request("GET", "/health").send().await.is_ok() {
        assert!(std::time::Instant::now() < deadline, "still serving 5 s after the stop");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
