//! `throughline.catalog.v1`

use proto::catalog::{
    BatchGetProductsRequest, CheckRateLimitRequest, CreateCommentRequest, CreatePostRequest, CreateProductRequest, DeletePostRequest,
    DeleteProductRequest, GetLeaderboardRequest, GetPostRequest, GetProductRequest, ListPostsRequest, ListProductsRequest, Money,
    ProductDraft, ProductSort, SearchProductsRequest, UpdatePostRequest, UpdateProductRequest,
};
use tonic::Code;
use uuid::Uuid;

use crate::conformance::{
    articles::{actor, write},
    products::{create, draft},
    verdicts::{
        Says::{Field, Nothing, Reason},
        Verdicts,
    },
    world::World,
};

const LATE: (Code, crate::conformance::verdicts::Says) = (Code::Aborted, Reason("VERSION_MISMATCH"));

fn due(field: &'static str) -> (Code, crate::conformance::verdicts::Says) {
    (Code::InvalidArgument, Field(field))
}

pub(in crate::conformance) async fn catalog(world: &World, verdicts: &mut Verdicts) {
    reading(world, verdicts).await;
    products(world, verdicts).await;
    posts(world, verdicts).await;
    foreign_posts(world, verdicts).await;
}

async fn reading(world: &World, verdicts: &mut Verdicts) {
    let (mut products, none) = (world.products(), (Code::NotFound, Nothing));
    let product_id = Uuid::now_v7().to_string();
    verdicts.expect("no product", none, products.get_product(GetProductRequest { product_id }).await);
    verdicts.expect("no id", due("product_id"), products.get_product(GetProductRequest::default()).await);
    let ids = |count: usize| BatchGetProductsRequest { product_ids: vec![Uuid::nil().to_string(); count] };
    verdicts.expect("no ids", due("product_ids"), products.batch_get_products(ids(0)).await);
    verdicts.expect("501 ids", due("product_ids"), products.batch_get_products(ids(501)).await);
    let list = ListProductsRequest::default;
    verdicts.expect("a long page", due("page_size"), products.list_products(ListProductsRequest { page_size: 101, ..list() }).await);
    let price = ListProductsRequest { min_price: "1e3".into(), ..list() };
    verdicts.expect("no price", due("min_price"), products.list_products(price).await);
    let token = products.list_products(ListProductsRequest { page_size: 1, ..list() }).await.unwrap().into_inner().next_page_token;
    let other = ListProductsRequest { page_token: token, sort: ProductSort::Name.into(), ..list() };
    verdicts.expect("a token of another sort", due("page_token"), products.list_products(other).await);
    let search = SearchProductsRequest::default();
    verdicts.expect("a search for nothing", due("query"), products.search_products(search).await);
    let limit = CheckRateLimitRequest { key: "a b".into(), limit: 1, window_seconds: 1 };
    verdicts.expect("no key", due("key"), world.limits().check_rate_limit(limit).await);
    let board = GetLeaderboardRequest { limit: 101 };
    verdicts.expect("a long board", due("limit"), world.leaderboard().get_leaderboard(board).await);
}

async fn products(world: &World, verdicts: &mut Verdicts) {
    let (mut products, none) = (world.products(), (Code::NotFound, Nothing));
    let (one, other) = (create(world, "POT-1").await, create(world, "POT-2").await);
    let taken = CreateProductRequest { product: Some(draft("POT-1")) };
    verdicts.expect("a taken SKU", (Code::AlreadyExists, Reason("SKU_TAKEN")), products.create_product(taken).await);
    let dear = Some(Money { amount: "10000000000.00".into(), currency: "EUR".into() });
    let dear = CreateProductRequest { product: Some(ProductDraft { price: dear, ..draft("POT-3") }) };
    verdicts.expect("more than a price", due("product.price.amount"), products.create_product(dear).await);
    let update =
        |product_id: &str, sku: &str, version| UpdateProductRequest { product_id: product_id.into(), product: Some(draft(sku)), version };
    let taken = update(&other.product_id, "POT-1", None);
    verdicts.expect("a taken SKU", (Code::AlreadyExists, Reason("SKU_TAKEN")), products.update_product(taken).await);
    verdicts.expect("another version", LATE, products.update_product(update(&one.product_id, "POT-1", Some(7))).await);
    let unknown = Uuid::now_v7().to_string();
    verdicts.expect("no product", none, products.update_product(update(&unknown, "POT-4", None)).await);
    let delete = |product_id: String, version| DeleteProductRequest { product_id, version };
    verdicts.expect("another version", LATE, products.delete_product(delete(one.product_id, Some(7))).await);
    verdicts.expect("no product", none, products.delete_product(delete(unknown, None)).await);
    verdicts.expect("no id", due("product_id"), products.delete_product(delete(String::new(), None)).await);
}

async fn posts(world: &World, verdicts: &mut Verdicts) {
    let (mut posts, none) = (world.posts(), (Code::NotFound, Nothing));
    let unknown = Uuid::now_v7().to_string();
    verdicts.expect("no post", none, posts.get_post(GetPostRequest { post_id: unknown.clone() }).await);
    let actor = || Some(actor(&world.demo, "user"));
    let empty = CreatePostRequest { actor: actor(), title: String::new(), body: "b".into() };
    verdicts.expect("a post without a title", due("title"), posts.create_post(empty).await);
    let list = ListPostsRequest { author_id: "me".into(), ..ListPostsRequest::default() };
    verdicts.expect("no id", due("author_id"), posts.list_posts(list).await);
    let comment = |body: &str| CreateCommentRequest { actor: actor(), post_id: unknown.clone(), body: body.into() };
    verdicts.expect("a comment of nothing", due("body"), posts.create_comment(comment("")).await);
    verdicts.expect("a comment on nothing", none, posts.create_comment(comment("Indeed.")).await);
    let delete = DeletePostRequest { actor: actor(), post_id: unknown.clone(), version: None };
    verdicts.expect("no post", none, posts.delete_post(delete).await);
}

async fn foreign_posts(world: &World, verdicts: &mut Verdicts) {
    let (mut posts, post) = (world.posts(), write(world, "Mine").await);
    let update = |actor, version| UpdatePostRequest { actor, post_id: post.post_id.clone(), title: "t".into(), body: "b".into(), version };
    let delete = |actor, version| DeletePostRequest { actor, post_id: post.post_id.clone(), version };
    let (author, other) = (|| Some(actor(&world.demo, "user")), || Some(actor(&world.admin, "user")));
    let due = (Code::PermissionDenied, Reason("NOT_YOURS"));
    verdicts.expect("another's post", due, posts.update_post(update(other(), None)).await);
    verdicts.expect("another's post", due, posts.delete_post(delete(other(), None)).await);
    verdicts.expect("another version", LATE, posts.update_post(update(author(), Some(7))).await);
    verdicts.expect("another version", LATE, posts.delete_post(delete(author(), Some(7))).await);
}
