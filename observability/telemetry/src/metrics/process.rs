//! The process itself, from `/proc/self`. <https://opentelemetry.io/docs/specs/semconv/system/process-metrics/>

use std::{fs, time::Instant};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// Linux counts CPU time in hundredths of a second wherever Rust's tier 1 targets run (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads when asked.
#[derive(Debug)]
pub(super) struct ProcessCollector {
    started: Instant,
}

impl Default for ProcessCollector {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: Option<i64>| {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
        };
        gauge("process_memory_usage", "Resident memory", Some(&Unit::Bytes), status_bytes("VmRSS:"))?;
        gauge("process_memory_virtual", "Virtual memory", Some(&Unit::Bytes), status_bytes("VmSize:"))?;
        gauge("process_thread_count", "Threads", None, status_field("Threads:"))?;
        gauge("process_open_file_descriptor_count", "Open file descriptors", None, open_files())?;
        let uptime = ConstGauge::new(self.started.elapsed().as_secs_f64());
        uptime.encode(encoder.encode_descriptor(
            "process_uptime",
            "Time since the start",
            Some(&Unit::Seconds),
            uptime.metric_type(),
        )?)?;
        if let Some((user, system)) = cpu_seconds() {
            let counter = ConstCounter::new(user);
            let mut family =
                encoder.encode_descriptor("process_cpu_time", "CPU time by mode", Some(&Unit::Seconds), counter.metric_type())?;
            counter.encode(family.encode_family(&[("cpu_mode", "user")])?)?;
            ConstCounter::new(system).encode(family.encode_family(&[("cpu_mode", "system")])?)?;
        }
        Ok(())
    }
}

fn status_field(name: &str) -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn status_bytes(name: &str) -> Option<i64> {
    status_field(name).map(|kib| kib.saturating_mul(1024))
}

fn open_files() -> Option<i64> {
    i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

fn cpu_seconds() -> Option<(f64, f64)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // the name in brackets may hold spaces; utime and stime are the fields 14 and 15
    let mut fields = stat.rsplit_once(") ")?.1.split_whitespace().skip(11);
    let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / TICKS_PER_SECOND);
    Some((seconds()?, seconds()?))
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessCollector::default()));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for name in ["process_memory_usage_bytes ", "process_thread_count ", "process_cpu_time_seconds_total{cpu_mode=\"user\"} "] {
            let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
            assert!(value.parse::<f64>().is_ok(), "{name}{value}");
        }
    }
}
