//! A service in the background of a test.

use std::{future::Future, sync::Arc};

use chassis::{Process, StartError, spawn};
use events::{
    consumer::{self, HandleError, Handled, Handler, Record},
    kafka::KafkaConfig,
    testing::PATIENCE,
};
use telemetry::{Mode, TelemetryConfig};
use tokio::{task::JoinHandle, time::timeout};

/// Consumer group of [`Running::handler`].
pub(crate) const GROUP: &str = "test-group";

pub(crate) struct Running {
    process: Process,
    task: JoinHandle<Result<(), StartError>>,
}

impl Running {
    pub(crate) fn start<F>(service: impl FnOnce(Process) -> F) -> Self
    where
        F: Future<Output = Result<(), StartError>> + Send + 'static,
    {
        pass_traces_on();
        let process = Process::default();
        let task = spawn(service(process.clone()));
        Self { process, task }
    }

    /// The consumer loop around a closure.
    pub(crate) fn handler<F, R>(config: &KafkaConfig, topic: &'static str, handler: F) -> Self
    where
        F: Fn(Record) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), HandleError>> + Send,
    {
        let config = config.clone();
        Self::start(|process| async move { consumer::run(&config, GROUP, &[topic], Closure(handler), &process).await })
    }

    /// What `/readyz` would complain about.
    pub(crate) async fn complaints(&self) -> Vec<(&'static str, String)> {
        self.process.readiness.failures().await
    }

    /// The value of a series, and none where it is not shown.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        chassis::testing::metric(&self.process, series)
    }

    /// The value of a series about [`GROUP`] and a topic.
    pub(crate) fn metric_of(&self, name: &str, topic: &str, more: &str) -> Option<f64> {
        let labels = format!("messaging_consumer_group_name=\"{GROUP}\",messaging_destination_name=\"{topic}\"{more}");
        self.metric(&format!("{name}{{{labels}}}"))
    }

    /// Ends it where it stands, as if the process was killed: nothing is finished and nothing committed.
    pub(crate) async fn kill(mut self) {
        self.task.abort();
        assert!((&mut self.task).await.is_err_and(|error| error.is_cancelled()), "it had ended already");
    }

    /// Why it ended by itself.
    pub(crate) async fn failure(mut self) -> String {
        let ended = timeout(PATIENCE, &mut self.task).await.expect("it ends in time").expect("it does not panic");
        ended.expect_err("it fails").to_string()
    }

    pub(crate) async fn stop(mut self) {
        self.process.shutdown.cancel();
        timeout(PATIENCE, &mut self.task).await.expect("it stops in time").expect("it does not panic").expect("it stops as asked");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.process.shutdown.cancel();
    }
}

/// No spans are made, and a caller's context is passed on, as in every mode.
pub(crate) fn pass_traces_on() {
    let config = TelemetryConfig { mode: Mode::Off, ..TelemetryConfig::default() };
    telemetry::start(&config, "test").expect("telemetry");
}

struct Closure<F>(F);

impl<F, R> Handler for Closure<F>
where
    F: Fn(Record) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), HandleError>> + Send,
{
    async fn handle(&self, record: &Record) -> Result<Handled, HandleError> {
        (self.0)(record.clone()).await.map(|()| Handled::Now)
    }
}

/// What was seen, in the order in which it was.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<std::sync::Mutex<Vec<(String, String)>>>);

impl Seen {
    pub(crate) fn note(&self, record: &Record) {
        let (key, payload) = (record.key_text().unwrap_or_default().to_owned(), String::from_utf8_lossy(&record.payload).into_owned());
        self.0.lock().unwrap().push((key, payload));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Payloads of one key.
    pub(crate) fn of(&self, key: &str) -> Vec<String> {
        self.0.lock().unwrap().iter().filter(|(of, _)| of == key).map(|(_, payload)| payload.clone()).collect()
    }
}
