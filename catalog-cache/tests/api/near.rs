//! What a process keeps itself: it is quick, and nobody is told what was before a change.

use std::time::{Duration, Instant};

use catalog_cache::Config;
use chassis::{
    Process, spawn,
    testing::{TestProxy, eventually},
};
use diesel_async::AsyncPgConnection;
use proto::catalog::Product;
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    batches::batch,
    counting::count,
    posts::{self, actor, comment, read},
    world::{Replica, World, channel, demo_ids, get, hurried},
    writing::{Client, create, delete, draft, id, update},
};

const WAYS: [fn(&TestProxy); 2] = [TestProxy::cut, TestProxy::freeze];
/// Sooner than what is kept is given up by itself.
const SOON: Duration = Duration::from_secs(20);

/// Nothing is given up by itself while a test runs.
fn near(config: &mut Config) {
    (config.cache.near_entries, config.cache.near_ttl_ms) = (1_000, 60_000);
}

fn hits(process: &Process) -> u64 {
    count(process, "near_requests", "cache=\"product\",result=\"hit\"")
}

/// Waits until the process serves a product itself.
async fn kept(process: &Process, client: &mut Client, id: Uuid) {
    get(client, id).await.unwrap();
    eventually("the process has the product itself", async || {
        let before = hits(process);
        get(client, id).await.unwrap();
        hits(process) > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_keeps_itself_is_not_asked_of_redis() {
    let world = World::start_with(near).await;
    let (mut client, ids) = (world.client(), demo_ids());
    let first = get(&mut client, ids[0]).await.unwrap();
    kept(&world.process, &mut client, ids[0]).await;
    let commands = world.watch_redis().await;
    for mut client in [world.client(), world.client()] {
        assert_eq!(get(&mut client, ids[0]).await.unwrap(), first);
    }
    assert_eq!(commands.count("MGET"), 0);
    // of a batch Redis is asked only for the rest
    assert_eq!(batch(&mut client, &ids[..2]).await.unwrap().products.len(), 2);
    eventually("Redis was asked", async || commands.count("MGET") == 1).await;
    assert_eq!(commands.count(&world.key(ids[0])), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_another_process_is_seen_at_once() {
    let world = World::start_with(near).await;
    // one that keeps nothing itself tells the others all the same
    let replica = world.replica().await;
    let (mut here, mut there, ids) = (world.client(), Client::new(channel(replica.address)), demo_ids());
    for (round, id) in ids[..5].iter().enumerate() {
        kept(&world.process, &mut here, *id).await;
        let (begun, heard) = (Instant::now(), count(&world.process, "invalidations", "cache=\"product\""));
        let updated = update(&mut there, id, draft(&format!("NEW-{round}")), None).await.unwrap();
        eventually("the change is seen", async || get(&mut here, *id).await.unwrap() == updated).await;
        kept(&world.process, &mut here, *id).await;
        delete(&mut there, id, None).await.unwrap();
        eventually("so is the deletion", async || get(&mut here, *id).await.is_err_and(|status| status.code() == Code::NotFound)).await;
        assert!(begun.elapsed() < SOON);
        assert_eq!(count(&world.process, "invalidations", "cache=\"product\"") - heard, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_by_way_of_another_process_are_seen_at_once() {
    let world = World::start_with(near).await;
    let replica = world.replica_with(near).await;
    let (mut here, mut there, ada) = (world.posts(), posts::Client::new(channel(replica.address)), actor("ada", "user"));
    let post = posts::create(&mut here, &ada, "Looms").await.unwrap();
    for number in 1..=5 {
        let begun = Instant::now();
        eventually("the process has the post itself", async || {
            let hits = || count(&world.process, "near_requests", "cache=\"post\",result=\"hit\"");
            let before = hits();
            read(&mut here, &post.post_id).await.unwrap();
            hits() > before
        })
        .await;
        comment(&mut there, &ada, &post.post_id, "well").await.unwrap();
        // who wrote it sees it without waiting
        assert_eq!(read(&mut there, &post.post_id).await.unwrap().comments.len(), number);
        eventually("the comment is seen", async || read(&mut here, &post.post_id).await.unwrap().comments.len() == number).await;
        assert!(begun.elapsed() < SOON);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wrote_reads_what_was_written_and_no_reader_goes_back_in_time() {
    let world = World::start_with(near).await;
    let (mut client, id) = (world.client(), demo_ids()[0]);
    kept(&world.process, &mut client, id).await;
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mut client = world.client();
            spawn(async move {
                let mut last = 0;
                while last < 101 {
                    let version = get(&mut client, id).await.unwrap().version;
                    assert!(version >= last, "{version} after {last}");
                    last = version;
                }
            })
        })
        .collect();
    for round in 0..100 {
        let updated = update(&mut client, id, draft(&format!("S-{round}")), None).await.unwrap();
        assert_eq!(get(&mut client, id).await.unwrap(), updated);
        assert_eq!(batch(&mut client, [id]).await.unwrap().products, [updated]);
    }
    for reader in readers {
        reader.await.unwrap();
    }
    delete(&mut client, id, None).await.unwrap();
    assert_eq!(get(&mut client, id).await.unwrap_err().code(), Code::NotFound);
}

/// A reader waits at the gate with the old row of a product, while it is changed here or in another process.
struct SlowReader {
    world: World,
    replica: Replica,
    id: Uuid,
    gate: AsyncPgConnection,
    answer: JoinHandle<Result<Product, Status>>,
}

impl SlowReader {
    async fn start() -> Self {
        let world = World::start_with(|config| {
            near(config);
            config.database.work_timeout_ms = 60_000;
            config.database.lock_timeout_ms = 60_000;
        })
        .await;
        let (replica, [id, other]) = (world.replica().await, [demo_ids()[0], demo_ids()[1]]);
        let mut client = world.client();
        kept(&world.process, &mut client, other).await;
        world.count_loads().await;
        world.hold_only_the_next_load().await;
        let gate = world.shut_gate().await;
        let answer = spawn(async move { get(&mut client, id).await });
        eventually("the slow reader has seen the old row", async || world.loads().await == 1).await;
        Self { world, replica, id, gate, answer }
    }

    /// Changes the product; returns when this process has heard it.
    async fn change(&self, mut writer: Client) -> Product {
        let updated = update(&mut writer, self.id, draft("NEW"), None).await.unwrap();
        let process = &self.world.process;
        eventually("the change is known here", async || count(process, "invalidations", "cache=\"product\"") == 1).await;
        updated
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_does_not_keep_what_was_before_a_change() {
    for elsewhere in [false, true] {
        let slow = SlowReader::start().await;
        let writer = if elsewhere { Client::new(channel(slow.replica.address)) } else { slow.world.client() };
        let updated = slow.change(writer).await;
        drop(slow.gate);
        assert_eq!(slow.answer.await.unwrap().unwrap().version, 1);
        for _ in 0..3 {
            assert_eq!(get(&mut slow.world.client(), slow.id).await.unwrap(), updated);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_after_a_change_elsewhere_does_not_wait_for_a_load_that_began_before() {
    let slow = SlowReader::start().await;
    let updated = slow.change(Client::new(channel(slow.replica.address))).await;
    // Redis has lost it, as it may
    let () = slow.world.redis("DEL", &[&slow.world.key(slow.id)]).await;
    assert_eq!(get(&mut slow.world.client(), slow.id).await.unwrap(), updated);
    assert!(!slow.answer.is_finished());
    drop(slow.gate);
    slow.answer.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_changes_are_not_heard_nothing_is_served_from_memory_and_then_it_begins_empty() {
    for stop in WAYS {
        let world = World::start_with(|config| {
            hurried(config);
            near(config);
        })
        .await;
        let replica = world.replica().await;
        let (mut here, mut there, id) = (world.client(), Client::new(channel(replica.address)), demo_ids()[0]);
        kept(&world.process, &mut here, id).await;
        stop(&world.redis);
        let bypassed = || count(&world.process, "near_requests", "cache=\"product\",result=\"bypassed\"");
        let none = bypassed();
        eventually("the loss is noticed", async || {
            get(&mut here, id).await.unwrap();
            bypassed() > none
        })
        .await;
        // its message is lost to this process
        let updated = update(&mut there, id, draft("NEW"), None).await.unwrap();
        let before = hits(&world.process);
        assert_eq!(get(&mut here, id).await.unwrap(), updated);
        assert_eq!(hits(&world.process), before);
        world.redis.heal();
        eventually("the process keeps something itself again", async || {
            assert_eq!(get(&mut here, id).await.unwrap(), updated);
            hits(&world.process) > before
        })
        .await;
        let again = update(&mut there, id, draft("NEWER"), None).await.unwrap();
        eventually("changes are heard again", async || get(&mut here, id).await.unwrap() == again).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_which_redis_was_not_told_is_not_hidden_by_what_the_process_keeps() {
    let world = World::start_with(|config| {
        hurried(config);
        near(config);
    })
    .await;
    let (mut client, id) = (world.client(), demo_ids()[0]);
    kept(&world.process, &mut client, id).await;
    world.redis.cut();
    let updated = update(&mut client, id, draft("NEW"), None).await.unwrap();
    assert_eq!(get(&mut client, id).await.unwrap(), updated);
    world.redis.heal();
    let before = hits(&world.process);
    eventually("the process keeps it itself again", async || {
        assert_eq!(get(&mut client, id).await.unwrap(), updated);
        hits(&world.process) > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_message_tells_of_is_served_no_longer_than_configured() {
    let world = World::start_with(|config| (config.cache.near_entries, config.cache.near_ttl_ms) = (1_000, 100)).await;
    let (mut client, id) = (world.client(), demo_ids()[0]);
    kept(&world.process, &mut client, id).await;
    world.execute(&format!("UPDATE catalog.products SET name = 'renamed', version = 2 WHERE product_id = '{id}'")).await;
    let () = world.redis("DEL", &[&world.key(id)]).await;
    let begun = Instant::now();
    eventually("the change is seen", async || get(&mut client, id).await.unwrap().name == "renamed").await;
    assert!(begun.elapsed() < SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_kept_than_configured() {
    let world = World::start_with(|config| (config.cache.near_entries, config.cache.near_ttl_ms) = (10, 60_000)).await;
    let (mut client, ids) = (world.client(), demo_ids());
    kept(&world.process, &mut client, ids[0]).await;
    assert_eq!(batch(&mut client, &ids).await.unwrap().products.len(), 200);
    eventually("what had no room is counted", async || {
        get(&mut client, ids[0]).await.unwrap();
        count(&world.process, "near_evictions", "cache=\"product\"") >= 190
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_a_write_is_seen_through_every_replica_without_waiting() {
    let world = World::start().await;
    let replica = world.replica().await;
    let mut clients = [world.client(), Client::new(channel(replica.address))];
    for round in 0..20 {
        let (writer, reader) = (round % 2, (round + 1) % 2);
        let created = create(&mut clients[writer], draft(&format!("S-{round}"))).await.unwrap();
        assert_eq!(get(&mut clients[reader], id(&created)).await.unwrap(), created);
        let updated = update(&mut clients[reader], id(&created), draft(&format!("T-{round}")), None).await.unwrap();
        assert_eq!(get(&mut clients[writer], id(&created)).await.unwrap(), updated);
    }
}
