//! `GetUser`, `UpdateUser` and `DeleteUser`

use std::collections::HashMap;

use chassis::{redis::RedisConfig, spawn, testing::eventually};
use db::connect::connect;
use diesel_async::SimpleAsyncConnection;
use futures::future::join_all;
use proto::auth::{DeleteUserRequest, GetUserRequest, UpdateUserRequest, User};
use serde_json::json;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::world::{self, PASSWORD, Person, World, assert_unavailable, bearer, info, wrong_fields};

const OTHER: &str = "another long password";

async fn get(world: &World, person: &Person, user_id: &str) -> Result<User, Status> {
    Ok(world.users().get_user(person.says(GetUserRequest { user_id: user_id.into() })).await?.into_inner().user.unwrap())
}

async fn update(world: &World, person: &Person, change: UpdateUserRequest) -> Result<User, Status> {
    Ok(world.users().update_user(person.says(change)).await?.into_inner().user.unwrap())
}

async fn delete(world: &World, person: &Person, user_id: &str) -> Result<(), Status> {
    world.users().delete_user(person.says(DeleteUserRequest { user_id: user_id.into() })).await.map(drop)
}

fn to(user_id: &str) -> UpdateUserRequest {
    UpdateUserRequest { user_id: user_id.into(), ..UpdateUserRequest::default() }
}

fn renamed(user_id: &str, name: &str) -> UpdateUserRequest {
    UpdateUserRequest { username: Some(name.into()), ..to(user_id) }
}

fn with_role(user_id: &str, role: &str) -> UpdateUserRequest {
    UpdateUserRequest { role: Some(role.into()), ..to(user_id) }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_without_a_good_token() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let ask = async |request: Request<GetUserRequest>| world::reason(world.users().get_user(request).await, Code::Unauthenticated);
    let message = || GetUserRequest { user_id: ada.id() };
    assert_eq!(ask(Request::new(message())).await, "TOKEN_MISSING");
    assert_eq!(ask(bearer("x", message())).await, "TOKEN_INVALID");
    assert_eq!(ask(bearer(&ada.refresh_token, message())).await, "TOKEN_INVALID");
    world.logout(&ada.token).await.unwrap();
    assert_eq!(ask(ada.says(message())).await, "SESSION_ENDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_shown_to_all_and_its_address_to_itself_and_admins() {
    let world = World::start().await;
    let (ada, eve, admin) = (world.person("ada").await, world.person("eve").await, world.admin("root").await);
    assert_eq!(get(&world, &ada, &ada.id()).await.unwrap(), ada.user);
    assert_eq!(get(&world, &admin, &ada.id()).await.unwrap(), ada.user);
    assert_eq!(get(&world, &eve, &ada.id()).await.unwrap(), User { email: String::new(), ..ada.user.clone() });
    assert_eq!(get(&world, &admin, &admin.id()).await.unwrap().role, "admin");
    assert_eq!(get(&world, &ada, &Uuid::now_v7().to_string()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(wrong_fields(&get(&world, &ada, "x").await.unwrap_err()), ["user_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_changed_counted_and_told_of() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let change = UpdateUserRequest { username: Some("Ada.L".into()), email: Some(" Lovelace@Example.ORG".into()), ..to(&ada.id()) };
    let changed = update(&world, &ada, change).await.unwrap();
    let expected = User { username: "Ada.L".into(), email: "lovelace@example.org".into(), version: 2, ..ada.user.clone() };
    assert_eq!(changed, expected);
    assert_eq!(get(&world, &ada, &ada.id()).await.unwrap(), expected);
    let outbox = world.outbox().await;
    let event = outbox.last().unwrap().envelope();
    assert_eq!((event.event_type.as_str(), event.aggregate_version), ("UserUpdated", 2));
    let data = json!({"user_id": ada.id(), "username": "Ada.L", "email": "lovelace@example.org", "role": "user",
        "timestamp": event.data["timestamp"]});
    assert_eq!(event.data, data);
    // what is the same already is no change
    assert_eq!(update(&world, &ada, renamed(&ada.id(), "Ada.L")).await.unwrap(), expected);
    assert_eq!(update(&world, &ada, to(&ada.id())).await.unwrap(), expected);
    assert_eq!(world.outbox().await.len(), outbox.len());
    world.validate(&ada.token).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_of_a_change_is_named() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let text = |text: &str| Some(text.to_owned());
    let change = UpdateUserRequest {
        username: text("a\0b"),
        email: text("nobody"),
        password: text("short"),
        role: text("root"),
        version: Some(-1),
        ..to("x")
    };
    let fields = ["user_id", "username", "email", "password", "role", "version"];
    assert_eq!(wrong_fields(&update(&world, &ada, change).await.unwrap_err()), fields);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_another_version_is_refused_and_the_current_one_is_told() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let meant_for = |version, name: &str| UpdateUserRequest { version: Some(version), ..renamed(&ada.id(), name) };
    assert_eq!(update(&world, &ada, meant_for(1, "one")).await.unwrap().version, 2);
    for version in [1, 3, i64::MAX] {
        let info = info(&update(&world, &ada, meant_for(version, "two")).await.unwrap_err(), Code::Aborted);
        assert_eq!((info.reason.as_str(), info.metadata), ("VERSION_MISMATCH", HashMap::from([("version".into(), "2".into())])));
    }
    assert_eq!(get(&world, &ada, &ada.id()).await.unwrap().username, "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_changes_of_one_version_at_once_one_is_made() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let rivals: Vec<_> = (0..8)
        .map(|number| {
            let change = UpdateUserRequest { version: Some(1), ..renamed(&ada.id(), &format!("ada{number}")) };
            let (mut client, request) = (world.users(), ada.says(change));
            spawn(async move { client.update_user(request).await })
        })
        .collect();
    let mut made = 0;
    for rival in rivals {
        match rival.await.unwrap() {
            Ok(_) => made += 1,
            Err(status) => assert_eq!(info(&status, Code::Aborted).reason, "VERSION_MISMATCH"),
        }
    }
    assert_eq!((made, get(&world, &ada, &ada.id()).await.unwrap().version), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_or_address_of_somebody_else_is_named() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    world.person("eve").await;
    let name = update(&world, &ada, renamed(&ada.id(), "EVE")).await;
    assert_eq!(world::reason(name, Code::AlreadyExists), "USERNAME_TAKEN");
    let address = UpdateUserRequest { email: Some("EVE@example.org".into()), ..to(&ada.id()) };
    assert_eq!(world::reason(update(&world, &ada, address).await, Code::AlreadyExists), "EMAIL_TAKEN");
    // one's own in another case is free
    assert_eq!(update(&world, &ada, renamed(&ada.id(), "ADA")).await.unwrap().username, "ADA");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_take_one_name_or_address_at_once_one_gets_it() {
    let world = World::start().await;
    let people = [world.person("ada").await, world.person("eve").await];
    for round in 0..5 {
        let (name, address) = (format!("new{round}"), format!("new{round}@example.org"));
        for (username, email, taken) in [(Some(name), None, "USERNAME_TAKEN"), (None, Some(address), "EMAIL_TAKEN")] {
            let cases = [str::to_lowercase, str::to_uppercase].into_iter().zip(&people);
            let rivals = cases.map(|(case, person)| {
                let (username, email) = (username.as_deref().map(case), email.as_deref().map(case));
                let (mut client, request) = (world.users(), person.says(UpdateUserRequest { username, email, ..to(&person.id()) }));
                spawn(async move { client.update_user(request).await.map(drop) })
            });
            let results = join_all(rivals).await.into_iter().map(Result::unwrap);
            let refused: Vec<_> = results.filter_map(Result::err).map(|status| info(&status, Code::AlreadyExists).reason).collect();
            assert_eq!(refused, [taken]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_or_role_ends_the_users_sessions() {
    let world = World::start().await;
    let (ada, other, admin) = (world.person("ada").await, world.again("ada").await, world.admin("root").await);
    let change = UpdateUserRequest { password: Some(OTHER.into()), ..to(&ada.id()) };
    update(&world, &ada, change).await.unwrap();
    for person in [&ada, &other] {
        assert_eq!(world::reason(world.validate(&person.token).await, Code::Unauthenticated), "SESSION_ENDED");
        assert_eq!(world::reason(world.refresh(&person.refresh_token).await, Code::Unauthenticated), "SESSION_ENDED");
    }
    assert_eq!(world.keys().await.len(), 3, "what is left is the admin's");
    assert_eq!(world::reason(world.login("ada@example.org", PASSWORD).await, Code::Unauthenticated), "WRONG_CREDENTIALS");
    let token = world.login("ada@example.org", OTHER).await.unwrap().access_token;
    assert_eq!(update(&world, &admin, with_role(&ada.id(), "admin")).await.unwrap().role, "admin");
    assert_eq!(world::reason(world.validate(&token).await, Code::Unauthenticated), "SESSION_ENDED");
    let token = world.login("ada@example.org", OTHER).await.unwrap().access_token;
    assert_eq!(world.validate(&token).await.unwrap().role, "admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_change_themselves_and_admins_everybody() {
    let world = World::start().await;
    let (ada, eve, admin) = (world.person("ada").await, world.person("eve").await, world.admin("root").await);
    let denied = |answer: Result<User, Status>| world::reason(answer, Code::PermissionDenied);
    assert_eq!(denied(update(&world, &eve, renamed(&ada.id(), "mine")).await), "NOT_YOURS");
    assert_eq!(denied(update(&world, &eve, renamed(&Uuid::now_v7().to_string(), "mine")).await), "NOT_YOURS");
    for role in ["admin", "user"] {
        assert_eq!(denied(update(&world, &eve, with_role(&eve.id(), role)).await), "ADMIN_REQUIRED");
    }
    assert_eq!(world::reason(delete(&world, &eve, &ada.id()).await, Code::PermissionDenied), "NOT_YOURS");
    assert_eq!(update(&world, &admin, renamed(&ada.id(), "ada2")).await.unwrap().username, "ada2");
    assert_eq!(update(&world, &admin, renamed(&Uuid::now_v7().to_string(), "x1234")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(delete(&world, &admin, &Uuid::now_v7().to_string()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(wrong_fields(&delete(&world, &admin, "x").await.unwrap_err()), ["user_id"]);
    delete(&world, &admin, &ada.id()).await.unwrap();
    delete(&world, &eve, &eve.id()).await.unwrap();
    assert_eq!(world.count("auth.users").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_is_told_of_and_can_do_nothing_more() {
    let world = World::start().await;
    let (ada, other) = (world.person("ada").await, world.again("ada").await);
    update(&world, &ada, renamed(&ada.id(), "ada2")).await.unwrap();
    delete(&world, &ada, &ada.id()).await.unwrap();
    assert_eq!(world.keys().await, [""; 0]);
    for person in [&ada, &other] {
        assert_eq!(world::reason(world.validate(&person.token).await, Code::Unauthenticated), "SESSION_ENDED");
        assert_eq!(world::reason(world.refresh(&person.refresh_token).await, Code::Unauthenticated), "SESSION_ENDED");
    }
    assert_eq!(world::reason(world.login("ada@example.org", PASSWORD).await, Code::Unauthenticated), "WRONG_CREDENTIALS");
    let outbox = world.outbox().await;
    let event = outbox.last().unwrap().envelope();
    assert_eq!((event.event_type.as_str(), event.aggregate_version, event.aggregate_id.to_string()), ("UserDeleted", 3, ada.id()));
    assert_eq!(event.data, json!({"user_id": ada.id(), "timestamp": event.data["timestamp"]}));
    // its name and address are free again
    assert_ne!(world.person("ada").await.id(), ada.id());
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_always_an_admin() {
    let world = World::start().await;
    let (one, other) = (world.admin("one").await, world.admin("two").await);
    // each takes the other's role, or deletes them, at the same time
    let (mut users, demotion) = (world.users(), one.says(with_role(&other.id(), "user")));
    let demotes = spawn(async move { users.update_user(demotion).await.map(drop) });
    let (mut users, deletion) = (world.users(), other.says(DeleteUserRequest { user_id: one.id() }));
    let deletes = spawn(async move { users.delete_user(deletion).await.map(drop) });
    let results = [demotes.await.unwrap(), deletes.await.unwrap()];
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert_eq!(world.count("auth.users WHERE role = 'admin'").await, 1);

    let last = if results[0].is_ok() { world.again("one").await } else { world.again("two").await };
    assert_eq!(world::reason(update(&world, &last, with_role(&last.id(), "user")).await, Code::FailedPrecondition), "LAST_ADMIN");
    assert_eq!(world::reason(delete(&world, &last, &last.id()).await, Code::FailedPrecondition), "LAST_ADMIN");
    update(&world, &last, renamed(&last.id(), "still")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_no_account_loses_its_password() {
    let world = World::start_with(|config| config.redis = RedisConfig { url: config.redis.url.clone(), ..RedisConfig::default() }).await;
    let ada = world.person("ada").await;
    let before = world.told().await;
    // the transaction waits until Redis has gone: it cannot end the sessions
    let mut lock = connect(&world.database.admin_url()).await.unwrap();
    lock.batch_execute("BEGIN; LOCK TABLE auth.outbox IN SHARE MODE").await.unwrap();
    let (mut users, change) = (world.users(), ada.says(UpdateUserRequest { password: Some(OTHER.into()), ..to(&ada.id()) }));
    let changes = spawn(async move { users.update_user(change).await });
    let waiting = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the transaction waits", async || world.count(waiting).await == 1).await;
    world.redis.cut();
    lock.batch_execute("COMMIT").await.unwrap();
    assert_unavailable(async { changes.await.unwrap() }).await;
    world.redis.heal();
    eventually("the session is alive", async || world.validate(&ada.token).await.is_ok()).await;
    assert_eq!((world.told().await, get(&world, &ada, &ada.id()).await.unwrap().version), (before, 1));
    world.again("ada").await;
}
