//! Versions: whether istiod, the proxies and ztunnels it serves, istio-cni and istioctl are near enough to each other.
//!
//! Istio supports proxies that are up to two minor versions older than their istiod and never newer ones.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use meshwhy_parsers::event::Event;
use meshwhy_parsers::state::State;
use meshwhy_parsers::state::istiod::Said;
use meshwhy_parsers::state::object::Container;

use crate::causes::version_skew::{CAUSE, OLDER};
use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Version};
use crate::engine::view::View;

/// See the title.
pub static CHECK: Check =
    Check { id: "versions", title: "Versions of istiod, proxies and tools fit each other", before_linking: true, run };

/// How many minor versions a part may be behind its control plane.
const BEHIND_MAX: u32 = 2;

/// How many minor versions istioctl may be away from the control plane before its answers are doubtful.
const TOOL_APART_MAX: u32 = 1;

/// How many parts of one version a verdict names as tokens.
const NAMED_MAX: usize = 32;

fn run(view: &View<'_>) -> Vec<Item> {
    let mesh = view.mesh();
    let printed = Printed::of(view);
    let planes: Planes<'_> =
        mesh.clusters().map(|cluster| (&*cluster.name, Rc::new(planes(cluster, &printed)))).collect();
    let mut parts = parts(view, &planes, &printed);
    mesh.clusters()
        .flat_map(|cluster| {
            let parts = parts.remove(&*cluster.name).unwrap_or_default();
            Asked {
                view,
                cluster,
                planes: &planes,
                parts,
                tool: printed.of_component(cluster, "client").first().cloned(),
            }
            .all()
        })
        .collect()
}

/// A version and what tells it.
#[derive(Clone)]
struct Told<'m> {
    version: Version,
    event: &'m Arc<Event>,
    quote: String,
}

impl Told<'_> {
    /// How much older than the control plane it is, in minor versions; negative where it is newer.
    fn behind(&self, plane: &Told<'_>) -> i64 {
        i64::from(plane.version.minor) - i64::from(self.version.minor)
    }

    fn is_served_by(&self, plane: &Told<'_>) -> bool {
        (0..=i64::from(BEHIND_MAX)).contains(&self.behind(plane))
    }
}

/// The control planes of each cluster, by its name.
type Planes<'m> = BTreeMap<&'m str, Rc<Vec<Told<'m>>>>;

/// The proxies and agents of a cluster by `<pod>.<namespace>`.
type Parts<'m> = BTreeMap<String, Part<'m>>;

/// A proxy, ztunnel or istio-cni with the control planes one of which serves it.
struct Part<'m> {
    /// Its name; empty where only the version of some proxies is known.
    name: String,
    told: Told<'m>,
    planes: Rc<Vec<Told<'m>>>,
}

/// What is known of one cluster.
struct Asked<'a, 'm> {
    view: &'a View<'m>,
    cluster: &'m Cluster,
    planes: &'a Planes<'m>,
    parts: Parts<'m>,
    tool: Option<Told<'m>>,
}

impl<'m> Asked<'_, 'm> {
    fn all(&self) -> Vec<Item> {
        let own = self.own_planes();
        let mut items = self.parts_apart();
        items.extend(self.clusters_apart());
        items.extend(self.tool_apart());
        let known = own.first().or_else(|| self.parts.values().find_map(|part| part.planes.first()));
        if let Some(plane) = known.filter(|_| items.is_empty()) {
            let pass = |reason: String| Item::pass(&self.cluster.name, "versions", reason);
            items.push(match self.parts.len() {
                0 => pass(format!("istiod {}", plane.version)),
                count => pass(match count {
                    1 => format!("istiod {}; 1 proxy or agent fits it", plane.version),
                    _ => format!("istiod {}; {count} proxies and agents fit it", plane.version),
                })
                .refuting(
                    CAUSE.slug,
                    plane.event,
                    &plane.quote,
                    "proxies and agents fit the control plane",
                ),
            });
        }
        items
    }

    fn own_planes(&self) -> &[Told<'m>] {
        self.planes.get(&*self.cluster.name).map_or(&[], |planes| planes.as_slice())
    }

    /// Proxies and agents that none of the control planes that may serve them supports, one item a version.
    fn parts_apart(&self) -> Vec<Item> {
        let mut apart: BTreeMap<(bool, Version), Vec<(&Part<'m>, &Told<'m>)>> = BTreeMap::new();
        for part in self.parts.values() {
            if part.planes.iter().any(|plane| part.told.is_served_by(plane)) {
                continue;
            }
            let Some(plane) = part.planes.iter().min_by_key(|plane| part.told.behind(plane).abs()) else { continue };
            // The step before the control plane follows is unsupported, but rarely breaks anything.
            let is_next = part.told.behind(plane) == -1;
            apart.entry((is_next, part.told.version)).or_default().push((part, plane));
        }
        let told = |((is_next, version), of): ((bool, Version), Vec<(&Part<'m>, &Told<'m>)>)| {
            let (part, plane) = *of.first()?;
            let who = if part.name.is_empty() { "a proxy" } else { &part.name };
            let more = match of.len() {
                1 => String::new(),
                count => format!(" and {} more", count.saturating_sub(1)),
            };
            let relation = if part.told.behind(plane) < 0 { "newer" } else { "older" };
            let steps = part.told.behind(plane).abs();
            let reason = format!(
                "{steps} minor version{} {relation}; Istio supports up to {BEHIND_MAX} older ones and no newer one",
                if steps == 1 { "" } else { "s" }
            );
            let says = format!("{who}{more} at {version}, istiod at {}: {reason}", plane.version);
            if is_next {
                return Some(Item::warn(&self.cluster.name, who, says, "Upgrade the control plane first."));
            }
            let verdict = Verdict::likely(who)
                .slot("older", OLDER)
                .slot("who", format!("{who}{more}"))
                .slot("theirs", version)
                .slot("ours", plane.version)
                .slot("reason", &reason)
                .because_quote(part.told.event, &part.told.quote, "its version")
                .because_quote(plane.event, &plane.quote, "the control plane's version");
            let named = of.iter().map(|(part, _)| &part.name).filter(|name| !name.is_empty());
            let verdict = named.take(NAMED_MAX).fold(verdict, |verdict, name| verdict.token(name));
            Some(Item::fail(&self.cluster.name, who, says, CAUSE.slug, verdict.cluster(&self.cluster.name)))
        };
        apart.into_iter().filter_map(told).collect()
    }

    /// A control plane that is too far behind that of another cluster of the mesh: each reads the other's services and
    /// serves its gateways by its own rules.
    fn clusters_apart(&self) -> Option<Item> {
        let newest = self.own_planes().iter().max_by_key(|plane| plane.version)?;
        let others = self.view.others(self.cluster).filter_map(|other| {
            Some((other, self.planes.get(&*other.name)?.iter().min_by_key(|plane| plane.version)?))
        });
        let (other, ahead) = others
            .filter(|(_, plane)| i64::from(BEHIND_MAX) < newest.behind(plane))
            .max_by_key(|(_, plane)| plane.version)?;
        let (title, there) = (self.cluster.title(), other.title());
        let reason = format!(
            "istiod of {title} runs {}, that of {there} {}: more than {BEHIND_MAX} minor versions apart",
            newest.version, ahead.version
        );
        let verdict = Verdict::likely(&format!("istiod of {title}"))
            .says("istiod of {cluster} runs {theirs} and that of {other} {ours}: {reason}")
            .slot("cluster", title)
            .slot("older", format!("istiod of {title}"))
            .slot("who", format!("the proxies of {title}"))
            .slot("other", there)
            .slot("theirs", newest.version)
            .slot("ours", ahead.version)
            .slot("reason", "control planes of one mesh that are so far apart do not read each other as they should")
            .token(title)
            .because_quote(newest.event, &newest.quote, "the older control plane")
            .because_quote(ahead.event, &ahead.quote, "the newer one of the same mesh");
        Some(Item::fail(&self.cluster.name, "istiod", reason, CAUSE.slug, verdict))
    }

    /// istioctl of another age than the control plane.
    fn tool_apart(&self) -> Option<Item> {
        let tool = self.tool.as_ref()?;
        let plane = self.own_planes().iter().min_by_key(|plane| tool.behind(plane).abs())?;
        if tool.behind(plane).abs() <= i64::from(TOOL_APART_MAX) {
            return None;
        }
        let reason = format!(
            "istioctl is {} and istiod {}: what it says of this mesh may be wrong",
            tool.version, plane.version
        );
        Some(Item::warn(&self.cluster.name, "istioctl", reason, format!("Use istioctl {}.", plane.version)))
    }
}

/// What `istioctl version` printed, by cluster and component.
struct Printed<'m>(BTreeMap<(&'m str, &'m str), Vec<Told<'m>>>);

impl<'m> Printed<'m> {
    fn of(view: &View<'m>) -> Printed<'m> {
        let mut printed = Printed(BTreeMap::new());
        for (event, state) in view.states() {
            let State::Version { component, versions } = state else { continue };
            let told = versions.iter().filter_map(|text| {
                Some(Told { version: Version::read(text)?, event, quote: format!("{component} version: {text}") })
            });
            printed.0.entry((&event.origin.cluster, component)).or_default().extend(told);
        }
        printed
    }

    fn of_component(&self, cluster: &'m Cluster, component: &'m str) -> &[Told<'m>] {
        self.0.get(&(&*cluster.name, component)).map_or(&[], |told| told.as_slice())
    }
}

/// The control planes that run in a cluster, one a revision.
fn planes<'m>(cluster: &'m Cluster, printed: &Printed<'m>) -> Vec<Told<'m>> {
    let by_image = cluster.control_planes().into_iter().filter_map(|plane| {
        let quote = format!("{}: image {}", plane.object.title(), plane.image());
        Some(Told { version: plane.version()?, event: &plane.object.event, quote })
    });
    let said = cluster.istiods().flat_map(|istiod| istiod.documents()).filter_map(|document| match &document.said {
        Said::Version(text) => {
            Some(Told { version: Version::read(text)?, event: &document.event, quote: text.to_string() })
        }
        _ => None,
    });
    let printed = ["control plane", "pilot"].into_iter().flat_map(|of| printed.of_component(cluster, of)).cloned();
    by_image.chain(said).chain(printed).collect()
}

/// The proxies and agents of each cluster: as istiod lists them, else by their images.
fn parts<'m>(view: &View<'m>, planes: &Planes<'m>, printed: &Printed<'m>) -> BTreeMap<&'m str, Parts<'m>> {
    let mesh = view.mesh();
    let mut parts: BTreeMap<&str, Parts<'m>> = BTreeMap::new();
    for teller in mesh.clusters() {
        let mut speaking: BTreeMap<&str, Rc<Vec<Told<'m>>>> = BTreeMap::new();
        for istiod in teller.istiods() {
            let rows = istiod.documents().filter_map(|document| match &document.said {
                Said::Sync(rows) => Some((document, rows)),
                _ => None,
            });
            for (document, row) in rows.flat_map(|(document, rows)| rows.iter().map(move |row| (document, row))) {
                let Some(version) = Version::read(&row.version) else { continue };
                let of = mesh.by_id(&row.cluster).unwrap_or(teller);
                let pod = if row.istiod.is_empty() { &*istiod.pod } else { &*row.istiod };
                let planes = speaking.entry(pod).or_insert_with(|| speaks(teller, pod, planes));
                let quote = format!("proxy {}: version {}", row.proxy, row.version);
                let told = Told { version, event: &document.event, quote };
                let part = Part { name: row.proxy.to_string(), told, planes: Rc::clone(planes) };
                parts.entry(&of.name).or_default().insert(row.proxy.to_string(), part);
            }
        }
    }
    let mut rows: BTreeMap<&str, Vec<(&str, Told<'m>)>> = BTreeMap::new();
    for (event, state) in view.states() {
        let State::ProxyStatus { proxy, version: text, .. } = state else { continue };
        let Some(version) = Version::read(text) else { continue };
        let told = Told { version, event, quote: format!("proxy {proxy}: version {text}") };
        rows.entry(&event.origin.cluster).or_default().push((proxy, told));
    }
    for cluster in mesh.clusters() {
        let serving = serving(view, cluster, planes);
        let known = parts.entry(&cluster.name).or_default();
        let mut fill = |name: String, told| {
            known.entry(name.clone()).or_insert_with(|| Part { name, told, planes: Rc::clone(&serving) });
        };
        for (proxy, told) in rows.remove(&*cluster.name).unwrap_or_default() {
            fill(proxy.to_string(), told);
        }
        for (object, pod) in cluster.pods() {
            let is_over = object.deleted.is_some() || &*pod.phase != "Running";
            let agent = ["proxyv2", "ztunnel", "install-cni"].iter().find_map(|name| image_of(&pod.containers, name));
            let Some(container) = agent.filter(|_| !is_over) else { continue };
            let Some(version) = Version::of_image(&container.image) else { continue };
            let quote = format!("{}: image {}", object.title(), container.image);
            fill(format!("{}.{}", object.name, object.namespace), Told { version, event: &object.event, quote });
        }
        for told in printed.of_component(cluster, "data plane") {
            let part = Part { name: String::new(), told: told.clone(), planes: Rc::clone(&serving) };
            known.insert(told.version.to_string(), part);
        }
        known.retain(|_, part| !part.planes.is_empty());
    }
    parts
}

/// The control planes that may serve what runs in a cluster: its own, else those of the mesh.
fn serving<'m>(view: &View<'m>, cluster: &'m Cluster, planes: &Planes<'m>) -> Rc<Vec<Told<'m>>> {
    let own = planes.get(&*cluster.name).cloned().unwrap_or_default();
    if !own.is_empty() || cluster.has_istiod() == Some(true) {
        return own;
    }
    let others = view.others(cluster).filter_map(|other| planes.get(&*other.name));
    Rc::new(others.flat_map(|planes| planes.iter().cloned()).collect())
}

/// The control plane that speaks in a document: its pod, where that is known, else any of its cluster.
fn speaks<'m>(cluster: &'m Cluster, pod: &str, planes: &Planes<'m>) -> Rc<Vec<Told<'m>>> {
    let by_image = cluster.istiod_pods().find(|(object, _)| *object.name == *pod).and_then(|(object, state)| {
        let container = image_of(&state.containers, "pilot")?;
        let quote = format!("{}: image {}", object.title(), container.image);
        Some(Told { version: Version::of_image(&container.image)?, event: &object.event, quote })
    });
    match by_image {
        Some(told) => Rc::new(vec![told]),
        None => planes.get(&*cluster.name).cloned().unwrap_or_default(),
    }
}

/// The container that runs an image of this name, whatever the registry: `proxyv2:1.27.3`.
fn image_of<'m>(containers: &'m [Container], name: &str) -> Option<&'m Container> {
    containers.iter().find(|container| {
        let last = container.image.rsplit('/').next().unwrap_or("");
        last.strip_prefix(name).is_some_and(|tail| tail.starts_with([':', '-', '@']))
    })
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checks::testing::{failed, told};

    fn istiod(version: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: istiod-77f6, namespace: istio-system, labels: {{app: istiod}}}}\n\
             spec: {{containers: [{{name: discovery, image: \"docker.io/istio/pilot:{version}\"}}]}}\n\
             status: {{phase: Running}}\n"
        )
    }

    fn agent(image: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: web-1, namespace: shop}}\n\
             spec: {{containers: [{{name: app, image: \"shop/web:9\"}}, {{name: istio-proxy, image: \"{image}\"}}]}}\n\
             status: {{phase: Running}}\n"
        )
    }

    #[test]
    fn a_proxy_that_is_too_old_or_too_new_for_its_istiod_fails_and_one_in_between_passes() {
        let told = |image: &str| {
            told(&CHECK, &[("west", "istiod.yaml", &istiod("1.28.1")), ("west", "web.yaml", &agent(image))])
        };
        assert_eq!(
            told("mirror.example/istio/proxyv2:1.25.3"),
            [
                "fail west web-1.shop: web-1.shop at 1.25.3, istiod at 1.28.1: 3 minor versions older; Istio supports up to \
                 2 older ones and no newer one [version-skew: web-1.shop]"
            ]
        );
        assert!(told("istio/proxyv2:1.30.0")[0].starts_with("fail west web-1.shop"));
        assert!(told("istio/proxyv2:1.29.0")[0].starts_with("warn west web-1.shop"), "unsupported, rarely broken");
        assert_eq!(
            told("istio/proxyv2:1.26.0-distroless"),
            ["pass west versions: istiod 1.28.1; 1 proxy or agent fits it"]
        );
        assert_eq!(told("shop/envoy:1.2.0"), ["pass west versions: istiod 1.28.1"], "the tag of another program");
    }

    #[test]
    fn a_proxy_is_held_against_the_istiod_that_lists_it_even_in_another_cluster() {
        let syncz = |version: &str| {
            format!(
                r#"[{{"cluster_id":"edge","proxy":"web-1.shop","proxy_type":"sidecar","istio_version":"{version}",
                    "cluster_sent":"a","cluster_acked":"a"}}]"#
            )
        };
        let failed = |version: &str| {
            let namespaces = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
            let files = [
                ("hub", "istiod.yaml", &*istiod("1.28.1")),
                ("hub", "istio-system/istiod-77f6/debug/syncz.json", &*syncz(version)),
                ("edge", "namespaces.yaml", namespaces),
            ];
            failed(&CHECK, &files)
        };
        assert_eq!(failed("1.22.8"), ["version-skew"]);
        assert_eq!(failed("1.27.0"), [""; 0]);
    }

    #[test]
    fn control_planes_of_one_mesh_must_not_be_far_apart_and_strangers_may() {
        let secret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: istio-remote-secret-east\n  \
                      namespace: istio-system\n  labels: {istio/multiCluster: \"true\"}\ndata: {east: e30=}\n";
        let failed = |east: &str, secret: &str| {
            let files = [
                ("east", "istiod.yaml", &*istiod(east)),
                ("west", "istiod.yaml", &*istiod("1.28.1")),
                ("west", "secret.yaml", secret),
            ];
            told(&CHECK, &files).into_iter().filter(|line| line.starts_with("fail")).collect::<Vec<_>>()
        };
        assert_eq!(
            failed("1.22.8", secret),
            ["fail east istiod: istiod of east runs 1.22.8, that of west 1.28.1: more than 2 minor versions apart \
                 [version-skew: istiod of east]"]
        );
        assert_eq!(failed("1.26.0", secret), [""; 0]);
        let stranger = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
        assert_eq!(failed("1.22.8", stranger), [""; 0], "nothing shows that they are one mesh");
    }

    #[test]
    fn what_istioctl_version_prints_is_enough_and_an_old_istioctl_is_told() {
        let printed = |text: &str| told(&CHECK, &[("west", "version.txt", text)]);
        let lines =
            printed("client version: 1.24.0\ncontrol plane version: 1.28.1\ndata plane version: 1.24.1 (12 proxies)\n");
        assert!(lines[0].starts_with("fail west a proxy: a proxy at 1.24.1"), "{lines:?}");
        assert!(lines[1].starts_with("warn west istioctl: istioctl is 1.24.0 and istiod 1.28.1"), "{lines:?}");
        let lines =
            printed("client version: 1.27.0\ncontrol plane version: 1.28.1\ndata plane version: 1.28.1 (12 proxies)\n");
        assert!(lines.iter().all(|line| line.starts_with("pass")), "{lines:?}");
    }
}
