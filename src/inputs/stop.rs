//! The person who watches, who has seen enough at some time.

use tokio::signal::unix::{SignalKind, signal};

use super::source::{Feed, Said};

/// Says that it is enough at the first interrupt; the second one ends the program at once.
pub async fn listen(feed: Feed) {
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
        let feed = feed.clone();
        tokio::spawn(async move { feed.say(Said::Stop).await });
    }
}
