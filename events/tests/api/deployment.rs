//! What is written about topics and brokers in three places, the code, the manifests and the documentation, is the same.

use std::collections::BTreeMap;

use events::topics::{TOPICS, spoken};
use serde_json::Value;

use crate::schema::{directory, document, kinds};

const PAGE: &str = include_str!("../../../docs/events.md");
const BROKER: &str = include_str!("../../../deploy/k8s/base/kafka/broker.env");
const STATEFUL_SET: &str = include_str!("../../../deploy/k8s/base/kafka/statefulset.yaml");
const BUDGET: &str = include_str!("../../../deploy/k8s/base/kafka/disruption.yaml");
const JOB: &str = include_str!("../../../deploy/k8s/base/kafka/topics.yaml");
const LOCAL_KAFKA: &str = include_str!("../../../deploy/kafka/pom.xml");

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn broker(key: &str) -> &'static str {
    let settings: BTreeMap<&str, &str> = BROKER.lines().filter_map(|line| line.split_once('=')).collect();
    settings.get(key).unwrap_or_else(|| panic!("{key} is not set"))
}

/// The value of a variable of the first container.
fn variable<'a>(workload: &'a Value, name: &str) -> &'a str {
    let all = workload["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    let one = all.iter().find(|variable| variable["name"] == name).unwrap_or_else(|| panic!("{name} is not set"));
    one["value"].as_str().unwrap()
}

/// Cells of the table whose first column has this head.
fn table(head: &str) -> Vec<Vec<&'static str>> {
    let after = PAGE.lines().skip_while(|line| !line.starts_with(&format!("| {head} |"))).skip(2);
    let rows = after.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect()).collect()
}

#[test]
fn the_page_about_events_has_the_topics_as_they_are_declared() {
    let declared: Vec<Vec<String>> = TOPICS
        .iter()
        .map(|topic| {
            let retention = topic.cleanup.retention().map_or_else(|| "-".to_owned(), |after| spoken(after).to_string());
            let (partitions, largest) = (topic.partitions.to_string(), topic.max_message_bytes.to_string());
            vec![topic.name.to_owned(), partitions, retention, topic.cleanup.policy().to_owned(), largest]
        })
        .collect();
    assert_eq!(table("topic"), declared);
}

#[test]
fn the_page_about_events_has_every_event_with_its_topic_and_fields_and_a_real_one() {
    let mut told: Vec<(&str, &str)> = table("event").iter().map(|row| (row[0], row[1])).collect();
    told.sort_unstable();
    let known: Vec<(&str, &str)> = kinds().iter().map(|kind| (kind.name, kind.topic)).collect();
    assert_eq!(told, known);
    for (row, kind) in
        table("event").iter().flat_map(|row| kinds().into_iter().filter(|kind| kind.name == row[0]).map(move |kind| (row, kind)))
    {
        let schema = document(&kind.checked_in(kind.version));
        let fields = schema["$defs"][kind.name]["properties"].as_object().unwrap();
        let told: std::collections::BTreeSet<&str> = row[3].split(", ").collect();
        assert_eq!(told, fields.keys().map(String::as_str).collect(), "{}", kind.name);
    }
    let sample = std::fs::read_to_string(directory("samples").join("v1/OrderPlaced.json")).unwrap();
    assert!(PAGE.contains(&format!("```json\n{sample}```")), "the example is not events/samples/v1/OrderPlaced.json");
}

#[test]
fn a_cluster_keeps_every_record_on_three_brokers_and_loses_none_with_one_of_them() {
    let (brokers, job) = (yaml(STATEFUL_SET), yaml(JOB));
    let (replicas, in_sync) = ("3", "2");
    assert_eq!(brokers["spec"]["replicas"].to_string(), replicas);
    assert_eq!(broker("KAFKA_CONTROLLER_QUORUM_VOTERS").split(',').count().to_string(), replicas);
    for topics in ["DEFAULT", "OFFSETS_TOPIC", "TRANSACTION_STATE_LOG", "SHARE_COORDINATOR_STATE_TOPIC"] {
        assert_eq!(broker(&format!("KAFKA_{topics}_REPLICATION_FACTOR")), replicas, "{topics}");
    }
    for setting in ["KAFKA_MIN_INSYNC_REPLICAS", "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR"] {
        assert_eq!(broker(setting), in_sync, "{setting}");
    }
    for setting in ["KAFKA_AUTO_CREATE_TOPICS_ENABLE", "KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE"] {
        assert_eq!(broker(setting), "false", "{setting}");
    }
    assert_eq!(variable(&job, "THROUGHLINE_TOPICS__REPLICATION_FACTOR"), replicas);
    assert_eq!(variable(&job, "THROUGHLINE_TOPICS__MIN_INSYNC_REPLICAS"), in_sync);
    assert_eq!(yaml(BUDGET)["spec"]["maxUnavailable"], 1);
    let promise = "3 brokers that are their own controllers (KRaft), replication factor 3 for topics, offsets and transactions, `min.insync.replicas` 2";
    assert!(PAGE.contains(promise) && PAGE.contains("`topics.yaml` applies the declaration with replication 3 and 2 in sync"));
}

#[test]
fn brokers_find_themselves_and_each_other_by_the_names_that_kubernetes_gives_them() {
    let set = yaml(STATEFUL_SET);
    let pod = &set["spec"]["template"]["spec"];
    let (name, service) = (set["metadata"]["name"].as_str().unwrap(), set["spec"]["serviceName"].as_str().unwrap());
    let voters: Vec<String> = (0..3).map(|id| format!("{id}@{name}-{id}.{service}:9093")).collect();
    assert_eq!(broker("KAFKA_CONTROLLER_QUORUM_VOTERS"), voters.join(","));
    assert_eq!(variable(&set, "KAFKA_ADVERTISED_LISTENERS"), format!("PLAINTEXT://$(POD_NAME).{service}.$(POD_NAMESPACE).svc:9092"));
    // else KAFKA_PORT and the like, of the service `kafka`, would be taken for settings
    assert_eq!(pod["enableServiceLinks"], false);
    assert!(broker("KAFKA_LOG_DIRS").starts_with(pod["containers"][0]["volumeMounts"][0]["mountPath"].as_str().unwrap()));
    let version = pod["containers"][0]["image"].as_str().unwrap().strip_prefix("apache/kafka:").unwrap();
    assert!(LOCAL_KAFKA.contains(&format!("<version>{version}</version>")), "a local mesh has another Kafka than {version}");
}
