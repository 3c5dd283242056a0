//! What does not work, said once for all that suffer from the same, and its end said when the last of them works again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::inputs::source::{Deaf, Feed};

/// What does not work in one cluster, of one sort: logs, watches, pods that are asked.
pub(super) struct Troubles {
    cluster: String,
    feed: Feed,
    /// What is said of those that work again: `logs followed again`.
    again: &'static str,
    reasons: Mutex<BTreeMap<String, Reason>>,
}

/// Who suffers from one reason.
#[derive(Default)]
struct Reason {
    /// The one that was named.
    first: String,
    /// How many suffered since it was named.
    all: usize,
    now: BTreeSet<String>,
}

impl Troubles {
    /// All works.
    pub fn new(cluster: &str, feed: &Feed, again: &'static str) -> Troubles {
        Troubles { cluster: cluster.to_string(), feed: feed.clone(), again, reasons: Mutex::default() }
    }

    /// Something does not work for this reason: `sentence` is said where it is the first.
    pub async fn begin(&self, what: &str, why: &str, sentence: impl FnOnce() -> String) -> Result<(), Deaf> {
        let is_first = {
            let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
            if reasons.get(why).is_some_and(|reason| reason.now.contains(what)) {
                return Ok(());
            }
            // What fails for another reason now does not work any better.
            reasons.retain(|_, reason| !(reason.now.remove(what) && reason.now.is_empty()));
            let reason = reasons.entry(why.to_string()).or_default();
            reason.now.insert(what.to_string());
            reason.all += 1;
            if reason.all == 1 {
                reason.first = what.to_string();
            }
            reason.all == 1
        };
        if is_first { self.feed.trouble(&self.cluster, sentence()).await } else { Ok(()) }
    }

    /// Something is gone, and works no more than it fails.
    pub fn forget(&self, what: &str) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.retain(|_, reason| !(reason.now.remove(what) && reason.now.is_empty()));
    }

    /// Something works: said where it was the last that did not.
    pub async fn end(&self, what: &str) -> Result<(), Deaf> {
        let ended = {
            let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
            let why = reasons.iter().find(|(_, reason)| reason.now.contains(what)).map(|(why, _)| why.clone());
            let Some(why) = why else { return Ok(()) };
            let is_over = reasons.get_mut(&why).is_some_and(|reason| reason.now.remove(what) && reason.now.is_empty());
            if is_over { reasons.remove(&why) } else { None }
        };
        let Some(Reason { first, all, .. }) = ended else { return Ok(()) };
        let others = if all == 1 { String::new() } else { format!(" and {} more", all - 1) };
        self.feed.trouble(&self.cluster, format!("{}: {first}{others}", self.again)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::source::{LiveLimits, Said, Status};

    #[tokio::test]
    async fn a_trouble_of_many_is_said_once_and_its_end_when_the_last_works_again() {
        let (feed, mut heard) = Feed::new(LiveLimits::default());
        let troubles = Troubles::new("east", &feed, "logs followed again");
        for what in ["a", "b", "c", "a"] {
            let said = troubles.begin(what, "reset", || format!("{what} broke off: reset")).await;
            said.expect("somebody listens");
        }
        for what in ["b", "unheard of", "a", "c"] {
            troubles.end(what).await.expect("somebody listens");
        }
        troubles.begin("a", "refused", || "a broke off: refused".to_string()).await.expect("somebody listens");
        drop((troubles, feed));
        let mut said = Vec::new();
        while let Some(Said::Status(Status::Trouble { what, .. })) = heard.recv().await {
            said.push(what);
        }
        assert_eq!(said, ["a broke off: reset", "logs followed again: a and 2 more", "a broke off: refused"]);
    }
}
