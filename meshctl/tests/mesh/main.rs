//! The whole mesh as child processes: real servers, real services, the public interface. Each test is one promise and has
//! a mesh of its own, on free ports, which it may break.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod alone;
#[cfg(feature = "full")]
mod bench;
mod conformance;
mod conventions;
mod crash;
#[cfg(feature = "full")]
mod dashboards;
mod dlq;
mod documents;
mod edges;
mod encrypted;
mod exposition;
mod faults;
#[cfg(feature = "full")]
mod fuzz;
mod input;
mod lifecycle;
mod load;
#[cfg(feature = "full")]
mod logins;
mod logs;
mod metrics;
#[cfg(feature = "full")]
mod million;
#[cfg(feature = "full")]
mod obi;
mod outage;
mod poison;
mod protocols;
mod restart;
mod running;
mod scenarios;
mod seeding;
#[cfg(feature = "full")]
mod soak;
mod surface;
#[cfg(feature = "full")]
mod threads;
mod topics;
mod traffic;
mod truth;
#[cfg(feature = "full")]
mod verify;
