//! One log: bytes into records, each with its place among all.

use std::io::Read;
use std::sync::Arc;

use meshwhy_parsers::event::{Line, Thing};
use meshwhy_parsers::frame::{Framed, Framer};
use meshwhy_parsers::origin::{self, Origin};
use meshwhy_parsers::time::Time;

use super::files::{fill, plain_error};
use super::spill::{Key, Record};
use super::{Intake, Member};

/// Reads a log to its end. What was read before an error counts.
pub(super) fn read(intake: &mut Intake<'_>, member: Member, bytes: &mut dyn Read) -> anyhow::Result<()> {
    let name = member.name.clone();
    let origin = Arc::new(Origin::new("", &member.name));
    let stream = intake.begin(member)?;
    let mut framer = Framer::new(origin, intake.wanted.scan);
    let mut place = Place { stream, at: Time::MIN };
    let mut chunk = vec![0; intake.wanted.limits.chunk_bytes];
    let mut is_first = true;
    let mut framed = Vec::new();
    let failed = loop {
        let (length, failed) = fill(bytes, &mut chunk);
        if is_first {
            look(intake, stream, &chunk[..length.min(intake.wanted.limits.look_bytes)]);
            is_first = false;
        }
        framer.push(&chunk[..length], &mut |one| framed.push(one));
        if length < chunk.len() {
            framer.finish(&mut |one| framed.push(one));
        }
        for one in framed.drain(..) {
            place.take(intake, one)?;
        }
        if failed.is_some() || length < chunk.len() {
            break failed;
        }
    };
    let counts = framer.counts();
    intake.counts.files += 1;
    intake.counts.lines += counts.lines;
    intake.counts.quiet += counts.quiet;
    if let Some(error) = failed {
        intake.lose(format!("{name} cannot be read to its end: {}; what came before was read", plain_error(&error)));
    }
    Ok(())
}

/// Searches the first bytes of a stream for the name of its cluster.
fn look(intake: &mut Intake<'_>, stream: u32, first: &[u8]) {
    intake.streams[stream as usize].hints.told = origin::told(first);
}

/// Where a stream stands.
struct Place {
    stream: u32,
    /// The last time that was printed: what follows without one belongs to it.
    at: Time,
}

impl Place {
    fn take(&mut self, intake: &mut Intake<'_>, framed: Framed) -> anyhow::Result<()> {
        let (at, seq, record) = match framed {
            Framed::Line(line) => (time_of(&line), line.seq, Record::Line(line)),
            Framed::Worked { seq, number, at, things } => (at, seq, worked(seq, number, at, things)),
        };
        self.at = at.unwrap_or(self.at);
        let wanted = intake.wanted;
        let is_before = wanted.since.is_some_and(|since| Time::MIN < self.at && self.at < since);
        let is_after = wanted.until.is_some_and(|until| until < self.at);
        if is_before || is_after {
            return Ok(());
        }
        intake.sorter.push(Key { at: self.at, stream: self.stream, seq }, &record)
    }
}

fn worked(seq: u64, number: u64, at: Option<Time>, things: Vec<Thing>) -> Record {
    Record::Worked { seq, number, at, things }
}

fn time_of(line: &Line) -> Option<Time> {
    meshwhy_parsers::parse(line).at
}
