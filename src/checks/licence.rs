//! Licences: whether a vendor's istiod may do what is asked of it between clusters.
//!
//! Solo's builds take one as `SOLO_LICENSE_KEY` in istiod's environment, by value or from a Secret; whether it is valid only
//! istiod and `istioctl multicluster check` say.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, Process};
use meshwhy_parsers::state::State;

use crate::causes::control_plane::LICENSE_INVALID;
use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Mesh};
use crate::engine::view::View;

/// See the title.
pub static CHECK: Check =
    Check { id: "licence", title: "Licences allow what is in use between clusters", before_linking: true, run };

/// Where Solo's builds look for their licence.
const KEY: &str = "SOLO_LICENSE_KEY";

fn run(view: &View<'_>) -> Vec<Item> {
    let mesh = view.mesh();
    let mut items: Vec<Item> = Vec::new();
    for (event, state) in view.states() {
        match state {
            State::MulticlusterCheck(section) if is_about(&section.name) => {
                let of = of_context(mesh, &section.cluster, event);
                let (passed, text) = match section.verdicts.iter().find(|(passed, _)| !passed) {
                    Some((_, text)) => (false, text),
                    None => match section.verdicts.first() {
                        Some((_, text)) => (true, text),
                        None => continue,
                    },
                };
                items.push(told(of, event, passed, text));
            }
            State::Check { passed, name, text, .. } => {
                let (title, what) = text.split_once(": ").unwrap_or((name, text));
                if is_about(title) {
                    items.push(told(&event.origin.cluster, event, *passed, what));
                }
            }
            _ => {}
        }
    }
    items.extend(mesh.clusters().filter_map(|cluster| empty(view, cluster)));
    items
}

fn is_about(title: &str) -> bool {
    title.to_ascii_lowercase().contains("license")
}

/// The cluster of a section by the name of its documents: the command names contexts.
fn of_context<'m>(mesh: &'m Mesh, context: &'m str, event: &'m Arc<Event>) -> &'m str {
    match mesh.cluster(context).or_else(|| mesh.by_id(context)) {
        Some(cluster) => &cluster.name,
        None if context.is_empty() => &event.origin.cluster,
        None => context,
    }
}

/// What `istioctl multicluster check` says of the licence in use.
fn told(cluster: &str, event: &Arc<Event>, passed: bool, text: &str) -> Item {
    let text = text.lines().next().unwrap_or("");
    if passed {
        return Item::pass(cluster, "licence", text).refuting(
            LICENSE_INVALID.slug,
            event,
            text,
            "istioctl finds it valid",
        );
    }
    let verdict = Verdict::likely(cluster)
        .slot("cluster", cluster)
        .slot("reason", text)
        .cluster(cluster)
        .because_quote(event, text, "istioctl's own check of the licence fails");
    Item::fail(cluster, "licence", text, LICENSE_INVALID.slug, verdict)
}

/// A vendor's istiod whose licence is set to nothing, though it is meant to find peers.
fn empty(view: &View<'_>, cluster: &Cluster) -> Option<Item> {
    let plane = cluster.control_planes().into_iter().find(|plane| plane.is_solo() && plane.env(KEY) == Some(""))?;
    // istiod's own line says it, with what is off for it.
    let is_said = view.events(Kind::Process).any(|event| {
        *event.origin.cluster == *cluster.name && matches!(event.fact, Fact::Process(Process::LicenseInvalid(_)))
    });
    let remedy =
        "Set license.value or license.secretRef in the values of istiod if features between clusters are meant.";
    (!is_said).then(|| Item::warn(&cluster.name, plane.object.title(), format!("{KEY} is empty"), remedy))
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checks::testing::{failed, told};

    #[test]
    fn what_istioctl_says_of_a_licence_is_told_cluster_by_cluster() {
        let check = |east: &str, west: &str| {
            format!(
                "$ istioctl multicluster check --verbose --contexts east,west\n\n=== Cluster: east ===\n\n\
                 --- License Check ---\n\n{east}\n\n=== Cluster: west ===\n\n--- License Check ---\n\n{west}\n"
            )
        };
        let good = "✅ License Check: license is valid for multicluster";
        let bad = "❌ License Check: license is not valid for multicluster";
        let all = told(&CHECK, &[("", "check.txt", &check(good, bad))]);
        assert_eq!(
            all,
            [
                "pass east licence: license is valid for multicluster",
                "fail west licence: license is not valid for multicluster [license-invalid: west]"
            ]
        );
        assert_eq!(failed(&CHECK, &[("", "check.txt", &check(good, good))]), [""; 0]);
    }

    #[test]
    fn an_empty_key_of_a_vendor_build_is_worth_a_warning_and_upstream_needs_none() {
        let istiod = |image: &str| {
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: istiod-1, namespace: istio-system, labels: {{app: istiod}}}}\n\
                 spec: {{containers: [{{name: discovery, image: \"{image}\", env: [{{name: SOLO_LICENSE_KEY, value: \"\"}}]}}]}}\n\
                 status: {{phase: Running}}\n"
            )
        };
        let told = |image: &str| told(&CHECK, &[("west", "istiod.yaml", &istiod(image))]);
        assert_eq!(
            told("reg.example/istio-solo/pilot:1.28.1-solo"),
            ["warn west Pod istio-system/istiod-1: SOLO_LICENSE_KEY is empty"]
        );
        assert_eq!(told("docker.io/istio/pilot:1.28.1"), [""; 0]);
    }
}
