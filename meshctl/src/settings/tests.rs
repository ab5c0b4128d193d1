use std::io::Write;

use super::*;

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn keys(error: &SettingsError) -> Vec<&str> {
    error.mistakes.iter().map(|mistake| mistake.key.as_str()).collect()
}

#[test]
fn the_defaults_are_right_and_have_the_documented_ports() {
    let settings = Settings::load(None, env(&[])).unwrap();
    assert_eq!(settings.ports.gateway, 8080);
    assert_eq!(settings.ports.postgres, 15432);
    assert_eq!(settings.ports.analytics_admin, 9106);
    assert_eq!(settings.ports.entries().len(), usize::from(Ports::COUNT));
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "[ports]\ngateway = 1000\nauth = 1001\n[env.catalog-cache]\nA = \"1\"").unwrap();
    let vars = env(&[("MESH_PORTS__GATEWAY", "2000"), ("MESH_ENV__CATALOG_CACHE__X__Y", "z"), ("MESH_OTHER", "7")]);
    let settings = Settings::load(Some(file.path()), vars).unwrap();
    assert_eq!((settings.ports.gateway, settings.ports.auth, settings.ports.orders), (2000, 1001, 50053));
    let extra = &settings.env["catalog-cache"];
    assert_eq!((extra["A"].as_str(), extra["X__Y"].as_str()), ("1", "z"));
}

#[test]
fn all_mistakes_are_reported_at_once_with_key_value_and_what_is_allowed() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "[ports]\ngateway = 0\nauth = 8080\nmain = 1\n[log]\nformat = 3\n[env.ordres]\nA = \"1\"\n").unwrap();
    let vars = env(&[("MESH_PORTS__REDIS", "many"), ("MESH_KAFKA__HEAP_MB", "1"), ("MESH_PORTS__KAFKA", "50051")]);
    let error = Settings::load(Some(file.path()), vars).unwrap_err();
    let found = keys(&error);
    for key in ["ports.gateway", "ports.main", "log.format", "env.ordres", "MESH_PORTS__REDIS", "kafka.heap_mb"] {
        assert!(found.contains(&key), "{key} is missing in {found:?}");
    }
    let text = error.to_string();
    assert!(text.contains("MESH_PORTS__REDIS = many: a whole number"), "{text}");
    assert!(text.contains("kafka.heap_mb = 1: 128 to 65536"), "{text}");
}

#[test]
fn two_listeners_never_share_a_port() {
    let error = Settings::load(None, env(&[("MESH_PORTS__ORDERS", "8080")])).unwrap_err();
    assert_eq!(error.mistakes.len(), 1);
    assert!(error.to_string().contains("ports.gateway"), "{error}");
}

#[test]
fn an_unreadable_file_is_one_mistake() {
    let error = Settings::load(Some(Path::new("/nonexistent/mesh.toml")), env(&[])).unwrap_err();
    assert_eq!(keys(&error), ["--config"]);
}
