//! Files that grow, as `tail -F` follows them: over renames, truncation, recreation and links that are changed, as in
//! `/var/log/pods`. State documents among them are read whole, and again when they are written anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, SystemTime};

use meshwhy_parsers::event::Arrival;
use meshwhy_parsers::frame::Scan;
use meshwhy_parsers::origin::{self, Hints, SharedOrigin};
use meshwhy_parsers::sniff::{self, Format};
use meshwhy_parsers::time::Time;
use notify::{RecursiveMode, Watcher};

use super::files::{self, Named};
use super::source::{Deaf, Feed, Lines, Read, Said, Status};
use super::{Contexts, InputLimits, Stream, origin_of};

/// How long to wait for a file to change before they are all looked at.
const PATIENCE: Duration = Duration::from_millis(200);

/// What to follow.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Cluster names the user gave to paths.
    pub cluster_names: Vec<(String, PathBuf)>,
    /// Whether lines that cannot matter are skipped unparsed.
    pub scan: Scan,
    /// Lines before their end at which files begin; `None`: as many as the limit of bytes holds.
    pub lines: Option<u32>,
    /// The limits of what is read.
    pub limits: InputLimits,
}

/// Follows until nobody listens. Runs on a thread of its own, within the runtime.
pub fn follow(followed: Followed, feed: Feed) {
    let mut following = Following {
        changes: changes(&followed.paths),
        followed,
        feed,
        files: BTreeMap::new(),
        hints: BTreeMap::new(),
        clusters: BTreeMap::new(),
        contexts: Contexts::default(),
        said: BTreeSet::new(),
        renamed: BTreeMap::new(),
        is_begun: false,
    };
    while following.round().is_ok() {}
}

/// What the system tells of changes, where it does; its end ends the watch.
struct Changes {
    told: Receiver<()>,
    _watcher: Option<Box<dyn Watcher>>,
}

fn changes(paths: &[PathBuf]) -> Changes {
    let (to, told) = mpsc::sync_channel(1);
    let watcher = notify::recommended_watcher(move |_| {
        // One that waits says as much as many.
        let _ = to.try_send(());
    });
    let watcher = watcher.ok().map(|mut watcher| {
        for path in paths {
            // A file that is replaced is seen in its folder. What cannot be watched is looked at now and then.
            let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
            let _ = watcher.watch(folder, RecursiveMode::Recursive);
        }
        Box::new(watcher) as Box<dyn Watcher>
    });
    Changes { told, _watcher: watcher }
}

struct Following {
    followed: Followed,
    feed: Feed,
    changes: Changes,
    files: BTreeMap<PathBuf, Tailed>,
    /// What all files so far, by their names and heads, tell of their clusters.
    hints: BTreeMap<PathBuf, Hints>,
    /// The clusters that follow from that.
    clusters: BTreeMap<PathBuf, Box<str>>,
    /// The clusters that commands in saved sessions name.
    contexts: Contexts,
    /// What was said that need not be said again.
    said: BTreeSet<String>,
    /// Files that were read under a name that they have no more: in this round or the next one they appear under a
    /// new name, if they are followed at all.
    renamed: BTreeMap<(u64, u64), Renamed>,
    /// Whether the first round is over: what appears later is read from its begin.
    is_begun: bool,
}

/// A file under its name.
struct Tailed {
    origin: SharedOrigin,
    what: What,
}

enum What {
    /// A log: lines as they come.
    Log(Box<Log>),
    /// A document, with the time it was written.
    Document(Option<SystemTime>),
}

/// A file that was read under a name that it has no more.
struct Renamed {
    /// Held open, so that no new file is taken for it.
    _file: File,
    /// Bytes that were read.
    read: u64,
    /// Whether a round has passed since.
    is_old: bool,
}

struct Log {
    file: File,
    id: (u64, u64),
    /// Bytes of this file that were read.
    read: u64,
    lines: Lines,
    /// Bytes of all files of this name before this one.
    before: u64,
    is_flushed: bool,
}

impl Following {
    fn round(&mut self) -> Result<(), Deaf> {
        let mut is_news = false;
        let there = self.named()?;
        self.settle_clusters(&there);
        for named in there {
            is_news |= self.look_at(&named)?;
        }
        let gone: Vec<PathBuf> = self.files.keys().filter(|path| fs::metadata(path).is_err()).cloned().collect();
        for path in gone {
            self.finish(&path)?;
        }
        // A round lists the names first: a file that was renamed after that is met in the next one.
        self.renamed.retain(|_, renamed| !std::mem::replace(&mut renamed.is_old, true));
        self.is_begun = true;
        if !is_news {
            let _ = self.changes.told.recv_timeout(PATIENCE);
        }
        Ok(())
    }

    /// The files there are, by name.
    fn named(&mut self) -> Result<Vec<Named>, Deaf> {
        let (named, losses) = files::named(&self.followed.paths, &self.followed.limits, self.feed.limits.files_max);
        for loss in losses {
            self.lose(loss)?;
        }
        Ok(named)
    }

    /// Settles whose each file is that was not there before: what one of them tells may name the cluster of others.
    fn settle_clusters(&mut self, there: &[Named]) {
        let mut is_new = false;
        for named in there {
            if self.hints.contains_key(&named.path) {
                continue;
            }
            let Ok(mut file) = File::open(&named.path) else { continue };
            let (head, _) = files::head(&mut file);
            let place = origin::place(&named.below, &named.above);
            let given = files::given(&self.followed.cluster_names, &named.path);
            is_new = true;
            self.hints.insert(named.path.clone(), Hints { given, place, context: None, told: origin::told(&head) });
        }
        if is_new {
            let hints: Vec<Hints> = self.hints.values().cloned().collect();
            let clusters = origin::clusters(&hints);
            self.contexts = Contexts::of(&clusters);
            self.clusters = self.hints.keys().cloned().zip(clusters).collect();
        }
    }

    fn look_at(&mut self, named: &Named) -> Result<bool, Deaf> {
        let Ok(meta) = fs::metadata(&named.path) else { return Ok(false) };
        match self.files.get_mut(&named.path).map(|tailed| &mut tailed.what) {
            None => match self.moved(&meta) {
                // The same log under another name.
                Some(log) => {
                    self.files.insert(named.path.clone(), log);
                    self.grow(&named.path, &meta)
                }
                None => self.begin(named, &meta),
            },
            Some(What::Document(written)) => {
                if *written == meta.modified().ok() {
                    return Ok(false);
                }
                self.files.remove(&named.path);
                self.begin(named, &meta)
            }
            Some(What::Log(_)) => self.grow(&named.path, &meta),
        }
    }

    /// The log that was followed under a name that is no more, or another file's.
    fn moved(&mut self, meta: &Metadata) -> Option<Tailed> {
        let id = (meta.dev(), meta.ino());
        let is_it = |path: &PathBuf, tailed: &Tailed| {
            matches!(&tailed.what, What::Log(log) if log.id == id)
                && fs::metadata(path).map_or(true, |now| (now.dev(), now.ino()) != id)
        };
        let path = self.files.iter().find(|(path, tailed)| is_it(path, tailed))?.0.clone();
        self.files.remove(&path)
    }

    /// A file is met for the first time, or a document was written anew.
    fn begin(&mut self, named: &Named, meta: &Metadata) -> Result<bool, Deaf> {
        let mut file = match File::open(&named.path) {
            Ok(file) => file,
            Err(error) => {
                self.lose(format!("cannot read {}: {}", named.path.display(), files::plain_error(&error)))?;
                return Ok(false);
            }
        };
        let (head, _) = files::head(&mut file);
        let name = named.path.display().to_string();
        let Some(hints) = self.hints.get(&named.path).cloned() else { return Ok(false) };
        let cluster = self.clusters.get(&named.path).cloned().unwrap_or_default();
        let stream = Stream { name: name.as_str().into(), hints, is_repeat: false };
        let origin = Arc::new(origin_of(&stream, &cluster));
        match sniff::format(&head, &name) {
            Format::Log | Format::Empty | Format::Report => {}
            Format::Binary => {
                self.lose(format!("{name} is no text: not read"))?;
                self.hold_document(named, origin, meta);
                return Ok(false);
            }
            Format::Gzip | Format::Zstd | Format::Zip | Format::OtherCompressed(..) => {
                self.lose(format!(
                    "{name} is compressed and does not grow: not followed\nhint: meshwhy replay {name}"
                ))?;
                self.hold_document(named, origin, meta);
                return Ok(false);
            }
            _ => {
                self.document(named, &origin, meta, file)?;
                self.hold_document(named, origin, meta);
                return Ok(true);
            }
        }
        let from = match self.renamed.remove(&(meta.dev(), meta.ino())) {
            Some(renamed) => renamed.read,
            None if self.is_begun => 0,
            None => self.first_byte(&mut file, meta.len()),
        };
        // Places of lines stay apart where a file was read under this name before.
        let of_name = self.files.values().filter(|tailed| tailed.origin == origin);
        let before = of_name.filter_map(|tailed| match &tailed.what {
            What::Log(log) => Some(log.before + log.read),
            What::Document(_) => None,
        });
        let mut log = Log::new(&origin, self.followed.scan, file, meta, before.max().unwrap_or(0));
        log.skip(from);
        self.feed.say_blocking(Said::Arrival(Box::new(Arrival::Begin(Arc::clone(&origin)))))?;
        self.files.insert(named.path.clone(), Tailed { origin, what: What::Log(Box::new(log)) });
        self.grow(&named.path, meta)
    }

    fn hold_document(&mut self, named: &Named, origin: SharedOrigin, meta: &Metadata) {
        let what = What::Document(meta.modified().ok());
        self.files.insert(named.path.clone(), Tailed { origin, what });
    }

    fn document(&mut self, named: &Named, origin: &SharedOrigin, meta: &Metadata, mut file: File) -> Result<(), Deaf> {
        let bytes_max = self.followed.limits.document_bytes_max;
        let mut bytes = Vec::new();
        if file.rewind().and_then(|()| file.take(bytes_max).read_to_end(&mut bytes)).is_err() {
            return Ok(());
        }
        let written = meta.modified().ok().and_then(time);
        match self.feed.document_blocking(origin, &bytes, written)? {
            Read::Said(losses) => losses.into_iter().try_for_each(|loss| self.lose(format!("{}: {loss}", origin.file))),
            Read::Broken(error) => self.lose(format!("{}: {error}", named.path.display())),
            Read::Unknown => self.lose(format!("{} is no document that is known: not read", named.path.display())),
        }
    }

    /// The byte at which a file begins that was there before.
    fn first_byte(&self, file: &mut File, length: u64) -> u64 {
        let begin = length.saturating_sub(self.feed.limits.begin_bytes);
        let mut tail = Vec::new();
        if file.seek(SeekFrom::Start(begin)).and_then(|_| file.take(length - begin).read_to_end(&mut tail)).is_err() {
            return length;
        }
        let starts = memchr::memchr_iter(b'\n', &tail).map(|end| end + 1).filter(|start| *start < tail.len());
        let mut starts: Vec<usize> = starts.collect();
        if begin == 0 {
            starts.insert(0, 0);
        }
        let at = match self.followed.lines {
            None => starts.first(),
            Some(0) => None,
            Some(lines) => starts.get(starts.len().saturating_sub(lines as usize)),
        };
        at.map_or(length, |at| begin + *at as u64)
    }

    /// A log that may have grown, shrunk or been replaced.
    fn grow(&mut self, path: &Path, meta: &Metadata) -> Result<bool, Deaf> {
        let Some(Tailed { origin, what: What::Log(log) }) = self.files.get_mut(path) else { return Ok(false) };
        let origin = Arc::clone(origin);
        let is_other = log.id != (meta.dev(), meta.ino());
        if !is_other && meta.len() < log.read {
            let what = format!("{} was cut: lines written just before may be lost", path.display());
            self.feed.say_blocking(Said::Status(Status::Lost { what }))?;
            self.feed.say_blocking(Said::Arrival(Box::new(Arrival::Gap(Arc::clone(&origin)))))?;
            log.anew(self.followed.scan, &origin, None, meta);
        }
        if is_other {
            // What the old one still holds is read to its end first.
            while log.take(self.feed.limits.turn_bytes) {
                log.say(&self.feed, &mut self.contexts)?;
            }
            let Ok(file) = File::open(path) else { return Ok(false) };
            // By now the name may be yet another file's.
            let Ok(meta) = file.metadata() else { return Ok(false) };
            log.finish(&self.feed, &mut self.contexts)?;
            let (id, read) = (log.id, log.read);
            let before = log.anew(self.followed.scan, &origin, Some(file), &meta);
            if let Some(file) = before {
                self.renamed.insert(id, Renamed { _file: file, read, is_old: false });
            }
        }
        let is_news = log.take(self.feed.limits.turn_bytes);
        log.say(&self.feed, &mut self.contexts)?;
        Ok(is_news)
    }

    fn finish(&mut self, path: &Path) -> Result<(), Deaf> {
        let Some(Tailed { origin, what }) = self.files.remove(path) else { return Ok(()) };
        if let What::Log(mut log) = what {
            while log.take(self.feed.limits.turn_bytes) {
                log.say(&self.feed, &mut self.contexts)?;
            }
            log.finish(&self.feed, &mut self.contexts)?;
            self.renamed.insert(log.id, Renamed { _file: log.file, read: log.read, is_old: false });
            self.feed.say_blocking(Said::Arrival(Box::new(Arrival::End(origin))))?;
        }
        Ok(())
    }

    fn lose(&mut self, what: String) -> Result<(), Deaf> {
        if self.said.insert(what.clone()) {
            return self.feed.say_blocking(Said::Status(Status::Lost { what }));
        }
        Ok(())
    }
}

impl Log {
    fn new(origin: &SharedOrigin, scan: Scan, file: File, meta: &Metadata, before: u64) -> Log {
        Log {
            file,
            id: (meta.dev(), meta.ino()),
            read: 0,
            lines: Lines::at(origin, scan, before),
            before,
            is_flushed: true,
        }
    }

    fn skip(&mut self, to: u64) {
        if self.file.seek(SeekFrom::Start(to)).is_ok() {
            self.read = to;
        }
    }

    /// Begins anew with another file of the name, or with the same one from its begin; returns the file of before.
    fn anew(&mut self, scan: Scan, origin: &SharedOrigin, file: Option<File>, meta: &Metadata) -> Option<File> {
        // Places of lines stay apart.
        self.before += self.read;
        self.read = 0;
        self.id = (meta.dev(), meta.ino());
        let before = file.map(|file| std::mem::replace(&mut self.file, file));
        if before.is_none() {
            self.skip(0);
        }
        self.lines = Lines::at(origin, scan, self.before);
        before
    }

    /// Reads what there is, to a limit. Whether there was something.
    fn take(&mut self, bytes_max: usize) -> bool {
        let mut bytes = vec![0; bytes_max];
        let length = loop {
            match self.file.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.unwrap_or(0),
            }
        };
        self.read += length as u64;
        if length > 0 {
            self.lines.push(&bytes[..length]);
            self.is_flushed = false;
        } else if !std::mem::replace(&mut self.is_flushed, true) {
            self.lines.pause();
        }
        length > 0
    }

    fn finish(&mut self, feed: &Feed, contexts: &mut Contexts) -> Result<(), Deaf> {
        self.lines.finish();
        self.say(feed, contexts)
    }

    fn say(&mut self, feed: &Feed, contexts: &mut Contexts) -> Result<(), Deaf> {
        self.lines.say(feed, contexts)
    }
}

fn time(of: SystemTime) -> Option<Time> {
    let since = of.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok().map(Time)
}
