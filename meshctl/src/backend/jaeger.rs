//! Jaeger's query API (`/api/...`) in the JSON that its page and Grafana's data source read.

pub(crate) mod model;
pub(crate) mod params;
pub(crate) mod routes;
pub(crate) mod translate;
