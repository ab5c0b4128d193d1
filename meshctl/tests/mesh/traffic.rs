//! Visitors of every kind at a steady rate, whatever the answers are, until told to stop.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::join, stream};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::running::{Mesh, json_of};

/// Requests that may be open; whoever would be one more waits.
const AT_ONCE: usize = 256;
/// Comments of the post that is read and commented on.
const COMMENTS: usize = 20;

/// What a visitor does.
#[cfg_attr(not(feature = "full"), allow(dead_code, reason = "most visits are those of the long tests"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visit {
    /// Places an order of one piece.
    Order,
    /// Lists orders.
    Orders,
    /// Reads one of a few products.
    Product,
    /// Reads the posts of somebody who has written many.
    Posts,
    /// Reads a product that there is not.
    Unknown,
    /// Logs in, and has the tokens refreshed.
    Login,
    /// Says something about a post, so that it is not cached any more, and reads it.
    Thread,
}

/// Answers by status; 0 stands for none.
pub(crate) type Answers = BTreeMap<u16, usize>;

pub(crate) struct Traffic<'a> {
    mesh: &'a Mesh,
    token: String,
    products: Vec<String>,
    author: String,
    post: String,
    placed: AtomicUsize,
    stop: AtomicBool,
}

impl<'a> Traffic<'a> {
    /// With a post that has comments, and an author: one of the seeded history's where there is one.
    pub(crate) async fn of(mesh: &'a Mesh) -> Self {
        let token = mesh.token().await;
        let author = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"urn:throughline:author:7").to_string();
        let traffic = Self {
            mesh,
            products: mesh.products(8).await,
            post: String::new(),
            author,
            token,
            placed: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        };
        let words = json!({ "title": "Scales", "body": "Which ones do you use?" });
        let made = mesh.client.post(mesh.url("/api/v1/posts")).bearer_auth(&traffic.token).json(&words);
        let post: Value = json_of(made.send().await.unwrap(), StatusCode::CREATED).await;
        let traffic = Self { post: post["post_id"].as_str().unwrap().to_owned(), ..traffic };
        for _ in 0..COMMENTS {
            json_of(traffic.comment().send().await.unwrap(), StatusCode::CREATED).await;
        }
        traffic
    }

    /// Orders that were answered 201.
    pub(crate) fn placed(&self) -> usize {
        self.placed.load(Ordering::Relaxed)
    }

    /// So many visits a second while `work` goes on, each by what is next in `mix`.
    pub(crate) async fn during<T>(&self, mix: &[Visit], rate: u32, work: impl Future<Output = T>) -> (T, Answers) {
        self.stop.store(false, Ordering::Relaxed);
        let (begun, between) = (Instant::now(), Duration::from_secs(1) / rate);
        let due = stream::iter(0_u32..).take_while(|_| std::future::ready(!self.stop.load(Ordering::Relaxed)));
        let visits = due.then(|turn| sleep_until(begun + between * turn).map(move |()| turn)).map(|turn| {
            let visit = mix[usize::try_from(turn).unwrap() % mix.len()];
            self.visit(visit, usize::try_from(turn).unwrap())
        });
        let heard = visits.buffer_unordered(AT_ONCE).fold(Answers::new(), |mut answers, status| async move {
            *answers.entry(status).or_default() += 1;
            answers
        });
        let work = async {
            let done = work.await;
            self.stop.store(true, Ordering::Relaxed);
            done
        };
        join(work, heard).await
    }

    async fn visit(&self, visit: Visit, turn: usize) -> u16 {
        let product = &self.products[turn % self.products.len()];
        let get = |path: &str| self.mesh.client.get(self.mesh.url(path)).bearer_auth(&self.token);
        match visit {
            Visit::Order => {
                let order = json!({ "items": [{ "product_id": product, "quantity": 1 }] });
                let place = self.mesh.client.post(self.mesh.url("/api/v1/orders")).bearer_auth(&self.token).json(&order);
                let status = status(place).await;
                self.placed.fetch_add(usize::from(status == 201), Ordering::Relaxed);
                status
            }
            Visit::Orders => status(get("/api/v1/orders?limit=5")).await,
            Visit::Product => status(get(&format!("/api/v1/products/{product}"))).await,
            Visit::Posts => status(get(&format!("/api/v1/users/{}/posts?limit=10", self.author))).await,
            Visit::Unknown => status(get(&format!("/api/v1/products/{}", Uuid::now_v7()))).await,
            Visit::Login => self.log_in().await,
            Visit::Thread => {
                status(self.comment()).await;
                status(get(&format!("/api/v1/posts/{}", self.post))).await
            }
        }
    }

    async fn log_in(&self) -> u16 {
        let (email, password) = self.mesh.demo();
        let post = |path: &str, body: &Value| self.mesh.client.post(self.mesh.url(path)).json(body);
        let login = post("/api/v1/auth/login", &json!({ "email": email, "password": password })).send().await;
        let Ok(answer) = login else { return 0 };
        match answer.json::<Value>().await {
            Ok(tokens) => status(post("/api/v1/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] }))).await,
            Err(_) => 0,
        }
    }

    fn comment(&self) -> RequestBuilder {
        let url = self.mesh.url(&format!("/api/v1/posts/{}/comments", self.post));
        self.mesh.client.post(url).bearer_auth(&self.token).json(&json!({ "body": "The small ones." }))
    }
}

async fn status(request: RequestBuilder) -> u16 {
    match request.send().await {
        Ok(answer) => {
            let status = answer.status().as_u16();
            // to its end, so that the connection is free for the next
            drop(answer.bytes().await);
            status
        }
        Err(_) => 0,
    }
}
