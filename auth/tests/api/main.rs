//! The service as it is started in production, over a Postgres, a Redis and a Kafka of the tests': `THROUGHLINE_TEST_POSTGRES_URL`,
//! `THROUGHLINE_TEST_REDIS_URL` and `THROUGHLINE_TEST_KAFKA` name them, `./mesh test` starts them. Most tests have no Kafka, so that
//! events stay in the outbox, where they read them.
//!
//! A test's runtime has threads of its own, so that the service goes on while dropping the database holds up the test: a
//! connection that nobody finishes opening would hold up Postgres.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod answer;
mod audit;
mod avatars;
mod bootstrap;
mod bulk;
mod chat;
mod counting;
mod events;
mod lifetime;
mod login;
mod outages;
mod refresh;
mod register;
mod sessions;
mod talk;
mod throttle;
mod tokens;
mod trust;
mod users;
mod world;
