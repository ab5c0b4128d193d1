//! Customers.

use chrono::{DateTime, Utc};
use db::connection::Connection;
use db::schema::orders::customers;
use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, Queryable, Selectable, SelectableHelper,
    result::{DatabaseErrorKind, Error},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    customer::{Customer, NewCustomer},
    error::OrderError,
    order::Order,
    page::Page,
};

/// Address of a customer that was made by a call: the partial unique index.
pub(super) const EMAIL_KEY: &str = "customers_email_key";

#[derive(Queryable, Selectable)]
#[diesel(table_name = customers)]
#[diesel(check_for_backend(diesel::pg::Pg))]
pub(super) struct CustomerRow {
    customer_id: Uuid,
    username: String,
    email: String,
    created_at: DateTime<Utc>,
}

impl From<CustomerRow> for Customer {
    fn from(row: CustomerRow) -> Self {
        let CustomerRow { customer_id, username, email, created_at } = row;
        Self { customer_id, username, email, created_at }
    }
}

/// Adds a customer who has not ordered.
pub(crate) async fn create_customer(connection: &mut Connection, new: &NewCustomer) -> Result<Customer, OrderError> {
    let row = (
        customers::customer_id.eq(Uuid::now_v7()),
        customers::username.eq(&new.username),
        customers::email.eq(&new.email),
        customers::origin.eq("api"),
    );
    let created = diesel::insert_into(customers::table).values(row).returning(CustomerRow::as_returning()).get_result(connection).await;
    created.map(Customer::from).map_err(|error| if is_taken(&error) { OrderError::EmailTaken } else { error.into() })
}

fn is_taken(error: &Error) -> bool {
    let Error::DatabaseError(DatabaseErrorKind::UniqueViolation, information) = error else { return false };
    information.constraint_name() == Some(EMAIL_KEY)
}

/// A customer.
pub(crate) async fn find_customer(connection: &mut Connection, customer_id: Uuid) -> QueryResult<Option<Customer>> {
    let row = customers::table.find(customer_id).select(CustomerRow::as_select()).get_result(connection).await.optional()?;
    Ok(row.map(Into::into))
}

/// Who placed an order.
pub(super) async fn customer_of(connection: &mut Connection, order: &Order) -> QueryResult<Customer> {
    customers::table.find(order.user_id).select(CustomerRow::as_select()).get_result(connection).await.map(Into::into)
}

/// A page of customers, in the order of their ids.
pub(crate) async fn list_customers(connection: &mut Connection, page: &Page) -> QueryResult<Vec<Customer>> {
    let mut query = customers::table.select(CustomerRow::as_select()).order(customers::customer_id).limit(page.limit()).into_boxed();
    if let Some(after) = page.after {
        query = query.filter(customers::customer_id.gt(after));
    }
    let rows = query.load(connection).await?;
    Ok(rows.into_iter().map(Into::into).collect())
}
