//! What the service says to Redis: few commands, and on keys of its own alone.

use std::{collections::BTreeSet, fs, path::Path};

use chassis::config::Secret;
use proto::catalog::{CheckRateLimitRequest, GetLeaderboardRequest};
use tonic::Code;
use uuid::Uuid;

use crate::{
    counting::count,
    posts::{self, actor, comment, read},
    world::{World, get},
    writing::{create, delete, draft, id, update},
};

/// The rights that docs/redis.md gives to the service's account, from `-@all` on.
fn rights() -> Vec<&'static str> {
    let line = include_str!("../../../docs/redis.md").lines().find(|line| line.starts_with("ACL SETUSER")).expect("an account");
    line.split_whitespace().skip_while(|word| *word != "-@all").collect()
}

/// The words that follow a mark in the sources.
fn words_after(mark: &str, folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            words_after(mark, &path, found);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            found.extend(text.split(mark).skip(1).map(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).collect::<String>()));
        }
    }
}

#[test]
fn the_sources_send_no_command_that_is_not_documented() {
    let (mut sent, sources) = (BTreeSet::new(), Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    for mark in ["cmd(\"", "redis.call('"] {
        words_after(mark, &sources, &mut sent);
    }
    assert!(sent.contains("MGET") && sent.contains("ZADD"), "{sent:?}");
    let rights = rights();
    let undocumented: Vec<_> = sent.iter().filter(|word| !rights.contains(&format!("+{}", word.to_lowercase()).as_str())).collect();
    assert!(undocumented.is_empty(), "{undocumented:?} of {sent:?}");
    for dangerous in ["keys", "scan", "flushdb", "flushall", "config", "psubscribe"] {
        assert!(!rights.contains(&format!("+{dangerous}").as_str()), "{dangerous}");
    }
}

/// An account that may do what is documented, to keys and channels with the prefix of this test.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rights_are_enough_and_every_key_has_its_prefix() {
    let (admin, account) = (World::start().await, format!("test-{}", Uuid::now_v7().simple()));
    let (keys, channels) = (format!("~{}*", admin.prefix), format!("&{}*", admin.prefix));
    let rights = [&[account.as_str(), "on", ">secret", "resetkeys", &keys, "resetchannels", &channels], rights().as_slice()].concat();
    let () = admin.redis("ACL", &[&["SETUSER"], rights.as_slice()].concat()).await;
    let prefix = admin.prefix.clone();
    let world = World::start_with(|config| {
        config.redis.url = Secret::new(config.redis.url.expose().replace("redis://", &format!("redis://{account}:secret@")));
        config.cache.key_prefix.clone_from(&prefix);
        config.cache.post_key_prefix = format!("{prefix}post:");
        config.limiter.key_prefix = format!("{prefix}limit:");
        config.leaderboard.key = format!("{prefix}leaderboard");
        config.cache.near_entries = 100;
    })
    .await;
    use_everything(&world, &admin).await;
    assert_eq!(count(&world.process, "requests", "cache=\"product\",result=\"failed\""), 0);
    let () = admin.redis("ACL", &["DELUSER", &account]).await;
}

/// `admin` has the prefix of the keys.
async fn use_everything(world: &World, admin: &World) {
    let (mut client, mut post_client, ada) = (world.client(), world.posts(), actor("ada", "user"));
    let id = id(&create(&mut client, draft("NEW")).await.unwrap());
    update(&mut client, id, draft("NEWER"), None).await.unwrap();
    assert_eq!(admin.entry(id).await.unwrap()["version"], 2);
    admin.expire(id).await;
    get(&mut client, id).await.unwrap();
    chassis::testing::eventually("changes are heard", async || {
        update(&mut client, id, draft("NEWER"), None).await.unwrap();
        count(&world.process, "invalidations", "cache=\"product\"") > 0
    })
    .await;
    delete(&mut client, id, None).await.unwrap();
    assert_eq!(get(&mut client, id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(get(&mut client, Uuid::now_v7()).await.unwrap_err().code(), Code::NotFound);
    let post = posts::create(&mut post_client, &ada, "Looms").await.unwrap();
    comment(&mut post_client, &ada, &post.post_id, "well").await.unwrap();
    assert_eq!(read(&mut post_client, &post.post_id).await.unwrap().comments.len(), 1);
    let request = CheckRateLimitRequest { key: "k".into(), limit: 1, window_seconds: 60 };
    assert!(world.limits().check_rate_limit(request.clone()).await.unwrap().into_inner().allowed);
    assert!(!world.limits().check_rate_limit(request).await.unwrap().into_inner().allowed);
    world.bestsellers().get_leaderboard(GetLeaderboardRequest::default()).await.unwrap();
}
