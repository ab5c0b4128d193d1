//! Order events into notices and facts.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::launch(events::dispatch::NAME, events::dispatch::run)
}
