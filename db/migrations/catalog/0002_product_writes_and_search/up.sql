-- What a search looks through. A name counts more than a category or an SKU, and these more than a description.
ALTER TABLE catalog.products ADD COLUMN search tsvector NOT NULL GENERATED ALWAYS AS (
    setweight(to_tsvector('english', name), 'A')
    || setweight(to_tsvector('english', category || ' ' || sku), 'B')
    || setweight(to_tsvector('english', description), 'C')
) STORED;
CREATE INDEX products_by_search ON catalog.products USING gin (search);

-- one for each order of a list; ties are broken by id
CREATE INDEX products_by_name ON catalog.products (name, product_id);
CREATE INDEX products_by_price ON catalog.products (price, product_id);
CREATE INDEX products_by_category ON catalog.products (category, product_id);

GRANT INSERT, UPDATE, DELETE ON catalog.products TO throughline_catalog;
