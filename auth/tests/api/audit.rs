//! What is known of sessions afterwards: `auth.sessions`.

use auth::Config;
use chassis::testing::eventually;
use proto::auth::{DeleteSessionRequest, DeleteUserRequest, UpdateUserRequest};
use serde_json::{Value, json};
use tonic::Code;

use crate::world::{self, EMAIL, PASSWORD, Person, World, assert_unavailable, hurried};

/// A session's row.
async fn row(world: &World, session_id: &str) -> Value {
    let query = format!("SELECT row_to_json(s)::text AS text FROM auth.sessions s WHERE session_id = '{session_id}'");
    serde_json::from_str(&world.text(&query).await).unwrap()
}

async fn reason(world: &World, session_id: &str) -> Value {
    let row = row(world, session_id).await;
    assert_eq!(row["ended_at"].is_null(), row["end_reason"].is_null());
    row["end_reason"].clone()
}

/// Seconds from one column to the other.
async fn seconds(world: &World, session_id: &str, from: &str, to: &str) -> f64 {
    let query = format!("SELECT extract(epoch FROM {to} - {from})::text AS text FROM auth.sessions WHERE session_id = '{session_id}'");
    world.text(&query).await.parse().unwrap()
}

fn change(person: &Person) -> UpdateUserRequest {
    UpdateUserRequest { user_id: person.id(), ..UpdateUserRequest::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_written_down_with_who_when_and_from_where() {
    let world = World::start_with(|config| config.session.ttl_seconds = 1_000).await;
    let user = world.ada().await;
    for (given, known) in [("2001:DB8:1::7", json!("2001:db8:1::7")), ("::ffff:192.0.2.1", json!("192.0.2.1")), ("", Value::Null)] {
        let session_id = world.login_from(given, EMAIL, PASSWORD).await.unwrap().session_id;
        let row = row(&world, &session_id).await;
        assert_eq!((&row["user_id"], &row["client_address"]), (&json!(user.user_id), &known));
        assert!([&row["last_refreshed_at"], &row["ended_at"], &row["end_reason"]].iter().all(|it| it.is_null()), "{row}");
        let lifetime = seconds(&world, &session_id, "opened_at", "expires_at").await;
        assert!((999.9..=1_000.1).contains(&lifetime), "{lifetime}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_is_written_down() {
    let world = World::start_with(|config| config.session.ttl_seconds = 1_000).await;
    let ada = world.person("ada").await;
    world.execute("UPDATE auth.sessions SET expires_at = opened_at").await;
    world.refresh(&ada.refresh_token).await.unwrap();
    assert!(seconds(&world, &ada.session_id, "opened_at", "last_refreshed_at").await > 0.0);
    let lifetime = seconds(&world, &ada.session_id, "last_refreshed_at", "expires_at").await;
    assert!((990.0..=1_000.1).contains(&lifetime), "{lifetime}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_cannot_be_written_down_is_one_all_the_same() {
    let world = World::start_with(hurried).await;
    let ada = world.person("ada").await;
    world.execute("REVOKE UPDATE ON auth.sessions FROM throughline_auth").await;
    let renewed = world.refresh(&ada.refresh_token).await.unwrap();
    world.validate(&renewed.access_token).await.unwrap();
    assert!(row(&world, &ada.session_id).await["last_refreshed_at"].is_null());
    world.execute("GRANT UPDATE ON auth.sessions TO throughline_auth").await;
    world.refresh(&renewed.refresh_token).await.unwrap();
    assert!(row(&world, &ada.session_id).await["last_refreshed_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_is_written_down_with_its_reason_and_the_first_one_stands() {
    let world = World::start().await;
    let (ada, admin) = (world.person("ada").await, world.admin("root").await);
    let [out, revoked, reused] = [world.again("ada").await, world.again("ada").await, world.again("ada").await];
    world.logout(&out.token).await.unwrap();
    world.logout(&out.token).await.unwrap();
    let deletion = DeleteSessionRequest { session_id: revoked.session_id.clone() };
    world.session_service().delete_session(ada.says(deletion)).await.unwrap();
    world.refresh(&reused.refresh_token).await.unwrap();
    let answer = world.refresh(&reused.refresh_token).await;
    assert_eq!(world::reason(answer, Code::Unauthenticated), "TOKEN_REUSED");
    let password = UpdateUserRequest { password: Some(PASSWORD.into()), ..change(&ada) };
    world.users().update_user(ada.says(password)).await.unwrap();
    let promoted = world.again("ada").await;
    let role = UpdateUserRequest { role: Some("admin".into()), ..change(&ada) };
    world.users().update_user(admin.says(role)).await.unwrap();
    let open = world.again("ada").await;
    for (person, expected) in
        [(&out, "logout"), (&revoked, "revoked"), (&reused, "refresh_reused"), (&ada, "password_changed"), (&promoted, "role_changed")]
    {
        assert_eq!(reason(&world, &person.session_id).await, expected);
    }
    for person in [&open, &admin] {
        assert_eq!(reason(&world, &person.session_id).await, Value::Null);
    }
    assert_eq!(world.count("auth.sessions").await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_leaves_its_sessions_behind_without_the_addresses() {
    let world = World::start().await;
    let (user, eve) = (world.ada().await, world.person("eve").await);
    let over = world.login_from("192.0.2.1", EMAIL, PASSWORD).await.unwrap();
    world.logout(&over.access_token).await.unwrap();
    let expired = world.login_from("192.0.2.1", EMAIL, PASSWORD).await.unwrap();
    let expiry = format!("UPDATE auth.sessions SET expires_at = opened_at WHERE session_id = '{}'", expired.session_id);
    world.execute(&expiry).await;
    let open = world.login_from("192.0.2.1", EMAIL, PASSWORD).await.unwrap();
    world.login_from("192.0.2.9", "eve@example.org", PASSWORD).await.unwrap();
    let deletion = DeleteUserRequest { user_id: user.user_id.clone() };
    world.users().delete_user(world::bearer(&open.access_token, deletion)).await.unwrap();
    for (login, expected) in [(&over, json!("logout")), (&expired, Value::Null), (&open, json!("user_deleted"))] {
        let row = row(&world, &login.session_id).await;
        assert_eq!((&row["end_reason"], &row["client_address"], &row["user_id"]), (&expected, &Value::Null, &json!(user.user_id)));
    }
    assert_eq!(world.count("auth.sessions WHERE client_address IS NOT NULL").await, 1, "others keep theirs");
    world.validate(&eve.token).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_cannot_be_written_down_leaves_no_session_and_tells_nobody() {
    let world = World::start().await;
    world.ada().await;
    world.execute("REVOKE INSERT ON auth.sessions FROM throughline_auth").await;
    assert_eq!(world.login(EMAIL, PASSWORD).await.unwrap_err().code(), Code::Internal);
    assert_eq!((world.keys().await.len(), world.told().await.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_failed_is_not_written_down() {
    let world = World::start_with(hurried).await;
    let ada = world.person("ada").await;
    world.redis.cut();
    assert_unavailable(world.logout(&ada.token)).await;
    assert_unavailable(async { world.users().update_user(ada.says(change(&ada))).await }).await;
    world.redis.heal();
    eventually("it is alive", async || world.validate(&ada.token).await.is_ok()).await;
    world.execute("REVOKE INSERT ON auth.outbox FROM throughline_auth").await;
    assert_eq!(world.logout(&ada.token).await.unwrap_err().code(), Code::Internal);
    assert_eq!(reason(&world, &ada.session_id).await, Value::Null);
    world.validate(&ada.token).await.unwrap();
}

/// Sessions whose ids say that they were opened in 2004.
fn old(from: u32, to: u32, columns: &str, values: &str) -> String {
    format!(
        "INSERT INTO auth.sessions (session_id, user_id, opened_at, {columns})
         SELECT ('01000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, gen_random_uuid(), '2004-11-03', {values}
         FROM generate_series({from}, {to}) AS n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_been_over_for_long_is_deleted_and_nothing_else() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let ended = "expires_at, ended_at, end_reason";
    for sessions in [
        // more than one statement deletes
        old(1, 2_500, "expires_at", "now() - interval '31 days'"),
        old(2_501, 2_502, ended, "now() + interval '1 day', now() - interval '31 days', 'logout'"),
        // alive, expired and ended not so long ago
        old(3_001, 3_001, "expires_at", "now() + interval '1 day'"),
        old(3_002, 3_002, "expires_at", "now() - interval '29 days'"),
        old(3_003, 3_003, ended, "now() - interval '40 days', now() - interval '29 days', 'revoked'"),
    ] {
        world.execute(&sessions).await;
    }
    let (process, _) = world.replica(|config: &mut Config| config.session.audit_retention_days = 30);
    eventually("the old ones are gone", async || world.count("auth.sessions").await <= 4).await;
    assert_eq!(world.count("auth.sessions WHERE session_id > '01000000-0000-7000-8000-000000003000'").await, 4);
    assert_eq!(reason(&world, &ada.session_id).await, Value::Null);
    process.shutdown.cancel();
}
