//! `LeaderboardService`.

use proto::catalog::{GetLeaderboardRequest, GetLeaderboardResponse, LeaderboardEntry, leaderboard_service_server::LeaderboardService};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{catalog::Catalog, field::Fields, leaderboard::Leaderboard, product::Product};

/// Entries where the request names no number.
const DEFAULT_ENTRIES: u32 = 10;

/// One per serving runtime.
pub(crate) struct Bestsellers {
    leaderboard: Leaderboard,
    catalog: Catalog<Product>,
}

impl Bestsellers {
    pub(crate) fn new(leaderboard: Leaderboard, catalog: Catalog<Product>) -> Self {
        Self { leaderboard, catalog }
    }
}

#[tonic::async_trait]
impl LeaderboardService for Bestsellers {
    async fn get_leaderboard(&self, request: Request<GetLeaderboardRequest>) -> Result<Response<GetLeaderboardResponse>, Status> {
        let mut fields = Fields::default();
        let limit = fields.number("limit", request.into_inner().limit, DEFAULT_ENTRIES);
        let top = self.leaderboard.top(fields.done(limit)?).await?;
        let ids: Vec<Uuid> = top.iter().map(|(id, _)| *id).collect();
        let mut known = self.catalog.find(&ids).await?;
        let entries = (1..).zip(top).map(|(rank, (id, units))| LeaderboardEntry {
            rank,
            product_id: id.to_string(),
            product_name: known.remove(&id).flatten().map(|product| product.name).unwrap_or_default(),
            units,
        });
        Ok(Response::new(GetLeaderboardResponse { entries: entries.collect() }))
    }
}
