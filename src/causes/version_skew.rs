//! Versions of the parts are too far apart to understand each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, Process};
use meshwhy_parsers::origin::Role;
use meshwhy_parsers::state::State;

use super::control_link;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "version-skew",
    severity: Severity::Error,
    summary: "{who} runs {theirs} and its control plane {ours}: {reason}",
    mechanism: "istiod writes configuration for the proxies it knows: up to two minor versions older than itself, never newer. A \
                proxy that is older than that lacks the extensions and fields it is sent and rejects the whole resource; one \
                that is newer may have dropped what the old istiod still uses. It happens when the control plane is upgraded and \
                workloads are not restarted, or when a second revision or a vendor's copy injects another image. The rejection \
                reads like a mistake in someone's configuration.",
    remedy: "Bring them to one version: upgrade {older}, then restart {who}, so that the control plane's version is \
             injected.",
    verify: "istioctl version",
    explains: &[("xds-rejected", Within::Token)],
    hits: &["proxy-older-than-its-control-plane"],
    near_misses: &["listener-names-a-missing-file"],
    rules: &[Rule::on(Kind::Nack, judge)],
};

/// What is to be upgraded, where it is not sure which part is the older one.
pub const OLDER: &str = "the control plane if it is the older one";

/// How many minor versions a proxy may be behind its control plane.
const BEHIND_MAX: u32 = 2;

fn judge(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Nack(nack) = &event.fact else { return None };
    if !is_about_unknown(&nack.reason) {
        return None;
    }
    let who = nack.node.as_deref().unwrap_or_else(|| control_link::speaker(event));
    let reason = nack.reason.lines().next().unwrap_or("");
    let (istiod, proxies) = versions(view);
    let apart = istiod
        .iter()
        .flat_map(|ours| proxies.iter().map(move |theirs| (ours, theirs)))
        .find(|(ours, theirs)| ours.0 < theirs.0 || theirs.0.saturating_add(BEHIND_MAX) < *ours.0);
    let verdict = match apart {
        Some(((_, (ours, ours_at)), (_, (theirs, theirs_at)))) => Verdict::certain(who)
            .slot("ours", ours)
            .slot("theirs", theirs)
            .because(event, "the proxy does not know what it is sent")
            .because(theirs_at, "its version")
            .because(ours_at, "the control plane's version"),
        None => Verdict::possible(who)
            .slot("ours", "an unknown version")
            .slot("theirs", "an unknown version")
            .because(event, "the proxy does not know what it is sent")
            .settle_by("istioctl proxy-status"),
    };
    Some(
        verdict
            .slot("who", who)
            .slot("older", OLDER)
            .slot("reason", reason)
            .token(who)
            .token(nack.resource.as_deref().unwrap_or("(not named)")),
    )
}

/// Whether a rejection says that the proxy lacks a type, a field or an extension.
fn is_about_unknown(reason: &str) -> bool {
    const WORDS: [&str; 7] = [
        "registered implementation",
        "has unknown fields",
        "no such field",
        "could not find @type",
        "Unable to unpack",
        "unable to find type",
        "unknown field",
    ];
    WORDS.iter().any(|words| reason.contains(words))
}

type Seen<'v> = BTreeMap<u32, (String, &'v Arc<Event>)>;

/// The minor versions of control planes and of proxies that the input names, each with where.
fn versions<'v>(view: &View<'v>) -> (Seen<'v>, Seen<'v>) {
    let (mut istiod, mut proxies) = (Seen::new(), Seen::new());
    for event in view.events(Kind::Process) {
        let Fact::Process(Process::Started { version }) = &event.fact else { continue };
        let Some(minor) = minor(version) else { continue };
        let seen = match event.origin.role {
            Role::Istiod => &mut istiod,
            Role::Sidecar | Role::Gateway | Role::Waypoint | Role::Unknown => &mut proxies,
            Role::Ztunnel | Role::Cni | Role::ApiServer | Role::Transcript => continue,
        };
        seen.entry(minor).or_insert((version.to_string(), event));
    }
    for (event, state) in view.states() {
        match state {
            State::ProxyStatus { version, .. } => {
                if let Some(minor) = minor(version) {
                    proxies.entry(minor).or_insert((version.to_string(), event));
                }
            }
            State::Version { component, versions } => {
                let seen = match &**component {
                    "control plane" => &mut istiod,
                    "data plane" => &mut proxies,
                    _ => continue,
                };
                for version in versions {
                    if let Some(minor) = minor(version) {
                        seen.entry(minor).or_insert((version.to_string(), event));
                    }
                }
            }
            _ => {}
        }
    }
    (istiod, proxies)
}

/// `24` of `1.24.3`, `1.24-alpha`.
fn minor(version: &str) -> Option<u32> {
    let minor = version.strip_prefix("1.")?;
    let end = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
    minor[..end].parse().ok()
}
