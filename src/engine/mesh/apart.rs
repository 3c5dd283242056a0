//! What a proxy holds against what istiod would push to it: what either has and the other has not, and since when.
//!
//! Both are only looked at now and then, and a push may be on its way, so that one look at each tells nothing. A
//! difference counts from the first view of istiod's that shows it; one that does not show it any more ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::event::Event;
use meshwhy_parsers::time::Time;

/// How long what a proxy said is held against what istiod pushes.
pub(super) const FRESH: Duration = Duration::from_secs(300);

/// What differs, as it was seen last.
pub(super) struct Apart<K> {
    /// Held, and not pushed any more since then.
    kept: BTreeMap<K, Time>,
    /// Pushed since then, and not held.
    lacking: BTreeMap<K, Time>,
    seen: Option<Seen>,
}

/// The two views that were compared last, and when they were taken.
struct Seen {
    held: (Arc<Event>, Time),
    pushed: (Arc<Event>, Time),
}

/// What differs for so long that no push is on its way.
pub struct Lasting<'m, K> {
    /// What the proxy says that it holds.
    pub held: &'m Arc<Event>,
    /// What istiod would push, as it said after that.
    pub pushed: &'m Arc<Event>,
    /// Held, and not pushed any more since then.
    pub kept: Vec<(&'m K, Time)>,
    /// Pushed since then, and not held.
    pub lacking: Vec<(&'m K, Time)>,
}

impl<K> Default for Apart<K> {
    fn default() -> Apart<K> {
        Apart { kept: BTreeMap::new(), lacking: BTreeMap::new(), seen: None }
    }
}

impl<K: Ord> Apart<K> {
    /// Compares two views; those without a time cannot be.
    pub fn see(&mut self, held: (&Arc<Event>, BTreeSet<K>), pushed: (&Arc<Event>, BTreeSet<K>)) {
        let ((held_by, held), (pushed_by, pushed)) = (held, pushed);
        let (Some(held_at), Some(pushed_at)) = (held_by.at, pushed_by.at) else { return };
        let (both, held_only): (Vec<K>, Vec<K>) = held.into_iter().partition(|key| pushed.contains(key));
        let both: BTreeSet<K> = both.into_iter().collect();
        let pushed_only = pushed.into_iter().filter(|key| !both.contains(key));
        let since = |known: &BTreeMap<K, Time>, key: K| {
            let since = known.get(&key).copied().unwrap_or(pushed_at);
            (key, since)
        };
        self.kept = held_only.into_iter().map(|key| since(&self.kept, key)).collect();
        self.lacking = pushed_only.map(|key| since(&self.lacking, key)).collect();
        let (held, pushed) = ((Arc::clone(held_by), held_at), (Arc::clone(pushed_by), pushed_at));
        self.seen = Some(Seen { held, pushed });
    }

    /// Whether what the proxy said was still new at this time.
    pub fn is_fresh(&self, now: Time) -> bool {
        self.seen.as_ref().is_some_and(|seen| now.since(seen.held.1) < FRESH)
    }

    /// What had differed for so long when the proxy was asked, and did so still when istiod said it again afterwards.
    pub fn lasting(&self, settle: Duration) -> Option<Lasting<'_, K>> {
        let Seen { held: (held, held_at), pushed: (pushed, pushed_at) } = self.seen.as_ref()?;
        if pushed_at < held_at || !self.is_fresh(*pushed_at) {
            return None;
        }
        let (kept, lacking) = (before(&self.kept, *held_at, settle), before(&self.lacking, *held_at, settle));
        Some(Lasting { held, pushed, kept, lacking })
    }
}

/// What began so long before.
fn before<K>(all: &BTreeMap<K, Time>, end: Time, settle: Duration) -> Vec<(&K, Time)> {
    all.iter().filter(|(_, since)| since.plus(settle) <= end).map(|(key, since)| (key, *since)).collect()
}
