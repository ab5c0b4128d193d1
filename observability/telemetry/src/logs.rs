//! Logs: one JSON object a line on standard output, with the ids that lead to its trace.

mod level;

use std::fmt;

use chrono::{SecondsFormat, Utc};
use opentelemetry::{Context, trace::TraceContextExt};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

pub use level::{ALLOWED, LevelError, level, set_level};

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// For a person at a terminal.
    Text,
}

/// At which level a server of gRPC tells of each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallLevel {
    /// Only where `log.level` lets `debug` through: the gateway has told of the request already.
    #[default]
    Debug,
    /// Always, unless `log.level` is above `info`.
    Info,
}

/// The `log` table of every service's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// A level (`off`, `error`, `warn`, `info`, `debug`, `trace`), or a list of levels and `target=level`.
    pub level: String,
    /// `json` or `text`.
    pub format: Format,
    /// Whether the level may be changed through the admin port while the process runs.
    pub live: bool,
    /// The level of the line that each gRPC call is: `debug` or `info`.
    pub calls: CallLevel,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".into(), format: Format::Json, live: true, calls: CallLevel::Debug }
    }
}

impl LogConfig {
    /// The filter that [`LogConfig::level`] stands for.
    ///
    /// # Errors
    /// [`LevelError`] where it stands for none.
    pub fn filter(&self) -> Result<EnvFilter, LevelError> {
        level::filter(&self.level)
    }
}

/// Installs the process's log subscriber. A second call in one process changes nothing.
///
/// # Errors
/// [`LevelError`] where `log.level` is none.
pub fn start(config: &LogConfig, service_name: &'static str) -> Result<(), LevelError> {
    let builder = tracing_subscriber::fmt().with_env_filter(config.filter()?);
    // of several services in one process, as in tests, the first one's subscriber stays
    match config.format {
        Format::Json => {
            let builder = builder.event_format(JsonLine { service_name }).with_filter_reloading();
            let handle = builder.reload_handle();
            if tracing::subscriber::set_global_default(builder.finish()).is_ok() {
                level::is_live(&config.level, move |filter| handle.reload(filter).is_ok());
            }
        }
        Format::Text => {
            let builder = builder.with_target(false).with_filter_reloading();
            let handle = builder.reload_handle();
            if tracing::subscriber::set_global_default(builder.finish()).is_ok() {
                level::is_live(&config.level, move |filter| handle.reload(filter).is_ok());
            }
        }
    }
    Ok(())
}

struct JsonLine {
    service_name: &'static str,
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Map::new();
        line.insert("timestamp".into(), Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true).into());
        line.insert("level".into(), event.metadata().level().as_str().into());
        line.insert("service".into(), self.service_name.into());
        Context::map_current(|context| {
            let span = context.span();
            let ids = span.span_context();
            if ids.is_valid() {
                line.insert("trace_id".into(), ids.trace_id().to_string().into());
                line.insert("span_id".into(), ids.span_id().to_string().into());
            }
        });
        line.insert("target".into(), event.metadata().target().into());
        event.record(&mut Fields(&mut line));
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }
}
