//! What everybody remembers afterwards, compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    time::Duration,
};

use uuid::Uuid;

use super::{
    crowd::{Fate, Placed},
    stores::{leaderboard, mails},
    wire::{Event, GROUPS, Told, Wire},
};
use crate::{
    running::{Mesh, within},
    truth::Truth,
};

const STOCK: i64 = 1_000_000;
/// Until everything that was placed has had its effects.
const SETTLED: Duration = Duration::from_mins(6);
const UNSENT: &str = "SELECT count(*) FROM events.mail_outbox WHERE state IN ('pending', 'sending')";

/// One comparison.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) what: &'static str,
    pub(crate) expected: String,
    pub(crate) found: String,
    pub(crate) agrees: bool,
}

pub(crate) struct Books<'a> {
    mesh: &'a Mesh,
    wire: Wire,
    truth: Truth,
    pub(crate) lines: Vec<Line>,
    /// What may be there twice, and how often it was.
    pub(crate) duplicates: Vec<(&'static str, usize)>,
}

impl<'a> Books<'a> {
    pub(crate) async fn open(mesh: &'a Mesh) -> Self {
        Self { mesh, wire: Wire::of(mesh), truth: Truth::of(mesh).await, lines: Vec::new(), duplicates: Vec::new() }
    }

    /// Waits until nothing is on its way any more: what a request has left behind, then what each consumer has to do.
    pub(crate) async fn settled(&self) {
        let has_mail_outbox = self.truth.number("SELECT count(to_regclass('events.mail_outbox'))").await == 1;
        within(SETTLED, || async {
            let outboxes = self.truth.number("(SELECT count(*) FROM orders.outbox) + (SELECT count(*) FROM auth.outbox)").await;
            let mut waiting = vec![("outboxes", Ok(outboxes))];
            // in the order in which a record goes its way
            waiting.extend(GROUPS.iter().map(|(group, _)| (*group, self.wire.lag(group))));
            if has_mail_outbox {
                waiting.push(("mails", Ok(self.truth.number(UNSENT).await)));
            }
            if waiting.iter().all(|(_, left)| matches!(left, Ok(0))) { Ok(()) } else { Err(format!("still waiting: {waiting:?}")) }
        })
        .await;
    }

    fn line(&mut self, what: &'static str, expected: impl Display, found: impl Display) {
        let (expected, found) = (expected.to_string(), found.to_string());
        self.lines.push(Line { what, agrees: expected == found, expected, found });
    }

    /// Two lists that must be the same: told by their sizes and by how much is in one of them only.
    fn same<T: Ord>(&mut self, what: &'static str, expected: &BTreeSet<T>, found: &BTreeSet<T>) {
        let (lost, more) = (expected.difference(found).count(), found.difference(expected).count());
        let agrees = lost + more == 0;
        let found = if agrees { found.len().to_string() } else { format!("{} ({lost} lost, {more} too many)", found.len()) };
        self.lines.push(Line { what, expected: expected.len().to_string(), found, agrees });
    }

    pub(crate) async fn compare(&mut self, placed: &[Placed]) {
        let answered: BTreeSet<String> = placed.iter().map(|order| order.order_id.clone()).collect();
        self.line("orders answered, each key with an order of its own", placed.len(), answered.len());
        self.rows(placed, &answered).await;
        let notices = self.events(placed, &answered);
        self.rollups().await;
        self.mails(&notices);
    }

    async fn rows(&mut self, placed: &[Placed], answered: &BTreeSet<String>) {
        let rows = self.truth.sold("SELECT order_id::text, version FROM orders.orders").await;
        self.same("rows in orders.orders", answered, &rows.into_keys().collect());
        for (fate, what, sql) in [
            (Fate::Delivered, "of them delivered", "SELECT order_id::text, version FROM orders.orders WHERE status = 'delivered'"),
            (Fate::Cancelled, "of them cancelled", "SELECT order_id::text, version FROM orders.orders WHERE status = 'cancelled'"),
        ] {
            let rows = self.truth.sold(sql).await.into_keys().collect();
            self.same(what, &placed.iter().filter(|order| order.fate == fate).map(|order| order.order_id.clone()).collect(), &rows);
        }
    }

    /// Returns the ids of all notices.
    fn events(&mut self, placed: &[Placed], answered: &BTreeSet<String>) -> BTreeSet<Uuid> {
        let number = |fate| placed.iter().filter(|order| order.fate == fate).count();
        let (steps, cancelled) = (3 * number(Fate::Delivered), number(Fate::Cancelled));
        let (created, updated, gone) = (self.told("orders.created"), self.told("orders.updated"), self.told("orders.cancelled"));
        self.line("distinct OrderPlaced on orders.created", placed.len(), created.events.len());
        self.same("orders that they tell of", answered, &created.aggregates());
        self.line("distinct OrderUpdated on orders.updated", steps, updated.events.len());
        self.line("distinct OrderCancelled on orders.cancelled", cancelled, gone.events.len());
        let (facts, notices) = (self.told("analytics"), self.told("notifications"));
        let derived = |topic: &str, from: &[&Told]| -> BTreeSet<Uuid> {
            from.iter().flat_map(|told| &told.events).map(|event| Uuid::new_v5(&event.event_id, topic.as_bytes())).collect()
        };
        let ids = |told: &Told| told.events.iter().map(|event| event.event_id).collect::<BTreeSet<_>>();
        self.same("distinct facts on analytics", &derived("analytics", &[&created, &gone]), &ids(&facts));
        self.same("distinct notices on notifications", &derived("notifications", &[&created, &updated, &gone]), &ids(&notices));
        let steps = |event: &Event| event.event_type == "OrderUpdated" || event.data.change.as_deref() == Some("updated");
        self.line("steps of one order out of order, orders.updated", 0, updated.misplaced(steps));
        self.line("steps of one order out of order, notifications", 0, notices.misplaced(steps));
        ids(&notices)
    }

    fn told(&mut self, topic: &'static str) -> Told {
        let told = self.wire.told(topic);
        self.duplicates.push((topic, told.duplicates()));
        told
    }

    async fn rollups(&mut self) {
        for (what, expected, found) in [
            ("orders in events.daily_orders", "SELECT count(*) FROM orders.orders", "SELECT sum(orders) FROM events.daily_orders"),
            (
                "cancelled ones in events.daily_orders",
                "SELECT count(*) FROM orders.orders WHERE status = 'cancelled'",
                "SELECT sum(cancelled) FROM events.daily_orders",
            ),
            (
                "revenue in events.daily_orders",
                "SELECT sum(total_amount) FROM orders.orders WHERE status <> 'cancelled'",
                "SELECT sum(revenue) FROM events.daily_orders",
            ),
            ("registrations in events.daily_users", "SELECT count(*) FROM auth.users", "SELECT sum(registrations) FROM events.daily_users"),
        ] {
            let (expected, found) = (self.truth.text(expected).await, self.truth.text(found).await);
            self.line(what, expected, found);
        }
        let sold = "SELECT product_id::text, sum(quantity)::bigint FROM orders.order_items JOIN orders.orders USING (order_id) \
            WHERE status <> 'cancelled' GROUP BY 1";
        let taken = format!("SELECT product_id::text, ({STOCK} - available)::bigint FROM orders.stock WHERE available <> {STOCK}");
        let sold = self.truth.sold(sold).await;
        for (what, sql) in [
            ("pieces taken from stock", taken.as_str()),
            ("pieces in events.product_sales", "SELECT product_id::text, units FROM events.product_sales"),
        ] {
            let found = self.truth.sold(sql).await;
            self.pieces(what, &sold, found);
        }
        self.pieces("pieces in the leaderboard (Redis)", &sold, leaderboard(self.mesh));
    }

    fn pieces(&mut self, what: &'static str, expected: &BTreeMap<String, i64>, mut found: BTreeMap<String, i64>) {
        found.retain(|_, units| *units != 0);
        let told = |pieces: &BTreeMap<String, i64>| format!("{} of {} products", pieces.values().sum::<i64>(), pieces.len());
        self.lines.push(Line { what, expected: told(expected), found: told(&found), agrees: *expected == found });
    }

    /// Each notice is a mail, under the notice's id.
    fn mails(&mut self, notices: &BTreeSet<Uuid>) {
        let (mails, mut uncertain, mut letters) = (mails(self.mesh), BTreeSet::new(), 0);
        self.wire.each("dlq", |letter| {
            // nobody can know whether such a mail has gone out: that is for a person to find out
            if letter.headers.get("dlq.error.type").is_some_and(|kind| kind == "uncertain") {
                uncertain.insert(letter.event().event_id);
            } else {
                letters += 1;
            }
        });
        let sent: BTreeSet<Uuid> = mails.iter().copied().chain(uncertain.iter().copied()).collect();
        self.same("mails, by Message-ID", notices, &sent);
        self.line("dead letters", 0, letters);
        let distinct = mails.iter().collect::<BTreeSet<_>>().len();
        self.duplicates.push(("mails", mails.len() - distinct));
        self.duplicates.push(("mails of which nobody knows (dead letters)", uncertain.len()));
    }
}
