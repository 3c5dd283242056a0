//! What `meshwhy doctor` tells: what may be read in each cluster, what is refused, and what is not found without it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;

use meshwhy_parsers::origin::Role;
use serde_json::{Value, json};

use crate::causes;
use crate::engine::cause::Rule;
use crate::inputs::kube::review::{Permission, Permitted, Review};
use crate::outputs::text::wrap;
use crate::outputs::{json_line, printable};

/// What is not found, or not with certainty, where something may not be read.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Resource, with its subresource.
    pub resource: &'static str,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Slugs of causes; of lines see [`causes_without`].
    pub causes: &'static [&'static str],
    /// IDs of checks.
    pub checks: &'static [&'static str],
}

const fn loss(
    resource: &'static str,
    group: &'static str,
    causes: &'static [&'static str],
    checks: &'static [&'static str],
) -> Loss {
    Loss { resource, group, causes, checks }
}

/// By resource: everything that [`needed`](crate::inputs::kube::review::needed) names, and nothing else.
pub static LOSSES: &[Loss] = &[
    loss(
        "pods",
        "",
        &[
            "ambient-capture-missing",
            "cluster-id-conflict",
            "dataplane-mode-mismatch",
            "eastwest-gateway-down",
            "injection-missing",
            "istiod-down",
            "istiod-env-incompatible",
            "network-label-wrong",
            "no-healthy-upstream",
            "pod-ip-unreachable",
            "resource-exhaustion",
            "stale-endpoint",
            "version-skew",
            "waypoint-unavailable",
            "ztunnel-not-ready",
        ],
        &[
            "capture",
            "cluster-ids",
            "data-plane-modes",
            "east-west-gateways",
            "environment",
            "hbone",
            "networks",
            "pods",
            "pushed",
            "replicas",
            "stale-endpoints",
            "tried-by-hand",
            "versions",
            "waypoints",
        ],
    ),
    loss(
        "namespaces",
        "",
        &[
            "ambient-capture-missing",
            "dataplane-mode-mismatch",
            "discovery-selectors",
            "injection-missing",
            "network-label-wrong",
            "service-not-global",
        ],
        &[
            "capture",
            "data-plane-modes",
            "hbone",
            "locality",
            "networks",
            "pods",
            "remote-control-plane",
            "services",
            "waypoints",
        ],
    ),
    loss("nodes", "", &["istiod-remote-misaddressed"], &["remote-control-plane"]),
    loss(
        "services",
        "",
        &[
            "dataplane-mode-mismatch",
            "discovery-selectors",
            "eastwest-gateway-down",
            "eastwest-gateway-misconfigured",
            "eastwest-gateway-no-address",
            "istiod-remote-misaddressed",
            "istiod-remote-missing",
            "network-label-wrong",
            "no-healthy-upstream",
            "service-differs",
            "service-not-global",
            "webhook-stale",
        ],
        &[
            "data-plane-modes",
            "east-west-gateways",
            "networks",
            "remote-control-plane",
            "services",
            "tried-by-hand",
            "waypoints",
            "webhooks",
        ],
    ),
    loss("events", "", &[], &["pods"]),
    loss(
        "endpointslices",
        "discovery.k8s.io",
        &["istiod-remote-misaddressed", "istiod-remote-missing", "no-healthy-upstream"],
        &["east-west-gateways", "remote-control-plane"],
    ),
    loss("deployments", "apps", &["istiod-down", "istiod-remote-missing"], &["pods"]),
    loss(
        "daemonsets",
        "apps",
        &["istiod-env-incompatible", "network-label-wrong", "ztunnel-not-ready"],
        &["environment", "networks", "pods"],
    ),
    loss(
        "configmaps",
        "",
        &[
            "ca-cert-expired",
            "discovery-selectors",
            "remote-api-cert-untrusted",
            "root-of-trust-mismatch",
            "trust-domain-mismatch",
        ],
        &["certificates", "locality", "remote-clusters", "roots-of-trust", "services", "trust-domains"],
    ),
    loss(
        "secrets",
        "",
        &[
            "ca-cert-expired",
            "cluster-id-conflict",
            "remote-api-cert-untrusted",
            "remote-api-unauthorized",
            "remote-api-unreachable",
            "remote-secret-invalid",
            "remote-secret-missing",
            "root-of-trust-mismatch",
        ],
        &["certificates", "remote-clusters", "remote-secrets", "roots-of-trust"],
    ),
    loss(
        "mutatingwebhookconfigurations",
        "admissionregistration.k8s.io",
        &["istiod-remote-misaddressed", "webhook-cert-untrusted", "webhook-stale", "webhook-unreachable"],
        &["remote-control-plane", "webhooks"],
    ),
    loss(
        "validatingwebhookconfigurations",
        "admissionregistration.k8s.io",
        &["webhook-cert-untrusted", "webhook-stale", "webhook-unreachable"],
        &["remote-control-plane", "webhooks"],
    ),
    loss(
        "gateways",
        "gateway.networking.k8s.io",
        &[
            "dataplane-mode-mismatch",
            "eastwest-gateway-misconfigured",
            "eastwest-gateway-no-address",
            "peering-disconnected",
            "remote-secret-missing",
            "service-not-global",
            "waypoint-unavailable",
        ],
        &["data-plane-modes", "east-west-gateways", "peers", "remote-secrets", "services", "waypoints"],
    ),
    loss("gatewayclasses", "gateway.networking.k8s.io", &["eastwest-gateway-misconfigured"], &["east-west-gateways"]),
    loss(
        "gateways",
        "networking.istio.io",
        &["eastwest-gateway-misconfigured", "gateway-config-missing"],
        &["east-west-gateways"],
    ),
    loss("destinationrules", "networking.istio.io", &["locality-lb", "subset-mismatch"], &["locality"]),
    loss(
        "serviceentries",
        "networking.istio.io",
        &["istiod-env-incompatible", "service-entry-missing", "waypoint-unavailable"],
        &["environment", "services", "waypoints"],
    ),
    loss(
        "workloadentries",
        "networking.istio.io",
        &["istiod-env-incompatible", "stale-endpoint", "waypoint-unavailable"],
        &["environment", "stale-endpoints", "waypoints"],
    ),
    loss("sidecars", "networking.istio.io", &["egress-blocked", "no-route"], &[]),
    loss("peerauthentications", "security.istio.io", &["dataplane-mode-mismatch", "plaintext-to-mtls-strict"], &[]),
    loss("authorizationpolicies", "security.istio.io", &["authz-denied"], &[]),
    loss("networkpolicies", "networking.k8s.io", &["hbone-blocked", "networkpolicy-blocked"], &[]),
    loss("pods/log", "", &["node-network-broken", "transient-recovered"], &["licence", "tried-by-hand"]),
    loss(
        "pods/portforward",
        "",
        &[
            "ca-cert-expired",
            "dataplane-mode-mismatch",
            "eastwest-gateway-misconfigured",
            "eastwest-gateway-no-address",
            "endpoint-address-wrong",
            "istiod-replicas-diverged",
            "locality-lb",
            "network-label-wrong",
            "remote-api-forbidden",
            "remote-api-unauthorized",
            "remote-api-unreachable",
            "remote-cluster-dark",
            "remote-secret-missing",
            "root-of-trust-mismatch",
            "san-mismatch",
            "stale-endpoint",
            "workload-cert-expired",
            "xds-rejected",
        ],
        &[
            "certificates",
            "cluster-ids",
            "east-west-gateways",
            "environment",
            "licence",
            "locality",
            "networks",
            "pushed",
            "remote-clusters",
            "remote-secrets",
            "replicas",
            "roots-of-trust",
            "stale-endpoints",
            "versions",
        ],
    ),
];

/// The slugs of causes that are not found, or not with certainty, without a resource.
pub fn causes_without(resource: &str, group: &str) -> BTreeSet<&'static str> {
    // Lines open cases of what they tell; those that Kubernetes prints stand in Events.
    let by_lines =
        causes::ALL.iter().filter(|cause| cause.rules.iter().any(|rule| matches!(rule, Rule::Symptom { .. })));
    let by_events = meshwhy_parsers::signatures().filter(|signature| signature.printed_by.starts_with("kubernetes/"));
    let mut slugs: BTreeSet<&'static str> = losses(resource, group).flat_map(|loss| loss.causes).copied().collect();
    match resource {
        // Logs are those of pods that are known.
        "pods" | "pods/log" => slugs.extend(by_lines.map(|cause| cause.slug)),
        "events" => slugs.extend(by_events.flat_map(|signature| signature.points_to)),
        _ => {}
    }
    slugs.retain(|slug| causes::find(slug).is_some());
    slugs
}

/// The IDs of checks that cannot tell without a resource.
pub fn checks_without(resource: &str, group: &str) -> BTreeSet<&'static str> {
    losses(resource, group).flat_map(|loss| loss.checks).copied().collect()
}

fn losses(resource: &str, group: &str) -> impl Iterator<Item = &'static Loss> {
    LOSSES.iter().filter(move |loss| loss.resource == resource && loss.group == group)
}

/// A resource with all verbs that are refused for the same reason.
struct Refusal<'r> {
    permission: &'r Permission,
    verbs: Vec<&'static str>,
    why: &'r str,
    is_known: bool,
}

impl Refusal<'_> {
    fn title(&self) -> String {
        let Permission { resource, group, name, namespace, .. } = self.permission;
        let dot = if group.is_empty() { "" } else { "." };
        let name = if name.is_empty() { String::new() } else { format!(" {name}") };
        let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace}") };
        format!("{resource}{dot}{group}{name}{place}")
    }
}

/// What is refused or cannot be told, by resource.
fn refusals(review: &Review) -> Vec<Refusal<'_>> {
    let mut refusals: Vec<Refusal<'_>> = Vec::new();
    for permission in &review.permissions {
        let (why, is_known) = match &permission.permitted {
            Permitted::Yes => continue,
            Permitted::No(why) => (why, true),
            Permitted::Unknown(why) => (why, false),
        };
        let is_same = |refusal: &&mut Refusal<'_>| {
            let of = refusal.permission;
            refusal.is_known == is_known
                && (&of.resource, &of.group, &of.namespace, &of.name)
                    == (&permission.resource, &permission.group, &permission.namespace, &permission.name)
        };
        match refusals.iter_mut().find(is_same) {
            Some(refusal) => refusal.verbs.push(permission.verb),
            None => refusals.push(Refusal { permission, verbs: vec![permission.verb], why, is_known }),
        }
    }
    refusals
}

/// 0 where all may be read, 1 where something is refused, 2 where nothing could be asked.
pub fn exit_code(reviews: &[Review]) -> u8 {
    match () {
        () if reviews.iter().all(|review| review.unreachable.is_some()) => 2,
        () if reviews.iter().any(|review| review.unreachable.is_some() || !refusals(review).is_empty()) => 1,
        () => 0,
    }
}

const GROUPS: [(&str, &str); 2] = [("Istio", "networking.istio.io"), ("the Gateway API", "gateway.networking.k8s.io")];

/// The report for people.
pub fn text(reviews: &[Review], width: usize) -> String {
    let mut page = String::new();
    for (at, review) in reviews.iter().enumerate() {
        if 0 < at {
            page.push('\n');
        }
        if let Some(why) = &review.unreachable {
            // It names the cluster.
            put(&mut page, "", why, width);
            continue;
        }
        let version = if review.version.is_empty() { "a version that it does not tell" } else { &review.version };
        let _ = writeln!(page, "{}: answers, {}", printable(&review.cluster), printable(version));
        let installed = match &review.groups {
            None => "cannot be told: what is installed may not be asked for".to_string(),
            Some(groups) => {
                let of = |name, group| match groups.iter().any(|known| known == group) {
                    true => format!("{name} is installed"),
                    false => format!("{name} is not installed"),
                };
                GROUPS.map(|(name, group)| of(name, group)).join(", ")
            }
        };
        put(&mut page, "kinds     ", &installed, width);
        let found = match &review.found {
            None => "cannot be told: pods may not be listed".to_string(),
            Some(found) => {
                let of = |(role, count): &(Role, usize)| format!("{count} {}", plural(*role, *count));
                found.iter().map(of).collect::<Vec<_>>().join(", ")
            }
        };
        put(&mut page, "found     ", &found, width);
        let permitted: BTreeSet<&str> = review
            .permissions
            .iter()
            .filter(|permission| permission.permitted == Permitted::Yes)
            .map(|permission| &*permission.resource)
            .collect();
        put(&mut page, "may read  ", &permitted.into_iter().collect::<Vec<_>>().join(", "), width);
        let refusals = refusals(review);
        for refusal in &refusals {
            let verb = if refusal.is_known { "may not   " } else { "unknown   " };
            let why = if refusal.why.is_empty() { String::new() } else { format!(" ({})", refusal.why) };
            put(&mut page, verb, &format!("{} {}{why}", refusal.verbs.join(" and "), refusal.title()), width);
            let Permission { resource, group, .. } = refusal.permission;
            for (what, all, lost) in [
                ("causes", causes::ALL.len(), causes_without(resource, group)),
                ("checks", usize::MAX, checks_without(resource, group)),
            ] {
                let count = lost.len();
                let lost = match () {
                    () if count == 0 => continue,
                    // Nobody reads a list of nearly everything; programs get it.
                    () if all < 2 * count => format!("{count} of {all}"),
                    () => lost.into_iter().collect::<Vec<_>>().join(", "),
                };
                put(&mut page, "", &format!("less certain or not found, {what}: {lost}"), width);
            }
        }
        let rules = rules(&refusals);
        if !rules.is_empty() {
            put(&mut page, "add       ", "to a ClusterRole of who asks:", width);
            for line in rules.lines() {
                let _ = writeln!(page, "            {}", printable(line));
            }
        }
    }
    page
}

fn plural(role: Role, count: usize) -> &'static str {
    match (role, count) {
        (Role::Istiod, 1) => "istiod",
        (Role::Istiod, _) => "istiods",
        (Role::Gateway, 1) => "gateway",
        (Role::Gateway, _) => "gateways",
        (Role::Waypoint, 1) => "waypoint",
        (Role::Waypoint, _) => "waypoints",
        (Role::Ztunnel, 1) => "ztunnel",
        (Role::Ztunnel, _) => "ztunnels",
        (Role::Cni, 1) => "CNI agent",
        (Role::Cni, _) => "CNI agents",
        (_, 1) => "sidecar",
        (..) => "sidecars",
    }
}

fn put(page: &mut String, title: &str, said: &str, width: usize) {
    let indent = if title.is_empty() && page.is_empty() { 0 } else { 12 };
    let (title, indent) = if title.is_empty() { (" ".repeat(indent), indent) } else { (format!("  {title}"), indent) };
    for (at, line) in wrap(&printable(said), width.saturating_sub(indent).max(30)).iter().enumerate() {
        let before = if at == 0 { title.clone() } else { " ".repeat(indent) };
        let _ = writeln!(page, "{}", format!("{before}{line}").trim_end());
    }
}

/// Rules that permit what is refused, as YAML of a ClusterRole.
fn rules(refusals: &[Refusal<'_>]) -> String {
    let mut resources: BTreeMap<(&str, Vec<&str>, &str), BTreeSet<&str>> = BTreeMap::new();
    for refusal in refusals.iter().filter(|refusal| refusal.is_known) {
        let Permission { resource, group, name, .. } = refusal.permission;
        let verbs = match &**resource {
            "pods/log" => vec!["get"],
            "pods/portforward" => vec!["get", "create"],
            _ => vec!["get", "list", "watch"],
        };
        resources.entry((group, verbs, name)).or_default().insert(resource);
    }
    let mut yaml = String::new();
    for ((group, verbs, name), resources) in resources {
        let resources = resources.into_iter().collect::<Vec<_>>().join(", ");
        let _ = writeln!(yaml, "- apiGroups: [\"{group}\"]\n  resources: [{resources}]");
        if !name.is_empty() {
            let _ = writeln!(yaml, "  resourceNames: [{name}]");
        }
        let _ = writeln!(yaml, "  verbs: [{}]", verbs.join(", "));
    }
    yaml
}

/// The report for programs: a record for each cluster, and one for each thing that is needed of it.
pub fn ndjson(out: &mut dyn io::Write, reviews: &[Review]) -> io::Result<()> {
    for review in reviews {
        let has = |group: &str| review.groups.as_ref().map(|groups| groups.iter().any(|known| known == group));
        let count = |role| review.found.as_ref().and_then(|found| Some(found.iter().find(|(of, _)| *of == role)?.1));
        let record = json!({
            "type": "cluster",
            "cluster": printable(&review.cluster),
            "answers": review.unreachable.is_none(),
            "why": review.unreachable.as_deref().map(printable).unwrap_or_default(),
            "version": printable(&review.version),
            "istio": has(GROUPS[0].1),
            "gateway_api": has(GROUPS[1].1),
            "istiods": count(Role::Istiod),
            "gateways": count(Role::Gateway),
            "waypoints": count(Role::Waypoint),
            "ztunnels": count(Role::Ztunnel),
            "cni_agents": count(Role::Cni),
            "sidecars": count(Role::Sidecar),
        });
        writeln!(out, "{}", json_line(&record))?;
        for permission in &review.permissions {
            writeln!(out, "{}", json_line(&record_of(&review.cluster, permission)))?;
        }
    }
    Ok(())
}

fn record_of(cluster: &str, permission: &Permission) -> Value {
    let (permitted, why) = match &permission.permitted {
        Permitted::Yes => ("yes", ""),
        Permitted::No(why) => ("no", &**why),
        Permitted::Unknown(why) => ("unknown", &**why),
    };
    let is_lost = permission.permitted != Permitted::Yes;
    let Permission { resource, group, namespace, name, verb, .. } = permission;
    json!({
        "type": "permission",
        "cluster": printable(cluster),
        "verb": verb,
        "resource": resource,
        "group": group,
        "namespace": namespace,
        "name": name,
        "permitted": permitted,
        "why": printable(why),
        "causes": if is_lost { causes_without(resource, group) } else { BTreeSet::new() },
        "checks": if is_lost { checks_without(resource, group) } else { BTreeSet::new() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks;
    use crate::inputs::kube::review::needed;

    #[test]
    fn what_is_lost_without_a_resource_is_told_of_all_that_is_needed_and_names_what_exists() {
        let needed: BTreeSet<(String, String)> =
            needed("istio-system").into_iter().map(|need| (need.resource, need.group)).collect();
        let told: BTreeSet<(String, String)> =
            LOSSES.iter().map(|loss| (loss.resource.to_string(), loss.group.to_string())).collect();
        assert_eq!(needed, told);
        let ids: BTreeSet<&str> = checks::ALL.iter().map(|check| check.id).collect();
        for loss in LOSSES {
            for slug in loss.causes {
                assert!(causes::find(slug).is_some(), "{}: no cause is called {slug}", loss.resource);
            }
            for id in loss.checks {
                assert!(ids.contains(id), "{}: no check is called {id}", loss.resource);
            }
        }
    }

    #[test]
    fn every_check_and_every_cause_is_lost_without_something() {
        let checks_lost: BTreeSet<&str> = LOSSES.iter().flat_map(|loss| loss.checks).copied().collect();
        let lacking: Vec<&str> =
            checks::ALL.iter().map(|check| check.id).filter(|id| !checks_lost.contains(id)).collect();
        assert_eq!(lacking, Vec::<&str>::new());
        let lost: BTreeSet<&str> = LOSSES.iter().flat_map(|loss| causes_without(loss.resource, loss.group)).collect();
        let lacking: Vec<&str> =
            causes::ALL.iter().map(|cause| cause.slug).filter(|slug| !lost.contains(slug)).collect();
        assert_eq!(lacking, Vec::<&str>::new());
    }
}
