use std::{collections::HashMap, time::Duration};

use tonic::Status;
use tonic_types::FieldViolation;

use super::*;

fn problem(status: Status) -> Problem {
    Problem::from(&Error::Upstream { service: "orders", status: Box::new(status), lines: Vec::new() })
}

fn with_reason(code: Code, reason: &str) -> Problem {
    problem(Status::with_error_details(code, "told", ErrorDetails::with_error_info(reason, "throughline", HashMap::new())))
}

fn header(problem: &Problem, name: &str) -> Option<String> {
    problem.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.to_str().unwrap().to_owned())
}

/// Code, status, type, and whether the service's words reach the client.
const TABLE: [(Code, u16, &str, bool); 17] = [
    (Code::Ok, 500, "/problems/internal", false),
    (Code::Cancelled, 503, "/problems/unavailable", false),
    (Code::Unknown, 500, "/problems/internal", false),
    (Code::InvalidArgument, 422, "/problems/validation", true),
    (Code::DeadlineExceeded, 504, "/problems/timeout", false),
    (Code::NotFound, 404, "/problems/not-found", true),
    (Code::AlreadyExists, 409, "/problems/already-exists", true),
    (Code::PermissionDenied, 403, "/problems/forbidden", true),
    (Code::ResourceExhausted, 429, "/problems/too-many-requests", true),
    (Code::FailedPrecondition, 409, "/problems/conflict", true),
    (Code::Aborted, 409, "/problems/conflict", true),
    (Code::OutOfRange, 400, "/problems/out-of-range", true),
    (Code::Unimplemented, 501, "/problems/not-implemented", false),
    (Code::Internal, 500, "/problems/internal", false),
    (Code::Unavailable, 503, "/problems/unavailable", false),
    (Code::DataLoss, 500, "/problems/internal", false),
    (Code::Unauthenticated, 401, "/problems/credentials-required", true),
];

#[test]
fn every_code_has_its_status() {
    let codes: Vec<Code> = (0..17).map(Code::from_i32).collect();
    assert_eq!(codes, TABLE.map(|(code, ..)| code), "the table has every code once");
    for (code, status, type_uri, told) in TABLE {
        let problem = problem(Status::new(code, "the words of the service"));
        assert_eq!((problem.kind.status().as_u16(), problem.kind.type_uri().as_str()), (status, type_uri), "{code:?}");
        assert_eq!(problem.detail.contains("the words of the service"), told, "{code:?}: {}", problem.detail);
        assert_eq!(problem.cause.is_some(), status >= 500, "{code:?}: a fault of ours is logged, the client's is not");
        assert_eq!(header(&problem, "retry-after").is_some(), matches!(status, 429 | 503), "{code:?}");
        assert_eq!(header(&problem, "www-authenticate").is_some(), status == 401, "{code:?}");
    }
}

#[test]
fn a_failed_precondition_goes_by_its_reason() {
    for (reason, status, type_uri) in [
        ("INSUFFICIENT_STOCK", 409, "/problems/insufficient-stock"),
        ("IDEMPOTENCY_KEY_REUSED", 422, "/problems/idempotency-key-reused"),
        ("SOMETHING_NEW", 409, "/problems/conflict"),
    ] {
        let problem = with_reason(Code::FailedPrecondition, reason);
        assert_eq!((problem.kind.status().as_u16(), problem.kind.type_uri().as_str()), (status, type_uri));
    }
}

#[test]
fn a_refused_token_is_challenged_as_rfc_6750_says() {
    for (reason, type_uri) in [
        ("TOKEN_INVALID", "/problems/token-invalid"),
        ("TOKEN_EXPIRED", "/problems/token-expired"),
        ("SESSION_ENDED", "/problems/session-ended"),
    ] {
        let problem = with_reason(Code::Unauthenticated, reason);
        assert_eq!(problem.kind.type_uri(), type_uri);
        let challenge = header(&problem, "www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    let challenge = header(&Problem::from(&Error::NoToken), "www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer ") && !challenge.contains("error"), "{challenge}");
}

#[test]
fn retry_after_is_in_whole_seconds_and_never_zero() {
    for (delay, seconds) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (90_000, "90")] {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(delay)));
        let problem = problem(Status::with_error_details(Code::Unavailable, "", details));
        assert_eq!(header(&problem, "retry-after").as_deref(), Some(seconds), "{delay} ms");
    }
}

#[test]
fn violations_are_told_in_the_names_of_the_api() {
    let names = ["items[0].product_id", "page_token", "page_size", "idempotency_key"].map(|field| FieldViolation::new(field, "no"));
    let told = problem(Status::with_error_details(Code::InvalidArgument, "", ErrorDetails::with_bad_request(names.to_vec())));
    let fields: Vec<_> = told.errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["items[0].product_id", "cursor", "limit", "Idempotency-Key"]);
}

#[test]
fn scarce_products_are_told_by_their_lines() {
    let ids = ["01939d4c-0000-7000-8000-000000000001", "01939d4c-0000-7000-8000-000000000002"];
    let lines = ids.map(|id| crate::field::Field::read(&id.into()).unwrap()).to_vec();
    let metadata = [("product_ids".to_owned(), format!("{},something-else", ids[1]))];
    let details = ErrorDetails::with_error_info("INSUFFICIENT_STOCK", "throughline", metadata);
    let status = Box::new(Status::with_error_details(Code::FailedPrecondition, "too little", details));
    let told = Problem::from(&Error::Upstream { service: "orders", status, lines: Vec::new() }.about(lines));
    let fields: Vec<_> = told.errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["items[1].quantity", "items"]);
    assert!(told.errors[0].detail.contains(ids[1]), "{:?}", told.errors);
}

#[test]
fn a_name_that_is_not_known_makes_the_request_unreadable() {
    let mut violations = Violations::default();
    violations.add("items", "must be a list");
    assert_eq!(Problem::from(&Error::Invalid(violations)).kind, Kind::Validation);
    let mut violations = Violations::default();
    violations.add_unknown("itmes", &["items"]);
    let problem = Problem::from(&Error::Invalid(violations));
    assert_eq!((problem.kind, problem.kind.status().as_u16()), (Kind::UnknownField, 400));
    assert!(problem.errors[0].detail.contains("items"));
}
