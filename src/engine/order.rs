//! Puts events of sources that race into event-time order: each waits a little for older ones of its cluster.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use meshwhy_parsers::event::{Arrival, Event};
use meshwhy_parsers::origin::SharedOrigin;
use meshwhy_parsers::time::Time;

/// How long sources that race are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long an event waits on the wall clock for older ones of its cluster.
    pub lateness: Duration,
    /// How long after the first line all lines wait: sources begin by what was before, each at its own pace.
    pub catch_up: Duration,
    /// Events that wait; where there are more, the oldest wait no longer.
    pub waiting_max: usize,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { lateness: Duration::from_millis(100), catch_up: Duration::from_secs(1), waiting_max: 20_000 }
    }
}

/// Where an event stands: its time, then whose it is, then its place there.
type Place = (Time, SharedOrigin, u64);

/// Events on their way into event-time order.
///
/// What is compared are times that one cluster tells. How far these are behind the wall clock does not matter: the file of
/// last week and the cluster whose clock is wrong are put in order like any other. Between clusters, what is released
/// together goes by its time, and otherwise what arrived first goes first.
pub struct Order {
    /// `None` where the source is merged by event time already.
    patience: Option<Patience>,
    clock: Option<Time>,
    /// Wall clock of the first line.
    begun: Option<Time>,
    /// The newest time of each origin: a line without a time keeps its place behind its neighbour.
    newest: BTreeMap<SharedOrigin, Time>,
    waiting: BTreeMap<Place, Event>,
    /// What waits, in the order in which it arrived, with the wall clock then.
    arrived: VecDeque<(Option<Time>, Place)>,
    ready: VecDeque<Event>,
    /// The newest time that was released of each cluster.
    released: BTreeMap<Box<str>, Time>,
    /// Events that came after newer ones of their cluster had been released.
    pub late: u64,
}

impl Order {
    /// For a source that is merged by event time already: nothing waits, nothing is late.
    pub fn presorted() -> Order {
        Order::new(None)
    }

    /// For sources that race.
    pub fn racing(patience: Patience) -> Order {
        Order::new(Some(patience))
    }

    fn new(patience: Option<Patience>) -> Order {
        Order {
            patience,
            clock: None,
            begun: None,
            newest: BTreeMap::new(),
            waiting: BTreeMap::new(),
            arrived: VecDeque::new(),
            ready: VecDeque::new(),
            released: BTreeMap::new(),
            late: 0,
        }
    }

    /// Takes an arrival; returns the event at once where it need not wait.
    pub fn push(&mut self, arrival: Arrival<Event>) -> Option<Event> {
        match (arrival, self.patience) {
            // What a document says is known from when it arrives on: it has no place among lines.
            (Arrival::Item(event), Some(patience)) if !event.is_document() => return self.place(event, &patience),
            (Arrival::Item(event), _) => return Some(event),
            (Arrival::End(origin), _) => {
                self.newest.remove(&origin);
            }
            (Arrival::Clock(now), Some(patience)) => self.release_due(now, &patience),
            (Arrival::Clock(_) | Arrival::Begin(_) | Arrival::Gap(_), _) => {}
        }
        None
    }

    /// The next event that need not wait any longer.
    pub fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// Nothing more will arrive: everything may go.
    pub fn finish(&mut self) {
        self.arrived.clear();
        self.ready.extend(std::mem::take(&mut self.waiting).into_values());
    }

    fn place(&mut self, event: Event, patience: &Patience) -> Option<Event> {
        if self.begun.is_none() {
            self.begun = self.clock;
        }
        let newest = self.newest.entry(event.origin.clone()).or_insert(Time::MIN);
        let mut at = event.at.unwrap_or(*newest);
        *newest = (*newest).max(at);
        // A time to come would make everything else late.
        if let Some(clock) = self.clock {
            at = at.min(clock.plus(patience.lateness));
        }
        if self.released.get(&event.origin.cluster).is_some_and(|released| at < *released) {
            self.late += 1;
            return Some(event);
        }
        let place = (at, event.origin.clone(), event.seq);
        self.arrived.push_back((self.clock, place.clone()));
        self.waiting.insert(place, event);
        if patience.waiting_max < self.arrived.len() {
            let half = self.arrived.len() / 2;
            let longest: Vec<_> = self.arrived.drain(..half).map(|(_, place)| place).collect();
            self.release(longest);
        }
        None
    }

    /// Releases what has waited for long enough, and what is older.
    fn release_due(&mut self, now: Time, patience: &Patience) {
        self.clock = Some(now);
        let has_passed = |since: Option<Time>, pause| match since {
            // A clock that was put back must hold nothing.
            Some(since) => now < since || since.plus(pause) <= now,
            None => false,
        };
        if self.begun.is_none() && !self.arrived.is_empty() {
            self.begun = self.clock;
        }
        if !has_passed(self.begun, patience.catch_up) {
            return;
        }
        let begun = self.begun;
        let mut due = Vec::new();
        while let Some((_, place)) =
            self.arrived.pop_front_if(|(since, _)| has_passed(since.or(begun), patience.lateness))
        {
            due.push(place);
        }
        if !due.is_empty() {
            self.release(due);
        }
    }

    /// Releases these and what is older of the same clusters.
    fn release(&mut self, places: Vec<Place>) {
        let mut up_to: BTreeMap<Box<str>, Time> = BTreeMap::new();
        for (at, origin, _) in places {
            let newest = up_to.entry(origin.cluster.clone()).or_insert(at);
            *newest = at.max(*newest);
        }
        let is_released = |(at, origin, _): &Place| up_to.get(&origin.cluster).is_some_and(|released| at <= released);
        let ready = self.waiting.extract_if(.., |place, _| is_released(place)).map(|(_, event)| event);
        self.ready.extend(ready);
        for (cluster, at) in up_to {
            let released = self.released.entry(cluster).or_insert(at);
            *released = at.max(*released);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshwhy_parsers::origin::Origin;
    use std::sync::Arc;

    const PATIENCE: Patience =
        Patience { lateness: Duration::from_millis(100), catch_up: Duration::from_secs(1), waiting_max: 10 };

    /// What comes out, as `cluster second`, in its order.
    struct Racing {
        order: Order,
        out: Vec<String>,
        seq: u64,
    }

    impl Racing {
        fn new() -> Racing {
            Racing { order: Order::racing(PATIENCE), out: Vec::new(), seq: 0 }
        }

        fn feed(&mut self, arrival: Arrival<Event>) {
            let at_once = self.order.push(arrival);
            for event in at_once.into_iter().chain(std::iter::from_fn(|| self.order.pop())) {
                let second = event.at.map(|at| at.0 / 1_000_000_000).unwrap_or_default();
                self.out.push(format!("{} {second}", event.origin.cluster));
            }
        }

        fn line(&mut self, origin: &str, second: i64) {
            let cluster = origin.split('/').next().unwrap_or_default();
            self.seq += 1;
            let line = meshwhy_parsers::event::Line {
                origin: Arc::new(Origin::new(cluster, origin)),
                seq: self.seq,
                number: self.seq,
                lines: 1,
                outer_at: Some(Time::from_unix(second)),
                command: None,
                header: None,
                text: "a line".into(),
            };
            let event = meshwhy_parsers::parse(&line);
            self.feed(Arrival::Item(event));
        }

        fn clock(&mut self, millis: i64) {
            self.feed(Arrival::Clock(Time(millis * 1_000_000)));
        }

        fn told(&mut self) -> Vec<String> {
            std::mem::take(&mut self.out)
        }
    }

    #[test]
    fn what_was_before_is_put_in_order_whatever_its_age() {
        let mut racing = Racing::new();
        racing.clock(900_000_000);
        racing.line("east/a", 10);
        racing.line("east/a", 30);
        racing.clock(900_000_500);
        racing.line("west/b", 20);
        racing.line("east/c", 5);
        assert!(racing.told().is_empty(), "others may still bring what was before");
        racing.clock(900_001_000);
        assert_eq!(racing.told(), ["east 5", "east 10", "west 20", "east 30"]);
        assert_eq!(racing.order.late, 0);
    }

    #[test]
    fn clocks_that_are_wrong_make_nothing_wait_and_nothing_late() {
        let mut racing = Racing::new();
        racing.clock(0);
        racing.line("east/a", 0);
        racing.clock(1_000);
        racing.told();
        // West is five minutes behind, north as much ahead.
        for second in 1_000..1_003 {
            racing.clock(second * 1_000);
            racing.line("north/n", second + 300);
            racing.line("east/a", second);
            racing.line("west/b", second - 300);
            racing.clock(second * 1_000 + 50);
            assert!(racing.told().is_empty(), "each waits a little");
            racing.clock(second * 1_000 + 100);
            assert_eq!(racing.told().len(), 3);
        }
        assert_eq!(racing.order.late, 0);
    }

    #[test]
    fn a_line_behind_newer_ones_of_its_cluster_is_late_and_told_at_once() {
        let mut racing = Racing::new();
        racing.clock(50_000);
        racing.line("east/a", 20);
        racing.clock(51_000);
        assert_eq!(racing.told(), ["east 20"]);
        racing.line("east/b", 19);
        assert_eq!((racing.told(), racing.order.late), (vec!["east 19".to_string()], 1));
    }

    #[test]
    fn more_than_may_wait_does_not_wait() {
        let mut racing = Racing::new();
        racing.clock(0);
        (0..100).for_each(|second| racing.line("east/a", second));
        assert!(90 <= racing.told().len());
        assert!(racing.order.waiting.len() <= 10 && racing.order.arrived.len() <= 10);
    }
}
