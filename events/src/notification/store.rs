//! All SQL of `notification`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use db::{
    connection::Connection,
    schema::events::{mail_outbox, processed_events},
};
use diesel::{
    AsChangeset, ExpressionMethods, Insertable, QueryDsl, QueryResult, QueryableByName,
    dsl::{now, sql},
    sql_query,
    sql_types::{Array, BigInt, Double, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

const PENDING: &str = "pending";
const SENDING: &str = "sending";
const SENT: &str = "sent";
const FAILED: &str = "failed";

/// A mail to be sent, by the record that asks for it.
#[derive(Debug, Insertable, AsChangeset)]
#[diesel(table_name = mail_outbox, primary_key(event_id), treat_none_as_null = true)]
pub(super) struct Original<'a> {
    pub(super) event_id: Uuid,
    pub(super) record: String,
    pub(super) payload: &'a [u8],
    pub(super) traceparent: Option<String>,
    pub(super) tracestate: Option<String>,
}

/// A mail that is ours for the time of the claim.
#[derive(Debug, Clone, QueryableByName)]
#[diesel(table_name = mail_outbox)]
pub(super) struct Claimed {
    pub(super) event_id: Uuid,
    pub(super) record: String,
    pub(super) payload: Vec<u8>,
    pub(super) traceparent: Option<String>,
    pub(super) tracestate: Option<String>,
    pub(super) attempts: i32,
    pub(super) uncertain: i32,
    pub(super) last_error: Option<String>,
    claim_id: Option<Uuid>,
}

/// What is known of a mail after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) attempts: i32,
    pub(super) uncertain: i32,
    pub(super) error: Option<String>,
}

/// Writes a mail down whose event nobody has had before. True but where the mail is there, and not given up.
pub(super) async fn add(connection: &mut Connection, original: &Original<'_>) -> QueryResult<bool> {
    let insert = diesel::insert_into(mail_outbox::table).values(original).on_conflict(mail_outbox::event_id).do_update();
    let added = diesel::query_dsl::methods::FilterDsl::filter(insert.set((original, anew())), mail_outbox::state.eq(FAILED))
        .execute(connection)
        .await?;
    Ok(added == 1)
}

/// Begins anew with a mail that was given up, by the record that asks for it now. False where there is none.
pub(super) async fn revive(connection: &mut Connection, consumer: &str, original: &Original<'_>) -> QueryResult<bool> {
    let failed = mail_outbox::table.find(original.event_id).filter(mail_outbox::state.eq(FAILED));
    if diesel::update(failed).set((original, anew())).execute(connection).await? == 0 {
        return Ok(false);
    }
    let id = processed_events::table.find((consumer, original.event_id));
    diesel::update(id).set(processed_events::processed_at.eq(now)).execute(connection).await?;
    Ok(true)
}

type Anew = (
    diesel::dsl::Eq<mail_outbox::state, &'static str>,
    diesel::dsl::Eq<mail_outbox::attempts, i32>,
    diesel::dsl::Eq<mail_outbox::uncertain, i32>,
    diesel::dsl::Eq<mail_outbox::created_at, now>,
    diesel::dsl::Eq<mail_outbox::due_at, now>,
    diesel::dsl::Eq<mail_outbox::ended_at, Option<DateTime<Utc>>>,
    diesel::dsl::Eq<mail_outbox::last_error, Option<String>>,
);

fn anew() -> Anew {
    (
        mail_outbox::state.eq(PENDING),
        mail_outbox::attempts.eq(0),
        mail_outbox::uncertain.eq(0),
        mail_outbox::created_at.eq(now),
        mail_outbox::due_at.eq(now),
        mail_outbox::ended_at.eq(None),
        mail_outbox::last_error.eq(None),
    )
}

/// Which mails to take.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) id: Uuid,
    pub(super) limit: usize,
    pub(super) time: Duration,
    /// Mails that this process has.
    pub(super) held: Vec<Uuid>,
    /// Claims of this process whose answers it never got: what they took was never begun.
    pub(super) lost: Vec<Uuid>,
}

/// Takes mails that are due, the longest due first. One that somebody had taken and did not end in time is one whose end is
/// uncertain. What another one takes at the same moment is passed over.
pub(super) async fn claim(connection: &mut Connection, claim: &Claim) -> QueryResult<Vec<Claimed>> {
    // diesel has no UPDATE of what a locking query finds
    sql_query(
        "UPDATE events.mail_outbox AS mail
         SET state = 'sending', claim_id = $1, due_at = now() + make_interval(secs => $2),
             uncertain = mail.uncertain + (mail.state = 'sending' AND (mail.claim_id = ANY ($3)) IS NOT TRUE)::integer
         FROM (
             SELECT event_id FROM events.mail_outbox
             WHERE state IN ('pending', 'sending') AND (due_at <= now() OR state = 'sending' AND claim_id = ANY ($3))
                 AND event_id <> ALL ($4)
             ORDER BY due_at LIMIT $5 FOR UPDATE SKIP LOCKED
         ) AS due
         WHERE mail.event_id = due.event_id
         RETURNING mail.event_id, mail.record, mail.payload, mail.traceparent, mail.tracestate, mail.attempts, mail.uncertain, mail.last_error, mail.claim_id",
    )
    .bind::<SqlUuid, _>(claim.id)
    .bind::<Double, _>(claim.time.as_secs_f64())
    .bind::<Array<SqlUuid>, _>(&claim.lost)
    .bind::<Array<SqlUuid>, _>(&claim.held)
    .bind::<BigInt, _>(i64::try_from(claim.limit).unwrap_or(i64::MAX))
    .load(connection)
    .await
}

/// Notes that a mail was sent. That is true whoever has the row by now; only one that was given up stays so.
pub(super) async fn sent(connection: &mut Connection, event_id: Uuid) -> QueryResult<()> {
    let open = mail_outbox::table.find(event_id).filter(mail_outbox::state.eq_any([PENDING, SENDING]));
    let set = (mail_outbox::state.eq(SENT), mail_outbox::ended_at.eq(now), mail_outbox::last_error.eq(None::<String>));
    diesel::update(open).set(set).execute(connection).await.map(drop)
}

/// Gives a mail back, to be taken again after `delay`; nothing where the claim has run out and another one has it.
pub(super) async fn put_back(connection: &mut Connection, mail: &Claimed, report: &Report, delay: Duration) -> QueryResult<()> {
    let due = sql::<Timestamptz>("now() + make_interval(secs => ").bind::<Double, _>(delay.as_secs_f64()).sql(")");
    let set = (
        mail_outbox::state.eq(PENDING),
        mail_outbox::attempts.eq(report.attempts),
        mail_outbox::uncertain.eq(report.uncertain),
        mail_outbox::last_error.eq(report.error.as_deref()),
        mail_outbox::due_at.eq(due),
    );
    diesel::update(ours(mail)).set(set).execute(connection).await.map(drop)
}

/// Gives a mail up, since its dead letter lies in Kafka; nothing where the claim has run out and another one has it.
pub(super) async fn failed(connection: &mut Connection, mail: &Claimed, report: &Report) -> QueryResult<()> {
    let set = (
        mail_outbox::state.eq(FAILED),
        mail_outbox::attempts.eq(report.attempts),
        mail_outbox::uncertain.eq(report.uncertain),
        mail_outbox::last_error.eq(report.error.as_deref()),
        mail_outbox::ended_at.eq(now),
    );
    diesel::update(ours(mail)).set(set).execute(connection).await.map(drop)
}

type Ours = diesel::dsl::Filter<
    diesel::dsl::Filter<diesel::dsl::Find<mail_outbox::table, Uuid>, diesel::dsl::Eq<mail_outbox::state, &'static str>>,
    diesel::dsl::Eq<mail_outbox::claim_id, Option<Uuid>>,
>;

fn ours(mail: &Claimed) -> Ours {
    mail_outbox::table.find(mail.event_id).filter(mail_outbox::state.eq(SENDING)).filter(mail_outbox::claim_id.eq(mail.claim_id))
}

/// Mails that wait or are being sent, and the age of the oldest in seconds: 0 where there is none.
#[derive(Debug, Clone, Copy, PartialEq, QueryableByName)]
pub(super) struct Backlog {
    #[diesel(sql_type = BigInt)]
    pub(super) rows: i64,
    #[diesel(sql_type = Double)]
    pub(super) oldest_age: f64,
}

pub(super) async fn backlog(connection: &mut Connection) -> QueryResult<Backlog> {
    sql_query(
        "SELECT count(*) AS rows, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_age
         FROM events.mail_outbox WHERE state IN ('pending', 'sending')",
    )
    .get_result(connection)
    .await
}

/// Removes up to `limit` mails that were sent longer ago than `sent`, or given up longer ago than `failed`; returns how many.
pub(super) async fn remove_ended(connection: &mut Connection, sent: Duration, failed: Duration, limit: i64) -> QueryResult<usize> {
    let mut removed = 0;
    for (state, age) in [(SENT, sent), (FAILED, failed)] {
        removed += sql_query(
            "DELETE FROM events.mail_outbox WHERE event_id IN (
                 SELECT event_id FROM events.mail_outbox
                 WHERE state IN ('sent', 'failed') AND state = $1 AND ended_at < now() - make_interval(secs => $2) LIMIT $3
             )",
        )
        .bind::<Text, _>(state)
        .bind::<Double, _>(age.as_secs_f64())
        .bind::<BigInt, _>(limit)
        .execute(connection)
        .await?;
    }
    Ok(removed)
}
