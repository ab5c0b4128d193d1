//! The API as OpenAPI 3.1, generated from the handlers and their types, and the page that shows it.

use actix_web::{
    HttpResponse,
    http::{
        Method,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION},
    },
    web::{self, ServiceConfig},
};
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::{
        Content, Ref, RefOr, Response,
        path::{Operation, PathItem},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_swagger_ui::{Config as Page, serve};

use super::{auth, extras, orders, posts, products, reports, resource, users};
use crate::{
    conditional::Tagged,
    customer::CustomerId,
    error::Error,
    events::EventTypes,
    order::{OrderId, Status},
    post::PostId,
    product::{Amount, Category, ProductId, SearchText, Sort},
    render::Document,
    session::SessionId,
    time::Moment,
    user::UserId,
};

/// Where the document is.
pub(crate) const PATH: &str = "/api/v1/openapi.json";
/// What the page needs of a browser; all of it comes from here.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

#[derive(OpenApi)]
#[openapi(
    info(title = "Throughline", description = "One request, five protocols, one trace: the public API of the reference mesh."),
    paths(
        extras::health, extras::check_rate_limit, extras::live_events, extras::slow, extras::error,
        auth::register, auth::login, auth::refresh, auth::logout, auth::me, auth::open_session, auth::session, auth::end_session,
        users::list, users::create, users::read, users::update, users::delete, users::set_avatar, users::avatar, users::posts,
        products::list, products::search, products::create, products::batch, products::read, products::update, products::delete,
        products::stock, products::set_stock, products::leaderboard,
        orders::create_customer, orders::list_customers, orders::customer, orders::customer_orders,
        orders::place, orders::list, orders::stats, orders::read, orders::set_status, orders::cancel,
        reports::revenue_by_day, reports::top_customers, reports::order_values,
        posts::list, posts::create, posts::read, posts::update, posts::delete, posts::comment,
    ),
    components(schemas(
        Document, UserId, SessionId, ProductId, CustomerId, OrderId, PostId, Category, Amount, Sort, SearchText, Moment, Status, EventTypes,
    )),
    modifiers(&Bearer, &Problems),
)]
pub(crate) struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Whatever is no success is a problem.
struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut problem = Response::new("A problem (RFC 9457)");
        let schema = RefOr::Ref(Ref::from_schema_name(Document::name()));
        problem.content.insert("application/problem+json".into(), RefOr::T(Content::new(Some(schema))));
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            operation.responses.responses.insert("default".into(), RefOr::T(problem.clone()));
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten()
}

/// The document at [`PATH`], the page at `/docs/`.
pub(super) fn mount(config: &mut ServiceConfig) {
    let page = web::Data::new(Page::from(PATH));
    config
        .service(resource(PATH, vec![(Method::GET, web::to(document))]))
        .service(resource("/docs", vec![(Method::GET, web::to(to_page))]))
        .app_data(page)
        .service(resource("/docs/{file:.*}", vec![(Method::GET, web::to(file))]));
}

async fn document() -> Tagged<utoipa::openapi::OpenApi> {
    Tagged::by_content(Api::openapi())
}

async fn to_page() -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, "/docs/")).finish()
}

async fn file(path: web::Path<String>, page: web::Data<Page<'static>>) -> Result<HttpResponse, Error> {
    let name = if path.is_empty() { "index.html" } else { path.as_str() };
    let served = serve(name, page.into_inner()).map_err(|_| Error::NoSuchRoute)?;
    let file = served.ok_or(Error::NoSuchRoute)?;
    Ok(HttpResponse::Ok()
        .content_type(file.content_type)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(file.bytes.into_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::routes::table;

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let methods = |item: &PathItem| {
            let all = [
                ("GET", item.get.is_some()),
                ("PUT", item.put.is_some()),
                ("POST", item.post.is_some()),
                ("DELETE", item.delete.is_some()),
            ];
            all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        let api = Api::openapi();
        let documented: BTreeSet<(String, String)> =
            api.paths.paths.iter().flat_map(|(path, item)| methods(item).into_iter().map(|name| (path.clone(), name))).collect();
        let routed: BTreeSet<(String, String)> = table()
            .into_iter()
            .flat_map(|entry| entry.methods.into_iter().map(move |(method, _)| (entry.path.to_owned(), method.to_string())))
            .collect();
        assert_eq!(documented, routed);
    }

    #[test]
    fn no_schema_is_named_and_missing() {
        let json = serde_json::to_value(Api::openapi()).unwrap();
        let text = json.to_string();
        let named: BTreeSet<&str> = text.split("#/components/schemas/").skip(1).map(|rest| &rest[..rest.find('"').unwrap()]).collect();
        for name in named {
            assert!(json["components"]["schemas"].get(name).is_some(), "{name} is not described");
        }
        assert_eq!(json["openapi"], "3.1.0");
    }
}
