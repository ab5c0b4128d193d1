//! The cases: each something of ours and the tool that shows its limit.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::BenchArgs;
use super::load::Served;
use super::records::{self, Reader};
use super::requests::{self, Path};
use super::stage::{Clocks, Stage};

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
    /// `OrderPlaced` records that wait: two records sent for each, against Kafka's own producer benchmark
    Dispatch,
    /// `OrderRecorded` records that wait: a transaction in Postgres for each, against Kafka's own producer benchmark
    Analytics,
}

/// How a case is driven.
enum Kind {
    Requests(Path),
    Records(Reader),
}

impl Case {
    pub(super) const ALL: [Self; 5] = [Self::Order, Self::Product, Self::ColdProduct, Self::Dispatch, Self::Analytics];

    fn kind(self) -> Kind {
        match self {
            Self::Order => Kind::Requests(Path::Order),
            Self::Product => Kind::Requests(Path::Product),
            Self::ColdProduct => Kind::Requests(Path::ColdProduct),
            Self::Dispatch => Kind::Records(Reader::Dispatch),
            Self::Analytics => Kind::Records(Reader::Analytics),
        }
    }

    /// The ratio that this case must reach.
    pub(super) fn at_least(self) -> Option<f64> {
        (self == Self::Order).then_some(0.5)
    }

    /// The processes that work for it.
    fn processes(self) -> &'static [&'static str] {
        match self {
            Self::Order => &["gateway", "auth", "catalog-cache", "orders"],
            Self::Product | Self::ColdProduct => &["gateway", "catalog-cache"],
            Self::Dispatch => &["dispatch"],
            Self::Analytics => &["analytics"],
        }
    }

    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Product => "product",
            Self::ColdProduct => "cold-product",
            Self::Dispatch => "dispatch",
            Self::Analytics => "analytics",
        }
    }

    /// The tool that shows its limit.
    pub(super) fn rival(self) -> &'static str {
        match self {
            Self::Order | Self::ColdProduct => "pgbench",
            Self::Product => "redis-benchmark",
            Self::Dispatch | Self::Analytics => "kafka-producer-perf-test",
        }
    }
}

/// One run of ours and one of the rival.
pub(super) struct Round {
    pub(super) ours: Served,
    /// Microseconds of processor time for each request or record, by process.
    pub(super) cpu_us: BTreeMap<&'static str, f64>,
    /// The rival's rate, per second.
    pub(super) rival: f64,
}

/// A case that has what it needs.
pub(super) enum Prepared<'a> {
    Requests(requests::Prepared<'a>),
    Records(records::Prepared<'a>),
}

impl<'a> Prepared<'a> {
    pub(super) async fn new(case: Case, stage: &'a Stage, args: &'a BenchArgs) -> Result<Self> {
        Ok(match case.kind() {
            Kind::Requests(path) => Self::Requests(requests::Prepared::new(path, case.processes(), stage, args).await?),
            Kind::Records(reader) => Self::Records(records::Prepared::new(reader, case.name(), stage, args)?),
        })
    }

    /// Ours, then the rival.
    pub(super) async fn round(&self) -> Result<Round> {
        match self {
            Self::Requests(prepared) => prepared.round().await,
            Self::Records(prepared) => prepared.round().await,
        }
    }
}

/// Microseconds of processor time between two looks for each of `count`.
pub(super) fn cpu_us(before: &Clocks, after: &Clocks, count: u64) -> BTreeMap<&'static str, f64> {
    let used = |name| after.get(name).copied().unwrap_or_default().saturating_sub(before.get(name).copied().unwrap_or_default());
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let each = |used: Duration| used.as_secs_f64() * 1e6 / count as f64;
    after.keys().map(|name| (*name, each(used(name)))).collect()
}
