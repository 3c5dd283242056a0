//! Open symptoms, waiting for their settle time, and whether what failed worked again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::event::{Event, Symptom, Thing};
use meshwhy_parsers::time::Time;

use super::cause::{Cause, Verdict};

/// How often something may fail again after it worked before one more success is no proof of recovery.
const RELAPSES_MAX: u32 = 3;

/// How long something that relapsed that often must stay well to count as recovered.
const WELL_FOR: Duration = Duration::from_secs(60);

/// One symptom with its repeats.
#[derive(Clone)]
pub struct Case {
    /// The first failure.
    pub first: Arc<Event>,
    /// The last failure.
    pub last: Arc<Event>,
    /// How many failures.
    pub count: u64,
    /// Time of the first failure, inherited from its neighbours where the line has none.
    pub first_at: Option<Time>,
    /// Time of the last failure.
    pub last_at: Option<Time>,
    first_ordinal: u64,
    last_ordinal: u64,
    relapses: u32,
    /// The first success after the last failure.
    pub worked: Option<Arc<Event>>,
    worked_ordinal: u64,
    /// What the causes say, strongest first; empty while unjudged or unexplained.
    pub verdicts: Vec<(&'static Cause, Verdict)>,
    /// Whether it has been judged.
    pub judged: bool,
}

impl Case {
    /// Whether what failed has worked since.
    pub fn recovered(&self, now: Option<Time>) -> bool {
        if self.worked.is_none() || self.worked_ordinal <= self.last_ordinal {
            return false;
        }
        if self.relapses < RELAPSES_MAX {
            return true;
        }
        match (self.last_at, now) {
            (Some(last), Some(now)) => now.since(last) >= WELL_FOR,
            _ => false,
        }
    }
}

/// All cases.
#[derive(Default)]
pub struct Cases {
    open: BTreeMap<Symptom, Case>,
    by_thing: BTreeMap<Thing, BTreeSet<Symptom>>,
    due: BTreeSet<(Time, Symptom)>,
    /// In the order in which they opened.
    opened: BTreeMap<u64, Symptom>,
    /// What recovered, oldest first: it makes room when too much is open.
    well: VecDeque<Symptom>,
    /// Symptoms that were not followed because too many were open.
    pub refused: u64,
}

impl Cases {
    /// A failure at position `ordinal` among all events: opens a case, or counts on one. Returns whether it is new.
    pub fn failed(&mut self, symptom: Symptom, event: &Arc<Event>, at: Option<Time>, ordinal: u64, max: usize) -> bool {
        if let Some(case) = self.open.get_mut(&symptom) {
            case.count += 1;
            case.last = Arc::clone(event);
            case.last_at = at.or(case.last_at);
            case.last_ordinal = ordinal;
            if case.worked.take().is_some() {
                case.relapses += 1;
            }
            return false;
        }
        if self.open.len() >= max && !self.make_room(at) {
            self.refused += 1;
            return false;
        }
        let case = Case {
            first: Arc::clone(event),
            last: Arc::clone(event),
            count: 1,
            first_at: at,
            last_at: at,
            first_ordinal: ordinal,
            last_ordinal: ordinal,
            relapses: 0,
            worked: None,
            worked_ordinal: 0,
            verdicts: Vec::new(),
            judged: false,
        };
        self.open.insert(symptom, case);
        self.by_thing.entry(symptom.thing).or_default().insert(symptom);
        self.opened.insert(ordinal, symptom);
        true
    }

    /// Has a case judged at `due`.
    pub fn judge_at(&mut self, due: Time, symptom: Symptom) {
        self.due.insert((due, symptom));
    }

    /// Closes the case that has been well for longest; `false` where everything still fails.
    fn make_room(&mut self, now: Option<Time>) -> bool {
        while let Some(symptom) = self.well.pop_front() {
            if !self.open.get(&symptom).is_some_and(|case| case.recovered(now)) {
                continue;
            }
            let Some(case) = self.open.remove(&symptom) else { continue };
            self.opened.remove(&case.first_ordinal);
            if let Some(symptoms) = self.by_thing.get_mut(&symptom.thing) {
                symptoms.remove(&symptom);
                if symptoms.is_empty() {
                    self.by_thing.remove(&symptom.thing);
                }
            }
            return true;
        }
        false
    }

    /// Something worked: returns the symptoms that recover by it.
    pub fn worked(&mut self, thing: Thing, event: &Arc<Event>, ordinal: u64) -> Vec<Symptom> {
        let mut recovered = Vec::new();
        for symptom in self.by_thing.get(&thing).into_iter().flatten() {
            let Some(case) = self.open.get_mut(symptom) else { continue };
            if case.worked.is_none() {
                case.worked = Some(Arc::clone(event));
                case.worked_ordinal = ordinal;
                self.well.push_back(*symptom);
                recovered.push(*symptom);
            }
        }
        recovered
    }

    /// The next case whose settle time is over.
    pub fn pop_due(&mut self, now: Time) -> Option<Symptom> {
        let (due, symptom) = *self.due.first()?;
        if due > now {
            return None;
        }
        self.due.pop_first();
        Some(symptom)
    }

    /// A case.
    pub fn get(&self, symptom: &Symptom) -> Option<&Case> {
        self.open.get(symptom)
    }

    /// A case, to be judged.
    pub fn get_mut(&mut self, symptom: &Symptom) -> Option<&mut Case> {
        self.open.get_mut(symptom)
    }

    /// All symptoms, in the order in which their cases opened.
    pub fn symptoms(&self) -> Vec<Symptom> {
        self.opened.values().copied().collect()
    }
}
