//! A connection whose statements are seen to their end.

use diesel::{
    ConnectionResult, QueryResult,
    connection::{CacheSize, Instrumentation},
    pg::Pg,
    query_builder::{AsQuery, QueryFragment, QueryId},
};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncConnectionCore, AsyncPgConnection, SimpleAsyncConnection,
    pooled_connection::PoolableConnection,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use telemetry::sql::SqlSpans;

/// diesel-async's connection to Postgres. That one tells its instrumentation that a query is over when it has been sent; what
/// the server refuses while it runs (a duplicate, a deadlock, a timeout) comes later, among the rows. This one lets the span of a
/// query last until its rows have come.
pub struct Connection {
    inner: AsyncPgConnection,
    spans: SqlSpans,
}

impl Connection {
    pub(crate) fn new(mut inner: AsyncPgConnection, spans: SqlSpans) -> Self {
        inner.set_instrumentation(spans.clone());
        Self { inner, spans }
    }
}

impl SimpleAsyncConnection for Connection {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.inner.batch_execute(query).await
    }
}

impl AsyncConnectionCore for Connection {
    type ExecuteFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<Self::Stream<'conn, 'query>>>;
    type Stream<'conn, 'query> = BoxStream<'static, QueryResult<Self::Row<'conn, 'query>>>;
    type Row<'conn, 'query> = <AsyncPgConnection as AsyncConnectionCore>::Row<'conn, 'query>;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        let spans = self.spans.clone();
        let rows = self.inner.load(source);
        spans.expect_rows();
        async move { Ok(spans.reading(rows.await?).boxed()) }.boxed()
    }

    fn execute_returning_count<'conn, 'query, T>(&'conn mut self, source: T) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        self.inner.execute_returning_count(source)
    }
}

impl AsyncConnection for Connection {
    type TransactionManager = AnsiTransactionManager;

    async fn establish(database_url: &str) -> ConnectionResult<Self> {
        Ok(Self::new(AsyncPgConnection::establish(database_url).await?, SqlSpans::default()))
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        self.inner.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        &mut self.spans
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.inner.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.inner.set_prepared_statement_cache_size(size);
    }
}

impl PoolableConnection for Connection {
    fn is_broken(&mut self) -> bool {
        self.inner.is_broken()
    }
}
