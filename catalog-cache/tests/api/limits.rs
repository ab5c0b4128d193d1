//! `CheckRateLimit`

use chassis::{grpc::Channel, testing::eventually};
use futures::future::join_all;
use proto::catalog::{CheckRateLimitRequest, CheckRateLimitResponse, rate_limit_service_client::RateLimitServiceClient};
use tonic::Status;

use crate::world::{World, channel, wrong_fields};

type Client = RateLimitServiceClient<Channel>;

async fn check(client: &mut Client, key: &str, limit: u32, window_seconds: u32) -> Result<CheckRateLimitResponse, Status> {
    Ok(client.check_rate_limit(CheckRateLimitRequest { key: key.into(), limit, window_seconds }).await?.into_inner())
}

impl World {
    fn window(&self, key: &str, window_seconds: u32) -> String {
        format!("{}limit:{window_seconds}:{key}", self.prefix)
    }

    /// Redis' clock, in microseconds.
    async fn moment(&self) -> u64 {
        let (seconds, micros): (u64, u64) = self.redis("TIME", &[]).await;
        seconds * 1_000_000 + micros
    }

    /// When the places of a window were taken.
    async fn taken(&self, key: &str, window_seconds: u32) -> Vec<u64> {
        self.redis("ZRANGE", &[&self.window(key, window_seconds), "0", "-1"]).await
    }

    /// Takes a place at another moment than now.
    async fn take_at(&self, key: &str, window_seconds: u32, moment: u64) {
        let moment = moment.to_string();
        let () = self.redis("ZADD", &[&self.window(key, window_seconds), &moment, &moment]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_50_calls_at_once_exactly_as_many_pass_as_there_are_places() {
    let world = World::start().await;
    let replica = world.replica().await;
    for limit in [1, 7, 49, 50] {
        let key = format!("user:{limit}");
        let answers = join_all((0..50).map(|number| {
            let (mut client, key) = (if number % 2 == 0 { world.limits() } else { Client::new(channel(replica.address)) }, &key);
            async move { check(&mut client, key, limit, 3_600).await.unwrap() }
        }))
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.allowed).count(), limit as usize);
        let mut left: Vec<_> = answers.iter().filter(|answer| answer.allowed).map(|answer| answer.remaining).collect();
        left.sort_unstable();
        assert_eq!(left, (0..limit).collect::<Vec<_>>());
        // no more is kept than there are places, and not for ever
        assert_eq!(world.taken(&key, 3_600).await.len(), limit as usize);
        let ttl: i64 = world.redis("PTTL", &[&world.window(&key, 3_600)]).await;
        assert!((1..=3_600_001).contains(&ttl), "{ttl}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_what_is_left_and_when_there_is_more() {
    let world = World::start().await;
    let mut client = world.limits();
    for remaining in [2, 1, 0] {
        let answer = check(&mut client, "k", 3, 600).await.unwrap();
        assert_eq!((answer.allowed, answer.limit, answer.remaining), (true, 3, remaining));
        assert_eq!(answer.retry_after_ms == 0, remaining > 0, "{answer:?}");
        assert_eq!(answer.reset_after_ms, 600_000);
    }
    for _ in 0..3 {
        let answer = check(&mut client, "k", 3, 600).await.unwrap();
        assert_eq!((answer.allowed, answer.limit, answer.remaining), (false, 3, 0));
        assert!(0 < answer.retry_after_ms && answer.retry_after_ms <= answer.reset_after_ms && answer.reset_after_ms <= 600_000);
    }
    // with fewer places than are taken, all but one of the surplus have to become free, and with more there is one
    let fewer = check(&mut client, "k", 1, 600).await.unwrap();
    assert_eq!((fewer.allowed, fewer.remaining, fewer.retry_after_ms), (false, 0, fewer.reset_after_ms));
    assert!(check(&mut client, "k", 4, 600).await.unwrap().allowed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_free_again_exactly_one_window_later() {
    let world = World::start().await;
    let mut client = world.limits();
    // on one side of the boundary
    let now = world.moment().await;
    world.take_at("old", 60, now - 60_000_000).await;
    assert!(check(&mut client, "old", 1, 60).await.unwrap().allowed);
    assert_eq!(world.taken("old", 60).await.len(), 1);
    // and on the other
    world.take_at("young", 3_600, now - 3_000_000_000).await;
    let answer = check(&mut client, "young", 1, 3_600).await.unwrap();
    let passed = (world.moment().await - now) / 1_000;
    assert!(!answer.allowed && answer.retry_after_ms <= 600_000 && answer.retry_after_ms + passed >= 600_000, "{answer:?} {passed}");
    assert_eq!(answer.reset_after_ms, answer.retry_after_ms);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_window_however_it_slides_holds_more_than_the_limit() {
    let world = World::start().await;
    let mut client = world.limits();
    let mut moments: Vec<u64> = Vec::new();
    eventually("nine calls have passed", async || {
        if check(&mut client, "k", 3, 1).await.unwrap().allowed {
            moments.extend(world.taken("k", 1).await.last());
        }
        moments.len() == 9
    })
    .await;
    assert!(moments.windows(4).all(|four| four[3] - four[0] >= 1_000_000), "{moments:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_windows_do_not_touch_each_other() {
    let world = World::start().await;
    let mut client = world.limits();
    for (key, window) in [("a", 10), ("b", 10), ("a", 20), ("10:a", 10)] {
        assert!(check(&mut client, key, 1, window).await.unwrap().allowed, "{key} {window}");
        assert!(!check(&mut client, key, 1, window).await.unwrap().allowed, "{key} {window}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_redis_has_forgotten_is_no_failure() {
    let world = World::start().await;
    assert!(check(&mut world.limits(), "k", 2, 10).await.unwrap().allowed);
    let () = world.redis("SCRIPT", &["FLUSH"]).await;
    assert!(check(&mut world.limits(), "k", 2, 10).await.unwrap().allowed);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_fields_are_named() {
    let world = World::start().await;
    let mut client = world.limits();
    let all = ["key", "limit", "window_seconds"];
    assert_eq!(wrong_fields(&check(&mut client, "", 0, 0).await.unwrap_err()), all);
    assert_eq!(wrong_fields(&check(&mut client, &"k".repeat(129), 10_001, 3_601).await.unwrap_err()), all);
    assert_eq!(wrong_fields(&check(&mut client, "k", u32::MAX, u32::MAX).await.unwrap_err()), all[1..]);
    for key in ["a b", "a\0b", "ä", "a\n", "\u{7f}"] {
        assert_eq!(wrong_fields(&check(&mut client, key, 1, 1).await.unwrap_err()), ["key"], "{key:?}");
    }
    assert!(check(&mut client, &"~".repeat(128), 10_000, 3_600).await.unwrap().allowed);
}
