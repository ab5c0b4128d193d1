//! What is answered, as messages.

use chrono::{DateTime, Utc};
use events::contract::Item;
use prost_types::Timestamp;
use proto::orders::{self as messages, CustomerDetails, GetOrderStatsResponse, OrderItem, OrderStatus, StatusCount};
use rust_decimal::Decimal;

use crate::{
    customer::Customer,
    order::Order,
    stats::{CurrencyStats, CustomerRevenue, DayRevenue, OrderValues, Stats},
    status::Status,
};

impl From<Order> for messages::Order {
    fn from(order: Order) -> Self {
        Self {
            order_id: order.order_id.to_string(),
            user_id: order.user_id.to_string(),
            status: OrderStatus::from(order.status).into(),
            total_amount: money(order.total_amount),
            currency: order.currency,
            items: order.items.into_iter().map(line).collect(),
            created_at: Some(timestamp(order.created_at)),
            version: order.version,
            customer: None,
        }
    }
}

fn line(item: Item) -> OrderItem {
    OrderItem {
        product_id: item.product_id.to_string(),
        product_name: item.product_name,
        quantity: item.quantity,
        unit_price: money(item.unit_price),
    }
}

impl From<Status> for OrderStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Placed => Self::Placed,
            Status::Paid => Self::Paid,
            Status::Shipped => Self::Shipped,
            Status::Delivered => Self::Delivered,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Customer> for CustomerDetails {
    fn from(customer: Customer) -> Self {
        Self {
            customer_id: customer.customer_id.to_string(),
            username: customer.username,
            email: customer.email,
            created_at: Some(timestamp(customer.created_at)),
        }
    }
}

impl From<Stats> for GetOrderStatsResponse {
    fn from(stats: Stats) -> Self {
        let count = |(status, orders)| StatusCount { status: OrderStatus::from(status).into(), orders };
        Self {
            by_status: stats.by_status.into_iter().map(count).collect(),
            by_currency: stats.by_currency.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<CurrencyStats> for messages::CurrencyStats {
    fn from(stats: CurrencyStats) -> Self {
        Self {
            currency: stats.currency,
            orders: stats.orders,
            revenue: money(stats.revenue),
            average_amount: money(stats.average),
            median_amount: money(stats.median),
            largest_amount: money(stats.largest),
        }
    }
}

impl From<DayRevenue> for messages::DayRevenue {
    fn from(DayRevenue { day, currency, orders, revenue }: DayRevenue) -> Self {
        // as ISO 8601 has it
        Self { day: day.to_string(), currency, orders, revenue: money(revenue) }
    }
}

impl From<CustomerRevenue> for messages::CustomerRevenue {
    fn from(CustomerRevenue { currency, customer_id, username, orders, revenue }: CustomerRevenue) -> Self {
        Self { currency, customer_id: customer_id.to_string(), username, orders, revenue: money(revenue) }
    }
}

impl From<OrderValues> for messages::OrderValues {
    fn from(OrderValues { currency, orders, p50, p90, p95, p99 }: OrderValues) -> Self {
        Self { currency, orders, p50: money(p50), p90: money(p90), p95: money(p95), p99: money(p99) }
    }
}

fn money(amount: Decimal) -> String {
    format!("{amount:.2}")
}

fn timestamp(moment: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: moment.timestamp(), nanos: i32::try_from(moment.timestamp_subsec_nanos()).unwrap_or_default() }
}
