//! The statements that requests wait for use indexes: what the service has asked is explained, with other ways forbidden.

use chassis::scenario::{Scenario, state::Settings};
use diesel::{QueryableByName, sql_query, sql_types::Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use proto::catalog::{GetPostRequest, ListPostsRequest, ListProductsRequest, ProductSort, SearchProductsRequest};
use uuid::Uuid;

use crate::{
    posts::{actor, comment, create},
    world::{World, demo_ids, get},
};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    line: String,
}

#[derive(QueryableByName)]
struct Statement {
    #[diesel(sql_type = Text)]
    query: String,
}

/// The plan of the service's last statement with this text in it, whatever the parameters are.
async fn plan(world: &World, text: &str) -> String {
    explain(world, text, "SET enable_seqscan = off; SET enable_sort = off; SET enable_incremental_sort = off;").await
}

async fn explain(world: &World, text: &str, settings: &str) -> String {
    let mut connection = world.admin().await;
    let last = "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'catalog-cache'
        AND query LIKE '%' || $1 || '%' ORDER BY query_start DESC LIMIT 1";
    let query = sql_query(last).bind::<Text, _>(text).get_result::<Statement>(&mut connection).await.unwrap().query;
    let parameters = (1..10).filter(|number| query.contains(&format!("${number}"))).count();
    let prepare = format!("{settings} SET plan_cache_mode = force_generic_plan; PREPARE statement AS {query}");
    connection.batch_execute(&prepare).await.unwrap();
    let explain = format!("EXPLAIN EXECUTE statement ({})", vec!["NULL"; parameters].join(", "));
    let lines: Vec<Line> = sql_query(explain).load(&mut connection).await.unwrap();
    lines.into_iter().map(|line| line.line).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_products_is_an_indexs_and_a_page_begins_where_the_last_ended() {
    let world = World::start().await;
    let mut client = world.client();
    for (sort, index) in [
        (ProductSort::Unspecified, "products_pkey"),
        (ProductSort::Name, "products_by_name"),
        (ProductSort::NameDesc, "products_by_name"),
        (ProductSort::Price, "products_by_price"),
        (ProductSort::PriceDesc, "products_by_price"),
    ] {
        let mut request = ListProductsRequest { page_size: 5, sort: sort.into(), ..ListProductsRequest::default() };
        for _ in 0..2 {
            request.page_token = client.list_products(request.clone()).await.unwrap().into_inner().next_page_token;
            let plan = plan(&world, "LIMIT").await;
            assert!(plan.contains(index) && !plan.contains("Sort") && !plan.contains("Seq Scan"), "{sort:?}: {plan}");
        }
        let plan = plan(&world, "LIMIT").await;
        let condition = if sort == ProductSort::Unspecified { "Index Cond: (product_id > " } else { "Index Cond: (ROW(" };
        assert!(plan.contains(condition), "{sort:?}: {plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_use_an_index() {
    let world = World::start().await;
    let mut client = world.client();
    let category = ListProductsRequest { category: "tea".into(), ..ListProductsRequest::default() };
    client.list_products(category).await.unwrap();
    let by_category = plan(&world, "LIMIT").await;
    assert!(by_category.contains("products_by_category") && !by_category.contains("Sort"), "{by_category}");
    let prices =
        ListProductsRequest { min_price: "5".into(), max_price: "9".into(), sort: ProductSort::Price.into(), ..Default::default() };
    client.list_products(prices).await.unwrap();
    let by_price = plan(&world, "LIMIT").await;
    assert!(by_price.contains("products_by_price") && by_price.contains("Index Cond"), "{by_price}");
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_and_searches_use_an_index() {
    let world = World::start().await;
    let mut client = world.client();
    get(&mut client, demo_ids()[0]).await.unwrap();
    let load = plan(&world, "ANY").await;
    assert!(load.contains("products_pkey"), "{load}");
    client.search_products(SearchProductsRequest { query: "tea".into(), limit: 5 }).await.unwrap();
    let search = plan(&world, "websearch").await;
    assert!(search.contains("Bitmap Index Scan on products_by_search"), "{search}");
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_and_comments_use_an_index() {
    let world = World::start().await;
    let mut client = world.posts();
    let ada = actor("ada", "user");
    let post = create(&mut client, &ada, "title").await.unwrap();
    comment(&mut client, &ada, &post.post_id, "text").await.unwrap();
    let () = world.redis("DEL", &[&format!("{}post:{}", world.prefix, post.post_id)]).await;
    client.get_post(GetPostRequest { post_id: post.post_id }).await.unwrap();
    let comments = plan(&world, "LATERAL").await;
    assert!(comments.contains("comments_by_post"), "{comments}");
    for (author_id, index) in [(String::new(), "posts_pkey"), (Uuid::now_v7().to_string(), "posts_by_author")] {
        client.list_posts(ListPostsRequest { author_id, ..ListPostsRequest::default() }).await.unwrap();
        let list = plan(&world, "LIMIT").await;
        assert!(list.contains(&format!("Backward using {index}")) && !list.contains("Sort"), "{list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_query_reads_the_whole_table_where_the_right_one_uses_an_index() {
    let world = World::start().await;
    let rows = "INSERT INTO catalog.posts (post_id, author_id, author_username, title, body)
        SELECT gen_random_uuid(), md5((number % 50)::text)::uuid, 'ada', 'x', 'x' FROM generate_series(1, 5000) AS number";
    World::execute(&world, &format!("{rows}; ANALYZE catalog.posts")).await;
    let mut client = world.posts();
    for (on, is_slow) in [(false, false), (true, true), (false, false)] {
        world.process.scenarios.set(on.then(|| (Scenario::SlowQuery, Settings::new())).into_iter().collect());
        let request = ListPostsRequest { author_id: Uuid::now_v7().to_string(), ..ListPostsRequest::default() };
        client.list_posts(request).await.unwrap();
        let plan = explain(&world, "LIMIT", "").await;
        assert_eq!((plan.contains("Seq Scan on posts"), plan.contains("posts_by_author")), (is_slow, !is_slow), "{plan}");
    }
}
