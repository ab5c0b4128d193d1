//! A server that is told to stop finishes what it has begun, and nobody loses a request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chassis::{runtime::Model, testing::eventually};
use futures::{StreamExt, future::join_all, stream};
use reqwest::{Client, StatusCode};
use tokio::net::TcpStream;
use tonic::{Code, Request};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    probe::{ASK, MODELS, Probe, Server, Work, ask, process, watch},
    public::{Site, client, client_of_http2},
};

fn slow(work: &Work) -> Probe {
    let work = work.clone();
    Probe::answering(move |text| {
        let piece = work.begin();
        async move {
            let _piece = piece;
            tokio::time::sleep(Duration::from_millis(400)).await;
            Ok(text)
        }
    })
}

#[tokio::test]
async fn a_call_that_was_begun_is_finished_and_no_connection_is_taken_any_more() {
    for model in MODELS {
        let work = Work::default();
        let server = Server::start(process(model), slow(&work));
        let call = chassis::spawn(ask(server.channel(), ASK, Request::new("a".into())));
        eventually("it works", async || work.running() == 1).await;
        server.process.shutdown.cancel();
        eventually("nobody listens", async || TcpStream::connect(server.address).await.is_err()).await;
        assert_eq!(work.running(), 1, "while the call goes on");
        assert_eq!(call.await.unwrap().unwrap().into_inner(), "a");
        server.serving.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn whoever_watches_its_health_hears_of_the_stop_first() {
    for model in MODELS {
        let server = Server::start(process(model), Work::default().endless());
        let mut health = HealthClient::new(server.channel());
        let request = HealthCheckRequest { service: "test.Probe".into() };
        let serving =
            async || health.clone().check(request.clone()).await.is_ok_and(|it| it.into_inner().status() == ServingStatus::Serving);
        eventually("it serves", serving).await;
        let mut news = health.watch(request.clone()).await.unwrap().into_inner();
        assert_eq!(news.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        server.process.shutdown.cancel();
        assert_eq!(news.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        assert_eq!(news.message().await.unwrap_err().code(), Code::Unavailable, "then the stream ends");
        server.serving.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_endless_stream_is_told_that_the_server_stops() {
    for model in MODELS {
        let endless = |_| stream::iter([Ok("first".to_owned())]).chain(stream::pending()).boxed();
        let server = Server::start(process(model), Probe::streaming(endless));
        let mut answers = watch(server.channel(), "").await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap(), "first");
        let begun = Instant::now();
        server.process.shutdown.cancel();
        let status = answers.message().await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "the server is stopping"));
        server.serving.await.unwrap().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    }
}

/// Callers at work until they are told to stop; how many requests of each have succeeded.
async fn steadily<T>(callers: usize, call: impl AsyncFn(), meanwhile: impl Future<Output = T>) -> usize {
    let enough = AtomicBool::new(false);
    let one = async || {
        let mut count = 0;
        while !enough.load(Ordering::Relaxed) {
            call().await;
            count += 1;
        }
        count
    };
    let all = join_all((0..callers).map(|_| one()));
    let done = async {
        let last = meanwhile.await;
        enough.store(true, Ordering::Relaxed);
        last
    };
    let (counts, _last) = tokio::join!(all, done);
    counts.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_survive_a_rolling_stop() {
    for model in MODELS {
        // the socket outlives the servers, as an address of many servers does
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let start = || {
            let probe = Probe::answering(|text| async move {
                tokio::time::sleep(Duration::from_millis(2)).await;
                Ok(text)
            });
            Server::start_on(socket.try_clone().unwrap(), process(model), probe)
        };
        let first = start();
        let channels: Arc<Vec<_>> = Arc::new((0..4).map(|_| first.channel()).collect());
        let next = std::sync::atomic::AtomicUsize::new(0);
        let call = async || {
            let channel = channels[next.fetch_add(1, Ordering::Relaxed) % channels.len()].clone();
            let own = channel.clone();
            let answer = channel.idempotent(Duration::from_secs(20), "a".to_owned(), |request| ask(own.clone(), ASK, request)).await;
            assert_eq!(answer.unwrap(), "a");
        };
        let rolling = async {
            let mut running = first;
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(150)).await;
                let replacement = start();
                running.process.shutdown.cancel();
                running.serving.await.unwrap().unwrap();
                running = replacement;
            }
            running
        };
        let calls = steadily(8, call, rolling).await;
        assert!(calls > 100, "{calls} calls");
    }
}

/// A client that does what clients do: asks again after a while, on a new connection, where one ended under it.
async fn get(client: &Client, new: impl Fn() -> Client, url: &str) -> StatusCode {
    if let Ok(response) = client.get(url).send().await {
        return response.status();
    }
    for pause in [0, 50, 200] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if let Ok(response) = new().get(url).send().await {
            return response.status();
        }
    }
    new().get(url).send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_survive_a_rolling_stop_of_the_public_port() {
    let kinds: [(Model, fn() -> Client); 3] = [(MODELS[0], client), (MODELS[0], client_of_http2), (MODELS[1], client)];
    for (model, new) in kinds {
        let (client, socket) = (new(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        socket.set_nonblocking(true).unwrap();
        let open = || Site::open_on(socket.try_clone().unwrap(), process(model));
        let first = open();
        let url = first.url();
        let rolling = async {
            let mut running = first;
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(150)).await;
                let replacement = open();
                let taken = running.stopped().await;
                assert!(taken < Duration::from_secs(8), "{model:?}: {taken:?}");
                running = replacement;
            }
            running
        };
        let count = steadily(6, async || assert_eq!(get(&client, new, &url).await, StatusCode::OK), rolling).await;
        assert!(count > 100, "{count} requests");
    }
}

#[tokio::test]
async fn a_request_that_was_begun_is_finished_before_the_public_port_closes() {
    for (model, client) in [(MODELS[0], client()), (MODELS[0], client_of_http2()), (MODELS[1], client())] {
        let site = Site::open(process(model));
        let url = format!("{}/slow", site.url());
        // the connection is there
        assert_eq!(client.get(site.url()).send().await.unwrap().status(), StatusCode::OK);
        let asked = chassis::spawn(client.get(url).send());
        eventually("the request has begun", async || site.begun() == 1).await;
        let taken = site.stopped().await;
        assert_eq!(asked.await.unwrap().unwrap().status(), StatusCode::OK);
        assert!(taken < Duration::from_secs(5), "{taken:?}");
    }
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_stop() {
    for (model, client) in [(MODELS[0], client()), (MODELS[0], client_of_http2()), (MODELS[1], client())] {
        let site = Site::open(process(model));
        assert_eq!(client.get(site.url()).send().await.unwrap().status(), StatusCode::OK);
        let silent = TcpStream::connect(site.address).await.unwrap();
        let taken = site.stopped().await;
        assert!(taken < Duration::from_secs(4), "{model:?}: {taken:?}");
        drop((silent, client));
    }
}
