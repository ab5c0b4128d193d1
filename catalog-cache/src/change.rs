//! What writers tell all processes of the catalogue: that something has changed. `<prefix>changed` is the channel,
//! `<id> <version>` the message, after what changed stands in the cache.

use chassis::redis::subscription::{Audience, Channels};
use uuid::Uuid;

use crate::{
    catalog::{Kept, Traffic},
    config::CacheConfig,
    post::Thread,
    product::Product,
};

/// The channel of one kind of things.
pub(crate) fn channel<T: Kept>(config: &CacheConfig) -> String {
    format!("{}changed", T::prefix(config))
}

/// An id, and the version that it has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
}

impl Change {
    /// As it is published.
    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.id, self.version)
    }

    pub(crate) fn read(message: &[u8]) -> Option<Self> {
        let (id, version) = std::str::from_utf8(message).ok()?.split_once(' ')?;
        Some(Self { id: id.parse().ok()?, version: version.parse().ok()? })
    }
}

/// Passes on what is heard to those whom it concerns.
pub(crate) struct Listener {
    config: CacheConfig,
    products: Traffic<Product>,
    posts: Traffic<Thread>,
}

impl Listener {
    pub(crate) fn new(config: &CacheConfig, products: Traffic<Product>, posts: Traffic<Thread>) -> Self {
        Self { config: config.clone(), products, posts }
    }

    pub(crate) fn channels(&self) -> Channels {
        Channels::Named(vec![channel::<Product>(&self.config), channel::<Thread>(&self.config)])
    }
}

impl Audience for Listener {
    fn begin(&self) {
        self.products.hears();
        self.posts.hears();
    }

    fn hear(&self, name: &str, message: &[u8]) {
        let change = Change::read(message);
        if name == channel::<Product>(&self.config) {
            self.products.heard(change);
        } else {
            self.posts.heard(change);
        }
    }

    fn end(&self) {
        self.products.hears_no_more();
        self.posts.hears_no_more();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_as_it_was_published() {
        let change = Change { id: Uuid::max(), version: i64::MAX };
        assert_eq!(Change::read(change.text().as_bytes()), Some(change));
        for garbage in ["", "x 1", "ffffffff-ffff-ffff-ffff-ffffffffffff", "ffffffff-ffff-ffff-ffff-ffffffffffff x"] {
            assert_eq!(Change::read(garbage.as_bytes()), None, "{garbage}");
        }
        assert_eq!(Change::read(&[0xff, b' ', b'1']), None);
    }
}
