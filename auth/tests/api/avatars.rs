//! `SetAvatar` and `GetAvatar`

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::{StreamExt, TryStreamExt, stream};
use proto::auth::{Avatar, DeleteUserRequest, GetAvatarRequest, SetAvatarRequest, get_avatar_response, set_avatar_request::Part};
use sha2::{Digest, Sha256};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{self, Person, World, wrong_fields};

/// A picture of that many bytes, as far as can be told without drawing it.
fn jpeg(length: usize) -> Vec<u8> {
    let inside = (0..length - 6).map(|number| u8::try_from(number % 251).unwrap());
    [0xff, 0xd8, 0xff, 0xe0].into_iter().chain(inside).chain([0xff, 0xd9]).collect()
}

fn png() -> Vec<u8> {
    let chunk = |kind: &[u8], data: &[u8]| [&u32::try_from(data.len()).unwrap().to_be_bytes()[..], kind, data, &[0; 4]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &[1; 13]), chunk(b"IDAT", &[2; 50]), chunk(b"IEND", b"")].concat()
}

fn message(part: Part) -> SetAvatarRequest {
    SetAvatarRequest { part: Some(part) }
}

fn whose(user_id: &str) -> SetAvatarRequest {
    message(Part::UserId(user_id.into()))
}

async fn send(world: &World, person: &Person, messages: Vec<SetAvatarRequest>) -> Result<Avatar, Status> {
    Ok(world.users().set_avatar(person.says(stream::iter(messages))).await?.into_inner().avatar.unwrap())
}

async fn set(world: &World, person: &Person, user_id: &str, bytes: &[u8], chunk: usize) -> Result<Avatar, Status> {
    let chunks = bytes.chunks(chunk).map(|chunk| message(Part::Chunk(chunk.to_vec())));
    send(world, person, [whose(user_id)].into_iter().chain(chunks).collect()).await
}

async fn get(world: &World, person: &Person, user_id: &str) -> Result<(Avatar, Vec<u8>), Status> {
    let request = person.says(GetAvatarRequest { user_id: user_id.into() });
    let parts: Vec<_> = world.users().get_avatar(request).await?.into_inner().try_collect().await?;
    let mut parts = parts.into_iter().map(|response| response.part.unwrap());
    let Some(get_avatar_response::Part::Avatar(avatar)) = parts.next() else { panic!("no description") };
    let chunks = parts.map(|part| match part {
        get_avatar_response::Part::Chunk(chunk) => chunk,
        get_avatar_response::Part::Avatar(_) => panic!("a second description"),
    });
    let chunks: Vec<_> = chunks.collect();
    assert!(chunks.iter().all(|chunk| (1..=65_536).contains(&chunk.len())));
    Ok((avatar, chunks.concat()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_comes_back_as_it_was_sent() {
    let world = World::start().await;
    let (ada, eve) = (world.person("ada").await, world.person("eve").await);
    for (picture, media_type, chunk) in [(png(), "image/png", 7), (jpeg(1 << 20), "image/jpeg", 65_536), (jpeg(100), "image/jpeg", 100)] {
        let avatar = set(&world, &ada, &ada.id(), &picture, chunk).await.unwrap();
        assert_eq!((avatar.media_type.as_str(), avatar.size as usize), (media_type, picture.len()));
        assert_eq!(avatar.sha256, Sha256::digest(&picture).iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        assert_eq!(get(&world, &eve, &ada.id()).await.unwrap(), (avatar, picture));
    }
    assert_eq!(world.count("auth.avatars").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_is_too_large_is_refused_before_all_of_it_was_read() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let chunks = stream::repeat_with(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        message(Part::Chunk(vec![0; 65_536]))
    });
    let endless = stream::iter([whose(&ada.id())]).chain(chunks);
    let status = world.users().set_avatar(ada.says(endless)).await.unwrap_err();
    assert_eq!(wrong_fields(&status), ["chunk"]);
    // what is on its way in buffers does not come to four times that
    assert!(sent.load(Ordering::SeqCst) < 200, "{} chunks were taken", sent.load(Ordering::SeqCst));
    for length in [(1 << 20) + 1, 3 << 20, 5 << 20] {
        assert_eq!(wrong_fields(&set(&world, &ada, &ada.id(), &jpeg(length), length).await.unwrap_err()), ["chunk"]);
    }
    assert_eq!(world.count("auth.avatars").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_whole_picture_is_refused_and_the_one_before_stays() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    set(&world, &ada, &ada.id(), &png(), 50).await.unwrap();
    let (png, jpeg) = (png(), jpeg(1_000));
    for bytes in [&b"GIF89a;"[..], b"<svg/>", b"\0", b"", &png[..png.len() - 1], &png[..40], &jpeg[..999], &jpeg[1..]] {
        assert_eq!(wrong_fields(&set(&world, &ada, &ada.id(), bytes, 10).await.unwrap_err()), ["chunk"]);
    }
    assert_eq!(get(&world, &ada, &ada.id()).await.unwrap().1, png);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_off_changes_nothing() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let whole = [whose(&ada.id()), message(Part::Chunk(jpeg(1_000)))];
    let (reached, cut) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let end = Arc::clone(&reached);
    let held = stream::iter(whole).chain(stream::once(async move {
        end.notify_one();
        std::future::pending().await
    }));
    let mut users = world.users();
    let request = ada.says(held);
    let stopped = Arc::clone(&cut);
    let upload = chassis::spawn(async move {
        tokio::select! {
            answer = users.set_avatar(request) => panic!("{answer:?}"),
            () = stopped.notified() => {}
        }
    });
    reached.notified().await;
    cut.notify_one();
    upload.await.unwrap();
    assert_eq!(get(&world, &ada, &ada.id()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(world.count("auth.avatars").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_in_the_wrong_order_are_refused() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    let chunk = || message(Part::Chunk(png()));
    let nothing = SetAvatarRequest { part: None };
    let cases = [
        (vec![], "user_id"),
        (vec![chunk()], "user_id"),
        (vec![whose("x"), chunk()], "user_id"),
        (vec![whose(&ada.id()), chunk(), whose(&ada.id())], "user_id"),
        (vec![nothing.clone()], "part"),
        (vec![whose(&ada.id()), nothing], "part"),
        (vec![whose(&ada.id())], "chunk"),
    ];
    for (messages, field) in cases {
        assert_eq!(wrong_fields(&send(&world, &ada, messages).await.unwrap_err()), [field]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_set_by_its_user_and_admins_and_goes_with_the_account() {
    let world = World::start().await;
    let (ada, eve, admin) = (world.person("ada").await, world.person("eve").await, world.admin("root").await);
    assert_eq!(world::reason(set(&world, &eve, &ada.id(), &png(), 50).await, Code::PermissionDenied), "NOT_YOURS");
    set(&world, &admin, &ada.id(), &png(), 50).await.unwrap();
    assert_eq!(set(&world, &admin, &Uuid::now_v7().to_string(), &png(), 50).await.unwrap_err().code(), Code::NotFound);
    for unknown in [eve.id(), Uuid::now_v7().to_string()] {
        assert_eq!(get(&world, &ada, &unknown).await.unwrap_err().code(), Code::NotFound);
    }
    world.users().delete_user(ada.says(DeleteUserRequest { user_id: ada.id() })).await.unwrap();
    assert_eq!(world.count("auth.avatars").await, 0);
}
