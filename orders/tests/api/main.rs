//! The real service on a port of its own, with a real Postgres and Kafka; catalog-cache is faked on the wire. Every test has
//! a database, and topics where it needs them.
//!
//! Each test has a second thread: dropping a database waits for connections that are being opened, and somebody has to
//! go on opening them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

mod cancelling;
mod catalog;
mod conflicts;
mod counting;
mod crowds;
mod customers;
mod idempotency;
mod invalid;
mod listing;
mod malformed;
mod outages;
mod past;
mod placing;
mod plans;
mod publishing;
mod reading;
mod reports;
mod rules;
mod serving;
mod shelves;
mod shop;
mod statistics;
mod steps;
mod stock;
mod wire;
