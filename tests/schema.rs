//! Every record that is printed fits the schema that is printed.

use serde_json::Value;

use crate::common::{each, meshwhy, meshwhy_reading, readable_samples};

fn check(validator: &jsonschema::Validator, name: &str, records: &[u8]) -> Vec<String> {
    let mut broken = Vec::new();
    for line in String::from_utf8_lossy(records).lines() {
        let record: Value = serde_json::from_str(line).expect(name);
        for error in validator.iter_errors(&record) {
            broken.push(format!("{name}: {error} at {} in {line}", error.instance_path()));
        }
    }
    broken
}

pub fn validator() -> jsonschema::Validator {
    let printed = meshwhy().arg("schema").output().expect("the program starts");
    let schema: Value = serde_json::from_slice(&printed.stdout).expect("the schema is JSON");
    jsonschema::validator_for(&schema).expect("the schema is a schema")
}

#[test]
fn the_records_of_every_sample_fit_the_schema() {
    let samples = readable_samples();
    let validator = validator();
    let broken: Vec<String> = each(&samples, |sample| {
        let run = sample.run(&["replay", "--events", "--output", "ndjson", "input"]);
        check(&validator, &sample.name, &run.stdout)
    })
    .concat();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_records_of_the_catalogue_fit_the_schema() {
    let run = meshwhy().args(["causes", "--output", "ndjson"]).output().expect("the program starts");
    let broken = check(&validator(), "causes", &run.stdout);
    assert!(broken.is_empty() && !run.stdout.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_schema_refuses_what_is_not_printed() {
    let validator = validator();
    let run = meshwhy_reading(b"2026-03-01T09:30:00Z\tinfo\tall is well\n", &["replay", "--output", "ndjson", "-"]);
    let summary = String::from_utf8(run.stdout).expect("UTF-8");
    let mut record: Value = serde_json::from_str(summary.lines().last().expect("a summary")).expect("a record");
    assert!(validator.is_valid(&record), "{record}");
    record["surprise"] = 1.into();
    assert!(!validator.is_valid(&record));
}
