//! How well the cache does, for `/metrics`.

pub(crate) mod tally;

use std::{fmt, sync::Arc};

use chassis::redis::{Breaker, BreakerState};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use tally::{Count, Tally};

/// The tallies of products and posts, by name.
type Tallies = [(&'static str, Arc<Tally>); 2];

/// Shows the numbers whenever somebody asks.
pub(crate) fn register(registry: &mut Registry, tallies: Tallies, breaker: Breaker) {
    registry.register_collector(Box::new(CacheCollector { tallies, breaker }));
}

#[derive(Debug)]
struct CacheCollector {
    tallies: Tallies,
    breaker: Breaker,
}

impl CacheCollector {
    /// A counter of each cache by what came of it.
    fn by_result<const N: usize>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        counts: impl Fn(&Tally) -> [(&'static str, &Count); N],
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (cache, tally) in &self.tallies {
            for (result, count) in counts(tally) {
                ConstCounter::new(count.get()).encode(family.encode_family(&[("cache", *cache), ("result", result)])?)?;
            }
        }
        Ok(())
    }

    /// A counter of each cache.
    fn plain(&self, encoder: &mut DescriptorEncoder<'_>, (name, help): (&str, &str), count: impl Fn(&Tally) -> &Count) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        self.tallies.iter().try_for_each(|(cache, tally)| {
            let labels = [("cache", *cache)];
            ConstCounter::new(count(tally).get()).encode(family.encode_family(&labels)?)
        })
    }

    fn load_seconds(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (name, help) = ("throughline_cache_load", "How long loads from Postgres took");
        let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        self.tallies.iter().try_for_each(|(cache, tally)| {
            let labels = [("cache", *cache)];
            tally.load_seconds.encode(family.encode_family(&labels)?)
        })
    }

    fn breaker(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (name, help) = ("throughline_cache_breaker_state", "Who asks Redis: 1 for the state that holds");
        let (mut family, now) = (encoder.encode_descriptor(name, help, None, MetricType::Gauge)?, self.breaker.state());
        let states = [(BreakerState::Closed, "closed"), (BreakerState::HalfOpen, "half_open"), (BreakerState::Open, "open")];
        states.iter().try_for_each(|(state, name)| {
            let labels = [("state", *name)];
            ConstGauge::new(i64::from(*state == now)).encode(family.encode_family(&labels)?)
        })
    }
}

impl Collector for CacheCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.by_result(encoder, ("throughline_cache_requests", "Products and posts looked up in Redis"), |tally| {
            [("hit", &tally.hit), ("hit_unknown", &tally.hit_unknown), ("miss", &tally.miss), ("failed", &tally.failed)]
        })?;
        self.by_result(encoder, ("throughline_cache_loads", "Loads from Postgres for readers"), |tally| {
            [("success", &tally.loaded), ("failed", &tally.load_failed), ("refused", &tally.load_refused)]
        })?;
        self.by_result(encoder, ("throughline_cache_near_requests", "Products and posts looked up in the process itself"), |tally| {
            [("hit", &tally.near_hit), ("miss", &tally.near_miss), ("bypassed", &tally.near_bypassed)]
        })?;
        self.plain(encoder, ("throughline_cache_stale", "Served though no longer fresh"), |tally| &tally.stale)?;
        self.plain(encoder, ("throughline_cache_near_evictions", "Given up for want of room"), |tally| &tally.near_evictions)?;
        self.plain(encoder, ("throughline_cache_invalidations", "Changes heard of"), |tally| &tally.invalidations)?;
        self.load_seconds(encoder)?;
        self.breaker(encoder)
    }
}
