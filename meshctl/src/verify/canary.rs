//! `verify --watch`: orders at a low rate for ever, what is found as metrics.

mod metrics;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinSet,
};

use self::metrics::CanaryMetrics;
use super::{
    DEADLINE, Session,
    run::check_one,
    send::{Plan, send},
    shop::Sent,
    wait::{Checked, Waiter},
};

/// Orders per second unless `--rate` says otherwise.
const RATE: f64 = 0.2;

/// Places orders and exposes what becomes of their traces until SIGTERM or SIGINT, which end it well.
pub(super) async fn run(session: &Session) -> Result<ExitCode> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let address = session.args.metrics_address;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}: choose another by --metrics-address"))?;
    let metrics = Arc::new(CanaryMetrics::new(Arc::clone(&session.graph)));
    let pages = Router::new().route("/metrics", get(scrape)).route("/livez", get(|| async { "ok\n" })).with_state(Arc::clone(&metrics));
    session.backend_answers().await?;
    let shop = Arc::new(session.shop().await?);
    eprintln!("metrics  http://{}/metrics", listener.local_addr()?);

    let plan = Plan {
        orders: None,
        duration: None,
        rate: Some(session.args.rate.unwrap_or(RATE)),
        concurrency: usize::from(session.args.concurrency),
    };
    let (answered, answers) = unbounded_channel();
    tokio::select! {
        served = async { axum::serve(listener, pages).await } => served.map(|()| ExitCode::SUCCESS).context("the page of metrics stopped"),
        () = send(shop, plan, answered) => Ok(ExitCode::SUCCESS),
        () = watch(Arc::new(session.waiter(DEADLINE)), answers, &metrics) => Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => Ok(ExitCode::SUCCESS),
    }
}

async fn watch(waiter: Arc<Waiter>, mut answers: UnboundedReceiver<Sent>, metrics: &CanaryMetrics) {
    let mut checks: JoinSet<Checked> = JoinSet::new();
    loop {
        tokio::select! {
            Some(sent) = answers.recv() => {
                if metrics.sent(&sent) {
                    checks.spawn(check_one(Arc::clone(&waiter), sent));
                }
            }
            Some(checked) = checks.join_next(), if !checks.is_empty() => {
                if let Ok(checked) = checked {
                    metrics.checked(&checked);
                    complain(&checked);
                }
            }
            else => return,
        }
    }
}

/// One line on stderr for a trace with a defect.
fn complain(checked: &Checked) {
    if let Some(failure) = &checked.failure {
        eprintln!("{}: not fetched: {failure}", checked.trace.id());
        return;
    }
    if let Some(first) = checked.verdict.defects.first() {
        let more = checked.verdict.defects.len() - 1;
        eprintln!("{}: {first}{}", checked.trace.id(), if more > 0 { format!(", and {more} more") } else { String::new() });
    }
}

async fn scrape(State(metrics): State<Arc<CanaryMetrics>>) -> Response {
    match metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
