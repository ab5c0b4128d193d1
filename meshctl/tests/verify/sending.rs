//! Orders out, traces in.

use std::{collections::HashSet, sync::Arc};

use axum::http::StatusCode;
use meshctl::backend::RunningBackend;

use crate::{
    command::{Ended, jaeger, verify},
    gateway::{Behaviour, Gateway},
    story::backend,
};

async fn send(backend: &Arc<RunningBackend>, gateway: &Gateway, options: &[&str]) -> Ended {
    let to = [vec![jaeger(backend), "--json".to_owned()], gateway.options().to_vec()].concat();
    verify(&to.iter().map(String::as_str).chain(options.iter().copied()).collect::<Vec<_>>()).await
}

#[tokio::test]
async fn each_order_has_a_trace_of_its_own_and_several_products() {
    let backend = Arc::new(backend().await);
    let gateway = Gateway::start(&backend, Behaviour::default()).await;
    let ended = send(&backend, &gateway, &["--orders", "30", "--concurrency", "4"]).await;
    let json = ended.json();
    assert_eq!((ended.code(), &json["traces"]["complete"], &json["orders"]["placed"]), (0, &30.into(), &30.into()), "{json:#}");
    assert_eq!(json["spans"]["dropped"], 0);
    assert_eq!(json["spans"]["checked"].as_u64().unwrap() % 30, 0);
    assert!(json["ingest_delay_ms"]["p99"].as_f64().unwrap() > 0.0);
    let seen = gateway.seen.lock().unwrap();
    assert_eq!(seen.traces.iter().collect::<HashSet<_>>().len(), 30);
    let lines = |count: usize| seen.orders.iter().filter(|order| order["items"].as_array().unwrap().len() == count).count();
    assert_eq!([lines(1), lines(2), lines(3)], [10, 10, 10]);
    let first: HashSet<String> = seen.orders.iter().map(|order| order["items"][0]["product_id"].to_string()).collect();
    assert_eq!(first.len(), 5, "all products are bought");
}

#[tokio::test]
async fn the_rate_is_kept_and_the_duration_ends_it() {
    let backend = Arc::new(backend().await);
    let gateway = Gateway::start(&backend, Behaviour::default()).await;
    let ended = send(&backend, &gateway, &["--duration", "2s", "--rate", "20"]).await;
    let json = ended.json();
    let (sent, seconds) = (json["orders"]["sent"].as_u64().unwrap(), json["orders"]["seconds"].as_f64().unwrap());
    assert_eq!(ended.code(), 0);
    // never faster than asked; slower only where the machine is
    assert!((2..=40).contains(&sent), "{json:#}");
    assert!(seconds >= 1.9, "{json:#}");
}

#[tokio::test]
async fn spans_that_come_after_the_deadline_are_missing() {
    let backend = Arc::new(backend().await);
    let gateway = Gateway::silent(&backend).await;
    let ended = send(&backend, &gateway, &["--orders", "2", "--deadline", "1s"]).await;
    let json = ended.json();
    assert_eq!((ended.code(), &json["traces"]["absent"], &json["complete_percent"]), (1, &2.into(), &0.0.into()));
    assert!(ended.defects().contains(&"missing span: caller → gateway.orders (gateway server HTTP)".to_owned()));
    assert!(json["ingest_delay_ms"].is_null(), "no trace ever was whole");

    // they come in the end, which --trace sees
    let (spans, traces) = {
        let mut seen = gateway.seen.lock().unwrap();
        (std::mem::take(&mut seen.kept_back), seen.traces.clone())
    };
    backend.store.insert(spans);
    let late = verify(&["--trace", &traces[0], &traces[1], "--json", &jaeger(&backend)]).await;
    assert_eq!(late.code(), 0, "{}", late.stdout);
}

#[tokio::test]
async fn waiting_sees_a_trace_grow_until_it_is_whole() {
    let backend = Arc::new(backend().await);
    let gateway = Gateway::silent(&backend).await;
    let arrives = async {
        let spans = loop {
            let spans = std::mem::take(&mut gateway.seen.lock().unwrap().kept_back);
            if !spans.is_empty() {
                break spans;
            }
            tokio::task::yield_now().await;
        };
        for batch in spans {
            // one exporter after the other, each after the checker's next look
            backend.store.insert(vec![batch]);
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        }
    };
    let (ended, ()) = tokio::join!(send(&backend, &gateway, &["--orders", "1", "--deadline", "60s"]), arrives);
    assert_eq!(ended.code(), 0, "{}", ended.stdout);
    assert!(ended.json()["ingest_delay_ms"]["max"].as_f64().unwrap() >= 800.0, "{}", ended.stdout);
}

#[tokio::test]
async fn some_broken_traces_are_a_share_that_may_be_allowed() {
    let backend = Arc::new(backend().await);
    let half = || Behaviour {
        story: Box::new(|number, story| {
            if number.is_multiple_of(2) {
                story.drop(|made| made.node == "auth.session");
            }
        }),
        ..Behaviour::default()
    };
    let gateway = Gateway::start(&backend, half()).await;
    let strict = send(&backend, &gateway, &["--orders", "10", "--deadline", "1s"]).await;
    assert_eq!((strict.code(), &strict.json()["complete_percent"]), (1, &50.0.into()));
    assert_eq!(strict.json()["defects"][0]["traces"], 5);
    let gateway = Gateway::start(&backend, half()).await;
    let lenient = send(&backend, &gateway, &["--orders", "10", "--deadline", "1s", "--min-complete", "50"]).await;
    assert_eq!(lenient.code(), 0, "{}", lenient.stdout);
}

#[tokio::test]
async fn orders_that_are_refused_are_told_and_count_as_not_complete() {
    let backend = Arc::new(backend().await);
    let status = |number: usize| if number.is_multiple_of(4) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::CREATED };
    let gateway = Gateway::start(&backend, Behaviour { status, ..Behaviour::default() }).await;
    let ended = send(&backend, &gateway, &["--orders", "8"]).await;
    let json = ended.json();
    assert_eq!((ended.code(), &json["orders"]["refused"]["503"], &json["complete_percent"]), (1, &2.into(), &75.0.into()), "{json:#}");
    assert_eq!((json["traces"]["checked"].as_u64(), json["defects"].as_array().unwrap().len()), (Some(6), 0));
}

#[tokio::test]
async fn a_token_that_has_run_out_is_renewed() {
    let backend = Arc::new(backend().await);
    let gateway = Gateway::start(&backend, Behaviour { stale_tokens: 1, ..Behaviour::default() }).await;
    let ended = send(&backend, &gateway, &["--orders", "12", "--concurrency", "4"]).await;
    assert_eq!((ended.code(), &ended.json()["orders"]["placed"]), (0, &12.into()), "{}", ended.stdout);
}

#[tokio::test]
async fn a_gateway_that_begins_a_trace_of_its_own_is_found_out() {
    let backend = Arc::new(backend().await);
    let gateway = Gateway::start(&backend, Behaviour { answered: |_| format!("{:032x}", 1), ..Behaviour::default() }).await;
    let ended = send(&backend, &gateway, &["--orders", "2"]).await;
    assert_eq!((ended.code(), ended.defects()), (1, vec!["other trace id: the trace".to_owned()]));
}

#[tokio::test]
async fn nobody_to_place_orders_as_is_bad_usage() {
    let backend = backend().await;
    let ended = verify(&[&jaeger(&backend)]).await;
    assert_eq!(ended.code(), 2);
    assert!(ended.stderr.contains("./mesh up") && ended.stderr.contains("--password"), "{}", ended.stderr);
}
