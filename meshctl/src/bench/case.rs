//! The cases: each a path of ours and the tool that shows its limit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http::{Request, StatusCode};
use http_body_util::Full;
use rand::seq::IndexedRandom as _;
use serde::Serialize;
use serde_json::json;

use super::BenchArgs;
use super::load::{Load, Requests, Served};
use super::rival::{self, Postgres};
use super::stage::Stage;

/// Products that `product_setup.sql` makes.
const COLD_PRODUCTS: u64 = 20_000;
/// Commands of one run of redis-benchmark.
const COMMANDS: u64 = 200_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Case {
    /// `POST /api/v1/orders` with three lines, against pgbench with the same rows in a plain transaction
    Order,
    /// `GET /api/v1/products/ID` from the cache, against redis-benchmark GET
    Product,
    /// The same of products that are in no cache, against pgbench with the same SELECT
    ColdProduct,
}

impl Case {
    pub(super) const ALL: [Self; 3] = [Self::Order, Self::Product, Self::ColdProduct];

    /// The ratio that this case must reach.
    pub(super) fn at_least(self) -> Option<f64> {
        match self {
            Self::Order => Some(0.5),
            Self::Product | Self::ColdProduct => None,
        }
    }

    /// The processes that work for it.
    pub(super) fn processes(self) -> &'static [&'static str] {
        match self {
            Self::Order => &["gateway", "auth", "catalog-cache", "orders"],
            Self::Product | Self::ColdProduct => &["gateway", "catalog-cache"],
        }
    }

    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Product => "product",
            Self::ColdProduct => "cold-product",
        }
    }

    /// The tool that shows its limit.
    pub(super) fn rival(self) -> &'static str {
        match self {
            Self::Order | Self::ColdProduct => "pgbench",
            Self::Product => "redis-benchmark",
        }
    }
}

/// One run of ours and one of the rival.
pub(super) struct Round {
    pub(super) ours: Served,
    /// Microseconds of processor time for each request, by process.
    pub(super) cpu_us: BTreeMap<&'static str, f64>,
    /// The rival's rate, per second.
    pub(super) rival: f64,
}

/// A case that has what it needs.
pub(super) struct Prepared<'a> {
    case: Case,
    stage: &'a Stage,
    args: &'a BenchArgs,
    load: Load,
    postgres: Postgres,
}

impl<'a> Prepared<'a> {
    pub(super) async fn new(case: Case, stage: &'a Stage, args: &'a BenchArgs) -> Result<Self> {
        let (requests, expected, limit) = match case {
            Case::Order => (orders(stage).await?, StatusCode::CREATED, u64::MAX),
            Case::Product => (products(), StatusCode::OK, u64::MAX),
            Case::ColdProduct => (cold_products(), StatusCode::OK, COLD_PRODUCTS),
        };
        let postgres = rows(case, stage).await?;
        let (duration, connections) = (args.duration, args.connections);
        // cold products end when each has been read, however long that takes
        let duration = if case == Case::ColdProduct { Duration::MAX } else { duration };
        let load = Load { address: stage.gateway(), connections, duration, limit, requests, expected };
        let prepared = Self { case, stage, args, load, postgres };
        // connections, caches and prepared statements
        prepared.load(Duration::from_secs(1)).await?;
        Ok(prepared)
    }

    /// Ours, then the rival.
    pub(super) async fn round(&self) -> Result<Round> {
        let before = self.stage.clock(self.case.processes());
        let ours = self.load(self.load.duration).await?;
        let after = self.stage.clock(self.case.processes());
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let each = |used: Duration| used.as_secs_f64() * 1e6 / ours.requests as f64;
        let used = |name: &str| after[name].saturating_sub(before[name]);
        let cpu_us = self.case.processes().iter().map(|name| (*name, each(used(name)))).collect();
        self.stage.drained().await?;
        Ok(Round { ours, cpu_us, rival: self.rival().await? })
    }

    async fn load(&self, duration: Duration) -> Result<Served> {
        if self.case == Case::ColdProduct {
            rival::redis_cli(self.stage.redis_port(), &["FLUSHALL"]).await?;
        }
        let served = Load { duration, ..self.load.clone() }.run().await;
        served.with_context(|| format!("{:?}", self.case))
    }

    async fn rival(&self) -> Result<f64> {
        let BenchArgs { connections, duration, .. } = *self.args;
        match self.case {
            Case::Order => self.postgres.pgbench(include_str!("order.sql"), connections, duration).await,
            Case::ColdProduct => self.postgres.pgbench(include_str!("product.sql"), connections, duration).await,
            Case::Product => {
                let key = format!("throughline:catalog:product:{}", db::seed::product_id("COF-001"));
                rival::redis_benchmark(self.stage.redis_port(), &key, connections, COMMANDS).await
            }
        }
    }
}

/// The rows that a case and its rival work on, and where the rival does.
async fn rows(case: Case, stage: &Stage) -> Result<Postgres> {
    match case {
        Case::Order => {
            let second = stage.second_database("throughline_bench").await?;
            second.sql(include_str!("order_setup.sql")).await?;
            Ok(second)
        }
        Case::ColdProduct => {
            let own = stage.postgres(crate::postgres::DATABASE)?;
            own.sql(include_str!("product_setup.sql")).await?;
            Ok(own)
        }
        Case::Product => stage.postgres(crate::postgres::DATABASE),
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
