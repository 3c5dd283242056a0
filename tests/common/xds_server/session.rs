//! What one stream was told and what it is owed: the protocol, without the network.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol>, and `istio/istio: pilot/pkg/xds/delta.go` and
//! `ads.go` for which types a client gets whole when it names nothing.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use envoy_types::pb::google::protobuf::Any;

/// The resources of one type, by name.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// Grows with every change, and is the version of what was changed by it.
    pub version: u64,
    /// Each with its version.
    pub all: BTreeMap<String, (u64, Any)>,
}

/// The resources of all types, by type URL.
pub type World = BTreeMap<String, Resources>;

/// Types of which a client that names nothing gets nothing; of all others it gets everything.
const NAMED: [&str; 4] = ["ClusterLoadAssignment", "RouteConfiguration", "Secret", "TypedExtensionConfig"];

fn is_named(type_url: &str) -> bool {
    NAMED.iter().any(|name| type_url.ends_with(&format!(".{name}")))
}

/// What a client wants of one type.
#[derive(Debug, Default)]
struct Wanted {
    everything: bool,
    names: BTreeSet<String>,
}

impl Wanted {
    fn has(&self, name: &str) -> bool {
        self.everything || self.names.contains(name)
    }
}

/// A stream in state-of-the-world form.
#[derive(Debug, Default)]
pub struct Sotw {
    types: BTreeMap<String, Whole>,
    nonces: u64,
}

#[derive(Debug, Default)]
struct Whole {
    wanted: Wanted,
    nonce: String,
    /// The version that was sent last; none when an answer is due whatever the version.
    sent: Option<u64>,
}

impl Sotw {
    /// Takes a request. One that answers an older response than the last says nothing new.
    pub fn take(&mut self, request: &DiscoveryRequest) {
        let is_first = !self.types.contains_key(&request.type_url);
        let whole = self.types.entry(request.type_url.clone()).or_default();
        if !is_first && request.response_nonce != whole.nonce {
            return;
        }
        let mut names = request.resource_names.iter().cloned().collect::<BTreeSet<_>>();
        let named_all = names.remove("*");
        let legacy = names.is_empty() && !is_named(&request.type_url) && (is_first || whole.wanted.everything);
        let wanted = Wanted { everything: named_all || legacy, names };
        if wanted.everything != whole.wanted.everything || wanted.names != whole.wanted.names {
            whole.sent = None;
        }
        whole.wanted = wanted;
    }

    /// The responses that are due, and that count as sent with this.
    pub fn due(&mut self, world: &World) -> Vec<DiscoveryResponse> {
        let none = Resources::default();
        let mut responses = Vec::new();
        for (type_url, whole) in &mut self.types {
            let resources = world.get(type_url).unwrap_or(&none);
            if whole.sent == Some(resources.version) {
                continue;
            }
            whole.sent = Some(resources.version);
            self.nonces += 1;
            whole.nonce = format!("sotw-{}", self.nonces);
            let wanted = resources.all.iter().filter(|(name, _)| whole.wanted.has(name));
            responses.push(DiscoveryResponse {
                version_info: resources.version.to_string(),
                resources: wanted.map(|(_, (_, resource))| resource.clone()).collect(),
                type_url: type_url.clone(),
                nonce: whole.nonce.clone(),
                ..DiscoveryResponse::default()
            });
        }
        responses
    }
}

/// A stream in delta form.
#[derive(Debug, Default)]
pub struct Delta {
    types: BTreeMap<String, Changes>,
    nonces: u64,
}

#[derive(Debug, Default)]
struct Changes {
    wanted: Wanted,
    /// What the client has, with its version.
    has: BTreeMap<String, String>,
    /// Names whose answer is due whatever the client has: it asked just now, or had them from another stream.
    asked: BTreeSet<String>,
    /// A first request is answered even by nothing.
    is_new: bool,
}

impl Delta {
    /// Takes a request. What it subscribes to counts whichever response it answers.
    pub fn take(&mut self, request: &DeltaDiscoveryRequest) {
        let is_first = !self.types.contains_key(&request.type_url);
        let changes = self.types.entry(request.type_url.clone()).or_default();
        if is_first {
            changes.is_new = true;
            changes.wanted.everything = request.resource_names_subscribe.is_empty() && !is_named(&request.type_url);
            changes.has = request.initial_resource_versions.clone().into_iter().collect();
        }
        for name in &request.resource_names_subscribe {
            if name == "*" {
                changes.wanted.everything = true;
                continue;
            }
            changes.wanted.names.insert(name.clone());
            // Who asks again for what it has wants it again; who brings it along does not.
            if !is_first || !changes.has.contains_key(name) {
                changes.has.remove(name);
                changes.asked.insert(name.clone());
            }
        }
        for name in &request.resource_names_unsubscribe {
            if name == "*" {
                changes.wanted.everything = false;
            }
            changes.wanted.names.remove(name);
            changes.asked.remove(name);
        }
        let wanted = &changes.wanted;
        changes.has.retain(|name, _| wanted.has(name));
    }

    /// The responses that are due, and that count as sent with this.
    pub fn due(&mut self, world: &World) -> Vec<DeltaDiscoveryResponse> {
        let none = Resources::default();
        let mut responses = Vec::new();
        for (type_url, changes) in &mut self.types {
            let resources = world.get(type_url).unwrap_or(&none);
            let wanted = resources.all.iter().filter(|(name, _)| changes.wanted.has(name));
            let changed = wanted
                .filter(|(name, (version, _))| changes.has.get(*name) != Some(&version.to_string()))
                .map(|(name, (version, resource))| Resource {
                    name: name.clone(),
                    version: version.to_string(),
                    resource: Some(resource.clone()),
                    ..Resource::default()
                })
                .collect::<Vec<_>>();
            let gone = changes.has.keys().chain(&changes.asked).filter(|name| !resources.all.contains_key(*name));
            let removed = gone.cloned().collect::<BTreeSet<_>>();
            if changed.is_empty() && removed.is_empty() && !changes.is_new {
                continue;
            }
            changes.is_new = false;
            changes.asked.clear();
            changes.has.retain(|name, _| !removed.contains(name));
            changes.has.extend(changed.iter().map(|resource| (resource.name.clone(), resource.version.clone())));
            self.nonces += 1;
            responses.push(DeltaDiscoveryResponse {
                system_version_info: resources.version.to_string(),
                resources: changed,
                type_url: type_url.clone(),
                removed_resources: removed.into_iter().collect(),
                nonce: format!("delta-{}", self.nonces),
                ..DeltaDiscoveryResponse::default()
            });
        }
        responses
    }
}
