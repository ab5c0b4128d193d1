//! Spans over OTLP/HTTP, with the headers and the compression that were asked for.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use telemetry::{OtlpCompression, OtlpProtocol, TelemetryConfig, context::TraceContext, kafka::SendSpan};

/// Reads one request, answers it with `status` and more headers, and gives its head.
fn answer(mut stream: TcpStream, status: &str) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    let head = loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the caller left in the midst of its request");
        read.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&read).to_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            break head.to_owned();
        }
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse::<usize>().unwrap();
    let body = read.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    while read.len() < body + length {
        let count = stream.read(&mut buffer).unwrap();
        read.extend_from_slice(&buffer[..count]);
    }
    stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    head
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_goes_out_with_headers_and_compression_again_after_a_refusal_and_before_the_process_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = TelemetryConfig {
        otlp_endpoint: format!("http://{}/otlp", listener.local_addr().unwrap()),
        otlp_protocol: OtlpProtocol::HttpProtobuf,
        otlp_compression: OtlpCompression::Gzip,
        otlp_headers: vec!["authorization=Basic abc".into(), "x-scope-orgid=tenant".into()],
        export_interval_ms: 60_000,
        ..TelemetryConfig::default()
    };
    let (heads, received) = mpsc::channel();
    thread::spawn(move || {
        for status in ["503 Service Unavailable\r\nretry-after: 0", "200 OK"] {
            heads.send(answer(listener.accept().unwrap().0, status)).unwrap();
        }
    });

    let telemetry = telemetry::start(&config, "tested").unwrap();
    SendSpan::below(&TraceContext::default(), "orders.created", Some("key")).acknowledged(0, 1);
    tokio::task::block_in_place(|| telemetry.shutdown());

    let head = received.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(received.recv_timeout(Duration::from_secs(10)).unwrap(), head, "the second attempt is like the first");
    for line in [
        "post /otlp/v1/traces http/1.1",
        "content-type: application/x-protobuf",
        "content-encoding: gzip",
        "authorization: basic abc",
        "x-scope-orgid: tenant",
    ] {
        assert!(head.contains(line), "{line} is not in\n{head}");
    }
}
