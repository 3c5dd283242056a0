//! How long to wait before the next try: longer each time, and never the same for all, so that a server that comes back
//! is not met by everyone at once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

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
        // The seed of a hasher is the only randomness this needs.
        let share = (RandomState::new().hash_one(self.tries) % 1_000) as u32;
        whole / 2 + whole / 2 * share / 1_000
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
}
