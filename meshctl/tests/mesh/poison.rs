//! Poison records among good ones: the good ones are handled, the poison ones wait as dead letters with all that is needed to
//! repair them, and are replayed when they are.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use crate::{
    faults::{
        goods::{self, Rollups},
        wire::{GROUPS, Wire},
    },
    running::{Mesh, within},
    truth::Truth,
};

/// A kind of poison: what is wrong with the record, and how a dead letter of it is repaired.
struct Poison {
    name: &'static str,
    spoil: fn(&mut Value),
    /// Part of the reason by which the letters are found.
    reason: &'static str,
    /// What `meshctl dlq replay --patch` is told.
    patch: fn() -> Value,
}

const POISONS: [Poison; 5] = [
    Poison {
        name: "a field is missing",
        spoil: |event| drop(event["data"].as_object_mut().unwrap().remove("currency")),
        reason: "missing field `currency`",
        patch: || json!({ "data": { "currency": "EUR" } }),
    },
    Poison {
        name: "a field is of another type",
        spoil: |event| event["data"]["username"] = json!(["ada"]),
        reason: "expected a string",
        patch: || json!({ "data": { "username": "ada" } }),
    },
    Poison {
        name: "a time is none",
        spoil: |event| event["occurred_at"] = json!("yesterday"),
        reason: "input contains invalid characters",
        patch: || json!({ "occurred_at": "2026-03-01T12:00:00Z" }),
    },
    Poison {
        name: "an event that nobody knows",
        spoil: |event| event["event_type"] = json!("OrderPlced"),
        reason: "OrderPlced",
        patch: || json!({ "event_type": "OrderPlaced" }),
    },
    Poison {
        name: "a schema of tomorrow",
        spoil: |event| event["schema_version"] = json!(99),
        reason: "version 99",
        patch: || json!({ "schema_version": 1 }),
    },
];

/// Part of the reason of a record that is no JSON.
const HOPELESS: &str = "EOF while parsing";

/// One record in so many is poison.
struct Mixture {
    good: usize,
    poison: usize,
    /// Records that are no JSON at all, beside them: nobody can repair those.
    hopeless: usize,
    limit: Duration,
}

const SHORT: Mixture = Mixture { good: 2_000, poison: 20, hopeless: 3, limit: Duration::from_mins(2) };
#[cfg(feature = "full")]
const LONG: Mixture = Mixture { good: 100_000, poison: 1_000, hopeless: 20, limit: Duration::from_mins(15) };

impl Mixture {
    fn orders(&self) -> usize {
        self.good + self.poison
    }

    /// Which poison the `turn`-th order has, if any.
    fn poison(&self, turn: usize) -> Option<&'static Poison> {
        let step = self.orders() / self.poison;
        let nth = turn / step;
        (turn % step == step / 2 && nth < self.poison).then(|| &POISONS[nth % POISONS.len()])
    }

    /// Letters by kind of poison.
    fn letters(&self) -> BTreeMap<&'static str, usize> {
        let mut kinds = BTreeMap::from([("hopeless", self.hopeless)]);
        (0..self.orders()).filter_map(|turn| self.poison(turn)).for_each(|poison| *kinds.entry(poison.name).or_default() += 1);
        kinds
    }

    /// Poison without a key every seventh time.
    fn record(&self, turn: usize) -> (Option<String>, Vec<u8>) {
        let mut event = goods::placed(turn);
        let key = goods::key(&event);
        let Some(poison) = self.poison(turn) else { return (Some(key), event.to_string().into_bytes()) };
        (poison.spoil)(&mut event);
        ((!turn.is_multiple_of(7)).then_some(key), event.to_string().into_bytes())
    }
}

#[tokio::test]
async fn poison_among_good_records_is_put_aside_repaired_and_replayed_to_zero() {
    run(&SHORT).await;
}

#[cfg(feature = "full")]
#[tokio::test]
async fn a_thousand_poison_records_among_a_hundred_thousand_are_put_aside_repaired_and_replayed_to_zero() {
    run(&LONG).await;
}

async fn run(mixture: &Mixture) {
    let mesh = Mesh::start_with(&["--no-demo-order", "--telemetry", "off"], &[]);
    let (wire, truth) = (Wire::of(&mesh), Truth::of(&mesh).await);
    // half of them without a key
    let hopeless = (0..mixture.hopeless).map(|turn| ((turn % 2 == 0).then(|| "hopeless".to_owned()), b"{\"event_id\": ".to_vec()));
    wire.send("orders.created", (0..mixture.orders()).map(|turn| mixture.record(turn)).chain(hopeless));
    drained(&wire, mixture).await;

    let good = (0..mixture.orders()).filter(|turn| mixture.poison(*turn).is_none());
    assert_eq!(Rollups::found(&mesh, &truth).await, Rollups::of(good), "all good ones");
    assert_eq!(wire.told("notifications").events.len(), mixture.good);
    assert_eq!(letters(&wire), mixture.letters());

    repair(&mesh, mixture);
    drained(&wire, mixture).await;
    assert_eq!(Rollups::found(&mesh, &truth).await, Rollups::of(0..mixture.orders()), "all that could be repaired");
    assert_eq!(wire.told("notifications").events.len(), mixture.orders());
    assert_eq!(open(&mesh), 0, "and no letter is left");
}

/// Repairs and replays the letters of each kind, found by their reason, and gives up those that nobody can repair.
fn repair(mesh: &Mesh, mixture: &Mixture) {
    for poison in &POISONS {
        let patch = (poison.patch)().to_string();
        let told = mesh.meshctl(&["dlq", "replay", "--reason", poison.reason, "--patch", &patch, "--json"]);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["replayed"].as_array().unwrap().len(), mixture.letters()[poison.name], "{}", poison.name);
    }
    assert_eq!(open(mesh), mixture.hopeless);
    mesh.meshctl(&["dlq", "purge", "--reason", HOPELESS, "--yes"]);
}

/// How many letters are open.
fn open(mesh: &Mesh) -> usize {
    let list = mesh.meshctl(&["dlq", "list", "--limit", "1000000", "--json"]);
    serde_json::from_str::<Value>(&list).unwrap()["letters"].as_array().unwrap_or_else(|| panic!("{list}")).len()
}

/// Waits until all that is there was handled or put aside.
async fn drained(wire: &Wire, mixture: &Mixture) {
    within(mixture.limit, || async {
        let waiting = GROUPS.map(|(group, _)| wire.lag(group));
        if waiting.iter().all(|lag| matches!(lag, Ok(0))) { Ok(()) } else { Err(format!("{waiting:?}")) }
    })
    .await;
}

/// Dead letters by kind of poison. Each tells where it came from and why it is here.
fn letters(wire: &Wire) -> BTreeMap<&'static str, usize> {
    let mut kinds = BTreeMap::new();
    wire.each("dlq", |letter| {
        let poison = POISONS.iter().find(|poison| letter.header("dlq.reason").contains(poison.reason));
        *kinds.entry(poison.map_or("hopeless", |poison| poison.name)).or_default() += 1;
        for (name, value) in [
            ("dlq.error.type", "permanent"),
            ("dlq.original.topic", "orders.created"),
            ("dlq.consumer", "dispatch"),
            ("dlq.attempts", "1"),
            ("dlq.attempts.total", "1"),
            ("dlq.replays", "0"),
        ] {
            assert_eq!(letter.header(name), value, "{name}");
        }
        for name in ["dlq.original.partition", "dlq.original.offset", "dlq.original.timestamp"] {
            assert!(letter.header(name).parse::<u64>().is_ok(), "{name}");
        }
        assert!(!letter.header("dlq.exception.class").is_empty());
        assert!(chrono::DateTime::parse_from_rfc3339(letter.header("dlq.failed_at")).is_ok());
        let key = letter.key.as_deref().map(|key| String::from_utf8(key.to_vec()).unwrap());
        assert_eq!(letter.headers.get("dlq.original.key"), key.as_ref(), "the key is kept, and told where there is one");
    });
    kinds
}
