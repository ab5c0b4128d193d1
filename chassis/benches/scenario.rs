//! What a point in the code costs where a scenario could do something and none is on: `cargo bench -p chassis --bench scenario`.

#![allow(clippy::print_stdout, reason = "the figures are the result")]

use std::{hint::black_box, time::Instant};

use chassis::scenario::{Scenario, Scenarios};

const CALLS: u32 = 50_000_000;
const ROUNDS: usize = 5;

/// Nanoseconds of one call.
fn time(call: impl Fn(u32) -> bool) -> f64 {
    let begun = Instant::now();
    for number in 0..CALLS {
        black_box(call(black_box(number)));
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

fn main() {
    let scenarios = Scenarios::default();
    for _ in 0..ROUNDS {
        let nothing = time(|number| number == u32::MAX);
        let is_on = time(|_| black_box(&scenarios).is_on(Scenario::NPlusOne));
        let strikes = time(|_| black_box(&scenarios).strikes(Scenario::ErrorSpike));
        println!("an empty call {nothing:.2} ns, is_on {is_on:.2} ns, strikes {strikes:.2} ns");
    }
}
