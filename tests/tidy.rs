//! Rules about the repository itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::common::{fail_if_any, meshwhy, root, samples, walk};

/// Our own sources, as paths from the repository's folder.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["src", "parsers/src", "tests", "benches"] {
        walk(&root().join(folder), &mut files);
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files.into_iter().map(|file| (relative(&file), read(&file))).collect()
}

/// Everything that is handed on: all files but what git leaves out.
fn everything() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = fs::read_dir(root()).expect("the repository can be listed");
    for entry in entries {
        let path = entry.expect("the repository can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match () {
            () if [".git", "target", ".ci"].contains(&name.as_str()) => {}
            () if path.is_dir() => walk(&path, &mut files),
            () => files.push(path),
        }
    }
    files.sort();
    files
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("it lies in the repository").to_string_lossy().replace('\\', "/")
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).expect("it can be read")).into_owned()
}

/// `| module | may import |` in ARCHITECTURE.md.
fn import_table() -> BTreeMap<String, Vec<String>> {
    let page = read(&root().join("ARCHITECTURE.md"));
    let rows = page.lines().skip_while(|line| !line.starts_with("| module | may import |")).skip(2);
    let mut table = BTreeMap::new();
    let word = Regex::new("`([a-z_]+)`").expect("a fixed pattern");
    for row in rows.take_while(|line| line.starts_with('|')) {
        let mut cells = row.trim_matches('|').split('|');
        let names = |cell: Option<&str>| -> Vec<String> {
            word.captures_iter(cell.unwrap_or("")).map(|found| found[1].to_string()).collect()
        };
        let modules = names(cells.next());
        let may = names(cells.next());
        for module in modules {
            table.insert(module, may.clone());
        }
    }
    table
}

#[test]
fn modules_import_only_whom_the_table_allows() {
    let table = import_table();
    assert!(table.len() >= 8, "ARCHITECTURE.md has no table of imports: {table:?}");
    let path = Regex::new(r"\bcrate::([a-z_]+)").expect("a fixed pattern");
    let group = Regex::new(r"\buse crate::\{([^;]+)\};").expect("a fixed pattern");
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let Some(rest) = file.strip_prefix("src/") else { continue };
        let module = rest.split(['/', '.']).next().unwrap_or("");
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let Some(may) = table.get(module) else {
            broken.push(format!("{file}: the table of imports does not know `{module}`"));
            continue;
        };
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let mut used: Vec<String> = path.captures_iter(&code).map(|found| found[1].to_string()).collect();
        for found in group.captures_iter(&code) {
            used.extend(found[1].split(',').map(|name| name.trim().split("::").next().unwrap_or("").to_string()));
        }
        used.sort();
        used.dedup();
        for other in used.iter().filter(|other| *other != module && !other.is_empty() && !may.contains(other)) {
            broken.push(format!("{file}: `{module}` may not import `{other}`"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_parsers_import_nothing_of_ours() {
    let manifest = read(&root().join("parsers/Cargo.toml"));
    assert!(!manifest.contains("path ="), "parsers/Cargo.toml depends on a crate of ours");
}

#[test]
fn no_test_is_ignored() {
    let mark = concat!("#[", "ignore");
    let broken: Vec<String> =
        sources().into_iter().filter(|(_, text)| text.contains(mark)).map(|(file, _)| file).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn nothing_is_left_to_do_in_the_code() {
    let marks = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("FIX", "ME"),
        concat!("TO", "DO:"),
        concat!("dbg", "!("),
    ];
    let mut broken = Vec::new();
    for (file, text) in sources() {
        for mark in marks.iter().filter(|mark| text.contains(**mark)) {
            broken.push(format!("{file}: {mark}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_path_of_a_machine_is_in_the_repository() {
    let marks = [
        concat!("/wo", "rk/"),
        concat!("/sha", "red/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
        concat!("C:", "\\Users"),
    ];
    let mut broken = Vec::new();
    for path in everything() {
        let text = read(&path);
        for mark in marks.iter().filter(|mark| text.contains(**mark)) {
            broken.push(format!("{}: {mark}", relative(&path)));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_file_is_large() {
    const BYTES_MAX: u64 = 512 << 10;
    let large = |path: &PathBuf| fs::metadata(path).is_ok_and(|data| data.len() > BYTES_MAX);
    let broken: Vec<String> = everything().into_iter().filter(large).map(|path| relative(&path)).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn every_source_file_opens_with_a_sentence() {
    let broken: Vec<String> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(file, _)| file).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn every_limit_is_documented() {
    let limit = Regex::new(r"^\s*(?:pub(?:\([a-z]+\))? )?const ([A-Z_]+_MAX): ").expect("a fixed pattern");
    let mut broken = Vec::new();
    for (file, text) in sources() {
        // In a function the name says it all.
        let top_level = |line: &str| !line.starts_with(' ');
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| top_level(line)) {
            let Some(found) = limit.captures(line) else { continue };
            let is_told = at > 0 && lines[at - 1].trim_start().starts_with("///");
            if !is_told && file.contains("src/") {
                broken.push(format!("{file}: {}", &found[1]));
            }
        }
    }
    assert!(broken.is_empty(), "limits without a sentence that says what they bound:\n{}", broken.join("\n"));
}

#[test]
fn every_sample_has_a_readme_in_form() {
    fail_if_any("samples", &samples().1);
}

#[test]
fn what_the_readme_names_exists() {
    let readme = read(&root().join("README.md"));
    let named = Regex::new(r"`?(samples/[a-z0-9-]+)").expect("a fixed pattern");
    let mut broken = Vec::new();
    for found in named.captures_iter(&readme) {
        let path = found[1].to_string();
        if path != "samples/" && !root().join(&path).exists() {
            broken.push(path);
        }
    }
    fail_if_any("README.md names what is not there", &broken);
}

#[test]
fn what_the_readme_shows_is_what_is_printed() {
    let readme = read(&root().join("README.md"));
    let shown = Regex::new(r"(?s)```console\n\$ meshwhy ([^\n]+)\n(.*?)```").expect("a fixed pattern");
    let mut broken = vec!["shows no output".to_string()];
    for found in shown.captures_iter(&readme) {
        broken.retain(|what| what != "shows no output");
        let run = meshwhy().current_dir(root()).args(found[1].split(' ')).output().expect("the program starts");
        let printed = String::from_utf8_lossy(&run.stdout);
        if printed.trim_end() != found[2].trim_end() {
            broken.push(format!("`meshwhy {}` prints\n{printed}", &found[1]));
        }
    }
    fail_if_any("README.md", &broken);
}

#[test]
fn the_tree_in_the_architecture_is_the_tree() {
    let page = read(&root().join("ARCHITECTURE.md"));
    let mut broken = Vec::new();
    for (file, _) in sources() {
        let name = file.rsplit('/').next().unwrap_or("");
        let folder = file.rsplit('/').nth(1).unwrap_or("");
        // Causes are listed by `meshwhy causes`; small parts of a file are named by their folder.
        let is_part = folder == "causes" || !["src", "inputs", "engine", "outputs", "tests"].contains(&folder);
        if !is_part && !page.contains(name) {
            broken.push(file);
        }
    }
    fail_if_any("ARCHITECTURE.md does not name", &broken);
}
