//! What an order is, and what becomes of it. No input or output.

use chrono::{DateTime, SubsecRound, Utc};
use events::contract::{Item, OrderCancelled, OrderPlaced, OrderUpdated};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{
    customer::{Buyer, Customer},
    error::OrderError,
    status::Status,
};

/// An order as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_field_names, reason = "the names of columns and messages")]
pub(crate) struct Order {
    pub(crate) order_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) status: Status,
    pub(crate) total_amount: Decimal,
    pub(crate) currency: String,
    pub(crate) items: Vec<Item>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    /// Counts the changes from 1 on.
    pub(crate) version: i64,
}

impl Order {
    /// The order one step on. `seen` is the version that the caller knows, where they name one.
    ///
    /// # Errors
    /// `VersionMismatch` before `StepForbidden`: whoever knows an old version may want another step.
    pub(crate) fn step(self, to: Status, seen: Option<i64>) -> Result<Self, OrderError> {
        if seen.is_some_and(|seen| seen != self.version) {
            return Err(OrderError::VersionMismatch(self.version));
        }
        if !self.status.next().contains(&to) {
            return Err(OrderError::StepForbidden(self.status));
        }
        Ok(Self { status: to, version: self.version + 1, updated_at: now(), ..self })
    }

    /// The event that tells of this order being placed.
    pub(crate) fn placed(&self, buyer: &Buyer) -> OrderPlaced {
        OrderPlaced {
            order_id: self.order_id,
            user_id: self.user_id,
            username: buyer.username.clone(),
            email: buyer.email.clone(),
            items: self.items.clone(),
            total_amount: self.total_amount,
            currency: self.currency.clone(),
            timestamp: self.created_at,
        }
    }

    /// The event that tells of the status it has now.
    pub(crate) fn updated(&self, customer: Customer) -> OrderUpdated {
        OrderUpdated {
            order_id: self.order_id,
            user_id: self.user_id,
            username: customer.username,
            email: customer.email,
            status: self.status.to_string(),
            timestamp: self.updated_at,
        }
    }

    /// The event that tells of this order being cancelled.
    pub(crate) fn cancelled(&self, customer: Customer) -> OrderCancelled {
        OrderCancelled {
            order_id: self.order_id,
            user_id: self.user_id,
            username: customer.username,
            email: customer.email,
            items: self.items.clone(),
            total_amount: self.total_amount,
            currency: self.currency.clone(),
            placed_at: self.created_at,
            timestamp: self.updated_at,
        }
    }
}

/// The present as the database keeps it, so that what is read later is what was answered.
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(status: Status) -> Order {
        Order {
            order_id: Uuid::now_v7(),
            user_id: Uuid::now_v7(),
            status,
            total_amount: Decimal::ONE,
            currency: "EUR".into(),
            items: Vec::new(),
            created_at: now(),
            updated_at: DateTime::UNIX_EPOCH,
            version: 7,
        }
    }

    #[test]
    fn a_step_counts_and_has_its_time() {
        let paid = order(Status::Placed).step(Status::Paid, Some(7)).unwrap();
        assert_eq!((paid.status, paid.version), (Status::Paid, 8));
        assert!(paid.updated_at > DateTime::UNIX_EPOCH);
    }

    #[test]
    fn every_step_that_is_not_next_is_refused_with_the_status_that_is() {
        for status in Status::ALL {
            for to in Status::ALL {
                match order(status).step(to, None) {
                    Ok(order) => assert!(order.status == to && status.next().contains(&to), "{status} to {to}"),
                    Err(error) => {
                        assert!(matches!(error, OrderError::StepForbidden(now) if now == status), "{status} to {to}: {error}");
                        assert!(!status.next().contains(&to), "{status} to {to}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_old_version_is_told_before_a_wrong_step() {
        for seen in [6, 8, 0, -1, i64::MAX] {
            let refused = order(Status::Delivered).step(Status::Paid, Some(seen));
            assert!(matches!(refused, Err(OrderError::VersionMismatch(7))), "{seen}");
        }
    }
}
