//! Diesel's view of the migrated database, one module per Postgres schema.
//!
//! Generated; do not edit. After a migration: `db schema --output db/src/schema.rs` (`db schema --check` tells whether that is
//! needed).
#![allow(missing_docs, reason = "db/migrations says what a table and a column mean")]

/// Tables of the Postgres schema `auth`.
pub mod auth {
    diesel::table! {
        auth.avatars (user_id) {
            user_id -> Uuid,
            media_type -> Text,
            bytes -> Bytea,
            sha256 -> Bytea,
            updated_at -> Timestamptz,
        }
    }

    diesel::table! {
        auth.outbox (id) {
            id -> Int8,
            event_id -> Uuid,
            topic -> Text,
            key -> Text,
            shard -> Int2,
            payload -> Text,
            traceparent -> Nullable<Text>,
            tracestate -> Nullable<Text>,
            created_at -> Timestamptz,
        }
    }

    diesel::table! {
        auth.sessions (session_id) {
            session_id -> Uuid,
            user_id -> Uuid,
            client_address -> Nullable<Text>,
            opened_at -> Timestamptz,
            last_refreshed_at -> Nullable<Timestamptz>,
            expires_at -> Timestamptz,
            ended_at -> Nullable<Timestamptz>,
            end_reason -> Nullable<Text>,
        }
    }

    diesel::table! {
        auth.users (user_id) {
            user_id -> Uuid,
            username -> Text,
            email -> Text,
            password_hash -> Text,
            role -> Text,
            version -> Int8,
            created_at -> Timestamptz,
        }
    }

    diesel::joinable!(avatars -> users (user_id));
    diesel::allow_tables_to_appear_in_same_query!(avatars, outbox, sessions, users);
}

/// Tables of the Postgres schema `catalog`.
pub mod catalog {
    diesel::table! {
        catalog.comments (comment_id) {
            comment_id -> Uuid,
            post_id -> Uuid,
            author_id -> Uuid,
            author_username -> Text,
            body -> Text,
            created_at -> Timestamptz,
        }
    }

    diesel::table! {
        catalog.posts (post_id) {
            post_id -> Uuid,
            author_id -> Uuid,
            author_username -> Text,
            title -> Text,
            body -> Text,
            version -> Int8,
            created_at -> Timestamptz,
            updated_at -> Timestamptz,
        }
    }

    diesel::table! {
        catalog.products (product_id) {
            product_id -> Uuid,
            sku -> Text,
            name -> Text,
            description -> Text,
            category -> Text,
            price -> Numeric,
            currency -> Text,
            version -> Int8,
            created_at -> Timestamptz,
            updated_at -> Timestamptz,
        }
    }

    diesel::joinable!(comments -> posts (post_id));
    diesel::allow_tables_to_appear_in_same_query!(comments, posts, products);
}

/// Tables of the Postgres schema `orders`.
pub mod orders {
    diesel::table! {
        orders.customers (customer_id) {
            customer_id -> Uuid,
            username -> Text,
            email -> Text,
            created_at -> Timestamptz,
            origin -> Text,
        }
    }

    diesel::table! {
        orders.order_items (order_id, line) {
            order_id -> Uuid,
            line -> Int2,
            product_id -> Uuid,
            product_name -> Text,
            quantity -> Int4,
            unit_price -> Numeric,
        }
    }

    diesel::table! {
        orders.orders (order_id) {
            order_id -> Uuid,
            customer_id -> Uuid,
            status -> Text,
            total_amount -> Numeric,
            currency -> Text,
            idempotency_key -> Nullable<Text>,
            request_hash -> Bytea,
            version -> Int8,
            created_at -> Timestamptz,
            updated_at -> Timestamptz,
        }
    }

    diesel::table! {
        orders.outbox (id) {
            id -> Int8,
            event_id -> Uuid,
            topic -> Text,
            key -> Text,
            shard -> Int2,
            payload -> Text,
            traceparent -> Nullable<Text>,
            tracestate -> Nullable<Text>,
            created_at -> Timestamptz,
        }
    }

    diesel::table! {
        orders.stock (product_id) {
            product_id -> Uuid,
            available -> Int4,
            version -> Int8,
        }
    }

    diesel::joinable!(order_items -> orders (order_id));
    diesel::joinable!(order_items -> stock (product_id));
    diesel::joinable!(orders -> customers (customer_id));
    diesel::allow_tables_to_appear_in_same_query!(customers, order_items, orders, outbox, stock);
}

/// Tables of the Postgres schema `events`.
pub mod events {
    diesel::table! {
        events.daily_orders (day, currency) {
            day -> Date,
            currency -> Text,
            orders -> Int8,
            cancelled -> Int8,
            revenue -> Numeric,
        }
    }

    diesel::table! {
        events.daily_users (day) {
            day -> Date,
            registrations -> Int8,
            logins -> Int8,
        }
    }

    diesel::table! {
        events.mail_outbox (event_id) {
            event_id -> Uuid,
            record -> Text,
            payload -> Bytea,
            traceparent -> Nullable<Text>,
            tracestate -> Nullable<Text>,
            created_at -> Timestamptz,
            state -> Text,
            attempts -> Int4,
            uncertain -> Int4,
            claim_id -> Nullable<Uuid>,
            due_at -> Timestamptz,
            ended_at -> Nullable<Timestamptz>,
            last_error -> Nullable<Text>,
        }
    }

    diesel::table! {
        events.processed_events (consumer, event_id) {
            consumer -> Text,
            event_id -> Uuid,
            processed_at -> Timestamptz,
        }
    }

    diesel::table! {
        events.product_sales (product_id) {
            product_id -> Uuid,
            units -> Int8,
        }
    }

    diesel::allow_tables_to_appear_in_same_query!(daily_orders, daily_users, mail_outbox, processed_events, product_sales);
}
