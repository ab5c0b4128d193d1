//! All SQL of `auth`. Functions that write take part in their caller's transaction.

pub(crate) mod avatars;
pub(crate) mod outbox;
pub(crate) mod sessions;
pub(crate) mod users;
