//! The consumers, the relay and the loops under them, on a real broker, Postgres and Redis. Every test has topics, groups,
//! a database and keys of its own.
//!
//! Each test has a second thread: dropping a database waits for connections that are being opened, and somebody has to
//! go on opening them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

mod analytics;
mod compatibility;
mod counting;
mod dead_letters;
mod deployment;
mod dispatch;
mod dlq;
mod evolution;
mod groups;
mod letters;
mod lost;
mod mailing;
mod notification;
mod order;
mod outages;
mod partitions;
mod postbox;
mod producing;
mod rebalance;
mod refused;
mod relay;
mod retention;
mod running;
mod sample;
mod schema;
mod smtp;
mod tail;
mod topics;
