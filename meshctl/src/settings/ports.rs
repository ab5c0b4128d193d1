//! TCP ports.

use serde::{Deserialize, Serialize};

macro_rules! ports {
    ($($(#[$doc:meta])+ $field:ident),+ $(,)?) => {
        /// TCP ports on 127.0.0.1, by what listens there.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub(crate) struct Ports { $($(#[$doc])+ pub(crate) $field: u16),+ }

        impl Ports {
            /// Every port with its key in the settings (`gateway`, `gateway_admin`, ...).
            pub(crate) fn entries(&self) -> Vec<(&'static str, u16)> {
                vec![$((stringify!($field), self.$field)),+]
            }

            /// Consecutive ports from `first` on, in the order of [`Ports::entries`].
            pub(crate) fn consecutive(first: u16) -> Self {
                let mut next = first..;
                Self { $($field: next.next().unwrap_or(u16::MAX)),+ }
            }

            /// Changes the port with the key `key`; other keys change nothing.
            pub(crate) fn set(&mut self, key: &str, port: u16) {
                $(if key == stringify!($field) { self.$field = port; })+
            }

            /// How many ports a mesh needs.
            pub(crate) const COUNT: u16 = { let mut n = 0; $(let _ = stringify!($field); n += 1;)+ n };
        }
    };
}

ports! {
    /// HTTP of the gateway.
    gateway,
    /// Admin port of the gateway.
    gateway_admin,
    /// gRPC of auth.
    auth,
    /// Admin port of auth.
    auth_admin,
    /// gRPC of catalog-cache.
    catalog_cache,
    /// Admin port of catalog-cache.
    catalog_cache_admin,
    /// gRPC of orders.
    orders,
    /// Admin port of orders.
    orders_admin,
    /// Admin port of dispatch.
    dispatch_admin,
    /// Admin port of notification.
    notification_admin,
    /// Admin port of analytics.
    analytics_admin,
    /// Postgres.
    postgres,
    /// Redis.
    redis,
    /// Kafka's listener for clients.
    kafka,
    /// Kafka's listener for its own quorum.
    kafka_controller,
    /// Page and query APIs of the trace backend.
    traces,
    /// OTLP over gRPC.
    otlp_grpc,
    /// OTLP over HTTP.
    otlp_http,
    /// Prometheus. The state of a mesh that an earlier build started does not have it.
    #[serde(default = "prometheus_port")]
    prometheus,
}

fn prometheus_port() -> u16 {
    9090
}
