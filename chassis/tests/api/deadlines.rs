//! A request has so much time, over all hops.

use std::time::{Duration, Instant};

use chassis::{
    grpc::{deadline, within},
    testing::eventually,
};
use futures::{StreamExt, stream};
use tonic::{Code, Status};

use crate::{
    probe::{ASK, MODELS, Probe, Server, Work, ask, process},
    raw,
};

const DEADLINE_EXCEEDED: &str = "4";

fn millis_left() -> String {
    deadline::left().map_or_else(|| "none".into(), |left| left.as_millis().to_string())
}

#[tokio::test]
async fn each_hop_is_told_what_is_left_and_none_has_more_than_the_one_before() {
    for model in MODELS {
        let back = Server::start(process(model), Probe::answering(|_| async { Ok(millis_left()) }));
        let to_back = back.url();
        let front = Server::start(
            process(model),
            Probe::answering(move |_| {
                let to_back = to_back.clone();
                async move {
                    let channel = chassis::grpc::channel(&to_back).unwrap();
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    within(Duration::from_mins(1), String::new(), |request| ask(channel, ASK, request)).await
                }
            }),
        );
        let (limit, channel) = (Duration::from_secs(20), front.channel());
        let left = within(limit, String::new(), |request| ask(channel, ASK, request)).await.unwrap();
        let left: u64 = left.parse().unwrap();
        assert!((1..=19_950).contains(&left), "{left} ms");
        let channel = back.channel();
        assert_eq!(ask(channel, ASK, tonic::Request::new(String::new())).await.unwrap().into_inner(), "none");
    }
}

#[tokio::test]
async fn a_call_that_is_late_is_deadline_exceeded_and_its_work_ends() {
    for model in MODELS {
        let work = Work::default();
        let server = Server::start(process(model), work.endless());
        let begun = Instant::now();
        let said = raw::call(server.address, ASK, ("grpc-timeout", "150m")).await;
        assert_eq!(said.status(), DEADLINE_EXCEEDED);
        assert!(begun.elapsed() >= Duration::from_millis(150));
        assert_eq!((work.begun(), work.running()), (1, 0));
    }
}

#[tokio::test]
async fn a_stream_that_is_late_ends_after_what_it_has_sent() {
    for model in MODELS {
        let work = Work::default();
        let own = work.clone();
        let server = Server::start(
            process(model),
            Probe::streaming(move |_| {
                let piece = own.begin();
                let endless = stream::pending().inspect(move |_| _ = &piece);
                stream::iter([Ok("a".to_owned()), Ok("b".to_owned())]).chain(endless).boxed()
            }),
        );
        let said = raw::call(server.address, "/test.Probe/Watch", ("grpc-timeout", "150m")).await;
        assert_eq!((said.status(), said.messages), (DEADLINE_EXCEEDED, 2));
        eventually("the stream is dropped", async || work.running() == 0).await;
        assert_eq!(work.begun(), 1);
    }
}

#[tokio::test]
async fn a_timeout_that_cannot_be_read_is_none() {
    let server = Server::start(process(MODELS[0]), Probe::answering(|_| async { Ok(millis_left()) }));
    for text in ["", "soon", "5x", "123456789m"] {
        let said = raw::call(server.address, ASK, ("grpc-timeout", text)).await;
        assert_eq!(said.status(), "0", "{text:?}");
    }
}

#[tokio::test]
async fn no_call_is_made_when_no_time_is_left() {
    let work = Work::default();
    let server = Server::start(process(MODELS[0]), work.endless());
    let channel = server.channel();
    let call = async || {
        let channel = channel.clone();
        within(Duration::from_mins(1), String::new(), |request| ask(channel, ASK, request)).await.unwrap_err()
    };
    let status = deadline::until(tokio::time::Instant::now(), call()).await;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(work.begun(), 0);
}

#[tokio::test]
async fn the_requests_time_and_the_calls_own_limit_can_be_told_apart() {
    let work = Work::default();
    let server = Server::start(process(MODELS[0]), work.endless());
    let channel = server.channel();
    let call = async |limit| {
        let channel = channel.clone();
        let status = within(limit, String::new(), |request| ask(channel, ASK, request)).await.unwrap_err();
        (status.code(), deadline::is_over())
    };
    let soon = || tokio::time::Instant::now() + Duration::from_millis(100);
    let (short, long) = (Duration::from_millis(50), Duration::from_mins(1));
    assert_eq!(deadline::until(soon(), call(long)).await, (Code::DeadlineExceeded, true));
    assert_eq!(deadline::until(soon() + long, call(short)).await, (Code::DeadlineExceeded, false));
    eventually("the work of both ends", async || work.running() == 0).await;
}

#[tokio::test]
async fn who_cannot_be_reached_is_unavailable() {
    let nobody = chassis::grpc::channel("http://127.0.0.1:1").unwrap();
    let status: Status = within(Duration::from_secs(5), String::new(), |request| ask(nobody, ASK, request)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
}

/// A server may say CANCELLED of a call that it has ended because the time was up that it was told.
#[tokio::test]
async fn cancelled_by_the_server_when_time_is_up_is_deadline_exceeded() {
    let cancelled = async |limit: Duration, later: Duration| {
        let answer = within(limit, (), async |_| {
            // nothing else gets its turn before the answer is there
            std::thread::sleep(later);
            Err::<tonic::Response<()>, _>(Status::cancelled("Timeout expired"))
        });
        answer.await.unwrap_err().code()
    };
    assert_eq!(cancelled(Duration::from_millis(5), Duration::from_millis(5)).await, Code::DeadlineExceeded);
    assert_eq!(cancelled(Duration::from_mins(1), Duration::ZERO).await, Code::Cancelled);
}
