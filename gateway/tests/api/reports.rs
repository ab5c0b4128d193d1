//! Reports over everybody's orders.

use std::time::Duration;

use proto::orders::{CustomerRevenue, DayRevenue, GetOrderValuesResponse, GetRevenueByDayResponse, GetTopCustomersResponse, OrderValues};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::world::{ADA, World};

const PATHS: [&str; 3] = ["/api/v1/reports/revenue-by-day", "/api/v1/reports/top-customers", "/api/v1/reports/order-values"];
const SPAN: &str = "created_from=2026-11-01T00:00:00Z&created_before=2026-11-02T00:00:00%2B01:00";

async fn admins_world() -> World {
    let world = World::start().await;
    world.promote();
    world.neighbours.get_revenue_by_day.answers(|_| Ok(GetRevenueByDayResponse::default()));
    world.neighbours.get_top_customers.answers(|_| Ok(GetTopCustomersResponse::default()));
    world.neighbours.get_order_values.answers(|_| Ok(GetOrderValuesResponse::default()));
    world
}

#[tokio::test]
async fn revenue_is_told_by_day_and_currency() {
    let world = admins_world().await;
    let day = DayRevenue { day: "2026-11-01".into(), currency: "EUR".into(), orders: 2, revenue: "39.80".into() };
    world.neighbours.get_revenue_by_day.answers(move |_| Ok(GetRevenueByDayResponse { days: vec![day.clone()] }));
    let answer = world.get(PATHS[0]).await;
    let expected = json!({"items": [{"day": "2026-11-01", "currency": "EUR", "orders": 2, "revenue": "39.80"}]});
    assert_eq!((answer.status.as_u16(), &answer.json), (200, &expected));
}

#[tokio::test]
async fn the_best_customers_are_as_many_as_are_asked_for() {
    let world = admins_world().await;
    let (currency, username) = ("EUR".to_owned(), "ada".to_owned());
    let best = CustomerRevenue { currency, customer_id: ADA.into(), username, orders: 3, revenue: "120.00".into() };
    world.neighbours.get_top_customers.answers(move |_| Ok(GetTopCustomersResponse { customers: vec![best.clone()] }));
    let answer = world.get(PATHS[1]).await;
    let expected = json!({"items": [{"currency": "EUR", "customer_id": ADA, "username": "ada", "orders": 3, "revenue": "120.00"}]});
    assert_eq!((answer.status.as_u16(), &answer.json), (200, &expected));
    world.get(&format!("{}?limit=100&{SPAN}", PATHS[1])).await;
    let sent: Vec<_> = world.neighbours.get_top_customers.messages().into_iter().map(|sent| (sent.number, sent.created_from)).collect();
    assert_eq!(sent, [(10, None), (100, Some(prost_types::Timestamp { seconds: 1_793_491_200, nanos: 0 }))]);
}

#[tokio::test]
async fn order_values_are_percentiles() {
    let world = admins_world().await;
    let [p50, p90, p95, p99] = ["10.00", "20.00", "30.00", "40.00"].map(str::to_owned);
    let euros = OrderValues { currency: "EUR".into(), orders: 9, p50, p90, p95, p99 };
    world.neighbours.get_order_values.answers(move |_| Ok(GetOrderValuesResponse { currencies: vec![euros.clone()] }));
    let answer = world.get(PATHS[2]).await;
    let row = json!({"currency": "EUR", "orders": 9, "p50": "10.00", "p90": "20.00", "p95": "30.00", "p99": "40.00"});
    assert_eq!((answer.status.as_u16(), &answer.json), (200, &json!({"items": [row]})));
}

#[tokio::test]
async fn a_report_is_about_the_span_that_is_asked_for_or_about_all_time() {
    let world = admins_world().await;
    for query in [format!("?{SPAN}"), String::new()] {
        for path in PATHS {
            assert_eq!(world.get(&format!("{path}{query}")).await.status.as_u16(), 200, "{path}{query}");
        }
    }
    let neighbours = &world.neighbours;
    let days = neighbours.get_revenue_by_day.messages().into_iter().map(|sent| (sent.created_from, sent.created_before));
    let best = neighbours.get_top_customers.messages().into_iter().map(|sent| (sent.created_from, sent.created_before));
    let values = neighbours.get_order_values.messages().into_iter().map(|sent| (sent.created_from, sent.created_before));
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let expected = [(at(1_793_491_200), at(1_793_574_000)), (None, None)];
    for sent in [days.collect::<Vec<_>>(), best.collect(), values.collect()] {
        assert_eq!(sent, expected);
    }
}

#[tokio::test]
async fn a_query_that_is_none_is_named_and_asks_nobody() {
    let world = admins_world().await;
    for path in PATHS {
        let answer = world.get(&format!("{path}?created_from=yesterday&created_before=2026-13-01T00:00:00Z")).await;
        assert_eq!((answer.problem(), answer.fields()), ((422, "validation"), vec!["created_from", "created_before"]), "{path}");
        let answer = world.get(&format!("{path}?day=1")).await;
        assert_eq!((answer.problem(), answer.fields()), ((400, "unknown-field"), vec!["day"]), "{path}");
    }
    for limit in ["0", "101", "-1", "ten", "", "4294967306"] {
        let answer = world.get(&format!("{}?limit={limit}", PATHS[1])).await;
        assert_eq!((answer.problem(), answer.fields()), ((422, "validation"), vec!["limit"]), "{limit}");
    }
    let neighbours = &world.neighbours;
    assert!(neighbours.get_revenue_by_day.messages().is_empty() && neighbours.get_order_values.messages().is_empty());
    assert!(neighbours.get_top_customers.messages().is_empty());
}

#[tokio::test]
async fn a_span_that_ends_before_it_begins_is_named_as_the_service_does() {
    let world = admins_world().await;
    let details = ErrorDetails::with_bad_request_violation("created_from", "must be before created_before");
    world.neighbours.get_order_values.fails(&Status::with_error_details(Code::InvalidArgument, "no", details));
    let answer = world.get(PATHS[2]).await;
    assert_eq!((answer.problem(), answer.fields()), ((422, "validation"), vec!["created_from"]));
}

#[tokio::test]
async fn every_report_has_a_reports_time() {
    let world = World::start_with(|config| (config.limits.call_timeout_ms, config.limits.report_timeout_ms) = (1_000, 30_000)).await;
    world.promote();
    let neighbours = &world.neighbours;
    neighbours.get_revenue_by_day.answers(|_| Ok(GetRevenueByDayResponse::default()));
    neighbours.get_top_customers.answers(|_| Ok(GetTopCustomersResponse::default()));
    neighbours.get_order_values.answers(|_| Ok(GetOrderValuesResponse::default()));
    neighbours.get_revenue_by_day.takes(Duration::from_millis(1_500));
    neighbours.get_top_customers.takes(Duration::from_millis(1_500));
    neighbours.get_order_values.takes(Duration::from_millis(1_500));
    for path in PATHS {
        assert_eq!(world.get(path).await.status.as_u16(), 200, "{path}");
    }
}
