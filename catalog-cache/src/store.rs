//! All SQL of the catalogue. A unit of work is one statement: what it refused is looked into only then.

pub(crate) mod post;
pub(crate) mod product;
pub(crate) mod search;

/// The versions, from and to, that a change may find: the one that the caller knows, or any.
fn versions(expected: Option<i64>) -> (i64, i64) {
    expected.map_or((i64::MIN, i64::MAX), |version| (version, version))
}
