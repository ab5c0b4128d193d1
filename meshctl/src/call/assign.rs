//! A message from FIELD=VALUE.

use std::collections::BTreeSet;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value};

use super::{failure::Failure, scalar};

/// Whether it begins with the path of a field and `=`, as no JSON does.
pub(super) fn is_assignment(text: &str) -> bool {
    let is_name = |part: &str| !part.is_empty() && part.bytes().all(|sign| sign.is_ascii_alphanumeric() || sign == b'_');
    text.split_once('=').is_some_and(|(path, _)| path.split('.').all(is_name))
}

/// The message that has these values. A repeated field is given once for each of its values, a field of a field by its path
/// (`price.amount=1.00`), a message or a map as JSON; the descriptor says what is allowed.
///
/// Every mistake is told, by its field.
pub(super) fn message(descriptor: &MessageDescriptor, assignments: &[String]) -> Result<DynamicMessage, Failure> {
    let (mut message, mut given, mut mistakes) = (DynamicMessage::new(descriptor.clone()), BTreeSet::new(), Vec::new());
    for assignment in assignments {
        let Some((path, text)) = assignment.split_once('=').filter(|_| is_assignment(assignment)) else {
            mistakes.push(format!("{assignment:?} is not FIELD=VALUE"));
            continue;
        };
        let assigned = assign(&mut message, path, text, !given.insert(path));
        mistakes.extend(assigned.err().map(|mistake| format!("{path}: {mistake}")));
    }
    if mistakes.is_empty() { Ok(message) } else { Err(Failure::Usage(mistakes.join("\n"))) }
}

/// `again`: this path had a value before.
fn assign(message: &mut DynamicMessage, path: &str, text: &str, again: bool) -> Result<(), String> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let field = field(&message.descriptor(), name)?;
    if let Some(other) = excluded(message, &field) {
        return Err(format!("{other} is given too, and a message has one of the two"));
    }
    if let Some(rest) = rest {
        return assign(within(message, &field)?, rest, text, again);
    }
    if field.is_list() {
        let value = scalar::value(&field.kind(), text)?;
        if let Value::List(values) = message.get_field_mut(&field) {
            values.push(value);
        }
        return Ok(());
    }
    if again {
        return Err("is given twice and takes one value".to_owned());
    }
    let value = if field.is_map() { scalar::map(&field, text)? } else { scalar::value(&field.kind(), text)? };
    message.set_field(&field, value);
    Ok(())
}

fn field(descriptor: &MessageDescriptor, name: &str) -> Result<FieldDescriptor, String> {
    let found = descriptor.get_field_by_name(name).or_else(|| descriptor.get_field_by_json_name(name));
    found.ok_or_else(|| {
        let names: Vec<_> = descriptor.fields().map(|field| field.name().to_owned()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        format!("{} has no field {name}; its fields are {names}", descriptor.full_name())
    })
}

/// The message in a field.
fn within<'a>(message: &'a mut DynamicMessage, field: &FieldDescriptor) -> Result<&'a mut DynamicMessage, String> {
    if field.is_map() || field.is_list() {
        let name = field.name();
        return Err(format!("{name} has several values: give each as JSON, such as {name}='{{...}}'"));
    }
    match (field.kind(), message.get_field_mut(field)) {
        (Kind::Message(_), Value::Message(inner)) => Ok(inner),
        (kind, _) => Err(format!("{} is a {} and has no fields", field.name(), scalar::name(&kind))),
    }
}

/// Another field of the same `oneof` that is set.
fn excluded(message: &DynamicMessage, field: &FieldDescriptor) -> Option<String> {
    let oneof = field.containing_oneof()?;
    let other = oneof.fields().find(|other| other != field && message.has_field(other))?;
    Some(other.name().to_owned())
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;
    use serde_json::{Value as Json, json};

    use super::*;

    fn read(name: &str, assignments: &[&str]) -> Result<Json, String> {
        let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
        let descriptor = pool.get_message_by_name(&format!("throughline.{name}")).unwrap();
        let assignments: Vec<_> = assignments.iter().map(|text| (*text).to_owned()).collect();
        message(&descriptor, &assignments).map(|message| serde_json::to_value(&message).unwrap()).map_err(|failure| failure.text())
    }

    #[test]
    fn fields_are_set_by_path_and_type() {
        let product = ["product.price.amount=1.00", "product.price.currency=EUR", "productId=5", "version=3", "product.name=a=b"];
        let expected =
            json!({ "productId": "5", "version": "3", "product": { "name": "a=b", "price": { "amount": "1.00", "currency": "EUR" } } });
        assert_eq!(read("catalog.v1.UpdateProductRequest", &product).unwrap(), expected);
        let listed = read("catalog.v1.ListProductsRequest", &["page_size=5", "sort=PRODUCT_SORT_NAME", "category="]).unwrap();
        assert_eq!(listed, json!({ "pageSize": 5, "sort": "PRODUCT_SORT_NAME" }));
    }

    #[test]
    fn repeated_fields_are_given_once_for_each_value() {
        let ids = read("catalog.v1.BatchGetProductsRequest", &["product_ids=a", "product_ids=b"]).unwrap();
        assert_eq!(ids, json!({ "productIds": ["a", "b"] }));
        let item = |id: &str| format!("items={{\"product_id\": \"{id}\", \"quantity\": 2}}");
        let order = read("orders.v1.PlaceOrderRequest", &[&item("a"), &item("b")]).unwrap();
        assert_eq!(order["items"], json!([{ "productId": "a", "quantity": 2 }, { "productId": "b", "quantity": 2 }]));
    }

    #[test]
    fn one_of_the_fields_of_a_oneof_is_set() {
        assert_eq!(read("auth.v1.ChatRequest", &["join=lobby"]).unwrap(), json!({ "join": "lobby" }));
        let line = read("auth.v1.ChatRequest", &["line.room=lobby", "line.text=hello"]).unwrap();
        assert_eq!(line, json!({ "line": { "room": "lobby", "text": "hello" } }));
        let both = read("auth.v1.ChatRequest", &["join=lobby", "leave=lobby"]).unwrap_err();
        assert_eq!(both, "leave: join is given too, and a message has one of the two");
        assert_eq!(read("auth.v1.UpdateUserRequest", &["username=", "email=x"]).unwrap(), json!({ "username": "", "email": "x" }));
    }

    #[test]
    fn all_mistakes_are_told_by_their_field_and_what_is_allowed() {
        let given =
            ["page_size=many", "page_size=-1", "sort=UP", "colour=red", "category.name=x", "min_price=1", "min_price=2", "nonsense"];
        let told = read("catalog.v1.ListProductsRequest", &given).unwrap_err();
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines[0], "page_size: must be a whole number from 0 to 4294967295");
        assert_eq!(lines[1], "page_size: is given twice and takes one value");
        assert!(lines[2].starts_with("sort: must be one of PRODUCT_SORT_UNSPECIFIED, PRODUCT_SORT_NAME, "), "{told}");
        assert!(lines[3].starts_with("colour: throughline.catalog.v1.ListProductsRequest has no field colour; its fields are page_size, "));
        assert_eq!(lines[4], "category.name: category is a string and has no fields");
        assert_eq!(lines[5], "min_price: is given twice and takes one value");
        assert_eq!(lines[6], "\"nonsense\" is not FIELD=VALUE");
        let nested = read("orders.v1.PlaceOrderRequest", &["items.quantity=1", "items={\"quantity\": 1, \"colour\": 2}"]).unwrap_err();
        assert!(nested.starts_with("items.quantity: items has several values: give each as JSON"), "{nested}");
        assert!(nested.contains("\nitems: must be a throughline.orders.v1.Item as JSON: "), "{nested}");
    }

    #[test]
    fn json_is_no_assignment() {
        for text in ["a=b", "a.b_c=", "a={\"b\": 1}"] {
            assert!(is_assignment(text), "{text}");
        }
        for text in ["{\"a\": \"b=c\"}", "\"a=b\"", "-", "", "a", "=b", "a..b=c", ".a=b", "a b=c"] {
            assert!(!is_assignment(text), "{text}");
        }
    }
}
