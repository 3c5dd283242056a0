//! What istiod has pushed on one stream: kept over reconnects, so that only what changed meanwhile is sent again.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::google::protobuf::Any;
use prost::Message;

use super::json::{self, Address};

/// A type of resources.
///
/// istio/istio: pkg/model/xds.go
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// CDS.
    Clusters,
    /// EDS, asked for by the names that clusters tell.
    Endpoints,
    /// WDS: workloads and services.
    Addresses,
}

impl Kind {
    pub fn type_url(self) -> &'static str {
        match self {
            Kind::Clusters => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Kind::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Kind::Addresses => "type.googleapis.com/istio.workload.Address",
        }
    }

    pub fn of(type_url: &str) -> Option<Kind> {
        [Kind::Clusters, Kind::Endpoints, Kind::Addresses].into_iter().find(|kind| kind.type_url() == type_url)
    }
}

/// A resource as it is kept.
struct Resource {
    version: String,
    /// As istiod's debug endpoints print it; empty for a cluster.
    json: Box<str>,
    /// Of a cluster: the name its endpoints are asked for by.
    endpoints: Option<String>,
}

/// What was pushed.
#[derive(Default)]
pub(super) struct Held {
    kinds: BTreeMap<Kind, BTreeMap<String, Resource>>,
    /// Endpoints that are asked for and that istiod says do not exist.
    absent: BTreeSet<String>,
    bytes: usize,
    /// Whether something was not kept because it is too much.
    pub is_cut: bool,
}

/// A change to what is held of one kind.
pub(super) struct Change {
    /// Resources with the name under which they are removed (empty: their own), and their version.
    pub put: Vec<(String, String, Any)>,
    /// Names that are gone.
    pub removed: Vec<String>,
    /// Whether nothing else is left of this kind.
    pub is_all: bool,
}

impl Held {
    /// Takes a change in; returns why some of it cannot be read, which a proxy would refuse.
    pub fn take(&mut self, kind: Kind, change: Change, bytes_max: usize) -> Result<(), String> {
        let mut wrong = Ok(());
        let mut seen = BTreeSet::new();
        for (name, version, any) in change.put {
            match read(kind, &any) {
                Ok((own, resource)) => {
                    let name = if name.is_empty() { own } else { name };
                    seen.insert(name.clone());
                    self.put(kind, name, Resource { version, ..resource }, bytes_max);
                }
                Err(error) => wrong = Err(format!("{} {name}: {error}", kind.type_url())),
            }
        }
        for name in change.removed {
            self.remove(kind, &name);
            if kind == Kind::Endpoints {
                self.absent.insert(name);
            }
        }
        if change.is_all && wrong.is_ok() {
            let gone: Vec<String> = self.names(kind).filter(|name| !seen.contains(*name)).map(String::from).collect();
            gone.iter().for_each(|name| self.remove(kind, name));
        }
        if kind == Kind::Clusters {
            let wanted = self.wanted();
            let gone: Vec<String> =
                self.names(Kind::Endpoints).filter(|name| !wanted.contains(*name)).map(String::from).collect();
            gone.iter().for_each(|name| self.remove(Kind::Endpoints, name));
            self.absent.retain(|name| wanted.contains(name));
        }
        wrong
    }

    fn put(&mut self, kind: Kind, name: String, resource: Resource, bytes_max: usize) {
        self.remove(kind, &name);
        if kind == Kind::Endpoints {
            self.absent.remove(&name);
        }
        let bytes = name.len() + resource.json.len();
        if bytes_max < self.bytes + bytes {
            self.is_cut = true;
            return;
        }
        self.bytes += bytes;
        self.kinds.entry(kind).or_default().insert(name, resource);
    }

    fn remove(&mut self, kind: Kind, name: &str) {
        if let Some(was) = self.kinds.get_mut(&kind).and_then(|of| of.remove(name)) {
            self.bytes -= name.len() + was.json.len();
        }
    }

    fn names(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.kinds.get(&kind).into_iter().flatten().map(|(name, _)| &**name)
    }

    /// The versions of what is held of a kind, for a server that takes up where another left off.
    pub fn versions(&self, kind: Kind) -> impl Iterator<Item = (String, String)> {
        let of = self.kinds.get(&kind).into_iter().flatten();
        of.map(|(name, resource)| (name.clone(), resource.version.clone()))
    }

    /// The names of the endpoints that the clusters want.
    pub fn wanted(&self) -> BTreeSet<String> {
        self.kinds.get(&Kind::Clusters).into_iter().flatten().filter_map(|(_, of)| of.endpoints.clone()).collect()
    }

    /// The endpoints of all clusters that were answered, as `/debug/edsz` prints them, with the clusters' names.
    pub fn endpoints(&self) -> Vec<u8> {
        let names = self.names(Kind::Endpoints).map(|name| json::cluster(name).to_string().into());
        let assignments = self.kinds.get(&Kind::Endpoints).into_iter().flatten().map(|(_, of)| of.json.clone());
        configs(names.chain(assignments))
    }

    /// Whether the endpoints of every cluster were answered.
    pub fn has_all_endpoints(&self) -> bool {
        let held: BTreeSet<&str> = self.names(Kind::Endpoints).collect();
        self.wanted().iter().all(|name| held.contains(&**name) || self.absent.contains(name))
    }

    /// Workloads and services, as `/debug/config_dump` of a ztunnel lists them.
    pub fn addresses(&self) -> Vec<u8> {
        configs(self.kinds.get(&Kind::Addresses).into_iter().flatten().map(|(_, of)| of.json.clone()))
    }
}

fn configs(of: impl Iterator<Item = Box<str>>) -> Vec<u8> {
    let mut document = b"{\"configs\":[".to_vec();
    for (at, config) in of.enumerate() {
        if 0 < at {
            document.push(b',');
        }
        document.extend_from_slice(config.as_bytes());
    }
    document.extend_from_slice(b"]}");
    document
}

/// A resource with its own name.
fn read(kind: Kind, any: &Any) -> Result<(String, Resource), String> {
    if any.type_url != kind.type_url() {
        return Err(format!("a resource of another type: {}", any.type_url));
    }
    let bytes = &*any.value;
    let wrong = |error: prost::DecodeError| error.to_string();
    let (name, json, endpoints) = match kind {
        Kind::Clusters => {
            let cluster = Cluster::decode(bytes).map_err(wrong)?;
            (cluster.name.clone(), String::new(), json::endpoints_of(cluster))
        }
        Kind::Endpoints => {
            let assignment = ClusterLoadAssignment::decode(bytes).map_err(wrong)?;
            let json = json::assignment(&assignment).to_string();
            (assignment.cluster_name, json, None)
        }
        Kind::Addresses => {
            let address = Address::decode(bytes).map_err(wrong)?;
            let json = json::address(&address).ok_or("neither a workload nor a service")?;
            (json::name(&address), json.to_string(), None)
        }
    };
    Ok((name, Resource { version: String::new(), json: json.into(), endpoints }))
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig};

    use super::*;

    fn cluster(name: &str, service: &str) -> (String, String, Any) {
        let cluster = Cluster {
            name: name.to_string(),
            cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds as i32)),
            eds_cluster_config: Some(EdsClusterConfig {
                service_name: service.to_string(),
                ..EdsClusterConfig::default()
            }),
            ..Cluster::default()
        };
        (String::new(), "1".to_string(), any(Kind::Clusters, cluster.encode_to_vec()))
    }

    fn endpoints(name: &str) -> (String, String, Any) {
        let assignment = ClusterLoadAssignment { cluster_name: name.to_string(), ..ClusterLoadAssignment::default() };
        (String::new(), "7".to_string(), any(Kind::Endpoints, assignment.encode_to_vec()))
    }

    fn any(kind: Kind, value: Vec<u8>) -> Any {
        Any { type_url: kind.type_url().to_string(), value }
    }

    fn all(put: Vec<(String, String, Any)>) -> Change {
        Change { put, removed: Vec::new(), is_all: true }
    }

    const NO_LIMIT: usize = 1 << 20;

    #[test]
    fn endpoints_are_asked_for_by_the_name_that_the_cluster_tells() {
        let mut held = Held::default();
        held.take(Kind::Clusters, all(vec![cluster("a", ""), cluster("b", "of-b")]), NO_LIMIT).expect("clusters");
        assert_eq!(held.wanted().into_iter().collect::<Vec<_>>(), ["a", "of-b"]);
        held.take(Kind::Endpoints, all(vec![endpoints("a")]), NO_LIMIT).expect("endpoints");
        assert!(!held.has_all_endpoints());
        held.take(
            Kind::Endpoints,
            Change { put: vec![endpoints("of-b")], removed: Vec::new(), is_all: false },
            NO_LIMIT,
        )
        .expect("endpoints");
        assert!(held.has_all_endpoints());
        assert_eq!(
            held.versions(Kind::Endpoints).collect::<Vec<_>>(),
            [("a".to_string(), "7".to_string()), ("of-b".to_string(), "7".to_string())]
        );
        // The endpoints of a cluster go with it.
        held.take(Kind::Clusters, Change { put: Vec::new(), removed: vec!["b".to_string()], is_all: false }, NO_LIMIT)
            .expect("a removed cluster");
        assert_eq!(held.versions(Kind::Endpoints).count(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_takes_nothing_away() {
        let mut held = Held::default();
        held.take(Kind::Clusters, all(vec![cluster("a", "")]), NO_LIMIT).expect("a cluster");
        let broken = (String::new(), "2".to_string(), any(Kind::Clusters, vec![0xff; 3]));
        assert!(held.take(Kind::Clusters, all(vec![broken]), NO_LIMIT).is_err());
        let other = (String::new(), "2".to_string(), any(Kind::Endpoints, Vec::new()));
        assert!(held.take(Kind::Clusters, all(vec![other]), NO_LIMIT).is_err());
        assert_eq!(held.wanted().len(), 1);
    }

    #[test]
    fn more_than_the_limit_is_not_kept_and_told() {
        let mut held = Held::default();
        held.take(Kind::Clusters, all(vec![cluster("a", ""), cluster("b", "")]), 1).expect("clusters");
        assert!(held.is_cut);
        assert_eq!(held.wanted().len(), 1);
    }
}
