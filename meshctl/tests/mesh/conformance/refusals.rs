//! What is refused, with which status, and what that says.

mod accounts;
mod catalog;
mod grpc;
mod orders;

pub(super) use accounts::accounts;
pub(super) use catalog::catalog;
pub(super) use grpc::of_grpc_itself;
pub(super) use orders::orders;
