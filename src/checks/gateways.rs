//! East-west gateways: is there one for each network, has it an address, does it serve, and do the others know it?

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Text};
use meshwhy_parsers::state::istiod::{NetworkGateway, RemoteRow, Said};
use meshwhy_parsers::state::object::{self, Body, Condition, Map, Object};

use crate::causes::eastwest_gateway_no_address as no_address;
use crate::causes::{eastwest_gateway_down, eastwest_gateway_misconfigured as misconfigured};
use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{
    Cluster, Doc, GATEWAY_API, GATEWAY_NAME, Gateway, GatewayKind, NETWORK, What, env, is_east_west,
};
use crate::engine::view::View;

/// See the title.
pub static CHECK: Check =
    Check { id: "east-west-gateways", title: "East-west gateways serve and are known", before_linking: true, run };

/// Where sidecars enter a network, with the service's name as SNI.
const SIDECARS: u16 = 15443;
/// Where ambient enters a network.
const HBONE: u16 = 15008;
/// Where clusters without istiod reach it through a gateway: xDS and CA, and the webhook.
const ISTIOD: [u16; 2] = [15012, 15017];
/// Label that names another port than 15443.
const GATEWAY_PORT: &str = "networking.istio.io/gatewayPort";
/// Annotation with which a NodePort gateway gets the addresses of nodes.
const NODE_SELECTOR: &str = "traffic.istio.io/nodeSelector";
/// API group of Istio's own Gateway.
const ISTIO: &str = "networking.istio.io";

fn run(view: &View<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    for cluster in view.mesh().clusters() {
        let gateways: Vec<Gateway<'_>> = cluster.own_gateways().collect();
        if gateways.is_empty() {
            // Pods that are down are sure; that a gateway is not there may only mean that it was not saved.
            items.extend(only_pods(view, cluster).or_else(|| absent(view, cluster)));
        }
        for gateway in &gateways {
            items.extend(Asked { view, cluster, gateway }.items());
        }
    }
    items
}

/// Gateway pods that do not serve, where the gateway itself is not shown.
fn only_pods(view: &View<'_>, cluster: &Cluster) -> Option<Item> {
    let is_its = |object: &Object| is_east_west(&object.name) || object.label("istio") == Some("eastwestgateway");
    let pods: Vec<_> = cluster.pods().filter(|(object, pod)| is_its(object) && !is_over(object, pod)).collect();
    let workloads: Vec<_> = cluster.workloads().filter(|(object, _)| is_its(object)).collect();
    let endpoints: Vec<_> = cluster
        .objects("Endpoints")
        .filter_map(|object| match &object.body {
            Body::Endpoints(endpoints) if is_east_west(&object.name) => Some((object, endpoints)),
            _ => None,
        })
        .collect();
    let (why, object, quote) = out_of_service(&pods, workloads, endpoints)?;
    let title = cluster.title();
    let verdict = Verdict::certain(&eastwest_gateway_down::subject(title));
    let verdict = eastwest_gateway_down::listed(verdict, title, &object.name, &why, (&object.name, SIDECARS));
    let verdict =
        verdict.because_object(object, &quote, "nobody stands behind the gateway's address").token(&object.name);
    let verdict = view.others(cluster).fold(verdict, |verdict, other| verdict.cluster(&other.name));
    Some(Item::fail(&cluster.name, object.title(), why, eastwest_gateway_down::CAUSE.slug, verdict))
}

type Of<'m, T> = (&'m Doc<Object>, &'m T);

/// Why nobody answers behind a gateway, with the object that shows it and its words. A table is a moment: one ready pod is
/// enough.
fn out_of_service<'m>(
    pods: &[Of<'m, object::Pod>],
    workloads: Vec<Of<'m, object::Workload>>,
    endpoints: Vec<Of<'m, object::Endpoints>>,
) -> Option<(String, &'m Doc<Object>, String)> {
    let is_ready = |pod: &object::Pod| pod.ready.0 == pod.ready.1 && 0 < pod.ready.0 && &*pod.phase == "Running";
    if pods.iter().any(|(_, pod)| is_ready(pod)) {
        return None;
    }
    if let Some((pod, state)) = pods.first() {
        let (ready, of) = state.ready;
        let why = format!("its pod {} is {} with {ready} of {of} containers ready", pod.name, phase(state));
        return Some((why, pod, format!("{}, {ready}/{of} ready", phase(state))));
    }
    if !workloads.is_empty() && workloads.iter().all(|(_, state)| state.ready == 0) {
        let (workload, state) = workloads.first()?;
        let why = if state.wanted == 0 { "it is scaled to zero" } else { "none of its pods is ready" };
        return Some((why.to_string(), workload, format!("{} of {} ready", state.ready, state.wanted)));
    }
    let (object, _) = endpoints.first()?;
    let has_any = endpoints.iter().any(|(_, of)| of.is_cut || of.addresses.iter().any(|address| address.ready));
    (!has_any).then(|| ("its Service has no endpoint".to_string(), *object, "no ready address".to_string()))
}

fn is_over(object: &Object, pod: &object::Pod) -> bool {
    object.deleted.is_some() || matches!(&*pod.phase, "Succeeded" | "Completed" | "Terminating")
}

/// A network that others cannot enter because it has no gateway at all.
fn absent(view: &View<'_>, cluster: &Cluster) -> Option<Item> {
    let (namespace, own) = cluster.network()?;
    let own = own?;
    let (other, elsewhere) = view.others(cluster).find_map(|other| {
        let (_, network) = other.network()?;
        Some((other, network.filter(|network| *network != own)?))
    })?;
    let object = format!("network {own}");
    let differs = format!("{} is on network {elsewhere}, so this one needs a gateway", other.title());
    if !cluster.knows_all("Service", "") {
        let how = format!("kubectl --context {} get svc -A -o yaml", cluster.name);
        return Some(Item::unknown(
            &cluster.name,
            object,
            format!("{differs}; the Services of all namespaces are not shown"),
            how,
        ));
    }
    // Of ambient meshes and of linked control planes the gateway is a Gateway, and its Service a consequence.
    let is_of_gateways = cluster.is_ambient()
        || cluster.is_peered()
        || cluster.services().any(|(service, _)| service.label(GATEWAY_NAME).is_some());
    if is_of_gateways && !cluster.knows_all_of("Gateway", GATEWAY_API, "") {
        let how = format!("kubectl --context {} get gateways.{GATEWAY_API} -A -o yaml", cluster.name);
        return Some(Item::unknown(&cluster.name, object, format!("{differs}; its Gateways are not shown"), how));
    }
    let Some(service) = called_from(cluster, other) else {
        let remedy = format!(
            "Install an east-west gateway in {} if its services are to be called from elsewhere.",
            cluster.title()
        );
        return Some(Item::warn(&cluster.name, object, format!("it has no east-west gateway; {differs}"), remedy));
    };
    let verdict = misconfigured::named(Verdict::certain(own), own, "it does not exist")
        .says("network {gateway} has no east-west gateway, so other networks have no way to {service}")
        .slot("service", &service)
        .token(own)
        .cluster(&other.name)
        .because_object(namespace, &format!("label {NETWORK}={own}"), "the network of this cluster");
    Some(Item::fail(
        &cluster.name,
        object,
        format!("it has no east-west gateway; {differs} to be reached, and {service} runs in both"),
        misconfigured::CAUSE.slug,
        verdict,
    ))
}

/// A service of applications that both clusters have, so that calls to it leave the other one's network.
fn called_from(cluster: &Cluster, other: &Cluster) -> Option<String> {
    let is_of_system = |namespace: &str| namespace.starts_with("istio") || namespace.starts_with("kube-");
    let found = cluster.services().find(|(object, service)| {
        let has_endpoints =
            cluster.endpoints_of(&object.namespace, &object.name).any(|(_, of)| !of.addresses.is_empty());
        !is_of_system(&object.namespace)
            && *object.name != *"kubernetes"
            && !service.selector.is_empty()
            && has_endpoints
            && other.object("Service", &object.namespace, &object.name).is_some()
    });
    found.map(|(object, _)| format!("{}.{}", object.name, object.namespace))
}

/// A gateway under question.
struct Asked<'a, 'm> {
    view: &'a View<'m>,
    cluster: &'a Cluster,
    gateway: &'a Gateway<'a>,
}

impl<'a> Asked<'a, '_> {
    fn items(&self) -> Vec<Item> {
        let judged = [
            self.class(),
            self.address(),
            self.ports(),
            self.pods(),
            self.exposure(),
            self.network_view(),
            self.way_to_istiod(),
        ];
        let mut items: Vec<Item> = judged.into_iter().flatten().collect();
        // Without an address nobody can know it.
        if !self.gateway.addresses.is_empty() {
            items.extend(self.view.others(self.cluster).filter_map(|other| self.known_in(other)));
        }
        if items.is_empty() {
            let ports: Vec<String> = self.gateway.ports.iter().map(u16::to_string).collect();
            let ports = if ports.is_empty() { String::new() } else { format!(", ports {}", ports.join(" ")) };
            items.push(Item::pass(
                &self.cluster.name,
                self.title(),
                format!("{}{ports}", self.gateway.addresses.join(", ")),
            ));
        }
        items
    }

    fn title(&self) -> String {
        self.gateway.object.title()
    }

    fn object(&self) -> &'a Doc<Object> {
        self.gateway.object
    }

    fn service(&self) -> Option<&'a object::Service> {
        match &self.object().body {
            Body::Service(service) => Some(service),
            _ => None,
        }
    }

    /// The Gateway of the Gateway API.
    fn api(&self) -> Option<&'a object::Gateway> {
        match &self.object().body {
            Body::Gateway(gateway) => Some(gateway),
            _ => None,
        }
    }

    fn condition(&self, kind: &str) -> Option<&'a Condition> {
        self.api()?.conditions.iter().find(|condition| &*condition.kind == kind)
    }

    /// The name istiod gives it in its log.
    fn full_name(&self) -> String {
        let object = self.object();
        let namespace = if object.namespace.is_empty() { self.cluster.system_namespace() } else { &object.namespace };
        format!("{namespace}/{}", object.name)
    }

    fn fail(&self, reason: impl ToString, slug: &'static str, verdict: Verdict) -> Item {
        let mut verdict = verdict.token(&self.object().name);
        for address in &self.gateway.addresses {
            verdict = verdict.token(address);
        }
        for other in self.view.others(self.cluster) {
            verdict = verdict.cluster(&other.name);
        }
        Item::fail(&self.cluster.name, self.title(), reason, slug, verdict)
    }

    fn misconfigured(&self, verdict: Verdict, why: &str) -> Item {
        let full = self.full_name();
        self.fail(why, misconfigured::CAUSE.slug, misconfigured::named(verdict, &full, why))
    }

    /// Whether istiod takes it up: class and condition `Accepted`.
    fn class(&self) -> Option<Item> {
        let gateway = self.api()?;
        let full = self.full_name();
        let knows_classes = self.cluster.knows_all("GatewayClass", "");
        if !gateway.class.is_empty()
            && knows_classes
            && self.cluster.object("GatewayClass", "", &gateway.class).is_none()
        {
            let why = format!("its class {} is not installed, so istiod ignores it", gateway.class);
            let verdict = Verdict::certain(&full).because_object(
                self.object(),
                &format!("spec.gatewayClassName: {}", gateway.class),
                "no GatewayClass of that name exists",
            );
            return Some(self.misconfigured(verdict, &why));
        }
        let accepted = self.condition("Accepted").filter(|condition| &*condition.status == "False")?;
        let why = format!("it is not accepted: {}", shown(accepted));
        let verdict = Verdict::certain(&full).because_object(
            self.object(),
            &as_shown(accepted),
            "the controller does not take the Gateway up",
        );
        Some(self.misconfigured(verdict, &why))
    }

    /// Whether another cluster can reach it at all.
    fn address(&self) -> Option<Item> {
        let object = self.object();
        let programmed = self.condition("Programmed");
        let is_unprogrammed = programmed.is_some_and(|condition| &*condition.status != "True");
        if !self.gateway.addresses.is_empty() && !is_unprogrammed {
            return None;
        }
        if self.in_mesh_networks() {
            return None;
        }
        let (is_certain, why, quote) = match (self.service(), programmed) {
            (Some(service), _) => self.without_address(service)?,
            (None, Some(programmed)) if is_unprogrammed => {
                (true, format!("the Gateway is not programmed: {}", shown(programmed)), as_shown(programmed))
            }
            (None, _) => (true, "its status shows no address".to_string(), "status.addresses: none".to_string()),
        };
        if self.view.is_flat(self.cluster) {
            let remedy = "Nothing crosses networks here; give it an address if it exposes istiod.";
            return Some(Item::warn(&self.cluster.name, self.title(), why, remedy));
        }
        let subject = no_address::subject(&object.name, self.cluster.title());
        let verdict = if is_certain { Verdict::certain(&subject) } else { Verdict::likely(&subject) };
        let mut verdict = no_address::named(verdict, &object.namespace, &object.name).slot("why", &why);
        verdict = verdict.because_object(object, &quote, "it has no address that another cluster could use");
        if let Some(network) = self.gateway.network {
            verdict = verdict.token(network);
        }
        if let Some((event, quote)) = self.pod_held_elsewhere() {
            verdict = verdict.because_quote(&event, &quote, "so proxies of another cluster hold a raw pod address");
        }
        Some(self.fail(why, no_address::CAUSE.slug, verdict))
    }

    /// Why a Service has no outside address: whether that is sure, in words, and the field.
    fn without_address(&self, service: &object::Service) -> Option<(bool, String, String)> {
        let kind = &*service.kind;
        let found = match kind {
            "LoadBalancer" => (true, "its load balancer is still pending", "status.loadBalancer: {}".to_string()),
            "NodePort" => {
                if self.object().annotation(NODE_SELECTOR).is_some() {
                    return None;
                }
                let why = "it is a NodePort Service, which needs the annotation that selects its nodes";
                (!self.object().is_row, why, format!("spec.type: NodePort, no annotation {NODE_SELECTOR}"))
            }
            "ClusterIP" => {
                let why = "it is a ClusterIP Service, which other clusters cannot reach";
                (false, why, "spec.type: ClusterIP, no externalIPs".to_string())
            }
            _ => return None,
        };
        Some((found.0, found.1.to_string(), found.2))
    }

    /// Whether mesh networks give its network a gateway by address.
    fn in_mesh_networks(&self) -> bool {
        let networks =
            self.view.mesh().clusters().flat_map(Cluster::config_maps).flat_map(|(_, map)| &map.mesh_networks);
        let mut of_its = networks.filter(|network| Some(&*network.name) == self.gateway.network);
        of_its.any(|network| network.gateways.iter().any(|(address, _)| !address.contains(".svc.")))
    }

    /// An endpoint in another cluster's proxy that is a pod of this cluster.
    fn pod_held_elsewhere(&self) -> Option<(Arc<Event>, String)> {
        let identities = self.view.mesh().identities();
        let is_its = |host: &str| {
            identities.at(host).iter().any(|known| known.what == What::Pod && *known.cluster == *self.cluster.name)
        };
        let others = self.view.others(self.cluster);
        others.flat_map(Cluster::proxies).filter_map(|proxy| proxy.endpoints()).flatten().find_map(
            |(event, endpoint)| {
                let is_entry = [SIDECARS, HBONE].contains(&endpoint.addr.port);
                (!is_entry && is_its(&endpoint.addr.host))
                    .then(|| (Arc::clone(event), format!("{} {}", endpoint.addr, endpoint.cluster)))
            },
        )
    }

    /// Whether it offers a port on which traffic crosses networks.
    fn ports(&self) -> Option<Item> {
        let ports = &self.gateway.ports;
        if ports.is_empty()
            || self.entry_port().is_some()
            || ports.contains(&HBONE)
            || self.object().label(GATEWAY_PORT).is_some()
        {
            return None;
        }
        // A gateway that only leads to istiod needs no other port in a flat network.
        if self.view.is_flat(self.cluster) {
            return None;
        }
        let full = self.full_name();
        let why = "its Service offers neither 15443 nor 15008";
        let shown: Vec<String> = ports.iter().map(u16::to_string).collect();
        let quote = format!("ports: {}", shown.join(", "));
        let verdict = Verdict::certain(&full).because_object(
            self.object(),
            &quote,
            "none of them is a port that crosses networks",
        );
        Some(self.misconfigured(verdict, why))
    }

    /// The port at which sidecars of other networks enter.
    fn entry_port(&self) -> Option<u16> {
        let named = self.object().label(GATEWAY_PORT).and_then(|port| port.parse().ok());
        let port = named.unwrap_or(SIDECARS);
        self.gateway.ports.contains(&port).then_some(port)
    }

    /// The pods behind it, and whether all of them are known.
    fn its_pods(&self) -> Vec<(&'a Doc<Object>, &'a object::Pod)> {
        let object = self.object();
        let is_its = |pod: &Object| match (self.service(), &pod.labels) {
            (Some(service), Some(labels)) if !service.selector.is_empty() => is_subset(&service.selector, labels),
            (None, Some(labels)) => labels.get(GATEWAY_NAME).is_some_and(|name| *name == object.name),
            _ => pod.name.strip_prefix(&*object.name).is_some_and(|rest| rest.starts_with('-')),
        };
        let in_namespace =
            |pod: &Object| pod.namespace == object.namespace || pod.namespace.is_empty() || object.namespace.is_empty();
        let pods = self.cluster.pods();
        pods.filter(|(pod, state)| in_namespace(pod) && is_its(pod) && !is_over(pod, state)).collect()
    }

    /// Whether anything answers behind its address.
    fn pods(&self) -> Option<Item> {
        let object = self.object();
        let in_namespace =
            |of: &Object| of.namespace == object.namespace || of.namespace.is_empty() || object.namespace.is_empty();
        let workloads = self.cluster.workloads().filter(|(workload, state)| {
            let is_selected = self
                .service()
                .is_some_and(|service| !service.selector.is_empty() && is_subset(&service.selector, &state.pod_labels));
            in_namespace(workload) && (is_selected || *workload.name == *object.name)
        });
        let endpoints = self.cluster.endpoints_of(&object.namespace, &object.name);
        let (why, evidence, quote) = out_of_service(&self.its_pods(), workloads.collect(), endpoints.collect())?;
        let title = self.cluster.title();
        let port = self.entry_port().unwrap_or(if self.gateway.ports.contains(&HBONE) { HBONE } else { SIDECARS });
        let host = self.gateway.addresses.first().copied().unwrap_or(&object.name);
        let verdict = Verdict::certain(&eastwest_gateway_down::subject(title));
        let verdict = eastwest_gateway_down::listed(verdict, title, &object.name, &why, (host, port));
        let verdict = verdict.because_object(evidence, &quote, "nobody stands behind the gateway's address");
        Some(self.fail(why, eastwest_gateway_down::CAUSE.slug, verdict))
    }

    /// Whether the services are exposed at its entry for sidecars.
    fn exposure(&self) -> Option<Item> {
        let port = self.entry_port()?;
        let full = self.full_name();
        let own_listener = self.listens(port);
        if own_listener.as_ref().is_some_and(|(_, listens)| *listens) {
            return None;
        }
        if let Some(gateway) = self.api() {
            let listener = gateway.listeners.iter().find(|listener| listener.port == port)?;
            let is_passed = listener
                .options
                .get("gateway.istio.io/listener-protocol")
                .is_some_and(|mode| &**mode == "auto-passthrough");
            if is_passed || self.object().is_row {
                return None;
            }
            let why = format!("its listener {} on {port} does not pass services through", listener.name);
            let verdict = Verdict::certain(&full).because_object(
                self.object(),
                &format!("listener {}: no option gateway.istio.io/listener-protocol: auto-passthrough", listener.name),
                "sidecars of other networks enter there",
            );
            return Some(self.misconfigured(verdict, &why));
        }
        let (selecting, all_known) = self.selecting();
        let targets = self.targets(port);
        let mut passing = Vec::new();
        for (object, gateway) in &selecting {
            for server in gateway.servers.iter().filter(|server| &*server.tls_mode == "AUTO_PASSTHROUGH") {
                passing.push((*object, server));
            }
        }
        let why = match passing.iter().find(|(_, server)| targets.contains(&server.port)) {
            Some((object, server)) => {
                let uncovered = self.uncovered(&server.hosts)?;
                let why = format!("{} exposes only {}, not {uncovered}", object.title(), server.hosts.join(", "));
                let quote = format!("hosts: [{}]", server.hosts.join(", "));
                let verdict = Verdict::certain(&full).because_object(
                    object,
                    &quote,
                    "names that are not listed are not passed on",
                );
                return Some(self.misconfigured(verdict, &why));
            }
            None => match passing.first() {
                Some((object, server)) => {
                    let why =
                        format!("{} opens port {} with AUTO_PASSTHROUGH, not {port}", object.title(), server.port);
                    let verdict = Verdict::certain(&full).because_object(
                        object,
                        &format!("servers[].port.number: {}", server.port),
                        "the entry is another port",
                    );
                    return Some(self.misconfigured(verdict, &why));
                }
                None => format!("no Gateway opens its port {port} with AUTO_PASSTHROUGH"),
            },
        };
        let verdict = Verdict::certain(&full);
        // What the gateway's own proxy holds settles it; else every Gateway that could open the port must be known.
        if let Some((event, false)) = own_listener {
            let verdict = verdict.because_quote(
                event,
                &format!("listeners: none on {port}"),
                "the gateway's proxy does not listen there",
            );
            return Some(self.misconfigured(verdict, &why));
        }
        // A port speaks one protocol: what opens it for another leaves no room for a Gateway that was not saved.
        let is_taken = selecting.iter().flat_map(|(_, gateway)| &gateway.servers).any(|server| {
            targets.contains(&server.port) && matches!(&*server.protocol, "HTTP" | "HTTP2" | "GRPC" | "TCP" | "MONGO")
        });
        if !all_known && !is_taken {
            return None;
        }
        let mut verdict =
            verdict.because_object(self.object(), &format!("offers {port}"), "sidecars of other networks enter there");
        for (object, gateway) in selecting.iter().take(2) {
            let modes: Vec<String> =
                gateway.servers.iter().map(|server| format!("{} {}", server.port, server.tls_mode)).collect();
            verdict = verdict.because_object(
                object,
                &format!("servers {}", modes.join(", ")),
                "it selects the gateway, and opens no such port",
            );
        }
        Some(self.misconfigured(verdict, &why))
    }

    /// The port of Istio's Gateway that opens a port of the Service: itself or the one of its pods.
    fn targets(&self, port: u16) -> Vec<u16> {
        let of_service = self.service().and_then(|service| service.ports.iter().find(|known| known.port == port));
        let target = of_service.and_then(|known| known.target.parse().ok());
        [Some(port), target].into_iter().flatten().collect()
    }

    /// Whether a proxy of the gateway listens on a port, where a proxy's listeners are known.
    fn listens(&self, port: u16) -> Option<(&'a Arc<Event>, bool)> {
        let targets = self.targets(port);
        let pods = self.its_pods();
        let of_pods = pods.iter().filter_map(|(pod, _)| self.cluster.proxy(&format!("{}.{}", pod.name, pod.namespace)));
        let of_name =
            self.cluster.proxies().filter(|proxy| proxy.name.starts_with(&format!("{}-", self.object().name)));
        let mut known = of_pods.chain(of_name).filter_map(|proxy| proxy.listeners());
        known
            .next()
            .map(|(event, listeners)| (event, listeners.iter().any(|listener| targets.contains(&listener.addr.port))))
    }

    /// Istio's Gateways that select its pods, and whether all Gateways are known.
    fn selecting(&self) -> (Vec<(&'a Doc<Object>, &'a object::IstioGateway)>, bool) {
        let labels = self.pod_labels();
        // A cluster without istiod has the Gateways of the one that runs its control plane.
        let is_remote = self.cluster.has_istiod() == Some(false);
        let mesh = self.view.mesh();
        let homes: Vec<&Cluster> = if is_remote {
            mesh.clusters().filter(|home| home.has_istiod() == Some(true)).collect()
        } else {
            mesh.cluster(&self.cluster.name).into_iter().collect()
        };
        let all_known = !homes.is_empty()
            && labels.is_some()
            && homes.iter().any(|home| home.knows_all_of("Gateway", ISTIO, ""))
            && homes.iter().all(|home| home.has_istiod().is_none() || home.knows_all_of("Gateway", ISTIO, ""));
        let labels = labels.unwrap_or_default();
        let gateways =
            homes.into_iter().flat_map(|home| home.objects("Gateway")).filter_map(|object| match &object.body {
                Body::IstioGateway(gateway) if is_subset(&gateway.selector, &labels) => Some((object, gateway)),
                _ => None,
            });
        (gateways.collect(), all_known)
    }

    /// The labels of its pods: of a pod, of the Deployment, else those its Service selects.
    fn pod_labels(&self) -> Option<Map> {
        if let Some(labels) = self.its_pods().iter().find_map(|(pod, _)| pod.labels.clone()) {
            return Some(labels);
        }
        let service = self.service().filter(|service| !service.selector.is_empty())?;
        let workload = self.cluster.workloads().find(|(object, workload)| {
            object.namespace == self.object().namespace && is_subset(&service.selector, &workload.pod_labels)
        });
        Some(workload.map_or_else(|| service.selector.clone(), |(_, workload)| workload.pod_labels.clone()))
    }

    /// A service with pods that none of these hosts names; `None` where they name all or any.
    fn uncovered(&self, hosts: &[Text]) -> Option<String> {
        let covers = |host: &str| {
            hosts.iter().any(|pattern| {
                let pattern = pattern.rsplit('/').next().unwrap_or(pattern);
                match pattern.strip_prefix('*') {
                    Some(end) => host.ends_with(end),
                    None => host == pattern,
                }
            })
        };
        let is_of_system = |namespace: &str| namespace.starts_with("istio") || namespace.starts_with("kube-");
        let mut services = self
            .cluster
            .services()
            .filter(|(object, service)| {
                !is_of_system(&object.namespace)
                    && !service.selector.is_empty()
                    && self
                        .view
                        .others(self.cluster)
                        .any(|other| other.object("Service", &object.namespace, &object.name).is_some())
            })
            .map(|(object, _)| format!("{}.{}.svc.cluster.local", object.name, object.namespace));
        let first = services.next()?;
        let is_any_covered = covers(&first) || services.any(|host| covers(&host));
        (!is_any_covered).then_some(first)
    }

    /// Whether its proxy sees the endpoints of its own network.
    fn network_view(&self) -> Option<Item> {
        let (_, network) = self.cluster.network()?;
        let network = network?;
        let of_pods = self
            .its_pods()
            .into_iter()
            .find_map(|(pod, state)| Some((pod, env(&state.containers, "ISTIO_META_REQUESTED_NETWORK_VIEW")?)));
        let of_workloads = || {
            self.cluster.workloads().find_map(|(object, workload)| {
                let is_its = self.service().is_some_and(|service| is_subset(&service.selector, &workload.pod_labels));
                let view = env(&workload.containers, "ISTIO_META_REQUESTED_NETWORK_VIEW")?;
                (is_its && object.namespace == self.object().namespace).then_some((object, view))
            })
        };
        let (object, seen) = of_pods.or_else(of_workloads)?;
        if seen.is_empty() || seen.split(',').any(|one| one.trim() == network) {
            return None;
        }
        let full = self.full_name();
        let why = format!("it asks for the endpoints of network {seen}, but stands in {network}");
        let quote = format!("ISTIO_META_REQUESTED_NETWORK_VIEW={seen}");
        let verdict =
            Verdict::certain(&full).because_object(object, &quote, "endpoints of its own network are hidden from it");
        Some(self.misconfigured(verdict, &why))
    }

    /// Whether it offers what a cluster without istiod needs, where one leads here.
    fn way_to_istiod(&self) -> Option<Item> {
        let ports = &self.gateway.ports;
        let lacking: Vec<String> = ISTIOD.iter().filter(|port| !ports.contains(port)).map(u16::to_string).collect();
        if ports.is_empty() || lacking.is_empty() {
            return None;
        }
        let leads_here =
            self.view.others(self.cluster).filter(|other| other.has_istiod() == Some(false)).find_map(|other| {
                let system = other.system_namespace();
                let mut slices = other.objects("EndpointSlice").chain(other.objects("Endpoints"));
                let found = slices.find(|object| match &object.body {
                    Body::Endpoints(endpoints) => {
                        *object.namespace == *system
                            && endpoints.service.starts_with("istiod")
                            && endpoints
                                .addresses
                                .iter()
                                .any(|address| self.gateway.addresses.contains(&&*address.host))
                    }
                    _ => false,
                });
                Some((other, found?))
            });
        let (other, slice) = leads_here?;
        let full = self.full_name();
        let why = format!("{} reaches istiod through it, and it offers no {}", other.title(), lacking.join(" and no "));
        let verdict = Verdict::certain(&full).because_object(
            slice,
            &format!("endpoint {}", self.gateway.addresses.join(", ")),
            "a cluster without istiod of its own leads here",
        );
        let offered: Vec<String> = ports.iter().map(u16::to_string).collect();
        let verdict = verdict.because_object(
            self.object(),
            &format!("ports: {}", offered.join(", ")),
            "the gateway does not offer istiod's ports",
        );
        Some(self.misconfigured(verdict, &why))
    }

    /// What the istiods of another cluster know of it.
    fn known_in(&self, other: &Cluster) -> Option<Item> {
        let network = self.gateway.network?;
        // A peer is told of its gateway by an object of its own.
        if other.peer_gateways().any(|peer| peer.object.stands_for(self.cluster)) {
            return None;
        }
        let documents = other.istiods().flat_map(|istiod| istiod.documents().map(move |document| (istiod, document)));
        let (istiod, event, known) = documents
            .filter_map(|(istiod, document)| match &document.said {
                Said::NetworkGateways(known) => Some((istiod, &document.event, known)),
                _ => None,
            })
            .last()?;
        let of_network: Vec<&NetworkGateway> = known.iter().filter(|known| *known.network == *network).collect();
        let addresses = &self.gateway.addresses;
        let is_known = of_network.iter().any(|known| addresses.contains(&&*known.address));
        let is_name = |address: &str| address.parse::<std::net::IpAddr>().is_err();
        let names: Vec<&&str> = addresses.iter().filter(|address| is_name(address)).collect();
        if is_known || of_network.is_empty() && self.object().label(NETWORK).is_none() {
            return None;
        }
        let full = self.full_name();
        if of_network.is_empty() {
            if let Some(host) = names.first() {
                let subject = host.to_string();
                let verdict = no_address::unresolved(Verdict::certain(&subject), host);
                let verdict = verdict.because_object(self.object(), host, "the gateway has a host name").because_quote(
                    event,
                    &format!("networkz: no gateway of network {network}"),
                    "istiod could not resolve it, and so knows no gateway",
                );
                let reason = format!("istiod of {} does not resolve its host name {host}", other.title());
                return Some(self.fail(reason, no_address::CAUSE.slug, verdict));
            }
            let is_synced = |row: &RemoteRow| self.cluster.is_called(&row.id) && &*row.status == "synced";
            let reads = istiod.clusters().iter().any(|(_, row)| is_synced(row));
            let off = (self.gateway.kind == GatewayKind::Gateway)
                .then(|| other.istiod_env("PILOT_MULTI_NETWORK_DISCOVER_GATEWAY_API"))
                .flatten()
                .filter(|(_, value)| *value == "false");
            if let Some((deployment, _)) = off {
                let why = format!("istiod of {} does not look for Gateways of the Gateway API", other.title());
                let verdict = Verdict::certain(&full)
                    .because_object(
                        deployment,
                        "PILOT_MULTI_NETWORK_DISCOVER_GATEWAY_API=false",
                        "istiod does not take Gateways for gateways between networks",
                    )
                    .because_quote(
                        event,
                        &format!("networkz: no gateway of network {network}"),
                        "so it does not know this one",
                    );
                return Some(self.misconfigured(verdict, &why));
            }
            // Of a cluster that it does not read it knows nothing; other checks say why.
            if !reads {
                return None;
            }
            let reason = format!(
                "istiod of {} reads {} and knows no gateway of network {network}",
                other.title(),
                self.cluster.title()
            );
            let remedy = format!(
                "Ask again: istioctl --context {} x internal-debug networkz; then restart that istiod.",
                other.name
            );
            return Some(Item::warn(&self.cluster.name, self.title(), reason, remedy));
        }
        // A name that was resolved is known by addresses of which nothing else tells.
        if !names.is_empty() {
            return None;
        }
        let stale = of_network.iter().find(|known| {
            let is_of_another = view_has_gateway_at(self.view, &known.address);
            !is_of_another && (known.cluster.is_empty() || self.cluster.is_called(&known.cluster))
        })?;
        let (why, shows) = match known_by_config(stale) {
            true => ("meshNetworks names {} for network", "the address comes from meshNetworks"),
            false => ("istiod holds {} for network", "istiod holds another address than the gateway has"),
        };
        let why = format!(
            "{} of {}: it has {}",
            why.replace("{}", &stale.address) + " " + network,
            other.title(),
            addresses.join(", ")
        );
        let verdict = Verdict::likely(&full).token(&stale.address);
        let verdict = verdict.because_quote(
            event,
            &format!("networkz: Network {network}, Cluster {}, Addr {}", stale.cluster, stale.address),
            shows,
        );
        let verdict = verdict.because_object(self.object(), &addresses.join(", "), "the gateway's own addresses");
        Some(self.misconfigured(verdict, &why))
    }
}

/// Whether a gateway of any cluster has this address.
fn view_has_gateway_at(view: &View<'_>, address: &str) -> bool {
    view.mesh().clusters().flat_map(Cluster::own_gateways).any(|gateway| gateway.addresses.contains(&address))
}

/// istiod names no cluster for gateways that meshNetworks lists.
fn known_by_config(known: &NetworkGateway) -> bool {
    known.cluster.is_empty()
}

fn phase(pod: &object::Pod) -> &str {
    let waiting = pod.containers.iter().map(|container| &*container.waiting).find(|waiting| !waiting.is_empty());
    waiting.unwrap_or(&pod.phase)
}

/// A condition as its object prints it.
pub(super) fn as_shown(condition: &Condition) -> String {
    let Condition { kind, status, reason, message, .. } = condition;
    let quote = format!("condition {kind}={status} reason={reason} message={message}");
    quote.trim_end_matches("message=").trim_end().trim_end_matches("reason=").trim_end().to_string()
}

/// Reason and message of a condition as a sentence.
pub(super) fn shown(condition: &Condition) -> String {
    match (&*condition.reason, &*condition.message) {
        ("", "") => format!("{} is {}", condition.kind, condition.status),
        (reason, "") => reason.to_string(),
        ("", message) => message.to_string(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

fn is_subset(selector: &Map, labels: &Map) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests;
