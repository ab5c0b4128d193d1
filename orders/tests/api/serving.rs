//! What every gRPC service of the mesh offers beside its own calls.

use chassis::testing::TestProxy;
use events::testing::eventually;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

use crate::shop::Shop;

const SERVICES: [&str; 4] = [
    "throughline.orders.v1.OrderService",
    "throughline.orders.v1.CustomerService",
    "throughline.orders.v1.StockService",
    "throughline.orders.v1.ReportService",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn health_follows_postgres() {
    let other = Shop::open().await;
    let (proxy, url) = TestProxy::for_url(&other.database.url(db::roles::Role::Orders)).await;
    let shop = Shop::open_with(|config| config.database.url = chassis::config::Secret::new(url)).await;
    let client = HealthClient::new(shop.channel.clone());
    let status = async |service: &str| {
        let request = HealthCheckRequest { service: service.into() };
        client.clone().check(request).await.map(|answer| answer.into_inner().status())
    };
    for service in SERVICES.into_iter().chain([""]) {
        eventually("it serves", async || matches!(status(service).await, Ok(ServingStatus::Serving))).await;
    }
    proxy.cut();
    for service in SERVICES {
        eventually("it says that it does not", async || matches!(status(service).await, Ok(ServingStatus::NotServing))).await;
    }
    proxy.heal();
    for service in SERVICES {
        eventually("it serves again", async || matches!(status(service).await, Ok(ServingStatus::Serving))).await;
    }
    drop(client);
    shop.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn reflection_lists_and_describes_the_services() {
    let shop = Shop::open().await;
    let mut client = ServerReflectionClient::new(shop.channel.clone());
    let ask = |message| ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let symbols = SERVICES.map(|service| ask(MessageRequest::FileContainingSymbol(service.into())));
    let questions: Vec<_> = [ask(MessageRequest::ListServices(String::new()))].into_iter().chain(symbols).collect();
    let mut answers = client.server_reflection_info(futures::stream::iter(questions)).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = answers.message().await.unwrap().unwrap().message_response else {
        panic!("no list of services");
    };
    for name in SERVICES {
        assert!(list.service.iter().any(|service| service.name == name), "{list:?}");
        let Some(MessageResponse::FileDescriptorResponse(files)) = answers.message().await.unwrap().unwrap().message_response else {
            panic!("no description of {name}");
        };
        assert!(!files.file_descriptor_proto.is_empty());
    }
    drop((answers, client));
    shop.close().await;
}
