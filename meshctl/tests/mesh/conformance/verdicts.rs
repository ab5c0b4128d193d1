//! What errors say, against what they have to say.

use std::{collections::BTreeSet, time::Duration};

use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

/// What an error says beside its code.
#[derive(Debug, Clone, Copy)]
pub(super) enum Says {
    /// `google.rpc.ErrorInfo` with this reason.
    Reason(&'static str),
    /// `google.rpc.BadRequest` that names this field, and only it.
    Field(&'static str),
    /// `google.rpc.RetryInfo`: when to try again.
    Retry,
    /// Nothing that programs would read.
    Nothing,
}

/// Collects, so that one run tells of all that is wrong.
#[derive(Default)]
pub(super) struct Verdicts {
    /// Numbers of the codes that were seen where they were to be seen.
    pub(super) seen: BTreeSet<i32>,
    wrong: Vec<String>,
}

impl Verdicts {
    /// An RPC that has to be refused, and how.
    pub(super) fn expect<T>(&mut self, what: &str, (code, says): (Code, Says), result: Result<Response<T>, Status>) {
        match result.map(drop).map_err(|status| fault(&status, code, says)) {
            Ok(()) => self.wrong.push(format!("{what}: succeeded, {code:?} was due")),
            Err(Some(fault)) => self.wrong.push(format!("{what}: {fault}")),
            Err(None) => drop(self.seen.insert(code.into())),
        }
    }

    /// The end of a stream.
    pub(super) async fn expect_end<T>(&mut self, what: &str, due: (Code, Says), result: Result<Response<tonic::Streaming<T>>, Status>) {
        let end = match result {
            Err(status) => Err(status),
            Ok(stream) => {
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(_)) => {}
                        Ok(None) => break Ok(Response::new(())),
                        Err(status) => break Err(status),
                    }
                }
            }
        };
        self.expect(what, due, end);
    }

    pub(super) fn are_right(&self) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }
}

fn fault(status: &Status, code: Code, says: Says) -> Option<String> {
    if status.code() != code {
        return Some(format!("{:?} ({}), {code:?} was due", status.code(), status.message()));
    }
    let is_said = match says {
        Says::Nothing => status.get_error_details().error_info().is_none(),
        Says::Reason(reason) => status.get_details_error_info().is_some_and(|info| info.reason == reason && info.domain == "throughline"),
        Says::Field(field) => status.get_details_bad_request().is_some_and(|bad| {
            bad.field_violations.iter().map(|violation| violation.field.as_str()).eq([field])
                && bad.field_violations.iter().all(|violation| !violation.description.is_empty())
        }),
        Says::Retry => status.get_details_retry_info().and_then(|info| info.retry_delay).is_some_and(|delay| delay > Duration::ZERO),
    };
    (!is_said).then(|| format!("{status:?} does not say {says:?}"))
}
