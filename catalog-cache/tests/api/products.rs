//! `GetProduct`

use db::seed;
use tonic::Code;
use uuid::Uuid;

use crate::world::{World, get, wrong_fields};

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_what_the_row_says() {
    let world = World::start().await;
    let row = seed::products().swap_remove(7);
    world.execute(&format!("UPDATE catalog.products SET price = 5, version = 4 WHERE product_id = '{}'", row.product_id)).await;
    // the second answer comes from the cache
    for _ in 0..2 {
        let product = get(&mut world.client(), row.product_id).await.unwrap();
        let price = product.price.unwrap();
        assert_eq!((price.amount.as_str(), price.currency.as_str()), ("5.00", "EUR"));
        assert_eq!(product.product_id, row.product_id.to_string());
        assert_eq!((&product.sku, &product.name), (&row.sku, &row.name));
        assert_eq!((&product.description, &product.category, product.version), (&row.description, &row.category, 4));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_id_is_not_found() {
    let world = World::start().await;
    let id = Uuid::now_v7();
    for _ in 0..2 {
        let status = get(&mut world.client(), id).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().contains(&id.to_string()), "{status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_uuid_is_named() {
    let world = World::start().await;
    for text in ["", "42", "42f9e583-3e11-5aaa-9721-bd1df8386bfg", "'; DROP TABLE catalog.products; --"] {
        assert_eq!(wrong_fields(&get(&mut world.client(), text).await.unwrap_err()), ["product_id"], "{text}");
    }
}
