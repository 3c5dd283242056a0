//! State documents: recognised by how they begin, read from the stream, held until their cluster is known.

use std::io::{self, Read};

use meshwhy_parsers::dump;
use meshwhy_parsers::state::State;

use super::{Intake, Member};

/// Bytes at the start of a stream that tell whether it is a document.
pub(super) const LOOK_BYTES: usize = 8 << 10;

/// A document's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// ztunnel's `/config_dump`.
    Ztunnel,
    /// Envoy's `/config_dump`, of which no cause asks anything.
    Envoy,
    /// The kubeconfig context of a bug report.
    ClusterContext,
}

/// Recognises a document; `None` for a log or a saved session.
pub(super) fn recognise(path: &str, first: &[u8]) -> Option<Kind> {
    if path.ends_with("cluster/cluster-context") {
        return Some(Kind::ClusterContext);
    }
    let key = first_key(first)?;
    const ZTUNNEL: [&[u8]; 9] = [
        b"certificates",
        b"config",
        b"policies",
        b"services",
        b"stagedServices",
        b"staticConfig",
        b"version",
        b"workloadState",
        b"workloads",
    ];
    if key == b"configs" {
        return Some(Kind::Envoy);
    }
    // A log line in JSON ends on its first line; a dump in one line is longer than any line's first field is.
    let line = &first[..memchr::memchr(b'\n', first).unwrap_or(first.len())];
    let is_line = line.trim_ascii_end().ends_with(b"}") && line.len() < first.len();
    (ZTUNNEL.contains(&key) && !is_line).then_some(Kind::Ztunnel)
}

/// The first key of a JSON object that opens here with an object, an array or an object's first field behind it.
fn first_key(first: &[u8]) -> Option<&[u8]> {
    let rest = first.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"")?;
    let key = &rest[..memchr::memchr(b'"', rest)?];
    let value = rest[key.len() + 1..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    (value.starts_with(b"{") || value.starts_with(b"[")).then_some(key)
}

/// Reads a document. One that cannot be read, or that nobody asks, is a loss.
pub(super) fn read(intake: &mut Intake<'_>, member: Member, kind: Kind, bytes: &mut dyn Read) -> anyhow::Result<()> {
    let name = member.name.clone();
    match kind {
        Kind::Envoy => intake.lose(format!("{name} is Envoy's configuration, which is not read yet")),
        Kind::ClusterContext => {
            let mut text = Vec::new();
            bytes.take(LOOK_BYTES as u64).read_to_end(&mut text)?;
            let text = String::from_utf8_lossy(&text);
            let context = text.lines().next().map(str::trim).filter(|context| !context.is_empty());
            let context = context.map(Into::into);
            let stream = intake.begin(member)?;
            intake.streams[stream as usize].hints.context = context;
        }
        Kind::Ztunnel => match dump::ztunnel(io::BufReader::new(bytes)) {
            Ok(dump) => {
                let stream = intake.begin(member)?;
                intake.streams[stream as usize].hints.told = (!dump.cluster.is_empty()).then(|| dump.cluster.clone());
                intake.documents.push((stream, State::Ztunnel(dump)));
                intake.counts.documents += 1;
            }
            Err(error) => intake.lose(format!("{name} looks like ztunnel's configuration but cannot be read: {error}")),
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_recognised_by_how_it_begins() {
        let cases: [(&str, Option<Kind>); 7] = [
            ("{\n  \"certificates\": [\n    {\n", Some(Kind::Ztunnel)),
            ("{\"certificates\":[{\"identity\":", Some(Kind::Ztunnel)),
            ("{\"config\": {", Some(Kind::Ztunnel)),
            ("{\"configs\":[{\"@type\":", Some(Kind::Envoy)),
            ("{\"config\":{}}\n{\"config\":{}}\n", None),
            ("{\"level\":\"info\",\"msg\":\"config\"}\n", None),
            ("2026-01-01T00:00:00Z info config", None),
        ];
        for (text, kind) in cases {
            assert_eq!(recognise("x", text.as_bytes()), kind, "{text}");
        }
    }
}
