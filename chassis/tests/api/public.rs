//! The public port: which HTTP it speaks, with and without TLS.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use actix_web::{
    App, HttpRequest, HttpResponse,
    web::{self, Bytes, Data},
};
use chassis::{Process, tls::TlsMode};
use futures::{StreamExt, stream};
use http::Version;
use reqwest::{Client, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
};

use crate::{
    authority::Authority,
    browser,
    probe::{MODELS, process},
};

/// What the application shares with the test.
struct Doings {
    /// Requests of `/slow` and `/held`.
    begun: AtomicUsize,
    /// What those of `/held` wait for.
    release: Semaphore,
}

/// A small application on a thread of its own, as a process would have it.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
    doings: Arc<Doings>,
    serving: Option<JoinHandle<()>>,
}

impl Site {
    pub(crate) fn open(process: Process) -> Self {
        let listener = chassis::listen("server.address", ([127, 0, 0, 1], 0).into()).unwrap();
        Self::open_on(listener, process)
    }

    pub(crate) fn open_on(listener: std::net::TcpListener, process: Process) -> Self {
        let (address, own) = (listener.local_addr().unwrap(), process.clone());
        let doings = Arc::new(Doings { begun: AtomicUsize::new(0), release: Semaphore::new(0) });
        let shared = Data::from(Arc::clone(&doings));
        let app = move || {
            let app = App::new().app_data(shared.clone()).route("/", web::get().to(told)).route("/slow", web::get().to(slow));
            app.route("/held", web::get().to(held)).route("/endless", web::get().to(endless))
        };
        let serving = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(chassis::http::serve(listener, &own, app)).unwrap();
        });
        Self { address, process, doings, serving: Some(serving) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests of `/slow` and `/held` have begun.
    pub(crate) fn begun(&self) -> usize {
        self.doings.begun.load(Ordering::SeqCst)
    }

    /// Lets one request of `/held` come to its end.
    pub(crate) fn release(&self) {
        self.doings.release.add_permits(1);
    }

    /// Tells it to stop, and how long that took.
    pub(crate) async fn stopped(mut self) -> Duration {
        let (begun, serving) = (Instant::now(), self.serving.take().unwrap());
        self.process.shutdown.cancel();
        chassis::spawn_blocking(|| serving.join().unwrap()).await.unwrap();
        begun.elapsed()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.process.shutdown.cancel();
    }
}

/// What the application knows of a request.
async fn told(request: HttpRequest) -> HttpResponse {
    let info = request.connection_info().clone();
    HttpResponse::Ok().body(format!("{:?} {} {}", request.version(), info.scheme(), request.path()))
}

async fn held(doings: Data<Doings>) -> HttpResponse {
    doings.begun.fetch_add(1, Ordering::SeqCst);
    doings.release.acquire().await.unwrap().forget();
    HttpResponse::Ok().body("held")
}

async fn slow(doings: Data<Doings>) -> HttpResponse {
    doings.begun.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(400)).await;
    HttpResponse::Ok().body("slow")
}

/// A stream that says one thing.
async fn endless(request: HttpRequest) -> HttpResponse {
    if chassis::http::begin_stream(&request).is_err() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let first = stream::iter([Ok::<_, actix_web::Error>(Bytes::from_static(b"first"))]);
    HttpResponse::Ok().streaming(first.chain(stream::pending()))
}

pub(crate) fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

pub(crate) fn client_of_http2() -> Client {
    Client::builder().no_proxy().http2_prior_knowledge().build().unwrap()
}

pub(crate) async fn text(client: &Client, url: &str) -> (StatusCode, Version, String) {
    let response = client.get(url).send().await.unwrap();
    (response.status(), response.version(), response.text().await.unwrap())
}

#[tokio::test]
async fn without_tls_both_versions_are_spoken_on_one_port() {
    let site = Site::open(process(MODELS[0]));
    for (client, version) in [(client(), Version::HTTP_11), (client_of_http2(), Version::HTTP_2)] {
        for _ in 0..2 {
            let answer = text(&client, &site.url()).await;
            assert_eq!(answer, (StatusCode::OK, version, format!("{version:?} http /")));
        }
    }
}

#[tokio::test]
async fn a_client_of_http2_may_have_many_requests_open() {
    let site = Site::open(process(MODELS[0]));
    let (client, begun) = (client_of_http2(), Instant::now());
    let url = format!("{}/slow", site.url());
    let answers = futures::future::join_all((0..50).map(|_| text(&client, &url))).await;
    assert!(answers.iter().all(|(status, ..)| *status == StatusCode::OK));
    assert!(begun.elapsed() < Duration::from_secs(10), "one after the other they would take 20 s: {:?}", begun.elapsed());
}

#[tokio::test]
async fn with_tls_the_client_chooses_the_version() {
    let authority = Authority::new();
    let site = Site::open(process(MODELS[0]).with_tls(authority.tls(TlsMode::Mtls, "gateway")));
    let trusted = authority.config(TlsMode::Tls, "browser");
    let offers: [(&[&str], Version); 4] =
        [(&["h2", "http/1.1"], Version::HTTP_2), (&["h2"], Version::HTTP_2), (&["http/1.1"], Version::HTTP_11), (&[], Version::HTTP_11)];
    for (offered, version) in offers {
        let answer = browser::get(site.address, "/", &trusted, offered).await;
        assert_eq!(answer, (StatusCode::OK, version, format!("{version:?} https /")), "{offered:?}");
    }
    assert!(client().get(site.url()).send().await.is_err(), "not without TLS");
}

#[tokio::test]
async fn a_thread_for_each_connection_speaks_the_first_version_alone() {
    let authority = Authority::new();
    let trusted = authority.config(TlsMode::Tls, "browser");
    let site = Site::open(process(MODELS[1]).with_tls(authority.tls(TlsMode::Tls, "gateway")));
    let answer = browser::get(site.address, "/", &trusted, &["h2", "http/1.1"]).await;
    assert_eq!(answer, (StatusCode::OK, Version::HTTP_11, "HTTP/1.1 https /".into()));
    let plain = Site::open(process(MODELS[1]));
    assert_eq!(text(&client(), &plain.url()).await.1, Version::HTTP_11);
    assert!(client_of_http2().get(plain.url()).send().await.is_err());
}

#[tokio::test]
async fn a_preface_that_comes_in_pieces_is_known() {
    let site = Site::open(process(MODELS[0]));
    let mut stream = tokio::net::TcpStream::connect(site.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in ["PRI ", "* HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        // so that the first one is seen alone
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(&settings).await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "SETTINGS are what a server of HTTP/2 says first: {head:?}");
}
