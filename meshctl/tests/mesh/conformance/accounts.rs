//! Every RPC of `throughline.auth.v1`.

use proto::auth::{
    ChatKind, ChatLine, ChatRequest, ChatResponse, CreateUsersRequest, DeleteSessionRequest, DeleteUserRequest, GetAvatarRequest,
    GetSessionRequest, GetUserRequest, ListUsersRequest, LogoutRequest, RefreshTokenRequest, RegisterRequest, SetAvatarRequest,
    StreamEventsRequest, UpdateUserRequest, ValidateTokenRequest, chat_request::Request as Wish, create_users_result::Result as Made,
    get_avatar_response, set_avatar_request,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::world::{PASSWORD, Person, World, all, email, next};

/// The shortest that is one.
pub(super) const JPEG: &[u8] = b"\xff\xd8\xff\xe0\xff\xd9";

pub(super) async fn succeed(world: &World) {
    let ada = registered(world, "ada").await;
    events(world, &ada).await;
    tokens(world).await;
    accounts(world, &ada).await;
    avatar(world, &ada).await;
    talk(world, &ada).await;
    sessions(world, &ada).await;
}

async fn registered(world: &World, name: &str) -> Person {
    let registration = RegisterRequest { username: name.into(), email: email(name), password: PASSWORD.into() };
    let user = world.accounts().register(registration).await.unwrap().into_inner().user.unwrap();
    assert_eq!((user.username.as_str(), user.email, user.role.as_str(), user.version), (name, email(name), "user", 1));
    let person = world.log_in(name).await;
    assert_eq!(person.user_id, user.user_id);
    person
}

/// What happens is told to those who listen.
async fn events(world: &World, ada: &Person) {
    let wish = StreamEventsRequest { event_types: vec!["UserLoggedIn".into()] };
    let mut events = world.accounts().stream_events(world.admin.asks(wish)).await.unwrap().into_inner();
    world.log_in("ada").await;
    let event = loop {
        let event = next(&mut events).await;
        assert_eq!(event.event_type, "UserLoggedIn");
        if event.user_id == ada.user_id {
            break event;
        }
    };
    assert!(event.occurred_at.is_some() && event.data.contains(&ada.user_id), "{event:?}");
}

async fn tokens(world: &World) {
    let mut accounts = world.accounts();
    let ada = world.log_in("ada").await;
    let valid = accounts.validate_token(ValidateTokenRequest { access_token: ada.token.clone() }).await.unwrap().into_inner();
    assert_eq!((&valid.user_id, &valid.session_id, valid.role.as_str()), (&ada.user_id, &ada.session_id, "user"));
    let fresh = accounts.refresh_token(RefreshTokenRequest { refresh_token: ada.refresh_token.clone() }).await.unwrap().into_inner();
    assert_eq!(fresh.session_id, ada.session_id);
    assert!(fresh.expires_in > 0 && fresh.refresh_token != ada.refresh_token);
    for _ in 0..2 {
        accounts.logout(LogoutRequest { access_token: fresh.access_token.clone() }).await.unwrap();
    }
    let after = accounts.validate_token(ValidateTokenRequest { access_token: fresh.access_token }).await.unwrap_err();
    assert_eq!(after.code(), Code::Unauthenticated);
}

async fn accounts(world: &World, ada: &Person) {
    let (mut users, admin) = (world.users(), &world.admin);
    let wish = |name: &str, address: &str| CreateUsersRequest {
        username: name.into(),
        email: email(address),
        password: PASSWORD.into(),
        role: String::new(),
    };
    let made = users
        .create_users(admin.sends(vec![wish("bob", "bob"), wish("ada", "another"), wish("eve", "eve")]))
        .await
        .unwrap()
        .into_inner()
        .results;
    let made: [Option<Made>; 3] = made.into_iter().map(|made| made.result).collect::<Vec<_>>().try_into().unwrap();
    let [Some(Made::User(bob)), Some(Made::Failure(taken)), Some(Made::User(eve))] = made else { panic!("two new names, one taken") };
    assert_eq!((taken.code, taken.field_violations[0].field.as_str()), (i32::from(Code::AlreadyExists), "username"));

    let seen = users.get_user(ada.asks(GetUserRequest { user_id: bob.user_id.clone() })).await.unwrap().into_inner().user.unwrap();
    assert_eq!((seen.username.as_str(), seen.email.as_str()), ("bob", ""), "an address is its user's own");
    let change =
        UpdateUserRequest { user_id: bob.user_id.clone(), email: Some("robert@example.org".into()), ..UpdateUserRequest::default() };
    let changed = users.update_user(admin.asks(change)).await.unwrap().into_inner().user.unwrap();
    assert_eq!((changed.email.as_str(), changed.username.as_str(), changed.version), ("robert@example.org", "bob", 2));

    let listed = all(users.list_users(admin.asks(ListUsersRequest::default())).await.unwrap().into_inner()).await;
    let place = |user_id: &str| listed.iter().position(|it| it.user.as_ref().unwrap().user_id == user_id).unwrap();
    let rest = ListUsersRequest { limit: 1, page_token: listed[place(&bob.user_id)].page_token.clone() };
    let rest = all(users.list_users(admin.asks(rest)).await.unwrap().into_inner()).await;
    assert_eq!(rest, listed[place(&bob.user_id) + 1..][..1]);

    users.delete_user(admin.asks(DeleteUserRequest { user_id: eve.user_id.clone() })).await.unwrap();
    let gone = users.get_user(admin.asks(GetUserRequest { user_id: eve.user_id })).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}

async fn avatar(world: &World, ada: &Person) {
    use set_avatar_request::Part::{Chunk, UserId};
    let part = |part| SetAvatarRequest { part: Some(part) };
    let (head, tail) = JPEG.split_at(4);
    let parts = vec![part(UserId(ada.user_id.clone())), part(Chunk(head.into())), part(Chunk(tail.into()))];
    let set = world.users().set_avatar(ada.sends(parts)).await.unwrap().into_inner().avatar.unwrap();
    assert_eq!((set.media_type.as_str(), set.size), ("image/jpeg", u32::try_from(JPEG.len()).unwrap()));
    let wish = world.demo.asks(GetAvatarRequest { user_id: ada.user_id.clone() });
    let mut parts = all(world.users().get_avatar(wish).await.unwrap().into_inner()).await.into_iter().map(|part| part.part.unwrap());
    let Some(get_avatar_response::Part::Avatar(described)) = parts.next() else { panic!("no description first") };
    assert_eq!(described.sha256, set.sha256);
    let chunks = parts.map(|part| if let get_avatar_response::Part::Chunk(chunk) = part { chunk } else { panic!("described twice") });
    assert_eq!(chunks.collect::<Vec<_>>().concat(), JPEG);
}

pub(super) fn says(wish: Wish) -> ChatRequest {
    ChatRequest { request: Some(wish) }
}

pub(super) fn heard(notice: ChatResponse) -> (ChatKind, String, String) {
    (notice.kind(), notice.username, notice.text)
}

/// Somebody in a room: where to say something, and what is heard.
pub(super) async fn join(world: &World, person: &Person, room: &str) -> (mpsc::Sender<ChatRequest>, Streaming<ChatResponse>) {
    let (mouth, words) = mpsc::channel(8);
    mouth.send(says(Wish::Join(room.into()))).await.unwrap();
    let mut ears = world.users().chat(person.asks(ReceiverStream::new(words))).await.unwrap().into_inner();
    assert_eq!(heard(next(&mut ears).await), (ChatKind::Joined, person.username.clone(), String::new()));
    (mouth, ears)
}

/// The other one hears what is said, and both hear who comes and goes.
async fn talk(world: &World, ada: &Person) {
    let (ada_says, mut ada_hears) = join(world, ada, "tea").await;
    let (demo_says, demo_hears) = join(world, &world.demo, "tea").await;
    assert_eq!(heard(next(&mut ada_hears).await).0, ChatKind::Joined);
    demo_says.send(says(Wish::Line(ChatLine { room: "tea".into(), text: "Milk?".into() }))).await.unwrap();
    assert_eq!(heard(next(&mut ada_hears).await), (ChatKind::Line, world.demo.username.clone(), "Milk?".into()));
    drop(demo_says);
    assert_eq!(heard(next(&mut ada_hears).await), (ChatKind::Left, world.demo.username.clone(), String::new()));
    let kinds: Vec<ChatKind> = all(demo_hears).await.into_iter().map(|notice| notice.kind()).collect();
    assert_eq!(kinds, [ChatKind::Line, ChatKind::Left], "its own line, its own end, and then the end");
    ada_says.send(says(Wish::Leave("tea".into()))).await.unwrap();
    assert_eq!(heard(next(&mut ada_hears).await).0, ChatKind::Left);
}

async fn sessions(world: &World, ada: &Person) {
    let (mut sessions, other) = (world.sessions(), world.log_in("ada").await);
    let wish = |session_id: &String| GetSessionRequest { session_id: session_id.clone() };
    let session = sessions.get_session(ada.asks(wish(&other.session_id))).await.unwrap().into_inner().session.unwrap();
    assert_eq!((&session.user_id, session.created_at.is_some()), (&ada.user_id, true));
    sessions.delete_session(world.admin.asks(DeleteSessionRequest { session_id: other.session_id.clone() })).await.unwrap();
    let gone = sessions.get_session(ada.asks(wish(&other.session_id))).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    world.users().get_user(ada.asks(GetUserRequest { user_id: ada.user_id.clone() })).await.unwrap();
}
