//! Which logs of a cluster are followed: those of the mesh's own pods, and of those a person chose, as pods come and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{Api, Client};
use meshwhy_parsers::origin::{Origin, Role};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::backoff::Rest;
use super::log::{Log, Standing};
use super::troubles::Troubles;
use super::{Watched, admin};
use crate::inputs::source::{Deaf, Feed, Said, Status};

/// How many logs are asked for at the same time.
const CONNECTING_MAX: usize = 16;

/// The logs that are followed.
pub(super) struct Followers {
    cluster: String,
    client: Client,
    watched: Watched,
    feed: Feed,
    followed: BTreeMap<Key, watch::Sender<Standing>>,
    tasks: JoinSet<Result<(), Deaf>>,
    connecting: Arc<Semaphore>,
    rest: Rest,
    troubles: Arc<Troubles>,
    /// The istiods and gateways among those that are followed.
    standing: watch::Sender<admin::Standing>,
    /// Logs not followed, as there are too many.
    refused: usize,
}

/// Namespace, pod, container.
type Key = (String, String, String);

impl Followers {
    /// Follows nothing yet.
    pub fn new(cluster: String, client: Client, rest: Rest, watched: Watched, feed: Feed) -> Followers {
        Followers {
            rest,
            troubles: Arc::new(Troubles::new(&cluster, &feed, "logs followed again")),
            standing: watch::Sender::default(),
            cluster,
            client,
            watched,
            feed,
            followed: BTreeMap::new(),
            tasks: JoinSet::new(),
            connecting: Arc::new(Semaphore::new(CONNECTING_MAX)),
            refused: 0,
        }
    }

    /// Tells of the istiods and gateways as they come and go.
    pub fn standing(&self) -> watch::Receiver<admin::Standing> {
        self.standing.subscribe()
    }

    /// A pod is there, or changed.
    pub async fn seen(&mut self, pod: &Pod) -> Result<(), Deaf> {
        while self.tasks.try_join_next().is_some() {}
        let (Some(namespace), Some(name)) = (&pod.metadata.namespace, &pod.metadata.name) else { return Ok(()) };
        let Some((container, role)) = wanted(pod, &self.watched) else { return Ok(()) };
        let Some(restarts) = restarts(pod, &container) else { return Ok(()) };
        let standing = Standing { restarts, is_gone: false };
        let key = (namespace.clone(), name.clone(), container);
        if let Some(followed) = self.followed.get(&key) {
            followed.send_if_modified(|known| std::mem::replace(known, standing) != standing);
            return Ok(());
        }
        if self.feed.limits.followed_max <= self.followed.len() {
            self.refused += 1;
            if self.refused == 1 {
                let what = format!(
                    "more than {} logs of {} could be followed: the log of {namespace}/{name} and later ones are not",
                    self.feed.limits.followed_max, self.cluster
                );
                self.feed.say(Said::Status(Status::Lost { what })).await?;
            }
            return Ok(());
        }
        let (to, of) = watch::channel(standing);
        let origin = Arc::new(Origin {
            cluster: self.cluster.as_str().into(),
            namespace: namespace.as_str().into(),
            pod: name.as_str().into(),
            container: key.2.as_str().into(),
            file: format!("{}/{namespace}/{name}/{}", self.cluster, key.2).into(),
            role,
        });
        if matches!(role, Role::Istiod | Role::Gateway) {
            self.standing.send_if_modified(|standing| standing.insert(Arc::clone(&origin)));
        }
        let log = Log {
            origin,
            pods: Api::namespaced(self.client.clone(), namespace),
            since: self.watched.since,
            scan: self.watched.scan,
            feed: self.feed.clone(),
            standing: of,
            connecting: Arc::clone(&self.connecting),
            rest: self.rest.clone(),
            troubles: Arc::clone(&self.troubles),
        };
        self.followed.insert(key, to);
        self.tasks.spawn(log.follow());
        self.tell().await
    }

    /// A pod is no more.
    pub async fn gone(&mut self, namespace: &str, name: &str) -> Result<(), Deaf> {
        let before = self.followed.len();
        self.followed.retain(|(of, pod, _), followed| {
            let is_it = of == namespace && pod == name;
            if is_it {
                followed.send_modify(|standing| standing.is_gone = true);
            }
            !is_it
        });
        self.standing.send_if_modified(|standing| {
            let before = standing.len();
            standing.retain(|origin| (&*origin.namespace, &*origin.pod) != (namespace, name));
            standing.len() != before
        });
        if self.followed.len() == before { Ok(()) } else { self.tell().await }
    }

    async fn tell(&self) -> Result<(), Deaf> {
        let status = Status::Following { cluster: self.cluster.clone(), logs: self.followed.len() };
        self.feed.say(Said::Status(status)).await
    }
}

/// The container of a pod whose log is wanted, and what it is.
fn wanted(pod: &Pod, watched: &Watched) -> Option<(String, Role)> {
    let (container, role) = part_of_mesh(pod)?;
    // Every pod may have a sidecar, and what enters from outside is no matter between clusters.
    if role != Role::Sidecar && (role != Role::Gateway || is_between_clusters(pod)) {
        return Some((container.to_string(), role));
    }
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let is_chosen = watched.also.iter().any(|selection| selection.selects(namespace, |key| label(pod, key)));
    is_chosen.then(|| (container.to_string(), role))
}

/// The container by which a pod is part of the mesh, and what it is.
pub(super) fn part_of_mesh(pod: &Pod) -> Option<(&'static str, Role)> {
    let is = |key: &str, value: &str| label(pod, key).is_some_and(|of| of == value);
    let containers = || pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let has = |name: &str| containers().any(|container| container.name == name);
    let (container, role) = match () {
        () if is("app", "istiod") => ("discovery", Role::Istiod),
        () if is("app", "ztunnel") => ("istio-proxy", Role::Ztunnel),
        () if is("k8s-app", "istio-cni-node") => ("install-cni", Role::Cni),
        () if is("gateway.istio.io/managed", "istio.io-mesh-controller") => ("istio-proxy", Role::Waypoint),
        () if is_between_clusters(pod) || label(pod, "istio").is_some_and(|of| of.ends_with("gateway")) => {
            ("istio-proxy", Role::Gateway)
        }
        () => ("istio-proxy", Role::Sidecar),
    };
    has(container).then_some((container, role))
}

/// Whether a gateway is one that other clusters may come through: all that the Gateway API made, and east-west gateways.
fn is_between_clusters(pod: &Pod) -> bool {
    let is = |key: &str, value: &str| label(pod, key).is_some_and(|of| of == value);
    label(pod, "gateway.networking.k8s.io/gateway-name").is_some()
        || is("istio", "eastwestgateway")
        || is("app", "istio-eastwestgateway")
}

fn label(pod: &Pod, key: &str) -> Option<String> {
    pod.metadata.labels.as_ref()?.get(key).cloned()
}

/// How often a container was restarted; `None` while it has not begun.
fn restarts(pod: &Pod, container: &str) -> Option<i64> {
    let status = pod.status.as_ref()?;
    let all = || status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let of: &ContainerStatus = all().find(|status| status.name == container)?;
    let state = of.state.as_ref()?;
    let has_begun = state.running.is_some() || state.terminated.is_some() || 0 < of.restart_count;
    has_begun.then_some(i64::from(of.restart_count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::kube::{Selection, Since};
    use meshwhy_parsers::frame::Scan;
    use std::time::Duration;

    fn pod(labels: &str, containers: &str) -> Pod {
        let containers: Vec<String> =
            containers.split(' ').map(|name| format!(r#"{{"name": "{name}", "image": "x"}}"#)).collect();
        let json = format!(
            r#"{{"metadata": {{"name": "p", "namespace": "shop", "labels": {labels}}},
                 "spec": {{"containers": [{}]}}}}"#,
            containers.join(",")
        );
        serde_json::from_str(&json).expect("a pod")
    }

    fn watched(also: &str) -> Watched {
        let also = Selection::parse(also).into_iter().collect();
        Watched { since: Since::Ago(Duration::from_secs(1)), scan: Scan::On, also }
    }

    #[test]
    fn the_meshs_own_logs_are_followed_and_those_that_are_chosen() {
        let role = |labels: &str, containers: &str, also: &str| wanted(&pod(labels, containers), &watched(also));
        let named = |name: &str, role: Role| Some((name.to_string(), role));
        assert_eq!(role(r#"{"app": "istiod"}"#, "discovery", ""), named("discovery", Role::Istiod));
        assert_eq!(role(r#"{"app": "ztunnel"}"#, "istio-proxy", ""), named("istio-proxy", Role::Ztunnel));
        assert_eq!(role(r#"{"k8s-app": "istio-cni-node"}"#, "install-cni", ""), named("install-cni", Role::Cni));
        assert_eq!(role(r#"{"istio": "eastwestgateway"}"#, "istio-proxy", ""), named("istio-proxy", Role::Gateway));
        let waypoint = r#"{"gateway.istio.io/managed": "istio.io-mesh-controller"}"#;
        assert_eq!(role(waypoint, "istio-proxy", ""), named("istio-proxy", Role::Waypoint));
        assert_eq!(role(r#"{"app": "cart"}"#, "cart istio-proxy", ""), None, "a sidecar that nobody chose");
        let chosen = role(r#"{"app": "cart"}"#, "cart istio-proxy", "shop/app=cart");
        assert_eq!(chosen, named("istio-proxy", Role::Sidecar));
        assert_eq!(role(r#"{"app": "cart"}"#, "cart", "shop/app=cart"), None, "an application without a sidecar");
    }
}
