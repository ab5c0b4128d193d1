DROP TABLE orders.order_items;
DROP TABLE orders.orders;
DROP TABLE orders.stock;
DROP TABLE orders.customers;
