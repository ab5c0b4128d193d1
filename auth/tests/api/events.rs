//! `StreamEvents`

use chassis::testing::eventually;
use events::{
    contract::UserUpdated,
    envelope::Envelope,
    testing::{PATIENCE, TestTopics},
};
use proto::auth::{
    DeleteSessionRequest, DeleteUserRequest, GetUserRequest, StreamEventsRequest, StreamEventsResponse, UpdateUserRequest,
    auth_service_client::AuthServiceClient,
};
use serde_json::Value;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming, transport::Endpoint};
use uuid::Uuid;

use crate::world::{self, EMAIL, PASSWORD, Person, World, assert_unavailable, wrong_fields};

type Events = Streaming<StreamEventsResponse>;

/// A service with a Kafka.
struct Told {
    world: World,
    topics: TestTopics,
}

impl Told {
    async fn start_with(change: impl FnOnce(&mut auth::Config)) -> Self {
        let topics = TestTopics::create().await;
        let kafka = topics.config();
        let world = World::start_with(|config| {
            config.kafka = kafka;
            change(config);
        })
        .await;
        Self { world, topics }
    }

    async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// Events from now on; what happened before has been told before.
    async fn listen(&self, person: &Person, types: &[&str]) -> Events {
        eventually("all is told", async || self.world.outbox().await.is_empty()).await;
        listen(&self.world, person, types).await.unwrap()
    }
}

async fn listen(world: &World, person: &Person, types: &[&str]) -> Result<Events, Status> {
    let event_types = types.iter().map(|kind| (*kind).to_owned()).collect();
    Ok(world.client().stream_events(person.says(StreamEventsRequest { event_types })).await?.into_inner())
}

async fn next(events: &mut Events) -> Result<StreamEventsResponse, Status> {
    Ok(timeout(PATIENCE, events.message()).await.expect("an event or an end")?.expect("no end without a reason"))
}

fn renamed(person: &Person, name: &str) -> tonic::Request<UpdateUserRequest> {
    person.says(UpdateUserRequest { user_id: person.id(), username: Some(name.into()), ..UpdateUserRequest::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_on_other_connections_and_replicas_is_told_in_its_order() {
    let told = Told::start().await;
    let world = &told.world;
    let admin = world.admin("root").await;
    let mut events = told.listen(&admin, &[]).await;
    let ada = world.person("ada").await;
    let (_, replica) = world.replica(|_| ());
    let mut users = proto::auth::user_service_client::UserServiceClient::new(replica);
    users.update_user(renamed(&ada, "ada.l")).await.unwrap();
    world.logout(&ada.token).await.unwrap();
    users.delete_user(admin.says(DeleteUserRequest { user_id: ada.id() })).await.unwrap();
    let mut ids = std::collections::HashSet::new();
    for (kind, field, value) in [
        ("UserCreated", "username", "ada".to_owned()),
        ("UserLoggedIn", "session_id", ada.session_id.clone()),
        ("UserUpdated", "username", "ada.l".to_owned()),
        ("UserLoggedOut", "session_id", ada.session_id.clone()),
        ("UserDeleted", "user_id", ada.id()),
    ] {
        let event = next(&mut events).await.unwrap();
        assert_eq!((event.event_type.as_str(), event.user_id), (kind, ada.id()));
        let data: Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!((data[field].as_str(), data["user_id"].as_str()), (Some(value.as_str()), Some(&*ada.id())));
        assert!(event.occurred_at.is_some() && ids.insert(event.event_id.parse::<Uuid>().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_happens_nothing_is_told() {
    let told = Told::start().await;
    let world = &told.world;
    let admin = world.admin("root").await;
    let mut events = told.listen(&admin, &[]).await;
    world.validate(&admin.token).await.unwrap();
    world.login("root@example.org", "wrong horse battery").await.unwrap_err();
    world.register("root", EMAIL, PASSWORD).await.unwrap_err();
    world.users().get_user(admin.says(GetUserRequest { user_id: admin.id() })).await.unwrap();
    world.users().update_user(renamed(&admin, "root")).await.unwrap();
    world.refresh(&admin.refresh_token).await.unwrap();
    world.ada().await;
    let event = next(&mut events).await.unwrap();
    assert_eq!((event.event_type.as_str(), event.data.contains(EMAIL)), ("UserCreated", true));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_hear_of_themselves_only_and_all_of_what_they_ask_for() {
    let told = Told::start().await;
    let world = &told.world;
    let (ada, eve, admin) = (world.person("ada").await, world.person("eve").await, world.admin("root").await);
    let mut own = told.listen(&ada, &[]).await;
    let mut chosen = told.listen(&admin, &["UserLoggedOut", "UserUpdated"]).await;
    world.again("eve").await;
    world.logout(&eve.token).await.unwrap();
    world.users().update_user(renamed(&ada, "ada.l")).await.unwrap();
    world.again("ada").await;
    for kind in ["UserUpdated", "UserLoggedIn"] {
        let event = next(&mut own).await.unwrap();
        assert_eq!((event.event_type.as_str(), event.user_id), (kind, ada.id()));
    }
    // two users, two partitions: their order is not told
    let mut heard = [next(&mut chosen).await.unwrap(), next(&mut chosen).await.unwrap()].map(|event| (event.event_type, event.user_id));
    heard.sort_unstable();
    assert_eq!(heard, [("UserLoggedOut".to_owned(), eve.id()), ("UserUpdated".to_owned(), ada.id())]);
    let status = listen(world, &ada, &["UserLoggedIn", "OrderPlaced", ""]).await.unwrap_err();
    assert_eq!(wrong_fields(&status), ["event_types[1]", "event_types[2]"]);
    let nobody = world.client().stream_events(StreamEventsRequest::default()).await;
    assert_eq!(world::reason(nobody.map(drop), Code::Unauthenticated), "TOKEN_MISSING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_session_and_not_with_another_one() {
    let told = Told::start().await;
    let world = &told.world;
    let (ada, other, third) = (world.person("ada").await, world.again("ada").await, world.again("ada").await);
    let (mut all, mut few) = (told.listen(&ada, &[]).await, told.listen(&ada, &["UserCreated"]).await);
    let mut others = told.listen(&other, &[]).await;
    let delete = |session_id: &str| third.says(DeleteSessionRequest { session_id: session_id.into() });
    world.session_service().delete_session(delete(&ada.session_id)).await.unwrap();
    for events in [&mut all, &mut others] {
        assert_eq!(next(events).await.unwrap().event_type, "UserLoggedOut");
    }
    for events in [&mut all, &mut few] {
        assert_eq!(world::reason(next(events).await, Code::Unauthenticated), "SESSION_ENDED");
    }
    let change = UpdateUserRequest { user_id: ada.id(), password: Some("another long password".into()), ..UpdateUserRequest::default() };
    world.users().update_user(third.says(change)).await.unwrap();
    assert_eq!(next(&mut others).await.unwrap().event_type, "UserUpdated");
    assert_eq!(world::reason(next(&mut others).await, Code::Unauthenticated), "SESSION_ENDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_a_session_that_ends_unheard_with_its_token_and_with_the_service() {
    let told = Told::start_with(|config| config.stream.session_check_seconds = 1).await;
    let world = &told.world;
    let (ada, eve) = (world.person("ada").await, world.person("eve").await);
    let (mut first, mut second) = (told.listen(&ada, &[]).await, told.listen(&eve, &[]).await);
    let () = world.redis("DEL", &[&world.key(&format!("session:{}", ada.session_id))]).await;
    assert_eq!(world::reason(next(&mut first).await, Code::Unauthenticated), "SESSION_ENDED");

    let (process, replica) = world.replica(|config| config.jwt.access_ttl_seconds = 2);
    let mut client = AuthServiceClient::new(replica);
    let request = proto::auth::RefreshTokenRequest { refresh_token: eve.refresh_token.clone() };
    let token = client.refresh_token(request).await.unwrap().into_inner().access_token;
    let mut third = client.stream_events(world::bearer(&token, StreamEventsRequest::default())).await.unwrap().into_inner();
    assert_eq!(world::reason(next(&mut third).await, Code::Unauthenticated), "TOKEN_EXPIRED");
    process.shutdown.cancel();

    let (process, threads) = world.replica_on_threads();
    let request = eve.says(StreamEventsRequest::default());
    let mut fourth = AuthServiceClient::new(threads).stream_events(request).await.unwrap().into_inner();
    process.shutdown.cancel();
    assert_eq!(next(&mut fourth).await.unwrap_err().code(), Code::Unavailable);

    world.process.shutdown.cancel();
    assert_eq!(next(&mut second).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_too_slowly_is_dropped_and_holds_up_nobody() {
    let told = Told::start_with(|config| config.stream.buffer = 64).await;
    let world = &told.world;
    let admin = world.admin("root").await;
    let mut quick = told.listen(&admin, &[]).await;
    // a client that takes little before it reads
    let channel = Endpoint::from_shared(format!("http://{}", world.address)).unwrap().initial_stream_window_size(65_535).connect().await;
    let request = admin.says(StreamEventsRequest::default());
    let mut slow = AuthServiceClient::new(channel.unwrap()).stream_events(request).await.unwrap().into_inner();
    let (user_id, sent) = (Uuid::now_v7(), 300);
    for number in 0..sent {
        let (username, email, role) = ("ada".into(), "x".repeat(20_000), "user".into());
        let event = UserUpdated { user_id, username, email, role, timestamp: chrono::Utc::now() };
        let event = serde_json::to_string(&Envelope::new(user_id, number, event)).unwrap();
        told.topics.send("user-events", &user_id.to_string(), event, &[]).await;
        assert_eq!(next(&mut quick).await.unwrap().user_id, user_id.to_string());
    }
    let mut heard = 0;
    let status = loop {
        match next(&mut slow).await {
            Ok(_) => heard += 1,
            Err(status) => break status,
        }
    };
    assert_eq!(world::info(&status, Code::ResourceExhausted).reason, "SUBSCRIBER_TOO_SLOW");
    assert!((1..sent).contains(&heard), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kafka_there_are_no_events() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    assert_unavailable(listen(&world, &ada, &[])).await;
}
