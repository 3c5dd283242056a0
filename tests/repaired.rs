//! What is broken in a sample's state is not found any more once it is repaired. `repair.patch` beside the input holds
//! what was repaired, and what state says of it then, as `diff -u` writes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::common::{Sample, each, fail_if_any, of_sample, readable_samples, told_of_state, walk};

#[test]
fn a_repaired_mesh_yields_no_finding() {
    let samples: Vec<Sample> = broken_samples().into_iter().filter(|sample| patch(sample).is_some()).collect();
    assert!(samples.len() > 40, "samples are repaired");
    let broken = each(&samples, |sample| {
        let folder = tempfile::tempdir().expect("a folder for the repaired files");
        let patch = patch(sample).expect("it has one");
        for (path, text) in patched(files(sample), &patch) {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("the folder can be made");
            fs::write(path, text).expect("the file can be written");
        }
        let input = folder.path().join("input").display().to_string();
        let mut broken = Vec::new();
        let (told, found) = told_of_state(sample, &["check", "--output", "ndjson", &input]);
        let failed: Vec<_> = told.iter().filter(|(outcome, _)| outcome == "fail").collect();
        if !failed.is_empty() || !["ok", "nothing"].contains(&&*found) {
            broken.push(format!("repaired, check finds {found} and says {failed:?}"));
        }
        for trace in &sample.traces {
            let (_, found) = told_of_state(sample, &["trace", &trace.from, &trace.to, "--output", "ndjson", &input]);
            if found != "ok" {
                broken.push(format!("repaired, {} -> {} says {found}", trace.from, trace.to));
            }
        }
        of_sample("repaired", &sample.name, broken)
    });
    fail_if_any("repaired meshes", &broken.concat());
}

#[test]
fn each_broken_mesh_has_a_repaired_twin() {
    // A sample of lines and state has its twin beside it: the same lines with other state.
    let alone = broken_samples().into_iter().filter(|sample| !sample.name.starts_with("state-joined-"));
    let without: Vec<String> = alone
        .filter(|sample| patch(sample).is_none())
        .map(|sample| format!("{}: no repair.patch", sample.name))
        .collect();
    fail_if_any("repaired twins", &without);
}

/// Samples whose state shows a cause.
fn broken_samples() -> Vec<Sample> {
    let shows = |sample: &Sample| sample.check.as_ref().is_some_and(|check| !check.is_empty());
    readable_samples().into_iter().filter(shows).collect()
}

fn patch(sample: &Sample) -> Option<String> {
    fs::read_to_string(sample.dir().join("repair.patch")).ok()
}

/// The input: path relative to the sample, text.
fn files(sample: &Sample) -> BTreeMap<String, String> {
    let mut paths = Vec::new();
    walk(&sample.dir().join("input"), &mut paths);
    let relative = |path: &Path| path.strip_prefix(sample.dir()).expect("it lies there").display().to_string();
    paths.iter().map(|path| (relative(path), fs::read_to_string(path).expect("a text"))).collect()
}

/// Applies what `diff -u` writes. Panics where it does not fit.
fn patched(mut files: BTreeMap<String, String>, patch: &str) -> BTreeMap<String, String> {
    for part in patch.split("\n--- ").map(|part| part.strip_prefix("--- ").unwrap_or(part)) {
        let mut lines = part.lines();
        let from = lines.next().expect("the file as it was").trim();
        let to = lines.next().and_then(|line| line.strip_prefix("+++ ")).expect("the file as it is").trim();
        let was = files.remove(from).unwrap_or_default();
        let mut old = was.split_inclusive('\n');
        let (mut new, mut at, mut added) = (String::new(), 1, false);
        for line in lines {
            if let Some(hunk) = line.strip_prefix("@@ -") {
                let start: usize = hunk.split([',', ' ']).next().and_then(|at| at.parse().ok()).expect("a line number");
                // Of a hunk without old lines, the number is that of the line before it.
                let start =
                    if hunk.split(' ').next().is_some_and(|old| old.ends_with(",0")) { start + 1 } else { start };
                new.extend(old.by_ref().take(start - at));
                at = start;
            } else if let Some(text) = line.strip_prefix('+') {
                new.push_str(text);
                new.push('\n');
                added = true;
            } else if line.starts_with('\\') {
                // The line before it has no end.
                if added {
                    new.pop();
                }
            } else {
                let there = old.next().unwrap_or_default();
                assert_eq!(there.trim_end_matches('\n'), &line[1..], "{from} at line {at}");
                at += 1;
                added = false;
                if line.starts_with(' ') {
                    new.push_str(there);
                }
            }
        }
        new.extend(old);
        if to != "/dev/null" {
            files.insert(to.to_string(), new);
        }
    }
    files
}

#[test]
fn a_patch_changes_adds_and_removes() {
    let files = BTreeMap::from([("a".to_string(), "1\n2\n3\n4".to_string()), ("b".to_string(), "x\n".to_string())]);
    let patch = "--- a\n+++ a\n@@ -1,2 +1,2 @@\n 1\n-2\n+two\n@@ -4 +4,2 @@\n-4\n\\ No newline at end of file\n+4\n+5\n\\ No newline at end of file\n--- b\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n--- /dev/null\n+++ c\n@@ -0,0 +1 @@\n+new\n";
    let expected =
        BTreeMap::from([("a".to_string(), "1\ntwo\n3\n4\n5".to_string()), ("c".to_string(), "new\n".to_string())]);
    assert_eq!(patched(files, patch), expected);
}
