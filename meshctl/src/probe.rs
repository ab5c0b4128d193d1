//! Does it answer? One question per kind of process, in its own protocol, with a short deadline.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::mesh::Mesh;
use crate::postgres::{ADMIN, DATABASE};
use crate::{obi, prometheus, services};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Whether the process called `name` answers: a service its `/readyz`, a server the first message of its protocol.
pub(crate) async fn answers(mesh: &Mesh, name: &str) -> bool {
    let ports = &mesh.ports;
    match name {
        "postgres" => asked(ports.postgres, &startup_message(), |answer| answer.first() == Some(&b'R')).await,
        "redis" => asked(ports.redis, b"PING\r\n", |answer| answer.starts_with(b"+PONG")).await,
        "kafka" => asked(ports.kafka, &API_VERSIONS, |answer| answer.get(4..8) == Some(&CORRELATION)).await,
        "backend" => {
            let page = get(&mesh.http, &format!("http://127.0.0.1:{}/api/services", ports.traces)).await;
            page && connects(ports.otlp_grpc).await && connects(ports.otlp_http).await
        }
        prometheus::NAME => get(&mesh.http, &format!("{}/-/ready", prometheus::url(mesh))).await,
        // it serves nothing: what it sees is asked by obi::watch
        obi::NAME => true,
        service => match services::find(service) {
            Some(service) => get(&mesh.http, &format!("{}/readyz", service.admin(ports))).await,
            None => false,
        },
    }
}

async fn get(http: &reqwest::Client, url: &str) -> bool {
    let request = http.get(url).timeout(PATIENCE).send();
    request.await.is_ok_and(|response| response.status().is_success())
}

async fn connects(port: u16) -> bool {
    matches!(tokio::time::timeout(PATIENCE, TcpStream::connect(("127.0.0.1", port))).await, Ok(Ok(_)))
}

/// Sends `question` and judges the first bytes that come back.
async fn asked(port: u16, question: &[u8], right: impl Fn(&[u8]) -> bool) -> bool {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(question).await?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).await?;
        std::io::Result::Ok(right(&answer[..length]))
    };
    matches!(tokio::time::timeout(PATIENCE, exchange).await, Ok(Ok(true)))
}

/// The first message of protocol 3.0. A server that accepts sessions asks for the password (`R`); one that is still
/// starting up or already shutting down sends an error (`E`). We then hang up, which is not logged as a failure.
fn startup_message() -> Vec<u8> {
    let mut body = 0x0003_0000_u32.to_be_bytes().to_vec();
    for text in ["user", ADMIN, "database", DATABASE, ""] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [length.to_be_bytes().to_vec(), body].concat()
}

const CORRELATION: [u8; 4] = *b"mesh";

/// `ApiVersionsRequest` version 0: length 10, key 18, version 0, correlation id, no client id.
const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, b'm', b'e', b's', b'h', 0xff, 0xff];

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn only_the_right_answer_counts() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let serve = async {
            for answer in ["+PONG\r\n", "-LOADING\r\n"] {
                let (mut stream, _) = server.accept().await.unwrap();
                let mut question = [0; 6];
                stream.read_exact(&mut question).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let ask = async {
            let right = |answer: &[u8]| answer.starts_with(b"+PONG");
            (asked(port, b"PING\r\n", right).await, asked(port, b"PING\r\n", right).await)
        };
        let (answers, ()) = tokio::join!(ask, serve);
        assert_eq!(answers, (true, false));
    }

    #[test]
    fn the_startup_message_says_how_long_it_is() {
        let message = startup_message();
        assert_eq!(u32::from_be_bytes(message[..4].try_into().unwrap()) as usize, message.len());
        assert!(message.ends_with(b"throughline\0\0"));
    }
}
