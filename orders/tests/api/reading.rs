//! A user sees their own orders, newest first.

use std::collections::BTreeSet;

use proto::orders::{GetOrderRequest, Order};
use tonic::Code;
use uuid::Uuid;

use crate::shop::{Shop, customer, products};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_order_is_there_for_its_user_and_for_nobody_else() {
    let shop = Shop::open().await;
    let ([tea], ada, bob) = (products(), customer(), customer());
    let order = shop.place(&ada, &[(tea, 1)], "").await.unwrap().order.unwrap();
    assert_eq!(shop.get(&order.order_id, &ada.user_id).await.unwrap(), order);
    let of_another = shop.get(&order.order_id, &bob.user_id).await.unwrap_err();
    let unknown = shop.get(&Uuid::now_v7().to_string(), &bob.user_id).await.unwrap_err();
    assert_eq!((of_another.code(), unknown.code()), (Code::NotFound, Code::NotFound));
    assert_eq!(of_another.details(), unknown.details(), "nothing tells one from the other");
    assert!(shop.list(&bob.user_id, 0, "").await.unwrap().orders.is_empty());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_user_it_is_anybodys_and_who_ordered_comes_along_where_it_is_asked_for() {
    let shop = Shop::open().await;
    let ([tea], ada) = (products(), customer());
    let order = shop.place(&ada, &[(tea, 1)], "").await.unwrap().order.unwrap();
    assert_eq!(shop.get(&order.order_id, "").await.unwrap(), order);
    let ask = |user_id: &str, include_customer, without_items| GetOrderRequest {
        order_id: order.order_id.clone(),
        user_id: user_id.into(),
        include_customer,
        without_items,
    };
    let full = shop.get_with(ask(&ada.user_id, true, false)).await.unwrap();
    let who = full.customer.clone().unwrap();
    assert_eq!((&who.customer_id, &who.username, &who.email), (&ada.user_id, &ada.username, &ada.email));
    assert!(who.created_at.is_some());
    assert_eq!(full, Order { customer: Some(who), ..order.clone() });
    let bare = shop.get_with(ask("", false, true)).await.unwrap();
    assert_eq!(bare, Order { items: Vec::new(), ..order.clone() });
    let status = shop.get_with(ask(&customer().user_id, true, true)).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "with the customer too it is its user's only");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pages_have_no_gaps_and_no_repeats_while_new_orders_come_in() {
    let shop = Shop::open().await;
    let ([tea, pot], ada, bob) = (products(), customer(), customer());
    let mut placed = Vec::new();
    for number in 1..=25 {
        placed.push(shop.place(&ada, &[(tea, number), (pot, 1)], "").await.unwrap().order.unwrap());
        shop.place(&bob, &[(tea, 1)], "").await.unwrap();
    }
    placed.reverse();
    let (mut seen, mut token, mut sizes) = (Vec::new(), String::new(), Vec::new());
    loop {
        let page = shop.list(&ada.user_id, 7, &token).await.unwrap();
        sizes.push(page.orders.len());
        seen.extend(page.orders);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        shop.place(&ada, &[(tea, 1)], "").await.unwrap();
    }
    assert_eq!(sizes, [7, 7, 7, 4]);
    assert_eq!(seen, placed, "each once, newest first, with its lines");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_page_has_twenty_orders_unless_told_otherwise_and_a_full_last_page_says_that_it_is_the_last() {
    let shop = Shop::open().await;
    let ([tea], ada) = (products(), customer());
    for _ in 0..21 {
        shop.place(&ada, &[(tea, 1)], "").await.unwrap();
    }
    let first = shop.list(&ada.user_id, 0, "").await.unwrap();
    assert_eq!(first.orders.len(), 20);
    assert_eq!(shop.list(&ada.user_id, 0, &first.next_page_token).await.unwrap().orders.len(), 1);
    let all = shop.list(&ada.user_id, 21, "").await.unwrap();
    assert_eq!((all.orders.len(), all.next_page_token.as_str()), (21, ""));
    let ids: BTreeSet<_> = all.orders.iter().map(|order| &order.order_id).collect();
    assert_eq!(ids.len(), 21);
    shop.close().await;
}
