//! What every span of a mesh has to have by OpenTelemetry's semantic conventions, whoever made it and whatever became of it.

use std::collections::BTreeMap;

use meshctl::trace::{Kind, Protocol, Span, Trace};
use opentelemetry_semantic_conventions::attribute as semconv;
use serde_json::Value;

use crate::running::Mesh;

/// The type that the conventions give an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Number,
}
use Type::{Number, Text};

/// What spans of one kind and protocol look like.
struct Convention {
    required: &'static [(&'static str, Type)],
    optional: &'static [(&'static str, Type)],
    /// The name that such a span has to have.
    name: fn(&BTreeMap<String, String>) -> String,
}

const HTTP_SERVER: Convention = Convention {
    required: &[
        (semconv::HTTP_REQUEST_METHOD, Text),
        (semconv::HTTP_RESPONSE_STATUS_CODE, Number),
        (semconv::URL_PATH, Text),
        (semconv::URL_SCHEME, Text),
        (semconv::NETWORK_PROTOCOL_VERSION, Text),
        (semconv::SERVER_ADDRESS, Text),
        (semconv::SERVER_PORT, Number),
        (semconv::CLIENT_ADDRESS, Text),
    ],
    optional: &[
        (semconv::HTTP_ROUTE, Text),
        (semconv::HTTP_REQUEST_METHOD_ORIGINAL, Text),
        (semconv::URL_QUERY, Text),
        (semconv::USER_AGENT_ORIGINAL, Text),
    ],
    name: |of| {
        let method = if of[semconv::HTTP_REQUEST_METHOD] == "_OTHER" { "HTTP" } else { &of[semconv::HTTP_REQUEST_METHOD] };
        of.get(semconv::HTTP_ROUTE).map_or_else(|| method.to_owned(), |route| format!("{method} {route}"))
    },
};

const GRPC_SERVER: Convention = Convention {
    required: &[(semconv::RPC_SYSTEM_NAME, Text), (semconv::RPC_METHOD, Text), (semconv::RPC_RESPONSE_STATUS_CODE, Text)],
    optional: &[(semconv::RPC_METHOD_ORIGINAL, Text)],
    name: |of| of[semconv::RPC_METHOD].clone(),
};

const GRPC_CLIENT: Convention = Convention {
    required: &[
        (semconv::RPC_SYSTEM_NAME, Text),
        (semconv::RPC_METHOD, Text),
        (semconv::RPC_RESPONSE_STATUS_CODE, Text),
        (semconv::SERVER_ADDRESS, Text),
        (semconv::SERVER_PORT, Number),
    ],
    optional: &[],
    name: |of| of[semconv::RPC_METHOD].clone(),
};

const SQL: Convention = Convention {
    required: &[
        (semconv::DB_SYSTEM_NAME, Text),
        (semconv::DB_NAMESPACE, Text),
        (semconv::DB_OPERATION_NAME, Text),
        (semconv::DB_QUERY_SUMMARY, Text),
        (semconv::DB_QUERY_TEXT, Text),
        (semconv::SERVER_ADDRESS, Text),
        (semconv::SERVER_PORT, Number),
    ],
    optional: &[(semconv::DB_COLLECTION_NAME, Text)],
    name: |of| of[semconv::DB_QUERY_SUMMARY].clone(),
};

const REDIS: Convention = Convention {
    required: &[
        (semconv::DB_SYSTEM_NAME, Text),
        (semconv::DB_NAMESPACE, Text),
        (semconv::DB_OPERATION_NAME, Text),
        (semconv::SERVER_ADDRESS, Text),
        (semconv::SERVER_PORT, Number),
    ],
    // both of pipelines only
    optional: &[(semconv::DB_OPERATION_BATCH_SIZE, Number), (semconv::DB_QUERY_TEXT, Text)],
    name: |of| of[semconv::DB_OPERATION_NAME].clone(),
};

const KAFKA_SEND: Convention = Convention {
    required: &[
        (semconv::MESSAGING_SYSTEM, Text),
        (semconv::MESSAGING_DESTINATION_NAME, Text),
        (semconv::MESSAGING_OPERATION_NAME, Text),
        (semconv::MESSAGING_OPERATION_TYPE, Text),
        (semconv::MESSAGING_KAFKA_MESSAGE_KEY, Text),
        (semconv::MESSAGING_DESTINATION_PARTITION_ID, Text),
        (semconv::MESSAGING_KAFKA_OFFSET, Number),
    ],
    optional: &[],
    name: messaging,
};

const KAFKA_PROCESS: Convention = Convention {
    required: &[
        (semconv::MESSAGING_SYSTEM, Text),
        (semconv::MESSAGING_DESTINATION_NAME, Text),
        (semconv::MESSAGING_OPERATION_NAME, Text),
        (semconv::MESSAGING_OPERATION_TYPE, Text),
        (semconv::MESSAGING_DESTINATION_PARTITION_ID, Text),
        (semconv::MESSAGING_KAFKA_OFFSET, Number),
        (semconv::MESSAGING_CONSUMER_GROUP_NAME, Text),
        ("throughline.consumer.attempts", Number),
        ("throughline.consumer.outcome", Text),
    ],
    optional: &[(semconv::MESSAGING_KAFKA_MESSAGE_KEY, Text), ("throughline.replays", Number)],
    name: messaging,
};

/// On a span of any kind.
const ANYWHERE: &[(&str, Type)] = &[(semconv::ERROR_TYPE, Text), (semconv::OTEL_SCOPE_NAME, Text)];

/// On every resource.
const RESOURCE: [&str; 5] = [
    semconv::SERVICE_NAMESPACE,
    semconv::SERVICE_VERSION,
    semconv::SERVICE_INSTANCE_ID,
    semconv::TELEMETRY_SDK_LANGUAGE,
    semconv::PROCESS_PID,
];

fn messaging(of: &BTreeMap<String, String>) -> String {
    format!("{} {}", of[semconv::MESSAGING_OPERATION_NAME], of[semconv::MESSAGING_DESTINATION_NAME])
}

fn convention(span: &Span) -> Option<&'static Convention> {
    Some(match (span.kind, span.protocol()?) {
        (Kind::Server, Protocol::Http) => &HTTP_SERVER,
        (Kind::Server, Protocol::Grpc) => &GRPC_SERVER,
        (Kind::Client, Protocol::Grpc) => &GRPC_CLIENT,
        (Kind::Client, Protocol::Sql) => &SQL,
        (Kind::Client, Protocol::Redis) => &REDIS,
        (Kind::Producer, Protocol::Kafka) => &KAFKA_SEND,
        (Kind::Consumer, Protocol::Kafka) => &KAFKA_PROCESS,
        _ => return None,
    })
}

fn is_a(value: &Value, expected: Type) -> bool {
    match expected {
        Text => value.as_str().is_some_and(|text| !text.is_empty()),
        Number => value.is_i64(),
    }
}

/// What is wrong with a span by the conventions.
pub(crate) fn breaches(span: &Span) -> Vec<String> {
    let Some(convention) = convention(span) else {
        return vec![format!("no convention is about a {:?} of {:?}", span.kind, span.protocol())];
    };
    let lacking = convention.required.iter().filter(|(key, _)| !span.attributes.contains_key(*key));
    let mut wrong: Vec<String> = lacking.map(|(key, _)| format!("lacks {key}")).collect();
    for (key, value) in &span.attributes {
        let known = convention.required.iter().chain(convention.optional).chain(ANYWHERE).find(|(known, _)| known == key);
        match known {
            None => wrong.push(format!("has {key}, which no convention names for it")),
            Some((_, expected)) if !is_a(value, *expected) => wrong.push(format!("{key} is {value} and not a {expected:?}")),
            Some(_) => {}
        }
    }
    wrong.extend(RESOURCE.iter().filter(|key| !span.resource.contains_key(**key)).map(|key| format!("its resource lacks {key}")));
    if span.failed() != span.attributes.contains_key(semconv::ERROR_TYPE) {
        wrong.push(format!("{} and error.type do not agree", if span.failed() { "its status" } else { "no failure" }));
    }
    if wrong.is_empty() {
        let texts = span.attributes.keys().map(|key| (key.clone(), span.text(key).unwrap())).collect();
        let name = (convention.name)(&texts);
        if name != span.name {
            wrong.push(format!("is called {:?} and not {name:?}", span.name));
        }
    }
    wrong
}

/// A span, and what is wrong with it once it has been changed.
fn changed(span: &Span, change: impl FnOnce(&mut Span)) -> Vec<String> {
    let mut span = span.clone();
    change(&mut span);
    breaches(&span)
}

/// The check sees what it is for, in a span that it has nothing against.
pub(crate) fn sees_defects(sql: &Span) {
    assert_eq!(breaches(sql), Vec::<String>::new());
    for (defect, found) in [
        ("lacks db.query.text", changed(sql, |span| drop(span.attributes.remove(semconv::DB_QUERY_TEXT)))),
        ("and not a Number", changed(sql, |span| drop(span.attributes.insert(semconv::SERVER_PORT.into(), "5432".into())))),
        ("db.statement, which no convention", changed(sql, |span| drop(span.attributes.insert("db.statement".into(), "SELECT".into())))),
        ("do not agree", changed(sql, |span| drop(span.attributes.insert(semconv::ERROR_TYPE.into(), "Unknown".into())))),
        ("is called \"query\"", changed(sql, |span| span.name = "query".into())),
        ("its resource lacks service.version", changed(sql, |span| drop(span.resource.remove(semconv::SERVICE_VERSION)))),
        ("no convention is about", changed(sql, |span| span.kind = Kind::Internal)),
    ] {
        assert!(matches!(found.as_slice(), [only] if only.contains(defect)), "{defect}: {found:?}");
    }
}

/// All spans in the backend, of every service that has any.
pub(crate) async fn all_spans(mesh: &Mesh) -> Vec<Span> {
    let ask = async |path: String| -> Value {
        let answer = mesh.client.get(format!("{}{path}", mesh.endpoint("traces"))).send().await.unwrap();
        crate::running::json_of(answer, reqwest::StatusCode::OK).await["data"].clone()
    };
    let mut traces = BTreeMap::new();
    for service in ask("/api/services".to_owned()).await.as_array().unwrap() {
        let found = ask(format!("/api/traces?service={}&limit=5000&lookback=1h", service.as_str().unwrap())).await;
        for trace in found.as_array().unwrap() {
            let trace = Trace::from_jaeger(trace.clone()).unwrap();
            traces.insert(trace.id().to_owned(), trace);
        }
    }
    traces.values().flat_map(|trace| trace.spans().to_vec()).collect()
}
