//! The first order: placed through the gateway as a client would, its trace awaited until it is complete.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::backend::id::TraceId;
use crate::mesh::Mesh;
use crate::secrets::Secrets;
use crate::trace::{SpanFilter, Trace, TraceSource};

/// How often the trace is looked at, and how long its number of spans must hold still: more than one export interval.
const POLL: Duration = Duration::from_millis(250);
const STILL: Duration = Duration::from_millis(750);

/// Services whose Kafka processing ends the chain.
const ENDS: [&str; 2] = ["notification", "analytics"];

/// Registers the demo user if needed, logs in, places an order of three products, and returns its trace once that is
/// complete.
pub(crate) async fn order(mesh: &Mesh, secrets: &Secrets) -> Result<Trace> {
    let step = mesh.progress.step("first order", "logging in");
    let placed = async {
        let token = log_in(mesh, secrets).await?;
        step.doing("placing the order");
        let trace_id = place(mesh, &token).await?;
        step.doing("waiting for its trace");
        complete(mesh, &trace_id).await
    };
    match placed.await {
        Ok(trace) => {
            step.done("placed, and its trace is complete");
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

/// Sends a request, and turns an unexpected answer into an error that shows it.
async fn send(what: &str, request: RequestBuilder, accepted: &[u16]) -> Result<Response> {
    let response = request.timeout(Duration::from_secs(10)).send().await.with_context(|| format!("{what}: the gateway did not answer"))?;
    let status = response.status().as_u16();
    if accepted.contains(&status) {
        return Ok(response);
    }
    bail!("{what}: the gateway answered {status}: {}", response.text().await.unwrap_or_default())
}

async fn log_in(mesh: &Mesh, secrets: &Secrets) -> Result<String> {
    let email = &mesh.settings.demo.email;
    let user = json!({ "username": "demo", "email": email, "password": secrets.demo });
    let request = mesh.http.post(api(mesh, "auth/register")).json(&user);
    send("registering the demo user", request, &[201, 409]).await?;
    let login = json!({ "email": email, "password": secrets.demo });
    let request = mesh.http.post(api(mesh, "auth/login")).json(&login);
    let answer: Value = send("logging in as the demo user", request, &[200]).await?.json().await?;
    let token = answer["access_token"].as_str().context("the answer to the login has no access_token")?;
    Ok(token.to_owned())
}

async fn place(mesh: &Mesh, token: &str) -> Result<String> {
    let request = mesh.http.get(api(mesh, "products?limit=3"));
    let products: Value = send("listing products", request, &[200]).await?.json().await?;
    let items: Vec<Value> = products["items"]
        .as_array()
        .context("the list of products has no items")?
        .iter()
        .map(|product| json!({ "product_id": product["product_id"], "quantity": 1 }))
        .collect();
    let request = mesh.http.post(api(mesh, "orders")).bearer_auth(token).json(&json!({ "items": items }));
    let response = send("placing the order", request, &[200, 201]).await?;
    let header = response.headers().get("x-trace-id").context("the answer to the order has no x-trace-id")?;
    Ok(header.to_str().context("x-trace-id is no text")?.to_owned())
}

/// Waits until both ends of the chain are in the trace, every span has its parent, and it has stopped growing.
async fn complete(mesh: &Mesh, trace_id: &str) -> Result<Trace> {
    let seconds = mesh.settings.deadlines.trace;
    let end = Instant::now() + Duration::from_secs(seconds);
    let source = TraceSource::new(&mesh.traces_url())?;
    let id: TraceId = trace_id.parse()?;
    let (mut size, mut grown) = (0, Instant::now());
    loop {
        let trace = source.trace(id).await?.unwrap_or_else(|| Trace::new(trace_id.to_owned(), Vec::new()));
        if trace.spans().len() != size {
            (size, grown) = (trace.spans().len(), Instant::now());
        }
        let lacking = lacking(&trace);
        if lacking.is_empty() && grown.elapsed() >= STILL {
            return Ok(trace);
        }
        if Instant::now() >= end {
            let lacking = if lacking.is_empty() { "still growing".to_owned() } else { lacking.join(", ") };
            bail!(
                "the trace {trace_id} was not complete after {seconds} s (MESH_DEADLINES__TRACE): {size} spans, {lacking}; \
                 look at ./mesh trace {trace_id} and ./mesh status"
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What a complete trace of an order would have and this one has not.
fn lacking(trace: &Trace) -> Vec<String> {
    let processed = |service: &&str| {
        let filter = SpanFilter::service(service).attribute("messaging.operation.type", "process");
        trace.find(&filter).is_empty()
    };
    let mut lacking: Vec<String> =
        ENDS.iter().copied().filter(processed).map(|service| format!("no Kafka processing by {service}")).collect();
    let orphans = trace.orphans().count();
    if orphans > 0 {
        lacking.push(format!("{orphans} spans without their parent"));
    }
    lacking
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_lacks_the_end_that_only_sends() {
        let tags = |kind: &str| json!([{ "key": "messaging.operation.type", "type": "string", "value": kind }]);
        let span = |id: &str, process: &str, kind: &str| {
            json!({
                "traceID": "0af7651916cd43dd8448eb211c80319c", "spanID": id, "operationName": "op", "processID": process,
                "references": [], "startTime": 1, "duration": 1, "tags": tags(kind), "logs": [], "warnings": null,
            })
        };
        let process = |name: &str| json!({ "serviceName": name, "tags": [] });
        let trace = Trace::from_jaeger(json!({
            "traceID": "0af7651916cd43dd8448eb211c80319c",
            "processes": { "p1": process("analytics"), "p2": process("notification") },
            "spans": [span("00f067aa0ba902b7", "p1", "process"), span("00f067aa0ba902b8", "p2", "send")],
        }));
        assert_eq!(lacking(&trace.unwrap()), ["no Kafka processing by notification"]);
    }
}
