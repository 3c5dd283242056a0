//! The objects of a cluster: kinds, resource versions, the history that watches replay, selectors.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A group, its versions (the preferred one first), namespaced kinds, cluster-scoped kinds.
type Kinds = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// What every Kubernetes serves, and the CRDs of Istio and of the Gateway API.
/// `kubernetes/kubernetes: pkg/apis`, `istio/api`, `kubernetes-sigs/gateway-api: config/crd`.
const KINDS: &[Kinds] = &[
    (
        "",
        &["v1"],
        &["ConfigMap", "Endpoints", "Event", "Pod", "Secret", "Service", "ServiceAccount"],
        &["Namespace", "Node"],
    ),
    ("admissionregistration.k8s.io", &["v1"], &[], &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]),
    ("apiextensions.k8s.io", &["v1"], &[], &["CustomResourceDefinition"]),
    ("apps", &["v1"], &["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"], &[]),
    ("discovery.k8s.io", &["v1"], &["EndpointSlice"], &[]),
    ("networking.k8s.io", &["v1"], &["Ingress", "NetworkPolicy"], &["IngressClass"]),
    ("rbac.authorization.k8s.io", &["v1"], &["Role", "RoleBinding"], &["ClusterRole", "ClusterRoleBinding"]),
    ("extensions.istio.io", &["v1alpha1"], &["WasmPlugin"], &[]),
    (
        "networking.istio.io",
        &["v1", "v1beta1", "v1alpha3"],
        &["DestinationRule", "Gateway", "ServiceEntry", "Sidecar", "VirtualService", "WorkloadEntry", "WorkloadGroup"],
        &[],
    ),
    ("networking.istio.io", &["v1alpha3"], &["EnvoyFilter"], &[]),
    ("networking.istio.io", &["v1beta1"], &["ProxyConfig"], &[]),
    (
        "security.istio.io",
        &["v1", "v1beta1"],
        &["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"],
        &[],
    ),
    ("telemetry.istio.io", &["v1", "v1alpha1"], &["Telemetry"], &[]),
    ("gateway.networking.k8s.io", &["v1", "v1beta1"], &["Gateway", "HTTPRoute"], &["GatewayClass"]),
    ("gateway.networking.k8s.io", &["v1"], &["GRPCRoute"], &[]),
    ("gateway.networking.k8s.io", &["v1beta1"], &["ReferenceGrant"], &[]),
];

/// The first resource version that is given out. A real cluster's is never small either.
const VERSION_FIRST: u64 = 1_000;

/// A kind of object that is served.
#[derive(Clone, Debug)]
pub struct Resource {
    /// API group, empty for the core.
    pub group: String,
    /// Versions served, the preferred one first.
    pub versions: Vec<String>,
    /// As in `kind:`.
    pub kind: String,
    /// As in a URL.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub is_namespaced: bool,
}

impl Resource {
    fn new(group: &str, versions: &[&str], kind: &str, is_namespaced: bool) -> Resource {
        let versions = versions.iter().map(|version| version.to_string()).collect();
        Resource { group: group.into(), versions, kind: kind.into(), plural: plural(kind), is_namespaced }
    }

    /// `v1`, `networking.istio.io/v1`.
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_string() } else { format!("{}/{version}", self.group) }
    }

    /// `pods`, `gateways.networking.istio.io`: how a server's messages name it.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Whether it is defined by a CRD.
    pub fn is_custom(&self) -> bool {
        let is_own = !self.group.contains('.') || self.group.ends_with(".k8s.io");
        !is_own || self.group == "gateway.networking.k8s.io"
    }

    fn key(&self, namespace: &str, name: &str) -> Key {
        Key {
            group: self.group.clone(),
            plural: self.plural.clone(),
            namespace: namespace.to_string(),
            name: name.to_string(),
        }
    }
}

/// The resource's name in URLs, as Kubernetes' own kinds and Istio's CRDs form it.
fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    let stem = |end: &str| kind.strip_suffix(end).map(str::to_string);
    match kind.as_str() {
        "endpoints" => kind,
        _ if kind.ends_with('s') => format!("{kind}es"),
        _ if kind.ends_with("ay") => format!("{kind}s"),
        _ => stem("y").map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies")),
    }
}

/// Where an object stands in the store; the order in which lists tell it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    group: String,
    plural: String,
    namespace: String,
    name: String,
}

/// One step of the history.
struct Change {
    version: u64,
    key: Key,
    before: Option<Arc<Value>>,
    after: Option<Arc<Value>>,
}

/// All objects of a cluster and how they came to be.
pub struct Store {
    resources: Vec<Resource>,
    objects: BTreeMap<Key, Arc<Value>>,
    history: Vec<Change>,
    version: u64,
    /// What happened up to here can no longer be replayed.
    compacted: u64,
}

impl Store {
    /// An empty cluster.
    pub fn new() -> Store {
        let kinds = KINDS.iter().flat_map(|(group, versions, namespaced, cluster)| {
            let namespaced = namespaced.iter().map(|kind| Resource::new(group, versions, kind, true));
            namespaced.chain(cluster.iter().map(|kind| Resource::new(group, versions, kind, false)))
        });
        Store {
            resources: kinds.collect(),
            objects: BTreeMap::new(),
            history: Vec::new(),
            version: VERSION_FIRST,
            compacted: VERSION_FIRST,
        }
    }

    /// The newest resource version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Everything that is served.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// What a URL names, if that version of it is served.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Resource> {
        let is_it = |resource: &&Resource| {
            resource.group == group && resource.plural == plural && resource.versions.iter().any(|one| one == version)
        };
        self.resources.iter().find(is_it)
    }

    /// Takes an API group away, as a cluster without its CRDs has none.
    pub fn uninstall(&mut self, group: &str) {
        self.resources.retain(|resource| resource.group != group);
        self.objects.retain(|key, _| key.group != group);
    }

    /// Serves an API group in these versions alone.
    pub fn serve_versions(&mut self, group: &str, versions: &[&str]) {
        for resource in self.resources.iter_mut().filter(|resource| resource.group == group) {
            resource.versions = versions.iter().map(|version| version.to_string()).collect();
        }
    }

    /// Creates or replaces an object; a kind that is unknown so far is installed. Gives its resource version.
    pub fn apply(&mut self, mut object: Value) -> u64 {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_string();
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        assert!(!api_version.is_empty() && !kind.is_empty() && !name.is_empty(), "no object: {object}");
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
        let known = self.resources.iter().find(|resource| resource.group == group && resource.kind == kind);
        let resource = known.cloned().unwrap_or_else(|| {
            let resource = Resource::new(group, &[version], &kind, !namespace.is_empty());
            self.resources.push(resource.clone());
            resource
        });
        assert_eq!(resource.is_namespaced, !namespace.is_empty(), "{kind} {name}: namespace {namespace:?}");

        let key = resource.key(&namespace, &name);
        let before = self.objects.get(&key).cloned();
        let old = |field: &str| before.as_ref().and_then(|before| before["metadata"].get(field).cloned());
        let metadata = object["metadata"].as_object_mut().expect("it has a name");
        let uid = format!("{:08x}-0000-4000-8000-{:012x}", self.version, self.version);
        let created = format!("{:.0}", Timestamp::now());
        for (field, value) in [("uid", uid), ("creationTimestamp", created)] {
            metadata.entry(field).or_insert_with(|| old(field).unwrap_or_else(|| value.into()));
        }
        metadata.insert("resourceVersion".into(), old("resourceVersion").unwrap_or(Value::Null));
        if let Some(before) = before.as_ref().filter(|before| ***before == object) {
            return before["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let after = Arc::new(object);
        self.objects.insert(key.clone(), after.clone());
        self.history.push(Change { version: self.version, key, before, after: Some(after) });
        self.version
    }

    /// Removes an object and gives it back. `kind` may be a kind or its plural.
    pub fn delete(&mut self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let mut keys = self
            .resources
            .iter()
            .filter(|resource| resource.kind == kind || resource.plural == kind || resource.qualified() == kind)
            .map(|resource| resource.key(namespace, name));
        let key = keys.find(|key| self.objects.contains_key(key))?;
        let before = self.objects.remove(&key)?;
        self.version += 1;
        self.history.push(Change { version: self.version, key, before: Some(before.clone()), after: None });
        Some(Value::clone(&before))
    }

    /// Forgets how the objects came to be, as etcd does every five minutes: to resume from before is 410.
    pub fn compact(&mut self) {
        self.history.clear();
        self.compacted = self.version;
    }

    /// One object.
    pub fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.objects.get(&resource.key(namespace, name))
    }

    /// The pod of this name.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        let pods = self.resource("", "v1", "pods").expect("pods are always served");
        self.get(pods, namespace, name)
    }

    /// The objects of a resource that are asked for, in order of namespace and name.
    pub fn list(&self, resource: &Resource, wanted: &Wanted) -> Vec<Arc<Value>> {
        let from = resource.key("", "");
        self.objects
            .range(from..)
            .take_while(|(key, _)| key.group == resource.group && key.plural == resource.plural)
            .map(|(_, object)| object)
            .filter(|object| wanted.holds(object))
            .cloned()
            .collect()
    }

    /// What a watch tells of what happened after `position`, as far as it was asked for.
    ///
    /// An object that begins or ceases to be selected is told as added or deleted.
    pub fn since(&self, resource: &Resource, wanted: &Wanted, position: u64) -> Result<Vec<Told>, TooOld> {
        if position < self.compacted {
            return Err(TooOld { asked: position, oldest: self.compacted });
        }
        let start = self.history.partition_point(|change| change.version <= position);
        let changes = self.history[start..].iter();
        let ours = changes.filter(|change| change.key.group == resource.group && change.key.plural == resource.plural);
        let told = ours.filter_map(|change| {
            let before = change.before.as_ref().filter(|object| wanted.holds(object));
            let after = change.after.as_ref().filter(|object| wanted.holds(object));
            let gone = |object: &Arc<Value>| {
                let mut object = Value::clone(object);
                object["metadata"]["resourceVersion"] = change.version.to_string().into();
                Arc::new(object)
            };
            Some(match (before, after) {
                (None, None) => return None,
                (None, Some(after)) => Told { what: "ADDED", object: after.clone() },
                (Some(_), Some(after)) => Told { what: "MODIFIED", object: after.clone() },
                (Some(before), None) => Told { what: "DELETED", object: gone(change.after.as_ref().unwrap_or(before)) },
            })
        });
        Ok(told.collect())
    }
}

/// An event of a watch.
pub struct Told {
    /// `ADDED`, `MODIFIED`, `DELETED`.
    pub what: &'static str,
    /// As it is now; of a deleted one, as it was last.
    pub object: Arc<Value>,
}

/// The history asked for is gone.
pub struct TooOld {
    asked: u64,
    oldest: u64,
}

impl TooOld {
    /// The server's words (`kubernetes/kubernetes: staging/src/k8s.io/apiserver/pkg/storage/cacher`).
    pub fn message(&self) -> String {
        format!("too old resource version: {} ({})", self.asked, self.oldest)
    }
}

/// Which objects of a resource are asked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    namespace: Option<String>,
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

impl Wanted {
    /// Reads a request's namespace and selectors; `Err` is the message of a 400.
    pub fn new(resource: &Resource, namespace: Option<&str>, labels: &str, fields: &str) -> Result<Wanted, String> {
        let labels =
            split_selector(labels).iter().map(|text| Requirement::read(text)).collect::<Result<Vec<_>, _>>()?;
        let fields =
            split_selector(fields).iter().map(|text| Requirement::read(text)).collect::<Result<Vec<_>, _>>()?;
        for field in &fields {
            if !is_selectable(&resource.plural, &field.key) {
                return Err(format!("field label not supported: {}", field.key));
            }
        }
        Ok(Wanted { namespace: namespace.map(str::to_string), labels, fields })
    }

    fn holds(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let label = |key: &str| metadata["labels"].get(key).and_then(Value::as_str);
        // An unset field selects as an empty one.
        let field = |key: &str| object.pointer(&format!("/{}", key.replace('.', "/"))).and_then(Value::as_str);
        self.namespace.as_deref().is_none_or(|namespace| metadata["namespace"] == *namespace)
            && self.labels.iter().all(|requirement| requirement.holds(label(&requirement.key)))
            && self.fields.iter().all(|requirement| requirement.holds(Some(field(&requirement.key).unwrap_or(""))))
    }
}

/// The fields that servers let lists be selected by. Of a custom resource these are its name and namespace alone.
fn is_selectable(plural: &str, field: &str) -> bool {
    let of_kind: &[&str] = match plural {
        "pods" => &["spec.nodeName", "spec.serviceAccountName", "status.phase", "status.podIP"],
        "secrets" => &["type"],
        "events" => &["involvedObject.kind", "involvedObject.name", "involvedObject.namespace", "reason", "type"],
        "namespaces" => &["status.phase"],
        _ => &[],
    };
    ["metadata.name", "metadata.namespace"].contains(&field) || of_kind.contains(&field)
}

/// One part of a selector.
#[derive(Clone, Debug)]
struct Requirement {
    key: String,
    is: Is,
}

#[derive(Clone, Debug)]
enum Is {
    Present,
    Absent,
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
}

impl Requirement {
    /// `app=web`, `app==web`, `app!=web`, `app in (web, db)`, `app notin (web)`, `app`, `!app`.
    fn read(text: &str) -> Result<Requirement, String> {
        let text = text.trim();
        let set = |list: &str| -> Option<Vec<String>> {
            let list = list.trim().strip_prefix('(')?.strip_suffix(')')?;
            Some(list.split(',').map(|value| value.trim().to_string()).collect())
        };
        let wrong = || format!("unable to parse requirement: {text:?}");
        let (key, is) = if let Some((key, list)) = text.split_once(" notin ") {
            (key, Is::NoneOf(set(list).ok_or_else(wrong)?))
        } else if let Some((key, list)) = text.split_once(" in ") {
            (key, Is::OneOf(set(list).ok_or_else(wrong)?))
        } else if let Some((key, value)) = text.split_once("!=") {
            (key, Is::NoneOf(vec![value.trim().to_string()]))
        } else if let Some((key, value)) = text.split_once('=') {
            (key, Is::OneOf(vec![value.trim_start_matches('=').trim().to_string()]))
        } else if let Some(key) = text.strip_prefix('!') {
            (key, Is::Absent)
        } else {
            (text, Is::Present)
        };
        let key = key.trim();
        if key.is_empty() || key.contains(' ') {
            return Err(wrong());
        }
        Ok(Requirement { key: key.to_string(), is })
    }

    fn holds(&self, value: Option<&str>) -> bool {
        match &self.is {
            Is::Present => value.is_some(),
            Is::Absent => value.is_none(),
            Is::OneOf(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            // A label that is not there is different from any value.
            Is::NoneOf(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
        }
    }
}

/// Splits at the commas that stand in no parentheses.
fn split_selector(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for char in text.chars() {
        match char {
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                depth += i32::from(char == '(') - i32::from(char == ')');
                parts.last_mut().expect("it begins with one").push(char);
            }
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// How an object is wanted back: whole or its metadata alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As it is.
    Whole,
    /// `PartialObjectMetadata` of `meta.k8s.io/v1`.
    Metadata,
}

impl Shape {
    /// Puts an object into this shape and into the version that was asked for.
    pub fn of(self, object: &Value, api_version: &str) -> Value {
        match self {
            Shape::Whole => {
                let mut object = object.clone();
                object["apiVersion"] = api_version.into();
                object
            }
            Shape::Metadata => json!({
                "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"],
            }),
        }
    }
}

/// A pod as a kubelet reports it, running, with one container for each name.
pub fn pod(namespace: &str, name: &str, labels: &[(&str, &str)], containers: &[&str]) -> Value {
    let started = format!("{:.0}", Timestamp::now());
    let specs: Vec<Value> = containers
        .iter()
        .map(|name| json!({"name": name, "image": format!("registry.example/{name}:1"), "resources": {}}))
        .collect();
    let statuses: Vec<Value> = containers
        .iter()
        .map(|name| {
            json!({
                "name": name, "image": format!("registry.example/{name}:1"), "imageID": "", "ready": true,
                "started": true, "restartCount": 0, "lastState": {}, "state": {"running": {"startedAt": started}},
                "containerID": format!("containerd://{name}-0"),
            })
        })
        .collect();
    let labels: Map<String, Value> = labels.iter().map(|(key, value)| (key.to_string(), json!(value))).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"nodeName": "node-1", "serviceAccountName": "default", "containers": specs},
        "status": {
            "phase": "Running", "podIP": "10.10.0.7", "podIPs": [{"ip": "10.10.0.7"}], "hostIP": "172.18.0.2",
            "startTime": started, "qosClass": "BestEffort",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": started}],
            "containerStatuses": statuses,
        },
    })
}
