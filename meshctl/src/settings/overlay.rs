//! Laying a file and the environment over the defaults, whose keys and kinds say what is allowed.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::{ENV_PREFIX, Mistake, Telemetry};
use crate::services::SERVICES;

fn mistake(key: impl Into<String>, value: &(impl ToString + ?Sized), allowed: impl Into<String>) -> Mistake {
    Mistake { key: key.into(), value: value.to_string(), allowed: allowed.into() }
}

/// The built-in defaults as a table.
pub(super) fn defaults(mistakes: &mut Vec<Mistake>) -> Table {
    parse("deploy/mesh.toml (built in)", super::DEFAULTS, mistakes)
}

/// The table in the file at `path`; empty, with a mistake noted, where it cannot be read.
pub(super) fn file(path: &Path, mistakes: &mut Vec<Mistake>) -> Table {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&path.display().to_string(), &text, mistakes),
        Err(err) => {
            mistakes.push(mistake("--config", &path.display(), format!("a readable TOML file ({err})")));
            Table::new()
        }
    }
}

fn parse(name: &str, text: &str, mistakes: &mut Vec<Mistake>) -> Table {
    text.parse::<Table>().unwrap_or_else(|err| {
        mistakes.push(mistake("--config", name, format!("valid TOML ({})", err.to_string().trim().replace('\n', " "))));
        Table::new()
    })
}

/// Lays `over` onto `merged`. Keys that `defaults` does not have, and values of another kind, are mistakes.
pub(super) fn table(path: &str, defaults: &Table, merged: &mut Table, over: &Table, mistakes: &mut Vec<Mistake>) {
    for (key, value) in over {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if full == "env" {
            service_env(merged, value, mistakes);
            continue;
        }
        match (defaults.get(key), value) {
            (None, _) => mistakes.push(mistake(full, value, format!("unknown key; known here: {}", keys(defaults)))),
            (Some(Value::Table(inner)), Value::Table(over)) => {
                let mut below = inner_of(merged, key);
                table(&full, inner, &mut below, over, mistakes);
                merged.insert(key.clone(), Value::Table(below));
            }
            (Some(default), _) if default.same_type(value) => {
                merged.insert(key.clone(), value.clone());
            }
            (Some(default), _) => mistakes.push(mistake(full, value, kind(default))),
        }
    }
}

/// Lays the variables that are ours onto `merged`: `MESH_PORTS__GATEWAY=8090`.
pub(super) fn environment(
    defaults: &Table,
    merged: &mut Table,
    env: impl IntoIterator<Item = (String, String)>,
    mistakes: &mut Vec<Mistake>,
) {
    let ours: BTreeMap<String, String> = env
        .into_iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(ENV_PREFIX)?.to_owned(), value)))
        .filter(|(name, _)| name.contains("__"))
        .collect();
    for (name, text) in ours {
        let Some((section, key)) = name.split_once("__") else { continue };
        let section = section.to_lowercase();
        let over = if section == "env" {
            env_entry(key, &text)
        } else {
            let key = key.to_lowercase();
            let default = defaults.get(&section).and_then(|table| table.get(&key));
            Table::from_iter([(key, typed(default, text.clone()))])
        };
        let over = Table::from_iter([(section, Value::Table(over))]);
        let before = mistakes.len();
        table("", defaults, merged, &over, mistakes);
        for found in &mut mistakes[before..] {
            found.key = format!("{ENV_PREFIX}{name}");
            found.value.clone_from(&text);
        }
    }
}

/// `ORDERS__RUST_LOG` = text, as `{orders = {RUST_LOG = text}}`.
fn env_entry(key: &str, text: &str) -> Table {
    let (service, variable) = key.split_once("__").unwrap_or((key, ""));
    let inner = Table::from_iter([(variable.to_owned(), Value::String(text.to_owned()))]);
    Table::from_iter([(service.to_lowercase().replace('_', "-"), Value::Table(inner))])
}

fn typed(default: Option<&Value>, text: String) -> Value {
    match default {
        Some(Value::Integer(_)) => text.trim().parse().map_or(Value::String(text), Value::Integer),
        Some(Value::Boolean(_)) => text.trim().parse().map_or(Value::String(text), Value::Boolean),
        _ => Value::String(text),
    }
}

fn service_env(merged: &mut Table, value: &Value, mistakes: &mut Vec<Mistake>) {
    let services = SERVICES.iter().map(|service| service.name).collect::<Vec<_>>().join(", ");
    let Value::Table(by_service) = value else {
        mistakes.push(mistake("env", value, format!("a table per service: {services}")));
        return;
    };
    let mut all = inner_of(merged, "env");
    for (service, variables) in by_service {
        let key = format!("env.{service}");
        if !SERVICES.iter().any(|known| known.name == service) {
            mistakes.push(mistake(key, variables, format!("unknown service; known: {services}")));
            continue;
        }
        let mut known = inner_of(&all, service);
        for (name, value) in variables.as_table().into_iter().flatten() {
            if value.is_str() && !name.is_empty() {
                known.insert(name.clone(), value.clone());
            } else {
                mistakes.push(mistake(format!("{key}.{name}"), value, "a variable name and a string in quotes"));
            }
        }
        if !variables.is_table() {
            mistakes.push(mistake(key, variables, "a table of VARIABLE = \"value\""));
        }
        all.insert(service.clone(), Value::Table(known));
    }
    merged.insert("env".to_owned(), Value::Table(all));
}

fn inner_of(table: &Table, key: &str) -> Table {
    table.get(key).and_then(Value::as_table).cloned().unwrap_or_default()
}

fn keys(table: &Table) -> String {
    table.keys().cloned().collect::<Vec<_>>().join(", ")
}

fn kind(default: &Value) -> String {
    match default {
        Value::Integer(_) => "a whole number".to_owned(),
        Value::String(_) => "a string".to_owned(),
        Value::Boolean(_) => "true or false".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        other => format!("a value like {other}"),
    }
}

/// Checks the values themselves: ranges, words, and that no port is used twice.
pub(super) fn check(merged: &Table, mistakes: &mut Vec<Mistake>) {
    ports(&inner_of(merged, "ports"), mistakes);
    for (section, key, low, high) in [
        ("deadlines", "start", 1, 3600),
        ("deadlines", "stop", 1, 600),
        ("deadlines", "trace", 1, 600),
        ("postgres", "max_connections", 20, 10_000),
        ("kafka", "heap_mb", 128, 65_536),
        ("prometheus", "scrape_interval_ms", 100, 600_000),
    ] {
        let value = merged.get(section).and_then(|table| table.get(key)).and_then(Value::as_integer);
        if let Some(value) = value.filter(|value| !(low..=high).contains(value)) {
            mistakes.push(mistake(format!("{section}.{key}"), &value, format!("{low} to {high}")));
        }
    }
    for (section, key, allowed, right) in [
        ("log", "format", "json or text", is_format as fn(&str) -> bool),
        ("log", "level", "trace, debug, info, warn, error, or a filter such as info,orders=debug", is_filled),
        ("telemetry", "mode", "sdk, ebpf or off", is_mode),
        ("runtime", "model", "auto, shared or thread-per-connection", is_model),
        ("tls", "mode", "off, tls or mtls", is_tls),
        ("prometheus", "mode", "auto, on or off", is_wanted),
        ("prometheus", "canary", "HOST:PORT", is_host_and_port),
        ("prometheus", "retention", "a time such as 6h or 15d", is_time),
        ("obi", "image", "the name of an image", is_filled),
        ("redis", "maxmemory", "a number with kb, mb or gb, such as 256mb", is_size),
        ("demo", "email", "an address with an @", is_email),
        ("demo", "admin_email", "an address with an @", is_email),
    ] {
        let value = merged.get(section).and_then(|table| table.get(key)).and_then(Value::as_str);
        if let Some(value) = value.filter(|value| !right(value)) {
            mistakes.push(mistake(format!("{section}.{key}"), &format!("{value:?}"), allowed));
        }
    }
}

fn ports(ports: &Table, mistakes: &mut Vec<Mistake>) {
    let mut seen: BTreeMap<i64, &str> = BTreeMap::new();
    for (key, value) in ports {
        let Some(port) = value.as_integer() else { continue };
        if !(1..=65_535).contains(&port) {
            mistakes.push(mistake(format!("ports.{key}"), &port, "a port, 1 to 65535"));
        } else if let Some(other) = seen.insert(port, key) {
            let allowed = format!("a port of its own: ports.{other} has this one");
            mistakes.push(mistake(format!("ports.{key}"), &port, allowed));
        }
    }
}

fn is_format(value: &str) -> bool {
    matches!(value, "json" | "text")
}

fn is_mode(value: &str) -> bool {
    Telemetry::MODES.contains(&value)
}

fn is_model(value: &str) -> bool {
    matches!(value, "auto" | "shared" | "thread-per-connection")
}

fn is_tls(value: &str) -> bool {
    matches!(value, "off" | "tls" | "mtls")
}

fn is_wanted(value: &str) -> bool {
    matches!(value, "auto" | "on" | "off")
}

fn is_host_and_port(value: &str) -> bool {
    value.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn is_time(value: &str) -> bool {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    matches!(&value[digits.len()..], "s" | "m" | "h" | "d" | "w" | "y") && digits.parse::<u32>().is_ok_and(|number| number > 0)
}

fn is_filled(value: &str) -> bool {
    !value.trim().is_empty()
}

fn is_email(value: &str) -> bool {
    value.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
}

fn is_size(value: &str) -> bool {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    matches!(value[digits.len()..].to_ascii_lowercase().as_str(), "kb" | "mb" | "gb") && digits.parse::<u32>().is_ok()
}
