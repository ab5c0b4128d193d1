//! What was sold, counted and told where answers leave the service, so that no handler knows of it.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use proto::orders::{
    CancelOrderRequest, CancelOrderResponse, GetOrderRequest, GetOrderResponse, GetOrderStatsRequest, GetOrderStatsResponse,
    ListOrdersRequest, ListOrdersResponse, Order, PlaceOrderRequest, PlaceOrderResponse, UpdateOrderStatusRequest,
    UpdateOrderStatusResponse, order_service_server::OrderService,
};
use tonic::{Request, Response, Status};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Currency {
    currency: String,
}

/// The counters. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sales {
    placed: Counter,
    /// A metric and not money: what is owed is in Postgres.
    revenue: Family<Currency, Counter<f64, AtomicU64>>,
}

impl Sales {
    /// Counters that `/metrics` shows.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let sales = Self::default();
        registry.register("throughline_orders_placed", "Orders placed; repeats of a request are none", sales.placed.clone());
        registry.register("throughline_orders_revenue", "Sums of the orders placed", sales.revenue.clone());
        sales
    }

    fn count(&self, order: &Order) {
        self.placed.inc();
        // the service writes a sum that is a number
        let total = order.total_amount.parse().unwrap_or(0.0);
        self.revenue.get_or_create(&Currency { currency: order.currency.clone() }).inc_by(total);
        let (order_id, total_amount, currency, lines) = (&order.order_id, &order.total_amount, &order.currency, order.items.len());
        tracing::info!(order_id, total_amount, currency, lines, "order placed");
    }
}

/// A service around which its sales are counted: one for each answer that holds a new order.
pub(crate) struct Counted<S> {
    service: S,
    sales: Sales,
}

impl<S> Counted<S> {
    pub(crate) fn new(service: S, sales: Sales) -> Self {
        Self { service, sales }
    }
}

#[tonic::async_trait]
impl<S: OrderService> OrderService for Counted<S> {
    async fn place_order(&self, request: Request<PlaceOrderRequest>) -> Result<Response<PlaceOrderResponse>, Status> {
        let response = self.service.place_order(request).await?;
        let answer = response.get_ref();
        if let Some(order) = answer.order.as_ref().filter(|_| !answer.replayed) {
            self.sales.count(order);
        }
        Ok(response)
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<GetOrderResponse>, Status> {
        self.service.get_order(request).await
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Result<Response<ListOrdersResponse>, Status> {
        self.service.list_orders(request).await
    }
    async fn update_order_status(&self, request: Request<UpdateOrderStatusRequest>) -> Result<Response<UpdateOrderStatusResponse>, Status> {
        self.service.update_order_status(request).await
    }

    async fn cancel_order(&self, request: Request<CancelOrderRequest>) -> Result<Response<CancelOrderResponse>, Status> {
        self.service.cancel_order(request).await
    }

    async fn get_order_stats(&self, request: Request<GetOrderStatsRequest>) -> Result<Response<GetOrderStatsResponse>, Status> {
        self.service.get_order_stats(request).await
    }
}
