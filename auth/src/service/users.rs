//! `throughline.auth.v1.UserService`

use std::sync::Arc;

use chassis::spawn;
use futures::{StreamExt, stream::BoxStream};
use proto::auth::{
    ChatRequest, ChatResponse, CreateUsersRequest, CreateUsersResponse, DeleteUserRequest, DeleteUserResponse, GetAvatarRequest,
    GetAvatarResponse, GetUserRequest, GetUserResponse, ListUsersRequest, ListUsersResponse, SetAvatarRequest, SetAvatarResponse,
    UpdateUserRequest, UpdateUserResponse, user_service_server::UserService,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::Auth;
use crate::{
    conversation::Conversation,
    error::AuthError,
    listing::list,
    upload,
    user::{Change, read_id, read_token},
    vigil,
};

/// Answers of a `Chat` that wait for the network; what waits for a slow reader does so before them.
const OUTPUT: usize = 4;

/// One per serving runtime.
pub(crate) struct UserApi(pub(crate) Arc<Auth>);

#[tonic::async_trait]
impl UserService for UserApi {
    type ListUsersStream = BoxStream<'static, Result<ListUsersResponse, Status>>;
    type GetAvatarStream = BoxStream<'static, Result<GetAvatarResponse, Status>>;
    type ChatStream = ReceiverStream<Result<ChatResponse, Status>>;

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<GetUserResponse>, Status> {
        let caller = self.0.reader(request.metadata()).await?;
        let user_id = read_id("user_id", &request.get_ref().user_id).map_err(AuthError::from)?;
        let user = self.0.show_user(&caller, user_id).await?;
        Ok(Response::new(GetUserResponse { user: Some(user.into()) }))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<Self::ListUsersStream>, Status> {
        self.0.caller(request.metadata()).await?.require_admin()?;
        let ListUsersRequest { limit, page_token } = request.into_inner();
        let after = read_token(&page_token).map_err(AuthError::from)?;
        Ok(Response::new(list(self.0.pool.clone(), self.0.shared.shutdown.clone(), after, limit).boxed()))
    }

    async fn create_users(&self, request: Request<Streaming<CreateUsersRequest>>) -> Result<Response<CreateUsersResponse>, Status> {
        self.0.caller(request.metadata()).await?.require_admin()?;
        let results = self.0.create_users(request.into_inner()).await;
        Ok(Response::new(CreateUsersResponse { results }))
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Result<Response<UpdateUserResponse>, Status> {
        let caller = self.0.caller(request.metadata()).await?;
        let user = self.0.update_user(&caller, Change::new(request.into_inner())?).await?;
        Ok(Response::new(UpdateUserResponse { user: Some(user.into()) }))
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Result<Response<DeleteUserResponse>, Status> {
        let caller = self.0.caller(request.metadata()).await?;
        let user_id = read_id("user_id", &request.get_ref().user_id).map_err(AuthError::from)?;
        self.0.delete_user(&caller, user_id).await?;
        Ok(Response::new(DeleteUserResponse {}))
    }

    async fn set_avatar(&self, request: Request<Streaming<SetAvatarRequest>>) -> Result<Response<SetAvatarResponse>, Status> {
        let caller = self.0.caller(request.metadata()).await?;
        let (user_id, picture) = tokio::select! {
            biased;
            () = self.0.shared.shutdown.cancelled() => return Err(AuthError::Stopping.into()),
            received = upload::receive(request.into_inner(), |user_id| caller.may_change(user_id)) => received?,
        };
        let avatar = self.0.put_avatar(user_id, picture).await?;
        Ok(Response::new(SetAvatarResponse { avatar: Some((&avatar).into()) }))
    }

    async fn get_avatar(&self, request: Request<GetAvatarRequest>) -> Result<Response<Self::GetAvatarStream>, Status> {
        self.0.reader(request.metadata()).await?;
        let user_id = read_id("user_id", &request.get_ref().user_id).map_err(AuthError::from)?;
        let avatar = self.0.find_avatar(user_id).await?;
        Ok(Response::new(upload::send(avatar).boxed()))
    }

    async fn chat(&self, request: Request<Streaming<ChatRequest>>) -> Result<Response<Self::ChatStream>, Status> {
        let Auth { shared, redis, sessions, .. } = &*self.0;
        let caller = self.0.caller(request.metadata()).await?;
        let missed = shared.rooms.heard().await?;
        let (output, responses) = mpsc::channel(OUTPUT);
        // a place for the reason of its end, however slowly the rest is read
        let farewell = output.clone().try_reserve_owned().map_err(|_| AuthError::Stopping)?;
        let end = vigil::end_of(&self.0, &caller);
        let (conversation, notices) =
            Conversation::new(caller, shared.rooms.clone(), redis.clone(), sessions.clone(), shared.stream.buffer);
        drop(spawn(conversation.run(request.into_inner(), notices, (output, farewell), end, missed)));
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}
