//! Standard input: heard line by line while it is still open, until its end or an interrupt; alone, or as one of the
//! sources of a watch.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use meshwhy_parsers::event::Arrival;
use meshwhy_parsers::origin::{self, Hints, Origin, SharedOrigin, UNNAMED};
use meshwhy_parsers::sniff::{self, Format};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::files::Found;
use super::follow::Followed;
use super::source::{Deaf, Feed, Lines, Read, Said, Status};
use super::{Contexts, InputLimits, Stream, origin_of, transcripts};

/// How long to wait before what is at hand is acted on.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long the first bytes may take to come, before they are acted on.
const MOMENT: Duration = Duration::from_secs(1);
/// Bytes read at once.
const BLOCK_BYTES: usize = 64 << 10;
/// Blocks that may wait to be heard.
const BLOCKS_MAX: usize = 4;

/// Standard input, being read by a thread of its own so that a pause can be noticed.
pub struct Stdin {
    blocks: Receiver<io::Result<Vec<u8>>>,
    stopped: Arc<AtomicBool>,
    /// What was read ahead.
    ahead: Vec<u8>,
    heard_at: Instant,
    failed: Option<io::Error>,
}

/// What standard input does.
pub enum Heard {
    /// It says something.
    Bytes(Vec<u8>),
    /// It has said nothing for so long.
    Pause(Duration),
    /// It is over, or the user has heard enough.
    End,
    /// It cannot be read any further.
    Failed(io::Error),
}

impl Stdin {
    /// Begins to listen. An interrupt then ends the input; a second one ends the program.
    pub fn open() -> io::Result<Stdin> {
        let stopped = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&stopped))?;
            signal_hook::flag::register(signal, Arc::clone(&stopped))?;
        }
        Ok(Stdin::heard(stopped))
    }

    /// Begins to listen where interrupts are heard elsewhere.
    pub fn beside() -> Stdin {
        Stdin::heard(Arc::default())
    }

    fn heard(stopped: Arc<AtomicBool>) -> Stdin {
        let (to, blocks) = mpsc::sync_channel(BLOCKS_MAX);
        thread::spawn(move || {
            let mut stdin = io::stdin().lock();
            loop {
                let mut block = vec![0; BLOCK_BYTES];
                let heard = match stdin.read(&mut block) {
                    Ok(length) => {
                        block.truncate(length);
                        Ok(block)
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let is_last = !matches!(&heard, Ok(block) if !block.is_empty());
                if to.send(heard).is_err() || is_last {
                    return;
                }
            }
        });
        Stdin { blocks, stopped, ahead: Vec::new(), heard_at: Instant::now(), failed: None }
    }

    /// Waits for the first bytes and, for a moment, for those behind them. Whether they are lines to be acted on as they
    /// come: an archive, a document, or a text with documents in it must be read whole.
    pub fn is_lines(&mut self, limits: &InputLimits) -> bool {
        let text_bytes_max = usize::try_from(limits.transcript_bytes_max).unwrap_or(usize::MAX);
        let is_whole = self.hear_ahead(sniff::HEAD_MAX);
        if !matches!(sniff::format(&self.ahead, "-"), Format::Log | Format::Empty) {
            return false;
        }
        // A saved text that is piped comes at once.
        let _ = is_whole || self.hear_ahead(text_bytes_max + 1);
        text_bytes_max < self.ahead.len() || !transcripts::holds_documents(&self.ahead)
    }

    /// Reads ahead until there are so many bytes, or no more come for now. Whether no more come.
    fn hear_ahead(&mut self, bytes_max: usize) -> bool {
        let mut since = None;
        while self.ahead.len() < bytes_max {
            match self.listen() {
                Heard::Bytes(bytes) => {
                    self.ahead.extend_from_slice(&bytes);
                    // Somebody may print without a pause, and wants to be told all the same.
                    if MOMENT < since.get_or_insert_with(Instant::now).elapsed() {
                        return true;
                    }
                }
                Heard::Pause(_) if self.ahead.is_empty() => {}
                Heard::Pause(_) | Heard::End => return true,
                Heard::Failed(error) => {
                    self.failed = Some(error);
                    return true;
                }
            }
        }
        false
    }

    /// The origin of its lines, as far as its first ones tell.
    pub fn origin(&self, cluster_names: &[(String, PathBuf)]) -> SharedOrigin {
        let hints = Hints { told: origin::told(&self.ahead), ..Found::stdin(cluster_names).hints() };
        let cluster = origin::clusters(std::slice::from_ref(&hints)).remove(0);
        Arc::new(origin_of(&Stream { name: "-".into(), hints, is_repeat: false }, &cluster))
    }

    /// What comes next.
    pub fn hear(&mut self) -> Heard {
        if !self.ahead.is_empty() {
            return Heard::Bytes(std::mem::take(&mut self.ahead));
        }
        match self.failed.take() {
            Some(error) => Heard::Failed(error),
            None => self.listen(),
        }
    }

    fn listen(&mut self) -> Heard {
        if self.stopped.load(Ordering::Relaxed) {
            return Heard::End;
        }
        match self.blocks.recv_timeout(PATIENCE) {
            Ok(Ok(bytes)) if bytes.is_empty() => Heard::End,
            Ok(Ok(bytes)) => {
                self.heard_at = Instant::now();
                Heard::Bytes(bytes)
            }
            Ok(Err(error)) => Heard::Failed(error),
            Err(RecvTimeoutError::Timeout) => Heard::Pause(self.heard_at.elapsed()),
            Err(RecvTimeoutError::Disconnected) => Heard::End,
        }
    }
}

impl io::Read for Stdin {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.ahead.is_empty() {
            match self.hear() {
                Heard::Bytes(bytes) => self.ahead = bytes,
                Heard::Pause(_) => {}
                Heard::End => return Ok(0),
                Heard::Failed(error) => return Err(error),
            }
        }
        let length = self.ahead.len().min(into.len());
        into[..length].copy_from_slice(&self.ahead[..length]);
        self.ahead.drain(..length);
        Ok(length)
    }
}

/// Hands over what standard input says, until it ends. Its cluster is the one that it was given or that it tells, or else
/// `only`. Runs on a thread of its own, within the runtime.
pub fn follow(mut stdin: Stdin, followed: &Followed, only: Option<&str>, feed: &Feed) -> Result<(), Deaf> {
    stdin.hear_ahead(sniff::HEAD_MAX);
    let mut origin = stdin.origin(&followed.cluster_names);
    if let Some(only) = only.filter(|_| *origin.cluster == *UNNAMED) {
        origin = Arc::new(Origin { cluster: only.into(), ..Origin::clone(&origin) });
    }
    match sniff::format(&stdin.ahead, "-") {
        Format::Log | Format::Empty | Format::Report => lines(&mut stdin, &origin, followed, feed),
        Format::Binary => lose("it is no text: not read", feed),
        Format::Gzip | Format::Zstd | Format::Zip | Format::OtherCompressed(..) => {
            lose("it is compressed: not followed\nhint: meshwhy replay -", feed)
        }
        _ => document(stdin, &origin, followed, feed),
    }
}

fn lines(stdin: &mut Stdin, origin: &SharedOrigin, followed: &Followed, feed: &Feed) -> Result<(), Deaf> {
    let mut contexts = Contexts::of(std::slice::from_ref(&origin.cluster));
    let mut lines = Lines::at(origin, followed.scan, 0);
    feed.say_blocking(Said::Arrival(Box::new(Arrival::Begin(Arc::clone(origin)))))?;
    let mut is_over = false;
    while !is_over {
        match stdin.hear() {
            Heard::Bytes(bytes) => lines.push(&bytes),
            Heard::Pause(_) => lines.pause(),
            Heard::End => is_over = true,
            Heard::Failed(error) => {
                lose(&format!("it cannot be read to its end: {error}"), feed)?;
                is_over = true;
            }
        }
        if is_over {
            lines.finish();
        }
        lines.say(feed, &mut contexts)?;
    }
    feed.say_blocking(Said::Arrival(Box::new(Arrival::End(Arc::clone(origin)))))
}

fn document(stdin: Stdin, origin: &SharedOrigin, followed: &Followed, feed: &Feed) -> Result<(), Deaf> {
    let mut bytes = Vec::new();
    if let Err(error) = stdin.take(followed.limits.document_bytes_max).read_to_end(&mut bytes) {
        return lose(&format!("it cannot be read to its end: {error}"), feed);
    }
    match feed.document_blocking(origin, &bytes, feed.clock.now())? {
        Read::Said(losses) => losses.iter().try_for_each(|loss| lose(loss, feed)),
        Read::Broken(error) => lose(&error, feed),
        Read::Unknown => lose("it is no document that is known: not read", feed),
    }
}

fn lose(what: &str, feed: &Feed) -> Result<(), Deaf> {
    feed.say_blocking(Said::Status(Status::Lost { what: format!("standard input: {what}") }))
}
