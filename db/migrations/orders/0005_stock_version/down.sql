ALTER TABLE orders.stock DROP COLUMN version;
