//! One stream in the order in which it arrives, for acting on it while it is still open.

use std::collections::VecDeque;
use std::sync::Arc;

use meshwhy_parsers::event::Line;
use meshwhy_parsers::frame::Framer;
use meshwhy_parsers::origin::SharedOrigin;
use meshwhy_parsers::time::Time;

use super::{Contexts, Counts, Item, Wanted};

/// Bytes into items as they come.
pub struct Live<'w> {
    wanted: &'w Wanted<'w>,
    contexts: Contexts,
    framer: Framer,
    at: Time,
    items: VecDeque<Item>,
}

impl Live<'_> {
    /// A stream of this origin.
    pub fn new<'w>(wanted: &'w Wanted<'w>, origin: SharedOrigin) -> Live<'w> {
        Live {
            wanted,
            contexts: Contexts { known: vec![origin.cluster.clone()], last: None },
            framer: Framer::new(Arc::clone(&origin), wanted.scan),
            at: Time::MIN,
            items: VecDeque::new(),
        }
    }

    /// Takes what the stream says.
    pub fn push(&mut self, bytes: &[u8]) {
        self.frame(|framer, out| framer.push(bytes, out));
    }

    /// The stream pauses: what looks complete is taken to be.
    pub fn pause(&mut self) {
        self.frame(|framer, out| framer.flush(out));
    }

    /// The stream is over.
    pub fn finish(&mut self) {
        self.frame(|framer, out| framer.finish(out));
    }

    /// The next item; call until `None`.
    pub fn pop(&mut self) -> Option<Item> {
        self.items.pop_front()
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let counts = self.framer.counts();
        Counts { files: 1, documents: 0, lines: counts.lines, quiet: counts.quiet }
    }

    fn frame(&mut self, with: impl FnOnce(&mut Framer, &mut dyn FnMut(Line))) {
        let mut framed = Vec::new();
        with(&mut self.framer, &mut |one| framed.push((meshwhy_parsers::time_of(&one), one)));
        for (at, one) in framed {
            self.at = at.unwrap_or(self.at);
            if self.wanted.filter().leaves_out(self.at) {
                continue;
            }
            let mut line = one;
            line.origin = self.contexts.origin(&line.origin, line.command.as_deref());
            self.items.push_back(Item::Line(line));
        }
    }
}
