//! What the documentation and `up` tell people to type works as it stands there.

use std::process::{Command, Output};

use meshctl::trace::SpanFilter;

use crate::{
    conventions::all_spans,
    running::{Mesh, success},
};

/// Runs a line in bash; `./mesh` is this mesh and the default gateway its gateway.
pub(crate) fn bash(mesh: &Mesh, token: &str, line: &str) -> Output {
    let ours = format!("'{}' --home '{}'", env!("CARGO_BIN_EXE_meshctl"), mesh.home().display());
    let line = line.replace("./mesh", &ours).replace("http://127.0.0.1:8080", &mesh.endpoint("gateway"));
    let output = Command::new("bash").args(["-euo", "pipefail", "-c", &line]).env("TOKEN", token).output().unwrap();
    success(&output);
    output
}

/// An HTTP answer, printed with or without its head, that is no problem.
pub(crate) fn fine(line: &str, output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let refused =
        text.contains("\"status\":4") || text.contains("\"status\":5") || text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.1 5");
    assert!(!text.is_empty() && !refused, "{line}\n{text}");
}

/// Commands of all `sh` blocks, continued lines joined, comments taken off.
pub(crate) fn commands(markdown: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let blocks = markdown.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    for line in blocks.flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>()) {
        let command = line.split("  #").next().unwrap_or_default().trim().to_owned();
        commands.extend((!command.is_empty()).then_some(command));
    }
    commands
}

#[tokio::test]
async fn the_commands_of_the_readme_work() {
    let mesh = Mesh::start(&[]);
    let token = mesh.token().await;
    let commands = commands(include_str!("../../../README.md"));
    assert!(commands.len() >= 10, "{commands:#?}");
    // `run` stays in the foreground: `alone.rs` runs it
    for line in commands.iter().filter(|line| !line.contains("./mesh run")) {
        fine(line, &bash(&mesh, &token, line));
    }
}

#[tokio::test]
async fn the_commands_of_the_page_about_http_work() {
    let mesh = Mesh::start(&[]);
    let token = mesh.token().await;
    let commands = commands(include_str!("../../../docs/http.md"));
    assert_eq!(commands.len(), 11, "{commands:#?}");
    for line in &commands {
        fine(line, &bash(&mesh, &token, line));
    }
}

#[tokio::test]
async fn the_commands_of_the_page_about_grpc_work_and_an_error_looks_as_it_says() {
    let mesh = Mesh::start(&[]);
    let token = mesh.token().await;
    let page = include_str!("../../../docs/grpc.md");
    let commands = commands(page);
    assert_eq!(commands.len(), 20, "{commands:#?}");
    let mut shown = 0;
    for line in &commands {
        let output = bash(&mesh, &token, line);
        fine(line, &output);
        let text = String::from_utf8_lossy(&output.stdout);
        let is_shown = page.contains(&format!("```text\n{text}```"));
        shown += usize::from(is_shown);
        assert!(!line.contains("|| test") || is_shown || text.contains("DEADLINE_EXCEEDED (4)"), "{line}\n{text}");
    }
    assert_eq!(shown, 1);
}

#[tokio::test]
async fn the_commands_of_the_guide_to_verify_work() {
    let mesh = Mesh::start(&[]);
    let commands = commands(include_str!("../../../docs/verify.md"));
    assert_eq!(commands.len(), 5, "{commands:#?}");
    for line in &commands {
        fine(line, &bash(&mesh, "", line));
    }
}

#[tokio::test]
async fn the_commands_of_the_page_about_sampling_work_and_verify_is_told_from_others_as_it_says() {
    let mesh = Mesh::start(&[]);
    let commands = commands(include_str!("../../../docs/sampling.md"));
    assert_eq!(commands.len(), 1, "{commands:#?}");
    for line in &commands {
        fine(line, &bash(&mesh, "", line));
    }
    mesh.meshctl(&["verify", "--orders", "1"]);
    let policy = include_str!("../../../observability/alloy/config.alloy");
    assert!(policy.contains("\"user_agent.original\"") && policy.contains("\"^throughline-verify/.*\""));
    let sent = SpanFilter::service("gateway").name("POST /api/v1/orders");
    let spans = all_spans(&mesh).await;
    let agents = spans.iter().filter(|span| sent.matches(span)).filter_map(|span| span.text("user_agent.original"));
    assert!(agents.into_iter().any(|agent| agent.starts_with("throughline-verify/")));
}

#[tokio::test]
async fn the_commands_of_the_page_about_obi_work() {
    let mesh = Mesh::start(&[]);
    let commands = commands(include_str!("../../../docs/obi.md"));
    assert_eq!(commands, ["./mesh doctor"]);
    for line in &commands {
        fine(line, &bash(&mesh, "", line));
    }
}

#[tokio::test]
async fn the_commands_of_the_page_about_metrics_work() {
    let mesh = Mesh::start(&[]);
    let commands = commands(include_str!("../../../docs/metrics.md"));
    assert!(commands.len() >= 4, "{commands:#?}");
    for line in &commands {
        fine(line, &bash(&mesh, "", line));
    }
}

#[tokio::test]
async fn the_commands_of_the_page_about_scenarios_work() {
    let mesh = Mesh::start(&[]);
    let commands = commands(include_str!("../../../docs/scenarios.md"));
    assert_eq!(commands.len(), 5, "{commands:#?}");
    for line in &commands {
        fine(line, &bash(&mesh, "", line));
    }
}

#[tokio::test]
async fn the_commands_that_up_prints_work() {
    let mesh = Mesh::start(&[]);
    let printed = mesh.meshctl(&["up", "--detach"]);
    let lines: Vec<&str> = printed.lines().map(str::trim).collect();
    let token = lines.iter().find_map(|line| line.strip_prefix("TOKEN=")).unwrap();
    let requests: Vec<&&str> = lines.iter().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(requests.len(), 3, "{printed}");
    for request in requests {
        let line = format!("TOKEN={token}; test -n \"$TOKEN\"; {request}");
        fine(&line, &bash(&mesh, "", &line));
    }
}
