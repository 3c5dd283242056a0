//! What is known: facts folded by what they say, successes, and what was watched.

use std::collections::BTreeMap;
use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, Thing};
use meshwhy_parsers::state::State;
use meshwhy_parsers::time::Time;

use super::mesh::Mesh;

/// How many different facts of one kind are kept.
pub const FACTS_PER_KIND_MAX: usize = 2_048;

/// A fact with its repeats.
#[derive(Clone, Debug)]
pub struct Known {
    /// The first event that said it.
    pub first: Arc<Event>,
    /// The last event that said it.
    pub last: Arc<Event>,
    /// How often it was said.
    pub count: u64,
    /// Position of the first among all events.
    pub first_ordinal: u64,
    /// Position of the last among all events.
    pub last_ordinal: u64,
}

/// What was watched of one file.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// First and last time seen.
    pub span: Option<(Time, Time)>,
    /// Whether lines were lost.
    pub gaps: u64,
}

/// Everything known so far.
#[derive(Default)]
pub struct World {
    facts: BTreeMap<Kind, BTreeMap<Thing, Known>>,
    /// By order of first mention, for views.
    order: BTreeMap<Kind, Vec<Thing>>,
    coverage: BTreeMap<(Box<str>, Box<str>), Coverage>,
    /// The last proof that something works, for as many things as [`FACTS_PER_KIND_MAX`] allows.
    worked: BTreeMap<Thing, Arc<Event>>,
    mesh: Mesh,
    /// Facts that were not kept because their kind was full.
    pub facts_refused: u64,
}

impl World {
    /// Takes an event in, at this position among all events.
    pub fn note(&mut self, event: &Arc<Event>, ordinal: u64) {
        // Of a document every part would be a fact of its own: the mesh keeps them, and its time is not that of a line.
        if self.mesh.note(event) {
            return;
        }
        if !event.is_document() {
            let place = (event.origin.cluster.clone(), event.origin.file.clone());
            let coverage = self.coverage.entry(place).or_default();
            if let Some(at) = event.at {
                coverage.span = Some(coverage.span.map_or((at, at), |(from, to)| (from.min(at), to.max(at))));
            }
        }
        let about = event.about();
        for thing in &about.worked {
            if self.worked.len() < FACTS_PER_KIND_MAX || self.worked.contains_key(thing) {
                self.worked.insert(*thing, Arc::clone(event));
            }
        }
        if matches!(event.fact, Fact::Known | Fact::Opaque(_)) {
            return;
        }
        let ordinary_success = matches!(event.fact, Fact::Connection(_) | Fact::Request(_)) && about.failed.is_none();
        let key = match about.failed {
            Some(symptom) => Thing(symptom.thing.0 ^ symptom.class.0.rotate_left(32)),
            // Of ordinary successes the last per destination is enough.
            None if ordinary_success => match about.worked.first() {
                Some(thing) => *thing,
                None => return,
            },
            None if matches!(&event.fact, Fact::State(state) if matches!(**state, State::Ztunnel(_))) => {
                Thing::named(&[&event.origin.cluster, &event.origin.file])
            }
            None => Thing::named(&[&event.origin.cluster, &event.origin.file, &format!("{:?}", event.fact)]),
        };
        let kind = event.fact.kind();
        let facts = self.facts.entry(kind).or_default();
        if let Some(known) = facts.get_mut(&key) {
            known.last = Arc::clone(event);
            known.last_ordinal = ordinal;
            known.count += 1;
            return;
        }
        if facts.len() >= FACTS_PER_KIND_MAX {
            self.facts_refused += 1;
            return;
        }
        let known = Known {
            first: Arc::clone(event),
            last: Arc::clone(event),
            count: 1,
            first_ordinal: ordinal,
            last_ordinal: ordinal,
        };
        facts.insert(key, known);
        self.order.entry(kind).or_default().push(key);
    }

    /// Lines of this origin were lost.
    pub fn gap(&mut self, cluster: &str, file: &str) {
        self.coverage.entry((cluster.into(), file.into())).or_default().gaps += 1;
    }

    /// The mesh as documents and tables show it.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// The facts of one kind, by first mention.
    pub fn facts(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Known> {
        let facts = self.facts.get(&kind);
        self.order.get(&kind).into_iter().flatten().filter_map(move |key| facts.and_then(|facts| facts.get(key)))
    }

    /// The last event that proved this thing to work.
    pub fn worked(&self, thing: Thing) -> Option<&Arc<Event>> {
        self.worked.get(&thing)
    }

    /// What was watched, by cluster and file.
    pub fn coverage(&self) -> impl Iterator<Item = (&str, &str, &Coverage)> {
        self.coverage.iter().map(|((cluster, file), coverage)| (&**cluster, &**file, coverage))
    }
}
