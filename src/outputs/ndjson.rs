//! One JSON record a line: findings at each stage change, at last the summary.

use std::io;

use meshwhy_parsers::event::Event;
use serde_json::json;

use super::{Output, Summary, notes, open_causes, slugs};
use crate::engine::finding::{Evidence, Finding};

/// The NDJSON format.
pub struct Ndjson {
    quiet: bool,
}

impl Ndjson {
    /// All records, or where `quiet` the summary alone.
    pub fn new(quiet: bool) -> Ndjson {
        Ndjson { quiet }
    }
}

fn evidence(evidence: &Evidence) -> serde_json::Value {
    json!({ "place": evidence.place(), "quote": evidence.quote, "shows": evidence.shows })
}

impl Output for Ndjson {
    fn finding(&mut self, out: &mut dyn io::Write, finding: &Finding) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let record = json!({
            "type": "finding",
            "id": finding.id,
            "stage": finding.stage.word(),
            "cause": finding.cause.slug,
            "severity": finding.cause.severity.word(),
            "confidence": finding.confidence.word(),
            "subject": finding.subject,
            "summary": finding.summary,
            "because": finding.because.iter().map(evidence).collect::<Vec<_>>(),
        });
        writeln!(out, "{record}")
    }

    fn event(&mut self, _out: &mut dyn io::Write, _event: &Event) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, out: &mut dyn io::Write, findings: &[Finding], summary: &Summary) -> io::Result<()> {
        let record = json!({
            "type": "summary",
            "causes": slugs(open_causes(findings)),
            "notes": slugs(notes(findings)),
            "lines": summary.lines,
        });
        writeln!(out, "{record}")
    }
}
