//! What Postgres, the mail folder and the outboxes really hold.

use std::collections::BTreeMap;

use tokio_postgres::{Client, NoTls, Row};

use crate::running::{Mesh, eventually};

/// Looks into the mesh's database as its administrator.
pub(crate) struct Truth(Client);

impl Truth {
    pub(crate) async fn of(mesh: &Mesh) -> Self {
        let (client, connection) = tokio_postgres::connect(&mesh.endpoint("postgres"), NoTls).await.unwrap();
        #[allow(clippy::disallowed_methods, reason = "no trace context to lose in a test")]
        tokio::spawn(connection);
        Self(client)
    }

    async fn one(&self, sql: &str) -> Row {
        self.0.query_one(sql, &[]).await.unwrap()
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.one(&format!("SELECT ({sql})::bigint")).await.get(0)
    }

    pub(crate) async fn text(&self, sql: &str) -> String {
        self.one(&format!("SELECT ({sql})::text")).await.get(0)
    }

    pub(crate) async fn orders(&self) -> i64 {
        self.number("SELECT count(*) FROM orders.orders").await
    }

    /// Pieces by product id, for the products that were ever sold.
    pub(crate) async fn sold(&self, sql: &str) -> BTreeMap<String, i64> {
        let rows = self.0.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Waits until every order has had all its effects: outboxes empty, mails written, rollups grown.
    pub(crate) async fn settled(&self, mesh: &Mesh) {
        eventually(|| async {
            let orders = self.orders().await;
            let waiting = self.number("(SELECT count(*) FROM orders.outbox) + (SELECT count(*) FROM auth.outbox)").await;
            let counted = self.number("SELECT coalesce(sum(orders), 0) FROM events.daily_orders").await;
            let mails = i64::try_from(mails(mesh).len()).unwrap();
            let claimed = self.number("SELECT count(*) FROM events.processed_events WHERE consumer = 'notification'").await;
            if waiting == 0 && counted >= orders && mails >= orders && claimed >= orders {
                return Ok(());
            }
            Err(format!("{orders} orders, {waiting} in outboxes, {counted} in rollups, {claimed} notices handled, {mails} mails"))
        })
        .await;
    }

    /// Stock, lines, rollups, events and mails all tell of the same orders.
    pub(crate) async fn agrees(&self, mesh: &Mesh, initial_stock: i64) {
        let orders = self.orders().await;
        assert_eq!(self.number("SELECT coalesce(sum(orders), 0) FROM events.daily_orders").await, orders, "orders per day");
        let revenue = self.text("SELECT sum(total_amount) FROM orders.orders").await;
        assert_eq!(self.text("SELECT sum(revenue) FROM events.daily_orders").await, revenue, "revenue per day");
        let lines = self.sold("SELECT product_id::text, sum(quantity)::bigint FROM orders.order_items GROUP BY 1").await;
        assert_eq!(self.sold("SELECT product_id::text, units FROM events.product_sales").await, lines, "units per product");
        let taken =
            format!("SELECT product_id::text, ({initial_stock} - available)::bigint FROM orders.stock WHERE available <> {initial_stock}");
        assert_eq!(self.sold(&taken).await, lines, "stock");
        let mut mails = mails(mesh);
        assert_eq!(i64::try_from(mails.len()).unwrap(), orders, "mails");
        mails.sort();
        mails.dedup();
        assert_eq!(i64::try_from(mails.len()).unwrap(), orders, "Message-IDs");
    }
}

/// The Message-ID of every mail that was sent.
pub(crate) fn mails(mesh: &Mesh) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(mesh.home().join("mail")) else { return Vec::new() };
    let texts = folder.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
    texts.filter_map(|text| Some(text.lines().find(|line| line.starts_with("Message-ID:"))?.to_owned())).collect()
}
