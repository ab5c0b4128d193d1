//! `session.when_unavailable = "trust-token"`

use auth::{Config, WhenUnavailable};
use chassis::testing::{TestProxy, eventually, metric};
use chrono::Utc;
use proto::auth::{GetAvatarRequest, GetSessionRequest, GetUserRequest, ListUsersRequest, UpdateUserRequest};
use serde_json::json;
use tonic::{Code, Status};

use crate::{
    tokens::forged,
    world::{self, Person, SECRET, World, assert_unavailable, hurried},
};

fn trusting(config: &mut Config) {
    hurried(config);
    config.session.when_unavailable = WhenUnavailable::TrustToken;
}

fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    world::reason(answer, Code::Unauthenticated)
}

fn trusted(world: &World) -> f64 {
    metric(&world.process, "throughline_auth_trusted_tokens_total").unwrap()
}

/// Ends a session where the service cannot see it.
async fn end(world: &World, person: &Person) {
    let key = world.key(&format!("session:{}", person.session_id));
    assert!(world.redis::<bool>("DEL", &[&key]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_a_good_token_is_trusted_and_afterwards_its_session_counts_again() {
    for stop in [TestProxy::cut, TestProxy::freeze] {
        let world = World::start_with(trusting).await;
        let (ada, ended) = (world.person("ada").await, world.again("ada").await);
        world.validate(&ada.token).await.unwrap();
        assert_eq!(trusted(&world).to_bits(), 0_f64.to_bits());
        end(&world, &ended).await;
        assert_eq!(reason(world.validate(&ended.token).await), "SESSION_ENDED");
        stop(&world.redis);
        for person in [&ada, &ended] {
            let answer = world.validate(&person.token).await.unwrap();
            assert_eq!((answer.user_id, answer.session_id), (person.id(), person.session_id.clone()));
        }
        assert_eq!(trusted(&world).to_bits(), 2_f64.to_bits());
        world.redis.heal();
        eventually("sessions are checked", async || world.validate(&ended.token).await.is_err()).await;
        assert_eq!(reason(world.validate(&ended.token).await), "SESSION_ENDED");
        let before = trusted(&world);
        world.validate(&ada.token).await.unwrap();
        assert_eq!(trusted(&world).to_bits(), before.to_bits());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_good_is_not_trusted() {
    let world = World::start_with(trusting).await;
    let ada = world.person("ada").await;
    world.redis.cut();
    let expired = forged(&ada.token, SECRET, "exp", json!(Utc::now().timestamp()));
    assert_eq!(reason(world.validate(&expired).await), "TOKEN_EXPIRED");
    let foreign = forged(&ada.token, "another secret, and it is long enough", "role", json!("user"));
    for token in ["", "x", &ada.refresh_token, &foreign, &ada.token[..ada.token.len() - 2]] {
        assert_eq!(reason(world.validate(token).await), "TOKEN_INVALID");
    }
    assert_eq!(trusted(&world).to_bits(), 0_f64.to_bits());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_trusted_no_longer_than_it_lasts() {
    let world = World::start_with(|config| {
        trusting(config);
        config.jwt.access_ttl_seconds = 3;
    })
    .await;
    let ada = world.person("ada").await;
    world.redis.cut();
    world.validate(&ada.token).await.unwrap();
    eventually("it expires", async || world.validate(&ada.token).await.is_err()).await;
    assert_eq!(reason(world.validate(&ada.token).await), "TOKEN_EXPIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_read_and_nothing_is_changed_on_trust() {
    let world = World::start_with(trusting).await;
    let ada = world.person("ada").await;
    let session_id = ada.session_id.clone();
    world.redis.cut();
    let user = world.users().get_user(ada.says(GetUserRequest { user_id: ada.id() })).await.unwrap().into_inner().user;
    assert_eq!(user.as_ref(), Some(&ada.user));
    let avatar = world.users().get_avatar(ada.says(GetAvatarRequest { user_id: ada.id() })).await.unwrap_err();
    assert_eq!(avatar.code(), Code::NotFound);
    let change = UpdateUserRequest { user_id: ada.id(), username: Some("eve".into()), ..UpdateUserRequest::default() };
    assert_unavailable(async { world.users().update_user(ada.says(change)).await }).await;
    assert_unavailable(async { world.session_service().get_session(ada.says(GetSessionRequest { session_id })).await }).await;
    assert_unavailable(world.refresh(&ada.refresh_token)).await;
    assert_unavailable(world.logout(&ada.token)).await;
    world.redis.heal();
    eventually("Redis is asked again", async || world.refresh(&ada.refresh_token).await.is_ok()).await;
    assert_eq!(world.count("auth.users WHERE username = 'ada'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_is_not_trusted() {
    let world = World::start_with(trusting).await;
    let admin = world.admin("root").await;
    world.redis.cut();
    assert_unavailable(world.validate(&admin.token)).await;
    assert_unavailable(async { world.users().get_user(admin.says(GetUserRequest { user_id: admin.id() })).await }).await;
    assert_unavailable(async { world.users().list_users(admin.says(ListUsersRequest::default())).await.map(drop) }).await;
    assert_eq!(trusted(&world).to_bits(), 0_f64.to_bits());
    world.redis.heal();
    eventually("it is checked", async || world.validate(&admin.token).await.is_ok()).await;
}
