-- Mails to be sent, and those that were: a row is written in the transaction that takes a notice, and the mail leaves after it.
CREATE TABLE events.mail_outbox (
    -- the notice; the mail's Message-ID is made of it
    event_id    uuid NOT NULL,
    -- the record that asked for the mail, whole, so that it can become a dead letter; JSON:
    -- topic, partition, offset, timestamp_ms, key and headers, where bytes are {"text": ...} or {"bytes": [...]}
    record      text NOT NULL,
    -- and its value, which the mail is made of
    payload     bytea NOT NULL,
    -- W3C trace context of the span that took the record: parent of the dead letter's
    traceparent text,
    tracestate  text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    state       text NOT NULL DEFAULT 'pending',
    -- sendings that ended with the server's refusal
    attempts    integer NOT NULL DEFAULT 0,
    -- sendings of which nobody knows the end: a crash, or a server that took the mail and did not answer
    uncertain   integer NOT NULL DEFAULT 0,
    -- which claim has it, or had it last: only that one may say what became of it
    claim_id    uuid,
    -- when a sender may take the row: the next attempt of a pending one, the end of the claim of one that is being sent
    due_at      timestamptz NOT NULL DEFAULT now(),
    -- when it was sent, or given up as a dead letter
    ended_at    timestamptz,
    last_error  text,
    CONSTRAINT mail_outbox_pkey PRIMARY KEY (event_id),
    CONSTRAINT mail_outbox_state_check CHECK (state IN ('pending', 'sending', 'sent', 'failed')),
    CONSTRAINT mail_outbox_counts_check CHECK (attempts >= 0 AND uncertain >= 0),
    CONSTRAINT mail_outbox_ended_check CHECK ((ended_at IS NOT NULL) = (state IN ('sent', 'failed')))
-- every row is changed twice within a moment: vacuum by count and not by share of the table
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- the sender's query, which never sees what has ended
CREATE INDEX mail_outbox_due_idx ON events.mail_outbox (due_at) WHERE state IN ('pending', 'sending');
-- the removal of what ended long ago
CREATE INDEX mail_outbox_ended_idx ON events.mail_outbox (ended_at) WHERE state IN ('sent', 'failed');
-- the removal of old ids, which lie in the table nearly in the order of time: a few pages of index for millions of rows
CREATE INDEX processed_events_processed_at_idx ON events.processed_events USING brin (processed_at) WITH (autosummarize = on);

GRANT SELECT, INSERT, UPDATE, DELETE ON events.mail_outbox TO throughline_notification;
GRANT DELETE ON events.processed_events TO throughline_notification, throughline_analytics;
-- a mail that was given up and is asked for again counts from then on
GRANT UPDATE (processed_at) ON events.processed_events TO throughline_notification;
