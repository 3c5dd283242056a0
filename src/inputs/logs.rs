//! Logs: bytes into records, each with its place among all. Long files are framed in parts, on worker threads.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::anyhow;
use meshwhy_parsers::event::Line;
use meshwhy_parsers::frame::{self, Framer, Scan};
use meshwhy_parsers::origin::{self, SharedOrigin};
use meshwhy_parsers::time::Time;

use super::files::{Found, fill, plain_error};
use super::spill::{Key, Record, Sorter};
use super::{Filter, InputLimits, Intake, Wanted, origin_of};

/// Reads a log from a stream to its end. What was read before an error counts.
pub(super) fn read(intake: &mut Intake<'_>, found: Found, bytes: &mut dyn Read) -> anyhow::Result<()> {
    let stream = intake.begin(&found)?;
    read_begun(intake, stream, &found, DefaultHasher::new(), bytes)
}

/// Reads the lines of a stream that was begun, and of which this hasher has seen the rest.
pub(super) fn read_begun(
    intake: &mut Intake<'_>,
    stream: u32,
    found: &Found,
    seen: DefaultHasher,
    bytes: &mut dyn Read,
) -> anyhow::Result<()> {
    let origin = Arc::new(origin_of(&intake.streams[stream as usize], ""));
    let part = intake.crew.begin_part(stream);
    let mut log = Log::new(&intake.crew.scribe, stream, part, &origin, 0);
    // Only what an archive holds can be the same as something else under the same name.
    let mut hasher = found.inner.as_ref().map(|_| seen);
    let mut block = vec![0; intake.wanted.limits.block_bytes];
    let mut length_read = 0;
    let failed = loop {
        let (length, failed) = fill(bytes, &mut block);
        let block = &block[..length];
        if length_read == 0 {
            let look = length.min(intake.wanted.limits.look_bytes);
            intake.streams[stream as usize].hints.told = origin::told(&block[..look]);
        }
        length_read += length as u64;
        if let Some(hasher) = &mut hasher {
            block.hash(hasher);
        }
        log.push(&mut intake.crew.scribe, block)?;
        if failed.is_some() || length == 0 {
            break failed;
        }
    };
    let (lines, quiet) = log.finish(&mut intake.crew.scribe)?;
    intake.crew.parts[part as usize].lines = lines;
    if let Some(error) = failed {
        let reason = plain_error(&error);
        intake.lose(format!("{} cannot be read to its end: {reason}; what came before was read", found.name));
    }
    if let (Some(inner), Some(hasher)) = (&found.inner, hasher)
        && !intake.seen_inside.insert((inner.clone(), hasher.finish(), length_read))
    {
        intake.streams[stream as usize].is_repeat = true;
        intake.lose(format!("{} is the same as one read before: it counts once", found.name));
        return Ok(());
    }
    intake.counts.files += 1;
    intake.counts.lines += lines;
    intake.counts.quiet += quiet;
    Ok(())
}

/// Reads a log from a file, as far as it goes now; worker threads do it, where there are some.
pub(super) fn read_file(intake: &mut Intake<'_>, found: Found, file: File, length: u64) -> anyhow::Result<()> {
    let stream = intake.begin(&found)?;
    let origin = Arc::new(origin_of(&intake.streams[stream as usize], ""));
    let mut head = vec![0; intake.wanted.limits.look_bytes.min(usize::try_from(length)?)];
    let (head_length, _) = fill(&mut &file, &mut head);
    head.truncate(head_length);
    intake.streams[stream as usize].hints.told = origin::told(&head);
    let mut begins = vec![0];
    let part_bytes = intake.wanted.limits.part_bytes;
    if 2 * part_bytes <= length && can_cut(&origin, intake.wanted.scan, &head) {
        begins.extend((1..length / part_bytes).filter_map(|part| cut_behind(&file, part * part_bytes)));
        begins.dedup();
    }
    let ends = begins.iter().skip(1).copied().chain([length]);
    let file = Arc::new(file);
    let parts = begins.iter().zip(ends).map(|(from, to)| {
        let part = intake.crew.begin_part(stream);
        Task { stream, part, origin: Arc::clone(&origin), file: Arc::clone(&file), from: *from, to }
    });
    let tasks: Vec<Task> = parts.collect();
    intake
        .crew
        .under_way
        .insert(stream, UnderWay { name: found.name, done: Vec::new(), tasks: tasks.clone(), missing: 0 });
    for task in tasks {
        intake.crew.begin(task)?;
        intake.settle()?;
    }
    Ok(())
}

/// Whether records of this log can be told apart by themselves, as far as its first bytes show.
fn can_cut(origin: &SharedOrigin, scan: Scan, head: &[u8]) -> bool {
    let mut framer = Framer::new(Arc::clone(origin), scan);
    framer.push(head, &mut |_| {});
    framer.is_plain()
}

/// Where the first record behind this offset begins that can be framed apart from what stands before it.
fn cut_behind(file: &File, offset: u64) -> Option<u64> {
    const SEARCHED_BYTES: usize = 256 << 10;
    let mut block = vec![0; SEARCHED_BYTES];
    let from = offset - 1;
    let length = file.read_at(&mut block, from).ok()?;
    let block = &block[..length];
    // The last line may be cut short: it is not looked at.
    let line_ends: Vec<usize> = memchr::memchr_iter(b'\n', block).collect();
    let begins = line_ends.windows(2).map(|ends| ends[0] + 1);
    let cut = begins.into_iter().find(|begin| frame::starts_record(&block[*begin..]))?;
    Some(from + cut as u64)
}

impl Intake<'_> {
    /// Takes over what the workers have done.
    fn settle(&mut self) -> anyhow::Result<()> {
        while let Some(settled) = self.crew.settled()? {
            self.counts.files += 1;
            self.counts.lines += settled.lines;
            self.counts.quiet += settled.quiet;
            if let Some(error) = settled.failed {
                let reason = plain_error(&error);
                self.lose(format!("{} cannot be read to its end: {reason}; what came before was read", settled.name));
            }
        }
        Ok(())
    }

    /// Waits for the workers. Gives back what everybody wrote down.
    pub(super) fn finish(&mut self) -> anyhow::Result<Vec<Sorter>> {
        self.crew.queue = None;
        loop {
            self.settle()?;
            if self.crew.under_way.is_empty() {
                break;
            }
            self.crew.wait()?;
        }
        let workers = std::mem::take(&mut self.crew.workers);
        let mut sorters = vec![std::mem::replace(&mut self.crew.scribe.sorter, Sorter::new(0))];
        for worker in workers {
            sorters.push(worker.join().map_err(|_| anyhow!("a worker thread died"))?);
        }
        Ok(sorters)
    }
}

/// A part of a log: what one framer read in one go, or the whole.
pub(super) struct Part {
    /// Its stream.
    pub stream: u32,
    /// How many lines it has.
    pub lines: u64,
    /// It turned out to depend on what stands before it and was framed again: its records do not count.
    pub is_void: bool,
}

/// A log, or a part of one, on its way through the framer.
struct Log {
    stream: u32,
    part: u32,
    origin: SharedOrigin,
    framer: Framer,
    /// The last time that was printed: what follows without one belongs to it.
    at: Time,
    /// Records at the begin of a part that have no time: they go with the first one that has.
    held: Option<Vec<Line>>,
}

/// Records without a time that are held back at the begin of a part.
const HELD_MAX: usize = 1_000;

impl Log {
    fn new(scribe: &Scribe, stream: u32, part: u32, origin: &SharedOrigin, offset: u64) -> Log {
        Log {
            stream,
            part,
            origin: Arc::clone(origin),
            framer: Framer::at(Arc::clone(origin), scribe.shared.scan, offset),
            at: Time::MIN,
            held: (0 < offset).then(Vec::new),
        }
    }

    fn push(&mut self, scribe: &mut Scribe, bytes: &[u8]) -> anyhow::Result<()> {
        let mut framed = Vec::new();
        self.framer.push(bytes, &mut |one| framed.push(one));
        framed.into_iter().try_for_each(|one| self.place(scribe, one))
    }

    /// Hands out what the framer still holds; returns the lines and how many of them were quiet.
    fn finish(mut self, scribe: &mut Scribe) -> anyhow::Result<(u64, u64)> {
        let mut framed = Vec::new();
        self.framer.finish(&mut |one| framed.push(one));
        for one in framed {
            self.place(scribe, one)?;
        }
        self.release(scribe)?;
        let counts = self.framer.counts();
        Ok((counts.lines, counts.quiet))
    }

    /// Gives a record its time and writes it down.
    fn place(&mut self, scribe: &mut Scribe, line: Line) -> anyhow::Result<()> {
        match meshwhy_parsers::time_of(&line) {
            Some(at) => {
                self.at = at;
                self.release(scribe)?;
            }
            None => {
                if let Some(held) = self.held.as_mut().filter(|held| held.len() < HELD_MAX) {
                    held.push(line);
                    return Ok(());
                }
            }
        }
        self.write(scribe, line)
    }

    fn release(&mut self, scribe: &mut Scribe) -> anyhow::Result<()> {
        let held = self.held.take().unwrap_or_default();
        held.into_iter().try_for_each(|one| self.write(scribe, one))
    }

    fn write(&self, scribe: &mut Scribe, line: Line) -> anyhow::Result<()> {
        if scribe.shared.filter.leaves_out(self.at) {
            return Ok(());
        }
        let seq = line.seq;
        let source = scribe.source(self.stream, &self.origin, &line.origin);
        let record = Record { line, part: self.part, source };
        scribe.sorter.push(Key { at: self.at, stream: self.stream, seq }, &record)
    }
}

/// Writes records down, in one thread.
struct Scribe {
    shared: Arc<Shared>,
    sorter: Sorter,
    /// The source asked for last, as a source seldom prints one line alone.
    last_source: Option<(SharedOrigin, u32)>,
}

/// What all threads share.
struct Shared {
    scan: Scan,
    filter: Filter,
    limits: InputLimits,
    sources: Mutex<Sources>,
}

/// The sources of merged streams, as prefixes and markers in them name them; interned.
#[derive(Default)]
struct Sources {
    all: Vec<(u32, SharedOrigin)>,
    known: BTreeMap<(u32, SharedOrigin), u32>,
}

impl Scribe {
    /// The number of the source that a framed line names, 0 for the stream itself.
    fn source(&mut self, stream: u32, own: &SharedOrigin, named: &SharedOrigin) -> u32 {
        if Arc::ptr_eq(own, named) {
            return 0;
        }
        if let Some((last, number)) = &self.last_source
            && Arc::ptr_eq(last, named)
        {
            return *number;
        }
        let mut sources = self.shared.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let known = sources.known.get(&(stream, Arc::clone(named))).copied();
        let number = known.unwrap_or_else(|| sources.add(stream, named, self.shared.limits.sources_max));
        drop(sources);
        self.last_source = Some((Arc::clone(named), number));
        number
    }
}

impl Sources {
    /// Adds a source; beyond the limit lines count as the stream's own.
    fn add(&mut self, stream: u32, named: &SharedOrigin, max: usize) -> u32 {
        if max <= self.all.len() {
            return 0;
        }
        self.all.push((stream, Arc::clone(named)));
        let number = u32::try_from(self.all.len()).unwrap_or(0);
        self.known.insert((stream, Arc::clone(named)), number);
        number
    }
}

/// A part of a file, to be framed.
#[derive(Clone)]
struct Task {
    stream: u32,
    part: u32,
    origin: SharedOrigin,
    file: Arc<File>,
    from: u64,
    to: u64,
}

/// A part that was framed.
struct Done {
    stream: u32,
    part: u32,
    lines: u64,
    quiet: u64,
    /// Still under way where something reaches over the part's end.
    log: Option<Log>,
    failed: Option<io::Error>,
}

impl Task {
    fn run(&self, scribe: &mut Scribe) -> anyhow::Result<Done> {
        let log = Log::new(scribe, self.stream, self.part, &self.origin, self.from);
        self.run_on(scribe, log)
    }

    /// Goes on with what an earlier part began.
    fn run_on(&self, scribe: &mut Scribe, mut log: Log) -> anyhow::Result<Done> {
        let mut block = vec![0; scribe.shared.limits.block_bytes];
        let mut at = self.from;
        let mut failed = None;
        while at < self.to {
            let wanted = block.len().min(usize::try_from(self.to - at).unwrap_or(usize::MAX));
            match self.file.read_at(&mut block[..wanted], at) {
                // It was cut short while it was read.
                Ok(0) => break,
                Ok(length) => {
                    log.push(scribe, &block[..length])?;
                    at += length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let mut done = Done { stream: self.stream, part: log.part, lines: 0, quiet: 0, log: None, failed };
        if log.framer.is_plain() {
            (done.lines, done.quiet) = log.finish(scribe)?;
        } else {
            done.log = Some(log);
        }
        Ok(done)
    }
}

/// A file whose parts are being framed.
struct UnderWay {
    name: String,
    tasks: Vec<Task>,
    done: Vec<Done>,
    missing: usize,
}

/// A file that was read.
struct Settled {
    name: String,
    lines: u64,
    quiet: u64,
    failed: Option<io::Error>,
}

/// Those who frame: the calling thread, and worker threads where more than one was asked for.
pub(super) struct Crew {
    threads: usize,
    shared: Arc<Shared>,
    scribe: Scribe,
    /// The parts of all streams.
    pub parts: Vec<Part>,
    under_way: BTreeMap<u32, UnderWay>,
    queue: Option<SyncSender<Task>>,
    done: Option<Receiver<anyhow::Result<Done>>>,
    workers: Vec<JoinHandle<Sorter>>,
}

impl Crew {
    /// So many threads; one means that the calling thread does it all.
    pub fn new(wanted: &Wanted<'_>) -> Crew {
        let shared = Arc::new(Shared {
            scan: wanted.scan,
            filter: wanted.filter(),
            limits: wanted.limits,
            sources: Mutex::default(),
        });
        Crew {
            threads: wanted.threads,
            scribe: scribe(&shared, wanted.threads),
            shared,
            parts: Vec::new(),
            under_way: BTreeMap::new(),
            queue: None,
            done: None,
            workers: Vec::new(),
        }
    }

    /// The sources that prefixes and markers named, with their streams.
    pub fn sources(&self) -> Vec<(u32, SharedOrigin)> {
        self.shared.sources.lock().unwrap_or_else(PoisonError::into_inner).all.clone()
    }

    fn begin_part(&mut self, stream: u32) -> u32 {
        self.parts.push(Part { stream, lines: 0, is_void: false });
        (self.parts.len() - 1) as u32
    }

    /// Has a part framed, here or by a worker.
    fn begin(&mut self, task: Task) -> anyhow::Result<()> {
        let Some(file) = self.under_way.get_mut(&task.stream) else { return Ok(()) };
        if file.done.iter().any(|done| done.log.is_some()) {
            // Something reaches over the cuts of this file: it is framed in one go.
            return Ok(());
        }
        file.missing += 1;
        if self.threads <= 1 {
            let done = task.run(&mut self.scribe)?;
            self.take(done);
            return Ok(());
        }
        if self.queue.is_none() {
            self.start();
        }
        let queue = self.queue.as_ref().expect("it was just started");
        queue.send(task).map_err(|_| anyhow!("all worker threads died"))?;
        while let Some(done) = self.done.as_ref().and_then(|done| done.try_recv().ok()) {
            self.take(done?);
        }
        Ok(())
    }

    fn start(&mut self) {
        let (queue, tasks) = mpsc::sync_channel::<Task>(self.threads);
        let (to, done) = mpsc::channel();
        let tasks = Arc::new(Mutex::new(tasks));
        for _ in 0..self.threads {
            let (tasks, to) = (Arc::clone(&tasks), to.clone());
            let mut scribe = scribe(&self.shared, self.threads);
            self.workers.push(thread::spawn(move || {
                loop {
                    let next = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(task) = next else { return scribe.sorter };
                    let done = task.run(&mut scribe);
                    drop(task);
                    if to.send(done).is_err() {
                        return scribe.sorter;
                    }
                }
            }));
        }
        (self.queue, self.done) = (Some(queue), Some(done));
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        let done = self.done.as_ref().expect("something is under way");
        let done = done.recv().map_err(|_| anyhow!("a worker thread died"))??;
        self.take(done);
        Ok(())
    }

    fn take(&mut self, done: Done) {
        if let Some(file) = self.under_way.get_mut(&done.stream) {
            file.missing -= 1;
            file.done.push(done);
        }
    }

    /// The next file all of whose parts are done.
    fn settled(&mut self) -> anyhow::Result<Option<Settled>> {
        let is_ready = |file: &UnderWay| {
            let is_begun = file.done.len() == file.tasks.len() || file.done.iter().any(|done| done.log.is_some());
            file.missing == 0 && is_begun
        };
        let Some((&stream, _)) = self.under_way.iter().find(|(_, file)| is_ready(file)) else { return Ok(None) };
        let Some(file) = self.under_way.remove(&stream) else { return Ok(None) };
        let mut settled = Settled { name: file.name, lines: 0, quiet: 0, failed: None };
        let mut of_part: BTreeMap<u32, Done> = file.done.into_iter().map(|done| (done.part, done)).collect();
        let mut open: Option<Log> = None;
        for task in &file.tasks {
            let framed = of_part.remove(&task.part);
            let done = match (open.take(), framed) {
                (None, Some(done)) => done,
                (None, None) => task.run(&mut self.scribe)?,
                (Some(log), _) => {
                    self.parts[task.part as usize].is_void = true;
                    task.run_on(&mut self.scribe, log)?
                }
            };
            self.parts[done.part as usize].lines = done.lines;
            settled.lines += done.lines;
            settled.quiet += done.quiet;
            settled.failed = settled.failed.or(done.failed);
            open = done.log;
        }
        if let Some(log) = open {
            let part = log.part;
            let (lines, quiet) = log.finish(&mut self.scribe)?;
            self.parts[part as usize].lines = lines;
            settled.lines += lines;
            settled.quiet += quiet;
        }
        Ok(Some(settled))
    }
}

fn scribe(shared: &Arc<Shared>, threads: usize) -> Scribe {
    // The memory for sorting is shared out, and the calling thread sorts, too.
    let share = if 1 < threads { threads + 1 } else { 1 };
    Scribe { shared: Arc::clone(shared), sorter: Sorter::new(shared.limits.sort_bytes_max / share), last_source: None }
}
