DROP TABLE events.daily_users;
DROP TABLE events.product_sales;
DROP TABLE events.daily_orders;
DROP TABLE events.processed_events;
