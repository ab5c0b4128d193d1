//! A program that is not ours, in another language, against a contract of its own: a shell that posts OTLP/JSON with curl.

use std::process::Command;

use crate::{
    command::{jaeger, verify},
    story::backend,
};

const CONTRACT: &str = "
name: nightly backup
clock_tolerance_ms: 0
nodes:
  - { id: backup, service: cron, kind: internal, name_pattern: 'backup .*', require: [backup.bytes], values: { backup.bytes: '\\d+' } }
  - { id: upload, service: cron, kind: client, protocol: HTTP, match: { http.request.method: PUT }, count: 1.. }
  - { id: report, service: mailer, kind: consumer, name: report }
edges:
  - { from: caller, to: backup }
  - { from: backup, to: upload }
  - { from: backup, to: report, by: link }
";

/// Three spans: the backup, its upload, and the report, which is a root of its own that links to the backup.
const PROGRAM: &str = r#"
set -eu
trace=0af7651916cd43dd8448eb211c80319c
attribute() { printf '{"key":"%s","value":{"stringValue":"%s"}}' "$1" "$2"; }
span() { # service id parent name kind start attributes links
    printf '{"resourceSpans":[{"resource":{"attributes":[%s]},"scopeSpans":[{"spans":[{' "$(attribute service.name "$1")"
    printf '"traceId":"%s","spanId":"%s","parentSpanId":"%s","name":"%s","kind":%s,' "$trace" "$2" "$3" "$4" "$5"
    printf '"startTimeUnixNano":"17952192%s000000000","endTimeUnixNano":"1795219299000000000",' "$6"
    printf '"attributes":[%s],"links":[%s]}]}]}]}' "$7" "$8"
}
send() { span "$@" | curl -sS --fail --noproxy '*' -H 'content-type: application/json' --data-binary @- "$OTLP/v1/traces" >/dev/null; }
send cron 00000000000000a1 '' 'backup /home' 1 10 "$(attribute backup.bytes "$BYTES")" ''
send cron 00000000000000a2 00000000000000a1 'PUT' 3 11 "$(attribute http.request.method PUT)" ''
send mailer 00000000000000a3 '' 'report' 5 12 '' "{\"traceId\":\"$trace\",\"spanId\":\"$LINKED\"}"
"#;

async fn program(bytes: &str, linked: &str) -> (i32, Vec<String>) {
    let backend = backend().await;
    let mut command = Command::new("sh");
    command.args(["-c", PROGRAM]).env("OTLP", format!("http://{}", backend.otlp_http)).env("BYTES", bytes).env("LINKED", linked);
    let output = tokio::process::Command::from(command).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = tempfile::tempdir().unwrap();
    let contract = folder.path().join("backup.yaml");
    std::fs::write(&contract, CONTRACT).unwrap();
    let contract = format!("--contract={}", contract.display());
    let ended = verify(&[&contract, "--trace", "0af7651916cd43dd8448eb211c80319c", "--json", &jaeger(&backend)]).await;
    (ended.code(), ended.defects())
}

#[tokio::test]
async fn a_program_of_another_system_keeps_its_own_contract() {
    assert_eq!(program("4096", "00000000000000a1").await, (0, Vec::new()));
}

#[tokio::test]
async fn and_is_told_where_it_breaks_it() {
    let (code, defects) = program("4 KiB", "00000000000000ff").await;
    let expected = [
        "wrong parent: report: under nothing: it is a root instead of backup",
        "bad value: backup: backup.bytes",
        "several roots: the trace",
    ];
    assert_eq!((code, defects.iter().map(String::as_str).collect::<Vec<_>>()), (1, expected.to_vec()));
}
