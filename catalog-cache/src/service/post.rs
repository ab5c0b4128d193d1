//! `PostService`.

use chassis::scenario::Scenarios;
use futures::FutureExt;
use proto::catalog::{
    CreateCommentRequest, CreateCommentResponse, CreatePostRequest, CreatePostResponse, DeletePostRequest, DeletePostResponse,
    GetPostRequest, GetPostResponse, ListPostsRequest, ListPostsResponse, UpdatePostRequest, UpdatePostResponse,
    post_service_server::PostService,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{
    catalog::Catalog,
    error::CatalogError,
    field::Fields,
    page::PostPage,
    post::{Actor, Thread, Words, read_comment},
    store,
};

/// One per serving runtime.
pub(crate) struct Posts {
    catalog: Catalog<Thread>,
    scenarios: Scenarios,
}

impl Posts {
    pub(crate) fn new(catalog: Catalog<Thread>, scenarios: Scenarios) -> Self {
        Self { catalog, scenarios }
    }
}

#[tonic::async_trait]
impl PostService for Posts {
    async fn list_posts(&self, request: Request<ListPostsRequest>) -> Result<Response<ListPostsResponse>, Status> {
        let page = PostPage::read(&request.into_inner())?;
        let mut posts = self.catalog.ask(async |connection| store::post::page(connection, &page, &self.scenarios).await).await?;
        let next_page_token = page.finish(&mut posts);
        let posts = posts.into_iter().map(Into::into).collect();
        Ok(Response::new(ListPostsResponse { posts, next_page_token }))
    }

    async fn get_post(&self, request: Request<GetPostRequest>) -> Result<Response<GetPostResponse>, Status> {
        let mut fields = Fields::default();
        let id = fields.id("post_id", &request.into_inner().post_id);
        let id = fields.done(id)?;
        let thread = self.catalog.find(&[id]).await?.remove(&id).flatten().ok_or(CatalogError::NotFound("post", id))?;
        let comments = thread.comments.into_iter().map(Into::into).collect();
        Ok(Response::new(GetPostResponse { post: Some(thread.post.into()), comments }))
    }

    async fn create_post(&self, request: Request<CreatePostRequest>) -> Result<Response<CreatePostResponse>, Status> {
        let CreatePostRequest { actor, title, body } = request.into_inner();
        let mut fields = Fields::default();
        let wanted = (Actor::read(actor, &mut fields), Words::read(title, body, &mut fields));
        let (actor, words) = fields.done(wanted)?;
        let id = Uuid::now_v7();
        let post = self
            .catalog
            .write(id, move |connection| async move { store::post::insert(connection, id, &actor, &words).await }.boxed())
            .await?;
        Ok(Response::new(CreatePostResponse { post: Some(post.into()) }))
    }

    async fn update_post(&self, request: Request<UpdatePostRequest>) -> Result<Response<UpdatePostResponse>, Status> {
        let UpdatePostRequest { actor, post_id, title, body, version } = request.into_inner();
        let mut fields = Fields::default();
        let wanted = (Actor::read(actor, &mut fields), fields.id("post_id", &post_id), Words::read(title, body, &mut fields));
        let (actor, id, words) = fields.done(wanted)?;
        let post = self
            .catalog
            .write(id, move |connection| async move { store::post::update(connection, id, &actor, &words, version).await }.boxed())
            .await?;
        Ok(Response::new(UpdatePostResponse { post: Some(post.into()) }))
    }

    async fn delete_post(&self, request: Request<DeletePostRequest>) -> Result<Response<DeletePostResponse>, Status> {
        let DeletePostRequest { actor, post_id, version } = request.into_inner();
        let mut fields = Fields::default();
        let wanted = (Actor::read(actor, &mut fields), fields.id("post_id", &post_id));
        let (actor, id) = fields.done(wanted)?;
        self.catalog.write(id, move |connection| async move { store::post::delete(connection, id, &actor, version).await }.boxed()).await?;
        Ok(Response::new(DeletePostResponse {}))
    }

    async fn create_comment(&self, request: Request<CreateCommentRequest>) -> Result<Response<CreateCommentResponse>, Status> {
        let CreateCommentRequest { actor, post_id, body } = request.into_inner();
        let mut fields = Fields::default();
        let wanted = (Actor::read(actor, &mut fields), fields.id("post_id", &post_id), read_comment(body, &mut fields));
        let (actor, id, text) = fields.done(wanted)?;
        let comment = self
            .catalog
            .write(id, move |connection| async move { store::post::insert_comment(connection, id, &actor, &text).await }.boxed())
            .await?;
        Ok(Response::new(CreateCommentResponse { comment: Some(comment.into()) }))
    }
}
