//! `BatchGetProducts`

use chassis::{config::Secret, grpc::Channel, testing::eventually};
use proto::catalog::{BatchGetProductsRequest, BatchGetProductsResponse, product_service_client::ProductServiceClient};
use tonic::Status;
use uuid::Uuid;

use crate::{
    turns::Turns,
    world::{World, demo_ids, get, wrong_fields},
};

pub(crate) async fn batch<T: ToString>(
    client: &mut ProductServiceClient<Channel>,
    ids: impl IntoIterator<Item = T>,
) -> Result<BatchGetProductsResponse, Status> {
    let product_ids = ids.into_iter().map(|id| id.to_string()).collect();
    Ok(client.batch_get_products(BatchGetProductsRequest { product_ids }).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn products_come_in_the_order_of_the_request_and_unknown_ids_are_listed() {
    let world = World::start().await;
    let (known, strangers) = (demo_ids(), [Uuid::now_v7(), Uuid::now_v7()]);
    let asked = [known[9], strangers[1], known[3], known[100], strangers[0], known[3]];
    for _ in 0..2 {
        let answer = batch(&mut world.client(), asked).await.unwrap();
        let found: Vec<_> = answer.products.iter().map(|product| product.product_id.clone()).collect();
        assert_eq!(found, [known[9], known[3], known[100], known[3]].map(|id| id.to_string()));
        assert_eq!(answer.unknown_product_ids, [strangers[1], strangers[0]].map(|id| id.to_string()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_1_to_500_ids() {
    let world = World::start().await;
    let mut client = world.client();
    assert_eq!(wrong_fields(&batch(&mut client, [""; 0]).await.unwrap_err()), ["product_ids"]);
    let many: Vec<_> = demo_ids().into_iter().chain(std::iter::repeat_with(Uuid::now_v7)).take(501).collect();
    assert_eq!(wrong_fields(&batch(&mut client, &many).await.unwrap_err()), ["product_ids"]);
    let answer = batch(&mut client, &many[..500]).await.unwrap();
    assert_eq!((answer.products.len(), answer.unknown_product_ids.len()), (200, 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_id_that_is_none_is_named() {
    let world = World::start().await;
    let ids = [demo_ids()[0].to_string(), "x".into(), Uuid::now_v7().to_string(), String::new()];
    assert_eq!(wrong_fields(&batch(&mut world.client(), ids).await.unwrap_err()), ["product_ids[1]", "product_ids[3]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn misses_cost_one_mget_and_one_statement() {
    let world = World::start().await;
    world.count_loads().await;
    let ids = demo_ids();
    let mut client = world.client();
    get(&mut client, ids[0]).await.unwrap();
    assert_eq!(world.loads().await, 1);
    let commands = world.watch_redis().await;
    assert_eq!(batch(&mut client, &ids[..100]).await.unwrap().products.len(), 100);
    assert_eq!(world.loads().await, 2);
    eventually("99 products are kept", async || commands.count("SET") == 99).await;
    assert_eq!(commands.count("MGET"), 1);
    assert_eq!(batch(&mut client, &ids[..100]).await.unwrap().products.len(), 100);
    assert_eq!(world.loads().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_500_is_looked_up_in_one_round_trip_and_kept_without_one_for_each() {
    let turns = Turns::start().await;
    let world = World::start_with(|config| {
        config.redis.url = Secret::new(turns.url());
        config.redis.pool_size = 1;
    })
    .await;
    let ids = world.add_products(500).await;
    let mut client = world.client();
    get(&mut client, demo_ids()[0]).await.unwrap();
    let (commands, before) = (world.watch_redis().await, turns.count());
    assert_eq!(batch(&mut client, &ids).await.unwrap().products.len(), 500);
    eventually("500 products are kept", async || commands.count("SET") == 500).await;
    assert_eq!(commands.count("MGET"), 1);
    // Redis begins to answer a pipeline before it has seen the end
    assert!(turns.count() - before < 60, "{}", turns.count() - before);
    let before = turns.count();
    assert_eq!(batch(&mut client, &ids).await.unwrap().products.len(), 500);
    assert_eq!(turns.count() - before, 1);
}
