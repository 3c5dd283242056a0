//! What saved tables say about gateways, networks, endpoints and pods: questions that several causes ask.

use std::sync::Arc;

use meshwhy_parsers::event::{Addr, Event, Fact, Kind};
use meshwhy_parsers::state::State;
use meshwhy_parsers::table::label;

use crate::engine::mesh::NETWORK;
use crate::engine::view::View;

/// Ports through which traffic crosses networks: sidecars and ambient.
pub const CROSS_NETWORK_PORTS: [u16; 2] = [15443, 15008];

/// A Service row of an east-west gateway.
pub(super) struct Gateway<'w> {
    /// The row.
    pub(super) event: &'w Arc<Event>,
    /// Namespace; `istio-system` where the table has none.
    pub(super) namespace: &'w str,
    /// Name.
    pub(super) name: &'w str,
    /// External address as printed.
    pub(super) external: &'w str,
    /// Ports as printed.
    pub(super) ports: &'w str,
}

impl Gateway<'_> {
    /// Whether the Service offers a port.
    pub(super) fn offers(&self, port: u16) -> bool {
        let number = |entry: &str| entry.trim().split([':', '/']).next().and_then(|port| port.parse::<u16>().ok());
        self.ports.split(',').any(|entry| number(entry) == Some(port))
    }

    /// Its external address, where it has one.
    pub(super) fn address(&self) -> Option<&str> {
        (!self.external.is_empty() && !self.external.starts_with('<')).then_some(self.external)
    }

    /// Its cluster.
    pub(super) fn cluster(&self) -> &str {
        &self.event.origin.cluster
    }
}

/// The Services of east-west gateways.
pub(super) fn gateways<'w>(view: &View<'w>) -> Vec<Gateway<'w>> {
    let rows = view.states().filter_map(|(event, state)| match state {
        State::Service { namespace, name, external, ports, labels, .. } if is_east_west(name, labels) => {
            let namespace: &str = if namespace.is_empty() { "istio-system" } else { namespace };
            Some(Gateway { event, namespace, name, external, ports })
        }
        _ => None,
    });
    rows.collect()
}

/// A Service row of an application: those of gateways and of the system differ between clusters as they should.
pub(super) struct Service<'w> {
    /// The row.
    pub(super) event: &'w Arc<Event>,
    /// Namespace; empty where the table has none.
    pub(super) namespace: &'w str,
    /// Name.
    pub(super) name: &'w str,
    /// Its labels as printed; empty where the table has none.
    pub(super) labels: &'w str,
    ports: &'w str,
}

impl<'w> Service<'w> {
    /// Whether the other row is the service of this name in another cluster.
    pub(super) fn is_same_elsewhere(&self, other: &Service<'_>) -> bool {
        self.name == other.name
            && self.namespace == other.namespace
            && self.event.origin.cluster != other.event.origin.cluster
    }

    /// The port numbers it offers.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> + use<'w> {
        self.ports.split(',').filter_map(|entry| entry.trim().split([':', '/']).next()?.parse().ok())
    }
}

/// The Services of applications, as tables list them.
pub(super) fn services<'w>(view: &View<'w>) -> Vec<Service<'w>> {
    let rows = view.states().filter_map(|(event, state)| match state {
        State::Service { namespace, name, kind, ports, labels, .. } => {
            let of_system = namespace.starts_with("istio") || namespace.starts_with("kube-") || **name == *"kubernetes";
            let of_gateway = is_east_west(name, labels) || &**kind == "LoadBalancer" || name.contains("gateway");
            (!of_system && !of_gateway).then_some(Service { event, namespace, name, labels, ports })
        }
        _ => None,
    });
    rows.collect()
}

/// Whether a Service, Gateway or pod serves traffic between clusters, as its labels or its usual name tell.
pub(super) fn is_east_west(name: &str, labels: &str) -> bool {
    let named = ["eastwest", "east-west", "cross-network", "crossnetwork"].iter().any(|part| name.contains(part));
    named
        || label(labels, "istio") == Some("eastwestgateway")
        || label(labels, NETWORK).is_some_and(|network| !network.is_empty())
}

/// The network label of each cluster's system namespace, where a table shows it: empty where the label is missing.
pub(super) fn networks<'w>(view: &View<'w>) -> Vec<(&'w Arc<Event>, &'w str)> {
    let rows = view.states().filter_map(|(event, state)| match state {
        State::NamespaceNetwork { namespace, network, .. }
            if namespace.contains("istio") && &**namespace != "istio-operator" =>
        {
            Some((event, &**network))
        }
        _ => None,
    });
    rows.collect()
}

/// An endpoint that a proxy holds.
pub(super) struct Held<'w> {
    /// The row.
    pub(super) event: &'w Arc<Event>,
    /// Its address.
    pub(super) addr: &'w Addr,
    /// Service host name.
    pub(super) host: &'w str,
    /// Locality priority, where shown.
    pub(super) priority: Option<u32>,
    /// `HEALTHY`, ...; empty where not shown.
    pub(super) status: &'w str,
}

impl Held<'_> {
    /// Whether it is a gateway's address rather than a workload's.
    pub(super) fn is_gateway(&self) -> bool {
        CROSS_NETWORK_PORTS.contains(&self.addr.port)
    }
}

/// The endpoints that proxies hold, as `proxy-config endpoint` printed them.
pub(super) fn held<'w>(view: &View<'w>) -> Vec<Held<'w>> {
    let rows = view.states().filter_map(|(event, state)| match state {
        State::ProxyEndpoint { addr, status, cluster, priority, .. } => {
            let host = cluster.rsplit('|').next().unwrap_or("");
            Some(Held { event, addr, host, priority: *priority, status })
        }
        _ => None,
    });
    rows.collect()
}

/// An Endpoints or EndpointSlice row.
pub(super) struct Listed<'w> {
    /// The row.
    pub(super) event: &'w Arc<Event>,
    namespace: &'w str,
    name: &'w str,
    addresses: &'w [Box<str>],
}

impl Listed<'_> {
    /// Whether it lists a host, with any port.
    fn has(&self, host: &str) -> bool {
        self.addresses.iter().any(|address| address.rsplit_once(':').map_or(&**address, |(host, _)| host) == host)
    }
}

/// The addresses that clusters' Endpoints objects list.
pub(super) fn endpoints<'w>(view: &View<'w>) -> Vec<Listed<'w>> {
    let rows = view.states().filter_map(|(event, state)| match state {
        State::Endpoints { namespace, name, addresses } => Some(Listed { event, namespace, name, addresses }),
        _ => None,
    });
    rows.collect()
}

/// An endpoint that a proxy of one cluster holds although only another cluster's service lists it, with that list's row.
pub(super) fn foreign_pod<'w>(view: &View<'w>) -> Option<(Held<'w>, &'w Arc<Event>)> {
    let lists = endpoints(view);
    held(view).into_iter().filter(|held| !held.is_gateway()).find_map(|held| {
        let own = &held.event.origin.cluster;
        let has = |list: &&Listed<'_>| is_of(held.host, list.namespace, list.name) && list.has(&held.addr.host);
        let home = lists.iter().find(|list| list.event.origin.cluster != *own && has(list))?.event;
        let at_home = lists.iter().any(|list| list.event.origin.cluster == *own && has(&list));
        (!at_home).then_some((held, home))
    })
}

/// Whether a service host name (`cart.shop.svc.cluster.local`) is that of an Endpoints row.
pub(super) fn is_of(host: &str, namespace: &str, name: &str) -> bool {
    let mut parts = host.split('.');
    parts.next() == Some(name) && (namespace.is_empty() || parts.next() == Some(namespace))
}

/// A pod row.
pub(super) struct Pod<'w> {
    /// The row.
    pub(super) event: &'w Arc<Event>,
    /// Name.
    pub(super) name: &'w str,
    /// Ready containers.
    pub(super) ready: u32,
    /// Containers.
    pub(super) containers: u32,
    /// Status.
    pub(super) status: &'w str,
}

impl Pod<'_> {
    /// Whether it serves: all containers ready.
    pub(super) fn is_ready(&self) -> bool {
        self.status == "Running" && self.ready == self.containers
    }

    /// Whether it is finished or on its way out, so that it tells nothing.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.status, "Completed" | "Succeeded" | "Terminating")
    }
}

/// The pods listed.
pub(super) fn pods<'w>(view: &View<'w>) -> Vec<Pod<'w>> {
    let rows = view.states().filter_map(|(event, state)| match state {
        State::Pod { name, ready, containers, status, .. } => {
            Some(Pod { event, name, ready: *ready, containers: *containers, status })
        }
        _ => None,
    });
    rows.collect()
}

/// Whether a pod belongs to istiod.
pub(super) fn is_istiod(name: &str) -> bool {
    name == "istiod" || name.starts_with("istiod-") || name.starts_with("istio-pilot-")
}

/// A direct attempt to reach an address that failed: from access lines, calls and probes.
pub fn failed_dials<'w>(view: &View<'w>) -> Vec<(&'w Arc<Event>, Addr)> {
    let mut found: Vec<(&'w Arc<Event>, Addr)> = Vec::new();
    for event in view.events(Kind::Request) {
        let Fact::Request(request) = &event.fact else { continue };
        let unconnected = request.has(&meshwhy_parsers::access::Flag::UpstreamConnectionFailure);
        if let Some(addr) = request.upstream.as_ref().filter(|_| unconnected) {
            found.push((event, addr.clone()));
        }
    }
    for event in view.events(Kind::Connection) {
        let Fact::Connection(connection) = &event.fact else { continue };
        if let (Some(addr), Some(_)) = (&connection.dst.addr, &connection.error) {
            found.push((event, addr.clone()));
        }
    }
    for (event, state) in view.states() {
        let fault = match state {
            State::Probe { fault: Some(fault), .. } | State::CallFailed { fault, .. } => fault,
            _ => continue,
        };
        if let Some(addr) = &fault.address {
            found.push((event, addr.clone()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_known_by_label_or_name() {
        assert!(is_east_west("istio-eastwestgateway", ""));
        assert!(is_east_west("edge", "app=edge,istio=eastwestgateway"));
        assert!(!is_east_west("istio-ingressgateway", "istio=ingressgateway"));
    }
}
