//! Callers that go away: what they asked for is no longer worked at, and nobody else notices.

use std::{io::Write, process::Stdio, time::Duration};

use proto::auth::{
    ChatKind, GetAvatarRequest, ListUsersRequest, LoginRequest, SetAvatarRequest, set_avatar_request::Part,
    user_service_client::UserServiceClient,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::NoTls;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::{
    accounts::{heard, join},
    world::{World, next},
};
use crate::{exposition::Exposition, running::eventually};

/// Waits until the server has counted `more` calls of a method that were given up, from `before` on.
pub(super) async fn given_up(world: &World, method: &str, before: f64, more: f64) {
    ends(method, before, more, async || world.ended(method, Some(Code::Cancelled)).await).await;
}

async fn ends(method: &str, before: f64, more: f64, count: impl AsyncFn() -> f64) {
    eventually(|| async {
        let now = count().await;
        if now >= before + more { Ok(()) } else { Err(format!("{} of {more} calls of {method} have ended", now - before)) }
    })
    .await;
}

/// Far more than one statement reads, and than fits in what is under way.
const USERS: u32 = 50_000;
const STATEMENTS: f64 = 100.0;

async fn crowd(world: &World) {
    let (client, connection) = tokio_postgres::connect(&world.mesh.endpoint("postgres"), NoTls).await.unwrap();
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(connection);
    let sql = format!(
        "INSERT INTO auth.users (user_id, username, email, password_hash)
         SELECT gen_random_uuid(), 'crowd-' || n, 'crowd-' || n || '@example.org', '-' FROM generate_series(1, {USERS}) AS n"
    );
    client.batch_execute(&sql).await.unwrap();
}

async fn statements(world: &World) -> f64 {
    let labels = [("db_system_name", "postgresql"), ("db_operation_name", "SELECT")];
    Exposition::of(&world.mesh, "auth").await.sum("db_client_operation_duration_seconds_count", &labels)
}

pub(super) async fn in_the_middle_of_a_list(world: &World) {
    const LIST: &str = "/throughline.auth.v1.UserService/ListUsers";
    crowd(world).await;
    let (gone, read) = (world.ended(LIST, Some(Code::Cancelled)).await, statements(world).await);
    let wish = || world.admin.asks(ListUsersRequest::default());
    let mut on_this_connection = world.users().list_users(wish()).await.unwrap().into_inner();
    let mut other = UserServiceClient::new(world.connection("auth").await);
    let mut on_another = other.list_users(wish()).await.unwrap().into_inner();
    next(&mut on_this_connection).await;
    next(&mut on_another).await;
    drop((on_this_connection, on_another, other));
    given_up(world, LIST, gone, 2.0).await;
    let work = statements(world).await - read;
    assert!(work < STATEMENTS, "{work} statements for two lists of which nobody read more than the first line");
    let whole = world.users().list_users(wish()).await.unwrap().into_inner();
    assert!(super::world::all(whole).await.len() > USERS as usize, "and who stays gets all");
}

pub(super) async fn in_the_middle_of_an_upload(world: &World) {
    const SET: &str = "/throughline.auth.v1.UserService/SetAvatar";
    let before = world.ended(SET, None).await;
    let (parts, sent) = mpsc::channel(1);
    let mut users = world.users();
    let begin = async {
        for part in [Part::UserId(world.demo.user_id.clone()), Part::Chunk(vec![0xff, 0xd8]), Part::Chunk(vec![0xff; 9])] {
            parts.send(SetAvatarRequest { part: Some(part) }).await.unwrap();
        }
    };
    tokio::select! {
        answer = users.set_avatar(world.demo.asks(ReceiverStream::new(sent))) => panic!("before all was sent: {answer:?}"),
        () = begin => {}
    }
    // cancelled, or what was sent so far is no picture: tonic tells the end of both alike
    ends(SET, before, 1.0, async || world.ended(SET, None).await).await;
    let wish = world.demo.asks(GetAvatarRequest { user_id: world.demo.user_id.clone() });
    assert_eq!(world.users().get_avatar(wish).await.unwrap_err().code(), Code::NotFound, "half a picture is none");
}

/// A client that is killed, as it sits in a room: those who stay are told.
pub(super) async fn in_the_middle_of_a_talk(world: &World) {
    let (_mouth, mut ears) = join(world, &world.admin, "hall").await;
    let mut client = world.mesh.command(&["call", "auth", "chat", "--as", "demo", "--json"]);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(client.stdin.as_mut().unwrap(), "{{\"join\": \"hall\"}}").unwrap();
    assert_eq!(heard(next(&mut ears).await), (ChatKind::Joined, world.demo.username.clone(), String::new()));
    client.kill().unwrap();
    assert_eq!(heard(next(&mut ears).await), (ChatKind::Left, world.demo.username.clone(), String::new()));
    client.wait().unwrap();
}

pub(super) async fn before_an_answer(world: &World) {
    const LOGIN: &str = "/throughline.auth.v1.AuthService/Login";
    let gone = world.ended(LOGIN, Some(Code::Cancelled)).await;
    let (email, password) = world.mesh.demo();
    eventually(|| async {
        let mut accounts = world.accounts();
        let login = LoginRequest { email: email.clone(), password: password.clone(), client_address: String::new() };
        // on its way, and before argon2 is done
        let _given_up = timeout(Duration::from_millis(5), accounts.login(login)).await;
        let now = world.ended(LOGIN, Some(Code::Cancelled)).await;
        if now > gone { Ok(()) } else { Err("no login was given up".to_owned()) }
    })
    .await;
    world.mesh.token().await;
}
