//! Runs of ordinary successes, reduced to their first and their last.
//!
//! Successes matter as recoveries: a thing failed, and later it worked. A run is a row of successes that prove the same
//! things to work, within one window of the stream, with nothing between them that speaks of their destination and is no
//! success. Its first line shows when the thing worked again, its last one that it still did; those between add nothing.

use std::sync::Arc;

use super::{Place, text_of};
use crate::event::{Line, Text};
use crate::origin::SharedOrigin;
use crate::scan::{Destinations, Success};

/// Most runs that are followed at once where nobody says. One more ends them all.
const RUNS_MAX: usize = 4_096;

/// A line to be kept until a later one takes its place.
pub(super) struct Kept<'a> {
    pub(super) place: &'a Place,
    pub(super) command: &'a Option<Arc<str>>,
    pub(super) text: &'a [u8],
}

impl Kept<'_> {
    /// As a record.
    pub(super) fn line(&self) -> Line {
        let Place { origin, seq, number, lines, outer_at } = self.place;
        Line {
            origin: origin.clone(),
            seq: *seq,
            number: *number,
            lines: *lines,
            outer_at: *outer_at,
            command: self.command.clone(),
            header: None,
            text: text_of(self.text).into(),
        }
    }
}

/// The last line of many, in a buffer that is used again and again.
pub(super) struct LastLine {
    is_kept: bool,
    line: Line,
    text: Vec<u8>,
}

impl LastLine {
    pub(super) fn new(origin: &SharedOrigin) -> LastLine {
        let line = Line {
            origin: origin.clone(),
            seq: 0,
            number: 0,
            lines: 0,
            outer_at: None,
            command: None,
            header: None,
            text: Text::default(),
        };
        LastLine { is_kept: false, line, text: Vec::new() }
    }

    pub(super) fn keep(&mut self, kept: &Kept<'_>) {
        let Place { origin, seq, number, lines, outer_at } = kept.place;
        let line = &mut self.line;
        if !Arc::ptr_eq(&line.origin, origin) {
            line.origin = origin.clone();
        }
        if line.command != *kept.command {
            line.command.clone_from(kept.command);
        }
        (line.seq, line.number, line.lines, line.outer_at) = (*seq, *number, *lines, *outer_at);
        self.text.clear();
        self.text.extend_from_slice(kept.text);
        self.is_kept = true;
    }

    pub(super) fn take(&mut self) -> Option<Line> {
        std::mem::take(&mut self.is_kept).then(|| Line { text: text_of(&self.text).into(), ..self.line.clone() })
    }
}

/// The runs of one stream's window.
pub(super) struct Runs {
    /// Most runs that are followed at once. One more ends them all.
    max: usize,
    /// Ordinals of `runs`, plus one, by key; 0 is empty. A power of two of them, at most half full.
    slots: Vec<u16>,
    /// The first `used` are of this window; the others keep their buffers for later.
    runs: Vec<Run>,
    used: usize,
    /// How many of them go on.
    alive: usize,
}

struct Run {
    key: u64,
    about: Destinations,
    is_alive: bool,
    /// The latest success but the first.
    last: LastLine,
}

impl Runs {
    pub(super) fn new() -> Runs {
        Runs::up_to(RUNS_MAX)
    }

    /// No more than so many at once.
    pub(super) fn up_to(max: usize) -> Runs {
        Runs { max: max.clamp(1, RUNS_MAX), slots: Vec::new(), runs: Vec::new(), used: 0, alive: 0 }
    }

    /// Takes a success. Returns whether it is the first of its run and to be handed out; others are kept as the last.
    pub(super) fn take(&mut self, success: &Success, kept: &Kept<'_>) -> bool {
        if self.slots.is_empty() {
            self.slots = vec![0; (self.max * 2).next_power_of_two()];
        }
        let slots = self.slots.len();
        let mut slot = success.key as usize % slots;
        while let Some(ordinal) = usize::from(self.slots[slot]).checked_sub(1) {
            let run = &mut self.runs[ordinal];
            if run.key == success.key {
                let is_first = !run.is_alive;
                if is_first {
                    run.is_alive = true;
                    self.alive += 1;
                } else {
                    run.last.keep(kept);
                }
                return is_first;
            }
            slot = (slot + 1) % slots;
        }
        self.slots[slot] = self.used as u16 + 1;
        match self.runs.get_mut(self.used) {
            Some(run) => (run.key, run.about, run.is_alive) = (success.key, success.about, true),
            None => {
                let last = LastLine::new(&kept.place.origin);
                self.runs.push(Run { key: success.key, about: success.about, is_alive: true, last });
            }
        }
        self.used += 1;
        self.alive += 1;
        true
    }

    /// Whether there is no room for another run.
    pub(super) fn is_full(&self) -> bool {
        self.used >= self.max
    }

    /// Whether no run goes on.
    pub(super) fn is_empty(&self) -> bool {
        self.alive == 0
    }

    /// Ends the runs that speak of one of these destinations, or all; returns what was kept of them, in stream order.
    pub(super) fn end(&mut self, about: Option<Destinations>) -> Vec<Line> {
        let shares = |a: Destinations, b: Destinations| (a[0] != 0 && a[0] == b[0]) || (a[1] != 0 && a[1] == b[1]);
        let mut ended = Vec::new();
        for run in &mut self.runs[..self.used] {
            if !run.is_alive || about.is_some_and(|about| !shares(about, run.about)) {
                continue;
            }
            run.is_alive = false;
            self.alive -= 1;
            ended.extend(run.last.take());
        }
        ended.sort_by_key(|line| line.seq);
        ended
    }

    /// Ends all runs and forgets them.
    pub(super) fn clear(&mut self) -> Vec<Line> {
        let ended = self.end(None);
        self.slots.fill(0);
        self.used = 0;
        ended
    }
}
