//! How long to wait before the next try: longer each time, and never the same for all, so that a server that comes back
//! is not met by everyone at once.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, StatusCode};
use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// The pauses between tries.
#[derive(Debug, Default)]
pub(in crate::inputs) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// It worked.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// Whether it has failed since it last worked.
    pub fn is_failing(&self) -> bool {
        self.tries > 0
    }

    /// The next pause: between half and all of a time that doubles.
    pub fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.tries.min(6)).min(LONGEST);
        self.tries += 1;
        whole / 2 + part_of(whole / 2)
    }

    /// The next pause, which ends no earlier than the server asked for.
    pub fn next_after(&mut self, rest: &Rest) -> Duration {
        let own = self.next();
        match rest.left() {
            Duration::ZERO => own,
            // Not all at the moment it named.
            left => own.max(left + part_of(own)),
        }
    }
}

/// A random part of a time.
fn part_of(whole: Duration) -> Duration {
    // The seed of a hasher is the only randomness this needs.
    let share = (RandomState::new().hash_one(0) % 1_000) as u32;
    whole * share / 1_000
}

/// How long an API server asked to be left alone by those whom it refused (`Retry-After` of a 429 or 503).
#[derive(Clone, Debug)]
pub(in crate::inputs) struct Rest {
    until: Arc<Mutex<Option<Instant>>>,
    max: Duration,
}

impl Rest {
    /// It did not ask yet; it may ask for so much at most.
    pub fn new(max: Duration) -> Rest {
        Rest { until: Arc::default(), max }
    }

    /// Hears an answer.
    pub fn note(&self, status: StatusCode, headers: &HeaderMap) {
        if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return;
        }
        let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
        let Some(seconds) = seconds else { return };
        let until = Instant::now() + Duration::from_secs(seconds).min(self.max);
        let mut known = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *known = (*known).max(Some(until));
    }

    /// What is left of it.
    pub fn left(&self) -> Duration {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let first = backoff.next();
        assert!(FIRST / 2 <= first && first <= FIRST, "{first:?}");
        let late = (0..20).map(|_| backoff.next()).last().expect("twenty pauses");
        assert!(LONGEST / 2 <= late && late <= LONGEST, "{late:?}");
        assert!(backoff.is_failing());
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }

    #[test]
    fn a_server_is_left_alone_for_as_long_as_it_asks_up_to_a_limit() {
        let (mut backoff, rest) = (Backoff::default(), Rest::new(Duration::from_secs(60)));
        let asks = |seconds: &'static str| HeaderMap::from_iter([(RETRY_AFTER, seconds.parse().expect("a number"))]);
        rest.note(StatusCode::OK, &asks("30"));
        assert!(backoff.next_after(&rest) <= FIRST, "an answer asks for nothing");
        rest.note(StatusCode::TOO_MANY_REQUESTS, &asks("30"));
        let pause = backoff.next_after(&rest);
        assert!(Duration::from_secs(25) <= pause && pause <= Duration::from_secs(31), "{pause:?}");
        rest.note(StatusCode::SERVICE_UNAVAILABLE, &asks("86400"));
        assert!(rest.left() <= Duration::from_secs(60), "a day is too long");
    }
}
