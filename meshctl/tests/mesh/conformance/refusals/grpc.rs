//! What every gRPC server refuses.

use prost::Message as _;
use proto::{auth::LoginRequest, catalog::CreatePostRequest};
use tonic::{Code, Response};

use crate::conformance::{
    articles::actor,
    verdicts::{Says::Nothing, Verdicts},
    wire,
    world::{PASSWORD, World, email},
};

const LOGIN: &str = "/throughline.auth.v1.AuthService/Login";

pub(in crate::conformance) async fn of_grpc_itself(world: &World, verdicts: &mut Verdicts) {
    for path in ["/throughline.auth.v1.AuthService/Guess", "/throughline.auth.v1.OracleService/Guess", "/nonsense"] {
        let said = wire::call(world.url("auth"), path, &[], b"").await;
        verdicts.expect::<()>(path, (Code::Unimplemented, Nothing), said.map(Response::new));
    }
    // argon2 alone takes longer; the client has no timer of its own here
    let login = LoginRequest { email: email("ada"), password: PASSWORD.into(), client_address: String::new() }.encode_to_vec();
    let late = wire::call(world.url("auth"), LOGIN, &[("grpc-timeout", "1m")], &login).await;
    verdicts.expect::<()>("a millisecond for a login", (Code::DeadlineExceeded, Nothing), late.map(Response::new));
    let large = CreatePostRequest { actor: Some(actor(&world.demo, "user")), title: "Tea".into(), body: "x".repeat(10 << 20) };
    verdicts.expect("ten megabytes", (Code::OutOfRange, Nothing), world.posts().create_post(large).await);
}
