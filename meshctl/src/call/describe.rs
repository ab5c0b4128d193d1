//! Definitions in the language of .proto files.

use std::fmt::Write as _;

use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
};

/// The definition of a service, method (`package.Service.Method` or `package.Service/Method`), message or enum, and
/// what kind of symbol it is. A method comes with its two messages.
pub(super) fn describe(pool: &DescriptorPool, symbol: &str) -> Option<(&'static str, String)> {
    if let Some(service) = pool.get_service_by_name(symbol) {
        return Some(("service", of_service(&service)));
    }
    if let Some(method) = find_method(pool, symbol) {
        let (input, output) = (method.input(), method.output());
        let mut text = format!("{}\n\n{}", of_method(&method), of_message(&input));
        if output != input {
            let _ = write!(text, "\n\n{}", of_message(&output));
        }
        return Some(("method", text));
    }
    if let Some(message) = pool.get_message_by_name(symbol) {
        return Some(("message", of_message(&message)));
    }
    pool.get_enum_by_name(symbol).map(|found| ("enum", of_enum(&found)))
}

/// Finds `package.Service/Method` or `package.Service.Method`.
pub(super) fn find_method(pool: &DescriptorPool, symbol: &str) -> Option<MethodDescriptor> {
    let (service, method) = symbol.rsplit_once(['/', '.'])?;
    pool.get_service_by_name(service)?.methods().find(|found| found.name() == method)
}

fn of_service(service: &ServiceDescriptor) -> String {
    let methods: String = service.methods().map(|method| format!("  {}\n", of_method(&method))).collect();
    format!("service {} {{\n{methods}}}", service.full_name())
}

fn of_method(method: &MethodDescriptor) -> String {
    let stream = |streaming| if streaming { "stream " } else { "" };
    format!(
        "rpc {}({}{}) returns ({}{});",
        method.name(),
        stream(method.is_client_streaming()),
        method.input().full_name(),
        stream(method.is_server_streaming()),
        method.output().full_name()
    )
}

fn of_message(message: &MessageDescriptor) -> String {
    let mut text = format!("message {} {{\n", message.full_name());
    for field in message.fields().filter(|field| real_oneof(field).is_none()) {
        let _ = writeln!(text, "  {}", of_field(&field));
    }
    for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let fields: String = oneof.fields().map(|field| format!("    {}\n", of_field(&field))).collect();
        let _ = writeln!(text, "  oneof {} {{\n{fields}  }}", oneof.name());
    }
    text + "}"
}

fn real_oneof(field: &FieldDescriptor) -> Option<String> {
    field.containing_oneof().filter(|oneof| !oneof.is_synthetic()).map(|oneof| oneof.name().to_owned())
}

fn of_field(field: &FieldDescriptor) -> String {
    let label = if field.is_map() {
        String::new()
    } else if field.is_list() {
        "repeated ".to_owned()
    } else if field.cardinality() == Cardinality::Required {
        "required ".to_owned()
    } else if field.containing_oneof().is_some_and(|oneof| oneof.is_synthetic()) {
        "optional ".to_owned()
    } else {
        String::new()
    };
    format!("{label}{} {} = {};", type_name(field), field.name(), field.number())
}

fn type_name(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            format!("map<{}, {}>", type_name(&key), type_name(&value))
        }
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(of) => of.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

fn of_enum(found: &EnumDescriptor) -> String {
    let values: String = found.values().map(|value| format!("  {} = {};\n", value.name(), value.number())).collect();
    format!("enum {} {{\n{values}}}", found.full_name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::reflect::known_types;

    #[test]
    fn messages_and_enums_read_like_their_proto() {
        let pool = DescriptorPool::from_file_descriptor_set(known_types()).unwrap();
        let text = |symbol| describe(&pool, symbol).unwrap().1;
        assert_eq!(
            text("google.rpc.ErrorInfo"),
            "message google.rpc.ErrorInfo {\n  string reason = 1;\n  string domain = 2;\n  \
             map<string, string> metadata = 3;\n}"
        );
        assert!(text("google.protobuf.Value").contains("  oneof kind {\n    google.protobuf.NullValue null_value = 1;"));
        assert_eq!(text("google.protobuf.NullValue"), "enum google.protobuf.NullValue {\n  NULL_VALUE = 0;\n}");
        assert!(describe(&pool, "google.protobuf.Nothing").is_none());
    }
}
