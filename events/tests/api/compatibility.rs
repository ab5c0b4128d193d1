//! What may change in a schema without a new version: nothing that a reader of before or an event of before would stumble over.

use std::collections::BTreeSet;

use events::{contract::OrderPlaced, envelope::Envelope};
use serde_json::{Map, Value, json};

/// Of these only people take notice.
const ANNOTATIONS: [&str; 6] = ["$defs", "$schema", "description", "examples", "title", "deprecated"];

/// Changes from one schema to another that need a new version, by where they are.
pub(crate) fn incompatible(before: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Schemas { before, now }.compare("", before, now, &mut found);
    found
}

struct Schemas<'a> {
    before: &'a Value,
    now: &'a Value,
}

impl Schemas<'_> {
    fn compare(&self, at: &str, before: &Value, now: &Value, found: &mut Vec<String>) {
        let (Value::Object(before), Value::Object(now)) = (resolved(self.before, before), resolved(self.now, now)) else {
            found.extend((before != now).then(|| format!("{at}: {now} where {before} was")));
            return;
        };
        self.properties(at, &before, &now, found);
        let keywords: BTreeSet<&String> = before.keys().chain(now.keys()).filter(|key| !ANNOTATIONS.contains(&key.as_str())).collect();
        for keyword in keywords {
            let (was, is) = (before.get(keyword).unwrap_or(&Value::Null), now.get(keyword).unwrap_or(&Value::Null));
            match (keyword.as_str(), was, is) {
                ("properties" | "required", ..) => {}
                ("items", ..) => self.compare(&format!("{at}[]"), was, is, found),
                (_, Value::Array(was), Value::Array(is)) if keyword.ends_with("Of") && was.len() == is.len() => {
                    was.iter().zip(is).for_each(|(was, is)| self.compare(at, was, is, found));
                }
                _ => found.extend((was != is).then(|| format!("{at}: {keyword} is {is}, was {was}"))),
            }
        }
    }

    fn properties(&self, at: &str, before: &Map<String, Value>, now: &Map<String, Value>, found: &mut Vec<String>) {
        let (was_required, is_required) = (required(before), required(now));
        let (was, is) = (before.get("properties").unwrap_or(&Value::Null), now.get("properties").unwrap_or(&Value::Null));
        for (name, was) in was.as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            match is.get(name) {
                None => found.push(format!("{at}: removed")),
                Some(is) => self.compare(&at, was, is, found),
            }
            match (was_required.contains(name), is_required.contains(name)) {
                (true, false) => found.push(format!("{at}: may be absent now, and a reader of before asks for it")),
                (false, true) => found.push(format!("{at}: has to be there now, and in an event of before it need not be")),
                _ => {}
            }
        }
        let new = is.as_object().into_iter().flatten().map(|(name, _)| name).filter(|name| was.get(name.as_str()).is_none());
        found.extend(new.filter(|name| is_required.contains(*name)).map(|name| format!("{at}/{name}: new, and has to be there")));
    }
}

fn required(schema: &Map<String, Value>) -> BTreeSet<String> {
    let names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The schema with what it refers to in its place.
fn resolved(root: &Value, schema: &Value) -> Value {
    let Some(target) = schema["$ref"].as_str() else { return schema.clone() };
    let mut all = root.pointer(target.trim_start_matches('#')).unwrap_or_else(|| panic!("{target} is not there")).clone();
    let beside = schema.as_object().unwrap().iter().filter(|(key, _)| *key != "$ref");
    all.as_object_mut().unwrap().extend(beside.map(|(key, value)| (key.clone(), value.clone())));
    all
}

fn order_placed() -> Value {
    serde_json::to_value(schemars::schema_for!(Envelope<OrderPlaced>)).unwrap()
}

/// What the checker says of a change of the schema of `OrderPlaced`.
fn after(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let (before, mut now) = (order_placed(), order_placed());
    change(&mut now);
    assert_ne!(before, now, "nothing was changed");
    incompatible(&before, &now)
}

fn drop_required(schema: &mut Value, name: &str) {
    schema["required"].as_array_mut().unwrap().retain(|required| required != name);
}

#[test]
fn a_new_optional_field_and_other_words_need_no_new_version() {
    let text = || json!({ "type": ["string", "null"] });
    assert_eq!(after(|schema| schema["properties"]["tenant"] = text()), [] as [&str; 0]);
    assert_eq!(after(|schema| schema["$defs"]["OrderPlaced"]["properties"]["note"] = text()), [] as [&str; 0]);
    let discount = json!({ "type": "integer", "default": 0 });
    assert_eq!(after(|schema| schema["$defs"]["Item"]["properties"]["discount"] = discount), [] as [&str; 0]);
    assert_eq!(after(|schema| schema["$defs"]["Item"]["description"] = "A line.".into()), [] as [&str; 0]);
    let renamed_type = |schema: &mut Value| {
        schema["$defs"]["Line"] = schema["$defs"]["Item"].take();
        schema["$defs"]["OrderPlaced"]["properties"]["items"]["items"]["$ref"] = "#/$defs/Line".into();
    };
    assert_eq!(after(renamed_type), [] as [&str; 0], "the name of a Rust type is not on the wire");
}

#[test]
fn a_field_that_is_removed_renamed_retyped_or_newly_required_needs_one() {
    let data = |schema: &mut Value, change: fn(&mut Value)| change(&mut schema["$defs"]["OrderPlaced"]);
    let removed = after(|schema| {
        data(schema, |data| {
            data["properties"].as_object_mut().unwrap().remove("username");
            drop_required(data, "username");
        });
    });
    assert!(removed.contains(&"/data/username: removed".to_owned()), "{removed:?}");
    let renamed = after(|schema| {
        data(schema, |data| {
            let name = data["properties"].as_object_mut().unwrap().remove("username").unwrap();
            data["properties"]["name"] = name;
            drop_required(data, "username");
            data["required"].as_array_mut().unwrap().push("name".into());
        });
    });
    assert!(renamed.contains(&"/data/username: removed".to_owned()), "{renamed:?}");
    assert!(renamed.contains(&"/data/name: new, and has to be there".to_owned()), "{renamed:?}");
    let retyped = after(|schema| data(schema, |data| data["properties"]["total_amount"] = json!({ "type": "number" })));
    assert_eq!(retyped, ["/data/total_amount: type is \"number\", was \"string\""]);
    let demanded = after(|schema| {
        data(schema, |data| {
            data["properties"]["coupon"] = json!({ "type": "string" });
            data["required"].as_array_mut().unwrap().push("coupon".into());
        });
    });
    assert_eq!(demanded, ["/data/coupon: new, and has to be there"]);
}

#[test]
fn a_field_that_may_be_absent_null_or_of_another_form_needs_one_wherever_it_is() {
    let absent = after(|schema| drop_required(&mut schema["$defs"]["OrderPlaced"], "currency"));
    assert_eq!(absent, ["/data/currency: may be absent now, and a reader of before asks for it"]);
    let null = after(|schema| schema["$defs"]["OrderPlaced"]["properties"]["email"]["type"] = json!(["string", "null"]));
    assert_eq!(null, ["/data/email: type is [\"string\",\"null\"], was \"string\""]);
    let line = after(|schema| schema["$defs"]["Item"]["properties"]["product_id"]["format"] = Value::Null);
    assert_eq!(line, ["/data/items[]/product_id: format is null, was \"uuid\""]);
    let envelope = after(|schema| {
        schema["properties"].as_object_mut().unwrap().remove("aggregate_version");
    });
    assert_eq!(envelope, ["/aggregate_version: removed", "/aggregate_version: may be absent now, and a reader of before asks for it"][..1]);
}

#[test]
fn a_new_value_of_a_closed_set_needs_one() {
    let change = |values: &[&str]| json!({ "oneOf": values.iter().map(|value| json!({ "const": value })).collect::<Vec<_>>() });
    let more = incompatible(&change(&["placed", "cancelled"]), &change(&["placed", "cancelled", "returned"]));
    assert!(more.len() == 1 && more[0].starts_with(": oneOf is"), "{more:?}");
    let other = incompatible(&change(&["placed"]), &change(&["made"]));
    assert_eq!(other, [": const is \"made\", was \"placed\""]);
}
