//! `throughline.catalog.v1.ProductService`: from messages to the domain and back.

use proto::catalog::{
    BatchGetProductsRequest, BatchGetProductsResponse, GetProductRequest, GetProductResponse, ListProductsRequest, ListProductsResponse,
    product_service_server::ProductService,
};
use tonic::{Request, Response, Status};

use crate::{
    catalog::Catalog,
    error::CatalogError,
    product::{Page, read_id, read_ids},
};

/// One per serving runtime.
pub(crate) struct Products {
    catalog: Catalog,
}

impl Products {
    pub(crate) fn new(catalog: Catalog) -> Self {
        Self { catalog }
    }
}

#[tonic::async_trait]
impl ProductService for Products {
    async fn get_product(&self, request: Request<GetProductRequest>) -> Result<Response<GetProductResponse>, Status> {
        let id = read_id("product_id", &request.into_inner().product_id).map_err(CatalogError::from)?;
        let product = self.catalog.find(&[id]).await?.remove(&id).flatten().ok_or(CatalogError::NotFound(id))?;
        Ok(Response::new(GetProductResponse { product: Some(product.into()) }))
    }

    async fn batch_get_products(&self, request: Request<BatchGetProductsRequest>) -> Result<Response<BatchGetProductsResponse>, Status> {
        let texts = request.into_inner().product_ids;
        let ids = read_ids(&texts)?;
        let known = self.catalog.find(&distinct(&ids)).await?;
        let mut response = BatchGetProductsResponse::default();
        for (id, text) in ids.iter().zip(texts) {
            match known.get(id).cloned().flatten() {
                Some(product) => response.products.push(product.into()),
                None => response.unknown_product_ids.push(text),
            }
        }
        Ok(Response::new(response))
    }

    async fn list_products(&self, request: Request<ListProductsRequest>) -> Result<Response<ListProductsResponse>, Status> {
        let ListProductsRequest { page_size, page_token } = request.into_inner();
        let (products, next_page_token) = self.catalog.list(Page::read(page_size, &page_token)?).await?;
        let products = products.into_iter().map(Into::into).collect();
        Ok(Response::new(ListProductsResponse { products, next_page_token }))
    }
}

/// Each id once.
fn distinct(ids: &[uuid::Uuid]) -> Vec<uuid::Uuid> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}
