//! A backend behind TLS.

use std::sync::Arc;

use rcgen::generate_simple_self_signed;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::command::verify;

/// Answers every request with 404, which is what a backend without the trace says.
async fn empty_backend(certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> (String, JoinSet<()>) {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            // a client that does not trust us goes away
            let Ok(mut connection) = acceptor.accept(connection).await else { continue };
            let mut request = [0; 4096];
            while connection.read(&mut request).await.is_ok_and(|read| read > 0) {
                connection.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
        }
    });
    (url, serving)
}

#[tokio::test]
async fn a_certificate_is_trusted_where_it_is_given() {
    let certificate = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, certificate.cert.pem()).unwrap();
    let (url, _serving) = empty_backend(&certificate).await;
    let backend = format!("--backend=tempo={url}");

    let unknown = verify(&["--trace", "7", "--json", &backend]).await;
    assert_eq!(unknown.code(), 1);
    let error = unknown.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("certificate"), "{error}");

    let trusted = verify(&["--trace", "7", "--json", &backend, &format!("--ca={}", file.display())]).await;
    assert_eq!(trusted.json()["traces"]["absent"], 1, "{}", trusted.stdout);
}
