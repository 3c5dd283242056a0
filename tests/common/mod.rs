//! The samples, runs of the program over them, and seeded random numbers.

pub mod envoy;
pub mod kube_api;
pub mod peers;
pub mod tls;
pub mod wire;
pub mod xds_server;

pub use meshwhy_parsers::cert::to_base64 as base64;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::thread;

use serde_json::Value;

/// A scenario with a known cause.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Name of its folder.
    pub name: String,
    /// First line of its README.
    pub title: String,
    /// `composed`, `re-enacted` or `captured`.
    pub kind: String,
    /// Versions of what printed it.
    pub versions: String,
    /// Causes it proves, the first one first; empty for `none`.
    pub hits: Vec<String>,
    /// Whether it says what `meshwhy replay` names. A sample of state alone speaks of `check` and `trace` only.
    pub is_replayed: bool,
    /// Causes it only looks like: they are not named at all.
    pub near_misses: Vec<String>,
    /// Causes that lines suggest and the state beside them speaks against: named as possible at most.
    pub possible: Vec<String>,
    /// Notes it proves.
    pub notes: Vec<String>,
    /// What `meshwhy check` names as failed; `None` where the sample says nothing about it, empty for a healthy mesh.
    pub check: Option<Vec<String>>,
    /// Calls, and what `meshwhy trace` says of each.
    pub traces: Vec<Trace>,
    /// What happened.
    pub story: String,
}

/// A call that a sample speaks of: `east/sleep.sample helloworld.sample:5000 -> crossnetwork-port-blocked`.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Who calls.
    pub from: String,
    /// What is called.
    pub to: String,
    /// The cause that stops the call; empty where nothing does (`ok`).
    pub stopped_by: String,
}

impl Sample {
    /// Its folder.
    pub fn dir(&self) -> PathBuf {
        root().join("samples").join(&self.name)
    }

    /// The files of its input, sorted, relative to its folder.
    pub fn files(&self) -> Vec<PathBuf> {
        let dir = self.dir();
        let mut files = Vec::new();
        walk(&dir.join("input"), &mut files);
        files.iter().map(|file| file.strip_prefix(&dir).expect("it lies in its folder").to_path_buf()).collect()
    }

    /// Runs the program in its folder, so that places are told relative to it.
    pub fn run(&self, args: &[&str]) -> Output {
        meshwhy().current_dir(self.dir()).args(args).output().expect("the program starts")
    }
}

/// The folder of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program, untouched by the environment of whoever runs the tests.
pub fn meshwhy() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshwhy"));
    for name in ["NO_COLOR", "MESHWHY_OUTPUT", "MESHWHY_THREADS", "MESHWHY_COLOR", "MESHWHY_SIGNATURES", "COLUMNS"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the program with this on its standard input.
pub fn meshwhy_reading(input: &[u8], args: &[&str]) -> Output {
    let mut child = meshwhy()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut pipe = child.stdin.take().expect("it was asked for");
    let input = input.to_vec();
    // Apart, or a program that prints before it has read all would wait for us and we for it.
    let writer = thread::spawn(move || pipe.write_all(&input));
    let output = child.wait_with_output().expect("the program ends");
    let _ = writer.join().expect("writing does not panic");
    output
}

/// Every sample whose README is in form, by name; and what is wrong with the others.
pub fn samples() -> (Vec<Sample>, Vec<String>) {
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    let Ok(folders) = fs::read_dir(root().join("samples")) else { return (good, wrong) };
    let mut names: Vec<String> = folders
        .map(|entry| entry.expect("the folder can be listed"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    for name in names {
        match sample(&name) {
            Ok(sample) => good.push(sample),
            Err(error) => wrong.push(error),
        }
    }
    (good, wrong)
}

/// Every sample whose README is in form; `tidy` tells the others.
pub fn readable_samples() -> Vec<Sample> {
    samples().0
}

fn sample(name: &str) -> Result<Sample, String> {
    let path = root().join("samples").join(name).join("README.md");
    let wrong = |what: &str| format!("samples/{name}/README.md: {what}");
    let text = fs::read_to_string(&path).map_err(|error| wrong(&error.to_string()))?;
    let mut lines = text.lines();
    let title = lines.next().and_then(|line| line.strip_prefix("# ")).ok_or_else(|| wrong("begins with `# title`"))?;
    if lines.next() != Some("") {
        return Err(wrong("an empty line follows the title"));
    }
    let mut sample = Sample { name: name.to_string(), title: title.to_string(), ..Sample::default() };
    let slugs = |value: &str| match value {
        "none" => Vec::new(),
        value => value.split(',').map(|slug| slug.trim().to_string()).collect(),
    };
    let mut keys = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let (key, value) = line.split_once(": ").ok_or_else(|| wrong(&format!("{line:?} is no `key: value`")))?;
        match key {
            "kind" => sample.kind = value.to_string(),
            "versions" => sample.versions = value.to_string(),
            "hits" => (sample.hits, sample.is_replayed) = (slugs(value), true),
            "near-misses" => sample.near_misses = slugs(value),
            "possible" => sample.possible = slugs(value),
            "notes" => sample.notes = slugs(value),
            "check" => sample.check = Some(slugs(value)),
            "trace" => sample.traces.push(trace(value).ok_or_else(|| wrong("trace is `FROM TO -> slug or ok`"))?),
            _ => {
                let keys = "kind, versions, hits, near-misses, possible, notes, check, trace";
                return Err(wrong(&format!("{key:?} is none of {keys}")));
            }
        }
        keys.push(key);
    }
    for key in ["kind", "versions"] {
        if !keys.contains(&key) {
            return Err(wrong(&format!("says no {key}")));
        }
    }
    if !sample.is_replayed && sample.check.is_none() {
        return Err(wrong("says neither hits nor check"));
    }
    if !["composed", "re-enacted", "captured"].contains(&&*sample.kind) {
        return Err(wrong("kind is composed, re-enacted or captured"));
    }
    sample.story = lines.collect::<Vec<_>>().join("\n").trim().to_string();
    if sample.story.is_empty() {
        return Err(wrong("tells no story"));
    }
    if sample.files().is_empty() {
        return Err(wrong("has no input"));
    }
    Ok(sample)
}

/// `FROM TO -> slug`, or `-> ok`.
fn trace(value: &str) -> Option<Trace> {
    let (call, said) = value.split_once(" -> ")?;
    let (from, to) = call.split_once(' ')?;
    let stopped_by = if said == "ok" { "" } else { said };
    Some(Trace { from: from.to_string(), to: to.to_string(), stopped_by: stopped_by.to_string() })
}

/// All files below a folder, sorted.
pub fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder can be listed").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

/// Does something to each of many, on as many threads as there are cores; results in order.
pub fn each<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = Mutex::new(0usize);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = {
                        let mut next = next.lock().expect("no thread panics while it holds this");
                        *next += 1;
                        *next - 1
                    };
                    let Some(one) = all.get(at) else { return };
                    let result = work(one);
                    done.lock().expect("no thread panics while it holds this").push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("all threads ended well");
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The seed of this run: always the same one, unless `MESHWHY_SEED` sets another. Messages print it.
pub fn seed() -> u64 {
    std::env::var("MESHWHY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_301)
}

/// Seeded random numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Puts a list into random order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at + 1));
        }
    }
}

/// What is wrong with what a command says of a sample, with both their names.
pub fn of_sample(command: &str, sample: &str, broken: Vec<String>) -> Vec<String> {
    broken.into_iter().map(|what| format!("{command} {sample}: {what}")).collect()
}

/// What a command says of a sample's state, as NDJSON: each check that failed or warned as `(outcome, cause)`, and the
/// first cause that was found, `ok` where no hop of a call fails.
pub fn told_of_state(sample: &Sample, args: &[&str]) -> (Vec<(String, String)>, String) {
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
    let walked = of_type("trace").first().is_some_and(|trace| {
        let mut hops = trace["hops"].as_array().into_iter().flatten();
        hops.all(|hop| hop["outcome"] != "fail")
    });
    let first = of_type("finding").first().map(|record| text(record, "cause"));
    (checks.collect(), first.unwrap_or_else(|| (if walked { "ok" } else { "nothing" }).to_string()))
}

/// Fails with all of these.
pub fn fail_if_any(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}
