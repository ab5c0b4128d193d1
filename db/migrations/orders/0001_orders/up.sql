CREATE TABLE orders.customers (
    -- a signed-in user is the customer of the same id
    customer_id uuid PRIMARY KEY,
    username    text NOT NULL,
    email       text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE orders.stock (
    product_id uuid PRIMARY KEY,
    -- the database, not the program, is what keeps two buyers from getting the last piece
    available  integer NOT NULL CONSTRAINT stock_available_check CHECK (available >= 0)
);

CREATE TABLE orders.orders (
    order_id        uuid PRIMARY KEY,
    customer_id     uuid NOT NULL CONSTRAINT orders_customer_id_fkey REFERENCES orders.customers,
    status          text NOT NULL CONSTRAINT orders_status_check CHECK (status IN ('placed', 'cancelled')),
    total_amount    numeric(12, 2) NOT NULL CONSTRAINT orders_total_amount_check CHECK (total_amount >= 0),
    currency        text NOT NULL CONSTRAINT orders_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    idempotency_key text,
    -- SHA-256 of what was ordered: tells a repeated request from a reused key
    request_hash    bytea NOT NULL,
    version         bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX orders_idempotency_key ON orders.orders (customer_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
-- a customer's orders, newest first: order ids are UUIDv7
CREATE INDEX orders_by_customer ON orders.orders (customer_id, order_id DESC);

CREATE TABLE orders.order_items (
    order_id     uuid NOT NULL CONSTRAINT order_items_order_id_fkey REFERENCES orders.orders,
    line         smallint NOT NULL,
    product_id   uuid NOT NULL CONSTRAINT order_items_product_id_fkey REFERENCES orders.stock,
    product_name text NOT NULL,
    quantity     integer NOT NULL CONSTRAINT order_items_quantity_check CHECK (quantity BETWEEN 1 AND 1000),
    unit_price   numeric(12, 2) NOT NULL CONSTRAINT order_items_unit_price_check CHECK (unit_price >= 0),
    PRIMARY KEY (order_id, line)
);

GRANT USAGE ON SCHEMA orders TO throughline_orders;
GRANT SELECT, INSERT ON orders.customers, orders.order_items TO throughline_orders;
GRANT SELECT, INSERT, UPDATE ON orders.orders TO throughline_orders;
GRANT SELECT, UPDATE ON orders.stock TO throughline_orders;
