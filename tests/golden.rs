//! Every sample says what its golden files say, names its hits and not its near misses.
//!
//! `UPDATE_EXPECT=1 cargo test --test main golden` writes the files; then the diff wants a reader.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{self, AssertUnwindSafe};

use expect_test::expect_file;
use meshwhy::causes;
use meshwhy::engine::cause::Severity;
use regex::Regex;
use serde_json::Value;

use crate::common::{Sample, each, fail_if_any, of_sample, readable_samples, root, told_of_state};

#[test]
fn each_sample_says_what_its_golden_files_say() {
    let samples = replayed_samples();
    let runs = each(&samples, |sample| {
        (output(sample, &["replay", "input"]), output(sample, &["replay", "--output", "ndjson", "input"]))
    });
    let mut differ = Vec::new();
    for (sample, (text, ndjson)) in samples.iter().zip(runs) {
        for (file, said) in [("expected.txt", text), ("expected.ndjson", ndjson)] {
            let path = sample.dir().join(file);
            // Those that hold state say most by `check`: few of them have golden files of `replay`.
            if !path.exists() && sample.check.is_some() {
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
    let named = each(&samples, named);
    let mut broken = Vec::new();
    for (sample, (causes, notes)) in samples.iter().zip(named) {
        let mut told = Vec::new();
        let said: Vec<String> = causes.iter().map(|(slug, confidence)| format!("{slug} {confidence}")).collect();
        let mut wrong = |what: String| told.push(format!("{what}; causes {said:?} notes {notes:?}"));
        // What is only possible where state speaks against it may stay beside the hits, and after them.
        let mut firm = causes.iter().filter(|(slug, word)| !(sample.possible.contains(slug) && word == "possible"));
        if firm.next().map(|(slug, _)| slug) != sample.hits.first() {
            wrong(format!("{:?} must come first", sample.hits.first().map_or("nothing", |slug| slug)));
        }
        for slug in sample.hits.iter().filter(|slug| !causes.iter().any(|(named, _)| named == *slug)) {
            wrong(format!("{slug} must be named"));
        }
        for slug in sample.notes.iter().filter(|slug| !notes.contains(slug)) {
            wrong(format!("{slug} must be noted"));
        }
        let is_named = |slug: &String| causes.iter().any(|(named, _)| named == slug) || notes.contains(slug);
        for slug in sample.near_misses.iter().filter(|slug| is_named(slug)) {
            wrong(format!("{slug} must not be named"));
        }
        for (slug, word) in causes.iter().filter(|(slug, word)| sample.possible.contains(slug) && word != "possible") {
            wrong(format!("{slug} must be possible at most and is {word}"));
        }
        broken.extend(of_sample("replay", &sample.name, told));
    }
    fail_if_any("what samples prove", &broken);
}

#[test]
fn state_samples_are_checked_and_traced_as_they_say() {
    let samples: Vec<Sample> = readable_samples().into_iter().filter(|sample| sample.check.is_some()).collect();
    assert!(samples.len() > 90, "samples of state are read");
    let broken = each(&samples, |sample| {
        let checked = of_sample("check", &sample.name, of_check(sample, "input"));
        [checked, of_sample("trace", &sample.name, of_trace(sample, "input"))].concat()
    });
    fail_if_any("check and trace of saved state", &broken.concat());
}

/// What is wrong with what `meshwhy check` says of a sample's state.
fn of_check(sample: &Sample, input: &str) -> Vec<String> {
    let wanted: BTreeSet<&str> = sample.check.iter().flatten().map(String::as_str).collect();
    let (told, _) = told_of_state(sample, &["check", "--output", "ndjson", input]);
    let failed: BTreeSet<&str> =
        told.iter().filter(|(outcome, _)| outcome == "fail").map(|(_, cause)| cause.as_str()).collect();
    // A healthy mesh is not warned of either.
    let is_wrong = failed != wanted || wanted.is_empty() && !told.is_empty();
    if is_wrong { vec![format!("check must name {wanted:?} and says {told:?}")] } else { Vec::new() }
}

/// What is wrong with what `meshwhy trace` says of a sample's calls.
fn of_trace(sample: &Sample, input: &str) -> Vec<String> {
    let calls = sample.traces.iter().filter_map(|trace| {
        let (_, cause) = told_of_state(sample, &["trace", &trace.from, &trace.to, "--output", "ndjson", input]);
        let wanted = if trace.stopped_by.is_empty() { "ok" } else { &*trace.stopped_by };
        (cause != wanted).then(|| format!("{} -> {} must name {wanted} and names {cause}", trace.from, trace.to))
    });
    calls.collect()
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
        let near_misses = listed(|sample| sample.near_misses.iter().chain(&sample.possible).collect());
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
        let named = sample.hits.iter().chain(&sample.notes).chain(&sample.near_misses).chain(&sample.possible);
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
        let near_misses = sample.near_misses.iter().chain(&sample.possible);
        let near_misses: Vec<String> = near_misses.map(|slug| format!("`{slug}`")).collect();
        index.push_str(&format!(
            "| [{0}]({0}/README.md) | {1} | {hits} | {2} |\n",
            sample.name,
            sample.title.trim_end_matches('.'),
            near_misses.join(", ")
        ));
    }
    let path = root().join("samples/README.md");
    expect_file![path].assert_eq(&index);
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

/// Open causes with their confidence, in order, each once, and notes.
fn named(sample: &Sample) -> (Vec<(String, String)>, Vec<String>) {
    let said = output(sample, &["replay", "--output", "ndjson", "input"]);
    let records: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    let list = |key: &str| -> Vec<String> {
        let summary = records.last().expect("a summary comes last");
        let slugs = summary[key].as_array().expect("a list").iter();
        slugs.map(|slug| slug.as_str().expect("a slug").to_string()).collect()
    };
    // What is said of a finding last stands.
    let findings = records.iter().filter(|record| record["type"] == "finding");
    let last: BTreeMap<&str, &Value> = findings.filter_map(|record| Some((record["id"].as_str()?, record))).collect();
    let confidence = |slug: &String| {
        let of_slug = last.values().filter(|record| record["cause"] == **slug);
        let words = of_slug.filter_map(|record| record["confidence"].as_str());
        let word = words.max_by_key(|word| ["possible", "likely", "certain"].iter().position(|known| known == word));
        (slug.clone(), word.unwrap_or_default().to_string())
    };
    (list("causes").iter().map(confidence).collect(), list("notes"))
}
