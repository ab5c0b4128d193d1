//! The gateway as it is started in production, against neighbours that are faked on the wire.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod answer;
mod avatars;
mod changes;
mod cross_origin;
mod document;
mod edge;
mod events;
mod health;
mod input;
mod limits;
mod method;
mod neighbours;
mod orders;
mod outages;
mod permissions;
mod products;
mod reports;
mod streams;
mod traces;
mod unreadable;
mod world;
