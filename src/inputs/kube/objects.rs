//! Objects of a cluster, listed once and watched from then on: what they are, what is gone, and that there are no others.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, TypeMeta};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use meshwhy_parsers::origin::{Origin, Role, SharedOrigin};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::backoff::{Backoff, Rest};
use super::followers::Followers;
use super::troubles::Troubles;
use super::{Cluster, plain};
use crate::inputs::source::{Absent, Deaf, Feed, Read, Said, Status};

/// Objects of one page of a list: while it is read, it takes several times its size.
pub(super) const PAGE: u32 = 200;

/// A kind of objects that is watched.
pub(super) struct Kind {
    pub group: &'static str,
    /// The versions that are read, the best first: older clusters do not serve it.
    pub versions: &'static [&'static str],
    pub kind: &'static str,
    pub plural: &'static str,
    /// Only in istiod's namespace: of other namespaces' there may be very many, and none is asked for.
    pub only_istiod: bool,
    /// Only those with this label.
    labels: &'static str,
    /// Only the one of this name.
    pub name: &'static str,
}

const fn kind(
    group: &'static str,
    versions: &'static [&'static str],
    kind: &'static str,
    plural: &'static str,
) -> Kind {
    Kind { group, versions, kind, plural, only_istiod: false, labels: "", name: "" }
}

/// Kubernetes' own kinds.
const V1: &[&str] = &["v1"];
/// `kubernetes-sigs/gateway-api: apis`, `istio/api: security`.
const FROM_V1BETA1: &[&str] = &["v1", "v1beta1"];
/// `istio/api: networking`.
const FROM_V1ALPHA3: &[&str] = &["v1", "v1beta1", "v1alpha3"];

/// What is watched: what checks, causes and the names of addresses ask for.
const KINDS: &[Kind] = &[
    kind("", V1, "Pod", "pods"),
    kind("", V1, "Namespace", "namespaces"),
    kind("", V1, "Node", "nodes"),
    kind("", V1, "Service", "services"),
    kind("", V1, "Event", "events"),
    kind("discovery.k8s.io", V1, "EndpointSlice", "endpointslices"),
    kind("apps", V1, "Deployment", "deployments"),
    kind("apps", V1, "DaemonSet", "daemonsets"),
    Kind { only_istiod: true, ..kind("", V1, "ConfigMap", "configmaps") },
    Kind { labels: "istio/multiCluster=true", ..kind("", V1, "Secret", "secrets") },
    Kind { only_istiod: true, name: "cacerts", ..kind("", V1, "Secret", "secrets") },
    kind("admissionregistration.k8s.io", V1, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    kind("admissionregistration.k8s.io", V1, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
    kind("gateway.networking.k8s.io", FROM_V1BETA1, "Gateway", "gateways"),
    kind("gateway.networking.k8s.io", FROM_V1BETA1, "GatewayClass", "gatewayclasses"),
    kind("networking.istio.io", FROM_V1ALPHA3, "Gateway", "gateways"),
    kind("networking.istio.io", FROM_V1ALPHA3, "DestinationRule", "destinationrules"),
    kind("networking.istio.io", FROM_V1ALPHA3, "ServiceEntry", "serviceentries"),
    kind("networking.istio.io", FROM_V1ALPHA3, "WorkloadEntry", "workloadentries"),
    kind("networking.istio.io", FROM_V1ALPHA3, "Sidecar", "sidecars"),
    kind("security.istio.io", FROM_V1BETA1, "PeerAuthentication", "peerauthentications"),
    kind("security.istio.io", FROM_V1BETA1, "AuthorizationPolicy", "authorizationpolicies"),
    kind("networking.k8s.io", V1, "NetworkPolicy", "networkpolicies"),
];

impl Kind {
    fn resource(&self, version: &str) -> ApiResource {
        let gvk = GroupVersionKind::gvk(self.group, version, self.kind);
        ApiResource::from_gvk_with_plural(&gvk, self.plural)
    }

    /// Where it is listed in this version; in this namespace where it is listed in istiod's alone.
    pub fn api(&self, client: &Client, version: &str, istio_namespace: &str) -> Api<DynamicObject> {
        let resource = self.resource(version);
        match self.only_istiod {
            true => Api::namespaced_with(client.clone(), istio_namespace, &resource),
            false => Api::all_with(client.clone(), &resource),
        }
    }

    /// Whether what it lists is all there is of the kind, in its namespaces.
    fn is_whole(&self) -> bool {
        self.labels.is_empty() && self.name.is_empty()
    }

    /// The namespace in which it is listed; empty for all.
    pub fn namespace<'n>(&self, istio_namespace: &'n str) -> &'n str {
        if self.only_istiod { istio_namespace } else { "" }
    }

    /// How it is listed once.
    pub fn params(&self, page: u32) -> ListParams {
        let mut params = ListParams::default().limit(page);
        if !self.labels.is_empty() {
            params = params.labels(self.labels);
        }
        if !self.name.is_empty() {
            params = params.fields(&format!("metadata.name={}", self.name));
        }
        params
    }

    /// The command that lists the same.
    pub fn command(&self, istio_namespace: &str) -> String {
        let place = match self.namespace(istio_namespace) {
            "" => "-A".to_string(),
            namespace => format!("-n {namespace}"),
        };
        let labels = if self.labels.is_empty() { String::new() } else { format!(" -l {}", self.labels) };
        let name = if self.name.is_empty() { String::new() } else { format!(" {}", self.name) };
        format!("kubectl get {}{name} {place}{labels} -o json", self.title())
    }

    fn config(&self) -> watcher::Config {
        let mut config = watcher::Config::default().page_size(PAGE);
        if !self.labels.is_empty() {
            config = config.labels(self.labels);
        }
        if !self.name.is_empty() {
            config = config.fields(&format!("metadata.name={}", self.name));
        }
        config
    }

    fn title(&self) -> String {
        match self.group {
            "" => self.plural.to_string(),
            group => format!("{}.{group}", self.plural),
        }
    }
}

/// All kinds that are watched.
pub(super) fn all_kinds() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter()
}

/// The kinds by what they are called: several where one is listed by several selectors.
pub(super) fn kinds_by_title() -> BTreeMap<String, Vec<&'static Kind>> {
    let mut by_title: BTreeMap<String, Vec<&'static Kind>> = BTreeMap::new();
    for kind in KINDS {
        by_title.entry(kind.title()).or_default().push(kind);
    }
    by_title
}

/// An object of a list with its kind, which items of lists do not say, and without who wrote which field, which is of no
/// interest and long.
pub(super) fn plain_object(kind: &Kind, version: &str, mut object: DynamicObject) -> DynamicObject {
    let resource = kind.resource(version);
    object.types = Some(TypeMeta { api_version: resource.api_version, kind: resource.kind });
    object.metadata.managed_fields = None;
    object
}

/// One watch, and what it has said so far.
struct Watch {
    cluster: String,
    client: Client,
    kind: &'static Kind,
    /// The version in which it is read.
    version: &'static str,
    /// The namespace of istiod.
    namespace: String,
    origin: SharedOrigin,
    feed: Feed,
    rest: Rest,
    troubles: Arc<Troubles>,
    /// Namespace and name of all that is there.
    there: BTreeSet<(String, String)>,
    /// Of those, what a new list has not repeated yet.
    missing: BTreeSet<(String, String)>,
    /// Which logs are followed: told by pods.
    followers: Option<Followers>,
    /// The watches that were not answered yet; `None` once this one was.
    untried: Option<Arc<AtomicUsize>>,
}

/// Watches all kinds until nobody listens: those of istiod's namespace in the one that is named, and in each in which an
/// istiod is found.
pub(super) async fn watch(cluster: &Cluster, feed: &Feed, followers: Followers) {
    let mut standing = followers.standing();
    let untried = Arc::new(AtomicUsize::new(KINDS.len()));
    let troubles = Arc::new(Troubles::new(&cluster.name, feed, "watched again"));
    let watch = |kind: &'static Kind, namespace: &str, untried: Option<Arc<AtomicUsize>>| Watch {
        cluster: cluster.name.clone(),
        client: cluster.client.clone(),
        kind,
        version: "",
        namespace: namespace.to_string(),
        origin: Arc::new(Origin::new(&cluster.name, &format!("{}/{}", cluster.name, kind.title()))),
        feed: feed.clone(),
        rest: cluster.rest.clone(),
        troubles: Arc::clone(&troubles),
        there: BTreeSet::new(),
        missing: BTreeSet::new(),
        followers: None,
        untried,
    };
    let mut followers = Some(followers);
    let mut tasks = JoinSet::new();
    for kind in KINDS {
        let mut watch = watch(kind, &cluster.istio_namespace, Some(Arc::clone(&untried)));
        watch.followers = followers.take_if(|_| kind.kind == "Pod");
        tasks.spawn(watch.run());
    }
    let mut namespaces = BTreeSet::from([cluster.istio_namespace.clone()]);
    loop {
        tokio::select! {
            Ok(()) = standing.changed() => {
                let istiods = standing.borrow_and_update();
                let istiods = istiods.iter().filter(|origin| origin.role == Role::Istiod);
                for namespace in istiods.map(|origin| origin.namespace.to_string()) {
                    if namespaces.insert(namespace.clone()) {
                        let kinds = KINDS.iter().filter(|kind| kind.only_istiod);
                        kinds.for_each(|kind| drop(tasks.spawn(watch(kind, &namespace, None).run())));
                    }
                }
            }
            over = tasks.join_next() => if over.is_none() { return },
        }
    }
}

impl Watch {
    /// Watches it in the best version that is served, until nobody listens.
    async fn run(mut self) -> Result<(), Deaf> {
        loop {
            for version in self.kind.versions {
                self.version = version;
                self.until_not_served().await?;
            }
            // It is served in none of them: there are none.
            for key in std::mem::take(&mut self.there) {
                self.gone(&key).await?;
            }
            self.listed().await?;
            self.tried().await?;
            self.troubles.end(&self.kind.title()).await?;
            sleep(self.feed.limits.refused_pause).await;
        }
    }

    async fn until_not_served(&mut self) -> Result<(), Deaf> {
        let api = self.kind.api(&self.client, self.version, &self.namespace);
        let mut stream = pin!(watcher::watcher(api, self.kind.config()));
        let mut backoff = Backoff::default();
        while let Some(event) = stream.next().await {
            // A list under way says nothing yet.
            let is_answer = !matches!(event, Ok(Event::Init | Event::InitApply(_)));
            let pause = match event {
                Err(error) if code(&error) == 404 => return Ok(()),
                Err(error) => self.fail(&error, &mut backoff).await?,
                Ok(event) => {
                    self.take(event).await?;
                    if is_answer && backoff.is_failing() {
                        backoff.reset();
                        self.troubles.end(&self.kind.title()).await?;
                    }
                    Duration::ZERO
                }
            };
            if is_answer {
                self.tried().await?;
            }
            if !pause.is_zero() {
                sleep(pause).await;
            }
        }
        Ok(())
    }

    /// The last kind to be listed, or refused, makes the cluster ready.
    async fn tried(&mut self) -> Result<(), Deaf> {
        if self.untried.take().is_some_and(|untried| untried.fetch_sub(1, Ordering::AcqRel) == 1) {
            let status = Status::Ready { cluster: self.cluster.clone() };
            return self.feed.say(Said::Status(status)).await;
        }
        Ok(())
    }

    async fn take(&mut self, event: Event<DynamicObject>) -> Result<(), Deaf> {
        match event {
            Event::Init => {
                self.missing = self.there.clone();
                Ok(())
            }
            Event::InitApply(object) | Event::Apply(object) => self.seen(object).await,
            Event::Delete(object) => {
                let key = key(&object);
                self.there.remove(&key);
                self.gone(&key).await
            }
            Event::InitDone => {
                for key in std::mem::take(&mut self.missing) {
                    self.there.remove(&key);
                    self.gone(&key).await?;
                }
                self.listed().await
            }
        }
    }

    /// All there is of the kind has been said.
    async fn listed(&self) -> Result<(), Deaf> {
        // Each namespace has a ConfigMap of Kubernetes' own: one that has none is not there, and nothing is missing in it.
        if !self.kind.is_whole() || (self.kind.only_istiod && self.there.is_empty()) {
            return Ok(());
        }
        let absent = self.absent(self.kind.namespace(&self.namespace), None);
        self.feed.absent(&self.origin, absent, self.feed.clock.now()).await
    }

    async fn seen(&mut self, object: DynamicObject) -> Result<(), Deaf> {
        let key = key(&object);
        self.missing.remove(&key);
        self.there.insert(key);
        let object = plain_object(self.kind, self.version, object);
        let Ok(bytes) = serde_json::to_vec(&object) else { return Ok(()) };
        if let Some(followers) = &mut self.followers
            && let Ok(pod) = serde_json::from_slice::<Pod>(&bytes)
        {
            followers.seen(&pod).await?;
        }
        let losses = match self.feed.document(&self.origin, &bytes, self.feed.clock.now()).await? {
            Read::Broken(error) => vec![error],
            Read::Said(losses) => losses,
            Read::Unknown => Vec::new(),
        };
        for loss in losses {
            let what = format!("{} {} of {}: {loss}", self.kind.kind, object.name_any(), self.cluster);
            self.feed.say(Said::Status(Status::Lost { what })).await?;
        }
        Ok(())
    }

    async fn gone(&mut self, (namespace, name): &(String, String)) -> Result<(), Deaf> {
        if let Some(followers) = &mut self.followers {
            followers.gone(namespace, name).await?;
        }
        self.feed.absent(&self.origin, self.absent(namespace, Some(name)), self.feed.clock.now()).await
    }

    fn absent(&self, namespace: &str, name: Option<&str>) -> Absent {
        Absent {
            kind: self.kind.kind.into(),
            group: self.kind.group.into(),
            namespace: namespace.into(),
            name: name.map(Into::into),
        }
    }

    /// Says what does not work, once until it works again; returns how long to wait.
    async fn fail(&self, error: &watcher::Error, backoff: &mut Backoff) -> Result<Duration, Deaf> {
        let code = code(error);
        // Too old a version: it is listed anew at once, and nothing is lost.
        if code == 410 {
            return Ok(Duration::ZERO);
        }
        let pause = backoff.next_after(&self.rest);
        let title = self.kind.title();
        let (why, what) = match code {
            401 => {
                let why = "the API server does not accept the credentials (401)";
                (why.to_string(), format!("{title} cannot be watched: {why}"))
            }
            // Each for itself: others may be permitted.
            403 => {
                let what = format!("{title} may not be watched (403): what they would show is not found");
                (what.clone(), what)
            }
            429 => {
                let why = "the API server has too much to do (429)";
                (why.to_string(), format!("{title} cannot be watched: {why}; it is tried again"))
            }
            _ => {
                let why = plain(error);
                (why.clone(), format!("{title} cannot be watched: {why}; it is tried again"))
            }
        };
        self.troubles.begin(&title, &why, || what).await?;
        Ok(if code == 403 { self.feed.limits.refused_pause } else { pause })
    }
}

/// The code of an API server's refusal, or 0.
fn code(error: &watcher::Error) -> u16 {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code,
        _ => 0,
    }
}

fn key(object: &DynamicObject) -> (String, String) {
    (object.metadata.namespace.clone().unwrap_or_default(), object.name_any())
}
