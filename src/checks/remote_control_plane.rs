//! The way of a cluster without istiod to its control plane: the Service that its proxies dial and what stands behind it.
//!
//! The chart writes a Service `istiod[-<revision>]` without selector and, for an IP address, Endpoints or an EndpointSlice
//! of the same name (`istio/istio: manifests/charts/istio-control/istio-discovery/templates/remote-istiod-*.yaml`); the
//! address is that of the primary's east-west gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use meshwhy_parsers::event::Event;
use meshwhy_parsers::state::State;
use meshwhy_parsers::state::istiod::Said;
use meshwhy_parsers::state::object::{Body, Object};

use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Doc, env};
use crate::engine::view::View;

/// See the title.
pub static CHECK: Check = Check {
    id: "remote-control-plane",
    title: "Clusters without istiod are led to their control plane",
    before_linking: false,
    run,
};

const MISSING: &str = "istiod-remote-missing";
const MISADDRESSED: &str = "istiod-remote-misaddressed";

/// Where istiod serves configuration and certificates to proxies.
const XDS: u16 = 15012;

fn run(view: &View<'_>) -> Vec<Item> {
    let of_cluster = |cluster| {
        let items = remote(view, cluster);
        if items.is_empty() { looked_for(view, cluster).into_iter().collect() } else { items }
    };
    view.mesh().clusters().flat_map(of_cluster).collect()
}

/// A person looked for istiod's Service or its endpoints where none runs, and a table says that there is nothing.
fn looked_for(view: &View<'_>, cluster: &Cluster) -> Option<Item> {
    if cluster.has_istiod() == Some(true) {
        return None;
    }
    let here = view.states().filter(|(event, _)| *event.origin.cluster == *cluster.name);
    let mut shows = here.filter_map(|(event, state)| match state {
        State::Missing { kind, name, .. } => {
            let is_way = ["service", "svc", "endpoint", "ep"].iter().any(|of| kind.starts_with(of));
            (is_way && !kind.starts_with("serviceacc") && is_istiod(name)).then_some((event, "there is no such object"))
        }
        State::Endpoints { name, addresses, .. } => {
            (is_istiod(name) && addresses.is_empty()).then_some((event, "the service leads nowhere"))
        }
        _ => None,
    });
    let (event, shows) = shows.next()?;
    let verdict = missing(Verdict::likely(&cluster.name), cluster, shows)
        .because(event, shows)
        .settle_by("kubectl -n istio-system get pods,service,endpoints");
    Some(Item::fail(&cluster.name, "Service istiod", shows, MISSING, verdict))
}

fn missing(verdict: Verdict, cluster: &Cluster, reason: &str) -> Verdict {
    verdict.slot("cluster", &cluster.name).slot("reason", reason).cluster(&cluster.name)
}

/// Whether an object's name is that of istiod's Service: `istiod`, `istiod-1-27`, `istiod-remote`.
fn is_istiod(name: &str) -> bool {
    name == "istiod" || name.starts_with("istiod-")
}

/// A cluster that is run by the istiod of another one.
fn remote(view: &View<'_>, cluster: &Cluster) -> Vec<Item> {
    if cluster.has_istiod() == Some(true) || cluster.is_peered() || !is_meshed(cluster) {
        return Vec::new();
    }
    let primaries: Vec<&Cluster> = view.others(cluster).filter(|other| other.has_istiod() == Some(true)).collect();
    if primaries.is_empty() {
        return Vec::new();
    }
    let dialled = dialled(cluster);
    let names: BTreeSet<(&str, &str)> = dialled.iter().filter_map(|address| service_of(address)).collect();
    let asked = Asked { cluster, primaries };
    let by_name = names.iter().filter_map(|(namespace, name)| asked.service(namespace, name));
    let by_address = dialled.iter().filter(|address| service_of(address).is_none()).filter_map(|address| {
        let (host, port) = split(address);
        asked.leads(&[host], port, None, "the discovery address of its proxies")
    });
    by_name.chain(by_address).collect()
}

/// Whether a cluster takes part in a mesh at all.
fn is_meshed(cluster: &Cluster) -> bool {
    cluster.is_ambient()
        || cluster.proxies().next().is_some()
        || cluster.own_gateways().next().is_some()
        || cluster.objects("Namespace").any(is_injected)
        || cluster.pods().any(|(_, pod)| env(&pod.containers, "CA_ADDR").is_some())
        || cluster.objects("MutatingWebhookConfiguration").any(|object| is_injector(object))
}

fn is_injected(namespace: &Doc<Object>) -> bool {
    namespace.label("istio-injection") == Some("enabled") || namespace.label("istio.io/rev").is_some()
}

fn is_injector(object: &Object) -> bool {
    object.label("app") == Some("sidecar-injector") || object.name.starts_with("istio-sidecar-injector")
}

/// Where the proxies of a cluster look for istiod, as `host:port`.
fn dialled(cluster: &Cluster) -> BTreeSet<String> {
    let of_pods = cluster
        .pods()
        .filter_map(|(_, pod)| env(&pod.containers, "XDS_ADDRESS").or_else(|| env(&pod.containers, "CA_ADDR")));
    let of_proxies = cluster.proxies().filter_map(|proxy| proxy.node()).map(|(_, node)| &*node.discovery_address);
    let known: BTreeSet<String> =
        of_pods.chain(of_proxies).filter(|address| !address.is_empty()).map(String::from).collect();
    if !known.is_empty() {
        return known;
    }
    let configured = cluster.mesh_config().map(|(_, config)| &*config.discovery_address).filter(|of| !of.is_empty());
    let default = format!("istiod.{}.svc:{XDS}", cluster.system_namespace());
    [configured.map_or(default, String::from)].into()
}

fn split(address: &str) -> (&str, u16) {
    let address = address.trim_start_matches("https://");
    match address.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().unwrap_or(XDS)),
        None => (address, XDS),
    }
}

/// The namespace and name of the Service that an address names: `istiod.istio-system.svc:15012`.
fn service_of(address: &str) -> Option<(&str, &str)> {
    let (host, _) = split(address);
    let mut parts = host.split('.');
    let (name, namespace) = (parts.next()?, parts.next()?);
    (parts.next() == Some("svc")).then_some((namespace, name))
}

/// An address at which a primary may be reached.
struct Exposed<'m> {
    object: &'m Doc<Object>,
    /// Whether it is made to be reached from other clusters, rather than a pod, a node or a Service's own address.
    is_outside: bool,
}

struct Asked<'m> {
    cluster: &'m Cluster,
    primaries: Vec<&'m Cluster>,
}

impl<'m> Asked<'m> {
    /// The Service, then what is behind it.
    fn service(&self, namespace: &str, name: &str) -> Option<Item> {
        let cluster = self.cluster;
        let title = format!("Service {namespace}/{name}");
        let Some((object, service)) =
            cluster.services().find(|(object, _)| *object.namespace == *namespace && *object.name == *name)
        else {
            if !cluster.knows_all("Service", namespace) {
                return None;
            }
            let reason = format!("there is no {title}, where its proxies look for their control plane");
            let list = cluster.objects("Service").next().map(|object| &object.event)?;
            let verdict = missing(Verdict::certain(&cluster.name), cluster, &format!("there is no {title}"))
                .because_quote(list, &format!("no {title}"), "the Service is not among those of the cluster");
            let verdict = match self.webhook_of(namespace, name) {
                Some(object) => verdict.because_object(
                    object,
                    &format!("clientConfig.service: {namespace}/{name}"),
                    "though the cluster's webhook calls it",
                ),
                None => verdict,
            };
            return Some(Item::fail(&cluster.name, title, reason, MISSING, verdict));
        };
        // One that selects pods was made for an istiod of this cluster, of which nothing else was saved.
        if !service.selector.is_empty() {
            return None;
        }
        if !service.external_name.is_empty() {
            return self.leads(&[&service.external_name], XDS, Some(object), "spec.externalName");
        }
        let listed: Vec<_> = cluster.endpoints_of(namespace, name).collect();
        let is_cut = listed.iter().any(|(_, endpoints)| endpoints.is_cut);
        let ready = || listed.iter().flat_map(|(_, of)| of.addresses.iter()).filter(|address| address.ready);
        if ready().next().is_none() && !is_cut {
            let shows_none = match listed.first() {
                Some((object, _)) => Some((&object.event, format!("{}: no address", object.title()))),
                // Endpoints are mirrored into slices, but not the other way round.
                None if cluster.knows_all("EndpointSlice", namespace) => {
                    Some((&object.event, format!("no EndpointSlice of {title}")))
                }
                None => None,
            };
            let Some((event, quote)) = shows_none else {
                let how = format!("kubectl --context {} -n {namespace} get endpointslices -o yaml", cluster.name);
                return Some(Item::unknown(&cluster.name, title, "its endpoints are not among what was saved", how));
            };
            let reason = "it has no endpoint, so it leads nowhere";
            let verdict = missing(Verdict::certain(&cluster.name), cluster, &format!("{title} has no endpoint"))
                .because_quote(event, &quote, "nothing stands behind the Service");
            return Some(Item::fail(&cluster.name, title, reason, MISSING, verdict));
        }
        let hosts: Vec<&str> = ready().map(|address| &*address.host).collect();
        let object = listed.first().map(|(object, _)| *object)?;
        let port = listed
            .iter()
            .flat_map(|(_, of)| of.ports.iter())
            .find(|(name, port)| &**name == "tcp-istiod" || *port == XDS)
            .map_or(XDS, |(_, port)| *port);
        self.leads(&hosts, port, Some(object), "endpoint")
    }

    /// Whether addresses lead to a control plane.
    fn leads(&self, hosts: &[&str], port: u16, object: Option<&'m Doc<Object>>, field: &str) -> Option<Item> {
        let cluster = self.cluster;
        let exposed = self.exposed();
        let title = object.map_or_else(|| field.to_string(), |object| object.title());
        let Some(host) = hosts.iter().find(|host| !exposed.contains_key(**host)) else {
            let host = hosts.first()?;
            let to = exposed.get(host)?.object;
            let reason = format!("{host} is {} of {}", to.title(), to.event.origin.cluster);
            let pass = Item::pass(&cluster.name, title, reason);
            let quote = format!("{}: {host}", to.title());
            return Some(pass.refuting(MISADDRESSED, &to.event, &quote, "proxies are led to where istiod is exposed"));
        };
        let ip: Option<IpAddr> = host.parse().ok();
        let is_self = ip.is_some_and(|ip| ip.is_loopback());
        let outside = || exposed.iter().filter(|(_, exposed)| exposed.is_outside);
        // A name may resolve to anything, on either side.
        let is_comparable = ip.is_some() && outside().all(|(address, _)| address.parse::<IpAddr>().is_ok());
        let Some((right, gateway)) = outside().next().filter(|_| is_comparable || is_self) else {
            let why = format!("{host} cannot be held against the addresses of {}", self.titles());
            let how = format!("kubectl --context {} get svc -A -o wide | grep {XDS}", self.primaries.first()?.name);
            return Some(Item::unknown(&cluster.name, title, why, how));
        };
        let gateway = gateway.object;
        let reason = format!("{host} is no address of a control plane; {} is reached at {right}", self.titles());
        let (connected, silent) = self.clients();
        if let Some(proxy) = connected {
            let remedy = format!("Find out what answers at {host}, and write {right} if it is not meant.");
            let reason = format!("{reason}; yet proxy {proxy} is connected");
            return Some(Item::warn(&cluster.name, title, reason, remedy));
        }
        let address = format!("{host}:{port}");
        let subject = format!("{address} in {}", cluster.name);
        let verdict = if silent.is_some() || is_self { Verdict::certain(&subject) } else { Verdict::likely(&subject) };
        let verdict =
            verdict.slot("cluster", &cluster.name).slot("address", &address).slot("right", right).token(&address);
        let verdict = match object {
            Some(object) => verdict.because_object(object, &format!("{field}: {host}"), "where proxies are led to"),
            None => match cluster.mesh_config() {
                Some((event, _)) => {
                    verdict.because_quote(event, &address, "where proxies look for their control plane")
                }
                None => verdict,
            },
        };
        let verdict = verdict.because_object(
            gateway,
            &format!("address {right}, port {XDS}"),
            "where the control plane is exposed",
        );
        let verdict = match silent {
            Some(event) => verdict.because_quote(
                event,
                &format!("no proxy of cluster {}", cluster.title()),
                "and none of its proxies is connected",
            ),
            None => verdict,
        };
        Some(Item::fail(&cluster.name, title, reason, MISADDRESSED, verdict))
    }

    /// The primaries as a sentence names them.
    fn titles(&self) -> String {
        let titles: Vec<&str> = self.primaries.iter().map(|primary| primary.title()).collect();
        titles.join(" and ")
    }

    /// Where the primaries may be reached: gateways and what offers 15012, and for flat networks pods, nodes and Services.
    /// Whether a gateway offers 15012 the check of gateways tells.
    fn exposed(&self) -> BTreeMap<&'m str, Exposed<'m>> {
        let mut found = BTreeMap::new();
        for primary in &self.primaries {
            for gateway in primary.own_gateways() {
                for address in gateway.addresses {
                    found.insert(address, Exposed { object: gateway.object, is_outside: true });
                }
            }
            for (object, service) in primary.services() {
                if !service.ports.iter().any(|port| port.port == XDS) {
                    continue;
                }
                let is_address = |address: &&&str| !address.is_empty() && !address.starts_with('<');
                let outside = service.ingress.iter().chain(&service.external_ips).map(|address| &**address);
                for address in outside.collect::<Vec<_>>().iter().filter(is_address) {
                    found.insert(address, Exposed { object, is_outside: true });
                }
                for address in &service.cluster_ips {
                    found.entry(&**address).or_insert(Exposed { object, is_outside: false });
                }
            }
            for (object, pod) in primary.istiod_pods() {
                for address in &pod.ips {
                    found.entry(&**address).or_insert(Exposed { object, is_outside: false });
                }
            }
            for object in primary.objects("Node") {
                let Body::Node(node) = &object.body else { continue };
                for (_, address) in &node.addresses {
                    found.entry(&**address).or_insert(Exposed { object, is_outside: false });
                }
            }
        }
        found
    }

    /// A proxy of this cluster that is connected to a primary, and a list of connected proxies that has none of them.
    fn clients(&self) -> (Option<&'m str>, Option<&'m Arc<Event>>) {
        let mut silent = None;
        let documents =
            self.primaries.iter().flat_map(|primary| primary.istiods()).flat_map(|istiod| istiod.documents());
        for document in documents {
            let Said::Sync(rows) = &document.said else { continue };
            if let Some(row) = rows.iter().find(|row| self.cluster.is_called(&row.cluster)) {
                return (Some(&row.proxy), None);
            }
            silent = silent.or(Some(&document.event));
        }
        (None, silent)
    }

    /// The webhook configuration of this cluster that calls a Service.
    fn webhook_of(&self, namespace: &str, name: &str) -> Option<&'m Doc<Object>> {
        let kinds = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
        kinds.into_iter().flat_map(|kind| self.cluster.objects(kind)).find(|object| match &object.body {
            Body::Webhooks(webhooks) => {
                webhooks.iter().any(|webhook| webhook.service.split_once('/') == Some((namespace, name)))
            }
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checks::testing::{failed, told};

    const HUB: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: istiod-1, namespace: istio-system, labels: {app: istiod}}\n\
        spec: {containers: [{name: discovery, image: \"istio/pilot:1.28.1\"}]}\nstatus: {phase: Running, podIP: 10.1.0.4}\n\
        ---\napiVersion: v1\nkind: Service\nmetadata: {name: istio-eastwestgateway, namespace: istio-system, \
        labels: {istio: eastwestgateway, topology.istio.io/network: hub}}\n\
        spec: {type: LoadBalancer, ports: [{port: 15443}, {port: 15012}]}\n\
        status: {loadBalancer: {ingress: [{ip: 192.0.2.10}]}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: \
        istio-remote-secret-edge, namespace: istio-system, labels: {istio/multiCluster: \"true\"}}\ndata: {edge: e30=}\n";

    const SERVICE: &str = "- {apiVersion: v1, kind: Service, metadata: {name: istiod, namespace: istio-system}, \
        spec: {clusterIP: 10.96.0.9, ports: [{port: 15012, name: tcp-istiod}]}}\n";

    /// The edge cluster: a proxy, and its Services.
    fn edge(services: &str) -> (String, String) {
        let pods = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: web-1, namespace: \
            shop}, spec: {containers: [{name: istio-proxy, image: \"istio/proxyv2:1.28.1\", env: [{name: CA_ADDR, value: \
            \"istiod.istio-system.svc:15012\"}]}]}, status: {phase: Running}}\n";
        let others = "- {apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {ports: [{port: 80}]}}\n\
            - {apiVersion: v1, kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {ports: [{port: 53}]}}\n";
        (pods.to_string(), format!("apiVersion: v1\nkind: List\nitems:\n{others}{services}"))
    }

    fn slice(addresses: &str) -> String {
        format!(
            "apiVersion: v1\nkind: List\nitems:\n- {{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: \
             istiod, namespace: istio-system, labels: {{kubernetes.io/service-name: istiod}}}}, addressType: IPv4, \
             endpoints: {addresses}, ports: [{{name: tcp-istiod, port: 15012}}]}}\n"
        )
    }

    #[test]
    fn a_cluster_without_istiod_needs_a_service_that_leads_to_one() {
        let (pods, none) = edge("");
        let files = [("hub", "hub.yaml", HUB), ("edge", "pods.yaml", &*pods), ("edge", "services.yaml", &*none)];
        assert_eq!(
            told(&CHECK, &files),
            [
                "fail edge Service istio-system/istiod: there is no Service istio-system/istiod, where its proxies look for their \
              control plane [istiod-remote-missing: edge]"
            ]
        );
        let (_, service) = edge(SERVICE);
        let with = |slice: &str| {
            let files = [
                ("hub", "hub.yaml", HUB),
                ("edge", "pods.yaml", &*pods),
                ("edge", "services.yaml", &*service),
                ("edge", "slices.yaml", slice),
            ];
            failed(&CHECK, &files)
        };
        assert_eq!(with(&slice("null")), ["istiod-remote-missing"]);
        assert_eq!(with(&slice("[{addresses: [192.0.2.10], conditions: {ready: false}}]")), ["istiod-remote-missing"]);
        assert_eq!(with(&slice("[{addresses: [192.0.2.10], conditions: {ready: true}}]")), [""; 0]);
    }

    #[test]
    fn an_address_that_is_none_of_the_primarys_fails_unless_proxies_are_connected() {
        let (pods, service) = edge(SERVICE);
        let slice = |address: &str| slice(&format!("[{{addresses: [{address}], conditions: {{ready: true}}}}]"));
        let syncz = r#"[{"cluster_id":"edge","proxy":"web-1.shop","proxy_type":"sidecar","istio_version":"1.28.1"}]"#;
        let told = |address: &str, connected: bool| {
            let slice = slice(address);
            let mut files = vec![
                ("hub", "hub.yaml", HUB),
                ("edge", "pods.yaml", &*pods),
                ("edge", "services.yaml", &*service),
                ("edge", "slices.yaml", &*slice),
            ];
            if connected {
                files.push(("hub", "istio-system/istiod-1/debug/syncz.json", syncz));
            }
            told(&CHECK, &files)
        };
        assert_eq!(
            told("198.51.100.7", false),
            [
                "fail edge EndpointSlice istio-system/istiod: 198.51.100.7 is no address of a control plane; hub is reached at \
              192.0.2.10 [istiod-remote-misaddressed: 198.51.100.7:15012 in edge]"
            ]
        );
        assert!(told("198.51.100.7", true)[0].starts_with("warn"), "something leads there all the same");
        assert!(told("192.0.2.10", false)[0].starts_with("pass"));
        assert!(told("10.1.0.4", false)[0].starts_with("pass"), "a pod of istiod on a flat network");
    }

    #[test]
    fn a_cluster_whose_own_istiod_was_not_saved_is_not_taken_for_a_remote_one() {
        let (pods, service) = edge(
            "- {apiVersion: v1, kind: Service, metadata: {name: istiod, namespace: istio-system}, \
             spec: {selector: {app: istiod}, ports: [{port: 15012}]}}\n",
        );
        let files = [("hub", "hub.yaml", HUB), ("edge", "pods.yaml", &*pods), ("edge", "services.yaml", &*service)];
        assert_eq!(told(&CHECK, &files), [""; 0]);
    }
}
