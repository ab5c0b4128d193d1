//! Products.

use proto::catalog::{self, ListProductsRequest, Money, Product as ProtoProduct, ProductDraft, ProductSort, SearchProductsRequest};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    error::Error,
    field::{Field, Form, Object, id_field, text_field},
    page::{PageQuery, limit},
    query::{Params, QueryForm},
    upstream::CATALOG_CACHE,
};

id_field!(
    /// Which product.
    ProductId
);

fn is_sku(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'))
}

fn is_category(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
}

fn is_currency(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_uppercase())
}

/// Digits, and perhaps a point and one or two more.
fn is_amount(text: &str) -> bool {
    let (whole, cents) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit());
    digits(whole, 10) && digits(cents, 2)
}

text_field!(Sku, 1 to 64, "must be 1 to 64 letters, digits, `_`, `-` and `.`", like "^[A-Za-z0-9_.-]{1,64}$" when is_sku);
text_field!(Name, 1 to 200, "must be 1 to 200 characters");
text_field!(Description, 0 to 4000, "must be at most 4000 characters");
text_field!(Category, 1 to 64, "must be 1 to 64 lower-case letters, digits and `-`", like "^[a-z0-9-]{1,64}$" when is_category);
text_field!(
    /// A decimal in a string, so that no reader makes a float of it.
    Amount, 1 to 13, "must be a decimal in a string, from \"0.00\" to \"9999999999.99\", with at most two digits after the point",
    like r"^[0-9]{1,10}(\.[0-9]{1,2})?$" when is_amount
);
text_field!(Currency, 3 to 3, "must be three capital letters (ISO 4217)", like "^[A-Z]{3}$" when is_currency);
text_field!(SearchText, 1 to 200, "must be 1 to 200 characters");

/// `POST /products`, `PUT /products/{product_id}`
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    sku: Sku,
    name: Name,
    description: Option<Description>,
    category: Category,
    price: Amount,
    currency: Currency,
}

impl Form for Draft {
    fn read(object: &mut Object<'_>) -> Option<Self> {
        let (sku, name, description) = (object.field("sku"), object.field("name"), object.optional("description"));
        let (category, price, currency) = (object.field("category"), object.field("price"), object.field("currency"));
        Some(Self { sku: sku?, name: name?, description: description?, category: category?, price: price?, currency: currency? })
    }
}

impl From<Draft> for ProductDraft {
    fn from(form: Draft) -> Self {
        Self {
            sku: form.sku.0,
            name: form.name.0,
            description: form.description.map(|description| description.0).unwrap_or_default(),
            category: form.category.0,
            price: Some(Money { amount: form.price.0, currency: form.currency.0 }),
        }
    }
}

/// `POST /products/batch`
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch {
    #[schema(min_items = 1, max_items = 500)]
    ids: Vec<ProductId>,
}

impl Form for Batch {
    fn read(object: &mut Object<'_>) -> Option<Self> {
        Some(Self { ids: object.values("ids", &(1..=500))? })
    }
}

impl From<Batch> for catalog::BatchGetProductsRequest {
    fn from(form: Batch) -> Self {
        Self { product_ids: form.ids.into_iter().map(Into::into).collect() }
    }
}

/// Ties are broken by id.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum Sort {
    Name,
    NameDesc,
    Price,
    PriceDesc,
}

impl Field for Sort {
    const ALLOWED: &'static str = "must be name, name_desc, price or price_desc";

    fn read(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "name" => Some(Self::Name),
            "name_desc" => Some(Self::NameDesc),
            "price" => Some(Self::Price),
            "price_desc" => Some(Self::PriceDesc),
            _ => None,
        }
    }
}

impl From<Sort> for ProductSort {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Name => Self::Name,
            Sort::NameDesc => Self::NameDesc,
            Sort::Price => Self::Price,
            Sort::PriceDesc => Self::PriceDesc,
        }
    }
}

/// `GET /products`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProductQuery {
    #[param(ignore)]
    page: PageQuery,
    /// Only this category.
    category: Option<Category>,
    /// Not cheaper than this.
    min_price: Option<Amount>,
    /// Not dearer than this.
    max_price: Option<Amount>,
    /// By id where it is left out. A cursor belongs to the sort that it was made with.
    sort: Option<Sort>,
}

impl QueryForm for ProductQuery {
    fn read(params: &mut Params) -> Option<Self> {
        let (page, category, sort) = (PageQuery::read(params), params.optional("category"), params.optional("sort"));
        let (min_price, max_price) = (params.optional("min_price"), params.optional("max_price"));
        Some(Self { page: page?, category: category?, min_price: min_price?, max_price: max_price?, sort: sort? })
    }
}

impl From<ProductQuery> for ListProductsRequest {
    fn from(query: ProductQuery) -> Self {
        let amount = |amount: Option<Amount>| amount.map(|amount| amount.0).unwrap_or_default();
        Self {
            page_size: query.page.limit,
            page_token: query.page.cursor,
            category: query.category.map(|category| category.0).unwrap_or_default(),
            min_price: amount(query.min_price),
            max_price: amount(query.max_price),
            sort: query.sort.map_or(ProductSort::Unspecified, Into::into).into(),
        }
    }
}

/// `GET /products/search`
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchQuery {
    /// Words, "quoted phrases", or, -without.
    q: SearchText,
    /// The most products that are found.
    #[param(required = false, minimum = 1, maximum = 100, default = 20)]
    limit: u32,
}

impl QueryForm for SearchQuery {
    fn read(params: &mut Params) -> Option<Self> {
        let (q, limit) = (params.required("q"), limit(params, 20));
        Some(Self { q: q?, limit: limit? })
    }
}

impl From<SearchQuery> for SearchProductsRequest {
    fn from(query: SearchQuery) -> Self {
        Self { query: query.q.0, limit: query.limit }
    }
}

/// A product, as shown to everybody.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the API's own names")]
pub(crate) struct Product {
    #[schema(format = Uuid)]
    pub(crate) product_id: String,
    sku: String,
    name: String,
    description: String,
    category: String,
    /// Decimal, two digits after the point.
    price: String,
    /// ISO 4217.
    currency: String,
    pub(crate) version: i64,
}

impl TryFrom<ProtoProduct> for Product {
    type Error = Error;

    fn try_from(product: ProtoProduct) -> Result<Self, Error> {
        let price = product.price.ok_or(Error::BrokenAnswer { service: CATALOG_CACHE, what: "product.price" })?;
        Ok(Self {
            product_id: product.product_id,
            sku: product.sku,
            name: product.name,
            description: product.description,
            category: product.category,
            price: price.amount,
            currency: price.currency,
            version: product.version,
        })
    }
}

impl TryFrom<Option<ProtoProduct>> for Product {
    type Error = Error;

    fn try_from(product: Option<ProtoProduct>) -> Result<Self, Error> {
        product.ok_or(Error::BrokenAnswer { service: CATALOG_CACHE, what: "product" })?.try_into()
    }
}

/// What was found of a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct Found {
    /// In the order of the request.
    items: Vec<Product>,
    /// Ids of which there is no product.
    unknown: Vec<String>,
}

impl TryFrom<catalog::BatchGetProductsResponse> for Found {
    type Error = Error;

    fn try_from(answer: catalog::BatchGetProductsResponse) -> Result<Self, Error> {
        let items = answer.products.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Self { items, unknown: answer.unknown_product_ids })
    }
}
