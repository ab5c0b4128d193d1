//! Many accounts by one call. Each is made on its own, so that the answer can say what became of each.

use futures::{Stream, StreamExt, stream::FuturesOrdered};
use proto::auth::{CreateUsersFailure, CreateUsersRequest, CreateUsersResult, FieldViolation, create_users_result};
use tonic::Status;

use crate::{
    error::AuthError,
    service::Auth,
    user::{Registration, User},
};

/// Accounts of one call.
const MAX_ACCOUNTS: usize = 1_000;
/// Accounts that are being made at the same time.
const AT_ONCE: usize = 4;

/// Why an account was not made.
enum Failure {
    /// Others may be.
    Refused(AuthError),
    /// No more is read.
    Last(Status),
}

impl Auth {
    /// Makes accounts, and says what became of each, in their order. One account too many, or what the service lacks, ends it:
    /// then a failure among the last results says why, and what came after them was not read.
    pub(crate) async fn create_users(
        &self,
        mut requests: impl Stream<Item = Result<CreateUsersRequest, Status>> + Unpin,
    ) -> Vec<CreateUsersResult> {
        let (mut making, mut results, mut count, mut is_over) = (FuturesOrdered::new(), Vec::new(), 0, false);
        loop {
            tokio::select! {
                Some(made) = making.next() => {
                    is_over |= matches!(made, Err(Failure::Last(_)));
                    results.push(result(made));
                }
                wish = self.next_wish(&mut requests, count), if !is_over && making.len() < AT_ONCE => match wish {
                    Some(wish) => {
                        is_over = wish.is_err();
                        count += 1;
                        making.push_back(self.make(wish));
                    }
                    None => is_over = true,
                },
                else => return results,
            }
        }
    }

    /// The next account that is wanted, or why no more is read.
    async fn next_wish(
        &self,
        requests: &mut (impl Stream<Item = Result<CreateUsersRequest, Status>> + Unpin),
        count: usize,
    ) -> Option<Result<CreateUsersRequest, Status>> {
        let wish = tokio::select! {
            biased;
            () = self.shared.shutdown.cancelled() => return Some(Err(AuthError::Stopping.into())),
            wish = requests.next() => wish?,
        };
        if count < MAX_ACCOUNTS {
            return Some(wish);
        }
        Some(Err(Status::resource_exhausted(format!("one call makes {MAX_ACCOUNTS} accounts at most"))))
    }

    async fn make(&self, wish: Result<CreateUsersRequest, Status>) -> Result<User, Failure> {
        let registration = Registration::by_admin(wish.map_err(Failure::Last)?).map_err(Failure::Refused)?;
        self.create_user(registration).await.map_err(|error| match error {
            AuthError::Unavailable(_) | AuthError::Internal(_) => Failure::Last(error.into()),
            error => Failure::Refused(error),
        })
    }
}

fn result(made: Result<User, Failure>) -> CreateUsersResult {
    let result = match made {
        Ok(user) => create_users_result::Result::User(user.into()),
        Err(Failure::Last(status)) => create_users_result::Result::Failure(failure(&status, Vec::new())),
        Err(Failure::Refused(error)) => {
            let violations = match &error {
                AuthError::Invalid(violations) => {
                    violations.iter().map(|it| FieldViolation { field: it.field.clone(), description: it.description.clone() }).collect()
                }
                AuthError::Taken(field) => vec![FieldViolation { field: (*field).into(), description: "is taken".into() }],
                _ => Vec::new(),
            };
            create_users_result::Result::Failure(failure(&error.into(), violations))
        }
    };
    CreateUsersResult { result: Some(result) }
}

fn failure(status: &Status, field_violations: Vec<FieldViolation>) -> CreateUsersFailure {
    CreateUsersFailure { code: status.code().into(), message: status.message().to_owned(), field_violations }
}
