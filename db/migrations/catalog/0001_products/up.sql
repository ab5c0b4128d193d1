CREATE TABLE catalog.products (
    product_id  uuid PRIMARY KEY,
    sku         text NOT NULL CONSTRAINT products_sku_key UNIQUE,
    name        text NOT NULL CONSTRAINT products_name_check CHECK (name <> ''),
    description text NOT NULL DEFAULT '',
    category    text NOT NULL,
    price       numeric(12, 2) NOT NULL CONSTRAINT products_price_check CHECK (price >= 0),
    currency    text NOT NULL CONSTRAINT products_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

GRANT USAGE ON SCHEMA catalog TO throughline_catalog;
GRANT SELECT ON catalog.products TO throughline_catalog;
