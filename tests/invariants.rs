//! What must not change the output: how bytes are cut, in which order files come, threads, the scan.

use std::fs;
use std::sync::Arc;

use meshwhy::causes;
use meshwhy::engine::{Engine, Limits};
use meshwhy_parsers::event::{Arrival, Line};
use meshwhy_parsers::frame::{Framer, Scan};
use meshwhy_parsers::origin::Origin;

use crate::common::{Random, Sample, each, meshwhy_reading, readable_samples, seed};

fn told(sample: &Sample, args: &[&str]) -> (Option<i32>, String) {
    let run = sample.run(args);
    (run.status.code(), String::from_utf8_lossy(&run.stdout).into_owned())
}

/// Samples for which a run with other flags says something else.
fn differing(base: &[&str], other: &[&str]) -> Vec<String> {
    let samples = readable_samples();
    let differs = each(&samples, |sample| told(sample, base) != told(sample, other));
    samples.into_iter().zip(differs).filter(|(_, differs)| *differs).map(|(sample, _)| sample.name).collect()
}

#[test]
fn the_scan_skips_only_what_cannot_matter() {
    let base = ["replay", "--output", "ndjson", "--events", "input"];
    let other = ["replay", "--output", "ndjson", "--events", "--no-scan", "input"];
    let none: Vec<String> = Vec::new();
    assert_eq!(differing(&base, &other), none);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let base = ["replay", "--output", "ndjson", "--threads", "1", "input"];
    let other = ["replay", "--output", "ndjson", "--threads", "4", "input"];
    let none: Vec<String> = Vec::new();
    assert_eq!(differing(&base, &other), none);
}

#[test]
fn a_healthy_mesh_of_which_only_a_part_was_saved_blames_nobody() {
    const PARTS: usize = 6;
    let is_healthy = |sample: &Sample| {
        sample.check.as_ref().is_some_and(Vec::is_empty) && sample.possible.is_empty() && sample.hits.is_empty()
    };
    let healthy: Vec<Sample> = readable_samples().into_iter().filter(is_healthy).collect();
    assert!(healthy.len() > 8, "healthy meshes are among the samples");
    let seed = seed();
    let blamed = each(&healthy, |sample| {
        let mut random = Random(seed);
        let parts = (0..PARTS).filter_map(|_| {
            let mut files: Vec<String> =
                sample.files().iter().map(|file| file.to_str().expect("UTF-8 names").to_string()).collect();
            random.shuffle(&mut files);
            files.truncate(1 + random.below(files.len()));
            let mut args = vec!["check", "--output", "ndjson"];
            args.extend(files.iter().map(String::as_str));
            let (_, said) = told(sample, &args);
            let blames = |line: &&str| line.contains(r#""outcome":"fail""#);
            said.lines().find(blames).map(|line| format!("{} of {files:?}: {line}", sample.name))
        });
        parts.collect::<Vec<String>>()
    });
    let blamed = blamed.concat();
    assert!(blamed.is_empty(), "seed {seed}: {}", blamed.join("\n"));
}

#[test]
fn the_order_in_which_files_are_named_changes_nothing() {
    let samples = readable_samples();
    let seed = seed();
    let broken = each(&samples, |sample| {
        let mut random = Random(seed);
        let mut files: Vec<String> =
            sample.files().iter().map(|file| file.to_str().expect("UTF-8 names").to_string()).collect();
        let run = |files: &[String]| {
            let mut args = vec!["replay", "--output", "ndjson"];
            args.extend(files.iter().map(String::as_str));
            told(sample, &args)
        };
        let first = run(&files);
        random.shuffle(&mut files);
        (run(&files) != first).then(|| sample.name.clone())
    });
    let broken: Vec<String> = broken.into_iter().flatten().collect();
    assert!(broken.is_empty(), "seed {seed}: {broken:?}");
}

#[test]
fn standard_input_is_read_like_a_file() {
    let samples: Vec<Sample> = readable_samples().into_iter().filter(|sample| sample.files().len() == 1).collect();
    let broken = each(&samples, |sample| {
        let bytes = fs::read(sample.dir().join(&sample.files()[0])).expect("a file of the sample");
        // A path can tell cluster, pod and role; standard input has none, so neither has this copy.
        let folder = tempfile::tempdir().expect("a temporary folder");
        let copy = folder.path().join("-.log");
        fs::write(&copy, &bytes).expect("it can be written");
        let name = copy.to_str().expect("UTF-8 names");
        let cluster = format!("here={name}");
        let from_file = told(sample, &["replay", "--quiet", "--output", "ndjson", "--cluster", &cluster, name]);
        let piped = meshwhy_reading(&bytes, &["replay", "--quiet", "--output", "ndjson", "--cluster", "here=-", "-"]);
        let piped = (piped.status.code(), String::from_utf8_lossy(&piped.stdout).into_owned());
        (piped != from_file).then(|| format!("{}:\n{}\n{}", sample.name, from_file.1, piped.1))
    });
    let broken: Vec<String> = broken.into_iter().flatten().collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn records_are_the_same_however_the_bytes_are_cut() {
    let samples = readable_samples();
    let seed = seed();
    let broken = each(&samples, |sample| {
        let mut random = Random(seed);
        let mut broken = Vec::new();
        for file in sample.files() {
            let bytes = fs::read(sample.dir().join(&file)).expect("a file of the sample");
            for scan in [Scan::On, Scan::Off] {
                let whole = framed(&bytes, scan, &mut |_| bytes.len().max(1));
                let cut = framed(&bytes, scan, &mut |left| 1 + random.below(left.min(200)));
                if whole != cut {
                    broken.push(format!("samples/{}/{} with {scan:?}", sample.name, file.display()));
                }
            }
        }
        broken
    });
    assert!(broken.concat().is_empty(), "seed {seed}: {:?}", broken.concat());
}

#[test]
fn broken_bytes_break_nothing() {
    let samples = readable_samples();
    let seed = seed();
    each(&samples, |sample| {
        let mut random = Random(seed);
        for file in sample.files() {
            let mut bytes = fs::read(sample.dir().join(&file)).expect("a file of the sample");
            for _ in 0..bytes.len() / 40 {
                let at = random.below(bytes.len());
                match random.below(4) {
                    0 => bytes[at] = random.below(256) as u8,
                    1 => drop(bytes.drain(at..(at + random.below(30)).min(bytes.len()))),
                    2 => bytes.insert(at, b"\"{[=:\t\n\\\xff"[random.below(9)]),
                    _ => bytes[at] = b"0 -|."[random.below(5)],
                }
                if bytes.is_empty() {
                    break;
                }
            }
            let mut engine = Engine::presorted(causes::ALL.to_vec(), Limits::default());
            for line in framed(&bytes, Scan::Off, &mut |left| left) {
                engine.feed(Arrival::Item(meshwhy_parsers::parse(&line)));
            }
            engine.finish();
            let disabled = &engine.stats().causes_disabled;
            assert!(disabled.is_empty(), "seed {seed}: {disabled:?} panicked over samples/{}", sample.name);
        }
    });
}

fn framed(bytes: &[u8], scan: Scan, cut: &mut dyn FnMut(usize) -> usize) -> Vec<Line> {
    let mut framer = Framer::new(Arc::new(Origin::new("here", "file")), scan);
    let mut all = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(cut(rest.len()).min(rest.len()));
        framer.push(now, &mut |framed| all.push(framed));
        rest = later;
    }
    framer.finish(&mut |framed| all.push(framed));
    all
}
