//! Routes for trying things out: an answer that takes its time, and one that is an error.

use std::{ops::RangeInclusive, time::Duration};

use actix_web::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    error::Error,
    field::Field,
    query::{Params, QueryForm},
};

/// Milliseconds, where the client names none.
const DEFAULT: RangeInclusive<u64> = 1_000..=3_000;

struct Milliseconds(u64);

impl Field for Milliseconds {
    const ALLOWED: &'static str = "must be a whole number from 0 to 30000";

    fn read(value: &Value) -> Option<Self> {
        value.as_str()?.parse().ok().filter(|ms| *ms <= 30_000).map(Self)
    }
}

/// `GET /slow`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SlowQuery {
    /// Milliseconds; 1000 to 3000 by chance where it is left out.
    #[param(value_type = Option<u64>, minimum = 0, maximum = 30_000)]
    ms: u64,
}

impl QueryForm for SlowQuery {
    fn read(params: &mut Params) -> Option<Self> {
        let ms = params.optional::<Milliseconds>("ms")?;
        Some(Self { ms: ms.map_or_else(by_chance, |ms| ms.0) })
    }
}

/// The random bits of an id are as good as any.
fn by_chance() -> u64 {
    let width = DEFAULT.end() - DEFAULT.start() + 1;
    DEFAULT.start() + u64::try_from(uuid::Uuid::new_v4().as_u128() % u128::from(width)).unwrap_or_default()
}

/// How long it took.
#[derive(Serialize, ToSchema)]
pub(crate) struct Slow {
    /// Milliseconds that were waited.
    ms: u64,
}

impl SlowQuery {
    pub(crate) async fn wait(self) -> Slow {
        tokio::time::sleep(Duration::from_millis(self.ms)).await;
        Slow { ms: self.ms }
    }
}

struct ErrorStatus(StatusCode);

impl Field for ErrorStatus {
    const ALLOWED: &'static str = "must be a whole number from 400 to 599";

    fn read(value: &Value) -> Option<Self> {
        let number = value.as_str()?.parse().ok().filter(|number| (400..600).contains(number))?;
        StatusCode::from_u16(number).ok().map(Self)
    }
}

/// `GET /error`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ErrorQuery {
    /// The status to answer with.
    #[param(value_type = Option<u16>, minimum = 400, maximum = 599, default = 500)]
    status: StatusCode,
}

impl QueryForm for ErrorQuery {
    fn read(params: &mut Params) -> Option<Self> {
        let status = params.optional::<ErrorStatus>("status")?;
        Some(Self { status: status.map_or(StatusCode::INTERNAL_SERVER_ERROR, |status| status.0) })
    }
}

impl From<ErrorQuery> for Error {
    fn from(query: ErrorQuery) -> Self {
        Self::Requested(query.status)
    }
}
