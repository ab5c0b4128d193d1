//! What cannot be is named, all of it at once, by every call; nothing is an internal error.

use proto::catalog::{Actor, Money, ProductDraft};
use uuid::Uuid;

use crate::{
    posts::{self, actor},
    world::{World, demo_ids, wrong_fields},
    writing::{create, delete, draft, update},
};

/// A draft with one thing wrong, and the field that is.
fn wrong_drafts() -> Vec<(ProductDraft, &'static str)> {
    let good = || draft("GOOD");
    let mut wrong = Vec::new();
    for sku in ["", "a b", "a\0", "ä", "a/b", &"x".repeat(65)] {
        wrong.push((ProductDraft { sku: sku.into(), ..good() }, "product.sku"));
    }
    for name in ["", "  ", "a\0b", "a\nb", &"x".repeat(201)] {
        wrong.push((ProductDraft { name: name.into(), ..good() }, "product.name"));
    }
    for description in ["a\0b", "\u{1b}[31m", &"x".repeat(4_001)] {
        wrong.push((ProductDraft { description: description.into(), ..good() }, "product.description"));
    }
    for category in ["", "Tea", "a_b", "a b", "a\0", "é", &"x".repeat(65)] {
        wrong.push((ProductDraft { category: category.into(), ..good() }, "product.category"));
    }
    let price = |amount: &str, currency: &str| Some(Money { amount: amount.into(), currency: currency.into() });
    for amount in
        ["", "-1", "-0.01", "NaN", "Infinity", "1e3", "1.999", "10000000000", "99999999999999999999999999999", "1,5", " 1", "0x1", "1\0"]
    {
        wrong.push((ProductDraft { price: price(amount, "EUR"), ..good() }, "product.price.amount"));
    }
    for currency in ["", "EU", "EURO", "eur", "E1R", "EU\0", "ÉUR"] {
        wrong.push((ProductDraft { price: price("1", currency), ..good() }, "product.price.currency"));
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_product_is_checked() {
    let world = World::start().await;
    let (mut client, known) = (world.client(), demo_ids()[0]);
    for (wrong, field) in wrong_drafts() {
        assert_eq!(wrong_fields(&create(&mut client, wrong.clone()).await.unwrap_err()), [field], "{wrong:?}");
        assert_eq!(wrong_fields(&update(&mut client, known, wrong.clone(), None).await.unwrap_err()), [field], "{wrong:?}");
    }
    assert_eq!(world.number("SELECT count(*) FROM catalog.products WHERE version = 1").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_wrong_fields_of_a_product_are_named_at_once() {
    let world = World::start().await;
    let mut client = world.client();
    let all = ["product.sku", "product.name", "product.category", "product.price.amount", "product.price.currency"];
    assert_eq!(wrong_fields(&create(&mut client, ProductDraft::default()).await.unwrap_err()), all);
    let named = wrong_fields(&update(&mut client, "\0", ProductDraft::default(), Some(-1)).await.unwrap_err());
    assert_eq!((named[0].as_str(), &named[1..]), ("product_id", &all.map(String::from)[..]));
    assert_eq!(wrong_fields(&delete(&mut client, "x", None).await.unwrap_err()), ["product_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_of_everything_is_accepted() {
    let world = World::start().await;
    let mut client = world.client();
    let price = Some(Money { amount: "9999999999.99".into(), currency: "XXX".into() });
    let product =
        ProductDraft { sku: "S".repeat(64), name: "😀".repeat(200), description: "😀".repeat(4_000), category: "c".repeat(64), price };
    let created = create(&mut client, product.clone()).await.unwrap();
    assert_eq!((created.sku, created.name, created.description), (product.sku, product.name, product.description));
    let mut client = world.posts();
    let author = Actor { username: "😀".repeat(64), ..actor("ada", "user") };
    let post = posts::create(&mut client, &author, &"😀".repeat(200)).await.unwrap();
    let body = "😀".repeat(4_000);
    assert_eq!(posts::comment(&mut client, &author, &post.post_id, &body).await.unwrap().body, body);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_an_actor_is_checked_wherever_one_acts() {
    let world = World::start().await;
    let (mut client, id) = (world.posts(), Uuid::now_v7().to_string());
    let good = || actor("ada", "user");
    for (wrong, fields) in [
        (Actor { user_id: "ada".into(), ..good() }, &["actor.user_id"][..]),
        (Actor { username: "a\0".into(), ..good() }, &["actor.username"]),
        (Actor { username: "x".repeat(65), ..good() }, &["actor.username"]),
        (Actor { role: "root".into(), ..good() }, &["actor.role"]),
        (Actor::default(), &["actor.role", "actor.user_id", "actor.username"]),
    ] {
        for refused in [
            posts::create(&mut client, &wrong, "t").await.map(drop).unwrap_err(),
            posts::update(&mut client, &wrong, &id, "t", None).await.map(drop).unwrap_err(),
            posts::delete(&mut client, &wrong, &id, None).await.unwrap_err(),
            posts::comment(&mut client, &wrong, &id, "c").await.map(drop).unwrap_err(),
        ] {
            assert_eq!(wrong_fields(&refused), fields, "{wrong:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_posts_and_comments_say_is_checked() {
    let world = World::start().await;
    let (mut client, ada, id) = (world.posts(), actor("ada", "user"), Uuid::now_v7().to_string());
    for title in ["", "\t", "a\0b", "a\nb", &"x".repeat(201)] {
        assert_eq!(wrong_fields(&posts::update(&mut client, &ada, &id, title, None).await.unwrap_err()), ["title"], "{title:?}");
    }
    for body in ["", " \n", "a\0b", &"x".repeat(4_001)] {
        assert_eq!(wrong_fields(&posts::comment(&mut client, &ada, &id, body).await.unwrap_err()), ["body"], "{body:?}");
    }
    let request = |body: String| proto::catalog::CreatePostRequest { actor: Some(ada.clone()), title: "t".into(), body };
    for body in [String::new(), "a\0b".into(), "x".repeat(20_001)] {
        assert_eq!(wrong_fields(&client.create_post(request(body)).await.unwrap_err()), ["body"]);
    }
    client.create_post(request("😀".repeat(20_000))).await.unwrap();
    for wrong in ["", "x", "\0"] {
        assert_eq!(wrong_fields(&posts::read(&mut client, wrong).await.unwrap_err()), ["post_id"], "{wrong:?}");
        assert_eq!(wrong_fields(&posts::delete(&mut client, &ada, wrong, None).await.unwrap_err()), ["post_id"], "{wrong:?}");
        assert_eq!(wrong_fields(&posts::comment(&mut client, &ada, wrong, "c").await.unwrap_err()), ["post_id"], "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_list_is_checked() {
    let world = World::start().await;
    let request = proto::catalog::ListProductsRequest {
        page_size: 101,
        page_token: "\0".into(),
        category: "A\0".into(),
        min_price: "1e3".into(),
        max_price: "-1".into(),
        sort: 7,
    };
    let named = wrong_fields(&world.client().list_products(request).await.unwrap_err());
    assert_eq!(named, ["page_size", "category", "min_price", "max_price", "sort", "page_token"]);
}
