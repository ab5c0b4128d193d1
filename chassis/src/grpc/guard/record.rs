//! One call as a line in the log. <https://opentelemetry.io/docs/specs/semconv/registry/attributes/rpc/>

use std::{net::SocketAddr, time::Instant};

use http::{Request, uri::PathAndQuery};
use telemetry::{grpc::code_name, logs::CallLevel};
use tonic::{
    Code,
    transport::server::{TcpConnectInfo, TlsConnectInfo},
};

/// Probes are no calls worth a line.
const UNRECORDED: &str = "/grpc.health.v1.Health/";

/// A call that is being served. One that is dropped was given up by its caller.
pub(super) struct Record {
    level: CallLevel,
    method: Option<PathAndQuery>,
    peer: Option<SocketAddr>,
    begun: Instant,
    ended: bool,
}

impl Record {
    /// None where nobody would read it.
    pub(super) fn begin<B>(request: &Request<B>, level: CallLevel) -> Option<Self> {
        let wanted = match level {
            CallLevel::Debug => tracing::enabled!(tracing::Level::DEBUG),
            CallLevel::Info => tracing::enabled!(tracing::Level::INFO),
        };
        if !wanted || request.uri().path().starts_with(UNRECORDED) {
            return None;
        }
        let method = request.uri().path_and_query().cloned();
        Some(Self { level, method, peer: peer(request), begun: Instant::now(), ended: false })
    }

    /// Writes the line, once.
    pub(super) fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let method = super::method(self.method.as_ref());
        let (status, client) = (code_name(code), self.peer.map(|peer| peer.ip().to_string()).unwrap_or_default());
        let duration_ms = self.begun.elapsed().as_secs_f64() * 1e3;
        macro_rules! write_at {
            ($level:ident) => {
                tracing::event!(
                    tracing::Level::$level,
                    "rpc.method" = method,
                    "rpc.response.status_code" = status,
                    "client.address" = client,
                    duration_ms,
                    "call"
                )
            };
        }
        match self.level {
            CallLevel::Debug => write_at!(DEBUG),
            CallLevel::Info => write_at!(INFO),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

fn peer<B>(request: &Request<B>) -> Option<SocketAddr> {
    let extensions = request.extensions();
    let plain = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    plain.or_else(|| extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?.get_ref().remote_addr())
}
