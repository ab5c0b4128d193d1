//! `ListPosts`, `CreatePost`, `UpdatePost`, `DeletePost`

use chassis::grpc::Channel;
use proto::catalog::{
    Actor, CreateCommentRequest, CreatePostRequest, DeletePostRequest, GetPostRequest, GetPostResponse, ListPostsRequest,
    ListPostsResponse, Post, UpdatePostRequest, post_service_client::PostServiceClient,
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{World, refusal, wrong_fields};

pub(crate) type Client = PostServiceClient<Channel>;

/// Somebody of that name, always of the same id.
pub(crate) fn actor(username: &str, role: &str) -> Actor {
    let user_id = Uuid::new_v5(&Uuid::NAMESPACE_OID, username.as_bytes()).to_string();
    Actor { user_id, username: username.into(), role: role.into() }
}

pub(crate) async fn create(client: &mut Client, actor: &Actor, title: &str) -> Result<Post, Status> {
    let request = CreatePostRequest { actor: Some(actor.clone()), title: title.into(), body: format!("All about {title}.\nThat is all.") };
    Ok(client.create_post(request).await?.into_inner().post.unwrap())
}

pub(crate) async fn read(client: &mut Client, post_id: &str) -> Result<GetPostResponse, Status> {
    Ok(client.get_post(GetPostRequest { post_id: post_id.into() }).await?.into_inner())
}

pub(crate) async fn update(client: &mut Client, actor: &Actor, post_id: &str, title: &str, version: Option<i64>) -> Result<Post, Status> {
    let request =
        UpdatePostRequest { actor: Some(actor.clone()), post_id: post_id.into(), title: title.into(), body: "changed".into(), version };
    Ok(client.update_post(request).await?.into_inner().post.unwrap())
}

pub(crate) async fn delete(client: &mut Client, actor: &Actor, post_id: &str, version: Option<i64>) -> Result<(), Status> {
    let request = DeletePostRequest { actor: Some(actor.clone()), post_id: post_id.into(), version };
    client.delete_post(request).await.map(drop)
}

pub(crate) async fn comment(client: &mut Client, actor: &Actor, post_id: &str, body: &str) -> Result<proto::catalog::Comment, Status> {
    let request = CreateCommentRequest { actor: Some(actor.clone()), post_id: post_id.into(), body: body.into() };
    Ok(client.create_comment(request).await?.into_inner().comment.unwrap())
}

async fn list(client: &mut Client, page_size: u32, page_token: &str, author_id: &str) -> Result<ListPostsResponse, Status> {
    let request = ListPostsRequest { page_size, page_token: page_token.into(), author_id: author_id.into() };
    Ok(client.list_posts(request).await?.into_inner())
}

/// All posts, page by page.
async fn all(client: &mut Client, page_size: u32, author_id: &str) -> Vec<Post> {
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(client, page_size, &token, author_id).await.unwrap();
        assert!(page.posts.len() <= page_size as usize);
        found.extend(page.posts);
        token = page.next_page_token;
        if token.is_empty() {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_lives_from_its_creation_to_its_deletion() {
    let world = World::start().await;
    let (mut client, mut other, ada) = (world.posts(), world.posts(), actor("ada", "user"));
    for _ in 0..5 {
        let created = create(&mut client, &ada, "Looms").await.unwrap();
        assert_eq!((created.author_id.as_str(), created.author_username.as_str()), (ada.user_id.as_str(), "ada"));
        assert_eq!((created.title.as_str(), created.version, created.created_at), ("Looms", 1, created.updated_at));
        assert_eq!(created.post_id.parse::<Uuid>().unwrap().get_version_num(), 7);
        assert_eq!(read(&mut other, &created.post_id).await.unwrap().post, Some(created.clone()));
        let updated = update(&mut other, &ada, &created.post_id, "Engines", Some(1)).await.unwrap();
        assert_eq!((updated.title.as_str(), updated.body.as_str(), updated.version), ("Engines", "changed", 2));
        assert_eq!(updated.created_at, created.created_at);
        assert_eq!(read(&mut client, &created.post_id).await.unwrap().post, Some(updated));
        delete(&mut client, &ada, &created.post_id, Some(2)).await.unwrap();
        for client in [&mut client, &mut other] {
            assert_eq!(read(client, &created.post_id).await.unwrap_err().code(), Code::NotFound);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_author_and_admins_change_a_post() {
    let world = World::start().await;
    let (mut client, ada, eve, root) = (world.posts(), actor("ada", "user"), actor("eve", "user"), actor("root", "admin"));
    let post = create(&mut client, &ada, "Mine").await.unwrap();
    for version in [None, Some(1), Some(9)] {
        for refused in [
            update(&mut client, &eve, &post.post_id, "Yours", version).await.map(drop).unwrap_err(),
            delete(&mut client, &eve, &post.post_id, version).await.unwrap_err(),
        ] {
            assert_eq!(refusal(&refused, "version"), (Code::PermissionDenied, "NOT_YOURS".into(), None));
        }
    }
    assert_eq!(read(&mut client, &post.post_id).await.unwrap().post.as_ref(), Some(&post));
    let edited = update(&mut client, &root, &post.post_id, "Edited", None).await.unwrap();
    assert_eq!((edited.author_id, edited.author_username.as_str()), (post.author_id, "ada"));
    delete(&mut client, &root, &post.post_id, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_another_version_is_refused() {
    let world = World::start().await;
    let (mut client, ada) = (world.posts(), actor("ada", "user"));
    let post = create(&mut client, &ada, "One").await.unwrap();
    update(&mut client, &ada, &post.post_id, "Two", None).await.unwrap();
    for refused in [
        update(&mut client, &ada, &post.post_id, "Three", Some(1)).await.map(drop).unwrap_err(),
        delete(&mut client, &ada, &post.post_id, Some(3)).await.unwrap_err(),
    ] {
        assert_eq!(refusal(&refused, "version"), (Code::Aborted, "VERSION_MISMATCH".into(), Some("2".into())));
    }
    assert_eq!(read(&mut client, &post.post_id).await.unwrap().post.unwrap().title, "Two");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_posts_are_not_found() {
    let world = World::start().await;
    let (mut client, ada, id) = (world.posts(), actor("ada", "admin"), Uuid::now_v7().to_string());
    for refused in [
        read(&mut client, &id).await.map(drop).unwrap_err(),
        update(&mut client, &ada, &id, "x", Some(1)).await.map(drop).unwrap_err(),
        delete(&mut client, &ada, &id, None).await.unwrap_err(),
        comment(&mut client, &ada, &id, "x").await.map(drop).unwrap_err(),
    ] {
        assert_eq!(refused.code(), Code::NotFound);
        assert!(refused.message().contains(&id), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_are_listed_newest_first_and_an_authors_alone() {
    let world = World::start().await;
    let (mut client, ada, eve) = (world.posts(), actor("ada", "user"), actor("eve", "user"));
    assert_eq!(list(&mut client, 0, "", "").await.unwrap(), ListPostsResponse::default());
    let mut made = Vec::new();
    for number in 0..25 {
        let author = if number % 3 == 0 { &eve } else { &ada };
        made.push(create(&mut client, author, &format!("Number {number}")).await.unwrap());
    }
    made.reverse();
    for size in [1, 5, 7, 100] {
        assert_eq!(all(&mut client, size, "").await, made, "by {size}");
        let eves: Vec<_> = made.iter().filter(|post| post.author_id == eve.user_id).cloned().collect();
        assert_eq!(all(&mut client, size, &eve.user_id).await, eves, "by {size}");
    }
    assert_eq!(list(&mut client, 0, "", "").await.unwrap().posts.len(), 20);
    // what comes while somebody leafs is newer, and what goes leaves no gap
    let first = list(&mut client, 5, "", "").await.unwrap();
    create(&mut client, &ada, "New").await.unwrap();
    delete(&mut client, &actor("root", "admin"), &made[4].post_id, None).await.unwrap();
    let second = list(&mut client, 5, &first.next_page_token, "").await.unwrap();
    assert_eq!(second.posts, made[5..10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_never_larger_than_a_message() {
    let world = World::start().await;
    world
        .execute(
            "INSERT INTO catalog.posts (post_id, author_id, author_username, title, body)
             SELECT gen_random_uuid(), gen_random_uuid(), 'ada', 'long', repeat('😀', 20000) FROM generate_series(1, 100)",
        )
        .await;
    let mut client = world.posts();
    let found = all(&mut client, 100, "").await;
    assert_eq!(found.len(), 100);
    assert!(found.is_sorted_by(|one, next| one.post_id > next.post_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_pages_are_named() {
    let world = World::start().await;
    let mut client = world.posts();
    assert_eq!(wrong_fields(&list(&mut client, 101, "?", "ada").await.unwrap_err()), ["page_size", "author_id", "page_token"]);
    for token in ["AAAA", "\0", "42f9e583-3e11-5aaa-9721-bd1df8386bff"] {
        assert_eq!(wrong_fields(&list(&mut client, 0, token, "").await.unwrap_err()), ["page_token"], "{token:?}");
    }
}
