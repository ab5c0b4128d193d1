use tokio::time::Instant;

use super::{state::Value, *};

fn only(scenario: Scenario, settings: &[(&str, Value)]) -> BTreeMap<Scenario, Settings> {
    [(scenario, settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())].into()
}

#[test]
fn every_scenario_has_a_bit_and_a_name_of_its_own_which_serde_knows_too() {
    let bits = Scenario::ALL.into_iter().fold(0, |bits, scenario| bits | scenario.bit());
    assert_eq!(bits.count_ones() as usize, Scenario::ALL.len());
    for scenario in Scenario::ALL {
        assert_eq!(serde_json::to_value(scenario).unwrap(), scenario.name());
        assert_eq!(Scenario::named(scenario.name()), Some(scenario));
    }
}

#[test]
fn clones_see_what_is_on_and_with_what() {
    let scenarios = Scenarios::default();
    let clone = scenarios.clone();
    let settings = [("percent", Value::Number(100.0)), ("route", Value::Text("/a".into()))];
    scenarios.set(only(Scenario::SlowEndpoint, &settings));
    assert!(clone.is_on(Scenario::SlowEndpoint) && !clone.is_on(Scenario::SlowQuery));
    assert!(clone.strikes(Scenario::SlowEndpoint) && !clone.strikes(Scenario::ErrorSpike));
    assert!(clone.is_about(Scenario::SlowEndpoint, "route", "/a") && !clone.is_about(Scenario::SlowEndpoint, "route", "/b"));
    assert_eq!(clone.text(Scenario::SlowEndpoint, "route").as_deref(), Some("/a"));
    scenarios.set(BTreeMap::new());
    assert!(!clone.is_on(Scenario::SlowEndpoint) && clone.number(Scenario::SlowEndpoint, "percent").is_none());
}

#[test]
fn a_percentage_is_one() {
    let scenarios = Scenarios::default();
    scenarios.set(only(Scenario::ErrorSpike, &[("percent", Value::Number(30.0))]));
    let struck = (0..10_000).filter(|_| scenarios.strikes(Scenario::ErrorSpike)).count();
    assert!((2_600..3_400).contains(&struck), "{struck}");
}

#[tokio::test]
async fn a_pause_ends_with_its_scenario() {
    let scenarios = Scenarios::default();
    scenarios.set(only(Scenario::ConsumerLag, &[("delay_ms", Value::Number(60_000.0))]));
    let begun = Instant::now();
    let waiting = (scenarios.pause_in_turn(Scenario::ConsumerLag), scenarios.pause_in_turn(Scenario::ConsumerLag));
    let end = async {
        tokio::task::yield_now().await;
        scenarios.set(BTreeMap::new());
    };
    tokio::join!(waiting.0, waiting.1, end);
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn what_is_held_is_let_go_with_its_scenario() {
    let (scenarios, thing) = (Scenarios::default(), Arc::new(()));
    scenarios.hold(Scenario::ConnectionLeak, Arc::clone(&thing));
    assert_eq!(Arc::strong_count(&thing), 1, "it is off");
    scenarios.set(only(Scenario::ConnectionLeak, &[]));
    scenarios.hold(Scenario::ConnectionLeak, Arc::clone(&thing));
    scenarios.set(only(Scenario::ConnectionLeak, &[("percent", Value::Number(1.0))]));
    assert_eq!(Arc::strong_count(&thing), 2);
    scenarios.set(only(Scenario::SlowQuery, &[]));
    assert_eq!(Arc::strong_count(&thing), 1);
}
