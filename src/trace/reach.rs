//! How a call learns of a cluster: istiod reads it, and the caller's proxy holds its endpoints.

use std::collections::BTreeSet;

use meshwhy_parsers::state::object::{Body, Pod};

use super::call::{Call, OfPod, Plane, is_about, mentions, names, plane_of};
use super::far::none_ready;
use super::hops::Step;
use super::{lines, service};
use crate::causes::tunnel;
use crate::checks::services::not_global;
use crate::engine::cause::Verdict;
use crate::engine::check::Item;
use crate::engine::finding;
use crate::engine::mesh::{Class, Cluster, Endpoint, REMOTE_SECRET};

/// What keeps an istiod from reading another cluster.
const LINK: [&str; 11] = [
    "remote-secret-missing",
    "remote-secret-invalid",
    "remote-api-unreachable",
    "remote-api-unauthorized",
    "remote-api-forbidden",
    "remote-api-cert-untrusted",
    "remote-cluster-dark",
    "cluster-id-conflict",
    "peering-disconnected",
    "istiod-replicas-diverged",
    "istiod-env-incompatible",
];

/// What makes istiod hand out other addresses than it should, or none.
const ADDRESSES: [&str; 6] = [
    "network-label-wrong",
    "eastwest-gateway-no-address",
    "eastwest-gateway-misconfigured",
    "dataplane-mode-mismatch",
    "stale-endpoint",
    "cluster-id-conflict",
];

/// The endpoints of the service in one cluster, as each party knows them.
pub(super) struct Known<'v> {
    /// What the caller's proxy holds of this cluster; `None` where nothing shows it.
    pub(super) held: Option<Vec<Endpoint<'v>>>,
    /// What the caller's proxy holds of all clusters.
    all: usize,
    /// How many addresses the caller's istiods know of it; `None` where nothing shows them.
    pub(super) by_istiod: Option<usize>,
    /// Addresses that are ready, of how many, as the objects of the cluster say; `None` where they were not saved.
    pub(super) there: Option<(usize, usize)>,
    /// Whether the cluster has a Service of that name.
    is_defined: bool,
}

impl<'v> Known<'v> {
    /// Asks everyone.
    pub(super) fn of(call: &Call<'v>, cluster: &'v Cluster) -> Known<'v> {
        let held = call.held();
        let all = held.as_ref().map_or(0, Vec::len);
        let leads = |endpoint: &Endpoint<'_>| {
            let to = if endpoint.class == Class::Local { &*call.near.name } else { endpoint.leads_to() };
            let by_network = match &endpoint.class {
                Class::GatewayAddress { cluster: of, network } if of.is_empty() => {
                    cluster.network().is_some_and(|(_, own)| own == Some(network))
                }
                _ => false,
            };
            !to.is_empty() && (to == &*cluster.name || cluster.is_called(to)) || by_network
        };
        let held = held.map(|held| held.into_iter().filter(leads).collect());
        let shards = call.controls().into_iter().flat_map(|of| call.mesh.shards(of, &call.service.host));
        let of_it = shards.filter(|(_, shard)| cluster.is_called(&shard.cluster));
        // Every replica and every port of the service has a shard of its own.
        let addresses: BTreeSet<&str> = of_it
            .flat_map(|(_, shard)| &shard.endpoints)
            .filter_map(|endpoint| endpoint.addresses.first())
            .map(|ip| &**ip)
            .collect();
        let knows = call.controls().into_iter().any(|of| call.mesh.knows_shards(of));
        Known {
            held,
            all,
            by_istiod: knows.then_some(addresses.len()),
            there: there(call, cluster),
            is_defined: service::object(call, cluster).is_some(),
        }
    }

    /// Whether the service runs there.
    pub(super) fn runs(&self) -> bool {
        self.there.is_some_and(|(_, all)| 0 < all)
            || self.by_istiod.is_some_and(|count| 0 < count)
            || self.held.as_ref().is_some_and(|held| !held.is_empty())
    }

    /// Whether the service may run there: it is defined, and nothing shows that no pod stands behind it.
    pub(super) fn may_run(&self) -> bool {
        self.runs() || self.is_defined && self.there.is_none()
    }

    /// Whether the caller's proxy holds an endpoint there that should work.
    fn works(&self) -> bool {
        let is_good = |endpoint: &Endpoint<'_>| {
            let class =
                matches!(endpoint.class, Class::GatewayAddress { .. } | Class::PodSharedNetwork { .. } | Class::Local);
            class && endpoint.is_ready
        };
        self.held.as_ref().is_some_and(|held| held.iter().any(is_good))
    }

    /// Whether the caller's proxy goes through a gateway.
    pub(super) fn by_gateway(&self) -> Option<bool> {
        let held = self.held.as_ref().filter(|held| !held.is_empty())?;
        Some(held.iter().any(|endpoint| matches!(endpoint.class, Class::GatewayAddress { .. })))
    }
}

/// Ready addresses behind the Service in a cluster, of how many.
fn there(call: &Call<'_>, cluster: &Cluster) -> Option<(usize, usize)> {
    let (namespace, name) = (&call.service.namespace, &call.service.name);
    let mut ready: BTreeSet<&str> = BTreeSet::new();
    let mut all: BTreeSet<&str> = BTreeSet::new();
    for (_, endpoints) in cluster.endpoints_of(namespace, name) {
        all.extend(endpoints.addresses.iter().map(|address| &*address.host));
        ready.extend(endpoints.addresses.iter().filter(|address| address.ready).map(|address| &*address.host));
    }
    if !all.is_empty() {
        return Some((ready.len(), all.len()));
    }
    let pods = pods(call, cluster);
    if !pods.is_empty() {
        let is_ready = |pod: &Pod| pod.ready.0 == pod.ready.1 && 0 < pod.ready.1;
        return Some((pods.iter().filter(|(_, pod)| is_ready(pod)).count(), pods.len()));
    }
    let knows = ["EndpointSlice", "Endpoints", "Pod"].iter().any(|kind| cluster.knows_all(kind, namespace));
    knows.then_some((0, 0))
}

/// The pods behind the Service in a cluster.
pub(super) fn pods<'v>(call: &Call<'_>, cluster: &'v Cluster) -> Vec<OfPod<'v>> {
    let Some((object, of)) = service::object(call, cluster) else { return Vec::new() };
    cluster.pods_behind(object, of)
}

/// Whether the caller's istiod reads a cluster; `None` where it is that cluster's own.
pub(super) fn link(call: &Call<'_>, far: &Cluster, known: &Known<'_>) -> Option<Step> {
    let controls = call.controls();
    if controls.iter().any(|control| control.name == far.name) {
        return None;
    }
    let found = call.asked(&LINK, |item| {
        let slug = item.cause.as_ref().map_or("", |(slug, _)| slug);
        match slug {
            "istiod-env-incompatible" => names(item, far) || controls.iter().any(|control| names(item, control)),
            "cluster-id-conflict" => mentions(item, far),
            _ => {
                // Whose istiod it is stands first; that of the other side is of no matter for this call.
                let holder = item.clusters().next().unwrap_or("");
                let is_ours = controls.iter().any(|control| holder == &*control.name || holder == control.title());
                is_ours && mentions(item, far)
            }
        }
    });
    let control = controls.first().copied().unwrap_or(call.near);
    let (ours, theirs) = (control.title(), far.title());
    let place = format!("istiod of {ours} about {theirs}");
    if let Some(item) = found {
        if known.works() {
            let says = format!("{}: {}; endpoints of {theirs} are still held", item.object, item.reason);
            return Some(Step::warn("discovery", place, says));
        }
        return Some(Step::found("discovery", item));
    }
    let row = controls
        .iter()
        .flat_map(|of| of.istiods())
        .flat_map(|istiod| istiod.clusters())
        .find(|(_, row)| far.is_called(&row.id));
    if let Some((event, row)) = row {
        let quote = format!("{} {}: {}", row.id, row.secret, row.status);
        let step = match &*row.status {
            "synced" => Step::pass("discovery", place, format!("reads {theirs}: synced")),
            status if known.works() => Step::warn("discovery", place, format!("{theirs} is {status}")),
            status => match lines::of_remote(call, control, far) {
                Some((cause, verdict)) => {
                    let says = format!("{theirs} is {status}: {}", finding::summary(cause, &verdict));
                    Step::fail("discovery", place, says, cause.slug, verdict)
                }
                None => Step::stop("discovery", place, format!("it does not read {theirs}, which is {status}")),
            },
        };
        return Some(step.told(event, quote));
    }
    if let Some(step) = unread(control, far, &place).filter(|_| !known.works()) {
        return Some(step);
    }
    let peer = control.peer_gateways().find(|gateway| gateway.object.stands_for(far));
    if let Some(peer) = peer {
        let conditions = match &peer.object.body {
            Body::Gateway(gateway) => gateway.conditions.as_slice(),
            _ => &[],
        };
        let connected = conditions.iter().find(|condition| condition.kind.ends_with("PeerConnected"));
        let step = match connected {
            Some(condition) if &*condition.status != "True" => {
                Step::warn("discovery", place, format!("{} is not connected", peer.object.title()))
            }
            _ => Step::pass("discovery", place, format!("peered with {theirs}")),
        };
        let quote = connected.map_or_else(
            || format!("{} of class istio-remote", peer.object.title()),
            |condition| format!("{}: {}: {}", peer.object.title(), condition.kind, condition.status),
        );
        return Some(step.told(&peer.object.event, quote));
    }
    let endpoint = known.held.iter().flatten().next();
    if let Some(endpoint) = endpoint {
        return Some(
            Step::pass("discovery", place, format!("it handed out endpoints of {theirs}"))
                .told(endpoint.event, raw(call, endpoint)),
        );
    }
    let how = format!("istioctl --context {} remote-clusters", control.name);
    Some(Step::unknown("discovery", place, &format!("which clusters istiod of {ours} reads was not saved"), how))
}

/// An istiod that lists the clusters it reads, and not this one: its remote secret is missing, or is none.
fn unread(control: &Cluster, far: &Cluster, place: &str) -> Option<Step> {
    let istiod = control.istiods().find(|istiod| istiod.knows_clusters())?;
    let rows = istiod.clusters();
    let (event, _) = rows.first().filter(|_| !control.is_peered())?;
    let (ours, theirs) = (control.title(), far.title());
    let listed: Vec<&str> = rows.iter().map(|(_, row)| &*row.id).collect();
    let quote = format!("clusters: {}", listed.join(", "));
    let secret = control.remote_secrets().into_iter().find(|found| far.is_called(found.id()));
    let system = control.system_namespace();
    let why = match &secret {
        None => format!("istiod of {ours} reads {} alone", listed.join(", ")),
        Some(found) if *found.secret.namespace != *system => {
            format!("{} does not lie in {system}, where istiod of {ours} looks", found.secret.title())
        }
        Some(found) if found.secret.labels.is_some() && found.secret.label(REMOTE_SECRET) != Some("true") => {
            format!("{} lacks the label {REMOTE_SECRET}=true", found.secret.title())
        }
        Some(found) => {
            let says = format!("it does not read {theirs}, though {} is there", found.secret.title());
            return Some(Step::stop("discovery", place, says).told(event, quote));
        }
    };
    let verdict = Verdict::likely(theirs)
        .slot("remote", theirs)
        .slot("why", &why)
        .token(theirs)
        .cluster(ours)
        .because_quote(event, &quote, "the clusters that istiod reads");
    let verdict = match &secret {
        Some(found) => verdict.because_object(found.secret, &found.secret.title(), "the Secret as it stands"),
        None => verdict,
    };
    Some(
        Step::fail(
            "discovery",
            place,
            format!("it has no remote secret for {theirs}: {why}"),
            "remote-secret-missing",
            verdict,
        )
        .told(event, quote),
    )
}

/// The endpoints in a cluster: what istiod knows, and what the caller's proxy made of it.
pub(super) fn endpoints(call: &Call<'_>, far: &Cluster, known: &Known<'_>) -> Step {
    let place = format!("of {} in {}", call.service.host, far.title());
    let is_near = far.name == call.near.name;
    let holder = if call.plane == Plane::Ambient { "ztunnel" } else { "the sidecar" };
    let by_istiod = known.by_istiod.map(|count| format!("istiod knows {count}, "));
    let by_istiod = by_istiod.as_deref().unwrap_or("");
    let Some(held) = &known.held else {
        if let Some(item) = wrong_address(call, far) {
            return Step::found("endpoints", item);
        }
        let how = match call.plane {
            Plane::Ambient => format!("istioctl --context {} ztunnel-config all -o json", call.near.name),
            _ => format!("istioctl --context {} proxy-config endpoints {} -o json", call.near.name, call.who()),
        };
        return match known.by_istiod {
            Some(0) => absent(call, far, known, place, "istiod knows none"),
            Some(count) => {
                Step::pass("endpoints", place, format!("istiod knows {count}; what {holder} holds was not saved"))
            }
            None => not_offered(call, far, None, &place, "not shown").unwrap_or_else(|| {
                Step::unknown("endpoints", place, &format!("what istiod knows and {holder} holds is not shown"), how)
            }),
        };
    };
    let Some(first) = held.first() else {
        let others = if known.all == 0 {
            "none at all".to_string()
        } else {
            format!("none of them, {} of other clusters", known.all)
        };
        return absent(call, far, known, place, &format!("{by_istiod}{holder} holds {others}"));
    };
    let bad = |endpoint: &&Endpoint<'_>| {
        matches!(endpoint.class, Class::PodWhereGatewayShould { .. } | Class::AutoAllocated | Class::Stale { .. })
    };
    let wrong: Vec<&Endpoint<'_>> = held.iter().filter(bad).collect();
    let listed: Vec<String> = held.iter().take(3).map(words).collect();
    let more = if held.len() > 3 { format!(" and {} more", held.len() - 3) } else { String::new() };
    let says = format!("{by_istiod}{holder} holds {}{more}", listed.join(", "));
    if let Some(endpoint) = wrong.first().filter(|_| wrong.len() == held.len()) {
        return misdirected(call, far, place, &says, endpoint);
    }
    let shared = held.iter().any(|endpoint| matches!(endpoint.class, Class::PodSharedNetwork { .. }));
    if let Some(item) = wrong_address(call, far).filter(|_| shared && !is_near) {
        return Step::found("endpoints", item).told(first.event, raw(call, first));
    }
    let step = match held.iter().any(|endpoint| endpoint.is_ready) {
        _ if !wrong.is_empty() => Step::warn("endpoints", place, says),
        true => Step::pass("endpoints", place, says),
        false => Step::warn("endpoints", place, format!("{says}, and takes none for healthy")),
    };
    step.told(first.event, raw(call, first))
}

/// An endpoint as the document of the caller's proxy has it.
fn raw(call: &Call<'_>, endpoint: &Endpoint<'_>) -> String {
    let (host, address) = (&call.service.host, &endpoint.address);
    match endpoint.port {
        0 => format!("service {host}: {address}"),
        port => format!("outbound|{}||{host}: {address}:{port}", call.service.port),
    }
}

/// An endpoint with what its address is.
fn words(endpoint: &Endpoint<'_>) -> String {
    let address = match endpoint.port {
        0 => endpoint.address.clone(),
        port => format!("{}:{port}", endpoint.address),
    };
    let what = match &endpoint.class {
        Class::Local => "a pod here".to_string(),
        Class::GatewayAddress { network, cluster } => {
            format!("the gateway of {}", if cluster.is_empty() { network } else { cluster })
        }
        Class::PodSharedNetwork { cluster } => format!("a pod of {cluster}, same network"),
        Class::PodWhereGatewayShould { cluster, .. } => format!("a pod of {cluster}, where its gateway should be"),
        Class::AutoAllocated => "an address that istiod made up".to_string(),
        Class::Stale { cluster } => format!("no longer in {cluster}"),
        Class::Unknown => "of unknown owner".to_string(),
    };
    let health = if endpoint.is_ready { "" } else { ", unhealthy" };
    format!("{address} ({what}{health})")
}

/// What a check found of the labels and gateways that decide the addresses of a cluster's endpoints.
fn wrong_address<'v>(call: &Call<'v>, far: &Cluster) -> Option<&'v Item> {
    let concerns = |item: &Item| {
        let slug = item.cause.as_ref().map_or("", |(slug, _)| slug);
        let own_gateway = call.near.own_gateways().any(|gateway| item.object.contains(&gateway.object.title()));
        let is_pair = 1 < item.clusters().count();
        match slug {
            "network-label-wrong" => {
                let of_pod = item.object.starts_with("Pod ")
                    || item.object.starts_with("pod ")
                    || item.object.starts_with("proxy ");
                let is_ours = is_about(item, &call.name)
                    || pods(call, far).iter().any(|(object, _)| is_about(item, &object.name));
                let here = (names(item, far) || names(item, call.near) && !own_gateway) && (!of_pod || is_ours);
                here && (!is_pair || names(item, far) && names(item, call.near))
            }
            "stale-endpoint" => mentions(item, far) && is_about(item, &call.service.name),
            "dataplane-mode-mismatch" => is_toward(item, call.near, far),
            _ => names(item, far) || is_pair && is_toward(item, call.near, far),
        }
    };
    ADDRESSES.iter().find_map(|slug| call.asked(&[slug], concerns))
}

/// Whether an item about two clusters is about calls from one to the other.
pub(super) fn is_toward(item: &Item, near: &Cluster, far: &Cluster) -> bool {
    item.clusters().next().is_some_and(|name| name == &*near.name || name == near.title()) && names(item, far)
}

/// The proxy dials another address than it should.
fn misdirected(call: &Call<'_>, far: &Cluster, place: String, says: &str, endpoint: &Endpoint<'_>) -> Step {
    if let Some(item) = wrong_address(call, far) {
        return Step::found("endpoints", item).told(endpoint.event, raw(call, endpoint));
    }
    let (near, theirs) = (call.near.title(), far.title());
    let quote = raw(call, endpoint);
    let (slug, verdict) = match &endpoint.class {
        Class::Stale { .. } => {
            let who = if endpoint.workload.is_empty() {
                call.service.host.clone()
            } else {
                format!("{}.{}", endpoint.workload, endpoint.namespace)
            };
            let verdict = Verdict::likely(&format!("{who} of {theirs}"))
                .slot("to", &who)
                .slot("addr", &endpoint.address)
                .slot("host", &endpoint.address)
                .slot("source", theirs);
            ("stale-endpoint", verdict)
        }
        _ => {
            let pair = tunnel::pair(near, theirs);
            ("network-label-wrong", Verdict::likely(&pair).slot("pair", &pair))
        }
    };
    let verdict = verdict
        .slot("addr", &endpoint.address)
        .token(&endpoint.address)
        .token(&call.service.host)
        .cluster(near)
        .cluster(theirs)
        .because_quote(endpoint.event, &quote, "what the caller's proxy dials");
    Step::fail("endpoints", place, says, slug, verdict).told(endpoint.event, quote)
}

/// The proxy has no endpoint in a cluster where the service runs.
fn absent(call: &Call<'_>, far: &Cluster, known: &Known<'_>, place: String, says: &str) -> Step {
    if let Some(step) = none_ready("endpoints", call, far, known) {
        return step;
    }
    let is_near = far.name == call.near.name;
    if !is_near {
        if let Some(item) = wrong_address(call, far) {
            return Step::found("endpoints", item);
        }
        if let Some(step) = not_offered(call, far, known.held.as_ref().map(Vec::len), &place, says)
            .or_else(|| no_sidecar(call, far, &place, says))
        {
            return step;
        }
    }
    let step = Step::stop("endpoints", place, says.to_string());
    match call.held().into_iter().flatten().next() {
        Some(other) => step.told(other.event, raw(call, &other)),
        None => step,
    }
}

/// In ambient a service crosses networks only where it is global.
fn not_offered(call: &Call<'_>, far: &Cluster, arrives: Option<usize>, place: &str, says: &str) -> Option<Step> {
    let network = |cluster: &Cluster| cluster.network().and_then(|(_, network)| network.map(str::to_string));
    let (ours, theirs) = (network(call.near)?, network(far)?);
    let is_asked = call.plane == Plane::Ambient && call.service.is_of_kubernetes() && far.name != call.near.name;
    if !is_asked || ours == theirs {
        return None;
    }
    let (object, _) = service::object(call, far)?;
    // Where the mesh config may open it by more than labels, that nothing of it arrives still says that it does not.
    let is_sure = match far.is_global(object) {
        Some(true) => return None,
        Some(false) => true,
        None if arrives == Some(0) => false,
        None => return None,
    };
    let mut verdict = not_global(far, object, &call.service.namespace, &call.service.name)
        .says("{service} is not global in {network}: without the label istio.io/global=true its endpoints stay in their own network");
    if !is_sure {
        verdict.confidence = verdict.confidence.lowered();
    }
    let says = format!("{says}: the Service is not global in {}", far.title());
    let quote = format!("{}: no istio.io/global", object.title());
    Some(Step::fail("endpoints", place, says, "service-not-global", verdict).told(&object.event, quote))
}

/// Pods without mutual TLS are left out of what other networks get.
fn no_sidecar(call: &Call<'_>, far: &Cluster, place: &str, says: &str) -> Option<Step> {
    let pods = pods(call, far);
    let (object, pod) = pods.first()?;
    if !pods.iter().all(|(object, pod)| plane_of(object, pod) == Plane::Outside) {
        return None;
    }
    let who = format!("{}.{}", object.name, object.namespace);
    let containers: Vec<&str> = pod.containers.iter().map(|container| &*container.name).collect();
    let quote = format!("{}: containers: {}", object.title(), containers.join(", "));
    let reason = "no container istio-proxy, and other networks are told of pods with mutual TLS alone";
    let verdict = Verdict::likely(&who)
        .slot("who", &who)
        .slot("reason", reason)
        .token(&who)
        .cluster(far.title())
        .because_quote(&object.event, &quote, "a pod behind the service is not in the mesh");
    let says = format!("{says}: its pods in {} have no sidecar", far.title());
    Some(Step::fail("endpoints", place, says, "injection-missing", verdict).told(&object.event, quote))
}
