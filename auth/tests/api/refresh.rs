//! `RefreshToken`

use chassis::spawn;
use proto::auth::{RefreshTokenRequest, UpdateUserRequest};
use tonic::{Code, Status};

use crate::world::{self, World, assert_unavailable, hurried};

fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    world::reason(answer, Code::Unauthenticated)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_gives_new_tokens_of_the_same_session() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let renewed = world.refresh(&ada.refresh_token).await.unwrap();
    assert_eq!((renewed.user.as_ref(), &renewed.session_id, renewed.expires_in), (Some(&ada.user), &ada.session_id, 900));
    assert_ne!(renewed.access_token, ada.token);
    assert_ne!(renewed.refresh_token, ada.refresh_token);
    for token in [&ada.token, &renewed.access_token] {
        assert_eq!(world.validate(token).await.unwrap().session_id, ada.session_id);
    }
    let again = world.refresh(&renewed.refresh_token).await.unwrap();
    assert_eq!(again.session_id, ada.session_id);
    assert_eq!((world.keys().await.len(), world.told().await), (3, ["UserCreated", "UserLoggedIn"].map(str::to_owned).to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_lets_the_session_live_on() {
    let world = World::start_with(|config| config.session.ttl_seconds = 1_000).await;
    let ada = world.person("ada").await;
    for name in world.keys().await {
        let _: i64 = world.redis("EXPIRE", &[&world.key(&name), "500"]).await;
    }
    let index = world.key(&format!("user-sessions:{}", ada.id()));
    let score: f64 = world.redis("ZSCORE", &[&index, &ada.session_id]).await;
    let _: i64 = world.redis("ZADD", &[&index, &(score - 500.0).to_string(), &ada.session_id]).await;
    world.refresh(&ada.refresh_token).await.unwrap();
    for name in world.keys().await {
        let ttl: i64 = world.redis("TTL", &[&world.key(&name)]).await;
        assert!((980..=1_000).contains(&ttl), "{name}: {ttl}");
    }
    assert!(world.redis::<f64>("ZSCORE", &[&index, &ada.session_id]).await >= score);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_comes_back_ends_its_session_and_no_other() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let other = world.again("ada").await;
    let renewed = world.refresh(&ada.refresh_token).await.unwrap();
    assert_eq!(reason(world.refresh(&ada.refresh_token).await), "TOKEN_REUSED");
    assert_eq!(reason(world.validate(&renewed.access_token).await), "SESSION_ENDED");
    for token in [&renewed.refresh_token, &ada.refresh_token] {
        assert_eq!(reason(world.refresh(token).await), "SESSION_ENDED");
    }
    world.refresh(&other.refresh_token).await.unwrap();
    let outbox = world.outbox().await;
    let event = outbox.last().unwrap().envelope();
    assert_eq!((event.event_type.as_str(), event.data["session_id"].as_str()), ("UserLoggedOut", Some(ada.session_id.as_str())));
    assert_eq!(world.keys().await.len(), 3, "what is left is the other session's");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_refresh_with_one_token_at_once_one_at_most_gets_the_next() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let rivals: Vec<_> = (0..12)
        .map(|_| {
            let (mut client, refresh_token) = (world.client(), ada.refresh_token.clone());
            spawn(async move { client.refresh_token(RefreshTokenRequest { refresh_token }).await })
        })
        .collect();
    let mut winners = 0;
    for rival in rivals {
        match rival.await.unwrap() {
            Ok(_) => winners += 1,
            Err(status) => assert!(["TOKEN_REUSED", "SESSION_ENDED"].contains(&reason::<()>(Err(status)).as_str())),
        }
    }
    assert!(winners <= 1, "{winners} have got one");
    assert_eq!(reason(world.validate(&ada.token).await), "SESSION_ENDED");
    assert_eq!(world.keys().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_token_serves_for_the_other() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    assert_eq!(reason(world.validate(&ada.refresh_token).await), "TOKEN_INVALID");
    assert_eq!(reason(world.logout(&ada.refresh_token).await), "TOKEN_INVALID");
    assert_eq!(reason(world.refresh(&ada.token).await), "TOKEN_INVALID");
    world.validate(&ada.token).await.unwrap();
    world.refresh(&ada.refresh_token).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_we_did_not_make_ends_nothing() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let mut bytes = ada.refresh_token.clone().into_bytes();
    for index in [0, 21, 22, 63, 64, 105] {
        let right = std::mem::replace(&mut bytes[index], b'_');
        bytes[index] = if right == b'_' { b'-' } else { b'_' };
        assert_eq!(reason(world.refresh(std::str::from_utf8(&bytes).unwrap()).await), "TOKEN_INVALID");
        bytes[index] = right;
    }
    for text in ["", "x", "\0", &"A".repeat(107), &"A".repeat(1 << 20)] {
        assert_eq!(reason(world.refresh(text).await), "TOKEN_INVALID");
    }
    world.refresh(&ada.refresh_token).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn new_tokens_say_what_the_account_is_now_and_a_deleted_account_gets_none() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let change = UpdateUserRequest { user_id: ada.id(), username: Some("ada.l".into()), ..UpdateUserRequest::default() };
    world.users().update_user(ada.says(change)).await.unwrap();
    assert_eq!(world.validate(&ada.token).await.unwrap().username, "ada");
    let renewed = world.refresh(&ada.refresh_token).await.unwrap();
    assert_eq!(world.validate(&renewed.access_token).await.unwrap().username, "ada.l");
    // past the service, which would have ended the session
    world.execute(&format!("DELETE FROM auth.users WHERE user_id = '{}'", ada.id())).await;
    assert_eq!(reason(world.refresh(&renewed.refresh_token).await), "SESSION_ENDED");
    assert_eq!(world.keys().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_something_is_away_no_token_is_spent() {
    let world = World::start_with(hurried).await;
    let ada = world.person("ada").await;
    world.postgres.cut();
    assert_unavailable(world.refresh(&ada.refresh_token)).await;
    world.redis.cut();
    assert_unavailable(world.refresh(&ada.refresh_token)).await;
    world.postgres.heal();
    world.redis.heal();
    chassis::testing::eventually("Redis is tried again", async || world.validate(&ada.token).await.is_ok()).await;
    world.refresh(&ada.refresh_token).await.unwrap();
}
