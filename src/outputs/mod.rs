//! Formats: findings into bytes. Untrusted text is neutralised here and nowhere else.

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod events;
pub mod fields;
pub mod junit;
pub mod ndjson;
pub mod schema;
pub mod text;

use std::borrow::Cow;
use std::io;

use meshwhy_parsers::event::Event;
use meshwhy_parsers::origin::UNNAMED;

use crate::engine::check::Checked;
use crate::engine::finding::Finding;
use crate::engine::trace::Trace;
use crate::engine::{Stats, cause::Severity, finding::Stage};
use crate::redact::redact;

/// What was read, understood, lost: the closing line of every output.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Files and archive members read.
    pub files: u64,
    /// State documents read.
    pub documents: u64,
    /// Physical lines read.
    pub lines: u64,
    /// Lines of which a signature matched, or of a known format below warn.
    pub understood: u64,
    /// Lines that were not understood.
    pub not_understood: u64,
    /// The most frequent templates among the lines at warn or error that no signature knows, with a sample count.
    pub templates: Vec<(String, u64)>,
    /// What was refused, skipped or lost, one sentence each.
    pub losses: Vec<String>,
    /// What the engine counted.
    pub engine: Stats,
}

/// A format.
pub trait Output {
    /// A finding changed its stage.
    fn finding(&mut self, out: &mut dyn io::Write, finding: &Finding) -> io::Result<()>;

    /// An event that somebody follows.
    fn event(&mut self, out: &mut dyn io::Write, event: &Event) -> io::Result<()>;

    /// What the checks said, and the findings they became.
    fn checks(&mut self, out: &mut dyn io::Write, checked: &[Checked], findings: &[Finding]) -> io::Result<()>;

    /// A call that was walked, and the finding it became.
    fn trace(&mut self, out: &mut dyn io::Write, trace: &Trace, finding: Option<&Finding>) -> io::Result<()>;

    /// The end: the ranked findings and what was read.
    fn close(&mut self, out: &mut dyn io::Write, findings: &[Finding], summary: &Summary) -> io::Result<()>;
}

/// Untrusted text made fit for a terminal: no secrets, on one line, nothing that a terminal or a reader's eye obeys.
pub fn printable(text: &str) -> Cow<'_, str> {
    let text = redact(text);
    if !text.chars().any(|c| c.is_control() || is_deceiving(c)) {
        return text;
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\t' => plain.push(' '),
            '\n' => plain.push_str("\\n"),
            '\r' => plain.push_str("\\r"),
            c if c.is_control() || is_deceiving(c) => plain.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

/// A JSON record as one line. JSON escapes control characters below U+0020 itself; the others are escaped here.
pub fn json_line(record: &serde_json::Value) -> String {
    let line = record.to_string();
    if !line.chars().any(|c| c.is_control() || is_deceiving(c)) {
        return line;
    }
    let mut plain = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        // All of them lie in the basic plane but the tags, which are dropped: they show nothing.
        match u16::try_from(u32::from(c)) {
            Ok(code) if c.is_control() || is_deceiving(c) => plain.push_str(&format!("\\u{code:04x}")),
            Err(_) if is_deceiving(c) => {}
            _ => plain.push(c),
        }
    }
    plain
}

/// Characters that reorder, hide or break what stands around them.
fn is_deceiving(c: char) -> bool {
    matches!(
        c,
        '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// The findings a person must act on: open, not explained by another, above severity info.
pub fn open_causes(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| {
        finding.stage != Stage::Resolved && finding.explained_by.is_none() && finding.cause.severity > Severity::Info
    })
}

/// The findings worth saying with nothing to fix.
pub fn notes(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| {
        finding.stage != Stage::Resolved && finding.explained_by.is_none() && finding.cause.severity == Severity::Info
    })
}

/// What failed and worked again before the input ended.
pub fn recovered(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.stage == Stage::Resolved && finding.explained_by.is_none())
}

/// The clusters a finding concerns; that of files that nothing names only where it is the only one.
pub fn clusters(finding: &Finding) -> Vec<&str> {
    let all = finding.clusters.iter().map(String::as_str);
    let named: Vec<&str> = all.clone().filter(|name| *name != UNNAMED).collect();
    if named.is_empty() { all.collect() } else { named }
}

/// How bad the worst finding is that is open and not explained by another; notes count as `info`.
pub fn worst_severity(findings: &[Finding]) -> Option<Severity> {
    open_causes(findings).chain(notes(findings)).map(|finding| finding.cause.severity).max()
}

/// The slugs of findings, each once, in order.
pub fn slugs<'f>(findings: impl Iterator<Item = &'f Finding>) -> Vec<&'static str> {
    let mut slugs = Vec::new();
    for finding in findings {
        if !slugs.contains(&finding.cause.slug) {
            slugs.push(finding.cause.slug);
        }
    }
    slugs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_terminal_obeys_gets_through() {
        let text = "a\u{1b}[31mred\u{202e}lit\nb\tc\u{9b}\u{7f}";
        assert_eq!(printable(text), "a\\u{1b}[31mred\\u{202e}lit\\nb c\\u{9b}\\u{7f}");
        let line = json_line(&serde_json::json!({ "quote": text }));
        assert_eq!(line, r#"{"quote":"a\u001b[31mred\u202elit\nb\tc\u009b\u007f"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).expect("still JSON")["quote"], text);
    }

    #[test]
    fn letters_of_any_language_stay() {
        assert_eq!(printable("größe 大 é"), "größe 大 é");
    }
}
