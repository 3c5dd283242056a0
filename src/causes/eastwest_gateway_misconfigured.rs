//! The east-west gateway is there, but does not serve what crosses networks.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, Network};
use meshwhy_parsers::state::State;

use super::saved::{self, CROSS_NETWORK_PORTS};
use super::{data_path, requests};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The page.
pub static CAUSE: Cause = Cause {
    slug: "eastwest-gateway-misconfigured",
    severity: Severity::Critical,
    summary: "the east-west gateway {gateway} does not serve cross-network traffic: {why}",
    mechanism: "Traffic between networks enters on port 15443 with the SNI of the service (sidecars) or on 15008 with \
                HBONE (ambient). istiod takes a labelled Service for the gateway of its network only if it offers one of \
                these ports, and the gateway passes traffic on only where a Gateway object opens the port with \
                `AUTO_PASSTHROUGH`. A Service of an ordinary ingress gateway that was given the label, or a gateway \
                whose services were never exposed, has an address and healthy pods and still is no way in.",
    remedy: "Let {gateway} offer 15443 (or 15008 for ambient) and apply the Gateway that exposes the services with \
             `AUTO_PASSTHROUGH` on that port.",
    verify: "istioctl x internal-debug networkz",
    explains: &[
        ("pod-ip-unreachable", Within::Mesh),
        ("upstream-connect-timeout", Within::Mesh),
        ("network-label-wrong", Within::Mesh),
        ("crossnetwork-port-blocked", Within::Token),
    ],
    hits: &[
        "gateway-without-mesh-port",
        "gateway-class-not-installed",
        "network-without-gateway",
        "gateway-does-not-expose-services",
        "state-gateway-without-15443",
        "state-services-not-exposed",
        "state-joined-plain-answer-terminated",
    ],
    near_misses: &[
        "gateway-address-pending",
        "crossnetwork-port-filtered",
        "gateway-came-later",
        "network-without-gateway-pending",
        "state-healthy-but-port-filtered",
        "state-gateway-has-no-ready-pod",
        "state-joined-plain-answer-filtered",
    ],
    rules: &[
        Rule::on(Kind::Network, named_by_istiod),
        Rule::after(Kind::Network, 30, network_without_gateway),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, data_path::door_does_not_know)),
        Rule::Mesh(not_exposed),
    ],
};

/// Fills the slots for a gateway, `<namespace>/<name>`, and why it does not serve.
pub fn named(verdict: Verdict, gateway: &str, why: &str) -> Verdict {
    let name = gateway.rsplit('/').next().unwrap_or(gateway);
    verdict.slot("gateway", gateway).slot("why", why).token(name)
}

fn named_by_istiod(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Network(network) = &event.fact else { return None };
    let (gateway, why) = match network {
        // Only the label's value is wrong: istiod says so and takes 15443.
        Network::GatewayPortMissing(gateway) if event.text.contains("defaulting to") => {
            let why = "its label networking.istio.io/gatewayPort is no number, so 15443 is assumed";
            return Some(
                named(Verdict::likely(gateway), gateway, why).because(event, "istiod cannot read the gateway's port"),
            );
        }
        // Other controllers bring classes of their own, which istiod need not know.
        Network::ClassMissing { class, gateway }
            if CLASSES.contains(&&**class) || saved::is_east_west(gateway, class) =>
        {
            (gateway, "its class is not installed, so istiod ignores it")
        }
        Network::GatewayPortMissing(gateway) => (gateway, "its Service offers neither 15443 nor 15008"),
        Network::NoListeners(gateway) if saved::is_east_west(gateway, "") => {
            (gateway, "no Gateway object selects it, so it has no listener")
        }
        _ => return None,
    };
    let mut verdict =
        named(Verdict::certain(gateway), gateway, why).because(event, "istiod names the gateway and what it lacks");
    let empty =
        view.states().find(|(_, state)| matches!(state, State::NetworkGateway { network } if network.is_empty()));
    if let Some((empty, _)) = empty {
        verdict = verdict.because(empty, "and istiod knows no gateway at all");
    }
    Some(verdict)
}

/// Classes of gateways between clusters.
const CLASSES: [&str; 2] = ["istio-east-west", "istio-remote"];

/// istiod knows no gateway for a network, and no line says why.
fn network_without_gateway(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Network(Network::NoGateway(network)) = &event.fact else { return None };
    if gateways_came(view, event) || shown_by_state(view) {
        return None;
    }
    Some(
        named(Verdict::possible(network), network, "istiod knows no gateway for this network")
            .because(event, "istiod leaves the network's workloads out because it has no gateway")
            .settle_by("kubectl get svc -A -l topology.istio.io/network -o wide"),
    )
}

/// Whether state shows what a gateway lacks; the check of gateways then names it.
pub fn shown_by_state(view: &View<'_>) -> bool {
    view.mesh().clusters().flat_map(|cluster| cluster.own_gateways()).any(|gateway| {
        let crosses = CROSS_NETWORK_PORTS.iter().any(|port| gateway.ports.contains(port));
        gateway.addresses.is_empty() || (!gateway.ports.is_empty() && !crosses)
    })
}

/// Whether the list of gateways changed after this complaint, which was then of the start-up.
pub fn gateways_came(view: &View<'_>, complaint: &Arc<Event>) -> bool {
    let Some(known) = view.repeats(complaint) else { return false };
    view.known(Kind::Network).any(|other| {
        other.first.fact == Fact::Network(Network::GatewaysChanged)
            && other.first.origin.file == complaint.origin.file
            && other.last_ordinal > known.last_ordinal
    })
}

/// Nobody exposed the services: there is no Gateway object beside the gateway.
fn not_exposed(view: &View<'_>) -> Vec<Verdict> {
    let missing = view.states().find(|(_, state)| match state {
        State::Missing { kind, namespace, name } => {
            let is_gateway = kind.starts_with("gateway") || &**kind == "gw";
            is_gateway && (namespace.contains("istio") || saved::is_east_west(name, ""))
        }
        _ => false,
    });
    let gateways = saved::gateways(view);
    let (Some((event, _)), Some(gateway)) = (missing, gateways.first()) else { return Vec::new() };
    let full = format!("{}/{}", gateway.namespace, gateway.name);
    let verdict = named(Verdict::likely(&full), &full, "no Gateway object opens its port")
        .because(event, "there is no Gateway object")
        .because(gateway.event, "though the gateway's Service exists");
    vec![verdict]
}
