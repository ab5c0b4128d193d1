//! What follows an order.
//!
//! The library half is what anybody needs who has something to tell or to listen to: [`envelope`] and [`contract`] (what
//! events look like), [`outbox`] and [`relay`] (how they leave a database), [`producer`], [`consumer`] (decode, handle,
//! retry, dead letter, commit), [`effects`] (each event's effect once) and [`tail`] (listening in). [`dispatch`], [`notification`] and
//! [`analytics`] are the services made of it.

pub mod analytics;
pub mod consumer;
pub mod contract;
pub mod dispatch;
pub mod dlq;
pub mod effects;
pub mod envelope;
pub mod kafka;
pub mod notification;
pub mod outbox;
pub mod producer;
pub mod relay;
pub mod retention;
pub mod tail;
pub mod testing;
pub mod topics;
