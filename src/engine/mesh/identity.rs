//! Who has which address: pods, workloads, services, gateways and nodes of all clusters.

use std::collections::BTreeMap;

use meshwhy_parsers::event::Text;

use super::Mesh;

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// What it is.
    pub what: What,
    /// Name.
    pub name: Text,
    /// Namespace; empty for nodes.
    pub namespace: Text,
    /// Cluster, by the name its documents go under.
    pub cluster: Text,
}

/// What an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A pod.
    Pod,
    /// A service's own address.
    Service,
    /// A gateway's outside address.
    Gateway,
    /// A node.
    Node,
}

/// Addresses with who has them.
#[derive(Default)]
pub struct Identities {
    by_address: BTreeMap<Text, Vec<Identity>>,
}

impl Identities {
    /// Reads them from the mesh.
    pub(super) fn of(mesh: &Mesh) -> Identities {
        let mut all = Identities::default();
        for cluster in mesh.clusters() {
            for (object, pod) in cluster.pods().filter(|(_, pod)| !pod.host_network) {
                for ip in &pod.ips {
                    all.add(ip, What::Pod, &object.name, &object.namespace, &cluster.name);
                }
            }
            for (object, service) in cluster.services() {
                for ip in &service.cluster_ips {
                    all.add(ip, What::Service, &object.name, &object.namespace, &cluster.name);
                }
            }
            for gateway in cluster.gateways() {
                for address in &gateway.addresses {
                    all.add(address, What::Gateway, &gateway.object.name, &gateway.object.namespace, &cluster.name);
                }
            }
        }
        all
    }

    fn add(&mut self, address: &str, what: What, name: &Text, namespace: &Text, cluster: &Text) {
        let known = self.by_address.entry(address.into()).or_default();
        let identity = Identity { what, name: name.clone(), namespace: namespace.clone(), cluster: cluster.clone() };
        if !known.contains(&identity) {
            known.push(identity);
        }
    }

    /// Who has an address: several where clusters use the same ranges.
    pub fn at(&self, address: &str) -> &[Identity] {
        self.by_address.get(address).map_or(&[], Vec::as_slice)
    }
}
