//! What is kept in Redis, and for how long.

use chrono::Utc;
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use crate::world::{World, demo_ids, get};

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_read_from_the_cache_until_its_entry_is_gone() {
    let world = World::start().await;
    let (mut client, id) = (world.client(), demo_ids()[0]);
    let before = get(&mut client, id).await.unwrap();
    world.execute(&format!("UPDATE catalog.products SET name = 'renamed', version = 2 WHERE product_id = '{id}'")).await;
    assert_eq!(get(&mut client, id).await.unwrap(), before);
    let () = world.redis("DEL", &[&world.key(id)]).await;
    let after = get(&mut client, id).await.unwrap();
    assert_eq!((after.name.as_str(), after.version), ("renamed", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_json_with_the_rows_version_and_lives_as_long_as_configured() {
    let world = World::start_with(|config| {
        (config.cache.ttl_seconds, config.cache.jitter_ratio, config.cache.stale_seconds) = (1_000, 0.5, 5_000);
    })
    .await;
    let mut lifetimes = Vec::new();
    for id in &demo_ids()[..20] {
        let product = get(&mut world.client(), id).await.unwrap();
        let entry: Value = serde_json::from_str(&world.redis::<String>("GET", &[&world.key(*id)]).await).unwrap();
        assert_eq!((&entry["version"], &entry["value"]["price"]), (&json!(1), &json!(product.price.unwrap().amount)));
        let ttl: i64 = world.redis("TTL", &[&world.key(*id)]).await;
        // a slow machine may have taken some seconds
        assert!((5_480..=6_000).contains(&ttl), "{ttl}");
        lifetimes.push(ttl);
        let fresh_for = entry["fresh_until"].as_i64().unwrap() - Utc::now().timestamp_millis();
        assert!((fresh_for / 1_000 + 5_000 - ttl).abs() <= 2, "{fresh_for} {ttl}");
    }
    lifetimes.sort_unstable();
    assert!(lifetimes[0] + 60 < lifetimes[19], "no jitter: {lifetimes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_jitter_all_entries_live_equally_long() {
    let world = World::start_with(|config| {
        (config.cache.ttl_seconds, config.cache.jitter_ratio, config.cache.stale_seconds) = (1_000, 0.0, 0);
    })
    .await;
    for id in &demo_ids()[..5] {
        get(&mut world.client(), id).await.unwrap();
        let ttl: i64 = world.redis("TTL", &[&world.key(*id)]).await;
        assert!((980..=1_000).contains(&ttl), "{ttl}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_id_is_remembered_for_a_short_time() {
    let world = World::start_with(|config| config.cache.unknown_ttl_seconds = 60).await;
    world.count_loads().await;
    let (mut client, id) = (world.client(), Uuid::now_v7());
    for _ in 0..3 {
        assert_eq!(get(&mut client, id).await.unwrap_err().code(), Code::NotFound);
    }
    assert_eq!(world.loads().await, 1);
    let ttl: i64 = world.redis("TTL", &[&world.key(id)]).await;
    assert!((1..=60).contains(&ttl), "{ttl}");
    let () = world.redis("DEL", &[&world.key(id)]).await;
    let row =
        format!("INSERT INTO catalog.rows (product_id, sku, name, category, price, currency) VALUES ('{id}', 'X', 'x', 'x', 1, 'EUR')");
    world.execute(&row).await;
    assert_eq!(get(&mut client, id).await.unwrap().sku, "X");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_cannot_be_read_is_replaced() {
    let world = World::start().await;
    let (id, key) = (demo_ids()[0], world.key(demo_ids()[0]));
    for entry in ["", "{", "{\"version\":1}", "7"] {
        let () = world.redis("SET", &[&key, entry]).await;
        assert_eq!(get(&mut world.client(), id).await.unwrap().product_id, id.to_string());
        assert_ne!(world.redis::<String>("GET", &[&key]).await, entry);
    }
}
