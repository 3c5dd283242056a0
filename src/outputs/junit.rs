//! JUnit XML, for pipelines: a suite a check, a case an object.

use std::fmt::Write as _;
use std::io;

use meshwhy_parsers::event::Event;

use super::{Output, Summary, printable};
use crate::engine::check::{Checked, Item, Outcome};
use crate::engine::finding::Finding;
use crate::engine::trace::Trace;

/// The JUnit format. Of a warning the case passes, and its output says it; what cannot be told is skipped.
#[derive(Default)]
pub struct Junit {
    suites: String,
    counts: Counts,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    tests: usize,
    failures: usize,
    skipped: usize,
}

impl Output for Junit {
    fn finding(&mut self, _: &mut dyn io::Write, _: &Finding) -> io::Result<()> {
        Ok(())
    }

    fn event(&mut self, _: &mut dyn io::Write, _: &Event) -> io::Result<()> {
        Ok(())
    }

    fn checks(&mut self, _: &mut dyn io::Write, checked: &[Checked], findings: &[Finding]) -> io::Result<()> {
        for checked in checked {
            let cases = checked.items.iter().map(|item| {
                let of = findings.iter().find(|finding| item.is_of(finding));
                case(checked.check.id, item.outcome, &name(item), &item.reason, &remedy(item, of))
            });
            self.suite(checked.check.title, cases.collect());
        }
        Ok(())
    }

    fn trace(&mut self, _: &mut dyn io::Write, trace: &Trace, finding: Option<&Finding>) -> io::Result<()> {
        let cases = trace.hops.iter().map(|hop| {
            let remedy = finding.filter(|_| hop.outcome == Outcome::Fail).map_or("", |finding| &finding.remedy);
            case("trace", hop.outcome, &format!("{}: {}", hop.name, hop.place), &hop.says, remedy)
        });
        self.suite(&format!("{} to {}", trace.from, trace.to), cases.collect());
        Ok(())
    }

    fn close(&mut self, out: &mut dyn io::Write, _: &[Finding], _: &Summary) -> io::Result<()> {
        writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
        writeln!(out, "<testsuites name=\"meshwhy\"{}>", self.counts.attributes())?;
        out.write_all(self.suites.as_bytes())?;
        writeln!(out, "</testsuites>")
    }
}

impl Junit {
    fn suite(&mut self, title: &str, cases: Vec<(Outcome, String)>) {
        let of = |outcome| cases.iter().filter(|(with, _)| *with == outcome).count();
        let counts = Counts { tests: cases.len(), failures: of(Outcome::Fail), skipped: of(Outcome::Unknown) };
        let _ = writeln!(self.suites, "  <testsuite name=\"{}\"{}>", escaped(title), counts.attributes());
        cases.iter().for_each(|(_, case)| self.suites.push_str(case));
        self.suites.push_str("  </testsuite>\n");
        self.counts.tests += counts.tests;
        self.counts.failures += counts.failures;
        self.counts.skipped += counts.skipped;
    }
}

impl Counts {
    fn attributes(self) -> String {
        format!(" tests=\"{}\" failures=\"{}\" skipped=\"{}\"", self.tests, self.failures, self.skipped)
    }
}

fn name(item: &Item) -> String {
    if item.cluster.is_empty() { item.object.clone() } else { format!("{}: {}", item.cluster, item.object) }
}

fn remedy(item: &Item, finding: Option<&Finding>) -> String {
    match finding {
        Some(finding) => format!("{}: {} {}", finding.cause.slug, finding.remedy, finding.verify),
        None => item.remedy.clone(),
    }
}

fn case(id: &str, outcome: Outcome, name: &str, reason: &str, remedy: &str) -> (Outcome, String) {
    let head = format!("    <testcase classname=\"{}\" name=\"{}\"", escaped(id), escaped(name));
    let reason = escaped(reason);
    let remedy = escaped(remedy);
    let case = match outcome {
        Outcome::Pass => format!("{head}/>\n"),
        Outcome::Warn => {
            format!("{head}>\n      <system-out>warning: {reason} {remedy}</system-out>\n    </testcase>\n")
        }
        Outcome::Unknown => format!("{head}>\n      <skipped message=\"{reason}\"/>\n    </testcase>\n"),
        Outcome::Fail => {
            format!("{head}>\n      <failure message=\"{reason}\">{remedy}</failure>\n    </testcase>\n")
        }
    };
    (outcome, case)
}

/// Untrusted text made fit for an XML attribute or text.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            // No XML 1.0 character, and no control either.
            '\u{fffe}' | '\u{ffff}' => xml.push('\u{fffd}'),
            c => xml.push(c),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_inside_its_attribute() {
        let (_, case) = case("x", Outcome::Fail, "a\"><!--", "]]>\u{1b}[31m", "<b>&");
        assert_eq!(
            case,
            "    <testcase classname=\"x\" name=\"a&quot;&gt;&lt;!--\">\n      <failure \
             message=\"]]&gt;\\u{1b}[31m\">&lt;b&gt;&amp;</failure>\n    </testcase>\n"
        );
    }
}
