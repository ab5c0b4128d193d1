//! `RateLimitService`.

use proto::catalog::{CheckRateLimitRequest, CheckRateLimitResponse, rate_limit_service_server::RateLimitService};
use tonic::{Request, Response, Status};

use crate::limiter::{Asked, Limiter};

/// One per serving runtime.
pub(crate) struct RateLimits {
    limiter: Limiter,
}

impl RateLimits {
    pub(crate) fn new(limiter: Limiter) -> Self {
        Self { limiter }
    }
}

#[tonic::async_trait]
impl RateLimitService for RateLimits {
    async fn check_rate_limit(&self, request: Request<CheckRateLimitRequest>) -> Result<Response<CheckRateLimitResponse>, Status> {
        let asked = Asked::read(request.into_inner())?;
        Ok(Response::new(self.limiter.take(&asked).await?))
    }
}
