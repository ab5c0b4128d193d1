//! The trace backend through its own ports, the commands that read it, and `mesh call`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod bound;
mod call;
mod export;
mod fixture;
mod jaeger;
mod page;
mod rejected;
mod tempo;
mod waterfall;
