-- What POST /api/v1/orders does to the database, as a plain transaction of several statements: an order of three lines with an
-- idempotency key, its stock, and the event in the outbox. The same tables, indexes and constraints. Shelves are taken in
-- the order of their ids, so that two transactions cannot wait for each other. Order ids grow with time, as ours do.
\set a random(1, 198)
\set b random(:a + 1, 199)
\set c random(:b + 1, 200)
\set k random(1, 9000000000000000000)
BEGIN;
UPDATE orders.stock SET available = available - 1 WHERE product_id = lpad(:a::text, 32, '0')::uuid;
UPDATE orders.stock SET available = available - 1 WHERE product_id = lpad(:b::text, 32, '0')::uuid;
UPDATE orders.stock SET available = available - 1 WHERE product_id = lpad(:c::text, 32, '0')::uuid;
INSERT INTO orders.orders (order_id, customer_id, status, total_amount, currency, idempotency_key, request_hash)
    VALUES ((lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(:k::bigint), 19, '0'))::uuid,
        '00000000-0000-0000-0000-000000000001', 'placed', 50.47, 'EUR', 'bench-' || :k, decode(repeat('ab', 32), 'hex'))
    RETURNING order_id \gset
INSERT INTO orders.order_items (order_id, line, product_id, product_name, quantity, unit_price) VALUES
    (:order_id, 1, lpad(:a::text, 32, '0')::uuid, 'Everyday Espresso Beans', 1, 11.89),
    (:order_id, 2, lpad(:b::text, 32, '0')::uuid, 'Classic Espresso Beans', 1, 15.99),
    (:order_id, 3, lpad(:c::text, 32, '0')::uuid, 'Reserve Espresso Beans', 1, 22.59);
INSERT INTO orders.outbox (event_id, topic, key, shard, payload, traceparent)
    VALUES (gen_random_uuid(), 'orders.created', :order_id, 3, repeat('x', 900), '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00');
COMMIT;
