//! The loop of `meshwhy tail`: what live sources say, into the engine and onto the tape, and what it finds, out. A tape is
//! replayed by the same loop.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use meshwhy_parsers::event::{Arrival, Event};
use meshwhy_parsers::origin::{Role, SharedOrigin};
use meshwhy_parsers::time::Time;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{Run, complaint};
use crate::inputs::source::{Said, Status, Tapped};
use crate::inputs::stop::Enough;
use crate::inputs::tape::{Played, Recorder, Tape};
use crate::inputs::{Counts, InputLimits, Item, Losses};

/// State is asked again at most so often, and takes at most one part in [`LOOK_SHARE`] of the time.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
const LOOK_SHARE: u32 = 10;
/// Clusters that have not answered by then are not waited for before state is asked.
const READY_PATIENCE: Duration = Duration::from_secs(15);
/// How long after an interrupt what was read before is still judged.
const REST_PATIENCE: Duration = Duration::from_millis(300);
/// How often the status line is drawn.
const STATUS_PAUSE: Duration = Duration::from_millis(500);

/// A run that watches.
pub(super) struct Watching<'r> {
    run: Run<'r>,
    counts: Counts,
    losses: Losses,
    limits: InputLimits,
    began: Instant,
    /// Clusters of which not everything has been listed or refused yet.
    awaited: BTreeSet<String>,
    /// Whether something arrived that state or cases may tell more of.
    is_news: bool,
    looked_at: Instant,
    look_took: Duration,
    status: StatusLine,
    asking: Asking,
    recorder: Option<Recorder>,
}

/// Who asks the pods of a cluster what they say of themselves, or istiods of them.
#[derive(Default)]
pub(super) struct Asking(BTreeMap<String, Vec<Sender<SharedOrigin>>>);

impl Asking {
    /// Adds somebody, who is told of so many pods at most at a time.
    pub fn add(&mut self, cluster: &str, waiting_max: usize) -> Receiver<SharedOrigin> {
        let (to, wanted) = mpsc::channel(waiting_max);
        self.0.entry(cluster.to_string()).or_default().push(to);
        wanted
    }

    /// Has a pod asked; where too many wait, it is named again while it fails.
    fn ask(&self, origin: &SharedOrigin) {
        for to in self.0.get(&*origin.cluster).into_iter().flatten() {
            let _ = to.try_send(SharedOrigin::clone(origin));
        }
    }
}

impl<'r> Watching<'r> {
    /// Watches these clusters, whose pods are asked so.
    pub fn new(run: Run<'r>, clusters: BTreeSet<String>, asking: Asking) -> Watching<'r> {
        let now = Instant::now();
        Watching {
            limits: run.config.input_limits,
            run,
            counts: Counts::default(),
            losses: Losses::default(),
            began: now,
            status: StatusLine::new(clusters.len(), now),
            awaited: clusters,
            asking,
            is_news: false,
            looked_at: now,
            look_took: Duration::ZERO,
            recorder: None,
        }
    }

    /// Records what is heard.
    pub fn recording(self, recorder: Option<Recorder>) -> Watching<'r> {
        Watching { recorder, ..self }
    }

    /// Tells there how sources fare, instead of on standard error.
    pub fn telling(mut self, told: impl Write + 'static) -> Watching<'r> {
        self.status.told = Box::new(told);
        self
    }

    /// Hears until it is `enough`, or nobody reads what is found; returns the exit code.
    pub fn hear(mut self, heard: &mut Receiver<Said>, enough: &Enough) -> anyhow::Result<u8> {
        while let Some(mut said) = heard.blocking_recv() {
            let is_late = !matches!(said, Said::Stop) && enough.is_for(REST_PATIENCE);
            if is_late {
                said = Said::Status(Status::Lost { what: "what was read last before the end was not judged".into() });
            }
            let failed = self.recorder.as_mut().and_then(|recorder| recorder.said(&said));
            self.not_recorded(failed);
            let is_tick = matches!(&said, Said::Arrival(arrival) if matches!(**arrival, Arrival::Clock(_)));
            if matches!(said, Said::Stop) {
                break;
            }
            self.take(said)?;
            if is_tick {
                self.look_if_due()?;
                self.status.draw(&self.counts);
            }
            if is_late || self.run.out.flush().is_err() {
                break;
            }
        }
        let failed = self.recorder.take().and_then(Recorder::finish);
        self.not_recorded(failed);
        self.close()
    }

    /// Takes what was recorded, and asks state where it was asked; returns the exit code.
    pub fn replay(mut self, tape: &mut Tape) -> anyhow::Result<u8> {
        while let Some(played) = tape.next_played() {
            match played {
                Played::Said(said) => self.take(said)?,
                Played::Look => {
                    self.run.engine.look();
                    self.print()?;
                }
            }
        }
        for loss in tape.losses() {
            self.losses.add(&self.limits, loss);
        }
        self.close()
    }

    fn close(mut self) -> anyhow::Result<u8> {
        self.status.clear();
        self.run.close(&self.counts, self.losses)
    }

    /// Says that the tape fails, which does not end the watch.
    fn not_recorded(&mut self, failed: Option<String>) {
        if let Some(what) = failed {
            self.status.say(&what);
        }
    }

    fn take(&mut self, said: Said) -> anyhow::Result<()> {
        match said {
            Said::Arrival(arrival) => self.arrival(*arrival)?,
            Said::Lines(tapped) => self.lines(tapped)?,
            Said::Document(whole) => self.document(whole.events)?,
            Said::Status(status) => self.status(status),
            Said::Stop => {}
        }
        Ok(())
    }

    fn arrival(&mut self, arrival: Arrival<Infallible>) -> anyhow::Result<()> {
        match arrival {
            Arrival::Item(never) => match never {},
            Arrival::Clock(now) => {
                self.status.lag.tell(now, self.began.elapsed());
                self.run.engine.feed(Arrival::Clock(now));
            }
            Arrival::Begin(origin) => {
                self.counts.files += 1;
                if origin.role == Role::Istiod {
                    self.asking.ask(&origin);
                }
                self.run.engine.feed(Arrival::Begin(origin));
            }
            Arrival::Gap(origin) => self.run.engine.feed(Arrival::Gap(origin)),
            Arrival::End(origin) => self.run.engine.feed(Arrival::End(origin)),
        }
        self.print()
    }

    fn lines(&mut self, tapped: Tapped) -> anyhow::Result<()> {
        self.counts.lines = self.counts.lines.saturating_add(tapped.read);
        self.counts.quiet = self.counts.quiet.saturating_add_signed(tapped.quiet);
        for line in tapped.lines {
            self.is_news = true;
            if let Some(origin) = self.run.take(Item::Line(line)) {
                self.asking.ask(&origin);
            }
            self.print()?;
        }
        Ok(())
    }

    fn document(&mut self, events: Vec<Event>) -> anyhow::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        self.counts.documents += 1;
        self.is_news = true;
        for event in events {
            self.run.take(Item::Event(event));
        }
        self.print()
    }

    /// Asks state, once all that is to be known first is known.
    fn look_if_due(&mut self) -> anyhow::Result<()> {
        let is_ready = self.awaited.is_empty() || READY_PATIENCE < self.began.elapsed();
        if !self.is_news || !is_ready || self.looked_at.elapsed() < LOOK_PAUSE.max(self.look_took * LOOK_SHARE) {
            return Ok(());
        }
        let begin = Instant::now();
        let failed = self.recorder.as_mut().and_then(Recorder::looked);
        self.not_recorded(failed);
        self.run.engine.look();
        self.is_news = false;
        self.looked_at = Instant::now();
        self.look_took = begin.elapsed();
        self.print()
    }

    fn print(&mut self) -> anyhow::Result<()> {
        for event in self.run.followed.iter_mut().flat_map(std::mem::take) {
            self.status.clear();
            self.run.output.event(self.run.out, &event)?;
        }
        while let Some(finding) = self.run.engine.poll() {
            self.status.clear();
            self.run.output.finding(self.run.out, &finding)?;
        }
        Ok(())
    }

    fn status(&mut self, status: Status) {
        match status {
            Status::Ready { cluster } => {
                self.awaited.remove(&cluster);
            }
            Status::Trouble { cluster, what } => self.status.say(&format!("{cluster}: {what}")),
            Status::Lost { what } => {
                self.status.lost += 1;
                self.status.say(&what);
                self.losses.add(&self.limits, what);
            }
            Status::Following { cluster, logs } => {
                self.status.following.insert(cluster, logs);
            }
        }
    }
}

/// One line at the foot of a terminal, on standard error.
struct StatusLine {
    told: Box<dyn Write>,
    is_on: bool,
    is_drawn: bool,
    drawn_at: Instant,
    lines: u64,
    clusters: usize,
    following: BTreeMap<String, usize>,
    lost: usize,
    lag: Lag,
}

/// How long what sources hand over waits to be taken. A tick of the clock waits as everything does.
struct Lag {
    /// The least by which a tick was ever behind the watch's own time, in nanoseconds: that of one that did not wait.
    least: i64,
    now: Duration,
}

impl Lag {
    /// Less is that of any two threads, and nothing to speak of.
    const TOLD_FROM: Duration = Duration::from_millis(200);

    fn new() -> Lag {
        Lag { least: i64::MAX, now: Duration::ZERO }
    }

    /// A tick that told this time is taken so long after the watch began.
    fn tell(&mut self, tick: Time, taken: Duration) {
        let taken = i64::try_from(taken.as_nanos()).unwrap_or(i64::MAX);
        let behind = taken.saturating_sub(tick.0);
        self.least = self.least.min(behind);
        self.now = Duration::from_nanos(behind.saturating_sub(self.least).unsigned_abs());
    }

    fn words(&self) -> String {
        if self.now < Lag::TOLD_FROM { String::new() } else { format!(", {:.1} s behind", self.now.as_secs_f64()) }
    }
}

impl StatusLine {
    fn new(clusters: usize, now: Instant) -> StatusLine {
        StatusLine {
            told: Box::new(io::stderr()),
            is_on: io::stderr().is_terminal(),
            is_drawn: false,
            drawn_at: now,
            lines: 0,
            clusters,
            following: BTreeMap::new(),
            lost: 0,
            lag: Lag::new(),
        }
    }

    fn tell(&mut self, text: &str) {
        // Nothing can be done where the terminal is gone.
        let _ = self.told.write_all(text.as_bytes()).and_then(|()| self.told.flush());
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            self.tell("\r\x1b[K");
        }
    }

    /// Says something that stays.
    fn say(&mut self, what: &str) {
        self.clear();
        self.tell(&complaint(what));
    }

    fn draw(&mut self, counts: &Counts) {
        let since = self.drawn_at.elapsed();
        if !self.is_on || since < STATUS_PAUSE {
            return;
        }
        let rate = (counts.lines - self.lines) * 1_000 / u64::try_from(since.as_millis()).unwrap_or(1).max(1);
        let logs: usize = self.following.values().sum();
        let clusters = if self.clusters == 1 { "1 cluster".to_string() } else { format!("{} clusters", self.clusters) };
        let lost = if self.lost == 0 { String::new() } else { format!(", {} gaps", self.lost) };
        let lag = self.lag.words();
        self.tell(&format!("\r\x1b[K{clusters}, {logs} logs, {rate} lines/s{lag}{lost}; Ctrl-C ends"));
        self.is_drawn = true;
        self.drawn_at = Instant::now();
        self.lines = counts.lines;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_that_waited_longer_than_others_tells_how_far_behind_the_watch_is() {
        let mut lag = Lag::new();
        let tick = |millis: i64| Time((1_772_000_000_000 + millis) * 1_000_000);
        lag.tell(tick(0), Duration::from_millis(3));
        lag.tell(tick(50), Duration::from_millis(55));
        assert_eq!((lag.now, lag.words()), (Duration::from_millis(2), String::new()));
        lag.tell(tick(100), Duration::from_millis(2_603));
        assert_eq!(lag.words(), ", 2.5 s behind");
        lag.tell(tick(2_600), Duration::from_millis(2_601));
        assert_eq!(lag.words(), "");
    }
}
