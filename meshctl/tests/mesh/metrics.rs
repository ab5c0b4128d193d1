//! What `/metrics` of seven services says is documented, true and bounded.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use reqwest::{Method, StatusCode};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    exposition::{Exposition, Family},
    running::{Mesh, eventually, header, json_of},
    truth::Truth,
};

/// Sets of labels that one metric of one service may have, whatever callers send.
const MOST_SERIES: usize = 150;
const SERVICES: [&str; 7] = ["catalog-cache", "auth", "orders", "dispatch", "notification", "analytics", "gateway"];
/// More than [`MOST_SERIES`], so that what a caller can make up would show.
const INVENTIONS: usize = 200;

/// A row of the table in docs/metrics.md.
#[derive(Debug)]
struct Row {
    kind: String,
    unit: Option<String>,
    labels: BTreeSet<String>,
    services: BTreeSet<String>,
    modes: BTreeSet<String>,
}

fn documented() -> BTreeMap<String, Row> {
    let text = include_str!("../../../docs/metrics.md");
    let (_, table) = text.split_once("## All metrics").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let list =
        |cell: &str| cell.split(", ").filter(|word| *word != "-").map(|word| word.trim_matches('`').to_owned()).collect::<BTreeSet<_>>();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, unit, labels, services, modes, _] = cells[..] else { panic!("not seven cells: {line}") };
        let services = if services == "all" { SERVICES.map(str::to_owned).into() } else { list(services) };
        let unit = (unit != "-").then(|| unit.to_owned());
        (name.trim_matches('`').to_owned(), Row { kind: kind.into(), unit, labels: list(labels), services, modes: list(modes) })
    };
    table.lines().filter(|line| line.starts_with("| `")).map(row).collect()
}

/// What is documented of a service in a telemetry mode and not exposed, and the other way round.
fn differences(documented: &BTreeMap<String, Row>, service: &str, mode: &str, exposed: &Exposition) -> Vec<String> {
    let of_service = |row: &&Row| row.services.contains(service) && row.modes.contains(mode);
    let mut wrong: Vec<String> = Vec::new();
    for (name, row) in documented.iter().filter(|(_, row)| of_service(row)) {
        match exposed.0.get(name) {
            None => wrong.push(format!("{service} has no {name}")),
            Some(family) => wrong.extend(mismatch(name, row, family).map(|what| format!("{service}: {what}"))),
        }
    }
    let undocumented = exposed.0.keys().filter(|name| !documented.get(*name).is_some_and(|row| of_service(&row)));
    wrong.extend(undocumented.map(|name| format!("{name} of {service} in mode {mode} is not in docs/metrics.md")));
    wrong
}

fn mismatch(name: &str, row: &Row, family: &Family) -> Option<String> {
    let (is, labels) = ((&family.kind, &family.unit), family.label_names());
    let same = is == (&row.kind, &row.unit) && labels == row.labels;
    (!same).then(|| format!("{name} is {is:?} with {labels:?} and documented as {row:?}"))
}

/// What callers can make up: paths, ids, methods and gRPC names.
async fn invent(mesh: &Mesh) {
    let (client, orders) = (&mesh.client, mesh.service("orders")["grpc"].as_str().unwrap().to_owned());
    let channel = tonic::transport::Endpoint::from_shared(orders.clone()).unwrap().connect().await.unwrap();
    stream::iter(0..INVENTIONS)
        .for_each_concurrent(8, |turn| {
            let (channel, origin) = (channel.clone(), format!("{orders}/invented-{turn}"));
            async move {
                let id = format!("{:032x}", rand::random::<u128>());
                for (method, path) in [
                    (Method::GET, format!("/{id}/{turn}")),
                    (Method::POST, format!("/api/v1/{id}")),
                    (Method::GET, format!("/api/v1/products/{id}")),
                    (Method::GET, format!("/api/v1/orders/{id}")),
                    (Method::from_bytes(format!("M{turn}").as_bytes()).unwrap(), "/api/v1/orders".to_owned()),
                ] {
                    let status = client.request(method, mesh.url(&path)).send().await.unwrap().status();
                    assert!(status.is_client_error(), "{path}: {status}");
                }
                let mut nobody = HealthClient::with_origin(channel, origin.parse().unwrap());
                let refusal = nobody.check(HealthCheckRequest::default()).await.unwrap_err();
                assert_eq!(refusal.code(), tonic::Code::Unimplemented);
            }
        })
        .await;
}

#[tokio::test]
async fn every_metric_is_documented_and_exposed_and_no_caller_can_make_one_grow() {
    let mut mesh = Mesh::start(&[]);
    let (token, products, documented) = (mesh.token().await, mesh.products(3).await, documented());
    json_of(mesh.place(&token, &products, &[]).await, StatusCode::CREATED).await;
    invent(&mesh).await;
    for service in SERVICES {
        // what is told every few seconds may be still to come
        let exposed = eventually(|| async {
            let exposed = Exposition::of(&mesh, service).await;
            let wrong = differences(&documented, service, "sdk", &exposed);
            if wrong.is_empty() { Ok(exposed) } else { Err(wrong.join("\n")) }
        })
        .await;
        for (name, family) in &exposed.0 {
            let series = family.series();
            assert!(series.len() <= MOST_SERIES, "{name} of {service} has {} series: {series:#?}", series.len());
        }
    }
    for mode in ["off", "ebpf"] {
        let settings = SERVICES.map(|service| (format!("MESH_ENV__{}__THROUGHLINE_TELEMETRY__MODE", service.to_uppercase()), mode));
        let mut restart = mesh.command(&[&["restart"], &SERVICES[..]].concat());
        crate::running::success(&restart.envs(settings).output().unwrap());
        // connections to the gateway that was are of no use
        mesh.client = reqwest::Client::new();
        let token = mesh.token().await;
        json_of(mesh.place(&token, &products, &[]).await, StatusCode::CREATED).await;
        for service in SERVICES {
            eventually(|| async {
                let mut exposed = Exposition::of(&mesh, service).await;
                // there when the first span of Kafka's has been exported
                exposed.0.remove("throughline_telemetry_spans_total");
                let wrong = differences(&documented, service, mode, &exposed);
                if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
            })
            .await;
        }
    }
}

/// Requests that one metric has seen.
struct Seen {
    service: &'static str,
    sample: &'static str,
    labels: &'static [(&'static str, &'static str)],
}

const PLACE: &str = "/throughline.orders.v1.OrderService/PlaceOrder";

/// What is one higher for each order, over every protocol.
const ONE_PER_ORDER: [Seen; 18] = [
    Seen {
        service: "gateway",
        sample: "http_server_request_duration_seconds_count",
        labels: &[("http_route", "/api/v1/orders"), ("http_request_method", "POST"), ("http_response_status_code", "201")],
    },
    Seen { service: "gateway", sample: "http_server_request_body_size_bytes_count", labels: &[("http_route", "/api/v1/orders")] },
    Seen {
        service: "gateway",
        sample: "rpc_client_duration_seconds_count",
        labels: &[("rpc_method", PLACE), ("rpc_grpc_status_code", "0")],
    },
    Seen { service: "orders", sample: "rpc_server_duration_seconds_count", labels: &[("rpc_method", PLACE), ("rpc_system", "grpc")] },
    Seen {
        service: "auth",
        sample: "rpc_server_duration_seconds_count",
        labels: &[("rpc_method", "/throughline.auth.v1.AuthService/ValidateToken")],
    },
    Seen { service: "orders", sample: "rpc_client_duration_seconds_count", labels: &[] },
    Seen { service: "orders", sample: "db_client_operation_duration_seconds_count", labels: &[("db_system_name", "postgresql")] },
    Seen {
        service: "catalog-cache",
        sample: "db_client_operation_duration_seconds_count",
        labels: &[("db_system_name", "redis"), ("db_operation_name", "MGET")],
    },
    Seen {
        service: "orders",
        sample: "messaging_publish_duration_seconds_count",
        labels: &[("messaging_destination_name", "orders.created")],
    },
    Seen {
        service: "dispatch",
        sample: "messaging_process_duration_seconds_count",
        labels: &[("messaging_destination_name", "orders.created")],
    },
    Seen {
        service: "dispatch",
        sample: "messaging_publish_duration_seconds_count",
        labels: &[("messaging_destination_name", "notifications")],
    },
    Seen {
        service: "dispatch",
        sample: "messaging_publish_duration_seconds_count",
        labels: &[("messaging_destination_name", "analytics")],
    },
    Seen { service: "notification", sample: "messaging_process_duration_seconds_count", labels: &[("messaging_system", "kafka")] },
    Seen {
        service: "analytics",
        sample: "messaging_process_duration_seconds_count",
        labels: &[("messaging_destination_name", "analytics")],
    },
    Seen { service: "orders", sample: "throughline_orders_placed_total", labels: &[] },
    Seen { service: "orders", sample: "throughline_relay_records_total", labels: &[("result", "published")] },
    Seen { service: "catalog-cache", sample: "throughline_cache_requests_total", labels: &[("result", "hit")] },
    Seen { service: "auth", sample: "db_client_operation_duration_seconds_count", labels: &[("db_system_name", "redis")] },
];

async fn all(mesh: &Mesh) -> BTreeMap<&'static str, Exposition> {
    stream::iter(SERVICES).then(|service| async move { (service, Exposition::of(mesh, service).await) }).collect().await
}

#[tokio::test]
async fn every_protocol_counts_each_order_once_and_exemplars_lead_to_traces() {
    const ORDERS: u32 = 7;
    let mesh = Mesh::start(&[]);
    let (token, products, truth) = (mesh.token().await, mesh.products(1).await, Truth::of(&mesh).await);
    // the cache has the product from now on
    json_of(mesh.place(&token, &products, &[]).await, StatusCode::CREATED).await;
    truth.settled(&mesh).await;
    let before = all(&mesh).await;
    let mut revenue = 0.0;
    for _ in 0..ORDERS {
        let answer = json_of(mesh.place(&token, &products, &[]).await, StatusCode::CREATED).await;
        revenue += answer["total_amount"].as_str().unwrap().parse::<f64>().unwrap();
    }
    truth.settled(&mesh).await;
    let after = eventually(|| async {
        let after = all(&mesh).await;
        let grown = |seen: &Seen| after[seen.service].sum(seen.sample, seen.labels) - before[seen.service].sum(seen.sample, seen.labels);
        let wrong = ONE_PER_ORDER.iter().filter(|seen| (grown(seen) - f64::from(ORDERS)).abs() > 0.1);
        let wrong: Vec<String> = wrong.map(|seen| format!("{} {} {:?}: {}", seen.service, seen.sample, seen.labels, grown(seen))).collect();
        if wrong.is_empty() { Ok(after) } else { Err(format!("{ORDERS} orders are\n{}", wrong.join("\n"))) }
    })
    .await;
    let sold = |of: &BTreeMap<_, Exposition>| of["orders"].sum("throughline_orders_revenue_total", &[]);
    assert!((sold(&after) - sold(&before) - revenue).abs() < 0.001, "{revenue} were sold: {} {}", sold(&before), sold(&after));
    for (service, exposed) in &after {
        for (name, family) in exposed.0.iter().filter(|(name, _)| name.ends_with("_duration_seconds")) {
            let exemplars: BTreeSet<&String> = family.samples.iter().filter_map(|sample| sample.exemplar.as_ref()).collect();
            assert!(!exemplars.is_empty(), "{name} of {service} has no exemplar");
            for trace_id in exemplars {
                mesh.trace(trace_id, |_| Vec::new()).await;
            }
        }
    }
}

#[tokio::test]
async fn a_replayed_order_is_counted_by_nobody() {
    let mesh = Mesh::start(&[]);
    let (token, products) = (mesh.token().await, mesh.products(1).await);
    let key = [("idempotency-key", "once")];
    let order = mesh.place(&token, &products, &key).await;
    let trace_id = header(&order, "x-trace-id");
    assert_eq!(order.status(), StatusCode::CREATED);
    let placed = async || Exposition::of(&mesh, "orders").await.sum("throughline_orders_placed_total", &[]);
    let before = placed().await;
    for _ in 0..3 {
        assert!(mesh.place(&token, &products, &key).await.status().is_success());
    }
    assert!((placed().await - before).abs() < 0.1);
    let log = std::fs::read_to_string(mesh.home().join("logs/orders.log")).unwrap();
    let told = log.lines().filter(|line| line.contains("\"order placed\"")).collect::<Vec<_>>();
    // the order of `up` is the other one
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!(told.iter().filter(|line| line.contains(&trace_id)).count(), 1);
}

#[tokio::test]
async fn orders_spans_increments_and_log_lines_are_equally_many() {
    let mesh = Mesh::start(&[]);
    let report = mesh.meshctl(&["verify", "--orders", "20", "--metrics", "--logs", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let found: Vec<f64> = report["counts"].as_array().unwrap().iter().map(|count| count["found"].as_f64().unwrap()).collect();
    assert_eq!(found, [20.0, 20.0, 20.0], "spans, increments and lines: {report:#}");
}
