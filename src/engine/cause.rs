//! The contract of a root cause: data plus one pure function.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::event::{Event, Kind};
use meshwhy_parsers::state::object::Object;

use super::finding::Evidence;
use super::mesh::Doc;
use super::view::View;

/// A root cause: one thing a person would fix.
pub struct Cause {
    /// Stable id of the catalogue.
    pub slug: &'static str,
    /// How bad it is for the mesh.
    pub severity: Severity,
    /// One sentence with `{slots}`.
    pub summary: &'static str,
    /// What breaks, how it shows, why it is easy to misread: prose for `explain`.
    pub mechanism: &'static str,
    /// What to do, with `{slots}`: names the object and the first check.
    pub remedy: &'static str,
    /// The one command that proves the fix, with `{slots}`.
    pub verify: &'static str,
    /// Causes whose findings this one explains, and how near they must be.
    pub explains: &'static [(&'static str, Within)],
    /// Samples in which it must be named.
    pub hits: &'static [&'static str],
    /// Samples that look like it and in which it must not be named.
    pub near_misses: &'static [&'static str],
    /// The judgements: one a kind of trigger that shows this cause.
    pub rules: &'static [Rule],
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug)
    }
}

/// One way in which a cause shows.
#[derive(Clone, Copy)]
pub enum Rule {
    /// Judges failing events of one kind, one at a time.
    Symptom {
        /// The kind of fact whose failures it judges.
        trigger: Kind,
        /// How much event time to wait after a symptom before judging it.
        settle: Duration,
        /// The judgement.
        judge: fn(&View<'_>, &Arc<Event>) -> Option<Verdict>,
    },
    /// Judges what one signature of the user's own read.
    Named {
        /// The signature's name.
        name: &'static str,
        /// The judgement.
        judge: fn(&View<'_>, &Arc<Event>) -> Option<Verdict>,
    },
    /// Judges the mesh as a whole when the input ends: what state and the sum of lines say.
    Mesh(fn(&View<'_>) -> Vec<Verdict>),
}

impl Rule {
    /// A rule that one failing event decides at once.
    pub const fn on(trigger: Kind, judge: fn(&View<'_>, &Arc<Event>) -> Option<Verdict>) -> Rule {
        Rule::Symptom { trigger, settle: Duration::ZERO, judge }
    }

    /// A rule that waits for what else is said within so many seconds of event time.
    pub const fn after(trigger: Kind, seconds: u64, judge: fn(&View<'_>, &Arc<Event>) -> Option<Verdict>) -> Rule {
        Rule::Symptom { trigger, settle: Duration::from_secs(seconds), judge }
    }
}

/// How bad a cause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth saying, nothing to fix: listed under `notes`.
    Info,
    /// Degrades some calls or will fail later.
    Warning,
    /// Calls fail.
    Error,
    /// A cluster, a proxy fleet or all cross-cluster traffic fails.
    Critical,
}

/// How near a finding must be for a cause to explain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// Lines of the same file.
    File,
    /// The same cluster.
    Cluster,
    /// They share a token: an address, a remote cluster, a service, a proxy (see [`Verdict::token`]).
    Token,
    /// Anywhere in the mesh.
    Mesh,
}

/// How sure a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Only timing or a hint fits.
    Possible,
    /// One link is inferred.
    Likely,
    /// Every link of the chain has a line or a state document.
    Certain,
}

impl Confidence {
    /// One step surer.
    pub fn raised(self) -> Confidence {
        match self {
            Confidence::Possible => Confidence::Likely,
            Confidence::Likely | Confidence::Certain => Confidence::Certain,
        }
    }

    /// One step less sure.
    pub fn lowered(self) -> Confidence {
        match self {
            Confidence::Certain => Confidence::Likely,
            Confidence::Likely | Confidence::Possible => Confidence::Possible,
        }
    }

    /// The word as printed.
    pub fn word(self) -> &'static str {
        match self {
            Confidence::Possible => "possible",
            Confidence::Likely => "likely",
            Confidence::Certain => "certain",
        }
    }
}

impl Severity {
    /// The word as printed.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }
}

/// Whether two of one cause, each with its tokens and clusters, are about the same thing.
pub fn is_same(a: (&[String], &[String]), b: (&[String], &[String])) -> bool {
    let share = |a: &[String], b: &[String]| a.iter().any(|name| b.contains(name));
    if a.0.is_empty() || b.0.is_empty() { share(a.1, b.1) } else { share(a.0, b.0) }
}

/// What one cause says about one symptom.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What is broken: with the slug this is the finding's identity.
    pub subject: String,
    /// How sure.
    pub confidence: Confidence,
    /// Values for the `{slots}` of summary, remedy and verify.
    pub slots: Vec<(&'static str, String)>,
    /// What proves it, in the order a person should read it.
    pub because: Vec<Evidence>,
    /// What speaks against it.
    pub against: Vec<Evidence>,
    /// Clusters it concerns.
    pub clusters: Vec<String>,
    /// Names that tie findings together.
    pub tokens: Vec<String>,
    /// The command that would settle an open question; empty where none is open.
    pub settle_by: String,
    /// A sentence with `{slots}` that says it better than the cause's own summary; empty for that one.
    pub says: &'static str,
}

impl Verdict {
    fn new(confidence: Confidence, subject: &str) -> Verdict {
        Verdict {
            subject: subject.to_string(),
            confidence,
            slots: Vec::new(),
            because: Vec::new(),
            against: Vec::new(),
            clusters: Vec::new(),
            tokens: Vec::new(),
            settle_by: String::new(),
            says: "",
        }
    }

    /// Whether another verdict of the same cause is about the same thing: by the names both carry, else by their clusters.
    pub fn concerns(&self, other: &Verdict) -> bool {
        self.subject == other.subject || is_same((&self.tokens, &self.clusters), (&other.tokens, &other.clusters))
    }

    /// Every link of the chain has a line or a document.
    pub fn certain(subject: &str) -> Verdict {
        Verdict::new(Confidence::Certain, subject)
    }

    /// One link is inferred.
    pub fn likely(subject: &str) -> Verdict {
        Verdict::new(Confidence::Likely, subject)
    }

    /// Only a hint fits.
    pub fn possible(subject: &str) -> Verdict {
        Verdict::new(Confidence::Possible, subject)
    }

    /// Fills the slot `{name}`.
    pub fn slot(mut self, name: &'static str, value: impl ToString) -> Verdict {
        self.slots.push((name, value.to_string()));
        self
    }

    /// Adds an event that proves it, and what it shows.
    pub fn because(mut self, event: &Arc<Event>, shows: &str) -> Verdict {
        self.clusters.push(event.origin.cluster.to_string());
        self.because.push(Evidence::event(event, shows));
        self
    }

    /// Adds a quotation from a document that proves it, and what it shows.
    pub fn because_quote(mut self, event: &Arc<Event>, quote: &str, shows: &str) -> Verdict {
        self.clusters.push(event.origin.cluster.to_string());
        self.because.push(Evidence::quote(event, quote, shows));
        self
    }

    /// Adds a part of an object that proves it, and what it shows; of a table row the whole row.
    pub fn because_object(self, object: &Doc<Object>, quote: &str, shows: &str) -> Verdict {
        match object.is_row {
            true => self.because(&object.event, shows),
            false => self.because_quote(&object.event, &format!("{}: {quote}", object.title()), shows),
        }
    }

    /// Adds what a document says, in words of its own; of a line, such as a row of a table, the whole line.
    pub fn because_said(self, event: &Arc<Event>, quote: &str, shows: &str) -> Verdict {
        match event.is_document() {
            true => self.because_quote(event, quote, shows),
            false => self.because(event, shows),
        }
    }

    /// Adds an event that speaks against it, and why.
    pub fn against(mut self, event: &Arc<Event>, shows: &str) -> Verdict {
        self.against.push(Evidence::event(event, shows));
        self
    }

    /// Adds a quotation from a document that speaks against it, and why.
    pub fn against_quote(mut self, event: &Arc<Event>, quote: &str, shows: &str) -> Verdict {
        self.against.push(Evidence::quote(event, quote, shows));
        self
    }

    /// Names a cluster it concerns besides those of the evidence.
    pub fn cluster(mut self, name: &str) -> Verdict {
        self.clusters.push(name.to_string());
        self
    }

    /// Ties it to other findings by a name: an address, a remote cluster, a service, a proxy.
    pub fn token(mut self, name: impl ToString) -> Verdict {
        let name = name.to_string();
        // What has no name is not the same thing as something else that has none.
        if !name.is_empty() {
            self.tokens.push(name);
        }
        self
    }

    /// A sentence with `{slots}` in place of the cause's summary, where this rule knows it better.
    pub fn says(mut self, summary: &'static str) -> Verdict {
        self.says = summary;
        self
    }

    /// The command that would settle what the input leaves open.
    pub fn settle_by(mut self, command: impl ToString) -> Verdict {
        self.settle_by = command.to_string();
        self
    }
}
