//! The call that is walked: who calls, what is called, and what checks have found about either.

use meshwhy_parsers::event::Event;
use meshwhy_parsers::state::ZtunnelDump;
use meshwhy_parsers::state::istiod::Said;
use meshwhy_parsers::state::object::{Body, Object, Pod};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::{End, From, To, service};
use crate::engine::check::{Checked, Item, Outcome, Speaks};
use crate::engine::mesh::{Cluster, Doc, Endpoint, Mesh, Proxy, What, workload_of};
use crate::engine::view::View;

/// How many names an error suggests.
const NEAR_MAX: usize = 6;

/// A pod as object.
pub(super) type OfPod<'v> = (&'v Doc<Object>, &'v Pod);

/// How a pod is part of the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plane {
    /// It has a sidecar.
    Sidecar,
    /// ztunnel takes its calls.
    Ambient,
    /// Neither.
    Outside,
    /// It cannot be told.
    Unknown,
}

/// The call.
pub(super) struct Call<'v> {
    pub(super) view: &'v View<'v>,
    pub(super) mesh: &'v Mesh,
    checked: &'v [Checked],
    /// The caller's cluster.
    pub(super) near: &'v Cluster,
    /// The caller's pod; `None` where only its proxy or its workload is known.
    pub(super) pod: Option<OfPod<'v>>,
    /// The caller's pod by name; that of its workload where no pod is known.
    pub(super) name: String,
    /// The caller's namespace.
    pub(super) namespace: String,
    /// Other clusters that have such a caller.
    pub(super) also: Vec<&'v str>,
    pub(super) plane: Plane,
    /// The service that is called.
    pub(super) service: Called,
}

/// What is called.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Called {
    /// The whole host name.
    pub(super) host: String,
    /// Name of the Service; that of the host where there is none.
    pub(super) name: String,
    /// Namespace of the Service; empty for a host outside.
    pub(super) namespace: String,
    /// Port.
    pub(super) port: u16,
}

impl Called {
    /// Whether the host is that of a Kubernetes Service, which the name server of a cluster with that Service answers.
    pub(super) fn is_of_kubernetes(&self) -> bool {
        self.host.contains(".svc.")
    }

    /// `Service sample/helloworld`.
    pub(super) fn title(&self) -> String {
        match &*self.namespace {
            "" => format!("host {}", self.host),
            namespace => format!("Service {namespace}/{}", self.name),
        }
    }
}

impl<'v> Call<'v> {
    /// Finds caller and service among what is known; the error lists what is.
    pub(super) fn find(view: &'v View<'v>, checked: &'v [Checked], from: &From, to: &To) -> Result<Call<'v>, String> {
        let mesh = view.mesh();
        if mesh.is_empty() {
            return Err("no state was read\nhint: save objects and dumps of every cluster; `meshwhy check --help` lists the commands".to_string());
        }
        let titles: Vec<&str> = mesh.clusters().map(Cluster::title).collect();
        let is_wanted = |cluster: &&Cluster| {
            from.cluster.is_empty() || *cluster.name == *from.cluster || cluster.is_called(&from.cluster)
        };
        if !mesh.clusters().any(|cluster| is_wanted(&cluster)) {
            return Err(format!("no cluster is called {}\nhint: known are {}", from.cluster, titles.join(", ")));
        }
        let mut found = mesh.clusters().filter(is_wanted).filter_map(|cluster| Some((cluster, caller(cluster, from)?)));
        let Some((near, (name, pod))) = found.next() else {
            return Err(no_caller(mesh, from));
        };
        let also = found.map(|(cluster, _)| cluster.title()).collect();
        let service = called(mesh, to, &from.namespace)?;
        let plane = plane(near, pod, &name, &from.namespace);
        let namespace = from.namespace.clone();
        Ok(Call { view, mesh, checked, near, pod, name, namespace, also, plane, service })
    }

    /// The caller's pod, and the pods behind the service in every cluster.
    pub(super) fn ends(&self) -> Vec<End> {
        let end = |cluster: &Cluster, namespace: &str, pod: &str, node: &str, is_caller: bool| End {
            cluster: cluster.name.to_string(),
            namespace: namespace.to_string(),
            pod: pod.to_string(),
            node: node.to_string(),
            is_caller,
        };
        let node = self.pod.map_or("", |(_, pod)| &*pod.node);
        let mut ends = vec![end(self.near, &self.namespace, &self.name, node, true)];
        for cluster in self.mesh.clusters() {
            let Some((object, service)) = service::object(self, cluster) else { continue };
            let behind = cluster.pods_behind(object, service).into_iter();
            ends.extend(behind.map(|(of, pod)| end(cluster, &of.namespace, &of.name, &pod.node, false)));
        }
        ends
    }

    /// `<pod>.<namespace>`.
    pub(super) fn who(&self) -> String {
        format!("{}.{}", self.name, self.namespace)
    }

    /// The caller's sidecar, where a document shows it.
    pub(super) fn proxy(&self) -> Option<&'v Proxy> {
        self.near.proxy(&self.who())
    }

    /// The ztunnel that takes the caller's calls, where its dump is known: that of the node, else any of the cluster.
    pub(super) fn ztunnel(&self) -> Option<(&'v Arc<Event>, &'v ZtunnelDump)> {
        let node = self.pod.map_or("", |(_, pod)| &*pod.node);
        let of_node = self.near.ztunnels().find(|(_, dump)| !node.is_empty() && *dump.node == *node);
        of_node.or_else(|| self.near.ztunnels().find(|(_, dump)| dump.parts.services))
    }

    /// The clusters whose istiods serve the caller: its own, else those that have one.
    pub(super) fn controls(&self) -> Vec<&'v Cluster> {
        if self.near.has_istiod() != Some(false) {
            return vec![self.near];
        }
        self.mesh.clusters().filter(|cluster| cluster.has_istiod() == Some(true)).collect()
    }

    /// The other clusters of the mesh.
    pub(super) fn others(&self) -> impl Iterator<Item = &'v Cluster> {
        self.mesh.clusters().filter(|cluster| cluster.name != self.near.name)
    }

    /// The first thing that a check found broken with one of these causes, where it concerns the call.
    pub(super) fn asked(&self, slugs: &[&str], concerns: impl Fn(&Item) -> bool) -> Option<&'v Item> {
        let items = self.checked.iter().flat_map(|checked| &checked.items);
        let mut broken = items.filter(|item| {
            let is_named = item.cause.as_ref().is_some_and(|(slug, _)| slugs.contains(slug));
            item.outcome == Outcome::Fail && is_named
        });
        broken.find(|item| concerns(item))
    }

    /// What passed a check and speaks against a cause in the caller's cluster.
    pub(super) fn refuting(&self, slug: &str) -> Option<&'v Item> {
        let mut items = self.checked.iter().flat_map(|checked| &checked.items);
        items.find(|item| {
            item.weighs.iter().any(|of| of.slug == slug && of.speaks != Speaks::For) && names(item, self.near)
        })
    }

    /// What a check said of these clusters.
    pub(super) fn said(&self, check: &str, of: &[&Cluster]) -> Option<&'v Item> {
        let checked = self.checked.iter().find(|checked| checked.check.id == check)?;
        checked.items.iter().find(|item| of.iter().all(|cluster| names(item, cluster)))
    }

    /// The endpoints of the service that the caller's proxy or ztunnel holds; `None` where nothing shows them.
    pub(super) fn held(&self) -> Option<Vec<Endpoint<'v>>> {
        if let Some(proxy) = self.proxy().filter(|_| self.plane != Plane::Ambient) {
            return self.mesh.held(self.near, proxy, &self.service.host, self.service.port);
        }
        let (event, dump) = self.ztunnel().filter(|_| self.plane == Plane::Ambient)?;
        if !dump.parts.services || !dump.parts.workloads {
            return None;
        }
        Some(self.mesh.held_by_ztunnel(self.near, event, dump, &self.service.host).unwrap_or_default())
    }
}

/// Whether an item is about a cluster.
pub(super) fn names(item: &Item, cluster: &Cluster) -> bool {
    item.clusters().any(|name| name == &*cluster.name || name == cluster.title())
}

/// Whether an item is about a cluster, or its verdict names it.
pub(super) fn mentions(item: &Item, cluster: &Cluster) -> bool {
    let is_it = |name: &str| name == &*cluster.name || name == cluster.title();
    let of_verdict = item.cause.as_ref().is_some_and(|(_, verdict)| {
        let mut tied = verdict.clusters.iter().chain(&verdict.tokens).chain([&verdict.subject]);
        tied.any(|name| is_it(name)) || verdict.subject.split([' ', ',', '/']).any(is_it)
    });
    names(item, cluster) || of_verdict
}

/// Whether an item's verdict or object is tied to a name.
pub(super) fn is_about(item: &Item, name: &str) -> bool {
    let words = |text: &str| text.split([' ', ',', '/', '.']).any(|word| word == name);
    item.object.contains(name) && words(&item.object)
        || item
            .cause
            .as_ref()
            .is_some_and(|(_, verdict)| verdict.tokens.iter().any(|token| token == name) || words(&verdict.subject))
}

/// The name of the workload that made a pod, by the pod's name alone.
fn workload_by(pod: &str) -> &str {
    pod.rsplitn(3, '-').last().unwrap_or(pod)
}

/// A pod of a cluster that goes by a name, the better match and the ready one first; where no pod is known, the name of
/// its proxy or of what ztunnel knows.
fn caller<'v>(cluster: &'v Cluster, from: &From) -> Option<(String, Option<OfPod<'v>>)> {
    let rank = |object: &Doc<Object>, pod: &Pod| {
        if *object.namespace != *from.namespace || matches!(&*pod.phase, "Succeeded" | "Completed" | "Failed") {
            return None;
        }
        let is_label = |key: &str| object.label(key) == Some(&from.name);
        match () {
            () if *object.name == *from.name => Some(0),
            () if workload_of(object) == from.name => Some(1),
            () if is_label("app") || is_label("app.kubernetes.io/name") => Some(2),
            () if *pod.service_account == *from.name => Some(3),
            () => None,
        }
    };
    let ranked = cluster.pods().filter_map(|(object, pod)| Some((rank(object, pod)?, object, pod)));
    let is_down = |object: &Doc<Object>, pod: &Pod| object.deleted.is_some() || pod.ready.0 < pod.ready.1;
    let best = ranked.min_by_key(|(rank, object, pod)| (*rank, is_down(object, pod)));
    if let Some((_, object, pod)) = best {
        return Some((object.name.to_string(), Some((object, pod))));
    }
    let is_it = |pod: &str| {
        pod == from.name
            || pod.strip_prefix(&*from.name).is_some_and(|rest| rest.starts_with('-') && rest.matches('-').count() <= 2)
    };
    let of_proxy = |proxy: &str| {
        let (pod, namespace) = proxy.split_once('.')?;
        (namespace == from.namespace && is_it(pod)).then(|| pod.to_string())
    };
    let by_proxy = cluster.proxies().find_map(|proxy| of_proxy(&proxy.name));
    let by_ztunnel = || {
        let workloads = cluster.ztunnels().flat_map(|(_, dump)| &dump.workloads);
        let mut own =
            workloads.filter(|workload| cluster.is_called(&workload.cluster) && *workload.namespace == *from.namespace);
        own.find(|workload| is_it(&workload.name)).map(|workload| workload.name.to_string())
    };
    let by_istiod = || {
        let documents = cluster.istiods().flat_map(|istiod| istiod.documents());
        let rows =
            documents.filter_map(|document| if let Said::Sync(rows) = &document.said { Some(rows) } else { None });
        let mut own = rows.flatten().filter(|row| row.cluster.is_empty() || cluster.is_called(&row.cluster));
        own.find_map(|row| of_proxy(&row.proxy))
    };
    by_proxy.or_else(by_ztunnel).or_else(by_istiod).map(|name| (name, None))
}

/// Why a caller was not found, with what is near.
fn no_caller(mesh: &Mesh, from: &From) -> String {
    let place = if from.cluster.is_empty() { String::new() } else { format!(" in {}", from.cluster) };
    let mut all: Vec<(bool, String)> = Vec::new();
    for cluster in mesh.clusters() {
        let of_pods = cluster.pods().map(|(object, _)| (workload_of(object), &*object.namespace));
        let of_proxies = cluster.proxies().filter_map(|proxy| proxy.name.split_once('.'));
        let of_proxies = of_proxies.map(|(pod, namespace)| (workload_by(pod), namespace));
        for (name, namespace) in of_pods.chain(of_proxies) {
            let is_like = name == from.name || name.contains(&*from.name) || from.name.contains(name);
            let known = (!is_like, format!("{}/{name}.{namespace}", cluster.title()));
            if (is_like || namespace == from.namespace) && !all.contains(&known) {
                all.push(known);
            }
        }
    }
    all.sort();
    let mut near: Vec<String> = all.into_iter().map(|(_, name)| name).collect();
    near.truncate(NEAR_MAX);
    let hint = if near.is_empty() {
        "save its pods: kubectl get pods -A -o yaml".to_string()
    } else {
        format!("known are {}", near.join(", "))
    };
    format!("no pod of {}.{} is known{place}\nhint: {hint}", from.name, from.namespace)
}

/// The service that a host means to a caller in a namespace.
fn called(mesh: &Mesh, to: &To, namespace: &str) -> Result<Called, String> {
    let hosts = hosts(mesh);
    let host = to.host.trim_end_matches('.').to_ascii_lowercase();
    // What the search domains of a pod make of a short name.
    let by_search = [
        host.clone(),
        format!("{host}.{namespace}.svc.cluster.local"),
        format!("{host}.svc.cluster.local"),
        format!("{host}.cluster.local"),
    ];
    let by_address = || {
        let owner = mesh.identities().at(&host).iter().find(|owner| owner.what == What::Service)?;
        Some(format!("{}.{}.svc.cluster.local", owner.name, owner.namespace))
    };
    let found = by_search.into_iter().find(|name| hosts.contains(name)).or_else(by_address);
    let Some(host) = found else {
        let label = host.split('.').next().unwrap_or(&host);
        let near: Vec<&str> =
            hosts.iter().filter(|known| known.contains(label)).take(NEAR_MAX).map(String::as_str).collect();
        let hint = if near.is_empty() {
            "save the Services of every cluster: kubectl get services,serviceentries -A -o yaml".to_string()
        } else {
            format!("known are {}", near.join(", "))
        };
        return Err(format!("no service is known as {}\nhint: {hint}", to.host));
    };
    let mut labels = host.splitn(3, '.');
    let (name, of, domain) = (labels.next(), labels.next(), labels.next());
    let is_service =
        domain.is_some_and(|domain| domain == "svc" || domain.starts_with("svc.") || domain == "mesh.internal");
    let (name, namespace) = match (name, of) {
        (Some(name), Some(of)) if is_service => (name.to_string(), of.to_string()),
        _ => (host.clone(), String::new()),
    };
    Ok(Called { host, name, namespace, port: to.port })
}

/// Every host that anything knows.
fn hosts(mesh: &Mesh) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    for cluster in mesh.clusters() {
        hosts.extend(
            cluster.services().map(|(object, _)| format!("{}.{}.svc.cluster.local", object.name, object.namespace)),
        );
        for object in cluster.objects("ServiceEntry") {
            if let Body::ServiceEntry(entry) = &object.body {
                hosts.extend(entry.hosts.iter().map(ToString::to_string));
            }
        }
        for document in cluster.istiods().flat_map(|istiod| istiod.documents()) {
            match &document.said {
                Said::Services(services) => hosts.extend(services.iter().map(|service| service.host.to_string())),
                Said::Shards(shards) => hosts.extend(shards.iter().map(|shard| shard.host.to_string())),
                _ => {}
            }
        }
        hosts.extend(
            cluster.ztunnels().flat_map(|(_, dump)| dump.services.iter().map(|service| service.hostname.to_string())),
        );
        for proxy in cluster.proxies() {
            let clusters =
                proxy.clusters().into_iter().flat_map(|(_, clusters)| clusters).map(|cluster| cluster.name.to_string());
            let endpoints = proxy.endpoints().into_iter().flatten().map(|(_, endpoint)| endpoint.cluster.to_string());
            let outbound = clusters.chain(endpoints).filter(|name| name.starts_with("outbound|"));
            hosts.extend(outbound.filter_map(|name| name.rsplit('|').next().map(str::to_string)));
        }
    }
    hosts
}

/// How a pod is part of the mesh.
fn plane(cluster: &Cluster, pod: Option<(&Doc<Object>, &Pod)>, name: &str, namespace: &str) -> Plane {
    if cluster.proxy(&format!("{name}.{namespace}")).is_some() {
        return Plane::Sidecar;
    }
    if let Some((object, pod)) = pod {
        let known = plane_of(object, pod);
        if known != Plane::Unknown {
            return known;
        }
    }
    let uid = format!("//Pod/{namespace}/{name}");
    let workloads = || cluster.ztunnels().flat_map(|(_, dump)| &dump.workloads);
    if workloads().any(|workload| workload.uid.ends_with(&uid) && &*workload.protocol == "HBONE") {
        return Plane::Ambient;
    }
    let label = |key: &str| cluster.object("Namespace", "", namespace).and_then(|of| of.label(key));
    match () {
        () if label("istio.io/dataplane-mode") == Some("ambient") => Plane::Ambient,
        () if label("istio-injection") == Some("enabled") || label("istio.io/rev").is_some() => Plane::Sidecar,
        () => Plane::Unknown,
    }
}

/// How a pod is part of the mesh, as the pod itself shows.
pub(super) fn plane_of(object: &Object, pod: &Pod) -> Plane {
    match () {
        () if pod.containers.iter().any(|container| &*container.name == "istio-proxy") => Plane::Sidecar,
        () if object.annotation("ambient.istio.io/redirection") == Some("enabled") => Plane::Ambient,
        () if !pod.containers.is_empty() => Plane::Outside,
        () => Plane::Unknown,
    }
}
