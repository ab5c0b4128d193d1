//! A gRPC call without a client of gRPC, which has limits and timers of its own: what a server says on the wire.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};
use tonic::{Code, Status};

use super::world::PATIENCE;

/// Calls a method of the server at `url` with one message, on a connection of its own, and waits for the end of the answer. What was answered is not
/// looked at.
pub(super) async fn call(url: &str, path: &str, headers: &[(&str, &str)], message: &[u8]) -> Result<(), Status> {
    let stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let mut request = Request::post(format!("{url}{path}")).header("content-type", "application/grpc").header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = async {
        let response = sender.send_request(request.body(Full::new(framed(message))).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let mut headers = head.headers;
        headers.extend(body.collect().await.unwrap().trailers().cloned().unwrap_or_default());
        Status::from_header_map(&headers).unwrap_or_else(|| panic!("{path}: no grpc-status in {headers:?}"))
    };
    let status = timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("{path}: no answer"));
    if status.code() == Code::Ok { Ok(()) } else { Err(status) }
}

/// Not compressed, its length, and the message.
fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat().into()
}
