//! The first admin.

use auth::BootstrapConfig;
use chassis::config::{Secret, read_with};
use proto::auth::{LoginRequest, auth_service_client::AuthServiceClient};
use tonic::Code;

use crate::world::{PASSWORD, World};

const EMAIL: &str = "root@example.org";

fn admin(config: &mut auth::Config) {
    config.bootstrap = BootstrapConfig { email: EMAIL.into(), password: Secret::new(PASSWORD), ..BootstrapConfig::default() };
}

/// Its role, once it can log in; it is made beside the start.
async fn role(world: &World) -> String {
    let mut client = AuthServiceClient::new(world.channel());
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let login = LoginRequest { email: EMAIL.into(), password: PASSWORD.into(), client_address: String::new() };
        match client.login(login).await {
            Ok(answer) => return answer.into_inner().user.unwrap().role,
            Err(status) => assert!(tokio::time::Instant::now() < deadline, "{status}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

fn patient(config: &mut auth::Config) {
    admin(config);
    config.login.max_failures = 10_000;
}

#[tokio::test]
async fn an_admin_is_made_once_however_often_and_wherever_the_service_starts() {
    let world = World::start_with(patient).await;
    assert_eq!(role(&world).await, "admin");
    let (_process, channel) = world.replica(admin);
    let mut again = AuthServiceClient::new(channel);
    let login = LoginRequest { email: EMAIL.into(), password: PASSWORD.into(), client_address: String::new() };
    assert_eq!(again.login(login).await.unwrap().into_inner().user.unwrap().role, "admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_is_made_once_the_database_can_be_reached() {
    let world = World::start_with(|config| config.login.max_failures = 10_000).await;
    world.postgres.cut();
    let (_process, channel) = world.replica(patient);
    let login = || LoginRequest { email: EMAIL.into(), password: PASSWORD.into(), client_address: String::new() };
    let refused = AuthServiceClient::new(channel).login(login()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "it serves all the same: {refused}");
    world.postgres.heal();
    assert_eq!(role(&world).await, "admin");
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
