//! One log: bytes into records, each with its place among all; chunks are framed on worker threads.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use meshwhy_parsers::event::Line;
use meshwhy_parsers::frame::{self, Framed, Framer, Scan};
use meshwhy_parsers::origin::{self, SharedOrigin};
use meshwhy_parsers::time::Time;

use super::files::{Found, fill, plain_error};
use super::spill::{Key, Record};
use super::{Intake, origin_of};

/// Reads a log to its end. What was read before an error counts.
pub(super) fn read(intake: &mut Intake<'_>, found: Found, bytes: &mut dyn Read) -> anyhow::Result<()> {
    let stream = intake.begin(&found)?;
    let origin = Arc::new(origin_of(&intake.streams[stream as usize], ""));
    let mut cutter = Cutter::new(bytes, intake.wanted.limits.chunk_bytes, found.inner.is_some());
    let mut log = Log { stream, origin, at: Time::MIN, lines: 0, quiet: 0, framer: None };
    let mut under_way: VecDeque<Receiver<Done>> = VecDeque::new();
    loop {
        // A short log is not worth a thread.
        let width = if cutter.is_long { intake.workers.width() } else { 0 };
        while under_way.len() < width
            && let Some(chunk) = cutter.next()
        {
            let job = Job { origin: Arc::clone(&log.origin), scan: intake.wanted.scan, chunk, apart: log.can_split() };
            under_way.push_back(intake.workers.begin(job));
        }
        let done = match under_way.pop_front() {
            Some(done) => done.recv()?,
            None => match cutter.next() {
                Some(chunk) => Done { chunk, framed: None },
                None => break,
            },
        };
        if done.chunk.offset == 0 {
            let look = done.chunk.bytes.len().min(intake.wanted.limits.look_bytes);
            intake.streams[stream as usize].hints.told = origin::told(&done.chunk.bytes[..look]);
        }
        let spare = log.take(intake, done)?;
        cutter.spare.push(spare);
    }
    log.finish(intake)?;
    if let Some(error) = cutter.failed.take() {
        let reason = plain_error(&error);
        intake.lose(format!("{} cannot be read to its end: {reason}; what came before was read", found.name));
    }
    let is_repeat = found.inner.is_some_and(|inner| !intake.seen_inside.insert((inner, cutter.hash(), cutter.offset)));
    if is_repeat {
        intake.streams[stream as usize].is_repeat = true;
        intake.lose(format!("{} is the same as one read before: it counts once", found.name));
        return Ok(());
    }
    intake.counts.files += 1;
    intake.counts.lines += log.lines;
    intake.counts.quiet += log.quiet;
    Ok(())
}

/// A stretch of a log.
struct Chunk {
    bytes: Vec<u8>,
    offset: u64,
    /// Whether it begins with a new record, so that it may be framed apart from what stands before it.
    begins_record: bool,
}

/// Cuts a log into chunks at the begins of records. Where it cuts depends on the bytes alone.
struct Cutter<'r> {
    bytes: &'r mut dyn Read,
    chunk_bytes: usize,
    /// What was read behind the last cut.
    rest: Vec<u8>,
    rest_begins_record: bool,
    offset: u64,
    is_over: bool,
    /// Whether there is more than one chunk.
    is_long: bool,
    failed: Option<io::Error>,
    hasher: Option<DefaultHasher>,
    spare: Vec<Vec<u8>>,
}

impl Cutter<'_> {
    fn new(bytes: &mut dyn Read, chunk_bytes: usize, hashes: bool) -> Cutter<'_> {
        Cutter {
            bytes,
            chunk_bytes,
            rest: Vec::new(),
            rest_begins_record: true,
            offset: 0,
            is_over: false,
            is_long: false,
            failed: None,
            hasher: hashes.then(DefaultHasher::new),
            spare: Vec::new(),
        }
    }

    fn next(&mut self) -> Option<Chunk> {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.append(&mut self.rest);
        if !self.is_over {
            let have = bytes.len();
            bytes.resize(have.max(self.chunk_bytes), 0);
            let (length, failed) = fill(self.bytes, &mut bytes[have..]);
            self.is_over = failed.is_some() || have + length < bytes.len();
            self.failed = failed;
            bytes.truncate(have + length);
            if let Some(hasher) = &mut self.hasher {
                bytes[have..].hash(hasher);
            }
        }
        if bytes.is_empty() {
            return None;
        }
        let begins_record = self.rest_begins_record;
        let cut = if self.is_over { None } else { record_start(&bytes) };
        self.rest_begins_record = cut.is_some();
        if let Some(cut) = cut {
            self.rest.extend_from_slice(&bytes[cut..]);
            bytes.truncate(cut);
        }
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        self.is_long = !self.is_over;
        Some(Chunk { bytes, offset, begins_record })
    }

    fn hash(&self) -> u64 {
        self.hasher.as_ref().map_or(0, Hasher::finish)
    }
}

/// The last place, behind the first byte, where a new record surely begins.
fn record_start(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    while let Some(at) = memchr::memrchr(b'\n', &bytes[..end]) {
        let (before, line) = (&bytes[..at], &bytes[at + 1..]);
        // An object may stand within a larger one.
        let stands_alone = !line.starts_with(b"{") || before.ends_with(b"}") || before.ends_with(b"}\r");
        if stands_alone && frame::starts_record(line) {
            return Some(at + 1);
        }
        end = at;
    }
    None
}

/// A log on its way through the framer.
struct Log {
    stream: u32,
    origin: SharedOrigin,
    /// The last time that was printed: what follows without one belongs to it.
    at: Time,
    /// Lines before those of the framer.
    lines: u64,
    quiet: u64,
    framer: Option<Framer>,
}

impl Log {
    /// Whether what follows may be framed apart, if it begins with a new record.
    fn can_split(&self) -> bool {
        self.framer.as_ref().is_none_or(Framer::is_plain)
    }

    /// Takes the next chunk; gives its buffer back.
    fn take(&mut self, intake: &mut Intake<'_>, done: Done) -> anyhow::Result<Vec<u8>> {
        let Done { chunk, framed } = done;
        if chunk.begins_record && self.can_split() {
            self.finish(intake)?;
            let (framer, framed) = framed.unwrap_or_else(|| frame_apart(&self.origin, intake.wanted.scan, &chunk));
            self.framer = Some(framer);
            self.emit(intake, framed)?;
        } else if let Some(framer) = &mut self.framer {
            let mut framed = Vec::new();
            framer.push(&chunk.bytes, &mut |one| framed.push(dated(one)));
            self.emit(intake, framed)?;
        }
        Ok(chunk.bytes)
    }

    /// Hands out what the framer still holds.
    fn finish(&mut self, intake: &mut Intake<'_>) -> anyhow::Result<()> {
        let Some(mut framer) = self.framer.take() else { return Ok(()) };
        let mut framed = Vec::new();
        framer.finish(&mut |one| framed.push(dated(one)));
        self.emit(intake, framed)?;
        let counts = framer.counts();
        self.lines += counts.lines;
        self.quiet += counts.quiet;
        Ok(())
    }

    fn emit(&mut self, intake: &mut Intake<'_>, framed: Vec<Dated>) -> anyhow::Result<()> {
        for (at, one) in framed {
            self.at = at.unwrap_or(self.at);
            if intake.wanted.leaves_out(self.at) {
                continue;
            }
            let (seq, record) = match one {
                Framed::Line(mut line) => {
                    line.number += self.lines;
                    let source = intake.source(self.stream, &self.origin, &line.origin);
                    (line.seq, Record::Line { line, source })
                }
                Framed::Worked { seq, number, at, things } => {
                    (seq, Record::Worked { seq, number: number + self.lines, at, things })
                }
            };
            intake.sorter.push(Key { at: self.at, stream: self.stream, seq }, &record)?;
        }
        Ok(())
    }
}

/// A record with its time.
pub(super) type Dated = (Option<Time>, Framed);

pub(super) fn dated(framed: Framed) -> Dated {
    let at = match &framed {
        Framed::Line(line) => time_of(line),
        Framed::Worked { at, .. } => *at,
    };
    (at, framed)
}

fn time_of(line: &Line) -> Option<Time> {
    meshwhy_parsers::parse(line).at
}

/// Frames a chunk that begins with a new record.
fn frame_apart(origin: &SharedOrigin, scan: Scan, chunk: &Chunk) -> (Framer, Vec<Dated>) {
    let mut framer = Framer::at(Arc::clone(origin), scan, chunk.offset);
    let mut framed = Vec::new();
    framer.push(&chunk.bytes, &mut |one| framed.push(dated(one)));
    (framer, framed)
}

/// A chunk to be framed.
struct Job {
    origin: SharedOrigin,
    scan: Scan,
    chunk: Chunk,
    /// Whether it looks as if it could be framed apart.
    apart: bool,
}

/// A chunk, framed where it could be.
struct Done {
    chunk: Chunk,
    framed: Option<(Framer, Vec<Dated>)>,
}

/// Threads that frame chunks. They begin with the first long log.
pub(super) struct Workers {
    threads: usize,
    jobs: Option<Sender<(Job, Sender<Done>)>>,
}

impl Workers {
    /// So many threads; one means that the calling thread does it all.
    pub fn new(threads: usize) -> Workers {
        Workers { threads, jobs: None }
    }

    /// How many chunks may be under way; 0 where the calling thread does it all.
    fn width(&self) -> usize {
        if 1 < self.threads { self.threads + 1 } else { 0 }
    }

    fn begin(&mut self, job: Job) -> Receiver<Done> {
        let jobs = self.jobs.get_or_insert_with(|| start(self.threads));
        let (done, waiting) = mpsc::channel();
        // A worker lives as long as the sender; if it died, `waiting` says so.
        let _ = jobs.send((job, done));
        waiting
    }
}

fn start(threads: usize) -> Sender<(Job, Sender<Done>)> {
    let (jobs, queue) = mpsc::channel::<(Job, Sender<Done>)>();
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..threads {
        let queue = Arc::clone(&queue);
        thread::spawn(move || {
            loop {
                let next = queue.lock().map(|queue| queue.recv());
                let Ok(Ok((job, done))) = next else { return };
                let Job { origin, scan, chunk, apart } = job;
                let framed = (apart && chunk.begins_record).then(|| frame_apart(&origin, scan, &chunk));
                let _ = done.send(Done { chunk, framed });
            }
        });
    }
    jobs
}
