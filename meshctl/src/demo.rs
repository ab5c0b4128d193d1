//! The first order: placed through the gateway as a client would, its trace awaited until it is complete.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::caller::{Caller, TRACEPARENT};
use crate::mesh::Mesh;
use crate::secrets::Secrets;
use crate::trace::{Kind, Protocol, SpanFilter, Trace, TraceSource};

/// How often the trace is looked at, and how long its number of spans must hold still: more than one export interval.
const POLL: Duration = Duration::from_millis(250);
const STILL: Duration = Duration::from_millis(750);

/// Services whose Kafka processing ends the chain.
const ENDS: [&str; 2] = ["notification", "analytics"];

/// Registers the demo user if needed, logs in, places an order of three products, and returns its trace once that is
/// complete; none where nobody makes spans.
pub(crate) async fn order(mesh: &Mesh, secrets: &Secrets) -> Result<Option<Trace>> {
    let step = mesh.progress.step("first order", "logging in");
    let placed = async {
        let token = log_in(mesh, secrets).await?;
        step.doing("placing the order");
        let caller = place(mesh, &token).await?;
        if mesh.settings.telemetry.is_off() {
            return Ok(None);
        }
        step.doing("waiting for its trace");
        complete(mesh, &caller).await.map(Some)
    };
    match placed.await {
        Ok(trace) => {
            step.done(if trace.is_some() { "placed, and its trace is complete" } else { "placed; telemetry is off, so it has no trace" });
            Ok(trace)
        }
        Err(err) => {
            step.failed();
            Err(err)
        }
    }
}

fn api(mesh: &Mesh, path: &str) -> String {
    format!("{}/api/v1/{path}", mesh.gateway_url())
}

/// Sends a request of `caller`, and turns an unexpected answer into an error that shows it.
async fn send(what: &str, caller: &Caller, request: RequestBuilder, accepted: &[u16]) -> Result<Response> {
    let request = request.header(TRACEPARENT, caller.traceparent());
    let response = request.timeout(Duration::from_secs(10)).send().await.with_context(|| format!("{what}: the gateway did not answer"))?;
    let status = response.status().as_u16();
    if accepted.contains(&status) {
        return Ok(response);
    }
    bail!("{what}: the gateway answered {status}: {}", response.text().await.unwrap_or_default())
}

/// Makes the demo user, unless there is one.
pub(crate) async fn register(mesh: &Mesh, secrets: &Secrets) -> Result<()> {
    let user = json!({ "username": "demo", "email": mesh.settings.demo.email, "password": secrets.demo });
    let request = mesh.http.post(api(mesh, "auth/register")).json(&user);
    send("registering the demo user", &Caller::new(), request, &[201, 409]).await.map(drop)
}

async fn log_in(mesh: &Mesh, secrets: &Secrets) -> Result<String> {
    register(mesh, secrets).await?;
    let email = &mesh.settings.demo.email;
    let login = json!({ "email": email, "password": secrets.demo });
    let request = mesh.http.post(api(mesh, "auth/login")).json(&login);
    let answer: Value = send("logging in as the demo user", &Caller::new(), request, &[200]).await?.json().await?;
    let token = answer["access_token"].as_str().context("the answer to the login has no access_token")?;
    Ok(token.to_owned())
}

/// Places the order under a trace of our own: in mode `ebpf` the services never learn an id that OBI chose.
async fn place(mesh: &Mesh, token: &str) -> Result<Caller> {
    let request = mesh.http.get(api(mesh, "products?limit=3"));
    let products: Value = send("listing products", &Caller::new(), request, &[200]).await?.json().await?;
    let items: Vec<Value> = products["items"]
        .as_array()
        .context("the list of products has no items")?
        .iter()
        .map(|product| json!({ "product_id": product["product_id"], "quantity": 1 }))
        .collect();
    let request = mesh.http.post(api(mesh, "orders")).bearer_auth(token).json(&json!({ "items": items }));
    let caller = Caller::new();
    send("placing the order", &caller, request, &[200, 201]).await?;
    Ok(caller)
}

/// Waits until the entry and both ends of the chain are in the trace, every span has its parent, and it has stopped growing.
async fn complete(mesh: &Mesh, caller: &Caller) -> Result<Trace> {
    let seconds = mesh.settings.deadlines.trace;
    let end = Instant::now() + Duration::from_secs(seconds);
    let source = TraceSource::new(&mesh.traces_url())?;
    let id = caller.trace;
    let (mut size, mut grown) = (0, Instant::now());
    loop {
        let trace = source.trace(id).await?.unwrap_or_else(|| Trace::new(id.to_string(), Vec::new()));
        if trace.spans().len() != size {
            (size, grown) = (trace.spans().len(), Instant::now());
        }
        let lacking = lacking(&trace, caller);
        if lacking.is_empty() && grown.elapsed() >= STILL {
            return Ok(trace);
        }
        if Instant::now() >= end {
            let lacking = if lacking.is_empty() { "still growing".to_owned() } else { lacking.join(", ") };
            bail!(
                "the trace {id} was not complete after {seconds} s (MESH_DEADLINES__TRACE): {size} spans, {lacking}; \
                 look at ./mesh trace {id} and ./mesh status"
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What a complete trace of an order would have and this one has not. The caller's own span is in no trace.
fn lacking(trace: &Trace, caller: &Caller) -> Vec<String> {
    let processed = |service: &&str| {
        let filter = SpanFilter::service(service).attribute("messaging.operation.type", "process");
        trace.find(&filter).is_empty()
    };
    let entry = SpanFilter::service("gateway").kind(Kind::Server).protocol(Protocol::Http);
    let mut lacking = Vec::new();
    if trace.find(&entry).iter().all(|span| span.parent.as_ref() != Some(&caller.span)) {
        lacking.push("no span of the gateway for the request".to_owned());
    }
    lacking.extend(ENDS.iter().copied().filter(processed).map(|service| format!("no Kafka processing by {service}")));
    let orphans = trace.orphans().filter(|span| span.parent.as_ref() != Some(&caller.span)).count();
    if orphans > 0 {
        lacking.push(format!("{orphans} spans without their parent"));
    }
    lacking
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "00f067aa0ba902aa";

    fn caller() -> Caller {
        Caller { trace: "0af7651916cd43dd8448eb211c80319c".parse().unwrap(), span: CALLER.to_owned() }
    }

    fn trace(spans: &[(&str, &str, &str, Value)]) -> Trace {
        let span = |(id, parent, process, tags): &(&str, &str, &str, Value)| {
            json!({
                "traceID": "0af7651916cd43dd8448eb211c80319c", "spanID": id, "operationName": "op", "processID": process,
                "references": [{ "refType": "CHILD_OF", "traceID": "0af7651916cd43dd8448eb211c80319c", "spanID": parent }],
                "startTime": 1, "duration": 1, "tags": tags, "logs": [], "warnings": null,
            })
        };
        let process = |name: &str| json!({ "serviceName": name, "tags": [] });
        let processes = ["gateway", "analytics", "notification"].map(|name| (name.to_owned(), process(name)));
        let spans: Vec<Value> = spans.iter().map(span).collect();
        Trace::from_jaeger(json!({
            "traceID": "0af7651916cd43dd8448eb211c80319c",
            "processes": serde_json::Map::from_iter(processes),
            "spans": spans,
        }))
        .unwrap()
    }

    fn tags(pairs: &[(&str, &str)]) -> Value {
        pairs.iter().map(|(key, value)| json!({ "key": key, "type": "string", "value": value })).collect()
    }

    fn entry() -> Value {
        tags(&[("span.kind", "server"), ("http.request.method", "POST")])
    }

    fn kafka(kind: &str) -> Value {
        tags(&[("messaging.operation.type", kind), ("messaging.system", "kafka")])
    }

    #[test]
    fn a_trace_lacks_the_end_that_only_sends() {
        let trace = trace(&[
            ("00f067aa0ba902b1", CALLER, "gateway", entry()),
            ("00f067aa0ba902b7", "00f067aa0ba902b1", "analytics", kafka("process")),
            ("00f067aa0ba902b8", "00f067aa0ba902b7", "notification", kafka("send")),
        ]);
        assert_eq!(lacking(&trace, &caller()), ["no Kafka processing by notification"]);
    }

    #[test]
    fn spans_under_the_caller_are_no_orphans_and_others_are() {
        let complete = [
            ("00f067aa0ba902b1", CALLER, "gateway", entry()),
            ("00f067aa0ba902b7", CALLER, "analytics", kafka("process")),
            ("00f067aa0ba902b8", CALLER, "notification", kafka("process")),
        ];
        assert_eq!(lacking(&trace(&complete), &caller()), Vec::<String>::new());
        assert_eq!(lacking(&trace(&complete[1..]), &caller()), ["no span of the gateway for the request"]);
        let mut orphan = complete;
        orphan[2].1 = "00f067aa0ba902ff";
        assert_eq!(lacking(&trace(&orphan), &caller()), ["1 spans without their parent"]);
    }
}
