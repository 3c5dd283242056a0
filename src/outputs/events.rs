//! Events as they come: which of them a person who follows is shown, and how as text.

use meshwhy_parsers::event::{Event, Fact, Level};
use meshwhy_parsers::header::{self, Form};

use super::fields::{fields, word};
use super::printable;

/// Colours of clusters; red and yellow are for levels.
const CLUSTER_COLOURS: [&str; 8] = ["36", "35", "34", "32", "96", "95", "94", "92"];

/// Whether somebody who follows events is shown this one: a failure, or a line that says more than that all is as usual.
pub fn is_followed(event: &Event) -> bool {
    match &event.fact {
        // There are too many of what goes well.
        Fact::Connection(_) | Fact::Request(_) | Fact::Push(_) => event.about().failed.is_some(),
        // Documents are asked for again and again, and say much the same.
        Fact::State(_) | Fact::Known | Fact::Opaque(_) => false,
        Fact::Stream(_)
        | Fact::Nack(_)
        | Fact::Remote(_)
        | Fact::Peer(_)
        | Fact::Certificate(_)
        | Fact::ClientRefused(_)
        | Fact::Trust(_)
        | Fact::Network(_)
        | Fact::Webhook(_)
        | Fact::Cni(_)
        | Fact::Dns(_)
        | Fact::Handshake(_)
        | Fact::Process(_)
        | Fact::Config(_)
        | Fact::Policy(_)
        | Fact::Exhausted(_)
        | Fact::User(_) => true,
    }
}

/// An event in one line: whose it is, when, how loud, what.
pub fn line(event: &Event, is_coloured: bool) -> String {
    let paint = |code: Option<&str>, text: String| match code {
        Some(code) if is_coloured => format!("\x1b[{code}m{text}\x1b[0m"),
        _ => text,
    };
    let origin = &event.origin;
    let place = match (&*origin.namespace, &*origin.pod) {
        (_, "") => printable(&origin.file).into_owned(),
        ("", pod) => printable(pod).into_owned(),
        (namespace, pod) => printable(&format!("{namespace}/{pod}")).into_owned(),
    };
    let cluster = paint(Some(cluster_colour(&origin.cluster)), printable(&origin.cluster).into_owned());
    let at = event.at.map_or("-".to_string(), |at| at.to_string());
    let level = paint(level_colour(event.level), format!("{:<5}", word(&event.level)));
    format!("{cluster} {place}  {at} {level} {}", printable(&what(event)))
}

/// What it says, without the time and the level in front of it.
fn what(event: &Event) -> String {
    let text = event.text.trim_end();
    if text.is_empty() {
        let said = fields(&event.fact).into_iter().map(|(name, value)| format!(" {name}={value}"));
        return format!("{}{}", event.signature.unwrap_or_default(), said.collect::<String>());
    }
    let (said, form) = header::read(text, None);
    let message = said.message.trim();
    let from = text.find(message).filter(|_| !message.is_empty() && matches!(form, Form::Console | Form::Klog));
    match from.and_then(|from| text.get(from..)) {
        Some(rest) if said.scope.is_empty() => rest.to_string(),
        Some(rest) => format!("{}: {rest}", said.scope),
        None => text.to_string(),
    }
}

/// The same for a cluster at all times: told by its name alone (FNV-1a).
fn cluster_colour(cluster: &str) -> &'static str {
    let hash = cluster.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    CLUSTER_COLOURS[hash as usize % CLUSTER_COLOURS.len()]
}

fn level_colour(level: Level) -> Option<&'static str> {
    match level {
        Level::Trace | Level::Debug | Level::Info => None,
        Level::Warn => Some("33"),
        Level::Error | Level::Fatal => Some("31"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use meshwhy_parsers::event::Line;
    use meshwhy_parsers::origin::Origin;

    use super::*;

    fn said(text: &str) -> Event {
        let origin =
            Origin { namespace: "istio-system".into(), pod: "istiod-1".into(), ..Origin::new("east", "istiod.log") };
        meshwhy_parsers::parse(&Line::alone(origin, text))
    }

    #[test]
    fn a_line_says_whose_it_is_when_and_what_once() {
        let event = said("2026-03-01T09:30:00.000000Z\terror\tads\tremote cluster west failed to sync after 30s");
        assert_eq!(
            line(&event, false),
            "east istio-system/istiod-1  2026-03-01T09:30:00.000Z error ads: remote cluster west failed to sync after 30s"
        );
        let (cluster, rest) = line(&event, true).split_once(' ').map(|(a, b)| (a.to_string(), b.to_string())).unwrap();
        assert!(cluster.starts_with("\u{1b}[") && cluster.ends_with("meast\u{1b}[0m"), "{cluster:?}");
        assert!(rest.contains("\u{1b}[31merror\u{1b}[0m"), "{rest:?}");
    }

    #[test]
    fn nothing_of_a_line_is_obeyed_by_a_terminal() {
        let text = "2026-03-01T09:30:00.000000Z\terror\tremote cluster \u{1b}[2Jwest failed to sync after 30s";
        let mut event = said(text);
        let hostile = Origin { cluster: "ea\u{1b}[0mst".into(), pod: "a\nb".into(), ..Origin::default() };
        event.origin = Arc::new(hostile);
        let line = line(&event, false);
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        assert!(line.starts_with("ea\\u{1b}[0mst a\\nb  ") && line.contains("\\u{1b}[2Jwest"), "{line:?}");
    }

    #[test]
    fn what_goes_well_or_says_nothing_is_not_followed() {
        assert!(is_followed(&said("2026-03-01T09:30:00Z\terror\tremote cluster west failed to sync after 30s")));
        for quiet in ["2026-03-01T09:30:00Z\tinfo\tall is well", "2026-03-01T09:30:00Z\tinfo\tads\tPush Status: {}"] {
            assert!(!is_followed(&said(quiet)), "{quiet}");
        }
    }
}
