//! `throughline.orders.v1.CustomerService`

use db::pool::Pool;
use proto::orders::{
    CreateCustomerRequest, CreateCustomerResponse, GetCustomerRequest, GetCustomerResponse, ListCustomersRequest, ListCustomersResponse,
    customer_service_server::CustomerService,
};
use tonic::{Request, Response, Status};

use crate::{
    attempt::repeated,
    customer::NewCustomer,
    error::OrderError,
    field::Fields,
    page::{List, Page},
    store,
};

/// One per serving runtime.
pub(crate) struct Customers {
    pool: Pool,
}

impl Customers {
    pub(crate) fn new(pool: Pool) -> Self {
        Self { pool }
    }
}

#[tonic::async_trait]
impl CustomerService for Customers {
    async fn create_customer(&self, request: Request<CreateCustomerRequest>) -> Result<Response<CreateCustomerResponse>, Status> {
        let request = request.into_inner();
        let new = &NewCustomer::new(request.username, &request.email)?;
        let create = repeated(&self.pool, |mut connection| async move { store::create_customer(&mut connection, new).await });
        let created = self.pool.bounded(create).await?;
        Ok(Response::new(CreateCustomerResponse { customer: Some(created.into()) }))
    }

    async fn get_customer(&self, request: Request<GetCustomerRequest>) -> Result<Response<GetCustomerResponse>, Status> {
        let mut fields = Fields::default();
        let customer_id = fields.uuid("customer_id", &request.into_inner().customer_id);
        fields.all_right()?;
        let found = self.pool.bounded(async {
            let mut connection = self.pool.get().await?;
            Ok::<_, OrderError>(store::find_customer(&mut connection, customer_id).await?)
        });
        let customer = found.await?.ok_or(OrderError::NotFound("customer", customer_id))?;
        Ok(Response::new(GetCustomerResponse { customer: Some(customer.into()) }))
    }

    async fn list_customers(&self, request: Request<ListCustomersRequest>) -> Result<Response<ListCustomersResponse>, Status> {
        let request = request.into_inner();
        let mut fields = Fields::default();
        let page = Page::new(List::Customers, request.page_size, &request.page_token, &mut fields);
        fields.all_right()?;
        let found = self.pool.bounded(async {
            let mut connection = self.pool.get().await?;
            Ok::<_, OrderError>(store::list_customers(&mut connection, &page).await?)
        });
        let mut customers = found.await?;
        let next_page_token = page.cut(&mut customers, |customer| customer.customer_id);
        Ok(Response::new(ListCustomersResponse { customers: customers.into_iter().map(Into::into).collect(), next_page_token }))
    }
}
