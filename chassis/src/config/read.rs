//! Reading: every override is tried alone first, so that each mistake is found and none hides another.

use std::{collections::BTreeMap, fmt, path::Path};

use serde_json::{Map, Value};

use super::{ENV_PREFIX, ServiceConfig};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted key, or the variable or file where there is no such key.
    pub key: String,
    /// The value that was given.
    pub value: String,
    /// What is allowed instead.
    pub allowed: String,
}

/// All mistakes of a configuration.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Reports one mistake. Give secrets as [`super::Secret`]: the value is printed.
    pub fn add(&mut self, key: &str, value: &dyn fmt::Debug, allowed: &str) {
        self.0.push(Problem { key: key.to_owned(), value: format!("{value:?}"), allowed: allowed.to_owned() });
    }
}

/// The configuration cannot be used; the message lists every mistake.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{} configuration mistake(s):", self.problems.len())?;
        for Problem { key, value, allowed } in &self.problems {
            writeln!(formatter, "  {key} = {value}: allowed is {allowed}")?;
        }
        Ok(())
    }
}

/// Reads defaults, then `file`, then this process's environment: first OpenTelemetry's own variables, then ours.
///
/// # Errors
/// [`ConfigError`] with every mistake.
pub fn read<C: ServiceConfig>(file: Option<&Path>) -> Result<C, ConfigError> {
    let variables: BTreeMap<String, String> =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    let standard = telemetry::standard_overrides(&variables);
    let mut overrides: BTreeMap<String, String> = standard.into_iter().map(|(key, value)| (format!("telemetry.{key}"), value)).collect();
    overrides.extend(env_overrides(ENV_PREFIX, variables.into_iter()));
    read_with(file, overrides)
}

/// `PREFIX_A__B=v` as `a.b` and `v`; other variables are passed over.
pub fn env_overrides(prefix: &str, variables: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    variables
        .filter_map(|(name, value)| {
            let key = name.strip_prefix(prefix)?;
            // `THROUGHLINE_TEST_...` tells tests where their servers are
            (!key.starts_with("TEST_")).then(|| (key.to_ascii_lowercase().replace("__", "."), value))
        })
        .collect()
}

/// [`read`] with the environment given as dotted keys.
///
/// # Errors
/// [`ConfigError`] with every mistake.
pub fn read_with<C: ServiceConfig>(file: Option<&Path>, environment: BTreeMap<String, String>) -> Result<C, ConfigError> {
    let mut problems = Problems::default();
    let defaults = serde_json::to_value(C::default()).unwrap_or_default();
    let mut overrides = file.map(|path| file_overrides(path, &mut problems)).unwrap_or_default();
    for (key, text) in environment {
        let value = typed(&text, lookup(&defaults, &key));
        overrides.insert(key, value);
    }
    let mut tree = defaults.clone();
    for (key, value) in overrides {
        if lookup(&defaults, &key).is_none() {
            problems.add(&key, &value, &format!("one of the keys {}", known_keys(&defaults).join(", ")));
            continue;
        }
        let mut alone = defaults.clone();
        set(&mut alone, &key, value.clone());
        match serde_json::from_value::<C>(alone) {
            Ok(_) => set(&mut tree, &key, value),
            Err(error) => problems.add(&key, &value, &error.to_string()),
        }
    }
    let config = serde_json::from_value::<C>(tree).unwrap_or_default();
    config.check(&mut problems);
    if problems.0.is_empty() { Ok(config) } else { Err(ConfigError { problems: problems.0 }) }
}

fn file_overrides(path: &Path, problems: &mut Problems) -> BTreeMap<String, Value> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.add("--config", &path, &format!("a readable TOML file ({error})"));
            return BTreeMap::new();
        }
    };
    match toml::from_str::<Value>(&text) {
        Ok(tree) => leaves(&tree),
        Err(error) => {
            problems.add("--config", &path, &format!("valid TOML ({})", error.message()));
            BTreeMap::new()
        }
    }
}

/// A variable's text in the type of the default that it replaces.
fn typed(text: &str, default: Option<&Value>) -> Value {
    let parsed = match default {
        Some(Value::Bool(_)) => text.parse::<bool>().ok().map(Value::from),
        Some(Value::Number(_)) => serde_json::from_str::<serde_json::Number>(text).ok().map(Value::from),
        Some(Value::Array(_)) => Some(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Value::from).collect()),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::from(text))
}

fn lookup<'a>(tree: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(tree, |node, part| node.get(part))
}

fn set(tree: &mut Value, key: &str, value: Value) {
    let mut node = tree;
    for part in key.split('.') {
        if !node.is_object() {
            *node = Value::Object(Map::new());
        }
        node = &mut node[part];
    }
    *node = value;
}

fn leaves(tree: &Value) -> BTreeMap<String, Value> {
    fn walk(prefix: &str, node: &Value, found: &mut BTreeMap<String, Value>) {
        match node {
            Value::Object(children) => children.iter().for_each(|(name, child)| {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                walk(&key, child, found);
            }),
            leaf => {
                found.insert(prefix.to_owned(), leaf.clone());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk("", tree, &mut found);
    found
}

fn known_keys(defaults: &Value) -> Vec<String> {
    leaves(defaults).into_keys().collect()
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::config::{Address, Common, Secret};

    #[derive(Debug, Serialize, Deserialize)]
    struct Config {
        #[serde(flatten)]
        common: Common,
        server: Address,
        retries: u8,
        token: Secret,
    }

    impl Default for Config {
        fn default() -> Self {
            Self { common: Common::on_admin_port(9000), server: Address::local(8000), retries: 3, token: Secret::default() }
        }
    }

    impl ServiceConfig for Config {
        fn common(&self) -> &Common {
            &self.common
        }

        fn check(&self, problems: &mut Problems) {
            self.common.check(problems);
            if self.token.expose().is_empty() {
                problems.add("token", &self.token, "any text");
            }
        }
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variables = pairs.iter().map(|(name, value)| (format!("THROUGHLINE_{name}"), (*value).to_owned()));
        read_with(None, env_overrides("THROUGHLINE_", variables))
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_defaults() {
        let file = std::env::temp_dir().join(format!("throughline-config-{}.toml", std::process::id()));
        std::fs::write(&file, "retries = 5\ntoken = 'from file'\n[log]\nlevel = 'debug'\n").unwrap();
        let config: Config = read_with(Some(&file), BTreeMap::from([("token".into(), "12345".into())])).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((config.retries, config.token.expose(), config.common.log.level.as_str()), (5, "12345", "debug"));
        assert_eq!(config.server, Address::local(8000));
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let error = read(&[
            ("SERVER__ADDRESS", "nowhere"),
            ("RETRIES", "300"),
            ("TELEMETRY__MODE", "loud"),
            ("TELEMETRY__SAMPLE_RATIO", "2"),
            ("RETRYS", "3"),
        ])
        .unwrap_err();
        let keys: Vec<_> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["retries", "retrys", "server.address", "telemetry.mode", "telemetry.sample_ratio", "token"]);
        let text = error.to_string();
        assert!(text.contains("300") && text.contains("`sdk`, `ebpf`, `off`") && text.contains("a number from 0 to 1"), "{text}");
    }
}
