//! The combination in use is not supported by this version.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, Process};
use meshwhy_parsers::ztunnel::ConnectionWhat;

use super::tunnel;
use crate::engine::cause::{Cause, Rule, Severity, Verdict};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "unsupported-feature",
    severity: Severity::Error,
    summary: "{feature} is not supported by this version ({version})",
    mechanism: "A configuration can be valid and still ask for something that this version or this data plane does not do: an \
                ambient feature that came later, an option of sidecars on a waypoint, an address family the node does not have. \
                The program says so once, often at start, and goes on without it, so that the traffic fails with an error that \
                names something else.",
    remedy: "Look up since which version {feature} is supported; upgrade, or take the option out.",
    verify: "istioctl version",
    explains: &[],
    hits: &["ambient-feature-unsupported"],
    near_misses: &["ambient-pod-unknown-to-istiod"],
    rules: &[Rule::on(Kind::Process, process), Rule::on(Kind::Connection, connection)],
};

/// Reads what a program says of itself.
pub fn process(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Process(Process::Unsupported(feature)) = &event.fact else { return None };
    Some(verdict(view, event, feature))
}

/// Reads a ztunnel connection that asked for something unsupported.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, what) = tunnel::failed(event)?;
    let Fact::Connection(connection) = &event.fact else { return None };
    let text = &connection.error.as_ref()?.text;
    let feature = text.strip_prefix("unsupported feature: ").filter(|_| *what == ConnectionWhat::Other)?;
    Some(verdict(view, event, feature))
}

fn verdict(view: &View<'_>, event: &Arc<Event>, feature: &str) -> Verdict {
    let version = view.version(&event.origin.cluster);
    let verdict = Verdict::certain(feature)
        .slot("feature", feature)
        .slot("version", version.map_or("unknown", |(_, version)| version))
        .because(event, "the program says so");
    match version {
        Some((event, _)) => verdict.because(event, "its version"),
        None => verdict,
    }
}
