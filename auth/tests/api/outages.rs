//! One server stopped or paused at a time. Kafka is away in all tests.
//! (`events` and `chat` say what becomes of streams.)

use chassis::testing::{TestProxy, eventually};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::world::{EMAIL, PASSWORD, World, assert_unavailable, hurried};

const WAYS: [fn(&TestProxy); 2] = [TestProxy::cut, TestProxy::freeze];

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_tokens_are_still_checked() {
    for stop in WAYS {
        let world = World::start_with(hurried).await;
        world.ada().await;
        let token = world.login(EMAIL, PASSWORD).await.unwrap().access_token;
        stop(&world.postgres);
        world.validate(&token).await.unwrap();
        assert_unavailable(world.login(EMAIL, PASSWORD)).await;
        assert_unavailable(world.register("eve", "eve@example.org", PASSWORD)).await;
        assert_eq!(world.sessions().await.len(), 1);
        world.postgres.heal();
        eventually("login works again", async || world.login(EMAIL, PASSWORD).await.is_ok()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_accounts_can_still_be_made() {
    for stop in WAYS {
        let world = World::start_with(hurried).await;
        world.ada().await;
        let token = world.login(EMAIL, PASSWORD).await.unwrap().access_token;
        stop(&world.redis);
        assert_unavailable(world.validate(&token)).await;
        assert_unavailable(world.login(EMAIL, PASSWORD)).await;
        assert_eq!(world.validate("x").await.unwrap_err().code(), Code::Unauthenticated);
        world.register("eve", "eve@example.org", PASSWORD).await.unwrap();
        // two accounts, one login
        assert_eq!(world.outbox().await.len(), 3);
        world.redis.heal();
        eventually("tokens are checked again", async || world.validate(&token).await.is_ok()).await;
        eventually("login works again", async || world.login(EMAIL, PASSWORD).await.is_ok()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_while_postgres_and_redis_are() {
    let world = World::start_with(hurried).await;
    let channel = world.channel();
    let health = async |service: &str| {
        let request = HealthCheckRequest { service: service.into() };
        HealthClient::new(channel.clone()).check(request).await.map(|answer| answer.into_inner().status())
    };
    let failures = async || world.process.readiness.failures().await.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    for (name, proxy) in [("postgres", &world.postgres), ("redis", &world.redis)] {
        eventually("serving", async || matches!(health("throughline.auth.v1.AuthService").await, Ok(ServingStatus::Serving))).await;
        proxy.cut();
        eventually("not serving", async || matches!(health("").await, Ok(ServingStatus::NotServing))).await;
        assert_eq!(failures().await, [name]);
        proxy.heal();
        eventually("ready", async || failures().await.is_empty()).await;
    }
}
