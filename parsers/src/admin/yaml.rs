//! `istioctl proxy-config ... -o yaml`: the same parts as in JSON.

use serde_json::Value;

use super::fold::Fold;
use super::json::{self, Form};
use crate::objects;

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
    let value = objects::yaml(text).map_err(|at| format!("line {}: it is no YAML there", line + at))?;
    let form = match &value {
        Value::Array(_) => Form::List,
        Value::Object(map) if map.contains_key("configs") => Form::Dump,
        _ => Form::One,
    };
    // The lines of an error would be those of the JSON.
    json::read(&value.to_string(), form, fold).map_err(|_| format!("line {}: not read", line + 1))
}
