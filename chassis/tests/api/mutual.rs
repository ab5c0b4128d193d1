//! TLS between services.

use std::time::Duration;

use chassis::{
    Process,
    grpc::{Channel, within},
    tls::{Tls, TlsConfig, TlsMode},
};
use tonic::{Code, Status};

use crate::{
    authority::Authority,
    probe::{ASK, MODELS, Probe, Server, ask, process},
};

fn echo(process: Process) -> Server {
    Server::start(process, Probe::answering(|text| async move { Ok(text) }))
}

fn caller(tls: &TlsConfig, url: &str) -> Channel {
    Process::default().with_tls(Tls::load(tls).unwrap()).channel(url).unwrap()
}

async fn hello(channel: Channel) -> Result<String, Status> {
    within(Duration::from_secs(10), "hello".to_owned(), |request| ask(channel, ASK, request)).await
}

async fn refused(what: &str, channel: Channel) {
    let status = hello(channel).await.expect_err(what);
    assert_eq!(status.code(), Code::Unavailable, "{what}: {status:?}");
}

#[tokio::test]
async fn services_that_trust_the_same_authority_can_talk() {
    for model in MODELS {
        for mode in [TlsMode::Tls, TlsMode::Mtls] {
            let authority = Authority::new();
            let server = echo(process(model).with_tls(authority.tls(mode, "orders")));
            let client = authority.config(mode, "gateway");
            let port = server.address.port();
            for url in [format!("https://localhost:{port}"), format!("https://127.0.0.1:{port}"), format!("http://localhost:{port}")] {
                assert_eq!(hello(caller(&client, &url)).await.unwrap(), "hello", "{model:?} {mode:?} {url}");
            }
        }
    }
}

#[tokio::test]
async fn a_caller_without_tls_is_refused() {
    for model in MODELS {
        let authority = Authority::new();
        let server = echo(process(model).with_tls(authority.tls(TlsMode::Tls, "orders")));
        refused("plain text", server.channel()).await;
        let client = authority.config(TlsMode::Tls, "gateway");
        assert_eq!(hello(caller(&client, &server.url())).await.unwrap(), "hello", "the server goes on");
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_its_name_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let client = authority.config(TlsMode::Tls, "gateway");
    let expired = Tls::load(&authority.expired(TlsMode::Tls, "late")).unwrap();
    for (what, tls) in [("another authority", other.tls(TlsMode::Tls, "orders")), ("expired", expired)] {
        let server = echo(process(MODELS[0]).with_tls(tls));
        refused(what, caller(&client, &server.url())).await;
    }
    let server = echo(process(MODELS[0]).with_tls(authority.tls(TlsMode::Tls, "orders")));
    refused("another name", caller(&client, &format!("https://127.0.0.2:{}", server.address.port()))).await;
}

#[tokio::test]
async fn a_caller_that_cannot_prove_who_it_is_is_refused_where_that_is_asked() {
    for model in MODELS {
        let (authority, other) = (Authority::new(), Authority::new());
        let server = echo(process(model).with_tls(authority.tls(TlsMode::Mtls, "orders")));
        let silent = authority.config(TlsMode::Tls, "silent");
        refused("no certificate", caller(&silent, &server.url())).await;
        let stranger = TlsConfig { ca: authority.file("ca.pem"), ..other.config(TlsMode::Mtls, "gateway") };
        refused("another authority", caller(&stranger, &server.url())).await;
        refused("expired", caller(&authority.expired(TlsMode::Mtls, "late"), &server.url())).await;
        let good = authority.config(TlsMode::Mtls, "gateway");
        assert_eq!(hello(caller(&good, &server.url())).await.unwrap(), "hello", "the server goes on");
    }
}

#[tokio::test]
async fn a_url_that_asks_for_tls_where_it_is_off_is_a_mistake() {
    let error = Process::default().channel("https://localhost:1").unwrap_err();
    assert!(error.to_string().contains("tls.mode"), "{error}");
}
