//! Formats: findings into bytes. Untrusted text is neutralised here and nowhere else.

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod ndjson;
pub mod text;

use std::io;

use meshwhy_parsers::event::Event;

use crate::engine::finding::Finding;
use crate::engine::{Stats, cause::Severity, finding::Stage};

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

    /// An event that is evidence (only where events were asked for).
    fn event(&mut self, out: &mut dyn io::Write, event: &Event) -> io::Result<()>;

    /// The end: the ranked findings and what was read.
    fn close(&mut self, out: &mut dyn io::Write, findings: &[Finding], summary: &Summary) -> io::Result<()>;
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
