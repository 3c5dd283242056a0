//! What proxies and istiods of a cluster say of themselves: istiods and gateways on a schedule, proxies when a symptom
//! names them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use meshwhy_parsers::origin::{Origin, Role, SharedOrigin};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::plain;
use super::troubles::Troubles;
use crate::inputs::admin::{self, Declined, Program, Request};
use crate::inputs::source::{Deaf, Feed, Read, Said, Status};

/// How often it is looked whom to ask.
const PERIOD: Duration = Duration::from_secs(30);
/// How often a gateway is asked that nothing names: what it holds changes with the mesh, and its dump is long.
const GATEWAY_PERIOD: Duration = Duration::from_secs(300);
/// How long after an answer the same proxy is not asked again, whatever names it.
const REST: Duration = Duration::from_secs(30);

/// What a pod of this role is asked as; `None` for one that says nothing of itself.
pub(super) fn program(role: Role) -> Option<Program> {
    match role {
        Role::Istiod => Some(Program::Istiod),
        Role::Ztunnel => Some(Program::Ztunnel),
        Role::Gateway | Role::Waypoint | Role::Sidecar => Some(Program::Envoy),
        _ => None,
    }
}

/// The origin of an answer, where saved state keeps it: `east/istio-system/istiod-1/debug/clusterz`.
pub(super) fn document_of(pod: &Origin, path: &str) -> SharedOrigin {
    let endpoint = path.split('?').next().unwrap_or(path);
    let file = format!("{}/{}/{}{endpoint}", pod.cluster, pod.namespace, pod.pod);
    Arc::new(Origin { file: file.into(), container: "".into(), ..pod.clone() })
}

/// The istiods and gateways of a cluster that are there: they are asked whatever happens.
pub(super) type Standing = BTreeSet<SharedOrigin>;

/// Asks the pods that it is told of, and those that stand there, until nobody listens.
pub(super) async fn ask(
    client: Client,
    feed: Feed,
    cluster: &str,
    mut wanted: mpsc::Receiver<SharedOrigin>,
    mut standing: watch::Receiver<Standing>,
) -> Result<(), Deaf> {
    let mut asker = Asker {
        client,
        troubles: Troubles::new(cluster, &feed, "answers again"),
        feed,
        asked: BTreeMap::new(),
        waiting: VecDeque::new(),
        busy: BTreeSet::new(),
        answers: JoinSet::new(),
        lost: BTreeSet::new(),
    };
    let mut due = Instant::now() + PERIOD;
    loop {
        tokio::select! {
            pod = wanted.recv() => match pod {
                Some(pod) => asker.want(&pod, REST),
                None => return Ok(()),
            },
            Some(answered) = asker.answers.join_next() => {
                if let Ok(answered) = answered {
                    asker.answered(answered?).await?;
                }
            }
            Ok(()) = standing.changed() => asker.want_all(&standing.borrow_and_update()),
            () = sleep_until(due) => {
                due = Instant::now() + PERIOD;
                asker.want_all(&standing.borrow());
            }
        }
        asker.begin();
    }
}

/// Whom to ask: a bounded number at once, so that one who is silent delays nobody.
struct Asker {
    client: Client,
    feed: Feed,
    troubles: Troubles,
    /// When a pod was last asked.
    asked: BTreeMap<SharedOrigin, Instant>,
    waiting: VecDeque<SharedOrigin>,
    /// Those that wait or are being asked.
    busy: BTreeSet<SharedOrigin>,
    answers: JoinSet<Result<Answered, Deaf>>,
    /// What was said to be lost: the same answer comes every time.
    lost: BTreeSet<String>,
}

/// What came of asking a pod.
struct Answered {
    pod: SharedOrigin,
    /// The path it did not answer, and why.
    refused: Option<(&'static str, String)>,
    /// What of its answers was not read, one sentence each.
    lost: Vec<String>,
}

impl Asker {
    fn want_all(&mut self, standing: &Standing) {
        for pod in standing {
            self.want(pod, if pod.role == Role::Gateway { GATEWAY_PERIOD } else { PERIOD });
        }
    }

    /// Has a pod asked, unless it is or was so short a time ago; where too many wait, it is named again.
    fn want(&mut self, pod: &SharedOrigin, rest: Duration) {
        let is_rested = self.asked.get(pod).is_none_or(|at| rest <= at.elapsed());
        if is_rested && self.waiting.len() < self.feed.limits.asking_max && self.busy.insert(Arc::clone(pod)) {
            self.waiting.push_back(Arc::clone(pod));
        }
    }

    /// Asks the next ones.
    fn begin(&mut self) {
        while self.answers.len() < self.feed.limits.asked_at_once_max
            && let Some(pod) = self.waiting.pop_front()
        {
            self.answers.spawn(ask_pod(self.client.clone(), self.feed.clone(), pod));
        }
    }

    async fn answered(&mut self, Answered { pod, refused, lost }: Answered) -> Result<(), Deaf> {
        self.busy.remove(&pod);
        if self.feed.limits.remembered_max <= self.asked.len() {
            self.asked.retain(|_, at| at.elapsed() < REST);
        }
        let title = format!("{}/{}", pod.namespace, pod.pod);
        self.asked.insert(pod, Instant::now());
        for what in lost {
            if self.lost.len() < self.feed.limits.remembered_max && self.lost.insert(what.clone()) {
                self.feed.say(Said::Status(Status::Lost { what })).await?;
            }
        }
        let Some((path, why)) = refused else { return self.troubles.end(&title).await };
        self.troubles.begin(&title, &why, || format!("{title} cannot be asked for {path}: {why}")).await
    }
}

/// Asks a pod all there is to ask it.
async fn ask_pod(client: Client, feed: Feed, pod: SharedOrigin) -> Result<Answered, Deaf> {
    let mut answered = Answered { pod: Arc::clone(&pod), refused: None, lost: Vec::new() };
    let Some(program) = program(pod.role) else { return Ok(answered) };
    let pods: Api<Pod> = Api::namespaced(client, &pod.namespace);
    for path in program.questions() {
        let Ok(request) = Request::new(program, path) else { continue };
        let bytes = match admin::get(&pods, &pod.pod, &request, feed.limits.answer_bytes_max).await {
            Ok(bytes) => bytes,
            // The other endpoints may be there.
            Err(error) if error.is::<Declined>() => continue,
            Err(error) => {
                // They would not answer either.
                answered.refused = Some((path, plain(error.as_ref())));
                return Ok(answered);
            }
        };
        let origin = document_of(&pod, path);
        let losses = match feed.document(&origin, &bytes, feed.clock.now()).await? {
            Read::Broken(error) => vec![error],
            Read::Said(losses) => losses,
            Read::Unknown => vec![format!("it answers something that is no {}: nothing of it is read", noun(path))],
        };
        answered.lost.extend(losses.into_iter().map(|loss| format!("{}: {loss}", origin.file)));
    }
    Ok(answered)
}

/// What an endpoint answers with.
fn noun(path: &str) -> &'static str {
    match path.split('?').next().unwrap_or(path) {
        "/config_dump" => "config dump",
        "/clusters" => "list of clusters",
        "/certs" => "list of certificates",
        "/version" => "version",
        _ => "answer of an istiod",
    }
}
