//! A line into an event: the header first, then the signatures of what printed it. Never fails.

use crate::event::{Event, Fact, Level, Line, Opaque, TEXT_MAX};
use crate::signature::Signature;

/// Reads a line. A line no signature knows is `Fact::Opaque` and keeps its own time.
pub fn parse(line: &Line) -> Event {
    let at = crate::time::rfc3339(line.text.as_bytes()).map(|(at, _)| at).or(line.outer_at);
    Event {
        at,
        origin: line.origin.clone(),
        seq: line.seq,
        number: line.number,
        level: Level::Info,
        text: cap(&line.text),
        signature: None,
        fact: Fact::Opaque(Opaque { template: cap(&line.text), format_known: false }),
    }
}

/// Every signature, for `explain` and for the tests over all of them.
pub fn signatures() -> impl Iterator<Item = &'static Signature> {
    std::iter::empty()
}

/// The text kept with an event: at most [`TEXT_MAX`] bytes, cut at a character.
pub(crate) fn cap(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(TEXT_MAX)].into()
}
