//! Placing an order, and finding the one that was placed before.

use db::connection::Connection;
use events::outbox::OutboxRow;

use super::{
    order::find_by_key,
    place::{PlaceStatement, Refusal, short_of},
};
use crate::{error::OrderError, order::Order, wish::Wish};

/// How a wish was fulfilled.
pub(crate) enum Placed {
    /// By a new order.
    Now(Order),
    /// By the order that the same idempotency key placed before.
    Before(Order),
}

/// Places an order: customer, order, lines, stock and outbox in one statement, all or nothing. What the database refuses
/// is looked into only then.
pub(crate) async fn place(connection: &mut Connection, wish: &Wish, order: &Order, event: &OutboxRow) -> Result<Placed, OrderError> {
    let fingerprint = wish.fingerprint();
    let statement = PlaceStatement::new(wish, order, &fingerprint, event);
    let Err(error) = statement.execute(connection).await else {
        return Ok(Placed::Now(order.clone()));
    };
    let Some(refusal) = Refusal::of(&error) else {
        return Err(error.into());
    };
    // a repeat comes before everything else: the first request may have taken the last piece itself
    if let Some(earlier) = placed_before(connection, wish).await? {
        return Ok(earlier);
    }
    match refusal {
        Refusal::Stock => Err(OrderError::InsufficientStock(short_of(connection, &wish.lines).await?)),
        Refusal::Key => Err(OrderError::Unavailable("the order of the same key is not visible yet".into())),
        Refusal::Email => Err(OrderError::EmailTaken),
    }
}

/// The order that the wish's idempotency key has placed, if there is one.
pub(crate) async fn placed_before(connection: &mut Connection, wish: &Wish) -> Result<Option<Placed>, OrderError> {
    let Some(key) = &wish.idempotency_key else { return Ok(None) };
    let Some((earlier, fingerprint)) = find_by_key(connection, wish.buyer.user_id, key).await? else { return Ok(None) };
    if fingerprint == wish.fingerprint() { Ok(Some(Placed::Before(earlier))) } else { Err(OrderError::IdempotencyKeyReused) }
}
