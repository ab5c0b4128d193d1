//! The `catalog-cache` service.

use std::process::ExitCode;

use catalog_cache::{App, Config};

fn main() -> ExitCode {
    chassis::launch("catalog-cache", |config: Config, process| async move { App::build(config, process)?.run().await })
}
