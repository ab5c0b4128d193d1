//! What nobody should send.

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value};
use proto::{
    auth::{ChatLine, SetAvatarRequest, chat_request::Request as Wish, set_avatar_request::Part},
    catalog::{CreatePostRequest, ListPostsRequest},
};
use tonic::Code;

use super::{
    accounts::says,
    articles::actor,
    verdicts::{
        Says::{Field, Nothing},
        Verdicts,
    },
    wire,
    world::{World, methods, path, server},
};

const LARGE: usize = 10 << 20;

/// Every RPC gets nothing, values at the ends of what their types hold, and bytes that are no message. None of it is the
/// server's fault, and none is told as that.
pub(super) async fn nothing_is_no_reason_to_break(world: &World) {
    let mut wrong = Vec::new();
    for method in methods() {
        let garbage = vec![0xff; 16];
        for (what, message) in [("nothing", Vec::new()), ("extremes", extremes(&method.input()).encode_to_vec()), ("garbage", garbage)] {
            let code = told(world, &method, &message).await;
            let is_right = match code {
                Code::Unknown | Code::DataLoss | Code::Unavailable | Code::Unimplemented => false,
                // as the specification of gRPC has it for a request that cannot be parsed
                Code::Internal => what == "garbage",
                _ => true,
            };
            if !is_right {
                wrong.push(format!("{} of {what}: {code:?}", path(&method)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What an admin is told.
async fn told(world: &World, method: &MethodDescriptor, message: &[u8]) -> Code {
    let token = format!("Bearer {}", world.admin.token);
    // a stream of events ends only so
    let limit = if method.name() == "StreamEvents" { "100m" } else { "20S" };
    let headers = [("authorization", token.as_str()), ("grpc-timeout", limit)];
    let answer = wire::call(world.url(server(method)), &path(method), &headers, message).await;
    answer.map_or_else(|status| status.code(), |()| Code::Ok)
}

fn extremes(descriptor: &MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let value = extreme(&field);
        message.set_field(&field, if field.is_list() { Value::List(vec![value.clone(), value]) } else { value });
    }
    message
}

fn extreme(field: &FieldDescriptor) -> Value {
    match field.kind() {
        Kind::String => Value::String("\0\u{202e}'\"\\%_".into()),
        Kind::Bytes => Value::Bytes(vec![0].into()),
        Kind::Bool => Value::Bool(true),
        Kind::Enum(_) => Value::EnumNumber(i32::MIN),
        Kind::Message(inner) => Value::Message(extremes(&inner)),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(i32::MIN),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(i64::MIN),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(u32::MAX),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(u64::MAX),
        Kind::Float => Value::F32(f32::NAN),
        Kind::Double => Value::F64(f64::NAN),
    }
}

pub(super) async fn ten_megabytes_are_refused_and_the_connection_lives(world: &World) {
    let mut verdicts = Verdicts::default();
    let due = (Code::OutOfRange, Nothing);
    for _ in 0..3 {
        let post = CreatePostRequest { actor: Some(actor(&world.demo, "user")), title: "Tea".into(), body: "x".repeat(LARGE) };
        verdicts.expect("a large post", due, world.posts().create_post(post).await);
        world.posts().list_posts(ListPostsRequest::default()).await.unwrap();
    }
    let line = says(Wish::Line(ChatLine { room: "tea".into(), text: "x".repeat(LARGE) }));
    verdicts.expect_end("a large line", due, world.users().chat(world.demo.sends(vec![line])).await).await;
    let part = |part| SetAvatarRequest { part: Some(part) };
    let picture = vec![part(Part::UserId(world.demo.user_id.clone())), part(Part::Chunk(vec![0; LARGE]))];
    let no_picture = (Code::InvalidArgument, Field("chunk"));
    verdicts.expect("a large picture", no_picture, world.users().set_avatar(world.demo.sends(picture)).await);
    // a field that nobody knows, of so many bytes
    let large = [&[0xfa, 0x7f][..], &[0x80, 0x80, 0x80, 0x05], &vec![0; LARGE]].concat();
    for method in methods().iter().filter(|method| !method.is_client_streaming()) {
        let code = told(world, method, &large).await;
        assert_eq!(code, Code::OutOfRange, "{}", path(method));
    }
    verdicts.are_right();
}
