//! The table of routes, what stands around it, and the handlers.

use std::future::ready;

use actix_web::{
    App, HttpResponse, Resource, Route,
    body::BoxBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    guard,
    http::{
        Method,
        header::{CACHE_CONTROL, LOCATION},
    },
    middleware::from_fn,
    web::{self, Data, Json, ServiceConfig},
};

use crate::{
    account::{Login, Register, Session, User},
    body::Body,
    caller::ByCaller,
    conditional::Tagged,
    config::Config,
    error::Error,
    middleware,
    order::{Order, OrderId, PlaceOrder},
    page::{IdempotencyKey, InPath, Page, PageQuery},
    product::{Product, ProductId},
    upstream::{Calls, Clients, Health},
};

/// The application of one serving thread, with connections of its own. Run it on that thread.
pub fn app(
    config: &Config,
) -> App<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<BoxBody>, Error = actix_web::Error, InitError = ()> + use<>,
> {
    let config = config.clone();
    App::new()
        .app_data(Data::new(config.limits))
        .data_factory(move || ready(Clients::new(&config)))
        .configure(table)
        .default_service(web::to(no_such_route))
        // a request passes through these from the last to the first, its answer from the first to the last
        .wrap(from_fn(middleware::problems))
        .wrap(from_fn(middleware::security_headers))
        .wrap(from_fn(middleware::access_log))
        .wrap(from_fn(middleware::request_id))
        .wrap(telemetry::http::HttpServer)
}

fn table(table: &mut ServiceConfig) {
    table
        .service(resource("/health", [(Method::GET, web::to(health))]))
        .service(resource("/api/v1/health", [(Method::GET, web::to(health))]))
        .service(resource("/api/v1/auth/register", [(Method::POST, web::to(register))]))
        .service(resource("/api/v1/auth/login", [(Method::POST, web::to(login))]))
        .service(resource("/api/v1/products", [(Method::GET, web::to(list_products))]))
        .service(resource("/api/v1/products/{product_id}", [(Method::GET, web::to(product))]))
        .service(resource("/api/v1/orders", [(Method::GET, web::to(list_orders)), (Method::POST, web::to(place_order))]))
        .service(resource("/api/v1/orders/{order_id}", [(Method::GET, web::to(order))]));
}

/// A path with its methods. Other methods are answered with 405 and `Allow`, a panic below with 500; GET answers HEAD too
/// (RFC 9110, section 9.3.2).
pub fn resource<const N: usize>(
    path: &str,
    methods: [(Method, Route); N],
) -> Resource<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<BoxBody>, Error = actix_web::Error, InitError = ()> + use<N>,
> {
    let names = methods.iter().flat_map(|(method, _)| if method == Method::GET { vec!["GET", "HEAD"] } else { vec![method.as_str()] });
    let allowed = names.collect::<Vec<_>>().join(", ");
    let other = move || ready(Err::<HttpResponse, _>(Error::MethodNotAllowed { allowed: allowed.clone() }));
    let resource = methods.into_iter().fold(web::resource(path), |resource, (method, route)| match method {
        Method::GET => resource.route(route.guard(guard::Any(guard::Get()).or(guard::Head()))),
        method => resource.route(route.method(method)),
    });
    resource.default_service(web::to(other)).wrap(from_fn(middleware::panics))
}

async fn no_such_route() -> Result<HttpResponse, Error> {
    Err(Error::NoSuchRoute)
}

async fn health(calls: Calls) -> Json<Health> {
    Json(calls.health().await)
}

async fn register(calls: Calls, Body(form): Body<Register>) -> Result<HttpResponse, Error> {
    let user: User = calls.register(form.into()).await?.user.try_into()?;
    Ok(HttpResponse::Created().json(user))
}

async fn login(calls: Calls, Body(form): Body<Login>) -> Result<HttpResponse, Error> {
    let session: Session = calls.login(form.into()).await?.try_into()?;
    // RFC 6749, section 5.1
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(session))
}

async fn list_products(calls: Calls, page: PageQuery) -> Result<Tagged<Page<Product>>, Error> {
    let answer = calls.list_products(page).await?;
    Ok(Tagged(Page::of(answer.products, answer.next_page_token)?))
}

async fn product(calls: Calls, InPath(id): InPath<ProductId>) -> Result<Tagged<Product>, Error> {
    let product = calls.product(id).await?.product;
    Ok(Tagged(product.ok_or(Error::BrokenAnswer { service: "catalog-cache", what: "product" })?.try_into()?))
}

async fn place_order(calls: Calls, order: ByCaller<(IdempotencyKey, Body<PlaceOrder>)>) -> Result<HttpResponse, Error> {
    let ByCaller { caller, input: (key, Body(form)) } = order;
    let products = form.products();
    let answer = calls.place_order(form.into_request(caller, key)).await.map_err(|error| error.about(products))?;
    let order: Order = answer.order.try_into()?;
    let mut response = if answer.replayed { HttpResponse::Ok() } else { HttpResponse::Created() };
    if answer.replayed {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    Ok(response.insert_header((LOCATION, order.location())).json(order))
}

async fn list_orders(calls: Calls, page: ByCaller<PageQuery>) -> Result<Json<Page<Order>>, Error> {
    let answer = calls.list_orders(page.caller, page.input).await?;
    Ok(Json(Page::of(answer.orders, answer.next_page_token)?))
}

async fn order(calls: Calls, id: ByCaller<InPath<OrderId>>) -> Result<Json<Order>, Error> {
    let answer = calls.order(id.caller, id.input.0).await?;
    Ok(Json(answer.order.try_into()?))
}
