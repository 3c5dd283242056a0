//! What live sources hand over, on one bounded channel: who reads slowly slows them down, and loses nothing. What is
//! recorded is freed of secrets here, before anybody reads it, so that a tape and the run it was taken of say the same.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::document::{self, Found};
use meshwhy_parsers::event::{Arrival, Event, Fact, Line, Text};
use meshwhy_parsers::frame::{Counts, Framer, Scan};
use meshwhy_parsers::origin::SharedOrigin;
use meshwhy_parsers::state::State;
use meshwhy_parsers::state::object::Object;
use meshwhy_parsers::time::Time;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::Contexts;
use super::clock::Clock;
use crate::redact::{self, redact};

/// Runs of successes of which a followed stream keeps the last line: of many streams at once each keeps fewer than a file.
const RUNS_MAX: usize = 256;

/// The limits of live sources, all of them.
#[derive(Clone, Copy, Debug)]
pub struct LiveLimits {
    /// Arrivals that wait to be taken, of all sources together; lines that were read together are one.
    pub waiting_max: usize,
    /// Logs followed at once in one cluster: each is a connection.
    pub followed_max: usize,
    /// Bytes of a line that is still without its end; a longer one is taken in pieces.
    pub line_bytes_max: usize,
    /// Bytes before the end of a file at which its lines begin to be read.
    pub begin_bytes: u64,
    /// Bytes of a file that are read before the next file has its turn.
    pub turn_bytes: usize,
    /// Files followed at once.
    pub files_max: usize,
    /// Bytes of what an admin endpoint answers.
    pub answer_bytes_max: usize,
    /// Bytes kept of what an istiod would push to one node.
    pub pushed_bytes_max: usize,
    /// Pods named by symptoms that wait to be asked; more are asked when they are named again.
    pub asking_max: usize,
    /// Pods of a cluster that are asked at the same time.
    pub asked_at_once_max: usize,
    /// How long an API server may ask to be left alone.
    pub retry_after_max: Duration,
    /// How long a kind of objects that is refused or not installed waits to be asked for again.
    pub refused_pause: Duration,
    /// Pods that are remembered as asked, and losses that are remembered as said.
    pub remembered_max: usize,
    /// How long a cluster that is asked once may take to each of: list its objects, have its pods asked, hand out logs.
    pub gather_max: Duration,
    /// istiods, gateways, waypoints and ztunnels of a cluster that are asked at once, of each: they say much the same.
    pub gathered_max: usize,
    /// Bytes of a log that is read once.
    pub log_bytes_max: usize,
    /// Lines of the last second that are remembered, to be told from those seen after a reconnect.
    pub seen_max: usize,
}

impl Default for LiveLimits {
    fn default() -> LiveLimits {
        LiveLimits {
            waiting_max: 256,
            followed_max: 500,
            line_bytes_max: 1 << 20,
            begin_bytes: 1 << 20,
            turn_bytes: 256 << 10,
            files_max: 1_000,
            answer_bytes_max: 256 << 20,
            pushed_bytes_max: 64 << 20,
            asking_max: 64,
            asked_at_once_max: 4,
            retry_after_max: Duration::from_secs(120),
            refused_pause: Duration::from_secs(60),
            remembered_max: 10_000,
            gather_max: Duration::from_secs(60),
            gathered_max: 5,
            log_bytes_max: 64 << 20,
            seen_max: 65_536,
        }
    }
}

/// What a source says.
#[derive(Debug)]
pub enum Said {
    /// A begin, a gap, an end, or the clock.
    Arrival(Box<Arrival<Infallible>>),
    /// Lines of one stream, read together.
    Lines(Tapped),
    /// A document, or what the API server says of objects that are not there.
    Document(Box<Whole>),
    /// How the source itself fares.
    Status(Status),
    /// The person who watches has seen enough.
    Stop,
}

/// What of a stream was read at once.
#[derive(Debug)]
pub struct Tapped {
    /// The lines that may matter, in their order.
    pub lines: Vec<Line>,
    /// Physical lines read, with those that were skipped.
    pub read: u64,
    /// How many more of the lines read so far were skipped, as they cannot matter; fewer where some of them are handed
    /// out after all.
    pub quiet: i64,
}

/// A document with all that it says, which is taken at once or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// Where it comes from.
    pub origin: SharedOrigin,
    /// When it was taken; `None` where it tells itself.
    pub taken: Option<Time>,
    /// What it is.
    pub content: Content,
    /// What it says.
    pub events: Vec<Event>,
}

/// What a document is, before it is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// As it was received, less its secrets; empty where nothing is recorded.
    Bytes(Vec<u8>),
    /// What of objects is not there.
    Absent(Absent),
}

/// What the API server says of objects that are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Kind in the singular.
    pub kind: Text,
    /// API group; empty for the core group.
    pub group: Text,
    /// Namespace; empty for all, or for an object without one.
    pub namespace: Text,
    /// The one that is gone; `None`: all were listed, and there are no others.
    pub name: Option<Text>,
}

impl Whole {
    /// Reads a document; what became of it.
    pub fn read(origin: &SharedOrigin, bytes: &[u8], taken: Option<Time>) -> (Whole, Read) {
        let mut whole =
            Whole { origin: Arc::clone(origin), taken, content: Content::Bytes(Vec::new()), events: Vec::new() };
        let read = match document::read(bytes, Found { path: &origin.file, command: "" }) {
            None => return (whole, Read::Unknown),
            Some(Err(error)) => return (whole, Read::Broken(error)),
            Some(Ok(document)) => document,
        };
        let taken = taken.or(read.taken);
        let event = |(at, fact)| Event::of_document(Arc::clone(origin), at, taken, fact);
        whole.events = read.facts.into_iter().map(event).collect();
        (whole, Read::Said(read.losses))
    }

    /// What says that objects are not there.
    pub fn absent(origin: &SharedOrigin, absent: Absent, taken: Option<Time>) -> Whole {
        let Absent { kind, group, namespace, name } = absent.clone();
        let state = match name {
            None => State::Listed { kind, group, namespace },
            Some(name) => State::Gone(Arc::new(Object { kind, group, namespace, name, ..Object::default() })),
        };
        let event = Event::of_document(Arc::clone(origin), None, taken, Fact::State(Box::new(state)));
        Whole { origin: Arc::clone(origin), taken, content: Content::Absent(absent), events: vec![event] }
    }
}

/// How a source fares: for the person who watches, and for what is said at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// All that is to be watched in this cluster has been listed once, or was refused.
    Ready {
        /// Cluster.
        cluster: String,
    },
    /// Something does not work, and is tried again; or works again.
    Trouble {
        /// Cluster.
        cluster: String,
        /// What does not work, as a sentence.
        what: String,
    },
    /// Lines were lost, or may have been.
    Lost {
        /// What was lost, as a sentence that says from when to when.
        what: String,
    },
    /// How many logs of a cluster are followed.
    Following {
        /// Cluster.
        cluster: String,
        /// Logs.
        logs: usize,
    },
}

/// The sending end of the channel.
#[derive(Clone)]
pub struct Feed {
    to: mpsc::Sender<Said>,
    /// The limits.
    pub limits: LiveLimits,
    is_recorded: bool,
    /// What time it is.
    pub clock: Clock,
}

/// Nobody listens any more: the source may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deaf;

impl Feed {
    /// A channel.
    pub fn new(limits: LiveLimits) -> (Feed, mpsc::Receiver<Said>) {
        let (to, from) = mpsc::channel(limits.waiting_max);
        (Feed { to, limits, is_recorded: false, clock: Clock::default() }, from)
    }

    /// The same for a run that is recorded: no secret passes, and documents come with their bytes.
    pub fn recorded(self) -> Feed {
        Feed { is_recorded: true, ..self }
    }

    /// Says something; waits while too much is waiting.
    pub async fn say(&self, said: Said) -> Result<(), Deaf> {
        self.to.send(self.passed(said)).await.map_err(|_| Deaf)
    }

    /// The same from a thread that reads files.
    pub fn say_blocking(&self, said: Said) -> Result<(), Deaf> {
        self.to.blocking_send(self.passed(said)).map_err(|_| Deaf)
    }

    /// What may be heard of it: without secrets where it is recorded.
    fn passed(&self, mut said: Said) -> Said {
        if !self.is_recorded {
            return said;
        }
        match &mut said {
            Said::Lines(tapped) => tapped.lines.iter_mut().for_each(redact_line),
            Said::Status(Status::Trouble { what, .. } | Status::Lost { what }) => *what = redact(what).into_owned(),
            Said::Arrival(_) | Said::Document(_) | Said::Status(_) | Said::Stop => {}
        }
        said
    }

    /// Says that something arrived.
    pub async fn arrive(&self, arrival: Arrival<Infallible>) -> Result<(), Deaf> {
        self.say(Said::Arrival(Box::new(arrival))).await
    }

    /// Says what does not work.
    pub async fn trouble(&self, cluster: &str, what: impl Into<String>) -> Result<(), Deaf> {
        self.say(Said::Status(Status::Trouble { cluster: cluster.to_string(), what: what.into() })).await
    }

    /// Says what a document holds, as seen at this time. An error says why it cannot be read.
    pub async fn document(&self, origin: &SharedOrigin, bytes: &[u8], taken: Option<Time>) -> Result<Read, Deaf> {
        if !self.is_recorded {
            let (whole, read) = Whole::read(origin, bytes, taken);
            if !whole.events.is_empty() {
                self.say(Said::Document(Box::new(whole))).await?;
            }
            return Ok(read);
        }
        let bytes = redact::document(bytes).into_owned();
        let (mut whole, read) = Whole::read(origin, &bytes, taken);
        // What nobody can read today, another version may.
        whole.content = Content::Bytes(bytes);
        self.say(Said::Document(Box::new(whole))).await?;
        Ok(read)
    }

    /// The same from a thread that reads files, in which a document tells itself when it was taken.
    pub fn document_blocking(&self, origin: &SharedOrigin, bytes: &[u8], taken: Option<Time>) -> Result<Read, Deaf> {
        Handle::current().block_on(self.document(origin, bytes, taken))
    }

    /// Says that objects are not there, as seen at this time.
    pub async fn absent(&self, origin: &SharedOrigin, absent: Absent, taken: Option<Time>) -> Result<(), Deaf> {
        self.say(Said::Document(Box::new(Whole::absent(origin, absent, taken)))).await
    }
}

/// Takes secrets out of all the texts of a line.
fn redact_line(line: &mut Line) {
    if let Cow::Owned(text) = redact::line(&line.text) {
        line.text = text.into();
    }
    for shared in [&mut line.command, &mut line.header].into_iter().flatten() {
        if let Cow::Owned(text) = redact::line(shared) {
            *shared = text.into();
        }
    }
}

/// The lines of one stream, as they become complete, with how many were read.
pub(super) struct Lines {
    framer: Framer,
    ready: Vec<Line>,
    /// What of the framer's counts was told.
    told: Counts,
}

impl Lines {
    /// Of a stream that begins at this byte of all that this origin has said.
    pub fn at(origin: &SharedOrigin, scan: Scan, offset: u64) -> Lines {
        let framer = Framer::at(Arc::clone(origin), scan, offset).with_runs_max(RUNS_MAX);
        Lines { framer, ready: Vec::new(), told: Counts::default() }
    }

    /// Takes bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.framer.push(bytes, &mut |line| self.ready.push(line));
    }

    /// The stream pauses: what looks complete is taken to be.
    pub fn pause(&mut self) {
        self.framer.flush(&mut |line| self.ready.push(line));
    }

    /// The stream is over.
    pub fn finish(&mut self) {
        self.framer.finish(&mut |line| self.ready.push(line));
    }

    /// What there is to be said since it was last asked.
    pub fn said(&mut self) -> Option<Said> {
        let counts = self.framer.counts();
        let (read, quiet) = (counts.lines - self.told.lines, counts.quiet.wrapping_sub(self.told.quiet).cast_signed());
        self.told = counts;
        let lines = std::mem::take(&mut self.ready);
        (0 < read || quiet != 0 || !lines.is_empty()).then_some(Said::Lines(Tapped { lines, read, quiet }))
    }

    /// Says it, with the clusters that commands between the lines name.
    pub fn say(&mut self, feed: &Feed, contexts: &mut Contexts) -> Result<(), Deaf> {
        let Some(mut said) = self.said() else { return Ok(()) };
        if let Said::Lines(tapped) = &mut said {
            tapped
                .lines
                .iter_mut()
                .for_each(|line| line.origin = contexts.origin(&line.origin, line.command.as_deref()));
        }
        feed.say_blocking(said)
    }
}

/// What became of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// It was read; what of it was lost, one sentence each.
    Said(Vec<String>),
    /// It is none that anybody knows.
    Unknown,
    /// It cannot be read, for this reason.
    Broken(String),
}
