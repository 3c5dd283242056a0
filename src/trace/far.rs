//! The far side of a call: the gateway of the other cluster, the trust between both, and the pods at its end.

use meshwhy_parsers::state::object::{Body, Object};

use super::call::{Call, Plane, is_about, mentions, names};
use super::hops::Step;
use super::reach::{Known, is_toward, pods};
use crate::engine::check::Outcome;
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
    let wanted: u16 = if call.plane == Plane::Ambient { 15008 } else { 15443 };
    let dialled: Vec<&Endpoint<'_>> =
        known.held.iter().flatten().filter(|endpoint| matches!(endpoint.class, Class::GatewayAddress { .. })).collect();
    let gateways: Vec<Gateway<'_>> = far.own_gateways().collect();
    let by_address = gateways.iter().find(|gateway| dialled.iter().any(|of| gateway.addresses.contains(&&*of.address)));
    let gateway = by_address.or_else(|| gateways.iter().find(|gateway| gateway.ports.contains(&wanted)));
    let Some(gateway) = gateway else {
        let place = format!("of {}", far.title());
        let how = format!("kubectl --context {} get services,gateways.gateway.networking.k8s.io -A -o yaml", far.name);
        return Some(Step::unknown("gateway", place, "no east-west gateway is among what was saved", how));
    };
    let place = format!("{} in {}", gateway.object.title(), far.title());
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
    let policy = call.asked(&["hbone-blocked", "networkpolicy-blocked"], |item| {
        names(item, cluster)
            && (is_about(item, &call.service.namespace)
                || pods(call, cluster).iter().any(|(object, _)| is_about(item, &object.name)))
    });
    if let Some(item) = policy {
        return Step::found("application", item);
    }
    let pods = pods(call, cluster);
    let document: Option<&Doc<Object>> = pods
        .first()
        .map(|(object, _)| *object)
        .or_else(|| cluster.endpoints_of(&call.service.namespace, &call.service.name).next().map(|(object, _)| object));
    match (known.there, document) {
        (Some((0, 0)), _) => Step::stop("application", place, "no pod stands behind the Service"),
        (Some((0, all)), Some(object)) => {
            Step::stop("application", place, format!("none of {all} ready")).told(&object.event, object.title())
        }
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
