//! Faults on purpose: the answers are the same.

use chassis::scenario::{Scenario, state::Settings};
use proto::catalog::ListPostsRequest;

use crate::{
    posts::{actor, comment, create, read},
    world::World,
};

#[tokio::test(flavor = "multi_thread")]
async fn n_plus_one_reads_comments_one_by_one_and_only_while_it_is_on() {
    let world = World::start().await;
    let (mut client, ada, eve) = (world.posts(), actor("ada", "user"), actor("eve", "user"));
    let post = create(&mut client, &ada, "Looms").await.unwrap();
    for number in 0..20 {
        comment(&mut client, if number % 2 == 0 { &ada } else { &eve }, &post.post_id, &format!("Number {number}")).await.unwrap();
    }
    world.count_reads_of("comments").await;
    let mut answers = Vec::new();
    for (on, statements) in [(false, 1), (true, 21), (false, 1)] {
        world.process.scenarios.set(on.then(|| (Scenario::NPlusOne, Settings::new())).into_iter().collect());
        let () = world.redis("DEL", &[&format!("{}post:{}", world.prefix, post.post_id)]).await;
        let before = world.loads().await;
        answers.push(read(&mut client, &post.post_id).await.unwrap());
        assert_eq!(world.loads().await - before, statements, "on: {on}");
    }
    assert_eq!(answers[0].comments.len(), 20);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_query_finds_the_same_posts() {
    let world = World::start().await;
    let (mut client, ada, eve) = (world.posts(), actor("ada", "user"), actor("eve", "user"));
    for number in 0..25 {
        create(&mut client, if number % 3 == 0 { &eve } else { &ada }, &format!("Number {number}")).await.unwrap();
    }
    let mut pages = async || {
        let mut request = ListPostsRequest { page_size: 4, author_id: ada.user_id.clone(), ..ListPostsRequest::default() };
        let mut pages = Vec::new();
        loop {
            let page = client.list_posts(request.clone()).await.unwrap().into_inner();
            request.page_token.clone_from(&page.next_page_token);
            pages.push(page);
            if request.page_token.is_empty() {
                return pages;
            }
        }
    };
    let quick = pages().await;
    world.process.scenarios.set([(Scenario::SlowQuery, Settings::new())].into());
    assert_eq!(pages().await, quick);
    assert_eq!(quick.iter().map(|page| page.posts.len()).sum::<usize>(), 16);
}
