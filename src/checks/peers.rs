//! Peers: are the control planes that exchange services through Gateways of class `istio-remote` connected and in step?
//!
//! The conditions `gloo.solo.io/...` are those of Solo's builds; upstream has the class without them.

use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::errors::Fault;
use meshwhy_parsers::event::{Event, Fact, Kind, PeerWhat};
use meshwhy_parsers::state::object::{Body, Condition};

use super::gateways::{as_shown, shown};
use crate::causes::peering_disconnected as disconnected;
use crate::causes::remote_api::shortened;
use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{CLUSTER, Cluster, GATEWAY_API, Gateway};
use crate::engine::view::View;

/// See the title.
pub static CHECK: Check =
    Check { id: "peers", title: "Peered control planes are connected", before_linking: false, run };

/// How long a link may take to come up before it counts as down.
const SETTLES: Duration = Duration::from_secs(120);

fn run(view: &View<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    for cluster in view.mesh().clusters() {
        for gateway in cluster.peer_gateways() {
            let Body::Gateway(api) = &gateway.object.body else { continue };
            let asked = Asked { view, cluster, gateway: &gateway, conditions: &api.conditions };
            items.extend(asked.item());
        }
        items.extend(view.others(cluster).filter_map(|other| one_way(cluster, other)));
    }
    items
}

/// A Gateway that stands for a peer.
struct Asked<'a, 'm> {
    view: &'a View<'m>,
    cluster: &'a Cluster,
    gateway: &'a Gateway<'a>,
    conditions: &'a [Condition],
}

impl Asked<'_, '_> {
    /// The peer's cluster ID, as the Gateway's label or name tells, else its network.
    fn peer(&self) -> &str {
        let object = self.gateway.object;
        let by_name = || object.name.strip_prefix("istio-remote-peer-");
        object.label(CLUSTER).or_else(by_name).or(self.gateway.network).unwrap_or(&object.name)
    }

    fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.kind.strip_prefix("gloo.solo.io/").unwrap_or(&condition.kind) == kind)
    }

    fn item(&self) -> Option<Item> {
        let lacking = |kind: &str| self.condition(kind).filter(|condition| &*condition.status != "True");
        let (local, peer) = (self.cluster.title(), self.peer());
        if let Some(condition) = lacking("PeerConnected") {
            return Some(self.down(condition, "the control plane of {local} has no link to its peer {peer}: {reason}"));
        }
        if let Some(condition) = lacking("PeeringSucceeded") {
            return Some(self.down(
                condition,
                "{local} is linked to its peer {peer}, and what the peer has does not arrive: {reason}",
            ));
        }
        if let Some(condition) = lacking("PeerDataPlaneProgrammed") {
            return Some(
                self.down(
                    condition,
                    "{local} knows its peer {peer}, and its data plane is given no way there: {reason}",
                ),
            );
        }
        if let Some(condition) = lacking("Programmed") {
            return Some(
                self.down(condition, "{local} does not use the Gateway that stands for its peer {peer}: {reason}"),
            );
        }
        let title = self.gateway.object.title();
        if self.condition("PeerConnected").is_some() {
            return Some(Item::pass(&self.cluster.name, title, format!("{local} is connected to {peer}")));
        }
        let (told, actual) = self.moved()?;
        let reason = format!("it leads to {told}, and the gateway of {peer} has {actual}");
        Some(Item::warn(
            &self.cluster.name,
            title,
            reason,
            format!("Give it the address {actual}, unless {told} leads there."),
        ))
    }

    /// The link is down, or comes up just now.
    fn down(&self, condition: &Condition, says: &'static str) -> Item {
        let object = self.gateway.object;
        let (local, peer) = (self.cluster.title(), self.peer());
        let reason = format!("{} is {}: {}", condition.kind, condition.status, shown(condition));
        let now = self.view.latest(self.cluster);
        let is_new = matches!((condition.at, now), (Some(at), Some(now)) if at <= now && now.since(at) < SETTLES);
        if is_new {
            let remedy = "The condition is of the last two minutes: look again before anything else.";
            return Item::warn(&self.cluster.name, object.title(), reason, remedy);
        }
        // What is unknown may have been asked too early; a row tells nothing of the link itself.
        let is_told = &*condition.status == "False" && condition.kind.starts_with("gloo.solo.io/");
        let strength = if is_told { Verdict::certain } else { Verdict::likely };
        let tried = self.attempt();
        let dialled = tried.as_ref().and_then(|(_, fault)| fault.address.as_ref()).map(ToString::to_string);
        let address =
            || self.gateway.addresses.first().map_or("the address of its Gateway", |address| address).to_string();
        let help = match (self.moved(), &tried) {
            (Some((told, actual)), _) => {
                format!("The Gateway leads to {told}, and the gateway of {peer} has {actual}.")
            }
            (None, Some((_, fault))) => disconnected::help(&fault.what).to_string(),
            (None, None) => "istiod's log names the reason of each attempt.".to_string(),
        };
        let why = tried.as_ref().map_or_else(|| shown(condition), |(_, fault)| shortened(&fault.text));
        let mut verdict = strength(&disconnected::subject(local, peer))
            .says(says)
            .slot("local", local)
            .slot("peer", peer)
            .slot("reason", why)
            .slot("reason_help", help)
            .slot("address", dialled.unwrap_or_else(address))
            .token(peer)
            .token(&object.name)
            .because_object(object, &as_shown(condition), "what the control plane says of the link");
        if let Some((line, _)) = tried {
            verdict = verdict.because(line, "the stream to the peer breaks and is dialled again");
        }
        verdict = match self.other() {
            Some(other) => verdict.cluster(&other.name),
            None => verdict.cluster(peer),
        };
        if let Some((_, actual)) = self.moved()
            && let Some(own) = self.other().and_then(|other| other.own_gateways().next())
        {
            verdict = verdict.because_object(own.object, &actual, "the peer's gateway has another address");
        }
        Item::fail(&self.cluster.name, object.title(), reason, disconnected::CAUSE.slug, verdict)
    }

    /// What istiod said last of an attempt to reach the peer.
    fn attempt(&self) -> Option<(&Arc<Event>, &Fault)> {
        let attempts = self.view.events(Kind::Peer).filter(|event| event.origin.cluster == self.cluster.name);
        attempts.rev().find_map(|event| match &event.fact {
            Fact::Peer(of) if disconnected::peer_cluster(&of.target) == self.peer() => match &of.what {
                PeerWhat::Disconnected(fault) => Some((event, fault)),
                PeerWhat::Connected | PeerWhat::Stopped => None,
            },
            _ => None,
        })
    }

    /// The peer, where its documents are there.
    fn other(&self) -> Option<&Cluster> {
        self.view.others(self.cluster).find(|other| self.gateway.object.stands_for(other))
    }

    /// The address it leads to and the ones that the peer's gateways have, where these differ. Names lead anywhere.
    fn moved(&self) -> Option<(String, String)> {
        let is_ip = |address: &&str| address.parse::<std::net::IpAddr>().is_ok();
        let told: Vec<&str> = self.gateway.addresses.iter().copied().filter(is_ip).collect();
        let own: Vec<Gateway<'_>> = self.other()?.own_gateways().collect();
        let actual: Vec<&str> = own.iter().flat_map(|gateway| gateway.addresses.iter().copied()).collect();
        let differs = !told.is_empty()
            && told.len() == self.gateway.addresses.len()
            && !actual.is_empty()
            && actual.iter().all(is_ip)
            && !told.iter().any(|address| actual.contains(address));
        differs.then(|| (told.join(", "), actual.join(", ")))
    }
}

/// A cluster that has a Gateway for another one, which has none for it.
fn one_way(cluster: &Cluster, other: &Cluster) -> Option<Item> {
    let peer = cluster.peer_gateways().find(|gateway| gateway.object.stands_for(other))?;
    let knows_back = other.peer_gateways().any(|gateway| gateway.object.stands_for(cluster));
    if knows_back || !other.knows_all_of("Gateway", GATEWAY_API, "") {
        return None;
    }
    let (here, there) = (cluster.title(), other.title());
    let reason = format!("{here} has {}, and {there} has no Gateway that stands for {here}", peer.object.title());
    let remedy = format!("If {there} is to call services of {here}, link it to {here}, too.");
    Some(Item::warn(&other.name, format!("peer {here}"), reason, remedy))
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checks::testing::{Saved, failed, told};

    /// A Gateway for `west` with conditions `(type, status, since)`.
    fn peer(address: &str, conditions: &[(&str, &str, &str)]) -> String {
        let conditions: Vec<String> = conditions
            .iter()
            .map(|(kind, status, at)| {
                let (reason, message) = if *status == "True" { ("Programmed", "") } else { ("Pending", "not connected to peer") };
                format!(
                    "  - lastTransitionTime: \"2026-04-23T{at}Z\"\n    message: \"{message}\"\n    reason: {reason}\n    status: \"{status}\"\n    type: {kind}\n"
                )
            })
            .collect();
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: istio-remote-peer-west\n  namespace: istio-gateways\n  labels:\n    \
             topology.istio.io/cluster: west\n    topology.istio.io/network: west\nspec:\n  addresses: [{{type: IPAddress, value: {address}}}]\n  \
             gatewayClassName: istio-remote\n  listeners:\n  - {{name: cross-network, port: 15008, protocol: HBONE}}\n  - {{name: xds-tls, port: 15012, protocol: TLS}}\n\
             status:\n  addresses: [{{type: IPAddress, value: {address}}}]\n  conditions:\n{}",
            conditions.concat()
        )
    }

    const CONNECTED: &str = "gloo.solo.io/PeerConnected";
    const SUCCEEDED: &str = "gloo.solo.io/PeeringSucceeded";
    const PROGRAMMED: &str = "gloo.solo.io/PeerDataPlaneProgrammed";
    /// A line that tells what time it was when all this was saved.
    const LATER: Saved<'static> = (
        "east",
        "istio-system/istiod-9znfxgnzb-l7t8b/discovery.log",
        "2026-04-23T04:46:17.720457Z\tinfo\tversion: 1.28.1-solo-f15dbeb520d89cc0f65ae2ef78de6125993ec8d7-Clean\n",
    );

    fn with(conditions: &[(&str, &str, &str)]) -> Vec<String> {
        told(&CHECK, &[("east", "gateways.yaml", &peer("192.0.2.20", conditions)), LATER])
    }

    #[test]
    fn a_peer_whose_link_is_down_is_named() {
        let down = with(&[(CONNECTED, "False", "03:31:17"), (SUCCEEDED, "Unknown", "03:31:17")]);
        assert_eq!(
            down,
            [
                "fail east Gateway istio-gateways/istio-remote-peer-west: gloo.solo.io/PeerConnected is False: Pending: not connected to peer [peering-disconnected: east -> west]"
            ]
        );
        let up = [(CONNECTED, "True", "03:31:17"), (SUCCEEDED, "True", "03:31:17"), (PROGRAMMED, "True", "03:31:17")];
        assert_eq!(with(&up), ["pass east Gateway istio-gateways/istio-remote-peer-west: east is connected to west"]);
        // A link that is being made is not down.
        assert!(with(&[(CONNECTED, "False", "04:45:40")])[0].starts_with("warn east"));
    }

    #[test]
    fn a_peer_that_is_linked_and_not_in_step_is_named() {
        let (connected, late) = ((CONNECTED, "True", "03:31:17"), "03:31:17");
        for broken in [(SUCCEEDED, "Unknown", late), (PROGRAMMED, "False", late), ("Programmed", "False", late)] {
            assert!(with(&[connected, broken])[0].contains("[peering-disconnected: east -> west]"), "{broken:?}");
        }
    }

    #[test]
    fn a_row_tells_no_more_than_that_the_gateway_is_not_programmed() {
        let rows = |programmed: &str| {
            format!(
                "NAMESPACE        NAME                     CLASS          ADDRESS      PROGRAMMED   AGE\nistio-gateways   istio-remote-peer-west   istio-remote   192.0.2.20   {programmed}        2d\n"
            )
        };
        assert_eq!(failed(&CHECK, &[("east", "gateways.txt", &rows("False"))]), ["peering-disconnected"]);
        assert_eq!(told(&CHECK, &[("east", "gateways.txt", &rows("True"))]), [""; 0]);
    }

    #[test]
    fn a_gateway_that_leads_elsewhere_than_to_the_peer_is_told() {
        let own = |address: &str| {
            format!(
                "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: istio-eastwest, namespace: istio-gateways, labels: {{topology.istio.io/network: west}}}}\nspec:\n  \
                 gatewayClassName: istio-eastwest\n  listeners: [{{name: cross-network, port: 15008, protocol: HBONE}}]\nstatus:\n  addresses: [{{type: IPAddress, value: {address}}}]\n"
            )
        };
        let with = |address: &str, conditions: &[(&str, &str, &str)]| {
            told(
                &CHECK,
                &[("east", "gateways.yaml", &peer("192.0.2.20", conditions)), ("west", "gateways.yaml", &own(address))],
            )
        };
        assert!(with("192.0.2.21", &[])[0].ends_with("it leads to 192.0.2.20, and the gateway of west has 192.0.2.21"));
        assert_eq!(with("192.0.2.20", &[]), [""; 0]);
        // Connected, it leads there by some other way.
        assert!(with("192.0.2.21", &[(CONNECTED, "True", "03:31:17")])[0].starts_with("pass"));
    }

    #[test]
    fn a_peer_that_does_not_link_back_is_warned_of() {
        let list =
            |item: &str| format!("apiVersion: v1\nkind: List\nitems:\n- {}\n", item.trim_end().replace('\n', "\n  "));
        let up = peer("192.0.2.20", &[(CONNECTED, "True", "03:31:17")]);
        let back = up.replace("istio-remote-peer-west", "istio-remote-peer-east").replace(": west", ": east");
        let other = back.replace(": east", ": north").replace("peer-east", "peer-north");
        let with = |west: &str| told(&CHECK, &[("east", "gateways.yaml", &list(&up)), ("west", "gateways.yaml", west)]);
        let both = format!("{}- {}", list(&other), back.trim_end().replace('\n', "\n  "));
        assert!(!with(&both).iter().any(|item| item.starts_with("warn")), "{:?}", with(&both));
        let two = format!(
            "{}- {}",
            list(&other),
            other.replace("north", "south").replace("istio-gateways", "gw").trim_end().replace('\n', "\n  ")
        );
        assert!(with(&two).iter().any(|item| item.starts_with("warn west peer east")), "{:?}", with(&two));
        // One that did not save its Gateways may have one.
        assert!(
            !with("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
                .iter()
                .any(|item| item.starts_with("warn"))
        );
    }
}
