//! A run: orders out, traces in, counts compared.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use chrono::Utc;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    DEADLINE, Session,
    check::Defect,
    counts::{Count, Logs, Metrics},
    report::Report,
    send::{Plan, send},
    shop::{Outcome, Sent},
    tally::Tally,
    wait::{Checked, Subject, Waiter},
};
use crate::failure;

/// Orders that are placed unless something else is said.
const ORDERS: u64 = 20;
/// How often counts that do not agree yet are looked at.
const POLL: Duration = Duration::from_millis(250);

/// Places orders, checks their traces, and adds it all up.
pub(super) async fn orders(session: &Session) -> Result<Report> {
    let counters = Counters::open(session)?;
    session.backend_answers().await?;
    let shop = Arc::new(session.shop().await?);
    let lost_before = session.source.losses().await;
    let counted_before = counters.before().await?;
    let (start, clock) = (Instant::now(), Utc::now());

    let args = &session.args;
    let orders = args.duration.is_none().then(|| args.orders.unwrap_or(ORDERS));
    let plan = Plan { orders, duration: args.duration, rate: args.rate, concurrency: usize::from(args.concurrency) };
    let (answered, answers) = unbounded_channel();
    let bar = progress(&plan);
    let waiter = Arc::new(session.waiter(DEADLINE));
    let sending = async {
        send(shop, plan, answered).await;
        start.elapsed()
    };
    let (sending, (tally, ids)) = tokio::join!(sending, collect(waiter, answers, session.counted(), &bar));
    bar.finish_and_clear();

    let lost = session.source.losses().await.zip(lost_before).map(|(after, before)| after.since(before));
    let counts = counters.compare(session, &tally, counted_before, &ids, clock).await;
    Ok(Report::new(session.subject(), &tally, Some(sending), lost, counts))
}

/// Checks the trace of each order as it is answered.
async fn collect(
    waiter: Arc<Waiter>,
    mut answers: UnboundedReceiver<Sent>,
    counted: Option<usize>,
    bar: &ProgressBar,
) -> (Tally, HashSet<String>) {
    let (mut tally, mut ids) = (Tally::default(), HashSet::new());
    let mut checks: JoinSet<Checked> = JoinSet::new();
    loop {
        tokio::select! {
            Some(sent) = answers.recv() => {
                if tally.sent(&sent) {
                    ids.insert(sent.trace.to_string());
                    checks.spawn(check_one(Arc::clone(&waiter), sent));
                }
            }
            Some(checked) = checks.join_next(), if !checks.is_empty() => {
                if let Ok(checked) = checked {
                    tally.checked(&checked, counted);
                }
            }
            else => break,
        }
        bar.set_position(tally.expected());
        bar.set_message(format!("{} answered, {} checked, {} complete", tally.sent, tally.checked, tally.complete));
    }
    (tally, ids)
}

/// Waits for the trace of an order that was placed.
pub(super) async fn check_one(waiter: Arc<Waiter>, sent: Sent) -> Checked {
    let id = sent.trace.to_string();
    let mut checked = waiter.whole(Subject { id: sent.trace, entry: Some(sent.entry), ended: sent.ended }).await;
    if let Outcome::Placed(Some(answered)) = sent.outcome
        && answered != id
    {
        checked.verdict.defects.push(Defect::OtherTrace { sent: id, answered });
    }
    checked
}

/// On stderr, and only where that is a terminal.
fn progress(plan: &Plan) -> ProgressBar {
    let bar = plan.orders.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let style = ProgressStyle::with_template("{spinner} {wide_bar} {pos}/{len} {msg} {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// What `--metrics` and `--logs` ask for.
struct Counters {
    metrics: Option<Metrics>,
    logs: Option<Logs>,
}

impl Counters {
    fn open(session: &Session) -> Result<Self> {
        let (args, counts, own) = (&session.args, &session.contract.counts, &session.own);
        let chosen = |given: &str, default: &str| if given.is_empty() { default.to_owned() } else { given.to_owned() };
        let metrics = match (&args.metrics, &counts.metric) {
            (None, _) => None,
            (Some(_), None) => return Err(failure::usage("--metrics: the contract has no counts.metric")),
            (Some(url), Some(name)) => Some(Metrics::new(session.http.clone(), &chosen(url, &own.metrics), name)),
        };
        let logs = match (&args.logs, &counts.log) {
            (None, _) => None,
            (Some(_), None) => return Err(failure::usage("--logs: the contract has no counts.log")),
            (Some(place), Some(_)) => Some(Logs::new(session.http.clone(), &chosen(place, &own.logs.display().to_string()))),
        };
        Ok(Self { metrics, logs })
    }

    async fn before(&self) -> Result<f64> {
        match &self.metrics {
            Some(metrics) => metrics.value().await,
            None => Ok(0.0),
        }
    }

    /// Counts until everything agrees, or the deadline of a trace is over: scrapes and shippers take their time.
    async fn compare(
        &self,
        session: &Session,
        tally: &Tally,
        before: f64,
        ids: &HashSet<String>,
        start: chrono::DateTime<Utc>,
    ) -> Vec<Count> {
        if self.metrics.is_none() && self.logs.is_none() {
            return Vec::new();
        }
        let end = Instant::now() + session.args.deadline.unwrap_or(DEADLINE);
        let spans = session.contract.counts.span.as_ref().map(|node| {
            let found = u32::try_from(tally.counted).map(f64::from).map_err(anyhow::Error::from);
            Count::new(format!("spans of {node}"), found, ids.len() as u64)
        });
        loop {
            let counts = self.now(session, before, ids, start).await;
            if counts.iter().all(Count::agrees) || Instant::now() >= end {
                return spans.into_iter().chain(counts).collect();
            }
            sleep(POLL).await;
        }
    }

    async fn now(&self, session: &Session, before: f64, ids: &HashSet<String>, start: chrono::DateTime<Utc>) -> Vec<Count> {
        let mut counts = Vec::new();
        let placed = ids.len() as u64;
        if let Some(metrics) = &self.metrics {
            let grown = metrics.value().await.map(|after| after - before);
            counts.push(Count::new(format!("increments of {}", metrics.name), grown, placed));
        }
        if let (Some(logs), Some(line)) = (&self.logs, &session.contract.counts.log) {
            let found = logs.count(line, ids, start).await.and_then(|lines| Ok(f64::from(u32::try_from(lines)?)));
            counts.push(Count::new(format!("log lines of {}", line.service), found, placed));
        }
        counts
    }
}
