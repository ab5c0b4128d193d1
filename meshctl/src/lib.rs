//! The launcher of a local Throughline mesh, its trace backend, and the commands that look at both.
//!
//! [`cli`] is the door: it reads the command line and calls the module that does the work.

pub mod backend;
pub mod call;
pub mod cli;
pub mod trace;
pub mod verify;

mod bench;
mod caller;
mod certs;
mod control;
mod demo;
mod dlq;
mod doctor;
mod down;
mod failure;
mod fingerprint;
mod foreground;
mod home;
mod kafka;
mod launch;
mod log_level;
mod logs;
mod machine;
mod mesh;
mod obi;
mod output;
mod ports;
mod postgres;
mod probe;
mod process;
mod progress;
mod prometheus;
mod redis;
mod reset;
mod scenario;
mod secrets;
mod seed;
mod services;
mod settings;
mod signal;
mod state;
mod status;
mod summary;
mod tool;
mod topics;
mod up;
mod watch;
