//! The first admin: without one nobody could make others. Made at the start from the configuration, once.

use std::{future::ready, sync::Arc, time::Duration};

use chassis::{
    Process,
    config::{Problems, Secret},
};
use proto::auth::CreateUsersRequest;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    error::AuthError,
    service::Auth,
    user::{Registration, Role},
};

/// How long to wait where it could not be made.
const RETRY: Duration = Duration::from_secs(1);

/// The `bootstrap` table: the admin that is made where nobody has its name or address yet. Until there is an admin the service is
/// not ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootstrapConfig {
    /// Its name.
    pub username: String,
    /// Its e-mail address; empty: none is made.
    pub email: String,
    /// Its password. Changing it here changes nothing: the account is the admin's own once it is made.
    pub password: Secret,
}

impl Default for BootstrapConfig {
    fn default() -> Self {
        Self { username: "admin".into(), email: String::new(), password: Secret::default() }
    }
}

impl BootstrapConfig {
    fn registration(&self) -> Result<Registration, AuthError> {
        Registration::by_admin(CreateUsersRequest {
            username: self.username.clone(),
            email: self.email.clone(),
            password: self.password.expose().to_owned(),
            role: Role::Admin.as_str().to_owned(),
        })
    }

    pub(crate) fn check(&self, problems: &mut Problems) {
        let Err(AuthError::Invalid(violations)) = self.registration() else { return };
        for violation in violations.iter().filter(|_| !self.email.is_empty()) {
            let (key, allowed) = (format!("bootstrap.{}", violation.field), &violation.description);
            match violation.field.as_str() {
                "password" => problems.add(&key, &self.password, allowed),
                "email" => problems.add(&key, &self.email, allowed),
                _ => problems.add(&key, &self.username, allowed),
            }
        }
    }
}

/// Makes the admin beside the start, and tells when there is one.
pub(crate) struct Bootstrap {
    config: BootstrapConfig,
    /// Why there is none yet.
    missing: watch::Sender<Option<String>>,
}

impl Bootstrap {
    /// Lets nobody take the service for ready before the admin is there; none where none is wanted.
    pub(crate) fn required(config: &BootstrapConfig, process: &Process) -> Option<Self> {
        if config.email.is_empty() {
            return None;
        }
        let (missing, seen) = watch::channel(Some("the first admin has not been made yet".to_owned()));
        process.readiness.require("admin", move || ready(seen.borrow().clone().map_or(Ok(()), Err)));
        Some(Self { config: config.clone(), missing })
    }

    /// Goes on until there is an admin, or the process stops.
    pub(crate) async fn run(self, auth: Arc<Auth>) {
        let shutdown = auth.shared.shutdown.clone();
        while let Err(error) = self.make(&auth).await {
            // once per change: an outage is one line and not one a second
            if self.missing.send_replace(Some(error.to_string())) != Some(error.to_string()) {
                tracing::warn!(%error, "the first admin cannot be made yet");
            }
            if tokio::time::timeout(RETRY, shutdown.cancelled()).await.is_ok() {
                return;
            }
        }
        self.missing.send_replace(None);
    }

    /// Whoever has the name or the address may have become another since: any admin will do.
    async fn make(&self, auth: &Auth) -> Result<(), AuthError> {
        match auth.create_user(self.config.registration()?).await {
            Ok(user) => {
                tracing::info!(user_id = %user.user_id, "the first admin has been made");
                Ok(())
            }
            Err(AuthError::Taken(_)) if auth.has_admin().await? => Ok(()),
            Err(error) => Err(error),
        }
    }
}
