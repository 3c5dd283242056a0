//! The caller's side: its pod, and the proxy or ztunnel that takes its call.

use meshwhy_parsers::state::istiod::Said;

use super::call::{Call, Plane, is_about, names};
use super::hops::Step;
use crate::causes::tunnel;
use crate::engine::cause::Verdict;
use crate::engine::check::Item;
use crate::engine::mesh::{NETWORK, env};

/// What keeps proxies of a cluster from their control plane.
const CONTROL: [&str; 9] = [
    "istiod-remote-missing",
    "istiod-remote-misaddressed",
    "istiod-down",
    "istiod-unreachable",
    "ca-cert-expired",
    "third-party-jwt-unsupported",
    "jwt-invalid",
    "sds-secret-missing",
    "ca-provider-unavailable",
];

/// The caller's pod, and how it is part of the mesh.
pub(super) fn client(call: &Call<'_>) -> Step {
    let also = if call.also.is_empty() {
        String::new()
    } else {
        format!("; {} has one, too: write CLUSTER/NAME to mean another", call.also.join(", "))
    };
    let cluster = call.near.title();
    let place = format!("pod {} in {cluster}", call.who());
    let Some((object, pod)) = call.pod else {
        let says = match call.plane {
            Plane::Sidecar => "its sidecar is known, its pod is not",
            Plane::Ambient => "ztunnel knows it, its pod was not saved",
            Plane::Outside | Plane::Unknown => "its pod was not saved",
        };
        return Step::pass("client", place, format!("{says}{also}"));
    };
    let ready = format!("{} of {} containers ready", pod.ready.0, pod.ready.1);
    let is_ready = 0 < pod.ready.1 && pod.ready.0 == pod.ready.1;
    let step = match call.plane {
        Plane::Sidecar if is_ready => Step::pass("client", place, format!("has a sidecar{also}"))
            .told(&object.event, format!("containers: istio-proxy; {ready}")),
        Plane::Ambient if is_ready => Step::pass("client", place, format!("in ambient{also}")),
        Plane::Sidecar | Plane::Ambient => Step::warn("client", place, format!("not ready: {ready}{also}")),
        Plane::Unknown => Step::unknown(
            "client",
            place,
            "nothing shows whether it has a sidecar or is in ambient",
            format!("kubectl --context {} get pod -n {} {} -o yaml", call.near.name, call.namespace, call.name),
        ),
        Plane::Outside => return outside(call, place),
    };
    match (call.plane, object.annotation("ambient.istio.io/redirection")) {
        (Plane::Ambient, Some(value)) => step.told(&object.event, format!("ambient.istio.io/redirection: {value}")),
        _ => step,
    }
}

/// A caller that the mesh does not know: its calls go out as they are.
fn outside(call: &Call<'_>, place: String) -> Step {
    let Some((object, pod)) = call.pod else { return Step::stop("client", place, "it is not part of the mesh") };
    let who = call.who();
    let namespace = call.near.object("Namespace", "", &call.namespace);
    let label = |key: &str| object.label(key).or_else(|| namespace.and_then(|of| of.label(key)));
    let is_ambient = label("istio.io/dataplane-mode") == Some("ambient");
    let opts_out =
        object.label("sidecar.istio.io/inject").or(object.annotation("sidecar.istio.io/inject")) == Some("false");
    let injects = label("istio-injection") == Some("enabled") || label("istio.io/rev").is_some();
    let reason = match () {
        () if pod.host_network => "it uses its node's network, which the mesh leaves out".to_string(),
        () if opts_out => "it opts out with sidecar.istio.io/inject=false".to_string(),
        () if injects => format!("namespace {} is labelled, but the pod was made without one", call.namespace),
        () if namespace.is_some_and(|of| of.labels.is_some()) => {
            format!("namespace {} carries no injection label", call.namespace)
        }
        () => "the pod was made without one".to_string(),
    };
    let containers: Vec<&str> = pod.containers.iter().map(|container| &*container.name).collect();
    let quote = format!("{}: containers: {}", object.title(), containers.join(", "));
    let (says, slug, verdict) = if is_ambient || call.near.is_ambient() && !injects {
        let reason = if is_ambient {
            "it should be in ambient, and nothing captured it"
        } else {
            "neither pod nor namespace is labelled istio.io/dataplane-mode=ambient"
        };
        let verdict = Verdict::certain(&who)
            .says("{to} is not captured by ambient: {reason}")
            .slot("to", &who)
            .slot("reason", reason)
            .slot("addr", pod.ips.first().map_or("", |ip| ip))
            .slot("pod", &call.name)
            .slot("namespace", &call.namespace);
        (format!("neither ambient nor a sidecar takes its calls: {reason}"), "ambient-capture-missing", verdict)
    } else {
        let verdict = Verdict::certain(&who).slot("who", &who).slot("reason", &reason);
        (format!("no sidecar, so its calls do not enter the mesh: {reason}"), "injection-missing", verdict)
    };
    let mut verdict = verdict.token(&who).cluster(call.near.title()).because_quote(
        &object.event,
        &quote,
        "no container istio-proxy, and ambient did not capture the pod",
    );
    if let Some(namespace) = namespace.filter(|of| !of.is_row) {
        let labels: Vec<String> =
            namespace.labels.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
        let quote = format!("{}: labels: {}", namespace.title(), labels.join(", "));
        verdict = verdict.because_quote(&namespace.event, &quote, "the labels of its namespace");
    }
    Step::fail("client", place, says, slug, verdict).told(&object.event, quote)
}

/// The sidecar or the ztunnel that takes the call: connected, in sync, on the right network.
pub(super) fn proxy(call: &Call<'_>) -> Step {
    let name = if call.plane == Plane::Ambient { "ztunnel" } else { "sidecar" };
    if let Some(item) = wrong_network(call) {
        return Step::found(name, item);
    }
    let own = |object: &str| !object.starts_with("proxy ") || object.contains(&call.who());
    let control = call.asked(&CONTROL, |item| names(item, call.near) && own(&item.object));
    if let Some(item) = control.filter(|_| !is_in_sync(call)) {
        return Step::found(name, item);
    }
    if call.plane == Plane::Ambient { ztunnel(call) } else { elsewhere(call).unwrap_or_else(|| sidecar(call)) }
}

/// A sidecar that claims to be in the network of another cluster: istiod sends it what only that one can reach.
fn elsewhere(call: &Call<'_>) -> Option<Step> {
    let (object, own) = call.near.network()?;
    let own = own?;
    let by_node = call.proxy().and_then(|proxy| proxy.node()).map(|(event, node)| (event, "NETWORK", &*node.network));
    let by_pod = call.pod.and_then(|(object, pod)| {
        Some((&object.event, "ISTIO_META_NETWORK", env(&pod.containers, "ISTIO_META_NETWORK")?))
    });
    let (event, field, claimed) = by_node.filter(|(.., claimed)| !claimed.is_empty()).or(by_pod)?;
    let far = call.others().find(|far| far.network().is_some_and(|(_, network)| network == Some(claimed)))?;
    if claimed == own {
        return None;
    }
    let (who, cluster) = (call.who(), call.near.title());
    let pair = tunnel::pair(cluster, far.title());
    let quote = format!("{field}: {claimed}");
    let verdict = Verdict::certain(&pair)
        .says("the sidecar of {who} claims network {claimed} of {far}, but runs in {near} on {own}: istiod sends it addresses that it cannot reach")
        .slot("who", &who)
        .slot("claimed", claimed)
        .slot("far", far.title())
        .slot("near", cluster)
        .slot("own", own)
        .slot("pair", &pair)
        .slot("addr", &call.service.host)
        .token(&who)
        .token(claimed)
        .cluster(cluster)
        .cluster(far.title())
        .because_quote(event, &quote, "the network that the sidecar claims")
        .because_object(object, &format!("{NETWORK}: {own}"), "the network of its cluster");
    let says = format!("it claims network {claimed} of {}, and runs on {own}", far.title());
    Some(Step::fail("sidecar", format!("of {who}"), says, "network-label-wrong", verdict).told(event, quote))
}

/// A check's finding that the caller's proxy or ztunnel takes itself for part of another network.
fn wrong_network<'v>(call: &Call<'v>) -> Option<&'v Item> {
    call.asked(&["network-label-wrong"], |item| {
        let is_ztunnel = call.plane == Plane::Ambient && item.object.to_lowercase().contains("ztunnel");
        let is_proxy = call.plane != Plane::Ambient && is_about(item, &call.name);
        names(item, call.near) && (is_ztunnel || is_proxy)
    })
}

/// Whether an istiod has sent the caller's proxy all that it wanted to.
fn is_in_sync(call: &Call<'_>) -> bool {
    let documents = call.controls().into_iter().flat_map(|of| of.istiods()).flat_map(|istiod| istiod.documents());
    let rows = documents.filter_map(|document| if let Said::Sync(rows) = &document.said { Some(rows) } else { None });
    let who = call.who();
    rows.flatten().any(|row| *row.proxy == *who && row.behind.is_empty())
}

fn sidecar(call: &Call<'_>) -> Step {
    let who = call.who();
    let place = format!("of {who}");
    let cluster = call.near.title();
    let rejected = call.proxy().into_iter().flat_map(|proxy| proxy.documents()).find_map(|document| {
        let rejected = document.rejected.iter().find(|rejected| rejected.name.contains(&call.service.host))?;
        Some((&document.event, rejected))
    });
    if let Some((event, rejected)) = rejected {
        let quote = format!("{} {}: {}", rejected.kind, rejected.name, rejected.details);
        let verdict = Verdict::certain(&format!("{who} {}", rejected.name))
            .slot("who", &who)
            .slot("kind", &rejected.kind)
            .slot("resource", &rejected.name)
            .slot("reason", &rejected.details)
            .slot("proxy", &who)
            .token(&who)
            .because_quote(event, &quote, "the proxy refused what istiod sent it");
        let says = format!("it rejects {} {}", rejected.kind, rejected.name);
        return Step::fail("sidecar", place, says, "xds-rejected", verdict).told(event, quote);
    }
    let sync = call.controls().into_iter().flat_map(|of| of.istiods()).flat_map(|istiod| istiod.documents());
    let mut asked = None;
    for document in sync {
        let Said::Sync(rows) = &document.said else { continue };
        asked.get_or_insert(&document.event);
        let Some(row) =
            rows.iter().find(|row| *row.proxy == *who && (row.cluster.is_empty() || call.near.is_called(&row.cluster)))
        else {
            continue;
        };
        let behind: Vec<String> = row.behind.iter().map(|(kind, state)| format!("{kind} {state}")).collect();
        if behind.is_empty() {
            return Step::pass("sidecar", place, "connected to istiod and in sync")
                .told(&document.event, format!("{}: in sync", row.proxy));
        }
        let quote = format!("{}: {}", row.proxy, behind.join(", "));
        return Step::warn("sidecar", place, format!("behind istiod: {}", behind.join(", ")))
            .told(&document.event, quote);
    }
    let shown = call.proxy().is_some();
    let how = format!("istioctl --context {} proxy-status -o json", call.near.name);
    match (asked, shown) {
        (Some(event), true) => Step::warn("sidecar", place, "none of the istiods that were asked has it connected")
            .told(event, format!("no proxy {who}")),
        (Some(event), false) => {
            Step::unknown("sidecar", place, &format!("no istiod of {cluster} that was asked lists it"), how)
                .told(event, format!("no proxy {who}"))
        }
        (None, true) => Step::pass("sidecar", place, "its configuration was saved; whether it is in sync was not"),
        (None, false) => Step::unknown(
            "sidecar",
            place,
            "neither what it holds nor whether it is in sync was saved",
            format!("istioctl --context {} proxy-config all {who} -o json", call.near.name),
        ),
    }
}

fn ztunnel(call: &Call<'_>) -> Step {
    let cluster = call.near.title();
    let down = call.asked(&["ztunnel-not-ready", "cni-failure"], |item| names(item, call.near));
    if let Some(item) = down {
        return Step::found("ztunnel", item);
    }
    let Some((event, dump)) = call.ztunnel() else {
        let how = format!("istioctl --context {} ztunnel-config all -o json", call.near.name);
        return Step::unknown("ztunnel", format!("of {cluster}"), "what it knows was not saved", how);
    };
    let node = if dump.node.is_empty() { String::new() } else { format!(" on {}", dump.node) };
    let place = format!("of {cluster}{node}");
    let uid = format!("//Pod/{}/{}", call.namespace, call.name);
    let known = dump.workloads.iter().find(|workload| workload.uid.ends_with(&uid));
    let Some(workload) = known else {
        let says = format!("it does not know {}", call.who());
        return match dump.parts.workloads {
            true => Step::warn("ztunnel", place, says).told(event, format!("no workload {uid}")),
            false => Step::unknown(
                "ztunnel",
                place,
                "its workloads were not saved",
                "istioctl ztunnel-config workloads -o json",
            ),
        };
    };
    let own = call.near.network().and_then(|(object, network)| Some((object, network?)));
    if let Some((object, network)) = own.filter(|(_, network)| *dump.network != **network && dump.parts.config) {
        let mine = if dump.network.is_empty() { "none" } else { &dump.network };
        let says = format!("it takes itself for part of network {mine}, and istiod calls it {network}");
        let verdict = Verdict::certain(&format!("ztunnel of {cluster}"))
            .says("ztunnel of {pair} has the network {mine}, but istio-system is labelled {network}: it looks up services under another name than istiod sends")
            .slot("pair", cluster)
            .slot("mine", mine)
            .slot("network", network)
            .slot("addr", &call.service.host)
            .token(network)
            .cluster(cluster)
            .because_quote(event, &format!("config.network: {}", dump.network), "the network ztunnel was given")
            .because_object(object, &format!("{NETWORK}: {network}"), "the network of its cluster");
        return Step::fail("ztunnel", place, says, "network-label-wrong", verdict)
            .told(event, format!("config.network: {}", dump.network));
    }
    let says = "knows the caller";
    let step = if &*workload.protocol == "HBONE" {
        Step::pass("ztunnel", place, says)
    } else {
        Step::warn("ztunnel", place, "knows the caller as one without ambient")
    };
    step.told(event, format!("workload {}: {}", workload.uid, workload.protocol))
}
