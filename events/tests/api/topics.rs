//! Topics that differ from their declaration are told, all of them at once, and left as they are.

use std::{
    collections::BTreeSet,
    process::{Command, Output},
    time::Duration,
};

use events::{
    kafka::KafkaConfig,
    testing::{TestTopics, eventually},
    topics::{Difference, Replication, TOPICS, TopicError, apply, drift, inspect},
};
use kafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier},
    client::DefaultClientContext,
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);
const AS_THE_BROKER: Replication = Replication { replication_factor: -1, min_insync_replicas: -1 };

fn admin(config: &KafkaConfig) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &config.brokers).create().unwrap()
}

async fn add_partition(config: &KafkaConfig, topic: &str, partitions: usize) {
    let name = config.named(topic);
    let answer = admin(config).create_partitions(&[NewPartitions::new(&name, partitions)], &AdminOptions::new()).await;
    answer.unwrap().remove(0).unwrap();
}

async fn alter(config: &KafkaConfig, topic: &str, settings: &[(&str, &str)]) {
    let name = config.named(topic);
    let change = AlterConfig::new(ResourceSpecifier::Topic(&name));
    let change = settings.iter().fold(change, |change, (key, value)| change.set(key, value));
    let answer = admin(config).alter_configs(&[change], &AdminOptions::new()).await;
    answer.unwrap().remove(0).unwrap();
}

/// Waits until exactly these differences are told, in any order; suffixes are taken off.
async fn told(config: &KafkaConfig, replication: Replication, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|line| (*line).to_owned()).collect();
    let lines = |differences: Vec<Difference>| -> BTreeSet<String> {
        differences.iter().map(|difference| difference.to_string().replace(&config.topic_suffix, "")).collect()
    };
    eventually(&format!("{expected:#?}"), async || lines(drift(config, &replication).await.unwrap()) == expected).await;
}

/// Everything that the broker says of the topics.
async fn whole(config: &KafkaConfig) -> String {
    format!("{:#?}", inspect(config, &AS_THE_BROKER).await.unwrap())
}

/// What is told once these have been made differ, by a person's hand.
async fn bend(topics: &TestTopics) -> Vec<&'static str> {
    let config = topics.config();
    add_partition(&config, "user-events", 4).await;
    alter(&config, "orders.created", &[("retention.ms", "3600000"), ("cleanup.policy", "compact"), ("max.message.bytes", "5000")]).await;
    alter(&config, "dlq.marks", &[("cleanup.policy", "delete"), ("max.message.bytes", "1048588")]).await;
    vec![
        "user-events: partitions is 4, declared is 3",
        "orders.created: retention.ms is 3600000, declared is 604800000",
        "orders.created: cleanup.policy is compact, declared is delete",
        "orders.created: max.message.bytes is 5000, declared is 1048588",
        "dlq.marks: cleanup.policy is delete, declared is compact",
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn topics_that_were_made_from_the_declaration_do_not_differ_from_it() {
    let topics = TestTopics::create().await;
    told(&topics.config(), AS_THE_BROKER, &[]).await;
    told(&topics.config(), Replication { replication_factor: 1, min_insync_replicas: 1 }, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_difference_is_told_and_a_missing_topic_is_made_while_all_else_stays_as_it_is() {
    let topics = TestTopics::create().await;
    let config = topics.config();
    let bent = bend(&topics).await;
    topics.delete("notifications").await;
    told(&config, AS_THE_BROKER, &[bent.as_slice(), &["notifications is missing"]].concat()).await;

    let left = apply(&config, &AS_THE_BROKER, LIMIT).await.unwrap();
    assert_eq!(left.len(), bent.len(), "{left:#?}");
    told(&config, AS_THE_BROKER, &bent).await;
    let before = whole(&config).await;
    apply(&config, &AS_THE_BROKER, LIMIT).await.unwrap();
    assert_eq!(whole(&config).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn too_few_replicas_are_told_of_each_topic() {
    let topics = TestTopics::create().await;
    let expected: Vec<String> = TOPICS
        .iter()
        .flat_map(|topic| {
            let name = topic.name;
            [format!("{name}: replication.factor is 1, declared is 3"), format!("{name}: min.insync.replicas is 1, declared is 2")]
        })
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    told(&topics.config(), Replication { replication_factor: 3, min_insync_replicas: 2 }, &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_cluster_with_too_few_brokers_is_waited_for_and_then_told() {
    let topics = TestTopics::create().await;
    topics.delete("notifications").await;
    let three = Replication { replication_factor: 3, min_insync_replicas: 2 };
    let error = apply(&topics.config(), &three, Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(&error, TopicError::NotReady { reason, .. } if reason.contains("InvalidReplicationFactor")), "{error}");
    told(&topics.config(), AS_THE_BROKER, &["notifications is missing"]).await;
}

/// Runs the job's binary.
fn job(config: &KafkaConfig, arguments: &[&str], more: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_topics"));
    command.args(arguments).env("THROUGHLINE_KAFKA__BROKERS", &config.brokers).env("THROUGHLINE_KAFKA__TOPIC_SUFFIX", &config.topic_suffix);
    command.envs(more.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_job_makes_what_is_missing_and_its_exit_code_says_whether_all_is_as_declared() {
    let topics = TestTopics::create().await;
    let config = topics.config();
    topics.delete("notifications").await;
    told(&config, AS_THE_BROKER, &["notifications is missing"]).await;
    let checked = job(&config, &["check"], &[]);
    assert_eq!((checked.status.code(), text(&checked.stderr)), (Some(1), String::new()));
    assert_eq!(text(&checked.stdout), format!("notifications{} is missing\n7 of 8 topics are as declared\n", config.topic_suffix));
    let applied = job(&config, &["apply"], &[("THROUGHLINE_TOPICS__REPLICATION_FACTOR", "1")]);
    assert_eq!((applied.status.code(), text(&applied.stdout)), (Some(0), "8 of 8 topics are as declared\n".into()));

    let bent = bend(&topics).await;
    told(&config, AS_THE_BROKER, &bent).await;
    let differs = job(&config, &["apply", "--json"], &[]);
    assert_eq!(differs.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&differs.stdout).unwrap();
    assert_eq!((report["topics"].as_array().unwrap().len(), report["differences"].as_array().unwrap().len()), (8, bent.len()));
    let users = report["topics"].as_array().unwrap().iter().find(|topic| topic["topic"] == config.named("user-events")).unwrap();
    assert_eq!((&users["partitions"], &users["state"], &users["retention_ms"]), (&4.into(), &"differs".into(), &604_800_000.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_job_tells_bad_input_from_a_broker_that_is_away() {
    let config = KafkaConfig { brokers: "127.0.0.1:1".into(), ..KafkaConfig::default() };
    let away = job(&config, &["apply", "--wait", "1"], &[]);
    assert_eq!((away.status.code(), text(&away.stdout)), (Some(1), String::new()));
    assert!(text(&away.stderr).contains("did not become ready within 1 s"), "{}", text(&away.stderr));
    let wrong =
        [("THROUGHLINE_TOPICS__REPLICATION_FACTOR", "2"), ("THROUGHLINE_TOPICS__MIN_INSYNC_REPLICAS", "3"), ("THROUGHLINE_TOPIC", "x")];
    let refused = job(&config, &["check"], &wrong);
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(said.contains("topics.min_insync_replicas = 3") && said.contains("topic = "), "{said}");
    for arguments in [&[][..], &["mend"], &["apply", "--wait", "0"], &["check", "--wait", "5"]] {
        assert_eq!(job(&config, arguments, &[]).status.code(), Some(2), "{arguments:?}");
    }
}
