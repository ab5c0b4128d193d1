//! Places orders as a client would, each in a trace of its own.

use anyhow::{Context as _, Result, bail};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::Instant};

use super::http::{Answer, Http};
use crate::backend::id::TraceId;
use crate::caller::{Caller, TRACEPARENT};

/// How many products the orders are spread over, and how many lines the largest has.
const PRODUCTS: usize = 20;
const LINES: usize = 3;

/// Who places orders.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    /// Email address.
    pub(crate) email: String,
    /// Password.
    pub(crate) password: String,
    /// Whether they may have to be registered first, as the mesh's demo user.
    pub(crate) register: bool,
}

/// A gateway, somebody who is logged in there, and what there is to buy.
#[derive(Debug)]
pub(crate) struct Shop {
    http: Http,
    gateway: String,
    login: Login,
    token: Mutex<String>,
    products: Vec<String>,
}

/// An order that was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Its trace.
    pub(crate) trace: TraceId,
    /// The span id that was sent as parent.
    pub(crate) entry: String,
    /// When it was answered.
    pub(crate) ended: Instant,
    /// What the answer was.
    pub(crate) outcome: Outcome,
}

/// What became of an order.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// 201; the `x-trace-id` of the answer, if there was one.
    Placed(Option<String>),
    /// Another status, or none, in words.
    Refused(String),
}

impl Shop {
    /// Logs in and looks at the products.
    pub(crate) async fn open(http: Http, gateway: &str, login: Login) -> Result<Self> {
        let gateway = gateway.trim_end_matches('/').to_owned();
        let mut shop = Self { http, gateway, login, token: Mutex::new(String::new()), products: Vec::new() };
        if shop.login.register {
            let user = json!({ "username": "demo", "email": shop.login.email, "password": shop.login.password });
            expect(shop.post("auth/register", HeaderMap::new(), &user).await?, &[201, 409], "registering the demo user")?;
        }
        let token = shop.log_in().await?;
        *shop.token.lock().await = token;
        let page = shop.http.get(&format!("{}/api/v1/products?limit={PRODUCTS}", shop.gateway), "application/json").await?;
        let page = expect(page, &[200], "listing products")?.json()?;
        let items = page["items"].as_array().map_or(&[][..], Vec::as_slice);
        shop.products = items.iter().filter_map(|item| Some(item["product_id"].as_str()?.to_owned())).collect();
        if shop.products.is_empty() {
            bail!("{} sells nothing: the list of products has no product_id", shop.gateway);
        }
        Ok(shop)
    }

    /// Places an order; `turn` chooses the products. A token that has run out is renewed, and the order sent anew in
    /// another trace.
    pub(crate) async fn order(&self, turn: u64) -> Sent {
        let token = self.token.lock().await.clone();
        let sent = self.attempt(turn, &token).await;
        match &sent.outcome {
            Outcome::Refused(why) if why == StatusCode::UNAUTHORIZED.as_str() => match self.renew(&token).await {
                Ok(token) => self.attempt(turn, &token).await,
                Err(_) => sent,
            },
            _ => sent,
        }
    }

    async fn attempt(&self, turn: u64, token: &str) -> Sent {
        let caller = Caller::new();
        let mut headers = HeaderMap::new();
        let values = [(header::AUTHORIZATION.as_str(), format!("Bearer {token}")), (TRACEPARENT, caller.traceparent())];
        for (name, value) in values {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        let answer = self.post("orders", headers, &json!({ "items": self.items(turn) })).await;
        let outcome = match answer {
            Ok(answer) if answer.status == StatusCode::CREATED => Outcome::Placed(answer.header("x-trace-id").map(str::to_owned)),
            Ok(answer) => Outcome::Refused(answer.status.as_str().to_owned()),
            Err(err) => Outcome::Refused(format!("{err:#}")),
        };
        Sent { trace: caller.trace, entry: caller.span, ended: Instant::now(), outcome }
    }

    /// One to three neighbouring products, in the order of the catalogue, so that orders of one stock row queue up alike.
    fn items(&self, turn: u64) -> Vec<Value> {
        let turn = usize::try_from(turn).unwrap_or(0);
        let lines = (1 + turn % LINES).min(self.products.len());
        let mut places: Vec<usize> = (0..lines).map(|line| (turn + line) % self.products.len()).collect();
        places.sort_unstable();
        places.into_iter().map(|place| json!({ "product_id": self.products[place], "quantity": 1 })).collect()
    }

    /// A token that is not `used`: the one that somebody else has fetched meanwhile, or a new one.
    async fn renew(&self, used: &str) -> Result<String> {
        let mut token = self.token.lock().await;
        if *token == used {
            *token = self.log_in().await?;
        }
        Ok(token.clone())
    }

    async fn log_in(&self) -> Result<String> {
        let login = json!({ "email": self.login.email, "password": self.login.password });
        let answer = expect(self.post("auth/login", HeaderMap::new(), &login).await?, &[200], "logging in")?.json()?;
        let token = answer["access_token"].as_str().context("the answer to the login has no access_token")?;
        Ok(token.to_owned())
    }

    async fn post(&self, path: &str, mut headers: HeaderMap, body: &Value) -> Result<Answer> {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let url = format!("{}/api/v1/{path}", self.gateway);
        self.http.send(Method::POST, &url, headers, Bytes::from(body.to_string())).await
    }
}

fn expect(answer: Answer, accepted: &[u16], what: &str) -> Result<Answer> {
    if accepted.contains(&answer.status.as_u16()) {
        return Ok(answer);
    }
    bail!("{what}: the gateway answered {}: {}", answer.status, answer.text())
}
