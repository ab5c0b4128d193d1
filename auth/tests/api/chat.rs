//! `Chat`

use chassis::{grpc::Channel, testing::eventually};
use proto::auth::{ChatKind, ChatLine, chat_request::Request as Wish, user_service_client::UserServiceClient};
use tokio::sync::mpsc;
use tonic::{Code, transport::Endpoint};

use crate::{
    talk::{Talk, joined, left, line},
    world::{self, World, assert_unavailable, hurried, info, wrong_fields},
};

#[tokio::test(flavor = "multi_thread")]
async fn people_talk_across_connections_and_replicas() {
    let world = World::start().await;
    let (ada, bob) = (world.person("ada").await, world.person("bob").await);
    let (_, replica) = world.replica(|_| ());
    let mut here = Talk::begin(&world, &ada).await;
    let mut there = Talk::open(&mut UserServiceClient::<Channel>::new(replica), &bob).await.unwrap();
    here.enter("tea", "ada").await;
    there.enter("tea", "bob").await;
    assert_eq!(here.hear().await, joined("tea", "bob"));
    here.say("tea", "first \0 ä").await;
    there.say("tea", "second").await;
    here.say("tea", "third").await;
    let heard = [here.hear().await, here.hear().await, here.hear().await];
    assert_eq!(heard, [there.hear().await, there.hear().await, there.hear().await], "both hear all, in one order");
    let own: Vec<_> = heard.iter().filter(|heard| heard.2 == "ada").cloned().collect();
    assert_eq!(own, [line("tea", "ada", "first \0 ä"), line("tea", "ada", "third")]);
    assert!(heard.contains(&line("tea", "bob", "second")));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_talk_on_threads_of_their_own_and_a_replica_that_stops_takes_leave() {
    let world = World::start().await;
    let (ada, bob) = (world.person("ada").await, world.person("bob").await);
    let (process, threads) = world.replica_on_threads();
    let mut here = Talk::begin(&world, &ada).await;
    let mut there = Talk::open(&mut UserServiceClient::<Channel>::new(threads), &bob).await.unwrap();
    there.enter("tea", "bob").await;
    here.enter("tea", "ada").await;
    assert_eq!(there.hear().await, joined("tea", "ada"));
    here.say("tea", "hello").await;
    assert_eq!((here.hear().await, there.hear().await), (line("tea", "ada", "hello"), line("tea", "ada", "hello")));
    process.shutdown.cancel();
    assert_eq!(there.end().await.code(), Code::Unavailable);
    assert_eq!(here.hear().await, left("tea", "bob"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_heard_by_those_who_joined_it() {
    let world = World::start().await;
    let (ada, bob) = (world.person("ada").await, world.person("bob").await);
    let (mut one, mut other) = (Talk::begin(&world, &ada).await, Talk::begin(&world, &bob).await);
    one.enter("tea", "ada").await;
    // once, however often
    one.join("tea").await;
    one.enter("milk", "ada").await;
    other.enter("milk", "bob").await;
    assert_eq!(one.hear().await, joined("milk", "bob"));
    one.say("tea", "1").await;
    one.say("milk", "2").await;
    assert_eq!((one.hear().await, one.hear().await), (line("tea", "ada", "1"), line("milk", "ada", "2")));
    assert_eq!(other.hear().await, line("milk", "ada", "2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_hears_that_last_and_may_come_again() {
    let world = World::start().await;
    let (ada, bob) = (world.person("ada").await, world.person("bob").await);
    let (mut one, mut other) = (Talk::begin(&world, &ada).await, Talk::begin(&world, &bob).await);
    one.enter("tea", "ada").await;
    other.enter("tea", "bob").await;
    assert_eq!(one.hear().await, joined("tea", "bob"));
    one.leave("milk").await;
    one.leave("tea").await;
    for talk in [&mut one, &mut other] {
        assert_eq!(talk.hear().await, left("tea", "ada"));
    }
    other.say("tea", "alone").await;
    assert_eq!(other.hear().await, line("tea", "bob", "alone"));
    one.join("tea").await;
    one.leave("tea").await;
    one.join("tea").await;
    for talk in [&mut one, &mut other] {
        for expected in [joined("tea", "ada"), left("tea", "ada"), joined("tea", "ada")] {
            assert_eq!(talk.hear().await, expected);
        }
    }
    other.say("tea", "again").await;
    assert_eq!(one.hear().await, line("tea", "bob", "again"));
    one.leave("tea").await;
    one.say("tea", "too late").await;
    assert_eq!(one.hear().await, left("tea", "ada"));
    assert_eq!(info(&one.end().await, Code::FailedPrecondition).reason, "ROOM_NOT_JOINED");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_said_all_hears_the_end_of_it_and_who_goes_away_is_missed() {
    let world = World::start().await;
    let (ada, bob, eve) = (world.person("ada").await, world.person("bob").await, world.person("eve").await);
    let mut stays = Talk::begin(&world, &bob).await;
    stays.enter("tea", "bob").await;
    let mut ends = Talk::begin(&world, &ada).await;
    ends.enter("tea", "ada").await;
    ends.say("tea", "bye").await;
    let Talk { says, hears } = ends;
    drop(says);
    let mut ends = Talk { says: mpsc::channel(1).0, hears };
    assert_eq!((ends.hear().await, ends.hear().await), (line("tea", "ada", "bye"), left("tea", "ada")));
    assert_eq!(ends.next().await.unwrap(), None);
    for expected in [joined("tea", "ada"), line("tea", "ada", "bye"), left("tea", "ada")] {
        assert_eq!(stays.hear().await, expected);
    }
    let mut vanishes = Talk::begin(&world, &eve).await;
    vanishes.enter("tea", "eve").await;
    drop(vanishes);
    assert_eq!((stays.hear().await, stays.hear().await), (joined("tea", "eve"), left("tea", "eve")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_ends_the_stream_with_its_reason() {
    let world = World::start().await;
    let (ada, bob) = (world.person("ada").await, world.person("bob").await);
    let mut witness = Talk::begin(&world, &bob).await;
    witness.enter("tea", "bob").await;
    let mut talk = Talk::begin(&world, &ada).await;
    talk.enter("tea", "ada").await;
    talk.say("milk", "hello").await;
    let status = talk.end().await;
    let told = info(&status, Code::FailedPrecondition);
    assert_eq!((told.reason.as_str(), told.metadata["room"].as_str()), ("ROOM_NOT_JOINED", "milk"));
    assert_eq!((witness.hear().await, witness.hear().await), (joined("tea", "ada"), left("tea", "ada")));

    let line = |room: &str, text: &str| Some(Wish::Line(ChatLine { room: room.into(), text: text.into() }));
    let cases: [(Option<Wish>, &[&str]); 5] = [
        (None, &["request"]),
        (Some(Wish::Join("a room".into())), &["join"]),
        (Some(Wish::Leave(String::new())), &["leave"]),
        (line("*", ""), &["line.room", "line.text"]),
        (line("tea", &"x".repeat(2_001)), &["line.text"]),
    ];
    for (wish, fields) in cases {
        let mut talk = Talk::begin(&world, &ada).await;
        talk.wish(wish).await;
        assert_eq!(wrong_fields(&talk.end().await), fields);
    }
    let mut talk = Talk::begin(&world, &ada).await;
    for number in 0..32 {
        talk.enter(&format!("room-{number}"), "ada").await;
    }
    talk.join("one-more").await;
    assert_eq!(info(&talk.end().await, Code::ResourceExhausted).reason, "TOO_MANY_ROOMS");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_session_any_more_says_nothing_more() {
    let world = World::start_with(|config| config.stream.session_check_seconds = 1).await;
    let (ada, here) = (world.person("ada").await, world.again("ada").await);
    let (mut speaks, mut listens) = (Talk::begin(&world, &ada).await, Talk::begin(&world, &ada).await);
    let mut other = Talk::begin(&world, &here).await;
    for talk in [&mut speaks, &mut listens, &mut other] {
        talk.join("tea").await;
        talk.hear().await;
    }
    world.logout(&ada.token).await.unwrap();
    speaks.say("tea", "still here").await;
    for talk in [&mut speaks, &mut listens] {
        assert_eq!(info(&talk.end().await, Code::Unauthenticated).reason, "SESSION_ENDED");
    }
    let gone = Talk::open(&mut world.users(), &ada).await;
    assert_eq!(world::reason(gone.map(|_| ()), Code::Unauthenticated), "SESSION_ENDED");
    assert_eq!((other.hear().await, other.hear().await), (left("tea", "ada"), left("tea", "ada")));
    other.say("tea", "unheard of").await;
    assert_eq!(other.hear().await, line("tea", "ada", "unheard of"));
    world.process.shutdown.cancel();
    assert_eq!(other.end().await.code(), Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_too_slowly_is_dropped_and_holds_up_nobody() {
    let world = World::start_with(|config| config.stream.buffer = 16).await;
    let (ada, bob) = (world.person("ada").await, world.person("bob").await);
    let mut quick = Talk::begin(&world, &bob).await;
    quick.enter("tea", "bob").await;
    // a client that takes little before it reads
    let channel = Endpoint::from_shared(format!("http://{}", world.address)).unwrap().initial_stream_window_size(65_535).connect().await;
    let mut slow = Talk::open(&mut UserServiceClient::new(channel.unwrap()), &ada).await.unwrap();
    slow.join("tea").await;
    assert_eq!(quick.hear().await, joined("tea", "ada"));
    let text = "ä".repeat(2_000);
    let mut said = 0;
    // until it is gone: what fits into buffers is not endless
    loop {
        quick.say("tea", &text).await;
        said += 1;
        assert!(said < 2_000, "it is still there");
        let mut heard = quick.hear().await;
        while heard.0 == ChatKind::Line && heard.2 != "bob" {
            heard = quick.hear().await;
        }
        if heard == left("tea", "ada") {
            break;
        }
    }
    assert_eq!(info(&slow.end().await, Code::ResourceExhausted).reason, "SUBSCRIBER_TOO_SLOW");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_nobody_talks_and_afterwards_they_do_again() {
    let world = World::start_with(hurried).await;
    let ada = world.person("ada").await;
    for stop in [chassis::testing::TestProxy::cut, chassis::testing::TestProxy::freeze] {
        let mut talk = Talk::begin(&world, &ada).await;
        talk.enter("tea", "ada").await;
        stop(&world.redis);
        let status = talk.end().await;
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "a dependency is unavailable"));
        assert_unavailable(async { Talk::open(&mut world.users(), &ada).await.map(|_| ()) }).await;
        world.redis.heal();
        eventually("they talk again", async || Talk::open(&mut world.users(), &ada).await.is_ok()).await;
    }
}
