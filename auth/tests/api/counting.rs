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
    world.redis.cut();
    world.login(EMAIL, PASSWORD).await.unwrap_err();
    assert_eq!((registrations(), logins(&world)), (Some(1.0), [Some(2.0), Some(2.0), Some(1.0)]));
}
