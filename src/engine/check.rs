//! The contract of a check: a question about the state of the mesh that a person would ask by hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use meshwhy_parsers::event::Event;

use super::cause::Verdict;
use super::finding::{self, Evidence, Finding};
use super::view::View;

/// A check: it looks at state and says, object by object, what it found.
pub struct Check {
    /// Stable id: `remote-secrets`.
    pub id: &'static str,
    /// What it asks, as a heading.
    pub title: &'static str,
    /// Whether it makes sense before the clusters are linked.
    pub before_linking: bool,
    /// Looks.
    pub run: fn(&View<'_>) -> Vec<Item>,
}

/// What a check says about one object, or about a pair of clusters.
#[derive(Clone, Debug)]
pub struct Item {
    /// How it stands.
    pub outcome: Outcome,
    /// The cluster; both of a pair joined by `, `.
    pub cluster: String,
    /// The object, as a person names it: `Secret istio-system/istio-remote-secret-west`.
    pub object: String,
    /// Why: what was seen, or what is missing to tell.
    pub reason: String,
    /// What to do; empty where nothing is to be done, or where the cause's remedy says it.
    pub remedy: String,
    /// The cause that this shows, and its verdict.
    pub cause: Option<(&'static str, Box<Verdict>)>,
    /// Whether somebody tried it out by hand, rather than state saying so.
    pub is_tried: bool,
    /// Causes that this speaks for or against, in its cluster, and what shows it.
    pub weighs: Vec<Weight>,
}

/// What an item means for a cause that it does not name itself.
#[derive(Clone, Debug)]
pub struct Weight {
    /// The cause.
    pub slug: &'static str,
    /// How it weighs.
    pub speaks: Speaks,
    /// The name of the one thing it is about, as findings carry it as a token; empty where it is about all of its clusters.
    pub token: String,
    /// What shows it.
    pub evidence: Evidence,
}

/// How an item weighs on a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speaks {
    /// It makes it surer.
    For,
    /// It makes it less sure.
    Against,
    /// It came about after what lines tell, and shows that it is over.
    Over,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// It cannot be told: something is missing.
    Unknown,
    /// Works, but is not as it should be or will fail later.
    Warn,
    /// Broken.
    Fail,
}

impl Outcome {
    /// The word as printed.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Unknown => "cannot tell",
            Outcome::Warn => "warn",
            Outcome::Fail => "fail",
        }
    }
}

impl Item {
    fn new(outcome: Outcome, cluster: &str, object: impl ToString, reason: impl ToString) -> Item {
        Item {
            outcome,
            cluster: cluster.to_string(),
            object: object.to_string(),
            reason: reason.to_string(),
            remedy: String::new(),
            cause: None,
            is_tried: false,
            weighs: Vec::new(),
        }
    }

    /// It is as it should be.
    pub fn pass(cluster: &str, object: impl ToString, reason: impl ToString) -> Item {
        Item::new(Outcome::Pass, cluster, object, reason)
    }

    /// It speaks against a cause: what lines suggest of it in this cluster is less likely, and says why.
    pub fn refuting(self, slug: &'static str, event: &Arc<Event>, quote: &str, shows: &str) -> Item {
        self.weighing(slug, Speaks::Against, "", Evidence::quote(event, quote, shows))
    }

    /// The same of one thing in this cluster, by the name that findings about it carry as a token: a remote cluster.
    pub fn refuting_of(self, token: &str, slug: &'static str, event: &Arc<Event>, quote: &str, shows: &str) -> Item {
        self.weighing(slug, Speaks::Against, token, Evidence::quote(event, quote, shows))
    }

    /// It shows that what lines told of one thing is over: as state that came about after them does.
    pub fn disproving(self, token: &str, slug: &'static str, event: &Arc<Event>, quote: &str, shows: &str) -> Item {
        self.weighing(slug, Speaks::Over, token, Evidence::quote(event, quote, shows))
    }

    /// It speaks for a cause: what lines or state show of it in these clusters is surer, and says why.
    pub fn confirming(self, slug: &'static str, event: &Arc<Event>, quote: &str, shows: &str) -> Item {
        self.weighing(slug, Speaks::For, "", Evidence::quote(event, quote, shows))
    }

    fn weighing(mut self, slug: &'static str, speaks: Speaks, token: &str, evidence: Evidence) -> Item {
        self.weighs.push(Weight { slug, speaks, token: token.to_string(), evidence });
        self
    }

    /// It cannot be told, because this is missing; `how` tells how to get it.
    pub fn unknown(cluster: &str, object: impl ToString, missing: impl ToString, how: impl ToString) -> Item {
        Item { remedy: how.to_string(), ..Item::new(Outcome::Unknown, cluster, object, missing) }
    }

    /// It works, but is not as it should be.
    pub fn warn(cluster: &str, object: impl ToString, reason: impl ToString, remedy: impl ToString) -> Item {
        Item { remedy: remedy.to_string(), ..Item::new(Outcome::Warn, cluster, object, reason) }
    }

    /// It is broken, and this is the cause: a slug of the catalogue, which becomes a finding.
    pub fn fail(
        cluster: &str,
        object: impl ToString,
        reason: impl ToString,
        slug: &'static str,
        verdict: Verdict,
    ) -> Item {
        Item { cause: Some((slug, Box::new(verdict))), ..Item::new(Outcome::Fail, cluster, object, reason) }
    }
}

impl Item {
    /// Whether this is the finding that it became, alone or joined with what lines say of the same.
    pub fn is_of(&self, finding: &Finding) -> bool {
        self.cause.as_ref().is_some_and(|(slug, verdict)| {
            *slug == finding.cause.slug
                && (finding::id(slug, &verdict.subject) == finding.id || finding.joined.contains(&verdict.subject))
        })
    }

    /// What it means for a cause in these clusters, which other findings name by `names`: a cluster, a token.
    pub fn weighs_on(&self, slug: &str, names: &BTreeSet<&str>, clusters: usize) -> impl Iterator<Item = &Weight> {
        // Of a pair one side is enough where the finding knows no more than that.
        let concerns = match clusters {
            0 | 1 => self.clusters().any(|name| names.contains(name)),
            _ => self.clusters().all(|name| names.contains(name)),
        };
        self.weighs.iter().filter(move |weight| {
            concerns && weight.slug == slug && (weight.token.is_empty() || names.contains(weight.token.as_str()))
        })
    }

    /// The clusters it is about.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        self.cluster.split(", ").filter(|name| !name.is_empty())
    }
}

/// A check that was run, with what it said.
pub struct Checked {
    /// The check.
    pub check: &'static Check,
    /// What it said.
    pub items: Vec<Item>,
}
