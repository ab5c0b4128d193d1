//! The gateway's process.

use std::process::ExitCode;

use gateway::{App, Config};

fn main() -> ExitCode {
    chassis::launch("gateway", |config: Config, process| async move { App::build(config, process)?.run().await })
}
