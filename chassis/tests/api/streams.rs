//! Streams that last have threads of their own, in a number of their own: however many are wanted, ordinary requests go on.

use std::time::Duration;

use chassis::{grpc::Channel, testing::eventually};
use futures::{FutureExt, StreamExt, future::join_all, stream};
use reqwest::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt;

use crate::{
    probe::{ASK, MODELS, Probe, Server, ask, of_threads, process, watch},
    public::{Site, client, text},
};

/// The first text of its streams is `first`, the only answer to others too; streams do not end.
fn endless() -> Probe {
    Probe::streaming(|_| stream::iter([Ok("first".to_owned())]).chain(stream::pending()).boxed())
}

fn server(threads: usize, max_streams: usize) -> Server {
    Server::start(of_threads(threads, max_streams), endless())
}

/// Opens a stream, on a connection of its own.
async fn open(server: &Server) -> Result<Streaming<String>, Status> {
    let mut answers = watch(server.channel(), "").await?;
    assert_eq!(answers.message().await?.as_deref(), Some("first"));
    Ok(answers)
}

async fn assert_answers(channel: Channel) {
    assert_eq!(ask(channel, ASK, Request::new(String::new())).await.unwrap().into_inner(), "first");
}

#[tokio::test]
async fn one_stream_too_many_is_told_so_and_calls_go_on() {
    let server = server(2, 3);
    let open_ones = join_all((0..3).map(|_| open(&server))).await;
    assert!(open_ones.iter().all(Result::is_ok), "{open_ones:?}");
    for _ in 0..3 {
        let refused = open(&server).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        let details = refused.get_error_details();
        assert_eq!(details.error_info().map(|info| info.reason.as_str()), Some("TOO_MANY_STREAMS"));
        assert_eq!(details.retry_info().and_then(|info| info.retry_delay), Some(Duration::from_secs(1)));
        assert_answers(server.channel()).await;
    }
    for mut answers in open_ones.into_iter().flatten() {
        assert!(answers.message().now_or_never().is_none(), "the others go on");
    }
}

#[tokio::test]
async fn a_hundred_who_want_streams_leave_the_calls_of_others_alone() {
    let server = server(4, 2);
    let wanted = join_all((0..100).map(|_| open(&server)));
    let calls = async {
        for _ in 0..20 {
            assert_answers(server.channel()).await;
        }
    };
    let (outcomes, ()) = tokio::join!(wanted, calls);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 2);
    assert_answers(server.channel()).await;
}

#[tokio::test]
async fn a_stream_that_has_ended_gives_its_place_back() {
    let server = server(1, 1);
    for _ in 0..5 {
        let mut answers = None;
        eventually("there is a place", async || {
            answers = open(&server).await.ok();
            answers.is_some()
        })
        .await;
        assert_eq!(open(&server).await.unwrap_err().code(), Code::ResourceExhausted);
        drop(answers);
    }
}

#[tokio::test]
async fn idle_connections_make_room_for_streams() {
    let server = server(2, 2);
    let idle = [server.channel(), server.channel()];
    for channel in &idle {
        assert_answers(channel.clone()).await;
    }
    let open_ones = [open(&server).await.unwrap(), open(&server).await.unwrap()];
    for channel in idle {
        assert_answers(channel).await;
    }
    drop(open_ones);
}

/// A connection carries one call at a time: a caller with one channel would wait for the end of its own stream.
#[tokio::test]
async fn a_channel_with_an_open_stream_makes_calls() {
    let server = server(2, 1);
    let channel = server.channel();
    let mut answers = watch(channel.clone(), "").await.unwrap();
    assert_eq!(answers.message().await.unwrap().as_deref(), Some("first"));
    let answered = async || {
        let call = ask(channel.clone(), ASK, Request::new(String::new()));
        matches!(tokio::time::timeout(Duration::from_secs(1), call).await, Ok(Ok(_)))
    };
    eventually("the channel has another connection", answered).await;
    assert!(answers.message().now_or_never().is_none(), "the stream goes on");
}

#[tokio::test]
async fn whoever_watches_health_takes_a_stream() {
    let server = server(1, 1);
    let request = HealthCheckRequest { service: String::new() };
    let mut news = HealthClient::new(server.channel()).watch(request.clone()).await.unwrap().into_inner();
    assert!(news.message().await.unwrap().is_some());
    let refused = HealthClient::new(server.channel()).watch(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_answers(server.channel()).await;
}

#[tokio::test]
async fn where_threads_are_shared_streams_have_no_bound() {
    let server = Server::start(process(MODELS[0]), endless());
    let open_ones = join_all((0..40).map(|_| open(&server))).await;
    assert!(open_ones.iter().all(Result::is_ok));
}

/// The first bytes of an endless answer.
async fn listen(site: &Site) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut text = String::new();
    while !text.contains("first") {
        let mut piece = [0; 1024];
        let length = stream.read(&mut piece).await.unwrap();
        text.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        if length == 0 || text.starts_with("HTTP/1.1 503") {
            return None;
        }
    }
    assert!(text.contains("connection: close\r\n"), "{text}");
    Some(stream)
}

#[tokio::test]
async fn over_http_one_stream_too_many_is_told_so_and_requests_go_on() {
    let site = Site::open(of_threads(2, 3));
    let open_ones = [listen(&site).await, listen(&site).await, listen(&site).await];
    assert!(open_ones.iter().all(Option::is_some));
    for _ in 0..3 {
        assert!(listen(&site).await.is_none());
        assert_eq!(text(&client(), &site.url()).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn over_http_a_stream_ends_when_its_reader_hangs_up() {
    let site = Site::open(of_threads(1, 1));
    let mut open = listen(&site).await;
    for _ in 0..5 {
        assert!(open.is_some() && listen(&site).await.is_none());
        // nothing is written any more that could fail
        drop(open.take());
        eventually("there is a place", async || {
            open = listen(&site).await;
            open.is_some()
        })
        .await;
    }
}

#[tokio::test]
async fn over_http_idle_connections_make_room_for_streams() {
    let site = Site::open(of_threads(2, 2));
    let idle = [client(), client()];
    for client in &idle {
        assert_eq!(text(client, &site.url()).await.0, StatusCode::OK);
    }
    let _open = [listen(&site).await.unwrap(), listen(&site).await.unwrap()];
    for client in &idle {
        assert_eq!(text(client, &site.url()).await.0, StatusCode::OK);
    }
}

/// What is new is idle as well, and who waits must not take its place before it could say anything.
#[tokio::test]
async fn a_connection_that_was_just_let_in_is_not_asked_to_leave() {
    let (server, site) = (server(1, 1), Site::open(of_threads(1, 1)));
    for _ in 0..5 {
        let calls = join_all((0..6).map(|_| assert_answers(server.channel())));
        let requests = join_all((0..6).map(async |_| text(&client(), &site.url()).await.0));
        let (_, statuses) = tokio::join!(calls, requests);
        assert_eq!(statuses, [StatusCode::OK; 6]);
    }
}

/// Who waits asks the connection that has been idle for longest; that one may have become busy meanwhile.
#[tokio::test]
async fn an_idle_connection_makes_room_also_where_a_busy_one_was_asked_before() {
    let site = Site::open(of_threads(2, 1));
    let [busy, idle] = [client(), client()];
    for client in [&busy, &idle] {
        assert_eq!(text(client, &site.url()).await.0, StatusCode::OK);
    }
    let url = format!("{}/held", site.url());
    let held = chassis::spawn(async move { text(&busy, &url).await.0 });
    eventually("it is busy", async || site.begun() == 1).await;
    assert_eq!(text(&client(), &site.url()).await.0, StatusCode::OK);
    site.release();
    assert_eq!(held.await.unwrap(), StatusCode::OK);
}
