//! The service as it is started in production, over a Postgres and a Redis of the tests': `THROUGHLINE_TEST_POSTGRES_URL`
//! and `THROUGHLINE_TEST_REDIS_URL` name them, `./mesh test` starts them. There is no Kafka, so that events stay in the
//! outbox, where the tests read them.
//!
//! A test's runtime has threads of its own, so that the service goes on while dropping the database holds up the test: a
//! connection that nobody finishes opening would hold up Postgres.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod counting;
mod login;
mod outages;
mod register;
mod tokens;
mod world;
