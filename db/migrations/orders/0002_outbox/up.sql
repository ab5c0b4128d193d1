-- Events that a transaction has decided on and Kafka has not acknowledged yet.
CREATE TABLE orders.outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    uuid NOT NULL,
    topic       text NOT NULL,
    -- the aggregate's id: Kafka's record key
    key         text NOT NULL,
    -- which relay lease publishes the row: a hash of the key
    shard       smallint NOT NULL CONSTRAINT outbox_shard_check CHECK (shard BETWEEN 0 AND 15),
    payload     text NOT NULL,
    -- W3C trace context of the request that caused the event
    traceparent text,
    tracestate  text,
    created_at  timestamptz NOT NULL DEFAULT now()
-- a queue: nearly every row dies young, so vacuum by count and not by share of the table
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

GRANT USAGE ON SCHEMA orders TO throughline_orders;
GRANT SELECT, INSERT, DELETE ON orders.outbox TO throughline_orders;
