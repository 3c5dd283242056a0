//! Text for people: ranked findings with their evidence, and at the end what was read.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use meshwhy_parsers::event::Event;
use meshwhy_parsers::time::Time;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Output, Summary, clusters, events, notes, open_causes, printable, recovered};
use crate::engine::cause::Severity;
use crate::engine::check::{Checked, Item, Outcome};
use crate::engine::finding::{Evidence, Finding, Stage};
use crate::engine::trace::Trace;

/// How many lines of the terminal one quotation takes at most.
const QUOTE_LINES: usize = 3;
/// How many further subjects of one cause get a line of their own.
const ALSO_MAX: usize = 3;
/// How many further subjects are named after those.
const SUBJECTS_MAX: usize = 8;
/// How many other candidates are shown.
const CANDIDATES_MAX: usize = 3;
/// Where the text of a labelled row begins.
const LABEL: usize = 13;

/// What stands in front of a line below an outcome.
const OUTCOME_GAP: &str = "       ";

/// Passes of one check that are shown one by one: a mesh may have thousands of services in order.
const PASSES_MAX: usize = 20;

/// How the text looks.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns to write for.
    pub width: usize,
    /// Whether to colour.
    pub colour: bool,
    /// Whether to print one line a finding and nothing else.
    pub quiet: bool,
    /// Whether to say at once, in one line, what changes: for an input that is still open.
    pub live: bool,
}

/// The text format: everything at the end, ranked.
pub struct Text {
    look: Look,
    /// Whether something was said while the input was open.
    said: bool,
    /// Whether a call was walked, which says itself that nothing fails.
    walked: bool,
}

impl Text {
    /// Text that looks like this.
    pub fn new(look: Look) -> Text {
        Text { look, said: false, walked: false }
    }
}

impl Output for Text {
    fn finding(&mut self, out: &mut dyn io::Write, finding: &Finding) -> io::Result<()> {
        if !self.look.live || finding.stage == Stage::Updated {
            return Ok(());
        }
        self.said = true;
        let stage = finding.stage.word();
        writeln!(out, "{stage} {}: {}", finding.cause.slug, printable(&finding.summary))
    }

    fn event(&mut self, out: &mut dyn io::Write, event: &Event) -> io::Result<()> {
        self.said = true;
        writeln!(out, "{}", events::line(event, self.look.colour))
    }

    fn checks(&mut self, out: &mut dyn io::Write, checked: &[Checked], findings: &[Finding]) -> io::Result<()> {
        let page = Page { look: self.look, text: String::new() };
        out.write_all(page.checks(checked, findings).as_bytes())
    }

    fn trace(&mut self, out: &mut dyn io::Write, trace: &Trace, finding: Option<&Finding>) -> io::Result<()> {
        let page = Page { look: self.look, text: String::new() };
        self.walked = true;
        out.write_all(page.trace(trace, finding).as_bytes())
    }

    fn close(&mut self, out: &mut dyn io::Write, findings: &[Finding], summary: &Summary) -> io::Result<()> {
        let page = Page { look: self.look, text: String::new() };
        let text = if self.look.quiet { page.quiet(findings) } else { page.whole(findings, summary, self.walked) };
        if self.said {
            writeln!(out)?;
        }
        out.write_all(text.as_bytes())
    }
}

/// A page being written.
struct Page {
    look: Look,
    text: String,
}

impl Page {
    fn quiet(mut self, findings: &[Finding]) -> String {
        for finding in open_causes(findings) {
            let line = format!("{}: {}", finding.cause.slug, printable(&finding.summary));
            self.line(&line);
        }
        self.text
    }

    fn checks(mut self, checked: &[Checked], findings: &[Finding]) -> String {
        let mut counts = [0usize; 4];
        for Checked { check, items } in checked.iter().filter(|checked| !checked.items.is_empty()) {
            let shown: Vec<&Item> =
                items.iter().filter(|item| !self.look.quiet || item.outcome >= Outcome::Warn).collect();
            items.iter().for_each(|item| counts[item.outcome as usize] += 1);
            if shown.is_empty() {
                continue;
            }
            self.line(check.title);
            let (mut passed, mut folded) = (0, 0);
            for item in shown {
                passed += usize::from(item.outcome == Outcome::Pass);
                if item.outcome == Outcome::Pass && PASSES_MAX < passed {
                    folded += 1;
                    continue;
                }
                let cluster = if item.cluster.is_empty() { String::new() } else { format!("{}: ", item.cluster) };
                let text = printable(&format!("{cluster}{}: {}", item.object, item.reason)).into_owned();
                self.outcome(item.outcome, &text);
                if let Some(finding) = findings.iter().find(|finding| item.is_of(finding)) {
                    self.wrapped(OUTCOME_GAP, OUTCOME_GAP, &format!("see {} below", finding.cause.slug));
                } else if !item.remedy.is_empty() {
                    self.wrapped(OUTCOME_GAP, OUTCOME_GAP, &printable(&item.remedy));
                }
            }
            if 0 < folded {
                self.outcome(Outcome::Pass, &format!("and {folded} more"));
            }
        }
        let [pass, unknown, warn, fail] = counts;
        self.line(&format!("{fail} failed, {warn} warned, {pass} passed, {unknown} cannot be told"));
        self.line("");
        self.text
    }

    fn trace(mut self, trace: &Trace, finding: Option<&Finding>) -> String {
        self.line(&printable(&format!("{} calls {}", trace.from, trace.to)));
        for (at, hop) in trace.hops.iter().enumerate() {
            if self.look.quiet && hop.outcome < Outcome::Warn {
                continue;
            }
            let text = printable(&format!("{}. {}, {}: {}", at + 1, hop.name, hop.place, hop.says)).into_owned();
            self.outcome(hop.outcome, &text);
            for evidence in &hop.told {
                self.told(evidence);
            }
        }
        let failed = trace.hops.iter().position(|hop| hop.outcome == Outcome::Fail).map(|at| at + 1);
        let unknown = trace.hops.iter().filter(|hop| hop.outcome == Outcome::Unknown).count();
        let end = match (failed, finding) {
            (Some(at), Some(finding)) => format!("it ends at hop {at}: {}", finding.cause.slug),
            (Some(at), None) => format!("it ends at hop {at}, and nothing that was saved says why"),
            (None, _) if unknown > 0 => format!("no hop fails, but {unknown} cannot be told"),
            (None, _) => "no hop fails".to_string(),
        };
        self.line(&end);
        if finding.is_some() {
            self.line("");
        }
        self.text
    }

    /// What told a hop: the words, then as much of the place as there is room for, its end first.
    fn told(&mut self, evidence: &Evidence) {
        let room = self.look.width.saturating_sub(OUTCOME_GAP.len()).max(20);
        let quote = trim_middle(&printable(evidence.quote.trim()), room);
        let place = printable(&evidence.place()).into_owned();
        let left = room.saturating_sub(quote.width() + 2);
        let mut from = 0;
        while place[from..].width() > left {
            match place[from..].split_once('/') {
                Some((first, _)) => from += first.len() + 1,
                None => break,
            }
        }
        let text = if place[from..].width() <= left { format!("{quote}  {}", &place[from..]) } else { quote };
        self.line(&format!("{OUTCOME_GAP}{}", self.paint(DIM, &text)));
    }

    /// One outcome with its text.
    fn outcome(&mut self, outcome: Outcome, text: &str) {
        let (mark, colour) = match outcome {
            Outcome::Pass => ("pass", "32"),
            Outcome::Unknown => ("?", "2"),
            Outcome::Warn => ("warn", "33"),
            Outcome::Fail => ("FAIL", "1;31"),
        };
        let mark = format!("  {} ", self.paint(colour, &format!("{mark:<4}")));
        self.wrapped(&mark, OUTCOME_GAP, text);
    }

    fn whole(mut self, findings: &[Finding], summary: &Summary, walked: bool) -> String {
        let open: Vec<&Finding> = open_causes(findings).collect();
        if open.is_empty() && !walked {
            self.line("nothing to fix found");
        }
        let mut slugs: Vec<&str> = Vec::new();
        for finding in &open {
            if slugs.contains(&finding.cause.slug) {
                continue;
            }
            slugs.push(finding.cause.slug);
            if slugs.len() > 1 {
                self.line("");
            }
            let same: Vec<&Finding> =
                open.iter().filter(|other| other.cause.slug == finding.cause.slug).skip(1).copied().collect();
            self.finding(slugs.len(), finding, &same, findings);
        }
        self.list("notes, nothing to fix", notes(findings));
        self.list("recovered before the input ended", recovered(findings));
        self.closing(summary);
        self.text
    }

    fn finding(&mut self, rank: usize, finding: &Finding, same: &[&Finding], all: &[Finding]) {
        let severity = finding.cause.severity;
        let slug = self.paint(severity_colour(severity), finding.cause.slug);
        self.line(&format!("{rank}. {slug}  {}, {}", severity.word(), finding.confidence.word()));
        self.wrapped("   ", "   ", &printable(&finding.summary));
        self.line("");
        self.row("subject", &printable(&finding.subject));
        let clusters = clusters(finding);
        if !clusters.is_empty() && clusters != [finding.subject.as_str()] {
            self.row("clusters", &printable(&clusters.join(", ")));
        }
        // State alone has no time, and is as it is once.
        if finding.first_at.is_some() || finding.last_at.is_some() || finding.count > 1 {
            self.row("when", &when(finding));
        }
        self.evidence("because", &finding.because, finding);
        self.evidence("against", &finding.against, finding);
        for (at, (address, words)) in finding.names.iter().enumerate() {
            self.row(if at == 0 { "names" } else { "" }, &printable(&format!("{address} = {words}")));
        }
        if finding.explains > 0 {
            let explained = super::slugs(all.iter().filter(|other| other.explained_by.as_ref() == Some(&finding.id)));
            let symptoms = plural(finding.explains, "further symptom");
            let names = if explained.is_empty() { String::new() } else { format!(" ({})", explained.join(", ")) };
            self.row("explains", &format!("{symptoms}{names}"));
        }
        for (at, candidate) in finding.candidates.iter().take(CANDIDATES_MAX).enumerate() {
            let label = if at == 0 { "or else" } else { "" };
            let text =
                format!("{} ({}): {}", candidate.slug, candidate.confidence.word(), printable(&candidate.summary));
            self.row(label, &text);
            if !candidate.settle_by.is_empty() && candidate.settle_by != finding.settle_by {
                self.command("", "told apart by ", &candidate.settle_by);
            }
        }
        if finding.candidates.len() > CANDIDATES_MAX {
            let rest: Vec<&str> = finding.candidates[CANDIDATES_MAX..].iter().map(|candidate| candidate.slug).collect();
            self.row("", &format!("or {}", rest.join(", ")));
        }
        if !finding.settle_by.is_empty() && finding.settle_by != finding.verify {
            self.command("settle", "", &finding.settle_by);
        }
        self.also(same);
        self.row("do", &printable(&finding.remedy));
        if !finding.verify.is_empty() {
            self.command("verify", "", &finding.verify);
        }
    }

    /// Further findings of the same cause: what differs, a line each, then by name alone.
    fn also(&mut self, same: &[&Finding]) {
        for (at, finding) in same.iter().take(ALSO_MAX).enumerate() {
            let label = if at == 0 { "also" } else { "" };
            let place = finding.because.first().map(|evidence| format!("; {}", evidence.place())).unwrap_or_default();
            let text = format!(
                "{} ({}, {}{place})",
                finding.subject,
                finding.confidence.word(),
                plural(finding.count, "time")
            );
            self.row(label, &printable(&text));
        }
        let rest = same.get(ALSO_MAX..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        let mut names: Vec<&str> = rest.iter().take(SUBJECTS_MAX).map(|finding| &*finding.subject).collect();
        if rest.len() > SUBJECTS_MAX {
            names.push("...");
        }
        self.row("", &printable(&format!("and {}: {}", plural(rest.len() as u64, "more subject"), names.join(", "))));
    }

    /// Each line once, with all that it shows; of lines that show the same, the first is quoted and the others named.
    fn evidence(&mut self, label: &str, evidence: &[Evidence], of: &Finding) {
        let mut label = label;
        for (at, first) in evidence.iter().enumerate() {
            let earlier = &evidence[..at];
            if earlier.iter().any(|other| is_same_line(other, first) || other.shows == first.shows) {
                continue;
            }
            let mut shows: Vec<&str> = Vec::new();
            for other in evidence[at..].iter().filter(|other| is_same_line(other, first)) {
                if !shows.contains(&&*other.shows) {
                    shows.push(&other.shows);
                }
            }
            self.row(label, &printable(&shows.join("; and ")));
            label = "";
            let indent = " ".repeat(LABEL + 2);
            let place = format!("{}{}", first.place(), age(first, of));
            let place = self.paint(DIM, &printable(&place));
            self.line(&format!("{indent}{place}"));
            let room = self.look.width.saturating_sub(indent.len()).max(20);
            let quote = trim_middle(&printable(first.quote.trim()), room * QUOTE_LINES);
            for line in wrap(&quote, room) {
                self.line(&format!("{indent}{line}"));
            }
            let likewise: Vec<String> = evidence[at + 1..]
                .iter()
                .filter(|other| other.shows == first.shows && !is_same_line(other, first))
                .map(|other| printable(&other.place()).into_owned())
                .collect();
            if !likewise.is_empty() {
                self.wrapped(&indent, &indent, &format!("likewise {}", likewise.join(", ")));
            }
        }
    }

    fn list<'f>(&mut self, title: &str, findings: impl Iterator<Item = &'f Finding>) {
        let findings: Vec<&Finding> = findings.collect();
        let mut slugs: Vec<&str> = Vec::new();
        for finding in &findings {
            if slugs.contains(&finding.cause.slug) {
                continue;
            }
            if slugs.is_empty() {
                self.line("");
                self.line(&format!("{title}:"));
            }
            slugs.push(finding.cause.slug);
            let others = findings.iter().filter(|other| other.cause.slug == finding.cause.slug).count() - 1;
            let more =
                if others > 0 { format!("; and {}", plural(others as u64, "more subject")) } else { String::new() };
            let text = format!(
                "{}: {} ({}{}){more}",
                finding.cause.slug,
                printable(&finding.summary),
                when(finding),
                worked_again(finding)
            );
            self.wrapped("  ", "    ", &text);
            if let Some(evidence) = finding.because.first() {
                let place = self.paint(DIM, &printable(&evidence.place()));
                let room = self.look.width.saturating_sub(6).max(20);
                let quote = trim_middle(&printable(evidence.quote.trim()), room);
                self.line(&format!("    {place}"));
                self.line(&format!("      {quote}"));
            }
        }
    }

    fn closing(&mut self, summary: &Summary) {
        self.line("");
        let documents = plural(summary.documents, "state document");
        let has_lines = summary.files > 0 || summary.documents == 0;
        let mut read = match (has_lines, summary.documents) {
            (false, _) => format!("read {documents}"),
            (true, 0) => format!("read {} of {}", plural(summary.lines, "line"), plural(summary.files, "file")),
            (true, _) => {
                format!("read {} of {}, {documents}", plural(summary.lines, "line"), plural(summary.files, "file"))
            }
        };
        if let Some((from, to)) = summary.engine.span {
            let _ = write!(read, ", {}", span(from, to));
        }
        if has_lines {
            let understood = grouped(summary.understood);
            let _ = write!(read, ": {understood} understood, {} not", grouped(summary.not_understood));
        }
        self.wrapped("", "  ", &read);
        let engine = &summary.engine;
        let counted = [
            (engine.late, "late line", "judged out of order"),
            (engine.cases_refused, "symptom", "not followed: too many at once"),
            (engine.facts_refused, "fact", "not kept: too many of one kind"),
        ];
        for (count, what, why) in counted {
            if count > 0 {
                self.wrapped("", "  ", &format!("{} {why}", plural(count, what)));
            }
        }
        for slug in &engine.causes_disabled {
            self.wrapped(
                "",
                "  ",
                &format!("the judgement of {slug} failed and was left out: a bug, please report it"),
            );
        }
        for loss in &summary.losses {
            self.wrapped("", "  ", &printable(loss));
        }
        self.counts("symptoms that no cause explains", &engine.unexplained);
        self.counts("warnings and errors that no signature knows", &summary.templates);
    }

    fn counts(&mut self, title: &str, counts: &[(String, u64)]) {
        if counts.is_empty() {
            return;
        }
        self.line(&format!("{title}, most frequent first:"));
        let digits = counts.iter().map(|(_, count)| count.to_string().len()).max().unwrap_or(1);
        let room = self.look.width.saturating_sub(digits + 4).max(20);
        for (text, count) in counts {
            let text = trim_middle(&printable(text), room);
            self.line(&format!("  {count:>digits$}x {text}"));
        }
    }

    fn row(&mut self, label: &str, text: &str) {
        let first = self.label(label);
        self.wrapped(&first, &" ".repeat(LABEL), text);
    }

    /// A command stands on one line, however long, so that it can be copied.
    fn command(&mut self, label: &str, before: &str, command: &str) {
        let first = self.label(label);
        self.line(&format!("{first}{before}{}", printable(command)));
    }

    fn label(&self, label: &str) -> String {
        format!("   {}", self.paint(DIM, &format!("{label:<width$}", width = LABEL - 3)))
    }

    fn wrapped(&mut self, first: &str, next: &str, text: &str) {
        let room = self.look.width.saturating_sub(next.len()).max(20);
        for (at, line) in wrap(text, room).into_iter().enumerate() {
            self.line(&format!("{}{line}", if at == 0 { first } else { next }));
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.look.colour && !text.trim().is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}

/// Whether two pieces of evidence quote the same words of the same place.
fn is_same_line(a: &Evidence, b: &Evidence) -> bool {
    a.event.origin.file == b.event.origin.file && a.event.seq == b.event.seq && a.quote == b.quote
}

const DIM: &str = "2";

fn severity_colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "1;36",
        Severity::Warning => "1;33",
        Severity::Error | Severity::Critical => "1;31",
    }
}

/// How old a document is next to what failed: it shows what was so when it was taken.
fn age(evidence: &Evidence, finding: &Finding) -> String {
    let taken = evidence.event.at.filter(|_| evidence.event.is_document());
    let (Some(taken), Some(from), Some(to)) = (taken, finding.first_at, finding.last_at) else { return String::new() };
    if taken < from {
        format!(", as it was {} before the first symptom or later", human(from.since(taken)))
    } else if to < taken {
        format!(", as it was {} after the last symptom", human(taken.since(to)))
    } else {
        String::new()
    }
}

/// When it was seen and how often: `2026-03-01T09:30:00Z to 09:41:12Z (11 min 12 s), 14 times`.
fn when(finding: &Finding) -> String {
    let often = plural(finding.count, "time");
    match (finding.first_at, finding.last_at) {
        (Some(from), Some(to)) if from == to => format!("{}, {often}", from.to_second()),
        (Some(from), Some(to)) => format!("{}, {often}", span(from, to)),
        (Some(at), None) | (None, Some(at)) => format!("{}, {often}", at.to_second()),
        (None, None) => format!("undated, {often}"),
    }
}

fn worked_again(finding: &Finding) -> String {
    finding.recovered_at.map(|at| format!("; worked again {}", at.to_second())).unwrap_or_default()
}

/// `2026-03-01T09:30:00Z to 09:41:12Z (11 min 12 s)`; the day is said again where it is another.
fn span(from: Time, to: Time) -> String {
    let (from_text, to_text) = (from.to_second(), to.to_second());
    if from_text == to_text {
        return from_text;
    }
    let to_text = match (from_text.split_once('T'), to_text.split_once('T')) {
        (Some((day, _)), Some((other, clock))) if day == other => clock.to_string(),
        _ => to_text,
    };
    format!("{from_text} to {to_text} ({})", human(to.since(from)))
}

/// A duration in its two largest units.
fn human(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// `1 line`, `2,000 lines`.
fn plural(count: u64, word: &str) -> String {
    format!("{} {word}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A number with its thousands apart.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Breaks a text at blanks into lines of at most `room` columns; a longer word is broken behind a comma, else anywhere.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        let shown = visible_width(word.trim_end());
        if used > 0 && used + shown > room {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if shown <= room {
            line.push_str(word);
            used += visible_width(word);
            continue;
        }
        for part in word.split_inclusive(',') {
            let shown = visible_width(part.trim_end());
            if used > 0 && used + shown > room && shown <= room {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            for c in part.chars() {
                let wide = c.width().unwrap_or(0);
                if used + wide > room {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push(c);
                used += wide;
            }
        }
    }
    if !line.trim().is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines.into_iter().map(|line| line.trim_end().to_string()).collect()
}

/// Columns a text takes, not counting our own colour sequences: untrusted text has none left.
fn visible_width(text: &str) -> usize {
    let mut width = 0;
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\x1b') {
        width += before.width();
        rest = escape.split_once('m').map_or("", |(_, after)| after);
    }
    width + rest.width()
}

/// A text of at most `room` columns: what is too much is taken from its middle, where logs carry the least.
pub fn trim_middle(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_string();
    }
    let half = room.saturating_sub(3) / 2;
    let take = |chars: &mut dyn Iterator<Item = char>| {
        let mut used = 0;
        chars
            .take_while(|c| {
                used += c.width().unwrap_or(0);
                used <= half
            })
            .collect::<Vec<char>>()
    };
    let head: String = take(&mut text.chars()).into_iter().collect();
    let tail: String = take(&mut text.chars().rev()).into_iter().rev().collect();
    format!("{} … {}", head.trim_end(), tail.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::check::Check;

    #[test]
    fn text_is_broken_at_blanks_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("0123456789 a", 4), ["0123", "4567", "89 a"]);
        assert_eq!(wrap(r#"{"a":1,"b":22,"c":3}"#, 12), [r#"{"a":1,"#, r#""b":22,"#, r#""c":3}"#]);
        assert_eq!(wrap("", 7), [""]);
        assert_eq!(wrap("大大大 a", 4), ["大大", "大 a"]);
    }

    #[test]
    fn a_long_quotation_keeps_both_ends() {
        assert_eq!(trim_middle("short", 10), "short");
        assert_eq!(trim_middle("abcdefghijklmnopqrstuvwxyz", 13), "abcde … vwxyz");
    }

    #[test]
    fn numbers_and_durations_read_well() {
        assert_eq!((grouped(1_234_567), grouped(999)), ("1,234,567".to_string(), "999".to_string()));
        assert_eq!((plural(1, "line"), plural(2_000, "line")), ("1 line".to_string(), "2,000 lines".to_string()));
        for (millis, wanted) in
            [(250, "250 ms"), (672_000, "11 min 12 s"), (7_260_000, "2 h 1 min"), (90_000_000, "1 d 1 h")]
        {
            assert_eq!(human(Duration::from_millis(millis)), wanted);
        }
    }

    #[test]
    fn a_span_says_the_day_once_where_it_is_one() {
        let at = |day, minute| Time::from_civil((2026, 3, day), (9, minute, 0), 0).expect("a moment");
        assert_eq!(span(at(1, 30), at(1, 41)), "2026-03-01T09:30:00Z to 09:41:00Z (11 min 0 s)");
        assert_eq!(span(at(1, 30), at(2, 30)), "2026-03-01T09:30:00Z to 2026-03-02T09:30:00Z (1 d 0 h)");
    }

    #[test]
    fn many_passes_are_folded_and_what_is_wrong_is_not() {
        static CHECK: Check = Check { id: "all", title: "All is well", before_linking: true, run: |_| Vec::new() };
        let mut items: Vec<Item> =
            (0..PASSES_MAX + 5).map(|at| Item::pass("east", format!("Service {at}"), "in order")).collect();
        items.push(Item::warn("east", "Service late", "old", "renew it"));
        let page = Page { look: Look { width: 80, colour: false, quiet: false, live: false }, text: String::new() };
        let text = page.checks(&[Checked { check: &CHECK, items }], &[]);
        assert_eq!(text.matches("in order").count(), PASSES_MAX, "{text}");
        assert!(text.contains("and 5 more") && text.contains("Service late: old"), "{text}");
        assert!(text.contains("0 failed, 1 warned, 25 passed"), "{text}");
    }
}
