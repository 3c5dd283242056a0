//! The mesh as documents and tables show it, cluster by cluster: objects, proxies, ztunnels, istiods, certificates.
//!
//! A fold over state events: the last document about a thing replaces what was known of it, a table row only fills what
//! no document says. Checks, traces and causes ask it; nothing in it reasons.

mod apart;
mod cluster;
mod endpoints;
mod identity;
mod link;
mod policy;
mod version;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Text};
use meshwhy_parsers::objects;
use meshwhy_parsers::state::State;

pub use apart::Lasting;
pub use cluster::{
    Cluster, ControlPlane, GATEWAY_API, GATEWAY_NAME, GLOBAL, Gateway, Istiod, Kind as GatewayKind, NETWORK, Proxy,
    REMOTE_SECRET, RemoteSecret, SECRET_PREFIX, USE_WAYPOINT, USE_WAYPOINT_OF, env, is_east_west, workload_of,
};
pub use endpoints::{Caller, Class, Endpoint};
pub use identity::{Identities, Identity, What, addresses_in};
pub use link::{CLUSTER, Link};
pub use version::Version;

use cluster::Reckoned;

/// How many objects, proxies and istiods of all clusters are kept.
pub const OBJECTS_MAX: usize = 1_000_000;

/// Whether istiod made an address up, for a service that has none: 240.0.0.0/4 or 2001:2::/48, which no network routes.
/// Some clouds give out pod addresses of 240.0.0.0/4, so that one that is a pod's is a pod's.
pub fn is_assigned(address: &str) -> bool {
    match address.parse() {
        Ok(IpAddr::V4(v4)) => (240..255).contains(&v4.octets()[0]),
        Ok(IpAddr::V6(v6)) => v6.segments()[..3] == [0x2001, 0x2, 0],
        Err(_) => false,
    }
}

/// Something a document says, with the event that carries it as evidence.
#[derive(Debug)]
pub struct Doc<T> {
    /// The event.
    pub event: Arc<Event>,
    it: Arc<T>,
}

impl<T> Doc<T> {
    fn new(event: &Arc<Event>, it: &Arc<T>) -> Doc<T> {
        Doc { event: Arc::clone(event), it: Arc::clone(it) }
    }
}

impl<T> Deref for Doc<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.it
    }
}

/// The mesh.
#[derive(Default)]
pub struct Mesh {
    clusters: BTreeMap<Text, Cluster>,
    held: usize,
    /// What was not kept because there is too much.
    pub refused: u64,
    identities: OnceCell<Identities>,
    /// By cluster: the addresses of all that lives in it.
    living: OnceCell<BTreeMap<Text, BTreeSet<Text>>>,
    /// The names of clusters by their IDs.
    ids: OnceCell<BTreeMap<Text, Text>>,
}

impl Mesh {
    /// Takes in what a state event says. Whether it was one that only the mesh keeps.
    pub fn note(&mut self, event: &Arc<Event>) -> bool {
        let Fact::State(state) = &event.fact else { return false };
        let is_full = OBJECTS_MAX <= self.held;
        let cluster = match &**state {
            State::Listed { .. } | State::Gone(_) => Some(self.cluster_mut(event)),
            _ if is_full => None,
            _ => Some(self.cluster_mut(event)),
        };
        let Some(cluster) = cluster else {
            self.refused += 1;
            return event.is_document();
        };
        cluster.latest = cluster.latest.max(event.at);
        cluster.reckoned = Reckoned::default();
        let before = cluster.len();
        let is_kept_here = match &**state {
            State::Object(object) => {
                cluster.put(Doc::new(event, object));
                true
            }
            State::Gone(object) => {
                cluster.remove(object);
                true
            }
            State::Listed { kind, group, namespace } => {
                cluster.list(kind, group, namespace);
                true
            }
            State::Proxy(proxy) => {
                cluster.put_proxy(Doc::new(event, proxy));
                true
            }
            State::Istiod(istiod) => {
                cluster.put_istiod(Doc::new(event, istiod));
                true
            }
            State::Certs { .. } => {
                cluster.certs.push(Arc::clone(event));
                true
            }
            State::Ztunnel(_) => {
                cluster.put_ztunnel(event);
                false
            }
            row => {
                if let Some(object) = objects::from_row(row) {
                    cluster.put(Doc::new(event, &Arc::new(object)));
                }
                cluster.put_row(event, row);
                false
            }
        };
        let after = cluster.len();
        self.held = self.held + after - before;
        self.identities.take();
        self.living.take();
        self.ids.take();
        is_kept_here
    }

    fn cluster_mut(&mut self, event: &Event) -> &mut Cluster {
        let name = &event.origin.cluster;
        self.clusters.entry(name.clone()).or_insert_with(|| Cluster::named(name))
    }

    /// The clusters of which any state is known, by name.
    pub fn clusters(&self) -> impl DoubleEndedIterator<Item = &Cluster> + Clone {
        self.clusters.values()
    }

    /// A cluster by the name its documents go under.
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.get(name)
    }

    /// A cluster by the ID istiod and proxies use for it, which need not be the name of its folder or context.
    pub fn by_id(&self, id: &str) -> Option<&Cluster> {
        if id.is_empty() {
            return None;
        }
        let ids = self.ids.get_or_init(|| {
            let known = || self.clusters().filter_map(|cluster| Some((cluster.id()?, cluster.name.clone())));
            // Two clusters under one ID: nobody can tell which is meant.
            let is_alone = |id: &str| known().filter(|(other, _)| *other == id).count() == 1;
            known().filter(|(id, _)| is_alone(id)).map(|(id, name)| (id.into(), name)).collect()
        });
        ids.get(id)
            .and_then(|name| self.cluster(name))
            .or_else(|| self.cluster(id).filter(|cluster| cluster.id() != Some(id)))
    }

    /// Whether any state is known.
    pub fn is_empty(&self) -> bool {
        self.clusters.values().all(|cluster| cluster.len() == 0)
    }

    /// Who has which address.
    pub fn identities(&self) -> &Identities {
        self.identities.get_or_init(|| Identities::of(self))
    }
}
