//! What somebody wants to order, and at what price they get it. No input or output.

use std::collections::{BTreeMap, HashSet};

use events::contract::Item;
use rust_decimal::{Decimal, dec};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    customer::Buyer,
    error::OrderError,
    field::Fields,
    order::{Order, now},
    status::Status,
};

/// Lines that an order may have.
pub(crate) const MAX_ITEMS: usize = 100;
/// Pieces that a line may have.
pub(crate) const MAX_QUANTITY: u32 = 1_000;
/// Largest sum: what `numeric(12, 2)` holds.
const MAX_TOTAL: Decimal = dec!(9_999_999_999.99);
const MAX_KEY: usize = 255;

/// What somebody wants: checked, and not priced yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) buyer: Buyer,
    /// Pieces by product, in the order of the request.
    pub(crate) lines: Vec<(Uuid, u32)>,
    pub(crate) idempotency_key: Option<String>,
}

/// What the catalogue says of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) name: String,
    pub(crate) price: Decimal,
    pub(crate) currency: String,
}

impl Wish {
    /// Checks a request; every mistake is named.
    pub(crate) fn new(
        customer: proto::orders::Customer,
        items: &[proto::orders::Item],
        idempotency_key: String,
    ) -> Result<Self, OrderError> {
        let mut fields = Fields::default();
        let user_id = fields.uuid("customer.user_id", &customer.user_id);
        fields.name("customer.username", &customer.username);
        fields.name("customer.email", &customer.email);
        if !idempotency_key.is_empty() && !is_idempotency_key(&idempotency_key) {
            fields.refuse("idempotency_key", format!("must be 1 to {MAX_KEY} visible ASCII characters"));
        }
        if items.is_empty() || items.len() > MAX_ITEMS {
            fields.refuse("items", format!("must have 1 to {MAX_ITEMS} lines"));
        }
        let lines = check_lines(items, &mut fields);
        fields.all_right()?;
        let buyer = Buyer { user_id, username: customer.username, email: customer.email };
        Ok(Self { buyer, lines, idempotency_key: Some(idempotency_key).filter(|key| !key.is_empty()) })
    }

    /// SHA-256 of what is wanted, whatever the order of the lines: the same wish has the same fingerprint.
    pub(crate) fn fingerprint(&self) -> Vec<u8> {
        let sorted: BTreeMap<Uuid, u32> = self.lines.iter().copied().collect();
        let mut hash = Sha256::new();
        for (product_id, quantity) in sorted {
            hash.update(product_id.as_bytes());
            hash.update(quantity.to_be_bytes());
        }
        hash.finalize().to_vec()
    }

    /// The order that fulfils the wish at the catalogue's prices.
    pub(crate) fn price(&self, offers: &BTreeMap<Uuid, Offer>) -> Result<Order, OrderError> {
        let mut fields = Fields::default();
        let mut items = Vec::with_capacity(self.lines.len());
        let mut currency: Option<&str> = None;
        for (index, (product_id, quantity)) in self.lines.iter().enumerate() {
            let field = || format!("items[{index}].product_id");
            match offers.get(product_id) {
                None => fields.refuse(field(), format!("there is no product {product_id}")),
                Some(offer) if *currency.get_or_insert(&offer.currency) != offer.currency => {
                    fields.refuse(field(), "has another currency than the first line");
                }
                Some(offer) => items.push(Item {
                    product_id: *product_id,
                    product_name: offer.name.clone(),
                    quantity: *quantity,
                    unit_price: offer.price,
                }),
            }
        }
        let total_amount = items.iter().map(|item| item.unit_price * Decimal::from(item.quantity)).sum();
        if total_amount > MAX_TOTAL {
            fields.refuse("items", format!("the sum {total_amount} is above {MAX_TOTAL}"));
        }
        fields.all_right()?;
        let created_at = now();
        Ok(Order {
            order_id: Uuid::now_v7(),
            user_id: self.buyer.user_id,
            status: Status::Placed,
            total_amount,
            currency: currency.unwrap_or_default().to_owned(),
            items,
            created_at,
            updated_at: created_at,
            version: 1,
        })
    }
}

fn check_lines(items: &[proto::orders::Item], fields: &mut Fields) -> Vec<(Uuid, u32)> {
    let mut seen = HashSet::new();
    let mut lines = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        if !(1..=MAX_QUANTITY).contains(&item.quantity) {
            fields.refuse(format!("items[{index}].quantity"), format!("must be 1 to {MAX_QUANTITY}"));
        }
        match item.product_id.parse::<Uuid>() {
            Err(_) => fields.refuse(format!("items[{index}].product_id"), "must be a UUID"),
            Ok(product_id) if !seen.insert(product_id) => {
                fields.refuse(format!("items[{index}].product_id"), "is there twice: put its pieces into one line");
            }
            Ok(product_id) => lines.push((product_id, item.quantity)),
        }
    }
    lines
}

fn is_idempotency_key(key: &str) -> bool {
    key.len() <= MAX_KEY && key.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(lines: &[(u128, u32)]) -> Result<Wish, OrderError> {
        let items: Vec<_> = lines
            .iter()
            .map(|(id, quantity)| proto::orders::Item { product_id: Uuid::from_u128(*id).to_string(), quantity: *quantity })
            .collect();
        let customer =
            proto::orders::Customer { user_id: Uuid::nil().to_string(), username: "ada".into(), email: "ada@example.com".into() };
        Wish::new(customer, &items, String::new())
    }

    fn offers(prices: &[(u128, Decimal, &str)]) -> BTreeMap<Uuid, Offer> {
        let offer = |price: Decimal, currency: &str| Offer { name: "pot".into(), price, currency: currency.into() };
        prices.iter().map(|(id, price, currency)| (Uuid::from_u128(*id), offer(*price, currency))).collect()
    }

    fn fields(error: OrderError) -> Vec<String> {
        let OrderError::Invalid(violations) = error else { panic!("not a violation: {error}") };
        violations.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn every_wrong_field_is_named() {
        let error = wish(&[(1, 0), (2, 1_001), (1, 3)]).unwrap_err();
        assert_eq!(fields(error), ["items[0].quantity", "items[1].quantity", "items[2].product_id"]);
        assert_eq!(fields(wish(&[]).unwrap_err()), ["items"]);
    }

    #[test]
    fn the_sum_is_exact() {
        let order = wish(&[(1, 3), (2, 7)]).unwrap().price(&offers(&[(1, dec!(0.10), "EUR"), (2, dec!(19.99), "EUR")])).unwrap();
        assert_eq!(order.total_amount, dec!(140.23));
    }

    #[test]
    fn unknown_products_mixed_currencies_and_sums_that_do_not_fit_are_refused() {
        let mixed = offers(&[(1, dec!(1), "EUR"), (2, dec!(1), "USD")]);
        assert_eq!(
            fields(wish(&[(1, 1), (2, 1), (3, 1)]).unwrap().price(&mixed).unwrap_err()),
            ["items[1].product_id", "items[2].product_id"]
        );
        let dear = offers(&[(1, dec!(9_999_999_999.99), "EUR")]);
        assert_eq!(fields(wish(&[(1, 2)]).unwrap().price(&dear).unwrap_err()), ["items"]);
    }

    #[test]
    fn the_fingerprint_ignores_the_order_of_the_lines_only() {
        let one = wish(&[(1, 1), (2, 2)]).unwrap().fingerprint();
        assert_eq!(one, wish(&[(2, 2), (1, 1)]).unwrap().fingerprint());
        assert_ne!(one, wish(&[(1, 2), (2, 2)]).unwrap().fingerprint());
    }
}
