//! The link between two peered control planes is down.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind, PeerWhat};
use meshwhy_parsers::state::object::{Body, Condition, Object};

use super::remote_api::shortened;
use super::tables;
use crate::engine::cause::{Cause, Confidence, Rule, Severity, Verdict, Within};
use crate::engine::mesh::{CLUSTER, Doc};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "peering-disconnected",
    severity: Severity::Critical,
    summary: "the control plane of {local} has no link to its peer {peer}: {reason}",
    mechanism: "Peered control planes exchange services and workloads over one xDS stream each way, through the peer's east-west gateway. \
                When it breaks, the client waits up to a minute and dials again, for ever, printing one line an attempt. What was \
                learnt before stays in use, so calls go on until endpoints change, and the fault is noticed late. The end of the \
                text tells who closed: a refusal, silence, or a certificate that one side does not accept.",
    remedy: "Check the way from istiod of {local} to the peer's gateway ({address}) and that the peer's istiod is ready. {reason_help}",
    verify: "kubectl --context {local} -n istio-system logs deploy/istiod | grep deltaadsc | tail -5",
    explains: &[
        ("remote-cluster-dark", Within::Token),
        ("no-healthy-upstream", Within::Token),
        ("stale-endpoint", Within::Token),
    ],
    hits: &["peer-gateway-refuses", "state-peer-disconnected", "state-joined-peer-lost"],
    near_misses: &["peer-unknown-authority", "peer-reconnected", "state-joined-peer-back"],
    rules: &[Rule::Mesh(|view| tables::failed_check(view, "peer")), Rule::after(Kind::Peer, 5, judge)],
};

fn judge(view: &View<'_>, trigger: &Arc<Event>) -> Option<Verdict> {
    let Fact::Peer(peer) = &trigger.fact else { return None };
    let PeerWhat::Disconnected(fault) = &peer.what else { return None };
    let local = view.own_id(trigger).unwrap_or(&trigger.origin.cluster);
    let other = peer_cluster(&peer.target);
    let subject = subject(local, other);
    // One cut stream is a restart; a link that stays cut is down.
    let count = view.repeats(trigger).map_or(1, |known| known.count);
    let verdict = match fault.what {
        _ if fault.what.is_unreached() => Verdict::certain(&subject),
        What::Cut if count < 3 => Verdict::possible(&subject),
        _ => Verdict::likely(&subject),
    };
    let address = fault.address.as_ref().map_or_else(|| "the address of its Gateway".to_string(), ToString::to_string);
    let verdict = match linked_since(view, trigger, other) {
        Some((gateway, condition)) => Verdict { confidence: Confidence::Possible, ..verdict }.against_quote(
            &gateway.event,
            &format!("{}: {} is True since the last failure", gateway.title(), condition.kind),
            "the control plane says that the link is up again",
        ),
        None => verdict,
    };
    Some(
        verdict
            .slot("local", local)
            .slot("peer", other)
            .slot("reason", shortened(&fault.text))
            .slot("reason_help", help(&fault.what))
            .slot("address", address)
            .token(other)
            .cluster(other)
            .because(trigger, "the stream to the peer breaks and is dialled again"),
    )
}

/// What to look for, by how an attempt to reach the peer ended.
pub fn help(what: &What) -> &'static str {
    match what {
        What::Refused => {
            "The gateway's host answers but nothing listens: look at the gateway's pods and its Service port."
        }
        What::TimedOut | What::NoRoute | What::NetworkUnreachable => {
            "Packets get lost: look for a firewall or security group in between."
        }
        What::NameUnknown(_) | What::NameLookupFailed(_) => "The peer's host name does not resolve from istiod's pod.",
        What::Unauthorized | What::Forbidden { .. } => "The peer refuses the credential: its log names the reason.",
        _ => "The peer's log at the same time may say more.",
    }
}

/// The Gateway that says the link to a peer is up, since after the last failure was printed.
fn linked_since<'w>(view: &View<'w>, trigger: &Arc<Event>, peer: &str) -> Option<(&'w Doc<Object>, &'w Condition)> {
    let last = view.repeats(trigger).map_or(trigger.at, |known| known.last.at)?;
    let cluster = view.mesh().cluster(&trigger.origin.cluster)?;
    cluster.objects("Gateway").find_map(|object| {
        let Body::Gateway(gateway) = &object.body else { return None };
        let is_its =
            object.label(CLUSTER) == Some(peer) || object.name.strip_prefix("istio-remote-peer-") == Some(peer);
        let is_up = |condition: &&Condition| {
            &*condition.kind == "gloo.solo.io/PeerConnected"
                && &*condition.status == "True"
                && Some(last) < condition.at
        };
        let condition = gateway.conditions.iter().find(is_up)?;
        is_its.then_some((object, condition))
    })
}

/// How a finding names a link: whose control plane dials, and whom.
pub fn subject(local: &str, peer: &str) -> String {
    format!("{local} -> {peer}")
}

/// `peering-<cluster>` names the peer's cluster in vendor builds.
pub fn peer_cluster(target: &str) -> &str {
    match target.strip_prefix("peering-").unwrap_or(target) {
        "" => "its peer",
        cluster => cluster,
    }
}
