//! Reads the messages of a call from JSON.

use std::io::{Read as _, stdin};

use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use serde_json::{Deserializer, Value};

use super::failure::Failure;

/// The text of the JSON argument; `-` stands for standard input, read to its end.
pub(super) fn text(argument: Option<&str>) -> Result<Option<String>, Failure> {
    match argument {
        Some("-") => {
            let mut text = String::new();
            stdin().read_to_string(&mut text).map_err(|error| Failure::Usage(format!("standard input is not text: {error}")))?;
            Ok(Some(text))
        }
        other => Ok(other.map(str::to_owned)),
    }
}

/// The messages to send. A method that takes one message takes one JSON object (none means an empty message); one that
/// takes a stream takes an array, or several objects one after the other.
///
/// Errors name the field by its path, and what the method takes.
pub(super) fn messages(method: &MethodDescriptor, text: Option<&str>) -> Result<Vec<DynamicMessage>, Failure> {
    let streaming = method.is_client_streaming();
    let values = match text {
        None if streaming => {
            return Err(Failure::Usage(format!(
                "{} takes a stream: give a JSON array of messages, or - to read them from standard input",
                method.full_name()
            )));
        }
        None => vec![Value::Object(serde_json::Map::new())],
        Some(text) => values(text)?,
    };
    let values = match <[Value; 1]>::try_from(values) {
        Ok([Value::Array(elements)]) if streaming => elements,
        Ok([one]) => vec![one],
        Err(values) if streaming => values,
        Err(values) => {
            let count = values.len();
            return Err(Failure::Usage(format!("{} takes one JSON object, {count} were given", method.full_name())));
        }
    };
    let input = method.input();
    values.into_iter().map(|value| message(&input, value)).collect()
}

fn values(text: &str) -> Result<Vec<Value>, Failure> {
    let values = Deserializer::from_str(text).into_iter::<Value>();
    values.collect::<Result<_, _>>().map_err(|error| Failure::Usage(format!("the message is not JSON: {error}")))
}

fn message(descriptor: &MessageDescriptor, value: Value) -> Result<DynamicMessage, Failure> {
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
    DynamicMessage::deserialize(descriptor.clone(), deserializer).map_err(|error| {
        let path = match track.path().to_string() {
            path if path == "." => String::new(),
            path => format!(" at {path}"),
        };
        Failure::Usage(format!("the message is not a {}{path}: {error}", descriptor.full_name()))
    })
}
