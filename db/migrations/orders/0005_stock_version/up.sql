-- How often the stock of a product was set, for who sets it to what they have seen. Orders change the pieces and not this: a
-- product that sells could never be set otherwise.
ALTER TABLE orders.stock ADD COLUMN version bigint NOT NULL DEFAULT 1;
