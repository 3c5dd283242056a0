//! meshwhy beside grep and jq on the same logs: CPU time, wall time and memory.
//!
//! `MESHWHY_BENCH_MIB` sets the size of the corpus (64 where unset); `MESHWHY_BENCH_DIR` keeps it there between runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::corpus::{self, Format, Trouble};

/// What one run cost.
#[derive(Clone, Copy)]
pub struct Cost {
    cpu: f64,
    wall: f64,
    rss_mib: f64,
}

/// Prints the comparison.
pub fn print() {
    let mib: u64 = std::env::var("MESHWHY_BENCH_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(64);
    let temporary = tempfile::tempdir().expect("a folder");
    let kept = std::env::var_os("MESHWHY_BENCH_DIR").map(PathBuf::from);
    let root = kept.unwrap_or_else(|| temporary.path().to_path_buf());
    println!("corpus of {mib} MiB: ztunnel text, ztunnel JSON, istiod, Envoy access, a quarter each");
    for trouble in [Trouble::Some, Trouble::Everywhere] {
        let folder = root.join(format!("{trouble:?}-{mib}"));
        if !folder.exists() {
            corpus::write(&folder, mib << 20, trouble).expect("room for the corpus");
        }
        println!("\ntrouble: {trouble:?}");
        compare(&folder);
    }
}

fn compare(folder: &Path) {
    let json = folder.join(Format::ZtunnelJson.path());
    let one = measure("meshwhy, one thread", &meshwhy(&["--threads", "1"], folder));
    let two = measure("meshwhy, two threads", &meshwhy(&["--threads", "2"], folder));
    let json_one = measure("meshwhy, one thread, JSON", &meshwhy(&["--threads", "1"], &json));
    let words =
        "connection timed out|Failed to add remote cluster|CERTIFICATE_VERIFY_FAILED|unknown certificate authority";
    let rg = measure("rg -c -j1", &["rg", "-c", "-j1", "-e", words, path(folder)]);
    let jq = measure("jq, JSON", &["jq", "-c", "select(.level==\"error\")", path(&json)]);
    let (Some(one), Some(two), Some(json_one)) = (one, two, json_one) else { return };
    println!("two threads are {:.2} times as fast as one", one.wall / two.wall);
    println!("largest memory: {:.0} MiB", one.rss_mib.max(two.rss_mib));
    if let Some(rg) = rg {
        println!("{:.1} times the CPU time of rg", one.cpu / rg.cpu);
    }
    if let Some(jq) = jq {
        println!("{:.1} times less CPU time than jq on the JSON log", jq.cpu / json_one.cpu);
    }
}

/// A path as a word of a command.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("a path of our own")
}

fn meshwhy<'a>(flags: &[&'a str], input: &'a Path) -> Vec<&'a str> {
    let mut words = vec![env!("CARGO_BIN_EXE_meshwhy"), "replay", "--output", "ndjson"];
    words.extend(flags);
    words.push(path(input));
    words
}

/// Prints what the best of three runs cost; `None` where the program is not installed.
pub fn measure(name: &str, words: &[&str]) -> Option<Cost> {
    let runs: Option<Vec<Cost>> = (0..3).map(|_| run(words)).collect();
    let Some(runs) = runs else {
        println!("{name:28} not installed");
        return None;
    };
    let least = |of: fn(&Cost) -> f64| runs.iter().map(of).fold(f64::INFINITY, f64::min);
    let cost = Cost {
        cpu: least(|cost| cost.cpu),
        wall: least(|cost| cost.wall),
        rss_mib: runs.iter().map(|cost| cost.rss_mib).fold(0.0, f64::max),
    };
    println!("{name:28} {:7.2} s CPU {:7.2} s wall {:6.0} MiB", cost.cpu, cost.wall, cost.rss_mib);
    Some(cost)
}

/// Runs a program and reads from `/proc` what it used: CPU time stays readable until the parent asks how it ended.
fn run(words: &[&str]) -> Option<Cost> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let begun = Instant::now();
    let null = Stdio::null;
    let mut child =
        Command::new(words[0]).args(&words[1..]).stdin(null()).stdout(null()).stderr(null()).spawn().ok()?;
    let proc = PathBuf::from(format!("/proc/{}", child.id()));
    let mut rss_mib = 0.0;
    loop {
        let status = fs::read_to_string(proc.join("status")).ok()?;
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        rss_mib = peak.map_or(rss_mib, |kib: f64| kib / 1_024.0);
        let stat = fs::read_to_string(proc.join("stat")).ok()?;
        let columns: Vec<&str> = stat.rsplit(") ").next()?.split(' ').collect();
        if columns[0] == "Z" {
            let wall = begun.elapsed().as_secs_f64();
            let ticks: f64 = columns[11..13].iter().filter_map(|column| column.parse::<f64>().ok()).sum();
            child.wait().ok()?;
            return Some(Cost { cpu: ticks / TICKS_PER_SECOND, wall, rss_mib });
        }
        thread::sleep(Duration::from_millis(2));
    }
}
