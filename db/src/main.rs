//! The migrate job: `db migrate`, `db seed`, `db schema`.

use std::process::ExitCode;

use clap::Parser;

mod cli;

#[tokio::main]
async fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()).await {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("db: {}", failure.reason);
            ExitCode::from(failure.code)
        }
    }
}
