//! The tape of a watch: everything the loop took, in the order in which it took it, before it was parsed. Replayed, it
//! gives the same findings, and a later version reads more out of it.
//!
//! One JSON object a line, zstd where the name ends in `.zst`. The first line says what it is; the last one that it is
//! whole. Origins are told once and named by number.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use meshwhy_parsers::cert;
use meshwhy_parsers::event::{Arrival, Line};
use meshwhy_parsers::origin::{Origin, Role, SharedOrigin};
use meshwhy_parsers::time::Time;
use serde::{Deserialize, Serialize};

use super::InputLimits;
use super::archive::Guard;
use super::source::{Absent, Content, Said, Status, Tapped, Whole};

/// The version of the format that is written, and the newest one that is read.
const VERSION: u32 = 1;
/// How the first line begins.
const MARK: &[u8] = br#"{"meshwhy":"tape","#;
/// Bytes of the first line, at most.
const HEADER_BYTES_MAX: u64 = 4 << 10;
/// Origins that are told apart at a time; beyond, numbers are given anew.
const ORIGINS_MAX: usize = 65_536;
/// How often what was written is handed to the disk, so that a watch that is killed leaves its tape.
const FLUSH_PAUSE: Duration = Duration::from_secs(1);

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header<'t> {
    meshwhy: Cow<'t, str>,
    version: u32,
    /// The version of the program that wrote it.
    program: Cow<'t, str>,
}

/// A line of the tape.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Entry<'t> {
    /// What a number stands for from here on.
    Origin {
        id: u32,
        cluster: Cow<'t, str>,
        namespace: Cow<'t, str>,
        pod: Cow<'t, str>,
        container: Cow<'t, str>,
        file: Cow<'t, str>,
        role: Cow<'t, str>,
    },
    Begin(u32),
    Line {
        of: u32,
        seq: u64,
        number: u64,
        #[serde(default = "one", skip_serializing_if = "is_one")]
        lines: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outer_at: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<Cow<'t, str>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        header: Option<Cow<'t, str>>,
        text: Cow<'t, str>,
    },
    Document {
        of: u32,
        taken: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<Cow<'t, str>>,
        /// Where it is no text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base64: Option<Cow<'t, str>>,
    },
    Absent {
        of: u32,
        taken: Option<i64>,
        kind: Cow<'t, str>,
        group: Cow<'t, str>,
        namespace: Cow<'t, str>,
        name: Option<Cow<'t, str>>,
    },
    Gap(u32),
    End(u32),
    Clock(i64),
    Counted {
        lines: u64,
        quiet: i64,
    },
    Lost {
        what: Cow<'t, str>,
    },
    Trouble {
        cluster: Cow<'t, str>,
        what: Cow<'t, str>,
    },
    /// State was asked here.
    Look {},
    /// The watch ended here.
    Over {},
}

fn one() -> u32 {
    1
}

fn is_one(lines: &u32) -> bool {
    *lines == 1
}

/// Writes a tape.
pub struct Recorder {
    path: PathBuf,
    /// Until it cannot be written any more.
    out: Option<Out>,
    origins: BTreeMap<SharedOrigin, u32>,
    flushed_at: Instant,
}

enum Out {
    Plain(BufWriter<File>),
    Zstd(Box<zstd::Encoder<'static, BufWriter<File>>>),
}

impl Recorder {
    /// Begins a tape in a new file that only its owner may read.
    ///
    /// # Errors
    ///
    /// The file is there already or cannot be made.
    pub fn create(path: &Path) -> anyhow::Result<Recorder> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = match file {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!("{} is there already\nhint: record to a new file, or remove this one", path.display())
            }
            other => other.with_context(|| format!("cannot record to {}", path.display()))?,
        };
        let out = BufWriter::new(file);
        let mut out = match path.extension().is_some_and(|extension| extension == "zst") {
            true => Out::Zstd(Box::new(zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?)),
            false => Out::Plain(out),
        };
        let header = Header { meshwhy: "tape".into(), version: VERSION, program: env!("CARGO_PKG_VERSION").into() };
        out.write(&header)
            .and_then(|()| out.writer().flush())
            .with_context(|| format!("cannot record to {}", path.display()))?;
        Ok(Recorder { path: path.to_path_buf(), out: Some(out), origins: BTreeMap::new(), flushed_at: Instant::now() })
    }

    /// Records what was said. A sentence where it cannot be written: told once, and nothing is recorded from there on.
    pub fn said(&mut self, said: &Said) -> Option<String> {
        let written = self.write_said(said);
        self.unless_failed(written)
    }

    /// Records that state was asked.
    pub fn looked(&mut self) -> Option<String> {
        let written = self.write(&Entry::Look {});
        self.unless_failed(written)
    }

    /// Ends the tape.
    pub fn finish(mut self) -> Option<String> {
        let written = self.write(&Entry::Over {}).and_then(|()| self.out.take().map_or(Ok(()), Out::finish));
        self.unless_failed(written)
    }

    fn unless_failed(&mut self, written: io::Result<()>) -> Option<String> {
        let error = written.err()?;
        self.out = None;
        Some(format!("{} cannot be written any further: {error}; what comes now is not recorded", self.path.display()))
    }

    fn write(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), |out| out.write(entry))
    }

    fn write_said(&mut self, said: &Said) -> io::Result<()> {
        match said {
            Said::Arrival(arrival) => match &**arrival {
                Arrival::Begin(origin) => {
                    let of = self.origin(origin)?;
                    self.write(&Entry::Begin(of))
                }
                Arrival::Item(never) => match *never {},
                Arrival::Gap(origin) => {
                    let of = self.origin(origin)?;
                    self.write(&Entry::Gap(of))
                }
                Arrival::End(origin) => {
                    let of = self.origin(origin)?;
                    self.write(&Entry::End(of))
                }
                Arrival::Clock(now) => {
                    self.write(&Entry::Clock(now.0))?;
                    self.flush_if_due()
                }
            },
            Said::Lines(tapped) => {
                if (tapped.read, tapped.quiet) != (0, 0) {
                    self.write(&Entry::Counted { lines: tapped.read, quiet: tapped.quiet })?;
                }
                tapped.lines.iter().try_for_each(|line| self.line(line))
            }
            Said::Document(whole) => self.whole(whole),
            Said::Status(Status::Lost { what }) => self.write(&Entry::Lost { what: what.into() }),
            Said::Status(Status::Trouble { cluster, what }) => {
                self.write(&Entry::Trouble { cluster: cluster.into(), what: what.into() })
            }
            // They change what is shown meanwhile, and when state is asked, which is recorded itself.
            Said::Status(Status::Ready { .. } | Status::Following { .. }) | Said::Stop => Ok(()),
        }
    }

    fn line(&mut self, line: &Line) -> io::Result<()> {
        let of = self.origin(&line.origin)?;
        self.write(&Entry::Line {
            of,
            seq: line.seq,
            number: line.number,
            lines: line.lines,
            outer_at: line.outer_at.map(|at| at.0),
            command: line.command.as_deref().map(Cow::Borrowed),
            header: line.header.as_deref().map(Cow::Borrowed),
            text: Cow::Borrowed(&line.text),
        })
    }

    fn whole(&mut self, whole: &Whole) -> io::Result<()> {
        let of = self.origin(&whole.origin)?;
        let taken = whole.taken.map(|at| at.0);
        match &whole.content {
            Content::Bytes(bytes) => {
                let text = std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
                let base64 = text.is_none().then(|| Cow::Owned(cert::to_base64(bytes)));
                self.write(&Entry::Document { of, taken, text, base64 })
            }
            Content::Absent(absent) => self.write(&Entry::Absent {
                of,
                taken,
                kind: Cow::Borrowed(&absent.kind),
                group: Cow::Borrowed(&absent.group),
                namespace: Cow::Borrowed(&absent.namespace),
                name: absent.name.as_deref().map(Cow::Borrowed),
            }),
        }
    }

    /// The number of an origin, told before it is used.
    fn origin(&mut self, origin: &SharedOrigin) -> io::Result<u32> {
        if let Some(id) = self.origins.get(origin) {
            return Ok(*id);
        }
        if ORIGINS_MAX <= self.origins.len() {
            self.origins.clear();
        }
        let id = u32::try_from(self.origins.len()).unwrap_or(u32::MAX);
        self.origins.insert(Arc::clone(origin), id);
        self.write(&Entry::Origin {
            id,
            cluster: Cow::Borrowed(&origin.cluster),
            namespace: Cow::Borrowed(&origin.namespace),
            pod: Cow::Borrowed(&origin.pod),
            container: Cow::Borrowed(&origin.container),
            file: Cow::Borrowed(&origin.file),
            role: word(origin.role).into(),
        })?;
        Ok(id)
    }

    fn flush_if_due(&mut self) -> io::Result<()> {
        if self.flushed_at.elapsed() < FLUSH_PAUSE {
            return Ok(());
        }
        self.flushed_at = Instant::now();
        self.out.as_mut().map_or(Ok(()), |out| out.writer().flush())
    }
}

impl Out {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Out::Plain(out) => out,
            Out::Zstd(out) => out,
        }
    }

    fn write<T: Serialize>(&mut self, entry: &T) -> io::Result<()> {
        serde_json::to_writer(self.writer(), entry)?;
        self.writer().write_all(b"\n")
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Out::Plain(mut out) => out.flush(),
            Out::Zstd(out) => out.finish()?.flush(),
        }
    }
}

/// What a role is called on tapes.
fn word(role: Role) -> &'static str {
    ROLES.iter().find(|(known, _)| *known == role).map_or("", |(_, word)| word)
}

const ROLES: [(Role, &str); 8] = [
    (Role::Istiod, "istiod"),
    (Role::Ztunnel, "ztunnel"),
    (Role::Sidecar, "sidecar"),
    (Role::Gateway, "gateway"),
    (Role::Waypoint, "waypoint"),
    (Role::Cni, "cni"),
    (Role::ApiServer, "api-server"),
    (Role::Transcript, "transcript"),
];

/// What a tape plays.
#[derive(Debug)]
pub enum Played {
    /// A source said this.
    Said(Said),
    /// State was asked.
    Look,
}

/// Reads a tape.
pub struct Tape {
    name: String,
    bytes: Box<dyn BufRead>,
    entry_bytes_max: u64,
    origins: BTreeMap<u32, SharedOrigin>,
    /// Entries that could not be read, or were too long.
    unread: u64,
    is_over: bool,
    /// Why it ends before its end.
    cut: Option<String>,
}

/// Whether a file is a tape, as far as can be told by its first line.
pub fn is_tape(path: &Path, limits: InputLimits) -> bool {
    Tape::lines(path, limits).is_ok_and(|mut bytes| matches!(header(&mut *bytes), Ok(Some(_))))
}

/// The first line of a tape; `None` where it is none.
fn header(bytes: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    bytes.take(HEADER_BYTES_MAX).read_until(b'\n', &mut line)?;
    Ok(line.starts_with(MARK).then_some(line))
}

impl Tape {
    /// Opens a tape.
    ///
    /// # Errors
    ///
    /// It cannot be read, is none, or is of a version that is newer than this program.
    pub fn open(path: &Path, limits: InputLimits) -> anyhow::Result<Tape> {
        let name = path.display().to_string();
        let mut bytes = Tape::lines(path, limits).with_context(|| format!("cannot read {name}"))?;
        let Some(line) = header(&mut *bytes)? else { bail!("{name} is no tape") };
        let header: Header<'_> = serde_json::from_slice(&line)
            .with_context(|| format!("the first line of the tape {name} cannot be read"))?;
        if VERSION < header.version {
            bail!(
                "{name} was recorded by meshwhy {} in version {} of tapes, and this program reads up to version \
                 {VERSION}\nhint: replay it with the version that recorded it, or a newer one",
                header.program,
                header.version
            );
        }
        Ok(Tape {
            name,
            bytes,
            entry_bytes_max: limits.tape_entry_bytes_max,
            origins: BTreeMap::new(),
            unread: 0,
            is_over: false,
            cut: None,
        })
    }

    fn lines(path: &Path, limits: InputLimits) -> io::Result<Box<dyn BufRead>> {
        // Opening a pipe would take what is written to it from whoever reads it next.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = BufReader::new(File::open(path)?);
        if !bytes.fill_buf()?.starts_with(b"\x28\xb5\x2f\xfd") {
            return Ok(Box::new(bytes));
        }
        let guard = Guard::new(limits);
        let mut decoder = zstd::Decoder::new(guard.packed(bytes))?;
        decoder.window_log_max(limits.zstd_window_log_max)?;
        Ok(Box::new(BufReader::new(guard.unpacked(decoder))))
    }

    /// What comes next; `None` at its end.
    pub fn next_played(&mut self) -> Option<Played> {
        while !self.is_over && self.cut.is_none() {
            let mut line = Vec::new();
            if let Err(error) = (&mut self.bytes).take(self.entry_bytes_max).read_until(b'\n', &mut line) {
                self.cut = Some(format!("it ends in the middle, or is damaged: {error}"));
                break;
            }
            if line.last() == Some(&b'\n') {
                match serde_json::from_slice(&line) {
                    Ok(entry) => {
                        if let Some(played) = self.played(entry) {
                            return Some(played);
                        }
                    }
                    Err(_) => self.unread += 1,
                }
            } else if line.len() as u64 == self.entry_bytes_max {
                self.unread += 1;
                self.skip_line();
            } else {
                self.cut = Some("it ends in the middle".to_string());
            }
        }
        None
    }

    /// What of it could not be read, one sentence each.
    pub fn losses(&self) -> Vec<String> {
        let cut = self.cut.iter().map(|why| format!("{}: {why}; what came before was read", self.name));
        let unread = (0 < self.unread).then(|| format!("{}: {} entries cannot be read", self.name, self.unread));
        cut.chain(unread).collect()
    }

    fn skip_line(&mut self) {
        loop {
            let (length, is_end) = match self.bytes.fill_buf() {
                Ok([]) | Err(_) => return,
                Ok(bytes) => match memchr::memchr(b'\n', bytes) {
                    Some(end) => (end + 1, true),
                    None => (bytes.len(), false),
                },
            };
            self.bytes.consume(length);
            if is_end {
                return;
            }
        }
    }

    fn played(&mut self, entry: Entry<'_>) -> Option<Played> {
        let arrival = |arrival| Some(Played::Said(Said::Arrival(Box::new(arrival))));
        let status = |status| Some(Played::Said(Said::Status(status)));
        match entry {
            Entry::Origin { id, cluster, namespace, pod, container, file, role } => {
                if (id as usize) < ORIGINS_MAX {
                    let role = ROLES.iter().find(|(_, word)| *word == role).map_or(Role::Unknown, |(role, _)| *role);
                    let [cluster, namespace, pod, container, file] =
                        [cluster, namespace, pod, container, file].map(|text| text.into_owned().into_boxed_str());
                    self.origins.insert(id, Arc::new(Origin { cluster, namespace, pod, container, file, role }));
                } else {
                    self.unread += 1;
                }
                None
            }
            Entry::Begin(of) => arrival(Arrival::Begin(self.of(of)?)),
            Entry::Gap(of) => arrival(Arrival::Gap(self.of(of)?)),
            Entry::End(of) => arrival(Arrival::End(self.of(of)?)),
            Entry::Clock(now) => arrival(Arrival::Clock(Time(now))),
            Entry::Line { of, seq, number, lines, outer_at, command, header, text } => {
                let line = Line {
                    origin: self.of(of)?,
                    seq,
                    number,
                    lines,
                    outer_at: outer_at.map(Time),
                    command: command.map(Arc::from),
                    header: header.map(Arc::from),
                    text: text.into_owned().into(),
                };
                Some(Played::Said(Said::Lines(Tapped { lines: vec![line], read: 0, quiet: 0 })))
            }
            Entry::Document { of, taken, text, base64 } => {
                let bytes = match (text, base64) {
                    (Some(text), _) => text.into_owned().into_bytes(),
                    (None, base64) => cert::base64(base64.unwrap_or_default().as_bytes()).unwrap_or_default(),
                };
                // What it could not read was said when it was recorded.
                let (whole, _) = Whole::read(&self.of(of)?, &bytes, taken.map(Time));
                Some(Played::Said(Said::Document(Box::new(whole))))
            }
            Entry::Absent { of, taken, kind, group, namespace, name } => {
                let [kind, group, namespace] = [kind, group, namespace].map(|text| text.into_owned().into_boxed_str());
                let absent = Absent { kind, group, namespace, name: name.map(|name| name.into_owned().into()) };
                let whole = Whole::absent(&self.of(of)?, absent, taken.map(Time));
                Some(Played::Said(Said::Document(Box::new(whole))))
            }
            Entry::Counted { lines, quiet } => {
                Some(Played::Said(Said::Lines(Tapped { lines: Vec::new(), read: lines, quiet })))
            }
            Entry::Lost { what } => status(Status::Lost { what: what.into_owned() }),
            Entry::Trouble { cluster, what } => {
                status(Status::Trouble { cluster: cluster.into_owned(), what: what.into_owned() })
            }
            Entry::Look {} => Some(Played::Look),
            Entry::Over {} => {
                self.is_over = true;
                None
            }
        }
    }

    /// The origin of a number; one that was never told is counted.
    fn of(&mut self, id: u32) -> Option<SharedOrigin> {
        let origin = self.origins.get(&id).cloned();
        self.unread += u64::from(origin.is_none());
        origin
    }
}
