//! Saved sessions and issue texts: the documents inside a text, each with its command, and the lines around them.

use std::collections::BTreeSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash};
use std::io::{self, Read, Seek};
use std::sync::Arc;

use meshwhy_parsers::document::{self, Document};
use meshwhy_parsers::transcript::{self, Embedded};

use super::documents::{Said, Standing};
use super::files::{self, Found};
use super::{Intake, logs};

/// Reads a text from a stream. One that is too long, or holds no document, is a log.
pub(super) fn read(intake: &mut Intake<'_>, found: Found, bytes: &mut dyn Read) -> anyhow::Result<()> {
    let mut begin = Vec::new();
    let failed = bytes.take(intake.wanted.limits.transcript_bytes_max + 1).read_to_end(&mut begin).err();
    if failed.is_none() && take(intake, &found, &begin)? {
        return Ok(());
    }
    let rest: Box<dyn Read> = match failed {
        Some(error) => Box::new(files::Broken(Some(error))),
        None => Box::new(bytes),
    };
    logs::read(intake, found, &mut io::Cursor::new(begin).chain(rest))
}

/// Reads a text from a file, as far as it goes now.
pub(super) fn read_file(intake: &mut Intake<'_>, found: Found, mut file: File, length: u64) -> anyhow::Result<()> {
    if length <= intake.wanted.limits.transcript_bytes_max {
        let mut whole = Vec::new();
        let is_whole = (&file).take(length).read_to_end(&mut whole).is_ok();
        if is_whole && take(intake, &found, &whole)? {
            return Ok(());
        }
        file.rewind()?;
    }
    logs::read_file(intake, found, file, length)
}

/// Takes a text in which somebody knows a document; gives back whether it is one.
pub(super) fn take(intake: &mut Intake<'_>, found: &Found, whole: &[u8]) -> anyhow::Result<bool> {
    if intake.wanted.limits.transcript_bytes_max < whole.len() as u64 {
        return Ok(false);
    }
    let text = String::from_utf8_lossy(whole);
    let mut known: Vec<(Embedded<'_>, Document)> = Vec::new();
    let mut broken = Vec::new();
    for (one, read) in documents(&text, &found.path) {
        match read {
            Ok(document) => known.push((one, document)),
            // Its lines may still say something.
            Err(error) => broken.push(format!("{}, line {}: {error}", found.name, one.line)),
        }
    }
    if known.is_empty() {
        return Ok(false);
    }
    broken.into_iter().for_each(|loss| intake.lose(loss));
    let stream = intake.begin(found)?;
    // A copy has the same documents, too.
    let mut hasher = DefaultHasher::new();
    whole.hash(&mut hasher);
    let claimed: Vec<&Embedded<'_>> = known.iter().map(|(one, _)| one).collect();
    let rest = transcript::without(&text, &claimed);
    logs::read_begun(intake, stream, found, hasher, &mut rest.as_bytes())?;
    if intake.streams[stream as usize].is_repeat {
        return Ok(true);
    }
    // Where only one cluster is told, all that has no other is of that one.
    let told: BTreeSet<&str> = known.iter().filter_map(|(_, document)| own_cluster(document)).collect();
    let is_one = told.len() == 1;
    if let Some(told) = told.first().filter(|_| is_one) {
        intake.streams[stream as usize].hints.told.get_or_insert_with(|| (*told).into());
    }
    for (one, document) in known {
        for loss in &document.losses {
            intake.lose(format!("{}, line {}: {loss}", found.name, one.line));
        }
        let standing = Arc::new(Standing {
            line: one.line as u64,
            seq: one.range.start as u64,
            command: one.command.into(),
            cluster: own_cluster(&document).filter(|_| !is_one).map(Into::into),
        });
        let taken = document.taken;
        let said = |(at, fact)| Said { stream, at, taken, fact, standing: Some(Arc::clone(&standing)) };
        intake.documents.extend(document.facts.into_iter().map(said));
        intake.counts.documents += 1;
    }
    Ok(true)
}

/// Whether a text holds a document that somebody knows.
pub(super) fn holds_documents(text: &[u8]) -> bool {
    documents(&String::from_utf8_lossy(text), "-").iter().any(|(_, read)| read.is_ok())
}

/// The documents of a text that somebody knows, and what they say.
fn documents<'t>(text: &'t str, path: &str) -> Vec<(Embedded<'t>, Result<Document, String>)> {
    let known = |one: Embedded<'t>| Some((document::read(one.text.as_bytes(), one.found(path))?, one));
    transcript::documents(text).into_iter().filter_map(known).map(|(read, one)| (one, read)).collect()
}

/// The cluster a document says it is of.
fn own_cluster(document: &Document) -> Option<&str> {
    Some(&*document.cluster).filter(|cluster| !cluster.is_empty())
}
