//! `CreateProduct`, `UpdateProduct`, `DeleteProduct`

use chassis::grpc::Channel;
use futures::future::join_all;
use proto::catalog::{
    CreateProductRequest, DeleteProductRequest, Money, Product, ProductDraft, UpdateProductRequest,
    product_service_client::ProductServiceClient,
};
use serde_json::json;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    batches::batch,
    world::{World, demo_ids, get, refusal},
};

pub(crate) type Client = ProductServiceClient<Channel>;

pub(crate) fn draft(sku: &str) -> ProductDraft {
    ProductDraft {
        sku: sku.into(),
        name: format!("Product {sku}"),
        description: "First line.\nSecond line.".into(),
        category: "new-things".into(),
        price: Some(Money { amount: "19.9".into(), currency: "EUR".into() }),
    }
}

pub(crate) async fn create(client: &mut Client, product: ProductDraft) -> Result<Product, Status> {
    let response = client.create_product(CreateProductRequest { product: Some(product) }).await?;
    Ok(response.into_inner().product.unwrap())
}

pub(crate) async fn update(client: &mut Client, id: impl ToString, product: ProductDraft, version: Option<i64>) -> Result<Product, Status> {
    let request = UpdateProductRequest { product_id: id.to_string(), product: Some(product), version };
    Ok(client.update_product(request).await?.into_inner().product.unwrap())
}

pub(crate) async fn delete(client: &mut Client, id: impl ToString, version: Option<i64>) -> Result<(), Status> {
    client.delete_product(DeleteProductRequest { product_id: id.to_string(), version }).await.map(drop)
}

pub(crate) fn id(product: &Product) -> Uuid {
    product.product_id.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_is_seen_by_the_next_read_of_every_connection() {
    let world = World::start().await;
    let mut clients = [world.client(), world.client(), world.client()];
    for round in 0..10 {
        // whether the cache holds what was before, or nothing
        let forget = async |id: Uuid| {
            if round % 2 == 1 {
                let () = world.redis("DEL", &[&world.key(id)]).await;
            }
        };
        let created = create(&mut clients[0], draft(&format!("SKU-{round}"))).await.unwrap();
        let id = id(&created);
        assert_eq!((created.version, created.price.as_ref().unwrap().amount.as_str()), (1, "19.90"));
        forget(id).await;
        for client in &mut clients {
            assert_eq!(get(client, id).await.unwrap(), created);
        }
        let updated = update(&mut clients[1], id, draft(&format!("OTHER-{round}")), None).await.unwrap();
        assert_eq!((updated.version, updated.sku.as_str()), (2, format!("OTHER-{round}").as_str()));
        forget(id).await;
        for client in &mut clients {
            assert_eq!(get(client, id).await.unwrap(), updated);
        }
        delete(&mut clients[2], id, None).await.unwrap();
        forget(id).await;
        for client in &mut clients {
            assert_eq!(get(client, id).await.unwrap_err().code(), Code::NotFound);
            assert_eq!(batch(client, [id]).await.unwrap().unknown_product_ids, [id.to_string()]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_leaves_what_it_wrote_in_the_cache() {
    let world = World::start().await;
    let mut client = world.client();
    let id = id(&create(&mut client, draft("NEW")).await.unwrap());
    let entry = world.entry(id).await.unwrap();
    assert_eq!((&entry["version"], &entry["value"]["sku"]), (&json!(1), &json!("NEW")));
    update(&mut client, id, draft("NEWER"), Some(1)).await.unwrap();
    let entry = world.entry(id).await.unwrap();
    assert_eq!((&entry["version"], &entry["value"]["sku"]), (&json!(2), &json!("NEWER")));
    assert!((1..=900).contains(&world.redis::<i64>("TTL", &[&world.key(id)]).await));
    delete(&mut client, id, Some(2)).await.unwrap();
    assert_eq!(world.entry(id).await.unwrap()["gone"], json!(true));
    assert!((1..=300).contains(&world.redis::<i64>("TTL", &[&world.key(id)]).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_known_to_be_unknown_is_found_once_it_is_written() {
    let world = World::start_with(|config| config.cache.unknown_ttl_seconds = 1_000).await;
    let (mut client, id) = (world.client(), Uuid::now_v7());
    assert_eq!(get(&mut client, id).await.unwrap_err().code(), Code::NotFound);
    // ids are made by the service: the row comes under its back, and the service's own write tells the cache
    let row = "INSERT INTO catalog.products (product_id, sku, name, category, price, currency) VALUES";
    world.execute(&format!("{row} ('{id}', 'X', 'x', 'x', 1, 'EUR')")).await;
    assert_eq!(get(&mut client, id).await.unwrap_err().code(), Code::NotFound);
    let updated = update(&mut client, id, draft("Y"), None).await.unwrap();
    assert_eq!(get(&mut client, id).await.unwrap(), updated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_another_version_is_refused_and_changes_nothing() {
    let world = World::start().await;
    let mut client = world.client();
    let created = create(&mut client, draft("ONE")).await.unwrap();
    let id = id(&created);
    for version in [0, 2, -1, i64::MAX] {
        for refused in [
            update(&mut client, id, draft("TWO"), Some(version)).await.map(drop).unwrap_err(),
            delete(&mut client, id, Some(version)).await.unwrap_err(),
        ] {
            assert_eq!(refusal(&refused, "version"), (Code::Aborted, "VERSION_MISMATCH".into(), Some("1".into())));
        }
    }
    assert_eq!(get(&mut client, id).await.unwrap(), created);
    assert_eq!(update(&mut client, id, draft("TWO"), Some(1)).await.unwrap().version, 2);
    delete(&mut client, id, Some(2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_changes_of_one_version_one_succeeds() {
    let world = World::start().await;
    let id = demo_ids()[0];
    let all = join_all((0..20).map(|number| {
        let mut client = world.client();
        async move { update(&mut client, id, draft(&format!("S-{number}")), Some(1)).await }
    }))
    .await;
    let (done, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (1, 19));
    assert!(refused.into_iter().all(|status| status.unwrap_err().code() == Code::Aborted));
    assert_eq!(get(&mut world.client(), id).await.unwrap(), done.into_iter().next().unwrap().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_many_changes_at_once_the_cache_holds_the_last() {
    let world = World::start().await;
    let id = demo_ids()[0];
    let all = join_all((0..30).map(|number| {
        let mut client = world.client();
        async move { update(&mut client, id, draft(&format!("S-{number}")), None).await }
    }))
    .await;
    let last = all.into_iter().map(Result::unwrap).max_by_key(|product| product.version).unwrap();
    assert_eq!(last.version, 31);
    assert_eq!(get(&mut world.client(), id).await.unwrap(), last);
    assert_eq!(world.entry(id).await.unwrap()["version"], json!(31));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_products_are_not_found() {
    let world = World::start().await;
    let (mut client, id) = (world.client(), Uuid::now_v7());
    for version in [None, Some(1)] {
        for refused in
            [update(&mut client, id, draft("X"), version).await.map(drop).unwrap_err(), delete(&mut client, id, version).await.unwrap_err()]
        {
            assert_eq!(refused.code(), Code::NotFound);
            assert!(refused.message().contains(&id.to_string()), "{refused:?}");
        }
    }
    let id = demo_ids()[0];
    delete(&mut client, id, None).await.unwrap();
    assert_eq!(delete(&mut client, id, None).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sku_is_one_products() {
    let world = World::start().await;
    let mut client = world.client();
    let taken = (Code::AlreadyExists, "SKU_TAKEN".to_owned(), Some("product.sku".to_owned()));
    assert_eq!(refusal(&create(&mut client, draft("COF-001")).await.unwrap_err(), "field"), taken);
    let created = create(&mut client, draft("MINE")).await.unwrap();
    assert_eq!(refusal(&update(&mut client, id(&created), draft("COF-001"), None).await.unwrap_err(), "field"), taken);
    assert_eq!(get(&mut client, id(&created)).await.unwrap(), created);
    // its own it keeps, and what is deleted is free again
    assert_eq!(update(&mut client, id(&created), draft("MINE"), None).await.unwrap().version, 2);
    delete(&mut client, id(&created), None).await.unwrap();
    assert_ne!(create(&mut client, draft("MINE")).await.unwrap().product_id, created.product_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_want_one_sku_one_gets_it() {
    let world = World::start().await;
    let all = join_all((0..20).map(|_| {
        let mut client = world.client();
        async move { create(&mut client, draft("WANTED")).await }
    }))
    .await;
    assert_eq!(all.iter().filter(|created| created.is_ok()).count(), 1);
    assert!(all.into_iter().filter_map(Result::err).all(|status| status.code() == Code::AlreadyExists));
    assert_eq!(world.number("SELECT count(*) FROM catalog.products WHERE sku = 'WANTED'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_are_kept_to_the_cent() {
    let world = World::start().await;
    let mut client = world.client();
    for (number, (given, kept)) in
        [("0", "0.00"), ("0.01", "0.01"), ("5.5", "5.50"), ("9999999999.99", "9999999999.99")].into_iter().enumerate()
    {
        let price = Some(Money { amount: given.into(), currency: "JPY".into() });
        let created = create(&mut client, ProductDraft { price, ..draft(&format!("P-{number}")) }).await.unwrap();
        assert_eq!(created.price, Some(Money { amount: kept.into(), currency: "JPY".into() }));
        assert_eq!(get(&mut client, id(&created)).await.unwrap(), created);
    }
}
