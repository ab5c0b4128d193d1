//! `Register`

use std::collections::HashMap;

use chassis::spawn;
use proto::auth::RegisterRequest;
use serde_json::json;
use tonic::Code;
use uuid::{Uuid, Version};

use crate::world::{EMAIL, PASSWORD, World, info, wrong_fields};

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_and_told_of() {
    let world = World::start_with(|config| config.password = auth::Config::default().password).await;
    let user = world.register("Ada.L", "Ada@Example.ORG", PASSWORD).await.unwrap();
    assert_eq!((user.username.as_str(), user.email.as_str(), user.role.as_str()), ("Ada.L", "ada@example.org", "user"));
    assert_eq!(user.user_id.parse::<Uuid>().unwrap().get_version(), Some(Version::SortRand));
    let hash = world.text(&format!("SELECT password_hash AS text FROM auth.users WHERE user_id = '{}'", user.user_id)).await;
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");

    let [row] = world.outbox().await.try_into().unwrap();
    let event = row.envelope();
    assert_eq!((row.topic.as_str(), &row.key), ("user-events", &user.user_id));
    assert!((0..16).contains(&row.shard));
    assert_eq!((event.event_type.as_str(), event.aggregate_version), ("UserCreated", 1));
    assert_eq!((event.aggregate_type.as_str(), event.aggregate_id.to_string()), ("user", user.user_id.clone()));
    let at = user.created_at.unwrap();
    let told = event.data["timestamp"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert_eq!((told.timestamp(), told.timestamp_subsec_nanos()), (at.seconds, at.nanos.try_into().unwrap()));
    let expected = json!({"user_id": user.user_id, "username": "Ada.L", "email": "ada@example.org", "timestamp": event.data["timestamp"]});
    assert_eq!(event.data, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_is_named() {
    let world = World::start().await;
    let cases: [(&str, &str, &str, &[&str]); 5] = [
        ("", "", "", &["email", "password", "username"]),
        ("a b", EMAIL, PASSWORD, &["username"]),
        ("ada", "nobody", PASSWORD, &["email"]),
        ("ada", EMAIL, "eleven char", &["password"]),
        ("ad", EMAIL, &"x".repeat(129), &["password", "username"]),
    ];
    for (username, email, password, fields) in cases {
        let mut wrong = wrong_fields(&world.register(username, email, password).await.unwrap_err());
        wrong.sort_unstable();
        assert_eq!(wrong, fields);
    }
    assert_eq!((world.count("auth.users").await, world.outbox().await.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_or_address_that_is_taken_is_named_in_whatever_case() {
    let world = World::start().await;
    world.ada().await;
    let cases = [("ADA", "other@example.org", "USERNAME_TAKEN", "username"), ("other", "ADA@example.org", "EMAIL_TAKEN", "email")];
    for (username, email, reason, field) in cases {
        let info = info(&world.register(username, email, PASSWORD).await.unwrap_err(), Code::AlreadyExists);
        assert_eq!((info.reason.as_str(), info.metadata), (reason, HashMap::from([("field".into(), field.into())])));
    }
    assert_eq!((world.count("auth.users").await, world.outbox().await.len()), (1, 1));
}

/// How many of those who register at once get an account; the others are told `reason`.
async fn winners(world: &World, rivals: impl Iterator<Item = (String, String)>, reason: &str) -> usize {
    let rivals: Vec<_> = rivals
        .map(|(username, email)| {
            let (mut client, password) = (world.client(), PASSWORD.to_owned());
            spawn(async move { client.register(RegisterRequest { username, email, password }).await })
        })
        .collect();
    let mut winners = 0;
    for rival in rivals {
        match rival.await.unwrap() {
            Ok(_) => winners += 1,
            Err(status) => assert_eq!(info(&status, Code::AlreadyExists).reason, reason),
        }
    }
    winners
}

/// `ada` in many ways, by the bits of a number.
fn ada(number: usize) -> String {
    "ada".char_indices().map(|(at, letter)| if number >> at & 1 == 1 { letter.to_ascii_uppercase() } else { letter }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_a_name_at_once_one_gets_it_in_whatever_case() {
    let world = World::start().await;
    let rivals = (0..12).map(|number| (ada(number), format!("ada{number}@example.org")));
    assert_eq!(winners(&world, rivals, "USERNAME_TAKEN").await, 1);
    assert_eq!((world.count("auth.users").await, world.outbox().await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_have_an_address_at_once_one_gets_an_account_in_whatever_case() {
    let world = World::start().await;
    let rivals = (0..12).map(|number| (format!("ada{number}"), format!("{}@example.org", ada(number))));
    assert_eq!(winners(&world, rivals, "EMAIL_TAKEN").await, 1);
    assert_eq!((world.count("auth.users").await, world.outbox().await.len()), (1, 1));
    world.login(EMAIL, PASSWORD).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_cannot_be_told_of_is_not_made() {
    let world = World::start().await;
    world.execute("REVOKE INSERT ON auth.outbox FROM throughline_auth").await;
    let status = world.register("ada", EMAIL, PASSWORD).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    assert_eq!(world.count("auth.users").await, 0);
    world.execute("GRANT INSERT ON auth.outbox TO throughline_auth").await;
    world.ada().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_is_a_fault_of_ours() {
    let world = World::start().await;
    let strange = ["ÀDA@example.org", "İ@example.org", "ΑΣ@example.org", "a@EXÄMPLE.org", "e\0e@example.org", "\u{202e}a@example.org"];
    for (number, email) in strange.into_iter().enumerate() {
        if let Err(status) = world.register(&format!("ada{number}"), email, PASSWORD).await {
            assert_eq!(wrong_fields(&status), ["email"], "{email}");
        } else {
            world.login(email, PASSWORD).await.unwrap();
        }
    }
}
