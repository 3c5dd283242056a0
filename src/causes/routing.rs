//! Where a request goes: routes, clusters, subsets, gateways' configuration and the way out of the mesh.

use std::sync::Arc;

use meshwhy_parsers::access::{ClusterName, Sign};
use meshwhy_parsers::event::{Event, Fact, Kind};

use super::requests::{self, Empty, Seen, why_empty};
use super::tables;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// No route.
pub static NO_ROUTE: Cause = Cause {
    slug: "no-route",
    severity: Severity::Error,
    summary: "no route matches {call} for {authority}",
    mechanism: "NR with route_not_found: the listener took the request, but no virtual host carries its Host header, or none of \
                that host's routes fits the path. NC: a route fits, but leads to a cluster that the proxy does not have, most \
                often a VirtualService whose destination names a wrong host or port. A Gateway API route whose backend does not \
                exist answers 500 by itself. The 404 reads like one of the application, which never saw the request.",
    remedy: "Compare hosts, gateways and matches of the VirtualService or HTTPRoute with the Host header {authority}; the \
             destination's host and port must exist as a Service. A VirtualService in another namespace names its gateway as \
             namespace/name.",
    verify: "istioctl proxy-config routes {proxy} -o json | grep -n -F '{authority}'",
    explains: &[("app-error", Within::Token)],
    hits: &["host-without-route", "route-to-missing-cluster"],
    near_misses: &[
        "app-answers-404",
        "scanners-at-the-gateway",
        "subset-never-defined",
        "strangers-at-the-gateway",
        "lines-of-others-quoted-in-notes",
    ],
    rules: &[
        Rule::Mesh(tables::not_found_by_proxy),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, no_route)),
    ],
};

fn no_route(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let authority = seen.request.service();
    match seen.sign {
        // An egress gateway without a route lacks the host, not the route.
        Sign::NoRoute if seen.at_egress() || is_scan(&seen.request.path) || seen.is_stranger(view) => None,
        Sign::NoRoute => Some(seen.fill(Verdict::certain(&authority), "no route or virtual host fits (NR route_not_found)")),
        Sign::NoCluster if seen.request.cluster == ClusterName::None => Some(
            seen.fill(Verdict::likely(&authority), "a route fits, but its cluster does not exist (NC cluster_not_found)")
                .slot("route", &seen.request.route)
                .says("the route for {authority} leads to a cluster the proxy does not have: a wrong host or port in its destination"),
        ),
        Sign::DirectError => Some(
            seen.fill(Verdict::likely(&authority), "the route answers by itself with an error")
                .says("the route for {authority} has no usable backend: the proxy answers {code} by itself"),
        ),
        _ => None,
    }
}

/// The gateway lacks a listener or Gateway resource.
pub static GATEWAY_CONFIG_MISSING: Cause = Cause {
    slug: "gateway-config-missing",
    severity: Severity::Error,
    summary: "the gateway has no server for {name_asked} on {listener}",
    mechanism: "A TLS client names the host it wants (SNI). A gateway whose Gateway resources list no such host on that port has no \
                filter chain for it and drops the connection: NR filter_chain_not_found, no HTTP status. The client sees a reset \
                handshake, which reads like a TLS problem. A Gateway whose selector matches no gateway pod shows the same.",
    remedy: "Look for a Gateway (or a Gateway API listener) with host {name_asked} on that port whose selector fits this gateway's \
             pods, and for its secret in the gateway's own namespace.",
    verify: "istioctl proxy-config listeners {proxy} --port {listener_port}",
    explains: &[],
    hits: &["gateway-without-that-host", "tls-clients-without-a-name"],
    near_misses: &[
        "plaintext-meets-strict",
        "gateway-does-not-expose-services",
        "strangers-at-the-gateway",
        "lines-quoted-in-notes",
    ],
    rules: &[
        Rule::Mesh(tables::handshake_cut),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, gateway_config)),
    ],
};

fn gateway_config(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    if seen.is_stranger(view) {
        return None;
    }
    let request = seen.request;
    let listener = request.downstream_local.as_ref();
    let port = listener.map_or(0, |addr| addr.port);
    let with_slots = |verdict: Verdict| {
        verdict
            .slot("name_asked", if request.sni.is_empty() { "a client without SNI" } else { &*request.sni })
            .slot("listener", listener.map_or("that port".to_string(), ToString::to_string))
            .slot("listener_port", port)
    };
    match seen.sign {
        Sign::NoFilterChain if seen.at_egress() || port == 15443 => None,
        Sign::NoFilterChain if !request.sni.is_empty() || seen.at_gateway() => {
            let subject = if request.sni.is_empty() { format!("port {port}") } else { request.sni.to_string() };
            Some(with_slots(seen.fill(Verdict::likely(&subject), "no filter chain carries this server name")))
        }
        // A gateway's pod listens on what its Gateway resources name, and on nothing else.
        Sign::Refused if seen.to_gateway() && !seen.to_eastwest_gateway() => Some(with_slots(
            seen.fill(Verdict::likely(&request.service()), "the gateway's pod refuses the connection on that port")
                .says("the gateway {service} listens on no such port ({upstream}): no Gateway resource that selects it names the port"),
        )),
        Sign::Refused if request.is_inbound() && seen.at_gateway() => Some(with_slots(
            seen.fill(Verdict::likely(&dialled(seen)), "a gateway's pod has no listener of its own on that port")
                .says("the gateway's pod has no server on {local}: no Gateway resource that selects it names the port"),
        )),
        Sign::NoRoute if seen.at_gateway() && !seen.at_egress() && !is_scan(&request.path) => Some(with_slots(
            seen.fill(Verdict::possible(&request.service()), "no virtual host at the gateway")
                .settle_by("kubectl get gateway,virtualservice -A: does one name this host, and each other?")
                .says("the gateway may have no Gateway resource for {authority}"),
        )),
        _ => None,
    }
}

/// Whether a path is one that scanners of the Internet try everywhere: its 404 is the right answer.
fn is_scan(path: &str) -> bool {
    const TRIED: [&str; 12] = [
        "/.env",
        "/.git/",
        "/.aws/",
        "/wp-login",
        "/wp-admin",
        "/xmlrpc.php",
        "/phpmyadmin",
        "/phpunit",
        "/vendor/phpunit",
        "/boaform",
        "/cgi-bin/",
        "/HNAP1",
    ];
    TRIED.iter().any(|tried| path.starts_with(tried))
}

fn dialled(seen: &Seen<'_>) -> String {
    seen.request.downstream_local.as_ref().map_or_else(|| seen.request.service(), ToString::to_string)
}

/// The destination is not known to the mesh.
pub static SERVICE_ENTRY_MISSING: Cause = Cause {
    slug: "service-entry-missing",
    severity: Severity::Error,
    summary: "{destination} is not known to the mesh",
    mechanism: "A host outside the cluster is known to the proxies only by a ServiceEntry. Without one its traffic goes to \
                PassthroughCluster (no routing, no TLS origination, no telemetry by host) or, with REGISTRY_ONLY, to \
                BlackHoleCluster and fails. An egress gateway without one has no route for the host.",
    remedy: "Write a ServiceEntry for {destination} with its ports and resolution, visible in the caller's namespace (exportTo).",
    verify: "istioctl proxy-config clusters {proxy} --fqdn {destination}",
    explains: &[],
    hits: &["egress-gateway-without-entry"],
    near_misses: &["registry-only-blocks-egress"],
    rules: &[Rule::on(Kind::Request, |view, event| requests::judge(view, event, service_entry))],
};

fn service_entry(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let destination = seen.request.service();
    match seen.sign {
        Sign::BlackHole => Some(
            seen.fill(Verdict::possible(&destination), "no service of the mesh has this address or name")
                .slot("destination", &destination)
                .settle_by("kubectl get serviceentry -A: is the host there, and exported to the caller's namespace?"),
        ),
        Sign::NoRoute | Sign::NoFilterChain if seen.at_egress() => Some(
            seen.fill(Verdict::certain(&destination), "the egress gateway does not know the host")
                .slot("destination", &destination),
        ),
        _ => None,
    }
}

/// The outbound policy stops the call.
pub static EGRESS_BLOCKED: Cause = Cause {
    slug: "egress-blocked",
    severity: Severity::Error,
    summary: "the outbound policy does not let calls to {destination} out of the mesh",
    mechanism: "With outboundTrafficPolicy REGISTRY_ONLY a sidecar sends what no Service or ServiceEntry covers to BlackHoleCluster: \
                HTTP gets 502 from the route block_all, TCP and TLS are closed at once. The caller sees a bad gateway or a reset \
                handshake and suspects the far side, which got nothing.",
    remedy: "Add a ServiceEntry for {destination}, or set outboundTrafficPolicy to ALLOW_ANY in the mesh configuration or in the \
             caller's Sidecar resource.",
    verify: "kubectl -n istio-system get configmap istio -o yaml | grep -A2 outboundTrafficPolicy",
    explains: &[("app-error", Within::Token)],
    hits: &["registry-only-blocks-egress"],
    near_misses: &["host-without-route", "egress-gateway-without-entry"],
    rules: &[Rule::on(Kind::Request, |view, event| requests::judge(view, event, egress))],
};

fn egress(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.sign == Sign::BlackHole).then_some(())?;
    let destination = seen.request.service();
    Some(
        seen.fill(Verdict::likely(&destination), "sent to BlackHoleCluster: REGISTRY_ONLY, and no such destination")
            .slot("destination", &destination),
    )
}

/// The route names a cluster that does not exist.
pub static CLUSTER_MISSING: Cause = Cause {
    slug: "cluster-missing",
    severity: Severity::Error,
    summary: "the route names the cluster {cluster}, which the proxy does not have",
    mechanism: "NC cluster_not_found: a route fits the request, but its cluster is not in the proxy's configuration. The Service or \
                ServiceEntry behind it was removed, is not exported to this namespace, is hidden by a Sidecar resource's egress \
                hosts, or comes with the next push. Newer proxies print the missing cluster's name.",
    remedy: "Find the VirtualService that names {cluster}: do the host and the port exist as a Service that this namespace may see \
             (exportTo, Sidecar egress hosts)?",
    verify: "istioctl proxy-config clusters {proxy} | grep -F '{service}'",
    explains: &[("app-error", Within::Token)],
    hits: &["named-cluster-does-not-exist"],
    near_misses: &["subset-never-defined"],
    rules: &[Rule::on(Kind::Request, |view, event| requests::judge(view, event, no_cluster))],
};

fn no_cluster(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let service = seen.request.service();
    match seen.sign {
        Sign::NoCluster if seen.request.cluster == ClusterName::None => Some(
            seen.fill(Verdict::possible(&service), "the cluster of the route does not exist (NC)")
                .slot("cluster", "that the line does not name")
                .settle_by(
                    "istioctl proxy-config routes of this proxy: the route's cluster, then proxy-config clusters",
                ),
        ),
        Sign::NoCluster if seen.subset().is_empty() => {
            Some(seen.fill(Verdict::certain(&service), "the cluster of the route does not exist (NC)"))
        }
        _ => None,
    }
}

/// The subset selects nothing, or is not defined.
pub static SUBSET_MISMATCH: Cause = Cause {
    slug: "subset-mismatch",
    severity: Severity::Error,
    summary: "subset {subset} of {service} selects no pod, or is not defined",
    mechanism: "A VirtualService sends to a subset that a DestinationRule defines by labels. Is the subset not defined, the cluster \
                does not exist (NC). Are its labels on no ready pod, the cluster is empty (UH) although the Service has endpoints \
                and answers without the subset. Only the cluster's name, with the subset between the second and third bar, tells \
                it from a service that is down.",
    remedy: "Compare the labels of subset {subset} in the DestinationRule of {service} with the labels of its pods, and the subset's \
             name with the one in the VirtualService.",
    verify: "kubectl -n {namespace} get pods --show-labels; kubectl -n {namespace} get destinationrule -o yaml",
    explains: &[("no-healthy-upstream", Within::Token), ("no-route", Within::Token), ("config-invalid", Within::Token)],
    hits: &["subset-labels-match-no-pod", "subset-never-defined"],
    near_misses: &["service-has-no-endpoints", "ejected-after-errors", "named-cluster-does-not-exist"],
    rules: &[
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, subset)),
        Rule::on(Kind::Config, analysed),
    ],
};

fn subset(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let subset = seen.subset();
    (!subset.is_empty()).then_some(())?;
    let service = seen.request.service();
    let subject = format!("{service} subset {subset}");
    match seen.sign {
        Sign::NoCluster => Some(
            seen.fill(
                Verdict::likely(&subject),
                "the subset's cluster does not exist (NC): no DestinationRule defines it",
            )
            .slot("subset", subset),
        ),
        Sign::NoHealthyUpstream => match why_empty(view, seen) {
            Empty::Subset(event, shows) => Some(
                seen.fill(Verdict::likely(&subject), "the subset has no usable endpoint (UH)")
                    .because(event, shows)
                    .slot("subset", subset),
            ),
            Empty::Unsaid | Empty::Gone(..) | Empty::Ejected(..) => Some(
                seen.fill(Verdict::possible(&subject), "the empty cluster is a subset's")
                    .slot("subset", subset)
                    .settle_by("kubectl get pods --show-labels: do pods carry the subset's labels?"),
            ),
        },
        _ => None,
    }
}

/// Reads what `istioctl analyze` says of subsets.
fn analysed(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Config(config) = &event.fact else { return None };
    is_about_subset(&config.reason).then_some(())?;
    let (service, subset) = match config.reason.split_once("The Subset ") {
        Some((_, tail)) => (&*config.resource, tail.split(' ').next().unwrap_or("")),
        None => config.reason.split('"').nth(1)?.split_once('+')?,
    };
    Some(
        Verdict::certain(&format!("{service} subset {subset}"))
            .because(event, "istioctl analyze names the subset")
            .slot("service", service)
            .slot("subset", subset)
            .slot("name", service)
            .token(service),
    )
}

/// Whether a message of `istioctl analyze` is about a subset that is not defined or selects nothing (IST0101, IST0173).
pub(super) fn is_about_subset(reason: &str) -> bool {
    reason.contains("host+subset in destinationrule not found") || reason.contains("does not select any pods")
}
