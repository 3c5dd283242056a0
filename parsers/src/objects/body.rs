//! What objects of Kubernetes' own groups and of the Gateway API say.

use super::field::{Field, short};
use super::{configmap, istio, secret};
use crate::cert;
use crate::event::Text;
use crate::state::object::{
    Body, Condition, Container, Crd, EndpointAddress, Endpoints, Gateway, GatewayClass, Listener, Map, NetworkPolicy,
    Node, Object, Pod, Service, ServicePort, Webhook, Workload,
};

/// Most containers of a pod and listeners of a Gateway that are read: each is looked up in the status.
pub(super) const CONTAINERS_MAX: usize = 256;

/// What an object says beyond its metadata.
pub(super) fn body(value: Field<'_>, object: &Object) -> Body {
    let (spec, status) = (value.at("spec"), value.at("status"));
    match (&*object.group, &*object.kind) {
        ("", "Namespace") => Body::Namespace,
        ("", "Pod") => Body::Pod(Box::new(pod(spec, status))),
        ("", "Service") => Body::Service(Box::new(service(spec, status))),
        ("", "Endpoints") => Body::Endpoints(endpoints(value, &object.name)),
        ("discovery.k8s.io", "EndpointSlice") => Body::Endpoints(slice(value, object)),
        ("apps" | "extensions", "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet") => {
            Body::Workload(Box::new(workload(&object.kind, spec, status)))
        }
        ("", "Node") => Body::Node(node(status)),
        ("", "ConfigMap") => Body::ConfigMap(Box::new(configmap::configmap(value))),
        ("", "Secret") => Body::Secret(Box::new(secret::secret(value, object))),
        ("gateway.networking.k8s.io", "Gateway") => Body::Gateway(Box::new(gateway(spec, status))),
        ("gateway.networking.k8s.io", "GatewayClass") => Body::GatewayClass(GatewayClass {
            controller: spec.at("controllerName").text(),
            conditions: conditions(status.at("conditions")),
        }),
        ("gateway.networking.k8s.io", _) if object.kind.ends_with("Route") => {
            Body::VirtualService(istio::route(spec, &object.namespace))
        }
        ("networking.k8s.io" | "extensions", "NetworkPolicy") => Body::NetworkPolicy(network_policy(spec)),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Body::Crd(crd(spec)),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration") => {
            Body::Webhooks(value.at("webhooks").items().map(webhook).collect())
        }
        (group, kind) if group.ends_with(".istio.io") => istio::body(kind, spec, status, &object.namespace),
        _ => Body::Other,
    }
}

/// Conditions of a status.
pub(super) fn conditions(field: Field<'_>) -> Vec<Condition> {
    let condition = |field: Field<'_>| Condition {
        kind: field.at("type").text(),
        status: field.at("status").text(),
        reason: field.at("reason").text(),
        message: field.at("message").text(),
        at: field.at("lastTransitionTime").time(),
    };
    field.items().map(condition).collect()
}

/// A label selector as labels. An expression stands under its key as kubectl prints it (`In (a,b)`, `Exists`): no label
/// has such a value, so that it never passes for one that selects everything.
pub(super) fn selector(field: Field<'_>) -> Map {
    let mut labels = field.at("matchLabels").map();
    for expression in field.at("matchExpressions").items() {
        let values = expression.at("values").texts();
        let operator = expression.at("operator").text();
        let text = if values.is_empty() { operator } else { format!("{operator} ({})", values.join(",")).into() };
        labels.entry(expression.at("key").text()).or_insert(text);
    }
    labels
}

fn pod(spec: Field<'_>, status: Field<'_>) -> Pod {
    let mut ips = status.at("podIPs").items().map(|ip| ip.at("ip").text()).collect::<Vec<_>>();
    ips.retain(|ip| !ip.is_empty());
    if ips.is_empty() && status.at("podIP").is_set() {
        ips.push(status.at("podIP").text());
    }
    let containers = containers(spec, status);
    // A native sidecar is an init container that stays, and counts like the others (Kubernetes 1.28+).
    let stays = |field: &Field<'_>| field.at("restartPolicy").str() == "Always";
    let sidecars: Vec<Text> =
        spec.at("initContainers").items().filter(stays).map(|field| field.at("name").text()).collect();
    let counted = || containers.iter().filter(|container| !container.is_init || sidecars.contains(&container.name));
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let phase = match status.at("reason").str() {
        // An evicted pod stays `Failed`; the reason is what kubectl shows.
        "" => status.at("phase").text(),
        reason => short(reason),
    };
    Pod {
        node: spec.at("nodeName").text(),
        ips,
        phase,
        service_account: spec.at("serviceAccountName").text(),
        host_network: spec.at("hostNetwork").flag().unwrap_or(false),
        ready: (count(counted().filter(|container| container.ready == Some(true)).count()), count(counted().count())),
        restarts: counted().fold(0, |sum: u32, container| sum.saturating_add(container.restarts)),
        conditions: conditions(status.at("conditions")),
        containers,
    }
}

/// Containers of a pod's or a template's specification, with what the status says of each.
fn containers(spec: Field<'_>, status: Field<'_>) -> Vec<Container> {
    let both = [("initContainers", "initContainerStatuses", true), ("containers", "containerStatuses", false)];
    let mut found = Vec::new();
    for (listed, statuses, is_init) in both {
        for container in spec.at(listed).items().take(CONTAINERS_MAX) {
            let name = container.at("name").text();
            let says = status.at(statuses).items().find(|status| status.at("name").str() == &*name);
            found.push(self::container(container, name, says, is_init));
        }
    }
    found
}

fn container(field: Field<'_>, name: Text, status: Option<Field<'_>>, is_init: bool) -> Container {
    let env = field.at("env").items().filter(|variable| variable.at("value").is_set());
    let env = env.map(|variable| (variable.at("name").text(), variable.at("value").text()));
    let ended = |status: Field<'_>| {
        let last = [status.at("state").at("terminated"), status.at("lastState").at("terminated")];
        let ended = last.into_iter().find(|state| state.is_set())?;
        let code = ended.at("exitCode").number().unwrap_or(0);
        Some((ended.at("reason").text(), code, ended.at("finishedAt").time()))
    };
    Container {
        name,
        image: field.at("image").text(),
        env: env.filter(|(name, value)| !secret::is_secret(name, value)).collect(),
        args: secret::arguments(&field.at("args").texts()),
        ports: field.at("ports").items().filter_map(|port| port.at("containerPort").number()).collect(),
        ready: status.and_then(|status| status.at("ready").flag()),
        restarts: status.and_then(|status| status.at("restartCount").number()).unwrap_or(0),
        waiting: status.map(|status| status.at("state").at("waiting").at("reason").text()).unwrap_or_default(),
        ended: status.and_then(ended),
        is_init,
    }
}

fn service(spec: Field<'_>, status: Field<'_>) -> Service {
    let kind = spec.at("type").text();
    let mut cluster_ips = spec.at("clusterIPs").texts();
    if cluster_ips.is_empty() && !spec.at("clusterIP").str().is_empty() {
        cluster_ips.push(spec.at("clusterIP").text());
    }
    let ingress = |entry: Field<'_>| match entry.at("ip").str() {
        "" => entry.at("hostname").text(),
        ip => short(ip),
    };
    let port = |field: Field<'_>| {
        let port: u16 = field.at("port").number()?;
        let target = field.at("targetPort").text();
        let protocol = field.at("protocol").text();
        Some(ServicePort {
            name: field.at("name").text(),
            port,
            target: if target.is_empty() { port.to_string().into() } else { target },
            node_port: field.at("nodePort").number().unwrap_or(0),
            protocol: if protocol.is_empty() { "TCP".into() } else { protocol },
            app_protocol: field.at("appProtocol").text(),
        })
    };
    Service {
        kind: if kind.is_empty() { "ClusterIP".into() } else { kind },
        cluster_ips,
        external_ips: spec.at("externalIPs").texts(),
        external_name: spec.at("externalName").text(),
        ingress: status.at("loadBalancer").at("ingress").items().map(ingress).filter(|at| !at.is_empty()).collect(),
        selector: spec.at("selector").map(),
        ports: spec.at("ports").items().filter_map(port).collect(),
        shows_selector: true,
    }
}

fn endpoints(value: Field<'_>, service: &Text) -> Endpoints {
    let mut found = Endpoints { service: service.clone(), ..Endpoints::default() };
    for subset in value.at("subsets").items() {
        for (key, ready) in [("addresses", true), ("notReadyAddresses", false)] {
            for address in subset.at(key).items() {
                let host = address.at("ip").text();
                let host = if host.is_empty() { address.at("hostname").text() } else { host };
                let pod = pod_of(address);
                found.addresses.push(EndpointAddress { host, ready, pod, node: address.at("nodeName").text() });
            }
        }
        for port in endpoint_ports(subset) {
            if !found.ports.contains(&port) {
                found.ports.push(port);
            }
        }
    }
    found
}

fn slice(value: Field<'_>, object: &Object) -> Endpoints {
    let mut found = Endpoints {
        service: object.label("kubernetes.io/service-name").unwrap_or("").into(),
        ports: endpoint_ports(value).collect(),
        ..Endpoints::default()
    };
    for endpoint in value.at("endpoints").items() {
        // Unknown is to be taken for ready: `kubernetes/api: discovery/v1/types.go`.
        let ready = endpoint.at("conditions").at("ready").flag().unwrap_or(true);
        for host in endpoint.at("addresses").texts() {
            let node = endpoint.at("nodeName").text();
            found.addresses.push(EndpointAddress { host, ready, pod: pod_of(endpoint), node });
        }
    }
    found
}

fn pod_of(address: Field<'_>) -> Text {
    let target = address.at("targetRef");
    if target.at("kind").str() == "Pod" { target.at("name").text() } else { Text::default() }
}

fn endpoint_ports(field: Field<'_>) -> impl Iterator<Item = (Text, u16)> {
    field.at("ports").items().filter_map(|port| Some((port.at("name").text(), port.at("port").number()?)))
}

fn workload(kind: &str, spec: Field<'_>, status: Field<'_>) -> Workload {
    let template = spec.at("template");
    let (wanted, ready) = match kind {
        "DaemonSet" => (status.at("desiredNumberScheduled"), status.at("numberReady")),
        _ => (spec.at("replicas"), status.at("readyReplicas")),
    };
    Workload {
        // Without a number a Deployment wants one; a DaemonSet without a status wants none yet.
        wanted: wanted.number().unwrap_or(if kind == "DaemonSet" { 0 } else { 1 }),
        ready: ready.number().unwrap_or(0),
        selector: selector(spec.at("selector")),
        pod_labels: template.at("metadata").at("labels").map(),
        pod_annotations: super::annotations(template.at("metadata").at("annotations"), false).0,
        service_account: template.at("spec").at("serviceAccountName").text(),
        containers: containers(template.at("spec"), Field::NONE),
        conditions: conditions(status.at("conditions")),
    }
}

fn node(status: Field<'_>) -> Node {
    let conditions = conditions(status.at("conditions"));
    Node {
        ready: conditions.iter().any(|condition| &*condition.kind == "Ready" && &*condition.status == "True"),
        kubelet: status.at("nodeInfo").at("kubeletVersion").text(),
        addresses: status
            .at("addresses")
            .items()
            .map(|address| (address.at("type").text(), address.at("address").text()))
            .collect(),
        conditions,
    }
}

fn gateway(spec: Field<'_>, status: Field<'_>) -> Gateway {
    let values = |field: Field<'_>| -> Vec<Text> {
        field.items().map(|address| address.at("value").text()).filter(|value| !value.is_empty()).collect()
    };
    let listener = |field: Field<'_>| {
        let name = field.at("name").text();
        let says = status.at("listeners").items().find(|status| status.at("name").str() == &*name);
        Listener {
            name,
            port: field.at("port").number().unwrap_or(0),
            protocol: field.at("protocol").text(),
            hostname: field.at("hostname").text(),
            tls_mode: field.at("tls").at("mode").text(),
            options: field.at("tls").at("options").map(),
            conditions: says.map(|status| conditions(status.at("conditions"))).unwrap_or_default(),
        }
    };
    Gateway {
        class: spec.at("gatewayClassName").text(),
        listeners: spec.at("listeners").items().take(CONTAINERS_MAX).map(listener).collect(),
        spec_addresses: values(spec.at("addresses")),
        addresses: values(status.at("addresses")),
        conditions: conditions(status.at("conditions")),
    }
}

fn network_policy(spec: Field<'_>) -> NetworkPolicy {
    let types = spec.at("policyTypes").texts();
    let has = |wanted: &str| types.iter().any(|kind| &**kind == wanted);
    NetworkPolicy {
        selector: selector(spec.at("podSelector")),
        // Without types it limits what comes in, and what goes out if it has a rule for it.
        limits_ingress: types.is_empty() || has("Ingress"),
        limits_egress: if types.is_empty() { spec.at("egress").is_set() } else { has("Egress") },
        ingress_ports: spec.at("ingress").items().map(policy_ports).collect(),
        egress_ports: spec.at("egress").items().map(policy_ports).collect(),
    }
}

/// The ports of a rule: `15008`, `8000-8080`, `http`; of another protocol than TCP `53/UDP`; `TCP` for all of one.
fn policy_ports(rule: Field<'_>) -> Vec<Text> {
    let text = |port: Field<'_>| {
        let number = port.at("port").text();
        let range = match port.at("endPort").is_set() {
            true => format!("{number}-{}", port.at("endPort").text()),
            false => number.to_string(),
        };
        match (range.as_str(), port.at("protocol").str()) {
            ("", "") => "TCP".into(),
            ("", protocol) => protocol.into(),
            (_, "" | "TCP") => range.into(),
            (_, protocol) => format!("{range}/{protocol}").into(),
        }
    };
    rule.at("ports").items().map(text).collect()
}

fn crd(spec: Field<'_>) -> Crd {
    let served = |version: &Field<'_>| version.at("served").flag().unwrap_or(true);
    let mut versions: Vec<Text> =
        spec.at("versions").items().filter(served).map(|version| version.at("name").text()).collect();
    // v1beta1 had one `version`, and `versions` later.
    if versions.is_empty() && spec.at("version").is_set() && !spec.at("versions").is_set() {
        versions.push(spec.at("version").text());
    }
    Crd { group: spec.at("group").text(), kind: spec.at("names").at("kind").text(), versions }
}

fn webhook(field: Field<'_>) -> Webhook {
    let config = field.at("clientConfig");
    let service = config.at("service");
    let bundle = config.at("caBundle").str();
    let url = secret::without_user(config.at("url").str());
    let (port, path) = match service.is_set() {
        true => (service.at("port").number(), service.at("path").text()),
        false => of_url(&url),
    };
    Webhook {
        name: field.at("name").text(),
        service: match service.is_set() {
            true => format!("{}/{}", service.at("namespace").text(), service.at("name").text()).into(),
            false => Text::default(),
        },
        url,
        path,
        port: port.unwrap_or(443),
        ca: cert::parse(bundle.as_bytes()),
        has_ca: !bundle.is_empty(),
        failure_policy: field.at("failurePolicy").text(),
    }
}

/// Port and path of `https://istiod.example.net:15017/inject/cluster/west`.
fn of_url(url: &str) -> (Option<u16>, Text) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let port = host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    (port, path.into())
}
