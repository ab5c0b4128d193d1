//! The `auth` service.

use std::process::ExitCode;

use auth::App;

fn main() -> ExitCode {
    chassis::launch("auth", |config, process| async move { App::build(config, process)?.run().await })
}
