//! `throughline.catalog.v1`: from messages to the domain and back.

mod leaderboard;
mod post;
mod product;
mod rate_limit;

pub(crate) use leaderboard::Bestsellers;
pub(crate) use post::Posts;
pub(crate) use product::Products;
pub(crate) use rate_limit::RateLimits;
