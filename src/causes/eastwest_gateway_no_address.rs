//! The east-west gateway has no address that another cluster could use.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, Network};
use meshwhy_parsers::state::State;

use super::eastwest_gateway_misconfigured::{gateways_came, shown_by_state};
use super::saved;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The page.
pub static CAUSE: Cause = Cause {
    slug: "eastwest-gateway-no-address",
    severity: Severity::Critical,
    summary: "the east-west gateway {gateway} has no usable external address: {why}",
    mechanism: "istiod learns the way into another network from the status of the gateway's Service. A load balancer \
                that never comes (bare metal without one, a quota, a missing annotation) leaves it at `<pending>`; a \
                NodePort gateway needs an annotation that selects nodes; a host name has to resolve where istiod runs. \
                Without an address there is no gateway for the network, and istiod says nothing: it hands out the raw \
                pod addresses of the other network instead. Calls time out on addresses that no route leads to, which \
                reads like a wrong network label or a missing route.",
    remedy: "Give {gateway} an address: install or repair the load balancer, or for NodePort set the annotation \
             `traffic.istio.io/nodeSelector`; a host name must resolve from the other clusters' istiod.",
    verify: "kubectl -n {namespace} get svc {name} -o wide",
    explains: &[
        ("pod-ip-unreachable", Within::Mesh),
        ("network-label-wrong", Within::Mesh),
        ("upstream-connect-timeout", Within::Mesh),
        ("upstream-not-listening", Within::Mesh),
        ("eastwest-gateway-misconfigured", Within::Token),
        ("crossnetwork-port-blocked", Within::Mesh),
        ("ambient-capture-missing", Within::Mesh),
    ],
    hits: &[
        "gateway-address-pending",
        "gateway-api-not-programmed",
        "gateway-host-unresolved",
        "network-without-gateway-pending",
        "state-gateway-host-unresolved",
        "state-joined-pod-address-gateway-pending",
    ],
    near_misses: &[
        "network-label-missing",
        "gateway-without-mesh-port",
        "gateway-came-later",
        "network-without-gateway",
        "state-joined-pod-address-flat",
        "state-joined-pod-address-no-label",
    ],
    rules: &[
        Rule::Mesh(load_balancer_failed),
        Rule::on(Kind::Network, host_name),
        Rule::after(Kind::Network, 30, network_without_gateway),
    ],
};

/// What is broken: a gateway of a cluster.
pub fn subject(name: &str, cluster: &str) -> String {
    format!("{name} of {cluster}")
}

/// Fills the slots for a gateway.
pub fn named(verdict: Verdict, namespace: &str, name: &str) -> Verdict {
    let namespace = if namespace.is_empty() { "istio-system" } else { namespace };
    verdict.slot("gateway", format!("{namespace}/{name}")).slot("namespace", namespace).slot("name", name).token(name)
}

/// The cloud refuses to make the load balancer.
fn load_balancer_failed(view: &View<'_>) -> Vec<Verdict> {
    let refused = view.states().filter_map(|(event, state)| match state {
        State::KubeEvent { kind, reason, object, message } => {
            let about_balancer = reason.contains("LoadBalancer") || message.contains("load balancer");
            let name = object.rsplit('/').next().unwrap_or("");
            (&**kind == "Warning" && about_balancer && saved::is_east_west(name, "")).then_some((event, name))
        }
        _ => None,
    });
    refused
        .map(|(event, name)| {
            named(Verdict::certain(&subject(name, &event.origin.cluster)), "", name)
                .slot("why", "the cloud could not make its load balancer")
                .because(event, "the load balancer failed")
        })
        .collect()
}

/// istiod knows no gateway for a network; without state an address that never came is the most frequent reason.
fn network_without_gateway(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Network(Network::NoGateway(network)) = &event.fact else { return None };
    if gateways_came(view, event) || shown_by_state(view) {
        return None;
    }
    Some(
        named(Verdict::possible(network), "", "istio-eastwestgateway")
            .says("istiod knows no gateway for network {network}: perhaps its east-west gateway has no address")
            .slot("network", network)
            .token(network)
            .because(event, "istiod leaves the network's workloads out because it has no gateway")
            .settle_by("kubectl get svc -A -l topology.istio.io/network -o wide"),
    )
}

fn host_name(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Network(Network::HostnameUnresolved(host)) = &event.fact else { return None };
    if gateways_came(view, event) {
        return None;
    }
    Some(unresolved(Verdict::certain(host), host).because(event, "istiod could not resolve the gateway's host name"))
}

/// Says that a gateway's host name does not resolve.
pub fn unresolved(verdict: Verdict, host: &str) -> Verdict {
    named(verdict, "", "istio-eastwestgateway")
        .says("the host name {host} of an east-west gateway does not resolve where istiod runs")
        .slot("host", host)
        .slot("why", "its host name does not resolve")
        .token(host)
}
