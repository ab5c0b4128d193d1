//! Exit codes: 0 fine, 1 the check failed, 2 bad usage or input.

use std::fmt;

use crate::settings::SettingsError;

/// What the user asked for cannot be meant: exit 2.
#[derive(Debug)]
struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An error that ends the program with exit code 2.
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// The exit code for `error`.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    let bad_input = error.chain().any(|cause| cause.is::<Usage>() || cause.is::<SettingsError>());
    if bad_input { 2 } else { 1 }
}
