//! Sorts more records than memory holds: sorted runs in an unlinked temporary file, merged at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use anyhow::Context;
use meshwhy_parsers::event::Line;
use meshwhy_parsers::origin::{Origin, SharedOrigin};
use meshwhy_parsers::time::Time;

/// What is sorted: a record to be parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The record; its origin is filled in when it is read back.
    pub line: Line,
    /// Which part of its stream it is from; lines are numbered within the part.
    pub part: u32,
    /// Which of its stream's sources printed it; 0 for the stream itself.
    pub source: u32,
}

/// Where a record stands among all: by time, then stream, then place in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Its time, or that of the last dated record before it.
    pub at: Time,
    /// Ordinal of its stream.
    pub stream: u32,
    /// Byte offset within the stream.
    pub seq: u64,
}

/// Takes records in any order.
pub struct Sorter {
    bytes_max: usize,
    bytes: Vec<u8>,
    index: Vec<(Key, usize)>,
    file: Option<File>,
    file_len: u64,
    runs: Vec<Run>,
}

/// A sorted stretch of the temporary file.
struct Run {
    first: Key,
    from: u64,
    to: u64,
}

impl Sorter {
    /// A sorter that keeps so many bytes in memory.
    pub fn new(bytes_max: usize) -> Sorter {
        Sorter { bytes_max, bytes: Vec::new(), index: Vec::new(), file: None, file_len: 0, runs: Vec::new() }
    }

    /// Takes a record.
    pub fn push(&mut self, key: Key, record: &Record) -> anyhow::Result<()> {
        let begin = self.bytes.len();
        // Doubling would take twice the memory that was asked for.
        if self.bytes.capacity() - begin < GROWTH_BYTES / 2 {
            self.bytes.reserve_exact(GROWTH_BYTES);
        }
        self.bytes.extend_from_slice(&[0; FRAME_BYTES]);
        encode(key, record, &mut self.bytes);
        let length =
            u32::try_from(self.bytes.len() - begin - FRAME_BYTES).expect("a record is bounded by the line cap");
        self.bytes[begin..begin + FRAME_BYTES].copy_from_slice(&length.to_le_bytes());
        self.index.push((key, begin));
        if self.bytes_max < self.bytes.len() + self.index.len() * size_of::<(Key, usize)>() {
            self.spill().context(
                "cannot write sorted records to a temporary file\nhint: point TMPDIR to a folder with more room",
            )?;
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        self.index.sort_unstable();
        let Some((first, _)) = self.index.first() else { return Ok(()) };
        let first = *first;
        let from = self.file_len;
        if self.file.is_none() {
            self.file = Some(tempfile::tempfile()?);
        }
        let file = self.file.as_ref().expect("it was just made");
        let mut out = BufWriter::with_capacity(256 << 10, file);
        for (_, begin) in &self.index {
            let record = framed(&self.bytes[*begin..]);
            out.write_all(record)?;
            self.file_len += record.len() as u64;
        }
        out.flush()?;
        drop(out);
        self.runs.push(Run { first, from, to: self.file_len });
        self.bytes.clear();
        self.index.clear();
        Ok(())
    }
}

/// By how much the memory for records grows.
const GROWTH_BYTES: usize = 1 << 20;
/// Bytes of a record's length in front of it.
const FRAME_BYTES: usize = 4;
/// What the buffers of all runs take together, as far as they do not get too small.
const BUFFERS_BYTES: usize = 8 << 20;

/// A record with its length in front.
fn framed(bytes: &[u8]) -> &[u8] {
    let length = u32::from_le_bytes(bytes[..FRAME_BYTES].try_into().expect("four bytes"));
    &bytes[..FRAME_BYTES + length as usize]
}

/// The records of one or several sorters, in order.
pub struct Sorted {
    files: Vec<File>,
    runs: Vec<Cursor>,
    /// The next record of each run.
    heap: BinaryHeap<Reverse<(Key, usize)>>,
    buffer_bytes: usize,
    origin: SharedOrigin,
    scratch: Vec<u8>,
    last_command: Option<Arc<str>>,
    last_header: Option<Arc<str>>,
}

/// A sorted run being read.
enum Cursor {
    /// It is still in memory.
    Memory { bytes: Vec<u8>, index: std::vec::IntoIter<(Key, usize)> },
    /// It is in a file.
    File { file: usize, reader: Reader },
}

/// Reads a run in a file; its buffer is made when its first record is due, as runs seldom overlap.
struct Reader {
    at: u64,
    to: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl Sorted {
    /// What these sorters took, in order.
    pub fn of(sorters: Vec<Sorter>) -> Sorted {
        let mut sorted = Sorted {
            files: Vec::new(),
            runs: Vec::new(),
            heap: BinaryHeap::new(),
            buffer_bytes: 0,
            origin: Arc::new(Origin::default()),
            scratch: Vec::new(),
            last_command: None,
            last_header: None,
        };
        for mut sorter in sorters {
            for run in sorter.runs {
                sorted.heap.push(Reverse((run.first, sorted.runs.len())));
                let reader = Reader { at: run.from, to: run.to, buffer: Vec::new(), used: 0 };
                sorted.runs.push(Cursor::File { file: sorted.files.len(), reader });
            }
            sorted.files.extend(sorter.file);
            // What never outgrew memory needs no file.
            sorter.index.sort_unstable();
            if let Some((first, _)) = sorter.index.first() {
                sorted.heap.push(Reverse((*first, sorted.runs.len())));
                sorted.runs.push(Cursor::Memory { bytes: sorter.bytes, index: sorter.index.into_iter() });
            }
        }
        sorted.buffer_bytes = (BUFFERS_BYTES / sorted.runs.len().max(1)).clamp(4 << 10, 64 << 10);
        sorted
    }

    /// The next record with its stream.
    pub fn next_record(&mut self) -> anyhow::Result<Option<(Key, Record)>> {
        let Some(Reverse((key, run))) = self.heap.pop() else { return Ok(None) };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let next = match &mut self.runs[run] {
            Cursor::Memory { bytes, index } => {
                if let Some((_, begin)) = index.next() {
                    scratch.extend_from_slice(&framed(&bytes[begin..])[FRAME_BYTES..]);
                }
                index.as_slice().first().map(|(key, _)| *key)
            }
            Cursor::File { file, reader } => {
                let file = &self.files[*file];
                let failed = "cannot read sorted records back from the temporary file";
                reader.record(file, self.buffer_bytes, &mut scratch).context(failed)?;
                reader.peek(file, self.buffer_bytes).context(failed)?
            }
        };
        if let Some(next) = next {
            self.heap.push(Reverse((next, run)));
        }
        let record = self.decode(&scratch, key).context("the temporary file changed while it was in use")?;
        self.scratch = scratch;
        Ok(Some((key, record)))
    }

    fn decode(&mut self, bytes: &[u8], key: Key) -> Option<Record> {
        let mut rest = &bytes[KEY_BYTES..];
        let number = take(&mut rest)?;
        let part = u32::try_from(take(&mut rest)?).ok()?;
        let at = take_time(&mut rest)?;
        let lines = u32::try_from(take(&mut rest)?).ok()?;
        let source = u32::try_from(take(&mut rest)?).ok()?;
        let command = take_shared(&mut rest, &mut self.last_command)?;
        let header = take_shared(&mut rest, &mut self.last_header)?;
        let text = std::str::from_utf8(rest).ok()?.into();
        let origin = Arc::clone(&self.origin);
        let line = Line { origin, seq: key.seq, number, lines, outer_at: at, command, header, text };
        Some(Record { line, part, source })
    }
}

impl Reader {
    /// Makes sure that `wanted` bytes are at hand, if the run has them.
    fn fill(&mut self, file: &File, buffer_bytes: usize, wanted: usize) -> io::Result<bool> {
        if wanted <= self.buffer.len() - self.used {
            return Ok(true);
        }
        self.buffer.drain(..self.used);
        self.used = 0;
        let have = self.buffer.len();
        let left = usize::try_from(self.to - self.at).unwrap_or(usize::MAX);
        let more = buffer_bytes.max(wanted).saturating_sub(have).min(left);
        self.buffer.resize(have + more, 0);
        file.read_exact_at(&mut self.buffer[have..], self.at)?;
        self.at += more as u64;
        Ok(wanted <= self.buffer.len())
    }

    fn record(&mut self, file: &File, buffer_bytes: usize, into: &mut Vec<u8>) -> io::Result<()> {
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        if !self.fill(file, buffer_bytes, FRAME_BYTES)? {
            return Err(cut());
        }
        let length: [u8; FRAME_BYTES] = self.buffer[self.used..self.used + FRAME_BYTES].try_into().expect("four bytes");
        let whole = FRAME_BYTES + u32::from_le_bytes(length) as usize;
        if !self.fill(file, buffer_bytes, whole)? {
            return Err(cut());
        }
        into.extend_from_slice(&self.buffer[self.used + FRAME_BYTES..self.used + whole]);
        self.used += whole;
        Ok(())
    }

    /// The key of the next record; `None` at the end of the run, whose buffer is then given back.
    fn peek(&mut self, file: &File, buffer_bytes: usize) -> io::Result<Option<Key>> {
        if !self.fill(file, buffer_bytes, FRAME_BYTES + KEY_BYTES)? {
            self.buffer = Vec::new();
            self.used = 0;
            return Ok(None);
        }
        let bytes = &self.buffer[self.used + FRAME_BYTES..self.used + FRAME_BYTES + KEY_BYTES];
        Ok(Some(key(bytes)))
    }
}

/// Bytes of a key in front of a record.
const KEY_BYTES: usize = 20;

fn key(bytes: &[u8]) -> Key {
    Key {
        at: Time(i64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))),
        stream: u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes")),
        seq: u64::from_le_bytes(bytes[12..20].try_into().expect("eight bytes")),
    }
}

fn encode(key: Key, record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(&key.at.0.to_le_bytes());
    out.extend_from_slice(&key.stream.to_le_bytes());
    out.extend_from_slice(&key.seq.to_le_bytes());
    let Record { line, part, source } = record;
    put(line.number, out);
    put(u64::from(*part), out);
    put_time(line.outer_at, out);
    put(u64::from(line.lines), out);
    put(u64::from(*source), out);
    put_shared(line.command.as_deref(), out);
    put_shared(line.header.as_deref(), out);
    out.extend_from_slice(line.text.as_bytes());
}

/// Writes a number in as many bytes as it needs, seven bits each.
fn put(mut number: u64, out: &mut Vec<u8>) {
    while 0x80 <= number {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn put_time(at: Option<Time>, out: &mut Vec<u8>) {
    out.push(u8::from(at.is_some()));
    if let Some(at) = at {
        out.extend_from_slice(&at.0.to_le_bytes());
    }
}

fn take_time(rest: &mut &[u8]) -> Option<Option<Time>> {
    let (has, after) = rest.split_first()?;
    *rest = after;
    if *has == 0 {
        return Some(None);
    }
    let (time, after) = rest.split_at_checked(8)?;
    *rest = after;
    Some(Some(Time(i64::from_le_bytes(time.try_into().ok()?))))
}

fn put_shared(text: Option<&str>, out: &mut Vec<u8>) {
    put(text.map_or(0, |text| text.len() as u64 + 1), out);
    out.extend_from_slice(text.unwrap_or("").as_bytes());
}

/// Reads a text that records in a row share, and shares it again.
fn take_shared(rest: &mut &[u8], last: &mut Option<Arc<str>>) -> Option<Option<Arc<str>>> {
    let Some(length) = take(rest)?.checked_sub(1) else { return Some(None) };
    let (text, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    let text = std::str::from_utf8(text).ok()?;
    match last {
        Some(known) if **known == *text => {}
        _ => *last = Some(text.into()),
    }
    Some(last.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> Record {
        let rest = number % 3;
        let line = Line {
            origin: Arc::new(Origin::default()),
            seq: number * 10,
            number,
            lines: 2,
            outer_at: (rest == 1).then_some(Time(-3)),
            command: (rest == 1).then(|| "kubectl get pods".into()),
            header: (rest == 2).then(|| "NAME READY".into()),
            text: "ä".repeat(number as usize % 100).into(),
        };
        Record { line, part: number as u32, source: number as u32 % 300 }
    }

    fn sorted(bytes_max: usize) -> (Vec<(Key, Record)>, usize) {
        let mut sorter = Sorter::new(bytes_max);
        for number in 0..2_000u64 {
            let at = Time((number * 7_919 % 2_000) as i64);
            sorter.push(Key { at, stream: (number % 5) as u32, seq: number * 10 }, &record(number)).expect("room");
        }
        let runs = sorter.runs.len();
        let mut sorted = Sorted::of(vec![sorter]);
        let mut all = Vec::new();
        while let Some(next) = sorted.next_record().expect("readable") {
            all.push(next);
        }
        (all, runs)
    }

    #[test]
    fn what_outgrew_memory_comes_back_whole_and_in_the_same_order() {
        let (in_memory, no_runs) = sorted(usize::MAX);
        let (spilled, runs) = sorted(10_000);
        assert_eq!((no_runs, in_memory.len()), (0, 2_000));
        assert!(runs > 10, "{runs}");
        assert!(in_memory == spilled);
        let of = |number: u64| in_memory.iter().find(|(_, other)| *other == record(number));
        assert_eq!(of(1_001).map(|(key, _)| key.stream), Some(1));
        let times: Vec<u64> = in_memory.iter().map(|(_, record)| record.line.number * 7_919 % 2_000).collect();
        assert!(times.is_sorted());
    }
}
