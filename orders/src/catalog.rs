//! What is asked of catalog-cache.

use std::{collections::BTreeMap, time::Duration};

use chassis::{Process, StartError, grpc::Channel};
use proto::catalog::{BatchGetProductsRequest, Money, Product, product_service_client::ProductServiceClient};
use rust_decimal::{Decimal, dec};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{config::UpstreamConfig, error::OrderError, wish::Offer};

const MAX_PRICE: Decimal = dec!(9_999_999_999.99);

/// A client of one serving runtime.
#[derive(Clone)]
pub(crate) struct Catalog {
    channel: Channel,
    client: ProductServiceClient<Channel>,
    timeout: Duration,
}

impl Catalog {
    pub(crate) fn new(config: &UpstreamConfig, process: &Process) -> Result<Self, StartError> {
        let channel = process.channel(&config.catalog_cache)?;
        let client = ProductServiceClient::new(channel.clone());
        Ok(Self { channel, client, timeout: Duration::from_millis(config.timeout_ms) })
    }

    /// What the catalogue says of each product; unknown ones are left out.
    pub(crate) async fn offers(&self, products: impl Iterator<Item = Uuid>) -> Result<BTreeMap<Uuid, Offer>, OrderError> {
        let request = BatchGetProductsRequest { product_ids: products.map(|id| id.to_string()).collect() };
        let call = |request| {
            let mut client = self.client.clone();
            async move { client.batch_get_products(request).await }
        };
        let answer = self.channel.idempotent(self.timeout, request, call).await;
        answer.map_err(|status| failed(&status))?.products.into_iter().map(offer).collect()
    }
}

fn offer(product: Product) -> Result<(Uuid, Offer), OrderError> {
    let broken = |what: &str| OrderError::Internal(format!("catalog-cache sent a product with a bad {what}"));
    let Money { amount, currency } = product.price.ok_or_else(|| broken("price"))?;
    let price = amount.parse().ok().filter(is_price).ok_or_else(|| broken("price.amount"))?;
    let offer = Offer { name: product.name, price, currency };
    Ok((product.product_id.parse().map_err(|_| broken("product_id"))?, offer))
}

/// What `numeric(12, 2)` holds, to the cent: no sum of an order's lines overflows, and none is rounded.
fn is_price(amount: &Decimal) -> bool {
    amount.normalize().scale() <= 2 && (Decimal::ZERO..=MAX_PRICE).contains(amount)
}

fn failed(status: &Status) -> OrderError {
    let text = format!("catalog-cache: {status}");
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted => OrderError::Unavailable(text),
        _ => OrderError::Internal(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_whole_cents_that_a_column_holds() {
        for amount in ["0", "0.1", "0.10", "1.100", "9999999999.99", "9999999999"] {
            assert!(is_price(&amount.parse().unwrap()), "{amount}");
        }
        for amount in ["-0.01", "0.001", "1.999", "10000000000", "9999999999.991", "79228162514264337593543950335"] {
            assert!(!is_price(&amount.parse().unwrap()), "{amount}");
        }
    }
}
