//! What a cluster says when it is asked once: its objects, what its istiods and proxies say of themselves, recent logs.
//!
//! Three questions, each within its own deadline: [`objects`] lists what `tail` watches and tells which pods are parts of
//! the mesh; [`pods`] asks chosen ones of them what they say of themselves; [`logs`] reads their logs without following.
//! Each answer goes out as it came, so that it can be kept, and can be read into what the engine takes. What is refused
//! or does not come is said, and the rest goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{AsyncReadExt, FutureExt, StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use meshwhy_parsers::document::{self, Found};
use meshwhy_parsers::event::{Event, Fact};
use meshwhy_parsers::frame::{Framer, Scan};
use meshwhy_parsers::origin::{Origin, Role, SharedOrigin};
use meshwhy_parsers::state::State;
use meshwhy_parsers::time::Time;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout_at;

use super::Cluster;
use super::admin::{document_of, program};
use super::objects::{Kind, kinds_by_title};
pub use super::question::Part;
use super::question::{Questions, why};
use crate::inputs::admin::{self, Declined, Request};
use crate::inputs::clock::now;
use crate::inputs::source::{Deaf, LiveLimits};
use crate::inputs::{Counts, Item};

/// How many questions a cluster is asked at the same time.
const AT_ONCE: usize = 4;
/// How many things that are refused for the same reason are named; further ones are counted.
const NAMED_MAX: usize = 5;

/// What an istiod is asked beside what it is asked again and again: long answers.
const ONCE_OF_ISTIOD: &[&str] = &["/debug/syncz", "/debug/registryz", "/debug/ambientz"];

/// What comes of asking.
#[derive(Debug)]
pub enum Gathered {
    /// Something was answered.
    Answer(Answer),
    /// Something was not.
    Refused(Refused),
}

/// Something that was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Cluster.
    pub cluster: String,
    /// What it is and why, as a sentence.
    pub what: String,
    /// Whether nothing of the cluster can be known.
    pub is_all: bool,
}

/// One answer, as it came. Secrets are in it: what keeps it takes them out first.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Whose it is. Its file is where saved state keeps such a thing: `east/pods.json`,
    /// `east/istio-system/istiod-1/debug/clusterz`, `east/shop/cart-1/istio-proxy.log`.
    pub origin: SharedOrigin,
    /// The command that prints such a list, `kubectl get pods -A -o json`; empty for what pods say.
    pub command: String,
    /// When it was answered.
    pub taken: Option<Time>,
    /// What it is.
    pub what: What,
    /// Its bytes: a `List` of objects as JSON, the body of an admin or debug endpoint, lines with their timestamps.
    pub bytes: Vec<u8>,
}

/// What an answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Objects of a kind.
    Objects {
        /// Kind, API group, and namespace (empty for all) of which it lists all there is; `None` where it is a choice.
        whole: Option<(&'static str, &'static str, String)>,
    },
    /// What a pod says of itself.
    Document,
    /// Lines of a container.
    Log,
}

/// What was read of an answer.
#[derive(Debug, Default)]
pub struct Reading {
    /// What it says, in its order.
    pub items: Vec<Item>,
    /// How much it was.
    pub counts: Counts,
    /// What of it could not be read, one sentence each.
    pub losses: Vec<String>,
}

impl Answer {
    /// Reads it as saved files are read.
    pub fn read(&self, scan: Scan) -> Reading {
        match &self.what {
            What::Log => self.lines(scan),
            What::Objects { whole } => {
                let mut reading = self.document();
                if let Some((kind, group, namespace)) = whole {
                    let (kind, group, namespace) = ((*kind).into(), (*group).into(), namespace.as_str().into());
                    reading.items.push(self.event(None, State::Listed { kind, group, namespace }));
                }
                reading
            }
            What::Document => self.document(),
        }
    }

    fn document(&self) -> Reading {
        let document = match document::read(&self.bytes, Found { path: &self.origin.file, command: &self.command }) {
            None => return Reading::default(),
            Some(Err(error)) => {
                let losses = vec![format!("{}: {error}", self.origin.file)];
                return Reading { losses, ..Reading::default() };
            }
            Some(Ok(document)) => document,
        };
        // What is listed to its end is known better here than words of a command tell.
        let is_listed = |fact: &Fact| matches!(fact, Fact::State(state) if matches!(**state, State::Listed { .. }));
        let said = document.facts.into_iter().filter(|(_, fact)| !is_listed(fact));
        let items =
            said.map(|(at, fact)| Item::Event(Event::of_document(Arc::clone(&self.origin), at, self.taken, fact)));
        Reading {
            items: items.collect(),
            counts: Counts { documents: 1, ..Counts::default() },
            losses: document.losses.into_iter().map(|loss| format!("{}: {loss}", self.origin.file)).collect(),
        }
    }

    fn event(&self, at: Option<Time>, state: State) -> Item {
        let fact = Fact::State(Box::new(state));
        Item::Event(Event::of_document(Arc::clone(&self.origin), at, self.taken, fact))
    }

    fn lines(&self, scan: Scan) -> Reading {
        let mut items = Vec::new();
        let mut framer = Framer::at(Arc::clone(&self.origin), scan, 0);
        framer.push(&self.bytes, &mut |line| items.push(Item::Line(line)));
        framer.finish(&mut |line| items.push(Item::Line(line)));
        let counts = framer.counts();
        let counts = Counts { files: 1, documents: 0, lines: counts.lines, quiet: counts.quiet };
        Reading { items, counts, losses: Vec::new() }
    }
}

/// Which lines of logs are read.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    /// From so long ago on; all that the node still has where `None`.
    pub since: Option<Duration>,
    /// Those of the container before the last restart.
    pub previous: bool,
}

/// The nothing that is known of a cluster that was not reached: as long as nothing more is said, nothing is known of it.
pub fn unknown(cluster: &str) -> Event {
    let origin = Arc::new(Origin::new(cluster, cluster));
    Event::of_document(origin, None, None, Fact::State(Box::new(State::Gone(Arc::default()))))
}

/// Lists all kinds of objects that are watched, until the deadline; returns the pods that are parts of the mesh, by name.
pub async fn objects(cluster: &Cluster, limits: &LiveLimits, to: &Sender<Gathered>) -> Result<Vec<Part>, Deaf> {
    let asking = Asking::of(cluster, limits, to);
    if let Err(why) = asking.questions.reach().await {
        let refused = Refused { cluster: cluster.name.clone(), what: why, is_all: true };
        to.send(Gathered::Refused(refused)).await.map_err(|_| Deaf)?;
        return Ok(Vec::new());
    }
    let (of_istiod, others): (Vec<_>, Vec<_>) =
        kinds_by_title().into_iter().partition(|(_, kinds)| kinds.iter().any(|kind| kind.only_istiod));
    let mut parts = asking.list_all(others, &[]).await?;
    // Where istiods are is known by now.
    let istiods = parts.iter().filter(|part| part.origin.role == Role::Istiod);
    let mut namespaces: BTreeSet<String> = istiods.map(|part| part.origin.namespace.to_string()).collect();
    if namespaces.is_empty() {
        namespaces.insert(cluster.istio_namespace.clone());
    }
    asking.list_all(of_istiod, &Vec::from_iter(namespaces)).await?;
    parts.sort_by(|one: &Part, other| one.origin.cmp(&other.origin));
    Ok(parts)
}

/// Asks pods what they say of themselves, until the deadline.
pub async fn pods(cluster: &Cluster, parts: &[Part], limits: &LiveLimits, to: &Sender<Gathered>) -> Result<(), Deaf> {
    let asking = Asking::of(cluster, limits, to);
    let asked: Vec<_> = parts.iter().map(|part| asking.pod(part).boxed()).collect();
    asking.all(asked, "cannot be asked").await
}

/// Reads logs of pods, until the deadline.
pub async fn logs(
    cluster: &Cluster,
    parts: &[Part],
    lines: Lines,
    limits: &LiveLimits,
    to: &Sender<Gathered>,
) -> Result<(), Deaf> {
    let asking = Asking::of(cluster, limits, to);
    let read: Vec<_> = parts.iter().map(|part| asking.log(part, lines).boxed()).collect();
    asking.all(read, "cannot be read").await
}

/// A cluster that is being asked.
struct Asking<'a> {
    questions: Questions<'a>,
    to: &'a Sender<Gathered>,
}

/// Why something was refused, and what: `None` where it was answered.
type Outcome = Option<(String, String)>;

impl<'a> Asking<'a> {
    fn of(cluster: &'a Cluster, limits: &'a LiveLimits, to: &'a Sender<Gathered>) -> Asking<'a> {
        Asking { questions: Questions::of(cluster, limits), to }
    }

    async fn say(&self, gathered: Gathered) -> Result<(), Deaf> {
        self.to.send(gathered).await.map_err(|_| Deaf)
    }

    /// Puts questions, a few at a time; says what is refused, once for each reason.
    async fn all(&self, questions: Vec<BoxFuture<'_, Result<Outcome, Deaf>>>, verb: &str) -> Result<(), Deaf> {
        let mut answers = stream::iter(questions).buffer_unordered(AT_ONCE);
        let mut refusals: BTreeMap<String, Vec<String>> = BTreeMap::new();
        while let Some(asked) = answers.next().await {
            if let Some((why, what)) = asked? {
                refusals.entry(why).or_default().push(what);
            }
        }
        self.refuse(verb, refusals).await
    }

    /// Says what was refused, once for each reason.
    async fn refuse(&self, verb: &str, refusals: BTreeMap<String, Vec<String>>) -> Result<(), Deaf> {
        for (why, mut all) in refusals {
            all.sort();
            let others = all.split_off(all.len().min(NAMED_MAX)).len();
            let others = if others == 0 { String::new() } else { format!(" and {others} more") };
            let what = format!("{}: {}{others} {verb}: {why}", self.questions.cluster, all.join(", "));
            self.say(Gathered::Refused(Refused { cluster: self.questions.cluster.to_string(), what, is_all: false }))
                .await?;
        }
        Ok(())
    }

    /// Lists objects of all these titles; returns the parts of the mesh among them.
    async fn list_all(
        &self,
        titles: Vec<(String, Vec<&'static Kind>)>,
        namespaces: &[String],
    ) -> Result<Vec<Part>, Deaf> {
        // Boxed, here and below: of futures that borrow, made by closures, nobody can tell that they may change threads.
        let listing: Vec<_> =
            titles.into_iter().map(|(title, kinds)| self.list(title, kinds, namespaces).boxed()).collect();
        let mut listing = stream::iter(listing).buffer_unordered(AT_ONCE);
        let (mut parts, mut refusals) = (Vec::new(), BTreeMap::<String, Vec<String>>::new());
        while let Some(listed) = listing.next().await {
            let (found, refused) = listed?;
            parts.extend(found);
            refused.into_iter().for_each(|(why, title)| refusals.entry(why).or_default().push(title));
        }
        self.refuse("cannot be listed", refusals).await?;
        Ok(parts)
    }

    /// Lists objects of one title, those of istiod's alone in these namespaces; returns the parts of the mesh among them.
    async fn list(
        &self,
        title: String,
        kinds: Vec<&'static Kind>,
        namespaces: &[String],
    ) -> Result<(Vec<Part>, Outcome), Deaf> {
        let (mut bytes, mut parts) = (br#"{"apiVersion":"v1","kind":"List","items":["#.to_vec(), Vec::new());
        let begin = bytes.len();
        let mut refused = None;
        let everywhere = [String::new()];
        for kind in &kinds {
            for namespace in if kind.only_istiod { namespaces } else { &everywhere } {
                if let Err(why) = self.questions.list(kind, namespace, &mut bytes, &mut parts).await {
                    refused = Some((why, title.clone()));
                }
            }
        }
        let is_empty = bytes.len() == begin;
        bytes.extend_from_slice(b"]}");
        let namespace = if let [namespace] = namespaces { Some(namespace.clone()) } else { None };
        let whole = match &kinds[..] {
            // Each namespace has a ConfigMap of Kubernetes' own: one that has none is not there.
            [kind] if kind.only_istiod && is_empty => None,
            [kind] if kind.only_istiod => namespace.map(|namespace| (kind.kind, kind.group, namespace)),
            [kind] => Some((kind.kind, kind.group, String::new())),
            // Chosen by several selectors, which together find all that anybody asks for in istiod's namespace.
            [kind, ..] => namespace.map(|namespace| (kind.kind, kind.group, namespace)),
            [] => None,
        };
        let answer = Answer {
            origin: Arc::new(Origin::new(self.questions.cluster, &format!("{}/{title}.json", self.questions.cluster))),
            command: kinds
                .first()
                .map(|kind| kind.command(namespaces.first().map_or("", |name| name)))
                .unwrap_or_default(),
            taken: now(),
            what: What::Objects { whole: whole.filter(|_| refused.is_none()) },
            bytes,
        };
        self.say(Gathered::Answer(answer)).await?;
        Ok((parts, refused))
    }

    /// Asks a pod all there is to ask it.
    async fn pod(&self, part: &Part) -> Result<Outcome, Deaf> {
        let pod = &part.origin;
        let Some(program) = program(pod.role) else { return Ok(None) };
        let api: Api<Pod> = Api::namespaced(self.questions.client.clone(), &pod.namespace);
        let title = || format!("{}/{}", pod.namespace, pod.pod);
        let further = if pod.role == Role::Istiod { ONCE_OF_ISTIOD } else { &[] };
        for path in program.questions().iter().chain(further) {
            let Ok(request) = Request::new(program, path) else { continue };
            let asked = admin::get(&api, &pod.pod, &request, self.questions.limits.answer_bytes_max);
            let bytes = match timeout_at(self.questions.deadline, asked).await {
                Ok(Ok(bytes)) => bytes,
                // Not every version has every endpoint.
                Ok(Err(error)) if error.is::<Declined>() => continue,
                // The others would not answer either.
                Ok(Err(error)) => return Ok(Some((why(error.as_ref()), title()))),
                Err(_) => return Ok(Some(("there was no time left".to_string(), title()))),
            };
            let answer = Answer {
                origin: document_of(pod, path),
                command: String::new(),
                taken: now(),
                what: What::Document,
                bytes: bytes.into(),
            };
            self.say(Gathered::Answer(answer)).await?;
        }
        Ok(None)
    }

    /// Reads the log of a pod.
    async fn log(&self, part: &Part, lines: Lines) -> Result<Outcome, Deaf> {
        let pod = &part.origin;
        let api: Api<Pod> = Api::namespaced(self.questions.client.clone(), &pod.namespace);
        let bytes_max = self.questions.limits.log_bytes_max;
        let params = LogParams {
            container: Some(pod.container.to_string()),
            since_seconds: lines.since.map(|since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX).max(1)),
            limit_bytes: Some(i64::try_from(bytes_max).unwrap_or(i64::MAX)),
            previous: lines.previous,
            timestamps: true,
            ..LogParams::default()
        };
        let read = self.questions.put(|| {
            let read = async {
                let mut bytes = Vec::new();
                let mut stream = Box::pin(api.log_stream(&pod.pod, &params).await?).take(bytes_max as u64);
                stream.read_to_end(&mut bytes).await.map_err(kube::Error::ReadEvents)?;
                Ok(bytes)
            };
            read.boxed()
        });
        let title = || format!("the log of {}/{}", pod.namespace, pod.pod);
        let bytes = match read.await {
            Ok(bytes) => bytes,
            // A container that was never restarted has none before.
            Err((400 | 404, _)) if lines.previous => return Ok(None),
            Err((_, why)) => return Ok(Some((why, title()))),
        };
        if bytes_max <= bytes.len() {
            let what = format!(
                "{}: {} is longer than {bytes_max} bytes: the rest was not read",
                self.questions.cluster,
                title()
            );
            self.say(Gathered::Refused(Refused { cluster: self.questions.cluster.to_string(), what, is_all: false }))
                .await?;
        }
        let origin = match lines.previous {
            false => Arc::clone(pod),
            true => Arc::new(Origin { file: pod.file.replace(".log", ".previous.log").into(), ..Origin::clone(pod) }),
        };
        let answer = Answer { origin, command: String::new(), taken: now(), what: What::Log, bytes };
        self.say(Gathered::Answer(answer)).await?;
        Ok(None)
    }
}

/// The pods of each role that are asked where nobody names others: the first so many of each by name.
pub fn first_of_each(parts: &[Part], roles: &[Role], each_max: usize) -> Vec<Part> {
    let of_role = |role: &Role| {
        let role = *role;
        parts.iter().filter(move |part| part.origin.role == role).take(each_max).cloned()
    };
    roles.iter().flat_map(of_role).collect()
}
