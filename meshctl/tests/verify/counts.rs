//! Orders, spans, increments and log lines that agree, and such that do not.

use std::{
    io::Write as _,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use meshctl::backend::RunningBackend;
use serde_json::{Value, json};

use crate::{
    command::{Ended, jaeger, verify},
    gateway::{Behaviour, Gateway, Seen, serve},
    story::{Story, backend},
};

/// Prometheus, a page of metrics and Loki, which tell of the orders that a gateway has seen.
struct Told {
    seen: Arc<Mutex<Seen>>,
    /// Log lines that got lost.
    lost: usize,
}

impl Told {
    fn lines(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let line = |id: &String| json!({ "message": "order placed", "trace_id": id, "level": "INFO" }).to_string();
        let others = [json!({ "message": "order placed", "trace_id": "somebody else's" }).to_string(), "no JSON".to_owned()];
        seen.traces.iter().skip(self.lost).map(line).chain(others).collect()
    }

    /// Somebody placed three orders before.
    fn placed(&self) -> usize {
        self.seen.lock().unwrap().traces.len() + 3
    }
}

async fn page(State(told): State<Arc<Told>>) -> String {
    format!("# TYPE throughline_orders_placed counter\nthroughline_orders_placed_total{{currency=\"EUR\"}} {}\n# EOF\n", told.placed())
}

async fn prometheus(State(told): State<Arc<Told>>, Query(pairs): Query<Vec<(String, String)>>) -> Json<Value> {
    assert_eq!(pairs, [("query".to_owned(), "sum(throughline_orders_placed_total)".to_owned())]);
    Json(
        json!({ "status": "success", "data": { "resultType": "vector", "result": [{ "metric": {}, "value": [1.5, told.placed().to_string()] }] } }),
    )
}

async fn loki(State(told): State<Arc<Told>>, Query(pairs): Query<Vec<(String, String)>>) -> Json<Value> {
    assert!(pairs.contains(&("query".to_owned(), "{service_name=\"orders\"}".to_owned())), "{pairs:?}");
    let values: Vec<Value> = told.lines().iter().enumerate().map(|(at, line)| json!([at.to_string(), line])).collect();
    Json(json!({ "data": { "result": [{ "stream": {}, "values": values }] } }))
}

/// Each order leaves its line in a file, among others.
fn writing_logs(file: PathBuf) -> Behaviour {
    let story = move |_, story: &mut Story| {
        let id: String = story.get("gateway.orders").trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut log = std::fs::File::options().create(true).append(true).open(&file).unwrap();
        writeln!(
            log,
            "{{\"message\":\"starting\",\"trace_id\":\"{id}\"}}\nno JSON\n{{\"message\":\"order placed\",\"trace_id\":\"{id}\"}}"
        )
        .unwrap();
    };
    Behaviour { story: Box::new(story), ..Behaviour::default() }
}

async fn send(backend: &RunningBackend, gateway: &Gateway, options: &[String]) -> Ended {
    let fixed = [jaeger(backend), "--json".to_owned(), "--orders=5".to_owned(), "--deadline=2s".to_owned()];
    let all = [&fixed, &gateway.options()[..], options].concat();
    verify(&all.iter().map(String::as_str).collect::<Vec<_>>()).await
}

fn found(ended: &Ended) -> Vec<(String, f64)> {
    let json = ended.json();
    let counts = json["counts"].as_array().unwrap().iter();
    counts.map(|count| (count["what"].as_str().unwrap().to_owned(), count["found"].as_f64().unwrap())).collect()
}

fn agreeing() -> [(String, f64); 3] {
    let names = ["spans of orders.statement", "increments of throughline_orders_placed_total", "log lines of orders"];
    names.map(|name| (name.to_owned(), 5.0))
}

#[tokio::test]
async fn counts_from_a_page_from_loki_and_from_files() {
    let backend = Arc::new(backend().await);
    let gateway = Gateway::start(&backend, Behaviour::default()).await;
    let told = Arc::new(Told { seen: Arc::clone(&gateway.seen), lost: 0 });
    let router = Router::new().route("/metrics", get(page)).route("/loki/api/v1/query_range", get(loki)).with_state(Arc::clone(&told));
    let (address, _serving) = serve(router).await;

    let ended = send(&backend, &gateway, &[format!("--metrics=http://{address}/metrics"), format!("--logs=http://{address}")]).await;
    assert_eq!((ended.code(), found(&ended)), (0, agreeing().to_vec()), "{}", ended.stdout);

    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&backend, writing_logs(folder.path().join("orders.log"))).await;
    let ended = send(&backend, &gateway, &[format!("--logs={}", folder.path().display())]).await;
    let [spans, _, lines] = agreeing();
    assert_eq!((ended.code(), found(&ended)), (0, vec![spans, lines]), "{}", ended.stdout);
}

#[tokio::test]
async fn a_counter_of_a_prometheus() {
    let backend = Arc::new(backend().await);
    let gateway = Gateway::start(&backend, Behaviour::default()).await;
    let told = Arc::new(Told { seen: Arc::clone(&gateway.seen), lost: 0 });
    let (address, _serving) = serve(Router::new().route("/api/v1/query", get(prometheus)).with_state(told)).await;
    let ended = send(&backend, &gateway, &[format!("--metrics=http://{address}")]).await;
    let [spans, increments, _] = agreeing();
    assert_eq!((ended.code(), found(&ended)), (0, vec![spans, increments]), "{}", ended.stdout);
}

#[tokio::test]
async fn a_log_line_that_got_lost_fails_the_check_though_all_traces_are_whole() {
    let backend = Arc::new(backend().await);
    let gateway = Gateway::start(&backend, Behaviour::default()).await;
    let told = Arc::new(Told { seen: Arc::clone(&gateway.seen), lost: 1 });
    let (address, _serving) = serve(Router::new().route("/loki/api/v1/query_range", get(loki)).with_state(told)).await;
    let ended = send(&backend, &gateway, &[format!("--logs=http://{address}")]).await;
    assert_eq!((ended.code(), &ended.json()["complete_percent"]), (1, &100.0.into()));
    assert_eq!(found(&ended)[1], ("log lines of orders".to_owned(), 4.0));
}

#[tokio::test]
async fn a_source_of_counts_that_does_not_answer_is_no_agreement() {
    let backend = Arc::new(backend().await);
    let gateway = Gateway::start(&backend, Behaviour::default()).await;
    let ended = send(&backend, &gateway, &["--logs=/nowhere/at/all".to_owned()]).await;
    assert_eq!(ended.code(), 1);
    assert!(ended.json()["counts"][1]["failure"].as_str().unwrap().contains("/nowhere/at/all"), "{}", ended.stdout);
}
