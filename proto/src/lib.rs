//! Generated from the .proto files beside this crate: messages, clients, servers and descriptors. No code of our own.

#![allow(missing_docs, unreachable_pub, clippy::pedantic)]

/// `throughline.auth.v1`
pub mod auth {
    tonic::include_proto!("throughline.auth.v1");
}

/// `throughline.catalog.v1`
pub mod catalog {
    tonic::include_proto!("throughline.catalog.v1");
}

/// `throughline.orders.v1`
pub mod orders {
    tonic::include_proto!("throughline.orders.v1");
}

/// The encoded `FileDescriptorSet` of all packages, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
