//! catalog-cache, as a test wants it to be.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use chassis::spawn;
use futures::stream::Empty;
use proto::catalog::{
    BatchGetProductsRequest, BatchGetProductsResponse, CreateProductRequest, CreateProductResponse, DeleteProductRequest,
    DeleteProductResponse, GetProductRequest, GetProductResponse, ListProductsRequest, ListProductsResponse, Money, Product,
    SearchProductsRequest, SearchProductsResponse, UpdateProductRequest, UpdateProductResponse,
    product_service_server::{ProductService, ProductServiceServer},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status, transport::Server};
use uuid::Uuid;

/// How it answers.
#[derive(Clone, Copy, Default)]
pub(crate) enum Mood {
    #[default]
    Fine,
    Fails(Code),
    Hangs,
}

#[derive(Default)]
struct State {
    products: BTreeMap<String, Product>,
    mood: Mood,
    traceparents: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct FakeCatalog {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FakeCatalog {
    /// Knows the demo assortment at its prices.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let catalog = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        for product in db::seed::products() {
            catalog.sell(product.product_id, &product.name, &product.price.to_string(), &product.currency);
        }
        let server = Server::builder().add_service(ProductServiceServer::new(catalog.clone()));
        spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        catalog
    }

    pub(crate) fn sell(&self, id: Uuid, name: &str, amount: &str, currency: &str) {
        let price = Some(Money { amount: amount.into(), currency: currency.into() });
        let product = Product { product_id: id.to_string(), name: name.into(), price, version: 1, ..Product::default() };
        self.state.lock().unwrap().products.insert(id.to_string(), product);
    }

    pub(crate) fn delist(&self, id: Uuid) {
        self.state.lock().unwrap().products.remove(&id.to_string());
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// The `traceparent` of each call that came.
    pub(crate) fn traceparents(&self) -> Vec<String> {
        self.state.lock().unwrap().traceparents.clone()
    }
}

#[tonic::async_trait]
impl ProductService for FakeCatalog {
    async fn batch_get_products(&self, request: Request<BatchGetProductsRequest>) -> Result<Response<BatchGetProductsResponse>, Status> {
        let traceparent = request.metadata().get("traceparent").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mood = {
            let mut state = self.state.lock().unwrap();
            state.traceparents.extend(traceparent);
            state.mood
        };
        match mood {
            Mood::Fine => {}
            Mood::Fails(code) => return Err(Status::new(code, "on purpose")),
            Mood::Hangs => std::future::pending().await,
        }
        let state = self.state.lock().unwrap();
        let ids = request.into_inner().product_ids;
        let (known, unknown): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| state.products.contains_key(id));
        let products = known.iter().map(|id| state.products[id].clone()).collect();
        Ok(Response::new(BatchGetProductsResponse { products, unknown_product_ids: unknown }))
    }

    async fn get_product(&self, _: Request<GetProductRequest>) -> Result<Response<GetProductResponse>, Status> {
        not_asked()
    }

    async fn list_products(&self, _: Request<ListProductsRequest>) -> Result<Response<ListProductsResponse>, Status> {
        not_asked()
    }

    type SearchProductsStream = Empty<Result<SearchProductsResponse, Status>>;

    async fn search_products(&self, _: Request<SearchProductsRequest>) -> Result<Response<Self::SearchProductsStream>, Status> {
        not_asked()
    }

    async fn create_product(&self, _: Request<CreateProductRequest>) -> Result<Response<CreateProductResponse>, Status> {
        not_asked()
    }

    async fn update_product(&self, _: Request<UpdateProductRequest>) -> Result<Response<UpdateProductResponse>, Status> {
        not_asked()
    }

    async fn delete_product(&self, _: Request<DeleteProductRequest>) -> Result<Response<DeleteProductResponse>, Status> {
        not_asked()
    }
}

fn not_asked<T>() -> Result<T, Status> {
    Err(Status::unimplemented("orders does not ask this"))
}
