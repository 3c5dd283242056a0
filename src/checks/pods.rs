//! The mesh's own pods: istiod, ztunnel, istio-cni and gateways, whether they run, and what ended them.

use std::time::Duration;

use meshwhy_parsers::state::object::{Object, Pod, Workload};
use meshwhy_parsers::time::Time;

use super::shown;
use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Doc, GATEWAY_NAME, GatewayKind};
use crate::engine::view::View;

/// The check.
pub static CHECK: Check =
    Check { id: "pods", title: "istiod, ztunnel, istio-cni and gateways run", before_linking: true, run };

/// How long a pod may take to become ready before that counts as a failure.
const STARTED_WITHIN: Duration = Duration::from_secs(120);

/// How long ago a kill for memory is worth a warning although the pod is ready again.
const RECENT: Duration = Duration::from_secs(24 * 3600);

/// A part of the mesh that consists of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Istiod,
    Ztunnel,
    Cni,
    EastWest,
    Gateway,
}

impl Part {
    const ALL: [Part; 5] = [Part::Istiod, Part::Ztunnel, Part::Cni, Part::EastWest, Part::Gateway];

    fn name(self) -> &'static str {
        match self {
            Part::Istiod => "istiod",
            Part::Ztunnel => "ztunnel",
            Part::Cni => "istio-cni",
            Part::EastWest => "east-west gateway",
            Part::Gateway => "gateways",
        }
    }

    /// Whether a part runs on every node, so that each pod of it matters by itself.
    fn is_on_nodes(self) -> bool {
        matches!(self, Part::Ztunnel | Part::Cni)
    }

    /// What a pod or workload is part of, by the labels of its pods, else by its usual name.
    fn of(cluster: &Cluster, namespace: &str, name: &str, label: impl Fn(&str) -> Option<String>) -> Option<Part> {
        let app = label("app");
        let east_west = |name: &str| ["eastwest", "east-west"].iter().any(|part| name.contains(part));
        if let Some(gateway) = label(GATEWAY_NAME) {
            let mut known = cluster.gateways().into_iter().filter(|known| known.kind == GatewayKind::Gateway);
            let is_mesh = known.any(|known| *known.object.name == *gateway && *known.object.namespace == *namespace);
            return Some(if is_mesh || east_west(&gateway) { Part::EastWest } else { Part::Gateway });
        }
        match (app.as_deref(), label("istio").as_deref(), label("k8s-app").as_deref()) {
            (Some("istiod"), ..) => Some(Part::Istiod),
            (Some("ztunnel"), ..) => Some(Part::Ztunnel),
            (_, _, Some("istio-cni-node")) => Some(Part::Cni),
            (_, Some("eastwestgateway"), _) => Some(Part::EastWest),
            (_, Some("ingressgateway" | "egressgateway"), _) => Some(Part::Gateway),
            _ if name.starts_with("istiod-") || name == "istiod" => Some(Part::Istiod),
            _ if name.starts_with("ztunnel-") || name == "ztunnel" => Some(Part::Ztunnel),
            _ if name.starts_with("istio-cni-node") => Some(Part::Cni),
            _ if east_west(name) => Some(Part::EastWest),
            _ => None,
        }
    }
}

/// How a pod stands.
enum Stand {
    Ready,
    /// Not ready, and perhaps only not yet.
    Starting(String),
    /// Broken.
    Down(String),
}

fn run(view: &View<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    for cluster in view.mesh().clusters() {
        let latest = view.latest(cluster);
        let before = items.len();
        for part in Part::ALL {
            items.extend(Parted::of(cluster, part, latest).judge());
        }
        let looked_at = before < items.len();
        let shows_pods = cluster.pods().next().is_some();
        if !looked_at && !shows_pods && cluster.has_istiod().is_none() && cluster.objects("Namespace").next().is_some()
        {
            items.push(Item::unknown(
                cluster.title(),
                "pods",
                "no pods are among what was saved",
                "kubectl get pods,deployments,daemonsets -A -o yaml",
            ));
        }
    }
    items
}

/// The pods and workloads of one part in one cluster.
struct Parted<'m> {
    cluster: &'m Cluster,
    part: Part,
    pods: Vec<(&'m Doc<Object>, &'m Pod)>,
    workloads: Vec<(&'m Doc<Object>, &'m Workload)>,
    latest: Option<Time>,
}

impl<'m> Parted<'m> {
    fn of(cluster: &'m Cluster, part: Part, latest: Option<Time>) -> Parted<'m> {
        let pods = cluster.pods().filter(|(object, pod)| {
            let label = |key: &str| object.label(key).map(ToString::to_string);
            let is_over = object.deleted.is_some()
                || matches!(&*pod.phase, "Completed" | "Succeeded" | "Terminating")
                || object.owner.starts_with("Job/");
            !is_over && Part::of(cluster, &object.namespace, &object.name, label) == Some(part)
        });
        let workloads = cluster.workloads().filter(|(object, workload)| {
            let label = |key: &str| {
                workload.pod_labels.get(key).map(ToString::to_string).or(object.label(key).map(ToString::to_string))
            };
            Part::of(cluster, &object.namespace, &object.name, label) == Some(part)
        });
        Parted { cluster, part, pods: pods.collect(), workloads: workloads.collect(), latest }
    }

    fn judge(&self) -> Vec<Item> {
        let mut items: Vec<Item> =
            self.pods.iter().filter_map(|(object, pod)| self.out_of_memory(object, pod)).collect();
        let stands: Vec<(&Doc<Object>, &Pod, Stand)> =
            self.pods.iter().map(|(object, pod)| (*object, *pod, self.stand(object, pod))).collect();
        let ready = stands.iter().filter(|(.., stand)| matches!(stand, Stand::Ready)).count();
        if self.part.is_on_nodes() {
            items.extend(stands.iter().filter_map(|(object, pod, stand)| self.on_node(object, pod, stand)));
            items.extend(self.workloads.iter().filter_map(|(object, workload)| self.coverage(object, workload)));
        } else {
            let serves = 0 < ready || self.pods.is_empty() && self.workloads.iter().any(|(_, of)| 0 < of.ready);
            let nobody = || {
                let down = stands.iter().find_map(|(object, pod, stand)| match stand {
                    Stand::Down(why) => Some((*object, quote_of(object, pod), self.of_pod(object, why))),
                    Stand::Ready | Stand::Starting(_) => None,
                });
                let scaled = self.workloads.iter().find(|(_, of)| of.wanted == 0 || of.ready == 0);
                down.or_else(|| {
                    let (object, of) = scaled.filter(|_| stands.is_empty())?;
                    let why = if of.wanted == 0 { "it is scaled to zero" } else { "none of its pods is ready" };
                    let quote = format!("{}: replicas {}, ready {}", object.title(), of.wanted, of.ready);
                    Some((*object, quote, why.to_string()))
                })
            };
            if let Some((object, quote, why)) = nobody().filter(|_| !serves) {
                items.push(self.down(object, &quote, &why));
            } else {
                items.extend(stands.iter().filter_map(|(object, _, stand)| self.beside_others(object, stand)));
                items.extend(self.workloads.iter().filter_map(|(object, of)| self.replicas(object, of)));
            }
        }
        let is_well = items.is_empty();
        let of_workloads: u32 = self.workloads.iter().map(|(_, of)| of.ready).sum();
        if is_well && 0 < ready {
            items.push(Item::pass(self.cluster.title(), self.part.name(), count(ready, "pod") + " ready"));
        } else if is_well && 0 < of_workloads {
            let ready = usize::try_from(of_workloads).unwrap_or(usize::MAX);
            items.push(Item::pass(self.cluster.title(), self.part.name(), count(ready, "pod") + " ready"));
        }
        items
    }

    fn stand(&self, object: &Doc<Object>, pod: &Pod) -> Stand {
        /// Reasons to wait that no time cures.
        const STUCK: [&str; 8] = [
            "CrashLoopBackOff",
            "ImagePull",
            "InvalidImageName",
            "CreateContainer",
            "RunContainerError",
            "Error",
            "OOMKilled",
            "Evicted",
        ];
        let (ready, all) = pod.ready;
        let is_stuck = |reason: &str| STUCK.iter().any(|stuck| reason.contains(stuck));
        if ready == all && 0 < all && &*pod.phase == "Running" {
            return Stand::Ready;
        }
        if let Some(container) = pod.containers.iter().find(|container| is_stuck(&container.waiting)) {
            let ended =
                container.ended.as_ref().map(|(reason, code, _)| format!(", ended with {reason} (exit {code})"));
            let why = format!("container {} is in {}{}", container.name, container.waiting, ended.unwrap_or_default());
            return Stand::Down(why);
        }
        let counted = format!("{} with {ready} of {all} containers ready", pod.phase);
        if is_stuck(&pod.phase) || matches!(&*pod.phase, "Failed" | "Unknown") {
            return Stand::Down(counted);
        }
        let condition = |kind: &str| pod.conditions.iter().find(|condition| &*condition.kind == kind);
        if let Some(unscheduled) = condition("PodScheduled").filter(|condition| &*condition.status == "False") {
            let why = if unscheduled.message.is_empty() { &unscheduled.reason } else { &unscheduled.message };
            return Stand::Down(format!("not scheduled: {why}"));
        }
        let since = condition("Ready").and_then(|condition| condition.at).or(object.created);
        match (since, self.latest) {
            (Some(since), Some(latest)) if since.plus(STARTED_WITHIN) < latest => {
                Stand::Down(format!("{counted}, since {since}"))
            }
            (None, _) if object.is_row && &*pod.phase == "Running" => Stand::Down(counted),
            _ => Stand::Starting(counted),
        }
    }

    /// A container that was killed for memory: broken where it keeps the pod from being ready.
    fn out_of_memory(&self, object: &Doc<Object>, pod: &Pod) -> Option<Item> {
        let (container, at) = pod.containers.iter().find_map(|container| match &container.ended {
            Some((reason, _, at)) if &**reason == "OOMKilled" => Some((container, *at)),
            _ => None,
        })?;
        let reason = format!("container {} was killed for memory, {} restarts", container.name, container.restarts);
        if !matches!(self.stand(object, pod), Stand::Ready) {
            // Of the other parts the pod's own failure says it; these two are causes of what others lack.
            if !matches!(self.part, Part::Istiod | Part::EastWest) {
                return None;
            }
            let shows = "it went over its memory limit, and is not ready since";
            let quote = format!("{}: {}: lastState.terminated.reason OOMKilled", object.title(), container.name);
            let verdict = Verdict::certain(&format!("memory of {}", object.name))
                .slot("who", &object.name)
                .slot("what", "memory")
                .slot("reason", &reason)
                .token(&object.name);
            let verdict = if self.part == Part::Istiod { verdict.token("istiod") } else { verdict };
            let verdict = shown(verdict, object, &quote, shows);
            return Some(Item::fail(self.cluster.title(), object.title(), reason, "resource-exhaustion", verdict));
        }
        let is_old = matches!((at, self.latest), (Some(at), Some(latest)) if at.plus(RECENT) < latest);
        (!is_old).then(|| {
            let when = at.map(|at| format!(" at {at}")).unwrap_or_default();
            let advice = "raise its memory limit: it will be killed again under the same load";
            Item::warn(self.cluster.title(), object.title(), format!("{reason}; the last one{when}"), advice)
        })
    }

    /// Nobody of the part is ready.
    fn down(&self, object: &Doc<Object>, quote: &str, why: &str) -> Item {
        let name = &*self.cluster.name;
        let title = self.cluster.title();
        let (slug, verdict) = match self.part {
            Part::Istiod => {
                let verdict = Verdict::certain(name).slot("cluster", title).slot("reason", why).token("istiod");
                ("istiod-down", shown(verdict, object, quote, "no istiod pod of the cluster is ready"))
            }
            Part::EastWest => {
                let verdict = Verdict::certain(&format!("{name} gateway"))
                    .says("the east-west gateway {name} of {network} is not serving: {why}")
                    .slot("network", title)
                    .slot("name", &object.name)
                    .slot("addr", &object.name)
                    .slot("host", &object.name)
                    .slot("port", 15443)
                    .slot("why", why)
                    .token(&object.name);
                let gateways = self.cluster.gateways();
                let own = gateways.iter().filter(|gateway| gateway.kind != GatewayKind::Remote);
                let addresses = own.flat_map(|gateway| gateway.addresses.iter());
                let verdict = addresses.fold(verdict, |verdict, address| verdict.token(address));
                let is_pod = &*object.kind == "Pod";
                let shows =
                    if is_pod { "the gateway pod is not ready" } else { "nobody stands behind the gateway's address" };
                ("eastwest-gateway-down", shown(verdict, object, quote, shows))
            }
            Part::Gateway | Part::Ztunnel | Part::Cni => {
                return Item::warn(title, object.title(), why, "look at its events and its log");
            }
        };
        Item::fail(title, object.title(), why, slug, verdict)
    }

    /// How a sentence tells of a pod that is down; a gateway's names it already.
    fn of_pod(&self, object: &Doc<Object>, why: &str) -> String {
        if self.part == Part::EastWest {
            format!("its pod is {why}")
        } else {
            format!("its pod {} is {why}", object.name)
        }
    }

    /// A pod of a part that other pods serve as well.
    fn beside_others(&self, object: &Doc<Object>, stand: &Stand) -> Option<Item> {
        let (Stand::Down(why) | Stand::Starting(why)) = stand else { return None };
        let advice = format!("kubectl -n {} describe pod {}", object.namespace, object.name);
        Some(Item::warn(self.cluster.title(), object.title(), why, advice))
    }

    /// A Deployment that serves less than it should, or a second one that is scaled to zero.
    fn replicas(&self, object: &Doc<Object>, of: &Workload) -> Option<Item> {
        // Where pods are known they have spoken for themselves.
        (self.pods.is_empty() && of.ready < of.wanted).then(|| {
            let advice = format!("kubectl -n {} describe {} {}", object.namespace, object.kind, object.name);
            let reason = format!("{} of {} pods are ready", of.ready, of.wanted);
            Item::warn(self.cluster.title(), object.title(), reason, advice)
        })
    }

    /// A pod that alone serves its node.
    fn on_node(&self, object: &Doc<Object>, pod: &Pod, stand: &Stand) -> Option<Item> {
        let why = match stand {
            Stand::Ready => return None,
            Stand::Starting(why) => {
                let advice = format!("kubectl -n {} describe pod {}", object.namespace, object.name);
                return Some(Item::warn(self.cluster.title(), object.title(), why, advice));
            }
            Stand::Down(why) => why,
        };
        let node = if pod.node.is_empty() { "its node" } else { &pod.node };
        let reason = format!("{why}; it serves {node}");
        let (slug, says, shows) = if self.part == Part::Ztunnel {
            (
                "ztunnel-not-ready",
                "ztunnel of {cluster} does not run on one of its nodes: {reason}",
                "a ztunnel pod does not come up",
            )
        } else {
            (
                "cni-failure",
                "istio-cni of {cluster} does not run on one of its nodes: {reason}",
                "an istio-cni pod does not come up",
            )
        };
        let verdict = Verdict::certain(&object.name)
            .says(says)
            .slot("cluster", self.cluster.title())
            .slot("pod", &object.name)
            .slot("namespace", &object.namespace)
            .slot("name", &object.name)
            .slot("reason", &reason)
            .token(&object.name);
        // What refuses to be called on that node fails for it.
        let beside =
            self.cluster.pods().filter(|(_, of)| !of.host_network && !of.node.is_empty() && of.node == pod.node);
        let verdict = beside.flat_map(|(_, of)| &of.ips).fold(verdict, |verdict, ip| verdict.token(ip));
        let verdict = shown(verdict, object, &quote_of(object, pod), shows);
        Some(Item::fail(self.cluster.title(), object.title(), reason, slug, verdict))
    }

    /// Nodes without a ready pod of a part that every node needs.
    fn coverage(&self, object: &Doc<Object>, of: &Workload) -> Option<Item> {
        if of.wanted <= of.ready || !self.pods.is_empty() {
            return None;
        }
        let reason = format!("{} of {} nodes have a ready pod", of.ready, of.wanted);
        if 0 < of.ready {
            let advice = format!("kubectl -n {} get pods -o wide | grep {}", object.namespace, object.name);
            return Some(Item::warn(self.cluster.title(), object.title(), reason, advice));
        }
        let slug = if self.part == Part::Ztunnel { "ztunnel-not-ready" } else { "cni-failure" };
        let verdict = Verdict::certain(&format!("{} of {}", self.part.name(), self.cluster.name))
            .says("{part} of {cluster} runs on none of its nodes: {reason}")
            .slot("part", self.part.name())
            .slot("cluster", self.cluster.title())
            .slot("pod", "the pods of those nodes")
            .slot("namespace", &object.namespace)
            .slot("reason", &reason);
        let quote = format!("{}: desired {}, ready {}", object.title(), of.wanted, of.ready);
        let verdict = shown(verdict, object, &quote, "no node has a ready pod");
        Some(Item::fail(self.cluster.title(), object.title(), reason, slug, verdict))
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// What of a pod's document shows how it stands.
fn quote_of(object: &Doc<Object>, pod: &Pod) -> String {
    let waiting = pod.containers.iter().find(|container| !container.waiting.is_empty());
    let waiting = waiting.map(|container| format!(", {} waits: {}", container.name, container.waiting));
    let (ready, all) = pod.ready;
    format!("{}: status {}, ready {ready}/{all}{}", object.title(), pod.phase, waiting.unwrap_or_default())
}
