//! An HTTP client that trusts an authority, and speaks what the server chooses.

use std::{net::SocketAddr, sync::Arc};

use chassis::tls::TlsConfig;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Bytes, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// `GET path`, offering `protocols` by ALPN.
pub(crate) async fn get(address: SocketAddr, path: &str, trusted: &TlsConfig, protocols: &[&str]) -> (StatusCode, Version, String) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&trusted.ca).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let request = Request::get(if is_http2 { format!("https://localhost{path}") } else { path.to_owned() });
    let request = request.header("host", "localhost").body(Empty::<Bytes>::new()).unwrap();
    let response = if is_http2 {
        let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        chassis::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        chassis::spawn(connection);
        sender.send_request(request).await.unwrap()
    };
    let (status, version) = (response.status(), response.version());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, version, String::from_utf8(body.to_vec()).unwrap())
}
