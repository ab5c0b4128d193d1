//! Every RPC of `ProductService`, `RateLimitService` and `LeaderboardService`.

use proto::catalog::{
    BatchGetProductsRequest, CheckRateLimitRequest, CreateProductRequest, DeleteProductRequest, GetLeaderboardRequest, GetProductRequest,
    ListProductsRequest, Money, Product, ProductDraft, ProductSort, SearchProductsRequest, UpdateProductRequest,
};
use tonic::Code;
use uuid::Uuid;

use super::world::{World, all};
use crate::running::eventually;

pub(super) fn draft(sku: &str) -> ProductDraft {
    ProductDraft {
        sku: sku.into(),
        name: "Smoky tea".into(),
        description: "Dried over pine.".into(),
        category: "tea".into(),
        price: Some(Money { amount: "7.50".into(), currency: "EUR".into() }),
    }
}

pub(super) async fn create(world: &World, sku: &str) -> Product {
    let created = world.products().create_product(CreateProductRequest { product: Some(draft(sku)) }).await;
    created.unwrap().into_inner().product.unwrap()
}

/// Returns a product that is there to stay.
pub(super) async fn succeed(world: &World) -> Product {
    let product = create(world, "TEA-1").await;
    assert_eq!((product.sku.as_str(), product.version), ("TEA-1", 1));
    reading(world, &product).await;
    changing(world).await;
    limits(world).await;
    leaderboard(world).await;
    product
}

async fn reading(world: &World, product: &Product) {
    let mut products = world.products();
    for _ in 0..2 {
        let got = products.get_product(GetProductRequest { product_id: product.product_id.clone() }).await.unwrap();
        assert_eq!(got.into_inner().product.as_ref(), Some(product), "from Postgres, and then from the cache");
    }
    let unknown = Uuid::now_v7().to_string();
    let wish = BatchGetProductsRequest { product_ids: vec![unknown.clone(), product.product_id.clone()] };
    let batch = products.batch_get_products(wish).await.unwrap().into_inner();
    assert_eq!((&batch.products[..], &batch.unknown_product_ids[..]), (&[product.clone()][..], &[unknown][..]));

    let sort = ProductSort::PriceDesc.into();
    let mut wish =
        ListProductsRequest { page_size: 7, category: "tea".into(), min_price: "1.00".into(), sort, ..ListProductsRequest::default() };
    let mut listed = Vec::new();
    loop {
        let page = products.list_products(wish.clone()).await.unwrap().into_inner();
        listed.extend(page.products);
        wish.page_token = page.next_page_token;
        if wish.page_token.is_empty() {
            break;
        }
    }
    let cents = |product: &Product| product.price.as_ref().unwrap().amount.replace('.', "").parse::<u64>().unwrap();
    assert!(listed.contains(product) && listed.iter().all(|it| it.category == "tea"));
    assert!(listed.is_sorted_by_key(|it| std::cmp::Reverse(cents(it))));

    let hits = products.search_products(SearchProductsRequest { query: "smoky -green".into(), limit: 5 }).await.unwrap();
    assert_eq!(all(hits.into_inner()).await[0].product.as_ref(), Some(product));
}

async fn changing(world: &World) {
    let (mut products, made) = (world.products(), create(world, "TEA-2").await);
    let other = ProductDraft { name: "Green tea".into(), ..draft("TEA-3") };
    let wish = UpdateProductRequest { product_id: made.product_id.clone(), product: Some(other), version: Some(1) };
    let changed = products.update_product(wish).await.unwrap().into_inner().product.unwrap();
    assert_eq!((changed.sku.as_str(), changed.name.as_str(), changed.version), ("TEA-3", "Green tea", 2));
    let wish = GetProductRequest { product_id: made.product_id.clone() };
    assert_eq!(products.get_product(wish.clone()).await.unwrap().into_inner().product, Some(changed));
    products.delete_product(DeleteProductRequest { product_id: made.product_id, version: Some(2) }).await.unwrap();
    assert_eq!(products.get_product(wish).await.unwrap_err().code(), Code::NotFound);
}

async fn limits(world: &World) {
    for (remaining, allowed) in [(1, true), (0, true), (0, false)] {
        let wish = CheckRateLimitRequest { key: "downloads".into(), limit: 2, window_seconds: 3_600 };
        let answer = world.limits().check_rate_limit(wish).await.unwrap().into_inner();
        assert_eq!((answer.allowed, answer.remaining, answer.limit), (allowed, remaining, 2));
        assert_eq!(answer.retry_after_ms > 0, remaining == 0);
    }
}

/// The order that `up` placed is there once it was counted.
async fn leaderboard(world: &World) {
    eventually(|| async {
        let board = world.leaderboard().get_leaderboard(GetLeaderboardRequest { limit: 3 }).await.unwrap().into_inner();
        let named = board.entries.iter().filter(|entry| !entry.product_name.is_empty() && entry.units > 0).count();
        if named == 3 { Ok(()) } else { Err(format!("{board:?}")) }
    })
    .await;
}
