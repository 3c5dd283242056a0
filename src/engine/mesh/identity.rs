//! Who has which address: pods, workloads, services, gateways, nodes and API servers of all clusters.
//!
//! One sorted list, whose names are shared: a mesh of 100,000 workloads takes some tens of MiB (`cargo bench --bench memory`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use meshwhy_parsers::state::istiod::Said;
use meshwhy_parsers::state::object::Body;
use meshwhy_parsers::state::{ZtunnelService, ZtunnelWorkload};

use super::{Cluster, Mesh, NETWORK};

/// How many owners of one address a sentence names.
const OWNERS_MAX: usize = 2;

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// What it is.
    pub what: What,
    /// Name: of the pod, the workload, the service, the gateway, the node; empty for an API server.
    pub name: Arc<str>,
    /// Namespace; empty for nodes and API servers.
    pub namespace: Arc<str>,
    /// Cluster: the name its documents go under, or the ID that others use for it; empty where unknown.
    pub cluster: Arc<str>,
    /// Network; empty where unknown or the default one.
    pub network: Arc<str>,
    /// Service account; empty where unknown.
    pub service_account: Arc<str>,
    /// For a service whose endpoints all lie behind one gateway: that gateway, `the gateway of west, 34.1.2.3`.
    pub via: Option<Arc<str>>,
}

/// What an address belongs to, the more telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A gateway's outside address.
    Gateway,
    /// A pod.
    Pod,
    /// A workload that is no pod: a machine, a WorkloadEntry, an endpoint of a ServiceEntry.
    Workload,
    /// A service's own address.
    Service,
    /// The API server that a remote secret names.
    ApiServer,
    /// A node.
    Node,
}

/// Addresses with who has them.
#[derive(Default)]
pub struct Identities {
    /// Sorted by address.
    addresses: Vec<IpAddr>,
    /// Who has the address at the same place.
    owners: Vec<Identity>,
    hosts: BTreeMap<Arc<str>, Vec<Identity>>,
    /// How a sentence calls a cluster, by the name its documents go under.
    titles: BTreeMap<Arc<str>, Arc<str>>,
}

impl Identities {
    /// Reads them from the mesh.
    pub(super) fn of(mesh: &Mesh) -> Identities {
        let mut reader = Reader::default();
        for cluster in mesh.clusters() {
            let (name, title) = (reader.shared(&cluster.name), reader.shared(cluster.title()));
            reader.clusters.insert(Arc::clone(&title), Arc::clone(&name));
            if let Some(network) = cluster.network().and_then(|(_, network)| network) {
                let network = reader.shared(network);
                // A network of several clusters leads to none of them in particular.
                let several = reader.networks.contains_key(&network);
                let side = if several { Arc::clone(&network) } else { Arc::clone(&name) };
                reader.networks.insert(network, side);
            }
            reader.titles.insert(name, title);
        }
        for cluster in mesh.clusters() {
            reader.objects(cluster);
            for (_, dump) in cluster.ztunnels() {
                reader.workloads(&dump.workloads);
                reader.services(&dump.services, &dump.workloads);
                reader.compact();
            }
            for document in cluster.istiods().flat_map(|istiod| istiod.documents()) {
                reader.said(&document.said);
                reader.compact();
            }
        }
        reader.sorted()
    }

    /// Who has an address or a host name: several where clusters use the same ranges.
    pub fn at(&self, address: &str) -> &[Identity] {
        match address.parse() {
            Ok(ip) => self.at_ip(ip),
            Err(_) => self.hosts.get(address).map_or(&[], Vec::as_slice),
        }
    }

    fn at_ip(&self, ip: IpAddr) -> &[Identity] {
        let from = self.addresses.partition_point(|other| *other < ip);
        let to = self.addresses.partition_point(|other| *other <= ip);
        self.owners.get(from..to).unwrap_or_default()
    }

    /// Who has an address as something in `cluster` (by name) on `network` dials it: those of that cluster before those
    /// of the same network, and those before all others; an empty hint prefers nobody.
    pub fn seen_from(&self, address: &str, cluster: &str, network: &str) -> Vec<&Identity> {
        let all = self.at(address);
        // A gateway's address is the same from everywhere.
        let is_near = |of: &&Identity| !cluster.is_empty() && *of.cluster == *cluster || of.what == What::Gateway;
        let is_beside = |of: &&Identity| !network.is_empty() && *of.network == *network;
        let near: Vec<&Identity> = all.iter().filter(is_near).collect();
        if !near.is_empty() {
            return near;
        }
        let beside: Vec<&Identity> = all.iter().filter(is_beside).collect();
        if beside.is_empty() { all.iter().collect() } else { beside }
    }

    /// What an address is, in words: `pod cart-1.shop in east`, `reviews.bookinfo via the gateway of west, 34.1.2.3`.
    pub fn describe(&self, address: &str) -> Option<String> {
        self.describe_from(address, "")
    }

    /// The same, as something in `cluster` (by name) sees it.
    pub fn describe_from(&self, address: &str, cluster: &str) -> Option<String> {
        let owners = self.seen_from(address, cluster, "");
        let most = owners.iter().map(|owner| owner.what).min()?;
        let mut named: Vec<String> = Vec::new();
        for owner in owners.iter().filter(|owner| owner.what == most) {
            let words = self.words(owner);
            if !named.contains(&words) {
                named.push(words);
            }
        }
        // One service has one address of istiod's own choice in every cluster.
        if most == What::Service && owners.iter().all(|owner| same_name(owner, owners[0])) {
            named.truncate(1);
        }
        let more = named.len().saturating_sub(OWNERS_MAX);
        named.truncate(OWNERS_MAX);
        let words = named.join(", or ");
        Some(if more == 0 { words } else { format!("{words}, or {more} more") })
    }

    fn words(&self, owner: &Identity) -> String {
        let cluster = self.titles.get(&owner.cluster).unwrap_or(&owner.cluster);
        let place = |link: &str| match &**cluster {
            "" => String::new(),
            cluster => format!(" {link} {cluster}"),
        };
        let name = match &*owner.namespace {
            "" => owner.name.to_string(),
            namespace => format!("{}.{namespace}", owner.name),
        };
        match owner.what {
            What::Gateway => format!("gateway {name}{}", place("of")),
            What::Pod => format!("pod {name}{}", place("in")),
            What::Workload => format!("workload {name}{}", place("in")),
            What::Service => match &owner.via {
                Some(via) => format!("{name} via {via}"),
                None => format!("service {name}{}", place("in")),
            },
            What::ApiServer => format!("the API server{}", place("of")),
            What::Node => format!("node {name}{}", place("in")),
        }
    }

    /// How many addresses are known.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether no address is known.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.hosts.is_empty()
    }
}

fn same_name(one: &Identity, other: &Identity) -> bool {
    one.name == other.name && one.namespace == other.namespace
}

/// Reads identities; keeps each name once.
#[derive(Default)]
struct Reader {
    names: BTreeSet<Arc<str>>,
    /// The name a cluster's documents go under, by its title.
    clusters: BTreeMap<Arc<str>, Arc<str>>,
    /// The name of the one cluster of a network; the network's own where it has several.
    networks: BTreeMap<Arc<str>, Arc<str>>,
    titles: BTreeMap<Arc<str>, Arc<str>>,
    found: Vec<(IpAddr, Identity)>,
    /// How many of those are known to be all different.
    distinct: usize,
    hosts: BTreeMap<Arc<str>, Vec<Identity>>,
}

impl Reader {
    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        name
    }

    /// The name of a cluster by its ID; the ID itself where no document of it is known.
    fn cluster(&mut self, id: &str) -> Arc<str> {
        match self.clusters.get(id) {
            Some(name) => Arc::clone(name),
            None => self.shared(id),
        }
    }

    fn identity(&mut self, what: What, name: &str, namespace: &str, cluster: &str, network: &str) -> Identity {
        Identity {
            what,
            name: self.shared(name),
            namespace: self.shared(namespace),
            cluster: self.shared(cluster),
            network: self.shared(network),
            service_account: self.shared(""),
            via: None,
        }
    }

    fn add<'a>(&mut self, addresses: impl IntoIterator<Item = &'a str>, identity: &Identity) {
        for address in addresses {
            // A table prints `<pending>` or `None` where an address should be.
            if address.is_empty() || address.starts_with('<') || address == "None" {
                continue;
            }
            match address.parse() {
                Ok(ip) => self.found.push((ip, identity.clone())),
                Err(_) => {
                    let host = self.shared(address);
                    let known = self.hosts.entry(host).or_default();
                    if !known.contains(identity) {
                        known.push(identity.clone());
                    }
                }
            }
        }
    }

    fn objects(&mut self, cluster: &Cluster) {
        let own_network = cluster.network().and_then(|(_, network)| network).unwrap_or("");
        for (object, pod) in cluster.pods().filter(|(_, pod)| !pod.host_network) {
            let network = object.label(NETWORK).unwrap_or(own_network);
            let mut identity = self.identity(What::Pod, &object.name, &object.namespace, &cluster.name, network);
            identity.service_account = self.shared(&pod.service_account);
            self.add(pod.ips.iter().map(|ip| &**ip), &identity);
        }
        for (object, service) in cluster.services() {
            let identity = self.identity(What::Service, &object.name, &object.namespace, &cluster.name, own_network);
            self.add(service.cluster_ips.iter().map(|ip| &**ip), &identity);
        }
        for gateway in cluster.gateways() {
            let network = gateway.network.unwrap_or("");
            let (name, namespace) = (&gateway.object.name, &gateway.object.namespace);
            // A stand-in for a gateway elsewhere: the address belongs to the other side, which its labels name.
            let of = match gateway.object.label("topology.istio.io/cluster") {
                _ if gateway.kind != super::GatewayKind::Remote => self.shared(&cluster.name),
                Some(id) => self.cluster(id),
                None => self.side_of(network, &[]),
            };
            let identity = self.identity(What::Gateway, name, namespace, &of, network);
            self.add(gateway.addresses.iter().copied(), &identity);
        }
        for object in cluster.objects("Node") {
            let Body::Node(node) = &object.body else { continue };
            let identity = self.identity(What::Node, &object.name, "", &cluster.name, "");
            let is_address = |kind: &str| kind == "InternalIP" || kind == "ExternalIP";
            self.add(node.addresses.iter().filter(|(kind, _)| is_address(kind)).map(|(_, ip)| &**ip), &identity);
        }
        for object in cluster.objects("WorkloadEntry") {
            let Body::WorkloadEntry(entry) = &object.body else { continue };
            let mut identity =
                self.identity(What::Workload, &object.name, &object.namespace, &cluster.name, &entry.network);
            identity.service_account = self.shared(&entry.service_account);
            self.add([&*entry.address], &identity);
        }
        for object in cluster.objects("ServiceEntry") {
            let Body::ServiceEntry(entry) = &object.body else { continue };
            let Some(host) = entry.hosts.first() else { continue };
            let (name, namespace) = service_name(host, &object.namespace);
            let identity = self.identity(What::Service, name, namespace, &cluster.name, own_network);
            self.add(entry.addresses.iter().map(|ip| &**ip), &identity);
            for (address, network) in &entry.endpoints {
                let endpoint = self.identity(What::Workload, &object.name, &object.namespace, &cluster.name, network);
                self.add([&**address], &endpoint);
            }
        }
        for remote in cluster.remote_secrets() {
            let Some(config) = remote.config else { continue };
            let Some(host) = host_of(&config.server) else { continue };
            let of = self.cluster(&config.cluster);
            let identity = self.identity(What::ApiServer, "", "", &of, "");
            self.add([host], &identity);
        }
    }

    fn workloads(&mut self, workloads: &[ZtunnelWorkload]) {
        for workload in workloads {
            let cluster = self.cluster(&workload.cluster);
            if let Some(gateway) = workload.uid.strip_prefix("NetworkGateway/") {
                let network = gateway.split('/').next().unwrap_or("");
                // Its cluster is the one of whoever reads it; the network says which side it leads to.
                let side = self.side_of(network, workloads);
                let name = workload.service_account.strip_suffix("-istio-east-west");
                let name = name.filter(|name| !name.is_empty()).unwrap_or("istio-eastwestgateway");
                let identity = self.identity(What::Gateway, name, &workload.namespace, &side, network);
                self.add(workload.addresses.iter().map(|ip| &**ip), &identity);
                self.add((!workload.hostname.is_empty()).then_some(&*workload.hostname), &identity);
                continue;
            }
            let what = if workload.uid.contains("//Pod/") { What::Pod } else { What::Workload };
            let mut identity = self.identity(what, &workload.name, &workload.namespace, &cluster, &workload.network);
            identity.service_account = self.shared(&workload.service_account);
            self.add(workload.addresses.iter().map(|ip| &**ip), &identity);
        }
    }

    /// The cluster behind a network: the one whose label says so, else the one that a stand-in for its workloads names;
    /// where neither is known the network itself.
    fn side_of(&mut self, network: &str, workloads: &[ZtunnelWorkload]) -> Arc<str> {
        if let Some(side) = self.networks.get(network) {
            return Arc::clone(side);
        }
        let behind = workloads.iter().find(|of| *of.network == *network && of.uid.contains("/SplitHorizonWorkload/"));
        let side = self.cluster(behind.map_or(network, |workload| &workload.cluster));
        let network = self.shared(network);
        if behind.is_some() {
            self.networks.insert(network, Arc::clone(&side));
        }
        side
    }

    fn services(&mut self, services: &[ZtunnelService], workloads: &[ZtunnelWorkload]) {
        let by_uid: BTreeMap<&str, &ZtunnelWorkload> = workloads.iter().map(|of| (&*of.uid, of)).collect();
        for service in services {
            let (name, namespace) = service_name(&service.hostname, &service.namespace);
            let via = self.via(service, &by_uid, workloads);
            for vip in &service.vips {
                let (network, address) = vip.split_once('/').unwrap_or(("", vip));
                let mut identity = self.identity(What::Service, name, namespace, "", network);
                identity.via = via.clone();
                self.add([address], &identity);
            }
        }
    }

    /// The one gateway behind which all endpoints of a service lie.
    fn via(
        &mut self,
        service: &ZtunnelService,
        by_uid: &BTreeMap<&str, &ZtunnelWorkload>,
        workloads: &[ZtunnelWorkload],
    ) -> Option<Arc<str>> {
        let own = service.vips.first().and_then(|vip| vip.split_once('/')).map_or("", |(network, _)| network);
        let mut found: Option<&ZtunnelWorkload> = None;
        for (uid, _) in &service.endpoints {
            let workload = by_uid.get(&**uid)?;
            // Every workload names the gateway of its network; those of the own network are reached without it.
            if *workload.network == *own
                || workload.gateway.is_empty()
                || found.is_some_and(|other| other.gateway != workload.gateway)
            {
                return None;
            }
            found = Some(workload);
        }
        let workload = found?;
        let (network, address) = workload.gateway.split_once('/').unwrap_or(("", &workload.gateway));
        let side = self.side_of(network, workloads);
        let side = self.titles.get(&side).unwrap_or(&side);
        let words = format!("the gateway of {side}, {address}");
        Some(self.shared(&words))
    }

    fn said(&mut self, said: &Said) {
        match said {
            Said::Ambient { workloads, services, .. } => {
                self.workloads(workloads);
                self.services(services, workloads);
            }
            Said::Services(services) => {
                for service in services {
                    let (name, namespace) = service_name(&service.host, &service.namespace);
                    for (cluster, addresses) in &service.vips {
                        let cluster = self.cluster(cluster);
                        let identity = self.identity(What::Service, name, namespace, &cluster, "");
                        self.add(addresses.iter().map(|ip| &**ip).filter(|ip| *ip != "0.0.0.0"), &identity);
                    }
                    if super::is_assigned(&service.default_address) {
                        let identity = self.identity(What::Service, name, namespace, "", "");
                        self.add([&*service.default_address], &identity);
                    }
                }
            }
            Said::NetworkGateways(gateways) | Said::UnresolvedGateways(gateways) => {
                for gateway in gateways {
                    let of = if gateway.cluster.is_empty() { &gateway.network } else { &gateway.cluster };
                    let of = self.cluster(of);
                    let identity = self.identity(What::Gateway, "east-west", "", &of, &gateway.network);
                    self.add([&*gateway.address], &identity);
                }
            }
            Said::Shards(shards) => {
                for shard in shards {
                    let cluster = self.cluster(&shard.cluster);
                    for endpoint in &shard.endpoints {
                        let identity = self.identity(
                            What::Workload,
                            &endpoint.workload,
                            &endpoint.namespace,
                            &cluster,
                            &endpoint.network,
                        );
                        self.add(endpoint.addresses.iter().map(|ip| &**ip), &identity);
                    }
                }
            }
            Said::Names { table, .. } => {
                for (host, addresses) in table {
                    let assigned = addresses.iter().map(|ip| &**ip).filter(|ip| super::is_assigned(ip));
                    let namespace = host.split('.').nth(1).unwrap_or("");
                    let (name, namespace) = service_name(host, namespace);
                    let identity = self.identity(What::Service, name, namespace, "", "");
                    self.add(assigned, &identity);
                }
            }
            // The rest speaks of no address that outlives a connection.
            _ => {}
        }
    }

    /// Drops what is said twice: each ztunnel of a cluster lists the whole mesh.
    fn compact(&mut self) {
        if self.found.len() < 2 * self.distinct {
            return;
        }
        self.found.sort();
        self.found.dedup();
        self.distinct = self.found.len();
    }

    /// Sorts by address; of one owner that several documents name, what says most of it stays.
    fn sorted(mut self) -> Identities {
        self.found.sort();
        let mut addresses = Vec::with_capacity(self.found.len());
        let mut owners: Vec<Identity> = Vec::with_capacity(self.found.len());
        for (address, identity) in self.found {
            let from = addresses.len() - addresses.iter().rev().take_while(|other| **other == address).count();
            match owners.get_mut(from..).and_then(|same| same.iter_mut().find(|other| is_same(other, &identity))) {
                Some(known) => fill(known, identity),
                None => {
                    addresses.push(address);
                    owners.push(identity);
                }
            }
        }
        addresses.shrink_to_fit();
        owners.shrink_to_fit();
        Identities { addresses, owners, hosts: self.hosts, titles: self.titles }
    }
}

/// Whether two documents speak of one owner: a shard and an EndpointSlice name the workload of which the pod is one.
fn is_same(known: &Identity, other: &Identity) -> bool {
    let same_cluster = known.cluster == other.cluster || known.cluster.is_empty() || other.cluster.is_empty();
    let is_pod_of = known.what == What::Pod
        && other.what == What::Workload
        && known.namespace == other.namespace
        && known.name.starts_with(&*other.name);
    let is_gateway = known.what == What::Gateway && other.what == What::Gateway && known.cluster == other.cluster;
    same_cluster && (is_gateway || is_pod_of || known.what == other.what && same_name(known, other))
}

fn fill(known: &mut Identity, other: Identity) {
    for (into, from) in [
        (&mut known.cluster, other.cluster),
        (&mut known.network, other.network),
        (&mut known.service_account, other.service_account),
    ] {
        if into.is_empty() {
            *into = from;
        }
    }
    if known.what == What::Gateway && known.namespace.is_empty() {
        known.name = other.name;
        known.namespace = other.namespace;
    }
    known.via = known.via.take().or(other.via);
}

/// `reviews.bookinfo.svc.cluster.local` is `reviews` in `bookinfo`; a host that is no cluster service stays whole.
fn service_name<'h>(host: &'h str, namespace: &'h str) -> (&'h str, &'h str) {
    let mut parts = host.splitn(3, '.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(of), Some(rest))
            if of == namespace && (rest.starts_with("svc.") || rest == "mesh.internal" || rest == "svc") =>
        {
            (name, namespace)
        }
        _ => (host, ""),
    }
}

/// The host of `https://172.18.0.3:6443`.
fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next()?;
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => authority.split(':').next().filter(|host| !host.is_empty()),
    }
}

/// The addresses in a text, in their order, each once: bare, with a port, or in brackets.
pub fn addresses_in(text: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for word in text.split(|c: char| !(c.is_ascii_hexdigit() || c == '.' || c == ':')) {
        let word = word.trim_matches('.');
        if word.len() < "::1".len() || !word.contains(['.', ':']) {
            continue;
        }
        let bare = word.trim_end_matches(':');
        let address = word.parse().or_else(|_| bare.parse()).ok();
        let address = address.or_else(|| bare.split_once(':').and_then(|(host, _)| host.parse().ok()));
        if let Some(address) = address.filter(|address| !found.contains(address)) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshwhy_parsers::document::{self, Found};
    use meshwhy_parsers::event::{Event, Fact};
    use meshwhy_parsers::origin::Origin;
    use meshwhy_parsers::state::State;
    use meshwhy_parsers::state::object::{Object, Pod};

    const DUMP: &str = r#"{"config":{"network":"network-1","clusterId":"east","localNode":"n1"},
        "workloads":[
          {"uid":"east//Pod/shop/cart-1","name":"cart-1","namespace":"shop","workloadIps":["10.1.0.5"],
           "network":"network-1","protocol":"HBONE","clusterId":"east","serviceAccount":"cart"},
          {"uid":"NetworkGateway/network-2/34.1.2.3/15008","name":"NetworkGateway/network-2/34.1.2.3/15008",
           "namespace":"istio-gateways","workloadIps":["34.1.2.3"],"network":"network-2","protocol":"TCP",
           "serviceAccount":"istio-eastwestgateway-istio-east-west","clusterId":"east"},
          {"uid":"network-2/SplitHorizonWorkload/istio-gateways/istio-eastwestgateway/34.1.2.3/bookinfo/reviews.bookinfo.mesh.internal",
           "name":"x","namespace":"bookinfo","workloadIps":[],"network":"network-2","protocol":"HBONE","clusterId":"west",
           "networkGateway":{"destination":"network-2/34.1.2.3","hboneMtlsPort":15008}}],
        "services":[
          {"name":"reviews","namespace":"bookinfo","hostname":"reviews.bookinfo.mesh.internal",
           "vips":["network-1/240.240.0.3"],"ports":{"9080":9080},
           "endpoints":{"a":{"workloadUid":"network-2/SplitHorizonWorkload/istio-gateways/istio-eastwestgateway/34.1.2.3/bookinfo/reviews.bookinfo.mesh.internal","port":{"9080":9080},"status":"Healthy"}}},
          {"name":"cart","namespace":"shop","hostname":"cart.shop.svc.cluster.local",
           "vips":["network-1/10.96.0.9"],"ports":{"80":8080},
           "endpoints":{"b":{"workloadUid":"east//Pod/shop/cart-1","port":{"80":8080},"status":"Healthy"}}}]}"#;

    fn event(cluster: &str, fact: Fact) -> Arc<Event> {
        let origin = Arc::new(Origin::new(cluster, &format!("{cluster}/state.json")));
        Arc::new(Event::of_document(origin, None, None, fact))
    }

    fn note(mesh: &mut Mesh, cluster: &str, text: &str) {
        let document = document::read(text.as_bytes(), Found::default()).expect("known").expect("readable");
        for (_, fact) in document.facts {
            mesh.note(&event(cluster, fact));
        }
    }

    fn pod(mesh: &mut Mesh, cluster: &str, name: &str, ip: &str) {
        let pod = Pod { ips: vec![ip.into()], ..Pod::default() };
        let object = Object {
            kind: "Pod".into(),
            namespace: "shop".into(),
            name: name.into(),
            body: Body::Pod(Box::new(pod)),
            ..Object::default()
        };
        mesh.note(&event(cluster, Fact::State(Box::new(State::Object(Arc::new(object))))));
    }

    #[test]
    fn addresses_have_names() {
        let mut mesh = Mesh::default();
        note(&mut mesh, "east", DUMP);
        let of = |address: &str| mesh.identities().describe(address);
        assert_eq!(of("240.240.0.3").as_deref(), Some("reviews.bookinfo via the gateway of west, 34.1.2.3"));
        assert_eq!(of("34.1.2.3").as_deref(), Some("gateway istio-eastwestgateway.istio-gateways of west"));
        assert_eq!(of("10.1.0.5").as_deref(), Some("pod cart-1.shop in east"));
        assert_eq!(of("10.96.0.9").as_deref(), Some("service cart.shop"));
        assert_eq!(of("10.1.0.6"), None);
        assert_eq!(of("not an address"), None);
    }

    #[test]
    fn a_range_that_two_clusters_use_is_told_apart_by_who_looks() {
        let mut mesh = Mesh::default();
        pod(&mut mesh, "east", "cart-1", "10.1.0.5");
        pod(&mut mesh, "west", "pay-1", "10.1.0.5");
        let names = mesh.identities();
        assert_eq!(names.describe("10.1.0.5").as_deref(), Some("pod cart-1.shop in east, or pod pay-1.shop in west"));
        assert_eq!(names.describe_from("10.1.0.5", "west").as_deref(), Some("pod pay-1.shop in west"));
        assert_eq!(names.seen_from("10.1.0.5", "north", "").len(), 2);
    }

    #[test]
    fn what_several_documents_say_of_one_pod_is_one_owner() {
        let mut mesh = Mesh::default();
        note(&mut mesh, "east", DUMP);
        pod(&mut mesh, "east", "cart-1", "10.1.0.5");
        let [only] = mesh.identities().at("10.1.0.5") else { panic!("one owner") };
        assert_eq!((&*only.service_account, &*only.network), ("cart", "network-1"));
    }

    #[test]
    fn addresses_are_found_however_they_are_written() {
        let found = |text: &str| addresses_in(text).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found("dst.addr=240.0.9.43:15008 src=[fd00::1]:80,"), ["240.0.9.43", "fd00::1"]);
        assert_eq!(found("to 10.0.0.1. Then (10.0.0.2), again 10.0.0.1"), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(found("at 12:30:01.5 version 1.27.3 of bad.cafe::"), [""; 0]);
    }
}
