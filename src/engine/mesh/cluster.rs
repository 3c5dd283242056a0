//! One cluster of the mesh: what is known of it, and what follows from that alone.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::admin;
use meshwhy_parsers::cert::Cert;
use meshwhy_parsers::event::{Addr, Event, Fact, Text};
use meshwhy_parsers::state::istiod::{IstiodState, RemoteRow, Said};
use meshwhy_parsers::state::object::{self, Body, Container, Kubeconfig, MeshConfig, Object};
use meshwhy_parsers::state::proxy::{
    HeldSecret, ProxyCluster, ProxyEndpoint, ProxyListener, ProxyNode, ProxyRoute, ProxyState, Rejected, Stat, ToldBy,
};
use meshwhy_parsers::state::{State, ZtunnelDump, ZtunnelWorkload};
use meshwhy_parsers::time::Time;

use super::apart::{Apart, FRESH, Lasting};
use super::{Doc, Version};

/// Label that names a network.
pub const NETWORK: &str = "topology.istio.io/network";
/// API group of the Gateway API.
pub const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// Label of what was made for a Gateway of the Gateway API: its name.
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// Label of what is bound to a waypoint: the waypoint's name, or `none`.
pub const USE_WAYPOINT: &str = "istio.io/use-waypoint";
/// Label that tells the waypoint's namespace, where it is another one.
pub const USE_WAYPOINT_OF: &str = "istio.io/use-waypoint-namespace";
/// How the names begin that istioctl gives to remote secrets: the cluster ID follows.
pub const SECRET_PREFIX: &str = "istio-remote-secret-";
/// Label that makes a Secret a remote secret.
pub const REMOTE_SECRET: &str = "istio/multiCluster";

/// Label that makes a service of ambient one for all clusters.
pub const GLOBAL: &str = "istio.io/global";
/// The same where control planes are peered.
const SCOPE: &str = "solo.io/service-scope";

/// Kind, API group, namespace and name.
type Key = (Text, Text, Text, Text);

/// A cluster.
pub struct Cluster {
    /// The name its documents go under: folder, context or what they say.
    pub name: Text,
    objects: BTreeMap<Key, Doc<Object>>,
    listed: BTreeSet<(Text, Text, Text)>,
    proxies: BTreeMap<Text, Proxy>,
    istiods: BTreeMap<Text, Istiod>,
    ztunnels: BTreeMap<Text, Arc<Event>>,
    /// By file of the dump: workloads, by uid.
    ztunnels_apart: BTreeMap<Text, Apart<Text>>,
    /// Certificates of loose files.
    pub(super) certs: Vec<Arc<Event>>,
    /// The newest time that stands in a document of it: they were taken then or later.
    pub latest: Option<Time>,
    /// How many documents and rows of proxies and istiods it has.
    said: usize,
    pub(super) reckoned: Reckoned,
}

/// What is asked over and over and follows from all objects: reckoned once, and forgotten when anything is taken in.
#[derive(Default)]
pub(super) struct Reckoned {
    id: OnceCell<Option<Text>>,
    system_namespace: OnceCell<Text>,
    is_ambient: OnceCell<bool>,
    istiod_deployments: OnceCell<Vec<Key>>,
    istiod_pods: OnceCell<Vec<Key>>,
    gateways: OnceCell<Vec<Key>>,
}

/// What is known of a proxy: what it holds, and what istiod would send it.
#[derive(Default)]
pub struct Proxy {
    /// `<pod>.<namespace>`.
    pub name: Text,
    documents: Vec<Doc<ProxyState>>,
    rows: Vec<Arc<Event>>,
    /// By cluster of the proxy and address.
    apart: Apart<(Text, Addr)>,
}

/// What is known of an istiod.
#[derive(Default)]
pub struct Istiod {
    /// Its pod; empty where unknown.
    pub pod: Text,
    documents: Vec<Doc<IstiodState>>,
    rows: Vec<(Arc<Event>, RemoteRow)>,
}

/// An istiod with its containers.
#[derive(Clone, Copy)]
pub struct ControlPlane<'m> {
    /// Its Deployment; where that is not known, a pod.
    pub object: &'m Doc<Object>,
    /// Containers; never empty.
    pub containers: &'m [Container],
}

impl<'m> ControlPlane<'m> {
    /// An environment variable. `None` where it is not set, or takes its value from elsewhere (a Secret, the pod).
    pub fn env(&self, key: &str) -> Option<&'m str> {
        env(self.containers, key)
    }

    /// Whether a variable is set to what Go reads as true.
    pub fn is_on(&self, key: &str) -> bool {
        self.env(key).is_some_and(|value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"))
    }

    /// Whether a variable is set to what Go reads as false.
    pub fn is_off(&self, key: &str) -> bool {
        self.env(key).is_some_and(|value| matches!(value, "0" | "f" | "F" | "false" | "FALSE" | "False"))
    }

    /// The image of istiod; empty where it is not shown.
    pub fn image(&self) -> &'m str {
        let discovery = self.containers.iter().find(|container| &*container.name == "discovery");
        discovery.or(self.containers.first()).map_or("", |container| &container.image)
    }

    /// Its version by the tag of its image.
    pub fn version(&self) -> Option<Version> {
        Version::of_image(self.image())
    }

    /// Whether it is a build of Solo, which knows more than upstream.
    pub fn is_solo(&self) -> bool {
        let image = self.image();
        image.contains("solo") || image.contains("gloo")
    }
}

/// A remote secret and one of its kubeconfigs.
pub struct RemoteSecret<'m> {
    /// The Secret.
    pub secret: &'m Doc<Object>,
    /// The kubeconfig; `None` where only the Secret's row or its keys are known.
    pub config: Option<&'m Kubeconfig>,
}

impl<'m> RemoteSecret<'m> {
    /// The cluster ID it is for: its data key, else what its name says; empty where neither does.
    pub fn id(&self) -> &'m str {
        match self.config {
            Some(config) => &config.cluster,
            None => self.secret.name.strip_prefix(SECRET_PREFIX).unwrap_or(""),
        }
    }
}

/// How a gateway between networks serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A Service of an east-west gateway for sidecars (15443).
    Service,
    /// A Gateway of the Gateway API (`istio-east-west` or another class of the local cluster).
    Gateway,
    /// A Gateway of class `istio-remote`: it stands for a gateway elsewhere.
    Remote,
}

/// A gateway between networks.
pub struct Gateway<'m> {
    /// The Service or Gateway.
    pub object: &'m Doc<Object>,
    /// What it is.
    pub kind: Kind,
    /// The network it is labelled with; `None` where it has no label or its labels are unknown.
    pub network: Option<&'m str>,
    /// Addresses and host names under which it is reached from outside.
    pub addresses: Vec<&'m str>,
    /// The ports it offers.
    pub ports: Vec<u16>,
}

impl Cluster {
    pub(super) fn named(name: &str) -> Cluster {
        Cluster {
            name: name.into(),
            objects: BTreeMap::new(),
            listed: BTreeSet::new(),
            proxies: BTreeMap::new(),
            istiods: BTreeMap::new(),
            ztunnels: BTreeMap::new(),
            ztunnels_apart: BTreeMap::new(),
            certs: Vec::new(),
            latest: None,
            said: 0,
            reckoned: Reckoned::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len() + self.said + self.ztunnels.len() + self.certs.len()
    }

    /// Takes an object in. A row fills a gap, and never hides what an object says.
    pub(super) fn put(&mut self, object: Doc<Object>) {
        let key = key(&object);
        match self.objects.get(&key) {
            Some(known) if object.is_row && !known.is_row => {}
            // A second table may leave out the labels that the first one showed.
            Some(known) if object.is_row && known.labels.is_some() && object.labels.is_none() => {}
            _ => {
                self.objects.insert(key, object);
            }
        }
    }

    pub(super) fn remove(&mut self, object: &Object) {
        self.objects.remove(&key(object));
    }

    pub(super) fn list(&mut self, kind: &Text, group: &Text, namespace: &Text) {
        self.listed.insert((kind.clone(), group.clone(), namespace.clone()));
    }

    pub(super) fn put_proxy(&mut self, document: Doc<ProxyState>) {
        let name = document.proxy.clone();
        let proxy = self.proxy_mut(&name);
        let has_endpoints = document.endpoints.is_some();
        proxy.documents.retain(|known| !is_renewed(&known.event, &document.event));
        proxy.documents.push(document);
        if has_endpoints {
            proxy.compare();
        }
    }

    fn proxy_mut(&mut self, name: &Text) -> &mut Proxy {
        self.said += 1;
        self.proxies.entry(name.clone()).or_insert_with(|| Proxy { name: name.clone(), ..Proxy::default() })
    }

    pub(super) fn put_istiod(&mut self, document: Doc<IstiodState>) {
        let pod = document.istiod.clone();
        let is_ambient = matches!(document.said, Said::Ambient { .. });
        let documents = &mut self.istiod_mut(&pod).documents;
        documents.retain(|known| !is_renewed(&known.event, &document.event));
        documents.push(document);
        if is_ambient {
            self.compare_ztunnels(None);
        }
    }

    fn istiod_mut(&mut self, pod: &Text) -> &mut Istiod {
        self.said += 1;
        self.istiods.entry(pod.clone()).or_insert_with(|| Istiod { pod: pod.clone(), ..Istiod::default() })
    }

    pub(super) fn put_ztunnel(&mut self, event: &Arc<Event>) {
        self.ztunnels.insert(event.origin.file.clone(), Arc::clone(event));
        self.compare_ztunnels(Some(&event.origin.file));
    }

    /// Holds what ztunnels hold, or one of them, against the workloads that istiod would push.
    fn compare_ztunnels(&mut self, file: Option<&str>) {
        let pushed = self.istiods.values().flat_map(Istiod::documents).filter_map(|document| match &document.said {
            Said::Ambient { workloads, .. } => Some((&document.event, workloads)),
            _ => None,
        });
        let Some((pushed_by, pushed)) = pushed.max_by_key(|(event, _)| event.at) else { return };
        let Some(now) = pushed_by.at else { return };
        let is_wanted = |event: &Event| {
            let is_fresh = || event.at.is_some_and(|at| now.since(at) < FRESH);
            file.map_or_else(is_fresh, |file| *event.origin.file == *file)
        };
        let dumps = self.ztunnels().filter(|(event, dump)| dump.parts.workloads && is_wanted(event));
        let uids = |of: &[ZtunnelWorkload]| of.iter().map(|workload| workload.uid.clone()).collect::<BTreeSet<Text>>();
        let held: Vec<_> = dumps.map(|(event, dump)| (Arc::clone(event), uids(&dump.workloads))).collect();
        let pushed = if held.is_empty() { BTreeSet::new() } else { uids(pushed) };
        let pushed_by = Arc::clone(pushed_by);
        self.ztunnels_apart.retain(|_, apart| apart.is_fresh(now));
        for (event, held) in held {
            let apart = self.ztunnels_apart.entry(event.origin.file.clone()).or_default();
            apart.see((&event, held), (&pushed_by, pushed.clone()));
        }
    }

    /// What of the workloads of each ztunnel has differed for so long from what istiod would push, by uid.
    pub fn ztunnels_apart(&self, settle: Duration) -> impl Iterator<Item = Lasting<'_, Text>> {
        self.ztunnels_apart.values().filter_map(move |apart| apart.lasting(settle))
    }

    /// Takes a table row in that is no object.
    pub(super) fn put_row(&mut self, event: &Arc<Event>, row: &State) {
        match row {
            State::ProxyEndpoint { proxy, .. } => {
                let proxy = proxy.clone();
                self.proxy_mut(&proxy).rows.push(Arc::clone(event));
            }
            State::RemoteCluster { name, secret, status, istiod } => {
                let row = RemoteRow { id: name.clone(), secret: secret.clone(), status: status.clone() };
                self.istiod_mut(istiod).rows.push((Arc::clone(event), row));
            }
            _ => {}
        }
    }

    /// The objects of a kind, by namespace and name.
    pub fn objects<'m>(&'m self, kind: &'m str) -> impl Iterator<Item = &'m Doc<Object>> + Clone {
        let from: Key = (kind.into(), Text::default(), Text::default(), Text::default());
        self.objects.range(from..).take_while(move |((of, ..), _)| **of == *kind).map(|(_, object)| object)
    }

    /// The API groups of the objects of a kind: mostly one.
    fn groups<'m>(&'m self, kind: &'m str) -> impl Iterator<Item = &'m Text> {
        let behind = move |group: Bound<&Text>| {
            let from = match group {
                Bound::Excluded(group) => (kind.into(), format!("{group}\0").into(), Text::default(), Text::default()),
                _ => (kind.into(), Text::default(), Text::default(), Text::default()),
            };
            self.objects.range::<Key, _>(from..).next().filter(|((of, ..), _)| **of == *kind).map(|((_, of, ..), _)| of)
        };
        std::iter::successors(behind(Bound::Unbounded), move |group| behind(Bound::Excluded(group)))
    }

    /// The objects of a kind in a namespace, by name.
    fn objects_in<'m>(&'m self, kind: &'m str, namespace: &'m str) -> impl Iterator<Item = &'m Doc<Object>> {
        self.groups(kind).flat_map(move |group| {
            let from: Key = (kind.into(), group.clone(), namespace.into(), Text::default());
            let within = self.objects.range(from..).take_while(move |((of, in_group, within, _), _)| {
                **of == *kind && in_group == group && **within == *namespace
            });
            within.map(|(_, object)| object)
        })
    }

    /// An object by kind, namespace and name, of whatever API group.
    pub fn object<'m>(&'m self, kind: &'m str, namespace: &str, name: &str) -> Option<&'m Doc<Object>> {
        self.groups(kind)
            .find_map(|group| self.objects.get(&(kind.into(), group.clone(), namespace.into(), name.into())))
    }

    /// Objects by the keys under which they were found before.
    fn at<'m>(&'m self, keys: &'m [Key]) -> impl Iterator<Item = &'m Doc<Object>> + Clone {
        keys.iter().filter_map(|key| self.objects.get(key))
    }

    /// Whether all objects of a kind in a namespace are known, so that what is not among them does not exist.
    pub fn knows_all(&self, kind: &str, namespace: &str) -> bool {
        self.listed.iter().any(|(of, _, within)| **of == *kind && (within.is_empty() || **within == *namespace))
    }

    /// The same of one API group, where kinds of several groups share a name.
    pub fn knows_all_of(&self, kind: &str, group: &str, namespace: &str) -> bool {
        self.listed.iter().any(|(of, in_group, within)| {
            **of == *kind && **in_group == *group && (within.is_empty() || **within == *namespace)
        })
    }

    /// Whether a cluster ID, as istiods, proxies and remote secrets write it, means this cluster.
    pub fn is_called(&self, id: &str) -> bool {
        self.id().map_or(*self.name == *id, |own| own == id)
    }

    /// Pods.
    pub fn pods(&self) -> impl Iterator<Item = (&Doc<Object>, &object::Pod)> {
        self.objects("Pod").filter_map(|object| match &object.body {
            Body::Pod(pod) => Some((object, &**pod)),
            _ => None,
        })
    }

    /// Pods of a namespace.
    pub fn pods_in<'m>(&'m self, namespace: &'m str) -> impl Iterator<Item = (&'m Doc<Object>, &'m object::Pod)> {
        self.objects_in("Pod", namespace).filter_map(|object| match &object.body {
            Body::Pod(pod) => Some((object, &**pod)),
            _ => None,
        })
    }

    /// Services.
    pub fn services(&self) -> impl Iterator<Item = (&Doc<Object>, &object::Service)> {
        self.objects("Service").filter_map(|object| match &object.body {
            Body::Service(service) => Some((object, &**service)),
            _ => None,
        })
    }

    /// The pods behind a Service of this cluster, as its selector says; rows that show no labels by their names.
    pub fn pods_behind<'m>(
        &'m self,
        object: &Object,
        service: &object::Service,
    ) -> Vec<(&'m Doc<Object>, &'m object::Pod)> {
        let name = service.selector.get("app").unwrap_or(&object.name);
        let is_selected = |pod: &Object| match &pod.labels {
            _ if pod.namespace != object.namespace => false,
            Some(labels) => {
                !service.selector.is_empty()
                    && service.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
            }
            None => {
                let workload = workload_of(pod);
                *workload == **name || workload.strip_prefix(&**name).is_some_and(|rest| rest.starts_with("-v"))
            }
        };
        let is_over = |pod: &object::Pod| matches!(&*pod.phase, "Succeeded" | "Completed" | "Failed");
        self.pods().filter(|(object, pod)| is_selected(object) && !is_over(pod)).collect()
    }

    /// Endpoints of a service, from Endpoints and EndpointSlices alike.
    pub fn endpoints_of<'m>(
        &'m self,
        namespace: &'m str,
        service: &'m str,
    ) -> impl Iterator<Item = (&'m Doc<Object>, &'m object::Endpoints)> {
        let within = ["Endpoints", "EndpointSlice"].into_iter().flat_map(|kind| self.objects_in(kind, namespace));
        within.filter_map(move |object| match &object.body {
            Body::Endpoints(endpoints) if *endpoints.service == *service => Some((object, endpoints)),
            _ => None,
        })
    }

    /// Deployments, DaemonSets and StatefulSets.
    pub fn workloads(&self) -> impl Iterator<Item = (&Doc<Object>, &object::Workload)> {
        ["Deployment", "DaemonSet", "StatefulSet"].into_iter().flat_map(|kind| self.objects(kind)).filter_map(
            |object| match &object.body {
                Body::Workload(workload) => Some((object, &**workload)),
                _ => None,
            },
        )
    }

    /// ConfigMaps.
    pub fn config_maps(&self) -> impl Iterator<Item = (&Doc<Object>, &object::ConfigMap)> {
        self.objects("ConfigMap").filter_map(|object| match &object.body {
            Body::ConfigMap(map) => Some((object, &**map)),
            _ => None,
        })
    }

    /// Secrets.
    pub fn secrets(&self) -> impl Iterator<Item = (&Doc<Object>, &object::Secret)> {
        self.objects("Secret").filter_map(|object| match &object.body {
            Body::Secret(secret) => Some((object, &**secret)),
            _ => None,
        })
    }

    /// Proxies by `<pod>.<namespace>`.
    pub fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.proxies.values()
    }

    /// A proxy by `<pod>.<namespace>`.
    pub fn proxy(&self, name: &str) -> Option<&Proxy> {
        self.proxies.get(name)
    }

    /// Istiods by pod.
    pub fn istiods(&self) -> impl Iterator<Item = &Istiod> {
        self.istiods.values()
    }

    /// Config dumps of ztunnels.
    pub fn ztunnels(&self) -> impl Iterator<Item = (&Arc<Event>, &ZtunnelDump)> {
        self.ztunnels.values().filter_map(|event| match &event.fact {
            Fact::State(state) => match &**state {
                State::Ztunnel(dump) => Some((event, dump)),
                _ => None,
            },
            _ => None,
        })
    }

    /// Certificates of loose files: name and certificates.
    pub fn loose_certs(&self) -> impl Iterator<Item = (&Arc<Event>, &str, &[Cert])> {
        self.certs.iter().filter_map(|event| match &event.fact {
            Fact::State(state) => match &**state {
                State::Certs { name, certs } => Some((event, &**name, certs.as_slice())),
                _ => None,
            },
            _ => None,
        })
    }

    /// The control plane's Deployments.
    pub fn istiod_deployments(&self) -> impl Iterator<Item = (&Doc<Object>, &object::Workload)> {
        let is_istiod = |object: &Object, workload: &object::Workload| {
            &*object.kind == "Deployment"
                && (workload.pod_labels.get("app").is_some_and(|app| &**app == "istiod")
                    || object.label("app") == Some("istiod")
                    || *object.name == *"istiod"
                    || object.name.starts_with("istiod-") && !object.name.contains("remote"))
        };
        let keys = self.reckoned.istiod_deployments.get_or_init(|| {
            let found = self.workloads().filter(|(object, workload)| is_istiod(object, workload));
            found.map(|(object, _)| key(object)).collect()
        });
        self.at(keys).filter_map(|object| match &object.body {
            Body::Workload(workload) => Some((object, &**workload)),
            _ => None,
        })
    }

    /// The control plane's pods.
    pub fn istiod_pods(&self) -> impl Iterator<Item = (&Doc<Object>, &object::Pod)> {
        let keys = self.reckoned.istiod_pods.get_or_init(|| {
            let found = self.pods().filter(|(object, _)| {
                object.label("app") == Some("istiod") || object.labels.is_none() && object.name.starts_with("istiod-")
            });
            found.map(|(object, _)| key(object)).collect()
        });
        self.at(keys).filter_map(|object| match &object.body {
            Body::Pod(pod) => Some((object, &**pod)),
            _ => None,
        })
    }

    /// The control planes that run in it, one entry a revision: their Deployments, else their pods, with containers.
    pub fn control_planes(&self) -> Vec<ControlPlane<'_>> {
        let of_deployments = self.istiod_deployments().filter(|(_, workload)| !workload.containers.is_empty());
        let found: Vec<_> = of_deployments
            .map(|(object, workload)| ControlPlane { object, containers: workload.containers.as_slice() })
            .collect();
        if !found.is_empty() {
            return found;
        }
        let of_pods = self.istiod_pods().filter(|(_, pod)| !pod.containers.is_empty());
        of_pods.map(|(object, pod)| ControlPlane { object, containers: pod.containers.as_slice() }).collect()
    }

    /// Whether it finds services of other clusters through peering, as vendor builds offer it, and not through remote
    /// secrets: a Gateway that stands for a peer, or what such a peer brought.
    pub fn is_peered(&self) -> bool {
        let of_peer = |object: &Doc<Object>| match &object.body {
            Body::Gateway(gateway) => {
                &*gateway.class == "istio-remote"
                    && (gateway.conditions.iter().any(|condition| condition.kind.starts_with("gloo.solo.io/"))
                        || gateway.listeners.iter().any(|listener| listener.port == 15012))
            }
            _ => object.label("solo.io/source-cluster").is_some() || object.name.starts_with("autogenflat."),
        };
        let brought = self.objects("WorkloadEntry").chain(self.objects("ServiceEntry"));
        self.objects("Gateway").chain(brought).any(of_peer)
    }

    /// The namespace of the control plane.
    pub fn system_namespace(&self) -> &str {
        self.reckoned.system_namespace.get_or_init(|| self.find_system_namespace().into())
    }

    fn find_system_namespace(&self) -> &str {
        let namespaces = self.istiod_namespaces();
        let own = namespaces.iter().find(|namespace| !self.is_for_another(namespace));
        own.or(namespaces.first()).copied().unwrap_or("istio-system")
    }

    /// The namespaces in which istiods run, those of Deployments first; empty where none is known.
    pub fn istiod_namespaces(&self) -> Vec<&str> {
        let of_deployments = self.istiod_deployments().map(|(object, _)| &*object.namespace);
        let mut found = Vec::new();
        for namespace in of_deployments.chain(self.istiod_pods().map(|(object, _)| &*object.namespace)) {
            if !namespace.is_empty() && !found.contains(&namespace) {
                found.push(namespace);
            }
        }
        found
    }

    /// Whether the istiod of a namespace is the control plane of another cluster, which it reads by a kubeconfig and whose
    /// ID it carries (`istio/istio: pilot/pkg/bootstrap/server.go`, Secret `istio-kubeconfig`).
    pub fn is_for_another(&self, namespace: &str) -> bool {
        const WATCHER: &str = "LOCAL_CLUSTER_SECRET_WATCHER";
        self.object("Secret", namespace, "istio-kubeconfig").is_some()
            || self
                .istiod_containers()
                .any(|(object, containers)| *object.namespace == *namespace && env(containers, WATCHER) == Some("true"))
    }

    fn istiod_containers(&self) -> impl Iterator<Item = (&Doc<Object>, &[Container])> {
        let of_deployments =
            self.istiod_deployments().map(|(object, workload)| (object, workload.containers.as_slice()));
        of_deployments.chain(self.istiod_pods().map(|(object, pod)| (object, pod.containers.as_slice())))
    }

    /// An environment variable of istiod, with the object that sets it: the Deployment, else a pod.
    pub fn istiod_env(&self, key: &str) -> Option<(&Doc<Object>, &str)> {
        let system = self.system_namespace();
        let own =
            self.istiod_containers().filter(|(object, _)| object.namespace.is_empty() || *object.namespace == *system);
        own.filter_map(|(object, containers)| env(containers, key).map(|value| (object, value))).next()
    }

    /// Whether istiod's environment is known at all, so that a variable that is not set is not set.
    pub fn knows_istiod_env(&self) -> bool {
        self.istiod_deployments().any(|(_, workload)| !workload.containers.is_empty())
            || self.istiod_pods().any(|(_, pod)| !pod.containers.is_empty())
    }

    /// The cluster ID that its istiod and its proxies use; `None` where nothing tells.
    pub fn id(&self) -> Option<&str> {
        self.reckoned.id.get_or_init(|| self.find_id().map(Into::into)).as_deref()
    }

    fn find_id(&self) -> Option<&str> {
        // The only istiod here may be another cluster's, whose ID it tells.
        if !self.is_for_another(self.system_namespace()) {
            if let Some((_, id)) = self.istiod_env("CLUSTER_ID") {
                return Some(id);
            }
            let of_clusterz = self.istiods().flat_map(Istiod::clusters).find(|(_, row)| row.secret.is_empty());
            if let Some((_, row)) = of_clusterz.filter(|(_, row)| !row.id.is_empty()) {
                return Some(&row.id);
            }
        }
        let of_proxies = self.proxies().filter_map(|proxy| proxy.node()).map(|(_, node)| &*node.cluster);
        let of_ztunnels = self.ztunnels().map(|(_, dump)| &*dump.cluster);
        let of_pods = self.pods().filter_map(|(_, pod)| {
            env(&pod.containers, "ISTIO_META_CLUSTER_ID").or_else(|| env(&pod.containers, "CLUSTER_ID"))
        });
        of_proxies.chain(of_ztunnels).chain(of_pods).find(|id| !id.is_empty())
    }

    /// How a sentence names it: its ID where known, else its name.
    pub fn title(&self) -> &str {
        self.id().unwrap_or(&self.name)
    }

    /// Whether an istiod that serves proxies runs in it; `None` where neither Deployments nor pods are known.
    pub fn has_istiod(&self) -> Option<bool> {
        let runs = self.istiod_deployments().next().is_some()
            || self.istiod_pods().next().is_some()
            || self.istiods().any(|istiod| !istiod.documents.is_empty());
        let system = self.system_namespace();
        let known = self.knows_all("Deployment", system) || self.knows_all("Pod", system);
        (runs || known).then_some(runs)
    }

    /// The network label of its system namespace: the namespace, and the label where it has one. `None` where the
    /// namespace or its labels are unknown.
    pub fn network(&self) -> Option<(&Doc<Object>, Option<&str>)> {
        let namespace = self.object("Namespace", "", self.system_namespace())?;
        namespace.labels.as_ref()?;
        Some((namespace, namespace.label(NETWORK).filter(|network| !network.is_empty())))
    }

    /// Mesh config, from the ConfigMap or from istiod.
    pub fn mesh_config(&self) -> Option<(&Arc<Event>, &MeshConfig)> {
        let of_maps = self.objects_in("ConfigMap", self.system_namespace()).find_map(|object| match &object.body {
            Body::ConfigMap(map) => Some((&object.event, map.mesh.as_ref()?)),
            _ => None,
        });
        of_maps.or_else(|| {
            self.istiods().flat_map(|istiod| istiod.documents.iter()).find_map(|document| match &document.said {
                Said::Mesh(config) => Some((&document.event, &**config)),
                _ => None,
            })
        })
    }

    /// Secrets that are remote secrets by label, by usual name or by what they hold, one entry a kubeconfig.
    pub fn remote_secrets(&self) -> Vec<RemoteSecret<'_>> {
        let mut found = Vec::new();
        for (object, secret) in self.secrets() {
            let is_named = object.name.starts_with(SECRET_PREFIX);
            let is_labelled = object.label(REMOTE_SECRET) == Some("true");
            if !is_named && !is_labelled && secret.kubeconfigs.is_empty() {
                continue;
            }
            if secret.kubeconfigs.is_empty() {
                found.push(RemoteSecret { secret: object, config: None });
            }
            found.extend(secret.kubeconfigs.iter().map(|config| RemoteSecret { secret: object, config: Some(config) }));
        }
        found
    }

    /// Whether the labels of a pod, else those of its namespace, ask ambient to take it.
    pub fn asks_for_ambient(&self, pod: &Object) -> bool {
        const MODE: &str = "istio.io/dataplane-mode";
        let of_namespace = || self.object("Namespace", "", &pod.namespace)?.label(MODE);
        pod.label(MODE).or_else(of_namespace) == Some("ambient")
    }

    /// Namespace and name of the waypoint that a service, or else its namespace, is bound to.
    pub fn waypoint_of<'m>(&'m self, service: &'m Object) -> Option<(&'m str, &'m str)> {
        let of_namespace = self.object("Namespace", "", &service.namespace);
        let label = |key: &str| service.label(key).or_else(|| of_namespace?.label(key));
        let name = label(USE_WAYPOINT).filter(|name| !matches!(*name, "" | "none"))?;
        Some((label(USE_WAYPOINT_OF).unwrap_or(&service.namespace), name))
    }

    /// The pods of a waypoint: by their label, else by the name that their workload gives them.
    pub fn waypoint_pods<'m>(
        &'m self,
        namespace: &'m str,
        name: &'m str,
    ) -> impl Iterator<Item = (&'m Doc<Object>, &'m object::Pod)> {
        self.pods_in(namespace).filter(move |(object, _)| match &object.labels {
            Some(_) => object.label(GATEWAY_NAME) == Some(name),
            None => workload_of(object) == name,
        })
    }

    /// Gateways between networks that it has or knows.
    pub fn gateways(&self) -> Vec<Gateway<'_>> {
        let keys = self.reckoned.gateways.get_or_init(|| {
            gateways_among(self.objects("Gateway").chain(self.objects("Service")))
                .iter()
                .map(|of| key(of.object))
                .collect()
        });
        gateways_among(self.at(keys))
    }

    /// Gateways between networks that serve in it.
    pub fn own_gateways(&self) -> impl Iterator<Item = Gateway<'_>> {
        self.gateways().into_iter().filter(|gateway| gateway.kind != Kind::Remote)
    }

    /// Gateways that stand for gateways of other clusters.
    pub fn peer_gateways(&self) -> impl Iterator<Item = Gateway<'_>> {
        self.gateways().into_iter().filter(|gateway| gateway.kind == Kind::Remote)
    }

    /// Whether a Service of it is open to other clusters: `None` where its labels or the mesh config are not known.
    pub fn is_global(&self, service: &Object) -> Option<bool> {
        let is_wide = |object: &Object| object.label(SCOPE).is_some_and(|scope| scope.starts_with("global"));
        let of_namespace = || self.object("Namespace", "", &service.namespace).is_some_and(|of| is_wide(of));
        if service.label(GLOBAL) == Some("true") || is_wide(service) || of_namespace() {
            return Some(true);
        }
        let labels = service.labels.as_ref()?;
        match self.mesh_config() {
            Some((_, config)) => {
                let scopes: Vec<Option<bool>> =
                    config.global_services.iter().map(|scope| scope.as_ref()?.selects(labels)).collect();
                // One that cannot be followed may open it or not.
                match scopes.contains(&Some(true)) {
                    true => Some(true),
                    false => (!scopes.contains(&None)).then_some(false),
                }
            }
            // A service scope in a mesh config that was not saved could still open it.
            None => (!service.is_row).then_some(false),
        }
    }

    /// Whether ztunnels run in it.
    pub fn is_ambient(&self) -> bool {
        *self.reckoned.is_ambient.get_or_init(|| self.find_ambient())
    }

    fn find_ambient(&self) -> bool {
        self.ztunnels().next().is_some()
            || self.workloads().any(|(object, _)| &*object.kind == "DaemonSet" && object.name.starts_with("ztunnel"))
            || self.pods().any(|(object, _)| is_ztunnel(object))
            || self.istiod_env("PILOT_ENABLE_AMBIENT").is_some_and(|(_, value)| value == "true")
    }
}

fn key_of(endpoint: &ProxyEndpoint) -> (Text, Addr) {
    (endpoint.cluster.clone(), endpoint.addr.clone())
}

/// The name of the workload that made a pod: `sleep` of `sleep-5b7d9c6f4-x2x9z`.
pub fn workload_of(pod: &Object) -> &str {
    let name = &pod.name;
    let of = match pod.owner.split_once('/') {
        Some(("ReplicaSet", owner)) => owner.rsplit_once('-').map_or(owner, |(workload, _)| workload),
        Some((_, owner)) => owner,
        None => name.rsplitn(3, '-').last().unwrap_or(name),
    };
    if of.is_empty() { name } else { of }
}

/// Whether a pod is a ztunnel; a table without labels shows no more than the name that its DaemonSet gives it.
fn is_ztunnel(object: &Object) -> bool {
    match &object.labels {
        Some(_) => object.label("app") == Some("ztunnel"),
        None => object.name.starts_with("ztunnel-"),
    }
}

impl Proxy {
    fn held(&self) -> impl DoubleEndedIterator<Item = &Doc<ProxyState>> {
        self.documents.iter().filter(|document| document.told_by == ToldBy::Proxy)
    }

    fn last<T>(&self, by: ToldBy, part: impl Fn(&ProxyState) -> Option<&T>) -> Option<(&Arc<Event>, &T)> {
        let of = self.documents.iter().rev().filter(|document| document.told_by == by);
        let mut of = of.filter_map(|document| Some((&document.event, part(&document.it)?)));
        of.next()
    }

    /// Its node.
    pub fn node(&self) -> Option<(&Arc<Event>, &ProxyNode)> {
        self.last(ToldBy::Proxy, |state| state.node.as_ref())
    }

    /// Its clusters.
    pub fn clusters(&self) -> Option<(&Arc<Event>, &Vec<ProxyCluster>)> {
        self.last(ToldBy::Proxy, |state| state.clusters.as_ref())
    }

    /// Its listeners.
    pub fn listeners(&self) -> Option<(&Arc<Event>, &Vec<ProxyListener>)> {
        self.last(ToldBy::Proxy, |state| state.listeners.as_ref())
    }

    /// Its routes.
    pub fn routes(&self) -> Option<(&Arc<Event>, &Vec<ProxyRoute>)> {
        self.last(ToldBy::Proxy, |state| state.routes.as_ref())
    }

    /// Its certificates: the document that carries whole certificates, else the last one.
    pub fn secrets(&self) -> Option<(&Arc<Event>, &Vec<HeldSecret>)> {
        let whole = self.last(ToldBy::Proxy, |state| {
            state.secrets.as_ref().filter(|secrets| secrets.iter().any(|secret| !secret.certs.is_empty()))
        });
        whole.or_else(|| self.last(ToldBy::Proxy, |state| state.secrets.as_ref()))
    }

    /// Holds the last config dump against what istiod would push, cluster by cluster that it would push endpoints of.
    fn compare(&mut self) {
        let last = |by: ToldBy, is: fn(&ProxyState) -> bool| {
            let of =
                |document: &&Doc<ProxyState>| document.told_by == by && document.endpoints.is_some() && is(document);
            self.documents.iter().rev().find(of)
        };
        // `/clusters` prints addresses in another way.
        let is_dump = |state: &ProxyState| state.clusters.iter().flatten().any(|cluster| !cluster.kind.is_empty());
        let (Some(held), Some(pushed)) = (last(ToldBy::Proxy, is_dump), last(ToldBy::Istiod, |_| true)) else { return };
        if held.is_cut || pushed.is_cut {
            return;
        }
        let endpoints = |of: &Doc<ProxyState>| of.endpoints.iter().flatten().map(key_of).collect::<BTreeSet<_>>();
        let names = |of: &Doc<ProxyState>| -> BTreeSet<Text> {
            let clusters = of.clusters.iter().flatten().map(|cluster| cluster.name.clone());
            clusters.chain(of.endpoints.iter().flatten().map(|endpoint| endpoint.cluster.clone())).collect()
        };
        let (of_held, of_pushed) = (names(held), names(pushed));
        let both = |mut of: BTreeSet<(Text, Addr)>| {
            of.retain(|(cluster, _)| of_held.contains(cluster) && of_pushed.contains(cluster));
            of
        };
        let views = (both(endpoints(held)), both(endpoints(pushed)));
        let (held, pushed) = (Arc::clone(&held.event), Arc::clone(&pushed.event));
        self.apart.see((&held, views.0), (&pushed, views.1));
    }

    /// What of its endpoints has differed for so long from what istiod would push, by cluster and address.
    pub fn apart(&self, settle: Duration) -> Option<Lasting<'_, (Text, Addr)>> {
        self.apart.lasting(settle)
    }

    /// The endpoints it holds, of whatever document says it last, or table rows. `None` where none says it.
    pub fn endpoints(&self) -> Option<Vec<(&Arc<Event>, ProxyEndpoint)>> {
        if let Some((event, endpoints)) = self.last(ToldBy::Proxy, |state| state.endpoints.as_ref()) {
            return Some(endpoints.iter().map(|endpoint| (event, endpoint.clone())).collect());
        }
        let rows = self.rows.iter().filter_map(|event| match &event.fact {
            Fact::State(state) => admin::endpoint_of_row(state).map(|(_, endpoint)| (event, endpoint)),
            _ => None,
        });
        (!self.rows.is_empty()).then(|| rows.collect())
    }

    /// The endpoints istiod would send it.
    pub fn pushed_endpoints(&self) -> Option<(&Arc<Event>, &Vec<ProxyEndpoint>)> {
        self.last(ToldBy::Istiod, |state| state.endpoints.as_ref())
    }

    /// What it refuses, by its last dump; a list of its listeners does not say it.
    pub fn rejected(&self) -> Option<(&Arc<Event>, &Vec<Rejected>)> {
        self.last(ToldBy::Proxy, |state| {
            let is_dump = state.node.is_some() && state.listeners.is_some();
            (is_dump || !state.rejected.is_empty()).then_some(&state.rejected)
        })
    }

    /// The clusters istiod would send it.
    pub fn pushed_clusters(&self) -> Option<&Vec<ProxyCluster>> {
        self.last(ToldBy::Istiod, |state| state.clusters.as_ref()).map(|(_, clusters)| clusters)
    }

    /// Its counters.
    pub fn stats(&self) -> impl Iterator<Item = (&Arc<Event>, &Stat)> {
        self.held().flat_map(|document| document.stats.iter().map(move |stat| (&document.event, stat)))
    }

    /// Everything its documents say, the oldest first.
    pub fn documents(&self) -> impl Iterator<Item = &Doc<ProxyState>> {
        self.documents.iter()
    }
}

impl Istiod {
    /// Everything its documents say, the oldest first.
    pub fn documents(&self) -> impl Iterator<Item = &Doc<IstiodState>> {
        self.documents.iter()
    }

    /// The clusters it reads, itself included where its version says so.
    pub fn clusters(&self) -> Vec<(&Arc<Event>, &RemoteRow)> {
        let said = self.documents.iter().rev().find_map(|document| match &document.said {
            Said::Clusters(rows) => Some((&document.event, rows)),
            _ => None,
        });
        match said {
            Some((event, rows)) => rows.iter().map(|row| (event, row)).collect(),
            None => self.rows.iter().map(|(event, row)| (event, row)).collect(),
        }
    }

    /// Whether it is known which clusters it reads.
    pub fn knows_clusters(&self) -> bool {
        !self.rows.is_empty() || self.documents.iter().any(|document| matches!(document.said, Said::Clusters(_)))
    }
}

/// The gateways between networks among some objects.
fn gateways_among<'m>(among: impl Iterator<Item = &'m Doc<Object>> + Clone) -> Vec<Gateway<'m>> {
    let mut found: Vec<Gateway<'m>> = Vec::new();
    for object in among.clone() {
        let Body::Gateway(gateway) = &object.body else { continue };
        let is_mesh = gateway.listeners.iter().any(|listener| &*listener.protocol == "HBONE" && listener.port == 15008)
            && &*gateway.class != "istio-waypoint";
        let kind = match &*gateway.class {
            "istio-remote" => Kind::Remote,
            "istio-east-west" | "istio-eastwest" => Kind::Gateway,
            _ if object.label(NETWORK).is_some() || is_mesh && is_east_west(&object.name) => Kind::Gateway,
            _ => continue,
        };
        let addresses = if kind == Kind::Remote && gateway.addresses.is_empty() {
            &gateway.spec_addresses
        } else {
            &gateway.addresses
        };
        found.push(Gateway {
            object,
            kind,
            network: object.label(NETWORK),
            addresses: addresses.iter().map(|address| &**address).collect(),
            ports: gateway.listeners.iter().map(|listener| listener.port).collect(),
        });
    }
    for object in among {
        let Body::Service(service) = &object.body else { continue };
        let is_gateway = object.label(NETWORK).is_some()
            || object.label("istio") == Some("eastwestgateway")
            || is_east_west(&object.name);
        // The Service that a Gateway of the Gateway API deploys is told by that Gateway.
        let is_deployed = object.label(GATEWAY_NAME).is_some() || object.owner.starts_with("Gateway/");
        if !is_gateway || is_deployed {
            continue;
        }
        found.push(Gateway {
            object,
            kind: Kind::Service,
            network: object.label(NETWORK),
            addresses: service
                .ingress
                .iter()
                .chain(&service.external_ips)
                .map(|address| &**address)
                .filter(|address| !address.is_empty() && !address.starts_with('<'))
                .collect(),
            ports: service.ports.iter().map(|port| port.port).collect(),
        });
    }
    found
}

/// Whether the same document was taken anew.
fn is_renewed(known: &Event, new: &Event) -> bool {
    known.origin.file == new.origin.file && known.at < new.at
}

fn key(object: &Object) -> Key {
    (object.kind.clone(), object.group.clone(), object.namespace.clone(), object.name.clone())
}

/// An environment variable of the first container that sets it.
pub fn env<'m>(containers: &'m [Container], key: &str) -> Option<&'m str> {
    containers.iter().find_map(|container| container.env.get(key)).map(|value| &**value)
}

/// Whether a name is that of an east-west gateway by custom.
pub fn is_east_west(name: &str) -> bool {
    ["eastwest", "east-west", "cross-network", "crossnetwork"].iter().any(|part| name.contains(part))
}
