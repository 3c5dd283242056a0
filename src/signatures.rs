//! Signatures of the user's own: a file that names lines, what they mean and how often they must be said.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use meshwhy_parsers::event::{Event, Fact, Kind, Level, Line, TEXT_MAX, User};
use meshwhy_parsers::header;
use meshwhy_parsers::origin::{Origin, Role};
use meshwhy_parsers::time::Time;
use regex::Regex;
use serde::Deserialize;
use toml::Spanned;

use crate::engine::cause::{Cause, Rule, Severity, Verdict};
use crate::engine::view::View;

/// Most subjects that one run counts; further ones are counted together.
pub const SUBJECTS_MAX: usize = 1_024;
/// Most times one signature may ask for before it means something.
pub const COUNT_MAX: u32 = 10_000;

/// The user's own signatures, ready to read lines.
#[derive(Clone, Debug, Default)]
pub struct Signatures {
    all: Vec<Arc<Signature>>,
}

/// One of them.
#[derive(Debug)]
struct Signature {
    name: &'static str,
    role: Option<Role>,
    literals: Vec<String>,
    regex: Option<Regex>,
    /// The named parts of the regular expression.
    fields: Vec<&'static str>,
    subject: Option<String>,
    count: u32,
    within: Option<Duration>,
    cause: &'static Cause,
}

/// The file as the user writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    signature: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    component: Option<Spanned<String>>,
    #[serde(default)]
    literals: Vec<String>,
    #[serde(default)]
    regex: Option<Spanned<String>>,
    #[serde(default)]
    subject: Option<Spanned<String>>,
    #[serde(default = "one")]
    count: Spanned<u32>,
    #[serde(default)]
    within: Option<Spanned<String>>,
    severity: Spanned<String>,
    summary: String,
    #[serde(default)]
    meaning: String,
    remedy: String,
    #[serde(default)]
    verify: String,
    #[serde(default)]
    positive: Vec<Spanned<String>>,
    #[serde(default)]
    negative: Vec<Spanned<String>>,
}

fn one() -> Spanned<u32> {
    Spanned::new(0..0, 1)
}

impl Signatures {
    /// Reads a file's text and runs its examples. An error names the line and says what to try.
    pub fn read(text: &str) -> anyhow::Result<Signatures> {
        let file: File = toml::from_str(text).map_err(|error| syntax_error(text, &error))?;
        let mut all: Vec<Arc<Signature>> = Vec::new();
        for entry in file.signature {
            let span = entry.span();
            let entry = entry.into_inner();
            if all.iter().any(|other| other.name == entry.name) {
                return Err(at(
                    text,
                    &span,
                    &format!("the name {:?} is taken", entry.name),
                    "give each signature its own name",
                ));
            }
            all.push(Arc::new(Signature::build(text, &span, entry)?));
        }
        if all.is_empty() {
            bail!(
                "it holds no signature\nhint: begin one with [[signature]]; `meshwhy signatures check --help` shows a whole one"
            );
        }
        Ok(Signatures { all })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.all.iter().map(|signature| signature.name)
    }

    /// One cause for each.
    pub fn causes(&self) -> impl Iterator<Item = &'static Cause> {
        self.all.iter().map(|signature| signature.cause)
    }

    /// What they read in a line, besides what the line says anyway. Whether it was said often enough is told by [`Counting`].
    pub fn events(&self, line: &Line) -> Vec<Event> {
        let mut events = Vec::new();
        for signature in &self.all {
            let Some(user) = signature.read(&line.origin, &line.text) else { continue };
            let (said, _) = header::read(&line.text, line.outer_at);
            events.push(Event {
                at: said.at,
                origin: line.origin.clone(),
                seq: line.seq,
                number: line.number,
                level: Level::Info,
                text: line.text[..line.text.floor_char_boundary(TEXT_MAX)].into(),
                signature: Some(signature.name),
                fact: Fact::User(user),
            });
        }
        events
    }

    /// Counts what they read, in event-time order.
    pub fn counting(&self) -> Counting {
        Counting { signatures: self.clone(), seen: BTreeMap::new() }
    }
}

/// How often each signature was said about each subject, lately.
#[derive(Debug)]
pub struct Counting {
    signatures: Signatures,
    seen: BTreeMap<(&'static str, Box<str>), VecDeque<Option<Time>>>,
}

impl Counting {
    /// Marks an event of a user's signature that was said often enough; leaves every other as it is.
    pub fn mark(&mut self, event: &mut Event) {
        let Fact::User(user) = &mut event.fact else { return };
        let Some(signature) = self.signatures.all.iter().find(|signature| signature.name == user.name) else { return };
        let is_full = self.seen.len() >= SUBJECTS_MAX;
        let key = (user.name, user.subject.clone());
        let key = if is_full && !self.seen.contains_key(&key) { (user.name, "".into()) } else { key };
        let times = self.seen.entry(key).or_default();
        times.push_back(event.at);
        if let (Some(within), Some(now)) = (signature.within, event.at) {
            // A line without a time counts with its neighbours.
            while times.front().is_some_and(|at| at.is_some_and(|at| now.since(at) > within)) {
                times.pop_front();
            }
        }
        user.enough = times.len() >= signature.count as usize;
        while times.len() > signature.count as usize {
            times.pop_front();
        }
    }
}

impl Signature {
    fn build(text: &str, span: &Range<usize>, entry: Entry) -> anyhow::Result<Signature> {
        let wrong = |span: &Range<usize>, what: String, hint: &str| Err(at(text, span, &what, hint));
        let name = entry.name;
        let is_word =
            !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
        if !is_word {
            return wrong(
                span,
                format!("{name:?} is no name"),
                "small letters, digits and dashes: payment-backend-slow",
            );
        }
        let role = match &entry.component {
            None => None,
            Some(word) => match role(word.get_ref()) {
                Ok(role) => role,
                Err(hint) => return wrong(&word.span(), format!("no component is called {:?}", word.get_ref()), &hint),
            },
        };
        let regex = match &entry.regex {
            None => None,
            Some(pattern) => match Regex::new(pattern.get_ref()) {
                Ok(regex) => Some(regex),
                Err(error) => {
                    let reason = error.to_string();
                    let reason = reason.lines().last().unwrap_or("").trim().trim_start_matches("error: ").to_string();
                    return wrong(
                        &pattern.span(),
                        format!("the regular expression of {name:?} cannot be read: {reason}"),
                        "write it in single quotes, so that backslashes stay: regex = 'timed out after (?<seconds>\\d+)s'",
                    );
                }
            },
        };
        if entry.literals.iter().all(String::is_empty) && regex.is_none() {
            return wrong(span, format!("{name:?} matches nothing"), "give it literals = [\"...\"] or regex = '...'");
        }
        let severity = match severity(entry.severity.get_ref()) {
            Some(severity) => severity,
            None => {
                return wrong(
                    &entry.severity.span(),
                    format!("no severity is called {:?}", entry.severity.get_ref()),
                    "one of info, warning, error, critical",
                );
            }
        };
        let count = *entry.count.get_ref();
        if count == 0 || count > COUNT_MAX {
            return wrong(&entry.count.span(), format!("{name:?} cannot ask for count = {count}"), "from 1 to 10000");
        }
        let within = match &entry.within {
            None => None,
            Some(word) => match span_of_time(word.get_ref()) {
                Some(within) => Some(within),
                None => {
                    let what = format!("cannot read within = {:?}", word.get_ref());
                    return wrong(&word.span(), what, "a number and its unit: \"30s\", \"5m\", \"2h\"");
                }
            },
        };
        let name: &'static str = String::leak(name);
        let fields: Vec<&'static str> = regex
            .iter()
            .flat_map(Regex::capture_names)
            .flatten()
            .map(|field| &*String::leak(field.to_string()))
            .collect();
        if let Some(subject) = &entry.subject
            && !fields.contains(&subject.get_ref().as_str())
        {
            let what = format!("the subject {:?} is no field of {name:?}", subject.get_ref());
            return wrong(&subject.span(), what, "name a group of the regular expression: (?<service>\\S+)");
        }
        let cause = Cause {
            slug: String::leak(format!("user:{name}")),
            severity,
            summary: String::leak(entry.summary),
            mechanism: String::leak(entry.meaning),
            remedy: String::leak(entry.remedy),
            verify: String::leak(entry.verify),
            explains: &[],
            hits: &[],
            near_misses: &[],
            rules: Box::leak(Box::new([Rule::Named { name, judge }])),
        };
        let signature = Signature {
            name,
            role,
            literals: entry.literals,
            regex,
            fields,
            subject: entry.subject.map(Spanned::into_inner),
            count,
            within,
            // Causes are compiled in and live as long as the program; the user's are made to.
            cause: Box::leak(Box::new(cause)),
        };
        signature.run_examples(text, span, &entry.positive, &entry.negative)?;
        Ok(signature)
    }

    /// Both kinds of examples are asked for: a signature that cannot miss is not understood yet.
    fn run_examples(
        &self,
        text: &str,
        span: &Range<usize>,
        positive: &[Spanned<String>],
        negative: &[Spanned<String>],
    ) -> anyhow::Result<()> {
        let name = self.name;
        for (kind, examples) in [("positive", positive), ("negative", negative)] {
            if examples.is_empty() {
                let hint = format!(
                    "add {kind} = ['a whole line'], one it must {}know",
                    if kind == "negative" { "not " } else { "" }
                );
                return Err(at(text, span, &format!("{name:?} has no {kind} example"), &hint));
            }
        }
        let origin = Origin::default();
        for example in positive {
            if self.read(&origin, example.get_ref()).is_none() {
                let what = format!("{name:?} does not know its positive example {:?}", example.get_ref());
                return Err(at(
                    text,
                    &example.span(),
                    &what,
                    "compare it with the literals and the regular expression",
                ));
            }
        }
        for example in negative {
            if self.read(&origin, example.get_ref()).is_some() {
                let what = format!("{name:?} knows its negative example {:?}", example.get_ref());
                return Err(at(text, &example.span(), &what, "make the literals or the regular expression narrower"));
            }
        }
        Ok(())
    }

    fn read(&self, origin: &Origin, text: &str) -> Option<User> {
        let other_role = self.role.is_some_and(|role| origin.role != role && origin.role != Role::Unknown);
        if other_role || !self.literals.iter().all(|literal| text.contains(literal.as_str())) {
            return None;
        }
        let mut fields = Vec::new();
        if let Some(regex) = &self.regex {
            let captures = regex.captures(text)?;
            for field in &self.fields {
                if let Some(value) = captures.name(field) {
                    fields.push((*field, value.as_str().into()));
                }
            }
        }
        let chosen = self.subject.as_ref().and_then(|subject| fields.iter().find(|(field, _)| field == subject));
        let subject = chosen.map_or_else(|| self.name.into(), |(_, value): &(_, Box<str>)| value.clone());
        Some(User { name: self.name, subject, fields, enough: false })
    }
}

/// The judgement of every signature of the user's: what they wrote, with the first and the last line that said it.
fn judge(view: &View<'_>, trigger: &Arc<Event>) -> Option<Verdict> {
    let Fact::User(user) = &trigger.fact else { return None };
    let mut verdict = Verdict::certain(&user.subject).token(&user.subject).slot("subject", &user.subject);
    for (field, value) in &user.fields {
        verdict = verdict.slot(field, value);
    }
    let same = |event: &&Arc<Event>| matches!(&event.fact, Fact::User(other) if other.name == user.name && other.subject == user.subject);
    let first = view.events(Kind::User).find(same).filter(|first| !Arc::ptr_eq(first, trigger));
    if let Some(first) = first {
        verdict = verdict.because(first, "said first");
    }
    Some(verdict.because(trigger, "said as often as the signature asks for"))
}

/// The severity of this name.
pub fn severity(word: &str) -> Option<Severity> {
    [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical].into_iter().find(|s| s.word() == word)
}

fn role(word: &str) -> Result<Option<Role>, String> {
    match word {
        "any" => Ok(None),
        "istiod" => Ok(Some(Role::Istiod)),
        "ztunnel" => Ok(Some(Role::Ztunnel)),
        "sidecar" => Ok(Some(Role::Sidecar)),
        "gateway" => Ok(Some(Role::Gateway)),
        "waypoint" => Ok(Some(Role::Waypoint)),
        "cni" => Ok(Some(Role::Cni)),
        "api-server" => Ok(Some(Role::ApiServer)),
        _ => Err("one of any, istiod, ztunnel, sidecar, gateway, waypoint, cni, api-server".to_string()),
    }
}

/// Reads `30s`, `5m`, `2h`.
fn span_of_time(word: &str) -> Option<Duration> {
    let (number, seconds) = match word.as_bytes().last()? {
        b's' => (word.strip_suffix('s')?, 1),
        b'm' => (word.strip_suffix('m')?, 60),
        b'h' => (word.strip_suffix('h')?, 3_600),
        _ => return None,
    };
    number.parse::<u32>().ok().filter(|n| *n > 0).map(|n| Duration::from_secs(u64::from(n) * seconds))
}

/// An error with the line it stands on.
fn at(text: &str, span: &Range<usize>, what: &str, hint: &str) -> anyhow::Error {
    let line = text.get(..span.start).map_or(0, |before| before.matches('\n').count()) + 1;
    anyhow!("line {line}: {what}\nhint: {hint}")
}

fn syntax_error(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let message = error.message();
    let hint = match () {
        () if message.starts_with("unknown field") => "`meshwhy signatures check --help` shows a whole signature",
        () if message.starts_with("missing field") => "every signature says name, severity, summary and remedy",
        () => "the file is TOML: strings in quotes, one [[signature]] a signature",
    };
    at(text, &error.span().unwrap_or_default(), message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[[signature]]
name = "payment-slow"
regex = 'payment (?<service>\S+) timed out'
subject = "service"
count = 2
within = "1m"
severity = "error"
summary = "{service} is slow"
remedy = "Ask the owners of {service}."
positive = ["payment eu timed out"]
negative = ["payment eu answered"]
"#;

    fn line(text: &str) -> Line {
        Line::alone(Origin::default(), text)
    }

    fn error_of(from: &str, to: &str) -> String {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "the test must change something");
        Signatures::read(&text).expect_err(to).to_string()
    }

    #[test]
    fn said_often_enough_within_the_window_it_means_something() {
        let signatures = Signatures::read(GOOD).expect("a good file");
        let mut counting = signatures.counting();
        let mut enough = |at: &str, service: &str| {
            let mut events = signatures.events(&line(&format!("{at}\tinfo\tpayment {service} timed out")));
            counting.mark(&mut events[0]);
            let Fact::User(user) = &events[0].fact else { panic!("a fact of the user's") };
            user.enough
        };
        assert!(!enough("2026-03-01T10:00:00Z", "eu"));
        assert!(!enough("2026-03-01T10:00:10Z", "us"), "another subject counts by itself");
        assert!(!enough("2026-03-01T10:05:00Z", "eu"), "the first one is too long ago");
        assert!(enough("2026-03-01T10:05:20Z", "eu"));
    }

    #[test]
    fn an_error_names_its_line_and_says_what_to_try() {
        for (from, to, wanted) in [
            ("(?<service>", "(?<service", "line 4: the regular expression of \"payment-slow\" cannot be read"),
            ("\"error\"", "\"bad\"", "line 8: no severity is called \"bad\""),
            ("\"1m\"", "\"soon\"", "line 7: cannot read within"),
            ("count = 2", "count = 0", "line 6: \"payment-slow\" cannot ask for count = 0"),
            ("subject = \"service\"", "subject = \"pod\"", "line 5: the subject \"pod\" is no field"),
            ("eu answered", "eu timed out", "line 12: \"payment-slow\" knows its negative example"),
            (
                "[\"payment eu timed out\"]",
                "[\"other\"]",
                "line 11: \"payment-slow\" does not know its positive example",
            ),
            ("negative = [\"payment eu answered\"]", "", "line 2: \"payment-slow\" has no negative example"),
            ("remedy", "remedies", "line 10: unknown field `remedies`"),
            ("payment-slow", "Payment slow", "line 2: \"Payment slow\" is no name"),
        ] {
            let error = error_of(from, to);
            assert!(error.starts_with(wanted), "{error}");
            assert!(error.contains("\nhint: "), "{error}");
        }
    }

    #[test]
    fn a_component_reads_its_own_lines_and_those_of_unknown_origin() {
        let text = GOOD.replace("count = 2", "count = 2\ncomponent = \"istiod\"");
        let signatures = Signatures::read(&text).expect("a good file");
        let of = |role: Role| {
            let mut line = line("payment eu timed out");
            line.origin = Arc::new(Origin { role, ..Origin::default() });
            signatures.events(&line).len()
        };
        assert_eq!((of(Role::Istiod), of(Role::Unknown), of(Role::Ztunnel)), (1, 1, 0));
    }
}
