//! What clusters say when they are asked once, into the engine: their state, and for a call the lines of its pods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context;
use meshwhy_parsers::event::Event;
use meshwhy_parsers::origin::Role;
use meshwhy_parsers::time::Time;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Run, WORKERS_MAX};
use crate::config::{Asked, Task};
use crate::inputs::kube::gather::{self, Gathered, Lines, Part};
use crate::inputs::kube::review::{self, Review};
use crate::inputs::kube::{self, Cluster, Connected};
use crate::inputs::{Batch, Item, direct};
use crate::trace::{self, End};

/// Answers that wait to be taken in.
const WAITING_MAX: usize = 4;
/// The pods that are asked what they say of themselves where nobody names others.
const ROLES: &[Role] = &[Role::Istiod, Role::Gateway, Role::Waypoint, Role::Ztunnel, Role::Sidecar];
/// Those that are asked where a call names the ztunnel and the sidecar that matter.
const ROLES_ON_THE_WAY: &[Role] = &[Role::Istiod, Role::Gateway, Role::Waypoint];

/// Clusters that can be asked.
pub(super) struct Gathering<'a> {
    asked: &'a Asked,
    runtime: Runtime,
    clusters: Vec<Arc<Cluster>>,
    refused: Vec<(String, String)>,
}

/// When an item happened; `None` where it does not say.
pub(super) fn time_of(item: &Item) -> Option<Time> {
    match item {
        Item::Line(line) => meshwhy_parsers::time_of(line),
        Item::Event(event) => event.at,
    }
}

impl<'a> Gathering<'a> {
    /// Reads what there is to ask.
    ///
    /// # Errors
    ///
    /// No kubeconfig, or a context that is not in it.
    pub fn begin(asked: &'a Asked) -> anyhow::Result<Gathering<'a>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS_MAX)
            .enable_all()
            .build()
            .context("cannot start")?;
        let connected = match asked.without_clusters {
            true => Connected::default(),
            false => runtime.block_on(kube::connect(asked.kubeconfig.clone(), &asked.contexts))?,
        };
        let connected = connected.with_istio_namespace(&asked.istio_namespace);
        let clusters = connected.clusters.into_iter().map(Arc::new).collect();
        Ok(Gathering { asked, runtime, clusters, refused: connected.refused })
    }

    /// Asks what may be asked of each cluster, in the order in which they were named.
    pub fn review(self) -> Vec<Review> {
        let limits = self.asked.limits;
        let reviews = self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for cluster in &self.clusters {
                let cluster = Arc::clone(cluster);
                tasks.spawn(async move { review::review(&cluster, &limits).await });
            }
            tasks.join_all().await
        });
        let refused = self.refused.iter().map(|(name, why)| Review {
            cluster: name.clone(),
            unreachable: Some(why.clone()),
            ..Review::default()
        });
        let mut reviews: Vec<Review> = reviews.into_iter().chain(refused).collect();
        let place = |review: &Review| self.asked.contexts.iter().position(|name| *name == review.cluster);
        reviews.sort_by_key(place);
        self.runtime.shutdown_background();
        reviews
    }

    /// Asks, takes in what state is told, and returns what happened, the latest first. What was read is counted in
    /// `batch`, and what was refused is said there.
    pub fn gather(self, run: &mut Run<'_>, batch: &mut Batch) -> anyhow::Result<Vec<(Time, Item)>> {
        let mut taken = Taken { batch, documents: Vec::new(), lines: Vec::new() };
        for (name, why) in &self.refused {
            taken.documents.push(gather::unknown(name));
            taken.batch.refused.push(why.clone());
        }
        let mut parts: BTreeMap<String, Vec<Part>> = BTreeMap::new();
        let limits = self.asked.limits;
        let found = self.each(&mut taken, run, |cluster, to| async move {
            let found = gather::objects(&cluster, &limits, &to).await;
            (cluster.name.clone(), found.unwrap_or_default())
        });
        for (cluster, found) in found {
            taken.documents.push(gather::unknown(&cluster));
            parts.insert(cluster, found);
        }
        let only = match &self.clusters[..] {
            [cluster] => Some(&*cluster.name),
            _ => None,
        };
        let (to, mut answers) = mpsc::channel(WAITING_MAX);
        let (addresses, only) = (self.asked.addresses.clone(), only.map(String::from));
        // Nobody listens only where everything is over.
        self.runtime.spawn(async move { direct::gather(&addresses, only.as_deref(), &limits, &to).await });
        while let Some(gathered) = answers.blocking_recv() {
            taken.take(run, gathered);
        }
        taken.feed_documents(run);

        let ends = match &run.config.task {
            Task::Trace(from, to) => trace::ends(&run.engine.view(), from, to),
            Task::Replay | Task::Check { .. } => Vec::new(),
        };
        let mut chosen: BTreeMap<String, Chosen> = BTreeMap::new();
        for (cluster, parts) in &parts {
            let all = Chosen::of(cluster, parts, &ends, limits.gathered_max);
            for (role, left) in &all.left {
                let limits = &run.config.input_limits;
                taken.batch.losses.add(limits, format!("{cluster}: {left} further {role} were not asked"));
            }
            chosen.insert(cluster.clone(), all);
        }
        let chosen = &chosen;
        let lines = Lines { since: Some(self.asked.lines), previous: false };
        self.each(&mut taken, run, |cluster, to| {
            let Chosen { asked, read, .. } = chosen.get(&cluster.name).cloned().unwrap_or_default();
            async move {
                let _ = gather::pods(&cluster, &asked, &limits, &to).await;
                let _ = gather::logs(&cluster, &read, lines, &limits, &to).await;
            }
        });
        taken.feed_documents(run);
        let mut lines = taken.lines;
        lines.sort_by_key(|(at, _)| *at);
        lines.reverse();
        self.runtime.shutdown_background();
        Ok(lines)
    }

    /// Asks every cluster at the same time, and takes what comes of it.
    fn each<R: Send + 'static, F: Future<Output = R> + Send + 'static>(
        &self,
        taken: &mut Taken<'_>,
        run: &Run<'_>,
        ask: impl Fn(Arc<Cluster>, mpsc::Sender<Gathered>) -> F,
    ) -> Vec<R> {
        let (to, mut answers) = mpsc::channel(WAITING_MAX);
        let mut tasks = JoinSet::new();
        for cluster in &self.clusters {
            tasks.spawn_on(ask(Arc::clone(cluster), to.clone()), self.runtime.handle());
        }
        drop(to);
        while let Some(gathered) = answers.blocking_recv() {
            taken.take(run, gathered);
        }
        self.runtime.block_on(tasks.join_all())
    }
}

/// Pods that are asked and whose logs are read.
#[derive(Clone, Default)]
struct Chosen {
    asked: Vec<Part>,
    read: Vec<Part>,
    /// How many of a role are not asked, as there are too many.
    left: Vec<(&'static str, usize)>,
}

impl Chosen {
    /// What is chosen of a cluster for a call with these ends; without any, for all questions about state.
    fn of(cluster: &str, parts: &[Part], ends: &[End], each_max: usize) -> Chosen {
        let is_call = !ends.is_empty();
        let ends = || ends.iter().filter(|end| *end.cluster == *cluster);
        let callers: BTreeSet<&str> = ends().filter(|end| end.is_caller).map(|end| &*end.pod).collect();
        let nodes: BTreeSet<&str> = ends().map(|end| &*end.node).filter(|node| !node.is_empty()).collect();
        let near: BTreeSet<&str> = ends().filter(|end| end.is_caller).map(|end| &*end.node).collect();
        // The ztunnels of the call's nodes come before all others, and with them the proxy of who calls.
        let is_callers = |part: &&Part| {
            let origin = &part.origin;
            let is_it =
                ends().any(|end| end.is_caller && *end.namespace == *origin.namespace && *end.pod == *origin.pod);
            match origin.role {
                Role::Ztunnel => near.contains(&*part.node),
                _ => callers.contains(&*origin.pod) && is_it,
            }
        };
        let is_there = |part: &&Part| part.origin.role == Role::Ztunnel && nodes.contains(&*part.node);
        let mut asked: Vec<Part> = parts.iter().filter(is_callers).cloned().collect();
        let mut read = asked.clone();
        let add = |to: &mut Vec<Part>, part: &Part| {
            if !to.contains(part) {
                to.push(part.clone());
            }
        };
        parts.iter().filter(is_there).take(each_max).for_each(|part| add(&mut asked, part));
        let roles = if is_call { ROLES_ON_THE_WAY } else { ROLES };
        let others = gather::first_of_each(parts, roles, each_max);
        others.iter().for_each(|part| add(&mut asked, part));
        if is_call {
            others.iter().for_each(|part| add(&mut read, part));
        }
        let left = roles.iter().filter_map(|role| {
            let all = parts.iter().filter(|part| part.origin.role == *role).count();
            let name = match role {
                Role::Istiod => "istiods",
                Role::Gateway => "gateways",
                Role::Waypoint => "waypoints",
                Role::Ztunnel => "ztunnels",
                // Of sidecars a few are a sample.
                _ => return None,
            };
            Some((name, all.checked_sub(each_max)?)).filter(|(_, left)| 0 < *left)
        });
        Chosen { left: left.collect(), asked, read }
    }
}

/// What was taken in.
struct Taken<'b> {
    batch: &'b mut Batch,
    documents: Vec<Event>,
    lines: Vec<(Time, Item)>,
}

impl Taken<'_> {
    fn take(&mut self, run: &Run<'_>, gathered: Gathered) {
        let limits = &run.config.input_limits;
        let answer = match gathered {
            Gathered::Answer(answer) => answer,
            Gathered::Refused(refused) if refused.is_all => return self.batch.refused.push(refused.what),
            Gathered::Refused(refused) => return self.batch.losses.add(limits, refused.what),
        };
        let reading = answer.read(run.config.scan);
        let counts = &mut self.batch.counts;
        counts.files += reading.counts.files;
        counts.documents += reading.counts.documents;
        counts.lines += reading.counts.lines;
        counts.quiet += reading.counts.quiet;
        reading.losses.into_iter().for_each(|loss| self.batch.losses.add(limits, loss));
        let mut at = Time::MIN;
        for item in reading.items {
            match item {
                Item::Event(event) if event.is_document() => self.documents.push(event),
                item => {
                    at = time_of(&item).unwrap_or(at);
                    self.lines.push((at, item));
                }
            }
        }
    }

    /// Whichever was answered first; what one document says keeps its order.
    fn feed_documents(&mut self, run: &mut Run<'_>) {
        self.documents.sort_by(|one, other| one.origin.cmp(&other.origin));
        self.documents.drain(..).for_each(|event| run.feed(event));
    }
}
