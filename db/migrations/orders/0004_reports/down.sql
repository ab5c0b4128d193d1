ALTER TABLE orders.orders RESET (autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_scale_factor);
DROP STATISTICS orders.orders_days;
DROP INDEX orders.orders_by_status;
CREATE INDEX orders_by_status ON orders.orders (status, order_id DESC);
