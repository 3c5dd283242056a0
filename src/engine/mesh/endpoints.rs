//! The endpoints of a service as each party knows them: istiod by cluster, what it would push, what a proxy holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meshwhy_parsers::event::{Addr, Event, Text};
use meshwhy_parsers::state::ZtunnelDump;
use meshwhy_parsers::state::istiod::{Said, Shard};
use meshwhy_parsers::state::object::Body;
use meshwhy_parsers::state::proxy::{EndpointWorkload, ProxyEndpoint, ToldBy};

use super::identity::{Identity, What};
use super::{Cluster, Mesh, Proxy, is_assigned};

/// What the address of an endpoint is, seen from the cluster that dials it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Something of the own cluster.
    Local,
    /// The gateway of a cluster (by name; empty where unknown) or of a network.
    GatewayAddress {
        /// Cluster; empty where only the network is known.
        cluster: String,
        /// Network; empty where only the cluster is known.
        network: String,
    },
    /// A pod of another cluster on the same network, which is dialled as it should be.
    PodSharedNetwork {
        /// Cluster.
        cluster: String,
    },
    /// A pod of another network, where that network's gateway should be.
    PodWhereGatewayShould {
        /// Cluster.
        cluster: String,
        /// Network.
        network: String,
    },
    /// An address that istiod made up, which no network routes.
    AutoAllocated,
    /// The address of nothing in the cluster it is said to be of, of which all pods are known.
    Stale {
        /// Cluster.
        cluster: String,
    },
    /// It cannot be told.
    Unknown,
}

/// An endpoint as one party knows it.
#[derive(Clone, Debug)]
pub struct Endpoint<'m> {
    /// The document or row that says it.
    pub event: &'m Arc<Event>,
    /// Address, or the host name of a gateway; empty where ztunnel reaches it through a gateway that is not known.
    pub address: String,
    /// Port; 0 where not shown.
    pub port: u16,
    /// The cluster (by name where it is known) it is said to be of; empty where nothing says.
    pub cluster: String,
    /// Workload; empty where not shown.
    pub workload: String,
    /// Namespace of the workload; empty where not shown.
    pub namespace: String,
    /// Whether it takes calls: neither unhealthy nor put aside.
    pub is_ready: bool,
    /// Priority; 0 is called first.
    pub priority: u32,
    /// Locality; empty where not shown.
    pub locality: String,
    /// What the address is.
    pub class: Class,
}

impl Endpoint<'_> {
    /// Whether it leads out of the own cluster.
    pub fn is_remote(&self) -> bool {
        !matches!(self.class, Class::Local | Class::Unknown)
    }

    /// The cluster (by name) that it leads to; empty where that is not known.
    pub fn leads_to(&self) -> &str {
        match &self.class {
            Class::GatewayAddress { cluster, .. }
            | Class::PodSharedNetwork { cluster }
            | Class::PodWhereGatewayShould { cluster, .. }
            | Class::Stale { cluster }
                if !cluster.is_empty() =>
            {
                cluster
            }
            _ => &self.cluster,
        }
    }
}

/// Who calls: it decides what an address means.
#[derive(Clone, Copy)]
pub struct Caller<'m> {
    /// Its cluster.
    pub cluster: &'m Cluster,
    /// Its network; empty where unknown or the default one.
    pub network: &'m str,
}

impl<'m> Caller<'m> {
    /// A caller that is nobody in particular: on the network of its cluster.
    pub fn of(cluster: &'m Cluster) -> Caller<'m> {
        Caller { cluster, network: cluster.network().and_then(|(_, network)| network).unwrap_or("") }
    }

    /// A caller with this proxy, which knows its own network.
    pub fn with(cluster: &'m Cluster, proxy: &'m Proxy) -> Caller<'m> {
        match proxy.node() {
            Some((_, node)) if !node.network.is_empty() => Caller { cluster, network: &node.network },
            _ => Caller::of(cluster),
        }
    }
}

impl Mesh {
    /// What an address is to a caller. `of` is the cluster (ID or name) that is said to have it, empty where nothing
    /// says; `port` is 0 where unknown.
    pub fn classify<'m>(&'m self, caller: Caller<'_>, address: &str, port: u16, of: &'m str, namespace: &str) -> Class {
        let claimed = self.by_id(of);
        let claimed_name = claimed.map_or(of, |cluster| &cluster.name);
        let owners = self.identities().at(address);
        let gateway = owners.iter().find(|owner| owner.what == What::Gateway);
        if let Some(gateway) = gateway.filter(|gateway| *gateway.cluster != *caller.cluster.name) {
            return Class::GatewayAddress {
                cluster: gateway.cluster.to_string(),
                network: gateway.network.to_string(),
            };
        }
        if let Some(cluster) = claimed
            && self.has_address(cluster, address, namespace) == Some(false)
            && !is_gateway_port(port)
        {
            return if is_assigned(address) {
                Class::AutoAllocated
            } else {
                Class::Stale { cluster: cluster.name.to_string() }
            };
        }
        // A stand-in that peering made for a pod is of that pod's cluster, not of the one it was made in.
        let home = |owner: &'m Identity| {
            let of = owner.name.strip_prefix("autogenflat.").and_then(|rest| rest.split('.').next());
            of.map_or(&*owner.cluster, |id| self.by_id(id).map_or(id, |cluster| &cluster.name))
        };
        let pods = || {
            let pods = owners.iter().filter(|owner| matches!(owner.what, What::Pod | What::Workload));
            pods.map(|owner| (home(owner), owner))
        };
        let pod = pods()
            .find(|(home, _)| !claimed_name.is_empty() && *home == claimed_name)
            .or_else(|| pods().find(|(home, _)| claimed_name.is_empty() && *home == &*caller.cluster.name))
            .or_else(|| pods().next().filter(|_| claimed_name.is_empty()));
        let side = pod.map_or(claimed_name, |(home, _)| home);
        if side == &*caller.cluster.name {
            return Class::Local;
        }
        if is_gateway_port(port) && pod.is_none() && !side.is_empty() {
            return Class::GatewayAddress { cluster: side.to_string(), network: String::new() };
        }
        if pod.is_none() && is_assigned(address) {
            return Class::AutoAllocated;
        }
        if side.is_empty() {
            return Class::Unknown;
        }
        let of_cluster = || self.cluster(side).and_then(Cluster::network).map(|(_, network)| network.unwrap_or(""));
        let network = match pod.map(|(_, pod)| &*pod.network).filter(|network| !network.is_empty()) {
            Some(network) => Some(network),
            None => of_cluster(),
        };
        match network {
            Some(network) if network == caller.network => Class::PodSharedNetwork { cluster: side.to_string() },
            Some(network) => Class::PodWhereGatewayShould { cluster: side.to_string(), network: network.to_string() },
            None => Class::Unknown,
        }
    }

    /// Whether anything in a cluster has an address; `None` where not all pods of the namespace are known.
    pub fn has_address(&self, cluster: &Cluster, address: &str, namespace: &str) -> Option<bool> {
        let lives = self.living(&cluster.name).is_some_and(|living| living.contains(address));
        if lives {
            return Some(true);
        }
        cluster.knows_all("Pod", namespace).then_some(false)
    }

    /// The addresses of everything that lives in a cluster, as its own objects say.
    fn living(&self, cluster: &str) -> Option<&BTreeSet<Text>> {
        self.living.get_or_init(|| self.clusters().map(|of| (of.name.clone(), living(of))).collect()).get(cluster)
    }

    /// What istiods say of a service, cluster by cluster: those of the caller's own cluster, else those of all.
    pub fn shards<'m>(&'m self, caller: &'m Cluster, host: &'m str) -> Vec<(&'m Arc<Event>, &'m Shard)> {
        let of = |cluster: &'m Cluster| {
            let documents = cluster.istiods().flat_map(|istiod| istiod.documents());
            documents.filter_map(|document| match &document.said {
                Said::Shards(shards) => Some((&document.event, shards)),
                _ => None,
            })
        };
        let mut own = of(caller).peekable();
        let documents: Vec<_> =
            if own.peek().is_some() { own.collect() } else { self.clusters().flat_map(of).collect() };
        let shards = documents.into_iter().flat_map(|(event, shards)| shards.iter().map(move |shard| (event, shard)));
        shards.filter(|(_, shard)| *shard.host == *host).collect()
    }

    /// Whether any istiod of the caller's cluster (or of any, where it has none) says which endpoints it knows.
    pub fn knows_shards(&self, caller: &Cluster) -> bool {
        let says = |cluster: &Cluster| {
            cluster.istiods().flat_map(|istiod| istiod.documents()).any(|of| matches!(of.said, Said::Shards(_)))
        };
        says(caller) || caller.has_istiod() == Some(false) && self.clusters().any(says)
    }

    /// The endpoints a proxy holds for a port of a service; 0 for all. `None` where nothing shows its endpoints.
    pub fn held<'m>(
        &'m self,
        cluster: &'m Cluster,
        proxy: &'m Proxy,
        host: &str,
        port: u16,
    ) -> Option<Vec<Endpoint<'m>>> {
        let mut held = self.held_of(cluster, proxy, |of| is_of(of, host, port))?;
        Some(held.remove(host).unwrap_or_default())
    }

    /// The endpoints a proxy holds, by the host name of their service: those of subsets only where there is no whole.
    pub fn held_by_host<'m>(
        &'m self,
        cluster: &'m Cluster,
        proxy: &'m Proxy,
    ) -> Option<BTreeMap<String, Vec<Endpoint<'m>>>> {
        self.held_of(cluster, proxy, |of| of.starts_with("outbound|"))
    }

    fn held_of<'m>(
        &'m self,
        cluster: &'m Cluster,
        proxy: &'m Proxy,
        wanted: impl Fn(&str) -> bool,
    ) -> Option<BTreeMap<String, Vec<Endpoint<'m>>>> {
        let caller = Caller::with(cluster, proxy);
        let held = proxy.endpoints()?;
        let held: Vec<_> = held.iter().filter(|(_, endpoint)| wanted(&endpoint.cluster)).collect();
        // `/clusters` shows health and counters, a config dump the workload: what one leaves out the other says.
        let dumps = proxy.documents().filter(|document| document.told_by == ToldBy::Proxy);
        let said = dumps.filter_map(|document| document.endpoints.as_ref()).flatten();
        let said = said.filter(|endpoint| endpoint.workload.is_some() && wanted(&endpoint.cluster));
        let said: BTreeMap<(&str, &Addr), &ProxyEndpoint> =
            said.map(|endpoint| ((&*endpoint.cluster, &endpoint.addr), endpoint)).collect();
        let whole: BTreeSet<&str> = held
            .iter()
            .filter(|(_, endpoint)| subset(&endpoint.cluster).is_empty())
            .map(|(_, endpoint)| host_of(&endpoint.cluster))
            .collect();
        let mut by_host: BTreeMap<String, Vec<Endpoint<'m>>> = BTreeMap::new();
        for (event, endpoint) in &held {
            let host = host_of(&endpoint.cluster);
            if !subset(&endpoint.cluster).is_empty() && whole.contains(host) {
                continue;
            }
            let of = endpoint.workload.as_ref().or_else(|| {
                said.get(&(&*endpoint.cluster, &endpoint.addr)).and_then(|endpoint| endpoint.workload.as_ref())
            });
            by_host.entry(host.to_string()).or_default().push(self.endpoint(caller, event, endpoint, of));
        }
        Some(by_host)
    }

    /// The endpoints that istiod would send a proxy. `None` where nothing shows them.
    pub fn pushed<'m>(
        &'m self,
        cluster: &'m Cluster,
        proxy: &'m Proxy,
        host: &str,
        port: u16,
    ) -> Option<Vec<Endpoint<'m>>> {
        let caller = Caller::with(cluster, proxy);
        let (event, endpoints) = proxy.pushed_endpoints()?;
        let of_service = endpoints.iter().filter(|endpoint| is_of(&endpoint.cluster, host, port));
        let of_service = of_service.filter(|endpoint| subset(&endpoint.cluster).is_empty());
        Some(of_service.map(|endpoint| self.endpoint(caller, event, endpoint, endpoint.workload.as_ref())).collect())
    }

    /// Whether istiod would send a proxy an address for a service. `None` where nothing shows what it would send for it.
    pub fn pushes<'m>(&self, proxy: &'m Proxy, host: &str, address: &str) -> Option<(&'m Arc<Event>, bool)> {
        let (event, endpoints) = proxy.pushed_endpoints()?;
        let mut clusters = proxy.pushed_clusters().into_iter().flatten();
        let of_host = || endpoints.iter().filter(|endpoint| is_of(&endpoint.cluster, host, 0));
        let is_known = clusters.any(|cluster| is_of(&cluster.name, host, 0)) || of_host().next().is_some();
        is_known.then(|| (event, of_host().any(|endpoint| *endpoint.addr.host == *address)))
    }

    fn endpoint<'m>(
        &'m self,
        caller: Caller<'m>,
        event: &'m Arc<Event>,
        endpoint: &ProxyEndpoint,
        workload: Option<&EndpointWorkload>,
    ) -> Endpoint<'m> {
        let of = workload.map_or("", |workload| &workload.cluster);
        let namespace = workload.map_or("", |workload| &*workload.namespace);
        let is_down = ["UNHEALTHY", "DRAINING", "TIMEOUT"].contains(&&*endpoint.health);
        Endpoint {
            event,
            address: endpoint.addr.host.to_string(),
            port: endpoint.addr.port,
            cluster: self.by_id(of).map_or(of, |cluster| &cluster.name).to_string(),
            workload: workload.map_or("", |workload| &workload.name).to_string(),
            namespace: namespace.to_string(),
            is_ready: !is_down && !endpoint.ejected,
            priority: endpoint.priority,
            locality: endpoint.locality.to_string(),
            class: self.classify(caller, &endpoint.addr.host, endpoint.addr.port, of, namespace),
        }
    }

    /// The endpoints a ztunnel holds for a service; those in another network stand with their gateway's address. `None`
    /// where it does not know the service.
    pub fn held_by_ztunnel<'m>(
        &'m self,
        cluster: &'m Cluster,
        event: &'m Arc<Event>,
        dump: &'m ZtunnelDump,
        host: &str,
    ) -> Option<Vec<Endpoint<'m>>> {
        let service = dump.services.iter().find(|service| *service.hostname == *host)?;
        let by_uid: BTreeMap<&str, _> = dump.workloads.iter().map(|workload| (&*workload.uid, workload)).collect();
        let caller = Caller { cluster, network: &dump.network };
        let known = service.endpoints.iter().filter_map(|(uid, status)| Some((by_uid.get(&**uid)?, status)));
        let endpoint = |(workload, status): (&&'m meshwhy_parsers::state::ZtunnelWorkload, &Text)| {
            let is_elsewhere = *workload.network != *dump.network;
            // A stand-in that peering made is of the cluster that made it; the network tells where it leads.
            let of = if workload.uid.contains("/WorkloadEntry/") { "" } else { &*workload.cluster };
            let (address, class) = if is_elsewhere && !workload.gateway.is_empty() {
                let (network, address) = workload.gateway.split_once('/').unwrap_or(("", &workload.gateway));
                let side = self.side(network).or_else(|| self.by_id(of)).map_or(of, |cluster| &cluster.name);
                let class = Class::GatewayAddress { cluster: side.to_string(), network: network.to_string() };
                (address.to_string(), class)
            } else {
                let address = workload.addresses.first().unwrap_or(&workload.hostname);
                (address.to_string(), self.classify(caller, address, 0, of, &workload.namespace))
            };
            Endpoint {
                event,
                address,
                port: 0,
                cluster: self.by_id(of).map_or(of, |cluster| &cluster.name).to_string(),
                workload: workload.name.to_string(),
                namespace: workload.namespace.to_string(),
                is_ready: &**status != "Unhealthy" && &*workload.status != "Unhealthy",
                priority: 0,
                locality: String::new(),
                class,
            }
        };
        Some(known.map(endpoint).collect())
    }

    /// The only cluster of a network.
    pub fn side(&self, network: &str) -> Option<&Cluster> {
        let mut of = self.clusters().filter(|cluster| {
            cluster.network().is_some_and(|(_, label)| label == Some(network)) && !network.is_empty()
        });
        of.next().filter(|_| of.next().is_none())
    }
}

/// Whether a port is that of gateways between networks.
fn is_gateway_port(port: u16) -> bool {
    matches!(port, 15443 | 15008)
}

/// `outbound|5000|v1|helloworld.sample.svc.cluster.local`: whether it is of this service and port (0 for any).
fn is_of(cluster: &str, host: &str, port: u16) -> bool {
    let mut parts = cluster.splitn(4, '|');
    let (direction, of_port, _, of_host) = (parts.next(), parts.next(), parts.next(), parts.next());
    direction == Some("outbound")
        && of_host == Some(host)
        && (port == 0 || of_port.and_then(|of| of.parse().ok()) == Some(port))
}

/// The host of a proxy's cluster.
fn host_of(cluster: &str) -> &str {
    cluster.rsplit('|').next().unwrap_or("")
}

/// The subset of a proxy's cluster; empty for the whole service.
fn subset(cluster: &str) -> &str {
    cluster.split('|').nth(2).unwrap_or("")
}

fn living(cluster: &Cluster) -> BTreeSet<Text> {
    let mut all: BTreeSet<Text> = cluster.pods().flat_map(|(_, pod)| pod.ips.iter().cloned()).collect();
    for kind in ["Endpoints", "EndpointSlice", "WorkloadEntry", "ServiceEntry", "Node"] {
        for object in cluster.objects(kind) {
            match &object.body {
                Body::Endpoints(endpoints) => all.extend(endpoints.addresses.iter().map(|of| of.host.clone())),
                Body::WorkloadEntry(entry) => {
                    all.insert(entry.address.clone());
                }
                Body::ServiceEntry(entry) => all.extend(entry.endpoints.iter().map(|(address, _)| address.clone())),
                Body::Node(node) => all.extend(node.addresses.iter().map(|(_, address)| address.clone())),
                _ => {}
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use meshwhy_parsers::document::{self, Found};
    use meshwhy_parsers::origin::Origin;

    use super::*;

    /// East and west as `kubectl get -A -o yaml` saves them: networks, a gateway of west, all pods of both.
    fn mesh(of_east: &str, of_west: &str) -> Mesh {
        let cluster = |network: &str, tens: u8| {
            format!(
                "apiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: Namespace, metadata: {{name: istio-system, labels: {{topology.istio.io/network: {network}}}}}}}\n\
                 - {{apiVersion: v1, kind: Pod, metadata: {{name: cart-1, namespace: shop, labels: {{app: cart}}}}, status: {{phase: Running, podIP: 10.{tens}.0.9}}}}\n\
                 - {{apiVersion: v1, kind: Pod, metadata: {{name: istiod-1, namespace: istio-system, labels: {{app: istiod}}}}, status: {{phase: Running, podIP: 10.{tens}.0.2}}}}\n\
                 - {{apiVersion: v1, kind: Service, metadata: {{name: istio-eastwestgateway, namespace: istio-system, labels: {{istio: eastwestgateway, topology.istio.io/network: {network}}}}}, \
                 spec: {{type: LoadBalancer, clusterIP: 10.96.0.4, ports: [{{port: 15443}}]}}, status: {{loadBalancer: {{ingress: [{{ip: 192.0.2.{tens}}}]}}}}}}\n"
            )
        };
        let mut mesh = Mesh::default();
        for (name, text) in [("east", cluster(of_east, 1)), ("west", cluster(of_west, 2))] {
            let read = document::read(text.as_bytes(), Found { path: "all.yaml", command: "" });
            let document = read.expect("it is a document").expect("it is read");
            for (at, fact) in document.facts {
                let origin = Arc::new(Origin::new(name, "all.yaml"));
                mesh.note(&Arc::new(Event::of_document(origin, at, None, fact)));
            }
        }
        mesh
    }

    fn from_east(mesh: &Mesh, address: &str, port: u16, of: &str) -> Class {
        let east = mesh.cluster("east").expect("east is known");
        mesh.classify(Caller::of(east), address, port, of, "shop")
    }

    #[test]
    fn the_address_of_a_gateway_is_the_way_into_another_network() {
        let mesh = mesh("net-1", "net-2");
        let gateway = Class::GatewayAddress { cluster: "west".into(), network: "net-2".into() };
        assert_eq!(from_east(&mesh, "192.0.2.2", 15443, "west"), gateway);
        assert_eq!(from_east(&mesh, "192.0.2.2", 15443, ""), gateway, "the address alone tells");
    }

    #[test]
    fn a_pod_elsewhere_is_dialled_directly_on_a_shared_network_only() {
        let shared = Class::PodSharedNetwork { cluster: "west".into() };
        assert_eq!(from_east(&mesh("net-1", "net-1"), "10.2.0.9", 5000, "west"), shared);
        let apart = Class::PodWhereGatewayShould { cluster: "west".into(), network: "net-2".into() };
        assert_eq!(from_east(&mesh("net-1", "net-2"), "10.2.0.9", 5000, "west"), apart);
        assert_eq!(from_east(&mesh("net-1", "net-2"), "10.1.0.9", 5000, "east"), Class::Local);
    }

    #[test]
    fn an_address_of_nobody_is_stale_made_up_or_not_known() {
        let mesh = mesh("net-1", "net-2");
        assert_eq!(from_east(&mesh, "10.2.0.77", 5000, "west"), Class::Stale { cluster: "west".into() });
        assert_eq!(from_east(&mesh, "240.240.0.3", 5000, "west"), Class::AutoAllocated);
        assert_eq!(from_east(&mesh, "10.9.0.9", 5000, ""), Class::Unknown);
        // Of a cluster whose pods were not saved nobody can tell.
        assert_eq!(from_east(&mesh, "10.9.0.9", 5000, "north"), Class::Unknown);
    }
}
