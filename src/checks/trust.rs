//! Trust between clusters: a common root, certificates that are valid, trust domains that accept each other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::cert::{Cert, ChainFault, same_roots, verifies};
use meshwhy_parsers::event::{Event, Kind, Text};
use meshwhy_parsers::state::istiod::Said;
use meshwhy_parsers::state::object::MeshConfig;
use meshwhy_parsers::time::Time;

use crate::causes::{control_plane, root_of_trust_mismatch, trust_domain_mismatch, tunnel, workload_cert_expired};
use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Proxy};
use crate::engine::view::View;

/// See the title.
pub static ROOTS: Check =
    Check { id: "roots-of-trust", title: "Clusters share a root of trust", before_linking: true, run: roots };

/// See the title.
pub static VALIDITY: Check =
    Check { id: "certificates", title: "Certificates are valid", before_linking: true, run: validity };

/// See the title.
pub static DOMAINS: Check =
    Check { id: "trust-domains", title: "Trust domains accept each other", before_linking: true, run: domains };

/// How long before its end a CA's certificate is worth a warning.
const CA_ENDS_SOON: Duration = Duration::from_secs(30 * 86_400);
/// The ConfigMap that istiod writes into every namespace.
const ROOT_MAP: &str = "istio-ca-root-cert";
/// The trust domain where none is set.
const DEFAULT_DOMAIN: &str = "cluster.local";

/// Certificates and where they were found.
#[derive(Clone)]
struct Found<'m> {
    event: &'m Arc<Event>,
    /// `Secret istio-system/cacerts root-cert.pem`.
    place: String,
    certs: Vec<&'m Cert>,
}

impl Found<'_> {
    /// One of its certificates as a quotation.
    fn quote(&self) -> String {
        self.certs.first().map_or_else(|| self.place.clone(), |cert| format!("{}: {}", self.place, summed(cert)))
    }

    fn owned(&self) -> Vec<Cert> {
        self.certs.iter().copied().cloned().collect()
    }
}

/// A certificate by its name and sum.
fn summed(cert: &Cert) -> String {
    format!("{} SHA-256 {}", cert.called(), cert.fingerprint)
}

/// What a cluster trusts and signs with, as far as it is known.
struct Trust<'m> {
    cluster: &'m Cluster,
    /// What its workloads are given to trust: the source that says it best.
    roots: Option<Found<'m>>,
    /// Roots that mesh config adds.
    added: Option<Found<'m>>,
    /// What signs its workloads' certificates: the CA's certificate first.
    signer: Option<Found<'m>>,
    /// Roots of which only SHA-256 sums are known.
    sums: Option<(&'m Arc<Event>, Vec<&'m str>)>,
    /// A plugged-in CA that is there and not what the workloads are given.
    unused: Option<Found<'m>>,
}

impl<'m> Trust<'m> {
    fn of(cluster: &'m Cluster) -> Trust<'m> {
        let handed = root_map(cluster, cluster.system_namespace());
        let plugged = secret(cluster, "cacerts", &["root-cert.pem", "ca.crt"]);
        let made = secret(cluster, "istio-ca-secret", &["root-cert.pem", "ca-cert.pem"]);
        let loose = loose(cluster, "root-cert");
        let held = cluster.proxies().find_map(root_of_proxy);
        // A plugged-in CA that workloads were not told of is not in use: istiod reads it at its start only.
        let is_unused = matches!((&handed, &plugged), (Some(handed), Some(plugged)) if !same_roots(&handed.owned(), &plugged.owned()));
        let unused = plugged.clone().filter(|_| is_unused);
        let signer = if is_unused { None } else { signer(cluster, "cacerts", &["ca-cert.pem", "tls.crt"]) };
        let own = || {
            let own = signer_of_own(cluster)?;
            let fits = handed.as_ref().is_none_or(|handed| same_roots(&handed.owned(), &own.owned()));
            fits.then_some(own)
        };
        let signer = match &plugged {
            Some(_) if !is_unused => signer,
            _ => own(),
        };
        let loose_signer = || self::loose(cluster, "ca-cert");
        let added = cluster.mesh_config().filter(|(_, config)| !config.ca_certificates.is_empty());
        Trust {
            cluster,
            roots: handed.or(plugged).or(made).or(loose).or(held),
            added: added.map(|(event, config)| Found {
                event,
                place: "mesh config caCertificates".to_string(),
                certs: config.ca_certificates.iter().collect(),
            }),
            signer: signer.or_else(loose_signer),
            sums: sums(cluster),
            unused,
        }
    }

    /// Everything its workloads trust.
    fn trusted(&self) -> Vec<Cert> {
        self.roots.iter().chain(&self.added).flat_map(Found::owned).collect()
    }

    /// Whether it made its root itself because nobody gave it one.
    fn is_self_made(&self) -> bool {
        let system = self.cluster.system_namespace();
        self.cluster.knows_all("Secret", system) && self.cluster.object("Secret", system, "cacerts").is_none()
    }

    /// Its root for a person: name and the beginning of the sum; and as a quotation.
    fn shown(&self) -> Option<(String, &'m Arc<Event>, String)> {
        if let Some(found) = &self.roots
            && let Some(cert) = found.certs.first()
        {
            return Some((format!("{} ({})", cert.called(), cert.short()), found.event, found.quote()));
        }
        let (event, sums) = self.sums.as_ref()?;
        let sum = sums.first()?;
        Some((sum.get(..16).unwrap_or(sum).to_string(), event, format!("ztunnel's root SHA-256 {sum}")))
    }
}

/// The certificates of the first of these keys that a Secret of the control plane has.
fn secret<'m>(cluster: &'m Cluster, name: &str, keys: &[&str]) -> Option<Found<'m>> {
    let system = cluster.system_namespace();
    let (object, secret) =
        cluster.secrets().find(|(object, _)| *object.name == *name && *object.namespace == *system)?;
    let (key, certs) = keys
        .iter()
        .find_map(|key| secret.certs.iter().find(|(of, certs)| of == &Text::from(*key) && !certs.is_empty()))?;
    Some(Found { event: &object.event, place: format!("{} {key}", object.title()), certs: certs.iter().collect() })
}

/// What a CA Secret signs with: its certificate and the chain above it.
fn signer<'m>(cluster: &'m Cluster, name: &str, keys: &[&str]) -> Option<Found<'m>> {
    let mut signer = secret(cluster, name, keys)?;
    if let Some(chain) = secret(cluster, name, &["cert-chain.pem"]) {
        signer.certs.extend(chain.certs);
    }
    Some(signer)
}

fn signer_of_own(cluster: &Cluster) -> Option<Found<'_>> {
    signer(cluster, "istio-ca-secret", &["ca-cert.pem"])
}

/// The roots that istiod hands out in a namespace.
fn root_map<'m>(cluster: &'m Cluster, namespace: &str) -> Option<Found<'m>> {
    root_maps(cluster).find(|(of, _)| *of == namespace).map(|(_, found)| found)
}

fn root_maps(cluster: &Cluster) -> impl Iterator<Item = (&str, Found<'_>)> {
    cluster.config_maps().filter(|(object, _)| &*object.name == ROOT_MAP).filter_map(|(object, map)| {
        let (key, certs) = map.certs.iter().find(|(_, certs)| !certs.is_empty())?;
        let place = format!("{} {key}", object.title());
        Some((&*object.namespace, Found { event: &object.event, place, certs: certs.iter().collect() }))
    })
}

fn loose<'m>(cluster: &'m Cluster, part: &str) -> Option<Found<'m>> {
    cluster
        .loose_certs()
        .find(|(_, name, certs)| name.contains(part) && !certs.is_empty())
        .map(|(event, name, certs)| Found { event, place: name.to_string(), certs: certs.iter().collect() })
}

fn root_of_proxy(proxy: &Proxy) -> Option<Found<'_>> {
    let (event, secrets) = proxy.secrets()?;
    let root = secrets.iter().find(|secret| &*secret.name == "ROOTCA" && !secret.certs.is_empty())?;
    Some(Found { event, place: format!("proxy {} ROOTCA", proxy.name), certs: root.certs.iter().collect() })
}

/// The sums of the roots that ztunnels hold.
fn sums(cluster: &Cluster) -> Option<(&Arc<Event>, Vec<&str>)> {
    cluster.ztunnels().find_map(|(event, dump)| {
        let mut sums: Vec<&str> =
            dump.certificates.iter().flat_map(|held| held.roots.iter().map(|sum| &**sum)).collect();
        sums.sort_unstable();
        sums.dedup();
        (!sums.is_empty()).then_some((event, sums))
    })
}

fn roots(view: &View<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    let all: Vec<Trust<'_>> = view.mesh().clusters().map(Trust::of).collect();
    for (at, one) in all.iter().enumerate() {
        for other in all.iter().skip(at + 1).filter(|other| view.is_one_mesh(one.cluster, other.cluster)) {
            items.push(between(one, other));
        }
        items.extend(unused(one));
        items.extend(namespaces(one));
        items.extend(proxies(one));
        items.extend(ztunnels(one));
    }
    items
}

/// Whether two clusters' workloads can verify each other.
fn between(one: &Trust<'_>, other: &Trust<'_>) -> Item {
    let names = format!("{}, {}", one.cluster.name, other.cluster.name);
    let (Some((ours, our_event, our_quote)), Some((theirs, their_event, their_quote))) = (one.shown(), other.shown())
    else {
        let lacking = if one.shown().is_none() { one.cluster } else { other.cluster };
        let how = format!(
            "kubectl --context {} get configmap -A --field-selector metadata.name={ROOT_MAP} -o yaml",
            lacking.name
        );
        return Item::unknown(&names, "roots", format!("the root of {} is not shown", lacking.title()), how);
    };
    let faults = [(one, other), (other, one)].map(|(from, to)| fault(from, to));
    let Some(fault) = faults.into_iter().flatten().next() else {
        return Item::pass(&names, "roots", format!("both trust {ours}")).refuting(
            root_of_trust_mismatch::CAUSE.slug,
            our_event,
            &our_quote,
            "both clusters hold this root",
        );
    };
    let (a, b) = (one.cluster.title(), other.cluster.title());
    let why = match (one.is_self_made(), other.is_self_made()) {
        (true, true) => "neither has a Secret cacerts, so each istiod made a root of its own".to_string(),
        (true, false) => format!("{a} has no Secret cacerts, so its istiod made a root of its own"),
        (false, true) => format!("{b} has no Secret cacerts, so its istiod made a root of its own"),
        (false, false) => fault,
    };
    let reason = format!("{a} has root {ours}, {b} has root {theirs}: {why}");
    let verdict = Verdict::certain(&tunnel::pair(a, b))
        .slot("who", a)
        .slot("other", b)
        .slot("reason", &reason)
        .slot("pair", tunnel::pair(a, b))
        .token(a)
        .token(b)
        .because_quote(our_event, &our_quote, &format!("the root of {a}"))
        .because_quote(their_event, &their_quote, &format!("the root of {b}"));
    Item::fail(&names, "roots", reason, root_of_trust_mismatch::CAUSE.slug, verdict)
}

/// Why what one cluster signs is not trusted in the other; `None` where it is.
fn fault(from: &Trust<'_>, to: &Trust<'_>) -> Option<String> {
    let trusted = to.trusted();
    if let Some(signer) = from.signer.as_ref().filter(|_| !trusted.is_empty()) {
        match verifies(&signer.owned(), &trusted, None) {
            Ok(()) => return None,
            Err(ChainFault::Unverifiable { .. } | ChainFault::NoChain | ChainFault::NoRoots) => {}
            Err(fault) => return Some(fault.to_string()),
        }
    }
    let roots: Vec<Cert> = from.roots.iter().flat_map(Found::owned).collect();
    if !roots.is_empty() && !trusted.is_empty() {
        let is_namesake = roots
            .iter()
            .any(|root| trusted.iter().any(|known| known.subject == root.subject && !root.subject.is_empty()));
        let fault =
            if is_namesake { "they carry one name and differ in their keys" } else { "they have no root in common" };
        return (!same_roots(&roots, &trusted)).then(|| fault.to_string());
    }
    let sums = |trust: &Trust<'_>| -> Vec<String> {
        let of_certs = trust.trusted().into_iter().map(|cert| cert.fingerprint.to_string());
        let of_ztunnels = trust.sums.iter().flat_map(|(_, sums)| sums.iter().map(ToString::to_string));
        of_certs.chain(of_ztunnels).collect()
    };
    let (ours, theirs) = (sums(from), sums(to));
    (!ours.iter().any(|sum| theirs.contains(sum))).then(|| "their SHA-256 sums differ".to_string())
}

/// A plugged-in CA that istiod does not use.
fn unused(trust: &Trust<'_>) -> Option<Item> {
    let (unused, handed) = (trust.unused.as_ref()?, trust.roots.as_ref()?);
    let reason = format!(
        "workloads are given {}, but Secret cacerts holds {}",
        handed.certs.first().map(|cert| summed(cert)).unwrap_or_default(),
        unused.certs.first().map(|cert| summed(cert)).unwrap_or_default()
    );
    let remedy = format!(
        "istiod reads cacerts when it starts: kubectl --context {} -n {} rollout restart deployment istiod, then the workloads.",
        trust.cluster.name,
        trust.cluster.system_namespace()
    );
    Some(Item::warn(&trust.cluster.name, "Secret cacerts", reason, remedy))
}

/// Namespaces in which workloads are given another root than the control plane's.
fn namespaces(trust: &Trust<'_>) -> Vec<Item> {
    let cluster = trust.cluster;
    let system = cluster.system_namespace();
    let Some(handed) = root_map(cluster, system) else { return Vec::new() };
    let known = handed.owned();
    // By the root they hold: one old root in many namespaces is one finding.
    let mut others: BTreeMap<&str, Vec<(&str, Found<'_>)>> = BTreeMap::new();
    for (namespace, found) in
        root_maps(cluster).filter(|(namespace, found)| *namespace != system && !same_roots(&found.owned(), &known))
    {
        let sum = found.certs.first().map_or("", |cert| &cert.fingerprint);
        others.entry(sum).or_default().push((namespace, found));
    }
    let in_mesh = |namespace: &str| {
        let is_meshed = |pod: &meshwhy_parsers::state::object::Pod| {
            pod.containers.iter().any(|container| &*container.name == "istio-proxy")
        };
        cluster.pods().any(|(object, pod)| *object.namespace == *namespace && is_meshed(pod))
            || cluster.proxies().any(|proxy| proxy.name.ends_with(&format!(".{namespace}")))
    };
    let judged = others.into_values().filter_map(|found| {
        let names: Vec<&str> = found.iter().map(|(namespace, _)| *namespace).collect();
        let (_, first) = found.first()?;
        let cert = first.certs.first()?;
        let object = format!("ConfigMap {ROOT_MAP} of {}", names.join(", "));
        let reason = format!("it holds {} ({}), not the root that {system} has", cert.called(), cert.short());
        if !names.iter().any(|namespace| in_mesh(namespace)) {
            let remedy = format!("Delete it, so that istiod of {} writes it again.", cluster.title());
            return Some(Item::warn(&cluster.name, object, reason, remedy));
        }
        let title = cluster.title();
        let who = format!("namespace {}", names.join(", "));
        let verdict = Verdict::likely(&format!("{title} {who}"))
            .slot("who", format!("{who} of {title}"))
            .slot("other", format!("the control plane of {title}"))
            .slot("reason", &reason)
            .token(format!("{ROOT_MAP} of {who}"))
            .because_quote(first.event, &first.quote(), "what workloads there are given to trust")
            .because_quote(handed.event, &handed.quote(), "what the control plane's namespace has");
        Some(Item::fail(&cluster.name, object, reason, root_of_trust_mismatch::CAUSE.slug, verdict))
    });
    judged.collect()
}

/// Proxies that hold another root than their cluster's workloads are given, or a certificate that does not lead to it.
fn proxies(trust: &Trust<'_>) -> Vec<Item> {
    let cluster = trust.cluster;
    let trusted = trust.trusted();
    let Some(handed) = trust.roots.as_ref().filter(|found| !found.place.starts_with("proxy ")) else {
        return Vec::new();
    };
    let mut wrong: BTreeMap<&str, Vec<(&Proxy, Found<'_>, String)>> = BTreeMap::new();
    let mut right = 0_usize;
    for proxy in cluster.proxies() {
        let root = root_of_proxy(proxy);
        let chain = own_chain(proxy);
        let (found, why) = match (root, chain) {
            (Some(root), _) if !same_roots(&root.owned(), &trusted) => (root, "it holds another root"),
            (_, Some(chain))
                if matches!(verifies(&chain.owned(), &trusted, None), Err(ChainFault::Unsigned { .. })) =>
            {
                (chain, "its certificate does not lead to the root")
            }
            (None, None) => continue,
            _ => {
                right += 1;
                continue;
            }
        };
        let sum = found.certs.last().map_or("", |cert| &cert.fingerprint);
        // Leaves all differ; what tells them apart is who signed them.
        let group = if why.starts_with("its") { found.certs.first().map_or("", |cert| &cert.issuer_key) } else { sum };
        wrong.entry(group).or_default().push((proxy, found, why.to_string()));
    }
    let mut items: Vec<Item> = wrong
        .into_values()
        .filter_map(|group| {
            let names: Vec<&str> = group.iter().map(|(proxy, ..)| &*proxy.name).collect();
            let (_, found, why) = group.first()?;
            let title = cluster.title();
            let who = match names.as_slice() {
                [one] => format!("proxy {one}"),
                [one, ..] => format!("proxy {one} and {} more", names.len() - 1),
                [] => return None,
            };
            let reason = format!(
                "{why} than {title} hands out: {}",
                found.certs.first().map(|cert| summed(cert)).unwrap_or_default()
            );
            let reason = if why.starts_with("its") {
                format!(
                    "{why} that {title} hands out: it names the issuer {}",
                    found.certs.first().map_or("", |cert| &cert.issuer)
                )
            } else {
                reason
            };
            let verdict = Verdict::certain(&format!("{title} {who}"))
                .slot("who", &who)
                .slot("other", format!("the rest of {title}"))
                .slot("reason", &reason);
            let verdict = names
                .iter()
                .take(20)
                .fold(verdict, |verdict, name| verdict.token(name).token(name.split('.').next().unwrap_or(name)));
            let verdict = verdict.because_quote(found.event, &found.quote(), "what the proxy holds").because_quote(
                handed.event,
                &handed.quote(),
                "what its cluster hands out",
            );
            Some(Item::fail(&cluster.name, who, reason, root_of_trust_mismatch::CAUSE.slug, verdict))
        })
        .collect();
    if items.is_empty() && 0 < right {
        let proxies = if right == 1 { "1 proxy holds".to_string() } else { format!("{right} proxies hold") };
        items.push(Item::pass(&cluster.name, "proxies", format!("{proxies} the root that is handed out")));
    }
    items
}

/// A proxy's own certificate with its chain.
fn own_chain(proxy: &Proxy) -> Option<Found<'_>> {
    let (event, secrets) = proxy.secrets()?;
    let own = secrets.iter().find(|secret| &*secret.name == "default" && !secret.certs.is_empty())?;
    Some(Found { event, place: format!("proxy {} default", proxy.name), certs: own.certs.iter().collect() })
}

/// ztunnels that hold other roots. Only sums are known of them, which a renewed root changes, too.
fn ztunnels(trust: &Trust<'_>) -> Option<Item> {
    let (_, sums) = trust.sums.as_ref()?;
    let trusted = trust.trusted();
    if trusted.is_empty() || trusted.iter().any(|cert| sums.contains(&&*cert.fingerprint)) {
        return None;
    }
    let reason =
        format!("it holds root SHA-256 {}, the cluster hands out {}", sums.first()?, trusted.first().map(summed)?);
    let remedy = format!(
        "If the root was changed, restart it: kubectl --context {} -n {} rollout restart daemonset ztunnel.",
        trust.cluster.name,
        trust.cluster.system_namespace()
    );
    Some(Item::warn(&trust.cluster.name, "ztunnel", reason, remedy))
}

fn validity(view: &View<'_>) -> Vec<Item> {
    view.mesh()
        .clusters()
        .flat_map(|cluster| {
            let trust = Trust::of(cluster);
            let mut items: Vec<Item> = authorities(view, &trust);
            items.extend(workloads(view, cluster));
            items
        })
        .collect()
}

/// The signing CA and the roots.
fn authorities(view: &View<'_>, trust: &Trust<'_>) -> Vec<Item> {
    let cluster = trust.cluster;
    let known: Vec<&Found<'_>> = trust.signer.iter().chain(&trust.roots).collect();
    let Some(now) = view.latest(cluster) else {
        let certs = known.iter().filter_map(|found| found.certs.first()).filter_map(|cert| cert.not_after);
        let Some(end) = certs.min() else { return Vec::new() };
        return vec![Item::unknown(
            &cluster.name,
            "CA and roots",
            format!("nothing tells when the state was saved; the first of them ends at {}", end.to_second()),
            "date -u",
        )];
    };
    let mut items = Vec::new();
    let mut nearest: Option<Time> = None;
    for found in known {
        let is_over = |cert: &&Cert| cert.not_after.is_some_and(|end| end < now);
        // Of several roots one that is valid is enough; of a chain every link counts.
        let is_root = trust.roots.as_ref().is_some_and(|roots| roots.place == found.place);
        let over: Vec<&Cert> = found.certs.iter().copied().filter(|cert| is_over(cert)).collect();
        let breaks = if is_root { over.len() == found.certs.len() } else { !over.is_empty() };
        if let Some(cert) = over.first() {
            let end = cert.not_after.map(|end| end.to_second()).unwrap_or_default();
            let reason = format!("{} ended at {end}", cert.called());
            if !breaks {
                items.push(Item::warn(
                    &cluster.name,
                    &found.place,
                    reason,
                    "Take it out of the bundle once nothing is signed under it.",
                ));
                continue;
            }
            let title = cluster.title();
            let verdict = Verdict::certain(title)
                .slot("cluster", title)
                .slot("reason", format!("{}: {reason}", found.place))
                .token(title)
                .because_quote(
                    found.event,
                    &format!("{}: notAfter {end}, SHA-256 {}", found.place, cert.fingerprint),
                    "it is past its end",
                );
            items.push(Item::fail(&cluster.name, &found.place, reason, control_plane::CA_CERT_EXPIRED.slug, verdict));
            continue;
        }
        let end = found.certs.iter().filter_map(|cert| cert.not_after).min();
        nearest = [nearest, end].into_iter().flatten().min();
        if let Some(end) = end.filter(|end| *end < now.plus(CA_ENDS_SOON)) {
            let remedy = format!("Renew it before then; keep the root of {}.", cluster.title());
            items.push(Item::warn(&cluster.name, &found.place, format!("it ends at {}", end.to_second()), remedy));
        }
    }
    let by_metric = cluster.istiods().flat_map(|istiod| istiod.documents()).find_map(|document| match &document.said {
        Said::Metrics(stats) => {
            stats.iter().find(|stat| &*stat.name == "citadel_server_root_cert_expiry_timestamp").map(|stat| stat.value)
        }
        _ => None,
    });
    if let Some(end) =
        by_metric.filter(|end| 0.0 < *end).map(|end| Time::from_unix(end as i64)).filter(|end| *end < now)
    {
        let reason = format!("citadel_server_root_cert_expiry_timestamp says that the root of istiod ended at {end}");
        items.push(Item::warn(&cluster.name, "istiod", reason, "Look at Secret cacerts or istio-ca-secret."));
    }
    if let Some(end) = nearest.filter(|_| items.is_empty()) {
        items.push(Item::pass(&cluster.name, "CA and roots", format!("valid until {}", end.to_second())));
    }
    items
}

/// When lines of a cluster last told of certificates or trust that fail.
fn last_told(view: &View<'_>, cluster: &Cluster) -> Option<Time> {
    let told = view.known(Kind::Certificate).chain(view.known(Kind::Trust));
    told.filter(|known| known.last.origin.cluster == cluster.name && !known.last.is_document())
        .filter_map(|known| known.last.at)
        .max()
}

/// The certificates that proxies and ztunnels hold.
fn workloads(view: &View<'_>, cluster: &Cluster) -> Vec<Item> {
    let mut items = Vec::new();
    let mut valid = 0_usize;
    let mut judge = |event: &Arc<Event>, who: &str, named: &str, end: Time| {
        // What a document says is as old as the document: later lines of other programs do not make it old.
        let Some(now) = event.at.or_else(|| view.latest(cluster)) else { return };
        if now <= end {
            valid += 1;
            return;
        }
        let reason = format!("{named} ended at {}", end.to_second());
        let verdict = Verdict::certain(who)
            .slot("who", who)
            .token(who)
            .token(who.rsplit('/').next().unwrap_or(who))
            .because_quote(event, &format!("{named} valid until {end}"), "it was past its end when this was saved");
        items.push(Item::fail(
            &cluster.name,
            format!("proxy {who}"),
            reason,
            workload_cert_expired::CAUSE.slug,
            verdict,
        ));
    };
    for proxy in cluster.proxies() {
        let Some((event, secrets)) = proxy.secrets() else { continue };
        let (pod, namespace) = proxy.name.split_once('.').unwrap_or((&proxy.name, ""));
        let who = if namespace.is_empty() { pod.to_string() } else { format!("{namespace}/{pod}") };
        for secret in secrets.iter().filter(|secret| &*secret.name != "ROOTCA" && &*secret.status != "WARMING") {
            let of_cert = secret.certs.first().and_then(|cert| cert.not_after);
            if let Some(end) = of_cert.or(secret.valid.map(|(_, end)| end)) {
                judge(event, &who, &format!("certificate {}", secret.name), end);
            }
        }
    }
    for (event, dump) in cluster.ztunnels() {
        for held in dump.certificates.iter().filter(|held| &*held.state == "Available") {
            if let Some((_, end)) = held.valid {
                judge(event, &held.identity, &format!("certificate {}", held.identity), end);
            }
        }
    }
    if items.is_empty() && 0 < valid {
        let item = Item::pass(&cluster.name, "workload certificates", format!("{valid} valid"));
        let failed = last_told(view, cluster);
        items.push(match newest(cluster).filter(|(made, ..)| failed.is_some_and(|failed| failed < *made)) {
            Some((made, event, who)) => {
                let quote = format!("certificate of {who} valid from {}", made.to_second());
                let shows = "it was signed after those lines: the CA works again";
                [control_plane::CA_CERT_EXPIRED.slug, "ca-provider-unavailable"]
                    .into_iter()
                    .fold(item, |item, slug| item.disproving(cluster.title(), slug, event, &quote, shows))
            }
            None => item,
        });
    }
    items
}

/// What was signed last of all that proxies and ztunnels hold: when, where that stands, and for whom.
fn newest(cluster: &Cluster) -> Option<(Time, &Arc<Event>, &str)> {
    let of_proxies =
        cluster.proxies().filter_map(|proxy| Some((proxy, proxy.secrets()?))).flat_map(|(proxy, (event, held))| {
            let leaves = held.iter().filter(|secret| &*secret.name != "ROOTCA");
            let begins = leaves.filter_map(|secret| {
                secret.certs.first().and_then(|cert| cert.not_before).or(secret.valid.map(|(begin, _)| begin))
            });
            begins.map(move |begin| (begin, event, &*proxy.name))
        });
    let of_ztunnels = cluster.ztunnels().flat_map(|(event, dump)| {
        dump.certificates.iter().filter_map(move |held| Some((held.valid?.0, event, &*held.identity)))
    });
    of_proxies.chain(of_ztunnels).max_by_key(|(begin, ..)| *begin)
}

fn domains(view: &View<'_>) -> Vec<Item> {
    let known: Vec<(&Cluster, &Arc<Event>, &MeshConfig)> = view
        .mesh()
        .clusters()
        // A cluster without istiod gets its certificates from another one's.
        .filter(|cluster| cluster.has_istiod() != Some(false))
        .filter_map(|cluster| cluster.mesh_config().map(|(event, config)| (cluster, event, config)))
        .collect();
    let mut items = Vec::new();
    for (at, (one, event, config)) in known.iter().enumerate() {
        for (other, their_event, theirs) in known.iter().skip(at + 1).filter(|(other, ..)| view.is_one_mesh(one, other))
        {
            items.push(domains_of((one, event, config), (other, their_event, theirs)));
        }
    }
    items
}

/// Whether two clusters accept each other's trust domain.
fn domains_of(
    (one, event, config): (&Cluster, &Arc<Event>, &MeshConfig),
    (other, their_event, theirs): (&Cluster, &Arc<Event>, &MeshConfig),
) -> Item {
    let names = format!("{}, {}", one.name, other.name);
    let (ours, their) = (domain(config), domain(theirs));
    let object = "trust domains";
    if ours == their {
        return Item::pass(&names, object, format!("both are {ours}")).refuting(
            trust_domain_mismatch::CAUSE.slug,
            event,
            &format!("trustDomain: {ours}"),
            "both clusters have this trust domain",
        );
    }
    let accepts =
        |config: &MeshConfig, domain: &str| config.trust_domain_aliases.iter().any(|alias| **alias == *domain);
    if accepts(config, their) && accepts(theirs, ours) {
        return Item::pass(&names, object, format!("{ours} and {their} are aliases of each other"));
    }
    let reason =
        format!("{} is {ours}, {} is {their}, and neither lists the other's as an alias", one.title(), other.title());
    let reason = if accepts(config, their) || accepts(theirs, ours) {
        format!("{} is {ours}, {} is {their}, and only one lists the other's as an alias", one.title(), other.title())
    } else {
        reason
    };
    let is_peered = [(one, other), (other, one)]
        .iter()
        .any(|(from, to)| from.peer_gateways().any(|peer| peer.object.stands_for(to)));
    let is_skipped = [one, other].iter().all(|cluster| {
        cluster.istiod_env("PILOT_SKIP_VALIDATE_TRUST_DOMAIN").is_some_and(|(_, value)| value == "true")
    });
    if is_peered || is_skipped {
        let remedy = "Peered clusters may differ; AuthorizationPolicies have to name both trust domains.";
        return Item::warn(&names, object, reason, remedy);
    }
    let verdict = Verdict::certain(&tunnel::pair(ours, their))
        .slot("one", ours)
        .slot("other", their)
        .token(ours)
        .token(their)
        .because_quote(event, &shown(config), &format!("the mesh config of {}", one.title()))
        .because_quote(their_event, &shown(theirs), &format!("the mesh config of {}", other.title()));
    Item::fail(&names, object, reason, trust_domain_mismatch::CAUSE.slug, verdict)
}

fn domain(config: &MeshConfig) -> &str {
    if config.trust_domain.is_empty() { DEFAULT_DOMAIN } else { &config.trust_domain }
}

fn shown(config: &MeshConfig) -> String {
    let aliases: Vec<&str> = config.trust_domain_aliases.iter().map(|alias| &**alias).collect();
    format!("trustDomain: {}, trustDomainAliases: [{}]", domain(config), aliases.join(", "))
}

#[cfg(test)]
mod tests;
