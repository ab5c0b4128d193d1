//! `bench`, for moments: it measures on a mesh of its own, and leaves nothing behind.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::documents::commands;

/// A second on a machine that does other things as well says nothing about ratios: only that there are some.
const BRIEFLY: &str = "--duration 1s --connections 8";

#[test]
fn the_commands_of_the_page_about_performance_measure_and_leave_nothing() {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("mesh-{:08x}", rand::random::<u32>()));
    let run = |line: &str| {
        let arguments = line.strip_prefix("./mesh ").unwrap().split(' ');
        let output = Command::new(env!("CARGO_BIN_EXE_meshctl")).args(arguments).arg("--home").arg(&home).output().unwrap();
        let (code, text) = (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap());
        assert!(code != 1 || !text.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        (code, text)
    };
    assert_eq!(run("./mesh bench coffee").0, 2, "no such case");
    assert_eq!(run("./mesh bench --connections 0").0, 2);
    let lines = commands(include_str!("../../../docs/performance.md"));
    assert_eq!(lines, ["./mesh bench", "./mesh bench order --rounds 3", "./mesh bench --json"]);
    for line in lines {
        let (code, text) = run(&format!("{line} {BRIEFLY}"));
        if line.ends_with("--json") {
            sound(&serde_json::from_str(&text).unwrap(), code);
        } else {
            assert!(text.contains("pgbench") && text.contains("order"), "{text}");
        }
    }
    assert!(!home.join("bench").exists(), "its mesh is gone");
    std::fs::remove_dir_all(&home).unwrap();
}

fn sound(report: &Value, code: i32) {
    assert_eq!(code, i32::from(report["passed"] == false), "{report}");
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(cases.iter().map(|case| case["case"].as_str().unwrap()).collect::<Vec<_>>(), ["order", "product", "cold-product"]);
    for case in cases {
        let ratio = case["ours"]["per_second"].as_f64().unwrap() / case["rival_per_second"].as_f64().unwrap();
        assert!((ratio - case["ratio"].as_f64().unwrap()).abs() < 1e-6 && ratio > 0.0, "{case}");
        assert!(case["cpu_us"].as_object().unwrap().values().any(|micros| micros.as_f64().unwrap() > 0.0), "{case}");
    }
}
