//! Remote secrets: whether each control plane has one for each other cluster, where istiod looks for it, and whether
//! what is in it can work (`istio/istio: pkg/kube/multicluster/secretcontroller.go`).

use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::cert::{self, Cert};
use meshwhy_parsers::event::{Addr, Event, RemoteWhat};
use meshwhy_parsers::state::istiod::{RemoteRow, Said};
use meshwhy_parsers::state::object::{KubeAuth, Kubeconfig, Object};
use meshwhy_parsers::state::proxy::Stat;

use super::cluster_ids::id_shown;
use crate::causes::cluster_id_conflict::is_alike;
use crate::engine::cause::{Confidence, Verdict};
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Doc, GATEWAY_API, Istiod, REMOTE_SECRET, RemoteSecret, SECRET_PREFIX};
use crate::engine::view::View;

/// The check.
pub static CHECK: Check = Check {
    id: "remote-secrets",
    title: "Each control plane has a usable remote secret for each other cluster",
    before_linking: false,
    run,
};

/// How long before its end a credential is worth a warning.
const ENDS_SOON: Duration = Duration::from_secs(7 * 24 * 3600);

fn run(view: &View<'_>) -> Vec<Item> {
    view.mesh().clusters().flat_map(|local| judged(view, local)).map(|(_, item)| item).collect()
}

/// What there is to say of the remote secrets of one cluster's control plane, each with the remote cluster's ID.
pub(super) fn judged<'w>(view: &View<'w>, local: &'w Cluster) -> Vec<(String, Item)> {
    // A cluster that another one's istiod serves reads no other cluster.
    if local.has_istiod() == Some(false) {
        return Vec::new();
    }
    // What istiod itself is given to reach the cluster it serves from outside.
    let secrets = local.remote_secrets().into_iter().filter(|found| &*found.secret.name != "istio-kubeconfig");
    let secrets: Vec<_> = secrets.collect();
    let asked = Asked { view, local, secrets: &secrets };
    let mut items: Vec<_> = secrets.iter().map(|secret| (secret.id().to_string(), asked.judge(secret))).collect();
    if reads_secrets(local) {
        let missing = view.others(local).filter_map(|other| Some((other.title().to_string(), asked.missing(other)?)));
        items.extend(missing);
    }
    items
}

/// Whether a control plane of this cluster is known that finds other clusters through remote secrets.
fn reads_secrets(local: &Cluster) -> bool {
    let planes = local.control_planes();
    let is_told_otherwise = planes.iter().any(|plane| {
        plane.env("PILOT_MULTICLUSTER_KUBECONFIG_PATH").is_some_and(|path| !path.is_empty())
            || plane.is_on("ENABLE_PEERING_DISCOVERY")
            || plane.is_on("DISABLE_LEGACY_MULTICLUSTER")
    });
    local.has_istiod() == Some(true)
        && !is_told_otherwise
        && !local.is_peered()
        && !local.is_for_another(local.system_namespace())
}

/// The remote secrets of one control plane.
struct Asked<'v, 'w, 's> {
    view: &'v View<'w>,
    local: &'w Cluster,
    secrets: &'s [RemoteSecret<'w>],
}

/// What a remote secret is for.
struct For<'w> {
    /// The cluster ID istiod takes it for: its data key; where only its name is known, what that says.
    id: &'w str,
    /// That cluster, where its state is known.
    cluster: Option<&'w Cluster>,
}

impl<'w> Asked<'_, 'w, '_> {
    fn judge(&self, found: &RemoteSecret<'w>) -> Item {
        let secret = found.secret;
        let id = found.id();
        let called: Vec<&Cluster> = self.others().filter(|other| other.is_called(id)).collect();
        let target = For { id, cluster: (called.len() == 1).then(|| called.first().copied()).flatten() };
        if let Some(item) = self.misplaced(secret, &target) {
            return item;
        }
        if let Some(item) = self.own_id(secret, &target) {
            return item;
        }
        let Some(config) = found.config else {
            return self.not_shown(secret, &target);
        };
        let broken = self
            .second(secret, config, &target)
            .or_else(|| self.other_key(secret, config, &target))
            .or_else(|| self.unusable(secret, config, &target))
            .or_else(|| self.server(secret, config, &target))
            .or_else(|| self.ca(secret, config, &target))
            .or_else(|| self.login(secret, config, &target));
        broken.unwrap_or_else(|| self.well(secret, config, &target))
    }

    fn others(&self) -> impl Iterator<Item = &'w Cluster> {
        let local = &self.local.name;
        self.view.mesh().clusters().filter(move |other| other.name != *local)
    }

    /// It lies where istiod does not look, or lacks the label by which istiod finds it.
    fn misplaced(&self, secret: &Doc<Object>, target: &For<'w>) -> Option<Item> {
        let known = self.local.istiod_namespaces();
        let is_system = |namespace: &str| match known.is_empty() {
            true => namespace.contains("istio"),
            false => known.contains(&namespace),
        };
        let is_elsewhere = !secret.namespace.is_empty() && !is_system(&secret.namespace);
        let lacks_label = secret.labels.is_some() && secret.label(REMOTE_SECRET) != Some("true");
        let (why, quote) = match (is_elsewhere, lacks_label) {
            (true, _) => (
                format!("its Secret lies in namespace {}, where istiod does not look", secret.namespace),
                format!("metadata.namespace: {}", secret.namespace),
            ),
            (false, true) => (
                format!("its Secret has no label {REMOTE_SECRET}=true"),
                format!("metadata.labels: {}", labels(secret)),
            ),
            (false, false) => return None,
        };
        // Up to 1.23 istiod looked into more namespaces; what it took up, it found.
        if self.is_taken_up(secret, target.id) {
            return None;
        }
        let is_read = |other: &RemoteSecret<'_>| {
            is_system(&other.secret.namespace)
                && other.secret.label(REMOTE_SECRET) == Some("true")
                && other.id() == target.id
        };
        let another = self.secrets.iter().find(|other| is_read(other));
        let warn = |advice: String| Item::warn(self.local.title(), secret.title(), &why, advice);
        if let Some(another) = another {
            return Some(warn(format!("delete it: istiod reads {} instead", another.secret.title())));
        }
        // A Secret that only looks like one, such as a kubeconfig of another tool.
        if target.cluster.is_none() && !secret.name.starts_with(SECRET_PREFIX) {
            return Some(warn("istiod reads only Secrets of its own namespace with that label".to_string()));
        }
        if self.local.is_peered() {
            return Some(warn("delete it: peered clusters need no remote secret".to_string()));
        }
        let mut verdict = self.of_missing(target.id, &why).because_object(secret, &quote, "the Secret as it stands");
        verdict = self.unlisted(verdict, target.id);
        // Where neither istiod's namespace nor its list of clusters is shown, the usual namespace is a guess.
        if is_elsewhere && known.is_empty() && verdict.because.len() == 1 {
            verdict.confidence = Confidence::Likely;
        }
        Some(Item::fail(self.local.title(), secret.title(), why, "remote-secret-missing", verdict))
    }

    /// It carries the ID of the cluster it lies in.
    fn own_id(&self, secret: &Doc<Object>, target: &For<'w>) -> Option<Item> {
        if self.local.id() != Some(target.id) {
            return None;
        }
        let named = secret.name.strip_prefix(SECRET_PREFIX).unwrap_or(target.id);
        if named == target.id || is_alike(named, target.id) || named == &*self.local.name {
            let reason = "it is for the cluster it lies in: istiod leaves it aside";
            return Some(Item::pass(self.local.title(), secret.title(), reason));
        }
        let reason = format!("the secret made for {named} carries the ID of {} itself, so it is ignored", target.id);
        // Where another cluster uses that very ID, the ID is the fault and not the secret.
        let is_shared = self.others().any(|other| other.id() == Some(target.id));
        let subject = if is_shared { target.id.to_string() } else { format!("{}: {named}", target.id) };
        let verdict = Verdict::certain(&subject)
            .slot("local", self.local.title())
            .slot("reason", &reason)
            .slot("secret", name_of(secret))
            .token(named)
            .token(target.id);
        let key = format!("data: {}", target.id);
        let mut verdict =
            verdict.because_object(secret, &key, "the key is the ID under which istiod would read the other cluster");
        if let Some((event, quote)) = id_shown(self.local) {
            verdict = verdict.because_said(event, &quote, "which is istiod's own cluster");
        }
        let cluster = if is_shared { &self.local.name } else { self.local.title() };
        Some(Item::fail(cluster, secret.title(), reason, "cluster-id-conflict", verdict))
    }

    /// Only that there is such a Secret is known.
    fn not_shown(&self, secret: &Doc<Object>, target: &For<'w>) -> Item {
        match status(self.local, target.id).filter(|(_, row)| *row.secret == *name_of(secret)) {
            Some((event, row)) => {
                let reason = format!("istiod took {} from it", target.id);
                let quote = format!("cluster {} of secret {}: {}", row.id, row.secret, row.status);
                let shows = "istiod took the cluster up from its secret";
                Item::pass(self.local.title(), secret.title(), reason)
                    .disproving(target.id, "remote-secret-missing", event, &quote, shows)
                    .refuting_of(target.id, "remote-secret-invalid", event, &quote, shows)
            }
            None => {
                let how = self.how_to_show(secret);
                Item::unknown(self.local.title(), secret.title(), "what it holds was not saved", how)
            }
        }
    }

    fn how_to_show(&self, secret: &Doc<Object>) -> String {
        let namespace = if secret.namespace.is_empty() { self.local.system_namespace() } else { &secret.namespace };
        format!("kubectl -n {namespace} get secret {} -o yaml", secret.name)
    }

    /// Another Secret carries the same key: istiod takes the first one it sees.
    fn second(&self, secret: &Doc<Object>, config: &Kubeconfig, target: &For<'w>) -> Option<Item> {
        let (other, theirs) = self.secrets.iter().find_map(|other| {
            let theirs = other.config.filter(|theirs| theirs.cluster == config.cluster)?;
            let is_read = other.secret.label(REMOTE_SECRET) == Some("true")
                && other.secret.namespace == secret.namespace
                && other.secret.name < secret.name;
            is_read.then_some((other.secret, theirs))
        })?;
        if theirs.server == config.server {
            let reason = format!("{} is for {} as well: istiod takes one of the two", other.title(), target.id);
            return Some(Item::warn(self.local.title(), secret.title(), reason, "keep one of them"));
        }
        let reason = format!(
            "two remote secrets carry the ID {}, for {} and for {}; istiod ignores one",
            target.id, theirs.server, config.server
        );
        let quote = |server: &str| format!("data: {}, server: {server}", target.id);
        let verdict = Verdict::certain(&format!("{}: {}", self.local.title(), target.id))
            .slot("local", self.local.title())
            .slot("reason", &reason)
            .slot("secret", name_of(secret))
            .token(target.id)
            .because_object(other, &quote(&theirs.server), "one secret of that ID")
            .because_object(secret, &quote(&config.server), "another one, for another API server");
        Some(Item::fail(self.local.title(), secret.title(), reason, "cluster-id-conflict", verdict))
    }

    /// Its key is no cluster's ID, and it is for a cluster that calls itself otherwise.
    fn other_key(&self, secret: &Doc<Object>, config: &Kubeconfig, target: &For<'w>) -> Option<Item> {
        let (meant, ca) = self.meant(secret, config)?;
        let reason = format!("the secret names it {}, but its own proxies call it {}", target.id, meant.title());
        let subject = format!("{}: {}", self.local.title(), meant.title());
        let verdict = if ca.is_some() { Verdict::certain(&subject) } else { Verdict::likely(&subject) };
        let mut verdict = verdict
            .slot("local", self.local.title())
            .slot("reason", &reason)
            .slot("secret", name_of(secret))
            .token(meant.title())
            .token(target.id)
            .cluster(&meant.name)
            .because_object(
                secret,
                &format!("data: {}", target.id),
                "the key is the ID under which istiod registers the cluster",
            );
        if let Some((event, quote)) = id_shown(meant) {
            verdict = verdict.because_said(event, &quote, "the cluster itself uses another ID");
        }
        if let Some(object) = ca {
            let shows = "the CA of its API server is the one in the secret, so the secret is for this cluster";
            verdict = verdict.because_object(object, "data: ca.crt", shows);
        }
        Some(Item::fail(self.local.title(), secret.title(), reason, "cluster-id-conflict", verdict))
    }

    /// The cluster that a secret is for, where its key is the ID of none; with what proves it, unless its name tells.
    fn meant(&self, secret: &Doc<Object>, config: &Kubeconfig) -> Option<(&'w Cluster, Option<&'w Doc<Object>>)> {
        if self.view.mesh().clusters().any(|cluster| cluster.is_called(&config.cluster)) {
            return None;
        }
        let is_free =
            |other: &&Cluster| other.id().is_some() && !self.secrets.iter().any(|secret| other.is_called(secret.id()));
        let free: Vec<&Cluster> = self.others().filter(is_free).collect();
        let by_ca = free.iter().find_map(|other| {
            let (object, ca) = api_ca(other)?;
            cert::same_roots(&config.ca, ca).then_some((*other, Some(object)))
        });
        by_ca.or_else(|| {
            let [only] = free.as_slice() else { return None };
            let stem = secret.name.strip_prefix(SECRET_PREFIX).unwrap_or("");
            let is_known_as =
                |name: &str| only.id() == Some(name) || is_alike(name, only.title()) || *only.name == *name;
            (is_known_as(&config.cluster) || is_known_as(stem)).then_some((*only, None))
        })
    }

    /// istiod refuses the kubeconfig.
    fn unusable(&self, secret: &Doc<Object>, config: &Kubeconfig, target: &For<'w>) -> Option<Item> {
        let is_bare = config.auth == KubeAuth::None && !config.problem.contains("; ");
        // Whoever saves a Secret may take the credential out of it, or all of it.
        let is_blank = config.server.is_empty() && config.auth == KubeAuth::None;
        let is_refused = || self.local.istiods().any(|istiod| istiod.knows_clusters());
        if !config.problem.is_empty() && (is_bare && !is_blank || is_blank && !is_refused()) {
            let reason = format!("{}: taken out when it was saved, or never there", config.problem);
            return Some(Item::unknown(self.local.title(), secret.title(), reason, self.how_to_show(secret)));
        }
        let is_allowed = || self.local.istiod_env("PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS").is_some();
        let reason = match &config.auth {
            _ if config.problem.contains("names a file") && is_allowed() => return None,
            _ if !config.problem.is_empty() => config.problem.to_string(),
            KubeAuth::Exec(_) | KubeAuth::Other(_) if is_allowed() => return None,
            KubeAuth::Exec(command) => format!("exec is not allowed ({command}): istiod runs no credential plugin"),
            // A password is no way that istiod forbids.
            KubeAuth::Other(way) if &**way != "password" => format!("istiod does not log in by {way}"),
            KubeAuth::Other(_) | KubeAuth::None | KubeAuth::Token { .. } | KubeAuth::Certificate(_) => return None,
        };
        // What istiod lists it has read, so the secret was different then.
        if let Some((_, row)) = status(self.local, target.id).filter(|(_, row)| *row.secret == *name_of(secret)) {
            let reason = format!("{reason}; istiod still has the cluster ({}) by what was in it before", row.status);
            return Some(Item::warn(self.local.title(), secret.title(), reason, "create the remote secret anew"));
        }
        let advice = if matches!(config.auth, KubeAuth::Exec(_) | KubeAuth::Other(_)) {
            "istioctl create-remote-secret makes one; plugins such as exec need a binary that istiod does not have"
        } else {
            "istioctl create-remote-secret makes one; the data key must be the cluster's ID"
        };
        let verdict = self
            .of_pair(target, secret, Verdict::certain(&self.pair(target)))
            .slot("advice", advice)
            .slot("reason", &reason)
            .because_object(
                secret,
                &format!("data: {}: {reason}", config.cluster),
                "istiod refuses such a kubeconfig, and tries again only when the secret changes",
            );
        let verdict = self.unlisted(verdict, target.id);
        Some(Item::fail(self.local.title(), secret.title(), reason, "remote-secret-invalid", verdict))
    }

    /// The address of the API server leads back to istiod's own pod or cluster.
    fn server(&self, secret: &Doc<Object>, config: &Kubeconfig, target: &For<'w>) -> Option<Item> {
        const OWN: [&str; 4] =
            ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];
        /// Names that only the machine of Docker Desktop or a node of minikube resolves.
        const OF_MACHINE: [&str; 3] =
            ["kubernetes.docker.internal", "host.docker.internal", "control-plane.minikube.internal"];
        if !config.proxy_url.is_empty() {
            return None;
        }
        let host = host_of(&config.server);
        let is_loopback = Addr { host: host.into(), port: 0 }.is_loopback() || matches!(host, "0.0.0.0" | "::");
        let own = api_endpoint(self.local, host)
            .filter(|_| target.cluster.is_none_or(|cluster| api_endpoint(cluster, host).is_none()));
        if OF_MACHINE.contains(&host) {
            let reason = format!("server {}: few pods can resolve that name", config.server);
            let advice = "istioctl create-remote-secret --server with an address that istiod's pod can reach";
            return Some(Item::warn(self.local.title(), secret.title(), reason, advice));
        }
        let (reason, says): (&str, &'static str) = if is_loopback {
            (
                "the address is a loopback address: nothing answers there inside istiod's pod",
                "the kubeconfig of {remote} names a loopback address ({address}): inside the istiod pod of {local} nothing answers there",
            )
        } else if OWN.contains(&host) || own.is_some() {
            (
                "the address is that of istiod's own API server",
                "the kubeconfig of {remote} names the API server of {local} itself ({address})",
            )
        } else {
            return None;
        };
        let address = config.server.trim_start_matches("https://");
        let mut verdict = self
            .of_pair(target, secret, Verdict::certain(&self.pair(target)))
            .says(says)
            .slot("address", address)
            .slot("reason", reason)
            .token(address)
            .because_object(secret, &format!("server: {}", config.server), reason);
        if let Some(own) = own {
            verdict = verdict.because_object(own, host, "where the API server of istiod's own cluster is");
        }
        let verdict = self.status_shown(verdict, target);
        let reason = format!("server {}: {reason}", config.server);
        Some(Item::fail(self.local.title(), secret.title(), reason, "remote-api-unreachable", verdict))
    }

    /// The CA is not the one that the remote API server uses now.
    fn ca(&self, secret: &Doc<Object>, config: &Kubeconfig, target: &For<'w>) -> Option<Item> {
        let now = self.view.latest(self.local);
        let is_over = |cert: &Cert| matches!((cert.not_after, now), (Some(end), Some(now)) if end < now);
        if !config.ca.is_empty() && config.ca.iter().all(is_over) {
            let reason = "every certificate of its certificate-authority-data has expired";
            return Some(self.untrusted(secret, config, target, reason, None));
        }
        let (object, known) = target.cluster.and_then(api_ca)?;
        if config.insecure || config.ca.is_empty() || cert::same_roots(&config.ca, known) {
            return None;
        }
        let (ours, theirs) = (config.ca.first()?, known.first()?);
        // A CA of another name may be that of a proxy in front of the API server.
        let is_namesake = config
            .ca
            .iter()
            .any(|ours| !ours.subject.is_empty() && known.iter().any(|theirs| ours.subject == theirs.subject));
        let is_of_local = api_ca(self.local).is_some_and(|(_, own)| cert::same_roots(&config.ca, own));
        if is_of_local || is_namesake {
            let reason = match is_of_local {
                true => "carries the CA of the cluster it lies in",
                false => "carries another key than the CA of that cluster's API server has",
            };
            return Some(self.untrusted(secret, config, target, reason, Some((object, theirs))));
        }
        let reason = format!(
            "its CA ({}) is not the one {} publishes in {} ({}): right only where something else answers for its API server",
            ours.called(),
            target.id,
            object.title(),
            theirs.called()
        );
        let advice = format!("openssl s_client -connect {} -showcerts tells which CA signed it", config.server);
        Some(Item::warn(self.local.title(), secret.title(), reason, advice))
    }

    fn untrusted(
        &self,
        secret: &Doc<Object>,
        config: &Kubeconfig,
        target: &For<'w>,
        reason: &str,
        theirs: Option<(&Doc<Object>, &Cert)>,
    ) -> Item {
        let called = |ca: &Cert| format!("{} ({})", ca.called(), ca.short());
        let ours = config.ca.first().map(called).unwrap_or_default();
        let mut verdict = self
            .of_pair(target, secret, Verdict::certain(&self.pair(target)))
            .slot("address", config.server.trim_start_matches("https://"))
            .slot("reason", format!("its remote secret {reason}"))
            .because_object(
                secret,
                &format!("certificate-authority-data: {ours}"),
                "the CA by which istiod checks the remote API server",
            );
        if let Some((object, ca)) = theirs {
            let shows = "the CA of the remote API server, as its own cluster publishes it";
            verdict = verdict.because_object(object, &format!("ca.crt: {}", called(ca)), shows);
        }
        let verdict = self.status_shown(verdict, target);
        Item::fail(self.local.title(), secret.title(), format!("it {reason}"), "remote-api-cert-untrusted", verdict)
    }

    /// The credential is over, or its account is gone.
    fn login(&self, secret: &Doc<Object>, config: &Kubeconfig, target: &For<'w>) -> Option<Item> {
        let now = self.view.latest(self.local);
        let (subject, issued, expires) = match &config.auth {
            KubeAuth::Token { subject, issued, expires, .. } => (&**subject, *issued, *expires),
            KubeAuth::Certificate(certs) => {
                let leaf = certs.first()?;
                ("", leaf.not_before, leaf.not_after)
            }
            KubeAuth::None | KubeAuth::Exec(_) | KubeAuth::Other(_) => return None,
        };
        let until = expires.zip(now);
        if let Some((end, now)) = until.filter(|(end, now)| end <= now) {
            let (end, now) = (end.to_second(), now.to_second());
            let reason = format!("its credential ended at {end}");
            let quote = match config.auth {
                KubeAuth::Certificate(_) => format!("client-certificate-data: not after {end}"),
                _ => format!("token: exp {end}"),
            };
            let verdict = self.unauthorized(secret, target, &reason);
            let verdict =
                verdict.because_object(secret, &quote, &format!("it was over at {now}, the newest time known"));
            return Some(self.refused(secret, target, &reason, verdict));
        }
        let account = subject.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        if let (Some((namespace, name)), Some(remote)) = (account, target.cluster) {
            let known = remote.object("ServiceAccount", namespace, name);
            let quote = format!("token: sub {subject}");
            if known.is_none() && remote.knows_all("ServiceAccount", namespace) {
                let reason =
                    format!("its token is of the account {namespace}/{name}, which {} does not have", target.id);
                let verdict = self.unauthorized(secret, target, &reason);
                let verdict = verdict.because_object(secret, &quote, "the account of the token");
                return Some(self.refused(secret, target, &reason, verdict));
            }
            let anew = known.and_then(|account| Some((account, issued?, account.created?)));
            if let Some((account, issued, created)) = anew.filter(|(_, issued, created)| issued < created) {
                let reason = format!("the account {namespace}/{name} was made anew after its token");
                let verdict = self
                    .unauthorized(secret, target, &reason)
                    .because_object(secret, &format!("token: iat {issued}"), "the token was issued then")
                    .because_object(
                        account,
                        &format!("metadata.creationTimestamp: {created}"),
                        "the account is younger: tokens of its predecessor are refused",
                    );
                return Some(self.refused(secret, target, &reason, verdict));
            }
        }
        let (end, _) = until.filter(|(end, now)| *end < now.plus(ENDS_SOON))?;
        let advice = format!("istioctl create-remote-secret --name {} makes one that does not end", target.id);
        Some(Item::warn(self.local.title(), secret.title(), format!("its credential ends at {end}"), advice))
    }

    fn unauthorized(&self, secret: &Doc<Object>, target: &For<'w>, reason: &str) -> Verdict {
        self.of_pair(target, secret, Verdict::certain(&self.pair(target))).slot("reason", reason)
    }

    fn refused(&self, secret: &Doc<Object>, target: &For<'w>, reason: &str, verdict: Verdict) -> Item {
        let verdict = self.status_shown(verdict, target);
        Item::fail(self.local.title(), secret.title(), reason, "remote-api-unauthorized", verdict)
    }

    /// Nothing in it is known to be wrong.
    fn well(&self, secret: &Doc<Object>, config: &Kubeconfig, target: &For<'w>) -> Item {
        let listed = status(self.local, target.id).filter(|(_, row)| *row.secret == *name_of(secret));
        if secret.labels.is_none() && listed.is_none() {
            let how = format!("kubectl -n {} get secret {} --show-labels", secret.namespace, secret.name);
            return Item::unknown(self.local.title(), secret.title(), "its labels were not saved", how);
        }
        if config.insecure {
            let reason = format!("for {} at {}: the certificate there is not checked", target.id, config.server);
            return Item::warn(self.local.title(), secret.title(), reason, "put the CA of that API server into it");
        }
        let until = match &config.auth {
            KubeAuth::Token { expires: Some(end), .. } => format!(", token until {end}"),
            _ => String::new(),
        };
        let ca = target.cluster.and_then(api_ca).map_or("", |_| ", with its CA");
        let reason = format!("for {} at {}{ca}{until}", target.id, config.server);
        let mut item = Item::pass(self.local.title(), secret.title(), reason);
        if let Some((event, row)) = listed {
            let quote = format!("cluster {} of secret {}: {}", row.id, row.secret, row.status);
            let shows = "istiod took the cluster up from its secret";
            item = item.refuting_of(target.id, "remote-secret-missing", event, &quote, shows).refuting_of(
                target.id,
                "remote-secret-invalid",
                event,
                &quote,
                shows,
            );
        }
        if let Some((event, quote)) = target.cluster.and_then(id_shown) {
            let shows = "the key of the remote secret is the ID that the cluster itself uses";
            item = item.refuting_of(target.id, "cluster-id-conflict", event, &quote, shows);
        }
        item
    }

    /// Whether the two may be linked as peers, which need no secrets: by Gateways that were not saved, of a build that
    /// can be linked so, or of one that is not known.
    fn may_be_peer(&self, other: &Cluster) -> bool {
        let may_be = |cluster: &Cluster| {
            let planes = cluster.control_planes();
            !cluster.knows_all_of("Gateway", GATEWAY_API, "")
                && (planes.is_empty() || planes.iter().any(|plane| plane.is_solo()))
        };
        let has_secrets = |cluster: &Cluster| !cluster.remote_secrets().is_empty();
        !has_secrets(self.local) && !has_secrets(other) && may_be(self.local) && may_be(other)
    }

    /// No secret is there for another cluster.
    fn missing(&self, other: &'w Cluster) -> Option<Item> {
        let id = other.title();
        let is_for = |secret: &RemoteSecret<'w>| {
            let is_meant = || secret.config.and_then(|config| self.meant(secret.secret, config));
            other.is_called(secret.id())
                || secret.secret.name.strip_prefix(SECRET_PREFIX) == Some(id)
                || is_meant().is_some_and(|(meant, _)| meant.name == other.name)
        };
        if other.is_peered() || self.local.id() == Some(id) || self.secrets.iter().any(is_for) {
            return None;
        }
        let system = self.local.system_namespace();
        let lists_all = self.local.knows_all("Secret", system);
        let object = format!("remote secret of {id}");
        if self.may_be_peer(other) {
            let how = "kubectl get gateways.gateway.networking.k8s.io -A -o yaml";
            let missing = "whether the clusters are linked by remote secrets or as peers is not shown";
            return Some(Item::unknown(self.local.title(), object, missing, how));
        }
        let none_read = self.local.istiods().find_map(none_managed);
        let is_listed = status(self.local, id).is_some();
        let lists = self.local.istiods().any(|istiod| istiod.knows_clusters());
        if is_listed || !lists_all && !lists && none_read.is_none() {
            let how = format!("kubectl -n {system} get secrets -l {REMOTE_SECRET}=true -o yaml");
            let missing = match is_listed {
                true => "istiod lists the cluster, but the Secret was not saved",
                false => "neither Secrets nor istiod's list of clusters were saved",
            };
            return Some(Item::unknown(self.local.title(), object, missing, how));
        }
        let why = match lists_all {
            true => "there is no such Secret, though the cluster is one of this mesh",
            false => "istiod does not know the cluster",
        };
        let mut verdict = self.of_missing(id, why).cluster(&other.name);
        // A kubeconfig that istiod refused is not among its clusters either.
        if !lists_all {
            verdict.confidence = Confidence::Likely;
        }
        let in_place: Vec<_> = self.local.objects("Secret").filter(|it| *it.namespace == *system).collect();
        if let Some(first) = in_place.first().filter(|_| lists_all) {
            const SHOWN: usize = 8;
            let names: Vec<&str> = in_place.iter().take(SHOWN).map(|object| &*object.name).collect();
            let more = if SHOWN < in_place.len() { ", …" } else { "" };
            let quote = format!("Secrets of {system}: {}{more}", names.join(", "));
            verdict = verdict.because_said(&first.event, &quote, "none of them is for that cluster");
        }
        if let Some(event) = none_read {
            verdict = verdict.because_quote(event, NONE_MANAGED, "istiod reads no remote cluster");
        }
        let mut verdict = self.unlisted(verdict, id);
        if verdict.because.is_empty()
            && let Some((event, quote)) = id_shown(self.local).or_else(|| id_shown(other))
        {
            let shows = "no Secret at all is listed in the namespace of its control plane";
            verdict = verdict.because_said(event, &quote, shows);
        }
        Some(Item::fail(self.local.title(), object, why, "remote-secret-missing", verdict))
    }

    fn of_missing(&self, id: &str, why: &str) -> Verdict {
        Verdict::certain(id)
            .says("istiod of {local} has no remote secret for cluster {remote}: {why}")
            .slot("local", self.local.title())
            .slot("remote", id)
            .slot("why", why)
            .token(id)
    }

    /// Whether istiod took a cluster up from this Secret, by its list or by a line of its log.
    fn is_taken_up(&self, secret: &Doc<Object>, id: &str) -> bool {
        let name = name_of(secret);
        let mut rows = self.local.istiods().flat_map(|istiod| istiod.clusters());
        let mut lines = self.view.remote(&self.local.name, id);
        rows.any(|(_, row)| *row.id == *id && *row.secret == *name)
            || lines.any(|(_, said)| {
                matches!(said.what, RemoteWhat::Added | RemoteWhat::Updated) && said.secret.as_deref() == Some(&*name)
            })
    }

    /// Adds that istiod does not list a cluster, where it lists any.
    fn unlisted(&self, verdict: Verdict, id: &str) -> Verdict {
        let mut rows = self.local.istiods().map(|istiod| istiod.clusters());
        let rows = rows.find(|rows| !rows.is_empty() && rows.iter().all(|(_, row)| *row.id != *id));
        let Some((event, _)) = rows.as_ref().and_then(|rows| rows.first()) else { return verdict };
        let ids: Vec<&str> = rows.iter().flatten().map(|(_, row)| &*row.id).collect();
        verdict.because_said(event, &format!("clusters: {}", ids.join(", ")), "istiod does not list that cluster")
    }

    fn pair(&self, target: &For<'_>) -> String {
        format!("{} -> {}", self.local.title(), target.id)
    }

    /// What every verdict about one control plane and one remote cluster says.
    fn of_pair(&self, target: &For<'_>, secret: &Doc<Object>, verdict: Verdict) -> Verdict {
        verdict
            .slot("local", self.local.title())
            .slot("remote", target.id)
            .slot("secret", name_of(secret))
            .token(target.id)
            .cluster(target.cluster.map_or(target.id, |cluster| &cluster.name))
    }

    /// Adds what istiod says of the cluster.
    fn status_shown(&self, verdict: Verdict, target: &For<'_>) -> Verdict {
        let Some((event, row)) = status(self.local, target.id) else { return verdict };
        let shows = match &*row.status {
            "synced" => "the status still says synced: it never changes after the first sync",
            _ => "and istiod does not read the cluster",
        };
        verdict.because_said(event, &format!("cluster {}: {}", row.id, row.status), shows)
    }
}

/// What the istiods of a cluster say of another one: the worst of it.
pub(super) fn status<'m>(local: &'m Cluster, id: &str) -> Option<(&'m Arc<Event>, &'m RemoteRow)> {
    let rows = local.istiods().flat_map(|istiod| istiod.clusters());
    let rows = rows.into_iter().filter(|(_, row)| *row.id == *id && !row.secret.is_empty());
    rows.min_by_key(|(_, row)| &*row.status == "synced")
}

/// The metric by which an istiod says that it reads no remote cluster.
const NONE_MANAGED: &str = "istiod_managed_clusters{cluster_type=\"remote\"} 0";

/// Where an istiod says that it reads no remote cluster.
fn none_managed(istiod: &Istiod) -> Option<&Arc<Event>> {
    let last = istiod.documents().filter_map(|document| match &document.said {
        Said::Metrics(stats) => Some((&document.event, stats)),
        _ => None,
    });
    let (event, stats) = last.last()?;
    let is_of_remote = |stat: &&Stat| {
        &*stat.name == "istiod_managed_clusters"
            && stat.labels.iter().any(|(key, value)| &**key == "cluster_type" && &**value == "remote")
    };
    stats.iter().find(is_of_remote).filter(|stat| stat.value == 0.0).map(|_| event)
}

/// The CA of a cluster's API server, as Kubernetes publishes it in every namespace.
pub(super) fn api_ca(cluster: &Cluster) -> Option<(&Doc<Object>, &[Cert])> {
    cluster.config_maps().filter(|(object, _)| &*object.name == "kube-root-ca.crt").find_map(|(object, map)| {
        let (_, certs) = map.certs.iter().find(|(_, certs)| !certs.is_empty())?;
        Some((object, certs.as_slice()))
    })
}

/// Where a cluster says that its API server has this address.
fn api_endpoint<'m>(cluster: &'m Cluster, host: &str) -> Option<&'m Doc<Object>> {
    let mut endpoints = cluster.endpoints_of("default", "kubernetes");
    let found = endpoints.find(|(_, endpoints)| endpoints.addresses.iter().any(|address| *address.host == *host));
    found.map(|(object, _)| object)
}

/// `<namespace>/<name>`, as istiod writes it.
fn name_of(secret: &Doc<Object>) -> String {
    let namespace = if secret.namespace.is_empty() { "istio-system" } else { &secret.namespace };
    format!("{namespace}/{}", secret.name)
}

fn labels(object: &Doc<Object>) -> String {
    let labels: Vec<String> = object.labels.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    if labels.is_empty() { "none".to_string() } else { labels.join(",") }
}

/// The host of `https://172.18.0.3:6443/path`.
fn host_of(server: &str) -> &str {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or("");
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Saved, failed, run, told};
    use super::*;

    // Two CAs of API servers, as every kubeadm names its own, and that of a proxy.
    const CA_EAST: &str = "MIIBgTCCASegAwIBAgIUXB62hr0rJmZOLJU+zFT9Ewdqi+owCgYIKoZIzj0EAwIwFTETMBEGA1UEAwwKa3ViZXJuZXRlczAgFw0y\
        NjExMjExNTI5MTZaGA8yMDUwMDIyODE1MjkxNlowFTETMBEGA1UEAwwKa3ViZXJuZXRlczBZMBMGByqGSM49AgEGCCqGSM49AwEH\
        A0IABAPji3JAfp8SU/b33Px1AKsvQ76RyMfkGIdT1pZ081mY4Eli6Fb39JUE51f9ruGiTjwUmR32ncGs7D8FR8Kyr2GjUzBRMB0G\
        A1UdDgQWBBSjwIqc88Xb1HjGQsJtYiOzFxVD0TAfBgNVHSMEGDAWgBSjwIqc88Xb1HjGQsJtYiOzFxVD0TAPBgNVHRMBAf8EBTAD\
        AQH/MAoGCCqGSM49BAMCA0gAMEUCIH/T1288t5pXsFUHu9cc2IbDpH26/I9qBHtS3KAetgN/AiEAr4oUO08gaSkNCKZAPsyQdPXg\
        EiZa9skN29cCqw5D8VY=";
    const CA_WEST: &str = "MIIBgTCCASegAwIBAgIUXDuOG4eh+I/upjVCxyKNbOmd3CQwCgYIKoZIzj0EAwIwFTETMBEGA1UEAwwKa3ViZXJuZXRlczAgFw0y\
        NjExMjExNTI5MTZaGA8yMDUwMDIyODE1MjkxNlowFTETMBEGA1UEAwwKa3ViZXJuZXRlczBZMBMGByqGSM49AgEGCCqGSM49AwEH\
        A0IABPu+/e6aPLfRA9NhbqI8eQlVL4GVIM1suE2boBsoSghRTsZU9iSa9zOLoBnF/hRDVuCbtdhrGiQuCd8Kd0wqbaWjUzBRMB0G\
        A1UdDgQWBBQWeNmk7m1B8z4sJcJu5sc3wxSf5TAfBgNVHSMEGDAWgBQWeNmk7m1B8z4sJcJu5sc3wxSf5TAPBgNVHRMBAf8EBTAD\
        AQH/MAoGCCqGSM49BAMCA0gAMEUCIQCw0rMNlGtLSbcjHT8zzyKiS6Bzi/YjBkAK15xDIAsDNwIgcetAgR81oeXtxJi+lebV7y+9\
        OPO8wPDRz41LyKhbqnY=";
    const CA_PROXY: &str = "MIIBfDCCASOgAwIBAgIUCOh9Vmx53dV7NMLuS6DC8q5ElmMwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIcHJveHktY2EwIBcNMjYx\
        MTIxMTUyOTE2WhgPMjA1MDAyMjgxNTI5MTZaMBMxETAPBgNVBAMMCHByb3h5LWNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\
        sOZ5maUsNtVcLYkM0ljmgxK8my5aJbs0Zi1aBl1I9Ws0SUumFEsxy1CUhpeMsp5tbFXZjbd/0+f78vgO+9zieKNTMFEwHQYDVR0O\
        BBYEFKZIzNIhIhIZPA1is6EPjeZYEbCoMB8GA1UdIwQYMBaAFKZIzNIhIhIZPA1is6EPjeZYEbCoMA8GA1UdEwEB/wQFMAMBAf8w\
        CgYIKoZIzj0EAwIDRwAwRAIgaVKt+o3tpSfdBDxmvpSaM74xDvSrX3jqXGF5YoRci1ACIFgBj7Aryr+8WCfsHFzIt2RRvlTUy95L\
        8XTJT5C/z8Ui";
    /// A token of the reader account without an end.
    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50Iiwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2N\
        vdW50OmlzdGlvLXN5c3RlbTppc3Rpby1yZWFkZXItc2VydmljZS1hY2NvdW50In0.c2ln";
    /// One of 2026-03-01T08:00:00Z that ended a day later.
    const TOKEN_OF_A_DAY: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2t1YmVybmV0ZXMuZGVmYXVsdC5zdmMiLCJzdWIiOiJzeXN0ZW06c2Vydml\
        jZWFjY291bnQ6aXN0aW8tc3lzdGVtOmlzdGlvLXJlYWRlci1zZXJ2aWNlLWFjY291bnQiLCJpYXQiOjE3NzIzNTIwMDAsImV4cCI\
        6MTc3MjQzODQwMH0.c2ln";

    /// istiod of a cluster, the CA of its API server and the address of that.
    fn cluster(id: &str) -> String {
        let (ca, host) = if id == "east" { (CA_EAST, "172.18.0.2") } else { (CA_WEST, "172.18.0.3") };
        format!(
            "apiVersion: v1\nkind: List\nitems:\n\
             - apiVersion: apps/v1\n  kind: Deployment\n  metadata:\n    name: istiod\n    namespace: istio-system\n    labels: {{app: istiod, istio.io/rev: default}}\n  \
               spec:\n    replicas: 1\n    selector: {{matchLabels: {{app: istiod}}}}\n    template:\n      metadata: {{labels: {{app: istiod}}}}\n      spec:\n        \
               serviceAccountName: istiod\n        containers:\n        - name: discovery\n          image: docker.io/istio/pilot:1.28.1\n          \
               env:\n          - {{name: REVISION, value: default}}\n          - {{name: CLUSTER_ID, value: {id}}}\n\
             - apiVersion: v1\n  kind: ConfigMap\n  metadata: {{name: kube-root-ca.crt, namespace: istio-system}}\n  data:\n    ca.crt: |\n      \
               -----BEGIN CERTIFICATE-----\n      {ca}\n      -----END CERTIFICATE-----\n\
             - apiVersion: discovery.k8s.io/v1\n  kind: EndpointSlice\n  metadata:\n    name: kubernetes\n    namespace: default\n    \
               labels: {{kubernetes.io/service-name: kubernetes}}\n  addressType: IPv4\n  endpoints:\n  - addresses: [{host}]\n    conditions: {{ready: true}}\n  \
               ports:\n  - {{name: https, port: 6443, protocol: TCP}}\n"
        )
    }

    /// A remote secret as istioctl makes it.
    struct Made<'a> {
        name: &'a str,
        namespace: &'a str,
        label: &'a str,
        key: &'a str,
        server: &'a str,
        ca: &'a str,
        login: String,
        context: &'a str,
    }

    fn of_west() -> Made<'static> {
        Made {
            name: "istio-remote-secret-west",
            namespace: "istio-system",
            label: "istio/multiCluster",
            key: "west",
            server: "https://172.18.0.3:6443",
            ca: CA_WEST,
            login: format!("token: {TOKEN}"),
            context: "west",
        }
    }

    fn of_east() -> Made<'static> {
        Made {
            name: "istio-remote-secret-east",
            key: "east",
            server: "https://172.18.0.2:6443",
            ca: CA_EAST,
            context: "east",
            ..of_west()
        }
    }

    impl Made<'_> {
        fn item(&self) -> String {
            let Made { name, namespace, label, key, server, ca, login, context } = self;
            let ca = if ca.is_empty() { String::new() } else { format!("certificate-authority-data: {ca}, ") };
            format!(
                "- apiVersion: v1\n  kind: Secret\n  type: Opaque\n  metadata:\n    name: {name}\n    namespace: {namespace}\n    \
                   labels: {{{label}: \"true\"}}\n    annotations: {{networking.istio.io/cluster: {key}}}\n    \
                   creationTimestamp: \"2026-03-01T09:00:00Z\"\n  stringData:\n    {key}: |\n      apiVersion: v1\n      kind: Config\n      \
                   clusters:\n      - name: {context}\n        cluster: {{{ca}server: \"{server}\"}}\n      \
                   contexts:\n      - name: west\n        context: {{cluster: {context}, user: {context}}}\n      \
                             - name: east\n        context: {{cluster: {context}, user: {context}}}\n      \
                   current-context: {context}\n      users:\n      - name: {context}\n        user: {{{login}}}\n"
            )
        }
    }

    /// The Secrets of a control plane's namespace, among which there are others.
    fn list(items: &[String]) -> String {
        const CA: &str = "- apiVersion: v1
  kind: Secret
  type: istio.io/ca-root
  \
            metadata: {name: istio-ca-secret, namespace: istio-system}
  data: {}
";
        format!(
            "apiVersion: v1
kind: List
metadata: {{resourceVersion: \"\"}}
items:
{CA}{}",
            items.concat()
        )
    }

    /// What is said of east's secrets, where west has the one of east.
    fn of(secrets: &[Made<'_>]) -> Vec<String> {
        with(secrets, &[])
    }

    fn with(secrets: &[Made<'_>], more: &[Saved<'_>]) -> Vec<String> {
        let (east, west) = (cluster("east"), cluster("west"));
        let items: Vec<String> = secrets.iter().map(Made::item).collect();
        let ours = list(&items);
        let theirs = list(&[of_east().item()]);
        let mut files: Vec<Saved<'_>> = vec![
            ("east", "k8s/istio.yaml", &east),
            ("west", "k8s/istio.yaml", &west),
            ("east", "k8s/secrets.yaml", &ours),
            ("west", "k8s/secrets.yaml", &theirs),
        ];
        files.extend(more);
        let said = told(&CHECK, &files);
        said.into_iter().filter(|line| !line.contains(" west Secret ")).collect()
    }

    const CLUSTERZ: &str = r#"[{"id":"east","secretName":"","syncStatus":"synced"},
        {"id":"west","secretName":"istio-system/istio-remote-secret-west","syncStatus":"synced"}]"#;
    const CLUSTERZ_ALONE: &str = r#"[{"id":"east","secretName":"","syncStatus":"synced"}]"#;
    const CLUSTERZ_FILE: &str = "istio-system/istiod-7d8f-x2v/debug/clusterz.json";

    #[test]
    fn a_secret_in_order_passes() {
        let said = of(&[of_west()]);
        assert_eq!(
            said,
            [
                "pass east Secret istio-system/istio-remote-secret-west: for west at https://172.18.0.3:6443, with its CA"
            ]
        );
    }

    #[test]
    fn no_secret_for_a_cluster_of_the_mesh_is_missing_where_all_secrets_are_known() {
        let said = of(&[]);
        assert_eq!(
            said,
            [
                "fail east remote secret of west: there is no such Secret, though the cluster is one of this mesh [remote-secret-missing: west]"
            ]
        );
    }

    #[test]
    fn what_was_not_saved_is_not_missing() {
        let (east, west, theirs) = (cluster("east"), cluster("west"), list(&[of_east().item()]));
        let files = [
            ("east", "istio.yaml", east.as_str()),
            ("west", "istio.yaml", west.as_str()),
            ("west", "secrets.yaml", theirs.as_str()),
        ];
        let said = told(&CHECK, &files);
        assert!(said[0].starts_with("cannot tell east remote secret of west: neither Secrets nor"), "{said:?}");
    }

    #[test]
    fn an_istiod_that_lists_only_itself_lacks_the_secret_though_no_secret_was_saved() {
        let (east, west, theirs) = (cluster("east"), cluster("west"), list(&[of_east().item()]));
        let files = [
            ("east", "istio.yaml", east.as_str()),
            ("west", "istio.yaml", west.as_str()),
            ("west", "secrets.yaml", theirs.as_str()),
            ("east", CLUSTERZ_FILE, CLUSTERZ_ALONE),
        ];
        assert_eq!(failed(&CHECK, &files), ["remote-secret-missing"]);
        let by_metric = [files[0], files[1], files[2], ("east", "istio-system/istiod-7d8f-x2v/metrics.txt", METRICS)];
        assert_eq!(failed(&CHECK, &by_metric), ["remote-secret-missing"]);
    }

    const METRICS: &str = "# HELP istiod_managed_clusters Number of clusters managed by istiod\n\
        # TYPE istiod_managed_clusters gauge\n\
        istiod_managed_clusters{cluster_type=\"local\"} 1\n\
        istiod_managed_clusters{cluster_type=\"remote\"} 0\n\
        # HELP pilot_services Total services known to pilot.\n\
        # TYPE pilot_services gauge\n\
        pilot_services 14\n";

    #[test]
    fn a_remote_cluster_without_istiod_needs_no_secret_of_its_primary() {
        let (east, ours) = (cluster("east"), list(&[of_west().item()]));
        let west = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: sleep-1, namespace: sample}\n  \
            spec:\n    containers:\n    - name: istio-proxy\n      image: istio/proxyv2:1.28.1\n      env:\n      - {name: ISTIO_META_CLUSTER_ID, value: west}\n  \
            status: {phase: Running}\n";
        let none = "apiVersion: v1\nkind: SecretList\nitems: []\n";
        let deployments = "apiVersion: apps/v1\nkind: DeploymentList\nitems: []\n";
        let files = [
            ("east", "istio.yaml", east.as_str()),
            ("east", "secrets.yaml", ours.as_str()),
            ("west", "pods.yaml", west),
            ("west", "secrets.yaml", none),
            ("west", "deployments.yaml", deployments),
        ];
        let said = told(&CHECK, &files);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("pass east Secret"), "{said:?}");
    }

    #[test]
    fn one_cluster_alone_lacks_nothing() {
        let (east, ours) = (cluster("east"), list(&[]));
        let said = told(&CHECK, &[("east", "istio.yaml", east.as_str()), ("east", "secrets.yaml", ours.as_str())]);
        assert_eq!(said, [""; 0]);
    }

    #[test]
    fn of_one_saved_cluster_of_two_its_secret_is_judged_by_itself() {
        let east = cluster("east");
        let of = |made: Made<'_>| {
            let ours = list(&[made.item()]);
            told(&CHECK, &[("east", "istio.yaml", east.as_str()), ("east", "secrets.yaml", ours.as_str())])
        };
        assert_eq!(
            of(of_west()),
            ["pass east Secret istio-system/istio-remote-secret-west: for west at https://172.18.0.3:6443"]
        );
        assert!(of(Made { server: "https://127.0.0.1:40123", ..of_west() })[0].contains("[remote-api-unreachable:"));
    }

    #[test]
    fn a_secret_elsewhere_or_without_its_label_is_missing() {
        let elsewhere = of(&[Made { namespace: "default", ..of_west() }]);
        assert!(elsewhere[0].contains("lies in namespace default"), "{elsewhere:?}");
        assert!(elsewhere[0].ends_with("[remote-secret-missing: west]"), "{elsewhere:?}");
        let bare = of(&[Made { label: "app.kubernetes.io/managed-by", ..of_west() }]);
        assert!(bare[0].contains("no label istio/multiCluster=true [remote-secret-missing: west]"), "{bare:?}");
    }

    #[test]
    fn a_stray_copy_beside_the_secret_that_is_read_is_only_warned_of() {
        let said = of(&[of_west(), Made { namespace: "default", ..of_west() }]);
        assert!(said.iter().any(|line| line.starts_with("warn east Secret default/")), "{said:?}");
        assert!(said.iter().all(|line| !line.starts_with("fail")), "{said:?}");
    }

    #[test]
    fn a_secret_that_istiod_took_up_lies_where_it_looks() {
        let listed = CLUSTERZ.replace("istio-system/istio-remote", "mesh-secrets/istio-remote");
        let made = Made { namespace: "mesh-secrets", ..of_west() };
        let said = with(&[made], &[("east", CLUSTERZ_FILE, &listed)]);
        assert!(said[0].starts_with("pass"), "{said:?}");
    }

    #[test]
    fn a_key_that_is_no_cluster_s_id_is_a_conflict_and_the_ca_tells_whose() {
        let said = of(&[Made { key: "west-prod", name: "istio-remote-secret-west-prod", ..of_west() }]);
        assert_eq!(said.len(), 1, "the cluster is not missing as well: {said:?}");
        assert!(said[0].ends_with("but its own proxies call it west [cluster-id-conflict: east: west]"), "{said:?}");
    }

    #[test]
    fn a_secret_of_a_cluster_that_was_not_saved_is_no_conflict() {
        let north = Made {
            key: "north",
            name: "istio-remote-secret-north",
            ca: CA_PROXY,
            server: "https://10.4.0.1:443",
            ..of_west()
        };
        let said = of(&[of_west(), north]);
        assert!(said.iter().all(|line| line.starts_with("pass")), "{said:?}");
    }

    #[test]
    fn one_key_in_two_secrets_for_two_servers_is_a_conflict() {
        let second = || Made { name: "istio-remote-secret-z", ..of_west() };
        let said = of(&[of_west(), Made { server: "https://172.18.0.9:6443", ..second() }]);
        assert!(
            said.iter().any(|line| line.ends_with("istiod ignores one [cluster-id-conflict: east: west]")),
            "{said:?}"
        );
        let same = of(&[of_west(), second()]);
        assert!(same.iter().any(|line| line.starts_with("warn") && line.contains("is for west as well")), "{same:?}");
    }

    #[test]
    fn the_secret_of_the_own_cluster_is_left_aside_and_another_under_its_id_is_a_conflict() {
        let own = of(&[of_west(), of_east()]);
        assert!(own.iter().any(|line| line.ends_with("it is for the cluster it lies in: istiod leaves it aside")));
        let taken = of(&[Made { key: "east", ..of_west() }]);
        assert!(taken[0].ends_with("so it is ignored [cluster-id-conflict: east: west]"), "{taken:?}");
    }

    #[test]
    fn a_kubeconfig_that_istiod_refuses_is_invalid() {
        let said = of(&[Made { context: "west-admin", ..of_west() }]);
        assert!(
            said[0].ends_with("current-context names no context [remote-secret-invalid: east -> west]"),
            "{said:?}"
        );
        let exec = Made { login: "exec: {apiVersion: v1, command: aws}".to_string(), ..of_west() };
        assert!(of(&[exec])[0].contains("exec is not allowed (aws)"));
    }

    #[test]
    fn what_was_taken_out_of_a_secret_when_it_was_saved_cannot_be_told() {
        let said = of(&[Made { login: "token: \"\"".to_string(), ..of_west() }]);
        assert!(said[0].starts_with("cannot tell east"), "{said:?}");
        let blank = "- apiVersion: v1\n  kind: Secret\n  metadata:\n    name: istio-remote-secret-west\n    namespace: istio-system\n    \
            labels: {istio/multiCluster: \"true\"}\n  data:\n    west: UkVEQUNURUQ=\n";
        let (east, west, ours) = (cluster("east"), cluster("west"), list(&[blank.to_string()]));
        let files =
            [("east", "istio.yaml", east.as_str()), ("west", "istio.yaml", west.as_str()), ("east", "s.yaml", &ours)];
        assert_eq!(failed(&CHECK, &files), [""; 0]);
    }

    #[test]
    fn what_istiod_still_reads_by_an_earlier_content_is_warned_of() {
        let said = with(&[Made { context: "west-admin", ..of_west() }], &[("east", CLUSTERZ_FILE, CLUSTERZ)]);
        assert!(said[0].starts_with("warn") && said[0].contains("istiod still has the cluster"), "{said:?}");
    }

    #[test]
    fn a_server_that_leads_back_to_istiod_s_own_cluster_is_unreachable() {
        for server in ["https://127.0.0.1:42193", "https://[::1]:6443", "https://localhost:6443"] {
            let said = of(&[Made { server, ..of_west() }]);
            assert!(
                said[0].contains("loopback") && said[0].ends_with("[remote-api-unreachable: east -> west]"),
                "{said:?}"
            );
        }
        let own = of(&[Made { server: "https://172.18.0.2:6443", ..of_west() }]);
        assert!(own[0].contains("that of istiod's own API server"), "{own:?}");
        let of_laptop = of(&[Made { server: "https://kubernetes.docker.internal:6443", ..of_west() }]);
        assert!(of_laptop[0].starts_with("warn"), "{of_laptop:?}");
    }

    #[test]
    fn a_ca_of_another_key_is_untrusted_and_that_of_a_proxy_only_warned_of() {
        let said = of(&[Made { ca: CA_EAST, ..of_west() }]);
        assert!(
            said[0].ends_with("it carries the CA of the cluster it lies in [remote-api-cert-untrusted: east -> west]"),
            "{said:?}"
        );
        let proxy = of(&[Made { ca: CA_PROXY, ..of_west() }]);
        assert!(proxy[0].starts_with("warn") && proxy[0].contains("CN=proxy-ca"), "{proxy:?}");
    }

    #[test]
    fn a_token_is_over_by_the_newest_time_known_and_without_one_it_is_not() {
        let of_a_day = || Made { login: format!("token: {TOKEN_OF_A_DAY}"), ..of_west() };
        let pod = |time: &str| {
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: web-1, namespace: shop}}\nspec: {{containers: [{{name: web, image: web}}]}}\n\
                 status:\n  phase: Running\n  startTime: \"{time}\"\n  conditions:\n  - {{type: Ready, status: \"True\", lastTransitionTime: \"{time}\"}}\n"
            )
        };
        let said = with(&[of_a_day()], &[("east", "pod.yaml", &pod("2026-03-03T08:00:00Z"))]);
        assert!(
            said[0].ends_with("its credential ended at 2026-03-02T08:00:00Z [remote-api-unauthorized: east -> west]"),
            "{said:?}"
        );
        let before = with(&[of_a_day()], &[("east", "pod.yaml", &pod("2026-03-01T12:00:00Z"))]);
        assert!(before[0].starts_with("warn") && before[0].contains("ends at"), "{before:?}");
    }

    #[test]
    fn a_token_of_an_account_that_was_made_anew_is_refused() {
        let account = |created: &str| {
            format!(
                "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: istio-reader-service-account, namespace: istio-system, creationTimestamp: \"{created}\"}}\n"
            )
        };
        let made = || Made { login: format!("token: {TOKEN_OF_A_DAY}"), ..of_west() };
        let said = with(&[made()], &[("west", "sa.yaml", &account("2026-03-01T08:30:00Z"))]);
        assert!(said[0].contains("was made anew after its token [remote-api-unauthorized"), "{said:?}");
        let older = with(&[made()], &[("west", "sa.yaml", &account("2026-01-01T08:30:00Z"))]);
        assert!(!older[0].starts_with("fail"), "{older:?}");
    }

    #[test]
    fn a_row_of_a_table_shows_no_content_and_fails_only_by_what_it_shows() {
        let (east, west) = (cluster("east"), cluster("west"));
        let table = "$ kubectl --context east get secrets -n istio-system --show-labels\n\
            NAME                       TYPE     DATA   AGE   LABELS\n\
            istio-ca-secret            istio.io/ca-root   5   9d   <none>\n\
            istio-remote-secret-west   Opaque   1      9d    istio/multiCluster=true\n";
        let files = [
            ("east", "istio.yaml", east.as_str()),
            ("west", "istio.yaml", west.as_str()),
            ("east", "secrets.txt", table),
        ];
        let said = told(&CHECK, &files);
        assert!(
            said[0].starts_with("cannot tell east Secret") && said[0].ends_with("what it holds was not saved"),
            "{said:?}"
        );
        let bare = table.replace("istio/multiCluster=true", "app=mesh");
        let files = [files[0], files[1], ("east", "secrets.txt", bare.as_str())];
        assert_eq!(failed(&CHECK, &files), ["remote-secret-missing"]);
        let listed = [files[0], files[1], ("east", "secrets.txt", table), ("east", CLUSTERZ_FILE, CLUSTERZ)];
        assert!(told(&CHECK, &listed)[0].ends_with("istiod took west from it"));
    }

    #[test]
    fn an_external_istiod_carries_the_id_of_the_cluster_it_serves_and_lacks_no_secret() {
        let external = cluster("west")
            .replace("namespace: istio-system", "namespace: external-istiod")
            .replace("{name: REVISION, value: default}", "{name: LOCAL_CLUSTER_SECRET_WATCHER, value: \"true\"}");
        let none = list(&[]);
        let west = "apiVersion: v1\nkind: Pod\nmetadata: {name: sleep-1, namespace: sample}\nspec:\n  containers:\n  - name: istio-proxy\n    \
            image: istio/proxyv2:1.28.1\n    env:\n    - {name: ISTIO_META_CLUSTER_ID, value: west}\nstatus: {phase: Running}\n";
        let files = [
            ("hub", "istio.yaml", external.as_str()),
            ("hub", "secrets.yaml", none.as_str()),
            ("west", "pods.yaml", west),
        ];
        assert_eq!(told(&CHECK, &files), [""; 0]);
        assert_eq!(failed(&super::super::cluster_ids::CHECK, &files), [""; 0]);
    }

    #[test]
    fn what_istiod_took_up_speaks_against_a_missing_secret_of_that_cluster_alone() {
        let (east, ours) = (cluster("east"), list(&[of_west().item()]));
        let files = [
            ("east", "istio.yaml", east.as_str()),
            ("east", "s.yaml", ours.as_str()),
            ("east", CLUSTERZ_FILE, CLUSTERZ),
        ];
        let items = run(&CHECK, &files);
        let refuted: Vec<_> = items[0].weighs.iter().map(|it| (it.slug, it.token.as_str())).collect();
        assert_eq!(refuted, [("remote-secret-missing", "west"), ("remote-secret-invalid", "west")]);
    }
}
