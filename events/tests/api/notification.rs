//! `notification`: one mail for each notice, and a dead letter where there can be none.

use std::path::Path;

use events::{
    kafka::KafkaConfig,
    notification::{MailConfig, NAME},
    testing::eventually,
};
use tempfile::TempDir;

use crate::{
    postbox::{Postbox, message_id, sendings, start},
    sample::{TRACEPARENT, headers, json, notice},
};

fn files(directory: &Path) -> Vec<String> {
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_event_is_one_mail_however_often_and_concurrently_it_comes() {
    let (postbox, directory) = (Postbox::create().await, TempDir::new().unwrap());
    let (often, once) = (notice("ada@example.com"), notice("bob@example.com"));
    // different keys, so that they are handled at the same time
    for key in ["1", "2", "3", "4", "5", "6"] {
        postbox.tell(key, &often).await;
    }
    postbox.tell("7", &once).await;
    let running = start(postbox.config(MailConfig { directory: directory.path().into(), ..MailConfig::default() }));
    postbox.becomes("sent 2").await;
    postbox.tell("1", &often).await;
    postbox.topics.drained(NAME, "notifications").await;
    let mails = files(directory.path());
    assert_eq!((mails.len(), postbox.states().await.as_str()), (2, "sent 2"));
    let mail = mails.iter().find(|mail| mail.contains(&message_id(&often))).unwrap();
    for part in ["To: Ada <ada@example.com>", &often.data.order_id.to_string(), "2 x Pot 1 at 9.90 EUR", "Total: 19.80 EUR"] {
        assert!(mail.contains(part), "{part} is not in {mail}");
    }
    assert!(mails.iter().any(|mail| mail.contains(&message_id(&once))));
    assert_eq!((postbox.processed().await, postbox.topics.count("dlq").await), (2, 0));
    assert_eq!(sendings(&running, "sent"), Some(2.0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn mail_goes_over_smtp_once_and_what_the_server_refuses_for_good_is_a_dead_letter() {
    let postbox = Postbox::create().await;
    postbox.server.refuse("RCPT TO:<nobody@", "550 5.1.1 no such user");
    let (good, bad, foreign) = (notice("ada@example.com"), notice("nobody@example.com"), notice("jürgen@example.com"));
    let broken = notice("not an address");
    for event in [&good, &bad, &good, &foreign, &broken] {
        postbox.tell(&event.aggregate_id.to_string(), event).await;
    }
    let running = postbox.start();
    let letters = postbox.topics.reader("dlq").take(3).await;
    postbox.becomes("failed 2, sent 1").await;
    let mails = postbox.server.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains(&message_id(&good)), "{}", mails[0]);
    assert_eq!(postbox.processed().await, 3, "what can be no mail was never taken on");
    for letter in &letters {
        assert_eq!((headers(letter)["dlq.error.type"].as_str(), headers(letter)["dlq.attempts"].as_str()), ("permanent", "1"));
    }
    let refused = letters.iter().find(|letter| letter.key_text() == Some(bad.aggregate_id.to_string().as_str())).unwrap();
    assert!(headers(refused)["dlq.reason"].contains("no such user"));
    assert_eq!(headers(refused)["dlq.exception.class"], "lettre::transport::smtp::Error");
    assert_eq!((sendings(&running, "sent"), sendings(&running, "dead_lettered")), (Some(1.0), Some(2.0)));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_dead_letter_of_a_mail_is_the_record_that_asked_for_it_within_its_trace() {
    let postbox = Postbox::create().await;
    postbox.server.refuse("RCPT TO", "550 5.1.1 no such user");
    let event = notice("nobody@example.com");
    let extra = [("tenant", "acme"), ("traceparent", TRACEPARENT), ("tracestate", "acme=1")];
    postbox.tell("other", &notice("also-nobody@example.com")).await;
    postbox.topics.send("notifications", "key", json(&event), &extra).await;
    let running = postbox.start();
    let letters = postbox.topics.reader("dlq").take(2).await;
    let letter = letters.iter().find(|letter| letter.key_text() == Some("key")).unwrap();
    assert_eq!(letter.payload, json(&event).as_bytes());
    let all = headers(letter);
    for (name, value) in [
        ("dlq.consumer", NAME),
        ("dlq.original.key", "key"),
        ("dlq.original.offset", "1"),
        ("dlq.original.topic", &postbox.topics.config().named("notifications")),
        ("tenant", "acme"),
        ("traceparent", TRACEPARENT),
        ("tracestate", "acme=1"),
    ] {
        assert_eq!(all[name], value, "{name}");
    }
    assert!(all["dlq.original.timestamp"].parse::<i64>().unwrap() > 1_700_000_000_000);
    postbox.becomes("failed 2").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refusal_for_now_is_repeated_and_blames_the_mail_and_not_the_server() {
    let postbox = Postbox::create().await;
    postbox.server.refuse("RCPT TO:<full@", "452 4.2.2 mailbox full");
    postbox.tell("full", &notice("full@example.com")).await;
    postbox.tell("good", &notice("ada@example.com")).await;
    let running = postbox.start();
    postbox.becomes("failed 1, sent 1").await;
    assert_eq!((postbox.server.mails().len(), postbox.server.refused()), (1, 4));
    let all = headers(&postbox.topics.reader("dlq").next().await);
    assert_eq!((all["dlq.error.type"].as_str(), all["dlq.attempts"].as_str()), ("transient", "4"));
    assert_eq!((sendings(&running, "retried"), sendings(&running, "dead_lettered")), (Some(3.0), Some(1.0)));
    assert_eq!(running.metric("throughline_mail_available"), Some(1.0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refusal_for_now_that_passes_is_a_mail() {
    let postbox = Postbox::create().await;
    postbox.server.refuse("RCPT TO", "451 4.7.1 greylisted");
    postbox.tell("k", &notice("ada@example.com")).await;
    let mut config = postbox.config(postbox.mail());
    config.kafka.retry_delays_ms = vec![1, 600_000];
    let running = start(config);
    eventually("it was refused twice", async || {
        postbox.ask("SELECT coalesce(sum(attempts), 0) AS count FROM events.mail_outbox").await == 2
    })
    .await;
    postbox.server.relent();
    postbox.execute("UPDATE events.mail_outbox SET due_at = now()").await;
    postbox.becomes("sent 1").await;
    assert_eq!((postbox.server.mails().len(), postbox.topics.count("dlq").await), (1, 0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_dead_letter_that_is_not_acknowledged_leaves_its_mail_in_the_outbox() {
    let postbox = Postbox::create().await;
    postbox.server.refuse("RCPT TO", "550 5.1.1 no such user");
    postbox.topics.delete("dlq").await;
    let mut config = postbox.config(postbox.mail());
    config.kafka = KafkaConfig { delivery_timeout_ms: 200, ..config.kafka };
    postbox.tell("k", &notice("nobody@example.com")).await;
    let running = start(config);
    let put_back = "SELECT count(*) FROM events.mail_outbox WHERE state = 'pending' AND attempts = 1 AND due_at > now()";
    eventually("its letter was not taken", async || postbox.ask(put_back).await == 1).await;
    postbox.topics.restore().await;
    postbox.execute("UPDATE events.mail_outbox SET due_at = now()").await;
    postbox.becomes("failed 1").await;
    assert_eq!(postbox.topics.count("dlq").await, 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_mail_that_was_given_up_is_sent_when_its_repaired_notice_comes_again() {
    let postbox = Postbox::create().await;
    postbox.server.refuse("RCPT TO:<nobody@", "550 5.1.1 no such user");
    let event = notice("nobody@example.com");
    postbox.tell("k", &event).await;
    let running = postbox.start();
    postbox.becomes("failed 1").await;
    let mut repaired = event.clone();
    repaired.data.email = "ada@example.com".into();
    for _ in 0..3 {
        postbox.tell("k", &repaired).await;
    }
    postbox.becomes("sent 1").await;
    postbox.topics.drained(NAME, "notifications").await;
    let mails = postbox.server.mails();
    assert_eq!((mails.len(), postbox.topics.count("dlq").await, postbox.states().await.as_str()), (1, 1, "sent 1"));
    assert!(mails[0].contains(&message_id(&event)) && mails[0].contains("ada@example.com"), "{}", mails[0]);
    let topic = postbox.topics.config().named("notifications");
    let duplicates =
        format!("throughline_consumer_duplicates_total{{messaging_consumer_group_name=\"{NAME}\",messaging_destination_name=\"{topic}\"}}");
    assert_eq!(running.metric(&duplicates), Some(2.0), "the replay had its effect, the repeats of it had none");
    running.stop().await;
}
