//! What becomes of mail when servers and processes fail around it: none is lost, and none is sent more than twice.

use chassis::{config::Secret, testing::TestProxy};
use db::{pool::DatabaseConfig, roles::Role};
use events::{
    notification::{MailConfig, NAME},
    testing::eventually,
};

use crate::{
    postbox::{Postbox, message_id, sendings, start},
    sample::{headers, notice},
    smtp::SmtpServer,
};

const DUPLICATES: &str = "throughline_mail_possible_duplicates_total";
const AVAILABLE: &str = "throughline_mail_available";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn mail_waits_for_a_server_that_is_away_or_does_not_want_us() {
    let mut postbox = Postbox::create().await;
    let config = postbox.config(postbox.mail());
    let address = std::mem::replace(&mut postbox.server, SmtpServer::start().await).stop().await;
    let running = start(config);
    postbox.tell("k", &notice("ada@example.com")).await;
    eventually("nobody is there", async || running.metric(AVAILABLE) == Some(0.0)).await;
    postbox.topics.drained(NAME, "notifications").await;
    assert_eq!(postbox.processed().await, 1, "notices are taken on all the same");

    let server = SmtpServer::on(address).await;
    server.refuse("MAIL FROM", "421 4.3.2 shutting down");
    eventually("it is told to come again", async || server.refused() >= 2).await;
    server.relent();
    server.refuse("MAIL FROM", "550 5.7.1 we do not know you");
    let before = server.refused();
    eventually("it is not wanted", async || server.refused() > before).await;
    let untried = "SELECT count(*) FROM events.mail_outbox WHERE attempts = 0 AND uncertain = 0 AND state IN ('pending', 'sending')";
    assert_eq!((postbox.ask(untried).await, postbox.topics.count("dlq").await), (1, 0), "no mail is to blame");
    server.relent();
    postbox.becomes("sent 1").await;
    assert_eq!((server.mails().len(), running.metric(AVAILABLE)), (1, Some(1.0)));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_hangs_before_it_has_a_mail_gets_each_mail_once() {
    let postbox = Postbox::create().await;
    postbox.server.fall_silent("MAIL FROM");
    for number in 0..10 {
        postbox.tell(&number.to_string(), &notice("ada@example.com")).await;
    }
    let running = start(postbox.config(MailConfig { timeout_ms: 100, ..postbox.mail() }));
    eventually("mail cannot leave", async || running.metric(AVAILABLE) == Some(0.0)).await;
    postbox.server.relent();
    postbox.becomes("sent 10").await;
    assert_eq!((postbox.server.mails().len(), running.metric(DUPLICATES)), (10, Some(0.0)));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_that_is_killed_before_it_knows_of_the_answer_sends_at_most_once_more() {
    let postbox = Postbox::create().await;
    postbox.server.fall_silent(".");
    let event = notice("ada@example.com");
    postbox.tell("k", &event).await;
    let first = postbox.start();
    eventually("the server has the mail", async || postbox.server.mails().len() == 1).await;
    first.kill().await;
    assert_eq!(postbox.states().await, "sending 1");
    postbox.claims_run_out().await;

    let second = postbox.start();
    eventually("the server has it again", async || postbox.server.mails().len() == 2).await;
    assert_eq!(second.metric(DUPLICATES), Some(1.0));
    assert!(postbox.server.mails().iter().all(|mail| mail.contains(&message_id(&event))), "a reader can tell that they are one");
    assert_eq!(postbox.ask("SELECT uncertain::bigint AS count FROM events.mail_outbox").await, 1);
    second.kill().await;
    postbox.claims_run_out().await;

    let third = postbox.start();
    postbox.becomes("failed 1").await;
    assert_eq!((postbox.server.mails().len(), third.metric(DUPLICATES)), (2, Some(0.0)), "no third mail");
    let all = headers(&postbox.topics.reader("dlq").next().await);
    assert_eq!((all["dlq.error.type"].as_str(), all["dlq.attempts"].as_str()), ("uncertain", "2"));

    // somebody looks at it and decides that it is to be sent
    postbox.server.relent();
    postbox.tell("k", &event).await;
    postbox.becomes("sent 1").await;
    assert_eq!(postbox.server.mails().len(), 3);
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_a_kill_and_an_answer_the_duplicate_is_the_end() {
    let postbox = Postbox::create().await;
    postbox.server.fall_silent(".");
    postbox.tell("k", &notice("ada@example.com")).await;
    let first = postbox.start();
    eventually("the server has the mail", async || postbox.server.mails().len() == 1).await;
    first.kill().await;
    postbox.server.relent();
    postbox.claims_run_out().await;
    let second = postbox.start();
    postbox.becomes("sent 1").await;
    assert_eq!((postbox.server.mails().len(), postbox.topics.count("dlq").await), (2, 0));
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_takes_a_mail_and_never_answers_gets_it_twice_and_then_it_is_a_dead_letter() {
    let postbox = Postbox::create().await;
    postbox.server.fall_silent(".");
    postbox.tell("k", &notice("ada@example.com")).await;
    let running = start(postbox.config(MailConfig { timeout_ms: 100, ..postbox.mail() }));
    postbox.becomes("failed 1").await;
    assert_eq!((postbox.server.mails().len(), running.metric(DUPLICATES)), (2, Some(1.0)));
    let all = headers(&postbox.topics.reader("dlq").next().await);
    assert_eq!(all["dlq.error.type"], "uncertain");
    assert_eq!(sendings(&running, "dead_lettered"), Some(1.0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_replicas_send_each_mail_once_and_use_their_connections_again() {
    let postbox = Postbox::create().await;
    for number in 0..100 {
        postbox.tell(&number.to_string(), &notice("ada@example.com")).await;
    }
    let mail = || MailConfig { concurrency: 3, ..postbox.mail() };
    let (one, other) = (start(postbox.config(mail())), start(postbox.config(mail())));
    postbox.becomes("sent 100").await;
    assert_eq!(postbox.server.mails().len(), 100);
    assert!(postbox.server.connections() <= 6, "{} connections", postbox.server.connections());
    let total: f64 = [&one, &other].iter().filter_map(|running| sendings(running, "sent")).sum();
    assert!((total - 100.0).abs() < f64::EPSILON, "{total}");
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_mail_that_was_sent_while_postgres_was_away_is_not_sent_again() {
    let postbox = Postbox::create().await;
    let (proxy, url) = TestProxy::for_url(&postbox.database.url(Role::Notification)).await;
    postbox.server.fall_silent(".");
    postbox.tell("k", &notice("ada@example.com")).await;
    let mut config = postbox.config(postbox.mail());
    config.database.url = Secret::new(url);
    let running = start(config);
    eventually("the server has the mail", async || postbox.server.mails().len() == 1).await;
    proxy.cut();
    postbox.server.relent();
    eventually("the server has answered", async || sendings(&running, "sent") == Some(1.0)).await;
    // the claim runs out meanwhile, and still nobody forgets what was sent
    postbox.claims_run_out().await;
    proxy.heal();
    postbox.becomes("sent 1").await;
    assert_eq!((postbox.server.mails().len(), running.metric(DUPLICATES)), (1, Some(0.0)));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn while_postgres_stands_still_nothing_hangs_and_afterwards_each_mail_is_sent() {
    let postbox = Postbox::create().await;
    let (proxy, url) = TestProxy::for_url(&postbox.database.url(Role::Notification)).await;
    let mut config = postbox.config(postbox.mail());
    let limits = DatabaseConfig { acquire_timeout_ms: 300, work_timeout_ms: 300, ..DatabaseConfig::default() };
    config.database = DatabaseConfig { url: Secret::new(url), ..limits };
    let running = start(config.clone());
    postbox.tell("first", &notice("ada@example.com")).await;
    postbox.becomes("sent 1").await;
    proxy.freeze();
    eventually("nobody knows how many wait", async || running.metric("throughline_mail_outbox_rows").is_none()).await;
    // claims are under way; when Postgres goes on it answers them, and nobody listens any more
    postbox.tell("during", &notice("ada@example.com")).await;
    let topic = postbox.topics.config().named("notifications");
    let labels = format!("messaging_consumer_group_name=\"{NAME}\",messaging_destination_name=\"{topic}\",outcome=\"postponed\"");
    let postponed = format!("throughline_consumer_records_total{{{labels}}}");
    eventually("so much time has passed", async || running.metric(&postponed) >= Some(2.0)).await;
    let more = "INSERT INTO events.mail_outbox (event_id, record, payload)
        SELECT gen_random_uuid(), record, payload FROM events.mail_outbox, generate_series(1, 3)";
    postbox.execute(more).await;
    proxy.heal();
    postbox.becomes("sent 5").await;
    // what Postgres did for those who had given up waiting is not taken for a sending
    assert_eq!((postbox.server.mails().len(), running.metric(DUPLICATES)), (5, Some(0.0)));
    assert_eq!(postbox.ask("SELECT sum(uncertain) AS count FROM events.mail_outbox").await, 0);

    proxy.freeze();
    postbox.tell("last", &notice("ada@example.com")).await;
    running.stop().await;
    let running = start(config);
    proxy.heal();
    postbox.becomes("sent 6").await;
    assert_eq!(postbox.server.mails().len(), 6);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn at_a_stop_mail_under_way_is_ended_and_what_the_server_does_not_have_yet_is_given_back() {
    let postbox = Postbox::create().await;
    postbox.server.fall_silent("RCPT TO:<slow@");
    postbox.server.fall_silent(".");
    for address in ["slow@example.com", "ada@example.com"] {
        postbox.tell(address, &notice(address)).await;
    }
    let running = postbox.start();
    eventually("the server has one of them", async || postbox.server.mails().len() == 1).await;
    postbox.becomes("sending 2").await;
    let stopping = chassis::spawn(running.stop());
    postbox.server.answer(".");
    stopping.await.unwrap();
    assert_eq!(postbox.states().await, "pending 1, sent 1");
    assert_eq!(postbox.ask("SELECT count(*) FROM events.mail_outbox WHERE uncertain > 0 OR attempts > 0").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn while_too_many_mails_wait_no_more_notices_are_taken() {
    let postbox = Postbox::create().await;
    postbox.server.refuse("MAIL FROM", "421 4.3.2 shutting down");
    for number in 0..10 {
        postbox.tell(&number.to_string(), &notice("ada@example.com")).await;
    }
    let running = start(postbox.config(MailConfig { max_pending: 3, ..postbox.mail() }));
    eventually("the outbox is full", async || running.metric("throughline_mail_outbox_rows") == Some(3.0)).await;
    eventually("the server was asked again", async || postbox.server.refused() > 3).await;
    assert_eq!(postbox.processed().await, 3);
    postbox.server.relent();
    postbox.becomes("sent 10").await;
    assert_eq!((postbox.server.mails().len(), postbox.topics.count("dlq").await), (10, 0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_ended_long_ago_is_removed_and_nothing_else() {
    let postbox = Postbox::create().await;
    let rows = [("sent", 8, "gone"), ("sent", 6, "stays"), ("failed", 59, "stays"), ("failed", 61, "gone")];
    for (state, days, what) in rows {
        let insert = format!(
            "INSERT INTO events.mail_outbox (event_id, record, payload, state, ended_at)
             VALUES (gen_random_uuid(), '{what}', '', '{state}', now() - interval '{days} days')"
        );
        postbox.execute(&insert).await;
    }
    postbox.execute("INSERT INTO events.mail_outbox (event_id, record, payload, due_at) VALUES (gen_random_uuid(), 'stays', '', now() + interval '1 day')").await;
    // more than are removed at once
    let ids = "INSERT INTO events.processed_events (consumer, event_id, processed_at)
        SELECT consumer, gen_random_uuid(), now() - days * interval '1 day'
        FROM (VALUES ('notification', 61, 2500), ('notification', 59, 7), ('analytics', 61, 7)) AS old (consumer, days, rows), generate_series(1, rows)";
    postbox.execute(ids).await;
    let running = postbox.start();
    eventually("old ids are removed", async || postbox.processed().await == 7).await;
    eventually("old mails are removed", async || postbox.ask("SELECT count(*) FROM events.mail_outbox").await == 3).await;
    assert_eq!(postbox.ask("SELECT count(*) FROM events.mail_outbox WHERE record = 'stays'").await, 3);
    assert_eq!(postbox.ask("SELECT count(*) FROM events.processed_events WHERE consumer = 'analytics'").await, 7, "each for itself");
    running.stop().await;
}
