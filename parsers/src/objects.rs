//! Kubernetes objects as YAML, JSON and `kubectl describe` print them: one, several, lists, also cut or broken ones.
//!
//! A document is cut into its objects first and each is read alone, so that a broken one costs itself only. What is not
//! read is counted and told.

mod body;
mod configmap;
mod describe;
mod field;
mod istio;
pub(crate) mod json;
mod listed;
mod row;
mod secret;
mod yaml;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::document::{self, Document, Found};
use crate::event::{Fact, Text};
use crate::kube;
use crate::state::State;
use crate::state::object::{Body, Map, Object};
use crate::time::Time;
use field::{Field, TEXT_MAX, short};
use json::Parts;
use listed::Asked;

pub use describe::describe;
pub use row::from_row;
pub use secret::is_secret;
pub(crate) use yaml::value as yaml;

/// Most objects read of one document; further ones are counted. The biggest clusters have 150 000 pods.
pub const OBJECTS_MAX: usize = 300_000;
/// How much of a document's begin tells whether it holds objects.
const HEAD_MAX: usize = 64 << 10;

/// Reads a document, if it is one of these.
pub fn read(bytes: &[u8], found: Found<'_>) -> Option<Result<Document, String>> {
    let bytes = without_warnings(bytes);
    let mut reader = Reader::new(found);
    match bytes.first()? {
        b'{' | b'[' if holds_json_objects(bytes) => reader.json(bytes),
        _ if holds_yaml_objects(bytes) => reader.yaml(&document::text(bytes)),
        _ => reader.describe(&describable(bytes)?)?,
    }
    Some(reader.finish())
}

/// The document behind what kubectl warns of first: `Warning: v1 Endpoints is deprecated in v1.33+; ...`.
fn without_warnings(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes.trim_ascii_start();
    while bytes.starts_with(b"Warning: ") {
        let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
        bytes = bytes[end..].trim_ascii_start();
    }
    bytes
}

/// Whether JSON begins with an object of Kubernetes, a list of some, or what a watch saw of one.
fn holds_json_objects(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(HEAD_MAX)];
    let first = Parts::of(head);
    if head.first() == Some(&b'[') {
        return first.parts.first().is_some_and(|(_, element)| is_json_object(element));
    }
    is_json_object(head)
}

fn is_json_object(text: &[u8]) -> bool {
    let parts = Parts::of(text);
    let has = |key: &str| parts.get(key).is_some();
    // Audit records are objects of their own group, one a line: a log. A `Status` is a refusal, which lines tell, too.
    let is_log = parts.str("apiVersion").starts_with("audit.k8s.io/") || has("level") || has("msg");
    let is_status = parts.str("kind") == "Status" && has("status");
    let is_watched = has("type") && parts.get("object").is_some_and(is_json_object);
    let is_list = parts.get("items").is_some_and(|items| items.starts_with(b"[")) && has("apiVersion");
    !is_log && !is_status && (has("apiVersion") && has("kind") || is_list || is_watched)
}

/// Whether YAML begins with an object of Kubernetes or a list of some.
fn holds_yaml_objects(bytes: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD_MAX)]);
    let mut content = head.lines().filter(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with(['#', '%']) && line != "---" && !line.starts_with("--- ")
    });
    let Some(first) = content.next() else { return false };
    let is_key = |line: &str| {
        let key = line.trim_start_matches("- ").split(':').next().unwrap_or("");
        line.contains(':') && !key.is_empty() && key.bytes().all(|c| c.is_ascii_alphanumeric())
    };
    let names_version = |line: &str| line.trim_start_matches("- ").starts_with("apiVersion:");
    is_key(first) && (names_version(first) || content.any(|line| !line.starts_with(' ') && names_version(line)))
}

/// The text of what may be a description: `Name:` is its first word.
fn describable(bytes: &[u8]) -> Option<Cow<'_, str>> {
    bytes.starts_with(b"Name:").then(|| document::text(bytes))
}

/// The namespace, empty for all, of what a list links to as itself: `/api/v1/namespaces/shop/pods`
/// (`kubernetes/kubernetes: staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/types.go`, which API servers filled in up to
/// 1.19).
fn linked(link: &str) -> Option<Text> {
    let namespace = match link.split_once("/namespaces/") {
        Some((_, behind)) => behind.split('/').next()?,
        None => "",
    };
    link.starts_with("/api").then(|| namespace.into())
}

/// A document while it is read.
struct Reader<'a> {
    found: Found<'a>,
    document: Document,
    /// How many objects were met.
    met: usize,
    /// How many could not be read, and why the first could not.
    lost: usize,
    lost_why: String,
    /// Annotations and labels too long to keep.
    long: usize,
    /// Why lists are known to show a part only.
    cut: Option<&'static str>,
    /// The namespace, empty for all, that the last list says it is of.
    within: Option<Text>,
    /// The namespaces in which objects of a kind and group were listed.
    listed: BTreeMap<(Text, Text), BTreeSet<Text>>,
    /// Whether a list without items was met, and its own kind and group where it has one.
    empty: Vec<(Text, Text)>,
    /// Cluster IDs that proxies carry, and the ones that istiods do.
    of_proxies: BTreeSet<Text>,
    of_istiods: BTreeSet<Text>,
}

impl<'a> Reader<'a> {
    fn new(found: Found<'a>) -> Reader<'a> {
        Reader {
            found,
            document: Document::default(),
            met: 0,
            lost: 0,
            lost_why: String::new(),
            long: 0,
            cut: None,
            within: None,
            listed: BTreeMap::new(),
            empty: Vec::new(),
            of_proxies: BTreeSet::new(),
            of_istiods: BTreeSet::new(),
        }
    }

    /// One or several JSON documents, one behind the other.
    fn json(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some(b'{' | b'[') = rest.first() {
            let parts = Parts::of(rest);
            let end = parts.end.unwrap_or(rest.len());
            self.json_document(&rest[..end], &parts);
            rest = rest[end..].trim_ascii_start();
        }
        if !rest.is_empty() {
            self.document.losses.push(format!("{} bytes behind the objects are no object", rest.len()));
        }
    }

    fn json_document(&mut self, text: &[u8], parts: &Parts<'_>) {
        if text.first() == Some(&b'[') {
            self.json_items(parts, ("", ""), false);
        } else if let Some(items) = parts.get("items").filter(|items| items.starts_with(b"[")) {
            let metadata = parts.get("metadata").map(Parts::of);
            self.cut_where(
                metadata.is_some_and(|metadata| !metadata.str("continue").is_empty()),
                "is one page of several",
            );
            self.within = parts.get("metadata").map(Parts::of).and_then(|metadata| linked(metadata.str("selfLink")));
            self.json_items(&Parts::of(items), (parts.str("kind"), parts.str("apiVersion")), true);
        } else if parts.end.is_none() {
            self.cut_where(true, "ends in the middle");
            self.lose("cut in the middle".to_string());
        } else {
            self.json_object(text, ("", ""), false);
        }
    }

    fn json_items(&mut self, items: &Parts<'_>, of: (&str, &str), is_list: bool) {
        self.cut_where(items.end.is_none(), "ends in the middle");
        if is_list && items.parts.is_empty() && items.end.is_some() {
            self.empty_list(of);
        }
        let (last, whole) = match (items.is_partial, items.parts.split_last()) {
            (true, Some((_, whole))) => (true, whole),
            _ => (false, items.parts.as_slice()),
        };
        for (_, item) in whole {
            self.json_object(item, of, is_list);
        }
        if last {
            self.lose("cut in the middle".to_string());
        }
    }

    fn json_object(&mut self, text: &[u8], of: (&str, &str), is_listed: bool) {
        let read = serde_json::from_slice::<Value>(text)
            .or_else(|_| serde_json::from_str(&String::from_utf8_lossy(text)))
            .map_err(|_| "no valid JSON".to_string());
        match read {
            Ok(value) => self.object(Field::from(&value), of, is_listed),
            Err(why) => self.lose(why),
        }
    }

    /// One or several YAML documents.
    fn yaml(&mut self, text: &str) {
        for (before, document) in yaml::documents(text) {
            let Some(list) = yaml::list(document) else {
                match yaml::value(document) {
                    Ok(value) => self.object(Field::from(&value), ("", ""), false),
                    Err(line) => self.lose_yaml(before + line),
                }
                continue;
            };
            let head = yaml::value(&list.head).unwrap_or_default();
            let head = Field::from(&head);
            self.cut_where(!head.at("metadata").at("continue").str().is_empty(), "is one page of several");
            // kubectl prints `kind` behind the items: without one the end is missing, and what is last may be partial.
            let is_cut = head.at("kind").str().is_empty() && !list.head.is_empty() && !list.is_closed;
            self.cut_where(is_cut, "ends in the middle");
            let of = (head.at("kind").str(), head.at("apiVersion").str());
            let items = if is_cut { list.items.len() - 1 } else { list.items.len() };
            let mut broken = Vec::new();
            for (at, (line, item)) in list.items.iter().take(items).enumerate() {
                match yaml::value(item) {
                    Ok(value) => Field::from(&value).items().for_each(|item| self.object(item, of, true)),
                    Err(failed) => broken.push((at, before + line + failed)),
                }
            }
            // One anchor may serve several items: then they can only be read together.
            let shares_anchors = !broken.is_empty() && (document.contains(": *") || document.contains("- *"));
            let whole = shares_anchors.then(|| yaml::value(document).ok()).flatten().unwrap_or_default();
            let all = if whole.is_array() { Field::from(&whole) } else { Field::from(&whole).at("items") };
            let all: Vec<_> = all.items().collect();
            for (at, line) in broken {
                match all.get(at) {
                    Some(item) => self.object(*item, of, true),
                    None => self.lose_yaml(line),
                }
            }
            if is_cut {
                self.lose("cut in the middle".to_string());
            }
        }
    }

    /// What `kubectl describe` prints; `None` where it is something else.
    fn describe(&mut self, text: &str) -> Option<()> {
        let (objects, events) = describe::read(text)?;
        for object in objects {
            self.keep(object);
        }
        self.document.facts.extend(events.into_iter().map(|event| (None, event)));
        Some(())
    }

    /// An object, a list of some, or what a watch saw of one. `of` is the kind and version of the list it stands in,
    /// whose items need not repeat them.
    fn object(&mut self, value: Field<'_>, of: (&str, &str), is_listed: bool) {
        let items = value.at("items");
        if items.is_list() && !value.at("metadata").at("name").is_set() {
            let of = (value.at("kind").str(), value.at("apiVersion").str());
            self.cut_where(!value.at("metadata").at("continue").str().is_empty(), "is one page of several");
            if items.items().next().is_none() {
                self.empty_list(of);
            }
            for item in items.items() {
                self.single(item, of, true);
            }
        } else if value.at("object").is_set() && value.at("type").is_set() {
            self.watched(value.at("type").str(), value.at("object"));
        } else {
            self.single(value, of, is_listed);
        }
    }

    /// `kubectl get --watch --output-watch-events`: `{"type": "DELETED", "object": {...}}`.
    fn watched(&mut self, what: &str, object: Field<'_>) {
        match what {
            "DELETED" => match self.known(object, ("", "")) {
                Some(object) => self.document.push(State::Gone(Arc::new(object))),
                None => self.lose("no object with a kind and a name".to_string()),
            },
            // A bookmark is a position in the stream, an error the end of the watch.
            "BOOKMARK" | "ERROR" => {}
            _ => self.single(object, ("", ""), false),
        }
    }

    /// One object.
    fn single(&mut self, value: Field<'_>, of: (&str, &str), is_listed: bool) {
        let (kind, group) = kind_of(value, of);
        if kind == "Config" && value.at("contexts").is_set() {
            // A kubeconfig: it says how a person reaches clusters, and nothing of their state.
            return;
        }
        if kind == "Event" && matches!(group, "" | "events.k8s.io") {
            value.newest(&mut self.document.taken);
            let (at, fact) = event(value);
            return self.document.facts.push((at, fact));
        }
        let Some(object) = self.known(value, of) else {
            return self.lose("no object with a kind and a name".to_string());
        };
        if is_listed {
            let key = (object.kind.clone(), object.group.clone());
            self.listed.entry(key).or_default().insert(object.namespace.clone());
        }
        self.keep(object);
    }

    /// Reads an object and the times that stand in it.
    fn known(&mut self, value: Field<'_>, of: (&str, &str)) -> Option<Object> {
        value.newest(&mut self.document.taken);
        let (object, long) = object(value, of)?;
        self.long += long;
        Some(object)
    }

    fn keep(&mut self, object: Object) {
        self.met += 1;
        if self.met > OBJECTS_MAX {
            return;
        }
        self.identify(&object);
        self.document.push(State::Object(Arc::new(object)));
    }

    /// What proxies and istiods are told about the cluster they run in.
    fn identify(&mut self, object: &Object) {
        let containers = match &object.body {
            Body::Pod(pod) => &pod.containers,
            Body::Workload(workload) => &workload.containers,
            _ => return,
        };
        for container in containers {
            let env = |name: &str| container.env.get(name).filter(|id| !id.is_empty() && !id.contains('$')).cloned();
            self.of_proxies.extend(env("ISTIO_META_CLUSTER_ID"));
            self.of_istiods.extend(env("CLUSTER_ID").filter(|_| &*container.name == "discovery"));
        }
    }

    fn empty_list(&mut self, (kind, version): (&str, &str)) {
        // kubectl prints `List` for whatever was asked; the API and `cluster-info dump` print `PodList`.
        let kind = kind.strip_suffix("List").unwrap_or("");
        self.empty.push((kind.into(), group(version).into()));
    }

    fn cut_where(&mut self, is_cut: bool, why: &'static str) {
        if is_cut && self.cut.is_none() {
            self.cut = Some(why);
        }
    }

    fn lose(&mut self, why: String) {
        self.lost += 1;
        if self.lost == 1 {
            self.lost_why = why;
        }
    }

    fn lose_yaml(&mut self, line: usize) {
        self.lose(format!("no valid YAML at line {line}"));
    }

    /// The document, with what all lists in it have listed. An error where nothing in it could be read.
    fn finish(mut self) -> Result<Document, String> {
        if self.lost > 0 && self.document.facts.is_empty() {
            return Err(format!("looks like Kubernetes objects, but none can be read: {}", self.lost_why));
        }
        let kept = self.met.min(OBJECTS_MAX);
        if let Some(why) = self.cut {
            self.document.losses.push(format!("the list of objects {why}: what is not among them may exist"));
        }
        if self.lost > 0 {
            let all = self.document.facts.len() + self.lost;
            let loss = format!("{} of {all} objects cannot be read; the first: {}", self.lost, self.lost_why);
            self.document.losses.push(loss);
        }
        if self.met > kept {
            self.document.losses.push(format!("{} objects beyond the first {kept} are left out", self.met - kept));
        }
        if self.long > 0 {
            let loss = format!("{} annotations longer than {} KiB are left out", self.long, TEXT_MAX >> 10);
            self.document.losses.push(loss);
        }
        if self.cut.is_none() && self.lost == 0 && self.met == kept {
            let asked = Asked::of(self.found, &self.empty).within(self.within);
            for (kind, group, namespace) in asked.listed(&self.listed) {
                self.document.push(State::Listed { kind, group, namespace });
            }
        }
        // The proxies say where they are; an istiod may serve a cluster it does not run in.
        let told = if self.of_proxies.is_empty() { self.of_istiods } else { self.of_proxies };
        let mut told = told.into_iter();
        if let (Some(cluster), None) = (told.next(), told.next()) {
            self.document.cluster = cluster;
        }
        Ok(self.document)
    }
}

/// The kind and the group of an object; those of the list it stands in where it does not say.
fn kind_of<'a>(value: Field<'a>, of: (&'a str, &'a str)) -> (&'a str, &'a str) {
    match (value.at("kind").str(), value.at("apiVersion").str()) {
        ("", _) => (of.0.strip_suffix("List").unwrap_or(""), group(of.1)),
        (kind, version) => (kind, group(version)),
    }
}

/// `networking.istio.io` of `networking.istio.io/v1`; the core group has none.
fn group(version: &str) -> &str {
    version.split_once('/').map_or("", |(group, _)| group)
}

/// Reads an object, and how many annotations and labels were too long to keep.
fn object(value: Field<'_>, of: (&str, &str)) -> Option<(Object, usize)> {
    let (kind, group) = kind_of(value, of);
    let metadata = value.at("metadata");
    let name = metadata.at("name").text();
    if kind.is_empty() || name.is_empty() {
        return None;
    }
    let is_secret = kind == "Secret" && group.is_empty();
    let (annotations, long) = annotations(metadata.at("annotations"), is_secret);
    let grace = metadata.at("deletionGracePeriodSeconds").number::<u32>().unwrap_or(0);
    let deleted = metadata.at("deletionTimestamp").time();
    let controller = metadata.at("ownerReferences").items().find(|owner| owner.at("controller").flag() == Some(true));
    let mut object = Object {
        kind: short(kind),
        group: short(group),
        namespace: metadata.at("namespace").text(),
        name,
        labels: Some(metadata.at("labels").map()),
        annotations,
        created: metadata.at("creationTimestamp").time(),
        // It is set to when the deletion has to be over.
        deleted: deleted.map(|at| at.minus(std::time::Duration::from_secs(grace.into()))),
        owner: controller.map(owner_of).unwrap_or_default(),
        version: metadata.at("resourceVersion").text(),
        is_row: false,
        body: Body::Other,
    };
    object.body = body::body(value, &object);
    Some((object, long))
}

fn owner_of(owner: Field<'_>) -> Text {
    format!("{}/{}", owner.at("kind").text(), owner.at("name").text()).into()
}

/// Annotations without copies of the whole object and without long ones, which are counted. Of a Secret only those that
/// are known to hold no secret.
fn annotations(field: Field<'_>, is_secret: bool) -> (Map, usize) {
    const OF_SECRETS: [&str; 4] = ["istio.io/", "kubernetes.io/", "helm.sh/", "k8s.io/"];
    let mut kept = Map::new();
    let mut long = 0;
    for (key, value) in field.entries() {
        let is_copy = key.contains("last-applied") || key.ends_with("/applied");
        let is_known = OF_SECRETS.iter().any(|known| key.contains(known));
        if is_copy || is_secret && !is_known {
            continue;
        }
        if value.str().len() > TEXT_MAX {
            long += 1;
        } else {
            kept.insert(short(key), value.text());
        }
    }
    (kept, long)
}

/// A Kubernetes Event of either group as its fact, with the time it was seen last.
fn event(value: Field<'_>) -> (Option<Time>, Fact) {
    let series = value.at("series");
    let times = [
        series.at("lastObservedTime"),
        value.at("lastTimestamp"),
        value.at("deprecatedLastTimestamp"),
        value.at("eventTime"),
        value.at("firstTimestamp"),
    ];
    let at = times.into_iter().filter_map(Field::time).max().or(value.at("metadata").at("creationTimestamp").time());
    let of = if value.at("involvedObject").is_set() { value.at("involvedObject") } else { value.at("regarding") };
    let object = format!("{}/{}", of.at("kind").text().to_ascii_lowercase(), of.at("name").text());
    let message = if value.at("message").is_set() { value.at("message") } else { value.at("note") };
    (at, kube::event(&value.at("type").text(), &value.at("reason").text(), &object, &message.text()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::object::{Kubeconfig, Secret};

    const PODS: &str = r#"{
    "apiVersion": "v1",
    "items": [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{\"apiVersion\":\"v1\"}",
                    "istio.io/rev": "default"
                },
                "creationTimestamp": "2026-03-01T09:58:00Z",
                "generateName": "cart-6d7f9b5c4-",
                "labels": {"app": "cart", "pod-template-hash": "6d7f9b5c4", "topology.istio.io/network": "net-west"},
                "managedFields": [
                    {"apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:labels": {}}},
                     "manager": "kubelet", "operation": "Update", "subresource": "status", "time": "2026-03-01T10:07:31Z"}
                ],
                "name": "cart-6d7f9b5c4-x2lqf",
                "namespace": "shop",
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "blockOwnerDeletion": true, "controller": true, "kind": "ReplicaSet",
                     "name": "cart-6d7f9b5c4", "uid": "0b51"}
                ],
                "resourceVersion": "48213",
                "uid": "5f4c6c9e"
            },
            "spec": {
                "containers": [
                    {"image": "registry.example/cart:1.4", "name": "cart", "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                     "env": [{"name": "REGION", "value": "eu"}, {"name": "DB_PASSWORD", "value": "sesame"},
                             {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}
                ],
                "initContainers": [
                    {"args": ["istio-iptables", "-p", "15001"], "image": "docker.io/istio/proxyv2:1.27.1", "name": "istio-init"},
                    {"args": ["proxy", "sidecar", "--log_as_json"], "image": "docker.io/istio/proxyv2:1.27.1",
                     "name": "istio-proxy", "restartPolicy": "Always",
                     "env": [{"name": "ISTIO_META_CLUSTER_ID", "value": "west"}, {"name": "ISTIO_META_NETWORK", "value": "net-west"}]}
                ],
                "nodeName": "worker-1",
                "serviceAccountName": "cart"
            },
            "status": {
                "conditions": [
                    {"lastProbeTime": null, "lastTransitionTime": "2026-03-01T10:06:59Z", "message": "containers with unready status: [cart]",
                     "reason": "ContainersNotReady", "status": "False", "type": "Ready"}
                ],
                "containerStatuses": [
                    {"image": "registry.example/cart:1.4", "lastState": {"terminated": {"containerID": "containerd://1", "exitCode": 137,
                     "finishedAt": "2026-03-01T10:06:58Z", "reason": "OOMKilled", "startedAt": "2026-03-01T10:05:00Z"}},
                     "name": "cart", "ready": false, "restartCount": 4,
                     "state": {"waiting": {"message": "back-off 1m20s", "reason": "CrashLoopBackOff"}}}
                ],
                "initContainerStatuses": [
                    {"name": "istio-init", "ready": true, "restartCount": 0,
                     "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-03-01T09:58:02Z", "reason": "Completed"}}},
                    {"name": "istio-proxy", "ready": true, "restartCount": 1, "state": {"running": {"startedAt": "2026-03-01T09:58:03Z"}}}
                ],
                "phase": "Running", "podIP": "10.10.1.7", "podIPs": [{"ip": "10.10.1.7"}, {"ip": "fd00:10::7"}]
            }
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"creationTimestamp": "2026-03-01T09:50:00Z", "name": "web-1", "namespace": "shop",
                         "deletionGracePeriodSeconds": 30, "deletionTimestamp": "2026-03-01T10:08:00Z"},
            "spec": {"containers": [{"name": "web", "image": "web:1"}], "hostNetwork": true},
            "status": {"phase": "Failed", "reason": "Evicted"}
        }
    ],
    "kind": "List",
    "metadata": {"resourceVersion": ""}
}
"#;

    const SERVICES: &str = "\
apiVersion: v1
items:
- apiVersion: v1
  kind: Service
  metadata:
    annotations:
      kubectl.kubernetes.io/last-applied-configuration: |
        {\"apiVersion\":\"v1\",\"kind\":\"Service\"}
    creationTimestamp: \"2026-02-01T08:00:00Z\"
    labels:
      app: istio-eastwestgateway
      topology.istio.io/network: net-west
    name: istio-eastwestgateway
    namespace: istio-system
    resourceVersion: \"812\"
  spec:
    allocateLoadBalancerNodePorts: true
    clusterIP: 10.96.10.4
    clusterIPs:
    - 10.96.10.4
    ports:
    - name: status-port
      nodePort: 32650
      port: 15021
      protocol: TCP
      targetPort: 15021
    - name: tls
      nodePort: 31116
      port: 15443
      protocol: TCP
      targetPort: 15443
    selector:
      istio: eastwestgateway
    type: LoadBalancer
  status:
    loadBalancer:
      ingress:
      - ip: 172.18.255.1
        ipMode: VIP
- apiVersion: v1
  kind: Service
  metadata:
    name: ledger
    namespace: shop
  spec:
    clusterIP: None
    ports:
    - port: 9080
    sessionAffinity: None
  status:
    loadBalancer: {}
kind: List
metadata:
  resourceVersion: \"\"
";

    fn document(text: &str) -> Document {
        from("saved/objects", "", text)
    }

    fn from(path: &str, command: &str, text: &str) -> Document {
        read(text.as_bytes(), Found { path, command }).expect("objects").expect("readable ones")
    }

    fn objects(document: &Document) -> Vec<Arc<Object>> {
        let object = |(_, fact): &(Option<Time>, Fact)| match fact {
            Fact::State(state) => match &**state {
                State::Object(object) => Some(Arc::clone(object)),
                _ => None,
            },
            _ => None,
        };
        document.facts.iter().filter_map(object).collect()
    }

    fn titles(document: &Document) -> Vec<String> {
        objects(document).iter().map(|object| object.title()).collect()
    }

    fn listed(document: &Document) -> Vec<String> {
        let listed = document.facts.iter().filter_map(|(_, fact)| match fact {
            Fact::State(state) => match &**state {
                State::Listed { kind, group, namespace } => Some(format!("{kind}.{group} in {namespace:?}")),
                _ => None,
            },
            _ => None,
        });
        listed.collect()
    }

    #[test]
    fn a_list_of_pods_is_read_with_containers_ends_and_times() {
        let read = document(PODS);
        assert_eq!(titles(&read), ["Pod shop/cart-6d7f9b5c4-x2lqf", "Pod shop/web-1"]);
        assert_eq!(listed(&read), ["Pod. in \"shop\""]);
        assert_eq!(read.losses, Vec::<String>::new());
        assert_eq!(read.taken.map(|at| at.to_string()).as_deref(), Some("2026-03-01T10:07:31.000Z"));
        assert_eq!(&*read.cluster, "west");

        let cart = &objects(&read)[0];
        assert_eq!(&*cart.owner, "ReplicaSet/cart-6d7f9b5c4");
        assert_eq!((&*cart.version, cart.label("topology.istio.io/network")), ("48213", Some("net-west")));
        assert_eq!(cart.annotations.keys().map(|key| &**key).collect::<Vec<_>>(), ["istio.io/rev"]);
        let Body::Pod(pod) = &cart.body else { panic!("{cart:?}") };
        assert_eq!(pod.ips, ["10.10.1.7".into(), "fd00:10::7".into()]);
        assert_eq!((pod.ready, pod.restarts, &*pod.node), ((1, 2), 5, "worker-1"));
        let names: Vec<_> = pod.containers.iter().map(|container| (&*container.name, container.is_init)).collect();
        assert_eq!(names, [("istio-init", true), ("istio-proxy", true), ("cart", false)]);
        let app = &pod.containers[2];
        assert_eq!((app.ready, app.restarts, &*app.waiting), (Some(false), 4, "CrashLoopBackOff"));
        let (reason, code, at) = app.ended.clone().expect("an end");
        assert_eq!(
            (&*reason, code, at.map(|at| at.to_string())),
            ("OOMKilled", 137, Some("2026-03-01T10:06:58.000Z".into()))
        );
        assert_eq!(app.env, Map::from([("REGION".into(), "eu".into())]));
        assert_eq!(app.ports, [8080]);
        assert_eq!(pod.conditions[0].at.map(|at| at.to_string()).as_deref(), Some("2026-03-01T10:06:59.000Z"));

        let web = &objects(&read)[1];
        assert_eq!(web.deleted.map(|at| at.to_string()).as_deref(), Some("2026-03-01T10:07:30.000Z"));
        assert!(matches!(&web.body, Body::Pod(pod) if pod.host_network && &*pod.phase == "Evicted"));
    }

    #[test]
    fn a_yaml_list_of_services_is_read() {
        let read = document(SERVICES);
        assert_eq!(titles(&read), ["Service istio-system/istio-eastwestgateway", "Service shop/ledger"]);
        assert_eq!(listed(&read), ["Service. in \"\""]);
        let Body::Service(gateway) = &objects(&read)[0].body else { panic!("{read:?}") };
        assert_eq!(gateway.ingress, ["172.18.255.1".into()]);
        let tls = &gateway.ports[1];
        assert_eq!((&*tls.name, tls.port, &*tls.target, tls.node_port), ("tls", 15443, "15443", 31116));
        assert_eq!(gateway.selector.get("istio").map(|value| &**value), Some("eastwestgateway"));
        let Body::Service(ledger) = &objects(&read)[1].body else { panic!("{read:?}") };
        assert_eq!((&*ledger.kind, ledger.cluster_ips.as_slice()), ("ClusterIP", ["None".into()].as_slice()));
        assert_eq!((ledger.shows_selector, ledger.selector.len(), &*ledger.ports[0].target), (true, 0, "9080"));
    }

    #[test]
    fn what_was_asked_says_what_a_list_has_listed() {
        let all = from("x", "kubectl --context west get svc -A -o yaml", SERVICES);
        assert_eq!(listed(&all), ["Service. in \"\""]);
        for chosen in
            ["kubectl get svc -A -l app=x -o yaml", "kubectl get svc a b -o yaml", "kubectl get svc -A -o yaml | yq ."]
        {
            assert_eq!(listed(&from("x", chosen, SERVICES)), Vec::<String>::new(), "{chosen}");
        }
        let none = "apiVersion: v1\nitems: []\nkind: List\nmetadata:\n  resourceVersion: \"\"\n";
        assert_eq!(
            listed(&from("x", "kubectl get peerauthentication -A -oyaml", none)),
            ["PeerAuthentication.security.istio.io in \"\""]
        );
        assert_eq!(
            listed(&from("x", "kubectl get gateways.networking.istio.io -n shop -o yaml", none)),
            ["Gateway.networking.istio.io in \"shop\""]
        );
        assert_eq!(
            listed(&from("x", "kubectl get endpoints -o yaml", none)),
            Vec::<String>::new(),
            "the namespace is not known"
        );
        assert_eq!(listed(&document(none)), Vec::<String>::new());
    }

    #[test]
    fn lists_of_a_cluster_dump_name_the_kind_for_their_items() {
        let text = r#"{"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": [
            {"metadata": {"name": "istiod-1", "namespace": "istio-system"}, "spec": {"containers": [{"name": "discovery",
             "env": [{"name": "CLUSTER_ID", "value": "east"}]}]}, "status": {"phase": "Running"}}]}"#;
        let read = from("dump/istio-system/pods.json", "", text);
        assert_eq!((titles(&read), &*read.cluster), (vec!["Pod istio-system/istiod-1".to_string()], "east"));
        assert_eq!(listed(&read), ["Pod. in \"istio-system\""]);
        let empty = r#"{"kind": "DaemonSetList", "apiVersion": "apps/v1", "metadata": {}, "items": []}"#;
        assert_eq!(listed(&from("dump/shop/daemonsets.json", "", empty)), ["DaemonSet.apps in \"shop\""]);
    }

    #[test]
    fn resources_of_a_bug_report_are_complete_for_all_namespaces() {
        let read = from("bug-report/cluster/k8s-resources", "", SERVICES);
        let listed = listed(&read);
        for kind in
            ["Pod. in \"\"", "Service. in \"\"", "EndpointSlice.discovery.k8s.io in \"\"", "DaemonSet.apps in \"\""]
        {
            assert!(listed.iter().any(|known| known == kind), "{kind}: {listed:?}");
        }
        assert!(!listed.iter().any(|known| known.starts_with("Node")));
    }

    #[test]
    fn a_yaml_list_cut_anywhere_keeps_the_items_before_the_cut() {
        let second = SERVICES.rfind("- apiVersion").expect("two items");
        for cut in [second + 60, second + 120, SERVICES.find("  status:\n    loadBalancer: {}").expect("its status")] {
            let read = document(&SERVICES[..cut]);
            assert_eq!(titles(&read), ["Service istio-system/istio-eastwestgateway"], "{cut}");
            assert!(listed(&read).is_empty());
            assert!(read.losses.iter().any(|loss| loss.contains("ends in the middle")), "{:?}", read.losses);
            assert!(read.losses.iter().any(|loss| loss.starts_with("1 of 2 objects")), "{:?}", read.losses);
        }
    }

    #[test]
    fn a_json_list_cut_anywhere_keeps_the_items_before_the_cut() {
        let cut = PODS.find("\"hostNetwork\"").expect("the second pod");
        let read = document(&PODS[..cut]);
        assert_eq!(titles(&read), ["Pod shop/cart-6d7f9b5c4-x2lqf"]);
        assert!(listed(&read).is_empty());
        assert_eq!(read.losses.len(), 2, "{:?}", read.losses);
    }

    #[test]
    fn an_object_cut_in_the_middle_is_told_and_not_guessed() {
        let text = &SERVICES[SERVICES.find("- apiVersion").expect("items")..];
        let object = text.lines().take(20).map(|line| line.get(2..).unwrap_or("")).collect::<Vec<_>>().join("\n");
        assert!(read(format!("{object}\n  ports: [").as_bytes(), Found::default()).expect("an object").is_err());
    }

    #[test]
    fn one_broken_item_loses_itself_only() {
        let text = SERVICES.replace("    clusterIP: 10.96.10.4\n", "    clusterIP: \"10.96.10.4\n    : : [\n");
        let read = document(&text);
        assert_eq!(titles(&read), ["Service shop/ledger"]);
        assert!(
            read.losses[0].starts_with("1 of 2 objects cannot be read; the first: no valid YAML at line 1"),
            "{:?}",
            read.losses
        );
        assert!(listed(&read).is_empty());

        let json = r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a\q"}},
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"}}, 7, {"kind":"Pod","metadata":{}}]}"#;
        let read = document(json);
        assert_eq!(titles(&read), ["Pod b"]);
        assert!(read.losses[0].starts_with("3 of 4 objects"), "{:?}", read.losses);
    }

    #[test]
    fn a_field_of_another_type_loses_itself_only() {
        let text = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","namespace":7,"labels":["x"],"annotations":"x",
            "creationTimestamp":1},"spec":{"ports":[{"port":"http"},{"port":"80","nodePort":99999},{"port":-1},"x"],
            "selector":{"app":{"x":1},"tier":1},"clusterIPs":{"a":"b"},"type":["x"]},"status":[]}"#;
        let read = document(text);
        let Body::Service(service) = &objects(&read)[0].body else { panic!("{read:?}") };
        assert_eq!(service.ports.iter().map(|port| (port.port, port.node_port)).collect::<Vec<_>>(), [(80, 0)]);
        assert_eq!(service.selector, Map::from([("tier".into(), "1".into())]));
        assert_eq!(objects(&read)[0].labels, Some(Map::new()));
    }

    #[test]
    fn several_documents_are_read_one_after_the_other() {
        let json = "{\n    \"apiVersion\": \"v1\",\n    \"kind\": \"Namespace\",\n    \"metadata\": {\"name\": \"a\"}\n}\n\
                    {\n    \"apiVersion\": \"v1\",\n    \"kind\": \"Namespace\",\n    \"metadata\": {\"name\": \"b\"}\n}\n";
        assert_eq!(titles(&document(json)), ["Namespace a", "Namespace b"]);
        let yaml = "# made by hand\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n---\n# nothing\n---\n\
                    apiVersion: v1\nkind: Namespace\nmetadata:\n  name: b\n";
        assert_eq!(titles(&document(yaml)), ["Namespace a", "Namespace b"]);
        assert!(listed(&document(yaml)).is_empty());
    }

    #[test]
    fn a_warning_above_the_objects_is_passed_over() {
        let text =
            format!("Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\n{SERVICES}");
        assert_eq!(titles(&document(&text)).len(), 2);
    }

    #[test]
    fn istiods_configuration_is_read_as_objects() {
        let text = r#"[{"kind":"DestinationRule","apiVersion":"networking.istio.io/v1","metadata":{"name":"cart","namespace":"shop",
            "creationTimestamp":"2026-03-01T10:00:00Z"},"spec":{"host":"cart.shop.svc.cluster.local"},"status":null}]"#;
        let read = from("istiod/debug/configz", "", text);
        assert_eq!(titles(&read), ["DestinationRule shop/cart"]);
    }

    #[test]
    fn a_watch_tells_what_is_gone() {
        let text = r#"{"type":"ADDED","object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"shop"}}}
            {"type":"DELETED","object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"shop"}}}
            {"type":"BOOKMARK","object":{"apiVersion":"v1","kind":"Pod","metadata":{"resourceVersion":"9"}}}"#;
        let read = document(text);
        assert_eq!(titles(&read), ["Pod shop/a"]);
        let gone = |fact: &Fact| matches!(fact, Fact::State(state) if matches!(&**state, State::Gone(_)));
        assert_eq!(read.facts.iter().filter(|(_, fact)| gone(fact)).count(), 1);
        assert_eq!(read.losses, Vec::<String>::new());
    }

    #[test]
    fn an_event_is_the_fact_that_its_row_would_be() {
        let text = r#"{"apiVersion":"v1","kind":"Event","metadata":{"name":"cart.17a","namespace":"shop","creationTimestamp":"2026-03-01T10:00:00Z"},
            "count":14,"firstTimestamp":"2026-03-01T10:00:00Z","lastTimestamp":"2026-03-01T10:05:00Z",
            "involvedObject":{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"cart-6d7f9b5c4","namespace":"shop"},
            "message":"Error creating: Internal error occurred: failed calling webhook \"namespace.sidecar-injector.istio.io\": failed to call webhook: Post \"https://istiod.istio-system.svc:443/inject?timeout=10s\": context deadline exceeded",
            "reason":"FailedCreate","source":{"component":"replicaset-controller"},"type":"Warning"}
            {"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"b","namespace":"shop"},"eventTime":"2026-03-01T10:00:00.5Z",
             "note":"Readiness probe failed","reason":"Unhealthy","regarding":{"kind":"Pod","name":"cart-1"},
             "series":{"count":3,"lastObservedTime":"2026-03-01T10:06:00.000000Z"},"type":"Warning"}"#;
        let read = document(text);
        assert_eq!(read.facts[0].0.map(|at| at.to_string()).as_deref(), Some("2026-03-01T10:05:00.000Z"));
        assert!(matches!(&read.facts[0].1, Fact::Webhook(_)), "{:?}", read.facts[0]);
        assert_eq!(read.facts[1].0.map(|at| at.to_string()).as_deref(), Some("2026-03-01T10:06:00.000Z"));
        assert_eq!(read.facts[1].1, kube::event("Warning", "Unhealthy", "pod/cart-1", "Readiness probe failed"));
        assert!(listed(&read).is_empty());
    }

    #[test]
    fn a_remote_secret_is_read_and_its_token_is_not_kept() {
        // {"sub":"system:serviceaccount:istio-system:istio-reader-service-account","iss":"kubernetes/serviceaccount","exp":1767225600}
        let token = concat!(
            "eyJhbGciOiJSUzI1NiJ9.",
            "eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6aXN0aW8tc3lzdGVtOmlzdGlvLXJlYWRlci1zZXJ2aWNlLWFjY291bnQiLCJpc3MiOiJrdWJlcm5l",
            "dGVzL3NlcnZpY2VhY2NvdW50IiwiZXhwIjoxNzY3MjI1NjAwfQ.c2lnbmF0dXJl"
        );
        let text = format!(
            "# This file is autogenerated, do not edit.\napiVersion: v1\nkind: Secret\nmetadata:\n  annotations:\n    networking.istio.io/cluster: west\n  creationTimestamp: null\n  labels:\n    istio/multiCluster: \"true\"\n  name: istio-remote-secret-west\n  namespace: istio-system\nstringData:\n  west: |\n    apiVersion: v1\n    clusters:\n    - cluster:\n        certificate-authority-data: Tk8gQ0VSVElGSUNBVEU=\n        server: https://user:sesame@172.18.0.3:6443\n      name: west\n    contexts:\n    - context:\n        cluster: west\n        user: west\n      name: west\n    current-context: west\n    kind: Config\n    preferences: {{}}\n    users:\n    - name: west\n      user:\n        token: {token}\n---\n"
        );
        let read = document(&text);
        let Body::Secret(secret) = &objects(&read)[0].body else { panic!("{read:?}") };
        let west = &secret.kubeconfigs[0];
        assert_eq!((&*west.cluster, &*west.server), ("west", "https://172.18.0.3:6443"));
        assert_eq!(&*west.problem, "certificate-authority-data holds no certificate");
        let crate::state::object::KubeAuth::Token { subject, expires, issued, .. } = &west.auth else {
            panic!("{west:?}")
        };
        assert_eq!(&**subject, "system:serviceaccount:istio-system:istio-reader-service-account");
        assert_eq!((expires.map(|at| at.to_string()).as_deref(), *issued), (Some("2026-01-01T00:00:00.000Z"), None));
        let printed = format!("{read:?}");
        for secret in [token, "eyJhbGci", "sesame", "c2lnbmF0dXJl"] {
            assert!(!printed.contains(secret), "{secret}");
        }
    }

    #[test]
    fn what_makes_a_kubeconfig_unusable_is_named() {
        let config = |context: &str, cluster: &str, user: &str| {
            let text = format!(
                "current-context: {context}\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\nclusters: [{cluster}]\nusers: [{user}]\n"
            );
            let value = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": "istio-remote-secret-x"},
                "stringData": {"x": text}});
            let read = document(&value.to_string());
            let Body::Secret(secret) = objects(&read)[0].body.clone() else { panic!("{read:?}") };
            secret.kubeconfigs.into_iter().next().expect("a kubeconfig")
        };
        let (cluster, user) = ("{name: c, cluster: {server: https://c}}", "{name: u, user: {token: abc}}");
        let problem = |found: Kubeconfig| found.problem.to_string();
        assert_eq!(problem(config("a", cluster, user)), "");
        assert_eq!(problem(config("b", cluster, user)), "current-context names no context");
        assert_eq!(problem(config("''", cluster, user)), "no current-context");
        assert_eq!(problem(config("a", "", user)), "the current context names a cluster that is not there");
        assert_eq!(problem(config("a", cluster, "")), "the current context names a user that is not there");
        assert_eq!(problem(config("a", "{name: c, cluster: {}}", user)), "the cluster has no server");
        assert_eq!(problem(config("a", cluster, "{name: u, user: {token: ''}}")), "the token is empty");
        let exec = config("a", cluster, "{name: u, user: {exec: {command: aws, args: [eks, get-token]}}}");
        assert_eq!(exec.auth, crate::state::object::KubeAuth::Exec("aws".into()));
    }

    #[test]
    fn certificates_of_secrets_are_read_and_keys_are_passed_over() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let cert = rcgen::CertificateParams::new(vec!["istiod.istio-system.svc".to_string()])
            .expect("names")
            .self_signed(&key);
        let pem = cert.expect("a certificate").pem();
        let value = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "cacerts", "namespace": "istio-system"},
            "stringData": {"ca-cert.pem": pem, "ca-key.pem": key.serialize_pem(), "root-cert.pem": "", "cert-chain.pem": "REDACTED"},
            "data": {"ca-cert.pem": "bm90IHRoaXM=", "tls.crt": "<redacted>"}});
        let read = document(&value.to_string());
        let Body::Secret(secret) = &objects(&read)[0].body else { panic!("{read:?}") };
        let Secret { keys_count, certs, unreadable, .. } = &**secret;
        assert_eq!(*keys_count, 5);
        assert_eq!((certs.len(), &*certs[0].0, certs[0].1.len()), (1, "ca-cert.pem", 1));
        let mut reasons: Vec<_> = unreadable.iter().map(|(key, why)| (&**key, &**why)).collect();
        reasons.sort_unstable();
        assert_eq!(
            reasons,
            [("cert-chain.pem", "no certificate in it"), ("root-cert.pem", "empty"), ("tls.crt", "not base64")]
        );
        let body: String = key.serialize_pem().lines().nth(1).unwrap_or("").into();
        assert!(!format!("{read:?}").contains(&body));
    }

    #[test]
    fn mesh_config_and_networks_of_a_configmap_are_read() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio\n  namespace: istio-system\ndata:\n  mesh: |-\n    defaultConfig:\n      discoveryAddress: istiod.istio-system.svc:15012\n      meshId: mesh1\n    discoverySelectors:\n    - matchLabels:\n        istio-discovery: enabled\n    trustDomain: west.example.org\n  meshNetworks: |-\n    networks:\n      net-east:\n        endpoints:\n        - fromRegistry: east\n        - fromCidr: 10.20.0.0/16\n        gateways:\n        - address: 172.18.255.9\n          port: 15443\n        - registry_service_name: gw.istio-system.svc.cluster.local\n          port: \"15443\"\n  root-cert.pem: nothing\n  flag: \"on\"\n  api-token: sesame\n";
        let read = document(text);
        let Body::ConfigMap(map) = &objects(&read)[0].body else { panic!("{read:?}") };
        let mesh = map.mesh.as_ref().expect("a mesh config");
        assert_eq!((&*mesh.trust_domain, mesh.discovery_labels.len()), ("west.example.org", 1));
        let east = &map.mesh_networks[0];
        assert_eq!(
            (&*east.name, east.registries.as_slice(), east.cidrs.len()),
            ("net-east", ["east".into()].as_slice(), 1)
        );
        assert_eq!(east.gateways[1], ("gw.istio-system.svc.cluster.local".into(), 15443));
        assert_eq!(map.unreadable, [("root-cert.pem".into(), "no certificate in it".into())]);
        assert_eq!(map.values, Map::from([("flag".into(), "on".into())]));
        assert!(!format!("{read:?}").contains("sesame"));
    }

    #[test]
    fn the_injectors_values_tell_network_and_cluster_of_new_proxies() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio-sidecar-injector\n  namespace: istio-system\ndata:\n  config: |-\n    policy: enabled\n    templates: {}\n  values: |-\n    {\n      \"global\": {\n        \"hub\": \"docker.io/istio\",\n        \"multiCluster\": {\n          \"clusterName\": \"west\"\n        },\n        \"network\": \"net-west\"\n      }\n    }\n";
        let read = document(text);
        let Body::ConfigMap(map) = &objects(&read)[0].body else { panic!("{read:?}") };
        let values = [("global.multiCluster.clusterName", "west"), ("global.network", "net-west")];
        assert_eq!(map.values, Map::from(values.map(|(key, value)| (key.into(), value.into()))));
        let other =
            text.replace("\"network\": \"net-west\"", "\"network\": [1").replace("values: |-", "values: |-\n    {{");
        let read = document(&other);
        let Body::ConfigMap(map) = &objects(&read)[0].body else { panic!("{read:?}") };
        assert_eq!(map.values, Map::new());
    }

    #[test]
    fn roots_of_the_mesh_are_read_with_its_configuration() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let cert = rcgen::CertificateParams::new(vec!["root".to_string()]).expect("names").self_signed(&key);
        let mesh = serde_json::json!({"caCertificates": [{"pem": cert.expect("a certificate").pem()}]}).to_string();
        let value = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio"}, "data": {"mesh": mesh}});
        let read = document(&value.to_string());
        let Body::ConfigMap(map) = &objects(&read)[0].body else { panic!("{read:?}") };
        assert_eq!(map.mesh.as_ref().map(|mesh| mesh.ca_certificates.len()), Some(1));
    }

    #[test]
    fn what_is_no_object_is_not_claimed() {
        for text in [
            "",
            "   \n",
            "2026-03-01T10:00:00.000000Z\tinfo\tapiVersion: v1\n",
            "NAME   READY\napiVersion: v1\n",
            "{\"level\":\"info\",\"msg\":\"x\",\"kind\":\"Pod\",\"apiVersion\":\"v1\"}\n",
            "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"Metadata\"}\n",
            "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"pods is forbidden\"}",
            "{\"configs\":[{\"@type\":\"x\"}]}",
            "[{\"clusterID\":\"a\"}]",
            "[1,2]",
            "networks:\n  a: {}\n",
            "Name: x\nhello\n",
        ] {
            assert_eq!(read(text.as_bytes(), Found::default()), None, "{text}");
        }
    }

    #[test]
    fn a_kubeconfig_says_nothing_and_nothing_of_it_is_kept() {
        let read = document(
            "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers:\n- name: a\n  user: {token: sesame}\n",
        );
        assert_eq!((read.facts.len(), read.losses.len()), (0, 0));
    }

    #[test]
    fn hostile_documents_cost_themselves_only() {
        let deep = format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{}{},{{\"kind\":\"Pod\",\"metadata\":{{\"name\":\"a\"}}}}]}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(titles(&document(&deep)), ["Pod a"]);
        let deep = format!(
            "apiVersion: v1\nkind: List\nitems:\n- {}\n- kind: Pod\n  metadata:\n    name: a\n",
            "[".repeat(100_000)
        );
        assert_eq!(titles(&document(&deep)), ["Pod a"]);
        let odd = b"apiVersion: v1\nkind: List\nitems:\n- kind: Pod\n  metadata:\n    name: \"a\xff\"\n- kind: Pod\n  metadata:\n    name: b\0\n- kind: Pod\n  metadata:\n    name: c\n";
        let odd = read(odd, Found::default()).expect("objects").expect("readable ones");
        assert_eq!(titles(&odd), ["Pod a\u{fffd}", "Pod c"]);
        let long = format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"a\",\"annotations\":{{\"x\":\"{}\"}}}}}}",
            "y".repeat(5_000)
        );
        assert_eq!(document(&long).losses, ["1 annotations longer than 4 KiB are left out"]);
    }

    #[test]
    fn no_cut_or_changed_document_panics() {
        for text in [PODS, SERVICES] {
            for cut in (0..text.len()).step_by(37) {
                let _ = read(&text.as_bytes()[..cut], Found::default());
                let mut changed = text.as_bytes().to_vec();
                changed[cut] = b"{[\"\\\n-:\0"[cut % 8];
                let _ = read(&changed, Found::default());
            }
        }
    }

    #[test]
    fn items_that_share_an_anchor_are_read_together() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- kind: Pod\n  metadata: {name: a, labels: &id001 {app: x}}\n- kind: Pod\n  metadata: {name: b, labels: *id001}\n";
        let read = document(text);
        assert_eq!(titles(&read), ["Pod a", "Pod b"]);
        assert_eq!(objects(&read)[1].label("app"), Some("x"));
    }
}
