REVOKE INSERT ON orders.stock FROM throughline_orders;
REVOKE UPDATE ON orders.customers FROM throughline_orders;
DROP INDEX orders.customers_email_key;
ALTER TABLE orders.customers DROP COLUMN origin;
DROP INDEX orders.orders_by_status;
-- orders that have gone further stay as they are; nothing new gets there
ALTER TABLE orders.orders
    DROP CONSTRAINT orders_status_check,
    ADD CONSTRAINT orders_status_check CHECK (status IN ('placed', 'cancelled')) NOT VALID;
