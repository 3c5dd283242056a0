//! Versions, and what tools say when they check a mesh: `/version`, `istioctl version -o json|yaml`, `kubectl version -o
//! json` (`istio/istio: pkg/version/cobra.go`), `istioctl analyze -o json` (`pkg/config/analysis/diag/message.go`), and the
//! sections of Solo.io's `istioctl multicluster check --verbose`
//! (docs.solo.io: gloo-mesh/latest/troubleshooting/service-mesh/multicluster).

use serde::Deserialize;

use super::Body;
use super::lenient::{Each, Known, Lax, drive, lax};
use crate::event::Text;
use crate::hand;
use crate::state::{CheckItem, CheckSection, StaleEntry, State};

/// The version in `/version`'s answer: `1.27.3` of `1.27.3-8e5e6fbd...-Clean`, alone in its file.
pub(super) fn version(text: &str) -> Option<&str> {
    let text = text.trim();
    let mut parts = text.rsplitn(3, '-');
    let (status, revision, version) = (parts.next()?, parts.next()?, parts.next()?);
    let is_revision = revision == "unknown" || revision.len() >= 7 && revision.bytes().all(|c| c.is_ascii_hexdigit());
    let is_word = |c: u8| c.is_ascii_alphanumeric() || b".-+_".contains(&c);
    let fits = text.len() <= 256
        && matches!(status, "Clean" | "Modified" | "Unknown" | "unknown")
        && is_revision
        && version.starts_with(|c: char| c.is_ascii_digit())
        && version.contains('.')
        && version.bytes().all(is_word);
    fits.then_some(version)
}

/// `istioctl version -o json` and `kubectl version -o json`; both are YAML, too.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Versions {
    #[serde(deserialize_with = "lax")]
    client_version: Known<Build>,
    #[serde(deserialize_with = "lax")]
    server_version: Known<Build>,
    #[serde(deserialize_with = "lax")]
    mesh_version: Vec<Known<Server>>,
    #[serde(deserialize_with = "lax")]
    data_plane_version: Vec<Known<Proxy>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Build {
    /// istioctl's and istiod's.
    #[serde(deserialize_with = "lax")]
    version: Text,
    /// Kubernetes'.
    #[serde(deserialize_with = "lax")]
    git_version: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Server {
    #[serde(rename = "Info", alias = "info", deserialize_with = "lax")]
    info: Known<Build>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Proxy {
    #[serde(rename = "IstioVersion", alias = "istioVersion", deserialize_with = "lax")]
    version: Text,
}

/// Says the versions, each once.
pub(super) fn versions(versions: Versions, body: &mut Body) {
    let Known(client) = versions.client_version;
    let Known(server) = versions.server_version;
    let control = versions.mesh_version.into_iter().map(|Known(Server { info: Known(info) })| info.version);
    let data = versions.data_plane_version.into_iter().map(|Known(proxy)| proxy.version);
    for (component, mut versions) in [
        ("client", vec![client.version]),
        ("kubectl", vec![client.git_version]),
        ("kubernetes", vec![server.git_version]),
        ("control plane", control.collect()),
        ("data plane", data.collect()),
    ] {
        versions.retain(|version| !version.is_empty());
        versions.sort();
        versions.dedup();
        if !versions.is_empty() {
            body.state(State::Version { component: component.into(), versions });
        }
    }
}

pub(super) fn versions_json(bytes: &[u8], body: &mut Body) {
    match serde_json::from_slice::<Lax<Known<Versions>>>(bytes) {
        Ok(Lax(Known(read))) => versions(read, body),
        Err(error) => body.ended(Err(error.to_string()), 0),
    }
}

pub(super) fn versions_yaml(bytes: &[u8], body: &mut Body) {
    match serde_saphyr::from_slice::<Versions>(bytes) {
        Ok(read) => versions(read, body),
        // Its errors quote the document.
        Err(_) => body.ended(Err("not the YAML that a tool prints".to_string()), 0),
    }
}

/// `istioctl analyze -o json`.
pub(super) fn analysis(bytes: &[u8], body: &mut Body) {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Message {
        #[serde(deserialize_with = "lax")]
        code: Text,
        #[serde(deserialize_with = "lax")]
        level: Text,
        #[serde(deserialize_with = "lax")]
        origin: Text,
        #[serde(deserialize_with = "lax")]
        message: Text,
        #[serde(deserialize_with = "lax")]
        cluster: Text,
    }
    let mut count = 0;
    let read = drive(
        bytes,
        Each(&mut |Known(one): Known<Message>| {
            count += 1;
            body.fact(hand::analysis(&one.level, &one.code, &one.cluster, &one.origin, &one.message));
        }),
    );
    body.ended(read, count);
}

/// Whether text is the report of `istioctl multicluster check`, by its first lines.
pub(super) fn is_check(head: &str) -> bool {
    let mut lines = head.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("$ "));
    let is_verdict = |line: &str| marked(line).is_some_and(|(_, text)| named_check(text).is_some());
    lines.next().is_some_and(|line| section_of(line).is_some() || cluster_of(line).is_some() || is_verdict(line))
}

/// `--- Peers Check ---`.
fn section_of(line: &str) -> Option<&str> {
    let name = line.strip_prefix("--- ")?.strip_suffix(" ---")?;
    name.contains("Check").then_some(name)
}

/// `=== Cluster: west ===`.
fn cluster_of(line: &str) -> Option<&str> {
    line.strip_prefix("=== Cluster: ")?.strip_suffix(" ===")
}

/// Whether a mark says that all is well, and the text behind it.
fn marked(line: &str) -> Option<(bool, &str)> {
    const MARKS: [(char, bool); 7] =
        [('✅', true), ('✔', true), ('ℹ', true), ('⚠', false), ('❌', false), ('✘', false), ('✖', false)];
    let (_, passed) = MARKS.into_iter().find(|(mark, _)| line.starts_with(*mark))?;
    let text = line.trim_start_matches(|c: char| MARKS.iter().any(|(mark, _)| *mark == c) || c == '\u{fe0f}');
    Some((passed, text.trim_start()))
}

/// `Pod Check (istiod)` and what follows its colon.
fn named_check(text: &str) -> Option<(&str, &str)> {
    let (name, said) = text.split_once(": ")?;
    let is_name = name.ends_with(" Check") || name.contains(" Check (") && name.ends_with(')');
    is_name.then_some((name, said))
}

/// The sections of a report.
pub(super) fn check(text: &str, body: &mut Body) {
    let mut report = Report::default();
    let mut commands = 0;
    for line in text.lines() {
        let line = line.trim_end();
        if line.starts_with("$ ") {
            commands += 1;
            if commands > 1 || !report.sections.is_empty() {
                // The next command's output is not the report's.
                break;
            }
            continue;
        }
        report.line(line);
    }
    for section in report.sections {
        body.state(State::MulticlusterCheck(Box::new(section)));
    }
}

/// What the lines of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum List {
    #[default]
    Details,
    Addresses,
    Conditions,
}

#[derive(Default)]
struct Report {
    cluster: Text,
    sections: Vec<CheckSection>,
    list: List,
    /// The cluster whose stale entries follow.
    stale_in: Text,
}

impl Report {
    fn line(&mut self, line: &str) {
        let text = line.trim();
        if let Some(cluster) = cluster_of(text) {
            self.cluster = cluster.into();
            return;
        }
        if let Some(name) = section_of(text) {
            self.open(name);
            return;
        }
        if let Some((passed, said)) = marked(text) {
            self.verdict(passed, said);
            return;
        }
        let Some(section) = self.sections.last_mut() else { return };
        match text {
            "Addresses:" => self.list = List::Addresses,
            "Conditions:" => self.list = List::Conditions,
            _ if stale(text).is_some() => {
                let stale = stale(text).map(|entry| StaleEntry { cluster: self.stale_in.clone(), ..entry });
                section.stale.extend(stale);
            }
            _ => {
                let item = text.strip_prefix("- ");
                let pair = item.unwrap_or(text).rsplit_once(": ");
                match (self.list, item, pair, section.items.last_mut()) {
                    (List::Addresses, Some(address), _, Some(last)) => last.addresses.push(address.into()),
                    (List::Conditions, Some(_), Some((kind, status)), Some(last)) => {
                        last.conditions.push((kind.into(), status.into()));
                    }
                    (_, None, Some((kind @ ("Gateway" | "Cluster"), name)), _) => {
                        self.list = List::Details;
                        let item = CheckItem { kind: kind.into(), name: name.into(), ..CheckItem::default() };
                        section.items.push(item);
                    }
                    (_, None, Some(("Status", status)), Some(last)) => {
                        let is_mark = |c: char| !c.is_ascii();
                        last.status = status.trim_end_matches(is_mark).trim_end().into();
                    }
                    (_, _, Some((name, value)), _) => section.details.push((name.into(), value.into())),
                    (_, None, None, _) => {
                        // `Cluster west:` above its stale entries.
                        if let Some(cluster) = text.strip_prefix("Cluster ").and_then(|tail| tail.strip_suffix(':')) {
                            self.stale_in = cluster.into();
                        }
                    }
                    (_, Some(_), None, _) => {}
                }
            }
        }
    }

    fn open(&mut self, name: &str) {
        self.list = List::Details;
        // These compare clusters and come behind the last one.
        let is_of_all = name.starts_with("Stale ") || name.starts_with("Intermediate ");
        let cluster = if is_of_all { Text::default() } else { self.cluster.clone() };
        self.sections.push(CheckSection { cluster, name: name.into(), ..CheckSection::default() });
    }

    fn verdict(&mut self, passed: bool, text: &str) {
        let (name, said) = named_check(text).unwrap_or(("", text));
        let is_open = |section: &CheckSection| name.is_empty() || &*section.name == name;
        if !self.sections.last().is_some_and(is_open) {
            self.open(name);
        }
        let Some(section) = self.sections.last_mut() else { return };
        if let Some((cluster, digest)) = root(said) {
            section.roots.push((cluster.into(), digest.to_ascii_lowercase().into()));
        }
        // `ENABLE_PEERING_DISCOVERY is valid ("true")`, `... is invalid (""). <why>`
        if let Some((variable, tail)) = said.split_once(" is valid (\"").or_else(|| said.split_once(" is invalid (\""))
            && let Some((value, _)) = tail.split_once('"')
        {
            section.details.push((variable.into(), value.into()));
        }
        section.verdicts.push((passed, said.into()));
    }
}

/// `cluster west root certificate SHA256 sum: <digest>`.
fn root(said: &str) -> Option<(&str, &str)> {
    let (cluster, tail) = said.strip_prefix("cluster ")?.split_once(" root certificate ")?;
    let (_, digest) = tail.split_once(": ")?;
    (digest.len() == 64 && digest.bytes().all(|c| c.is_ascii_hexdigit())).then_some((cluster, digest))
}

/// `- istio-system/autogenflat.west.shop.cart-1 (Pod shop/cart-1 missing from west)`.
fn stale(text: &str) -> Option<StaleEntry> {
    let (entry, tail) = text.strip_prefix("- ")?.split_once(" (Pod ")?;
    let (pod, source) = tail.strip_suffix(')')?.split_once(" missing from ")?;
    Some(StaleEntry { cluster: Text::default(), entry: entry.into(), pod: pod.into(), source: source.into() })
}

#[cfg(test)]
mod tests {
    use super::super::tests::document;
    use super::*;
    use crate::event::Fact;
    use crate::state::istiod::Said;

    fn states(path: &str, text: &str) -> Vec<State> {
        let state = |(_, fact): (_, Fact)| match fact {
            Fact::State(state) => *state,
            other => panic!("{other:?}"),
        };
        document(path, text).facts.into_iter().map(state).collect()
    }

    const CHECK: &str = "

=== Cluster: kind-east ===

--- Incompatible Environment Variable Check ---

✅ Incompatible Environment Variable Check: K8S_SELECT_WORKLOAD_ENTRIES is valid (\"\")
⚠️  Incompatible Environment Variable Check: ENABLE_PEERING_DISCOVERY is invalid (\"false\"). ENABLE_PEERING_DISCOVERY must be enabled.
--- License Check ---

✅ License Check: license is valid for multicluster


--- Pod Check (istiod) ---

NAME                       READY     STATUS      RESTARTS     AGE
istiod-5d8f8d4d9-x2lqf     1/1       Running     0            3h2m11s

✅ Pod Check (istiod): all pods healthy


--- Gateway Check ---

Gateway: istio-eastwest
Addresses:
- 172.18.7.110
Status: programmed ✅

✅ Gateway Check: all eastwest gateways programmed


--- Peers Check ---

Cluster: net-west
Addresses:
- 172.18.7.130
Conditions:
- Accepted: True
- Programmed: True
- gloo.solo.io/PeerConnected: False
- gloo.solo.io/PeeringSucceeded: True
- gloo.solo.io/PeerDataPlaneProgrammed: True
Status: disconnected ⚠️

⚠️  Peers Check: found disconnected cluster(s)


=== Cluster: kind-west ===

✅ License Check: license is valid for multicluster


--- Intermediate Certs Compatibility Check ---

ℹ️  Intermediate Certs Compatibility Check: cluster kind-east root certificate SHA256 sum: 1F0c6a7be21a40cf7b7f3c86a10ce4e0b8d2c43a97f15e0a6d85f04b1c2d9e33
❌ Intermediate Certs Compatibility Check: cluster kind-east does not have compatible intermediate certificates with cluster kind-west


--- Stale Workloads Check ---

⚠️  Stale Workloads Check: found 1 stale workload(s) out of 12 checked

Stale workloads by cluster:

Cluster kind-east:
  - istio-system/autogenflat.west.shop.cart-1 (Pod shop/cart-1 missing from kind-west)
⚠️  Cluster kind-east has resources from cluster north, but cluster north is not in the list of --contexts
";

    #[test]
    fn a_check_is_kept_by_section_and_cluster() {
        let sections: Vec<CheckSection> = states("check.txt", CHECK)
            .into_iter()
            .map(|state| match state {
                State::MulticlusterCheck(section) => *section,
                other => panic!("{other:?}"),
            })
            .collect();
        let told: Vec<String> = sections.iter().map(|one| format!("{}: {}", one.cluster, one.name)).collect();
        assert_eq!(
            told,
            [
                "kind-east: Incompatible Environment Variable Check",
                "kind-east: License Check",
                "kind-east: Pod Check (istiod)",
                "kind-east: Gateway Check",
                "kind-east: Peers Check",
                "kind-west: License Check",
                ": Intermediate Certs Compatibility Check",
                ": Stale Workloads Check",
            ]
        );
        assert_eq!(
            sections[0].details,
            [
                ("K8S_SELECT_WORKLOAD_ENTRIES".into(), "".into()),
                ("ENABLE_PEERING_DISCOVERY".into(), Text::from("false")),
            ]
        );
        assert_eq!(sections[0].verdicts.iter().map(|(passed, _)| *passed).collect::<Vec<_>>(), [true, false]);
        let gateway = &sections[3].items[0];
        assert_eq!((&*gateway.kind, &*gateway.name, &*gateway.status), ("Gateway", "istio-eastwest", "programmed"));
        let peer = &sections[4].items[0];
        assert_eq!((&*peer.name, &*peer.status), ("net-west", "disconnected"));
        assert_eq!(peer.addresses, [Text::from("172.18.7.130")]);
        assert_eq!(peer.conditions[2], ("gloo.solo.io/PeerConnected".into(), "False".into()));
        assert_eq!(sections[6].roots[0].0.as_ref(), "kind-east");
        assert!(sections[6].roots[0].1.starts_with("1f0c6a"));
        let stale = &sections[7].stale[0];
        assert_eq!((&*stale.cluster, &*stale.pod, &*stale.source), ("kind-east", "shop/cart-1", "kind-west"));
        assert_eq!(sections[7].verdicts.len(), 2);
    }

    #[test]
    fn what_follows_another_command_is_not_the_reports() {
        let text =
            "$ istioctl multicluster check\n✅ Peers Check: all clusters connected\n$ date\n✅ Other Check: done\n";
        assert_eq!(states("check.txt", text).len(), 1);
        assert!(!is_check("$ kubectl get pods\nNAME   READY   STATUS\n"));
        assert!(!is_check("✔ Istio core installed\n✔ Istiod installed\n"));
    }

    #[test]
    fn versions_as_json_and_yaml_are_read() {
        let of = |text: &str| -> Vec<String> {
            let told = |state| match state {
                State::Version { component, versions } => format!("{component}: {}", versions.join(" ")),
                other => panic!("{other:?}"),
            };
            states("version.json", text).into_iter().map(told).collect()
        };
        let json = r#"{"clientVersion":{"version":"1.27.3","revision":"8e5e","golang_version":"go1.24.6","status":"Clean","tag":"1.27.3"},
            "meshVersion":[{"Component":"pilot","Revision":"default","Info":{"version":"1.27.1","status":"Clean"}}],
            "dataPlaneVersion":[{"ID":"web-1.shop","IstioVersion":"1.26.4"},{"ID":"cart-1.shop","IstioVersion":"1.27.1"},{"ID":"a.b","IstioVersion":"1.26.4"}]}"#;
        assert_eq!(of(json), ["client: 1.27.3", "control plane: 1.27.1", "data plane: 1.26.4 1.27.1"]);
        let yaml =
            "clientVersion:\n  version: 1.27.3\nmeshVersion:\n- Component: pilot\n  Info:\n    version: 1.27.1\n";
        assert_eq!(of(yaml), ["client: 1.27.3", "control plane: 1.27.1"]);
        let kubectl = r#"{"clientVersion":{"major":"1","minor":"31","gitVersion":"v1.31.2"},"kustomizeVersion":"v5.4.2",
            "serverVersion":{"major":"1","minor":"30","gitVersion":"v1.30.4-gke.1348000"}}"#;
        assert_eq!(of(kubectl), ["kubectl: v1.31.2", "kubernetes: v1.30.4-gke.1348000"]);
    }

    #[test]
    fn a_version_alone_is_an_istiods() {
        let text = "1.27.3-8e5e6fbd2d8a1f2b7a9c9c1f3d4e5f6071829304-Clean\n";
        let [State::Istiod(istiod)] = &states("istio-system/istiod-5d8f-abcde/version", text)[..] else { panic!() };
        assert_eq!((&*istiod.istiod, &istiod.said), ("istiod-5d8f-abcde", &Said::Version("1.27.3".into())));
        assert_eq!(version("1.27.1-solo-8e5e6fbd2d-Modified"), Some("1.27.1-solo"));
        for other in ["1.27.3", "2026-01-02", "a-8e5e6fbd-Clean", "1.27.3-8e5e6fbd-Clean and more", "1.2-3-4", ""] {
            assert_eq!(version(other), None, "{other}");
        }
    }

    #[test]
    fn messages_of_analyze_as_json_are_the_ones_of_its_text() {
        let text = r#"[{"code":"IST0101","documentationUrl":"https://istio.io/v1.27/docs/reference/config/analysis/ist0101/","level":"Error",
            "message":"Referenced host not found: \"cart-v2\"","origin":"VirtualService shop/cart","reference":"x.yaml:3"},
            {"code":"IST0171","documentationUrl":"https://istio.io/","level":"Warning","message":"A condition with a negative status is present",
            "origin":"Gateway shop/front","cluster":"west"}]"#;
        let facts = document("analyze.json", text).facts;
        let Fact::Config(config) = &facts[0].1 else { panic!("{facts:?}") };
        assert_eq!(
            (&*config.resource, &*config.reason),
            ("VirtualService/shop/cart", "IST0101 Referenced host not found: \"cart-v2\"")
        );
        let Fact::State(state) = &facts[1].1 else { panic!("{facts:?}") };
        let State::Check { name, object, .. } = &**state else { panic!("{state:?}") };
        assert_eq!((&**name, &**object), ("IST0171", "west: Gateway shop/front"));
    }
}
