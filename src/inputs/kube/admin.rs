//! What proxies and istiods of a cluster say of themselves: istiods on a schedule, proxies when a symptom names them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use meshwhy_parsers::origin::{Origin, Role, SharedOrigin};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::inputs::admin::{self, Declined, Program, Request};
use crate::inputs::clock::now;
use crate::inputs::source::{Deaf, Feed, Read, Said, Status};

/// How often an istiod is asked.
const PERIOD: Duration = Duration::from_secs(30);
/// How long after an answer the same proxy is not asked again, whatever names it.
const REST: Duration = Duration::from_secs(30);
/// Pods that are remembered as asked.
const RESTING_MAX: usize = 10_000;

/// What an istiod is asked.
const OF_ISTIOD: &[&str] = &["/version", "/debug/clusterz", "/debug/networkz", "/debug/mesh", "/debug/endpointShardz"];
/// What an Envoy is asked.
const OF_ENVOY: &[&str] = &["/config_dump?include_eds", "/clusters?format=json", "/certs"];
/// What a ztunnel is asked.
const OF_ZTUNNEL: &[&str] = &["/config_dump"];

/// What a pod of this role is asked; `None` for one that says nothing of itself.
pub(super) fn questions(role: Role) -> Option<(Program, &'static [&'static str])> {
    match role {
        Role::Istiod => Some((Program::Istiod, OF_ISTIOD)),
        Role::Ztunnel => Some((Program::Ztunnel, OF_ZTUNNEL)),
        Role::Gateway | Role::Waypoint | Role::Sidecar => Some((Program::Envoy, OF_ENVOY)),
        _ => None,
    }
}

/// The origin of an answer, where saved state keeps it: `east/istio-system/istiod-1/debug/clusterz`.
pub(super) fn document_of(pod: &Origin, path: &str) -> SharedOrigin {
    let endpoint = path.split('?').next().unwrap_or(path);
    let file = format!("{}/{}/{}{endpoint}", pod.cluster, pod.namespace, pod.pod);
    Arc::new(Origin { file: file.into(), container: "".into(), ..pod.clone() })
}

/// Asks the pods that it is told of, until nobody listens.
pub(super) async fn ask(client: Client, feed: Feed, mut wanted: mpsc::Receiver<SharedOrigin>) -> Result<(), Deaf> {
    let mut asker = Asker {
        client,
        feed,
        asked: BTreeMap::new(),
        istiods: BTreeMap::new(),
        lost: BTreeSet::new(),
        is_refused: false,
    };
    let mut due = Instant::now() + PERIOD;
    loop {
        tokio::select! {
            pod = wanted.recv() => match pod {
                Some(pod) => asker.wanted(&pod).await?,
                None => return Ok(()),
            },
            () = sleep_until(due) => {
                due = Instant::now() + PERIOD;
                for istiod in asker.istiods.values().cloned().collect::<Vec<_>>() {
                    asker.pod(&istiod).await?;
                }
            }
        }
    }
}

struct Asker {
    client: Client,
    feed: Feed,
    /// When a pod was last asked, by namespace and name.
    asked: BTreeMap<(Box<str>, Box<str>), Instant>,
    istiods: BTreeMap<Box<str>, SharedOrigin>,
    /// What was said to be lost.
    lost: BTreeSet<String>,
    /// Whether port-forwards are not allowed, which was said.
    is_refused: bool,
}

impl Asker {
    /// A pod that a symptom names, or an istiod that was found.
    async fn wanted(&mut self, pod: &SharedOrigin) -> Result<(), Deaf> {
        if pod.role == Role::Istiod {
            self.istiods.insert(pod.pod.clone(), Arc::clone(pod));
        }
        let key = (pod.namespace.clone(), pod.pod.clone());
        if self.asked.get(&key).is_some_and(|at| at.elapsed() < REST) {
            return Ok(());
        }
        if RESTING_MAX <= self.asked.len() {
            self.asked.retain(|_, at| at.elapsed() < REST);
        }
        self.asked.insert(key, Instant::now());
        self.pod(pod).await
    }

    async fn pod(&mut self, pod: &Origin) -> Result<(), Deaf> {
        let Some((program, paths)) = questions(pod.role) else { return Ok(()) };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
        for path in paths {
            let Ok(request) = Request::new(program, path) else { continue };
            let bytes = match admin::get(&pods, &pod.pod, &request, self.feed.limits.answer_bytes_max).await {
                Ok(bytes) => bytes,
                // The other endpoints may be there.
                Err(error) if error.is::<Declined>() => continue,
                Err(error) => {
                    if !self.is_refused {
                        self.is_refused = true;
                        let what = format!("{}/{} cannot be asked for {path}: {error:#}", pod.namespace, pod.pod);
                        self.feed.trouble(&pod.cluster, what).await?;
                    }
                    // The others would not answer either.
                    return Ok(());
                }
            };
            self.is_refused = false;
            let origin = document_of(pod, path);
            let losses = match self.feed.document(&origin, &bytes, now()).await? {
                Read::Broken(error) => vec![error],
                Read::Said(losses) => losses,
                Read::Unknown => Vec::new(),
            };
            for loss in losses {
                let what = format!("{}: {loss}", origin.file);
                // The same answer comes every time.
                if self.lost.len() < RESTING_MAX && self.lost.insert(what.clone()) {
                    self.feed.say(Said::Status(Status::Lost { what })).await?;
                }
            }
        }
        Ok(())
    }
}
