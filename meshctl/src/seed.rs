//! `seed`: a past for the mesh that runs, so that it can be seen with a real amount of rows.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use db::seed::{self, MOST, SeedError, SeededOrders, SeededPosts};
use serde::Serialize;

use crate::mesh::Mesh;
use crate::progress::Step;
use crate::state::State;
use crate::watch::Interrupts;
use crate::{output, postgres, up};

/// What is written where nothing is asked for.
const ORDERS: u64 = 100_000;
const POSTS: u64 = 20_000;

/// Writes into the database directly: there are no events, mails or rollups of what is written, and no stock is taken.
/// What an earlier call has written counts; one that was interrupted is called again.
#[derive(Debug, Args)]
pub(crate) struct SeedArgs {
    /// See to it that there are that many orders of the past year, by 10,000 customers: 0 to 10000000
    /// [default without --posts: 100000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=MOST))]
    orders: Option<u64>,
    /// See to it that there are that many posts of the past year, with nought to five comments each: 0 to 10000000
    /// [default without --orders: 20000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=MOST))]
    posts: Option<u64>,
}

impl SeedArgs {
    fn wanted(&self) -> (Option<u64>, Option<u64>) {
        match (self.orders, self.posts) {
            (None, None) => (Some(ORDERS), Some(POSTS)),
            given => given,
        }
    }
}

#[derive(Default, Serialize)]
struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    orders: Option<SeededOrders>,
    #[serde(skip_serializing_if = "Option::is_none")]
    posts: Option<SeededPosts>,
    seconds: f64,
}

/// Writes what is missing, and says how much that was.
pub(crate) async fn run(args: &SeedArgs, mesh: &Mesh, json: bool) -> Result<ExitCode> {
    let mut interrupts = Interrupts::new()?;
    if State::read(&mesh.home.state())?.alive("postgres").is_none() {
        bail!("postgres does not run in this mesh: ./mesh up starts it");
    }
    let url = postgres::url(mesh, postgres::ADMIN, &up::secrets(mesh)?.admin);
    let outcome = tokio::select! {
        outcome = write(args, mesh, &url) => outcome?,
        () = interrupts.any() => {
            mesh.progress.say("interrupted; what was written whole stays, and the same command goes on from there");
            return Ok(ExitCode::FAILURE);
        }
    };
    if json {
        output::json(&outcome)?;
    } else {
        output::line(&outcome.text())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn write(args: &SeedArgs, mesh: &Mesh, url: &str) -> Result<Outcome> {
    if db::migrate::status(url).await?.iter().any(|schema| !schema.pending.is_empty()) {
        bail!("the database of this mesh lacks migrations: ./mesh up applies them");
    }
    let (began, (orders, posts)) = (Instant::now(), args.wanted());
    let mut outcome = Outcome::default();
    if let Some(count) = orders {
        let step = mesh.progress.step("orders", "looking for what is there");
        let done = seed::orders(url, count, |done, of| tell(&step, done, of)).await;
        outcome.orders = Some(ended(step, done)?);
    }
    if let Some(count) = posts {
        let step = mesh.progress.step("posts", "looking for what is there");
        let done = seed::posts(url, count, |done, of| tell(&step, done, of)).await;
        outcome.posts = Some(ended(step, done)?);
    }
    outcome.seconds = began.elapsed().as_secs_f64();
    Ok(outcome)
}

fn tell(step: &Step, done: u64, of: u64) {
    match (done * 100).checked_div(of) {
        Some(percent) if percent < 100 => step.doing(&format!("{percent} % of {of} written")),
        _ => step.doing("checking and vacuuming"),
    }
}

fn ended<T>(step: Step, done: Result<T, SeedError>) -> Result<T, SeedError> {
    if done.is_ok() {
        step.done("seeded");
    } else {
        step.failed();
    }
    done
}

impl Outcome {
    fn text(&self) -> String {
        let orders = self
            .orders
            .map(|SeededOrders { orders, lines, total, .. }| format!("{orders} orders with {lines} lines written; all {total} are there"));
        let posts = self
            .posts
            .map(|SeededPosts { posts, comments, total }| format!("{posts} posts with {comments} comments written; all {total} are there"));
        orders.into_iter().chain(posts).collect::<Vec<_>>().join("\n")
    }
}
