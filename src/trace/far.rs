//! The far side of a call: the gateway of the other cluster, the trust between both, and the pods at its end.

use meshwhy_parsers::state::object::{Body, Object};

use super::call::{Call, Plane, is_about, mentions, names};
use super::hops::Step;
use super::reach::{self, Known, is_toward};
use super::service;
use crate::checks::modes::{AMBIENT, SIDECAR};
use crate::engine::cause::Verdict;
use crate::engine::check::{Item, Outcome};
use crate::engine::mesh::{Class, Cluster, Doc, Endpoint, Gateway};

/// What checks find wrong with a gateway between networks.
const GATEWAY: [&str; 5] = [
    "eastwest-gateway-no-address",
    "eastwest-gateway-misconfigured",
    "eastwest-gateway-down",
    "dataplane-mode-mismatch",
    "crossnetwork-port-blocked",
];

/// What checks find wrong with trust.
const TRUST: [&str; 5] =
    ["root-of-trust-mismatch", "trust-domain-mismatch", "ca-cert-expired", "workload-cert-expired", "clock-skew"];

/// The gateway of the other cluster; `None` where the call needs none.
pub(super) fn gateway(call: &Call<'_>, far: &Cluster, known: &Known<'_>) -> Option<Step> {
    let network = |cluster: &Cluster| cluster.network().map(|(_, network)| network.map(str::to_string));
    let crosses = match (network(call.near), network(far)) {
        (Some(ours), Some(theirs)) => ours != theirs,
        _ => false,
    };
    if !known.by_gateway().unwrap_or(crosses) {
        return None;
    }
    let found = call.asked(&GATEWAY, |item| {
        if 1 < item.clusters().count() {
            return is_toward(item, call.near, far);
        }
        // A Gateway of class istio-remote stands for the other side's.
        let is_peer = names(item, call.near)
            && mentions(item, far)
            && call
                .near
                .peer_gateways()
                .any(|gateway| gateway.object.stands_for(far) && item.object.contains(&gateway.object.title()));
        names(item, far) || is_peer
    });
    if let Some(item) = found {
        return Some(Step::found("gateway", item));
    }
    let wanted = if call.plane == Plane::Ambient { AMBIENT } else { SIDECAR };
    let dialled: Vec<&Endpoint<'_>> =
        known.held.iter().flatten().filter(|endpoint| matches!(endpoint.class, Class::GatewayAddress { .. })).collect();
    let gateways: Vec<Gateway<'_>> = far.own_gateways().collect();
    let by_address = gateways.iter().find(|gateway| dialled.iter().any(|of| gateway.addresses.contains(&&*of.address)));
    let by_port = || gateways.iter().find(|gateway| gateway.ports.contains(&wanted));
    let gateway = by_address.or_else(by_port).or_else(|| gateways.first());
    let Some(gateway) = gateway else {
        let place = format!("of {}", far.title());
        let how = format!("kubectl --context {} get services,gateways.gateway.networking.k8s.io -A -o yaml", far.name);
        return Some(Step::unknown("gateway", place, "no east-west gateway is among what was saved", how));
    };
    let place = format!("{} in {}", gateway.object.title(), far.title());
    if let Some(step) = other_mode(call, far, gateway, wanted, &place) {
        return Some(step);
    }
    let addresses = gateway.addresses.join(", ");
    let quote = match &gateway.object.body {
        Body::Service(_) => format!("status.loadBalancer: {addresses}; port {wanted}"),
        _ => format!("status.addresses: {addresses}; listener {wanted}"),
    };
    let elsewhere = dialled.first().filter(|_| by_address.is_none() && !gateway.addresses.is_empty());
    // A host name is dialled by the addresses it resolves to.
    let is_name = gateway.addresses.iter().any(|address| address.parse::<std::net::IpAddr>().is_err());
    let step = match elsewhere.filter(|_| !is_name) {
        Some(endpoint) => Step::warn(
            "gateway",
            place,
            format!("the caller dials {}, and its address is {addresses}", endpoint.address),
        ),
        None => Step::pass("gateway", place, format!("{addresses}:{wanted}, nothing wrong with it")),
    };
    Some(step.told(&gateway.object.event, quote))
}

/// A gateway that serves the other data plane alone.
fn other_mode(call: &Call<'_>, far: &Cluster, gateway: &Gateway<'_>, wanted: u16, place: &str) -> Option<Step> {
    let (other, who) = match call.plane {
        Plane::Ambient => (SIDECAR, "ambient"),
        Plane::Sidecar => (AMBIENT, "sidecars"),
        Plane::Outside | Plane::Unknown => return None,
    };
    // A row may show none of its ports.
    if gateway.ports.contains(&wanted) || !gateway.ports.contains(&other) {
        return None;
    }
    let address = gateway.addresses.first().map_or(&*gateway.object.name, |address| address);
    let ports: Vec<String> = gateway.ports.iter().map(ToString::to_string).collect();
    let quote = format!("ports: {}", ports.join(", "));
    let (near, far) = (call.near.title(), far.title());
    let verdict = Verdict::certain(&format!("gateway at {address}"))
        .says("callers in {near} are {who} and need port {port}, but the gateway of {far} at {addr} serves only the other data plane's port {has}")
        .slot("near", near)
        .slot("far", far)
        .slot("who", who)
        .slot("addr", address)
        .slot("port", wanted)
        .slot("has", other)
        .token(address)
        .cluster(near)
        .cluster(far)
        .because_object(gateway.object, &quote, "the gateway has the other mode's port only");
    let says = format!("offers {other} only, and callers in {near} are {who}, which need {wanted}");
    let step = Step::fail("gateway", place, says, "dataplane-mode-mismatch", verdict);
    Some(step.told(&gateway.object.event, quote))
}

/// Namespace and name of the waypoint that the service is bound to in a cluster.
fn bound<'v>(call: &'v Call<'_>, cluster: &'v Cluster) -> Option<(&'v str, &'v str)> {
    let (service, _) = service::object(call, cluster)?;
    cluster.waypoint_of(service)
}

/// The Gateway or Service of the waypoint that the service is bound to in a cluster.
pub(super) fn waypoint_object<'v>(call: &'v Call<'_>, cluster: &'v Cluster) -> Option<&'v Doc<Object>> {
    let (namespace, name) = bound(call, cluster)?;
    cluster.object("Gateway", namespace, name).or_else(|| cluster.object("Service", namespace, name))
}

/// The waypoint that the service is bound to in a cluster; `None` where it is bound to none.
pub(super) fn waypoint(call: &Call<'_>, cluster: &Cluster) -> Option<Step> {
    let (service, _) = service::object(call, cluster)?;
    let (namespace, name) = bound(call, cluster).filter(|_| call.plane == Plane::Ambient)?;
    let title = cluster.title();
    let found = call.asked(&["waypoint-unavailable", "service-not-global"], |item| {
        let slug = item.cause.as_ref().map_or("", |(slug, _)| slug);
        let of_it =
            slug == "waypoint-unavailable" || item.object.starts_with("waypoint") && cluster.name != call.near.name;
        names(item, cluster) && of_it && is_about(item, name)
    });
    if let Some(item) = found {
        return Some(Step::found("waypoint", item));
    }
    let place = format!("{namespace}/{name} in {title}");
    let pods: Vec<_> = cluster.waypoint_pods(namespace, name).collect();
    let exists = waypoint_object(call, cluster);
    let knows = cluster.knows_all("Gateway", namespace) && cluster.knows_all("Service", namespace);
    let ready = pods.iter().filter(|(_, pod)| 0 < pod.ready.1 && pod.ready.0 == pod.ready.1).count();
    let why = match exists {
        None if !knows => {
            let how = format!(
                "kubectl --context {} get gateways.gateway.networking.k8s.io,services -A -o yaml",
                cluster.name
            );
            return Some(Step::unknown("waypoint", place, "the Gateways of this cluster were not saved", how));
        }
        None => "it does not exist".to_string(),
        Some(_) if !pods.is_empty() && ready == 0 => format!("none of its {} pods is ready", pods.len()),
        Some(object) => {
            let says = if pods.is_empty() {
                "exists; its pods were not saved".to_string()
            } else {
                format!("{ready} of {} pods ready", pods.len())
            };
            return Some(Step::pass("waypoint", place, says).told(&object.event, object.title()));
        }
    };
    let host = format!("{name}.{namespace}.svc.cluster.local");
    let quote = format!("istio.io/use-waypoint: {name}");
    let mut verdict = Verdict::certain(&host)
        .says("the waypoint {waypoint} that {to} is bound to in {cluster} is not available: {why}")
        .slot("waypoint", format!("{namespace}/{name}"))
        .slot("to", service.title())
        .slot("cluster", title)
        .slot("why", &why)
        .token(&host)
        .token(&call.service.host)
        .cluster(title)
        .because_object(service, &quote, "the service is bound to it");
    if let Some((object, pod)) = pods.first() {
        let quote = format!("{} of {} containers ready", pod.ready.0, pod.ready.1);
        verdict = verdict.because_object(object, &quote, "a pod of the waypoint");
    }
    Some(Step::fail("waypoint", place, why, "waypoint-unavailable", verdict).told(&service.event, quote))
}

/// Whether both sides trust each other.
pub(super) fn trust(call: &Call<'_>, far: &Cluster) -> Step {
    let found = call.asked(&TRUST, |item| {
        let pair = 1 < item.clusters().count();
        let of_proxy = item.object.starts_with("proxy ");
        let either =
            names(item, call.near) && (!of_proxy || is_about(item, &call.name)) || names(item, far) && !of_proxy;
        if pair { names(item, call.near) && names(item, far) } else { either }
    });
    if let Some(item) = found {
        return Step::found("trust", item);
    }
    let place = format!("between {} and {}", call.near.title(), far.title());
    match call.said("roots-of-trust", &[call.near, far]) {
        Some(item) if item.outcome == Outcome::Pass => {
            let step = Step::pass("trust", place, &item.reason);
            match item.weighs.first() {
                Some(weight) => step.told(&weight.evidence.event, &weight.evidence.quote),
                None => step,
            }
        }
        Some(item) => Step::unknown("trust", place, &item.reason, &item.remedy),
        None => Step::unknown(
            "trust",
            place,
            "the roots of one or both were not saved",
            "kubectl get configmap -n istio-system istio-ca-root-cert -o yaml, of both",
        ),
    }
}

/// The pods at the end of the call.
pub(super) fn application(call: &Call<'_>, cluster: &Cluster, known: &Known<'_>) -> Step {
    let place = format!("{} in {}", call.service.title(), cluster.title());
    let pods = reach::pods(call, cluster);
    let is_here = |item: &Item| {
        // What is wrong on another node does not concern these pods.
        let node = cluster.pods().find(|(object, _)| object.title() == item.object).map(|(_, pod)| &pod.node);
        node.is_none_or(|node| pods.is_empty() || pods.iter().any(|(_, pod)| pod.node == *node))
    };
    let node = call.asked(&["ztunnel-not-ready", "cni-failure"], |item| names(item, cluster) && is_here(item));
    if let Some(item) = node.filter(|_| cluster.is_ambient()) {
        return Step::found("application", item);
    }
    let policy = call.asked(&["hbone-blocked", "networkpolicy-blocked"], |item| {
        names(item, cluster)
            && (is_about(item, &call.service.namespace) || pods.iter().any(|(object, _)| is_about(item, &object.name)))
    });
    if let Some(item) = policy {
        return Step::found("application", item);
    }
    if let Some(step) = none_ready("application", call, cluster, known) {
        return step;
    }
    match (known.there, behind(call, cluster)) {
        (Some((0, 0)), _) => Step::stop("application", place, "no pod stands behind the Service"),
        (Some((ready, all)), Some(object)) => {
            Step::pass("application", place, format!("{ready} of {all} ready")).told(&object.event, object.title())
        }
        _ => Step::unknown(
            "application",
            place,
            "neither its pods nor its endpoints were saved",
            format!("kubectl --context {} get pods,endpointslices -n {} -o yaml", cluster.name, call.service.namespace),
        ),
    }
}

/// A document about what stands behind the Service in a cluster.
fn behind<'v>(call: &'v Call<'_>, cluster: &'v Cluster) -> Option<&'v Doc<Object>> {
    if let Some((object, _)) = reach::pods(call, cluster).first() {
        return Some(object);
    }
    cluster.endpoints_of(&call.service.namespace, &call.service.name).next().map(|(object, _)| object)
}

/// Pods stand behind the Service in a cluster, and none of them is ready.
pub(super) fn none_ready(name: &str, call: &Call<'_>, cluster: &Cluster, known: &Known<'_>) -> Option<Step> {
    let (_, all) = known.there.filter(|(ready, all)| *ready == 0 && 0 < *all)?;
    let object = behind(call, cluster)?;
    let quote = match &object.body {
        Body::Pod(pod) => format!("{}: {} of {} containers ready", object.title(), pod.ready.0, pod.ready.1),
        _ => format!("{}: no address is ready", object.title()),
    };
    let verdict = Verdict::certain(&call.service.host)
        .says("{service} has no ready pod in {cluster}: none of {all}")
        .slot("service", format!("{}/{}", call.service.namespace, call.service.name))
        .slot("name", &call.service.name)
        .slot("namespace", &call.service.namespace)
        .slot("cluster", cluster.title())
        .slot("all", all)
        .token(&call.service.host)
        .token(&call.service.name)
        .cluster(cluster.title())
        .because_object(object, &quote, "the state of what stands behind it");
    let place = format!("{} in {}", call.service.title(), cluster.title());
    let step = Step::fail(name, place, format!("none of {all} pods is ready"), "no-healthy-upstream", verdict);
    Some(step.told(&object.event, quote))
}

/// The service has no pod anywhere.
pub(super) fn nowhere(call: &Call<'_>) -> Step {
    let place = format!("of {}", call.service.host);
    let namespace = &call.service.namespace;
    let knows =
        |cluster: &Cluster| ["EndpointSlice", "Endpoints", "Pod"].iter().any(|kind| cluster.knows_all(kind, namespace));
    match call.mesh.clusters().all(knows) {
        true => Step::stop("endpoints", place, "no pod stands behind it in any cluster that was saved"),
        false => Step::unknown(
            "endpoints",
            place,
            "nothing shows where it runs",
            "kubectl get pods,endpointslices -A -o yaml, of every cluster",
        ),
    }
}
