//! The hops of a call, in the order in which they are walked.

use std::sync::Arc;

use meshwhy_parsers::event::Event;

use crate::engine::cause::Verdict;
use crate::engine::check::{Item, Outcome};
use crate::engine::finding::Evidence;
use crate::engine::trace::{Hop, Trace};

/// A slug of the catalogue with its verdict.
type Named = (&'static str, Box<Verdict>);

/// A hop, with what breaks it.
pub(super) struct Step {
    hop: Hop,
    cause: Option<Named>,
}

impl Step {
    fn new(name: &str, place: impl ToString, outcome: Outcome, says: impl ToString) -> Step {
        let hop =
            Hop { name: name.to_string(), place: place.to_string(), outcome, says: says.to_string(), told: Vec::new() };
        Step { hop, cause: None }
    }

    /// The call gets past it.
    pub(super) fn pass(name: &str, place: impl ToString, says: impl ToString) -> Step {
        Step::new(name, place, Outcome::Pass, says)
    }

    /// The call gets past it now, and may not later or elsewhere.
    pub(super) fn warn(name: &str, place: impl ToString, says: impl ToString) -> Step {
        Step::new(name, place, Outcome::Warn, says)
    }

    /// It cannot be told, because this is missing; `how` is what to save.
    pub(super) fn unknown(name: &str, place: impl ToString, missing: &str, how: impl ToString) -> Step {
        Step::new(name, place, Outcome::Unknown, format!("{missing}; save: {}", how.to_string()))
    }

    /// The call ends here, and nothing that was saved says why.
    pub(super) fn stop(name: &str, place: impl ToString, says: impl ToString) -> Step {
        Step::new(name, place, Outcome::Fail, says)
    }

    /// The call ends here, for this cause.
    pub(super) fn fail(
        name: &str,
        place: impl ToString,
        says: impl ToString,
        slug: &'static str,
        verdict: Verdict,
    ) -> Step {
        let cause = Some((slug, Box::new(verdict)));
        Step { cause, ..Step::stop(name, place, says) }
    }

    /// The call ends here, as a check found.
    pub(super) fn found(name: &str, item: &Item) -> Step {
        let cluster: Vec<&str> = item.clusters().collect();
        let place = if cluster.is_empty() {
            item.object.clone()
        } else {
            format!("{} in {}", item.object, cluster.join(" and "))
        };
        let mut step = Step { cause: item.cause.clone(), ..Step::stop(name, place, &item.reason) };
        let proof = item.cause.iter().filter_map(|(_, verdict)| verdict.because.first());
        step.hop.told.extend(proof.map(|of| Evidence { shows: String::new(), ..of.clone() }));
        step
    }

    /// What told it: a field of a document and its value.
    pub(super) fn told(mut self, event: &Arc<Event>, quote: impl ToString) -> Step {
        self.hop.told.push(Evidence::quote(event, &quote.to_string(), ""));
        self
    }
}

/// The hops walked so far.
#[derive(Default)]
pub(super) struct Hops {
    hops: Vec<Hop>,
    cause: Option<Named>,
    fails: bool,
}

impl Hops {
    /// Takes a hop in; whether the call gets past it.
    pub(super) fn walk(&mut self, step: Step) -> bool {
        let is_stop = step.hop.outcome == Outcome::Fail;
        // What fails first is the cause, also where nobody can name it.
        if is_stop && !self.fails {
            self.cause = step.cause;
            self.fails = true;
        }
        self.hops.push(step.hop);
        !is_stop
    }

    /// Whether the call ended at some hop.
    pub(super) fn fails(&self) -> bool {
        self.fails
    }

    /// The whole walk.
    pub(super) fn trace(self, from: String, to: String) -> Trace {
        Trace { from, to, hops: self.hops, cause: self.cause }
    }
}
