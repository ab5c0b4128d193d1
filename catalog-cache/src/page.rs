//! Pages of lists: which rows, in which order, and after which one.
//!
//! A token names the last row of the page before, and so stays valid while rows come and go. By id it is that row's id; in
//! another order it is a byte for the order, the id, and the value by which the rows are ordered, as text.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::grpc;
use proto::catalog::{ListPostsRequest, ListProductsRequest, ProductSort};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{
    error::CatalogError,
    field::{Fields, amount},
    post::Post,
    product::Product,
};

/// Rows on a page where the request names no number.
const DEFAULT_SIZE: u32 = 20;
/// What the rows of one answer may weigh, in bytes: a caller reads no larger message, and there is more in it than text.
const MAX_WEIGHT: usize = grpc::MAX_MESSAGE / 4 * 3;

/// A page of products.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProductPage {
    pub(crate) size: u32,
    pub(crate) category: Option<String>,
    pub(crate) min_price: Option<Decimal>,
    pub(crate) max_price: Option<Decimal>,
    pub(crate) course: Course,
}

/// The order of products, and the one that the page begins after.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Course {
    Id { after: Option<Uuid> },
    Name { descending: bool, after: Option<(String, Uuid)> },
    Price { descending: bool, after: Option<(Decimal, Uuid)> },
}

/// A page of posts, newest first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PostPage {
    pub(crate) size: u32,
    pub(crate) before: Option<Uuid>,
    pub(crate) author_id: Option<Uuid>,
}

impl ProductPage {
    /// Checks a request; every mistake is named.
    pub(crate) fn read(request: ListProductsRequest) -> Result<Self, CatalogError> {
        let mut fields = Fields::default();
        let size = fields.number("page_size", request.page_size, DEFAULT_SIZE);
        let category = given(request.category).map(|text| fields.category("category", text));
        let min_price = given(request.min_price).map(|text| fields.amount("min_price", &text));
        let max_price = given(request.max_price).map(|text| fields.amount("max_price", &text));
        let sort = ProductSort::try_from(request.sort).unwrap_or_else(|_| {
            fields.refuse("sort", "must be one of ProductSort");
            ProductSort::Unspecified
        });
        let course = Course::read(sort, &request.page_token).unwrap_or_else(|| {
            fields.wrong_token();
            Course::Id { after: None }
        });
        fields.done(Self { size, category, min_price, max_price, course })
    }

    /// Cuts what was loaded, one row too many where there is a next page, and makes the token of that.
    pub(crate) fn finish(&self, rows: &mut Vec<Product>) -> String {
        finish(self.size, rows, |_| 0, |last| Course::token(self.course.sort(), last))
    }
}

impl PostPage {
    /// Checks a request; every mistake is named.
    pub(crate) fn read(request: &ListPostsRequest) -> Result<Self, CatalogError> {
        let mut fields = Fields::default();
        let size = fields.number("page_size", request.page_size, DEFAULT_SIZE);
        let author_id = given(request.author_id.as_str()).map(|text| fields.id("author_id", text));
        let before = given(request.page_token.as_str()).and_then(|token| {
            let id = decode(token).and_then(|bytes| Uuid::from_slice(&bytes).ok());
            if id.is_none() {
                fields.wrong_token();
            }
            id
        });
        fields.done(Self { size, before, author_id })
    }

    /// As [`ProductPage::finish`].
    pub(crate) fn finish(&self, rows: &mut Vec<Post>) -> String {
        finish(self.size, rows, |post| post.title.len() + post.body.len(), |last| URL_SAFE_NO_PAD.encode(last.post_id))
    }
}

impl Course {
    /// None where the token is garbage, or was made in another order.
    fn read(sort: ProductSort, token: &str) -> Option<Self> {
        let first = token.is_empty();
        Some(match sort {
            ProductSort::Unspecified => Self::Id { after: if first { None } else { Some(Uuid::from_slice(&decode(token)?).ok()?) } },
            ProductSort::Name | ProductSort::NameDesc => {
                let after = if first { None } else { Some(place(sort, token)?) };
                Self::Name { descending: sort == ProductSort::NameDesc, after }
            }
            ProductSort::Price | ProductSort::PriceDesc => {
                let after = if first { None } else { Some(place(sort, token)?) };
                let after = match after {
                    Some((text, id)) => Some((amount(&text)?, id)),
                    None => None,
                };
                Self::Price { descending: sort == ProductSort::PriceDesc, after }
            }
        })
    }

    fn sort(&self) -> ProductSort {
        match self {
            Self::Id { .. } => ProductSort::Unspecified,
            Self::Name { descending: false, .. } => ProductSort::Name,
            Self::Name { descending: true, .. } => ProductSort::NameDesc,
            Self::Price { descending: false, .. } => ProductSort::Price,
            Self::Price { descending: true, .. } => ProductSort::PriceDesc,
        }
    }

    /// The token for the page after one that ends with `last`.
    fn token(sort: ProductSort, last: &Product) -> String {
        let value = match sort {
            ProductSort::Unspecified => return URL_SAFE_NO_PAD.encode(last.product_id),
            ProductSort::Name | ProductSort::NameDesc => last.name.clone(),
            ProductSort::Price | ProductSort::PriceDesc => last.price.to_string(),
        };
        URL_SAFE_NO_PAD.encode([&[byte(sort)], last.product_id.as_bytes().as_slice(), value.as_bytes()].concat())
    }
}

/// Value and id of the row that a token names.
fn place(sort: ProductSort, token: &str) -> Option<(String, Uuid)> {
    let bytes = decode(token)?;
    let (id, value) = bytes.strip_prefix(&[byte(sort)])?.split_at_checked(16)?;
    let value = String::from_utf8(value.to_vec()).ok().filter(|text| !text.is_empty() && !text.contains('\0'))?;
    Some((value, Uuid::from_slice(id).ok()?))
}

fn byte(sort: ProductSort) -> u8 {
    match sort {
        ProductSort::Unspecified => 0,
        ProductSort::Name => 1,
        ProductSort::NameDesc => 2,
        ProductSort::Price => 3,
        ProductSort::PriceDesc => 4,
    }
}

fn decode(token: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(token).ok()
}

fn given<T: AsRef<str>>(text: T) -> Option<T> {
    Some(text).filter(|text| !text.as_ref().is_empty())
}

fn finish<T>(size: u32, rows: &mut Vec<T>, weight: impl Fn(&T) -> usize, token: impl Fn(&T) -> String) -> String {
    let loaded = rows.len();
    rows.truncate(size as usize);
    truncate_to_weight(rows, weight);
    if rows.len() < loaded { rows.last().map(token).unwrap_or_default() } else { String::new() }
}

/// Leaves what fits into one answer, and at least one row.
pub(crate) fn truncate_to_weight<T>(rows: &mut Vec<T>, weight: impl Fn(&T) -> usize) {
    let mut sum = 0;
    let fitting = rows.iter().take_while(|row| {
        sum += weight(row);
        sum <= MAX_WEIGHT
    });
    let fitting = fitting.count().max(1);
    rows.truncate(fitting);
}

#[cfg(test)]
mod tests {
    use rust_decimal::dec;

    use super::*;

    const SORTS: [ProductSort; 5] =
        [ProductSort::Unspecified, ProductSort::Name, ProductSort::NameDesc, ProductSort::Price, ProductSort::PriceDesc];

    fn last() -> Product {
        Product { product_id: Uuid::from_u128(7), name: "Café — 1".into(), ..Product::example() }
    }

    #[test]
    fn a_token_leads_back_to_where_it_was_made_and_only_in_its_own_order() {
        for made in SORTS {
            let token = Course::token(made, &last());
            for read in SORTS {
                assert_eq!(Course::read(read, &token).is_some(), made == read, "{made:?} {read:?}");
            }
        }
        let (name, price) = (Course::token(ProductSort::Name, &last()), Course::token(ProductSort::PriceDesc, &last()));
        let (name_place, price_place) = (Some(("Café — 1".to_owned(), Uuid::from_u128(7))), Some((dec!(19.90), Uuid::from_u128(7))));
        assert_eq!(Course::read(ProductSort::Name, &name), Some(Course::Name { descending: false, after: name_place }));
        assert_eq!(Course::read(ProductSort::PriceDesc, &price), Some(Course::Price { descending: true, after: price_place }));
    }

    #[test]
    fn a_token_that_was_tampered_with_is_refused() {
        let forged = |bytes: &[u8]| URL_SAFE_NO_PAD.encode([bytes, Uuid::nil().as_bytes().as_slice()].concat());
        let with = |sort: u8, value: &[u8]| URL_SAFE_NO_PAD.encode([&[sort], Uuid::nil().as_bytes().as_slice(), value].concat());
        for (sort, token) in [
            (ProductSort::Unspecified, forged(&[0])),
            (ProductSort::Name, forged(&[1])),
            (ProductSort::Name, with(1, b"a\0b")),
            (ProductSort::Name, with(1, &[0xff])),
            (ProductSort::Price, with(3, b"1e9")),
            (ProductSort::Price, with(3, b"NaN")),
            (ProductSort::Price, "=".into()),
        ] {
            assert_eq!(Course::read(sort, &token), None, "{sort:?} {token}");
        }
    }

    #[test]
    fn all_mistakes_of_a_page_are_named() {
        let request = ListProductsRequest {
            page_size: 101,
            page_token: "?".into(),
            category: "A\0".into(),
            min_price: "-1".into(),
            max_price: "1.999".into(),
            sort: 9,
        };
        let Err(CatalogError::Invalid(violations)) = ProductPage::read(request) else { panic!("a page of 101") };
        let named: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(named, ["page_size", "category", "min_price", "max_price", "sort", "page_token"]);
    }

    #[test]
    fn an_answer_has_no_more_rows_than_fit_into_a_message() {
        let mut rows = vec![MAX_WEIGHT / 2; 4];
        let token = finish(3, &mut rows, |weight| *weight, |_| "next".into());
        assert_eq!((rows.len(), token.as_str()), (2, "next"));
        let mut large = vec![MAX_WEIGHT + 1; 2];
        truncate_to_weight(&mut large, |weight| *weight);
        assert_eq!(large.len(), 1);
        assert_eq!(finish(20, &mut vec![1; 20], |weight| *weight, |_| "next".into()), "");
    }
}
