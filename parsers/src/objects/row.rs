//! Rows of tables as the objects of which they show a part.

use crate::event::{Addr, Text};
use crate::state::State;
use crate::state::object::{
    Body, Condition, EndpointAddress, Endpoints, Gateway, Map, NetworkPolicy, Node, Object, Pod, Service, ServicePort,
    Workload,
};
use crate::table::NETWORK_LABEL;

/// The object that a row shows a part of; `None` for a state that is no row of one.
///
/// Tables leave out what tells kinds of workloads and of webhook configurations apart: the former are of kind
/// `Workload`, the latter are told by their names.
pub fn from_row(state: &State) -> Option<Object> {
    let object = match state {
        State::Service { namespace, name, kind, external, ports, labels } => Object {
            labels: labels_of(labels),
            body: Body::Service(Box::new(service(kind, external, ports))),
            ..row("Service", "", namespace, name)
        },
        State::Pod { namespace, name, ready, containers, status, restarts, ip } => {
            let ips = if ip.is_empty() { Vec::new() } else { vec![ip.clone()] };
            let ready = (*ready, *containers);
            let pod = Pod { ips, phase: status.clone(), ready, restarts: *restarts, ..Pod::default() };
            Object { body: Body::Pod(Box::new(pod)), ..row("Pod", "", namespace, name) }
        }
        State::Secret { namespace, name, labels } => Object {
            labels: labels_of(labels),
            body: Body::Secret(Box::default()),
            ..row("Secret", "", namespace, name)
        },
        State::NamespaceNetwork { namespace, network, labels } => {
            let label = (!matches!(&**network, "" | "<none>")).then(|| (NETWORK_LABEL.into(), network.clone()));
            Object {
                labels: Some(labels_of(labels).unwrap_or_default().into_iter().chain(label).collect()),
                body: Body::Namespace,
                ..row("Namespace", "", &Text::default(), namespace)
            }
        }
        State::Endpoints { namespace, name, addresses } => {
            Object { body: Body::Endpoints(endpoints(name, addresses)), ..row("Endpoints", "", namespace, name) }
        }
        State::Gateway { namespace, name, class, address, programmed } => {
            let programmed =
                Condition { kind: "Programmed".into(), status: programmed.clone(), ..Condition::default() };
            let gateway = Gateway {
                class: class.clone(),
                addresses: if address.is_empty() { Vec::new() } else { vec![address.clone()] },
                conditions: if programmed.status.is_empty() { Vec::new() } else { vec![programmed] },
                ..Gateway::default()
            };
            let body = Body::Gateway(Box::new(gateway));
            Object { body, ..row("Gateway", "gateway.networking.k8s.io", namespace, name) }
        }
        State::Node { name, status, version } => {
            let ready = status.split(',').any(|word| word == "Ready");
            let node = Node { ready, kubelet: version.clone(), ..Node::default() };
            Object { body: Body::Node(node), ..row("Node", "", &Text::default(), name) }
        }
        State::Replicas { namespace, name, ready, wanted } => {
            let workload = Workload { ready: *ready, wanted: *wanted, ..Workload::default() };
            Object { body: Body::Workload(Box::new(workload)), ..row("Workload", "apps", namespace, name) }
        }
        State::WebhookConfig { name } => {
            let kind = match name.contains("valid") {
                true => "ValidatingWebhookConfiguration",
                false => "MutatingWebhookConfiguration",
            };
            let row = row(kind, "admissionregistration.k8s.io", &Text::default(), name);
            Object { body: Body::Webhooks(Vec::new()), ..row }
        }
        State::NetworkPolicy { namespace, name, selector } => {
            let selector = labels_of(selector).unwrap_or_default();
            let policy = NetworkPolicy { selector, ..NetworkPolicy::default() };
            Object { body: Body::NetworkPolicy(policy), ..row("NetworkPolicy", "networking.k8s.io", namespace, name) }
        }
        _ => return None,
    };
    Some(object)
}

fn row(kind: &str, group: &str, namespace: &Text, name: &Text) -> Object {
    Object {
        kind: kind.into(),
        group: group.into(),
        namespace: namespace.clone(),
        name: name.clone(),
        is_row: true,
        ..Object::default()
    }
}

/// `a=b,c=d`; `None` where the table has no such column, empty for `<none>`.
pub(super) fn labels_of(labels: &str) -> Option<Map> {
    if labels.is_empty() {
        return None;
    }
    let pairs = labels.split(',').filter_map(|pair| pair.trim().split_once('='));
    Some(pairs.map(|(key, value)| (Text::from(key), Text::from(value))).collect())
}

fn service(kind: &str, external: &str, ports: &str) -> Service {
    let external = external.split(',').map(str::trim);
    let external: Vec<Text> =
        external.filter(|address| !address.is_empty() && !address.starts_with('<')).map(Text::from).collect();
    let mut service =
        Service { kind: kind.into(), ports: ports.split(',').filter_map(port).collect(), ..Service::default() };
    match kind {
        "ExternalName" => service.external_name = external.into_iter().next().unwrap_or_default(),
        "LoadBalancer" => service.ingress = external,
        _ => service.external_ips = external,
    }
    service
}

/// `15443:31116/TCP`, `80/TCP`.
fn port(text: &str) -> Option<ServicePort> {
    let (numbers, protocol) = text.trim().split_once('/').unwrap_or((text.trim(), "TCP"));
    let (port, node_port) = numbers.split_once(':').unwrap_or((numbers, "0"));
    Some(ServicePort {
        port: port.parse().ok()?,
        node_port: node_port.parse().ok()?,
        protocol: protocol.into(),
        ..ServicePort::default()
    })
}

/// A slice is named after its service with a suffix, which a table does not tell apart.
fn endpoints(name: &Text, addresses: &[Text]) -> Endpoints {
    let mut found = Endpoints { service: name.clone(), ..Endpoints::default() };
    for address in addresses {
        let addr = Addr::parse(address).unwrap_or_else(|| Addr { host: address.clone(), port: 0 });
        if addr.port != 0 && !found.ports.iter().any(|(_, port)| *port == addr.port) {
            found.ports.push((Text::default(), addr.port));
        }
        if !found.addresses.iter().any(|known| known.host == addr.host) {
            found.addresses.push(EndpointAddress { host: addr.host, ready: true, ..EndpointAddress::default() });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_row_is_a_part_of_its_service() {
        let state = State::Service {
            namespace: "istio-system".into(),
            name: "istio-eastwestgateway".into(),
            kind: "LoadBalancer".into(),
            external: "172.18.255.1,fd00::1".into(),
            ports: "15021:32650/TCP,15443:31116/TCP,53/UDP".into(),
            labels: "app=istio-eastwestgateway,topology.istio.io/network=net-west".into(),
        };
        let object = from_row(&state).expect("an object");
        assert!(object.is_row);
        assert_eq!(object.title(), "Service istio-system/istio-eastwestgateway");
        assert_eq!(object.label(NETWORK_LABEL), Some("net-west"));
        let Body::Service(service) = object.body else { panic!("{object:?}") };
        assert_eq!(service.ingress, ["172.18.255.1".into(), "fd00::1".into()]);
        let ports: Vec<_> = service.ports.iter().map(|port| (port.port, port.node_port, &*port.protocol)).collect();
        assert_eq!(ports, [(15021, 32650, "TCP"), (15443, 31116, "TCP"), (53, 0, "UDP")]);
        assert!(!service.shows_selector);
    }

    #[test]
    fn a_pending_address_and_absent_labels_stay_unknown() {
        let state = State::Service {
            namespace: Text::default(),
            name: "gw".into(),
            kind: "LoadBalancer".into(),
            external: "<pending>".into(),
            ports: "80:30080/TCP".into(),
            labels: Text::default(),
        };
        let object = from_row(&state).expect("an object");
        assert_eq!(object.labels, None);
        assert!(matches!(object.body, Body::Service(service) if service.ingress.is_empty()));
    }

    #[test]
    fn a_namespace_row_has_its_network_or_is_known_to_have_none() {
        let of = |network: &str| {
            from_row(&State::NamespaceNetwork {
                namespace: "istio-system".into(),
                network: network.into(),
                labels: "".into(),
            })
        };
        let labels = |network: &str| of(network).and_then(|object| object.labels);
        assert_eq!(labels("net-1"), Some(Map::from([(NETWORK_LABEL.into(), "net-1".into())])));
        assert_eq!(labels(""), Some(Map::new()));
    }

    #[test]
    fn endpoints_of_several_ports_are_one_address_each() {
        let addresses = vec!["10.1.0.4:80".into(), "10.1.0.4:443".into(), "10.1.0.5:80".into(), "host.example".into()];
        let state = State::Endpoints { namespace: "shop".into(), name: "cart".into(), addresses };
        let Some(Object { body: Body::Endpoints(endpoints), .. }) = from_row(&state) else { panic!("no endpoints") };
        let hosts: Vec<_> = endpoints.addresses.iter().map(|address| &*address.host).collect();
        assert_eq!(hosts, ["10.1.0.4", "10.1.0.5", "host.example"]);
        assert_eq!(endpoints.ports.len(), 2);
    }

    #[test]
    fn what_is_no_object_has_none() {
        assert_eq!(from_row(&State::Row), None);
    }
}
