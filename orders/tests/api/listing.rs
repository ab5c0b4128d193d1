//! Lists show what is asked for, newest first.

use proto::orders::{ListOrdersRequest, Order, OrderStatus};
use uuid::Uuid;

use crate::{
    past::{Past, january, message},
    shop::{Shop, customer, fields, products},
};

/// All pages, and how long each was.
async fn pages(shop: &Shop, request: ListOrdersRequest) -> (Vec<Order>, Vec<usize>) {
    let (mut request, mut seen, mut sizes) = (request, Vec::new(), Vec::new());
    loop {
        let page = shop.list_with(request.clone()).await.unwrap();
        sizes.push(page.orders.len());
        seen.extend(page.orders);
        if page.next_page_token.is_empty() {
            return (seen, sizes);
        }
        request.page_token = page.next_page_token;
    }
}

async fn ids(shop: &Shop, request: ListOrdersRequest) -> Vec<String> {
    pages(shop, request).await.0.into_iter().map(|order| order.order_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn everybodys_orders_come_without_gaps_and_repeats_while_new_ones_come_in() {
    let shop = Shop::open().await;
    let [tea, pot] = products();
    let mut placed = Vec::new();
    for number in 1..=25 {
        placed.push(shop.place(&customer(), &[(tea, number), (pot, 1)], "").await.unwrap().order.unwrap());
    }
    placed.reverse();
    let (mut seen, mut token, mut sizes) = (Vec::new(), String::new(), Vec::new());
    loop {
        let page = shop.list("", 7, &token).await.unwrap();
        sizes.push(page.orders.len());
        seen.extend(page.orders);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        shop.place(&customer(), &[(tea, 1)], "").await.unwrap();
    }
    assert_eq!(sizes, [7, 7, 7, 4]);
    assert_eq!(seen, placed, "each once, newest first, with its lines");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_status_and_a_user_choose_among_the_orders() {
    let shop = Shop::open().await;
    let ([tea], ada, bob) = (products(), customer(), customer());
    let mut all = Vec::new();
    for number in 0..12 {
        let (whom, status) = (if number % 2 == 0 { &ada } else { &bob }, number % 3);
        let order = shop.place(whom, &[(tea, 1)], "").await.unwrap().order.unwrap();
        let order = match status {
            0 => order,
            1 => shop.step(&order.order_id, OrderStatus::Paid).await.unwrap(),
            _ => shop.cancel(&order.order_id).await.unwrap(),
        };
        all.push(order);
    }
    all.reverse();
    let users = ["", ada.user_id.as_str(), bob.user_id.as_str()];
    for user_id in users {
        for status in [OrderStatus::Unspecified, OrderStatus::Placed, OrderStatus::Paid, OrderStatus::Cancelled, OrderStatus::Shipped] {
            let fits = |order: &&Order| {
                (user_id.is_empty() || order.user_id == user_id) && (status == OrderStatus::Unspecified || order.status() == status)
            };
            let expected: Vec<Order> = all.iter().filter(fits).cloned().collect();
            let request = ListOrdersRequest { user_id: user_id.into(), status: status.into(), page_size: 1, ..Default::default() };
            assert_eq!(pages(&shop, request).await.0, expected, "{user_id:?} {status:?}");
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_span_of_time_holds_its_first_moment_and_not_its_last_to_the_microsecond() {
    let shop = Shop::open().await;
    let (ada, bob) = (Uuid::now_v7(), Uuid::now_v7());
    let mut connection = shop.connection().await;
    let mut placed = Vec::new();
    // hours apart and microseconds apart: the ids of the latter begin alike
    for moment in [january(1, 0, 0), january(2, 12, 0), january(2, 12, 1), january(2, 12, 999), january(2, 13, 0), january(3, 0, 0)] {
        placed.push((moment, Past::of(ada, moment).write(&mut connection).await));
    }
    let of_bob = Past { status: "shipped", ..Past::of(bob, january(2, 12, 0)) }.write(&mut connection).await;
    let of_ada = |from, before| ListOrdersRequest {
        user_id: ada.to_string(),
        created_from: from,
        created_before: before,
        page_size: 2,
        ..Default::default()
    };
    let moments =
        [january(1, 0, 0), january(1, 0, 1), january(2, 12, 0), january(2, 12, 1), january(2, 12, 2), january(3, 0, 0), january(4, 0, 0)];
    for from in moments {
        for before in moments.into_iter().filter(|before| *before > from) {
            let mut expected: Vec<String> =
                placed.iter().filter(|(at, _)| *at >= from && *at < before).map(|(_, order_id)| order_id.clone()).collect();
            // ids within one millisecond are in no order
            let mut seen = ids(&shop, of_ada(message(from, 0), message(before, 0))).await;
            expected.sort();
            seen.sort();
            assert_eq!(seen, expected, "{from} to {before}");
        }
    }
    assert_eq!(ids(&shop, of_ada(message(january(2, 13, 0), 1), None)).await, [placed[5].1.as_str()], "a nanosecond too late");
    assert_eq!(ids(&shop, of_ada(None, message(january(1, 0, 0), 1))).await, [placed[0].1.as_str()], "a nanosecond before the end");
    let everybody = ListOrdersRequest {
        status: OrderStatus::Shipped.into(),
        created_from: message(january(2, 0, 0), 0),
        created_before: message(january(3, 0, 0), 0),
        ..Default::default()
    };
    assert_eq!(ids(&shop, everybody).await, [of_bob]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_placed_just_now_is_in_the_span_that_begins_before_it() {
    let shop = Shop::open().await;
    let ([tea], before) = (products(), chrono::Utc::now());
    let order = shop.place(&customer(), &[(tea, 1)], "").await.unwrap().order.unwrap();
    let created = order.created_at;
    let span = |from, before| ListOrdersRequest { created_from: from, created_before: before, ..Default::default() };
    assert_eq!(ids(&shop, span(message(before, 0), None)).await.len(), 1);
    assert_eq!(ids(&shop, span(created, None)).await.len(), 1);
    assert!(ids(&shop, span(None, created)).await.is_empty());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn all_wrong_fields_of_a_filter_are_named_at_once_and_a_token_of_another_list_is_none() {
    let shop = Shop::open().await;
    let moment = message(january(1, 0, 0), 0);
    let wrong = ListOrdersRequest {
        user_id: "ada".into(),
        page_size: 101,
        page_token: "next".into(),
        status: 6,
        created_from: moment,
        created_before: moment,
    };
    assert_eq!(fields(&shop.list_with(wrong).await.unwrap_err()), ["created_from", "page_size", "page_token", "status", "user_id"]);
    let [tea] = products();
    for _ in 0..2 {
        shop.place(&customer(), &[(tea, 1)], "").await.unwrap();
    }
    let orders = shop.list("", 1, "").await.unwrap().next_page_token;
    let ask = |page_size, page_token: &str| proto::orders::ListCustomersRequest { page_size, page_token: page_token.into() };
    let customers = shop.customers().list_customers(ask(1, "")).await.unwrap().into_inner().next_page_token;
    assert!(!orders.is_empty() && !customers.is_empty());
    assert_eq!(fields(&shop.list("", 1, &customers).await.unwrap_err()), ["page_token"]);
    assert_eq!(fields(&shop.customers().list_customers(ask(1, &orders)).await.unwrap_err()), ["page_token"]);
    shop.close().await;
}
