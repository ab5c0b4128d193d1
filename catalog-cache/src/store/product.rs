//! `catalog.products`.

use chassis::scenario::Scenarios;
use db::connection::Connection;
use db::schema::catalog::products::{self, category, name, price, product_id, updated_at, version};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, IntoSql, OptionalExtension, QueryDsl, QueryResult, SelectableHelper,
    dsl::now,
    result::{DatabaseErrorKind, Error},
    sql_types::{Numeric, Record, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::versions;
use crate::{
    catalog::Kept,
    config::CacheConfig,
    error::CatalogError,
    page::{Course, ProductPage},
    product::{Draft, Product},
};

impl Kept for Product {
    fn id(&self) -> Uuid {
        self.product_id
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn prefix(config: &CacheConfig) -> &str {
        &config.key_prefix
    }

    fn size(&self) -> usize {
        [&self.sku, &self.name, &self.description, &self.category].iter().map(|text| text.len()).sum()
    }

    async fn load(connection: &mut Connection, ids: &[Uuid], _: &Scenarios) -> QueryResult<Vec<Self>> {
        products::table.filter(product_id.eq_any(ids)).select(Self::as_select()).load(connection).await
    }
}

/// A page, and one product more where there is a next page. Names are compared here only, as the database's collation does.
pub(crate) async fn page(connection: &mut Connection, page: &ProductPage) -> QueryResult<Vec<Product>> {
    let mut rows = products::table.limit(i64::from(page.size) + 1).select(Product::as_select()).into_boxed();
    if let Some(wanted) = &page.category {
        rows = rows.filter(category.eq(wanted));
    }
    if let Some(least) = page.min_price {
        rows = rows.filter(price.ge(least));
    }
    if let Some(most) = page.max_price {
        rows = rows.filter(price.le(most));
    }
    let by_name = || (name, product_id).into_sql::<Record<(Text, SqlUuid)>>();
    let by_price = || (price, product_id).into_sql::<Record<(Numeric, SqlUuid)>>();
    // a comparison of rows is one range of the index
    let rows = match &page.course {
        // no UUID sorts before the nil UUID, and no product has it
        Course::Id { after } => rows.filter(product_id.gt(after.unwrap_or(Uuid::nil()))).order(product_id),
        Course::Name { descending: false, after: None } => rows.order((name, product_id)),
        Course::Name { descending: true, after: None } => rows.order((name.desc(), product_id.desc())),
        Course::Name { descending: false, after: Some((text, id)) } => rows.filter(by_name().gt((text, id))).order((name, product_id)),
        Course::Name { descending: true, after: Some((text, id)) } => {
            rows.filter(by_name().lt((text, id))).order((name.desc(), product_id.desc()))
        }
        Course::Price { descending: false, after: None } => rows.order((price, product_id)),
        Course::Price { descending: true, after: None } => rows.order((price.desc(), product_id.desc())),
        Course::Price { descending: false, after: Some((sum, id)) } => rows.filter(by_price().gt((sum, id))).order((price, product_id)),
        Course::Price { descending: true, after: Some((sum, id)) } => {
            rows.filter(by_price().lt((sum, id))).order((price.desc(), product_id.desc()))
        }
    };
    rows.load(connection).await
}

/// Adds a product.
pub(crate) async fn insert(connection: &mut Connection, id: Uuid, draft: &Draft) -> Result<Product, CatalogError> {
    let row = (product_id.eq(id), draft);
    let inserted = diesel::insert_into(products::table).values(row).returning(Product::as_returning()).get_result(connection).await;
    inserted.map_err(refusal)
}

/// Replaces a product.
pub(crate) async fn update(connection: &mut Connection, id: Uuid, draft: &Draft, expected: Option<i64>) -> Result<Product, CatalogError> {
    let (least, most) = versions(expected);
    let row = products::table.filter(product_id.eq(id).and(version.between(least, most)));
    let change = (draft, version.eq(version + 1), updated_at.eq(now));
    let updated = diesel::update(row).set(change).returning(Product::as_returning()).get_result(connection).await.optional();
    match updated.map_err(refusal)? {
        Some(product) => Ok(product),
        None => Err(why_not(connection, id).await?),
    }
}

/// Deletes a product.
pub(crate) async fn delete(connection: &mut Connection, id: Uuid, expected: Option<i64>) -> Result<(), CatalogError> {
    let (least, most) = versions(expected);
    let row = products::table.filter(product_id.eq(id).and(version.between(least, most)));
    match diesel::delete(row).execute(connection).await? {
        0 => Err(why_not(connection, id).await?),
        _ => Ok(()),
    }
}

/// Why a change found no row.
async fn why_not(connection: &mut Connection, id: Uuid) -> QueryResult<CatalogError> {
    let current: Option<i64> = products::table.find(id).select(version).first(connection).await.optional()?;
    Ok(current.map_or(CatalogError::NotFound("product", id), |current| CatalogError::VersionMismatch { current }))
}

fn refusal(error: Error) -> CatalogError {
    match &error {
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, facts) if facts.constraint_name() == Some("products_sku_key") => {
            CatalogError::SkuTaken
        }
        _ => error.into(),
    }
}
