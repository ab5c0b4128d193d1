-- What a read of a product that is not in the cache asks Postgres.
\set n random(1, 20000)
SELECT product_id, sku, name, description, category, price, currency, version, created_at, updated_at
    FROM catalog.products WHERE product_id = ('00000000-0000-7000-8000-' || lpad(:n::text, 12, '0'))::uuid;
