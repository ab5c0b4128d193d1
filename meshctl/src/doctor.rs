//! What this machine can do, and what is missing for each telemetry mode: one line each, with the way out.

mod kernel;
mod programs;
mod resources;

use std::process::ExitCode;

use anyhow::{Result, bail};
use console::{Style, measure_text_width};
use serde::Serialize;

use crate::machine::Machine;
use crate::mesh::Mesh;
use crate::output;
use crate::settings::Telemetry;

/// The width of the column with the names of the checks.
const NAME: usize = 14;

/// Where a mesh needs what was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Need {
    /// In every mode.
    Always,
    /// Where OBI makes the spans.
    Ebpf,
}

/// One thing that was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What.
    pub(crate) name: String,
    /// Where it is needed.
    pub(crate) needed: Need,
    /// Whether it is there.
    pub(crate) ok: bool,
    /// What was found.
    pub(crate) found: String,
    /// What to do where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) way_out: Option<String>,
}

impl Check {
    /// Something that is there.
    fn ok(needed: Need, name: &str, found: impl Into<String>) -> Self {
        Self { name: name.to_owned(), needed, ok: true, found: found.into(), way_out: None }
    }

    /// Something that is not.
    fn missing(needed: Need, name: &str, found: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { name: name.to_owned(), needed, ok: false, found: found.into(), way_out: Some(way_out.into()) }
    }

    /// `name: what was found; the way out`.
    fn sentence(&self) -> String {
        let way_out = self.way_out.as_ref().map(|way_out| format!("; {way_out}")).unwrap_or_default();
        format!("{}: {}{way_out}", self.name, self.found)
    }
}

/// Whether a mesh can run in each mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Modes {
    sdk: bool,
    ebpf: bool,
    off: bool,
}

/// `doctor --json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    checks: Vec<Check>,
    modes: Modes,
}

impl Report {
    fn of(checks: Vec<Check>) -> Self {
        let all = |need: &[Need]| checks.iter().filter(|check| need.contains(&check.needed)).all(|check| check.ok);
        let always = all(&[Need::Always]);
        let modes = Modes { sdk: always, ebpf: all(&[Need::Always, Need::Ebpf]), off: always };
        Self { checks, modes }
    }

    fn can(&self, mode: &str) -> bool {
        if mode == Telemetry::EBPF { self.modes.ebpf } else { self.modes.sdk }
    }

    fn missing(&self, needs: &[Need]) -> String {
        let missing = self.checks.iter().filter(|check| !check.ok && needs.contains(&check.needed));
        missing.map(|check| check.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn text(&self) -> String {
        let mut lines = vec!["Every mode needs:".to_owned()];
        lines.extend(self.checks.iter().filter(|check| check.needed == Need::Always).map(line));
        lines.push("Mode ebpf needs besides:".to_owned());
        lines.extend(self.checks.iter().filter(|check| check.needed == Need::Ebpf).map(line));
        lines.push(self.verdict("sdk, off", self.modes.sdk, &[Need::Always]));
        lines.push(self.verdict("ebpf", self.modes.ebpf, &[Need::Always, Need::Ebpf]));
        if !self.modes.ebpf && self.modes.sdk {
            lines.push("./mesh up --telemetry sdk runs here: the same services, the same traces, made by the services.".to_owned());
        }
        lines.join("\n")
    }

    fn verdict(&self, modes: &str, can: bool, needs: &[Need]) -> String {
        let verdict = if can { "can run here".to_owned() } else { format!("cannot run here: {}", self.missing(needs)) };
        format!("{}telemetry {modes}: {verdict}", if modes == "ebpf" { "" } else { "\n" })
    }
}

fn line(check: &Check) -> String {
    let mark = if check.ok { Style::new().green().apply_to("✓") } else { Style::new().red().apply_to("✗") };
    let padding = " ".repeat(NAME.saturating_sub(measure_text_width(&check.name)));
    let way_out = check.way_out.as_ref().map(|way_out| format!("  → {way_out}")).unwrap_or_default();
    format!("  {mark} {}{padding} {}{way_out}", check.name, check.found)
}

/// Looks at everything and prints it. Fails (exit 1) where `mode` cannot run.
pub(crate) async fn run(mesh: &Mesh, mode: &str, json: bool) -> Result<ExitCode> {
    let mut checks = programs::checks(mesh).await;
    checks.extend(resources::checks(mesh)?);
    checks.extend(kernel::checks(mesh, &Machine::here()).await);
    let report = Report::of(checks);
    if json {
        output::json(&report)?;
    } else {
        output::line(&report.text())?;
    }
    Ok(if report.can(mode) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Fails with one sentence per thing that OBI needs and this machine has not.
pub(crate) async fn demand_ebpf(mesh: &Mesh) -> Result<()> {
    let checks = kernel::checks(mesh, &Machine::here()).await;
    let missing: Vec<String> = checks.iter().filter(|check| !check.ok).map(|check| format!("\n  {}", check.sentence())).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "telemetry mode ebpf cannot run here, so nothing was started:{}\n\
         The same services run here with spans of their own: ./mesh up --telemetry sdk",
        missing.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rust: bool, kprobes: bool) -> Report {
        let check = |needed, name, ok| if ok { Check::ok(needed, name, "there") } else { Check::missing(needed, name, "none", "get some") };
        Report::of(vec![check(Need::Always, "Rust", rust), check(Need::Ebpf, "kprobes", kprobes)])
    }

    #[test]
    fn what_obi_lacks_does_not_keep_the_sdk_from_running() {
        let report = report(true, false);
        assert_eq!(report.modes, Modes { sdk: true, ebpf: false, off: true });
        assert!(report.can("sdk") && report.can("off") && !report.can("ebpf"));
        let text = report.text();
        assert!(text.contains("✗ kprobes        none  → get some"), "{text}");
        assert!(text.contains("telemetry sdk, off: can run here\ntelemetry ebpf: cannot run here: kprobes"), "{text}");
        assert!(text.contains("./mesh up --telemetry sdk"), "{text}");
    }

    #[test]
    fn what_every_mode_needs_keeps_all_from_running() {
        let report = report(false, true);
        assert_eq!(report.modes, Modes { sdk: false, ebpf: false, off: false });
        assert!(report.text().contains("telemetry ebpf: cannot run here: Rust"), "{}", report.text());
    }
}
