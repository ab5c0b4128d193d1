//! How many logins may fail.

use std::{collections::HashSet, thread::available_parallelism, time::Duration};

use chassis::{
    spawn,
    testing::{eventually, metric},
};
use proto::auth::LoginRequest;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::world::{EMAIL, PASSWORD, World, info, wrong_fields};

const WRONG: &str = "wrong horse battery";

fn is_throttled(status: &Status) -> bool {
    if status.code() != Code::ResourceExhausted {
        assert_eq!(info(status, Code::Unauthenticated).reason, "WRONG_CREDENTIALS");
        return false;
    }
    assert_eq!(info(status, Code::ResourceExhausted).reason, "LOGIN_THROTTLED");
    let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(!wait.is_zero() && wait <= Duration::from_mins(5), "{wait:?}");
    true
}

async fn fails(world: &World, client: &str, email: &str, times: usize) {
    for _ in 0..times {
        assert!(!is_throttled(&world.login_from(client, email, WRONG).await.unwrap_err()), "{email}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_ten_failures_an_address_is_refused_known_or_not_and_with_the_right_password_too() {
    let world = World::start().await;
    let token = world.person("ada").await.token;
    world.person("bob").await;
    let mut answers = HashSet::new();
    for email in [EMAIL, "nobody@example.org", "no address"] {
        fails(&world, "", email, 10).await;
        for password in [WRONG, PASSWORD] {
            let status = world.login(&email.to_uppercase(), password).await.unwrap_err();
            assert!(is_throttled(&status));
            answers.insert((status.code() as i32, status.message().to_owned()));
        }
    }
    assert_eq!(answers.len(), 1, "known and unknown addresses get the same answer");
    // what is open stays open, and others are not concerned
    world.validate(&token).await.unwrap();
    world.again("bob").await;
    assert_eq!(metric(&world.process, "throughline_auth_logins_total{result=\"throttled\"}"), Some(6.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_forgets_the_failures_of_its_account() {
    let world = World::start().await;
    world.ada().await;
    for _ in 0..3 {
        fails(&world, "", EMAIL, 9).await;
        world.login(EMAIL, PASSWORD).await.unwrap();
    }
    assert!(world.keys().await.iter().all(|key| !key.starts_with("login-failures:")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_fails_with_many_accounts_is_refused_and_another_client_is_not() {
    let world = World::start_with(|config| config.login.max_failures_per_address = 12).await;
    world.ada().await;
    for number in 0..11 {
        fails(&world, "2001:db8:1:2::1", &format!("guess{number}@example.org"), 1).await;
    }
    // a success is no failure, and does not take back those before
    world.login_from("2001:db8:1:2::1", EMAIL, PASSWORD).await.unwrap();
    fails(&world, "2001:db8:1:2::1", EMAIL, 1).await;
    for neighbour in ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9"] {
        assert!(is_throttled(&world.login_from(neighbour, EMAIL, PASSWORD).await.unwrap_err()));
    }
    for other in ["2001:db8:1:3::1", "192.0.2.1", ""] {
        world.login_from(other, EMAIL, PASSWORD).await.unwrap();
    }
    for wrong in ["localhost", "192.0.2.1:80", "\0"] {
        assert_eq!(wrong_fields(&world.login_from(wrong, EMAIL, PASSWORD).await.unwrap_err()), ["client_address"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_ends_with_its_window() {
    let world = World::start_with(|config| (config.login.max_failures, config.login.window_seconds) = (1, 5)).await;
    world.ada().await;
    fails(&world, "192.0.2.1", EMAIL, 1).await;
    assert!(is_throttled(&world.login(EMAIL, PASSWORD).await.unwrap_err()));
    // trying goes on and makes it no longer
    eventually("it is let in", async || world.login(EMAIL, PASSWORD).await.is_ok()).await;
    eventually("all is forgotten", async || world.keys().await.iter().all(|key| !key.starts_with("login-failures:"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_guesses_at_once_hardly_more_are_checked_than_may_fail() {
    let world = World::start().await;
    world.ada().await;
    let guesses: Vec<_> = (0..60)
        .map(|_| {
            let mut client = world.client();
            let request = LoginRequest { email: EMAIL.into(), password: WRONG.into(), client_address: String::new() };
            spawn(async move { client.login(request).await })
        })
        .collect();
    let mut checked = 0;
    for guess in guesses {
        checked += usize::from(!is_throttled(&guess.await.unwrap().unwrap_err()));
    }
    let at_once = available_parallelism().unwrap().get();
    assert!((10..10 + at_once).contains(&checked), "{checked} were checked");
}
