//! Archives and compressed files, read as streams: nothing is unpacked, and what they may expand to is bounded.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use meshwhy_parsers::origin;

use super::files::Found;
use super::{InputLimits, Intake, files};

/// How a stream of bytes is packed, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not packed.
    Plain,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// tar.
    Tar,
    /// zip.
    Zip,
    /// Something we do not unpack; the command that does.
    Foreign(&'static str),
}

/// Bytes of a stream that tell what it is.
pub const MAGIC_BYTES: usize = 512;

impl Packing {
    /// Recognises a packing.
    pub fn of(first: &[u8]) -> Packing {
        const MAGIC: [(&[u8], Packing); 9] = [
            (b"\x1f\x8b\x08", Packing::Gzip),
            (b"\x28\xb5\x2f\xfd", Packing::Zstd),
            (b"PK\x03\x04", Packing::Zip),
            (b"PK\x05\x06", Packing::Zip),
            (b"BZh", Packing::Foreign("bzip2 -d")),
            (b"\xfd7zXZ\0", Packing::Foreign("xz -d")),
            (b"7z\xbc\xaf\x27\x1c", Packing::Foreign("7z x")),
            (b"Rar!\x1a\x07", Packing::Foreign("unrar x")),
            (b"\x04\x22\x4d\x18", Packing::Foreign("lz4 -d")),
        ];
        if let Some((_, packing)) = MAGIC.iter().find(|(magic, _)| first.starts_with(magic)) {
            return *packing;
        }
        if is_tar(first) { Packing::Tar } else { Packing::Plain }
    }
}

/// Whether a tar header's checksum is right: older forms than ustar have no magic.
fn is_tar(first: &[u8]) -> bool {
    const SUM: std::ops::Range<usize> = 148..156;
    let Some(header) = first.get(..512) else { return false };
    let said =
        header[SUM].iter().filter(|c| (b'0'..=b'7').contains(c)).fold(0u64, |sum, c| sum * 8 + u64::from(c - b'0'));
    let sum: u64 = header.iter().enumerate().map(|(at, c)| u64::from(if SUM.contains(&at) { b' ' } else { *c })).sum();
    header[0] != 0 && said == sum
}

/// Reads what a stream holds, however deep it is packed.
pub(super) fn read(intake: &mut Intake<'_>, found: Found, bytes: &mut dyn Read, depth: usize) -> anyhow::Result<()> {
    let mut first = vec![0; MAGIC_BYTES];
    let (length, failed) = files::fill(bytes, &mut first);
    first.truncate(length);
    if let Some(error) = failed {
        intake.lose(format!("cannot read {}: {error}", found.name));
        return Ok(());
    }
    let packing = Packing::of(&first);
    let limits = intake.wanted.limits;
    if packing != Packing::Plain && limits.depth_max <= depth {
        intake.lose(format!("{} is packed more than {} times: not read", found.name, limits.depth_max));
        return Ok(());
    }
    let whole = io::Cursor::new(first).chain(bytes);
    match packing {
        Packing::Plain => files::plain(intake, found, &mut { whole }),
        Packing::Gzip => {
            let guard = Guard::new(limits);
            let decoder = flate2::read::MultiGzDecoder::new(guard.packed(whole));
            read(intake, found, &mut guard.unpacked(decoder), depth + 1)
        }
        Packing::Zstd => {
            let guard = Guard::new(limits);
            let mut decoder = zstd::stream::read::Decoder::new(guard.packed(whole))?;
            decoder.window_log_max(limits.zstd_window_log_max)?;
            read(intake, found, &mut guard.unpacked(decoder), depth + 1)
        }
        Packing::Tar => tar(intake, &found, &mut { whole }, depth),
        Packing::Zip => {
            intake.lose(format!(
                "{} is a zip within another archive: not read\nhint: unpack the outer archive first",
                found.name
            ));
            Ok(())
        }
        Packing::Foreign(command) => {
            intake.lose(format!(
                "{} is packed in a way that is not read here\nhint: unpack it with `{command}`",
                found.name
            ));
            Ok(())
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
struct Guard {
    limits: InputLimits,
    packed: Rc<Cell<u64>>,
    unpacked: Rc<Cell<u64>>,
}

impl Guard {
    fn new(limits: InputLimits) -> Guard {
        Guard { limits, packed: Rc::default(), unpacked: Rc::default() }
    }

    /// Counts the bytes before unpacking.
    fn packed<R: Read>(&self, bytes: R) -> impl Read {
        Counted { bytes, count: Rc::clone(&self.packed), check: None }
    }

    /// Counts the bytes after unpacking, and stops when they are too many.
    fn unpacked<R: Read>(&self, bytes: R) -> impl Read {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packing_is_recognised_by_its_bytes() {
        let mut header = ::tar::Header::new_old();
        header.set_path("a.log").expect("short");
        header.set_size(3);
        header.set_cksum();
        assert_eq!(Packing::of(header.as_bytes()), Packing::Tar);
        assert_eq!(Packing::of(b"\x1f\x8b\x08\0"), Packing::Gzip);
        assert_eq!(Packing::of(b"BZh91AY"), Packing::Foreign("bzip2 -d"));
        assert_eq!(Packing::of(&[b'a'; 512]), Packing::Plain);
        assert_eq!(Packing::of(&[0; 512]), Packing::Plain);
    }
}
