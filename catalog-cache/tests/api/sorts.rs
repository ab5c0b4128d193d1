//! `ListProducts` in other orders than by id, and of some products only.

use std::collections::HashSet;

use futures::future::join_all;
use proto::catalog::{ListProductsRequest, ListProductsResponse, Product, ProductSort};
use tonic::Status;

use crate::{
    world::{World, demo_ids, wrong_fields},
    writing::{Client, create, draft},
};

const SORTS: [ProductSort; 5] =
    [ProductSort::Unspecified, ProductSort::Name, ProductSort::NameDesc, ProductSort::Price, ProductSort::PriceDesc];

async fn page(client: &mut Client, request: &ListProductsRequest) -> Result<ListProductsResponse, Status> {
    Ok(client.list_products(request.clone()).await?.into_inner())
}

/// All pages, one after the other; `between` is run after each.
async fn all(client: &mut Client, mut request: ListProductsRequest, mut between: impl AsyncFnMut()) -> Vec<Product> {
    let mut found = Vec::new();
    loop {
        let ListProductsResponse { products, next_page_token } = page(client, &request).await.unwrap();
        found.extend(products);
        if next_page_token.is_empty() {
            return found;
        }
        request.page_token = next_page_token;
        between().await;
    }
}

fn ids(products: &[Product]) -> Vec<String> {
    products.iter().map(|product| product.product_id.clone()).collect()
}

/// What the database says: the order of names is its own.
async fn expected(world: &World, sort: ProductSort) -> Vec<String> {
    use diesel::{QueryableByName, sql_query, sql_types::Text};
    use diesel_async::RunQueryDsl;
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        id: String,
    }
    let order = match sort {
        ProductSort::Unspecified => "product_id",
        ProductSort::Name => "name, product_id",
        ProductSort::NameDesc => "name DESC, product_id DESC",
        ProductSort::Price => "price, product_id",
        ProductSort::PriceDesc => "price DESC, product_id DESC",
    };
    let query = format!("SELECT product_id::text AS id FROM catalog.products ORDER BY {order}");
    let rows: Vec<Row> = sql_query(query).load(&mut world.admin().await).await.unwrap();
    rows.into_iter().map(|row| row.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_holds_every_product_once() {
    let world = World::start().await;
    // many ties, and names that bytes and people order differently
    world
        .execute(
            "UPDATE catalog.products SET price = 7 WHERE category IN ('coffee', 'tea', 'mugs');
             UPDATE catalog.products SET name = 'same' WHERE category IN ('desk', 'tea');
             UPDATE catalog.products SET name = 'Éclair ' || sku WHERE category = 'mugs';
             UPDATE catalog.products SET name = lower(name) WHERE category = 'coffee'",
        )
        .await;
    for sort in SORTS {
        for page_size in [7, 100] {
            let request = ListProductsRequest { page_size, sort: sort.into(), ..ListProductsRequest::default() };
            let found = all(&mut world.client(), request, async || {}).await;
            assert_eq!(ids(&found), expected(&world, sort).await, "{sort:?} by {page_size}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_product_is_missed_or_doubled_while_others_come_and_go() {
    let world = World::start().await;
    for sort in SORTS {
        let (mut number, lasting) = (0, demo_ids());
        let request = ListProductsRequest { page_size: 9, sort: sort.into(), ..ListProductsRequest::default() };
        let found = all(&mut world.client(), request, async || {
            // one before and one behind in every order, and the last two are gone again
            number += 1;
            let rows = format!(
                "DELETE FROM catalog.products WHERE category = 'passing';
                 INSERT INTO catalog.products (product_id, sku, name, category, price, currency) VALUES
                 ('00000000-0000-7000-8000-{number:012}', 'A-{number}', 'AAA', 'passing', 0.01, 'EUR'),
                 ('ffffffff-ffff-7fff-bfff-{number:012}', 'Z-{number}', 'zzz', 'passing', 9999, 'EUR')"
            );
            world.execute(&rows).await;
        })
        .await;
        let found: Vec<_> = found.into_iter().filter(|product| product.category != "passing").collect();
        assert_eq!(found.len(), lasting.len(), "{sort:?}");
        assert_eq!(ids(&found).into_iter().collect::<HashSet<_>>(), lasting.iter().map(ToString::to_string).collect(), "{sort:?}");
        world.execute("DELETE FROM catalog.products WHERE category = 'passing'").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_in_its_own_order_only() {
    let world = World::start().await;
    let mut client = world.client();
    for made in SORTS {
        let request = ListProductsRequest { page_size: 3, sort: made.into(), ..ListProductsRequest::default() };
        let token = page(&mut client, &request).await.unwrap().next_page_token;
        for used in SORTS {
            let request = ListProductsRequest { page_token: token.clone(), sort: used.into(), ..request.clone() };
            match page(&mut client, &request).await {
                Ok(_) => assert_eq!(made, used),
                Err(status) => {
                    assert_ne!(made, used);
                    assert_eq!(wrong_fields(&status), ["page_token"], "{made:?} {used:?}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_products_of_the_category_and_between_the_prices_are_listed() {
    let world = World::start().await;
    let mut client = world.client();
    let products = db::seed::products();
    for (category, min_price, max_price) in [
        ("coffee", "", ""),
        ("", "20", ""),
        ("", "", "9.99"),
        ("mugs", "10", "15.5"),
        ("tea", "6.39", "6.39"),
        ("none", "", ""),
        ("", "5", "4"),
    ] {
        let bound = |text: &str, none: &str| if text.is_empty() { none } else { text }.parse().unwrap();
        let (least, most): (rust_decimal::Decimal, rust_decimal::Decimal) = (bound(min_price, "0"), bound(max_price, "9999999999.99"));
        let fits =
            |product: &&db::seed::Product| (category.is_empty() || product.category == category) && (least..=most).contains(&product.price);
        let expected: HashSet<_> = products.iter().filter(fits).map(|product| product.product_id.to_string()).collect();
        assert_eq!(expected.is_empty(), category == "none" || min_price == "5", "the case shows something");
        for sort in SORTS {
            let request = ListProductsRequest {
                page_size: 6,
                category: category.into(),
                min_price: min_price.into(),
                max_price: max_price.into(),
                sort: sort.into(),
                ..ListProductsRequest::default()
            };
            let found = ids(&all(&mut client, request, async || {}).await);
            assert_eq!(found.len(), expected.len(), "{category} {min_price} {max_price} {sort:?}");
            assert_eq!(found.into_iter().collect::<HashSet<_>>(), expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_listed_at_once() {
    let world = World::start().await;
    let created = create(&mut world.client(), draft("LISTED")).await.unwrap();
    let request = ListProductsRequest { category: created.category.clone(), ..ListProductsRequest::default() };
    assert_eq!(page(&mut world.client(), &request).await.unwrap().products, [created]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_while_products_are_written_are_never_an_error() {
    let world = World::start().await;
    let writers = (0..4).map(|writer| {
        let mut client = world.client();
        async move {
            for number in 0..10 {
                create(&mut client, draft(&format!("W-{writer}-{number}"))).await.unwrap();
            }
        }
    });
    let readers = SORTS.map(|sort| {
        let mut client = world.client();
        async move {
            let request = ListProductsRequest { page_size: 20, sort: sort.into(), ..ListProductsRequest::default() };
            let found = ids(&all(&mut client, request, async || {}).await);
            assert_eq!(found.iter().collect::<HashSet<_>>().len(), found.len(), "{sort:?}");
        }
    });
    futures::join!(join_all(writers), join_all(readers));
}
