//! All there is to know of a scenario.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use chassis::scenario::definition::{Definition, SpanSymptom};

use crate::output;

/// How wide a line of text gets.
const WIDTH: usize = 100;

/// Prints it.
pub(super) fn explain(definition: &Definition, json: bool) -> Result<ExitCode> {
    if json {
        output::json(definition)?;
    } else {
        output::line(&text(definition)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(definition: &Definition) -> Result<String, std::fmt::Error> {
    let mut text = format!("{}: {}\n\n{}\n", definition.name, definition.summary, wrapped(&definition.description, ""));
    writeln!(text, "\nIn        {}\nUnder     {}", definition.services.join(", "), definition.load.trim())?;
    for (name, parameter) in &definition.parameters {
        writeln!(text, "Set       {name}={} ({}): {}", parameter.default(), parameter.allowed(), parameter.description())?;
    }
    writeln!(text, "\nSymptoms")?;
    for metric in &definition.symptoms.metrics {
        writeln!(text, "  metric  {} > {}\n          {}", metric.says, metric.above, one_line(&metric.query).replace("$window", "1m"))?;
    }
    for trace in &definition.symptoms.traces {
        writeln!(text, "  trace   {}\n          {}", trace.says, trace.traceql)?;
    }
    for log in &definition.symptoms.logs {
        writeln!(text, "  log     {}\n          {{service_name=\"{}\"}} |= `{}`", log.says, log.service, log.contains)?;
    }
    for alert in &definition.symptoms.alerts {
        writeln!(text, "  alert   {alert}")?;
    }
    writeln!(
        text,
        "\nSmoking gun\n  {}\n  {}\n  {}",
        span(&definition.smoking_gun),
        definition.smoking_gun.says,
        definition.smoking_gun.traceql
    )?;
    writeln!(text, "\nFrom the symptom to the cause")?;
    for (number, step) in (1..).zip(&definition.diagnosis) {
        writeln!(text, "  {number}. {}", wrapped(step, "     ").trim_start())?;
    }
    write!(text, "\nThe fix\n{}", wrapped(&definition.fix, "  "))?;
    Ok(text)
}

/// What a span is that matches, in words.
pub(super) fn span(symptom: &SpanSymptom) -> String {
    let mut text = format!("{} {:?}", symptom.service, symptom.name_pattern);
    text.extend(symptom.attributes.iter().map(|(name, value)| format!(", {name} ~ {value:?}")));
    let more = [
        (symptom.min_duration_ms > 0.0, format!(", {} ms or longer", symptom.min_duration_ms)),
        (symptom.min_delay_ms > 0.0, format!(", {} ms or more after its parent", symptom.min_delay_ms)),
        (symptom.at_least > 1, format!(", {} or more in one trace", symptom.at_least)),
        (symptom.is_root, ", the first of its trace".to_owned()),
        (symptom.is_leaf, ", with nothing below it".to_owned()),
        (symptom.share > 0.0, format!(", in {} % of the traces or more", symptom.share * 100.0)),
    ];
    text.extend(more.into_iter().filter(|(holds, _)| *holds).map(|(_, words)| words));
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = vec![indent.to_owned()];
    for word in text.split_whitespace() {
        if let Some(line) = lines.last_mut()
            && (line.len() + word.len() < WIDTH || line == indent)
        {
            if line != indent {
                line.push(' ');
            }
            line.push_str(word);
        } else {
            lines.push(format!("{indent}{word}"));
        }
    }
    lines.join("\n")
}
