//! The east-west gateway has no address that another cluster could use.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, Network};
use meshwhy_parsers::state::State;

use super::eastwest_gateway_misconfigured::{gateways_came, shown_by_a_table};
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
    ],
    near_misses: &[
        "network-label-missing",
        "gateway-without-mesh-port",
        "gateway-came-later",
        "network-without-gateway",
    ],
    rules: &[
        Rule::Mesh(service_pending),
        Rule::Mesh(gateway_unprogrammed),
        Rule::Mesh(load_balancer_failed),
        Rule::on(Kind::Network, host_name),
        Rule::after(Kind::Network, 30, network_without_gateway),
    ],
};

fn named(verdict: Verdict, namespace: &str, name: &str) -> Verdict {
    let namespace = if namespace.is_empty() { "istio-system" } else { namespace };
    verdict.slot("gateway", format!("{namespace}/{name}")).slot("namespace", namespace).slot("name", name).token(name)
}

/// A Service row that waits for its address, and no later row that has one.
fn service_pending(view: &View<'_>) -> Vec<Verdict> {
    let gateways = saved::gateways(view);
    let mut verdicts = Vec::new();
    for gateway in &gateways {
        let same = |other: &&saved::Gateway<'_>| other.cluster() == gateway.cluster() && other.name == gateway.name;
        if gateway.address().is_some() || gateways.iter().filter(same).any(|other| other.address().is_some()) {
            continue;
        }
        let (certain, why) = match (gateway.kind, gateway.external) {
            (_, "<pending>") => (true, "its load balancer is still pending"),
            ("NodePort", _) => (false, "it is a NodePort Service, which needs the annotation that selects its nodes"),
            ("ClusterIP", "<none>") => (false, "it is a ClusterIP Service, which other clusters cannot reach"),
            _ => continue,
        };
        let verdict = if certain { Verdict::certain(gateway.name) } else { Verdict::likely(gateway.name) };
        let mut verdict = named(verdict, gateway.namespace, gateway.name)
            .slot("why", why)
            .because(gateway.event, "the Service has no external address");
        if let Some(raw) = raw_address(view, gateway.cluster()) {
            verdict = verdict.because(raw, "so proxies of another cluster hold a raw pod address");
        }
        verdicts.push(verdict);
    }
    verdicts
}

/// An endpoint held in another cluster that failed and is no gateway's address.
fn raw_address<'w>(view: &View<'w>, gateway_cluster: &str) -> Option<&'w Arc<Event>> {
    let failed = saved::failed_dials(view);
    let held = saved::held(view).into_iter().find(|held| {
        !saved::same_cluster(&held.event.origin.cluster, gateway_cluster)
            && !held.is_gateway()
            && failed.iter().any(|(_, addr)| addr.host == held.addr.host)
    })?;
    Some(held.event)
}

/// A Gateway of the Gateway API between clusters without an address.
fn gateway_unprogrammed(view: &View<'_>) -> Vec<Verdict> {
    let waits = view.states().filter_map(|(event, state)| match state {
        State::Gateway { namespace, name, class, address, programmed } => {
            let is_ours = class.contains("east-west") || saved::is_east_west(name, "");
            (is_ours && address.is_empty() && &**programmed != "True").then_some((event, namespace, name))
        }
        _ => None,
    });
    waits
        .map(|(event, namespace, name)| {
            named(Verdict::certain(name), namespace, name)
                .slot("why", "the Gateway is not programmed")
                .because(event, "the Gateway has neither an address nor the condition Programmed")
        })
        .collect()
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
            named(Verdict::certain(name), "", name)
                .slot("why", "the cloud could not make its load balancer")
                .because(event, "the load balancer failed")
        })
        .collect()
}

/// istiod knows no gateway for a network; without state an address that never came is the most frequent reason.
fn network_without_gateway(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Network(Network::NoGateway(network)) = &event.fact else { return None };
    if gateways_came(view, event) || shown_by_a_table(view) {
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
    Some(
        named(Verdict::certain(host), "", "istio-eastwestgateway")
            .says("the host name {host} of an east-west gateway does not resolve where istiod runs")
            .slot("host", host)
            .slot("why", "its host name does not resolve")
            .token(host)
            .because(event, "istiod could not resolve the gateway's host name"),
    )
}
