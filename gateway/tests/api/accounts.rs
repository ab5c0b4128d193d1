//! Registering and logging in.

use proto::auth::{
    DeleteSessionResponse, GetSessionResponse, GetUserResponse, LoginResponse, LogoutResponse, RefreshTokenResponse, RegisterResponse,
    Session, User,
};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::world::{ADA, TOKEN, World, refusal, send};

pub(crate) const SESSION: &str = "01939d4c-0000-7000-8000-0000000005e5";

pub(crate) fn user() -> User {
    User {
        user_id: ADA.into(),
        username: "ada".into(),
        email: "ada@example.org".into(),
        created_at: Some(prost_types::Timestamp { seconds: 1_795_000_000, nanos: 120_000_000 }),
        role: "user".into(),
        version: 3,
    }
}

pub(crate) fn user_json() -> Value {
    json!({"user_id": ADA, "username": "ada", "email": "ada@example.org", "role": "user", "created_at": "2026-11-18T11:06:40.120000Z", "version": 3})
}

fn form() -> Value {
    json!({"username": "ada", "email": "ada@example.org", "password": "correct horse"})
}

fn tokens() -> LoginResponse {
    LoginResponse {
        user: Some(user()),
        access_token: "a.b.c".into(),
        refresh_token: "opaque".into(),
        expires_in: 900,
        session_id: SESSION.into(),
    }
}

fn tokens_json() -> Value {
    json!({"user": user_json(), "session_id": SESSION, "access_token": "a.b.c", "refresh_token": "opaque", "token_type": "Bearer",
           "expires_in": 900})
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
    world.neighbours.login.answers(|_| Ok(tokens()));
    let answer = world.post("/api/v1/auth/login", &json!({"email": "ada@example.org", "password": "correct horse"})).await;
    assert_eq!((answer.status.as_u16(), &answer.json), (200, &tokens_json()));
    assert_eq!(world.neighbours.login.messages()[0].client_address, "127.0.0.1");
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

#[tokio::test]
async fn a_refresh_answers_with_new_tokens_and_says_why_not() {
    let world = World::start().await;
    world.neighbours.refresh_token.answers(|_| {
        let LoginResponse { user, access_token, refresh_token, expires_in, session_id } = tokens();
        Ok(RefreshTokenResponse { user, access_token, refresh_token, expires_in, session_id })
    });
    let form = json!({"refresh_token": "old"});
    let answer = world.post("/api/v1/auth/refresh", &form).await;
    assert_eq!((answer.status.as_u16(), &answer.json, answer.header("cache-control")), (200, &tokens_json(), "no-store"));
    assert_eq!(world.neighbours.refresh_token.messages()[0].refresh_token, "old");
    for (reason, problem) in [("TOKEN_INVALID", "token-invalid"), ("TOKEN_REUSED", "token-reused"), ("SESSION_ENDED", "session-ended")] {
        world.neighbours.refresh_token.fails(&refusal(reason));
        assert_eq!(world.post("/api/v1/auth/refresh", &form).await.problem(), (401, problem));
    }
}

#[tokio::test]
async fn a_throttled_login_is_429_and_says_how_long() {
    let world = World::start().await;
    let details = ErrorDetails::with_retry_info(Some(std::time::Duration::from_millis(41_500)));
    world.neighbours.login.fails(&Status::with_error_details(Code::ResourceExhausted, "too many failures", details));
    let answer = world.post("/api/v1/auth/login", &json!({"email": "ada@example.org", "password": "x"})).await;
    assert_eq!((answer.problem(), answer.header("retry-after")), ((429, "too-many-requests"), "42"));
}

#[tokio::test]
async fn logging_out_ends_the_session_of_the_token() {
    let world = World::start().await;
    world.neighbours.logout.answers(|_| Ok(LogoutResponse {}));
    let answer = send(world.request("POST", "/api/v1/auth/logout").bearer_auth("a.b.c")).await;
    assert_eq!((answer.status.as_u16(), &answer.json), (204, &Value::Null));
    assert_eq!(world.neighbours.logout.messages()[0].access_token, "a.b.c");
    assert_eq!(send(world.request("POST", "/api/v1/auth/logout")).await.problem(), (401, "credentials-required"));
}

#[tokio::test]
async fn me_is_who_the_token_says() {
    let world = World::start().await;
    let answer = world.get("/api/v1/auth/me").await;
    let me = json!({"user_id": ADA, "username": "ada", "email": "ada@example.org", "role": "user", "session_id": SESSION,
                    "expires_at": "1970-01-01T00:01:00.000000Z"});
    assert_eq!((answer.status.as_u16(), &answer.json), (200, &me));
}

#[tokio::test]
async fn auth_and_nobody_else_is_told_on_whose_behalf_it_is_asked() {
    let world = World::start().await;
    world.neighbours.get_user.answers(|_| Ok(GetUserResponse { user: Some(user()) }));
    let answer = world.get(&format!("/api/v1/users/{ADA}")).await;
    assert_eq!((answer.status.as_u16(), &answer.json, answer.header("etag")), (200, &user_json(), "\"3\""));
    assert_eq!(world.neighbours.get_user.last_metadata("authorization").as_deref(), Some(format!("Bearer {TOKEN}").as_str()));
    world.get("/api/v1/orders").await;
    assert_eq!(world.neighbours.list_orders.last_metadata("authorization"), None);
}

#[tokio::test]
async fn a_session_is_opened_read_and_ended_as_a_thing_of_its_own() {
    let world = World::start().await;
    world.neighbours.login.answers(|_| Ok(tokens()));
    let opened = world.post("/api/v1/sessions", &json!({"email": "ada@example.org", "password": "correct horse"})).await;
    let path = format!("/api/v1/sessions/{SESSION}");
    assert_eq!((opened.status.as_u16(), &opened.json, opened.header("location")), (201, &tokens_json(), path.as_str()));
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    world.neighbours.get_session.answers(move |request| {
        let session_id = request.session_id.clone();
        Ok(GetSessionResponse { session: Some(Session { session_id, user_id: ADA.into(), created_at: at(0), expires_at: at(60) }) })
    });
    let session = json!({"session_id": SESSION, "user_id": ADA, "created_at": "1970-01-01T00:00:00.000000Z",
                         "expires_at": "1970-01-01T00:01:00.000000Z"});
    assert_eq!(world.get(&path).await.json, session);
    world.neighbours.delete_session.answers(|_| Ok(DeleteSessionResponse {}));
    assert_eq!(send(world.request("DELETE", &path).bearer_auth(TOKEN)).await.status.as_u16(), 204);
    assert_eq!(world.neighbours.delete_session.messages()[0].session_id, SESSION);
}
