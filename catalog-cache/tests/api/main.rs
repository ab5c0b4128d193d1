//! The service as it is started in production, over a Postgres and a Redis of the tests': `THROUGHLINE_TEST_POSTGRES_URL`
//! and `THROUGHLINE_TEST_REDIS_URL` name them, `./mesh test` starts them.
//!
//! A test's runtime has threads of its own, so that the service goes on while dropping the database holds up the test: a
//! connection that nobody finishes opening would hold up Postgres.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod batches;
mod bestsellers;
mod breaking;
mod caching;
mod commands;
mod counting;
mod flights;
mod gate;
mod input;
mod known_failures;
mod limits;
mod monitor;
mod near;
mod outages;
mod pages;
mod plans;
mod posts;
mod products;
mod races;
mod scenarios;
mod searching;
mod sorts;
mod stale;
mod threads;
mod turns;
mod without;
mod world;
mod writing;
