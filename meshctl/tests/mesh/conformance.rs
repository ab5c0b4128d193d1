//! The gRPC contract, RPC by RPC, asked straight at the services' own ports: what each answers, with which status it refuses,
//! and what becomes of it when callers send too much, open too much, or go away.

mod accounts;
mod articles;
mod hostile;
mod leaving;
mod outages;
mod products;
mod purchases;
mod refusals;
mod streams;
mod verdicts;
mod wire;
mod world;

use std::collections::BTreeSet;

use tonic::Code;

use self::{verdicts::Verdicts, world::World};

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_succeeds_and_refuses_with_the_status_that_the_contract_names() {
    let world = World::start().await;
    let product = products::succeed(&world).await;
    accounts::succeed(&world).await;
    articles::succeed(&world).await;
    purchases::succeed(&world, &product).await;
    assert_eq!(world.called(), contract(), "each RPC of the descriptors has succeeded; a new one needs a case here");

    let mut verdicts = Verdicts::default();
    refusals::accounts(&world, &mut verdicts).await;
    refusals::catalog(&world, &mut verdicts).await;
    refusals::orders(&world, &mut verdicts).await;
    refusals::of_grpc_itself(&world, &mut verdicts).await;
    outages::without_postgres(&world, &mut verdicts).await;
    outages::without_redis(&world, &mut verdicts).await;
    verdicts.are_right();
    let unseen: Vec<Code> = CODES.into_iter().filter(|code| !verdicts.seen.contains(&i32::from(*code))).collect();
    assert!(unseen.is_empty(), "no case ended with {unseen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_and_whoever_goes_away_the_services_go_on() {
    let world = World::start().await;
    hostile::nothing_is_no_reason_to_break(&world).await;
    hostile::ten_megabytes_are_refused_and_the_connection_lives(&world).await;
    leaving::in_the_middle_of_a_list(&world).await;
    leaving::in_the_middle_of_an_upload(&world).await;
    leaving::in_the_middle_of_a_talk(&world).await;
    leaving::before_an_answer(&world).await;
    streams::a_thousand_at_once(&world).await;
}

/// All codes that the services use. CANCELLED is what a server counts where nobody waits for its answer: `leaving.rs`.
const CODES: [Code; 12] = [
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Unavailable,
    Code::Unauthenticated,
];

/// `/package.Service/Method` of every RPC.
fn contract() -> BTreeSet<String> {
    world::methods().iter().map(world::path).collect()
}
