//! The only place that knows OpenTelemetry.
//!
//! [`start`] sets a process up; the other modules are layers and wrappers which a service puts around its edges in
//! `App::build`: [`http`] (actix-web), [`grpc`] (tower), [`sql`] (diesel), [`redis`] and [`kafka`]. A span's parent is
//! always the current OpenTelemetry context, which [`context::InContext`] carries across threads and tasks.
//! Names and attributes are those of the semantic conventions (schema 1.42).

mod config;
pub mod context;
mod export;
pub mod grpc;
pub mod http;
pub mod kafka;
pub mod logs;
pub mod metrics;
pub mod redis;
mod setup;
mod span;
pub mod sql;

pub use config::{Hop, Mode, OtlpCompression, OtlpProtocol, Sampling, TelemetryConfig, standard_overrides};
pub use setup::{Telemetry, TelemetryError, start};
