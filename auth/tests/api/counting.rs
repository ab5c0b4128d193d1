//! What `/metrics` says of accounts and logins.

use chassis::testing::metric;

use crate::world::{EMAIL, PASSWORD, World};

fn logins(world: &World) -> [Option<f64>; 3] {
    ["success", "refused", "failed"].map(|result| metric(&world.process, &format!("throughline_auth_logins_total{{result=\"{result}\"}}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_logins_are_counted_by_how_they_ended() {
    let world = World::start().await;
    // the service registers while it starts; an answer says that it has
    world.ada().await;
    let registrations = || metric(&world.process, "throughline_auth_registrations_total");
    assert_eq!((registrations(), logins(&world)), (Some(1.0), [Some(0.0), Some(0.0), Some(0.0)]));
    world.register("ada", "other@example.org", PASSWORD).await.unwrap_err();
    world.register("x", "x", "x").await.unwrap_err();
    for _ in 0..2 {
        world.login(EMAIL, PASSWORD).await.unwrap();
    }
    world.login(EMAIL, "wrong horse battery").await.unwrap_err();
    world.login("nobody@example.org", PASSWORD).await.unwrap_err();
    let tokens = world.login(EMAIL, PASSWORD).await.unwrap();
    let renewed = world.refresh(&tokens.refresh_token).await.unwrap();
    world.refresh(&tokens.refresh_token).await.unwrap_err();
    world.refresh(&tokens.access_token).await.unwrap_err();
    world.logout(&renewed.access_token).await.unwrap();
    world.redis.cut();
    world.refresh(&renewed.refresh_token).await.unwrap_err();
    world.login(EMAIL, PASSWORD).await.unwrap_err();
    assert_eq!((registrations(), logins(&world)), (Some(1.0), [Some(3.0), Some(2.0), Some(1.0)]));
    let refreshes = ["success", "reused", "refused", "failed"]
        .map(|result| metric(&world.process, &format!("throughline_auth_refreshes_total{{result=\"{result}\"}}")));
    assert_eq!(refreshes, [Some(1.0); 4]);
    assert_eq!(metric(&world.process, "throughline_auth_logouts_total"), Some(1.0));
    assert_eq!(metric(&world.process, "throughline_auth_logins_total{result=\"throttled\"}"), Some(0.0));
}
