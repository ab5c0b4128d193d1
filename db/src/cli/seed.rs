//! `db seed`: demo data, and history where it is asked for.

use std::cell::Cell;
use std::fmt::{self, Display};
use std::io::IsTerminal;

use clap::Args;
use db::seed::{self, MOST, SeedError, Seeded, SeededOrders, SeededPosts};
use serde::Serialize;

/// What `db seed` writes beside the demo data.
#[derive(Args)]
pub(super) struct SeedArgs {
    /// See to it that there are that many orders of the past year, with about three lines each; 0 to 10000000.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=MOST))]
    orders: Option<u64>,
    /// See to it that there are that many posts of the past year, with nought to five comments each; 0 to 10000000.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=MOST))]
    posts: Option<u64>,
}

/// What came of it.
#[derive(Serialize)]
pub(super) struct Outcome {
    seeded: Seeded,
    #[serde(skip_serializing_if = "Option::is_none")]
    orders: Option<SeededOrders>,
    #[serde(skip_serializing_if = "Option::is_none")]
    posts: Option<SeededPosts>,
}

/// Writes what is asked for and missing.
pub(super) async fn run(args: &SeedArgs, url: &str) -> Result<Outcome, SeedError> {
    let mut outcome = Outcome { seeded: seed::demo(url).await?, orders: None, posts: None };
    if let Some(count) = args.orders {
        outcome.orders = Some(seed::orders(url, count, percent("orders")).await?);
    }
    if let Some(count) = args.posts {
        outcome.posts = Some(seed::posts(url, count, percent("posts")).await?);
    }
    Ok(outcome)
}

/// The share that is done, on stderr: one line that changes on a terminal, a line each tenth elsewhere.
fn percent(what: &'static str) -> impl Fn(u64, u64) {
    let (told, terminal) = (Cell::new(0), std::io::stderr().is_terminal());
    move |done, of| {
        let tenths = (done * 10).checked_div(of).unwrap_or(10);
        if terminal {
            eprint!("\r{what}: {done} of {of}{}", if done < of { "" } else { "\n" });
        } else if tenths > told.replace(tenths) {
            eprintln!("{what}: {done} of {of}");
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seeded { products, stock } = self.seeded;
        writeln!(f, "{products} products and {stock} rows of stock written")?;
        if let Some(SeededOrders { customers, orders, lines, total }) = self.orders {
            writeln!(f, "{customers} customers and {orders} orders with {lines} lines written; all {total} orders are there")?;
        }
        if let Some(SeededPosts { posts, comments, total }) = self.posts {
            writeln!(f, "{posts} posts with {comments} comments written; all {total} posts are there")?;
        }
        Ok(())
    }
}
