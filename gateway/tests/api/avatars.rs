//! Pictures of users.

use proto::auth::{Avatar, GetAvatarResponse, SetAvatarResponse, get_avatar_response, set_avatar_request};
use serde_json::json;

use crate::{
    answer::Answer,
    world::{ADA, TOKEN, World, send},
};

fn described() -> Avatar {
    let updated_at = Some(prost_types::Timestamp { seconds: 0, nanos: 0 });
    Avatar { media_type: "image/png".into(), size: 5, sha256: "ab".repeat(32), updated_at }
}

fn form(name: &str, content: &[u8]) -> Vec<u8> {
    let mut body = format!("--cut\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"a.png\"\r\n\r\n").into_bytes();
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n--cut--\r\n");
    body
}

async fn upload(world: &World, body: Vec<u8>) -> Answer {
    let request = world.request("POST", &format!("/api/v1/users/{ADA}/avatar")).bearer_auth(TOKEN);
    send(request.header("content-type", "multipart/form-data; boundary=cut").body(body)).await
}

#[tokio::test]
async fn a_picture_goes_to_auth_part_by_part() {
    let world = World::start().await;
    world.neighbours.set_avatar.answers(|_| Ok(SetAvatarResponse { avatar: Some(described()) }));
    let picture = vec![7_u8; 1 << 20];
    let answer = upload(&world, form("avatar", &picture)).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.json);
    assert_eq!((&answer.json["media_type"], &answer.json["size"]), (&json!("image/png"), &json!(5)));
    let sent = world.neighbours.set_avatar.messages().remove(0);
    assert_eq!(sent[0].part, Some(set_avatar_request::Part::UserId(ADA.into())));
    let chunks: Vec<u8> = sent[1..]
        .iter()
        .flat_map(|message| match &message.part {
            Some(set_avatar_request::Part::Chunk(chunk)) => chunk.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(chunks == picture && sent.len() > 2, "{} parts of {} bytes", sent.len(), chunks.len());
}

#[tokio::test]
async fn a_body_that_is_no_upload_is_told_what_is_wrong() {
    let world = World::start().await;
    world.neighbours.set_avatar.answers(|_| Ok(SetAvatarResponse { avatar: Some(described()) }));
    assert_eq!(upload(&world, form("picture", b"x")).await.fields(), ["avatar"]);
    assert_eq!(upload(&world, form("avatar", &vec![0; (1 << 20) + 1])).await.problem(), (413, "content-too-large"));
    assert_eq!(upload(&world, b"--cut\r\nno header".to_vec()).await.problem(), (400, "malformed-request"));
    let path = format!("/api/v1/users/{ADA}/avatar");
    let answer = world.send("POST", &path, &json!({})).await;
    assert_eq!(answer.problem(), (415, "unsupported-media-type"));
}

#[tokio::test]
async fn a_picture_is_answered_with_its_type_and_name() {
    let world = World::start().await;
    world.neighbours.get_avatar.answers(|_| {
        let part = |part| GetAvatarResponse { part: Some(part) };
        let chunk = |text: &str| part(get_avatar_response::Part::Chunk(text.as_bytes().to_vec()));
        Ok(vec![part(get_avatar_response::Part::Avatar(described())), chunk("ab"), chunk("cde")])
    });
    let answer = world.request("GET", &format!("/api/v1/users/{ADA}/avatar")).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, "image/png"));
    assert_eq!(answer.headers()["content-length"], "5");
    assert_eq!(answer.bytes().await.unwrap(), "abcde");
    world.neighbours.get_avatar.fails(&tonic::Status::not_found("this user has no avatar"));
    assert_eq!(world.get(&format!("/api/v1/users/{ADA}/avatar")).await.problem(), (404, "not-found"));
}
