//! What a mesh that has just started tells its user, once.

use crate::mesh::Mesh;
use crate::secrets::Secrets;
use crate::{kafka, postgres, prometheus, redis};

/// A new trace context, made by tools that every Linux has. With it the whole order is one trace in every telemetry mode.
const TRACEPARENT: &str = "00-$(tr -d - </proc/sys/kernel/random/uuid)-$(cut -c20-23,25-36 /proc/sys/kernel/random/uuid)-01";

/// URLs, the demo login, a token, three requests to try, and where to look next.
pub(crate) fn whole(mesh: &Mesh, secrets: &Secrets, trace_id: Option<&str>) -> String {
    let (gateway, traces, email) = (mesh.gateway_url(), mesh.traces_url(), &mesh.settings.demo.email);
    let trace = trace_id.map_or("--last".to_owned(), str::to_owned);
    let trust = mesh.ca().map(|ca| format!("--cacert '{}' ", ca.display())).unwrap_or_default();
    let page = trace_id.map_or(traces.clone(), |id| format!("{traces}/trace/{id}"));
    format!(
        "The mesh is up.
  gateway   {gateway}
  traces    {page}
{metrics}  postgres  {postgres}
  redis     {redis}
  kafka     {kafka}
  logs      {logs}
  demo user {email}, password {password}
  admin     {admin}, password {admin_password}

A token in a shell variable:
  TOKEN=$(curl {trust}-s {gateway}/api/v1/auth/login -H 'content-type: application/json' -d '{{\"email\":\"{email}\",\"password\":\"{password}\"}}' | sed -n 's/.*\"access_token\" *: *\"\\([^\"]*\\)\".*/\\1/p')

Try:
  curl {trust}-s '{gateway}/api/v1/products?limit=3'
  curl {trust}-si {gateway}/api/v1/orders -H \"authorization: Bearer $TOKEN\" -H \"traceparent: {TRACEPARENT}\" -H 'content-type: application/json' -d '{{\"items\":[{{\"product_id\":\"{product}\",\"quantity\":1}}]}}'
  curl {trust}-s {gateway}/api/v1/orders -H \"authorization: Bearer $TOKEN\"

Next: ./mesh trace {trace} | ./mesh open | ./mesh logs orders -f | ./mesh status | ./mesh down",
        metrics = if prometheus::is_wanted(mesh) { format!("  metrics   {}\n", prometheus::url(mesh)) } else { String::new() },
        postgres = postgres::url(mesh, postgres::ADMIN, &secrets.admin),
        redis = redis::url(mesh),
        kafka = kafka::brokers(mesh),
        logs = mesh.home.logs().display(),
        password = secrets.demo,
        admin = mesh.settings.demo.admin_email,
        admin_password = secrets.demo_admin,
        product = db::seed::product_id("COF-001"),
    )
}

/// The servers alone.
pub(crate) fn infrastructure(mesh: &Mesh, secrets: &Secrets) -> String {
    format!(
        "The servers are up.\n  postgres  {}\n  redis     {}\n  kafka     {}\n  traces    {}\n  logs      {}",
        postgres::url(mesh, postgres::ADMIN, &secrets.admin),
        redis::url(mesh),
        kafka::brokers(mesh),
        mesh.traces_url(),
        mesh.home.logs().display(),
    )
}
