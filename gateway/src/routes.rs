//! The table of routes, and what stands around it.

mod auth;
pub(crate) mod document;
mod extras;
mod orders;
mod posts;
mod products;
mod reports;
mod users;

use std::future::ready;

use actix_cors::Cors;
use actix_web::{
    App, HttpResponse, Resource, Route,
    body::BoxBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    guard,
    http::Method,
    middleware::{Condition, from_fn},
    web::{self, Data, ServiceConfig},
};

pub use crate::limits::Shared;
use crate::{
    config::{self, Config},
    error::Error,
    faults, limits, middleware,
    upstream::Clients,
};

/// The application of one serving thread, with connections of its own. Run it on that thread.
pub fn app(
    config: &Config,
    shared: &Shared,
) -> App<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<BoxBody>, Error = actix_web::Error, InitError = ()> + use<>,
> {
    let (config, process, diagnostics) = (config.clone(), shared.process.clone(), config.diagnostics.enabled);
    App::new()
        .app_data(Data::new(config.limits))
        .app_data(Data::new(config.proxies.clone()))
        .app_data(Data::new(shared.clone()))
        .app_data(Data::new(process.scenarios.clone()))
        .configure(|table| mount(table, diagnostics))
        .configure(document::mount)
        .default_service(web::to(no_such_route))
        // a request passes through these from the last to the first, its answer from the first to the last
        .wrap(from_fn(faults::faults))
        .wrap(from_fn(limits::rate_limit))
        .wrap(from_fn(limits::shed_load))
        .wrap(Condition::new(!config.cors.allowed_origins.is_empty(), cors(&config.cors)))
        .wrap(from_fn(middleware::problems))
        .wrap(from_fn(middleware::security_headers))
        .wrap(from_fn(middleware::access_log))
        .wrap(from_fn(middleware::request_id))
        .wrap(telemetry::http::HttpServer)
        .data_factory(move || ready(Clients::new(&config, &process)))
}

/// One path with its methods.
pub(crate) struct Entry {
    pub(crate) path: &'static str,
    pub(crate) methods: Vec<(Method, Route)>,
}

/// Every route of the API.
#[rustfmt::skip]
pub(crate) fn table() -> Vec<Entry> {
    let get = || Method::GET;
    let (post, put, delete) = (|| Method::POST, || Method::PUT, || Method::DELETE);
    let at = |path, methods| Entry { path, methods };
    vec![
        at("/api/v1/health", vec![(get(), web::to(extras::health))]),
        at("/api/v1/auth/register", vec![(post(), web::to(auth::register))]),
        at("/api/v1/auth/login", vec![(post(), web::to(auth::login))]),
        at("/api/v1/auth/refresh", vec![(post(), web::to(auth::refresh))]),
        at("/api/v1/auth/logout", vec![(post(), web::to(auth::logout))]),
        at("/api/v1/auth/me", vec![(get(), web::to(auth::me))]),
        at("/api/v1/sessions", vec![(post(), web::to(auth::open_session))]),
        at("/api/v1/sessions/{session_id}", vec![(get(), web::to(auth::session)), (delete(), web::to(auth::end_session))]),
        at("/api/v1/users", vec![(get(), web::to(users::list)), (post(), web::to(users::create))]),
        at("/api/v1/users/{user_id}", vec![(get(), web::to(users::read)), (put(), web::to(users::update)), (delete(), web::to(users::delete))]),
        at("/api/v1/users/{user_id}/avatar", vec![(get(), web::to(users::avatar)), (post(), web::to(users::set_avatar))]),
        at("/api/v1/users/{user_id}/posts", vec![(get(), web::to(users::posts))]),
        at("/api/v1/products", vec![(get(), web::to(products::list)), (post(), web::to(products::create))]),
        at("/api/v1/products/search", vec![(get(), web::to(products::search))]),
        at("/api/v1/products/batch", vec![(post(), web::to(products::batch))]),
        at("/api/v1/products/{product_id}", vec![(get(), web::to(products::read)), (put(), web::to(products::update)), (delete(), web::to(products::delete))]),
        at("/api/v1/products/{product_id}/stock", vec![(get(), web::to(products::stock)), (put(), web::to(products::set_stock))]),
        at("/api/v1/leaderboard", vec![(get(), web::to(products::leaderboard))]),
        at("/api/v1/customers", vec![(get(), web::to(orders::list_customers)), (post(), web::to(orders::create_customer))]),
        at("/api/v1/customers/{customer_id}", vec![(get(), web::to(orders::customer))]),
        at("/api/v1/customers/{customer_id}/orders", vec![(get(), web::to(orders::customer_orders))]),
        at("/api/v1/orders", vec![(get(), web::to(orders::list)), (post(), web::to(orders::place))]),
        at("/api/v1/orders/stats", vec![(get(), web::to(orders::stats))]),
        at("/api/v1/orders/{order_id}", vec![(get(), web::to(orders::read)), (delete(), web::to(orders::cancel))]),
        at("/api/v1/orders/{order_id}/status", vec![(put(), web::to(orders::set_status))]),
        at("/api/v1/reports/revenue-by-day", vec![(get(), web::to(reports::revenue_by_day))]),
        at("/api/v1/reports/top-customers", vec![(get(), web::to(reports::top_customers))]),
        at("/api/v1/reports/order-values", vec![(get(), web::to(reports::order_values))]),
        at("/api/v1/posts", vec![(get(), web::to(posts::list)), (post(), web::to(posts::create))]),
        at("/api/v1/posts/{post_id}", vec![(get(), web::to(posts::read)), (put(), web::to(posts::update)), (delete(), web::to(posts::delete))]),
        at("/api/v1/posts/{post_id}/comments", vec![(post(), web::to(posts::comment))]),
        at("/api/v1/rate-limit/check", vec![(post(), web::to(extras::check_rate_limit))]),
        at("/api/v1/events", vec![(get(), web::to(extras::live_events))]),
        at(SLOW, vec![(get(), web::to(extras::slow))]),
        at(ERROR, vec![(get(), web::to(extras::error))]),
    ]
}

/// Routes that `diagnostics.enabled` turns on.
const SLOW: &str = "/api/v1/slow";
const ERROR: &str = "/api/v1/error";

fn mount(config: &mut ServiceConfig, diagnostics: bool) {
    config.service(resource("/health", vec![(Method::GET, web::to(extras::health))]));
    for Entry { path, methods } in table() {
        if diagnostics || ![SLOW, ERROR].contains(&path) {
            config.service(resource(path, methods));
        }
    }
}

/// A path with its methods. Other methods are answered with 405 and `Allow`, a panic below with 500, too long a wait with 504;
/// GET answers HEAD too (RFC 9110, section 9.3.2).
pub fn resource(
    path: &str,
    methods: Vec<(Method, Route)>,
) -> Resource<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<BoxBody>, Error = actix_web::Error, InitError = ()> + use<>,
> {
    let names = methods.iter().flat_map(|(method, _)| if method == Method::GET { vec!["GET", "HEAD"] } else { vec![method.as_str()] });
    let allowed = names.collect::<Vec<_>>().join(", ");
    let other = move || ready(Err::<HttpResponse, _>(Error::MethodNotAllowed { allowed: allowed.clone() }));
    let resource = methods.into_iter().fold(web::resource(path), |resource, (method, route)| match method {
        Method::GET => resource.route(route.guard(guard::Any(guard::Get()).or(guard::Head()))),
        method => resource.route(route.method(method)),
    });
    resource.default_service(web::to(other)).wrap(from_fn(middleware::panics)).wrap(from_fn(limits::timeout))
}

async fn no_such_route() -> Result<HttpResponse, Error> {
    Err(Error::NoSuchRoute)
}

fn cors(config: &config::Cors) -> Cors {
    let cors = Cors::default().block_on_origin_mismatch(false).max_age(3600);
    let cors = cors.allow_any_method().allow_any_header().expose_any_header();
    let cors = if config.is_open() {
        cors.allow_any_origin().send_wildcard()
    } else {
        config.allowed_origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
    };
    if config.allow_credentials { cors.supports_credentials() } else { cors }
}
