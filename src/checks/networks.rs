//! Networks: does everything in a cluster name the same one, and do clusters that cannot route to each other's pods name
//! different ones?

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use meshwhy_parsers::access::Sign;
use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Addr, Event, Fact};
use meshwhy_parsers::state::State;
use meshwhy_parsers::state::istiod::Said;
use meshwhy_parsers::state::object::{self, Body, Container, Object};

use crate::causes::saved::{self, CROSS_NETWORK_PORTS};
use crate::causes::{network_label_wrong, tunnel};
use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Class, Cluster, Doc, GATEWAY_NAME, Gateway, NETWORK, What as Owner, env, is_east_west};
use crate::engine::view::View;

/// See the title.
pub static CHECK: Check =
    Check { id: "networks", title: "Networks are named as the clusters are connected", before_linking: true, run };

/// What the injector and the charts give a proxy as its network.
const OF_PROXY: &str = "ISTIO_META_NETWORK";
/// What ztunnel takes for its network.
const OF_ZTUNNEL: &str = "NETWORK";
/// What the injector gives every new proxy of a cluster.
const OF_INJECTOR: &str = "global.network";

fn run(view: &View<'_>) -> Vec<Item> {
    let sides: Vec<Side<'_>> = view.mesh().clusters().map(|cluster| Side::of(view, cluster)).collect();
    let mut items: Vec<Item> = sides.iter().flat_map(Side::items).collect();
    let faulty: BTreeSet<String> =
        items.iter().filter(|item| item.cause.is_some()).map(|item| item.cluster.clone()).collect();
    for (at, one) in sides.iter().enumerate() {
        for other in sides.iter().skip(at + 1).filter(|other| view.is_one_mesh(one.cluster, other.cluster)) {
            let is_sound = ![one, other].iter().any(|side| faulty.contains(&*side.cluster.name));
            items.extend(between(view, one, other, is_sound));
        }
    }
    items
}

/// A cluster and the network that istiod takes its pods to be on.
struct Side<'a> {
    view: &'a View<'a>,
    cluster: &'a Cluster,
    /// The other clusters of its mesh.
    others: Vec<&'a Cluster>,
    /// Where the name comes from, and the name; empty for none at all. `None` where it is not known.
    named: Option<(&'a Doc<Object>, &'a str)>,
}

impl<'a> Side<'a> {
    fn of(view: &'a View<'a>, cluster: &'a Cluster) -> Side<'a> {
        let named = match cluster.network() {
            Some((namespace, Some(network))) => Some((namespace, network)),
            // The namespace's label comes first; without it mesh networks may name the cluster.
            known => by_mesh_networks(view, cluster).or(known.map(|(namespace, _)| (namespace, ""))),
        };
        Side { view, cluster, others: view.others(cluster).collect(), named }
    }

    /// Its network; `None` where it is not known.
    fn network(&self) -> Option<&'a str> {
        self.named.map(|(_, network)| network)
    }

    /// Another cluster of the mesh that is known to be on another network.
    fn elsewhere(&self) -> Option<(&'a Cluster, &'a str)> {
        let own = self.network()?;
        self.others.iter().find_map(|other| {
            let network = other.network()?.1?;
            (network != own).then_some((*other, network))
        })
    }

    fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        items.extend(self.namespace());
        items.extend(self.gateways());
        items.extend(self.proxies());
        items.extend(self.pods());
        items.extend(self.ztunnel());
        items.extend(self.peers());
        if items.is_empty() {
            items.extend(self.injector());
        }
        items
    }

    fn fail(&self, object: impl ToString, reason: impl ToString, fix: &str, verdict: Verdict) -> Item {
        let title = self.cluster.title();
        let verdict = verdict.slot("pair", title).slot("own", title).slot("fix", fix);
        let verdict = self.others.iter().fold(verdict, |verdict, other| verdict.cluster(&other.name));
        Item::fail(&self.cluster.name, object, reason, network_label_wrong::CAUSE.slug, verdict)
    }

    /// The label of the control plane's namespace, where something else names a network.
    fn namespace(&self) -> Option<Item> {
        let system = self.cluster.system_namespace();
        let Some((namespace, own)) = self.named else {
            let is_named = |other: &&&Cluster| other.network().is_some_and(|(_, network)| network.is_some());
            let other = self.others.iter().find(is_named)?;
            let how = format!("kubectl --context {} get ns {system} --show-labels", self.cluster.name);
            let missing = format!("its labels are not shown, and {} names its network", other.title());
            return Some(Item::unknown(&self.cluster.name, format!("Namespace {system}"), missing, how));
        };
        if !own.is_empty() || self.others.is_empty() {
            return None;
        }
        let title = self.cluster.title();
        let claim = self.claim();
        let (dialled, held) = (self.dialled(), self.held_elsewhere());
        let (other, elsewhere) = self.elsewhere().or_else(|| {
            let (_, claimed) = claim.as_ref()?;
            self.others.first().map(|other| (*other, claimed.as_str()))
        })?;
        let object = format!("Namespace {system}");
        let has_gateway = other.own_gateways().any(|gateway| gateway.network.is_some());
        if claim.is_none() && dialled.is_none() && !has_gateway {
            let reason =
                format!("no label {NETWORK}, while {} is on {elsewhere}: its pods are dialled directly", other.title());
            let fix = format!(
                "Unless pods reach each other directly, name a network of its own: {}",
                self.labelling("<network>")
            );
            return Some(Item::warn(&self.cluster.name, object, reason, fix));
        }
        let reason = match &claim {
            Some((_, network)) => {
                format!("it carries no label {NETWORK}, while other parts of {title} are on {network}")
            }
            None => format!("it carries no label {NETWORK}, while {} is on {elsewhere}", other.title()),
        };
        let strength = if claim.is_some() || dialled.is_some() { Verdict::certain } else { Verdict::likely };
        let mut verdict = strength(&format!("{system} of {title}"))
            .says("{namespace} of {own} carries no network label: its pods belong to no network and are dialled directly, not through a gateway")
            .slot("namespace", system)
            .token(title)
            .because_object(namespace, &format!("no label {NETWORK}"), "istiod knows no network for pods of this cluster");
        if let Some((shown, _)) = &claim {
            verdict = shown.add(verdict);
        } else if let Some((namespace, Some(network))) = other.network() {
            verdict = verdict.because_object(
                namespace,
                &format!("label {NETWORK}={network}"),
                "another cluster names its network",
            );
        }
        for seen in dialled.into_iter().chain(held) {
            verdict = seen.add(verdict);
        }
        let network = claim.map_or_else(|| "<network>".to_string(), |(_, network)| network);
        Some(self.fail(object, reason, &format!("Name the network: {}.", self.labelling(&network)), verdict))
    }

    fn labelling(&self, network: &str) -> String {
        let (context, system) = (&self.cluster.name, self.cluster.system_namespace());
        format!("kubectl --context {context} label namespace {system} {NETWORK}={network}")
    }

    /// Another part of the cluster that names its network: a gateway, ztunnel or a proxy.
    fn claim(&self) -> Option<(Shown<'a>, String)> {
        let of_gateway = self.cluster.own_gateways().find_map(|gateway| {
            let network = gateway.network.filter(|network| !network.is_empty())?;
            let shown =
                Shown::object(gateway.object, format!("label {NETWORK}={network}"), "while its gateway names one");
            Some((shown, network.to_string()))
        });
        let of_ztunnel = || {
            let (shown, network) = self.networks_of_ztunnels().into_iter().find(|(_, network)| !network.is_empty())?;
            Some((shown, network))
        };
        let of_proxy = || {
            let claimed = self.claimed().into_iter().find(|claimed| !claimed.network.is_empty())?;
            Some((claimed.shown, claimed.network))
        };
        of_gateway.or_else(of_ztunnel).or_else(of_proxy)
    }

    /// Gateways whose label is missing or another one, so that nobody finds the way into this network.
    fn gateways(&self) -> Vec<Item> {
        let Some((source, own)) = self.named.filter(|(_, own)| !own.is_empty()) else { return Vec::new() };
        let gateways: Vec<Gateway<'_>> = self.cluster.own_gateways().collect();
        let is_found = gateways.iter().any(|gateway| gateway.network == Some(own));
        if is_found || has_configured_gateway(self.view, own) {
            return Vec::new();
        }
        let others = gateways.iter().filter(|gateway| gateway.object.labels.is_some());
        others.filter_map(|gateway| self.gateway(gateway, source, own)).collect()
    }

    fn gateway(&self, gateway: &Gateway<'a>, source: &Doc<Object>, own: &str) -> Option<Item> {
        let (object, title) = (gateway.object, self.cluster.title());
        let subject = format!("gateway {} of {title}", object.name);
        let kind = object.kind.to_ascii_lowercase();
        let fix = format!(
            "Label it: kubectl --context {} -n {} label {kind} {} {NETWORK}={own} --overwrite.",
            self.cluster.name, object.namespace, object.name
        );
        let (dialled, held) = (self.dialled(), self.held_elsewhere());
        let filled = |verdict: Verdict| {
            let verdict = verdict.slot("gateway", object.title()).slot("has", own).token(&object.name);
            let verdict = gateway.addresses.iter().fold(verdict, |verdict, address| verdict.token(address));
            verdict.because_object(source, &format!("label {NETWORK}={own}"), "the network of the cluster's pods")
        };
        if let Some(other) = gateway.network.filter(|network| !network.is_empty()) {
            let reason = format!("it is labelled with network {other}, the pods of {title} are on {own}");
            let verdict = filled(Verdict::certain(&subject))
                .says("{gateway} of {own} is labelled with network {other}, but its pods are on {has}: nobody finds a way through it to them")
                .slot("other", other);
            let verdict = verdict.because_object(
                object,
                &format!("label {NETWORK}={other}"),
                "the gateway's label differs from it",
            );
            let verdict = dialled.into_iter().chain(held).fold(verdict, |verdict, seen| seen.add(verdict));
            return Some(self.fail(object.title(), reason, &fix, verdict));
        }
        // A gateway that only leads to istiod needs no label where nothing crosses networks.
        let (elsewhere, _) = self.elsewhere()?;
        if !gateway.ports.is_empty() && !gateway.ports.iter().any(|port| CROSS_NETWORK_PORTS.contains(port)) {
            return None;
        }
        let unknown = self.unknown_to_istiod(own);
        let reason = format!("it carries no label {NETWORK}, so no istiod takes it for the gateway of {own}");
        if unknown.is_none() && dialled.is_none() && held.is_none() && !self.cluster.knows_all("Service", "") {
            return Some(Item::warn(&self.cluster.name, object.title(), reason, fix));
        }
        let mut verdict = filled(Verdict::certain(&subject))
            .says("{gateway} of {own} carries no network label, so {other} knows no gateway of network {has} and dials its pods directly")
            .slot("other", elsewhere.title())
            .because_object(object, &format!("no label {NETWORK}"), "istiod does not take it for a gateway between networks");
        for seen in unknown.into_iter().chain(dialled).chain(held) {
            verdict = seen.add(verdict);
        }
        Some(self.fail(object.title(), reason, &fix, verdict))
    }

    /// The list of an istiod that names gateways, and none of this network.
    fn unknown_to_istiod(&self, network: &str) -> Option<Shown<'a>> {
        let mesh = self.view.mesh();
        let documents = mesh.clusters().flat_map(Cluster::istiods).flat_map(|istiod| istiod.documents());
        let lists: Vec<_> = documents
            .filter_map(|document| match &document.said {
                Said::NetworkGateways(known) => Some((&document.event, known)),
                _ => None,
            })
            .collect();
        let is_known = lists.iter().any(|(_, known)| known.iter().any(|gateway| *gateway.network == *network));
        let (event, _) = lists.first().filter(|_| !is_known)?;
        Some(Shown::quote(
            event,
            format!("networkz: no gateway of network {network}"),
            "so istiod knows no way into that network",
        ))
    }

    /// Proxies that were given another network than their pods are on, or none.
    fn proxies(&self) -> Vec<Item> {
        let Some(own) = self.network() else { return Vec::new() };
        let mut wrong: BTreeMap<String, Vec<Claimed<'_>>> = BTreeMap::new();
        // Of a pod whose label differs from its cluster's network the label is judged.
        let is_wrong = |claimed: &Claimed<'_>| claimed.network != own && claimed.of_pod != Some(&*claimed.network);
        for claimed in self.claimed().into_iter().filter(is_wrong) {
            wrong.entry(claimed.network.clone()).or_default().push(claimed);
        }
        wrong.into_values().filter_map(|claimed| self.misled(claimed, own)).collect()
    }

    /// Pods whose own label names a network that leads nowhere, or elsewhere: it comes before the namespace's.
    fn pods(&self) -> Vec<Item> {
        let Some((source, own)) = self.named.filter(|(_, own)| !own.is_empty()) else { return Vec::new() };
        let mut wrong: BTreeMap<&str, Vec<&Doc<Object>>> = BTreeMap::new();
        for (object, _) in
            self.cluster.pods().filter(|(object, pod)| !is_over(object, pod) && !self.is_east_west(object))
        {
            let label = object.label(NETWORK).filter(|label| !label.is_empty() && *label != own);
            let Some(label) = label else { continue };
            // A part of the cluster may be a network of its own, with a gateway of its own.
            let has_gateway = self.cluster.own_gateways().any(|gateway| gateway.network == Some(label));
            if !has_gateway && !has_configured_gateway(self.view, label) {
                wrong.entry(label).or_default().push(object);
            }
        }
        let judge = |(label, pods): (&str, Vec<&Doc<Object>>)| {
            let first = pods.first()?;
            self.elsewhere()?;
            let who = match pods.len() {
                1 => first.title(),
                count => format!("{} and {} more", first.title(), count - 1),
            };
            let is_there = |other: &&&Cluster| other.network().is_some_and(|(_, network)| network == Some(label));
            let leads = match self.others.iter().find(is_there) {
                Some(other) => format!("others look for it behind the gateway of {}", other.title()),
                None => "no gateway leads there, and others dial its own address".to_string(),
            };
            let reason = format!("its label {NETWORK} names {label}, {} is on {own}", self.cluster.title());
            let mut verdict = Verdict::certain(&format!("pods of {} on {label}", self.cluster.title()))
                .says("{who} of {own} is labelled with network {has}, but {own} is on {network}: {leads}")
                .slot("who", &who)
                .slot("has", label)
                .slot("network", own)
                .slot("leads", leads)
                .because_object(
                    first,
                    &format!("label {NETWORK}={label}"),
                    "a pod's own label comes before its namespace's",
                )
                .because_object(source, &format!("label {NETWORK}={own}"), "the network of the cluster's pods");
            for seen in self.dialled().into_iter().chain(self.held_elsewhere()) {
                verdict = seen.add(verdict);
            }
            let fix = format!("Take the label {NETWORK} out of the pod template, or name {own} there.");
            Some(self.fail(who, reason, &fix, verdict))
        };
        wrong.into_iter().filter_map(judge).collect()
    }

    /// What proxies of one wrong network are sent.
    fn misled(&self, claimed: Vec<Claimed<'_>>, own: &str) -> Option<Item> {
        let (first, title) = (claimed.first()?, self.cluster.title());
        // Without another network every address is dialled directly anyway, and the namespace's label is judged itself.
        if own.is_empty() || first.network.is_empty() && self.elsewhere().is_none() {
            return None;
        }
        let names: Vec<&str> = claimed.iter().map(|claimed| claimed.proxy.as_str()).collect();
        let who = match names.as_slice() {
            [one] => format!("proxy {one}"),
            [first, ..] => format!("proxies {first} and {} more", names.len() - 1),
            [] => return None,
        };
        let of_network =
            |other: &&&Cluster| other.network().is_some_and(|(_, network)| network == Some(&*first.network));
        let other = self.others.iter().find(of_network);
        let (has, leads) = match (&*first.network, other) {
            ("", _) => ("no network".to_string(), "pods of other networks are dialled at their own addresses"),
            (network, Some(_)) => {
                (format!("network {network}"), "pods of the cluster there are dialled at their own addresses")
            }
            (network, None) => (format!("network {network}"), "even pods beside it are taken for another network's"),
        };
        let subject = match other {
            Some(other) => format!("proxies of {title} on the network of {}", other.title()),
            None => format!("proxies of {title}"),
        };
        let reason = match &*first.network {
            "" => format!("no {OF_PROXY}, though the pods of {title} are on {own}"),
            network => format!("{OF_PROXY} is {network}, the pods of {title} are on {own}"),
        };
        let fix = format!(
            "Set global.network={own} where {title} injects proxies (and ISTIO_META_NETWORK where a manifest was injected by \
             hand), then restart {}.",
            names.join(", ")
        );
        let mut verdict = Verdict::certain(&subject)
            .says("{who} of {own} is told to be on {has}, but {own} is on {network}: {leads}")
            .slot("who", &who)
            .slot("has", &has)
            .slot("network", own)
            .slot("leads", leads);
        for claimed in claimed.iter().take(3) {
            verdict = claimed.shown.add(verdict).token(&claimed.proxy);
        }
        if let Some((source, own)) = self.named {
            verdict =
                verdict.because_object(source, &format!("label {NETWORK}={own}"), "the network of the cluster's pods");
        }
        for seen in self.dials().into_iter().map(Dial::shown).take(1).chain(self.holds_directly()) {
            verdict = seen.add(verdict);
        }
        Some(self.fail(who, reason, &fix, verdict))
    }

    /// What the proxies of the cluster take for their network.
    fn claimed(&self) -> Vec<Claimed<'a>> {
        let mut claimed: BTreeMap<String, Claimed<'a>> = BTreeMap::new();
        for (object, pod) in self.cluster.pods() {
            let Some(proxy) = proxy_of(pod).filter(|_| !is_over(object, pod)) else { continue };
            let network = env(std::slice::from_ref(proxy), OF_PROXY).unwrap_or("");
            // Only callers suffer from having none.
            if network.is_empty() && (!is_caller(proxy) || self.is_east_west(object)) {
                continue;
            }
            let name = format!("{}.{}", object.name, object.namespace);
            let quote = match network {
                "" => format!("no {OF_PROXY}"),
                network => format!("{OF_PROXY}={network}"),
            };
            let of_pod = object.label(NETWORK).filter(|label| !label.is_empty());
            let shown = Shown::object(object, quote, "what the proxy takes for its network");
            claimed.insert(name.clone(), Claimed { proxy: name, network: network.to_string(), of_pod, shown });
        }
        for proxy in self.cluster.proxies() {
            let Some((event, node)) = proxy.node().filter(|(_, node)| !node.network.is_empty()) else { continue };
            let quote = format!("node metadata NETWORK: {}", node.network);
            let shown = Shown::quote(event, quote, "what the proxy told istiod its network is");
            let of_pod = self.label_of(&proxy.name);
            let known = Claimed { proxy: proxy.name.to_string(), network: node.network.to_string(), of_pod, shown };
            claimed.entry(proxy.name.to_string()).or_insert(known);
        }
        for document in self.cluster.istiods().flat_map(|istiod| istiod.documents()) {
            let Said::Connections(clients) = &document.said else { continue };
            // An istiod serves proxies of other clusters, too.
            for client in
                clients.iter().filter(|client| !client.network.is_empty() && self.cluster.is_called(&client.cluster))
            {
                let name = client.id.rsplit_once('-').map_or(&*client.id, |(name, _)| name);
                let quote = format!("{}: NETWORK {}", client.id, client.network);
                let shown = Shown::quote(&document.event, quote, "what the proxy told istiod its network is");
                let of_pod = self.label_of(name);
                let known = Claimed { proxy: name.to_string(), network: client.network.to_string(), of_pod, shown };
                claimed.entry(name.to_string()).or_insert(known);
            }
        }
        // What ztunnels take for theirs is asked apart.
        claimed.into_values().filter(|claimed| !claimed.proxy.starts_with("ztunnel")).collect()
    }

    /// The network label of a proxy's own pod, which comes before the namespace's.
    fn label_of(&self, proxy: &str) -> Option<&'a str> {
        let (pod, namespace) = proxy.split_once('.')?;
        self.cluster.object("Pod", namespace, pod)?.label(NETWORK).filter(|label| !label.is_empty())
    }

    /// Whether a pod is of a gateway between networks, which is labelled with the network it leads into.
    fn is_east_west(&self, pod: &Object) -> bool {
        pod.label("istio") == Some("eastwestgateway")
            || is_east_west(&pod.name)
            || self.cluster.own_gateways().any(|gateway| pod.label(GATEWAY_NAME) == Some(&*gateway.object.name))
    }

    /// What ztunnels take for their network: running ones first, else what they would be started with.
    fn networks_of_ztunnels(&self) -> Vec<(Shown<'a>, String)> {
        const SHOWS: &str = "what ztunnel takes for its network";
        let of_dumps = self.cluster.ztunnels().filter(|(_, dump)| dump.parts.config).map(|(event, dump)| {
            (Shown::quote(event, format!("config.network: \"{}\"", dump.network), SHOWS), dump.network.to_string())
        });
        let of = |object: &'a Doc<Object>, containers: &[Container]| {
            let container = containers.iter().find(|container| !container.image.is_empty() && !container.is_init)?;
            let network = container.env.get(OF_ZTUNNEL).map_or("", |network| network);
            let quote = if network.is_empty() { format!("no {OF_ZTUNNEL}") } else { format!("{OF_ZTUNNEL}={network}") };
            Some((Shown::object(object, quote, SHOWS), network.to_string()))
        };
        let sets = self
            .cluster
            .workloads()
            .filter(|(object, _)| &*object.kind == "DaemonSet" && object.name.starts_with("ztunnel"));
        let of_sets = sets.filter_map(|(object, set)| of(object, &set.containers));
        let pods = self.cluster.pods().filter(|(object, _)| object.label("app") == Some("ztunnel"));
        let of_pods = pods.filter_map(|(object, pod)| of(object, &pod.containers));
        of_dumps.chain(of_pods).chain(of_sets).collect()
    }

    /// ztunnels that take another network for theirs than istiod does: no address istiod sends them is theirs.
    fn ztunnel(&self) -> Option<Item> {
        let (source, own) = self.named?;
        let (shown, network) = self.networks_of_ztunnels().into_iter().next().filter(|(_, network)| network != own)?;
        // Without a label, but with other clusters, the namespace is what is wrong.
        if own.is_empty() && !self.others.is_empty() {
            return None;
        }
        let title = self.cluster.title();
        let [has, known] =
            [network.as_str(), own].map(|network| if network.is_empty() { "no network" } else { network });
        let reason = format!("{OF_ZTUNNEL} names {has}, istiod takes the pods of {title} to be on {known}");
        let label = if own.is_empty() { format!("no label {NETWORK}") } else { format!("label {NETWORK}={own}") };
        let verdict = Verdict::certain(&format!("ztunnel of {title}"))
            .says("ztunnel of {own} believes to be on {has}, but istiod takes {own} to be on {known}: the addresses it is sent are of another network to it")
            .slot("has", has)
            .slot("known", known)
            .slot("other", known);
        let verdict = shown.add(verdict).because_object(source, &label, "what istiod takes the network to be");
        let fix = format!(
            "Set the network of ztunnel in {title} (Helm value network, or global.network) to {known}: both must be the same."
        );
        Some(self.fail("DaemonSet ztunnel", reason, &fix, verdict))
    }

    /// Gateways that stand for other clusters under another network than these are on.
    fn peers(&self) -> Vec<Item> {
        let judge = |peer: Gateway<'a>| {
            let object = peer.object;
            object.labels.as_ref()?;
            let other = self.others.iter().find(|other| object.stands_for(other))?;
            let (namespace, network) = other.network()?;
            let network = network?;
            if peer.network == Some(network) {
                return None;
            }
            let has = peer.network.filter(|network| !network.is_empty());
            let (reason, quote) = match has {
                Some(has) => (format!("it names network {has}"), format!("label {NETWORK}={has}")),
                None => (format!("it carries no label {NETWORK}"), format!("no label {NETWORK}")),
            };
            let reason = format!("{reason}, but {} is on {network}", other.title());
            let verdict = Verdict::certain(&format!("{} of {}", object.name, self.cluster.title()))
                .says("{gateway} of {own} stands for {other} and names {has}, but {other} is on {network}: what is there is not reached through it")
                .slot("gateway", object.title())
                .slot("other", other.title())
                .slot("has", has.map_or("no network".to_string(), |has| format!("network {has}")))
                .slot("network", network)
                .token(&object.name)
                .because_object(object, &quote, "the network under which it is known here")
                .because_object(namespace, &format!("label {NETWORK}={network}"), "the network of the cluster it stands for");
            let fix = format!(
                "Label it: kubectl --context {} -n {} label gateway {} {NETWORK}={network} --overwrite.",
                self.cluster.name, object.namespace, object.name
            );
            Some(self.fail(object.title(), reason, &fix, verdict))
        };
        self.cluster.peer_gateways().filter_map(judge).collect()
    }

    /// What new proxies will be given.
    fn injector(&self) -> Option<Item> {
        let own = self.network().filter(|own| !own.is_empty())?;
        self.elsewhere()?;
        let system = self.cluster.system_namespace();
        let maps = self
            .cluster
            .config_maps()
            .filter(|(object, _)| *object.namespace == *system && object.name.starts_with("istio-sidecar-injector"));
        let of_maps = maps.filter_map(|(object, map)| Some((object, map.values.get(OF_INJECTOR)?.to_string())));
        // A cluster without istiod names its network in the path of the webhook that another one's istiod serves.
        let of_webhooks = self.cluster.objects("MutatingWebhookConfiguration").filter_map(|object| {
            let Body::Webhooks(webhooks) = &object.body else { return None };
            let named =
                webhooks.iter().find_map(|webhook| network_in(&webhook.path).or_else(|| network_in(&webhook.url)))?;
            Some((object, named.to_string()))
        });
        let mut of_webhooks = of_webhooks.peekable();
        // The webhook's path overrides the values.
        let given: Vec<_> = if of_webhooks.peek().is_some() { of_webhooks.collect() } else { of_maps.collect() };
        let (object, network) = given.into_iter().find(|(_, network)| network != own)?;
        let has = if network.is_empty() { "no network" } else { &network };
        let reason = format!("it gives new proxies {has}, their pods are on {own}");
        let remedy = format!("Set global.network={own} for {}, before pods are made anew.", self.cluster.title());
        Some(Item::warn(&self.cluster.name, object.title(), reason, remedy))
    }

    /// Dials of other clusters' pods at their own addresses that got no answer.
    fn dials(&self) -> Vec<Dial<'a>> {
        let mesh = self.view.mesh();
        let identities = mesh.identities();
        let here = &*self.cluster.name;
        let silent = saved::failed_dials(self.view).into_iter().filter(|(event, addr)| {
            *event.origin.cluster == *here && !CROSS_NETWORK_PORTS.contains(&addr.port) && got_no_answer(event)
        });
        let dials = silent.filter_map(|(event, addr)| {
            let owners = identities.at(&addr.host);
            let is_at = |cluster: &str| {
                let lives = |owner: &Owner| matches!(owner, Owner::Pod | Owner::Workload);
                owners.iter().any(|owner| lives(&owner.what) && *owner.cluster == *cluster)
            };
            if is_at(here) {
                return None;
            }
            let owner = self.others.iter().find(|other| is_at(&other.name)).copied();
            let owner = owner.or_else(|| self.only_other_for(&addr))?;
            let pod = owner.pods().find(|(_, pod)| pod.ips.contains(&addr.host)).map(|(object, _)| object);
            let shut = pod.is_some_and(|pod| owner.shut_by(pod, addr.port).is_some());
            (!shut).then_some(Dial { event, addr, owner })
        });
        dials.collect()
    }

    /// The cluster whose pod an address must be that a proxy here holds and nobody here has: known where there is one other.
    fn only_other_for(&self, addr: &Addr) -> Option<&'a Cluster> {
        let [other] = self.others.as_slice() else { return None };
        let has_owner = !self.view.mesh().identities().at(&addr.host).is_empty();
        let holds = |proxy: &crate::engine::mesh::Proxy| {
            proxy.endpoints().is_some_and(|held| {
                held.iter()
                    .any(|(_, endpoint)| endpoint.addr == *addr && endpoint.cluster.ends_with(".svc.cluster.local"))
            })
        };
        (!has_owner && self.cluster.proxies().any(holds)).then_some(*other)
    }

    /// A failed dial from elsewhere of a pod of this cluster, or from here of a pod elsewhere.
    fn dialled(&self) -> Option<Shown<'a>> {
        let from_here = self.dials();
        let from_elsewhere = self.others.iter().flat_map(|other| {
            let side = Side::of(self.view, other);
            side.dials().into_iter().filter(|dial| dial.owner.name == self.cluster.name).collect::<Vec<_>>()
        });
        from_here.into_iter().chain(from_elsewhere).next().map(Dial::shown)
    }

    /// An endpoint of this cluster that a proxy of another one holds with a pod's own address.
    fn held_elsewhere(&self) -> Option<Shown<'a>> {
        self.others.iter().find_map(|other| directly_held(self.view, other, |of| of.name == self.cluster.name))
    }

    /// An endpoint of another cluster that a proxy of this one holds with a pod's own address.
    fn holds_directly(&self) -> Option<Shown<'a>> {
        directly_held(self.view, self.cluster, |of| of.name != self.cluster.name)
    }
}

/// A proxy of a cluster that holds the address of a pod of another cluster.
fn directly_held<'a>(view: &'a View<'a>, holder: &'a Cluster, is_of: impl Fn(&Cluster) -> bool) -> Option<Shown<'a>> {
    let mesh = view.mesh();
    holder.proxies().find_map(|proxy| {
        let held = mesh.held_by_host(holder, proxy)?;
        held.into_iter().find_map(|(host, endpoints)| {
            let endpoint = endpoints.into_iter().find(|endpoint| {
                let cluster = match &endpoint.class {
                    Class::PodSharedNetwork { cluster } | Class::PodWhereGatewayShould { cluster, .. } => cluster,
                    _ => return false,
                };
                mesh.cluster(cluster).is_some_and(&is_of)
            })?;
            let quote = format!("{host}: {}:{}", endpoint.address, endpoint.port);
            let shown = Shown::quote(endpoint.event, quote, "a proxy holds the pod's own address, not a gateway's");
            Some(Shown { token: Some(endpoint.address), ..shown })
        })
    })
}

/// Two clusters of one mesh: whether their names fit how they are connected. `is_sound` tells whether each names its
/// network consistently.
fn between(view: &View<'_>, one: &Side<'_>, other: &Side<'_>, is_sound: bool) -> Option<Item> {
    let names = format!("{}, {}", one.cluster.name, other.cluster.name);
    let ((source, a), (their_source, b)) = (one.named?, other.named?);
    let (our_title, their_title) = (one.cluster.title(), other.cluster.title());
    if a != b {
        let is_named = is_sound && !a.is_empty() && !b.is_empty();
        let label = format!("label {NETWORK}={a}");
        let pass = Item::pass(&names, "networks", format!("{our_title} is on {a}, {their_title} on {b}"));
        let quote = format!("{}: {label}", source.title());
        return is_named.then(|| {
            pass.refuting(network_label_wrong::CAUSE.slug, &source.event, &quote, "the networks are named, and differ")
        });
    }
    let pair = tunnel::pair(our_title, their_title);
    let shared = if a.is_empty() { "no network label".to_string() } else { format!("network label {a}") };
    let label = if a.is_empty() { format!("no label {NETWORK}") } else { format!("label {NETWORK}={a}") };
    let begun = |verdict: Verdict| {
        verdict
            .slot("pair", &pair)
            .slot("own", our_title)
            .slot("other", their_title)
            .slot("has", &shared)
            .slot(
                "fix",
                format!(
                    "Give {our_title} and {their_title} network names of their own, on the system namespace, the gateway, the \
                     injector (global.network) and ztunnel, and each an east-west gateway; or route pod addresses between them."
                ),
            )
            .because_object(source, &label, "the network of one cluster")
            .because_object(their_source, &label, "the network of the other")
    };
    let fail = |reason: String, verdict: Verdict| {
        Some(Item::fail(&names, "networks", reason, network_label_wrong::CAUSE.slug, verdict))
    };
    if let Some((ours, theirs, ip)) = overlap(one.cluster, other.cluster) {
        let reason = format!("both carry {shared}, but their pods have the same addresses: {ip}");
        let verdict = begun(Verdict::certain(&pair))
            .says("{own} and {other} carry {has}, as if their pods reached each other, but both give pods the address {addr}")
            .slot("addr", &ip)
            .token(&ip)
            .because_object(ours, &format!("status.podIP: {ip}"), "a pod of one cluster")
            .because_object(theirs, &format!("status.podIP: {ip}"), "a pod of the other, at the same address");
        return fail(reason, verdict);
    }
    let silent: Vec<Shown<'_>> = silence_between(view, one, other);
    let gateways: Vec<Gateway<'_>> = [one, other]
        .iter()
        .flat_map(|side| side.cluster.own_gateways())
        .filter(|gateway| gateway.network == Some(a) && !a.is_empty())
        .collect();
    let knows_services = [one, other].iter().all(|side| side.cluster.knows_all("Service", ""));
    let has_any_gateway = [one, other].iter().any(|side| side.cluster.own_gateways().next().is_some());
    if let Some(seen) = silent.first().filter(|_| knows_services && !has_any_gateway) {
        // One network was meant: what is missing is a route.
        let missing = format!(
            "both carry {shared} and neither has a gateway, so pods are meant to reach each other, and {} does not answer",
            seen.token.as_deref().unwrap_or("a pod")
        );
        let how = format!("Look for the route between the pods of {our_title} and {their_title}, both ways.");
        let quote = format!("{}: {label}", source.title());
        let shows = "both clusters are on one network without any gateway: pods are meant to reach each other";
        let item = Item::unknown(&names, "networks", missing, how);
        return Some(item.refuting(network_label_wrong::CAUSE.slug, &source.event, &quote, shows));
    }
    if !silent.is_empty() {
        // Gateways for a network that has no other side were made for two networks; where none is shown, one network may
        // be meant, and a route be missing.
        let strength = match (gateways.is_empty(), has_any_gateway) {
            (false, _) => Verdict::certain,
            (true, true) => Verdict::likely,
            (true, false) => Verdict::possible,
        };
        let mut verdict = begun(strength(&pair))
            .says("{own} and {other} carry {has}, so that pods are dialled at their own addresses, and {addr} does not answer")
            .slot("addr", silent.first().and_then(|seen| seen.token.clone()).unwrap_or_default());
        for seen in silent {
            verdict = seen.add(verdict);
        }
        for gateway in gateways.iter().take(2) {
            verdict = verdict.because_object(gateway.object, &label, "a gateway between networks that is never used");
        }
        return fail(format!("both carry {shared}, but pods of one do not reach those of the other"), verdict);
    }
    let is_peered = one.cluster.is_peered() || other.cluster.is_peered();
    let has_gateway = |side: &Side<'_>| {
        side.cluster.own_gateways().any(|gateway| gateway.network == Some(a) && gateway.ports.contains(&15443))
    };
    if !is_peered && !a.is_empty() && has_gateway(one) && has_gateway(other) {
        let reason = format!("both carry {shared} and have a gateway between networks, which is never used then");
        let remedy =
            format!("If pods of {our_title} and {their_title} do not reach each other directly, name two networks.");
        return Some(Item::warn(&names, "networks", reason, remedy));
    }
    let on = if a.is_empty() { "neither names a network".to_string() } else { format!("both are on {a}") };
    Some(Item::pass(&names, "networks", format!("{on}: pods reach each other directly")))
}

/// What shows that pods of two clusters do not reach each other: failed dials, else a proxy of whose connections to the
/// other cluster none was ever made.
fn silence_between<'a>(view: &'a View<'a>, one: &Side<'a>, other: &Side<'a>) -> Vec<Shown<'a>> {
    let pair = [(one, other), (other, one)];
    let dials =
        pair.iter().flat_map(|(from, to)| from.dials().into_iter().filter(|dial| dial.owner.name == to.cluster.name));
    let mut found: Vec<Shown<'a>> = dials.map(Dial::shown).take(3).collect();
    if found.is_empty() {
        found.extend(pair.iter().find_map(|(from, to)| never_connected(view, from.cluster, to.cluster)));
    }
    found
}

/// A proxy that tried to connect to pods of another cluster, and never did.
fn never_connected<'a>(view: &'a View<'a>, from: &'a Cluster, to: &Cluster) -> Option<Shown<'a>> {
    let mesh = view.mesh();
    let is_there = |host: &str| {
        let owners = mesh.identities().at(host);
        let lives = |of: &Cluster| {
            owners.iter().any(|owner| matches!(owner.what, Owner::Pod | Owner::Workload) && *owner.cluster == *of.name)
        };
        lives(to) && !lives(from)
    };
    from.proxies().find_map(|proxy| {
        let held = proxy.endpoints()?;
        let there: Vec<_> = held.iter().filter(|(_, endpoint)| is_there(&endpoint.addr.host)).collect();
        let tried: Vec<_> = there.iter().filter(|(_, endpoint)| 0 < endpoint.connects.unwrap_or(0)).collect();
        let is_lost =
            |endpoint: &meshwhy_parsers::state::proxy::ProxyEndpoint| endpoint.connect_failures == endpoint.connects;
        let (event, endpoint) = tried.first().filter(|_| tried.iter().all(|(_, endpoint)| is_lost(endpoint)))?;
        let pod = to.pods().find(|(_, pod)| pod.ips.contains(&endpoint.addr.host)).map(|(object, _)| object);
        if pod.is_some_and(|pod| to.shut_by(pod, endpoint.addr.port).is_some()) {
            return None;
        }
        let count = endpoint.connects.unwrap_or(0);
        let quote = format!("{} {}: cx_total {count}, cx_connect_fail {count}", endpoint.cluster, endpoint.addr);
        let shown = Shown::quote(event, quote, "of all connections to pods of the other cluster none was made");
        Some(Shown { token: Some(endpoint.addr.host.to_string()), ..shown })
    })
}

/// Two different pods of two clusters with one address.
fn overlap<'a>(one: &'a Cluster, other: &'a Cluster) -> Option<(&'a Doc<Object>, &'a Doc<Object>, String)> {
    let of = |cluster: &'a Cluster| {
        let pods = cluster.pods().filter(|(object, pod)| !pod.host_network && !is_over(object, pod));
        // Pods in a row do not tell whether they share their node's network.
        pods.filter(|(object, _)| !object.is_row)
    };
    let theirs: BTreeMap<&str, &Doc<Object>> =
        of(other).flat_map(|(object, pod)| pod.ips.iter().map(move |ip| (&**ip, object))).collect();
    of(one).find_map(|(object, pod)| {
        let (ip, there) = pod.ips.iter().find_map(|ip| Some((ip, *theirs.get(&**ip)?)))?;
        // One cluster that was saved under two names.
        let is_same = object.name == there.name && object.namespace == there.namespace;
        (!is_same && ip.parse::<IpAddr>().is_ok()).then(|| (object, there, ip.to_string()))
    })
}

/// A proxy and what it takes for its network.
struct Claimed<'a> {
    /// `<pod>.<namespace>`.
    proxy: String,
    /// Empty for none.
    network: String,
    /// The label of its pod, which names the network of that pod alone.
    of_pod: Option<&'a str>,
    shown: Shown<'a>,
}

/// A dial of a pod of another cluster that got no answer.
struct Dial<'a> {
    event: &'a Arc<Event>,
    addr: Addr,
    owner: &'a Cluster,
}

impl<'a> Dial<'a> {
    fn shown(self) -> Shown<'a> {
        let shows = "a pod of another cluster was dialled at its own address, in vain";
        Shown { event: self.event, quote: None, shows, token: Some(self.addr.host.to_string()) }
    }
}

/// Evidence: words of a document, or a whole line.
struct Shown<'a> {
    event: &'a Arc<Event>,
    /// `None` for the whole line.
    quote: Option<String>,
    shows: &'static str,
    /// The address it is about.
    token: Option<String>,
}

impl<'a> Shown<'a> {
    fn quote(event: &'a Arc<Event>, quote: String, shows: &'static str) -> Shown<'a> {
        Shown { event, quote: Some(quote), shows, token: None }
    }

    fn object(object: &'a Doc<Object>, quote: String, shows: &'static str) -> Shown<'a> {
        let quote = (!object.is_row).then(|| format!("{}: {quote}", object.title()));
        Shown { event: &object.event, quote, shows, token: None }
    }

    fn add(&self, verdict: Verdict) -> Verdict {
        let verdict = match &self.quote {
            Some(quote) => verdict.because_quote(self.event, quote, self.shows),
            None => verdict.because(self.event, self.shows),
        };
        match &self.token {
            Some(token) => verdict.token(token),
            None => verdict,
        }
    }
}

/// The network that mesh networks give a cluster's registry.
fn by_mesh_networks<'a>(view: &View<'a>, cluster: &Cluster) -> Option<(&'a Doc<Object>, &'a str)> {
    let maps = view.mesh().clusters().flat_map(Cluster::config_maps);
    maps.flat_map(|(object, map)| map.mesh_networks.iter().map(move |network| (object, network)))
        .find(|(_, network)| network.registries.iter().any(|registry| cluster.is_called(registry)))
        .map(|(object, network)| (object, &*network.name))
}

/// Whether mesh networks name a gateway of a network.
fn has_configured_gateway(view: &View<'_>, network: &str) -> bool {
    let mut networks = view.mesh().clusters().flat_map(Cluster::config_maps).flat_map(|(_, map)| &map.mesh_networks);
    networks.any(|known| *known.name == *network && !known.gateways.is_empty())
}

/// `/inject/cluster/west/net/net-west`, also as `/inject/:ENV:cluster=west:ENV:net=net-west`.
fn network_in(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/net/").or_else(|| path.split_once(":net="))?;
    let name = rest.split(['/', ':', '?']).next()?;
    (!name.is_empty()).then_some(name)
}

/// The container of a pod that is a proxy of the mesh.
fn proxy_of(pod: &object::Pod) -> Option<&Container> {
    pod.containers.iter().find(|container| &*container.name == "istio-proxy")
}

/// Whether a proxy calls others by its own choice of endpoints: a sidecar or a gateway, as its arguments tell.
fn is_caller(proxy: &Container) -> bool {
    let has = |word: &str| proxy.args.iter().any(|arg| **arg == *word);
    has("sidecar") || has("router")
}

fn is_over(object: &Object, pod: &object::Pod) -> bool {
    object.deleted.is_some() || matches!(&*pod.phase, "Succeeded" | "Failed" | "Completed" | "Terminating")
}

/// Whether a dial failed because packets got lost: nothing that was there answered, and nothing refused.
fn got_no_answer(event: &Event) -> bool {
    let is_lost = |what: &What| matches!(what, What::TimedOut | What::NoRoute | What::NetworkUnreachable);
    match &event.fact {
        Fact::Request(request) => {
            matches!(request.sign(), Sign::ConnectTimedOut | Sign::HostUnreachable | Sign::ConnectFailed)
        }
        Fact::Connection(connection) => {
            connection.error.as_ref().is_some_and(|error| tunnel::connect_fault(&error.what).is_some_and(is_lost))
        }
        Fact::State(state) => match &**state {
            State::Probe { fault: Some(fault), .. } | State::CallFailed { fault, .. } => is_lost(&fault.what),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checks::testing::{Saved, failed, told};

    const SPEC: &str = "spec: {clusterIP: 10.96.0.4, type: LoadBalancer, ports: [{name: tls, port: 15443}, {name: tls-istiod, port: 15012}]}";

    /// A list as `kubectl get -A -o yaml` prints it.
    fn list(items: &[String]) -> String {
        let items: Vec<String> = items.iter().map(|item| format!("- {}\n", item.replace('\n', "\n  "))).collect();
        format!("apiVersion: v1\nkind: List\nitems:\n{}", items.concat())
    }

    fn labelled(network: &str) -> String {
        if network.is_empty() { String::new() } else { format!(", topology.istio.io/network: {network}") }
    }

    fn namespace(network: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: istio-system\n  labels: {{kubernetes.io/metadata.name: istio-system{}}}",
            labelled(network)
        )
    }

    fn gateway(network: &str, address: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: istio-eastwestgateway\n  namespace: istio-system\n  labels: \
             {{app: istio-eastwestgateway, istio: eastwestgateway{}}}\n{SPEC}\nstatus: {{loadBalancer: {{ingress: [{{ip: {address}}}]}}}}",
            labelled(network)
        )
    }

    fn istiod(cluster: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: istiod-6f9c8b5d7-x2x4q\n  namespace: istio-system\n  labels: {{app: istiod}}\nspec:\n  \
             containers:\n  - {{name: discovery, image: 'docker.io/istio/pilot:1.28.0', env: [{{name: CLUSTER_ID, value: {cluster}}}]}}\nstatus: \
             {{phase: Running, podIP: {}}}",
            if cluster == "east" { "10.1.0.2" } else { "10.2.0.2" }
        )
    }

    fn pod(name: &str, ip: &str, network: Option<&str>) -> String {
        let env = network.map_or(String::new(), |network| format!(", {{name: ISTIO_META_NETWORK, value: {network}}}"));
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: shop\n  labels: {{app: {name}}}\nspec:\n  containers:\n  - {{name: app, \
             image: app}}\n  - {{name: istio-proxy, image: 'docker.io/istio/proxyv2:1.28.0', args: [proxy, sidecar, --domain], env: [{{name: \
             PILOT_CERT_PROVIDER, value: istiod}}{env}]}}\nstatus: {{phase: Running, podIP: {ip}}}"
        )
    }

    /// East and west as they should be, on networks of their own, each part replaceable.
    struct Pair {
        east: Vec<String>,
        west: Vec<String>,
    }

    fn pair(east: &str, west: &str) -> Pair {
        let cluster = |name: &str, network: &str, last: u16| {
            let (address, ip) = (format!("192.0.2.{last}"), format!("10.{}.0.9", last / 10));
            vec![
                namespace(network),
                gateway(network, &address),
                istiod(name),
                pod(&format!("{name}-web"), &ip, Some(network)),
            ]
        };
        Pair { east: cluster("east", east, 10), west: cluster("west", west, 20) }
    }

    fn said(pair: &Pair, more: &[Saved<'_>]) -> Vec<String> {
        let (east, west) = (list(&pair.east), list(&pair.west));
        let files = [&[("east", "all.yaml", &*east), ("west", "all.yaml", &*west)], more].concat();
        told(&CHECK, &files)
    }

    fn slugs(pair: &Pair, more: &[Saved<'_>]) -> Vec<&'static str> {
        let (east, west) = (list(&pair.east), list(&pair.west));
        let files = [&[("east", "all.yaml", &*east), ("west", "all.yaml", &*west)], more].concat();
        failed(&CHECK, &files)
    }

    /// What makes two clusters of these tests one mesh.
    const LINK: Saved<'static> = (
        "east",
        "istio-system/istiod-6f9c8b5d7-x2x4q/debug/clusterz.json",
        r#"[{"id":"east","secretName":"","syncStatus":"synced"},{"id":"west","secretName":"istio-system/istio-remote-secret-west","syncStatus":"synced"}]"#,
    );

    const WRONG: [&str; 1] = ["network-label-wrong"];

    #[test]
    fn networks_that_differ_and_are_named_alike_everywhere_pass() {
        assert_eq!(
            said(&pair("net-1", "net-2"), &[LINK]),
            ["pass east, west networks: east is on net-1, west on net-2"]
        );
        // Clusters that have nothing to do with each other may be named as they like.
        assert_eq!(said(&pair("net-1", "net-1"), &[]), [""; 0]);
    }

    #[test]
    fn a_namespace_without_label_is_broken_where_the_gateway_names_a_network() {
        let mut broken = pair("net-1", "net-2");
        broken.west[0] = namespace("");
        assert_eq!(slugs(&broken, &[LINK]), WRONG);
        assert!(said(&broken, &[LINK])[0].contains("other parts of west are on net-2"));
        // Mesh networks may name the cluster instead.
        let named = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  meshNetworks: |-\n    networks:\n      net-2:\n        \
                     endpoints:\n        - fromRegistry: west\n        gateways:\n        - address: 192.0.2.20\n          port: 15443\n";
        assert_eq!(slugs(&broken, &[LINK, ("east", "mesh.yaml", named)]), [""; 0]);
        // No cluster names a network: pods reach each other.
        let flat = Pair { east: vec![namespace(""), istiod("east")], west: vec![namespace(""), istiod("west")] };
        assert_eq!(
            said(&flat, &[LINK]),
            ["pass east, west networks: neither names a network: pods reach each other directly"]
        );
        // Only the other one names its own, and nothing shows that this is wrong.
        let half = Pair { east: vec![namespace("net-1"), istiod("east")], west: vec![namespace(""), istiod("west")] };
        assert!(said(&half, &[LINK])[0].starts_with("warn west Namespace istio-system: no label"));
        // Of a namespace that was not saved nothing is said but that.
        let unknown = Pair { east: vec![namespace("net-1"), istiod("east")], west: vec![istiod("west")] };
        assert!(said(&unknown, &[LINK])[0].starts_with("cannot tell west Namespace istio-system"));
    }

    #[test]
    fn a_gateway_needs_the_label_of_its_network() {
        let networkz = |known: &str| {
            format!(r#"[{{"Network":"net-1","Cluster":"east","Addr":"192.0.2.10","Port":15443,"HBONEPort":0}}{known}]"#)
        };
        let path = "istio-system/istiod-6f9c8b5d7-x2x4q/debug/networkz.json";
        let mut bare = pair("net-1", "net-2");
        bare.west[1] = gateway("", "192.0.2.20");
        let unknown = networkz("");
        assert_eq!(slugs(&bare, &[LINK, ("east", path, &unknown)]), WRONG);
        // istiod knows a gateway of the network from elsewhere: the bare Service may serve istiod alone.
        let known = networkz(r#",{"Network":"net-2","Cluster":"west","Addr":"192.0.2.21","Port":15443,"HBONEPort":0}"#);
        assert_eq!(slugs(&bare, &[LINK, ("east", path, &known)]), [""; 0]);
        // On one network the gateway only leads to istiod.
        let mut flat = pair("net-1", "net-1");
        flat.west[1] = gateway("", "192.0.2.20");
        assert_eq!(slugs(&flat, &[LINK]), [""; 0]);
        let mut other = pair("net-1", "net-2");
        other.west[1] = gateway("net-3", "192.0.2.20");
        assert!(
            said(&other, &[LINK])
                .iter()
                .any(|item| item.contains("it is labelled with network net-3, the pods of west are on net-2"))
        );
    }

    #[test]
    fn a_proxy_is_on_the_network_of_its_pods() {
        let with = |network: Option<&str>| {
            let mut with = pair("net-1", "net-2");
            with.east[3] = pod("east-web", "10.1.0.9", network);
            with
        };
        assert!(
            said(&with(Some("net-2")), &[LINK])[0]
                .contains("ISTIO_META_NETWORK is net-2, the pods of east are on net-1")
        );
        assert_eq!(slugs(&with(None), &[LINK]), WRONG, "without a network every address is dialled directly");
        assert_eq!(slugs(&with(Some("net-1")), &[LINK]), [""; 0]);
        // The label alone: the pod counts as one of a network that no gateway leads into.
        let labelled = with(Some("net-1"));
        let label = |pair: Pair| Pair {
            east: pair
                .east
                .iter()
                .map(|text| {
                    text.replace("labels: {app: east-web}", "labels: {app: east-web, topology.istio.io/network: net-9}")
                })
                .collect(),
            west: pair.west,
        };
        assert!(
            said(&label(labelled), &[LINK])[0]
                .contains("its label topology.istio.io/network names net-9, east is on net-1")
        );
        let mut with_gateway = label(with(Some("net-9")));
        with_gateway
            .east
            .push(gateway("net-9", "192.0.2.19").replace("name: istio-eastwestgateway\n", "name: edge-gateway\n"));
        assert_eq!(slugs(&with_gateway, &[LINK]), [""; 0]);
        // A pod that is gone tells nothing any more.
        let mut over = with(Some("net-2"));
        over.east[3] = over.east[3].replace("phase: Running", "phase: Succeeded");
        assert_eq!(slugs(&over, &[LINK]), [""; 0]);
    }

    #[test]
    fn ztunnel_is_on_the_network_that_istiod_names() {
        let ztunnel = |env: &str| {
            format!(
                "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: ztunnel, namespace: istio-system, labels: {{app: ztunnel}}}}\nspec:\n  template:\n    spec:\n      \
                 containers:\n      - {{name: istio-proxy, image: 'docker.io/istio/ztunnel:1.28.0', env: [{{name: CLUSTER_ID, value: east}}{env}]}}\n"
            )
        };
        let with = |env: &str| {
            let mut with = pair("net-1", "net-2");
            with.east.push(ztunnel(env));
            slugs(&with, &[LINK])
        };
        assert_eq!(with(", {name: NETWORK, value: east}"), WRONG);
        assert_eq!(with(""), WRONG);
        assert_eq!(with(", {name: NETWORK, value: net-1}"), [""; 0]);
    }

    #[test]
    fn a_gateway_that_stands_for_a_peer_names_the_peers_network() {
        let peer = |network: &str| {
            format!(
                "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: istio-remote-peer-west\n  namespace: istio-gateways\n  labels: {{topology.istio.io/cluster: west{}}}\n\
                 spec:\n  gatewayClassName: istio-remote\n  addresses: [{{type: IPAddress, value: 192.0.2.20}}]\n  listeners: [{{name: cross-network, port: 15008, protocol: HBONE}}]\n",
                labelled(network)
            )
        };
        let with = |network: &str| {
            let mut with = pair("net-1", "net-2");
            with.east.push(peer(network));
            slugs(&with, &[])
        };
        assert_eq!(with("net-3"), WRONG);
        assert_eq!(with(""), WRONG);
        assert_eq!(with("net-2"), [""; 0]);
    }

    #[test]
    fn one_name_for_two_networks_is_wrong_where_pods_do_not_reach_each_other() {
        let line = |flags: &str, to: &str| {
            format!(
                "[2026-07-07T07:16:27.435Z] \"GET /hello HTTP/1.1\" 503 {flags} - \"-\" 0 114 10002 - \"-\" \"curl/8.16.0\" \"73e33988-e324-828f-7585-c71dff6df1d0\" \
                 \"cart.shop:5000\" \"{to}\" outbound|5000||cart.shop.svc.cluster.local - 10.131.1.132:5000 10.1.0.9:40513 - default\n"
            )
        };
        let one = pair("net-1", "net-1");
        let log = "shop/east-web/istio-proxy.log";
        let timeout = "UF,URX upstream_reset_before_response_started{connection_timeout}";
        let with = |text: &str| slugs(&one, &[LINK, ("east", log, text)]);
        assert_eq!(with(&line(timeout, "10.2.0.9:5000")), WRONG);
        // A pod of the own cluster that does not answer is another matter.
        assert_eq!(with(&line(timeout, "10.1.0.9:5000")), [""; 0]);
        // Who refuses was reached.
        let refused = "UF,URX upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}";
        assert_eq!(with(&line(refused, "10.2.0.9:5000")), [""; 0]);
        // Without gateways one network is meant, and what is missing is a route.
        let mut without = pair("net-1", "net-1");
        without.east.remove(1);
        without.west.remove(1);
        let (east, west) = (list(&without.east), list(&without.west));
        let service = |namespace: &str| {
            format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: cart, namespace: {namespace}}}\nspec: {{clusterIP: 10.96.0.7, ports: [{{port: 5000}}]}}"
            )
        };
        let services = list(&[service("shop"), service("default")]);
        let text = line(timeout, "10.2.0.9:5000");
        let files = [LINK, ("east", "all.yaml", &east), ("west", "all.yaml", &west), ("east", log, &text)];
        assert_eq!(failed(&CHECK, &files), WRONG, "whether there are gateways is not known");
        let known =
            [&files[..], &[("east", "services.yaml", &services), ("west", "services.yaml", &services)]].concat();
        assert!(told(&CHECK, &known)[0].starts_with("cannot tell east, west networks"));
        // Nothing failed: one network may be meant, but two gateways are odd.
        assert!(said(&one, &[LINK])[0].starts_with("warn east, west networks: both carry network label net-1"));
        let flat =
            Pair { east: vec![namespace("net-1"), istiod("east")], west: vec![namespace("net-1"), istiod("west")] };
        assert_eq!(
            said(&flat, &[LINK]),
            ["pass east, west networks: both are on net-1: pods reach each other directly"]
        );
        // A policy that lets the port out explains the silence.
        let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: only-http, namespace: shop}\nspec:\n  podSelector: {}\n  ingress: [{ports: [{port: 8080}]}]\n";
        let text = line(timeout, "10.2.0.9:5000");
        assert_eq!(slugs(&one, &[LINK, ("east", log, &text), ("west", "policy.yaml", policy)]), [""; 0]);
    }

    #[test]
    fn pods_with_one_address_are_not_on_one_network() {
        let mut one = pair("net-1", "net-1");
        one.west[3] = pod("west-web", "10.1.0.9", Some("net-1"));
        assert_eq!(slugs(&one, &[LINK]), WRONG);
        let mut two = pair("net-1", "net-2");
        two.west[3] = pod("west-web", "10.1.0.9", Some("net-2"));
        assert_eq!(slugs(&two, &[LINK]), [""; 0], "networks of their own may use the same ranges");
        one.west[3] = pod("east-web", "10.1.0.9", Some("net-1"));
        assert_eq!(slugs(&one, &[LINK]), [""; 0], "the same pod, saved twice");
    }

    #[test]
    fn a_proxy_that_never_connected_to_the_other_cluster_shows_two_networks() {
        let clusters = |total: u64, failed: u64| {
            format!(
                "outbound|5000||cart.shop.svc.cluster.local::10.2.0.9:5000::cx_active::0\noutbound|5000||cart.shop.svc.cluster.local::10.2.0.9:5000::cx_connect_fail::{failed}\n\
                 outbound|5000||cart.shop.svc.cluster.local::10.2.0.9:5000::cx_total::{total}\noutbound|5000||cart.shop.svc.cluster.local::10.2.0.9:5000::health_flags::healthy\n"
            )
        };
        let with = |total: u64, failed: u64| {
            slugs(
                &pair("net-1", "net-1"),
                &[LINK, ("east", "proxies/shop/east-web/clusters", &clusters(total, failed))],
            )
        };
        assert_eq!(with(12, 12), WRONG);
        assert_eq!(with(12, 3), [""; 0], "some were made");
        assert_eq!(with(0, 0), [""; 0], "nobody tried");
    }

    #[test]
    fn what_new_proxies_will_be_given_is_warned_of() {
        let values = |network: &str| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio-sidecar-injector, namespace: istio-system}}\ndata:\n  values: '{{\"global\": {{\"network\": \"{network}\"}}}}'\n"
            )
        };
        let with = |network: &str| said(&pair("net-1", "net-2"), &[LINK, ("east", "injector.yaml", &values(network))]);
        assert!(
            with("net-2")[0]
                .starts_with("warn east ConfigMap istio-system/istio-sidecar-injector: it gives new proxies net-2")
        );
        assert_eq!(with("net-1").len(), 1, "the pair alone passes");
        assert_eq!(super::network_in("/inject/cluster/west/net/net-2"), Some("net-2"));
        assert_eq!(super::network_in("https://192.0.2.1:15017/inject/:ENV:cluster=west:ENV:net=net-2"), Some("net-2"));
        assert_eq!(super::network_in("/inject"), None);
    }
}
