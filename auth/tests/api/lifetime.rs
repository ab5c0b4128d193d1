//! How long sessions live.

use std::time::{Duration, Instant};

use chassis::{spawn, testing::eventually};
use proto::auth::ValidateTokenRequest;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::world::{self, Person, World};

fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    world::reason(answer, Code::Unauthenticated)
}

/// Names of a session's keys: what it is, its refresh token, and its user's list.
fn names(person: &Person) -> [String; 3] {
    let id = &person.session_id;
    [format!("session:{id}"), format!("refresh:{id}"), format!("user-sessions:{}", person.id())]
}

/// Seconds that the keys have left, and the seconds until the end that the list knows.
async fn left(world: &World, person: &Person) -> [i64; 4] {
    let [session, refresh, index] = names(person).map(|name| world.key(&name));
    let mut left = [0; 4];
    for (key, left) in [&session, &refresh, &index].into_iter().zip(&mut left) {
        *left = world.redis("TTL", &[key]).await;
    }
    let end: i64 = world.redis("ZSCORE", &[&index, &person.session_id]).await;
    left[3] = end - chrono::Utc::now().timestamp();
    left
}

/// As if the session had been opened and last prolonged so many seconds ago, with a lifetime of `ttl` seconds.
async fn age(world: &World, person: &Person, opened: i64, prolonged: i64, ttl: i64) {
    let [session, refresh, index] = names(person).map(|name| world.key(&name));
    let now = chrono::Utc::now();
    let ago = |seconds| now - chrono::TimeDelta::seconds(seconds);
    let value = json!({"user_id": person.id(), "created_at": ago(opened), "prolonged_at": ago(prolonged).timestamp_millis()});
    let seconds = (ttl - prolonged).to_string();
    let () = world.redis("SET", &[&session, &value.to_string(), "EX", &seconds]).await;
    for key in [&refresh, &index] {
        let _: i64 = world.redis("EXPIRE", &[key, &seconds]).await;
    }
    let _: i64 = world.redis("ZADD", &[&index, &(now.timestamp() + ttl - prolonged).to_string(), &person.session_id]).await;
}

fn are_all(left: [i64; 4], seconds: std::ops::RangeInclusive<i64>) {
    assert!(left.iter().all(|left| seconds.contains(left)), "{left:?} are not all {seconds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_lets_a_session_and_all_that_belongs_to_it_live_on() {
    let world = World::start_with(|config| config.session.ttl_seconds = 1_000).await;
    let ada = world.person("ada").await;
    are_all(left(&world, &ada).await, 980..=1_001);
    age(&world, &ada, 500, 110, 1_000).await;
    world.validate(&ada.token).await.unwrap();
    are_all(left(&world, &ada).await, 980..=1_001);
    // a call of somebody with this token is a use, too
    age(&world, &ada, 500, 400, 1_000).await;
    let request = proto::auth::GetSessionRequest { session_id: ada.session_id.clone() };
    let session = world.session_service().get_session(ada.says(request)).await.unwrap().into_inner().session.unwrap();
    are_all(left(&world, &ada).await, 980..=1_001);
    assert!((980..=1_001).contains(&(session.expires_at.unwrap().seconds - chrono::Utc::now().timestamp())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_soon_after_another_writes_nothing() {
    let world = World::start_with(|config| config.session.ttl_seconds = 1_000).await;
    let ada = world.person("ada").await;
    age(&world, &ada, 50, 50, 1_000).await;
    world.validate(&ada.token).await.unwrap();
    are_all(left(&world, &ada).await, 930..=951);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_by_somebody_else_is_no_use() {
    let world = World::start_with(|config| config.session.ttl_seconds = 1_000).await;
    let (ada, admin) = (world.person("ada").await, world.admin("root").await);
    age(&world, &ada, 500, 500, 1_000).await;
    let request = proto::auth::GetSessionRequest { session_id: ada.session_id.clone() };
    world.session_service().get_session(admin.says(request)).await.unwrap();
    are_all(left(&world, &ada).await, 480..=501);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_sessions_do_not_slide_a_refresh_alone_lets_them_live_on() {
    let world = World::start_with(|config| (config.session.ttl_seconds, config.session.sliding) = (1_000, false)).await;
    let ada = world.person("ada").await;
    age(&world, &ada, 500, 500, 1_000).await;
    world.validate(&ada.token).await.unwrap();
    are_all(left(&world, &ada).await, 480..=501);
    world.refresh(&ada.refresh_token).await.unwrap();
    are_all(left(&world, &ada).await, 980..=1_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_used_outlives_one_that_is_not() {
    let world = World::start_with(|config| config.session.ttl_seconds = 5).await;
    let (used, idle) = (world.person("ada").await, world.again("ada").await);
    let begun = Instant::now();
    let idle_key = world.key(&format!("session:{}", idle.session_id));
    eventually("the idle one has ended, and the other one goes on", async || {
        world.validate(&used.token).await.unwrap();
        // past the service: a look would be a use
        let is_there: bool = world.redis("EXISTS", &[&idle_key]).await;
        !is_there && begun.elapsed() > Duration::from_secs(8)
    })
    .await;
    assert_eq!(reason(world.validate(&idle.token).await), "SESSION_ENDED");
    assert_eq!(reason(world.refresh(&idle.refresh_token).await), "SESSION_ENDED");
    world.refresh(&used.refresh_token).await.unwrap();
    // the list of the user's sessions has not forgotten it
    let change = proto::auth::UpdateUserRequest {
        user_id: used.id(),
        password: Some("another long password".into()),
        ..proto::auth::UpdateUserRequest::default()
    };
    world.users().update_user(used.says(change)).await.unwrap();
    assert_eq!(reason(world.validate(&used.token).await), "SESSION_ENDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_after_its_longest_life_whatever_is_done() {
    let world = World::start_with(|config| config.session.max_lifetime_seconds = 3).await;
    let ada = world.person("ada").await;
    let mut refresh_token = ada.refresh_token.clone();
    let begun = Instant::now();
    eventually("the session has ended", async || match world.refresh(&refresh_token).await {
        Ok(renewed) => {
            refresh_token = renewed.refresh_token;
            world.validate(&renewed.access_token).await.is_err()
        }
        Err(status) => reason::<()>(Err(status)) == "SESSION_ENDED",
    })
    .await;
    assert!(begun.elapsed() > Duration::from_millis(2_500), "{:?}", begun.elapsed());
    assert_eq!(reason(world.validate(&ada.token).await), "SESSION_ENDED");
    let [session, refresh, _] = names(&ada);
    eventually("its keys are gone", async || world.keys().await.iter().all(|key| ![&session, &refresh].contains(&key))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn towards_the_end_of_its_life_a_session_lives_on_no_longer_than_that() {
    let world = World::start_with(|config| (config.session.ttl_seconds, config.session.max_lifetime_seconds) = (1_000, 2_000)).await;
    let ada = world.person("ada").await;
    let of_session = |left: [i64; 4]| [left[0], left[1], left[3], left[0]];
    age(&world, &ada, 1_400, 900, 1_000).await;
    world.validate(&ada.token).await.unwrap();
    are_all(of_session(left(&world, &ada).await), 580..=601);
    age(&world, &ada, 1_700, 800, 1_000).await;
    world.refresh(&ada.refresh_token).await.unwrap();
    are_all(of_session(left(&world, &ada).await), 280..=301);
    // another session of the user is not forgotten with it
    assert!(left(&world, &ada).await[2] > 900);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_were_made_shorter_hold_for_sessions_that_were_opened_before() {
    let world = World::start_with(|config| (config.session.ttl_seconds, config.session.max_lifetime_seconds) = (1_000, 2_000)).await;
    let ada = world.person("ada").await;
    for (opened, prolonged, is_over) in [(1_900, 900, false), (1_900, 1_001, true), (1_900, 100, false), (2_001, 100, true)] {
        age(&world, &ada, opened, prolonged, 9_000).await;
        let answer = world.validate(&ada.token).await;
        assert_eq!(answer.is_err(), is_over, "{opened} {prolonged}");
        assert!(!is_over || reason(answer) == "SESSION_ENDED");
        assert!(!is_over || reason(world.refresh(&ada.refresh_token).await) == "SESSION_ENDED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_an_older_version_is_one_and_lives_on_with_a_refresh() {
    let world = World::start_with(|config| config.session.ttl_seconds = 1_000).await;
    let ada = world.person("ada").await;
    let key = world.key(&names(&ada)[0]);
    let value = json!({"user_id": ada.id(), "created_at": chrono::Utc::now()}).to_string();
    let () = world.redis("SET", &[&key, &value, "EX", "500"]).await;
    world.validate(&ada.token).await.unwrap();
    world.refresh(&ada.refresh_token).await.unwrap();
    are_all(left(&world, &ada).await, 980..=1_001);
    let now: Value = serde_json::from_str(&world.redis::<String>("GET", &[&key]).await).unwrap();
    assert!(now["prolonged_at"].is_i64(), "{now}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_does_not_bring_back_what_ends_at_the_same_time() {
    let world = World::start_with(|config| config.session.ttl_seconds = 1_000).await;
    world.person("ada").await;
    for _ in 0..20 {
        let ada = world.again("ada").await;
        age(&world, &ada, 500, 500, 1_000).await;
        let uses: Vec<_> = (0..8)
            .map(|_| {
                let (mut client, access_token) = (world.client(), ada.token.clone());
                spawn(async move { client.validate_token(ValidateTokenRequest { access_token }).await.map(drop) })
            })
            .collect();
        world.logout(&ada.token).await.unwrap();
        for used in uses {
            // good or ended: whoever was first
            let _ = used.await.unwrap();
        }
        assert_eq!(reason(world.validate(&ada.token).await), "SESSION_ENDED");
        assert_eq!(reason(world.refresh(&ada.refresh_token).await), "SESSION_ENDED");
    }
    assert_eq!(world.keys().await.len(), 3, "what is left is the first one's");
}
