//! The wall clock, as one more source.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use meshwhy_parsers::event::Arrival;
use meshwhy_parsers::time::Time;
use tokio::time::{MissedTickBehavior, interval};

use super::source::Feed;

/// Between two ticks: what waits for its order, or for its settle time, waits so much longer at most.
const TICK: Duration = Duration::from_millis(50);

/// A clock that may be another time's: what was recorded is watched as if it were then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// Nanoseconds by which it is ahead of the system's.
    ahead: i64,
}

impl Clock {
    /// One on which it is this time now.
    pub fn at(time: Time) -> Clock {
        Clock { ahead: now().map_or(0, |now| time.0.saturating_sub(now.0)) }
    }

    /// What time it is on it; `None` where the system's clock tells none.
    pub fn now(&self) -> Option<Time> {
        now().map(|now| Time(now.0.saturating_add(self.ahead)))
    }
}

/// What time it is; `None` where the clock stands before 1970 or after 2262.
pub fn now() -> Option<Time> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok().map(Time)
}

/// Tells the time until nobody listens.
pub async fn tick(feed: Feed) {
    let mut ticks = interval(TICK);
    // Who is behind needs no ticks of the past.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(now) = feed.clock.now()
            && feed.arrive(Arrival::Clock(now)).await.is_err()
        {
            return;
        }
    }
}
