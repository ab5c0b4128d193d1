//! What every service stands on. Knows no domain noun.
//!
//! A service's `main` is one call of [`launch`]; its `App::build` takes the typed configuration that [`config`] read and
//! a [`Process`], and starts its servers through [`grpc::GrpcApp`] or [`http::HttpApp`], which know the runtime models.

mod admin;
pub mod client;
pub mod config;
pub mod grpc;
pub mod http;
mod launch;
mod listen;
pub mod pools;
mod process;
pub mod redis;
pub mod runtime;
pub mod scenario;
pub mod status;
mod task;
pub mod testing;
mod threads;
pub mod tls;
mod transport;

pub use launch::launch;
pub use listen::{ListenError, listen};
pub use process::{Process, Readiness};
pub use task::{spawn, spawn_blocking};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why a service could not start or had to stop.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;
