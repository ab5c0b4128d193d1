//! The `orders` service.

use std::process::ExitCode;

use orders::App;

fn main() -> ExitCode {
    chassis::launch("orders", |config, process| async move { App::build(config, process)?.run().await })
}
