//! Each role can do its work and nothing else.

use db::roles::Role;
use db::testing::TestDatabase;
use diesel_async::SimpleAsyncConnection;

use crate::{lines, open};

/// All that any role of a service may do with any table, diesel's books included. (The owner, `throughline_admin` where the
/// mesh runs the server, is a superuser.)
const GRANTED: &[&str] = &[
    "throughline_analytics events.daily_orders SELECT INSERT UPDATE",
    "throughline_analytics events.daily_users SELECT INSERT UPDATE",
    "throughline_analytics events.processed_events SELECT INSERT DELETE",
    "throughline_analytics events.product_sales SELECT INSERT UPDATE",
    "throughline_auth auth.avatars SELECT INSERT UPDATE",
    "throughline_auth auth.outbox SELECT INSERT DELETE",
    "throughline_auth auth.sessions SELECT INSERT DELETE",
    "throughline_auth auth.users SELECT INSERT UPDATE DELETE",
    "throughline_catalog catalog.comments SELECT INSERT",
    "throughline_catalog catalog.posts SELECT INSERT UPDATE DELETE",
    "throughline_catalog catalog.products SELECT INSERT UPDATE DELETE",
    "throughline_notification events.mail_outbox SELECT INSERT UPDATE DELETE",
    "throughline_notification events.processed_events SELECT INSERT DELETE",
    "throughline_orders orders.customers SELECT INSERT UPDATE",
    "throughline_orders orders.order_items SELECT INSERT",
    "throughline_orders orders.orders SELECT INSERT UPDATE",
    "throughline_orders orders.outbox SELECT INSERT DELETE",
    "throughline_orders orders.stock SELECT INSERT UPDATE",
    "schema auth throughline_auth",
    "schema catalog throughline_catalog",
    "schema events throughline_analytics throughline_notification",
    "schema orders throughline_orders",
];

const TABLES: &str = "
    SELECT r.rolname || ' ' || c.oid::regclass || ' ' || string_agg(p.name, ' ' ORDER BY p.place) AS line
    FROM pg_roles r, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
         unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) WITH ORDINALITY p (name, place)
    WHERE r.rolname LIKE 'throughline\\_%' AND NOT r.rolsuper AND c.relkind IN ('r', 'p', 'v') AND n.nspname IN ('auth', 'catalog', 'orders', 'events', 'public')
      AND has_table_privilege(r.oid, c.oid, p.name)
    GROUP BY r.rolname, c.oid::regclass ORDER BY r.rolname, c.oid::regclass::text";

const SCHEMAS: &str = "
    SELECT 'schema ' || n.nspname || ' ' || string_agg(r.rolname, ' ' ORDER BY r.rolname) AS line
    FROM pg_roles r, pg_namespace n
    WHERE r.rolname LIKE 'throughline\\_%' AND NOT r.rolsuper AND n.nspname IN ('auth', 'catalog', 'orders', 'events', 'public')
      AND has_schema_privilege(r.oid, n.oid, 'USAGE')
    GROUP BY n.nspname ORDER BY n.nspname";

#[tokio::test]
async fn the_rights_are_these_and_no_others() {
    let database = TestDatabase::create().await;
    let mut connection = open(&database.admin_url()).await;
    let mut granted = lines(&mut connection, TABLES).await;
    granted.extend(lines(&mut connection, SCHEMAS).await);
    assert_eq!(granted, GRANTED);
}

#[tokio::test]
async fn nobody_makes_objects_and_strangers_stay_outside() {
    let database = TestDatabase::create().await;
    let mut admin = open(&database.admin_url()).await;
    let stranger = "SELECT format('%s %s', has_database_privilege('public', current_database(), 'CONNECT'),
        has_schema_privilege('public', 'public', 'CREATE')) AS line";
    assert_eq!(lines(&mut admin, stranger).await, ["f f"]);
    for role in Role::ALL {
        let mut connection = open(&database.url(role)).await;
        for statement in
            ["CREATE TEMP TABLE t ()", "CREATE TABLE public.t ()", "CREATE TABLE events.t ()", "CREATE SCHEMA s", "CREATE ROLE r"]
        {
            refused(&mut connection, role, statement).await;
        }
    }
}

#[tokio::test]
async fn roles_log_in_with_a_hashed_password_and_no_attributes() {
    let database = TestDatabase::create().await;
    let mut admin = open(&database.admin_url()).await;
    let roles = "SELECT rolname::text AS line FROM pg_authid WHERE rolname LIKE 'throughline\\_%' AND rolcanlogin
        AND rolpassword LIKE 'SCRAM-SHA-256$%'
        AND NOT (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls) ORDER BY rolname";
    let mut names = Role::ALL.map(Role::name);
    names.sort_unstable();
    assert_eq!(lines(&mut admin, roles).await, names);
}

/// What each service does in a request, and where its neighbour's door is closed.
#[tokio::test]
async fn a_role_does_its_own_work_and_not_its_neighbours() {
    let database = TestDatabase::create().await;
    let may = [
        (
            Role::Auth,
            "INSERT INTO auth.users (user_id, username, email, password_hash) VALUES (gen_random_uuid(), 'eve', 'e@example.org', 'x')",
        ),
        (Role::Auth, "UPDATE auth.users SET password_hash = 'y'"),
        (Role::Auth, "INSERT INTO auth.outbox (event_id, topic, key, shard, payload) VALUES (gen_random_uuid(), 't', 'k', 0, '{}')"),
        (Role::Auth, "DELETE FROM auth.outbox"),
        (
            Role::Auth,
            "INSERT INTO auth.avatars (user_id, media_type, bytes, sha256)
                SELECT user_id, 'image/png', '\\x00', sha256('\\x00') FROM auth.users WHERE username = 'eve'
             ON CONFLICT (user_id) DO UPDATE SET bytes = excluded.bytes",
        ),
        // its picture goes with it
        (Role::Auth, "DELETE FROM auth.users WHERE username = 'eve'"),
        (Role::Catalog, "SELECT * FROM catalog.products LIMIT 1"),
        (Role::Catalog, "UPDATE catalog.products SET price = 0 WHERE sku = 'COF-001'"),
        (
            Role::Catalog,
            "INSERT INTO catalog.posts (post_id, author_id, author_username, title, body)
             VALUES ('00000000-0000-0000-0000-000000000002', gen_random_uuid(), 'ada', 't', 'b')",
        ),
        (
            Role::Catalog,
            "INSERT INTO catalog.comments (comment_id, post_id, author_id, author_username, body)
             VALUES (gen_random_uuid(), '00000000-0000-0000-0000-000000000002', gen_random_uuid(), 'eve', 'c')",
        ),
        // the comments go with it, though the role may delete none
        (Role::Catalog, "DELETE FROM catalog.posts"),
        (Role::Orders, "INSERT INTO orders.customers VALUES ('00000000-0000-0000-0000-000000000001', 'c', 'c') ON CONFLICT DO NOTHING"),
        (Role::Orders, "UPDATE orders.customers SET username = 'd'"),
        (Role::Orders, "INSERT INTO orders.stock VALUES (gen_random_uuid(), 1)"),
        (Role::Orders, "UPDATE orders.stock SET available = available - 1"),
        (
            Role::Orders,
            "WITH o AS (INSERT INTO orders.orders (order_id, customer_id, status, total_amount, currency, request_hash)
                VALUES (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'placed', 1, 'EUR', '\\x') RETURNING order_id)
             INSERT INTO orders.order_items SELECT order_id, 1, (SELECT product_id FROM orders.stock LIMIT 1), 'n', 1, 1 FROM o",
        ),
        (Role::Orders, "INSERT INTO orders.outbox (event_id, topic, key, shard, payload) VALUES (gen_random_uuid(), 't', 'k', 0, '{}')"),
        (Role::Orders, "DELETE FROM orders.outbox WHERE id IN (SELECT id FROM orders.outbox WHERE shard = 0 ORDER BY id LIMIT 500)"),
        (Role::Notification, "INSERT INTO events.processed_events VALUES ('notification', gen_random_uuid()) ON CONFLICT DO NOTHING"),
        (Role::Notification, "UPDATE events.processed_events SET processed_at = now()"),
        (Role::Notification, "DELETE FROM events.processed_events"),
        (
            Role::Analytics,
            "INSERT INTO events.daily_orders (day, currency, orders) VALUES ('2026-11-21', 'EUR', 1)
             ON CONFLICT (day, currency) DO UPDATE SET orders = daily_orders.orders + excluded.orders",
        ),
    ];
    for (role, statement) in may {
        let mut connection = open(&database.url(role)).await;
        connection.batch_execute(statement).await.unwrap_or_else(|error| panic!("{role}: {statement}: {error}"));
    }
    let may_not = [
        (Role::Auth, "SELECT * FROM orders.customers"),
        (Role::Auth, "TRUNCATE auth.users CASCADE"),
        (Role::Auth, "DELETE FROM auth.avatars"),
        (Role::Catalog, "TRUNCATE catalog.products"),
        (Role::Catalog, "DELETE FROM catalog.comments"),
        (Role::Catalog, "SELECT * FROM orders.stock"),
        (Role::Orders, "SELECT * FROM auth.users"),
        (Role::Orders, "SELECT * FROM catalog.products"),
        (Role::Orders, "DELETE FROM orders.customers"),
        (Role::Orders, "UPDATE orders.order_items SET unit_price = 0"),
        (Role::Orders, "DELETE FROM orders.stock"),
        (Role::Orders, "DELETE FROM orders.orders"),
        (Role::Orders, "SELECT * FROM orders.__diesel_schema_migrations"),
        (Role::Notification, "SELECT * FROM events.daily_orders"),
        (Role::Notification, "UPDATE events.processed_events SET event_id = gen_random_uuid()"),
        (Role::Analytics, "UPDATE events.processed_events SET processed_at = now()"),
        (Role::Analytics, "SELECT * FROM events.mail_outbox"),
        (Role::Analytics, "SELECT * FROM auth.users"),
        (Role::Analytics, "TRUNCATE events.product_sales"),
    ];
    for (role, statement) in may_not {
        refused(&mut open(&database.url(role)).await, role, statement).await;
    }
}

async fn refused(connection: &mut diesel_async::AsyncPgConnection, role: Role, statement: &str) {
    let answer = connection.batch_execute(statement).await;
    let error = answer.expect_err(&format!("{role} may not: {statement}")).to_string();
    assert!(error.contains("permission denied"), "{role}: {statement}: {error}");
}
