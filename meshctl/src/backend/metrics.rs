//! The store's counters as `OpenMetrics`.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::store::Store;

/// The media type of [`render`]'s text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry whose metrics are one consistent reading of the store at each scrape.
pub(crate) fn registry(store: Arc<Store>) -> Registry {
    let mut registry = Registry::with_prefix("trace_backend");
    registry.register_collector(Box::new(Reading(store)));
    registry
}

/// The registry in the text format of `OpenMetrics`.
pub(crate) fn render(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Reading(Arc<Store>);

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let stats = self.0.stats();
        let counters = [
            ("spans_received", "Spans in exports that could be decoded", stats.spans_received),
            ("spans_duplicate", "Spans received once more and left out", stats.spans_duplicate),
            ("traces_evicted", "Traces evicted for newer ones", stats.traces_evicted),
            ("exports_rejected", "Exports that could not be decoded or were too large", stats.exports_rejected),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        let help = "Spans lost, by reason";
        let mut dropped = encoder.encode_descriptor("spans_dropped", help, None, MetricType::Counter)?;
        for (reason, value) in [("evicted", stats.spans_evicted), ("invalid", stats.spans_refused)] {
            ConstCounter::new(value).encode(dropped.encode_family(&[("reason", reason)])?)?;
        }
        let gauges = [
            ("spans", "Spans held", stats.spans),
            ("traces", "Traces held", stats.traces),
            ("bytes", "Bytes that the traces held are estimated to take", stats.bytes),
            ("max_bytes", "The bound of bytes", stats.max_bytes),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
