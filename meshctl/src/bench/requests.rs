//! The cases in which we are asked: a path from the gateway on, and the tool that shows its limit.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http::{Request, StatusCode};
use http_body_util::Full;
use rand::seq::IndexedRandom as _;
use serde_json::json;

use super::BenchArgs;
use super::case::{Round, cpu_us};
use super::load::{Load, Requests, Served};
use super::rival::{self, Postgres};
use super::stage::Stage;

/// Products that `product_setup.sql` makes.
const COLD_PRODUCTS: u64 = 20_000;
/// Commands of one run of redis-benchmark.
const COMMANDS: u64 = 200_000;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// `POST /api/v1/orders`
    Order,
    /// `GET /api/v1/products/ID`
    Product,
    /// The same, of which Redis knows nothing.
    ColdProduct,
}

/// A path that has what it needs.
pub(super) struct Prepared<'a> {
    path: Path,
    processes: &'static [&'static str],
    stage: &'a Stage,
    args: &'a BenchArgs,
    load: Load,
    postgres: Postgres,
}

impl<'a> Prepared<'a> {
    pub(super) async fn new(path: Path, processes: &'static [&'static str], stage: &'a Stage, args: &'a BenchArgs) -> Result<Self> {
        let (requests, expected, limit) = match path {
            Path::Order => (orders(stage).await?, StatusCode::CREATED, u64::MAX),
            Path::Product => (products(), StatusCode::OK, u64::MAX),
            Path::ColdProduct => (cold_products(), StatusCode::OK, COLD_PRODUCTS),
        };
        let postgres = rows(path, stage).await?;
        let (duration, connections) = (args.duration, args.connections);
        // cold products end when each has been read, however long that takes
        let duration = if path == Path::ColdProduct { Duration::MAX } else { duration };
        let load = Load { address: stage.gateway(), connections, duration, limit, requests, expected };
        let prepared = Self { path, processes, stage, args, load, postgres };
        // connections, caches and prepared statements
        prepared.load(Duration::from_secs(1)).await?;
        Ok(prepared)
    }

    /// Ours, then the rival.
    pub(super) async fn round(&self) -> Result<Round> {
        let before = self.stage.clock(self.processes);
        let ours = self.load(self.load.duration).await?;
        let cpu_us = cpu_us(&before, &self.stage.clock(self.processes), ours.handled);
        self.stage.drained().await?;
        Ok(Round { ours, cpu_us, rival: self.rival().await? })
    }

    async fn load(&self, duration: Duration) -> Result<Served> {
        if self.path == Path::ColdProduct {
            rival::redis_cli(self.stage.redis_port(), &["FLUSHALL"]).await?;
        }
        let served = Load { duration, ..self.load.clone() }.run().await;
        served.with_context(|| format!("{:?}", self.path))
    }

    async fn rival(&self) -> Result<f64> {
        let BenchArgs { connections, duration, .. } = *self.args;
        match self.path {
            Path::Order => self.postgres.pgbench(include_str!("order.sql"), connections, duration).await,
            Path::ColdProduct => self.postgres.pgbench(include_str!("product.sql"), connections, duration).await,
            Path::Product => {
                let key = format!("throughline:catalog:product:{}", db::seed::product_id("COF-001"));
                rival::redis_benchmark(self.stage.redis_port(), &key, connections, COMMANDS).await
            }
        }
    }
}

/// The rows that a case and its rival work on, and where the rival does.
async fn rows(path: Path, stage: &Stage) -> Result<Postgres> {
    match path {
        Path::Order => {
            let second = stage.second_database("throughline_bench").await?;
            second.sql(include_str!("order_setup.sql")).await?;
            Ok(second)
        }
        Path::ColdProduct => {
            let own = stage.postgres(crate::postgres::DATABASE)?;
            own.sql(include_str!("product_setup.sql")).await?;
            Ok(own)
        }
        Path::Product => stage.postgres(crate::postgres::DATABASE),
    }
}

/// Orders of three different products, one piece each, with an idempotency key of their own.
async fn orders(stage: &Stage) -> Result<Requests> {
    let authorization = format!("Bearer {}", stage.token().await?);
    let products = db::seed::products();
    let body = move || {
        let lines = products.sample(&mut rand::rng(), 3).map(|product| json!({ "product_id": product.product_id, "quantity": 1 }));
        json!({ "items": lines.collect::<Vec<_>>() }).to_string()
    };
    Ok(Arc::new(move |_| {
        let request = Request::post("/api/v1/orders").header("host", "bench").header("content-type", "application/json");
        let request = request.header("authorization", &authorization).header("idempotency-key", format!("{:032x}", rand::random::<u128>()));
        Ok(request.body(Full::from(body()))?)
    }))
}

fn products() -> Requests {
    let products = db::seed::products();
    Arc::new(move |_| {
        let product = products.choose(&mut rand::rng()).context("nothing is sold")?;
        get(&product.product_id.to_string())
    })
}

fn cold_products() -> Requests {
    Arc::new(|number| get(&format!("00000000-0000-7000-8000-{:012}", number + 1)))
}

fn get(product_id: &str) -> Result<Request<Full<hyper::body::Bytes>>> {
    Ok(Request::get(format!("/api/v1/products/{product_id}")).header("host", "bench").body(Full::default())?)
}
