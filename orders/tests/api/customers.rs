//! Who orders: users by themselves, others by a call.

use db::schema::orders::customers;
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use futures::future::join_all;
use proto::orders::{CreateCustomerRequest, Customer, CustomerDetails, GetCustomerRequest, ListCustomersRequest, ListCustomersResponse};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::shop::{Shop, customer, fields, products, reason};

async fn create(shop: &Shop, username: &str, email: &str) -> Result<CustomerDetails, Status> {
    let request = CreateCustomerRequest { username: username.into(), email: email.into() };
    shop.customers().create_customer(request).await.map(|answer| answer.into_inner().customer.unwrap())
}

async fn get(shop: &Shop, customer_id: &str) -> Result<CustomerDetails, Status> {
    let request = GetCustomerRequest { customer_id: customer_id.into() };
    shop.customers().get_customer(request).await.map(|answer| answer.into_inner().customer.unwrap())
}

async fn list(shop: &Shop, page_size: u32, page_token: &str) -> ListCustomersResponse {
    let request = ListCustomersRequest { page_size, page_token: page_token.into() };
    shop.customers().list_customers(request).await.unwrap().into_inner()
}

fn assert_taken(status: &Status) {
    let (reason, metadata) = reason(status);
    assert_eq!((status.code(), reason.as_str(), metadata["field"].as_str()), (Code::AlreadyExists, "EMAIL_TAKEN", "email"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_customer_who_is_made_is_there() {
    let shop = Shop::open().await;
    let made = create(&shop, "Ada Lovelace", " Ada@Example.COM ").await.unwrap();
    assert_eq!((made.username.as_str(), made.email.as_str()), ("Ada Lovelace", "ada@example.com"));
    assert_eq!(get(&shop, &made.customer_id).await.unwrap(), made);
    assert!(made.created_at.is_some());
    assert_eq!(get(&shop, &Uuid::now_v7().to_string()).await.unwrap_err().code(), Code::NotFound);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_address_belongs_to_one_customer_who_was_made() {
    let shop = Shop::open().await;
    let answers = join_all((0..20).map(|number| {
        let (shop, name) = (&shop, format!("Ada {number}"));
        async move { create(shop, &name, "ada@example.com").await }
    }))
    .await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for status in refused.into_iter().map(Result::unwrap_err) {
        assert_taken(&status);
    }
    assert_taken(&create(&shop, "Bob", "ADA@example.com").await.unwrap_err());
    create(&shop, "Ada", "another@example.com").await.unwrap();
    assert_eq!(list(&shop, 0, "").await.customers.len(), 2);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn users_order_whatever_addresses_others_have_and_others_are_made_whatever_users_have() {
    let shop = Shop::open().await;
    let ([tea], ada, bob) = (products(), customer(), customer());
    create(&shop, "Somebody", &ada.email).await.unwrap();
    for user in [&ada, &bob] {
        shop.place(user, &[(tea, 1)], "").await.unwrap();
        assert_eq!(get(&shop, &user.user_id).await.unwrap().email, ada.email);
    }
    let eve = Customer { email: "eve@example.com".into(), ..customer() };
    shop.place(&eve, &[(tea, 1)], "").await.unwrap();
    create(&shop, "Somebody else", "eve@example.com").await.unwrap();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_users_new_name_and_address_come_with_their_next_order() {
    let shop = Shop::open().await;
    let ([tea], ada) = (products(), customer());
    let first = shop.place(&ada, &[(tea, 1)], "").await.unwrap().order.unwrap();
    let married = Customer { username: "Ada King".into(), email: "king@example.com".into(), ..ada.clone() };
    shop.place(&married, &[(tea, 1)], "").await.unwrap();
    let now = get(&shop, &ada.user_id).await.unwrap();
    assert_eq!((now.username.as_str(), now.email.as_str()), ("Ada King", "king@example.com"));
    assert_eq!(list(&shop, 0, "").await.customers.len(), 1);
    // mail about an old order goes where she is now
    shop.cancel(&first.order_id).await.unwrap();
    let payload: String = db::schema::orders::outbox::table
        .filter(db::schema::orders::outbox::topic.eq("orders.cancelled"))
        .select(db::schema::orders::outbox::payload)
        .get_result(&mut shop.connection().await)
        .await
        .unwrap();
    assert!(payload.contains("king@example.com"), "{payload}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn orders_of_one_customer_do_not_wait_for_each_other() {
    let shop = Shop::open().await;
    let ([tea, pot], ada) = (products(), customer());
    shop.place(&ada, &[(tea, 1)], "").await.unwrap();
    // somebody is in the midst of changing her row
    let mut other = shop.connection().await;
    other.batch_execute("BEGIN; SELECT * FROM orders.customers FOR NO KEY UPDATE").await.unwrap();
    shop.place(&ada, &[(pot, 1)], "").await.unwrap();
    other.batch_execute("ROLLBACK").await.unwrap();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_order_cannot_take_the_address_of_another_customer_who_was_made() {
    let shop = Shop::open().await;
    let [tea] = products();
    let one = create(&shop, "One", "one@example.com").await.unwrap();
    create(&shop, "Other", "other@example.com").await.unwrap();
    let order = |email: &str| Customer { user_id: one.customer_id.clone(), username: "One".into(), email: email.into() };
    assert_taken(&shop.place(&order("other@example.com"), &[(tea, 1)], "").await.unwrap_err());
    assert_eq!((shop.written().await, shop.on_shelf(tea).await), ((0, 0, 0), db::seed::STOCK));
    assert_eq!(get(&shop, &one.customer_id).await.unwrap(), one);
    shop.place(&order("one@example.com"), &[(tea, 1)], "").await.unwrap();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pages_of_customers_have_no_gaps_and_no_repeats_while_new_ones_come() {
    let shop = Shop::open().await;
    let mut made = Vec::new();
    for number in 0..25 {
        made.push(create(&shop, "Ada", &format!("ada{number}@example.com")).await.unwrap());
    }
    let (mut seen, mut token, mut late) = (Vec::new(), String::new(), 0);
    loop {
        let page = list(&shop, 7, &token).await;
        assert!(page.customers.len() <= 7);
        seen.extend(page.customers);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        if late < 3 {
            made.push(create(&shop, "Late", &format!("late{late}@example.com")).await.unwrap());
            late += 1;
        }
    }
    assert_eq!(seen, made, "each once, in the order of the ids");
    assert_eq!(list(&shop, 0, "").await.customers.len(), 20);
    assert_eq!(
        fields(&shop.customers().list_customers(ListCustomersRequest { page_size: 101, page_token: "x".into() }).await.unwrap_err()),
        ["page_size", "page_token"]
    );
    let origins: Vec<String> = customers::table.select(customers::origin).distinct().load(&mut shop.connection().await).await.unwrap();
    assert_eq!(origins, ["api"]);
    shop.close().await;
}
