//! A trace: one call walked hop by hop through what state says of it.

use super::cause::Verdict;
use super::check::Outcome;
use super::finding::Evidence;

/// A call, walked.
pub struct Trace {
    /// Who calls: `east/sleep.sample`.
    pub from: String,
    /// What is called: `helloworld.sample.svc.cluster.local:5000`.
    pub to: String,
    /// The hops in the order of the call.
    pub hops: Vec<Hop>,
    /// What breaks it at the first hop that fails: a slug of the catalogue, and the verdict.
    pub cause: Option<(&'static str, Box<Verdict>)>,
}

/// A hop of a call.
pub struct Hop {
    /// What is passed: `client proxy`, `service`, `endpoints of west`, `east-west gateway`, ...
    pub name: String,
    /// The object: `pod sleep-5b7d.sample in east`.
    pub place: String,
    /// Whether the call gets past it.
    pub outcome: Outcome,
    /// What is so, or what is missing to tell.
    pub says: String,
    /// What told it.
    pub told: Vec<Evidence>,
}
