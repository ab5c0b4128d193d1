//! A past for the mesh: orders and posts of the last year, in any number. Nothing of it is told to Kafka: there are no events,
//! no mails and no rollups of it.
//!
//! What number an order has decides all about it, so that it is the same however often and in however many steps the seed
//! runs. One thing is not: when the history begins, 365 days before the first seed of a database; that is kept as the time
//! since which the customers of the history have been there.
//!
//! Rows are written in the order of their time, as real ones would have come: indexes fill their pages, and what belongs to
//! one day lies together.

use serde::Serialize;

use super::{SeedError, demo};

mod draw;
mod order;
mod post;
mod rows;
mod session;
use order::Shop;
use post::Forum;
use session::{ORDERS, POSTS, Session};

/// Most orders or posts that can be asked for.
pub const MOST: u64 = 10_000_000;

/// Orders, or posts, that one transaction writes: what an interruption loses.
const CHUNK: usize = 25_000;

/// What one seed has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeededOrders {
    /// Customers that were missing.
    pub customers: u64,
    /// Orders that were missing.
    pub orders: u64,
    /// Lines of these orders.
    pub lines: u64,
    /// Orders that were asked for: all of them are there now.
    pub total: u64,
}

/// What one seed has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeededPosts {
    /// Posts that were missing.
    pub posts: u64,
    /// Comments on these posts.
    pub comments: u64,
    /// Posts that were asked for: all of them are there now.
    pub total: u64,
}

/// Sees to it that the history has at least `count` orders, with the demo assortment that they are of and 10,000 customers
/// (`customer-00042@history.throughline.test`). `progress` is told how many orders are there, and how many there shall be.
///
/// An order has 1 to 5 lines; its total is their sum; its id is a UUIDv7 of the time it was placed; its status is what its age
/// makes likely. Stock is not touched. It is written in transactions of 25,000 orders: whoever is interrupted calls again.
/// `url` is a superuser's.
///
/// # Errors
/// See [`SeedError`].
pub async fn orders(url: &str, count: u64, progress: impl Fn(u64, u64)) -> Result<SeededOrders, SeedError> {
    check("orders", count)?;
    demo(url).await?;
    let mut session = Session::open(url).await?;
    let (start, customers) = session.begin().await?;
    let shop = Shop::since(start);
    let missing = session.missing(&ORDERS, count, |number| shop.begin(number)).await?;
    let mut seeded = SeededOrders { customers, total: count, ..SeededOrders::default() };
    let there = count - missing.len() as u64;
    progress(there, count);
    for chunk in missing.chunks(CHUNK) {
        let (orders, lines) = session.write_orders(&shop, chunk).await?;
        (seeded.orders, seeded.lines) = (seeded.orders + orders, seeded.lines + lines);
        progress(there + seeded.orders, count);
    }
    if seeded.orders > 0 {
        session.finish(&ORDERS).await?;
    }
    Ok(seeded)
}

/// Sees to it that the history has at least `count` posts, by 1,000 authors who are no users, with nought to five comments each.
/// As [`orders`] otherwise.
///
/// # Errors
/// See [`SeedError`].
pub async fn posts(url: &str, count: u64, progress: impl Fn(u64, u64)) -> Result<SeededPosts, SeedError> {
    check("posts", count)?;
    let mut session = Session::open(url).await?;
    let (start, _) = session.begin().await?;
    let forum = Forum::since(start);
    let missing = session.missing(&POSTS, count, |number| forum.begin(number)).await?;
    let mut seeded = SeededPosts { total: count, ..SeededPosts::default() };
    let there = count - missing.len() as u64;
    progress(there, count);
    for chunk in missing.chunks(CHUNK) {
        let (posts, comments) = session.write_posts(&forum, chunk).await?;
        (seeded.posts, seeded.comments) = (seeded.posts + posts, seeded.comments + comments);
        progress(there + seeded.posts, count);
    }
    if seeded.posts > 0 {
        session.finish(&POSTS).await?;
    }
    Ok(seeded)
}

fn check(what: &'static str, count: u64) -> Result<(), SeedError> {
    if count > MOST { Err(SeedError::Count { what, count }) } else { Ok(()) }
}
