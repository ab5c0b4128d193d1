//! `SearchProducts`

use futures::StreamExt;
use proto::catalog::{Product, ProductDraft, SearchProductsRequest, SearchProductsResponse};
use tonic::Status;

use crate::{
    world::{World, demo_ids, get, wrong_fields},
    writing::{Client, create, delete, draft, id, update},
};

async fn search(client: &mut Client, query: &str, limit: u32) -> Result<Vec<SearchProductsResponse>, Status> {
    let answers = client.search_products(SearchProductsRequest { query: query.into(), limit }).await?.into_inner();
    answers.collect::<Vec<_>>().await.into_iter().collect()
}

async fn skus(client: &mut Client, query: &str) -> Vec<String> {
    search(client, query, 100).await.unwrap().into_iter().map(|hit| hit.product.unwrap().sku).collect()
}

fn described(sku: &str, name: &str, description: &str) -> ProductDraft {
    ProductDraft { name: name.into(), description: description.into(), ..draft(sku) }
}

async fn shoes(client: &mut Client) -> Vec<Product> {
    let mut made = Vec::new();
    for (sku, name, description) in [
        ("SHOE-1", "Light sandals", "Not for running. Shoes for the beach."),
        ("SHOE-2", "Running shoes", "Made for runners who run far."),
        ("SHOE-3", "Walking boots", "Nobody runs in these."),
    ] {
        made.push(create(client, described(sku, name, description)).await.unwrap());
    }
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_found_by_their_stem_and_names_before_descriptions() {
    let world = World::start().await;
    let mut client = world.client();
    let made = shoes(&mut client).await;
    for query in ["run", "running", "Runs!"] {
        let hits = search(&mut client, query, 0).await.unwrap();
        assert_eq!(hits.len(), 3, "{query}");
        assert_eq!(hits[0].product.as_ref(), Some(&made[1]), "{query}");
        assert!(hits.is_sorted_by(|one, next| one.rank >= next.rank) && hits[0].rank > hits[1].rank, "{hits:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_read_as_in_a_web_search() {
    let world = World::start().await;
    let mut client = world.client();
    shoes(&mut client).await;
    assert_eq!(skus(&mut client, "running -beach").await, ["SHOE-2", "SHOE-3"]);
    assert_eq!(skus(&mut client, "\"running shoes\"").await.first().map(String::as_str), Some("SHOE-2"));
    let mut either = skus(&mut client, "sandals or boots").await;
    either.sort_unstable();
    assert_eq!(either, ["SHOE-1", "SHOE-3"]);
    assert_eq!(skus(&mut client, "sandals boots").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn skus_and_categories_are_found() {
    let world = World::start().await;
    let mut client = world.client();
    assert_eq!(skus(&mut client, "cof-001").await, ["COF-001"]);
    assert!(skus(&mut client, "tea").await.len() >= 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_found_at_once_and_what_was_deleted_is_not() {
    let world = World::start().await;
    let mut client = world.client();
    let made = create(&mut client, described("Q", "Quixotic lamp", "")).await.unwrap();
    assert_eq!(skus(&mut client, "quixotic").await, ["Q"]);
    update(&mut client, id(&made), described("Q", "Sober lamp", ""), None).await.unwrap();
    assert_eq!(skus(&mut client, "quixotic").await, [""; 0]);
    assert_eq!(skus(&mut client, "sober").await, ["Q"]);
    delete(&mut client, id(&made), None).await.unwrap();
    assert_eq!(skus(&mut client, "sober").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_hits_come_by_id_and_no_more_than_asked_for() {
    let world = World::start().await;
    let mut client = world.client();
    world.execute("UPDATE catalog.products SET name = 'equal', description = '', category = 'c', sku = 'S' || sku").await;
    let all = search(&mut client, "equal", 100).await.unwrap();
    let found: Vec<_> = all.iter().map(|hit| hit.product.as_ref().unwrap().product_id.clone()).collect();
    assert_eq!(found, demo_ids()[..100].iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(search(&mut client, "equal", 7).await.unwrap(), all[..7]);
    assert_eq!(search(&mut client, "equal", 0).await.unwrap(), all[..20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_a_word_that_counts_finds_nothing() {
    let world = World::start().await;
    let mut client = world.client();
    for query in ["the", "a and of", "!!!", "\"\"", "-", "- or -", "'); DROP TABLE catalog.products; --", "&|!<->", ":*", "\\", "%"] {
        assert_eq!(search(&mut client, query, 100).await.unwrap(), [], "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_queries_are_named() {
    let world = World::start().await;
    let mut client = world.client();
    for query in ["", " ", "a\0b", &"x".repeat(201)] {
        assert_eq!(wrong_fields(&search(&mut client, query, 0).await.unwrap_err()), ["query"], "{query:?}");
    }
    assert_eq!(wrong_fields(&search(&mut client, "", 101).await.unwrap_err()), ["query", "limit"]);
    assert_eq!(search(&mut client, &"ö".repeat(200), 100).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_holds_no_connection() {
    let world = World::start_with(|config| {
        config.database.pool_size = 1;
        config.database.acquire_timeout_ms = 5_000;
    })
    .await;
    // more than a connection takes that nobody reads from
    world.execute("UPDATE catalog.products SET description = repeat('slowly ', 3000)").await;
    let request = SearchProductsRequest { query: "slowly".into(), limit: 100 };
    let unread = world.client().search_products(request).await.unwrap();
    get(&mut world.client(), demo_ids()[0]).await.unwrap();
    assert_eq!(unread.into_inner().count().await, 100);
}
