-- Shelves that never run empty, with ids that a script can compute, and the one customer.
INSERT INTO orders.stock (product_id, available) SELECT lpad(n::text, 32, '0')::uuid, 1000000000 FROM generate_series(1, 200) AS n;
INSERT INTO orders.customers (customer_id, username, email) VALUES ('00000000-0000-0000-0000-000000000001', 'bench', 'bench@example.org');
