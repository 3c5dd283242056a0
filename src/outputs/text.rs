//! Text for people.

use std::io;

use meshwhy_parsers::event::Event;

use super::{Output, Summary};
use crate::engine::finding::Finding;

/// How the text looks.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns to write for.
    pub width: usize,
    /// Whether to colour.
    pub colour: bool,
    /// Whether to print one line a finding and nothing else.
    pub quiet: bool,
}

/// The text format: everything at the end, ranked.
pub struct Text {
    look: Look,
}

impl Text {
    /// Text that looks like this.
    pub fn new(look: Look) -> Text {
        Text { look }
    }
}

impl Output for Text {
    fn finding(&mut self, _out: &mut dyn io::Write, _finding: &Finding) -> io::Result<()> {
        Ok(())
    }

    fn event(&mut self, _out: &mut dyn io::Write, _event: &Event) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, out: &mut dyn io::Write, findings: &[Finding], summary: &Summary) -> io::Result<()> {
        let _ = self.look;
        for finding in findings {
            writeln!(
                out,
                "{} [{} {} {}] {} x{} explained_by={:?}\n  {}",
                finding.cause.slug,
                finding.stage.word(),
                finding.confidence.word(),
                finding.cause.severity.word(),
                finding.subject,
                finding.count,
                finding.explained_by,
                finding.summary
            )?;
            for evidence in &finding.because {
                writeln!(out, "    {} {} ({})", evidence.place(), evidence.quote, evidence.shows)?;
            }
            for candidate in &finding.candidates {
                writeln!(out, "    or {} {}", candidate.slug, candidate.summary)?;
            }
        }
        for (template, count) in &summary.templates {
            writeln!(out, "not understood: {count} x {template}")?;
        }
        writeln!(out, "unexplained {:?}", summary.engine.unexplained)?;
        writeln!(out, "{} lines, {} understood", summary.lines, summary.understood)
    }
}
