//! Servers and clients as services use them, over real connections.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod authority;
mod browser;
mod calls;
mod cancelling;
mod deadlines;
mod draining;
mod mutual;
mod probe;
mod public;
mod raw;
mod retries;
mod scenarios;
mod settings;
mod streams;
