//! Notices into mail.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::launch(events::notification::NAME, events::notification::run)
}
