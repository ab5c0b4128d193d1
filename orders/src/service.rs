//! `throughline.orders.v1`: from messages to the domain and back.

mod answer;
mod customer;
mod order;
mod report;
mod request;
mod stock;

pub(crate) use customer::Customers;
pub(crate) use order::Orders;
pub(crate) use report::Desk;
pub(crate) use stock::Shelves;
