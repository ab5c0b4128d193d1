//! What gRPC says when a request is not fulfilled, the same words in every service (google.rpc error details).

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// `domain` of every `ErrorInfo`.
const DOMAIN: &str = "throughline";
/// When to try again after something was unavailable.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path in the request, for example `items[0].quantity`.
    pub field: String,
    /// What is allowed.
    pub description: String,
}

impl Violation {
    /// `field` is wrong; `description` says what is allowed.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

/// `INVALID_ARGUMENT` with `google.rpc.BadRequest`.
pub fn invalid(violations: Vec<Violation>) -> Status {
    let violations: Vec<_> = violations.into_iter().map(|it| FieldViolation::new(it.field, it.description)).collect();
    Status::with_error_details(Code::InvalidArgument, "the request has wrong fields", ErrorDetails::with_bad_request(violations))
}

/// A refusal that programs can tell from others: `google.rpc.ErrorInfo` with a reason in capitals.
pub fn refused(code: Code, message: impl Into<String>, reason: &str, metadata: impl IntoIterator<Item = (String, String)>) -> Status {
    let metadata: HashMap<String, String> = metadata.into_iter().collect();
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, metadata))
}

/// `RESOURCE_EXHAUSTED` with `google.rpc.RetryInfo`: there is no place for another stream that lasts.
pub(crate) fn streams_full() -> Status {
    let mut details = ErrorDetails::with_error_info("TOO_MANY_STREAMS", DOMAIN, HashMap::new());
    details.set_retry_info(Some(RETRY_DELAY));
    Status::with_error_details(Code::ResourceExhausted, "too many streams are open: try again, or use fewer", details)
}

/// `UNAVAILABLE` with `google.rpc.RetryInfo`; the cause goes to the log and not to the caller.
pub fn unavailable(cause: &str) -> Status {
    tracing::warn!(cause, "unavailable");
    Status::with_error_details(Code::Unavailable, "a dependency is unavailable", ErrorDetails::with_retry_info(Some(RETRY_DELAY)))
}

/// `INTERNAL`; the cause goes to the log and not to the caller.
pub fn internal(cause: &str) -> Status {
    tracing::error!(cause, "internal error");
    Status::internal("internal error")
}
