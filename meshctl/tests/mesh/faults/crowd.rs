//! Customers who place orders whatever happens, and ask again with the same key until they are answered.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use futures::{StreamExt, future::join_all, stream};
use rand::RngExt;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use crate::running::{Mesh, json_of};

const CUSTOMERS: usize = 8;
const PRODUCTS: usize = 24;
/// Orders that may be open. Who would be one more waits: what is offered is then less than what was meant.
const AT_ONCE: usize = 2_000;
/// Between two attempts; doubles up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// After this long without an answer nobody believes any more that one comes.
const PATIENCE: Duration = Duration::from_mins(4);
const PASSWORD: &str = "correct horse battery staple";

/// What becomes of an order when it is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    /// Goes through all statuses.
    Delivered,
    Cancelled,
}

impl Fate {
    fn of(turn: usize) -> Self {
        match turn % 10 {
            3 => Self::Delivered,
            7 => Self::Cancelled,
            _ => Self::Kept,
        }
    }
}

/// An order that was answered.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) order_id: String,
    pub(crate) fate: Fate,
    pub(crate) attempts: usize,
    /// From when it was meant to be placed until it was.
    pub(crate) took: Duration,
    /// Of `took`, until the first attempt.
    pub(crate) held_back: Duration,
}

pub(crate) struct Crowd<'a> {
    mesh: &'a Mesh,
    tokens: Vec<String>,
    admin: String,
    products: Vec<String>,
    /// How often each answer was heard, those of repetitions too.
    answers: RefCell<BTreeMap<String, usize>>,
}

impl<'a> Crowd<'a> {
    pub(crate) async fn gather(mesh: &'a Mesh) -> Self {
        let customers = (0..CUSTOMERS).map(|turn| async move {
            let email = format!("customer{turn}@faults.test");
            let form = json!({ "username": format!("customer{turn}"), "email": email, "password": PASSWORD });
            let made = mesh.client.post(mesh.url("/api/v1/auth/register")).json(&form).send().await.unwrap();
            json_of(made, StatusCode::CREATED).await;
            log_in(mesh, &email, PASSWORD).await
        });
        let (email, password) = mesh.admin();
        Self {
            mesh,
            tokens: join_all(customers).await,
            admin: log_in(mesh, &email, &password).await,
            products: mesh.products(PRODUCTS).await,
            answers: RefCell::default(),
        }
    }

    /// Places so many orders a second for so long, and returns when all are answered.
    pub(crate) async fn order(&self, begin: Instant, rate: u32, span: Duration) -> Vec<Placed> {
        let count = rate * u32::try_from(span.as_secs()).unwrap();
        let meant = stream::iter(0..count).then(|turn| async move {
            let due = begin + span * turn / count;
            sleep_until(due).await;
            (usize::try_from(turn).unwrap(), due)
        });
        meant.map(|(turn, due)| self.place(turn, due)).buffer_unordered(AT_ONCE).collect().await
    }

    async fn place(&self, turn: usize, due: Instant) -> Placed {
        let (held_back, token, fate) = (due.elapsed(), &self.tokens[turn % self.tokens.len()], Fate::of(turn));
        // one to three products, in changing order: orders compete for stock
        let item = |nth: usize| json!({ "product_id": self.products[(turn * 7 + nth * 5) % PRODUCTS], "quantity": 1 + (turn + nth) % 3 });
        let body = json!({ "items": (0..=turn % 3).map(item).collect::<Vec<Value>>() });
        let key = format!("faults-{turn}");
        let request = || self.request(Method::POST, "", token).header("idempotency-key", &key).json(&body);
        let (answer, attempts) = self.insist(&key, request).await;
        let placed = Placed { order_id: answer["order_id"].as_str().unwrap().to_owned(), fate, attempts, took: due.elapsed(), held_back };
        self.follow_up(&placed, token).await;
        placed
    }

    async fn follow_up(&self, placed: &Placed, token: &str) {
        let path = format!("/{}", placed.order_id);
        match placed.fate {
            Fate::Kept => {}
            Fate::Delivered => {
                for status in ["paid", "shipped", "delivered"] {
                    let step = || self.request(Method::PUT, &format!("{path}/status"), &self.admin).json(&json!({ "status": status }));
                    self.insist(status, step).await;
                }
            }
            Fate::Cancelled => drop(self.insist("cancel", || self.request(Method::DELETE, &path, token)).await),
        }
    }

    fn request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.mesh.client.request(method, self.mesh.url(&format!("/api/v1/orders{path}"))).bearer_auth(token)
    }

    /// Asks until the answer is a good one, and how often that was. 409 is one for a step that an attempt before has made and
    /// could not tell of: nobody else makes any.
    async fn insist(&self, what: &str, request: impl Fn() -> RequestBuilder) -> (Value, usize) {
        let (begun, mut pause) = (Instant::now(), PAUSE.0);
        for attempt in 1.. {
            let heard = match request().send().await {
                Ok(answer) => {
                    let status = answer.status();
                    self.count(status.as_str());
                    match answer.json::<Value>().await {
                        Ok(body) if status.is_success() || (status == StatusCode::CONFLICT && attempt > 1) => return (body, attempt),
                        body => format!("{status}: {body:?}"),
                    }
                }
                Err(error) => {
                    let cause = root(&error);
                    self.count(&format!("none ({cause})"));
                    cause
                }
            };
            assert!(begun.elapsed() < PATIENCE, "{what} is refused for ever, last: {heard}");
            sleep(pause.mul_f64(rand::rng().random_range(0.5..1.5))).await;
            pause = (pause * 2).min(PAUSE.1);
        }
        unreachable!()
    }

    fn count(&self, answer: &str) {
        *self.answers.borrow_mut().entry(answer.to_owned()).or_default() += 1;
    }

    pub(crate) fn answers(&self) -> BTreeMap<String, usize> {
        self.answers.borrow().clone()
    }
}

async fn log_in(mesh: &Mesh, email: &str, password: &str) -> String {
    let login = mesh.client.post(mesh.url("/api/v1/auth/login")).json(&json!({ "email": email, "password": password }));
    let answer = json_of(login.send().await.unwrap(), StatusCode::OK).await;
    answer["access_token"].as_str().unwrap().to_owned()
}

/// The last cause of an error.
fn root(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root)
}
