//! Whether what a scenario's file promises is to be seen: in Prometheus, in traces, in logs.

mod spans;

use std::fs;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use chassis::scenario::definition::{Definition, LogSymptom, MetricSymptom, SpanSymptom};
use chrono::{DateTime, Utc};
use comfy_table::{Table, presets};
use futures::future::try_join_all;
use reqwest::Url;
use serde::Serialize;
use serde_json::{Value, json};

use super::{CheckArgs, demand_up};
use crate::mesh::Mesh;
use crate::trace::TraceSource;
use crate::{failure, output, prometheus};

/// Traces that are looked at, of the newest.
const TRACES: usize = 300;

/// One symptom, and whether it is there.
#[derive(Debug, Serialize)]
struct Finding {
    kind: &'static str,
    says: String,
    present: bool,
    /// What was found: a value, or a number of traces or lines.
    found: Option<f64>,
    /// What it has to exceed.
    above: f64,
    /// A trace to look at.
    trace_id: Option<String>,
}

/// Looks for every symptom. Exit code 1 where one is missing.
pub(super) async fn check(mesh: &Mesh, definition: &Definition, args: &CheckArgs, json: bool) -> Result<ExitCode> {
    let state = demand_up(mesh)?;
    let own = state.alive(prometheus::NAME).map(|_| prometheus::url(mesh));
    let Some(base) = args.prometheus.clone().or(own) else {
        bail!("no Prometheus runs in this mesh: install the package prometheus and ./mesh up, or name one with --prometheus URL");
    };
    let traces = TraceSource::new(args.traces.as_deref().unwrap_or(&mesh.traces_url()))?;
    let asked = definition.symptoms.metrics.iter().map(|symptom| metric(mesh, &base, symptom, args.window));
    let mut findings = try_join_all(asked).await?;
    if args.alerts {
        findings.extend(try_join_all(definition.symptoms.alerts.iter().map(|name| alert(mesh, &base, name))).await?);
    }
    let spans = definition.symptoms.traces.iter().map(|symptom| ("trace", symptom)).chain([("smoking gun", &definition.smoking_gun)]);
    findings.extend(try_join_all(spans.map(|(kind, symptom)| trace(&traces, kind, symptom, args.window))).await?);
    for symptom in &definition.symptoms.logs {
        findings.push(log(mesh, symptom, args.window)?);
    }
    let all = findings.iter().all(|finding| finding.present);
    if json {
        output::json(
            &json!({ "scenario": definition.name, "window_seconds": args.window.as_secs_f64(), "all_present": all, "symptoms": findings }),
        )?;
    } else {
        output::line(&table(&findings))?;
    }
    Ok(ExitCode::from(u8::from(!all)))
}

/// The largest value of the query.
async fn metric(mesh: &Mesh, base: &str, symptom: &MetricSymptom, window: Duration) -> Result<Finding> {
    let query = symptom.query.replace("$window", &format!("{}s", window.as_secs().max(1)));
    let url = format!("{}/api/v1/query", base.trim_end_matches('/'));
    let url =
        Url::parse_with_params(&url, [("query", query.as_str())]).map_err(|error| failure::usage(format!("{base} is no URL: {error}")))?;
    let answer = mesh.http.get(url).timeout(Duration::from_secs(10)).send().await;
    let answer: Value = answer.with_context(|| format!("cannot reach Prometheus at {base}"))?.json().await?;
    if answer["status"] != "success" {
        return Err(failure::usage(format!("{query}: {}", answer["error"].as_str().unwrap_or("Prometheus refuses it"))));
    }
    let values = answer["data"]["result"].as_array().into_iter().flatten();
    let values = values.filter_map(|sample| sample["value"][1].as_str()?.parse::<f64>().ok()).filter(|value| value.is_finite());
    let found = values.fold(None, |most: Option<f64>, value| Some(most.map_or(value, |most| most.max(value))));
    Ok(Finding {
        kind: "metric",
        says: symptom.says.clone(),
        present: found.is_some_and(|found| found > symptom.above),
        found,
        above: symptom.above,
        trace_id: None,
    })
}

/// Whether an alert fires.
async fn alert(mesh: &Mesh, base: &str, name: &str) -> Result<Finding> {
    let query = format!("count(ALERTS{{alertname=\"{name}\", alertstate=\"firing\"}})");
    let firing = MetricSymptom { query, above: 0.0, says: format!("alert {name}") };
    Ok(Finding { kind: "alert", ..metric(mesh, base, &firing, Duration::ZERO).await? })
}

/// Traces with such spans: enough of those that the service has a part in.
async fn trace(source: &TraceSource, kind: &'static str, symptom: &SpanSymptom, window: Duration) -> Result<Finding> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.saturating_sub(window);
    let traces = source.since(&symptom.service, since, TRACES).await?;
    let matcher = spans::Matcher::new(symptom)?;
    let found = matcher.find(&traces);
    #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
    let (number, least) = (found.matching as f64, (symptom.share * found.of as f64).ceil().max(1.0));
    Ok(Finding {
        kind,
        says: symptom.says.clone(),
        present: number >= least,
        found: Some(number),
        above: least - 1.0,
        trace_id: found.example,
    })
}

/// Lines of a service's log file.
fn log(mesh: &Mesh, symptom: &LogSymptom, window: Duration) -> Result<Finding> {
    let since = Utc::now() - window;
    let path = mesh.home.log(&symptom.service);
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8_lossy(&text);
    let is_new = |line: &&str| {
        let parsed: Option<Value> = serde_json::from_str(line).ok();
        let time = parsed.as_ref().and_then(|line| line["timestamp"].as_str()?.parse::<DateTime<Utc>>().ok());
        time.is_some_and(|time| time >= since)
    };
    let lines = text.lines().rev().filter(|line| line.contains(&symptom.contains)).take_while(is_new).count();
    #[allow(clippy::cast_precision_loss, reason = "lines of a log")]
    let found = lines as f64;
    Ok(Finding { kind: "log", says: symptom.says.clone(), present: lines > 0, found: Some(found), above: 0.0, trace_id: None })
}

fn table(findings: &[Finding]) -> String {
    let mut table = Table::new();
    let preset = if std::io::stdout().is_terminal() { presets::UTF8_BORDERS_ONLY } else { presets::NOTHING };
    table.load_style(preset).set_header(["symptom", "there", "found", "has to exceed", "what it says", "trace"]);
    for finding in findings {
        table.add_row([
            finding.kind.to_owned(),
            if finding.present { "yes" } else { "no" }.to_owned(),
            finding.found.map_or_else(|| "nothing".to_owned(), short),
            short(finding.above),
            finding.says.clone(),
            finding.trace_id.clone().unwrap_or_default(),
        ]);
    }
    table.to_string()
}

fn short(number: f64) -> String {
    if number.fract() == 0.0 { format!("{number}") } else { format!("{number:.3}") }
}
