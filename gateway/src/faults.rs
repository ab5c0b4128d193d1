//! Faults on purpose at the door, between the middleware and the table of routes: no handler knows of them.

use actix_web::{
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::StatusCode,
    middleware::Next,
    web::Data,
};
use chassis::scenario::{Scenario, Scenarios};

use crate::error::Error;

type Outcome = Result<ServiceResponse<BoxBody>, actix_web::Error>;

/// What fails by itself; who asks how the gateway is gets the truth.
const API: &str = "/api/";

/// [`Scenario::ErrorSpike`] and [`Scenario::SlowEndpoint`].
pub(crate) async fn faults(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Outcome {
    if let Some(scenarios) = request.app_data::<Data<Scenarios>>().cloned() {
        if scenarios.is_on(Scenario::SlowEndpoint) {
            let route = request.match_pattern().unwrap_or_default();
            if scenarios.is_about(Scenario::SlowEndpoint, "route", &route) {
                scenarios.pause(Scenario::SlowEndpoint).await;
            }
        }
        if request.path().starts_with(API) && scenarios.strikes(Scenario::ErrorSpike) {
            let status = scenarios.text(Scenario::ErrorSpike, "status").and_then(|status| status.parse().ok());
            return Ok(request.error_response(Error::Scenario(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))));
        }
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}
