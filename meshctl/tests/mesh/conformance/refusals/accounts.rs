//! `throughline.auth.v1`

use proto::auth::{
    ChatLine, ChatRequest, CreateUsersRequest, DeleteSessionRequest, DeleteUserRequest, GetAvatarRequest, GetSessionRequest,
    GetUserRequest, ListUsersRequest, LoginRequest, LogoutRequest, RefreshTokenRequest, RegisterRequest, SetAvatarRequest,
    StreamEventsRequest, UpdateUserRequest, ValidateTokenRequest, chat_request::Request as Wish, set_avatar_request::Part,
};
use tonic::Code;
use uuid::Uuid;

use crate::conformance::{
    accounts::{JPEG, says},
    verdicts::{
        Says::{Field, Nothing, Reason},
        Verdicts,
    },
    world::{PASSWORD, Person, World, bearing, email},
};

pub(in crate::conformance) async fn accounts(world: &World, verdicts: &mut Verdicts) {
    let bea = world.person("bea").await;
    fields(world, verdicts, &bea).await;
    without_rights(world, verdicts, &bea).await;
    without_a_token(world, verdicts).await;
    tokens(world, verdicts).await;
    state(world, verdicts, &bea).await;
    too_many_guesses(world, verdicts).await;
}

fn registration(name: &str) -> RegisterRequest {
    RegisterRequest { username: name.into(), email: email(name), password: PASSWORD.into() }
}

async fn fields(world: &World, verdicts: &mut Verdicts, bea: &Person) {
    let (mut accounts, mut users, mut sessions) = (world.accounts(), world.users(), world.sessions());
    let due = |field: &'static str| (Code::InvalidArgument, Field(field));
    let short = RegisterRequest { password: "short".into(), ..registration("cleo") };
    verdicts.expect("a short password", due("password"), accounts.register(short).await);
    let odd = RegisterRequest { username: "a\0b".into(), ..registration("cleo") };
    verdicts.expect("a name that Postgres cannot hold", due("username"), accounts.register(odd).await);
    let login = LoginRequest { client_address: "here".into(), ..LoginRequest::default() };
    verdicts.expect("no address of a client", due("client_address"), accounts.login(login).await);
    let events = StreamEventsRequest { event_types: vec!["UserSneezed".into()] };
    verdicts.expect("events that there are not", due("event_types[0]"), accounts.stream_events(bea.asks(events)).await);
    let user_id = "nobody".to_owned();
    verdicts.expect("no id", due("user_id"), users.get_user(bea.asks(GetUserRequest { user_id: user_id.clone() })).await);
    verdicts.expect("no id", due("user_id"), users.get_avatar(bea.asks(GetAvatarRequest { user_id: user_id.clone() })).await);
    verdicts.expect("no id", due("user_id"), users.delete_user(bea.asks(DeleteUserRequest { user_id })).await);
    let token = ListUsersRequest { page_token: "?".into(), ..ListUsersRequest::default() };
    verdicts.expect("no page token", due("page_token"), users.list_users(world.admin.asks(token)).await);
    let role = UpdateUserRequest { user_id: bea.user_id.clone(), role: Some("root".into()), ..UpdateUserRequest::default() };
    verdicts.expect("a role that there is not", due("role"), users.update_user(world.admin.asks(role)).await);
    let parts = |parts: Vec<Part>| bea.sends(parts.into_iter().map(|part| SetAvatarRequest { part: Some(part) }).collect());
    let (own, chunk) = (Part::UserId(bea.user_id.clone()), Part::Chunk(b"GIF89a".to_vec()));
    verdicts.expect("a picture of nobody", due("user_id"), users.set_avatar(parts(vec![chunk.clone()])).await);
    verdicts.expect("no picture", due("chunk"), users.set_avatar(parts(vec![own, chunk])).await);
    let talk = |wish: Option<Wish>| bea.sends(vec![ChatRequest { request: wish }]);
    verdicts.expect_end("an empty wish", due("request"), users.chat(talk(None)).await).await;
    verdicts.expect_end("a room without a name", due("join"), users.chat(talk(Some(Wish::Join(String::new())))).await).await;
    let session = GetSessionRequest { session_id: String::new() };
    verdicts.expect("no id", due("session_id"), sessions.get_session(bea.asks(session)).await);
    let session = DeleteSessionRequest { session_id: "1".into() };
    verdicts.expect("no id", due("session_id"), sessions.delete_session(bea.asks(session)).await);
}

async fn without_rights(world: &World, verdicts: &mut Verdicts, bea: &Person) {
    let mut users = world.users();
    let (admins, own) = ((Code::PermissionDenied, Reason("ADMIN_REQUIRED")), (Code::PermissionDenied, Reason("NOT_YOURS")));
    verdicts.expect("a list for a user", admins, users.list_users(bea.asks(ListUsersRequest::default())).await);
    verdicts.expect("accounts for a user", admins, users.create_users(bea.sends(vec![CreateUsersRequest::default()])).await);
    let rise = UpdateUserRequest { user_id: bea.user_id.clone(), role: Some("admin".into()), ..UpdateUserRequest::default() };
    verdicts.expect("a role of one's own choice", admins, users.update_user(bea.asks(rise)).await);
    let user_id = world.demo.user_id.clone();
    let change = UpdateUserRequest { user_id: user_id.clone(), username: Some("bobby".into()), ..UpdateUserRequest::default() };
    verdicts.expect("another's account", own, users.update_user(bea.asks(change)).await);
    verdicts.expect("another's account", own, users.delete_user(bea.asks(DeleteUserRequest { user_id: user_id.clone() })).await);
    let picture = [Part::UserId(user_id), Part::Chunk(JPEG.to_vec())].map(|part| SetAvatarRequest { part: Some(part) });
    verdicts.expect("another's picture", own, users.set_avatar(bea.sends(picture.to_vec())).await);
    let foreign = GetSessionRequest { session_id: world.admin.session_id.clone() };
    verdicts.expect("another's session", (Code::NotFound, Nothing), world.sessions().get_session(bea.asks(foreign)).await);
    let foreign = DeleteSessionRequest { session_id: world.admin.session_id.clone() };
    verdicts.expect("another's session", (Code::NotFound, Nothing), world.sessions().delete_session(bea.asks(foreign)).await);
}

async fn without_a_token(world: &World, verdicts: &mut Verdicts) {
    let (mut users, due) = (world.users(), (Code::Unauthenticated, Reason("TOKEN_MISSING")));
    verdicts.expect("GetUser", due, users.get_user(GetUserRequest::default()).await);
    verdicts.expect("ListUsers", due, users.list_users(ListUsersRequest::default()).await);
    verdicts.expect("UpdateUser", due, users.update_user(UpdateUserRequest::default()).await);
    verdicts.expect("DeleteUser", due, users.delete_user(DeleteUserRequest::default()).await);
    verdicts.expect("GetAvatar", due, users.get_avatar(GetAvatarRequest::default()).await);
    verdicts.expect("CreateUsers", due, users.create_users(futures::stream::pending()).await);
    verdicts.expect("SetAvatar", due, users.set_avatar(futures::stream::pending()).await);
    verdicts.expect("Chat", due, users.chat(futures::stream::pending()).await);
    verdicts.expect("GetSession", due, world.sessions().get_session(GetSessionRequest::default()).await);
    verdicts.expect("DeleteSession", due, world.sessions().delete_session(DeleteSessionRequest::default()).await);
    verdicts.expect("StreamEvents", due, world.accounts().stream_events(StreamEventsRequest::default()).await);
    let invalid = (Code::Unauthenticated, Reason("TOKEN_INVALID"));
    verdicts.expect("a token that is none", invalid, users.get_user(bearing("a.b.c", GetUserRequest::default())).await);
}

async fn tokens(world: &World, verdicts: &mut Verdicts) {
    let (mut accounts, bea) = (world.accounts(), world.log_in("bea").await);
    let due = |reason: &'static str| (Code::Unauthenticated, Reason(reason));
    let login = LoginRequest { email: email("bea"), password: "not her password".into(), client_address: String::new() };
    verdicts.expect("a wrong password", due("WRONG_CREDENTIALS"), accounts.login(login).await);
    let forged = format!("{}x", bea.token);
    verdicts.expect("a forged token", due("TOKEN_INVALID"), accounts.validate_token(ValidateTokenRequest { access_token: forged }).await);
    verdicts.expect("no token", due("TOKEN_INVALID"), accounts.logout(LogoutRequest::default()).await);
    verdicts.expect("no token", due("TOKEN_INVALID"), accounts.refresh_token(RefreshTokenRequest::default()).await);
    let refresh = || RefreshTokenRequest { refresh_token: bea.refresh_token.clone() };
    let next = accounts.refresh_token(refresh()).await.unwrap().into_inner();
    verdicts.expect("a used token", due("TOKEN_REUSED"), accounts.refresh_token(refresh()).await);
    let next_one = RefreshTokenRequest { refresh_token: next.refresh_token };
    verdicts.expect("a token of an ended session", due("SESSION_ENDED"), accounts.refresh_token(next_one).await);
    let ended = ValidateTokenRequest { access_token: next.access_token };
    verdicts.expect("a token of an ended session", due("SESSION_ENDED"), accounts.validate_token(ended).await);
}

async fn state(world: &World, verdicts: &mut Verdicts, bea: &Person) {
    let (mut accounts, mut users, admin) = (world.accounts(), world.users(), &world.admin);
    let taken = RegisterRequest { email: email("cleo"), ..registration("bea") };
    verdicts.expect("a taken name", (Code::AlreadyExists, Reason("USERNAME_TAKEN")), accounts.register(taken).await);
    let taken = RegisterRequest { email: email("bea"), ..registration("cleo") };
    verdicts.expect("a taken address", (Code::AlreadyExists, Reason("EMAIL_TAKEN")), accounts.register(taken).await);
    let change = |user_id: &str| UpdateUserRequest { user_id: user_id.into(), ..UpdateUserRequest::default() };
    let taken = UpdateUserRequest { username: Some(world.demo.username.clone()), ..change(&bea.user_id) };
    verdicts.expect("a taken name", (Code::AlreadyExists, Reason("USERNAME_TAKEN")), users.update_user(bea.asks(taken)).await);
    let late = UpdateUserRequest { version: Some(9), ..change(&bea.user_id) };
    verdicts.expect("another version", (Code::Aborted, Reason("VERSION_MISMATCH")), users.update_user(bea.asks(late)).await);
    let last = UpdateUserRequest { role: Some("user".into()), ..change(&admin.user_id) };
    verdicts.expect("no admin left", (Code::FailedPrecondition, Reason("LAST_ADMIN")), users.update_user(admin.asks(last)).await);
    let unknown = Uuid::now_v7().to_string();
    let due = (Code::NotFound, Nothing);
    verdicts.expect("nobody", due, users.get_user(bea.asks(GetUserRequest { user_id: unknown.clone() })).await);
    verdicts.expect("nobody", due, users.update_user(admin.asks(change(&unknown))).await);
    verdicts.expect("nobody", due, users.delete_user(admin.asks(DeleteUserRequest { user_id: unknown.clone() })).await);
    verdicts.expect("no picture", due, users.get_avatar(bea.asks(GetAvatarRequest { user_id: bea.user_id.clone() })).await);
    verdicts.expect("no session", due, world.sessions().get_session(bea.asks(GetSessionRequest { session_id: unknown })).await);
    let line = says(Wish::Line(ChatLine { room: "elsewhere".into(), text: "Hello?".into() }));
    let outside = (Code::FailedPrecondition, Reason("ROOM_NOT_JOINED"));
    verdicts.expect_end("a room that was not joined", outside, users.chat(bea.sends(vec![line])).await).await;
    let rooms = (0..33).map(|number| says(Wish::Join(format!("room-{number}")))).collect();
    let many = (Code::ResourceExhausted, Reason("TOO_MANY_ROOMS"));
    verdicts.expect_end("more rooms than there may be", many, users.chat(bea.sends(rooms)).await).await;
}

/// Whether there is such an account or not.
async fn too_many_guesses(world: &World, verdicts: &mut Verdicts) {
    let guess = || LoginRequest { email: "nobody@example.org".into(), password: "guess".into(), client_address: "192.0.2.7".into() };
    for _ in 0..10 {
        let due = (Code::Unauthenticated, Reason("WRONG_CREDENTIALS"));
        verdicts.expect("a guess", due, world.accounts().login(guess()).await);
    }
    let due = (Code::ResourceExhausted, Reason("LOGIN_THROTTLED"));
    verdicts.expect("one guess too many", due, world.accounts().login(guess()).await);
}
