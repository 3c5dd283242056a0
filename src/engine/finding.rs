//! Findings: what is reported, with its evidence and its filled-in texts.

use std::sync::Arc;

use meshwhy_parsers::event::Event;
use meshwhy_parsers::time::Time;

use super::cause::{Cause, Confidence, Verdict, is_same};
use super::mesh::{Mesh, addresses_in};

/// How many pieces of evidence a finding keeps, each for and against.
pub const EVIDENCE_MAX: usize = 6;

/// How many addresses of a finding are given their names.
pub const NAMES_MAX: usize = 8;

/// A piece of evidence: a line or a document, and what it shows.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The event.
    pub event: Arc<Event>,
    /// The words quoted from it: the line itself, or a part of a document.
    pub quote: String,
    /// What it shows.
    pub shows: String,
}

impl Evidence {
    /// A whole line as evidence.
    pub fn event(event: &Arc<Event>, shows: &str) -> Evidence {
        Evidence { event: Arc::clone(event), quote: event.text.to_string(), shows: shows.to_string() }
    }

    /// A part of a document as evidence.
    pub fn quote(event: &Arc<Event>, quote: &str, shows: &str) -> Evidence {
        Evidence { event: Arc::clone(event), quote: quote.to_string(), shows: shows.to_string() }
    }

    /// `file:line`, or the file alone for a document.
    pub fn place(&self) -> String {
        self.event.place()
    }
}

/// Where a finding is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Named for the first time, or again after it was resolved.
    Opened,
    /// More evidence, a higher count or another confidence.
    Updated,
    /// What failed works again, or a better explanation took its place.
    Resolved,
}

impl Stage {
    /// The word as printed.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Opened => "opened",
            Stage::Updated => "updated",
            Stage::Resolved => "resolved",
        }
    }
}

/// A named root cause with everything a person needs.
#[derive(Clone)]
pub struct Finding {
    /// The cause.
    pub cause: &'static Cause,
    /// Stable id: `<slug>/<hash of the subject>`.
    pub id: String,
    /// Stage.
    pub stage: Stage,
    /// What is broken.
    pub subject: String,
    /// How sure.
    pub confidence: Confidence,
    /// The filled-in sentence.
    pub summary: String,
    /// The filled-in remedy.
    pub remedy: String,
    /// The filled-in proof of the fix.
    pub verify: String,
    /// Clusters it concerns, sorted.
    pub clusters: Vec<String>,
    /// First symptom.
    pub first_at: Option<Time>,
    /// Last symptom.
    pub last_at: Option<Time>,
    /// When what failed was first seen to work again.
    pub recovered_at: Option<Time>,
    /// How many symptoms.
    pub count: u64,
    /// What proves it.
    pub because: Vec<Evidence>,
    /// What speaks against it.
    pub against: Vec<Evidence>,
    /// Other causes that fit, weaker.
    pub candidates: Vec<Candidate>,
    /// The command that would settle an open question; empty where none is open.
    pub settle_by: String,
    /// How many symptoms of other findings it explains.
    pub explains: u64,
    /// The id of the finding that explains this one; it is then silent.
    pub explained_by: Option<String>,
    /// Names that tie it to other findings.
    pub tokens: Vec<String>,
    /// Files its evidence lies in.
    pub files: Vec<String>,
    /// Other subjects under which state shows the same.
    pub joined: Vec<String>,
    /// The addresses in it that state knows, with what they are: `240.240.0.3` and `reviews.bookinfo via the gateway of
    /// west, 34.1.2.3`.
    pub names: Vec<(String, String)>,
}

impl Finding {
    /// Whether another finding of the same cause is about the same thing.
    pub fn concerns(&self, other: &Finding) -> bool {
        self.subject == other.subject || is_same((&self.tokens, &self.clusters), (&other.tokens, &other.clusters))
    }

    /// Says whose the addresses in it are: those of the sentence first, then those of the evidence.
    pub(super) fn name_addresses(&mut self, mesh: &Mesh) {
        self.names.clear();
        let said = [&self.subject, &self.summary].into_iter().map(|text| (text.as_str(), self.seen_from()));
        let quoted = self.because.iter().chain(&self.against);
        let quoted = quoted.map(|evidence| (evidence.quote.as_str(), &*evidence.event.origin.cluster));
        let mut names: Vec<(String, String)> = Vec::new();
        for (text, cluster) in said.chain(quoted) {
            for address in addresses_in(text) {
                let address = address.to_string();
                if names.len() == NAMES_MAX || names.iter().any(|(known, _)| *known == address) {
                    continue;
                }
                if let Some(words) = mesh.identities().describe_from(&address, cluster) {
                    names.push((address, words));
                }
            }
        }
        self.names = names;
    }

    /// The cluster in which the first piece of evidence was said, where addresses mean what they mean there.
    fn seen_from(&self) -> &str {
        self.because.first().map_or("", |evidence| &evidence.event.origin.cluster)
    }
}

/// A weaker candidate for the same symptom.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Slug.
    pub slug: &'static str,
    /// How sure.
    pub confidence: Confidence,
    /// The filled-in sentence.
    pub summary: String,
    /// The command that would settle it.
    pub settle_by: String,
}

/// Fills the `{slots}` of a text; a slot without a value stays visible as `<name>`.
pub fn fill(template: &str, slots: &[(&'static str, String)]) -> String {
    let mut filled = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}') else { break };
        let name = &rest[open + 1..open + close];
        let is_slot = !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
        filled.push_str(&rest[..open]);
        match slots.iter().find(|(slot, _)| *slot == name) {
            Some((_, value)) => filled.push_str(value),
            None if is_slot => {
                filled.push('<');
                filled.push_str(name);
                filled.push('>');
            }
            None => filled.push_str(&rest[open..=open + close]),
        }
        rest = &rest[open + close + 1..];
    }
    filled.push_str(rest);
    filled
}

/// The stable id of a finding.
pub fn id(slug: &str, subject: &str) -> String {
    format!("{slug}/{:016x}", meshwhy_parsers::event::Thing::named(&[slug, subject]).0)
}

/// The filled-in sentence of a verdict.
pub fn summary(cause: &Cause, verdict: &Verdict) -> String {
    fill(if verdict.says.is_empty() { cause.summary } else { verdict.says }, &verdict.slots)
}

/// The candidate form of a verdict.
pub fn candidate(cause: &'static Cause, verdict: &Verdict) -> Candidate {
    Candidate {
        slug: cause.slug,
        confidence: verdict.confidence,
        summary: summary(cause, verdict),
        settle_by: verdict.settle_by.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_filled_and_missing_ones_stay_visible() {
        let slots = [("addr", "10.0.0.1".to_string())];
        assert_eq!(fill("to {addr} of {service}", &slots), "to 10.0.0.1 of <service>");
    }

    #[test]
    fn braces_that_are_no_slot_are_left_alone() {
        assert_eq!(fill("-o jsonpath='{.items[*]}' {", &[]), "-o jsonpath='{.items[*]}' {");
    }
}
