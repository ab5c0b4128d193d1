//! What is sold: products, their stock, and what sells best.

use actix_web::{HttpResponse, http::header::LOCATION, web::Json};
use futures::StreamExt;
use proto::{
    catalog::{CreateProductRequest, DeleteProductRequest, GetProductRequest, UpdateProductRequest},
    orders::{GetStockRequest, GetStockResponse, SetStockResponse},
};

use crate::{
    body::Body,
    caller::{Admin, By},
    conditional::{ExpectedVersion, Tagged},
    error::Error,
    leaderboard::{Leaderboard, LeaderboardQuery},
    page::{InPath, Page, PageQuery},
    product::{Batch, Draft, Found, Product, ProductId, ProductQuery, SearchQuery},
    query::InQuery,
    stock::{SetStock, Stock},
    upstream::{CATALOG_CACHE, Calls, failed},
};

/// Products in a stable order: pages neither skip nor repeat what stays.
#[utoipa::path(get, path = "/api/v1/products", tag = "products", params(PageQuery, ProductQuery),
    responses((status = 200, description = "A page", body = Page<Product>), (status = 304, description = "Not changed")))]
pub(super) async fn list(calls: Calls, query: InQuery<ProductQuery>) -> Result<Tagged<Page<Product>>, Error> {
    let answer = calls.list_products(query.0.into()).await?;
    Ok(Tagged::by_content(Page::of(answer.products, answer.next_page_token)?))
}

/// Full text over name, SKU, category and description; best match first.
#[utoipa::path(get, path = "/api/v1/products/search", tag = "products", params(SearchQuery),
    responses((status = 200, description = "What was found", body = Page<Product>), (status = 304, description = "Not changed")))]
pub(super) async fn search(calls: Calls, query: InQuery<SearchQuery>) -> Result<Tagged<Page<Product>>, Error> {
    let mut found = calls.search_products(query.0.into()).await?;
    let mut products = Vec::new();
    while let Some(next) = found.next().await {
        let product = next.map_err(|status| failed(CATALOG_CACHE, status))?.product;
        products.push(product.ok_or(Error::BrokenAnswer { service: CATALOG_CACHE, what: "product" })?);
    }
    Ok(Tagged::by_content(Page::of(products, String::new())?))
}

/// Adds a product. Admins only.
#[utoipa::path(post, path = "/api/v1/products", tag = "products", security(("bearer" = [])), request_body = Draft,
    responses((status = 201, description = "The product", body = Product)))]
pub(super) async fn create(calls: Calls, by: By<Admin, Body<Draft>>) -> Result<HttpResponse, Error> {
    let answer = calls.create_product(CreateProductRequest { product: Some(by.input.0.into()) }).await?;
    let product: Product = answer.product.try_into()?;
    let location = format!("/api/v1/products/{}", product.product_id);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(product))
}

/// Up to 500 products at once.
#[utoipa::path(post, path = "/api/v1/products/batch", tag = "products", request_body = Batch,
    responses((status = 200, description = "What there is of them", body = Found)))]
pub(super) async fn batch(calls: Calls, Body(form): Body<Batch>) -> Result<Json<Found>, Error> {
    Ok(Json(calls.batch_get_products(form.into()).await?.try_into()?))
}

/// A product.
#[utoipa::path(get, path = "/api/v1/products/{product_id}", tag = "products", params(("product_id" = ProductId, Path)),
    responses((status = 200, description = "The product", body = Product), (status = 304, description = "Not changed")))]
pub(super) async fn read(calls: Calls, InPath(id): InPath<ProductId>) -> Result<Tagged<Product>, Error> {
    let product: Product = calls.get_product(GetProductRequest { product_id: id.into() }).await?.product.try_into()?;
    let version = product.version;
    Ok(Tagged::by_version(product, version))
}

type Change = (InPath<ProductId>, ExpectedVersion, Body<Draft>);

/// Replaces a product. Admins only.
#[utoipa::path(put, path = "/api/v1/products/{product_id}", tag = "products", security(("bearer" = [])), request_body = Draft,
    params(("product_id" = ProductId, Path), ("If-Match" = Option<String>, Header, description = "The ETag of the version that is meant")),
    responses((status = 200, description = "The product as it is now", body = Product)))]
pub(super) async fn update(calls: Calls, by: By<Admin, Change>) -> Result<Json<Product>, Error> {
    let (InPath(id), ExpectedVersion(version), Body(form)) = by.input;
    let request = UpdateProductRequest { product_id: id.into(), product: Some(form.into()), version };
    Ok(Json(calls.update_product(request).await?.product.try_into()?))
}

/// Takes a product off the catalogue. Admins only.
#[utoipa::path(delete, path = "/api/v1/products/{product_id}", tag = "products", security(("bearer" = [])),
    params(("product_id" = ProductId, Path), ("If-Match" = Option<String>, Header, description = "The ETag of the version that is meant")),
    responses((status = 204, description = "The product is gone")))]
pub(super) async fn delete(calls: Calls, by: By<Admin, (InPath<ProductId>, ExpectedVersion)>) -> Result<HttpResponse, Error> {
    let (InPath(id), ExpectedVersion(version)) = by.input;
    calls.delete_product(DeleteProductRequest { product_id: id.into(), version }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// How many pieces there are.
#[utoipa::path(get, path = "/api/v1/products/{product_id}/stock", tag = "products", params(("product_id" = ProductId, Path)),
    responses((status = 200, description = "The stock", body = Stock), (status = 304, description = "Not changed")))]
pub(super) async fn stock(calls: Calls, InPath(id): InPath<ProductId>) -> Result<Tagged<Stock>, Error> {
    let GetStockResponse { available, version } = calls.get_stock(GetStockRequest { product_id: id.into() }).await?;
    // pieces come and go by orders without changing the version
    Ok(Tagged::by_version_and_parts(Stock { available, version }, version, available))
}

type Refill = (InPath<ProductId>, ExpectedVersion, Body<SetStock>);

/// Sets how many pieces there are. Admins only.
#[utoipa::path(put, path = "/api/v1/products/{product_id}/stock", tag = "products", security(("bearer" = [])), request_body = SetStock,
    params(("product_id" = ProductId, Path), ("If-Match" = Option<String>, Header, description = "The ETag of the version that is meant")),
    responses((status = 200, description = "The stock as it is now", body = Stock)))]
pub(super) async fn set_stock(calls: Calls, by: By<Admin, Refill>) -> Result<Json<Stock>, Error> {
    let (InPath(id), ExpectedVersion(version), Body(form)) = by.input;
    let SetStockResponse { available, version } = calls.set_stock(form.into_request(id, version)).await?;
    Ok(Json(Stock { available, version }))
}

/// Best sellers.
#[utoipa::path(get, path = "/api/v1/leaderboard", tag = "products", params(LeaderboardQuery),
    responses((status = 200, description = "Most units first", body = Leaderboard)))]
pub(super) async fn leaderboard(calls: Calls, query: InQuery<LeaderboardQuery>) -> Result<Json<Leaderboard>, Error> {
    Ok(Json(calls.get_leaderboard(query.0.into()).await?.into()))
}
