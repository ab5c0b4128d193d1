//! Calls that may be made again are, and never so often that they do harm.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::probe::{ASK, MODELS, Probe, Server, ask, process};

const LIMIT: Duration = Duration::from_secs(20);

/// A server that fails with `status` the first `times`, and how often it was called.
fn failing(status: Status, times: usize) -> (Server, Arc<AtomicUsize>) {
    let attempts = Arc::new(AtomicUsize::new(0));
    let own = Arc::clone(&attempts);
    let probe = Probe::answering(move |text| {
        let answer = if own.fetch_add(1, Ordering::SeqCst) < times { Err(status.clone()) } else { Ok(text) };
        async move { answer }
    });
    (Server::start(process(MODELS[0]), probe), attempts)
}

#[tokio::test]
async fn a_call_that_fails_once_succeeds() {
    let (server, attempts) = failing(Status::unavailable("one moment"), 1);
    let channel = server.channel();
    let answer = channel.idempotent(LIMIT, "a".to_owned(), |request| ask(channel.clone(), ASK, request)).await;
    assert_eq!((answer.unwrap(), attempts.load(Ordering::SeqCst)), ("a".to_owned(), 2));
}

#[tokio::test]
async fn who_always_fails_is_not_hammered() {
    let (server, attempts) = failing(Status::unavailable("away"), usize::MAX);
    let channel = server.channel();
    let call = async || channel.idempotent(LIMIT, String::new(), |request| ask(channel.clone(), ASK, request)).await.unwrap_err();
    assert_eq!((call().await.code(), attempts.load(Ordering::SeqCst)), (Code::Unavailable, 3));
    for _ in 0..50 {
        assert_eq!(call().await.code(), Code::Unavailable);
    }
    let attempts = attempts.load(Ordering::SeqCst);
    assert!((51..=56).contains(&attempts), "{attempts} attempts of 51 calls");
}

#[tokio::test]
async fn what_another_attempt_would_not_change_is_not_repeated() {
    for code in [Code::InvalidArgument, Code::Internal, Code::DeadlineExceeded, Code::ResourceExhausted, Code::Aborted] {
        let (server, attempts) = failing(Status::new(code, "no"), usize::MAX);
        let channel = server.channel();
        let result = channel.idempotent(LIMIT, String::new(), |request| ask(channel.clone(), ASK, request)).await;
        assert_eq!((result.unwrap_err().code(), attempts.load(Ordering::SeqCst)), (code, 1));
    }
}

#[tokio::test]
async fn a_pause_for_which_there_is_no_time_is_not_made() {
    let later = ErrorDetails::with_retry_info(Some(Duration::from_secs(5)));
    let (server, attempts) = failing(Status::with_error_details(Code::Unavailable, "later", later), usize::MAX);
    let (channel, begun) = (server.channel(), Instant::now());
    let result = channel.idempotent(Duration::from_secs(4), String::new(), |request| ask(channel.clone(), ASK, request)).await;
    assert_eq!((result.unwrap_err().code(), attempts.load(Ordering::SeqCst)), (Code::Unavailable, 1));
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn all_attempts_share_the_limit() {
    let probe = Probe::answering(|_| async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        Err(Status::unavailable("away"))
    });
    let server = Server::start(process(MODELS[0]), probe);
    let (channel, begun) = (server.channel(), Instant::now());
    let limit = Duration::from_millis(200);
    let status = channel.idempotent(limit, String::new(), |request| ask(channel.clone(), ASK, request)).await.unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Unavailable), "{status:?}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
