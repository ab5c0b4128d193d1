-- Enough products for each to be read once in a run.
INSERT INTO catalog.products (product_id, sku, name, description, category, price, currency)
    SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'BENCH-' || n, 'Product ' || n,
        'Made to be read once: the first read of it meets no cache.', 'bench', 9.99, 'EUR' FROM generate_series(1, 20000) AS n;
