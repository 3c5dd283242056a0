//! Archives and compressed files, read as streams: nothing is unpacked, and what they may expand to is bounded.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use meshwhy_parsers::origin;
use meshwhy_parsers::sniff::{self, Format};

use super::files::{self, Found};
use super::{InputLimits, Intake, documents, logs, transcripts};

/// Reads what a stream holds, however deep it is packed.
pub(super) fn read(intake: &mut Intake<'_>, found: Found, bytes: &mut dyn Read, depth: usize) -> anyhow::Result<()> {
    let (head, failed) = files::head(bytes);
    let format = sniff::format(&head, &found.name);
    let mut bytes = Ahead { head: io::Cursor::new(head), bytes, failed };
    let limits = intake.wanted.limits;
    let is_packed = matches!(format, Format::Gzip | Format::Zstd | Format::Tar | Format::Zip);
    if is_packed && limits.depth_max <= depth {
        intake.lose(format!("{} is packed more than {} times: not read", found.name, limits.depth_max));
        return Ok(());
    }
    match format {
        Format::Gzip => {
            let guard = Guard::new(limits);
            let decoder = flate2::read::MultiGzDecoder::new(guard.packed(bytes));
            read(intake, found, &mut guard.unpacked(decoder), depth + 1)
        }
        Format::Zstd => {
            let guard = Guard::new(limits);
            let mut decoder = zstd::stream::read::Decoder::new(guard.packed(bytes))?;
            decoder.window_log_max(limits.zstd_window_log_max)?;
            read(intake, found, &mut guard.unpacked(decoder), depth + 1)
        }
        Format::Tar => tar(intake, &found, &mut bytes, depth),
        Format::Zip => {
            intake.lose(format!(
                "{} is a zip that does not lie in a folder: not read\nhint: unpack it first",
                found.name
            ));
            Ok(())
        }
        Format::OtherCompressed(name, command) => {
            intake.lose(format!("{} is {name}, which is not read\nhint: unpack it with `{command}`", found.name));
            Ok(())
        }
        Format::Binary => {
            intake.lose(format!("{} is no text: not read", found.name));
            Ok(())
        }
        _ if documents::is_cluster_context(&found) => documents::cluster_context(intake, found, &mut bytes),
        Format::Empty if bytes.failed.is_none() => {
            intake.lose(format!("{} is empty", found.name));
            logs::read(intake, found, &mut bytes)
        }
        Format::ZtunnelDump
        | Format::EnvoyDump
        | Format::Yaml
        | Format::Json(_)
        | Format::Certificates
        | Format::Document => documents::read(intake, found, &mut bytes),
        Format::Report => documents::report(intake, found, &mut bytes),
        Format::Log | Format::Empty => transcripts::read(intake, found, &mut bytes),
    }
}

/// What was read ahead, then the rest, or the error that reading ahead met.
struct Ahead<'r> {
    head: io::Cursor<Vec<u8>>,
    bytes: &'r mut dyn Read,
    failed: Option<io::Error>,
}

impl Read for Ahead<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.head.read(into)? {
            0 => match self.failed.take() {
                Some(error) => Err(error),
                None => self.bytes.read(into),
            },
            length => Ok(length),
        }
    }
}

fn tar(intake: &mut Intake<'_>, found: &Found, bytes: &mut dyn Read, depth: usize) -> anyhow::Result<()> {
    let limits = intake.wanted.limits;
    let broken =
        |error: io::Error| format!("{} cannot be read to its end: {error}; what came before was read", found.name);
    let mut archive = ::tar::Archive::new(bytes);
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(error) => {
            intake.lose(broken(error));
            return Ok(());
        }
    };
    let mut files = 0;
    for entry in entries {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                intake.lose(broken(error));
                return Ok(());
            }
        };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        if files == limits.archive_files_max {
            intake.lose(format!("{} holds more than {files} files: the rest is not read", found.name));
            return Ok(());
        }
        files += 1;
        let inner = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        read(intake, found.inside(&inner), &mut entry, depth + 1)?;
    }
    Ok(())
}

/// Reads a zip, which needs its directory at its end.
pub(super) fn zip(intake: &mut Intake<'_>, found: &Found, mut file: File) -> anyhow::Result<()> {
    let limits = intake.wanted.limits;
    if let Some(files) = zip_files(&mut file).filter(|files| limits.archive_files_max < *files) {
        intake.lose(format!("{} holds {files} files, more than {}: not read", found.name, limits.archive_files_max));
        return Ok(());
    }
    let mut archive = match ::zip::ZipArchive::new(io::BufReader::new(file)) {
        Ok(archive) => archive,
        Err(error) => {
            intake.lose(format!("cannot read {}: {error}", found.name));
            return Ok(());
        }
    };
    let guard = Guard::new(limits);
    let mut order: Vec<(String, usize)> =
        (0..archive.len()).filter_map(|at| archive.name_for_index(at).map(|name| (name.to_string(), at))).collect();
    order.sort();
    for (inner, at) in order {
        let member = match archive.by_index(at) {
            Ok(member) => member,
            Err(error) => {
                intake.lose(format!("cannot read {}!{inner}: {error}", found.name));
                continue;
            }
        };
        if !member.is_file() {
            continue;
        }
        guard.packed.set(guard.packed.get() + member.compressed_size());
        read(intake, found.inside(&inner), &mut guard.unpacked(member), 1)?;
    }
    Ok(())
}

/// How many files a zip says to hold: read from its last record, before a directory of any size is loaded.
fn zip_files(file: &mut File) -> Option<u64> {
    const RECORD_BYTES: usize = 22;
    const COMMENT_BYTES_MAX: u64 = 0xffff;
    let end = file.seek(SeekFrom::End(0)).ok()?;
    let from = end.saturating_sub(COMMENT_BYTES_MAX + RECORD_BYTES as u64);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut tail = Vec::new();
    file.take(COMMENT_BYTES_MAX + RECORD_BYTES as u64).read_to_end(&mut tail).ok()?;
    let at = memchr::memmem::rfind(&tail, b"PK\x05\x06");
    file.rewind().ok()?;
    let count: [u8; 2] = tail.get(at? + 10..at? + 12)?.try_into().ok()?;
    Some(u64::from(u16::from_le_bytes(count)))
}

/// Bounds what an archive expands to.
pub(super) struct Guard {
    limits: InputLimits,
    packed: Rc<Cell<u64>>,
    unpacked: Rc<Cell<u64>>,
}

impl Guard {
    /// Nothing was read yet.
    pub fn new(limits: InputLimits) -> Guard {
        Guard { limits, packed: Rc::default(), unpacked: Rc::default() }
    }

    /// Counts the bytes before unpacking.
    pub fn packed<R: Read>(&self, bytes: R) -> impl Read + use<R> {
        Counted { bytes, count: Rc::clone(&self.packed), check: None }
    }

    /// Counts the bytes after unpacking, and stops when they are too many.
    pub fn unpacked<R: Read>(&self, bytes: R) -> impl Read + use<R> {
        Counted { bytes, count: Rc::clone(&self.unpacked), check: Some((self.limits, Rc::clone(&self.packed))) }
    }
}

struct Counted<R> {
    bytes: R,
    count: Rc<Cell<u64>>,
    check: Option<(InputLimits, Rc<Cell<u64>>)>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Some((limits, packed)) = &self.check {
            let (unpacked, packed) = (self.count.get(), packed.get().max(1));
            if limits.archive_bytes_max < unpacked {
                return Err(io::Error::other(format!(
                    "it expands to more than {} GiB",
                    limits.archive_bytes_max >> 30
                )));
            }
            if limits.ratio_from_bytes < unpacked && limits.ratio_max < unpacked / packed {
                return Err(io::Error::other(format!(
                    "it expands more than {} times, as no log does",
                    limits.ratio_max
                )));
            }
        }
        let length = self.bytes.read(into)?;
        self.count.set(self.count.get() + length as u64);
        Ok(length)
    }
}

/// The name of an archive as a folder: without what says how it is packed.
pub(super) fn folder_name(name: &str) -> &str {
    origin::stem(name)
}
