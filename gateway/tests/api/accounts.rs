//! Registering and logging in.

use proto::auth::{LoginResponse, RegisterResponse, User};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::world::{ADA, World};

fn user() -> User {
    User {
        user_id: ADA.into(),
        username: "ada".into(),
        email: "ada@example.org".into(),
        created_at: Some(prost_types::Timestamp { seconds: 1_795_000_000, nanos: 120_000_000 }),
        role: "user".into(),
    }
}

fn user_json() -> Value {
    json!({"user_id": ADA, "username": "ada", "email": "ada@example.org", "role": "user", "created_at": "2026-11-18T11:06:40.120000Z"})
}

fn form() -> Value {
    json!({"username": "ada", "email": "ada@example.org", "password": "correct horse"})
}

#[tokio::test]
async fn registering_answers_with_the_user() {
    let world = World::start().await;
    world.neighbours.register.answers(|_| Ok(RegisterResponse { user: Some(user()) }));
    let answer = world.post("/api/v1/auth/register", &form()).await;
    assert_eq!((answer.status.as_u16(), &answer.json), (201, &user_json()));
    let sent = world.neighbours.register.messages().remove(0);
    assert_eq!((sent.username.as_str(), sent.email.as_str(), sent.password.as_str()), ("ada", "ada@example.org", "correct horse"));
}

#[tokio::test]
async fn a_taken_name_is_409_and_named() {
    let world = World::start().await;
    for field in ["username", "email"] {
        let details = ErrorDetails::with_error_info("TAKEN", "throughline", [("field".to_owned(), field.to_owned())]);
        world.neighbours.register.fails(&Status::with_error_details(Code::AlreadyExists, "this is taken", details));
        let answer = world.post("/api/v1/auth/register", &form()).await;
        assert_eq!((answer.problem(), answer.fields()), ((409, "already-exists"), vec![field]));
    }
}

#[tokio::test]
async fn what_cannot_be_an_account_never_reaches_auth() {
    let world = World::start().await;
    let answer = world.post("/api/v1/auth/register", &json!({"username": "a", "email": "a@b@c", "password": "short"})).await;
    assert_eq!((answer.problem(), answer.fields()), ((422, "validation"), vec!["username", "email", "password"]));
    assert!(world.neighbours.register.messages().is_empty());
}

#[tokio::test]
async fn logging_in_answers_with_tokens_that_no_cache_keeps() {
    let world = World::start().await;
    world.neighbours.login.answers(|_| {
        Ok(LoginResponse { user: Some(user()), access_token: "a.b.c".into(), refresh_token: "opaque".into(), expires_in: 900 })
    });
    let answer = world.post("/api/v1/auth/login", &json!({"email": "ada@example.org", "password": "correct horse"})).await;
    let session =
        json!({"user": user_json(), "access_token": "a.b.c", "refresh_token": "opaque", "token_type": "Bearer", "expires_in": 900});
    assert_eq!((answer.status.as_u16(), &answer.json), (200, &session));
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_wrong_password_is_401_with_a_challenge() {
    let world = World::start().await;
    world.neighbours.login.fails(&Status::unauthenticated("e-mail address or password is wrong"));
    let answer = world.post("/api/v1/auth/login", &json!({"email": "ada@example.org", "password": "x"})).await;
    assert_eq!((answer.problem(), answer.detail()), ((401, "credentials-required"), "e-mail address or password is wrong"));
    assert!(answer.header("www-authenticate").starts_with("Bearer "), "{:?}", answer.headers);
}

#[tokio::test]
async fn an_answer_without_a_user_is_a_fault_of_ours() {
    let world = World::start().await;
    world.neighbours.register.answers(|_| Ok(RegisterResponse { user: None }));
    let answer = world.post("/api/v1/auth/register", &form()).await;
    assert_eq!(answer.problem(), (500, "internal"));
}
