//! What the mesh keeps in Postgres: migrations, roles, demo data, diesel's view of the tables, and
//! a database per test.

pub mod connect;
pub mod connection;
pub mod generate;
pub mod migrate;
pub mod pool;
pub mod roles;
pub mod schema;
pub mod seed;
pub mod testing;
