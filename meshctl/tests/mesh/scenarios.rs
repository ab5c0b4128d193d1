//! Every scenario causes what its file says and nothing else, is seen in real Prometheus and in traces, and leaves nothing behind.

mod commands;
#[cfg(feature = "full")]
mod disorder;
mod proof;

use proof::Proof;
#[cfg(feature = "full")]
pub(crate) use proof::{Canary, free_address};

use crate::traffic::Visit;

/// One test with the scenario on, and one with it left off, which must find nothing: so that the first can fail.
macro_rules! scenarios {
    ($($(#[$meta:meta])* $name:ident, $off:ident: $proof:expr;)+) => { $(
        $(#[$meta])*
        #[tokio::test]
        async fn $name() {
            $proof.is_seen().await;
        }

        #[cfg(feature = "full")]
        #[tokio::test]
        async fn $off() {
            $proof.is_not_seen_while_off().await;
        }
    )+ };
}

scenarios! {
    error_spike, error_spike_left_off:
        Proof::of("error-spike", &[], &[Visit::Product, Visit::Orders, Visit::Product, Visit::Order], 40);
    #[cfg(feature = "full")]
    slow_endpoint, slow_endpoint_left_off:
        Proof::of("slow-endpoint", &[], &[Visit::Product, Visit::Orders], 20);
    #[cfg(feature = "full")]
    deadline_exceeded, deadline_exceeded_left_off:
        Proof::of("deadline-exceeded", &[], &[Visit::Product, Visit::Product, Visit::Order], 20);
    #[cfg(feature = "full")]
    consumer_lag, consumer_lag_left_off:
        Proof::of("consumer-lag", &[], &[Visit::Order], 30);
    #[cfg(feature = "full")]
    poison_messages, poison_messages_left_off:
        Proof::of("poison-messages", &[], &[Visit::Order], 20);
    #[cfg(feature = "full")]
    cache_stampede, cache_stampede_left_off:
        Proof::of("cache-stampede", &[], &[Visit::Product], 150);
    #[cfg(feature = "full")]
    connection_leak, connection_leak_left_off:
        Proof::of("connection-leak", &[], &[Visit::Orders, Visit::Orders, Visit::Orders, Visit::Order], 40);
    #[cfg(feature = "full")]
    n_plus_one, n_plus_one_left_off:
        Proof::of("n-plus-one", &[], &[Visit::Thread, Visit::Product], 16);
    #[cfg(feature = "full")]
    resource_exhaustion, resource_exhaustion_left_off:
        Proof::of("resource-exhaustion", &[], &[Visit::Order, Visit::Orders], 20);
    #[cfg(feature = "full")]
    slow_query, slow_query_left_off:
        Proof::of("slow-query", &["seed", "--posts", "200000"], &[Visit::Posts, Visit::Product], 10);
    #[cfg(feature = "full")]
    lost_context, lost_context_left_off:
        Proof::of("lost-context", &[], &[Visit::Order], 10).with_canary();
}
