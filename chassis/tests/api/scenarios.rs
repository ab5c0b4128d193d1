//! The scenario files of the repository, and what is refused.

use std::{
    fs,
    path::{Path, PathBuf},
};

use boon::{Compiler, Schemas};
use chassis::scenario::{
    Scenario,
    definition::{self, Definition},
};
use serde_json::Value;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/scenarios")
}

#[test]
fn every_scenario_has_a_file_that_meets_the_schema() {
    let definitions = definition::read(&directory()).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    assert_eq!(definitions.keys().copied().collect::<Vec<_>>(), Scenario::ALL);
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    let schema: Value = serde_json::from_str(&fs::read_to_string(directory().join("schema.json")).unwrap()).unwrap();
    compiler.add_resource("schema.json", schema).unwrap();
    let index = compiler.compile("schema.json", &mut schemas).unwrap();
    for scenario in Scenario::ALL {
        let text = fs::read_to_string(directory().join(format!("{scenario}.yaml"))).unwrap();
        let mut file: Value = serde_saphyr::from_str(&text).unwrap();
        schemas.validate(&file, index).unwrap_or_else(|error| panic!("{scenario}: {error}"));
        file["symptom"] = Value::Null;
        assert!(schemas.validate(&file, index).is_err(), "a field that nobody knows");
    }
}

#[test]
fn the_schema_is_that_of_the_code() {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Definition)).unwrap() + "\n";
    let file = directory().join("schema.json");
    if std::env::var_os("THROUGHLINE_WRITE_SCHEMA").is_some() {
        fs::write(&file, &schema).unwrap();
    }
    assert!(fs::read_to_string(&file).unwrap_or_default() == schema, "THROUGHLINE_WRITE_SCHEMA=1 writes {}", file.display());
}

#[test]
fn a_wrong_file_is_refused_with_its_name_and_all_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(directory().join("error-spike.yaml")).unwrap();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    for (name, text, told) in [
        ("spike.yaml", text.clone(), "the file must be called error-spike.yaml"),
        ("error-spike.yaml", text.replace("percent:", "share:"), "parameters.percent: is missing"),
        ("error-spike.yaml", text.replace("percent:", "share:"), "parameters.share: is not known of error-spike"),
        ("error-spike.yaml", text.replace("default: 30", "default: 300"), "parameters.percent.default: must be 1 to 100"),
        ("error-spike.yaml", text.replace("services: [gateway]", "services: []"), "services: must name at least one"),
        ("error-spike.yaml", text.replace("error-spike\n", "error-spikes\n"), "error-spikes"),
        ("error-spike.yaml", text.replace("fix:", "fixes:"), "fixes"),
        ("error-spike.yaml", "{".to_owned(), "error-spike.yaml: "),
    ] {
        put(name, &text);
        let mistakes = definition::read(folder.path()).unwrap_err();
        let all = mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(all.contains(told) && all.contains(name), "{told}: {all}");
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let missing = definition::read(&folder.path().join("no-such")).unwrap_err();
    assert!(missing[0].to_string().contains("no-such"), "{missing:?}");
}
