//! Problems as answers: the only place that writes `application/problem+json`. RFC 9457

use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::Serialize;
use telemetry::context::current_trace_id;
use utoipa::ToSchema;

use crate::{
    middleware::RequestId,
    problem::{Problem, Violation},
};

/// The members of RFC 9457, and ours: what to name in a report, and what is wrong where.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Document<'a> {
    /// A relative reference that names the kind of problem, for example `/problems/validation`.
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    /// The path of the request.
    instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    request_id: &'a str,
    /// Every field, parameter or header that is wrong.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Violation],
}

/// Writes the problem as the answer to `request`, and its cause, if it has one, to the log.
pub(crate) fn render(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let extensions = request.extensions();
    let request_id = extensions.get::<RequestId>().map_or("", RequestId::as_str);
    let (kind, status) = (problem.kind, problem.kind.status());
    if let Some(cause) = &problem.cause {
        tracing::error!(request_id, status = status.as_u16(), path = request.path(), cause, "request failed");
    }
    let mut response = HttpResponse::build(status);
    problem.headers.iter().for_each(|header| {
        response.insert_header(header.clone());
    });
    response.content_type("application/problem+json").json(Document {
        r#type: kind.type_uri(),
        title: kind.title(),
        status: status.as_u16(),
        detail: &problem.detail,
        instance: request.path(),
        trace_id: current_trace_id(),
        request_id,
        errors: &problem.errors,
    })
}
