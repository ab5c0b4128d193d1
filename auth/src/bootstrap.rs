//! The first admin: without one nobody could make others. Made at the start from the configuration, once.

use std::{sync::Arc, time::Duration};

use chassis::config::{Problems, Secret};
use proto::auth::CreateUsersRequest;
use serde::{Deserialize, Serialize};

use crate::{
    error::AuthError,
    service::Auth,
    user::{Registration, Role},
};

/// How long to wait where the database cannot be reached.
const RETRY: Duration = Duration::from_secs(1);

/// The `bootstrap` table: the admin that is made where nobody has its name or address yet.
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

/// Makes the admin as soon as the database can be reached.
pub(crate) async fn run(config: BootstrapConfig, auth: Arc<Auth>) {
    if config.email.is_empty() {
        return;
    }
    let shutdown = auth.shared.shutdown.clone();
    while let Ok(registration) = config.registration() {
        match auth.create_user(registration).await {
            Ok(user) => return tracing::info!(user_id = %user.user_id, "the admin has been made"),
            Err(AuthError::Taken(_)) => return,
            Err(error) => tracing::warn!(%error, "the admin cannot be made yet"),
        }
        if tokio::time::timeout(RETRY, shutdown.cancelled()).await.is_ok() {
            return;
        }
    }
}
