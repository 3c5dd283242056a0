//! `istioctl proxy-config ... -o yaml`: the same parts as in JSON.

use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy};

use super::fold::Fold;
use super::json::{self, Form};

/// Deepest nesting read. Filters of a listener reach about 40.
const DEPTH_MAX: usize = 128;
/// Most nodes of one item: a listener of a big gateway has some hundred thousand.
const NODES_MAX: usize = 8_000_000;

/// Reads a list of parts, each by itself, or a part, or a dump.
pub(super) fn read(text: &str, fold: &mut Fold) -> Result<(), String> {
    let text = text.trim_start().strip_prefix("---\n").unwrap_or(text);
    if !text.trim_start().starts_with("- ") {
        return part(text, 0, fold);
    }
    let mut begin = None;
    let (mut at, mut number) = (0, 0);
    for line in text.split_inclusive('\n') {
        if line.starts_with("- ") {
            if let Some((from, line)) = begin {
                item(&text[from..at], line, fold);
            }
            begin = Some((at, number));
        }
        at += line.len();
        number += 1;
    }
    if let Some((from, line)) = begin {
        item(&text[from..], line, fold);
    }
    Ok(())
}

fn item(text: &str, line: usize, fold: &mut Fold) {
    if let Err(error) = part(text, line, fold) {
        fold.lose(error);
    }
}

/// Reads YAML that begins behind a line. An error never quotes it: it may hold a secret.
fn part(text: &str, line: usize, fold: &mut Fold) -> Result<(), String> {
    let value = value(text).map_err(|at| format!("line {}: it is no YAML there", line + at))?;
    let form = match &value {
        Value::Array(_) => Form::List,
        Value::Object(map) if map.contains_key("configs") => Form::Dump,
        _ => Form::One,
    };
    // The lines of an error would be those of the JSON.
    json::read(&value.to_string(), form, fold).map_err(|_| format!("line {}: not read", line + 1))
}

/// Reads one document or item; the error is the line where it fails, from 1.
fn value(text: &str) -> Result<Value, usize> {
    let budget = serde_saphyr::budget! {
        max_depth: DEPTH_MAX,
        max_nodes: NODES_MAX,
        max_events: NODES_MAX * 2,
        max_total_scalar_bytes: text.len().saturating_mul(2).max(1 << 20),
    };
    let mut options = serde_saphyr::options! {
        budget: budget,
        with_snippet: false,
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        merge_keys: MergeKeyPolicy::AsOrdinary,
    };
    // istioctl prints no aliases: what has them may not grow by them.
    options.alias_limits.max_total_replayed_events = text.len();
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| error.location().map_or(1, |place| place.line() as usize))
}
