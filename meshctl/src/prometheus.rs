//! The mesh's own Prometheus, which scrapes the admin ports of all services and knows the recording and alerting rules.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::fingerprint;
use crate::launch::{Launch, in_path};
use crate::mesh::Mesh;
use crate::services::SERVICES;

/// Its name in the mesh.
pub(crate) const NAME: &str = "prometheus";
/// `service.namespace` of everything here.
const NAMESPACE: &str = "throughline";

/// Whether this mesh has one: where it is asked for, and in `auto` where there is one to be had.
pub(crate) fn is_wanted(mesh: &Mesh) -> bool {
    match mesh.settings.prometheus.mode.as_str() {
        "off" => false,
        "auto" => in_path(NAME).is_some(),
        _ => true,
    }
}

/// Base URL of its API and pages.
pub(crate) fn url(mesh: &Mesh) -> String {
    format!("http://127.0.0.1:{}", mesh.ports.prometheus)
}

/// How it is started. The fingerprint of what it is told makes it start anew where that has changed.
pub(crate) fn launch(mesh: &Mesh) -> Result<Launch> {
    let program = in_path(NAME).context("no prometheus in PATH: install the package prometheus, or set prometheus.mode = \"off\"")?;
    let dir = mesh.home.server(NAME);
    let told: String = files(mesh)?.into_iter().map(|(_, text)| text).collect();
    let args = vec![
        format!("--config.file={}", dir.join("prometheus.yml").display()),
        format!("--storage.tsdb.path={}", dir.join("data").display()),
        format!("--storage.tsdb.retention.time={}", mesh.settings.prometheus.retention),
        format!("--web.listen-address=127.0.0.1:{}", mesh.ports.prometheus),
        "--enable-feature=exemplar-storage".to_owned(),
        "--log.level=warn".to_owned(),
    ];
    let env = BTreeMap::from([("THROUGHLINE_PROMETHEUS_SETTINGS".to_owned(), fingerprint::of(told.as_bytes()))]);
    Ok(Launch { name: NAME, program, args, env, user: mesh.home.user(), dir })
}

/// Writes its settings, with the rules beside them: the user it runs as need not be able to read the repository.
pub(crate) fn prepare(mesh: &Mesh) -> Result<()> {
    let dir = mesh.home.create_server(NAME)?;
    for stale in fs::read_dir(&dir)?.filter_map(Result::ok).filter(|entry| entry.file_name().to_string_lossy().starts_with("rules-")) {
        fs::remove_file(stale.path())?;
    }
    for (name, text) in files(mesh)? {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        if let Some(user) = mesh.home.user() {
            chown(&path, Some(user.uid), Some(user.gid)).with_context(|| format!("cannot give {} away", path.display()))?;
        }
    }
    Ok(())
}

/// Names and texts of what it reads.
fn files(mesh: &Mesh) -> Result<Vec<(String, String)>> {
    let mut files = vec![("prometheus.yml".to_owned(), settings(mesh).to_string())];
    for rules in rules(mesh)? {
        let name = rules.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&rules).with_context(|| format!("cannot read {}", rules.display()))?;
        files.push((format!("rules-{name}"), text));
    }
    Ok(files)
}

/// The rule files of the repository, or of the folder that the settings name.
fn rules(mesh: &Mesh) -> Result<Vec<PathBuf>> {
    let folder = match mesh.settings.prometheus.rules.as_str() {
        "" => mesh.home.repository().join("observability/prometheus/rules"),
        folder => PathBuf::from(folder),
    };
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"));
    files.sort();
    Ok(files)
}

/// JSON, which is YAML too.
fn settings(mesh: &Mesh) -> Value {
    let target = |name: &str, address: String| {
        json!({
            "job_name": name,
            "static_configs": [{ "targets": [address], "labels": { "service_name": name, "service_namespace": NAMESPACE } }],
        })
    };
    let mut jobs: Vec<Value> = SERVICES
        .iter()
        .filter_map(|service| Some(target(service.name, format!("127.0.0.1:{}", service.admin_port(&mesh.ports)?.1))))
        .collect();
    jobs.push(target("canary", mesh.settings.prometheus.canary.clone()));
    jobs.push(target("traces", format!("127.0.0.1:{}", mesh.ports.traces)));
    let interval = format!("{}ms", mesh.settings.prometheus.scrape_interval_ms);
    json!({
        "global": { "scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval },
        "rule_files": ["rules-*"],
        "scrape_configs": jobs,
    })
}
