//! Passwords: argon2id (RFC 9106), hashed off the runtime's threads and not more at once than there are cores.

use std::{sync::Arc, thread::available_parallelism};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use chassis::{StartError, spawn_blocking};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{config::PasswordConfig, error::AuthError};

/// Hashes and checks. Cheap to clone, shared by all threads: the memory that hashing takes is the process's.
#[derive(Clone)]
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    /// What the password of nobody is checked against, so that it takes as long as one of somebody.
    of_nobody: Arc<str>,
    places: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new(config: &PasswordConfig) -> Result<Self, StartError> {
        let params = Params::new(config.m_cost_kib, config.t_cost, config.p_cost, None).map_err(|error| error.to_string())?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let of_nobody = argon2.hash_password(b"nobody's password").map_err(|error| error.to_string())?.to_string();
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(Self { argon2, of_nobody: of_nobody.into(), places: Arc::new(Semaphore::new(cores)) })
    }

    /// A place to hash at; waits until there is one.
    pub(crate) async fn place(&self) -> Result<Place, AuthError> {
        let permit = Arc::clone(&self.places).acquire_owned().await;
        permit.map(Place).map_err(|error| AuthError::Internal(error.to_string()))
    }

    /// The hash to store, as a PHC string with its salt and parameters.
    pub(crate) async fn hash(&self, password: String) -> Result<String, AuthError> {
        let argon2 = self.argon2.clone();
        let (_, hash) = run(self.place().await?, move || argon2.hash_password(password.as_bytes()).map(|hash| hash.to_string())).await?;
        hash.map_err(|error| AuthError::Internal(error.to_string()))
    }

    /// True where it is the password of `hash`; with no hash it is false, and takes the same time. Gives the place back.
    pub(crate) async fn verify(&self, place: Place, password: String, hash: Option<String>) -> Result<(Place, bool), AuthError> {
        let (argon2, nobody) = (self.argon2.clone(), Arc::clone(&self.of_nobody));
        let check = move || {
            let text = hash.as_deref().unwrap_or(&nobody);
            let right = PasswordHash::new(text).is_ok_and(|parsed| argon2.verify_password(password.as_bytes(), &parsed).is_ok());
            right && hash.is_some()
        };
        run(place, check).await
    }
}

/// A place among those who hash.
pub(crate) struct Place(#[allow(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// The place goes with the work: who gives up does not make it free before the work has ended.
async fn run<T: Send + 'static>(place: Place, work: impl FnOnce() -> T + Send + 'static) -> Result<(Place, T), AuthError> {
    let work = spawn_blocking(move || {
        let result = work();
        (place, result)
    });
    work.await.map_err(|error| AuthError::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_somebody_is_right() {
        let passwords = Passwords::new(&PasswordConfig { m_cost_kib: 8, t_cost: 1, p_cost: 1 }).unwrap();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        let mut place = passwords.place().await.unwrap();
        let cases =
            [("correct horse", Some(hash.clone()), true), ("battery staple", Some(hash), false), ("nobody's password", None, false)];
        for (password, hash, expected) in cases {
            let right;
            (place, right) = passwords.verify(place, password.into(), hash).await.unwrap();
            assert_eq!(right, expected);
        }
    }
}
