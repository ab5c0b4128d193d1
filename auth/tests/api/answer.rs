//! What answers have to say.

use std::time::{Duration, Instant};

use tonic::{Code, Status};
use tonic_types::{ErrorInfo, StatusExt};

/// What a caller may wait for an answer, whatever hangs.
const LIMIT: Duration = Duration::from_millis(1_800);

/// The fields that an `INVALID_ARGUMENT` names.
pub(crate) fn wrong_fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().expect("BadRequest");
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

/// The `ErrorInfo` of a failure with that code.
pub(crate) fn info(status: &Status, code: Code) -> ErrorInfo {
    assert_eq!(status.code(), code, "{status:?}");
    let info = status.get_details_error_info().expect("ErrorInfo");
    assert_eq!(info.domain, "throughline");
    info
}

/// Asserts that a call was given up in time, with a hint when to come back, and without a word of the cause.
pub(crate) async fn assert_unavailable<T: std::fmt::Debug>(call: impl Future<Output = Result<T, Status>>) {
    let begun = Instant::now();
    let status = call.await.expect_err("nothing to answer from");
    let taken = begun.elapsed();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "a dependency is unavailable"));
    assert!(status.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()));
    assert!(taken < LIMIT, "{taken:?}");
}

/// The reason of a failure with that code.
pub(crate) fn reason<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code) -> String {
    info(&answer.unwrap_err(), code).reason
}
