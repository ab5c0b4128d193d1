//! What our figures are compared with: the servers' own load tools, on the same servers, with the same number of clients.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::launch::in_path;

/// A database and the programs of its server.
pub(super) struct Postgres {
    pub(super) bin: PathBuf,
    pub(super) port: u16,
    pub(super) user: &'static str,
    pub(super) password: String,
    pub(super) database: &'static str,
}

impl Postgres {
    /// Runs statements; what they return, without headings.
    pub(super) async fn sql(&self, statements: &str) -> Result<String> {
        let mut command = self.command("psql")?;
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.database, "-c", statements]);
        output(command, "psql", "").await
    }

    /// Transactions a second of `script`, prepared, by `clients` for `duration`.
    pub(super) async fn pgbench(&self, script: &str, clients: u16, duration: Duration) -> Result<f64> {
        let mut command = self.command("pgbench")?;
        let seconds = duration.as_secs().max(1);
        command.args(["-n", "-M", "prepared", "-j", "2", "-f", "/dev/stdin"]);
        command.args([format!("-c{clients}"), format!("-T{seconds}"), self.database.to_owned()]);
        let report = output(command, "pgbench", script).await?;
        if let Some(failed) = number(&report, "number of failed transactions: ").filter(|failed| *failed > 0.0) {
            bail!("{failed} transactions of pgbench have failed:\n{report}");
        }
        number(&report, "tps = ").with_context(|| format!("pgbench tells no tps:\n{report}"))
    }

    /// Told by the environment who to be, as a command line can be read by everybody.
    fn command(&self, program: &str) -> Result<Command> {
        let beside = Some(self.bin.join(program)).filter(|file| file.is_file());
        let found = beside.or_else(|| in_path(program));
        let mut command = Command::new(found.with_context(|| format!("no {program} here: install the package postgresql"))?);
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string());
        command.env("PGUSER", self.user).env("PGPASSWORD", &self.password);
        Ok(command)
    }
}

/// `GET`s a second of a key that exists, by `clients`.
pub(super) async fn redis_benchmark(port: u16, key: &str, clients: u16, requests: u64) -> Result<f64> {
    let program = in_path("redis-benchmark").context("no redis-benchmark in PATH: install the package redis-tools")?;
    let mut command = Command::new(program);
    command.args(["-p", &port.to_string(), "-c", &clients.to_string(), "-n", &requests.to_string(), "--csv", "GET", key]);
    let report = output(command, "redis-benchmark", "").await?;
    // the second column of the last line: "GET ...","100000.00",...
    let rate = report.lines().last().and_then(|line| line.split("\",\"").nth(1)?.trim_matches('"').parse().ok());
    rate.with_context(|| format!("redis-benchmark tells no rate:\n{report}"))
}

/// Records a second that Kafka's own benchmark of producers sends, once it is warm, with the settings of our producer.
/// `command` starts the tool, `payloads` is a file with a record on each line.
pub(super) async fn producer_perf_test(mut command: Command, brokers: &str, topic: &str, payloads: &Path, records: u64) -> Result<f64> {
    command.args(["--bootstrap-server", brokers, "--topic", topic, "--throughput", "-1", "--payload-file"]).arg(payloads);
    command.args(["--num-records", &(3 * records).to_string(), "--warmup-records", &records.to_string()]);
    // librdkafka's batch.size is 1000000 unless told otherwise, the tool's 16384
    command.args(["--command-property", "acks=all", "enable.idempotence=true", "compression.type=snappy", "linger.ms=10"]);
    command.arg("batch.size=1000000");
    let report = output(command, "kafka-producer-perf-test", "").await?;
    steady_rate(&report).with_context(|| format!("kafka-producer-perf-test tells no rate:\n{report}"))
}

/// Of the line `N steady state records sent, R records/sec (...), ...`.
fn steady_rate(report: &str) -> Option<f64> {
    let (_, rest) = report.lines().find_map(|line| line.split_once(" steady state records sent, "))?;
    rest.split_once(" records/sec")?.0.parse().ok()
}

/// Runs a Redis command.
pub(super) async fn redis_cli(port: u16, arguments: &[&str]) -> Result<String> {
    let program = in_path("redis-cli").context("no redis-cli in PATH: install the package redis-tools")?;
    let mut command = Command::new(program);
    command.args(["-p", &port.to_string()]).args(arguments);
    output(command, "redis-cli", "").await
}

async fn output(mut command: Command, name: &str, input: &str) -> Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("cannot run {name}; is it installed?"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // who does not read its input says so by its exit status
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        bail!("{name} has failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The number behind a sign.
fn number(report: &str, sign: &str) -> Option<f64> {
    let rest = report.lines().find_map(|line| line.strip_prefix(sign))?;
    rest.split(|c: char| c != '.' && !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{number, steady_rate};

    #[test]
    fn figures_are_read_from_what_pgbench_says() {
        let report = "number of failed transactions: 0 (0.000%)\ntps = 2670.116187 (without initial connection time)\n";
        assert_eq!(number(report, "tps = "), Some(2_670.116_187));
        assert_eq!(number(report, "number of failed transactions: "), Some(0.0));
        assert_eq!(number(report, "latency"), None);
    }

    #[test]
    fn the_rate_of_a_producer_is_that_of_after_its_warm_up() {
        let all = "600000 records sent, 74729.106987 records/sec (60.49 MB/sec), 995.77 ms avg latency.\n";
        let warm = "400000 steady state records sent, 83927.822073 records/sec (67.93 MB/sec), 834.65 ms avg latency.\n";
        assert_eq!(steady_rate(&format!("{all}{warm}")), Some(83_927.822_073));
        assert_eq!(steady_rate(all), None);
    }
}
