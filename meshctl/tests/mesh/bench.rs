//! `bench`, for moments: it measures on a mesh of its own, and leaves nothing behind.

use std::process::Command;

use serde_json::Value;

use crate::documents::commands;
use crate::running::new_home;

/// A second on a machine that does other things as well says nothing about ratios: only that there are some.
const BRIEFLY: &str = "--duration 1s --connections 8 --records 5000";

#[test]
fn the_commands_of_the_page_about_performance_measure_and_leave_nothing() {
    let home = new_home();
    let run = |line: &str| {
        let arguments = line.strip_prefix("./mesh ").unwrap().split(' ');
        let output = Command::new(env!("CARGO_BIN_EXE_meshctl")).args(arguments).arg("--home").arg(&home).output().unwrap();
        let (code, text) = (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap());
        assert!(code != 1 || !text.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        (code, text)
    };
    assert_eq!(run("./mesh bench coffee").0, 2, "no such case");
    assert_eq!(run("./mesh bench --connections 0").0, 2);
    assert_eq!(run("./mesh bench dispatch --records 1").0, 2);
    let lines = commands(include_str!("../../../docs/performance.md"));
    assert_eq!(lines, ["./mesh bench", "./mesh bench order --rounds 3", "./mesh bench dispatch analytics", "./mesh bench --json"]);
    // the first says for people what the last says for programs
    for line in &lines[1..] {
        let rounds = if line.contains("--rounds") { "" } else { " --rounds 2" };
        let (code, text) = run(&format!("{line} {BRIEFLY}{rounds}"));
        if line.ends_with("--json") {
            sound(&serde_json::from_str(&text).unwrap(), code);
        } else {
            let rivals = [("order", "pgbench"), ("dispatch", "kafka-producer-perf-test"), ("analytics", "kafka-producer-perf-test")];
            for (case, rival) in rivals.iter().filter(|(case, _)| line.contains(case)) {
                let row = text.lines().find(|row| row.trim_start().starts_with(case));
                assert!(row.is_some_and(|row| row.contains(rival)), "{text}");
            }
        }
    }
    assert!(!home.join("bench").exists(), "its mesh is gone");
    std::fs::remove_dir_all(&home).unwrap();
}

fn sound(report: &Value, code: i32) {
    assert_eq!(code, i32::from(report["passed"] == false), "{report}");
    let cases = report["cases"].as_array().unwrap();
    let names: Vec<&str> = cases.iter().map(|case| case["case"].as_str().unwrap()).collect();
    assert_eq!(names, ["order", "product", "cold-product", "dispatch", "analytics"]);
    for case in cases {
        let ratio = case["ours"]["per_second"].as_f64().unwrap() / case["rival_per_second"].as_f64().unwrap();
        assert!((ratio - case["ratio"].as_f64().unwrap()).abs() < 1e-6 && ratio > 0.0, "{case}");
        assert!(case["cpu_us"].as_object().unwrap().values().any(|micros| micros.as_f64().unwrap() > 0.0), "{case}");
        let reads_records = ["dispatch", "analytics"].contains(&case["case"].as_str().unwrap());
        assert_eq!(case["ours"]["p50_ms"].is_null(), reads_records, "{case}");
    }
}
