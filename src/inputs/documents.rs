//! State documents: read whole, recognised by what they hold, held until their cluster is known.

use std::io::{self, Read};
use std::sync::Arc;

use meshwhy_parsers::document::{self, Document};
use meshwhy_parsers::event::Fact;
use meshwhy_parsers::time::Time;
use meshwhy_parsers::transcript;

use super::files::{self, Found};
use super::{Intake, logs, transcripts};

/// What a document said, with the stream it was read from.
pub(super) struct Said {
    /// Ordinal of the stream.
    pub stream: u32,
    /// When it happened: only what has a time of its own.
    pub at: Option<Time>,
    /// The newest time that stands in its document.
    pub taken: Option<Time>,
    /// What it says.
    pub fact: Fact,
    /// Where its document stands, where that is within a text.
    pub standing: Option<Arc<Standing>>,
}

/// Where a document stands within a text.
pub(super) struct Standing {
    /// Its first line, counted from 1.
    pub line: u64,
    /// Its first byte.
    pub seq: u64,
    /// The command above it; empty where none is known.
    pub command: Box<str>,
    /// The cluster it says it is of, where others in the text say otherwise.
    pub cluster: Option<Box<str>>,
}

/// Reads a document; what turns out to be none is read as a log.
pub(super) fn read(intake: &mut Intake<'_>, found: Found, bytes: &mut dyn Read) -> anyhow::Result<()> {
    let bytes_max = intake.wanted.limits.document_bytes_max;
    let mut whole = Vec::new();
    let failed = bytes.take(bytes_max).read_to_end(&mut whole).err();
    // A session may begin with the first answer.
    if failed.is_none() && transcript::has_commands(&whole) && transcripts::take(intake, &found, &whole)? {
        return Ok(());
    }
    let read = document::read(&whole, document::Found { path: &found.path, command: "" });
    if read.is_some() {
        if let Some(error) = &failed {
            intake.lose(format!("{} cannot be read to its end: {error}; what came before was read", found.name));
        }
        if bytes_max <= whole.len() as u64 {
            intake.lose(format!("{} is a document of more than {bytes_max} bytes: the rest was not read", found.name));
        }
    }
    match read {
        Some(Ok(document)) => return take(intake, &found, document),
        Some(Err(error)) => {
            intake.lose(format!("{}: {error}", found.name));
            return Ok(());
        }
        None => {}
    }
    let rest: Box<dyn Read> = match failed {
        Some(error) => Box::new(files::Broken(Some(error))),
        None => Box::new(bytes),
    };
    logs::read(intake, found, &mut io::Cursor::new(whole).chain(rest))
}

/// Reads a report: whole for what its lines say together, then line by line for their words.
pub(super) fn report(intake: &mut Intake<'_>, found: Found, bytes: &mut dyn Read) -> anyhow::Result<()> {
    let mut whole = Vec::new();
    let failed = bytes.take(intake.wanted.limits.document_bytes_max).read_to_end(&mut whole).err();
    if let Some(Ok(document)) = document::read(&whole, document::Found { path: &found.path, command: "" }) {
        take(intake, &found, document)?;
    }
    let rest: Box<dyn Read> = match failed {
        Some(error) => Box::new(files::Broken(Some(error))),
        None => Box::new(bytes),
    };
    logs::read(intake, found, &mut io::Cursor::new(whole).chain(rest))
}

/// Takes what a document said.
fn take(intake: &mut Intake<'_>, found: &Found, document: Document) -> anyhow::Result<()> {
    for loss in document.losses {
        intake.lose(format!("{}: {loss}", found.name));
    }
    let stream = intake.begin(found)?;
    intake.streams[stream as usize].hints.told = (!document.cluster.is_empty()).then_some(document.cluster);
    let taken = document.taken;
    intake.documents.extend(document.facts.into_iter().map(|(at, fact)| Said {
        stream,
        at,
        taken,
        fact,
        standing: None,
    }));
    intake.counts.documents += 1;
    Ok(())
}

/// Whether this is the file of a bug report that names the kubeconfig context it was taken with.
pub(super) fn is_cluster_context(found: &Found) -> bool {
    found.path.ends_with("cluster/cluster-context")
}

/// Reads that file: `<context>` NL `<URL of the API server>` NL.
pub(super) fn cluster_context(intake: &mut Intake<'_>, found: Found, bytes: &mut dyn Read) -> anyhow::Result<()> {
    let (head, _) = files::head(bytes);
    let text = String::from_utf8_lossy(&head);
    let context = text.lines().next().map(str::trim).filter(|context| !context.is_empty());
    let stream = intake.begin(&found)?;
    intake.streams[stream as usize].hints.context = context.map(Into::into);
    Ok(())
}
