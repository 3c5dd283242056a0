//! YAML without its secrets, line by line, so that all that is none stays as it was written, also what is cut or broken.
//! Texts that are no YAML pass as well: what looks like a credential in them is one.

use std::borrow::Cow;
use std::sync::LazyLock;

use meshwhy_parsers::objects::is_secret;
use regex::{Captures, Regex};

use super::document::{REDACTED, coded_value, credential, hides, is_copy, is_credential, plain_value};

/// A text that is YAML, or not.
pub(super) fn redacted(text: &str, depth: usize) -> Cow<'_, str> {
    let lines: Vec<Line<'_>> = text.split_inclusive('\n').map(Line::of).collect();
    let secrets = secrets(&lines);
    let mut yaml = Yaml { depth, out: String::new(), is_changed: false, values: None, name: None, value_comes: false };
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let is_of_secret = secrets.get(at).is_some_and(|is| *is);
        at += yaml.line(line, lines.get(at + 1..).unwrap_or_default(), is_of_secret);
    }
    if yaml.is_changed { Cow::Owned(yaml.out) } else { Cow::Borrowed(text) }
}

/// A line in its parts: blanks and dashes, a key with its colon, the rest without its end.
struct Line<'t> {
    whole: &'t str,
    /// Where its key or its text begins.
    column: usize,
    /// Whether it begins an item of a list.
    is_item: bool,
    /// The key without its quotes; empty where there is none.
    key: &'t str,
    /// Where the value begins.
    value_at: usize,
    value: &'t str,
    end: &'t str,
}

impl<'t> Line<'t> {
    fn of(whole: &'t str) -> Line<'t> {
        static KEY: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r#"^(?:"([^"\\]+)"|'([^'\\]+)'|([A-Za-z0-9_./-]+))[ \t]*:(?:[ \t]+|$)"#)
                .expect("the pattern is fixed and tested")
        });
        let text = whole.trim_end_matches(['\n', '\r']);
        let end = &whole[text.len()..];
        let mut column = text.len() - text.trim_start().len();
        let mut is_item = false;
        while let Some(rest) = text[column..].strip_prefix("- ") {
            is_item = true;
            column = text.len() - rest.trim_start().len();
        }
        let found = KEY.captures(&text[column..]);
        let key = found.as_ref().and_then(|found| found.get(1).or(found.get(2)).or(found.get(3)));
        let value_at = column + found.as_ref().map_or(0, |found| found[0].len());
        Line {
            whole,
            column,
            is_item,
            key: key.map_or("", |key| key.as_str()),
            value_at,
            value: text[value_at..].trim_end(),
            end,
        }
    }

    fn is_blank(&self) -> bool {
        self.whole.trim().is_empty()
    }

    fn is_boundary(&self) -> bool {
        self.whole.starts_with("---")
    }

    /// Whether its value stands on the lines below: a block, or nothing yet.
    fn is_open(&self) -> bool {
        self.value.is_empty() || self.value.starts_with(['|', '>'])
    }
}

/// Which lines belong to Secrets.
fn secrets(lines: &[Line<'_>]) -> Vec<bool> {
    let mut secrets = vec![false; lines.len()];
    for (at, line) in lines.iter().enumerate() {
        if secrets[at] || line.key != "kind" || !matches!(line.value.trim_matches(['"', '\'']), "Secret" | "SecretList")
        {
            continue;
        }
        let column = line.column;
        let is_within = |line: &Line<'_>| line.is_blank() || (column <= line.column && !line.is_boundary());
        let begins = |line: &Line<'_>| line.is_item && line.column == column && !line.is_blank();
        // An item of a list begins with its first key.
        let above = lines[..at].iter().rev().take_while(|above| is_within(above)).count();
        let own = lines[at - above..=at].iter().rev().position(begins).unwrap_or(above);
        let below = lines[at + 1..].iter().take_while(|below| is_within(below) && !begins(below)).count();
        secrets[at - own.min(above)..=at + below].fill(true);
    }
    secrets
}

struct Yaml {
    depth: usize,
    out: String,
    is_changed: bool,
    /// The column of the key whose entries are values of a Secret, and what they are.
    values: Option<(usize, Values)>,
    /// What stood last under `name` or `key`, with its column: what `value` is.
    name: Option<(usize, String)>,
    /// Among arguments: the next one is secret.
    value_comes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    Coded,
    Plain,
    Notes,
}

impl Yaml {
    /// Takes a line, and those below it that belong to its value; returns how many.
    fn line(&mut self, line: &Line<'_>, below: &[Line<'_>], is_of_secret: bool) -> usize {
        if line.is_blank() {
            return self.keep(line);
        }
        if self.values.is_some_and(|(column, _)| line.column <= column) {
            self.values = None;
        }
        if line.key.is_empty() {
            return self.text(line);
        }
        if let Some((_, values)) = self.values {
            return self.value_of_secret(line, below, values);
        }
        match line.key {
            "data" | "binaryData" if is_of_secret => self.values = Some((line.column, Values::Coded)),
            "stringData" => self.values = Some((line.column, Values::Plain)),
            "annotations" if is_of_secret => self.values = Some((line.column, Values::Notes)),
            "name" | "key" => self.name = Some((line.column, unquoted(line.value).to_string())),
            key if is_copy(key) => return self.replace(line, below, Some(REDACTED.to_string())),
            key if hides(key) || is_credential(key) => {
                // Where something else than a text stands below, its own keys tell.
                let is_map = line.value.is_empty() && first_below(line, below).is_some_and(|line| !line.key.is_empty());
                if is_map && !hides(key) {
                    return self.keep(line);
                }
                let secret = match is_map {
                    true => Some(REDACTED.to_string()),
                    false => credential(&whole_value(line, below)),
                };
                return self.replace(line, below, secret);
            }
            "value" | "raw_value" | "rawValue" => {
                let of = self.name.take_if(|(column, _)| *column == line.column);
                if of.is_some_and(|(_, name)| is_credential(&name) || is_secret(&name, &whole_value(line, below))) {
                    return self.replace(line, below, Some(REDACTED.to_string()));
                }
            }
            key if key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
                && is_secret(key, line.value) =>
            {
                return self.replace(line, below, Some(REDACTED.to_string()));
            }
            _ => {}
        }
        self.text(line)
    }

    /// An entry of a Secret.
    fn value_of_secret(&mut self, line: &Line<'_>, below: &[Line<'_>], values: Values) -> usize {
        let value = whole_value(line, below);
        let changed = match values {
            Values::Coded => coded_value(&value, self.depth),
            Values::Plain => plain_value(&value, self.depth),
            Values::Notes
                if is_copy(line.key)
                    || !["istio.io/", "k8s.io/", "kubernetes.io/"].iter().any(|known| line.key.contains(known)) =>
            {
                Some(REDACTED.to_string())
            }
            Values::Notes => credential(&value).filter(|_| value.contains("eyJ")),
        };
        match changed {
            Some(changed) => self.replace(line, below, Some(changed)),
            None => self.keep(line),
        }
    }

    /// A line whose key says nothing of it.
    fn text(&mut self, line: &Line<'_>) -> usize {
        static PAIR: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(
                r#"([{,]\s*["']?)([A-Za-z0-9_.-]+)(["']?\s*:\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"',{}\[\]][^,}]*)"#,
            )
            .expect("the pattern is fixed and tested")
        });
        let text = &line.whole[line.value_at..];
        if line.is_item && line.key.is_empty() {
            let argument = unquoted(text.trim());
            let is_flag = argument.starts_with('-');
            if std::mem::take(&mut self.value_comes) && !is_flag {
                return self.replace(line, &[], Some(REDACTED.to_string()));
            }
            match argument.split_once('=') {
                Some((name, secret)) if is_secret(name, secret) => {
                    return self.replace(line, &[], Some(format!("{name}={REDACTED}")));
                }
                None if is_flag && is_secret(argument, "x") => self.value_comes = true,
                _ => {}
            }
        }
        if !text.contains('{') {
            return self.keep(line);
        }
        let depth = self.depth;
        let is_data = text.contains("Secret") || matches!(line.key, "data" | "stringData");
        let changed = PAIR.replace_all(text, |found: &Captures<'_>| {
            let (key, value) = (&found[2], unquoted(&found[4]));
            let changed = match is_credential(key) {
                true => credential(value),
                false if is_data && line.key == "data" => coded_value(value, depth),
                false if is_data && line.key == "stringData" => plain_value(value, depth),
                false => None,
            };
            changed
                .map_or_else(|| found[0].to_string(), |changed| format!("{}{key}{}\"{changed}\"", &found[1], &found[3]))
        });
        match changed {
            Cow::Borrowed(_) => self.keep(line),
            Cow::Owned(changed) => {
                self.is_changed = true;
                self.out.push_str(&line.whole[..line.value_at]);
                self.out.push_str(&changed);
                1
            }
        }
    }

    fn keep(&mut self, line: &Line<'_>) -> usize {
        self.out.push_str(line.whole);
        1
    }

    /// Puts another value in a line's place, and in that of the lines below that belong to it.
    fn replace(&mut self, line: &Line<'_>, below: &[Line<'_>], value: Option<String>) -> usize {
        let Some(value) = value else { return self.keep(line) };
        self.is_changed = true;
        self.out.push_str(&line.whole[..line.value_at]);
        if !line.whole[..line.value_at].ends_with([' ', '\t']) {
            self.out.push(' ');
        }
        if value.contains('\n') {
            self.out.push('|');
            for text in value.lines() {
                self.out.push('\n');
                self.out.push_str(&" ".repeat(line.column + 2));
                self.out.push_str(text);
            }
        } else {
            self.out.push_str(&serde_json::to_string(&value).unwrap_or_default());
        }
        self.out.push_str(line.end);
        1 + count_below(line, below)
    }
}

/// How many lines below belong to a line's value.
fn count_below(line: &Line<'_>, below: &[Line<'_>]) -> usize {
    let is_below = |other: &&Line<'_>| {
        let indent = other.whole.len() - other.whole.trim_start().len();
        other.is_blank() || line.column < indent
    };
    let count = below.iter().take_while(is_below).count();
    // Empty lines at the end belong to nobody.
    count - below[..count].iter().rev().take_while(|line| line.is_blank()).count()
}

fn first_below<'a, 't>(line: &Line<'_>, below: &'a [Line<'t>]) -> Option<&'a Line<'t>> {
    below[..count_below(line, below)].iter().find(|line| !line.is_blank())
}

/// A value with all of its lines.
fn whole_value(line: &Line<'_>, below: &[Line<'_>]) -> String {
    if !line.is_open() {
        let more = below[..count_below(line, below)].iter().map(|line| line.whole.trim());
        return std::iter::once(unquoted(line.value)).chain(more).collect::<Vec<_>>().join(" ").trim().to_string();
    }
    let lines = &below[..count_below(line, below)];
    let indent = |line: &&Line<'_>| line.whole.len() - line.whole.trim_start().len();
    let least = lines.iter().filter(|line| !line.is_blank()).map(|line| indent(&line)).min().unwrap_or(0);
    let text = |line: &Line<'_>| line.whole.get(least..).unwrap_or("\n").to_string();
    lines.iter().map(text).collect()
}

/// A value without its quotes.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    let inner = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}
