//! Accounts: made, read, changed and deleted. Who may do so is decided here.

use chrono::Utc;
use diesel_async::AsyncConnection;
use events::contract::{UserCreated, UserDeleted, UserUpdated};
use uuid::Uuid;

use crate::{
    avatar::Picture,
    caller::Caller,
    error::AuthError,
    lifetime::EndReason,
    service::Auth,
    store::{
        avatars::{self, Avatar},
        outbox::tell,
        sessions, users,
    },
    user::{Change, Registration, User},
};

impl Auth {
    /// Makes an account and tells of it.
    pub(crate) async fn create_user(&self, registration: Registration) -> Result<User, AuthError> {
        let hash = self.shared.passwords.hash(registration.password.clone()).await?;
        let create = async {
            let mut connection = self.pool.get().await?;
            let created = connection.transaction(async |connection| {
                let user = users::insert(connection, &registration, &hash).await?;
                let (username, email) = (user.username.clone(), user.email.clone());
                let event = UserCreated { user_id: user.user_id, username, email, timestamp: user.created_at };
                tell(connection, user.user_id, user.version, event).await?;
                Ok::<_, AuthError>(user)
            });
            created.await
        };
        let user = self.pool.bounded(create).await?;
        self.shared.relay.wake();
        Ok(user)
    }

    pub(crate) async fn find_user(&self, user_id: Uuid) -> Result<Option<User>, AuthError> {
        let find = async {
            let mut connection = self.pool.get().await?;
            Ok(users::find(&mut connection, user_id).await?)
        };
        self.pool.bounded(find).await
    }

    /// Whether anybody may make others.
    pub(crate) async fn has_admin(&self) -> Result<bool, AuthError> {
        let find = async {
            let mut connection = self.pool.get().await?;
            Ok(users::has_admin(&mut connection).await?)
        };
        self.pool.bounded(find).await
    }

    /// An account as `caller` may see it.
    pub(crate) async fn show_user(&self, caller: &Caller, user_id: Uuid) -> Result<User, AuthError> {
        let mut user = self.find_user(user_id).await?.ok_or(AuthError::NotFound("user"))?;
        if !caller.may_see(user_id) {
            user.email.clear();
        }
        Ok(user)
    }

    /// Changes an account and tells of it. Another password or role ends the user's sessions.
    pub(crate) async fn update_user(&self, caller: &Caller, change: Change) -> Result<User, AuthError> {
        caller.may_change(change.user_id)?;
        if change.role.is_some() {
            caller.require_admin()?;
        }
        let hash = match &change.password {
            Some(password) => Some(self.shared.passwords.hash(password.clone()).await?),
            None => None,
        };
        let user = self.pool.bounded(self.apply(&change, hash.as_deref())).await?;
        self.shared.relay.wake();
        Ok(user)
    }

    async fn apply(&self, change: &Change, hash: Option<&str>) -> Result<User, AuthError> {
        let mut connection = self.pool.get().await?;
        let applied = connection.transaction(async |connection| {
            let admins = if change.role.is_some() { users::lock_admins(connection).await? } else { Vec::new() };
            let before = users::lock(connection, change.user_id).await?.ok_or(AuthError::NotFound("user"))?;
            if change.version.is_some_and(|version| version != before.version) {
                return Err(AuthError::VersionMismatch(before.version));
            }
            if change.demotes(&before) && admins == [before.user_id] {
                return Err(AuthError::LastAdmin);
            }
            if !change.differs_from(&before) {
                return Ok(before);
            }
            let user = users::update(connection, change, hash).await?;
            tell(connection, user.user_id, user.version, updated(&user)).await?;
            if let Some(reason) = change.ends_sessions(&before) {
                sessions::end_all(connection, user.user_id, reason).await?;
                // within the transaction: where Redis is away nothing has changed
                self.sessions.end_all(user.user_id).await?;
            }
            Ok(user)
        });
        applied.await
    }

    /// Deletes an account with its picture, ends its sessions, and tells of it.
    pub(crate) async fn delete_user(&self, caller: &Caller, user_id: Uuid) -> Result<(), AuthError> {
        caller.may_change(user_id)?;
        let delete = async {
            let mut connection = self.pool.get().await?;
            let deleted = connection.transaction(async |connection| {
                let admins = users::lock_admins(connection).await?;
                let user = users::lock(connection, user_id).await?.ok_or(AuthError::NotFound("user"))?;
                if admins == [user_id] {
                    return Err(AuthError::LastAdmin);
                }
                users::delete(connection, user_id).await?;
                sessions::end_all(connection, user_id, EndReason::UserDeleted).await?;
                sessions::forget_clients(connection, user_id).await?;
                tell(connection, user_id, user.version + 1, UserDeleted { user_id, timestamp: Utc::now() }).await?;
                self.sessions.end_all(user_id).await
            });
            deleted.await
        };
        self.pool.bounded(delete).await?;
        self.shared.relay.wake();
        Ok(())
    }

    /// Gives a user a picture.
    pub(crate) async fn put_avatar(&self, user_id: Uuid, picture: Picture) -> Result<Avatar, AuthError> {
        let put = async {
            let mut connection = self.pool.get().await?;
            avatars::put(&mut connection, user_id, &picture).await
        };
        let updated_at = self.pool.bounded(put).await?;
        let Picture { media_type, bytes, sha256 } = picture;
        Ok(Avatar { media_type: media_type.as_str().to_owned(), bytes, sha256: sha256.into(), updated_at })
    }

    pub(crate) async fn find_avatar(&self, user_id: Uuid) -> Result<Avatar, AuthError> {
        let find = async {
            let mut connection = self.pool.get().await?;
            avatars::find(&mut connection, user_id).await?.ok_or(AuthError::NotFound("avatar"))
        };
        self.pool.bounded(find).await
    }
}

fn updated(user: &User) -> UserUpdated {
    UserUpdated {
        user_id: user.user_id,
        username: user.username.clone(),
        email: user.email.clone(),
        role: user.role.as_str().to_owned(),
        timestamp: Utc::now(),
    }
}
