//! Settings of threads and TLS that cannot be meant are found before anything is served.

use std::{collections::BTreeMap, path::Path};

use chassis::{
    config::{Common, ConfigError, Problem, Problems, ServiceConfig, read_with},
    tls::TlsMode,
};
use serde::{Deserialize, Serialize};

use crate::authority::Authority;

#[derive(Debug, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    common: Common,
}

impl Default for Config {
    fn default() -> Self {
        Self { common: Common::on_admin_port(9000) }
    }
}

impl ServiceConfig for Config {
    fn common(&self) -> &Common {
        &self.common
    }

    fn check(&self, problems: &mut Problems) {
        self.common.check(problems);
    }
}

fn read(pairs: &[(&str, &Path)]) -> Result<Config, ConfigError> {
    read_with(None, pairs.iter().map(|(key, value)| ((*key).to_owned(), value.display().to_string())).collect::<BTreeMap<_, _>>())
}

fn mistakes(pairs: &[(&str, &Path)]) -> Vec<Problem> {
    read(pairs).unwrap_err().problems
}

#[test]
fn threads_and_streams_are_bounded_and_there_is_one_at_least() {
    for key in ["runtime.threads", "runtime.max_streams"] {
        for value in ["0", "1025"] {
            let found = mistakes(&[(key, Path::new(value))]);
            let found: Vec<_> = found.iter().map(|problem| (problem.key.as_str(), problem.allowed.as_str())).collect();
            assert_eq!(found, [(key, "1 to 1024")]);
        }
    }
    let runtime = read(&[]).unwrap().common.runtime;
    assert_eq!((runtime.threads, runtime.max_streams), (64, 32));
}

#[test]
fn every_file_that_is_missing_or_wrong_is_named_with_its_key() {
    let authority = Authority::new();
    let good = authority.config(TlsMode::Mtls, "orders");
    let empty = authority.file("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let nowhere = Path::new("/nonexistent/ca.pem");
    let found = mistakes(&[("tls.mode", Path::new("mtls")), ("tls.ca", nowhere), ("tls.certificate", &empty), ("tls.key", &good.ca)]);
    let keys: Vec<_> = found.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["tls.ca", "tls.certificate", "tls.key"]);
    assert!(found[0].value.contains("/nonexistent/ca.pem") && found[0].allowed.contains("readable"), "{found:?}");
    assert!(found[1].value.contains("empty.pem") && found[1].allowed.contains("certificate"), "{found:?}");
    assert!(found[2].allowed.contains("private key"), "{found:?}");
    let unset = mistakes(&[("tls.mode", Path::new("tls"))]);
    assert_eq!(unset.len(), 3, "{unset:?}");
}

#[test]
fn a_key_that_is_not_the_certificates_is_a_mistake() {
    let authority = Authority::new();
    let (orders, auth) = (authority.config(TlsMode::Tls, "orders"), authority.config(TlsMode::Tls, "auth"));
    let found = mistakes(&[
        ("tls.mode", Path::new("tls")),
        ("tls.ca", &orders.ca),
        ("tls.certificate", &orders.certificate),
        ("tls.key", &auth.key),
    ]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key, "tls.key");
}

#[test]
fn tls_that_obi_could_not_look_into_has_to_be_asked_for() {
    let authority = Authority::new();
    let good = authority.config(TlsMode::Tls, "orders");
    let files = [("tls.ca", &*good.ca), ("tls.certificate", &*good.certificate), ("tls.key", &*good.key)];
    let with = |more: &[(&'static str, &'static str)]| {
        let more = more.iter().map(|(key, value)| (*key, Path::new(*value)));
        read(&files.iter().copied().chain(more).collect::<Vec<_>>())
    };
    let error = with(&[("tls.mode", "tls"), ("telemetry.mode", "ebpf")]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("tls.mode") && text.contains("telemetry.mode") && text.contains("tls.allow_with_ebpf"), "{text}");
    with(&[("tls.mode", "tls"), ("telemetry.mode", "ebpf"), ("tls.allow_with_ebpf", "true")]).unwrap();
    with(&[("tls.mode", "mtls"), ("telemetry.mode", "sdk")]).unwrap();
    with(&[("tls.mode", "off"), ("telemetry.mode", "ebpf")]).unwrap();
}

#[test]
fn files_do_not_matter_where_tls_is_off() {
    read(&[("tls.ca", Path::new("/nonexistent"))]).unwrap();
}
