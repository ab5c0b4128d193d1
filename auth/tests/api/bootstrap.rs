//! The first admin.

use auth::{BootstrapConfig, Config};
use chassis::{
    Process,
    config::{Secret, read_with},
    grpc::Channel,
    testing::eventually,
};
use futures::future::join_all;
use proto::auth::{LoginRequest, ValidateTokenRequest, auth_service_client::AuthServiceClient};
use tonic::Code;

use crate::world::{PASSWORD, World};

const EMAIL: &str = "root@example.org";

fn admin(config: &mut Config) {
    config.bootstrap = BootstrapConfig { email: EMAIL.into(), password: Secret::new(PASSWORD), ..BootstrapConfig::default() };
}

/// Why a replica is not ready, by what is missing; it serves already, so that all that it needs is known.
async fn missing((process, channel): &(Process, Channel)) -> Vec<(&'static str, String)> {
    let nobody = AuthServiceClient::new(channel.clone()).validate_token(ValidateTokenRequest::default()).await;
    assert_eq!(nobody.unwrap_err().code(), Code::Unauthenticated);
    process.readiness.failures().await
}

async fn becomes_ready(replica: &(Process, Channel)) {
    eventually("it is ready", async || missing(replica).await.is_empty()).await;
}

/// The role that the admin logs in with.
async fn role((_, channel): &(Process, Channel)) -> Result<String, tonic::Status> {
    let login = LoginRequest { email: EMAIL.into(), password: PASSWORD.into(), client_address: String::new() };
    Ok(AuthServiceClient::new(channel.clone()).login(login).await?.into_inner().user.unwrap().role)
}

async fn admins(world: &World) -> i64 {
    world.count("auth.users WHERE role = 'admin'").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_is_made_once_however_often_and_wherever_the_service_starts() {
    let world = World::start().await;
    let replicas: Vec<_> = (0..4).map(|_| world.replica(admin)).collect();
    join_all(replicas.iter().map(becomes_ready)).await;
    assert_eq!((admins(&world).await, world.told().await), (1, vec!["UserCreated".to_owned()]));
    for replica in &replicas {
        // who is ready lets it log in
        assert_eq!(role(replica).await.unwrap(), "admin");
    }
    let later = world.replica(admin);
    becomes_ready(&later).await;
    assert_eq!((admins(&world).await, world.count("auth.users").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_who_has_changed_name_or_address_is_not_made_again() {
    let world = World::start_with(admin).await;
    becomes_ready(&(world.process.clone(), world.channel())).await;
    world.execute("UPDATE auth.users SET email = 'grace@example.org'").await;
    becomes_ready(&world.replica(admin)).await;
    world.execute(&format!("UPDATE auth.users SET username = 'grace', email = '{EMAIL}'")).await;
    becomes_ready(&world.replica(admin)).await;
    assert_eq!((admins(&world).await, world.count("auth.users").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_ready_before_the_admin_is_made_which_is_once_the_database_can_be_reached() {
    let world = World::start().await;
    world.postgres.cut();
    let replica = world.replica(|config| {
        crate::world::hurried(config);
        admin(config);
    });
    let names = async || missing(&replica).await.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names().await, ["postgres", "admin"]);
    assert_eq!(role(&replica).await.unwrap_err().code(), Code::Unavailable, "it serves all the same");
    world.postgres.heal();
    becomes_ready(&replica).await;
    assert_eq!((role(&replica).await.unwrap().as_str(), admins(&world).await), ("admin", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_somebody_else_has_the_name_and_nobody_is_admin_it_is_not_ready_and_says_why() {
    let world = World::start().await;
    world.register("admin", "eve@example.org", PASSWORD).await.unwrap();
    let replica = world.replica(admin);
    let reason = [("admin", "this username is taken".to_owned())];
    eventually("it says why", async || missing(&replica).await == reason).await;
    assert_eq!(admins(&world).await, 0);
    world.admin("grace").await;
    becomes_ready(&replica).await;
    assert_eq!(admins(&world).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_admin_is_asked_for_none_is_needed() {
    let world = World::start().await;
    becomes_ready(&(world.process.clone(), world.channel())).await;
    assert_eq!(world.count("auth.users").await, 0);
}

#[test]
fn an_admin_that_cannot_be_is_a_mistake_of_the_configuration() {
    let given = [
        ("jwt.secret", "0123456789abcdef0123456789abcdef"),
        ("database.url", "postgres://a:b@c/d"),
        ("bootstrap.email", "nobody"),
        ("bootstrap.password", "hunter2"),
        ("bootstrap.username", "a b"),
    ];
    let given = given.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let error = read_with::<auth::Config>(None, given.into()).unwrap_err();
    let mut keys: Vec<_> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["bootstrap.email", "bootstrap.password", "bootstrap.username"]);
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
