//! A connection whose statements are seen to their end.

use std::{pin::pin, task::Poll};

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

/// diesel-async's connection to Postgres, with a span for each statement that lasts until its rows have come: what the server
/// refuses while it runs (a duplicate, a deadlock, a timeout) comes among them.
///
/// Queries that do not need each other's answers can share a round trip: `&Connection` is a connection, too, so that several may
/// be under way at once.
///
/// ```ignore
/// let (order, customer) = futures::try_join!(
///     orders::table.find(order_id).first::<OrderRow>(&mut &*connection),
///     customers::table.find(customer_id).first::<CustomerRow>(&mut &*connection),
/// )?;
/// ```
///
/// The server still answers one after the other, in the order in which the futures are polled first; in a transaction the
/// failure of one fails those behind it.
pub struct Connection {
    inner: AsyncPgConnection,
    spans: SqlSpans,
}

/// Rows as they come.
type Stream = BoxStream<'static, QueryResult<Row>>;
type Row = <AsyncPgConnection as AsyncConnectionCore>::Row<'static, 'static>;

impl Connection {
    pub(crate) fn new(mut inner: AsyncPgConnection, spans: SqlSpans) -> Self {
        inner.set_instrumentation(spans.clone());
        Self { inner, spans }
    }

    /// Which statement comes, where diesel prepares those of its type once because they have one text.
    fn announce<Q: QueryFragment<Pg> + QueryId>(&self, query: &Q) {
        let one_text = query.is_safe_to_cache_prepared(&Pg).unwrap_or(false);
        self.spans.next_is(Q::query_id().filter(|_| one_text));
    }

    async fn run_batch(&self, query: &str) -> QueryResult<()> {
        let mut inner = &self.inner;
        let mut work = pin!(inner.batch_execute(query));
        // the hook is told of it when it is first polled
        let first = futures::poll!(work.as_mut());
        let statement = self.spans.begun();
        let done = if let Poll::Ready(done) = first { done } else { work.await };
        statement.end(done.as_ref().err());
        done
    }

    fn run_load<'a, 'query, T>(&'a self, source: T) -> BoxFuture<'a, QueryResult<Stream>>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        let query = source.as_query();
        self.announce(&query);
        let rows = AsyncConnectionCore::load(&mut &self.inner, query);
        let statement = self.spans.begun();
        let work = async move {
            match rows.await {
                Ok(rows) => Ok(statement.reading(rows).boxed()),
                Err(error) => {
                    statement.end(Some(&error));
                    Err(error)
                }
            }
        };
        work.boxed()
    }

    fn run_execute<'a, 'query, T>(&'a self, source: T) -> BoxFuture<'a, QueryResult<usize>>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        self.announce(&source);
        let work = AsyncConnectionCore::execute_returning_count(&mut &self.inner, source);
        let statement = self.spans.begun();
        let work = async move {
            let done = work.await;
            statement.end(done.as_ref().err());
            done
        };
        work.boxed()
    }
}

impl SimpleAsyncConnection for Connection {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.run_batch(query).await
    }
}

impl SimpleAsyncConnection for &Connection {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.run_batch(query).await
    }
}

impl AsyncConnectionCore for Connection {
    type ExecuteFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<Stream>>;
    type Stream<'conn, 'query> = Stream;
    type Row<'conn, 'query> = Row;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        self.run_load(source)
    }

    fn execute_returning_count<'conn, 'query, T>(&'conn mut self, source: T) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        self.run_execute(source)
    }
}

impl<'a> AsyncConnectionCore for &'a Connection {
    type ExecuteFuture<'conn, 'query> = BoxFuture<'a, QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = BoxFuture<'a, QueryResult<Stream>>;
    type Stream<'conn, 'query> = Stream;
    type Row<'conn, 'query> = Row;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        self.run_load(source)
    }

    fn execute_returning_count<'conn, 'query, T>(&'conn mut self, source: T) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        self.run_execute(source)
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
