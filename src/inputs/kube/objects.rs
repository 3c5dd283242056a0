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
use meshwhy_parsers::origin::{Origin, SharedOrigin};
use meshwhy_parsers::state::State;
use meshwhy_parsers::state::object::Object;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::backoff::Backoff;
use super::followers::Followers;
use super::plain;
use crate::inputs::clock::now;
use crate::inputs::source::{Deaf, Feed, Read, Said, Status};

/// Objects of one page of a list.
pub(super) const PAGE: u32 = 500;
/// How long a kind that is refused or not installed waits to be asked for again.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// A kind of objects that is watched.
pub(super) struct Kind {
    pub group: &'static str,
    version: &'static str,
    pub kind: &'static str,
    plural: &'static str,
    /// Only in istiod's namespace: of other namespaces' there may be very many, and none is asked for.
    only_istiod: bool,
    /// Only those with this label.
    labels: &'static str,
    /// Only the one of this name.
    name: &'static str,
}

const fn kind(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind { group, version, kind, plural, only_istiod: false, labels: "", name: "" }
}

/// What is watched: what checks, causes and the names of addresses ask for.
const KINDS: &[Kind] = &[
    kind("", "v1", "Pod", "pods"),
    kind("", "v1", "Namespace", "namespaces"),
    kind("", "v1", "Node", "nodes"),
    kind("", "v1", "Service", "services"),
    kind("", "v1", "Event", "events"),
    kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    kind("apps", "v1", "Deployment", "deployments"),
    kind("apps", "v1", "DaemonSet", "daemonsets"),
    Kind { only_istiod: true, ..kind("", "v1", "ConfigMap", "configmaps") },
    Kind { labels: "istio/multiCluster=true", ..kind("", "v1", "Secret", "secrets") },
    Kind { only_istiod: true, name: "cacerts", ..kind("", "v1", "Secret", "secrets") },
    kind("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    kind("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
    kind("gateway.networking.k8s.io", "v1", "Gateway", "gateways"),
    kind("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses"),
    kind("networking.istio.io", "v1", "Gateway", "gateways"),
    kind("networking.istio.io", "v1", "DestinationRule", "destinationrules"),
    kind("networking.istio.io", "v1", "ServiceEntry", "serviceentries"),
    kind("networking.istio.io", "v1", "WorkloadEntry", "workloadentries"),
    kind("networking.istio.io", "v1", "Sidecar", "sidecars"),
    kind("security.istio.io", "v1", "PeerAuthentication", "peerauthentications"),
    kind("security.istio.io", "v1", "AuthorizationPolicy", "authorizationpolicies"),
    kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
];

/// The namespace istiod lives in where nothing tells another.
pub(super) const ISTIOD_NAMESPACE: &str = "istio-system";

impl Kind {
    fn resource(&self) -> ApiResource {
        let gvk = GroupVersionKind::gvk(self.group, self.version, self.kind);
        ApiResource::from_gvk_with_plural(&gvk, self.plural)
    }

    /// Where it is listed.
    pub fn api(&self, client: &Client) -> Api<DynamicObject> {
        let resource = self.resource();
        match self.only_istiod {
            true => Api::namespaced_with(client.clone(), ISTIOD_NAMESPACE, &resource),
            false => Api::all_with(client.clone(), &resource),
        }
    }

    /// Whether what it lists is all there is of the kind, in its namespaces.
    fn is_whole(&self) -> bool {
        self.labels.is_empty() && self.name.is_empty()
    }

    /// The namespace in which it is listed; empty for all.
    pub fn namespace(&self) -> &'static str {
        if self.only_istiod { ISTIOD_NAMESPACE } else { "" }
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
    pub fn command(&self) -> String {
        let place = match self.namespace() {
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
pub(super) fn plain_object(kind: &Kind, mut object: DynamicObject) -> DynamicObject {
    let resource = kind.resource();
    object.types = Some(TypeMeta { api_version: resource.api_version, kind: resource.kind });
    object.metadata.managed_fields = None;
    object
}

/// One watch, and what it has said so far.
struct Watch {
    cluster: String,
    kind: &'static Kind,
    origin: SharedOrigin,
    feed: Feed,
    /// Namespace and name of all that is there.
    there: BTreeSet<(String, String)>,
    /// Of those, what a new list has not repeated yet.
    missing: BTreeSet<(String, String)>,
    /// Which logs are followed: told by pods.
    followers: Option<Followers>,
}

/// Watches all kinds until nobody listens.
pub(super) async fn watch(cluster: &str, client: &Client, feed: &Feed, followers: Followers) {
    let untried = Arc::new(AtomicUsize::new(KINDS.len()));
    let mut followers = Some(followers);
    let mut tasks = JoinSet::new();
    for kind in KINDS {
        let watch = Watch {
            cluster: cluster.to_string(),
            kind,
            origin: Arc::new(Origin::new(cluster, &format!("{cluster}/{}", kind.title()))),
            feed: feed.clone(),
            there: BTreeSet::new(),
            missing: BTreeSet::new(),
            followers: followers.take_if(|_| kind.kind == "Pod"),
        };
        tasks.spawn(watch.run(client.clone(), Arc::clone(&untried)));
    }
    while tasks.join_next().await.is_some() {}
}

impl Watch {
    async fn run(mut self, client: Client, untried: Arc<AtomicUsize>) -> Result<(), Deaf> {
        let mut stream = pin!(watcher::watcher(self.kind.api(&client), self.kind.config()));
        let mut backoff = Backoff::default();
        let mut is_tried = false;
        while let Some(event) = stream.next().await {
            // A list under way says nothing yet.
            let is_answer = !matches!(event, Ok(Event::Init | Event::InitApply(_)));
            let pause = match event {
                Ok(event) => {
                    self.take(event).await?;
                    if is_answer && backoff.is_failing() {
                        backoff.reset();
                        self.feed.trouble(&self.cluster, format!("{} are watched again", self.kind.title())).await?;
                    }
                    Duration::ZERO
                }
                Err(error) => self.fail(&error, &mut backoff).await?,
            };
            if is_answer && !std::mem::replace(&mut is_tried, true) {
                self.tried(&untried).await?;
            }
            if !pause.is_zero() {
                sleep(pause).await;
            }
        }
        Ok(())
    }

    /// The last kind to be listed, or refused, makes the cluster ready.
    async fn tried(&self, untried: &AtomicUsize) -> Result<(), Deaf> {
        if untried.fetch_sub(1, Ordering::AcqRel) == 1 {
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
        if !self.kind.is_whole() {
            return Ok(());
        }
        let namespace = self.kind.namespace();
        let (kind, group) = (self.kind.kind.into(), self.kind.group.into());
        self.feed.state(&self.origin, now(), State::Listed { kind, group, namespace: namespace.into() }).await
    }

    async fn seen(&mut self, object: DynamicObject) -> Result<(), Deaf> {
        let key = key(&object);
        self.missing.remove(&key);
        self.there.insert(key);
        let object = plain_object(self.kind, object);
        let Ok(bytes) = serde_json::to_vec(&object) else { return Ok(()) };
        if let Some(followers) = &mut self.followers
            && let Ok(pod) = serde_json::from_slice::<Pod>(&bytes)
        {
            followers.seen(&pod).await?;
        }
        let losses = match self.feed.document(&self.origin, &bytes, now()).await? {
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
        let object = Object {
            kind: self.kind.kind.into(),
            group: self.kind.group.into(),
            namespace: namespace.as_str().into(),
            name: name.as_str().into(),
            ..Object::default()
        };
        self.feed.state(&self.origin, now(), State::Gone(Arc::new(object))).await
    }

    /// Says what does not work, once until it works again; returns how long to wait.
    async fn fail(&self, error: &watcher::Error, backoff: &mut Backoff) -> Result<Duration, Deaf> {
        let code = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchFailed(kube::Error::Api(status))
            | watcher::Error::WatchError(status) => status.code,
            _ => 0,
        };
        match code {
            // Too old a version: it is listed anew at once, and nothing is lost.
            410 => return Ok(Duration::ZERO),
            // The kind is not installed: there are none.
            404 => {
                self.listed().await?;
                return Ok(REFUSED_PAUSE);
            }
            _ => {}
        }
        let is_first = !backoff.is_failing();
        let pause = backoff.next();
        if is_first {
            let title = self.kind.title();
            let what = match code {
                401 => format!("{title} cannot be watched: the API server does not accept the credentials (401)"),
                403 => format!("{title} may not be watched (403): what they would show is not found"),
                _ => format!("{title} cannot be watched: {}; it is tried again", plain(error)),
            };
            self.feed.trouble(&self.cluster, what).await?;
        }
        Ok(if code == 403 { REFUSED_PAUSE } else { pause })
    }
}

fn key(object: &DynamicObject) -> (String, String) {
    (object.metadata.namespace.clone().unwrap_or_default(), object.name_any())
}
