//! Everything that reads the world: files, folders, archives and standard input, as one stream in event-time order.

pub mod admin;
pub mod archive;
pub mod bundle;
pub mod clock;
pub mod direct;
pub mod documents;
pub mod files;
pub mod follow;
pub mod kube;
pub mod live;
pub mod logs;
pub mod source;
pub mod spill;
pub mod stdin;
pub mod stop;
pub mod tape;
pub mod transcripts;
pub mod xds;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use meshwhy_parsers::command;
use meshwhy_parsers::event::{Event, Line};
use meshwhy_parsers::frame::{Scan, WINDOW};
use meshwhy_parsers::origin::{self, Hints, Origin, SharedOrigin};
use meshwhy_parsers::time::Time;

use documents::Standing;
use files::Found;
use logs::{Crew, Part};
use spill::{Key, Record, Sorted};
use stdin::Stdin;

/// The limits of what is read, all of them.
#[derive(Clone, Copy, Debug)]
pub struct InputLimits {
    /// Bytes of records kept in memory for sorting; what is more goes, sorted, to an unlinked temporary file.
    pub sort_bytes_max: usize,
    /// Bytes read at once, by one thread.
    pub block_bytes: usize,
    /// Bytes of a long file that are framed in one go; several threads frame several such parts at a time.
    pub part_bytes: u64,
    /// Bytes at the start of a file that are searched for the name of its cluster.
    pub look_bytes: usize,
    /// Archives within archives, compression included.
    pub depth_max: usize,
    /// Decompressed bytes of one archive.
    pub archive_bytes_max: u64,
    /// How many times larger than its archive the decompressed content may be, once it is larger than
    /// [`InputLimits::ratio_from_bytes`]. Logs stay below 100.
    pub ratio_max: u64,
    /// Decompressed bytes from which on the ratio counts.
    pub ratio_from_bytes: u64,
    /// Files in one archive.
    pub archive_files_max: u64,
    /// Largest zstd window, as a power of two: 8 MiB, which any level below `--ultra` keeps to.
    pub zstd_window_log_max: u32,
    /// Files in all.
    pub files_max: usize,
    /// Folders within folders.
    pub folder_depth_max: usize,
    /// Pods and containers told apart in merged streams.
    pub sources_max: usize,
    /// Different templates of unknown lines that are counted apart.
    pub templates_max: usize,
    /// Bytes of one state document: it is read whole. The pods of a large cluster, as JSON, take 14 KiB each.
    pub document_bytes_max: u64,
    /// Bytes of a text within which documents are looked for: a saved session, an issue. A longer one is a log.
    pub transcript_bytes_max: u64,
    /// Bytes of one entry of a tape: a document with its escapes.
    pub tape_entry_bytes_max: u64,
    /// Losses that are named; further ones are only counted.
    pub losses_max: usize,
}

impl Default for InputLimits {
    fn default() -> InputLimits {
        InputLimits {
            sort_bytes_max: 16 << 20,
            block_bytes: 256 << 10,
            part_bytes: WINDOW,
            look_bytes: 256 << 10,
            depth_max: 3,
            archive_bytes_max: 64 << 30,
            ratio_max: 250,
            ratio_from_bytes: 64 << 20,
            archive_files_max: 100_000,
            zstd_window_log_max: 23,
            files_max: 200_000,
            folder_depth_max: 32,
            sources_max: 16_384,
            templates_max: 4_096,
            document_bytes_max: 1 << 30,
            transcript_bytes_max: 16 << 20,
            tape_entry_bytes_max: 512 << 20,
            losses_max: 100,
        }
    }
}

/// What to read, and how.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Files, folders and archives.
    pub paths: &'a [PathBuf],
    /// Cluster names the user gave to paths: the longest path that holds a file wins.
    pub cluster_names: &'a [(String, PathBuf)],
    /// Lines before this moment are left out.
    pub since: Option<Time>,
    /// Lines after this moment are left out.
    pub until: Option<Time>,
    /// How many threads scan.
    pub threads: usize,
    /// Whether lines that cannot matter are skipped.
    pub scan: Scan,
    /// The limits.
    pub limits: InputLimits,
}

impl Wanted<'_> {
    fn filter(&self) -> Filter {
        Filter { since: self.since, until: self.until }
    }
}

/// Which times are wanted.
#[derive(Clone, Copy, Debug)]
struct Filter {
    since: Option<Time>,
    until: Option<Time>,
}

impl Filter {
    /// Whether a record of this time, its own or that of the last dated one before it, is left out.
    fn leaves_out(&self, at: Time) -> bool {
        let is_before = self.since.is_some_and(|since| Time::MIN < at && at < since);
        is_before || self.until.is_some_and(|until| until < at)
    }
}

/// What was read, counted.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Files and archive members read as logs.
    pub files: u64,
    /// Documents read.
    pub documents: u64,
    /// Physical lines.
    pub lines: u64,
    /// Lines that were skipped because their format is known and they cannot matter.
    pub quiet: u64,
}

/// What was refused, skipped or lost, one sentence each.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    said: Vec<String>,
    unsaid: u64,
}

impl Losses {
    /// Says one.
    pub fn add(&mut self, limits: &InputLimits, loss: String) {
        if self.said.len() < limits.losses_max {
            self.said.push(loss);
        } else {
            self.unsaid += 1;
        }
    }

    /// The sentences, whichever file was named first; the last one counts those left out.
    pub fn sentences(mut self) -> Vec<String> {
        self.said.sort();
        if 0 < self.unsaid {
            self.said.push(format!("and {} more", self.unsaid));
        }
        self.said
    }
}

/// One readable thing: a log or a document.
struct Stream {
    name: Box<str>,
    hints: Hints,
    /// The same content was read before under the same name: its records do not count.
    is_repeat: bool,
}

/// Takes in what the walkers find.
struct Intake<'a> {
    wanted: &'a Wanted<'a>,
    streams: Vec<Stream>,
    documents: Vec<documents::Said>,
    counts: Counts,
    losses: Losses,
    crew: Crew,
    /// Paths in archives with their content's hash and length.
    seen_inside: BTreeSet<(String, u64, u64)>,
}

impl Intake<'_> {
    /// Begins a stream; returns its ordinal.
    fn begin(&mut self, found: &Found) -> anyhow::Result<u32> {
        let stream = u32::try_from(self.streams.len())?;
        self.streams.push(Stream { name: found.name.as_str().into(), hints: found.hints(), is_repeat: false });
        Ok(stream)
    }

    fn lose(&mut self, loss: String) {
        self.losses.add(&self.wanted.limits, loss);
    }
}

/// All of it, in event-time order: documents first, then the lines.
pub struct Batch {
    /// What was counted.
    pub counts: Counts,
    /// What was lost.
    pub losses: Losses,
    /// Paths the user named that could not be read at all, with the reason and a hint.
    pub refused: Vec<String>,
    /// What state documents say, each as an event: it is seen before all lines.
    pub documents: Vec<Event>,
    /// What documents say that has a time of its own, the latest first: it takes its place among the lines.
    dated: Vec<Event>,
    /// The record that comes after a dated event.
    ahead: Option<(Key, Record)>,
    origins: Vec<Option<SharedOrigin>>,
    sources: Vec<SharedOrigin>,
    /// The lines before each part of its stream; `None` for a part that does not count.
    parts: Vec<Option<u64>>,
    contexts: Contexts,
    sorted: Sorted,
}

/// One record, to be parsed or proving that something works.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A record to be parsed.
    Line(Line),
    /// What a document says at this time.
    Event(Event),
}

/// Reads all paths; what cannot be read is said in the batch. `stdin` is read where the path is `-`.
pub fn read(wanted: &Wanted<'_>, stdin: Option<Stdin>) -> anyhow::Result<Batch> {
    let mut intake = Intake {
        wanted,
        streams: Vec::new(),
        documents: Vec::new(),
        counts: Counts::default(),
        losses: Losses::default(),
        crew: Crew::new(wanted),
        seen_inside: BTreeSet::new(),
    };
    let refused = files::read(&mut intake, stdin)?;
    let sorters = intake.finish()?;
    let hints: Vec<Hints> = intake.streams.iter().map(|stream| stream.hints.clone()).collect();
    let clusters = origin::clusters(&hints);
    let origins: Vec<Option<SharedOrigin>> = intake
        .streams
        .iter()
        .zip(&clusters)
        .map(|(stream, cluster)| (!stream.is_repeat).then(|| Arc::new(origin_of(stream, cluster))))
        .collect();
    let mut contexts = Contexts::of(&clusters);
    let said = intake.documents.into_iter().filter_map(|said| {
        let origin = origins.get(said.stream as usize)?.as_ref()?;
        let origin = match &said.standing {
            Some(standing) => contexts.origin_at(origin, standing),
            None => Arc::clone(origin),
        };
        Some(document(origin, said))
    });
    let (mut documents, mut dated): (Vec<Event>, Vec<Event>) = said.partition(Event::is_document);
    // Whichever file was named first; what one file says keeps its order.
    documents.sort_by(|one, other| one.origin.cmp(&other.origin));
    dated.sort_by_key(|event| Reverse(event.at));
    let sources = intake.crew.sources().into_iter().map(|(stream, named)| {
        let cluster = if named.cluster.is_empty() { &clusters[stream as usize] } else { &named.cluster };
        Arc::new(Origin { cluster: cluster.clone(), ..Origin::clone(&named) })
    });
    Ok(Batch {
        counts: intake.counts,
        losses: intake.losses,
        refused,
        documents,
        dated,
        ahead: None,
        sources: sources.collect(),
        contexts: Contexts::of(&clusters),
        origins,
        parts: lines_before(&intake.crew.parts),
        sorted: Sorted::of(sorters),
    })
}

impl Batch {
    /// The next record in event-time order.
    pub fn next_item(&mut self) -> anyhow::Result<Option<Item>> {
        loop {
            let next = match self.ahead.take() {
                Some(ahead) => Some(ahead),
                None => self.sorted.next_record()?,
            };
            let is_later = |event: &mut Event| next.as_ref().is_none_or(|(key, _)| event.at <= Some(key.at));
            if let Some(event) = self.dated.pop_if(is_later) {
                self.ahead = next;
                return Ok(Some(Item::Event(event)));
            }
            let Some((key, record)) = next else { return Ok(None) };
            let Some(Some(origin)) = self.origins.get(key.stream as usize) else { continue };
            let Record { mut line, part, source } = record;
            let Some(Some(lines_before)) = self.parts.get(part as usize).copied() else { continue };
            line.number += lines_before;
            let origin = (source as usize).checked_sub(1).and_then(|at| self.sources.get(at)).unwrap_or(origin);
            line.origin = self.contexts.origin(origin, line.command.as_deref());
            return Ok(Some(Item::Line(line)));
        }
    }
}

/// The lines that stand before each part of its stream; `None` for a part that does not count.
fn lines_before(parts: &[Part]) -> Vec<Option<u64>> {
    let mut before: BTreeMap<u32, u64> = BTreeMap::new();
    let of_part = |part: &Part| {
        let lines = before.entry(part.stream).or_default();
        let first = *lines;
        *lines += part.lines;
        (!part.is_void).then_some(first)
    };
    parts.iter().map(of_part).collect()
}

fn origin_of(stream: &Stream, cluster: &str) -> Origin {
    let place = &stream.hints.place;
    Origin {
        cluster: cluster.into(),
        namespace: place.namespace.clone(),
        pod: place.pod.clone(),
        container: place.container.clone(),
        file: stream.name.clone(),
        role: place.role,
    }
}

/// What a document said: with its own time an event among lines, else state, seen when its document was taken.
fn document(origin: SharedOrigin, said: documents::Said) -> Event {
    let (seq, number) = said.standing.as_ref().map_or((0, 0), |standing| (standing.seq, standing.line));
    Event { seq, number, ..Event::of_document(origin, said.at, said.taken, said.fact) }
}

/// The clusters that commands in a saved session name: `$ kubectl --context west get svc`.
#[derive(Default)]
struct Contexts {
    known: Vec<Box<str>>,
    /// The last one made, as the rows of one answer follow each other.
    last: Option<(SharedOrigin, Box<str>, SharedOrigin)>,
}

impl Contexts {
    /// Where these clusters are known, one for each file.
    fn of(clusters: &[Box<str>]) -> Contexts {
        Contexts { known: clusters.to_vec(), last: None }
    }

    /// The origin of a document within a text: the command above it knows better than the document itself.
    fn origin_at(&mut self, origin: &SharedOrigin, standing: &Standing) -> SharedOrigin {
        let named = self.origin(origin, Some(&standing.command));
        match &standing.cluster {
            Some(own) if Arc::ptr_eq(&named, origin) => {
                Arc::new(Origin { cluster: own.clone(), ..Origin::clone(origin) })
            }
            _ => named,
        }
    }

    fn origin(&mut self, origin: &SharedOrigin, command: Option<&str>) -> SharedOrigin {
        let Some(context) = command.and_then(command::context) else { return Arc::clone(origin) };
        if let Some((of, named, made)) = &self.last
            && Arc::ptr_eq(of, origin)
            && **named == *context
        {
            return Arc::clone(made);
        }
        let cluster = origin::cluster_of_context(context, &self.known);
        let made = Arc::new(Origin { cluster: cluster.into(), ..Origin::clone(origin) });
        self.last = Some((Arc::clone(origin), context.into(), Arc::clone(&made)));
        made
    }
}
