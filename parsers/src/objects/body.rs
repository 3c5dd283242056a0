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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{object, yaml};

    fn read(text: &str) -> Object {
        let value = yaml::value(text).expect("valid YAML");
        object(Field::from(&value), ("", "")).expect("an object").0
    }

    #[test]
    fn a_gateway_has_its_listeners_with_their_conditions() {
        let object = read(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: eastwest\n  namespace: istio-system\n  labels:\n    topology.istio.io/network: net-west\nspec:\n  gatewayClassName: istio-east-west\n  addresses:\n  - type: IPAddress\n    value: 172.18.0.9\n  listeners:\n  - allowedRoutes:\n      namespaces:\n        from: Same\n    name: mesh\n    port: 15008\n    protocol: HBONE\n    tls:\n      mode: Terminate\n      options:\n        gateway.istio.io/tls-terminate-mode: ISTIO_MUTUAL\nstatus:\n  addresses:\n  - type: IPAddress\n    value: 172.18.255.2\n  conditions:\n  - lastTransitionTime: \"2026-03-01T10:00:00Z\"\n    message: 'Assigned to service(s) eastwest, but failed to assign to all requested\n      addresses: address pending for hostname \"eastwest\"'\n    observedGeneration: 1\n    reason: AddressNotAssigned\n    status: \"False\"\n    type: Programmed\n  listeners:\n  - attachedRoutes: 0\n    conditions:\n    - lastTransitionTime: \"2026-03-01T10:00:00Z\"\n      message: No errors found\n      reason: Programmed\n      status: \"True\"\n      type: Programmed\n    name: mesh\n    supportedKinds: []\n",
        );
        assert_eq!(object.label("topology.istio.io/network"), Some("net-west"));
        let Body::Gateway(gateway) = object.body else { panic!("{object:?}") };
        assert_eq!((&*gateway.class, &*gateway.conditions[0].reason), ("istio-east-west", "AddressNotAssigned"));
        assert!(gateway.conditions[0].message.contains("requested addresses: address pending"));
        let mesh = &gateway.listeners[0];
        assert_eq!(
            (mesh.port, &*mesh.protocol, &*mesh.tls_mode, mesh.conditions.len()),
            (15008, "HBONE", "Terminate", 1)
        );
        assert_eq!(
            (gateway.spec_addresses, gateway.addresses),
            (vec!["172.18.0.9".into()], vec!["172.18.255.2".into()])
        );
    }

    #[test]
    fn a_network_policy_says_what_it_limits() {
        let policy = |text: &str| {
            let text = format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: a, namespace: shop}}\nspec: {text}\n"
            );
            match read(&text).body {
                Body::NetworkPolicy(policy) => policy,
                other => panic!("{other:?}"),
            }
        };
        let deny = policy("{podSelector: {}, policyTypes: [Ingress, Egress]}");
        assert_eq!((deny.limits_ingress, deny.limits_egress, deny.ingress_ports.len()), (true, true, 0));
        let open = policy(
            "{podSelector: {matchLabels: {app: cart}}, ingress: [{}], egress: [{to: [{}], ports: [{port: 53, protocol: UDP}, {port: 15012}, {port: 8000, endPort: 9000}, {port: http}]}]}",
        );
        assert_eq!((open.limits_ingress, open.limits_egress), (true, true));
        assert_eq!(open.ingress_ports, [Vec::<Text>::new()]);
        assert_eq!(open.egress_ports, [["53/UDP", "15012", "8000-9000", "http"].map(Text::from).to_vec()]);
        let some = policy(
            "{podSelector: {matchExpressions: [{key: app, operator: In, values: [a, b]}, {key: tier, operator: Exists}]}}",
        );
        let selector = [("app", "In (a,b)"), ("tier", "Exists")].map(|(key, value)| (key.into(), value.into()));
        assert_eq!(some.selector, Map::from(selector));
        assert_eq!((some.limits_ingress, some.limits_egress), (true, false));
    }

    #[test]
    fn endpoints_of_both_kinds_say_who_is_ready() {
        let slice = read(
            "addressType: IPv4\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: cart-x2lqf\n  namespace: shop\n  labels:\n    kubernetes.io/service-name: cart\nendpoints:\n- addresses:\n  - 10.1.0.4\n  conditions:\n    ready: true\n    serving: true\n    terminating: false\n  nodeName: worker-1\n  targetRef:\n    kind: Pod\n    name: cart-1\n    namespace: shop\n- addresses:\n  - 10.1.0.5\n  conditions:\n    ready: false\nports:\n- name: http\n  port: 8080\n  protocol: TCP\n",
        );
        let Body::Endpoints(slice) = slice.body else { panic!("{slice:?}") };
        assert_eq!((&*slice.service, slice.ports.as_slice()), ("cart", [("http".into(), 8080)].as_slice()));
        let ready: Vec<_> = slice.addresses.iter().map(|at| (&*at.host, at.ready, &*at.pod)).collect();
        assert_eq!(ready, [("10.1.0.4", true, "cart-1"), ("10.1.0.5", false, "")]);

        let endpoints = read(
            "apiVersion: v1\nkind: Endpoints\nmetadata:\n  name: istiod\n  namespace: istio-system\nsubsets:\n- addresses:\n  - ip: 172.18.255.7\n  notReadyAddresses:\n  - ip: 10.1.0.9\n    nodeName: worker-2\n    targetRef:\n      kind: Pod\n      name: istiod-1\n  ports:\n  - name: tcp-istiod\n    port: 15012\n",
        );
        let Body::Endpoints(endpoints) = endpoints.body else { panic!("{endpoints:?}") };
        let ready: Vec<_> = endpoints.addresses.iter().map(|at| (&*at.host, at.ready, &*at.pod)).collect();
        assert_eq!(ready, [("172.18.255.7", true, ""), ("10.1.0.9", false, "istiod-1")]);
    }

    #[test]
    fn workloads_count_what_they_want() {
        let daemons = read(
            "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: ztunnel, namespace: istio-system}\nspec:\n  selector: {matchLabels: {app: ztunnel}}\n  template:\n    metadata: {labels: {app: ztunnel}, annotations: {sidecar.istio.io/inject: \"false\"}}\n    spec:\n      serviceAccountName: ztunnel\n      containers:\n      - name: istio-proxy\n        env: [{name: CLUSTER_ID, value: west}, {name: NETWORK, value: net-west}]\nstatus: {desiredNumberScheduled: 3, numberReady: 2}\n",
        );
        let Body::Workload(daemons) = daemons.body else { panic!("{daemons:?}") };
        assert_eq!((daemons.wanted, daemons.ready, &*daemons.service_account), (3, 2, "ztunnel"));
        assert_eq!(
            (daemons.containers[0].ready, daemons.containers[0].env.len(), daemons.pod_annotations.len()),
            (None, 2, 1)
        );
        let deployment = read("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: istiod}\nspec: {}\n");
        assert!(matches!(deployment.body, Body::Workload(workload) if workload.wanted == 1 && workload.ready == 0));
    }

    #[test]
    fn definitions_of_both_versions_name_what_is_served() {
        let crd = |spec: &str| {
            let text = format!(
                "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: a}}\nspec: {spec}\n"
            );
            match read(&text).body {
                Body::Crd(crd) => crd.versions.iter().map(|version| version.to_string()).collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            crd("{group: g, names: {kind: K}, versions: [{name: v1, served: true}, {name: v1alpha1, served: false}]}"),
            ["v1"]
        );
        assert_eq!(crd("{group: g, names: {kind: K}, version: v1beta1}"), ["v1beta1"]);
    }

    #[test]
    fn a_webhook_says_whom_it_calls_and_whom_it_trusts() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let cert = rcgen::CertificateParams::new(vec!["istiod".to_string()]).expect("names").self_signed(&key);
        let bundle = base64(cert.expect("a certificate").pem().as_bytes());
        let object = read(&format!(
            "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata:\n  name: istio-sidecar-injector\nwebhooks:\n- admissionReviewVersions: [v1]\n  clientConfig:\n    caBundle: {bundle}\n    url: https://172.18.255.1:15017/inject/cluster/west/net/net-west\n  failurePolicy: Fail\n  name: namespace.sidecar-injector.istio.io\n- clientConfig:\n    caBundle: Cg==\n    service: {{name: istiod, namespace: istio-system, path: /inject, port: 443}}\n  name: object.sidecar-injector.istio.io\n- clientConfig: {{service: {{name: istiod, namespace: istio-system}}}}\n  name: x\n"
        ));
        let Body::Webhooks(webhooks) = object.body else { panic!("{object:?}") };
        let remote = &webhooks[0];
        assert_eq!(
            (remote.port, &*remote.path, &*remote.failure_policy),
            (15017, "/inject/cluster/west/net/net-west", "Fail")
        );
        assert_eq!((remote.ca.len(), remote.has_ca), (1, true));
        assert_eq!((&*webhooks[1].service, webhooks[1].ca.len(), webhooks[1].has_ca), ("istio-system/istiod", 0, true));
        assert_eq!((webhooks[2].port, webhooks[2].has_ca), (443, false));
    }

    /// Standard base64.
    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            for place in 0..4 {
                let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize] as char;
                text.push(if place <= chunk.len() { digit } else { '=' });
            }
        }
        text
    }
}
