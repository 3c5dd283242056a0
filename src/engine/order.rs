//! Puts events into event-time order: a watermark that waits for the slowest awake origin.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meshwhy_parsers::event::{Arrival, Event};
use meshwhy_parsers::origin::SharedOrigin;
use meshwhy_parsers::time::Time;

/// How an origin stands.
struct Standing {
    newest: Time,
    /// Wall clock of its last arrival, for idleness.
    heard_at: Option<Time>,
    awake: bool,
}

/// Events on their way into event-time order.
pub struct Order {
    presorted: bool,
    lateness: Duration,
    idle_after: Duration,
    clock: Option<Time>,
    origins: BTreeMap<SharedOrigin, Standing>,
    /// The awake origins by their newest time: its first element is the slowest.
    slowest: BTreeSet<(Time, SharedOrigin)>,
    waiting: BTreeMap<(Time, SharedOrigin, u64), Event>,
    released: Time,
    finished: bool,
    /// Events that came behind the watermark.
    pub late: u64,
}

impl Order {
    /// For a source that is merged by event time already: nothing waits, nothing is late.
    pub fn presorted() -> Order {
        Order::new(true, Duration::ZERO, Duration::ZERO)
    }

    /// For sources that race: events wait until every origin awake is `lateness` past them.
    pub fn racing(lateness: Duration, idle_after: Duration) -> Order {
        Order::new(false, lateness, idle_after)
    }

    fn new(presorted: bool, lateness: Duration, idle_after: Duration) -> Order {
        Order {
            presorted,
            lateness,
            idle_after,
            clock: None,
            origins: BTreeMap::new(),
            slowest: BTreeSet::new(),
            waiting: BTreeMap::new(),
            released: Time::MIN,
            finished: false,
            late: 0,
        }
    }

    /// Takes an arrival; returns the event at once where it need not wait.
    pub fn push(&mut self, arrival: Arrival<Event>) -> Option<Event> {
        match arrival {
            // What a document says is known from when it arrives on: it has no place among lines.
            Arrival::Item(event) if self.presorted || event.is_document() => return Some(event),
            Arrival::Item(event) => return self.place(event),
            Arrival::Begin(origin) => {
                self.origins.entry(origin).or_insert(Standing {
                    newest: Time::MIN,
                    heard_at: self.clock,
                    awake: false,
                });
            }
            Arrival::End(origin) => {
                if let Some(standing) = self.origins.remove(&origin) {
                    self.slowest.remove(&(standing.newest, origin));
                }
            }
            Arrival::Clock(now) => self.fall_asleep(now),
            Arrival::Gap(_) => {}
        }
        None
    }

    /// The next event that need not wait any longer.
    pub fn pop(&mut self) -> Option<Event> {
        let watermark = match (self.finished, self.slowest.first()) {
            (true, _) => Time::MAX,
            (false, Some((newest, _))) => newest.minus(self.lateness),
            // Everyone sleeps: nobody can bring anything older.
            (false, None) => Time::MAX,
        };
        let entry = self.waiting.first_entry()?;
        if entry.key().0 > watermark {
            return None;
        }
        self.released = self.released.max(entry.key().0);
        Some(entry.remove())
    }

    /// Nothing more will arrive: everything may go.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    fn place(&mut self, event: Event) -> Option<Event> {
        let clock = self.clock;
        let standing = self.origins.entry(event.origin.clone()).or_insert(Standing {
            newest: Time::MIN,
            heard_at: clock,
            awake: false,
        });
        // A line without a time keeps its place behind its neighbour.
        let at = event.at.unwrap_or(standing.newest);
        if standing.awake {
            self.slowest.remove(&(standing.newest, event.origin.clone()));
        }
        standing.newest = standing.newest.max(at);
        standing.heard_at = clock;
        standing.awake = true;
        self.slowest.insert((standing.newest, event.origin.clone()));
        if at < self.released {
            self.late += 1;
            return Some(event);
        }
        self.waiting.insert((at, event.origin.clone(), event.seq), event);
        None
    }

    fn fall_asleep(&mut self, now: Time) {
        self.clock = Some(now);
        for (origin, standing) in &mut self.origins {
            let heard_at = *standing.heard_at.get_or_insert(now);
            if standing.awake && now.since(heard_at) > self.idle_after {
                standing.awake = false;
                self.slowest.remove(&(standing.newest, origin.clone()));
            }
        }
    }
}
