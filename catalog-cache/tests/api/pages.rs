//! `ListProducts`

use chassis::grpc::Channel;
use proto::catalog::{ListProductsRequest, ListProductsResponse, product_service_client::ProductServiceClient};
use tonic::Status;

use crate::world::{World, demo_ids, wrong_fields};

async fn list(client: &mut ProductServiceClient<Channel>, page_size: u32, token: &str) -> Result<ListProductsResponse, Status> {
    Ok(client
        .list_products(ListProductsRequest { page_size, page_token: token.into(), ..ListProductsRequest::default() })
        .await?
        .into_inner())
}

fn ids(page: &ListProductsResponse) -> Vec<String> {
    page.products.iter().map(|product| product.product_id.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_product_once_ordered_by_id() {
    let world = World::start().await;
    let mut client = world.client();
    // 200 products: with 30 the last page is short, with 100 it is full
    for (size, pages) in [(30, 7), (100, 2)] {
        let (mut found, mut token, mut seen) = (Vec::new(), String::new(), 0);
        loop {
            let page = list(&mut client, size, &token).await.unwrap();
            assert!(page.products.len() <= size as usize);
            found.extend(ids(&page));
            seen += 1;
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
            assert!(token.chars().all(|sign| sign.is_ascii_alphanumeric() || "-_".contains(sign)), "{token}");
        }
        assert_eq!(seen, pages);
        assert_eq!(found, demo_ids().iter().map(ToString::to_string).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_20_products_unless_the_request_says_otherwise() {
    let world = World::start().await;
    assert_eq!(list(&mut world.client(), 0, "").await.unwrap().products.len(), 20);
    assert_eq!(list(&mut world.client(), 1, "").await.unwrap().products.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_stays_valid_while_rows_come_and_go() {
    let world = World::start().await;
    let (mut client, known) = (world.client(), demo_ids());
    let first = list(&mut client, 10, "").await.unwrap();
    // the row that the token names goes, and so does the next; one comes in front and one behind
    let (before, behind) = ("00000000-0000-7000-8000-000000000001", format!("{}1", &known[12].to_string()[..35]));
    world
        .execute(&format!(
            "DELETE FROM catalog.products WHERE product_id IN ('{}', '{}');
             INSERT INTO catalog.products (product_id, sku, name, category, price, currency)
             VALUES ('{before}', 'NEW-1', 'new', 'new', 1, 'EUR'), ('{behind}', 'NEW-2', 'new', 'new', 1, 'EUR')",
            known[9], known[10]
        ))
        .await;
    let second = list(&mut client, 4, &first.next_page_token).await.unwrap();
    let mut expected = [known[11].to_string(), known[12].to_string(), known[13].to_string(), behind];
    expected.sort_unstable();
    assert_eq!(ids(&second), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_sizes_and_tokens_are_named() {
    let world = World::start().await;
    let mut client = world.client();
    assert_eq!(wrong_fields(&list(&mut client, 101, "").await.unwrap_err()), ["page_size"]);
    assert_eq!(wrong_fields(&list(&mut client, u32::MAX, "?").await.unwrap_err()), ["page_size", "page_token"]);
    for token in ["?", "AAAA", "42f9e583-3e11-5aaa-9721-bd1df8386bff"] {
        assert_eq!(wrong_fields(&list(&mut client, 0, token).await.unwrap_err()), ["page_token"], "{token}");
    }
}
