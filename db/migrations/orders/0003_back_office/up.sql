-- What becomes of an order after it was placed.
ALTER TABLE orders.orders
    DROP CONSTRAINT orders_status_check,
    ADD CONSTRAINT orders_status_check CHECK (status IN ('placed', 'paid', 'shipped', 'delivered', 'cancelled'));
-- Orders of one status, newest first. Everybody's, newest first, are the primary key read backwards. A span of time needs no
-- index of its own: it is a range of ids (UUIDv7) in each of the three.
CREATE INDEX orders_by_status ON orders.orders (status, order_id DESC);

-- Who made the customer: their first order, or a call that asked for it.
ALTER TABLE orders.customers
    ADD COLUMN origin text NOT NULL DEFAULT 'order' CONSTRAINT customers_origin_check CHECK (origin IN ('order', 'api'));
-- The addresses of signed-in users are auth's business, and never stand in the way of an order.
CREATE UNIQUE INDEX customers_email_key ON orders.customers (email) WHERE origin = 'api';

GRANT UPDATE ON orders.customers TO throughline_orders;
GRANT INSERT ON orders.stock TO throughline_orders;
