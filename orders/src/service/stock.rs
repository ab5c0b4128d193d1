//! `throughline.orders.v1.StockService`

use db::pool::Pool;
use proto::orders::{GetStockRequest, GetStockResponse, SetStockRequest, SetStockResponse, stock_service_server::StockService};
use tonic::{Request, Response, Status};

use crate::{
    attempt::repeated,
    error::OrderError,
    field::Fields,
    stock::{Shelf, Stock},
    store,
};

/// One per serving runtime.
pub(crate) struct Shelves {
    pool: Pool,
}

impl Shelves {
    pub(crate) fn new(pool: Pool) -> Self {
        Self { pool }
    }
}

#[tonic::async_trait]
impl StockService for Shelves {
    async fn get_stock(&self, request: Request<GetStockRequest>) -> Result<Response<GetStockResponse>, Status> {
        let mut fields = Fields::default();
        let product_id = fields.uuid("product_id", &request.into_inner().product_id);
        fields.all_right()?;
        let found = self.pool.bounded(async {
            let mut connection = self.pool.get().await?;
            Ok::<_, OrderError>(store::find_stock(&mut connection, product_id).await?)
        });
        let Shelf { available, version } = found.await?.ok_or(OrderError::NotFound("stock of product", product_id))?;
        Ok(Response::new(GetStockResponse { available: available.unsigned_abs(), version }))
    }

    async fn set_stock(&self, request: Request<SetStockRequest>) -> Result<Response<SetStockResponse>, Status> {
        let request = request.into_inner();
        let stock = Stock::new(&request.product_id, request.available, request.version)?;
        let set = repeated(&self.pool, |mut connection| async move { store::set_stock(&mut connection, stock).await });
        let Shelf { available, version } = self.pool.bounded(set).await?;
        Ok(Response::new(SetStockResponse { available: available.unsigned_abs(), version }))
    }
}
