//! Prints answers: pretty for people, one document a line for machines.

use std::io::Write;

use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::{Value, json};

use super::failure::Failure;

/// Where answers go, and how they are written.
pub(super) struct Printer<'a> {
    pub(super) out: &'a mut (dyn Write + Send),
    pub(super) json: bool,
    pub(super) emit_defaults: bool,
}

impl Printer<'_> {
    /// Names one a line, or as a JSON array.
    pub(super) fn names(&mut self, names: &[String]) -> Result<(), Failure> {
        let text = if self.json { json!(names).to_string() } else { names.join("\n") };
        self.line(&text)
    }

    /// A definition, or a JSON object that holds it.
    pub(super) fn definition(&mut self, symbol: &str, kind: &str, text: &str) -> Result<(), Failure> {
        if self.json { self.line(&json!({ "symbol": symbol, "kind": kind, "definition": text }).to_string()) } else { self.line(text) }
    }

    /// A message as proto3 JSON.
    pub(super) fn message(&mut self, message: &DynamicMessage) -> Result<(), Failure> {
        let options = SerializeOptions::new().skip_default_fields(!self.emit_defaults);
        let wrong = |error: serde_json::Error| Failure::Unreachable(format!("the answer has no JSON form: {error}"));
        let value: Value = message.serialize_with_options(serde_json::value::Serializer, &options).map_err(wrong)?;
        let text = if self.json { value.to_string() } else { serde_json::to_string_pretty(&value).map_err(wrong)? };
        self.line(&text)
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "{text}")
            .and_then(|()| self.out.flush())
            .map_err(|error| Failure::Unreachable(format!("cannot write the answer: {error}")))
    }
}
