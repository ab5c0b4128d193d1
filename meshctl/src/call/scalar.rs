//! A value from text, by the type that it has to be of.

use std::{fmt::Display, str::FromStr};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value};
use serde_json::Value as Json;

/// The value; or what is allowed.
pub(super) fn value(kind: &Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Bool => text.parse().map(Value::Bool).map_err(|_| "must be true or false".to_owned()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => whole(text, i32::MIN, i32::MAX).map(Value::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => whole(text, i64::MIN, i64::MAX).map(Value::I64),
        Kind::Uint32 | Kind::Fixed32 => whole(text, u32::MIN, u32::MAX).map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => whole(text, u64::MIN, u64::MAX).map(Value::U64),
        Kind::Float => text.parse().map(Value::F32).map_err(|_| "must be a number".to_owned()),
        Kind::Double => text.parse().map(Value::F64).map_err(|_| "must be a number".to_owned()),
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Bytes => bytes(text).ok_or_else(|| "must be base64".to_owned()),
        Kind::Enum(descriptor) => number(descriptor, text),
        Kind::Message(descriptor) => message(descriptor, text),
    }
}

/// A map as a JSON object.
pub(super) fn map(field: &FieldDescriptor, text: &str) -> Result<Value, String> {
    let read = || {
        let json: Json = serde_json::from_str(text)?;
        let whole = Json::Object([(field.name().to_owned(), json)].into_iter().collect());
        DynamicMessage::deserialize(field.parent_message().clone(), whole)
    };
    let message = read().map_err(|error| format!("must be a map as a JSON object: {error}"))?;
    Ok(message.get_field(field).into_owned())
}

/// What a type is called.
pub(super) fn name(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(of) => of.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

fn whole<T: FromStr + Display + Copy>(text: &str, least: T, most: T) -> Result<T, String> {
    text.parse().map_err(|_| format!("must be a whole number from {least} to {most}"))
}

fn bytes(text: &str) -> Option<Value> {
    let decoded = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
    decoded.ok().map(|bytes| Value::Bytes(bytes.into()))
}

fn number(descriptor: &EnumDescriptor, text: &str) -> Result<Value, String> {
    let by_name = descriptor.get_value_by_name(text).map(|value| value.number());
    let number = by_name.or_else(|| text.parse().ok()).ok_or_else(|| {
        let names: Vec<_> = descriptor.values().map(|value| value.name().to_owned()).collect();
        format!("must be one of {}", names.join(", "))
    })?;
    Ok(Value::EnumNumber(number))
}

/// A message as JSON. What stands for one as a text, such as a timestamp, needs no quotes.
fn message(descriptor: &MessageDescriptor, text: &str) -> Result<Value, String> {
    let read = |json: Json| DynamicMessage::deserialize(descriptor.clone(), json);
    let as_json = serde_json::from_str(text).and_then(read);
    let message = as_json.or_else(|error| read(Json::String(text.to_owned())).map_err(|_| error));
    message.map(Value::Message).map_err(|error| match descriptor.full_name() {
        "google.protobuf.Timestamp" => "must be a time such as 2026-01-31T12:00:00Z".to_owned(),
        "google.protobuf.Duration" => "must be a duration such as 1.5s".to_owned(),
        name => format!("must be a {name} as JSON: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::reflect::known_types;
    use prost_reflect::DescriptorPool;

    #[test]
    fn numbers_are_those_that_the_type_holds() {
        let of = |kind: Kind, text: &str| value(&kind, text);
        assert_eq!(of(Kind::Int32, "-2147483648"), Ok(Value::I32(i32::MIN)));
        assert_eq!(of(Kind::Uint64, "18446744073709551615"), Ok(Value::U64(u64::MAX)));
        assert_eq!(of(Kind::Double, "1.5e3"), Ok(Value::F64(1_500.0)));
        assert_eq!(of(Kind::Int64, "1.5"), Err("must be a whole number from -9223372036854775808 to 9223372036854775807".to_owned()));
        for (kind, text) in [(Kind::Int32, "2147483648"), (Kind::Uint32, "-1"), (Kind::Float, "x"), (Kind::Bool, "yes"), (Kind::Bytes, "?")]
        {
            assert!(of(kind.clone(), text).is_err(), "{kind:?} {text}");
        }
        assert_eq!(of(Kind::Bytes, "_-8="), of(Kind::Bytes, "/+8="));
    }

    #[test]
    fn what_stands_for_a_message_as_a_text_needs_no_quotes() {
        let pool = DescriptorPool::from_file_descriptor_set(known_types()).unwrap();
        let of = |name: &str, text: &str| value(&Kind::Message(pool.get_message_by_name(name).unwrap()), text);
        assert_eq!(of("google.protobuf.Timestamp", "2026-01-31T12:00:00Z"), of("google.protobuf.Timestamp", "\"2026-01-31T12:00:00Z\""));
        assert!(of("google.protobuf.Duration", "1.5s").is_ok() && of("google.protobuf.StringValue", "5").is_ok());
        assert_eq!(of("google.protobuf.Timestamp", "noon"), Err("must be a time such as 2026-01-31T12:00:00Z".to_owned()));
    }

    #[test]
    fn a_map_is_a_json_object() {
        let pool = DescriptorPool::from_file_descriptor_set(known_types()).unwrap();
        let metadata = pool.get_message_by_name("google.rpc.ErrorInfo").unwrap().get_field_by_name("metadata").unwrap();
        assert!(matches!(map(&metadata, r#"{"a": "b"}"#), Ok(Value::Map(entries)) if entries.len() == 1));
        assert!(map(&metadata, "[1]").is_err() && map(&metadata, r#"{"a": 1}"#).is_err());
    }
}
