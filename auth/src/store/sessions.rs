//! `auth.sessions`: what is known of sessions afterwards. Whether one is alive is Redis' to say.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use db::connection::Connection;
use db::schema::auth::sessions;
use diesel::{BoolExpressionMethods, ExpressionMethods, QueryDsl, QueryResult};
use diesel_async::RunQueryDsl;
use uuid::{Builder, Uuid};

use crate::{lifetime::EndReason, session::Session};

/// A session that was opened, until `expires_at` if nobody refreshes it.
pub(crate) async fn insert(
    connection: &mut Connection,
    session_id: Uuid,
    session: &Session,
    client: Option<IpAddr>,
    expires_at: DateTime<Utc>,
) -> QueryResult<()> {
    let row = (
        sessions::session_id.eq(session_id),
        sessions::user_id.eq(session.user_id),
        sessions::client_address.eq(client.map(|client| client.to_string())),
        sessions::opened_at.eq(session.created_at),
        sessions::expires_at.eq(expires_at),
    );
    diesel::insert_into(sessions::table).values(row).execute(connection).await?;
    Ok(())
}

/// A session was refreshed, and ends at `expires_at` if nobody does so again.
pub(crate) async fn refreshed(connection: &mut Connection, session_id: Uuid, expires_at: DateTime<Utc>) -> QueryResult<()> {
    let refreshed = (sessions::last_refreshed_at.eq(Utc::now()), sessions::expires_at.eq(expires_at));
    let open = sessions::table.find(session_id).filter(sessions::ended_at.is_null());
    diesel::update(open).set(refreshed).execute(connection).await?;
    Ok(())
}

/// A session was ended. The first reason stands.
pub(crate) async fn end(connection: &mut Connection, session_id: Uuid, reason: EndReason) -> QueryResult<()> {
    let ended = (sessions::ended_at.eq(Utc::now()), sessions::end_reason.eq(reason.as_str()));
    let open = sessions::table.find(session_id).filter(sessions::ended_at.is_null());
    diesel::update(open).set(ended).execute(connection).await?;
    Ok(())
}

/// All sessions of a user were ended, but for those that had ended or expired before.
pub(crate) async fn end_all(connection: &mut Connection, user_id: Uuid, reason: EndReason) -> QueryResult<()> {
    let (now, of_user) = (Utc::now(), sessions::table.filter(sessions::user_id.eq(user_id)));
    let ended = (sessions::ended_at.eq(now), sessions::end_reason.eq(reason.as_str()));
    let open = of_user.filter(sessions::ended_at.is_null()).filter(sessions::expires_at.gt(now));
    diesel::update(open).set(ended).execute(connection).await?;
    Ok(())
}

/// Takes out where a user's sessions were opened from.
pub(crate) async fn forget_clients(connection: &mut Connection, user_id: Uuid) -> QueryResult<()> {
    let of_user = sessions::table.filter(sessions::user_id.eq(user_id)).filter(sessions::client_address.is_not_null());
    diesel::update(of_user).set(sessions::client_address.eq(None::<String>)).execute(connection).await?;
    Ok(())
}

/// Deletes sessions that were over before a moment, `limit` at most; returns how many.
pub(crate) async fn delete_before(connection: &mut Connection, moment: DateTime<Utc>, limit: i64) -> QueryResult<usize> {
    let expired = sessions::ended_at.is_null().and(sessions::expires_at.lt(moment));
    let over = sessions::ended_at.lt(moment).or(expired);
    // what is over was opened before that: the primary key tells when
    let old = sessions::table.filter(sessions::session_id.lt(first_of(moment))).filter(over);
    let ids: Vec<Uuid> = old.select(sessions::session_id).order(sessions::session_id).limit(limit).load(connection).await?;
    diesel::delete(sessions::table.filter(sessions::session_id.eq_any(ids))).execute(connection).await
}

/// The least `UUIDv7` of a moment.
fn first_of(moment: DateTime<Utc>) -> Uuid {
    Builder::from_unix_timestamp_millis(moment.timestamp_millis().try_into().unwrap_or_default(), &[0; 10]).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_before_a_moment_is_less_than_its_first_id_and_what_comes_after_is_not() {
        let before = Uuid::now_v7();
        let (seconds, nanoseconds) = before.get_timestamp().unwrap().to_unix();
        let moment = DateTime::from_timestamp(i64::try_from(seconds).unwrap(), nanoseconds).unwrap();
        let later = moment + chrono::TimeDelta::milliseconds(1);
        assert!(first_of(moment) <= before && before < first_of(later));
        assert_eq!(first_of(DateTime::<Utc>::MIN_UTC), first_of(DateTime::UNIX_EPOCH));
    }
}
