//! Makes and checks the topics.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    events::topics::job::main().await
}
