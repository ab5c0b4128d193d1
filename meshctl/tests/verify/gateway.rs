//! A gateway that makes the spans of an order up, whole or broken.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use meshctl::backend::RunningBackend;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::story::{Story, graph};

type Tell = Box<dyn Fn(usize, &mut Story) + Send + Sync>;

/// What the gateway does with the n-th order.
pub(crate) struct Behaviour {
    /// Breaks the trace of order n.
    pub(crate) story: Tell,
    /// The status of order n.
    pub(crate) status: fn(usize) -> StatusCode,
    /// The trace id that the answer names, from the one that was sent.
    pub(crate) answered: fn(&str) -> String,
    /// Tokens that have run out: the first so many are good for nothing but one order.
    pub(crate) stale_tokens: usize,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { story: Box::new(|_, _| {}), status: |_| StatusCode::CREATED, answered: str::to_owned, stale_tokens: 0 }
    }
}

/// What it has seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Trace ids of the orders placed.
    pub(crate) traces: Vec<String>,
    /// Their bodies.
    pub(crate) orders: Vec<Value>,
    /// Their spans, of orders that were kept back.
    pub(crate) kept_back: Vec<ResourceSpans>,
    logins: usize,
}

struct Shop {
    backend: Arc<RunningBackend>,
    behaviour: Behaviour,
    keep_back: bool,
    number: AtomicUsize,
    seen: Arc<Mutex<Seen>>,
}

/// A gateway that serves until it is dropped.
pub(crate) struct Gateway {
    address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Seen>>,
    _serving: JoinSet<()>,
}

impl Gateway {
    /// Puts the spans of each order into `backend` before the order is answered.
    pub(crate) async fn start(backend: &Arc<RunningBackend>, behaviour: Behaviour) -> Self {
        Self::with(backend, behaviour, false).await
    }

    /// Keeps all spans back.
    pub(crate) async fn silent(backend: &Arc<RunningBackend>) -> Self {
        Self::with(backend, Behaviour::default(), true).await
    }

    async fn with(backend: &Arc<RunningBackend>, behaviour: Behaviour, keep_back: bool) -> Self {
        let seen = Arc::default();
        let shop = Shop { backend: Arc::clone(backend), behaviour, keep_back, number: AtomicUsize::new(0), seen: Arc::clone(&seen) };
        let router = Router::new()
            .route("/api/v1/auth/login", post(login))
            .route("/api/v1/products", get(products))
            .route("/api/v1/orders", post(order))
            .with_state(Arc::new(shop));
        let (address, serving) = serve(router).await;
        Self { address, seen, _serving: serving }
    }

    /// Options by which `verify` finds it.
    pub(crate) fn options(&self) -> [String; 3] {
        [format!("--gateway=http://{}", self.address), "--email=demo@example.com".to_owned(), "--password=secret".to_owned()]
    }
}

/// Serves on a free port until the set is dropped.
pub(crate) async fn serve(router: Router) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, serving)
}

async fn login(State(shop): State<Arc<Shop>>, Json(login): Json<Value>) -> Response {
    if login["password"] != "secret" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut seen = shop.seen.lock().unwrap();
    seen.logins += 1;
    Json(json!({ "access_token": format!("token-{}", seen.logins) })).into_response()
}

async fn products() -> Json<Value> {
    Json(json!({ "items": (0..5).map(|number| json!({ "product_id": format!("product-{number}") })).collect::<Vec<_>>() }))
}

async fn order(State(shop): State<Arc<Shop>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let token = header("authorization");
    let login: usize = token.strip_prefix("Bearer token-").and_then(|number| number.parse().ok()).unwrap_or(0);
    let number = shop.number.load(Ordering::SeqCst);
    if login == 0 || (login <= shop.behaviour.stale_tokens && number >= login) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let number = shop.number.fetch_add(1, Ordering::SeqCst);
    let status = (shop.behaviour.status)(number);
    let traceparent = header("traceparent");
    let [_, trace, span, flags] = traceparent.split('-').collect::<Vec<_>>()[..] else {
        return (StatusCode::BAD_REQUEST, "no traceparent").into_response();
    };
    assert_eq!(flags, "01", "sampled");
    let answered = [("x-trace-id", (shop.behaviour.answered)(trace))];
    if status == StatusCode::CREATED {
        let mut story = Story::of(&graph(), u128::from_str_radix(trace, 16).unwrap(), span);
        (shop.behaviour.story)(number, &mut story);
        let mut seen = shop.seen.lock().unwrap();
        seen.traces.push(trace.to_owned());
        seen.orders.push(body);
        if shop.keep_back {
            seen.kept_back.extend(story.batches());
        } else {
            shop.backend.store.insert(story.batches());
        }
    }
    (status, answered).into_response()
}
