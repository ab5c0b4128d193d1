//! The first order: placed through the gateway as a client would, its trace awaited until it is complete.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http::{HeaderMap, HeaderValue, Request, header};
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::caller::{Caller, TRACEPARENT};
use crate::mesh::Mesh;
use crate::secrets::Secrets;
use crate::trace::{Kind, Protocol, SpanFilter, Trace, TraceSource};
use crate::verify::http::{Answer, Http};

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
        let gateway = Gateway::of(mesh)?;
        let token = gateway.log_in(secrets).await?;
        step.doing("placing the order");
        let caller = gateway.place(&token).await?;
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

/// Makes the demo user, unless there is one.
pub(crate) async fn register(mesh: &Mesh, secrets: &Secrets) -> Result<()> {
    Gateway::of(mesh)?.register(secrets).await
}

/// The gateway, as its clients see it.
struct Gateway<'a> {
    mesh: &'a Mesh,
    http: Http,
}

impl<'a> Gateway<'a> {
    fn of(mesh: &'a Mesh) -> Result<Self> {
        let agent = HeaderValue::from_static(concat!("throughline-mesh/", env!("CARGO_PKG_VERSION")));
        let http = Http::new(HeaderMap::from_iter([(header::USER_AGENT, agent)]), mesh.ca().as_deref())?;
        Ok(Self { mesh, http })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.mesh.gateway_url())
    }

    fn post(&self, path: &str, body: &Value) -> Result<Request<Bytes>> {
        let request = Request::post(self.url(path)).header(header::CONTENT_TYPE, "application/json");
        Ok(request.body(Bytes::from(body.to_string()))?)
    }

    /// Sends a request of `caller`, and turns an unexpected answer into an error that shows it.
    async fn send(&self, what: &str, caller: &Caller, request: Request<Bytes>, accepted: &[u16]) -> Result<Answer> {
        let (mut head, body) = request.into_parts();
        head.headers.insert(TRACEPARENT, HeaderValue::from_str(&caller.traceparent())?);
        let answer = self.http.send(head.method, &head.uri.to_string(), head.headers, body).await;
        let answer = answer.with_context(|| format!("{what}: the gateway did not answer"))?;
        if accepted.contains(&answer.status.as_u16()) {
            return Ok(answer);
        }
        bail!("{what}: the gateway answered {}: {}", answer.status.as_u16(), answer.text())
    }

    async fn register(&self, secrets: &Secrets) -> Result<()> {
        let user = json!({ "username": "demo", "email": self.mesh.settings.demo.email, "password": secrets.demo });
        let request = self.post("auth/register", &user)?;
        self.send("registering the demo user", &Caller::new(), request, &[201, 409]).await.map(drop)
    }

    async fn log_in(&self, secrets: &Secrets) -> Result<String> {
        self.register(secrets).await?;
        let login = json!({ "email": self.mesh.settings.demo.email, "password": secrets.demo });
        let request = self.post("auth/login", &login)?;
        let answer = self.send("logging in as the demo user", &Caller::new(), request, &[200]).await?.json()?;
        let token = answer["access_token"].as_str().context("the answer to the login has no access_token")?;
        Ok(token.to_owned())
    }

    /// Places the order under a trace of our own: in mode `ebpf` the services never learn an id that OBI chose.
    async fn place(&self, token: &str) -> Result<Caller> {
        let request = Request::get(self.url("products?limit=3")).body(Bytes::new())?;
        let products = self.send("listing products", &Caller::new(), request, &[200]).await?.json()?;
        let items: Vec<Value> = products["items"]
            .as_array()
            .context("the list of products has no items")?
            .iter()
            .map(|product| json!({ "product_id": product["product_id"], "quantity": 1 }))
            .collect();
        let mut request = self.post("orders", &json!({ "items": items }))?;
        request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}"))?);
        let caller = Caller::new();
        self.send("placing the order", &caller, request, &[200, 201]).await?;
        Ok(caller)
    }
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
