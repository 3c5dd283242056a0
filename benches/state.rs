//! What reading state costs: a large config dump beside skipping its bytes as JSON, and whole runs over large meshes.
//!
//! `MESHWHY_BENCH_DIR` keeps what is read between runs.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use meshwhy_parsers::document::{self, Found};
use meshwhy_parsers::event::Fact;
use meshwhy_parsers::state::State;
use serde::de::IgnoredAny;

use crate::compare;
use crate::made::{self, Notation, Size};

/// How often the dump is skipped and read, in turns.
const ROUNDS: usize = 7;

/// Prints all of it.
pub fn print() {
    let temporary = tempfile::tempdir().expect("a folder");
    let kept = std::env::var_os("MESHWHY_BENCH_DIR").map(PathBuf::from);
    let root = kept.unwrap_or_else(|| temporary.path().to_path_buf());
    let folder = root.join("dump/east/proxies/shop-1/web-5bcc9697c6-x2lqf");
    let file = folder.join("config_dump.json");
    if !file.exists() {
        fs::create_dir_all(&folder).expect("room for the dump");
        fs::write(&file, made::dump()).expect("room for the dump");
    }
    dump(&fs::read(&file).expect("the dump"));
    check("check of its folder", &root.join("dump"));
    let sizes = [
        ("5,000 services with 4 pods", Size { services: 5_000, pods_each: 4 }),
        ("5,000 services with 10 pods", Size { services: 5_000, pods_each: 10 }),
    ];
    for (name, size) in sizes {
        for notation in [Notation::Json, Notation::Yaml] {
            let folder = root.join(format!("mesh-{}-{}-{notation:?}", size.services, size.pods_each));
            if !folder.exists() {
                made::mesh(&folder, size, notation).expect("room for the mesh");
            }
            println!("\ntwo clusters, each {name}, as {notation:?}: {} MiB", bytes(&folder) >> 20);
            check("check", &folder);
            compare::measure("replay", &[env!("CARGO_BIN_EXE_meshwhy"), "replay", compare::path(&folder)]);
        }
    }
}

fn check(name: &str, folder: &std::path::Path) {
    compare::measure(name, &[env!("CARGO_BIN_EXE_meshwhy"), "check", compare::path(folder)]);
}

fn bytes(folder: &std::path::Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.map(|path| if path.is_dir() { bytes(&path) } else { fs::metadata(path).map_or(0, |meta| meta.len()) }).sum()
}

/// Skips and reads the dump in turns, so that whatever else the machine does slows both.
fn dump(dump: &[u8]) {
    let mut rounds: Vec<(f64, f64)> = Vec::new();
    for _ in 0..ROUNDS {
        let skip = cpu(|| {
            serde_json::from_slice::<IgnoredAny>(dump).expect("a dump is JSON");
        });
        let read = cpu(|| {
            let document = document::read(dump, Found::default()).expect("known").expect("readable");
            let [(_, Fact::State(state))] = &document.facts[..] else { panic!("one state") };
            let State::Proxy(proxy) = &**state else { panic!("a proxy") };
            assert_eq!(proxy.endpoints.as_ref().map(Vec::len), Some(made::SERVICES * made::ENDPOINTS_EACH));
            assert!(document.losses.is_empty(), "{:?}", document.losses);
        });
        rounds.push((skip, read));
    }
    rounds.sort_by(|one, other| (one.1 / one.0).total_cmp(&(other.1 / other.0)));
    let (skip, read) = rounds[ROUNDS / 2];
    println!(
        "config dump of {} MiB, {} endpoints: read in {read:.3} CPU seconds, skipped in {skip:.3}: {:.1} times as long (median of {ROUNDS})",
        dump.len() >> 20,
        made::SERVICES * made::ENDPOINTS_EACH,
        read / skip
    );
}

/// Seconds this thread was on a processor; elapsed ones where the system does not tell.
fn cpu(work: impl FnOnce()) -> f64 {
    let on_cpu = || -> Option<f64> {
        let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(told.split(' ').next()?.parse::<f64>().ok()? / 1e9)
    };
    let (before, begun) = (on_cpu(), Instant::now());
    work();
    before.zip(on_cpu()).map_or(begun.elapsed().as_secs_f64(), |(before, after)| after - before)
}
