//! What shows that two clusters are parts of one mesh.

use std::sync::Arc;

use meshwhy_parsers::event::Event;
use meshwhy_parsers::state::istiod::Said;

use super::cluster::NETWORK;
use super::{Cluster, Mesh};

/// Label that names the cluster for which a peer's gateway or entry stands.
pub const CLUSTER: &str = "topology.istio.io/cluster";

/// What shows that two clusters are one mesh.
pub struct Link<'m> {
    /// The document or line.
    pub event: &'m Arc<Event>,
    /// Its words.
    pub quote: String,
}

impl Mesh {
    /// What shows that two clusters are parts of one mesh, in either direction.
    pub fn link<'m>(&'m self, one: &Cluster, other: &Cluster) -> Option<Link<'m>> {
        let (one, other) = (self.cluster(&one.name)?, self.cluster(&other.name)?);
        one.knows(other).or_else(|| other.knows(one))
    }
}

impl Cluster {
    /// What shows that the control plane or the proxies of this cluster know another one.
    pub fn knows<'m>(&'m self, other: &Cluster) -> Option<Link<'m>> {
        self.has_secret_for(other)
            .or_else(|| self.has_peer(other))
            .or_else(|| self.istiod_knows(other))
            .or_else(|| self.proxy_knows(other))
    }

    /// Its remote secret for another cluster.
    fn has_secret_for<'m>(&'m self, other: &Cluster) -> Option<Link<'m>> {
        self.remote_secrets().into_iter().find_map(|found| {
            let cluster = found.id();
            let quote = format!("{} of cluster {cluster}", found.secret.title());
            other.is_called(cluster).then_some(Link { event: &found.secret.event, quote })
        })
    }

    /// Its Gateway that stands for another cluster's.
    fn has_peer<'m>(&'m self, other: &Cluster) -> Option<Link<'m>> {
        let peer = self.peer_gateways().find(|gateway| gateway.object.stands_for(other))?;
        Some(Link { event: &peer.object.event, quote: format!("{} of class istio-remote", peer.object.title()) })
    }

    /// What its istiods say of another cluster.
    fn istiod_knows<'m>(&'m self, other: &Cluster) -> Option<Link<'m>> {
        let is_it = |id: &str| other.is_called(id);
        let rows = self.istiods().flat_map(|istiod| istiod.clusters());
        let row = rows.filter(|(_, row)| is_it(&row.id)).map(|(event, row)| Link {
            event,
            quote: format!("cluster {} of secret {}: {}", row.id, row.secret, row.status),
        });
        let said = self.istiods().flat_map(|istiod| istiod.documents()).filter_map(|document| {
            let quote = match &document.said {
                Said::Shards(shards) => {
                    let shard = shards.iter().find(|shard| is_it(&shard.cluster))?;
                    format!("endpoints of {} in cluster {}", shard.host, shard.cluster)
                }
                Said::NetworkGateways(gateways) => {
                    let gateway = gateways.iter().find(|gateway| is_it(&gateway.cluster))?;
                    format!("gateway {} of cluster {}", gateway.address, gateway.cluster)
                }
                Said::Sync(rows) => {
                    let row = rows.iter().find(|row| is_it(&row.cluster))?;
                    format!("proxy {} of cluster {}", row.proxy, row.cluster)
                }
                Said::Ambient { workloads, .. } => {
                    let workload = workloads.iter().find(|workload| is_it(&workload.cluster))?;
                    format!("workload {} of cluster {}", workload.uid, workload.cluster)
                }
                _ => return None,
            };
            Some(Link { event: &document.event, quote })
        });
        row.chain(said).next()
    }

    /// Workloads of another cluster among what its proxies and ztunnels hold.
    fn proxy_knows<'m>(&'m self, other: &Cluster) -> Option<Link<'m>> {
        let of_ztunnels = self.ztunnels().find_map(|(event, dump)| {
            let workload = dump.workloads.iter().find(|workload| other.is_called(&workload.cluster))?;
            Some(Link { event, quote: format!("workload {} of cluster {}", workload.uid, workload.cluster) })
        });
        of_ztunnels.or_else(|| {
            let documents = self.proxies().flat_map(|proxy| proxy.documents());
            documents.filter_map(|document| Some((document, document.endpoints.as_ref()?))).find_map(
                |(document, held)| {
                    let (endpoint, workload) = held.iter().find_map(|endpoint| {
                        let workload =
                            endpoint.workload.as_ref().filter(|workload| other.is_called(&workload.cluster))?;
                        Some((endpoint, workload))
                    })?;
                    let quote = format!("endpoint {} of cluster {}", endpoint.addr, workload.cluster);
                    Some(Link { event: &document.event, quote })
                },
            )
        })
    }
}

impl super::Doc<meshwhy_parsers::state::object::Object> {
    /// Whether this Gateway stands for a cluster: by its label, by its name, or by the network only that one has.
    pub fn stands_for(&self, cluster: &Cluster) -> bool {
        if let Some(labelled) = self.label(CLUSTER) {
            return cluster.is_called(labelled);
        }
        let id = cluster.title();
        if let Some(named) = self.name.strip_prefix("istio-remote-peer-") {
            return named == id;
        }
        self.label(NETWORK).is_some_and(|network| cluster.network().is_some_and(|(_, own)| own == Some(network)))
    }
}
