//! What an order of the seeded history is, by its number.

use uuid::Uuid;

use super::{
    draw::{Draw, spread},
    rows::Rows,
};
use crate::seed::{Product, products};

/// How many customers the history has.
pub(super) const CUSTOMERS: u64 = 10_000;
/// Over how many seconds orders and posts are spread: 365 days.
pub(super) const SPAN: u64 = 365 * DAY;
const DAY: u64 = 86_400;
const HOUR: u64 = 3_600;
/// Coprime with the 200 products: the best sellers are not all of one category.
const SHUFFLE: usize = 37;

/// The id of customer `number` of the history.
pub(super) fn customer_id(number: u64) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("urn:throughline:customer:{number}").as_bytes())
}

/// All customers, who have been there since `start`.
pub(super) fn customers(start: u64) -> Rows {
    let mut rows = Rows::new();
    for number in 0..CUSTOMERS {
        let (name, email) = (format!("customer-{number:05}"), format!("customer-{number:05}@history.throughline.test"));
        rows.row(4).uuid(customer_id(number)).text(&name).text(&email).time(start);
    }
    rows
}

/// Makes orders between `start` and 365 days later.
pub(super) struct Shop {
    start: u64,
    customers: Vec<Uuid>,
    goods: Vec<Good>,
}

struct Good {
    product: Product,
    cents: u64,
}

/// An order before it is written. Times are milliseconds since 1970.
pub(super) struct PastOrder {
    id: Uuid,
    created: u64,
    updated: u64,
    customer: Uuid,
    status: &'static str,
    version: i64,
    request: [u8; 32],
    lines: Vec<Line>,
}

struct Line {
    good: usize,
    quantity: u64,
}

impl Shop {
    pub(super) fn since(start: u64) -> Self {
        let good = |product: Product| Good { cents: u64::try_from(product.price.mantissa()).unwrap_or_default(), product };
        Self { start, customers: (0..CUSTOMERS).map(customer_id).collect(), goods: products().into_iter().map(good).collect() }
    }

    /// When it was placed, and its id.
    pub(super) fn begin(&self, number: u64) -> (u64, Uuid) {
        let (created, id, _) = self.draw(number);
        (created, id)
    }

    /// The same, and the draws for the rest.
    fn draw(&self, number: u64) -> (u64, Uuid, Draw) {
        let mut draw = Draw::of(b"an order", number);
        let created = self.start + spread(number, SPAN) * 1_000 + draw.below(1_000);
        let id = draw.id(created);
        (created, id, draw)
    }

    /// The order of that number.
    pub(super) fn order(&self, number: u64) -> PastOrder {
        let (created, id, mut draw) = self.draw(number);
        let customer = self.customers[index(draw.skewed(CUSTOMERS))];
        let age = (self.start + SPAN * 1_000).saturating_sub(created) / 1_000;
        let (status, version, after) = fate(&mut draw, age);
        let mut request = [0; 32];
        request.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&draw.next().to_be_bytes()));
        let lines = self.lines(&mut draw);
        PastOrder { id, created, updated: created + after * 1_000, customer, status, version, request, lines }
    }

    /// One to five, each of another product.
    fn lines(&self, draw: &mut Draw) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for _ in 0..=draw.below(5) {
            let mut good = index(draw.skewed(200)) * SHUFFLE % self.goods.len();
            while lines.iter().any(|line| line.good == good) {
                good = (good + 1) % self.goods.len();
            }
            lines.push(Line { good, quantity: 1 + draw.skewed(5) });
        }
        lines
    }

    /// Adds its rows.
    pub(super) fn write(&self, order: &PastOrder, orders: &mut Rows, items: &mut Rows) {
        let mut total = 0;
        for (number, line) in (1..).zip(&order.lines) {
            let Good { product, cents } = &self.goods[line.good];
            total += cents * line.quantity;
            let quantity = i32::try_from(line.quantity).unwrap_or(1);
            items.row(6).uuid(order.id).int2(number).uuid(product.product_id).text(&product.name).int4(quantity).cents(*cents);
        }
        orders.row(9).uuid(order.id).uuid(order.customer).text(order.status).cents(total).text("EUR");
        orders.bytea(&order.request).int8(order.version).time(order.created).time(order.updated);
    }
}

/// What has become of an order that is `age` seconds old: its status, its version, and after how many seconds that was. Six in
/// a hundred are cancelled; the others are paid within hours, shipped within days, and delivered two weeks after at the latest.
fn fate(draw: &mut Draw, age: u64) -> (&'static str, i64, u64) {
    let paid = HOUR + draw.below(2 * DAY);
    let shipped = paid + DAY + draw.below(4 * DAY);
    let delivered = shipped + DAY + draw.below(7 * DAY);
    let cancelled = draw.below(100) < 6;
    match age {
        _ if cancelled && age >= paid => ("cancelled", 2, paid),
        _ if age < paid => ("placed", 1, 0),
        _ if age < shipped => ("paid", 2, paid),
        _ if age < delivered => ("shipped", 3, shipped),
        _ => ("delivered", 4, delivered),
    }
}

/// A drawn position.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or_default()
}
