//! How well the cache does, for `/metrics`.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
    registry::Registry,
};

use crate::cache::Lookups;

/// Shows the lookups whenever somebody asks.
pub(crate) fn register(registry: &mut Registry, lookups: Arc<Lookups>) {
    registry.register_collector(Box::new(CacheCollector(lookups)));
}

#[derive(Debug)]
struct CacheCollector(Arc<Lookups>);

impl Collector for CacheCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Lookups { hit, hit_unknown, miss, failed, .. } = &*self.0;
        let mut family = encoder.encode_descriptor(
            "throughline_cache_requests",
            "Products and posts looked up in the cache",
            None,
            MetricType::Counter,
        )?;
        for (result, count) in [("hit", hit), ("hit_unknown", hit_unknown), ("miss", miss), ("failed", failed)] {
            ConstCounter::new(count.load(Ordering::Relaxed)).encode(family.encode_family(&[("result", result)])?)?;
        }
        Ok(())
    }
}
