//! The connection that writes the history.

use std::collections::HashSet;
use std::io::Cursor;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::SinkExt;
use tokio_postgres::{Client, Error, Transaction, error::SqlState};
use uuid::Uuid;

use super::{
    order::{CUSTOMERS, SPAN, Shop, customer_id, customers},
    post::Forum,
    rows::Rows,
};
use crate::connect::client;
use crate::seed::SeedError;

/// Ids that one look for what is there asks about. So many successive ones are nowhere further apart than a thousandth of the
/// year, which is less than what a transaction writes of the most orders that can be asked for.
const BLOCK: u64 = 2_000;
/// Bytes of rows that are sent at once.
const PIECE: usize = 1 << 18;
/// The advisory lock of this job.
const LOCK: i64 = i64::from_be_bytes(*b"seedpast");

/// Foreign keys are not looked up row by row here: that takes 37 s instead of 12 s for a million orders with their lines. Every
/// customer and product is known to be there before the first order is written, an order and its lines are written in one
/// transaction, and [`Past::dangling`] asks afterwards, for all rows at once and within a second, what the triggers would have
/// asked for each. CHECKs and unique indexes hold as always.
const SESSION: &str = "SET session_replication_role = replica; SET lock_timeout = '10s'; SET statement_timeout = 0;
    SET work_mem = '64MB'; SET client_min_messages = warning; SET timezone = 'UTC'";

/// What a history is of.
pub(super) struct Past {
    /// What it is called in messages.
    pub(super) what: &'static str,
    /// The ids among `$1` that are there.
    pub(super) known: &'static str,
    /// How many rows refer to nothing.
    pub(super) dangling: &'static str,
    /// What is vacuumed afterwards.
    pub(super) tables: &'static str,
}

pub(super) const ORDERS: Past = Past {
    what: "orders",
    known: "SELECT order_id::text FROM orders.orders WHERE order_id = ANY($1::text[]::uuid[])",
    dangling: "SELECT
        (SELECT count(*) FROM orders.order_items i WHERE NOT EXISTS (SELECT FROM orders.orders o WHERE o.order_id = i.order_id))
        + (SELECT count(*) FROM orders.order_items i WHERE NOT EXISTS (SELECT FROM orders.stock s WHERE s.product_id = i.product_id))
        + (SELECT count(*) FROM orders.orders o WHERE NOT EXISTS (SELECT FROM orders.customers c WHERE c.customer_id = o.customer_id))",
    tables: "orders.customers, orders.orders, orders.order_items",
};

pub(super) const POSTS: Past = Past {
    what: "posts",
    known: "SELECT post_id::text FROM catalog.posts WHERE post_id = ANY($1::text[]::uuid[])",
    dangling: "SELECT count(*) FROM catalog.comments c WHERE NOT EXISTS (SELECT FROM catalog.posts p WHERE p.post_id = c.post_id)",
    tables: "catalog.posts, catalog.comments",
};

/// One connection that holds the lock.
pub(super) struct Session(Client);

impl Session {
    pub(super) async fn open(url: &str) -> Result<Self, SeedError> {
        let client = client(url).await?;
        client.batch_execute(SESSION).await.map_err(SeedError::bulk("set up the session"))?;
        match client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await {
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Err(SeedError::Busy),
            locked => locked.map(|_| Self(client)).map_err(SeedError::bulk("take the lock of the seed")),
        }
    }

    /// Makes the customers, unless they are there. When the history begins, in milliseconds since 1970, and how many customers
    /// were missing.
    pub(super) async fn begin(&mut self) -> Result<(u64, u64), SeedError> {
        let failed = || SeedError::bulk("make the customers");
        let known = "SELECT (extract(epoch FROM created_at) * 1000)::bigint FROM orders.customers WHERE customer_id = $1::text::uuid";
        if let Some(row) = self.0.query_opt(known, &[&customer_id(0).to_string()]).await.map_err(failed())? {
            return Ok((u64::try_from(row.get::<_, i64>(0)).unwrap_or_default(), 0));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = u64::try_from(now.saturating_sub(Duration::from_secs(SPAN)).as_millis()).unwrap_or_default();
        let transaction = self.0.transaction().await.map_err(failed())?;
        copy(&transaction, "orders.customers (customer_id, username, email, created_at)", customers(start)).await.map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        Ok((start, CUSTOMERS))
    }

    /// Which of the first `count` are not there, in the order of their time.
    ///
    /// They are written in that order, and the numbers of a block lie all over the year: where a seed was interrupted, each
    /// block lacks some. So a few looks find the blocks that are whole, and only the others are asked about one by one.
    pub(super) async fn missing(&self, past: &Past, count: u64, of: impl Fn(u64) -> (u64, Uuid)) -> Result<Vec<u64>, SeedError> {
        let block = |number: u64| number * BLOCK..((number + 1) * BLOCK).min(count);
        let blocks = count.div_ceil(BLOCK);
        let (mut whole, mut end) = (0, blocks);
        while whole < end {
            let middle = whole.midpoint(end);
            if self.lacking(past, block(middle), &of).await?.is_empty() {
                whole = middle + 1;
            } else {
                end = middle;
            }
        }
        let mut missing = Vec::new();
        for number in whole..blocks {
            missing.extend(self.lacking(past, block(number), &of).await?);
        }
        missing.sort_by_cached_key(|number| of(*number).0);
        Ok(missing)
    }

    async fn lacking(&self, past: &Past, numbers: Range<u64>, of: impl Fn(u64) -> (u64, Uuid)) -> Result<Vec<u64>, SeedError> {
        let ids: Vec<String> = numbers.clone().map(|number| of(number).1.to_string()).collect();
        let rows = self.0.query(past.known, &[&ids]).await.map_err(SeedError::bulk("see what is there"))?;
        let found: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
        Ok(numbers.zip(ids).filter(|(_, id)| !found.contains(id)).map(|(number, _)| number).collect())
    }

    /// Writes the orders of these numbers, all or none; how many orders and lines.
    pub(super) async fn write_orders(&mut self, shop: &Shop, numbers: &[u64]) -> Result<(u64, u64), SeedError> {
        let (mut orders, mut items) = (Rows::new(), Rows::new());
        for number in numbers {
            shop.write(&shop.order(*number), &mut orders, &mut items);
        }
        let columns =
            "orders.orders (order_id, customer_id, status, total_amount, currency, request_hash, version, created_at, updated_at)";
        let lines = "orders.order_items (order_id, line, product_id, product_name, quantity, unit_price)";
        self.write([(columns, orders), (lines, items)]).await
    }

    /// Writes the posts of these numbers, all or none; how many posts and comments.
    pub(super) async fn write_posts(&mut self, forum: &Forum, numbers: &[u64]) -> Result<(u64, u64), SeedError> {
        let (mut posts, mut comments) = (Rows::new(), Rows::new());
        for number in numbers {
            forum.write(*number, &mut posts, &mut comments);
        }
        let columns = "catalog.posts (post_id, author_id, author_username, title, body, created_at, updated_at)";
        let answers = "catalog.comments (comment_id, post_id, author_id, author_username, body, created_at)";
        self.write([(columns, posts), (answers, comments)]).await
    }

    /// One transaction.
    async fn write(&mut self, [one, other]: [(&str, Rows); 2]) -> Result<(u64, u64), SeedError> {
        let failed = || SeedError::bulk("write the history");
        let transaction = self.0.transaction().await.map_err(failed())?;
        let first = copy(&transaction, one.0, one.1).await.map_err(failed())?;
        let second = copy(&transaction, other.0, other.1).await.map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        Ok((first, second))
    }

    /// Looks for rows that refer to nothing, and tells Postgres what has changed: plans want statistics, and index-only scans
    /// the map of pages that everybody sees.
    pub(super) async fn finish(self, past: &Past) -> Result<(), SeedError> {
        let row = self.0.query_one(past.dangling, &[]).await.map_err(SeedError::bulk("check the history"))?;
        match row.get::<_, i64>(0) {
            0 => {}
            rows => return Err(SeedError::Dangling { what: past.what, rows }),
        }
        self.0.batch_execute(&format!("VACUUM (ANALYZE) {}", past.tables)).await.map_err(SeedError::bulk("vacuum"))
    }
}

/// Writes rows into the named columns of a table; how many.
async fn copy(transaction: &Transaction<'_>, columns: &str, rows: Rows) -> Result<u64, Error> {
    let expected = rows.count();
    let sink = transaction.copy_in(&format!("COPY {columns} FROM STDIN (FORMAT binary)")).await?;
    futures::pin_mut!(sink);
    for piece in rows.finish().chunks(PIECE) {
        sink.send(Cursor::new(piece.to_vec())).await?;
    }
    let written = sink.finish().await?;
    debug_assert_eq!(written, expected);
    Ok(written)
}
