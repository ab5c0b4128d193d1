//! `GetLeaderboard`

use chassis::grpc::Channel;
use proto::catalog::{GetLeaderboardRequest, LeaderboardEntry, leaderboard_service_client::LeaderboardServiceClient};
use tonic::Status;
use uuid::Uuid;

use crate::{
    world::{World, demo_ids, get, wrong_fields},
    writing::{delete, draft, update},
};

async fn top(client: &mut LeaderboardServiceClient<Channel>, limit: u32) -> Result<Vec<LeaderboardEntry>, Status> {
    Ok(client.get_leaderboard(GetLeaderboardRequest { limit }).await?.into_inner().entries)
}

impl World {
    /// As `analytics` writes it.
    async fn sell(&self, member: impl ToString, units: i64) {
        let () = self.redis("ZADD", &[&format!("{}leaderboard", self.prefix), &units.to_string(), &member.to_string()]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_sold_comes_first_with_rank_and_name() {
    let world = World::start().await;
    let (ids, gone) = (demo_ids(), Uuid::now_v7());
    for (id, units) in [(ids[0], 5), (ids[1], 1_000_000_000_000), (ids[2], 0), (ids[3], 70), (ids[4], -3), (gone, 9)] {
        world.sell(id, units).await;
    }
    world.sell("no id", 99).await;
    let mut expected = Vec::new();
    for (rank, id, units) in [(1, ids[1], 1_000_000_000_000), (2, ids[3], 70), (3, gone, 9), (4, ids[0], 5)] {
        let product_name = if id == gone { String::new() } else { get(&mut world.client(), id).await.unwrap().name };
        expected.push(LeaderboardEntry { rank, product_id: id.to_string(), product_name, units });
    }
    assert_eq!(top(&mut world.bestsellers(), 0).await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_10_entries_unless_the_request_says_otherwise() {
    let world = World::start().await;
    let mut client = world.bestsellers();
    assert_eq!(top(&mut client, 0).await.unwrap(), []);
    for (id, units) in demo_ids().into_iter().zip(1..) {
        world.sell(id, units).await;
    }
    assert_eq!(top(&mut client, 0).await.unwrap().len(), 10);
    assert_eq!(top(&mut client, 1).await.unwrap()[0].units, 200);
    let all = top(&mut client, 100).await.unwrap();
    assert!(all.len() == 100 && all.is_sorted_by(|one, next| one.rank + 1 == next.rank && one.units > next.units));
    for limit in [101, u32::MAX] {
        assert_eq!(wrong_fields(&top(&mut client, limit).await.unwrap_err()), ["limit"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_those_of_today() {
    let world = World::start().await;
    let (mut client, id) = (world.bestsellers(), demo_ids()[0]);
    world.sell(id, 5).await;
    top(&mut client, 0).await.unwrap();
    update(&mut world.client(), id, draft("NEW"), None).await.unwrap();
    assert_eq!(top(&mut client, 0).await.unwrap()[0].product_name, "Product NEW");
    delete(&mut world.client(), id, None).await.unwrap();
    assert_eq!(top(&mut client, 0).await.unwrap()[0].product_name, "");
}
