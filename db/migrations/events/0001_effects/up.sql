-- Which consumer has already done what an event asks for: written in the transaction of the effect.
CREATE TABLE events.processed_events (
    consumer     text NOT NULL,
    event_id     uuid NOT NULL,
    processed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);

CREATE TABLE events.daily_orders (
    day       date NOT NULL,
    currency  text NOT NULL,
    -- placed on that day, cancelled ones included
    orders    bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    -- placed less cancelled
    revenue   numeric(16, 2) NOT NULL DEFAULT 0,
    PRIMARY KEY (day, currency)
);

CREATE TABLE events.product_sales (
    product_id uuid PRIMARY KEY,
    -- sold less returned
    units      bigint NOT NULL DEFAULT 0
);

CREATE TABLE events.daily_users (
    day           date PRIMARY KEY,
    registrations bigint NOT NULL DEFAULT 0,
    logins        bigint NOT NULL DEFAULT 0
);

GRANT USAGE ON SCHEMA events TO throughline_notification, throughline_analytics;
GRANT SELECT, INSERT ON events.processed_events TO throughline_notification, throughline_analytics;
GRANT SELECT, INSERT, UPDATE ON events.daily_orders, events.product_sales, events.daily_users TO throughline_analytics;
