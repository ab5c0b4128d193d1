//! `throughline.orders.v1.OrderService`: from messages to the domain and back.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::status::Violation;
use db::pool::Pool;
use events::{outbox::OutboxRow, relay::RelayHandle};
use prost_types::Timestamp;
use proto::orders::{
    GetOrderRequest, GetOrderResponse, ListOrdersRequest, ListOrdersResponse, OrderItem, OrderStatus, PlaceOrderRequest,
    PlaceOrderResponse, order_service_server::OrderService,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{
    catalog::Catalog,
    error::OrderError,
    order::{Order, Wish},
    store::{self, Placed},
};

/// Orders on a page where the request names no number.
const DEFAULT_PAGE: u32 = 20;
const MAX_PAGE: u32 = 100;

/// One per serving runtime.
pub(crate) struct Orders {
    pool: Pool,
    catalog: Catalog,
    relay: RelayHandle,
}

impl Orders {
    pub(crate) fn new(pool: Pool, catalog: Catalog, relay: RelayHandle) -> Self {
        Self { pool, catalog, relay }
    }

    async fn place(&self, wish: Wish) -> Result<Placed, OrderError> {
        let offers = self.catalog.offers(wish.lines.iter().map(|(product_id, _)| *product_id)).await?;
        let order = match wish.price(&offers) {
            Ok(order) => order,
            // a repeat gets its order even where the product is no longer sold
            Err(refusal) => return self.placed_before(&wish).await?.ok_or(refusal),
        };
        let event = OutboxRow::new(order.order_id, order.version, order.placed(&wish.customer))
            .map_err(|error| OrderError::Internal(error.to_string()))?;
        let mut connection = self.pool.get().await?;
        let placed = store::place(&mut connection, &wish, order, &event).await?;
        self.relay.wake();
        Ok(placed)
    }

    async fn placed_before(&self, wish: &Wish) -> Result<Option<Placed>, OrderError> {
        if wish.idempotency_key.is_none() {
            return Ok(None);
        }
        let mut connection = self.pool.get().await?;
        store::placed_before(&mut connection, wish).await
    }
}

#[tonic::async_trait]
impl OrderService for Orders {
    async fn place_order(&self, request: Request<PlaceOrderRequest>) -> Result<Response<PlaceOrderResponse>, Status> {
        let request = request.into_inner();
        let wish = Wish::new(request.customer.unwrap_or_default(), &request.items, request.idempotency_key)?;
        // one limit for the catalogue and the database together
        let (order, replayed) = match self.pool.bounded(self.place(wish)).await? {
            Placed::Now(order) => (order, false),
            Placed::Before(order) => (order, true),
        };
        Ok(Response::new(PlaceOrderResponse { order: Some(order.into()), replayed }))
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<GetOrderResponse>, Status> {
        let request = request.into_inner();
        let mut wrong = Vec::new();
        let (order_id, user_id) = (uuid("order_id", &request.order_id, &mut wrong), uuid("user_id", &request.user_id, &mut wrong));
        all_right(wrong)?;
        let found = self.pool.bounded(async {
            let mut connection = self.pool.get().await?;
            store::find(&mut connection, user_id, order_id).await
        });
        let order = found.await?.ok_or(OrderError::NotFound(order_id))?;
        Ok(Response::new(GetOrderResponse { order: Some(order.into()) }))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Result<Response<ListOrdersResponse>, Status> {
        let request = request.into_inner();
        let mut wrong = Vec::new();
        let user_id = uuid("user_id", &request.user_id, &mut wrong);
        let size = page_size(request.page_size, &mut wrong);
        let before = page_start(&request.page_token, &mut wrong);
        all_right(wrong)?;
        let mut orders = self
            .pool
            .bounded(async {
                let mut connection = self.pool.get().await?;
                // one more than asked for tells whether there is a next page
                store::list(&mut connection, user_id, before, i64::from(size) + 1).await
            })
            .await?;
        let more = orders.len() > size as usize;
        orders.truncate(size as usize);
        let last = orders.last().filter(|_| more).map(|order| URL_SAFE_NO_PAD.encode(order.order_id));
        let orders = orders.into_iter().map(Into::into).collect();
        Ok(Response::new(ListOrdersResponse { orders, next_page_token: last.unwrap_or_default() }))
    }
}

fn uuid(field: &str, text: &str, wrong: &mut Vec<Violation>) -> Uuid {
    text.parse().unwrap_or_else(|_| {
        wrong.push(Violation::new(field, "must be a UUID"));
        Uuid::nil()
    })
}

fn page_size(asked: u32, wrong: &mut Vec<Violation>) -> u32 {
    if asked > MAX_PAGE {
        wrong.push(Violation::new("page_size", format!("must be 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}")));
    }
    if asked == 0 { DEFAULT_PAGE } else { asked }
}

fn page_start(token: &str, wrong: &mut Vec<Violation>) -> Option<Uuid> {
    let id = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| Uuid::from_slice(&bytes).ok());
    if id.is_none() && !token.is_empty() {
        wrong.push(Violation::new("page_token", "must be the next_page_token of the page before"));
    }
    id
}

fn all_right(wrong: Vec<Violation>) -> Result<(), OrderError> {
    if wrong.is_empty() { Ok(()) } else { Err(OrderError::Invalid(wrong)) }
}

impl From<Order> for proto::orders::Order {
    fn from(order: Order) -> Self {
        let status = match order.status.as_str() {
            "placed" => OrderStatus::Placed,
            "cancelled" => OrderStatus::Cancelled,
            _ => OrderStatus::Unspecified,
        };
        let items = order.items.into_iter().map(|item| OrderItem {
            product_id: item.product_id.to_string(),
            product_name: item.product_name,
            quantity: item.quantity,
            unit_price: format!("{:.2}", item.unit_price),
        });
        Self {
            order_id: order.order_id.to_string(),
            user_id: order.user_id.to_string(),
            status: status.into(),
            total_amount: format!("{:.2}", order.total_amount),
            currency: order.currency,
            items: items.collect(),
            created_at: Some(Timestamp {
                seconds: order.created_at.timestamp(),
                nanos: i32::try_from(order.created_at.timestamp_subsec_nanos()).unwrap_or_default(),
            }),
            version: order.version,
        }
    }
}
