//! Standard output and standard error, each written by a thread of its own: who does not read holds up what is watched,
//! but not its end.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::inputs::stop::Enough;

/// How long after an interrupt somebody may take to read what is still to be said.
const PATIENCE: Duration = Duration::from_millis(700);
/// How often it is looked whether there was an interrupt.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Bytes that are handed over without being flushed.
const WAITING_BYTES: usize = 64 << 10;

/// One of them. To flush it waits until everything is written; an interrupt gives up on a reader that does not read,
/// which is then told as one that is gone.
pub struct Sink {
    waiting: Vec<u8>,
    to: Sender<Vec<u8>>,
    written: Receiver<io::Result<()>>,
    enough: Enough,
}

impl Sink {
    /// Begins to write to standard output, until it is enough.
    pub fn stdout(enough: Enough) -> io::Result<Sink> {
        Sink::new(io::stdout().as_fd(), enough)
    }

    /// The same to standard error.
    pub fn stderr(enough: Enough) -> io::Result<Sink> {
        Sink::new(io::stderr().as_fd(), enough)
    }

    fn new(to: BorrowedFd<'_>, enough: Enough) -> io::Result<Sink> {
        // Apart from the standard library's own, whose lock a write that never ends would hold.
        let mut file = File::from(to.try_clone_to_owned()?);
        let (to, waiting) = mpsc::channel::<Vec<u8>>();
        let (done, written) = mpsc::channel();
        thread::spawn(move || {
            for bytes in waiting {
                if done.send(file.write_all(&bytes)).is_err() {
                    return;
                }
            }
        });
        Ok(Sink { waiting: Vec::new(), to, written, enough })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if WAITING_BYTES <= self.waiting.len() {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        if self.to.send(std::mem::take(&mut self.waiting)).is_err() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        loop {
            match self.written.recv_timeout(LOOK_PAUSE) {
                Ok(written) => return written,
                Err(RecvTimeoutError::Timeout) if !self.enough.is_for(PATIENCE) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
            }
        }
    }
}
