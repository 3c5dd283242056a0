//! A line into an event: the header first, then the signatures of what printed it. Never fails.

use crate::event::{Event, Fact, Level, Line, Opaque, TEXT_MAX};
use crate::header::{self, Form};
use crate::signature::{Said, Signature};

use crate::time::{self, Time};
use crate::{access, agent, cni, envoy, hand, istiod, kube, table, ztunnel};

/// Reads a line. A line no signature knows is `Fact::Opaque` and keeps its own time.
pub fn parse(line: &Line) -> Event {
    let event = |at, level, signature, fact: Fact| Event {
        at,
        origin: line.origin.clone(),
        seq: line.seq,
        number: line.number,
        level,
        text: cap(&line.text),
        signature,
        fact: hand::of_call(fact, line.command.as_deref()),
    };
    if let Some(fact) = table::row(line).or_else(|| hand::answer(line)) {
        return event(line.outer_at, Level::Info, Some("table-row"), fact);
    }
    if let Some((at, request)) = access::read(&line.text) {
        return event(at.or(line.outer_at), Level::Info, Some("envoy-access"), Fact::Request(Box::new(request)));
    }
    let (said, form) = header::read(&line.text, line.outer_at);
    if let Some(connection) = ztunnel::connection(&said) {
        return event(said.at, said.level, Some("ztunnel-access"), Fact::Connection(Box::new(connection)));
    }
    for signature in tables(&said, form) {
        if let Ok((_, fact)) = (signature.read)(&said) {
            return event(said.at, said.level, Some(signature.name), fact);
        }
    }
    let format_known = form != Form::Bare;
    event(said.at, said.level, None, Fact::Opaque(Opaque { template: template(&said.message), format_known }))
}

/// The time of the event that [`parse`] reads from a line, without reading more of it than that takes.
pub fn time_of(line: &Line) -> Option<Time> {
    let is_plain = line.header.is_none() && line.command.is_none();
    match time::rfc3339(line.text.as_bytes()) {
        // The console form of istiod, the agent, Envoy and ztunnel: no other reader takes such a line.
        Some((at, used)) if is_plain && line.text.as_bytes().get(used) == Some(&b'\t') => Some(at),
        _ => parse(line).at,
    }
}

/// The signatures that can know a line, nearest first. Messages move between scopes, so every table is asked in the end.
fn tables(said: &Said<'_>, form: Form) -> impl Iterator<Item = &'static Signature> {
    let (first, then): (&[Signature], [&[Signature]; 6]) = match &*said.scope {
        scope if scope.starts_with("envoy ") => (
            envoy::SIGNATURES,
            [
                agent::SIGNATURES,
                istiod::SIGNATURES,
                ztunnel::SIGNATURES,
                cni::SIGNATURES,
                kube::SIGNATURES,
                hand::SIGNATURES,
            ],
        ),
        scope if scope.contains("::") => (
            ztunnel::SIGNATURES,
            [
                istiod::SIGNATURES,
                agent::SIGNATURES,
                envoy::SIGNATURES,
                cni::SIGNATURES,
                kube::SIGNATURES,
                hand::SIGNATURES,
            ],
        ),
        _ if form == Form::Bare => (
            kube::SIGNATURES,
            [
                hand::SIGNATURES,
                istiod::SIGNATURES,
                agent::SIGNATURES,
                envoy::SIGNATURES,
                ztunnel::SIGNATURES,
                cni::SIGNATURES,
            ],
        ),
        _ => (
            istiod::SIGNATURES,
            [
                agent::SIGNATURES,
                ztunnel::SIGNATURES,
                envoy::SIGNATURES,
                cni::SIGNATURES,
                kube::SIGNATURES,
                hand::SIGNATURES,
            ],
        ),
    };
    first.iter().chain(then.into_iter().flatten())
}

/// Every signature, for `explain` and for the tests over all of them.
pub fn signatures() -> impl Iterator<Item = &'static Signature> {
    [
        istiod::SIGNATURES,
        agent::SIGNATURES,
        ztunnel::SIGNATURES,
        envoy::SIGNATURES,
        cni::SIGNATURES,
        kube::SIGNATURES,
        hand::SIGNATURES,
    ]
    .into_iter()
    .flatten()
}

/// The text kept with an event: at most [`TEXT_MAX`] bytes, cut at a character.
pub(crate) fn cap(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(TEXT_MAX)].into()
}

/// How many characters of an unknown message make its template.
const TEMPLATE_MAX: usize = 160;

/// A message with what varies replaced: words that hold a digit become `#`, quoted values `"…"`.
pub(crate) fn template(message: &str) -> Box<str> {
    let mut folded = String::new();
    let first = message.lines().next().unwrap_or("");
    let mut rest = &first[..first.floor_char_boundary(1_024)];
    while !rest.is_empty() && folded.len() < TEMPLATE_MAX {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').map_or(quoted.len(), |end| end + 1);
            folded.push_str("\"…\"");
            rest = &quoted[end..];
            continue;
        }
        let end = rest.find([' ', '"']).unwrap_or(rest.len()).max(1);
        let end = rest.ceil_char_boundary(end);
        let word = &rest[..end];
        folded.push_str(if word.bytes().any(|c| c.is_ascii_digit()) { "#" } else { word });
        rest = &rest[end..];
    }
    folded.trim().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Origin;

    #[test]
    fn the_time_alone_is_that_of_the_event() {
        for example in signatures().flat_map(|signature| signature.examples) {
            let line = Line { outer_at: Some(Time::from_unix(1)), ..Line::alone(Origin::default(), example) };
            assert_eq!(time_of(&line), parse(&line).at, "{example}");
        }
    }

    #[test]
    fn every_example_is_read_by_its_own_signature_and_no_earlier_one() {
        for signature in signatures() {
            assert!(!signature.examples.is_empty(), "{} has no example", signature.name);
            for example in signature.examples {
                let event = parse(&Line::alone(Origin::default(), example));
                assert_eq!(event.signature, Some(signature.name), "{example}");
            }
        }
    }

    #[test]
    fn cut_and_mutated_examples_are_read_without_panic() {
        for example in signatures().flat_map(|signature| signature.examples) {
            for at in 0..example.len() {
                let cut = &example[..example.floor_char_boundary(at)];
                let mut bytes = example.as_bytes().to_vec();
                bytes[at] = [b'"', b':', b' ', 0xc3][at % 4];
                for text in [cut, &String::from_utf8_lossy(&bytes)] {
                    let event = parse(&Line::alone(Origin::default(), text));
                    assert_eq!(&*event.text, text, "a line is kept as it stands");
                }
            }
        }
    }

    #[test]
    fn what_varies_is_folded() {
        assert_eq!(&*template("lost 14 calls to 10.0.0.1:80 of \"web\" in zone-1"), "lost # calls to # of \"…\" in #");
    }
}
