//! The checker against traces that are made up from the contract itself, whole and broken on purpose.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod backends;
mod canary;
mod command;
mod counts;
mod defects;
mod foreign;
mod gateway;
mod sending;
mod story;
mod tls;
