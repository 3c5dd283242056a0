//! The person who watches, who has seen enough at some time.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use super::source::{Feed, Said};

/// Whether it is enough, for all who wait for something else meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Enough(Arc<OnceLock<Instant>>);

impl Enough {
    /// Whether it has been so for longer than this.
    pub fn is_for(&self, long: Duration) -> bool {
        self.0.get().is_some_and(|since| long < since.elapsed())
    }
}

/// Says that it is enough at the first interrupt; the second one ends the program at once.
pub async fn listen(feed: Feed, enough: Enough) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    let mut is_said = false;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if is_said {
            std::process::exit(130);
        }
        is_said = true;
        // It is set once only: the second interrupt does not come here.
        let _ = enough.0.set(Instant::now());
        let feed = feed.clone();
        tokio::spawn(async move { feed.say(Said::Stop).await });
    }
}
