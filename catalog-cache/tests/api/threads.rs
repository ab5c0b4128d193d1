//! `GetPost` and `CreateComment`: a post with what is said to it, through the cache.

use futures::future::join_all;
use tonic::Code;

use crate::{
    posts::{actor, comment, create, delete, read, update},
    world::World,
};

#[tokio::test(flavor = "multi_thread")]
async fn comments_are_seen_at_once_and_oldest_first() {
    let world = World::start().await;
    let (mut client, mut other, ada, eve) = (world.posts(), world.posts(), actor("ada", "user"), actor("eve", "user"));
    let post = create(&mut client, &ada, "Looms").await.unwrap();
    assert_eq!(read(&mut client, &post.post_id).await.unwrap().comments, []);
    let mut said = Vec::new();
    for number in 0..12 {
        let author = if number % 2 == 0 { &eve } else { &ada };
        let made = comment(&mut client, author, &post.post_id, &format!("Number {number}")).await.unwrap();
        assert_eq!((&made.post_id, &made.author_id, &made.author_username), (&post.post_id, &author.user_id, &author.username));
        said.push(made);
        let thread = read(&mut other, &post.post_id).await.unwrap();
        assert_eq!((thread.post.as_ref(), &thread.comments), (Some(&post), &said));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_and_changes_at_once_are_all_seen() {
    let world = World::start().await;
    let (mut client, ada) = (world.posts(), actor("ada", "user"));
    let post = create(&mut client, &ada, "Busy").await.unwrap();
    let talk = join_all((0..30).map(|number| {
        let (mut client, ada, id) = (world.posts(), &ada, &post.post_id);
        async move { comment(&mut client, ada, id, &format!("Number {number}")).await.unwrap() }
    }));
    let changes = join_all((0..10).map(|number| {
        let (mut client, ada, id) = (world.posts(), &ada, &post.post_id);
        async move { update(&mut client, ada, id, &format!("Title {number}"), None).await.unwrap() }
    }));
    let (said, edited) = futures::join!(talk, changes);
    let thread = read(&mut client, &post.post_id).await.unwrap();
    assert_eq!(thread.post, edited.into_iter().max_by_key(|post| post.version));
    assert_eq!((thread.comments.len(), said.len()), (30, 30));
    assert!(thread.comments.is_sorted_by(|one, next| one.comment_id < next.comment_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_comments_of_a_post_go_with_it() {
    let world = World::start().await;
    let (mut client, ada) = (world.posts(), actor("ada", "user"));
    let (post, kept) = (create(&mut client, &ada, "Gone").await.unwrap(), create(&mut client, &ada, "Kept").await.unwrap());
    for id in [&post.post_id, &post.post_id, &kept.post_id] {
        comment(&mut client, &ada, id, "well").await.unwrap();
    }
    delete(&mut client, &ada, &post.post_id, None).await.unwrap();
    assert_eq!(comment(&mut client, &ada, &post.post_id, "late").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(read(&mut client, &post.post_id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(world.number("SELECT count(*) FROM catalog.comments").await, 1);
    assert_eq!(read(&mut client, &kept.post_id).await.unwrap().comments.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_with_many_comments_is_two_statements_and_then_none() {
    let world = World::start().await;
    let (mut client, ada) = (world.posts(), actor("ada", "user"));
    let post = create(&mut client, &ada, "Looms").await.unwrap();
    for number in 0..20 {
        comment(&mut client, &ada, &post.post_id, &format!("Number {number}")).await.unwrap();
    }
    let key = format!("{}post:{}", world.prefix, post.post_id);
    let () = world.redis("DEL", &[&key]).await;
    world.count_reads_of("comments").await;
    for _ in 0..3 {
        assert_eq!(read(&mut client, &post.post_id).await.unwrap().comments.len(), 20);
        assert_eq!(world.loads().await, 1);
    }
    let () = world.redis("DEL", &[&key]).await;
    // the post itself is read by one statement as well
    world.execute("DELETE FROM catalog.posts").await;
    assert_eq!(read(&mut client, &post.post_id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(world.loads().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_500_comments_are_shown_as_far_as_a_message_holds_them() {
    let world = World::start().await;
    let (mut client, ada) = (world.posts(), actor("ada", "user"));
    for (body, shown) in [("'short'", 500..=500), ("repeat('😀', 4000)", 100..=300)] {
        let post = create(&mut client, &ada, "Busy").await.unwrap();
        let rows = format!(
            "INSERT INTO catalog.comments (comment_id, post_id, author_id, author_username, body)
             SELECT gen_random_uuid(), '{}', gen_random_uuid(), 'eve', {body} FROM generate_series(1, 600)",
            post.post_id
        );
        world.execute(&rows).await;
        let () = world.redis("DEL", &[&format!("{}post:{}", world.prefix, post.post_id)]).await;
        // the second answer comes from the cache
        for _ in 0..2 {
            let comments = read(&mut client, &post.post_id).await.unwrap().comments;
            assert!(shown.contains(&comments.len()), "{}", comments.len());
            assert!(comments.is_sorted_by(|one, next| one.comment_id < next.comment_id));
            let last = &comments[comments.len() - 1].comment_id;
            let older = format!("SELECT count(*) FROM catalog.comments WHERE post_id = '{}' AND comment_id <= '{last}'", post.post_id);
            assert_eq!(world.number(&older).await, i64::try_from(comments.len()).unwrap());
        }
    }
}
