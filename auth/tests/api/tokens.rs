//! `ValidateToken`

use chassis::{config::Secret, grpc::Channel, testing::eventually};
use chrono::Utc;
use jsonwebtoken::{EncodingKey, TokenData, dangerous::insecure_decode, encode};
use proto::auth::{RefreshTokenRequest, ValidateTokenRequest, auth_service_client::AuthServiceClient};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::world::{self, EMAIL, PASSWORD, SECRET, World};

fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    world::reason(answer, Code::Unauthenticated)
}

/// A token like `token`, but for one claim, and signed with `secret`.
pub(crate) fn forged(token: &str, secret: &str, key: &str, value: Value) -> String {
    let TokenData { header, mut claims } = insecure_decode::<Value>(token).unwrap();
    claims[key] = value;
    encode(&header, &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_tells_who_is_calling() {
    let world = World::start().await;
    let user = world.ada().await;
    let before = Utc::now().timestamp();
    let token = world.login(EMAIL, PASSWORD).await.unwrap().access_token;
    let answer = world.validate(&token).await.unwrap();
    assert_eq!((answer.user_id, answer.username, answer.email, answer.role), (user.user_id, user.username, user.email, user.role));
    assert_eq!(world.sessions().await, [format!("{}{}", world.prefix, answer.session_id)]);
    let expires_at = answer.expires_at.unwrap();
    assert!((before + 900..=Utc::now().timestamp() + 900).contains(&expires_at.seconds));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_invalid() {
    let world = World::start().await;
    world.ada().await;
    let token = world.login(EMAIL, PASSWORD).await.unwrap().access_token;
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (_, claims) = head.split_once('.').unwrap();
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{claims}.");
    let tokens = [
        String::new(),
        "x".into(),
        "a.b.c".into(),
        head.into(),
        format!("{head}."),
        format!("{head}x.{signature}"),
        unsigned,
        forged(&token, "another secret, and it is long enough", "role", json!("admin")),
        forged(&token, SECRET, "aud", json!("another audience")),
        forged(&token, SECRET, "iss", json!("another issuer")),
        forged(&token, SECRET, "typ", json!("refresh")),
        forged(&token, SECRET, "sid", json!("no uuid")),
    ];
    for token in &tokens {
        assert_eq!(reason(world.validate(token).await), "TOKEN_INVALID", "{token}");
    }
    world.validate(&forged(&token, SECRET, "role", json!("user"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_time_is_over_has_expired() {
    let world = World::start().await;
    world.ada().await;
    let token = world.login(EMAIL, PASSWORD).await.unwrap().access_token;
    let past = forged(&token, SECRET, "exp", json!(Utc::now().timestamp()));
    assert_eq!(reason(world.validate(&past).await), "TOKEN_EXPIRED");
    let foreign = forged(&token, "another secret, and it is long enough", "exp", json!(1));
    assert_eq!(reason(world.validate(&foreign).await), "TOKEN_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_expires_by_itself() {
    let world = World::start_with(|config| config.jwt.access_ttl_seconds = 1).await;
    world.ada().await;
    let answer = world.login(EMAIL, PASSWORD).await.unwrap();
    assert_eq!(answer.expires_in, 1);
    eventually("expired", async || world.validate(&answer.access_token).await.is_err()).await;
    assert_eq!(reason(world.validate(&answer.access_token).await), "TOKEN_EXPIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_ended_ends_its_token_alone() {
    let world = World::start().await;
    world.ada().await;
    let ended = world.login(EMAIL, PASSWORD).await.unwrap().access_token;
    let [key] = world.sessions().await.try_into().unwrap();
    let other = world.login(EMAIL, PASSWORD).await.unwrap().access_token;
    let () = world.redis("DEL", &[&key]).await;
    assert_eq!(reason(world.validate(&ended).await), "SESSION_ENDED");
    world.validate(&other).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_checked_often_ends_with_its_session_at_once() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    for _ in 0..3 {
        world.validate(&ada.token).await.unwrap();
    }
    world.logout(&ada.token).await.unwrap();
    assert_eq!(reason(world.validate(&ada.token).await), "SESSION_ENDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_change_of_keys_what_the_retired_one_signed_is_good_and_what_an_unknown_one_signed_is_not() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let renew =
        |config: &mut auth::Config| (config.jwt.kid, config.jwt.secret) = ("2".into(), Secret::new("a new secret of thirty-two bytes"));
    let (_, careful) = world.replica(|config| {
        config.jwt.retired = vec![Secret::new(format!("1={SECRET}"))];
        renew(config);
    });
    let (_, careless) = world.replica(renew);
    let ask = async |channel: &Channel, token: &str| {
        let request = ValidateTokenRequest { access_token: token.into() };
        AuthServiceClient::new(channel.clone()).validate_token(request).await.map(tonic::Response::into_inner)
    };
    let refresh = async |channel: &Channel, token: &str| {
        let request = RefreshTokenRequest { refresh_token: token.into() };
        AuthServiceClient::new(channel.clone()).refresh_token(request).await.map(tonic::Response::into_inner)
    };
    assert_eq!(ask(&careful, &ada.token).await.unwrap().user_id, ada.id());
    assert_eq!(reason(ask(&careless, &ada.token).await), "TOKEN_INVALID");
    assert_eq!(reason(refresh(&careless, &ada.refresh_token).await), "TOKEN_INVALID");
    // the next tokens are of the new key, which the old configuration does not know
    let renewed = refresh(&careful, &ada.refresh_token).await.unwrap();
    ask(&careful, &renewed.access_token).await.unwrap();
    ask(&careless, &renewed.access_token).await.unwrap();
    assert_eq!(reason(world.validate(&renewed.access_token).await), "TOKEN_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_itself() {
    // a look does not let it live on
    let world = World::start_with(|config| (config.session.ttl_seconds, config.session.sliding) = (1, false)).await;
    world.ada().await;
    let token = world.login(EMAIL, PASSWORD).await.unwrap().access_token;
    eventually("ended", async || world.validate(&token).await.is_err()).await;
    assert_eq!(reason(world.validate(&token).await), "SESSION_ENDED");
}
