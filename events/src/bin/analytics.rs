//! Facts into rollups.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::launch(events::analytics::NAME, events::analytics::run)
}
