//! What sells best.

use proto::catalog::{GetLeaderboardRequest, GetLeaderboardResponse};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    page::limit,
    query::{Params, QueryForm},
};

/// `GET /leaderboard`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LeaderboardQuery {
    /// How many places.
    #[param(required = false, minimum = 1, maximum = 100, default = 10)]
    limit: u32,
}

impl QueryForm for LeaderboardQuery {
    fn read(params: &mut Params) -> Option<Self> {
        limit(params, 10).map(|limit| Self { limit })
    }
}

impl From<LeaderboardQuery> for GetLeaderboardRequest {
    fn from(query: LeaderboardQuery) -> Self {
        Self { limit: query.limit }
    }
}

/// Best sellers, most units first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Leaderboard {
    items: Vec<Place>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Place {
    /// From 1 on.
    rank: u32,
    #[schema(format = Uuid)]
    product_id: String,
    /// Null where the product is no longer sold.
    product_name: Option<String>,
    /// Sold less returned.
    units: i64,
}

impl From<GetLeaderboardResponse> for Leaderboard {
    fn from(answer: GetLeaderboardResponse) -> Self {
        let place = |entry: proto::catalog::LeaderboardEntry| Place {
            rank: entry.rank,
            product_id: entry.product_id,
            product_name: Some(entry.product_name).filter(|name| !name.is_empty()),
            units: entry.units,
        };
        Self { items: answer.entries.into_iter().map(place).collect() }
    }
}
