//! The wall clock, as one more source.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use meshwhy_parsers::event::Arrival;
use meshwhy_parsers::time::Time;
use tokio::time::{MissedTickBehavior, interval};

use super::source::Feed;

/// Between two ticks: what waits for its order, or for its settle time, waits so much longer at most.
const TICK: Duration = Duration::from_millis(50);

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
        if let Some(now) = now()
            && feed.arrive(Arrival::Clock(now)).await.is_err()
        {
            return;
        }
    }
}
