//! As many streams as one service may have to hold.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, future::join_all, stream};
use proto::auth::{
    GetUserRequest, StreamEventsRequest, StreamEventsResponse, auth_service_client::AuthServiceClient,
    user_service_client::UserServiceClient,
};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming, transport::Channel};

use super::{
    leaving::given_up,
    world::{PATIENCE, World},
};
use crate::running::eventually;

const STREAMS: usize = 1_000;
/// Connections that these share.
const CHANNELS: usize = 4;
/// Streams on a connection of their own.
const LONERS: usize = 100;
const LISTEN: &str = "/throughline.auth.v1.AuthService/StreamEvents";
/// What pools may still open meanwhile.
const MARGIN: usize = 24;

pub(super) async fn a_thousand_at_once(world: &World) {
    join_all((0..64).map(|_| lives(world))).await;
    let (gone, before) = (world.ended(LISTEN, Some(Code::Cancelled)).await, held(world));
    let mut channels: Vec<Channel> = join_all((0..CHANNELS + LONERS).map(|_| world.connection("auth"))).await;
    let shared = (0..STREAMS).map(|number| channels[number % CHANNELS].clone());
    let wanted: Vec<Channel> = shared.chain(channels[CHANNELS..].iter().cloned()).collect();
    let open = stream::iter(wanted).map(|channel| listen(world, channel)).buffered(64);
    let mut streams: Vec<_> = open.try_collect().await.unwrap();
    assert!(held(world)["fd"] >= before["fd"] + LONERS, "each connection is held");
    lives(world).await;

    world.mesh.token().await;
    let told = join_all(streams.iter_mut().map(|stream| timeout(PATIENCE, stream.message()))).await;
    let unserved = told.iter().filter(|event| !matches!(event, Ok(Ok(Some(event))) if event.user_id == world.demo.user_id)).count();
    assert_eq!(unserved, 0, "of {} streams so many were not told of the login, such as {:?}", told.len(), told.first());

    // one half goes stream by stream, the other with its connection
    streams.truncate(STREAMS / 2);
    channels.clear();
    lives(world).await;
    drop(streams);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    given_up(world, LISTEN, gone, (STREAMS + LONERS) as f64).await;
    eventually(|| async {
        let (now, most) = (held(world), before.iter().map(|(what, count)| (*what, count + MARGIN)).collect::<BTreeMap<_, _>>());
        if now.iter().all(|(what, count)| *count <= most[what]) { Ok(()) } else { Err(format!("{before:?} before, {now:?} after")) }
    })
    .await;
    lives(world).await;
}

async fn listen(world: &World, channel: Channel) -> Result<Streaming<StreamEventsResponse>, Status> {
    let wish = StreamEventsRequest { event_types: vec!["UserLoggedIn".into()] };
    Ok(AuthServiceClient::new(channel).stream_events(world.admin.asks(wish)).await?.into_inner())
}

/// Others are served.
async fn lives(world: &World) {
    let mut users = UserServiceClient::new(world.connection("auth").await);
    users.get_user(world.demo.asks(GetUserRequest { user_id: world.demo.user_id.clone() })).await.unwrap();
}

/// Open files and threads of the service: proc(5).
fn held(world: &World) -> BTreeMap<&'static str, usize> {
    let pid = world.mesh.service("auth")["pid"].to_string();
    ["fd", "task"].map(|what| (what, std::fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count())).into()
}
