//! Customers.

use proto::orders::{CreateCustomerRequest, CustomerDetails};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    account::Email,
    error::Error,
    field::{Form, Object, id_field, text_field},
    time::moment,
    upstream::ORDERS,
};

id_field!(
    /// Which customer; a user's id where the customer is one.
    CustomerId
);

fn is_name(text: &str) -> bool {
    !text.contains(char::is_control)
}

text_field!(
    CustomerName, 1 to 320, "must be 1 to 320 characters without control characters",
    like r"^[^\u0000-\u001f\u007f-\u009f]{1,320}$" when is_name
);

/// `POST /customers`
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateCustomer {
    username: CustomerName,
    email: Email,
}

impl Form for CreateCustomer {
    fn read(object: &mut Object<'_>) -> Option<Self> {
        let (username, email) = (object.field("username"), object.field("email"));
        Some(Self { username: username?, email: email? })
    }
}

impl From<CreateCustomer> for CreateCustomerRequest {
    fn from(form: CreateCustomer) -> Self {
        Self { username: form.username.0, email: form.email.0 }
    }
}

/// A customer.
#[derive(Serialize, ToSchema)]
pub(crate) struct Customer {
    #[schema(format = Uuid)]
    pub(crate) customer_id: String,
    username: String,
    email: String,
    #[schema(format = DateTime)]
    created_at: String,
}

impl TryFrom<CustomerDetails> for Customer {
    type Error = Error;

    fn try_from(customer: CustomerDetails) -> Result<Self, Error> {
        let CustomerDetails { customer_id, username, email, created_at } = customer;
        Ok(Self { customer_id, username, email, created_at: moment(created_at, ORDERS, "customer.created_at")? })
    }
}

impl TryFrom<Option<CustomerDetails>> for Customer {
    type Error = Error;

    fn try_from(customer: Option<CustomerDetails>) -> Result<Self, Error> {
        customer.ok_or(Error::BrokenAnswer { service: ORDERS, what: "customer" })?.try_into()
    }
}
