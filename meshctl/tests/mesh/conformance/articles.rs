//! Every RPC of `PostService`.

use proto::catalog::{
    Actor, CreateCommentRequest, CreatePostRequest, DeletePostRequest, GetPostRequest, ListPostsRequest, Post, UpdatePostRequest,
};
use tonic::Code;

use super::world::{Person, World};

pub(super) fn actor(person: &Person, role: &str) -> Actor {
    Actor { user_id: person.user_id.clone(), username: person.username.clone(), role: role.into() }
}

pub(super) async fn write(world: &World, title: &str) -> Post {
    let wish = CreatePostRequest { actor: Some(actor(&world.demo, "user")), title: title.into(), body: "Smoky.".into() };
    world.posts().create_post(wish).await.unwrap().into_inner().post.unwrap()
}

pub(super) async fn succeed(world: &World) {
    let mut posts = world.posts();
    let (first, second) = (write(world, "Tea").await, write(world, "Coffee").await);
    assert_eq!((&first.author_id, first.version), (&world.demo.user_id, 1));
    let wish = ListPostsRequest { page_size: 1, author_id: world.demo.user_id.clone(), ..ListPostsRequest::default() };
    let newest = posts.list_posts(wish.clone()).await.unwrap().into_inner();
    assert_eq!(newest.posts, [second]);
    let before = posts.list_posts(ListPostsRequest { page_token: newest.next_page_token, ..wish }).await.unwrap().into_inner();
    assert_eq!((&before.posts[..], before.next_page_token.as_str()), (&[first.clone()][..], ""));

    let comment =
        CreateCommentRequest { actor: Some(actor(&world.admin, "admin")), post_id: first.post_id.clone(), body: "Indeed.".into() };
    let comment = posts.create_comment(comment).await.unwrap().into_inner().comment.unwrap();
    let change = UpdatePostRequest {
        actor: Some(actor(&world.demo, "user")),
        post_id: first.post_id.clone(),
        title: first.title.clone(),
        body: "Very smoky.".into(),
        version: Some(1),
    };
    let changed = posts.update_post(change).await.unwrap().into_inner().post.unwrap();
    let wish = GetPostRequest { post_id: first.post_id.clone() };
    let read = posts.get_post(wish.clone()).await.unwrap().into_inner();
    assert_eq!((read.post, read.comments), (Some(changed), vec![comment]));

    let end = DeletePostRequest { actor: Some(actor(&world.admin, "admin")), post_id: first.post_id, version: Some(2) };
    posts.delete_post(end).await.unwrap();
    assert_eq!(posts.get_post(wish).await.unwrap_err().code(), Code::NotFound);
}
