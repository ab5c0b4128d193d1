//! OBI passes over a key that it does not know, so a misspelt one would be silent: what we say is held against what OBI
//! documents.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::settings::Telemetry;

const SETTINGS: &str = include_str!("../../../observability/obi/obi.yaml");
const DOCUMENTED: &str = include_str!("../../../observability/obi/documented-keys.txt");

/// Keys and variables that OBI documents.
fn documented() -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let lines = DOCUMENTED.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (keys, variables): (Vec<&str>, Vec<&str>) = lines.map(|line| line.split_once("  ").unwrap()).unzip();
    let there = |names: Vec<&'static str>| names.into_iter().filter(|name| *name != "-").collect();
    (there(keys), there(variables))
}

/// The keys of all values in `settings`, as the list of documented keys writes them.
fn keys(settings: &Value, path: &str, found: &mut Vec<String>) {
    match settings {
        Value::Object(table) => {
            for (key, value) in table {
                keys(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, found);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => list.iter().for_each(|value| keys(value, &format!("{path}[]"), found)),
        _ => found.push(path.to_owned()),
    }
}

/// `*` in a documented key stands for one name.
fn is_documented(key: &str, documented: &BTreeSet<&str>) -> bool {
    let same = |documented: &&str| {
        let (ours, theirs): (Vec<&str>, Vec<&str>) = (key.split('.').collect(), documented.split('.').collect());
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| theirs == "*" || *ours == theirs)
    };
    documented.iter().any(same)
}

fn undocumented(yaml: &str) -> Vec<String> {
    let settings: Value = serde_saphyr::from_str(yaml).unwrap();
    let (documented, _) = documented();
    let mut found = Vec::new();
    keys(&settings, "", &mut found);
    assert!(!found.is_empty(), "{yaml}");
    found.retain(|key| !is_documented(key, &documented));
    found
}

fn mesh() -> (tempfile::TempDir, Mesh) {
    let home = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::open(None, Some(home.path())).unwrap();
    Telemetry::EBPF.clone_into(&mut mesh.settings.telemetry.mode);
    (home, mesh)
}

#[test]
fn obi_documents_every_key_of_our_settings() {
    assert_eq!(undocumented(SETTINGS), Vec::<String>::new());
}

#[test]
fn a_misspelt_key_is_found_at_any_depth() {
    assert_eq!(undocumented("log_levle: INFO"), ["log_levle"]);
    assert_eq!(undocumented(&SETTINGS.replace("exe_path", "exe_paths")), ["discovery.instrument[].exe_paths"]);
    assert_eq!(undocumented(&SETTINGS.replace("exclude_otel_instrumented", "exclude_otel")), ["discovery.exclude_otel_services"]);
    let filter = "filter: { application: { url_path: { not_match: /x }, other: { math: x } } }";
    assert_eq!(undocumented(filter), ["filter.application.other.math"]);
}

#[test]
fn obi_documents_every_variable_that_it_is_told() {
    let (_home, mesh) = mesh();
    let (_, documented) = documented();
    let told = environment(&mesh, Path::new("/obi.yaml"), b"");
    let theirs: Vec<&str> = told.keys().map(String::as_str).filter(|name| name.starts_with("OTEL_")).collect();
    assert_eq!(theirs, ["OTEL_EBPF_CONFIG_PATH", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]);
    assert!(theirs.iter().all(|name| documented.contains(name)), "{theirs:?}");
}

#[test]
fn every_service_and_every_variable_of_the_launcher_is_in_the_settings() {
    let (_home, mesh) = mesh();
    for service in &SERVICES {
        let named = SETTINGS.lines().any(|line| line.contains("exe_path:") && line.contains(service.name));
        assert!(named, "{} is not instrumented", service.name);
    }
    assert_eq!(served_ports(&mesh).split(',').count(), SERVICES.len());
    assert!(SETTINGS.contains("${THROUGHLINE_OBI_PORTS:-"));
}

#[test]
fn docker_gets_the_hosts_processes_network_settings_and_rights() {
    let (_home, mesh) = mesh();
    let env = environment(&mesh, Path::new(MOUNTED), b"");
    let args = docker_args(&mesh, Path::new("/repo/obi.yaml"), &env).join(" ");
    for part in
        ["run --rm --privileged --pid=host --network=host", "--volume=/repo/obi.yaml:/obi.yaml:ro", "--env=OTEL_EBPF_CONFIG_PATH=/obi.yaml"]
    {
        assert!(args.contains(part), "{part} is not in {args}");
    }
    assert!(args.ends_with(&mesh.settings.obi.image), "{args}");
}

#[test]
fn sudo_passes_on_what_obi_is_told() {
    let args = sudo_args(Path::new("/bin/obi"), &BTreeMap::from([("A".to_owned(), "b c".to_owned())]));
    assert_eq!(args, ["-n", "env", "A=b c", "/bin/obi"]);
}
