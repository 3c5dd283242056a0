//! The service that is called, as the cluster of the caller and those of its endpoints define it.

use meshwhy_parsers::state::object::{Body, Service};

use super::call::{Call, Plane, is_about, names};
use super::hops::Step;
use crate::engine::cause::Verdict;
use crate::engine::mesh::{Cluster, Doc};
use meshwhy_parsers::state::object::Object;

/// What checks find wrong with a service.
const SLUGS: [&str; 3] = ["service-differs", "service-not-global", "discovery-selectors"];

/// The Service of a cluster.
pub(super) fn object<'v>(call: &Call<'_>, cluster: &'v Cluster) -> Option<(&'v Doc<Object>, &'v Service)> {
    cluster
        .services()
        .find(|(object, _)| *object.namespace == *call.service.namespace && *object.name == *call.service.name)
}

/// The service where it is called: its name resolves, the port exists, the proxy knows it.
pub(super) fn at_the_client(call: &Call<'_>) -> Step {
    let service = &call.service;
    let cluster = call.near.title();
    let place = format!("{} in {cluster}", service.title());
    let is_selector = |slug: &str| slug == "discovery-selectors";
    let found = call.asked(&SLUGS, |item| {
        let slug = item.cause.as_ref().map_or("", |(slug, _)| slug);
        let of_it = if is_selector(slug) { is_about(item, &service.namespace) } else { is_about(item, &service.name) };
        // What only differs from another cluster is told on the way there.
        names(item, call.near) && item.clusters().count() == 1 && of_it
    });
    if let Some(item) = found {
        return Step::found("service", item);
    }
    if !service.is_of_kubernetes() {
        return by_host(call, place);
    }
    let Some((object, of)) = object(call, call.near) else { return missing(call, place) };
    let ports: Vec<String> = of.ports.iter().map(|port| port.port.to_string()).collect();
    let quote = format!("{}: spec.ports: {}", object.title(), ports.join(", "));
    if !of.ports.is_empty() && !of.ports.iter().any(|port| port.port == service.port) {
        return wrong_port(call, place, object, &ports.join(", "));
    }
    if let Some(step) = not_held(call, &place) {
        return step;
    }
    Step::pass("service", place, format!("exists, with port {}", service.port)).told(&object.event, quote)
}

/// The service lacks the port in the caller's cluster; perhaps it has it elsewhere.
fn wrong_port(call: &Call<'_>, place: String, here: &Doc<Object>, ports: &str) -> Step {
    let service = &call.service;
    let says = format!("it has no port {}, but {ports}", service.port);
    let quote = format!("{}: spec.ports: {ports}", here.title());
    let elsewhere = call.others().find_map(|far| {
        let (object, of) = object(call, far)?;
        of.ports.iter().any(|port| port.port == service.port).then_some((far, object))
    });
    let Some((far, there)) = elsewhere else {
        return Step::stop("service", place, says).told(&here.event, quote);
    };
    let subject = format!("{}/{}", service.namespace, service.name);
    let verdict = Verdict::certain(&subject)
        .says("the service {service} has the port {port} in {two}, but not in {one}, where it is called")
        .slot("service", &subject)
        .slot("name", &service.name)
        .slot("port", service.port)
        .slot("one", call.near.title())
        .slot("two", far.title())
        .token(&service.name)
        .cluster(call.near.title())
        .cluster(far.title())
        .because_object(here, &format!("spec.ports: {ports}"), "the Service where it is called")
        .because_object(there, &format!("spec.ports: {}", service.port), "the Service where it runs");
    Step::fail("service", place, says, "service-differs", verdict).told(&here.event, quote)
}

/// The caller's cluster has no Service of that name: its name server does not know the name.
fn missing(call: &Call<'_>, place: String) -> Step {
    let service = &call.service;
    let (cluster, namespace) = (call.near.title(), &service.namespace);
    if !call.near.knows_all("Service", namespace) {
        let how = format!("kubectl --context {} get services -A -o yaml", call.near.name);
        return match call.held().filter(|held| !held.is_empty()).as_deref() {
            Some([first, ..]) => {
                Step::pass("service", place, "the caller's proxy has endpoints of it; the Service was not saved")
                    .told(first.event, format!("endpoints of {}", service.host))
            }
            _ => Step::unknown("service", place, "the Services of this cluster were not saved", how),
        };
    }
    let ambient = call.ztunnel().filter(|_| call.plane == Plane::Ambient);
    let captures = call.plane == Plane::Ambient
        && ambient.is_some_and(|(_, dump)| dump.services.iter().any(|of| *of.hostname == *service.host))
        || call.plane == Plane::Sidecar && captures_dns(call);
    if captures {
        return Step::warn("service", place, "does not exist; the name resolves only where the proxy answers DNS");
    }
    let others: Vec<(&Cluster, &Doc<Object>)> =
        call.others().filter_map(|far| Some((far, object(call, far)?.0))).collect();
    let Some((far, there)) = others.first() else {
        return Step::stop("service", place, "no cluster that was saved has this Service");
    };
    let says = format!("does not exist here, only in {}: its name does not resolve", far.title());
    let subject = format!("{namespace}/{}", service.name);
    let verdict = Verdict::certain(&subject);
    let (slug, verdict) = if call.plane == Plane::Ambient {
        ("service-not-global", verdict.says("no service {service} exists in {network}, from which it is called: create it there, global like the one elsewhere").slot("network", cluster).slot("status", "nothing"))
    } else {
        ("service-differs", verdict.says("the service {service} exists in {two} but not in {one}, where it is called: the name server of {one} does not know its name").slot("one", cluster).slot("two", far.title()))
    };
    let mut verdict = verdict
        .slot("service", &subject)
        .slot("name", &service.name)
        .token(&service.name)
        .cluster(cluster)
        .cluster(far.title())
        .because_object(there, &format!("metadata.name: {}", service.name), "the Service where it runs");
    if let Some((object, _)) = call
        .near
        .services()
        .find(|(object, _)| *object.namespace == **namespace)
        .or_else(|| call.near.services().next())
    {
        verdict = verdict.because_quote(
            &object.event,
            &format!("no Service {subject}"),
            "the Services of the caller's cluster do not have it",
        );
    }
    Step::fail("service", place, says, slug, verdict).told(&there.event, there.title())
}

/// Whether the caller's proxy answers DNS for names that its cluster does not have.
fn captures_dns(call: &Call<'_>) -> bool {
    let is_on = |value: &str| value == "true";
    let of_pod = call.pod.and_then(|(_, pod)| crate::engine::mesh::env(&pod.containers, "ISTIO_META_DNS_CAPTURE"));
    let of_mesh = call.controls().into_iter().filter_map(|cluster| cluster.mesh_config());
    let mut of_mesh = of_mesh.filter_map(|(_, config)| config.proxy_metadata.get("ISTIO_META_DNS_CAPTURE"));
    of_pod.is_some_and(is_on) || of_mesh.any(|value| is_on(value))
}

/// A host that is no Service of Kubernetes: something else must bring it to the caller.
fn by_host(call: &Call<'_>, place: String) -> Step {
    let service = &call.service;
    let entry = call.near.objects("ServiceEntry").find_map(|object| match &object.body {
        Body::ServiceEntry(entry) if entry.hosts.iter().any(|host| **host == *service.host) => Some((object, entry)),
        _ => None,
    });
    if let Some((object, entry)) = entry {
        let ports: Vec<u16> = entry.ports.iter().map(|(port, ..)| *port).collect();
        let listed: Vec<String> = ports.iter().map(ToString::to_string).collect();
        let quote = format!("{}: spec.ports: {}", object.title(), listed.join(", "));
        return if ports.is_empty() || ports.contains(&service.port) {
            Step::pass("service", object.title(), format!("brings {} to {}", service.host, call.near.title()))
                .told(&object.event, quote)
        } else {
            Step::stop("service", object.title(), format!("it has no port {}, but {}", service.port, listed.join(", ")))
                .told(&object.event, quote)
        };
    }
    match call.held() {
        Some(held) if !held.is_empty() => {
            Step::pass("service", place, format!("{} is known to the caller's proxy", service.host))
        }
        _ if call.near.knows_all("ServiceEntry", "") => {
            Step::stop("service", place, format!("nothing brings {} to {}", service.host, call.near.title()))
        }
        _ => Step::unknown(
            "service",
            place,
            &format!("nothing shows whether {} knows {}", call.near.title(), service.host),
            format!("kubectl --context {} get serviceentries -A -o yaml", call.near.name),
        ),
    }
}

/// The Service exists, and the caller's proxy does not hold it.
fn not_held(call: &Call<'_>, place: &str) -> Option<Step> {
    let service = &call.service;
    if call.plane == Plane::Ambient {
        let (event, dump) = call.ztunnel().filter(|(_, dump)| dump.parts.services)?;
        let is_known = dump.services.iter().any(|of| *of.hostname == *service.host);
        let says = "exists, but ztunnel does not know it";
        return (!is_known)
            .then(|| Step::stop("service", place, says).told(event, format!("no service {}", service.host)));
    }
    let proxy = call.proxy()?;
    let (event, clusters) = proxy.clusters()?;
    let wanted = format!("outbound|{}||{}", service.port, service.host);
    if clusters.iter().any(|cluster| *cluster.name == *wanted)
        || clusters.iter().all(|cluster| !cluster.name.starts_with("outbound|"))
    {
        return None;
    }
    let limits = call.near.objects("Sidecar").find(|object| {
        let Body::Sidecar(sidecar) = &object.body else { return false };
        let is_here = *object.namespace == *call.namespace || *object.namespace == *call.near.system_namespace();
        let labels = call.pod.and_then(|(pod, _)| pod.labels.as_ref());
        let selects =
            sidecar.selector.iter().all(|(key, value)| labels.is_some_and(|labels| labels.get(key) == Some(value)));
        is_here && selects && !sidecar.egress_hosts.is_empty()
    });
    let why = limits.map(|object| format!(": {} limits what it gets", object.title())).unwrap_or_default();
    let step = Step::stop("service", place, format!("exists, but the sidecar does not hold its cluster{why}"));
    Some(step.told(event, format!("no cluster {wanted}")))
}

/// The same service in the cluster where the call should end.
pub(super) fn at_the_server(call: &Call<'_>, far: &Cluster) -> Option<Step> {
    let service = &call.service;
    let found = call.asked(&SLUGS, |item| {
        let slug = item.cause.as_ref().map_or("", |(slug, _)| slug);
        let (is_selector, is_waypoint) = (slug == "discovery-selectors", item.object.starts_with("waypoint"));
        let of_it = is_about(item, if is_selector { &service.namespace } else { &service.name });
        let is_there = names(item, far) && (item.clusters().count() == 1 || names(item, call.near));
        is_there && of_it && !is_waypoint
    });
    found.map(|item| Step::found("service", item))
}
