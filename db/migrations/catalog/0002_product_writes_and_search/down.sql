REVOKE INSERT, UPDATE, DELETE ON catalog.products FROM throughline_catalog;
DROP INDEX catalog.products_by_category;
DROP INDEX catalog.products_by_price;
DROP INDEX catalog.products_by_name;
ALTER TABLE catalog.products DROP COLUMN search;
