//! Every sample says what its golden files say, names its hits and not its near misses.
//!
//! `UPDATE_EXPECT=1 cargo test --test main golden` writes the files; then the diff wants a reader.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{self, AssertUnwindSafe};

use expect_test::expect_file;
use meshwhy::causes;
use meshwhy::engine::cause::Severity;
use regex::Regex;
use serde_json::Value;

use crate::common::{STRICT, Sample, each, fail_if_any, readable_samples, root};

#[test]
fn each_sample_says_what_its_golden_files_say() {
    let samples = replayed_samples();
    let runs = each(&samples, |sample| {
        (output(sample, &["replay", "input"]), output(sample, &["replay", "--output", "ndjson", "input"]))
    });
    let updating = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut differ = Vec::new();
    for (sample, (text, ndjson)) in samples.iter().zip(runs) {
        for (file, said) in [("expected.txt", text), ("expected.ndjson", ndjson)] {
            let path = sample.dir().join(file);
            if !path.exists() && !updating && !STRICT {
                continue;
            }
            differ.extend(difference(sample, file, &said));
        }
    }
    fail_if_any("these differ; UPDATE_EXPECT=1 writes them, then read the diff", &differ);
}

#[test]
fn each_sample_names_its_hits_and_not_its_near_misses() {
    let samples = replayed_samples();
    let summaries = each(&samples, summary);
    let mut broken = Vec::new();
    for (sample, (causes, notes)) in samples.iter().zip(summaries) {
        let mut wrong =
            |what: String| broken.push(format!("{}: {what}; causes {causes:?} notes {notes:?}", sample.name));
        if causes.first() != sample.hits.first() {
            wrong(format!("{:?} must come first", sample.hits.first().map_or("nothing", |slug| slug)));
        }
        for slug in sample.hits.iter().filter(|slug| !causes.contains(slug)) {
            wrong(format!("{slug} must be named"));
        }
        for slug in sample.notes.iter().filter(|slug| !notes.contains(slug)) {
            wrong(format!("{slug} must be noted"));
        }
        for slug in sample.near_misses.iter().filter(|slug| causes.contains(slug) || notes.contains(slug)) {
            wrong(format!("{slug} must not be named"));
        }
    }
    fail_if_any("what samples prove", &broken);
}

/// What a command says of a sample's state, as NDJSON: each check that failed or warned as `(outcome, cause)`, and the
/// first cause that was found.
fn told_of_state(sample: &Sample, args: &[&str]) -> (Vec<(String, String)>, Option<String>) {
    let run = sample.run(args);
    let said = String::from_utf8_lossy(&run.stdout);
    let records: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    let text = |record: &Value, key: &str| record[key].as_str().unwrap_or("").to_string();
    let of_type = |kind: &str| records.iter().filter(|record| record["type"] == kind).collect::<Vec<_>>();
    let findings: BTreeMap<String, String> =
        of_type("finding").iter().map(|record| (text(record, "id"), text(record, "cause"))).collect();
    let checks = of_type("check").into_iter().filter(|record| ["fail", "warn"].contains(&&*text(record, "outcome")));
    let checks = checks.map(|record| {
        let cause = findings.get(&text(record, "finding")).cloned().unwrap_or_else(|| text(record, "check"));
        (text(record, "outcome"), cause)
    });
    (checks.collect(), of_type("finding").first().map(|record| text(record, "cause")))
}

/// What is wrong with what `meshwhy check` and `meshwhy trace` say of each sample of state.
fn broken_state_samples() -> Vec<String> {
    let samples: Vec<Sample> = readable_samples().into_iter().filter(|sample| sample.check.is_some()).collect();
    let broken = each(&samples, |sample| {
        let mut broken = Vec::new();
        let wanted: BTreeSet<&str> = sample.check.iter().flatten().map(String::as_str).collect();
        let (told, _) = told_of_state(sample, &["check", "--output", "ndjson", "input"]);
        let failed: BTreeSet<&str> =
            told.iter().filter(|(outcome, _)| outcome == "fail").map(|(_, cause)| cause.as_str()).collect();
        // A healthy mesh is not warned of either.
        if failed != wanted || wanted.is_empty() && !told.is_empty() {
            broken.push(format!("{}: check must name {wanted:?} and says {told:?}", sample.name));
        }
        for trace in &sample.traces {
            let args = ["trace", &trace.from, &trace.to, "--output", "ndjson", "input"];
            let (_, cause) = told_of_state(sample, &args);
            let cause = cause.unwrap_or_default();
            if cause != trace.stopped_by {
                let call = format!("{} -> {}", trace.from, trace.to);
                broken.push(format!("{}: {call} must name {:?} and names {cause:?}", sample.name, trace.stopped_by));
            }
        }
        broken
    });
    broken.concat()
}

/// Told and not demanded while the checks are few: `MESHWHY_STATE_STRICT=1` demands it.
#[test]
fn state_samples_are_checked_and_traced_as_they_say() {
    let broken = broken_state_samples();
    if std::env::var_os("MESHWHY_STATE_STRICT").is_some() {
        fail_if_any("check and trace of saved state", &broken);
    } else if !broken.is_empty() {
        eprintln!("check and trace of saved state:\n  {}", broken.join("\n  "));
    }
}

/// `expected.check.txt` and `expected.trace.txt`, of the samples that have them.
#[test]
fn each_state_sample_says_what_its_golden_files_say() {
    let mut differ = Vec::new();
    for sample in readable_samples().iter().filter(|sample| sample.check.is_some()) {
        if sample.dir().join("expected.check.txt").exists() {
            let said = output(sample, &["check", "input"]);
            differ.extend(difference(sample, "expected.check.txt", &said));
        }
        if sample.dir().join("expected.trace.txt").exists() {
            let traces = sample.traces.iter().map(|trace| output(sample, &["trace", &trace.from, &trace.to, "input"]));
            differ.extend(difference(sample, "expected.trace.txt", &traces.collect::<Vec<_>>().join("\n")));
        }
    }
    fail_if_any("these differ; UPDATE_EXPECT=1 writes them, then read the diff", &differ);
}

/// Compares with a golden file, or writes it.
fn difference(sample: &Sample, file: &str, said: &str) -> Option<String> {
    let path = sample.dir().join(file);
    let same = panic::catch_unwind(AssertUnwindSafe(|| expect_file![path].assert_eq(said)));
    same.is_err().then(|| format!("samples/{}/{file}", sample.name))
}

#[test]
fn every_sentence_of_a_finding_is_filled_in() {
    let samples = readable_samples();
    let slot = Regex::new("<[a-z_]+>").expect("a fixed pattern");
    let broken = each(&samples, |sample| {
        let said = output(sample, &["replay", "--output", "ndjson", "input"]);
        let records = said.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
        let summaries = records.filter_map(|record| Some(record.get("summary")?.as_str()?.to_string()));
        let open: Vec<String> =
            summaries.filter(|text| slot.is_match(text)).map(|text| format!("{}: {text}", sample.name)).collect();
        open
    });
    fail_if_any("slots without a value", &broken.concat());
}

#[test]
fn the_catalogue_and_the_samples_agree() {
    let samples = readable_samples();
    let mut broken = Vec::new();
    for cause in causes::ALL {
        let listed = |pick: fn(&Sample) -> Vec<&String>| -> BTreeSet<&str> {
            let has = |sample: &&Sample| pick(sample).iter().any(|slug| *slug == cause.slug);
            samples.iter().filter(has).map(|sample| sample.name.as_str()).collect()
        };
        let hits = listed(|sample| sample.hits.iter().chain(&sample.notes).collect());
        let near_misses = listed(|sample| sample.near_misses.iter().collect());
        for (what, ours, theirs) in [("hits", cause.hits, hits), ("near_misses", cause.near_misses, near_misses)] {
            let ours: BTreeSet<&str> = ours.iter().copied().collect();
            for name in ours.difference(&theirs) {
                broken.push(format!(
                    "{} lists {name} in {what}, but the README of that sample does not say so",
                    cause.slug
                ));
            }
            for name in theirs.difference(&ours) {
                broken.push(format!("samples/{name}/README.md lists {}, but its `{what}` does not say so", cause.slug));
            }
            // The engine itself writes the note that has no rule.
            if ours.is_empty() && (!cause.rules.is_empty() || what == "hits") {
                broken.push(format!("{} has no sample among its {what}", cause.slug));
            }
        }
    }
    let known: BTreeSet<&str> = causes::ALL.iter().map(|cause| cause.slug).collect();
    for sample in &samples {
        let checked = sample.check.iter().flatten().chain(sample.traces.iter().map(|trace| &trace.stopped_by));
        let named = sample.hits.iter().chain(&sample.notes).chain(&sample.near_misses);
        for slug in named.chain(checked.filter(|slug| !slug.is_empty())) {
            if !known.contains(slug.as_str()) {
                broken.push(format!("samples/{}/README.md: no cause is called {slug}", sample.name));
            }
        }
    }
    fail_if_any("catalogue and samples", &broken);
}

#[test]
fn slugs_are_unique_and_causes_only_explain_known_ones() {
    let mut seen = BTreeSet::new();
    for cause in causes::ALL {
        assert!(seen.insert(cause.slug), "{} is registered twice", cause.slug);
    }
    let mut broken = Vec::new();
    for cause in causes::ALL {
        for (slug, _) in cause.explains {
            if !seen.contains(slug) {
                broken.push(format!("{} explains {slug}, which is not in the catalogue", cause.slug));
            }
        }
        let is_note = cause.severity == Severity::Info;
        for (what, text) in [("summary", cause.summary), ("mechanism", cause.mechanism), ("remedy", cause.remedy)] {
            if text.trim().is_empty() {
                broken.push(format!("{} has no {what}", cause.slug));
            }
        }
        if cause.verify.trim().is_empty() && !is_note {
            broken.push(format!("{} has no command that proves the fix", cause.slug));
        }
    }
    fail_if_any("the catalogue", &broken);
}

#[test]
fn signatures_point_to_causes_of_the_catalogue() {
    let known: BTreeSet<&str> = causes::ALL.iter().map(|cause| cause.slug).collect();
    let mut broken = Vec::new();
    for signature in meshwhy_parsers::signatures() {
        for slug in signature.points_to {
            if !known.contains(slug) {
                broken.push(format!("{} points to {slug}", signature.name));
            }
        }
    }
    fail_if_any("signatures point to unknown causes", &broken);
}

/// The index of all samples: what happened, and what each one proves.
#[test]
fn the_index_of_samples_is_current() {
    let samples = readable_samples();
    let mut index = String::from(
        "# Samples\n\n\
         Each folder holds an input as people save it, and what meshwhy says about it: `meshwhy replay samples/<name>/input`.\n\
         Written by `UPDATE_EXPECT=1 cargo test --test main golden`.\n\n\
         | sample | what happened | proves | looks like |\n|---|---|---|---|\n",
    );
    for sample in &samples {
        let checked = sample.check.iter().flatten().filter(|slug| !sample.hits.contains(slug));
        let hits = sample.hits.iter().chain(&sample.notes).chain(checked);
        let hits: Vec<String> = hits.map(|slug| format!("`{slug}`")).collect();
        let hits = if hits.is_empty() { "nothing to fix".to_string() } else { hits.join(", ") };
        let near_misses: Vec<String> = sample.near_misses.iter().map(|slug| format!("`{slug}`")).collect();
        index.push_str(&format!(
            "| [{0}]({0}/README.md) | {1} | {hits} | {2} |\n",
            sample.name,
            sample.title.trim_end_matches('.'),
            near_misses.join(", ")
        ));
    }
    let path = root().join("samples/README.md");
    if STRICT || std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::create_dir_all(root().join("samples")).expect("the folder can be made");
        expect_file![path].assert_eq(&index);
    }
}

/// Samples that say what `meshwhy replay` names.
fn replayed_samples() -> Vec<Sample> {
    readable_samples().into_iter().filter(|sample| sample.is_replayed).collect()
}

fn output(sample: &Sample, args: &[&str]) -> String {
    let output = sample.run(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}: {:?} {stderr}", sample.name, output.status);
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

/// Causes and notes of the summary record.
fn summary(sample: &Sample) -> (Vec<String>, Vec<String>) {
    let said = output(sample, &["replay", "--quiet", "--output", "ndjson", "input"]);
    let last = said.lines().last().expect("a summary comes last");
    let record: BTreeMap<String, Value> = serde_json::from_str(last).expect("a record");
    let list = |key: &str| -> Vec<String> {
        let slugs = record[key].as_array().expect("a list").iter();
        slugs.map(|slug| slug.as_str().expect("a slug").to_string()).collect()
    };
    (list("causes"), list("notes"))
}

/// Causes that `meshwhy check` decides from state alone.
const CHECKED: [&str; 12] = [
    "ca-cert-expired",
    "dataplane-mode-mismatch",
    "discovery-selectors",
    "eastwest-gateway-down",
    "eastwest-gateway-misconfigured",
    "eastwest-gateway-no-address",
    "istiod-env-incompatible",
    "istiod-remote-misaddressed",
    "istiod-remote-missing",
    "root-of-trust-mismatch",
    "stale-endpoint",
    "version-skew",
];

#[test]
fn a_check_names_what_a_sample_of_state_shows_and_nothing_else() {
    let samples: Vec<Sample> = readable_samples().into_iter().filter(|sample| sample.check.is_some()).collect();
    assert!(samples.len() > 40, "samples of state are read");
    let broken = each(&samples, |sample| {
        let run = sample.run(&["check", "--output", "ndjson", "input"]);
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        let summary: Value = serde_json::from_str(said.lines().last().unwrap_or("")).expect("a summary");
        let named: Vec<&str> = summary["causes"].as_array().expect("causes").iter().filter_map(Value::as_str).collect();
        let wanted: Vec<&str> = sample.check.iter().flatten().map(String::as_str).collect();
        let is_call = sample.traces.iter().all(|trace| {
            meshwhy::trace::From::parse(&trace.from).is_some() && meshwhy::trace::To::parse(&trace.to).is_some()
        });
        assert!(is_call, "{}: a call it names cannot be read", sample.name);
        let missed = wanted.iter().any(|slug| CHECKED.contains(slug) && !named.contains(slug));
        let blamed = named.iter().any(|slug| !wanted.contains(slug));
        (missed || blamed).then(|| format!("{}: must name {wanted:?} and names {named:?}", sample.name))
    });
    fail_if_any("checks of saved state", &broken.into_iter().flatten().collect::<Vec<_>>());
}
