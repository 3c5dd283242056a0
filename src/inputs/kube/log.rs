//! One container's log, followed over disconnects and restarts: after each it is asked for from the last second on, and
//! the lines already seen are skipped. Where that second's lines are not all there again, something is lost, and is said.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncBufRead, AsyncBufReadExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff;
use kube::Api;
use kube::api::LogParams;
use meshwhy_parsers::event::Arrival;
use meshwhy_parsers::frame::Scan;
use meshwhy_parsers::origin::SharedOrigin;
use meshwhy_parsers::time::{Time, rfc3339};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use super::backoff::{Backoff, Rest};
use super::troubles::Troubles;
use super::{Since, plain};
use crate::inputs::source::{Deaf, Feed, Lines, Said, Status};

/// How long a log may pause before a record at its end is taken to be complete.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long a stream has to last to be in order.
const LASTING: Duration = Duration::from_secs(30);
const SECOND: i64 = 1_000_000_000;

/// How a container stands, as its pod says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Standing {
    /// How often it was restarted.
    pub restarts: i64,
    /// Its pod is no more.
    pub is_gone: bool,
}

/// A log to follow.
pub(super) struct Log {
    /// Whose lines they are.
    pub origin: SharedOrigin,
    /// The pods of its namespace.
    pub pods: Api<Pod>,
    /// Where to begin.
    pub since: Since,
    /// Whether lines that cannot matter are skipped unparsed.
    pub scan: Scan,
    /// Where to say it.
    pub feed: Feed,
    /// How its container stands.
    pub standing: watch::Receiver<Standing>,
    /// Who may connect at the moment.
    pub connecting: Arc<Semaphore>,
    /// How long the API server wants to be left alone.
    pub rest: Rest,
    /// Which logs of the cluster are broken off.
    pub troubles: Arc<Troubles>,
}

/// What a log said last, and its record in the making.
struct Reading {
    lines: Lines,
    /// Bytes handed to framers so far: places of records stay apart over restarts.
    offset: u64,
    /// Bytes of a line without its end.
    held: Vec<u8>,
    seen: Seen,
}

/// How following came to an end.
enum Ended {
    /// The API server says it is over.
    Over,
    /// It broke off, for this reason.
    Broken(String),
}

impl Log {
    /// Follows it until its pod is gone or nobody listens.
    pub async fn follow(mut self) -> Result<(), Deaf> {
        self.feed.arrive(Arrival::Begin(Arc::clone(&self.origin))).await?;
        let mut reading = Reading {
            lines: Lines::at(&self.origin, self.scan, 0),
            offset: 0,
            held: Vec::new(),
            seen: Seen::new(self.feed.limits.seen_max),
        };
        let mut backoff = Backoff::default();
        let mut known = *self.standing.borrow_and_update();
        while !known.is_gone {
            let begun = Instant::now();
            let ended = self.once(&mut reading, false).await?;
            reading.cut();
            let now = *self.standing.borrow_and_update();
            if now.restarts != known.restarts {
                self.previous(&mut reading, now.restarts - known.restarts).await?;
                known = now;
                backoff.reset();
                continue;
            }
            known = now;
            // A stream that lasted was in order, also where it had nothing to say.
            if reading.seen.is_fresh() || LASTING < begun.elapsed() {
                backoff.reset();
            }
            let pause = match ended {
                // A container that ended: its pod tells when another begins.
                Ended::Over => backoff.next(),
                Ended::Broken(why) => {
                    let title = self.title();
                    let sentence = || format!("the log of {title} broke off: {why}; it is asked for again");
                    self.troubles.begin(&title, &why, sentence).await?;
                    backoff.next_after(&self.rest)
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                _ = self.standing.changed() => {}
            }
        }
        self.troubles.forget(&self.title());
        reading.finish();
        self.hand_over(&mut reading).await?;
        self.feed.arrive(Arrival::End(Arc::clone(&self.origin))).await
    }

    fn title(&self) -> String {
        format!("{}/{}", self.origin.namespace, self.origin.pod)
    }

    /// Asks for the log once and takes what comes until it ends; of the container before where `previous`.
    async fn once(&mut self, reading: &mut Reading, previous: bool) -> Result<Ended, Deaf> {
        let mut params = LogParams {
            container: Some(self.origin.container.to_string()),
            follow: !previous,
            previous,
            timestamps: true,
            ..LogParams::default()
        };
        match reading.seen.second() {
            // To the second: the client rounds to the nearest one, and half a second of lines would be lost.
            Some(second) => params.since_time = jiff::Timestamp::from_second(second).ok(),
            None => match self.since {
                Since::Ago(ago) => params.since_seconds = Some(i64::try_from(ago.as_secs()).unwrap_or(i64::MAX).max(1)),
                Since::Lines(lines) => params.tail_lines = Some(i64::from(lines)),
            },
        }
        let permit = self.connecting.acquire().await;
        let stream = match self.pods.log_stream(&self.origin.pod, &params).await {
            Ok(stream) => stream,
            Err(error) => return Ok(Ended::Broken(plain(&error))),
        };
        drop(permit);
        self.troubles.end(&self.title()).await?;
        reading.seen.reconnected();
        self.take(reading, Box::pin(stream)).await
    }

    async fn take(&self, reading: &mut Reading, mut stream: impl AsyncBufRead + Unpin) -> Result<Ended, Deaf> {
        let mut is_flushed = true;
        loop {
            let bytes = match timeout(PATIENCE, stream.fill_buf()).await {
                Err(_) if is_flushed => match stream.fill_buf().await {
                    Ok(bytes) => bytes,
                    Err(error) => return Ok(Ended::Broken(plain(&error))),
                },
                Err(_) => {
                    reading.lines.pause();
                    is_flushed = true;
                    self.hand_over(reading).await?;
                    continue;
                }
                Ok(Ok(bytes)) => bytes,
                Ok(Err(error)) => return Ok(Ended::Broken(plain(&error))),
            };
            if bytes.is_empty() {
                reading.lines.pause();
                self.hand_over(reading).await?;
                return Ok(Ended::Over);
            }
            let length = bytes.len();
            let gap = reading.push(bytes, self.feed.limits.line_bytes_max);
            stream.consume_unpin(length);
            is_flushed = false;
            if let Some((from, to)) = gap {
                self.gap(from, to).await?;
            }
            self.hand_over(reading).await?;
        }
    }

    /// The rest of the container that ended, then begins anew with the next one.
    async fn previous(&mut self, reading: &mut Reading, restarts: i64) -> Result<(), Deaf> {
        let from = reading.seen.last;
        let ended = self.once(reading, true).await?;
        let is_whole = matches!(ended, Ended::Over) && restarts == 1;
        if let Some(from) = from.filter(|_| !is_whole) {
            self.gap(from, reading.seen.last.filter(|last| *last > from)).await?;
        }
        reading.finish();
        self.hand_over(reading).await?;
        reading.lines = Lines::at(&self.origin, self.scan, reading.offset);
        reading.seen.begin_anew();
        Ok(())
    }

    async fn gap(&self, from: Time, to: impl Into<Option<Time>>) -> Result<(), Deaf> {
        let to = to.into().map_or("now".to_string(), |to| to.to_string());
        let what = format!("lines of {} in {} between {from} and {to} may be lost", self.title(), self.origin.cluster);
        self.feed.say(Said::Status(Status::Lost { what })).await?;
        self.feed.arrive(Arrival::Gap(Arc::clone(&self.origin))).await
    }

    async fn hand_over(&self, reading: &mut Reading) -> Result<(), Deaf> {
        match reading.lines.said() {
            Some(said) => self.feed.say(said).await,
            None => Ok(()),
        }
    }
}

impl Reading {
    /// Takes bytes; says between which times lines may be missing.
    fn push(&mut self, bytes: &[u8], line_bytes_max: usize) -> Option<(Time, Time)> {
        let mut gap = None;
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            if self.held.is_empty() {
                gap = gap.or(self.line(line));
            } else {
                self.held.extend_from_slice(line);
                let line = std::mem::take(&mut self.held);
                gap = gap.or(self.line(&line));
            }
            rest = after;
        }
        self.held.extend_from_slice(rest);
        if line_bytes_max <= self.held.len() {
            let line = std::mem::take(&mut self.held);
            gap = gap.or(self.line(&line));
        }
        gap
    }

    fn line(&mut self, line: &[u8]) -> Option<(Time, Time)> {
        let at = rfc3339(&line[..line.len().min(40)]).map(|(at, _)| at);
        let gap = match self.seen.meet(at, line) {
            Met::Again => return None,
            Met::New => None,
            Met::Unproved { from, to } => Some((from, to)),
        };
        self.offset += line.len() as u64;
        self.lines.push(line);
        gap
    }

    fn finish(&mut self) {
        self.cut();
        self.lines.finish();
    }

    /// The stream broke off within a line: it comes again whole.
    fn cut(&mut self) {
        self.held.clear();
    }
}

/// The lines of the last second, by which a log that is asked for again is known.
struct Seen {
    max: usize,
    /// The newest time of a line.
    last: Option<Time>,
    /// How often each line of the last second was said.
    lines: BTreeMap<u64, u32>,
    /// Those that are still to come again after a reconnect.
    again: BTreeMap<u64, u32>,
    /// Whether a line of before has come again, or none need to.
    is_proved: bool,
    is_fresh: bool,
}

/// What a line is to one who has seen others.
#[derive(Debug, PartialEq, Eq)]
enum Met {
    /// Seen before.
    Again,
    /// New.
    New,
    /// New, though none of those seen before came again: between these times lines may be missing.
    Unproved { from: Time, to: Time },
}

impl Seen {
    fn new(max: usize) -> Seen {
        Seen { max, last: None, lines: BTreeMap::new(), again: BTreeMap::new(), is_proved: true, is_fresh: false }
    }

    /// The second from which on to ask again.
    fn second(&self) -> Option<i64> {
        self.last.map(|last| last.0.div_euclid(SECOND))
    }

    /// Whether a new line came since this was last asked.
    fn is_fresh(&mut self) -> bool {
        std::mem::take(&mut self.is_fresh)
    }

    fn reconnected(&mut self) {
        self.again = self.lines.clone();
        self.is_proved = self.lines.is_empty();
    }

    /// Another container's log begins.
    fn begin_anew(&mut self) {
        self.lines.clear();
        self.again.clear();
        self.is_proved = true;
    }

    fn meet(&mut self, at: Option<Time>, line: &[u8]) -> Met {
        let Some(at) = at else { return Met::New };
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(left) = self.again.get_mut(&hash) {
            *left -= 1;
            if *left == 0 {
                self.again.remove(&hash);
            }
            self.is_proved = true;
            return Met::Again;
        }
        let from = self.last;
        let second = |time: Time| time.0.div_euclid(SECOND);
        if self.last.is_none_or(|last| second(last) < second(at)) {
            self.lines.clear();
        }
        if self.last.is_none_or(|last| second(last) <= second(at)) && self.lines.len() < self.max {
            *self.lines.entry(hash).or_default() += 1;
        }
        self.last = self.last.max(Some(at));
        self.is_fresh = true;
        match from {
            Some(from) if !self.is_proved => {
                self.is_proved = true;
                Met::Unproved { from, to: at }
            }
            _ => Met::New,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meet(seen: &mut Seen, line: &str) -> Met {
        seen.meet(rfc3339(line.as_bytes()).map(|(at, _)| at), line.as_bytes())
    }

    #[test]
    fn lines_of_the_last_second_are_skipped_when_they_come_again_as_often_as_they_came() {
        let mut seen = Seen::new(10);
        let lines = ["2026-03-01T10:00:01.1Z a", "2026-03-01T10:00:02.1Z b", "2026-03-01T10:00:02.1Z b"];
        for line in lines {
            assert_eq!(meet(&mut seen, line), Met::New);
        }
        assert_eq!(seen.second(), rfc3339(b"2026-03-01T10:00:02Z").map(|(at, _)| at.0 / SECOND));
        seen.reconnected();
        assert_eq!(meet(&mut seen, lines[1]), Met::Again);
        assert_eq!(meet(&mut seen, lines[2]), Met::Again);
        assert_eq!(meet(&mut seen, lines[1]), Met::New, "a third one is a new one");
    }

    #[test]
    fn a_log_that_does_not_begin_with_what_was_seen_has_lost_lines() {
        let mut seen = Seen::new(10);
        meet(&mut seen, "2026-03-01T10:00:02.1Z b");
        seen.reconnected();
        let met = meet(&mut seen, "2026-03-01T10:00:09.5Z later");
        assert!(matches!(met, Met::Unproved { from, to } if from < to), "{met:?}");
        assert_eq!(meet(&mut seen, "2026-03-01T10:00:09.6Z next"), Met::New, "said once");
    }

    #[test]
    fn another_containers_log_need_not_repeat_anything() {
        let mut seen = Seen::new(10);
        meet(&mut seen, "2026-03-01T10:00:02.1Z b");
        seen.begin_anew();
        seen.reconnected();
        assert_eq!(meet(&mut seen, "2026-03-01T10:00:09.5Z starting"), Met::New);
    }
}
