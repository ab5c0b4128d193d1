//! Reading through the cache.

use db::pool::Pool;
use uuid::Uuid;

use crate::{
    cache::{Cache, Known},
    error::CatalogError,
    flight::{Departure, Flights},
    product::{Page, Product},
    store,
};

/// Everything that is sold. One per serving runtime; the flights are the process's.
#[derive(Clone)]
pub(crate) struct Catalog {
    pool: Pool,
    cache: Cache,
    flights: Flights,
}

impl Catalog {
    pub(crate) fn new(pool: Pool, cache: Cache, flights: Flights) -> Self {
        Self { pool, cache, flights }
    }

    /// A product or the lack of one for each of `ids`.
    pub(crate) async fn find(&self, ids: &[Uuid]) -> Result<Known, CatalogError> {
        let asked = self.flights.now();
        let mut known = self.cache.get(ids).await;
        let missing: Vec<Uuid> = ids.iter().copied().filter(|id| !known.contains_key(id)).collect();
        if missing.is_empty() {
            return Ok(known);
        }
        let catalog = self.clone();
        let loaded = self.flights.join(&missing, asked, |departure| async move { catalog.load(departure).await }).await?;
        for id in missing {
            let product = loaded.iter().find_map(|loaded| loaded.get(&id)).cloned();
            known.insert(id, product.flatten());
        }
        Ok(known)
    }

    /// Loads from Postgres and keeps in the cache.
    async fn load(&self, Departure { mut ids, stale }: Departure) -> Result<Known, CatalogError> {
        let mut known = if stale { self.cache.get(&ids).await } else { Known::new() };
        ids.retain(|id| !known.contains_key(id));
        if ids.is_empty() {
            return Ok(known);
        }
        let found = self.pool.bounded(async {
            let mut connection = self.pool.get().await?;
            Ok::<_, CatalogError>(store::find(&mut connection, &ids).await?)
        });
        let mut loaded: Known = ids.iter().map(|id| (*id, None)).collect();
        loaded.extend(found.await?.into_iter().map(|product| (product.product_id, Some(product))));
        self.cache.put(&loaded).await;
        known.extend(loaded);
        Ok(known)
    }

    /// A page, read from Postgres, and the token of the next one, which is empty on the last.
    pub(crate) async fn list(&self, page: Page) -> Result<(Vec<Product>, String), CatalogError> {
        let read = self.pool.bounded(async {
            let mut connection = self.pool.get().await?;
            Ok::<_, CatalogError>(store::page(&mut connection, page).await?)
        });
        let mut products = read.await?;
        let more = products.len() > page.size as usize;
        products.truncate(page.size as usize);
        let token = products.last().filter(|_| more).map(Page::token_after);
        Ok((products, token.unwrap_or_default()))
    }
}
