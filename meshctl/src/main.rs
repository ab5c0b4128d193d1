//! `meshctl`: what `./mesh` calls once it has built everything.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    meshctl::cli::run().await
}
