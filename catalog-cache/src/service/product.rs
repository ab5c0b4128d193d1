//! `ProductService`.

use futures::{
    FutureExt,
    stream::{Iter, iter},
};
use proto::catalog::{
    BatchGetProductsRequest, BatchGetProductsResponse, CreateProductRequest, CreateProductResponse, DeleteProductRequest,
    DeleteProductResponse, GetProductRequest, GetProductResponse, ListProductsRequest, ListProductsResponse, SearchProductsRequest,
    SearchProductsResponse, UpdateProductRequest, UpdateProductResponse, product_service_server::ProductService,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{
    catalog::Catalog,
    error::CatalogError,
    field::Fields,
    page::ProductPage,
    product::{Draft, Product, read_ids},
    store,
};

/// Hits of a search where the request names no number.
const DEFAULT_HITS: u32 = 20;
const MAX_QUERY: usize = 200;

/// One per serving runtime.
pub(crate) struct Products {
    catalog: Catalog<Product>,
}

impl Products {
    pub(crate) fn new(catalog: Catalog<Product>) -> Self {
        Self { catalog }
    }
}

#[tonic::async_trait]
impl ProductService for Products {
    /// All is loaded before the first is sent: who reads slowly holds no connection.
    type SearchProductsStream = Iter<std::vec::IntoIter<Result<SearchProductsResponse, Status>>>;

    async fn get_product(&self, request: Request<GetProductRequest>) -> Result<Response<GetProductResponse>, Status> {
        let mut fields = Fields::default();
        let id = fields.id("product_id", &request.into_inner().product_id);
        let id = fields.done(id)?;
        let product = self.catalog.find(&[id]).await?.remove(&id).flatten().ok_or(CatalogError::NotFound("product", id))?;
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
        let page = ProductPage::read(request.into_inner())?;
        let mut products = self.catalog.ask(async |connection| store::product::page(connection, &page).await).await?;
        let next_page_token = page.finish(&mut products);
        let products = products.into_iter().map(Into::into).collect();
        Ok(Response::new(ListProductsResponse { products, next_page_token }))
    }

    async fn search_products(&self, request: Request<SearchProductsRequest>) -> Result<Response<Self::SearchProductsStream>, Status> {
        let SearchProductsRequest { query, limit } = request.into_inner();
        let mut fields = Fields::default();
        let wanted = (fields.line("query", query, MAX_QUERY), fields.number("limit", limit, DEFAULT_HITS));
        let (query, limit) = fields.done(wanted)?;
        let hits = self.catalog.ask(async |connection| store::search::search(connection, &query, limit).await).await?;
        let answers = hits.into_iter().map(|hit| Ok(SearchProductsResponse { product: Some(hit.product.into()), rank: hit.rank }));
        Ok(Response::new(iter(answers.collect::<Vec<_>>())))
    }

    async fn create_product(&self, request: Request<CreateProductRequest>) -> Result<Response<CreateProductResponse>, Status> {
        let mut fields = Fields::default();
        let draft = Draft::read(request.into_inner().product, &mut fields);
        let (id, draft) = fields.done((Uuid::now_v7(), draft))?;
        let product =
            self.catalog.write(id, move |connection| async move { store::product::insert(connection, id, &draft).await }.boxed()).await?;
        Ok(Response::new(CreateProductResponse { product: Some(product.into()) }))
    }

    async fn update_product(&self, request: Request<UpdateProductRequest>) -> Result<Response<UpdateProductResponse>, Status> {
        let UpdateProductRequest { product_id, product, version } = request.into_inner();
        let mut fields = Fields::default();
        let wanted = (fields.id("product_id", &product_id), Draft::read(product, &mut fields));
        let (id, draft) = fields.done(wanted)?;
        let product = self
            .catalog
            .write(id, move |connection| async move { store::product::update(connection, id, &draft, version).await }.boxed())
            .await?;
        Ok(Response::new(UpdateProductResponse { product: Some(product.into()) }))
    }

    async fn delete_product(&self, request: Request<DeleteProductRequest>) -> Result<Response<DeleteProductResponse>, Status> {
        let DeleteProductRequest { product_id, version } = request.into_inner();
        let mut fields = Fields::default();
        let id = fields.id("product_id", &product_id);
        let id = fields.done(id)?;
        self.catalog.write(id, move |connection| store::product::delete(connection, id, version).boxed()).await?;
        Ok(Response::new(DeleteProductResponse {}))
    }
}

/// Each id once.
fn distinct(ids: &[Uuid]) -> Vec<Uuid> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}
