//! What becomes of an order after it was placed. Each change is one transaction: it locks the order before it looks at it, so
//! that of two changes at once the second sees what the first has done.

use db::connection::Connection;
use diesel_async::AsyncConnection;
use events::outbox::OutboxRow;
use uuid::Uuid;

use super::{customer::customer_of, order, outbox, stock::give_back};
use crate::{error::OrderError, order::Order, status::Status};

/// Takes an order one step on, and tells of it.
pub(crate) async fn step(connection: &mut Connection, order_id: Uuid, to: Status, seen: Option<i64>) -> Result<Order, OrderError> {
    let changed = connection.transaction(async |connection| {
        let order = order::lock(connection, order_id, None).await?.step(to, seen)?;
        let customer = customer_of(connection, &order).await?;
        order::save_step(connection, &order).await?;
        outbox::add(connection, &OutboxRow::new(order.order_id, order.version, order.updated(customer))?).await?;
        Ok::<_, OrderError>(order)
    });
    changed.await
}

/// Cancels an order, gives its pieces back, and tells of it.
pub(crate) async fn cancel(
    connection: &mut Connection,
    order_id: Uuid,
    user_id: Option<Uuid>,
    seen: Option<i64>,
) -> Result<Order, OrderError> {
    let changed = connection.transaction(async |connection| {
        let order = order::lock(connection, order_id, user_id).await?.step(Status::Cancelled, seen)?;
        let customer = customer_of(connection, &order).await?;
        order::save_step(connection, &order).await?;
        outbox::add(connection, &OutboxRow::new(order.order_id, order.version, order.cancelled(customer))?).await?;
        // stock, which other orders want, is locked last and so for the shortest time
        give_back(connection, &order.items).await?;
        Ok::<_, OrderError>(order)
    });
    changed.await
}
