//! `Login`

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tonic::Code;
use uuid::Uuid;

use crate::world::{EMAIL, PASSWORD, SECRET, World, info};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_opened_and_told_of() {
    let world = World::start_with(|config| config.session.ttl_seconds = 600).await;
    let user = world.ada().await;
    let answer = world.login("ADA@Example.org", PASSWORD).await.unwrap();
    assert_eq!((answer.user.as_ref(), answer.expires_in), (Some(&user), 900));

    let [key] = world.sessions().await.try_into().unwrap();
    let session: Value = serde_json::from_str(&world.redis::<String>("GET", &[&key]).await).unwrap();
    assert_eq!(session, json!({"user_id": user.user_id, "created_at": session["created_at"], "prolonged_at": session["prolonged_at"]}));
    let (id, user_id) = (&answer.session_id, &user.user_id);
    assert_eq!(world.keys().await, [format!("refresh:{id}"), format!("session:{id}"), format!("user-sessions:{user_id}")]);
    let kept: String = world.redis("GET", &[&world.key(&format!("refresh:{id}"))]).await;
    assert_eq!(kept, URL_SAFE_NO_PAD.encode(Sha256::digest(&answer.refresh_token)));
    for name in world.keys().await {
        let ttl: i64 = world.redis("TTL", &[&world.key(&name)]).await;
        assert!((580..=600).contains(&ttl), "{name}: {ttl}");
    }

    let [_, row] = world.outbox().await.try_into().unwrap();
    let event = row.envelope();
    assert_eq!((row.topic.as_str(), &row.key), ("user-events", &user.user_id));
    assert_eq!((event.event_type.as_str(), event.aggregate_version), ("UserLoggedIn", 1));
    let session_id = key.strip_prefix(&world.prefix).unwrap();
    assert_eq!(session_id, answer.session_id);
    assert_eq!(event.data, json!({"user_id": user.user_id, "session_id": session_id, "timestamp": event.data["timestamp"]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_token_is_a_jwt_that_says_who_and_for_how_long() {
    let world = World::start_with(|config| config.jwt.kid = "2026-11".into()).await;
    let user = world.ada().await;
    let answer = world.login(EMAIL, PASSWORD).await.unwrap();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&["throughline"]);
    let token = decode::<Value>(&answer.access_token, &DecodingKey::from_secret(SECRET.as_bytes()), &validation).unwrap();
    assert_eq!((token.header.alg, token.header.kid.as_deref()), (Algorithm::HS256, Some("2026-11")));
    let claims = token.claims;
    let session_id = world.sessions().await[0].strip_prefix(&world.prefix).unwrap().to_owned();
    let expected = json!({
        "iss": "throughline", "aud": "throughline", "sub": user.user_id, "sid": session_id, "username": "ada", "email": EMAIL,
        "role": "user", "iat": claims["iat"], "exp": claims["iat"].as_i64().unwrap() + 900, "jti": claims["jti"], "typ": "access",
    });
    assert_eq!(claims, expected);
    claims["jti"].as_str().unwrap().parse::<Uuid>().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_login_is_a_session_of_its_own() {
    let world = World::start().await;
    world.ada().await;
    let (one, other) = (world.login(EMAIL, PASSWORD).await.unwrap(), world.login(EMAIL, PASSWORD).await.unwrap());
    assert_ne!(one.access_token, other.access_token);
    assert_ne!(one.refresh_token, other.refresh_token);
    assert_ne!(one.session_id, other.session_id);
    assert_eq!(one.user.unwrap().user_id, other.user.unwrap().user_id);
    assert_eq!((world.sessions().await.len(), world.outbox().await.len()), (2, 3));
}

/// With a hash that takes long beside everything else, time tells whether it was made.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_address_and_a_wrong_password_get_the_same_answer_after_the_same_work() {
    let world = World::start_with(|config| (config.password.m_cost_kib, config.password.t_cost) = (64 << 10, 3)).await;
    world.ada().await;
    let wrong = [(EMAIL, "correct horse buttery"), ("eve@example.org", PASSWORD), (EMAIL, ""), ("eve", PASSWORD), ("e\0e@x.org", "")];
    let (mut answers, mut times) = (Vec::new(), [Duration::MAX; 5]);
    // in turns, so that a machine that is busy for a while is so for all
    for _ in 0..4 {
        for ((email, password), best) in wrong.into_iter().zip(&mut times) {
            let begun = Instant::now();
            let status = world.login(email, password).await.unwrap_err();
            *best = begun.elapsed().min(*best);
            assert_eq!(info(&status, Code::Unauthenticated).reason, "WRONG_CREDENTIALS");
            answers.push((status.code(), status.message().to_owned(), status.details().to_vec()));
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert!(times.iter().all(|time| *time > times[0] / 3), "{times:?}");
    assert_eq!((world.sessions().await.len(), world.outbox().await.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_cannot_be_told_of_leaves_no_session() {
    let world = World::start().await;
    world.ada().await;
    world.execute("REVOKE INSERT ON auth.outbox FROM throughline_auth").await;
    assert_eq!(world.login(EMAIL, PASSWORD).await.unwrap_err().code(), Code::Internal);
    assert_eq!(world.keys().await, [""; 0]);
}
