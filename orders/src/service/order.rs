//! `throughline.orders.v1.OrderService`

use db::pool::Pool;
use events::{outbox::OutboxRow, relay::RelayHandle};
use proto::orders::{
    CancelOrderRequest, CancelOrderResponse, GetOrderRequest, GetOrderResponse, GetOrderStatsRequest, GetOrderStatsResponse,
    ListOrdersRequest, ListOrdersResponse, PlaceOrderRequest, PlaceOrderResponse, UpdateOrderStatusRequest, UpdateOrderStatusResponse,
    order_service_server::OrderService,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::request;
use crate::{
    attempt::repeated,
    catalog::Catalog,
    error::OrderError,
    field::Fields,
    period::Period,
    report::Reports,
    stats::Stats,
    store::{self, Placed},
    wish::Wish,
};

/// One per serving runtime.
pub(crate) struct Orders {
    pool: Pool,
    catalog: Catalog,
    reports: Reports,
    relay: RelayHandle,
}

impl Orders {
    pub(crate) fn new(pool: Pool, catalog: Catalog, reports: Reports, relay: RelayHandle) -> Self {
        Self { pool, catalog, reports, relay }
    }

    async fn place(&self, wish: &Wish) -> Result<Placed, OrderError> {
        let offers = self.catalog.offers(wish.lines.iter().map(|(product_id, _)| *product_id)).await?;
        let order = &match wish.price(&offers) {
            Ok(order) => order,
            // a repeat gets its order even where the product is no longer sold
            Err(refusal) => return self.placed_before(wish).await?.ok_or(refusal),
        };
        let event = &OutboxRow::new(order.order_id, order.version, order.placed(&wish.buyer))?;
        let place = repeated(&self.pool, |mut connection| async move { store::place(&mut connection, wish, order, event).await });
        let placed = place.await?;
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

    /// One user's orders are soon counted: that is no report.
    async fn stats_of(&self, user_id: Uuid, period: &Period) -> Result<Stats, OrderError> {
        let counted = self.pool.bounded(async {
            let mut connection = self.pool.get().await?;
            store::stats_of(&mut connection, user_id, period).await
        });
        counted.await
    }
}

#[tonic::async_trait]
impl OrderService for Orders {
    async fn place_order(&self, request: Request<PlaceOrderRequest>) -> Result<Response<PlaceOrderResponse>, Status> {
        let request = request.into_inner();
        let wish = Wish::new(request.customer.unwrap_or_default(), &request.items, request.idempotency_key)?;
        // one limit for the catalogue and the database together
        let (order, replayed) = match self.pool.bounded(self.place(&wish)).await? {
            Placed::Now(order) => (order, false),
            Placed::Before(order) => (order, true),
        };
        Ok(Response::new(PlaceOrderResponse { order: Some(order.into()), replayed }))
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<GetOrderResponse>, Status> {
        let wanted = request::wanted(&request.into_inner())?;
        let found = self.pool.bounded(async {
            let connection = self.pool.get().await?;
            store::find(&connection, &wanted).await
        });
        let (order, customer) = found.await?;
        let order = proto::orders::Order { customer: customer.map(Into::into), ..order.into() };
        Ok(Response::new(GetOrderResponse { order: Some(order) }))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Result<Response<ListOrdersResponse>, Status> {
        let (filter, page) = request::filter(&request.into_inner())?;
        let found = self.pool.bounded(async {
            let mut connection = self.pool.get().await?;
            store::list(&mut connection, &filter, &page).await
        });
        let mut orders = found.await?;
        let next_page_token = page.cut(&mut orders, |order| order.order_id);
        Ok(Response::new(ListOrdersResponse { orders: orders.into_iter().map(Into::into).collect(), next_page_token }))
    }

    async fn update_order_status(&self, request: Request<UpdateOrderStatusRequest>) -> Result<Response<UpdateOrderStatusResponse>, Status> {
        let UpdateOrderStatusRequest { order_id, status, version } = request.into_inner();
        let mut fields = Fields::default();
        let (order_id, to) = (fields.uuid("order_id", &order_id), request::step(status, &mut fields));
        fields.all_right()?;
        let step = repeated(&self.pool, |mut connection| async move { store::step(&mut connection, order_id, to, version).await });
        let order = self.pool.bounded(step).await?;
        self.relay.wake();
        Ok(Response::new(UpdateOrderStatusResponse { order: Some(order.into()) }))
    }

    async fn cancel_order(&self, request: Request<CancelOrderRequest>) -> Result<Response<CancelOrderResponse>, Status> {
        let CancelOrderRequest { order_id, user_id, version } = request.into_inner();
        let mut fields = Fields::default();
        let (order_id, user_id) = (fields.uuid("order_id", &order_id), fields.optional_uuid("user_id", &user_id));
        fields.all_right()?;
        let cancel = repeated(&self.pool, |mut connection| async move { store::cancel(&mut connection, order_id, user_id, version).await });
        let order = self.pool.bounded(cancel).await?;
        self.relay.wake();
        Ok(Response::new(CancelOrderResponse { order: Some(order.into()) }))
    }

    async fn get_order_stats(&self, request: Request<GetOrderStatsRequest>) -> Result<Response<GetOrderStatsResponse>, Status> {
        let request = request.into_inner();
        let mut fields = Fields::default();
        let user_id = fields.optional_uuid("user_id", &request.user_id);
        let period = Period::new(request.created_from, request.created_before, &mut fields);
        fields.all_right()?;
        let stats = match user_id {
            Some(user_id) => self.stats_of(user_id, &period).await?,
            None => self.reports.stats(&period).await?,
        };
        Ok(Response::new(stats.into()))
    }
}
