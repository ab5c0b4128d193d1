//! `Logout`, `GetSession` and `DeleteSession`

use chassis::testing::eventually;
use proto::auth::{DeleteSessionRequest, GetSessionRequest, Session};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{self, EMAIL, PASSWORD, Person, World, assert_unavailable, hurried, wrong_fields};

fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    world::reason(answer, Code::Unauthenticated)
}

async fn get(world: &World, person: &Person, session_id: &str) -> Result<Session, Status> {
    let request = person.says(GetSessionRequest { session_id: session_id.into() });
    Ok(world.session_service().get_session(request).await?.into_inner().session.unwrap())
}

async fn delete(world: &World, person: &Person, session_id: &str) -> Result<(), Status> {
    world.session_service().delete_session(person.says(DeleteSessionRequest { session_id: session_id.into() })).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_both_tokens_and_leaves_nothing_behind() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    world.logout(&ada.token).await.unwrap();
    assert_eq!(world.keys().await, [""; 0]);
    assert_eq!(reason(world.validate(&ada.token).await), "SESSION_ENDED");
    assert_eq!(reason(world.refresh(&ada.refresh_token).await), "SESSION_ENDED");
    let [_, _, row] = world.outbox().await.try_into().unwrap();
    let event = row.envelope();
    assert_eq!((event.event_type.as_str(), event.aggregate_version), ("UserLoggedOut", 1));
    assert_eq!((event.data["user_id"].as_str(), event.data["session_id"].as_str()), (Some(&*ada.id()), Some(&*ada.session_id)));
    // a second time is no error, and nothing to tell of
    world.logout(&ada.token).await.unwrap();
    assert_eq!(world.told().await.len(), 3);
    assert_eq!(reason(world.logout("x").await), "TOKEN_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_its_own_session_only() {
    let world = World::start().await;
    let (ada, other) = (world.person("ada").await, world.again("ada").await);
    world.logout(&ada.token).await.unwrap();
    world.validate(&other.token).await.unwrap();
    assert_eq!(world.keys().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_cannot_be_told_of_ends_nothing() {
    let world = World::start_with(hurried).await;
    let ada = world.person("ada").await;
    world.postgres.cut();
    assert_unavailable(world.logout(&ada.token)).await;
    world.validate(&ada.token).await.unwrap();
    world.postgres.heal();
    eventually("it works again", async || world.logout(&ada.token).await.is_ok()).await;
    let again = world.again("ada").await;
    world.redis.cut();
    assert_unavailable(world.logout(&again.token)).await;
    world.redis.heal();
    eventually("it is alive", async || world.validate(&again.token).await.is_ok()).await;
    assert_eq!(world.told().await, ["UserCreated", "UserLoggedIn", "UserLoggedOut", "UserLoggedIn"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_end_by_themselves_leave_nothing_behind() {
    let world = World::start_with(|config| config.session.ttl_seconds = 1).await;
    for _ in 0..3 {
        world.register("ada", EMAIL, PASSWORD).await.ok();
        world.again("ada").await;
    }
    eventually("nothing is left", async || world.keys().await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_a_users_sessions_forgets_those_that_are_over() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let index = world.key(&format!("user-sessions:{}", ada.id()));
    for number in 0..5 {
        let _: i64 = world.redis("ZADD", &[&index, &(1_000 + number).to_string(), &Uuid::now_v7().to_string()]).await;
    }
    world.again("ada").await;
    assert_eq!(world.redis::<i64>("ZCARD", &[&index]).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_shown_to_its_user_and_to_admins() {
    let world = World::start_with(|config| config.session.ttl_seconds = 1_000).await;
    let (ada, eve, admin) = (world.person("ada").await, world.person("eve").await, world.admin("root").await);
    let session = get(&world, &ada, &ada.session_id).await.unwrap();
    assert_eq!((&session.session_id, &session.user_id), (&ada.session_id, &ada.id()));
    let (begin, end) = (session.created_at.unwrap().seconds, session.expires_at.unwrap().seconds);
    assert!((980..=1_001).contains(&(end - begin)), "{begin} to {end}");
    assert_eq!(get(&world, &admin, &ada.session_id).await.unwrap().user_id, ada.id());
    for (person, session_id) in [(&eve, &ada.session_id), (&admin, &Uuid::now_v7().to_string())] {
        assert_eq!(get(&world, person, session_id).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(delete(&world, person, session_id).await.unwrap_err().code(), Code::NotFound);
    }
    for wrong in ["", "x", "\0"] {
        assert_eq!(wrong_fields(&get(&world, &ada, wrong).await.unwrap_err()), ["session_id"]);
        assert_eq!(wrong_fields(&delete(&world, &ada, wrong).await.unwrap_err()), ["session_id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_deleted_by_its_user_from_another_one_and_by_admins() {
    let world = World::start().await;
    let (ada, here, admin) = (world.person("ada").await, world.again("ada").await, world.admin("root").await);
    delete(&world, &here, &ada.session_id).await.unwrap();
    assert_eq!(reason(world.validate(&ada.token).await), "SESSION_ENDED");
    assert_eq!(delete(&world, &here, &ada.session_id).await.unwrap_err().code(), Code::NotFound);
    delete(&world, &admin, &here.session_id).await.unwrap();
    assert_eq!(reason(get(&world, &here, &here.session_id).await), "SESSION_ENDED");
    assert_eq!(world.told().await.iter().filter(|told| *told == "UserLoggedOut").count(), 2);
}
