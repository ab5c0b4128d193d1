//! A gRPC call without a client of gRPC, which has timers of its own: what a server says on the wire.

use std::net::SocketAddr;

use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// The response of a call: its headers and trailers together, and how many messages there were.
pub(crate) struct Said {
    pub(crate) headers: HeaderMap,
    pub(crate) messages: usize,
}

impl Said {
    pub(crate) fn status(&self) -> &str {
        self.headers["grpc-status"].to_str().unwrap()
    }
}

/// Sends an empty text to `path`, with a header.
pub(crate) async fn call(address: SocketAddr, path: &str, (name, value): (&str, &str)) -> Said {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    chassis::spawn(connection);
    let request = Request::post(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header(name, value)
        .body(Full::new(Bytes::from_static(&[0; 5])))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let mut headers = head.headers;
    headers.extend(body.trailers().cloned().unwrap_or_default());
    // every message of these tests is one letter: five bytes before it, and three of its own
    Said { headers, messages: body.to_bytes().len() / 8 }
}
