//! Where a line comes from: cluster, namespace, pod, container and the role of what printed it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What kind of program printed a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Role {
    /// istiod, the control plane.
    Istiod,
    /// ztunnel, the node proxy of ambient mode.
    Ztunnel,
    /// A sidecar: pilot-agent and Envoy share one log.
    Sidecar,
    /// An ingress, egress or east-west gateway.
    Gateway,
    /// A waypoint proxy of ambient mode.
    Waypoint,
    /// The istio-cni node agent or plugin.
    Cni,
    /// kube-apiserver.
    ApiServer,
    /// What a person ran by hand and saved: kubectl, istioctl, curl, openssl.
    Transcript,
    /// Not told by the path and not recognised yet.
    #[default]
    Unknown,
}

/// Where a line comes from. Shared by `Arc`, ordered by content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Origin {
    /// Cluster ID or, until one is known, the name the path gives it.
    pub cluster: Box<str>,
    /// Kubernetes namespace; empty where unknown.
    pub namespace: Box<str>,
    /// Pod; empty where unknown.
    pub pod: Box<str>,
    /// Container; empty where unknown.
    pub container: Box<str>,
    /// The file as the user named it, with `archive.tgz!inner/path` for archive members; `-` for standard input.
    pub file: Box<str>,
    /// What printed the lines, where the path tells it.
    pub role: Role,
}

impl Origin {
    /// An origin of which only the file and the cluster are known.
    pub fn new(cluster: &str, file: &str) -> Origin {
        Origin { cluster: cluster.into(), file: file.into(), ..Origin::default() }
    }
}

/// A shared origin.
pub type SharedOrigin = Arc<Origin>;

/// The cluster of files that nothing names.
pub const UNNAMED: &str = "this-cluster";

/// What the path of a file tells.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Place {
    /// Files of one group come from one cluster: a bug report, a folder. The text is a path, not a name.
    pub group: Box<str>,
    /// The name the path gives the cluster; empty where it gives none.
    pub cluster: Box<str>,
    /// Namespace; empty where not told.
    pub namespace: Box<str>,
    /// Pod; empty where not told.
    pub pod: Box<str>,
    /// Container; empty where not told.
    pub container: Box<str>,
    /// Role.
    pub role: Role,
    /// The file's name without its extensions.
    pub stem: Box<str>,
}

/// Reads a path below what the user gave, as `cluster/namespace/pod/container.log`, as the layout of a bug report
/// (`istioctl bug-report`), of `kubectl cluster-info dump`, of `/var/log/pods`, or as people name what they save.
/// `above` names the given folder or archive itself.
pub fn place(path: &str, above: &str) -> Place {
    let parts: Vec<&str> = path.split(['/', '!']).filter(|part| !part.is_empty() && *part != ".").collect();
    let Some((file, folders)) = parts.split_last() else { return Place::default() };
    let mut place = bug_report(folders, above)
        .or_else(|| var_log_pods(folders, above))
        .or_else(|| pod_folders(file, folders, above))
        .unwrap_or_else(|| parent(folders, above));
    place.stem = stem(file).into();
    if let Some((pod, rest)) = file.split_once('_')
        && let Some((namespace, container)) = rest.split_once('_')
        && let Some((container, id)) = container.strip_suffix(".log").and_then(|text| text.rsplit_once('-'))
        && id.len() == 64
    {
        // The links in /var/log/containers.
        (place.pod, place.namespace, place.container) = (pod.into(), namespace.into(), container.into());
    }
    if place.role == Role::Unknown {
        place.role =
            [&*place.pod, &place.stem].into_iter().map(role_of).find(|role| *role != Role::Unknown).unwrap_or_default();
    }
    place
}

/// `.../proxies/<ns>/<pod>/...`, `.../istio/<ns>/<pod>/...`, `.../operator/<ns>/<pod>/...`, `.../cni/<pod>/...`,
/// `.../cluster/<file>`, below a folder that `bug-report.log`, or its name, shows to be a report.
fn bug_report(folders: &[&str], above: &str) -> Option<Place> {
    let names_report = |name: &str| name.contains("bug-report") || name.contains("bugreport");
    // The innermost: a folder of reports may be called like one of them.
    let last = folders.iter().rposition(|part| names_report(part));
    let named = last.map(|at| at - folders[..at].iter().rev().take_while(|part| names_report(part)).count());
    let root = match last {
        Some(at) => at + 1,
        None if names_report(above) => 0,
        None => {
            // A report whose root folder got another name (`--dir`): its inside is recognisable.
            let inside = |parts: &[&str]| matches!(parts, ["proxies" | "istio" | "operator", _, _, ..]);
            (0..folders.len())
                .find(|at| inside(&folders[*at..]) && folders[*at] != "cluster" && folders[*at] != "cni")?
        }
    };
    let (outside, inside) = folders.split_at(root);
    let cluster = outside.iter().rev().copied().chain([above]).map(report_name).find(|name| !is_generic(name));
    let mut place = Place {
        group: format!("{above}/{}", folders[..named.map_or(root, |at| at + 1)].join("/")).into(),
        cluster: cluster.unwrap_or("").into(),
        ..Place::default()
    };
    match inside {
        ["istio", namespace, pod, ..] => {
            (place.namespace, place.pod, place.role) = ((*namespace).into(), (*pod).into(), Role::Istiod);
        }
        ["proxies", namespace, pod, ..] => {
            (place.namespace, place.pod) = ((*namespace).into(), (*pod).into());
            let role = role_of(pod);
            place.role = if role == Role::Unknown { Role::Sidecar } else { role };
        }
        ["operator", namespace, pod, ..] => (place.namespace, place.pod) = ((*namespace).into(), (*pod).into()),
        ["cni", pod, ..] => (place.pod, place.role) = ((*pod).into(), Role::Cni),
        _ => {}
    }
    Some(place)
}

/// What is left of a report's name that could name a cluster: `bug-report-east` is `east`.
fn report_name(name: &str) -> &str {
    let name = name.split(".t").next().unwrap_or(name);
    let bare = name.trim_start_matches("istio-").trim_start_matches("bug-report").trim_start_matches("bugreport");
    let bare = bare.strip_suffix("bug-report").unwrap_or(bare);
    bare.trim_matches(['-', '_', '.'])
}

/// `<namespace>_<pod>_<uid>/<container>/0.log`.
fn var_log_pods(folders: &[&str], above: &str) -> Option<Place> {
    let at = folders.iter().position(|part| part.split('_').count() == 3 && part.len() > 36)?;
    let mut names = folders[at].split('_');
    let mut place = parent(&folders[..at], above);
    place.namespace = names.next()?.into();
    place.pod = names.next()?.into();
    place.container = folders.get(at + 1).copied().unwrap_or("").into();
    Some(place)
}

/// `[<cluster>/]<namespace>/<pod>/<container>.log`, also with `logs.txt` as the file.
fn pod_folders(file: &str, folders: &[&str], above: &str) -> Option<Place> {
    // What a pod answered when asked may lie in a folder of its own: `<pod>/debug/clusterz.json`.
    let folders = match folders {
        [.., namespace, _, "debug" | "admin"] if is_namespace(namespace) => &folders[..folders.len() - 1],
        _ => folders,
    };
    let [outside @ .., namespace, pod] = folders else { return None };
    let stem = stem(file);
    let is_container = CONTAINERS.contains(&stem) || file == "logs.txt";
    let fits = is_namespace(namespace) || is_container && !is_namespace(pod) && !outside.is_empty();
    if !fits {
        // `<cluster>/<namespace>/<pod>.log`, `<cluster>/<namespace>/events.json`
        if !is_namespace(pod) {
            return None;
        }
        let mut place = parent(&folders[..folders.len() - 1], above);
        place.namespace = (*pod).into();
        if file.ends_with(".log") {
            place.pod = stem.into();
        }
        return Some(place);
    }
    let mut place = parent(outside, above);
    (place.namespace, place.pod) = ((*namespace).into(), (*pod).into());
    if is_container && file != "logs.txt" {
        place.container = stem.into();
    }
    Some(place)
}

/// The innermost folder that could name a cluster.
fn parent(folders: &[&str], above: &str) -> Place {
    let named = folders.iter().rposition(|part| !is_generic(part));
    let cluster = match named {
        Some(at) => folders[at],
        None if is_generic(above) => "",
        None => above,
    };
    let group = folders[..named.map_or(0, |at| at + 1)].join("/");
    Place { group: format!("{above}/{group}").into(), cluster: cluster.into(), ..Place::default() }
}

/// Containers of a mesh, as files are named after them.
const CONTAINERS: [&str; 10] = [
    "discovery",
    "istio-proxy",
    "istio-init",
    "istio-validation",
    "install-cni",
    "ztunnel",
    "istiod",
    "waypoint",
    "kube-apiserver",
    "manager",
];

fn is_namespace(name: &str) -> bool {
    const NAMES: [&str; 6] = ["default", "istio-ingress", "istio-gateways", "sample", "bookinfo", "kube-public"];
    name.ends_with("-system") || name.starts_with("istio-system") || NAMES.contains(&name)
}

/// Whether a folder's name says nothing about a cluster.
pub fn is_generic(name: &str) -> bool {
    const NAMES: [&str; 48] = [
        "",
        ".",
        "..",
        "-",
        "input",
        "inputs",
        "log",
        "logs",
        "tmp",
        "temp",
        "var",
        "home",
        "root",
        "data",
        "dump",
        "dumps",
        "cluster-dump",
        "clusters",
        "cluster",
        "output",
        "out",
        "downloads",
        "desktop",
        "documents",
        "files",
        "archive",
        "archives",
        "saved",
        "state",
        "pods",
        "containers",
        "must-gather",
        "support",
        "bundle",
        "support-bundle",
        "collect",
        "collected",
        "mesh",
        "istio",
        "debug",
        "admin",
        "k8s",
        "kube",
        "kubernetes",
        "manifests",
        "objects",
        "resources",
        "proxies",
    ];
    let lower = name.to_ascii_lowercase();
    // Dates and ordinals; mktemp and its kin.
    lower.bytes().all(|c| c.is_ascii_digit() || b"-_.:tz".contains(&c))
        || NAMES.contains(&&*lower)
        || lower.starts_with("tmp.")
        || lower.starts_with(".tmp")
        || lower.starts_with("tmp_")
}

/// A file's name without what says how it is packed or that it is a log.
pub fn stem(file: &str) -> &str {
    let mut stem = file.rsplit(['/', '!']).next().unwrap_or(file);
    while let Some((front, extension)) = stem.rsplit_once('.') {
        let packs = ["gz", "zst", "tar", "tgz", "zip", "log", "txt", "json", "ndjson", "jsonl", "yaml", "yml", "out"];
        let is_rotation = !extension.is_empty() && extension.bytes().all(|c| c.is_ascii_digit());
        if front.is_empty() || !(packs.contains(&extension) || is_rotation) {
            break;
        }
        stem = front;
    }
    stem
}

/// The role that a pod's or a file's name tells.
pub fn role_of(name: &str) -> Role {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["istiod", "discovery", "pilot"]) && !has(&["pilot-agent"]) {
        Role::Istiod
    } else if has(&["ztunnel-config"]) {
        Role::Transcript
    } else if has(&["ztunnel"]) {
        Role::Ztunnel
    } else if has(&["waypoint"]) {
        Role::Waypoint
    } else if has(&["gateway", "istio-ingress", "istio-egress", "eastwest", "east-west"]) {
        Role::Gateway
    } else if has(&["istio-cni", "install-cni"]) || name == "cni" {
        Role::Cni
    } else if has(&["kube-apiserver"]) {
        Role::ApiServer
    } else if has(&["istio-proxy", "istio-agent", "pilot-agent", "sidecar"]) {
        Role::Sidecar
    } else {
        Role::Unknown
    }
}

/// The cluster ID that the first bytes of a log tell of the cluster it was printed in.
pub fn told(first: &[u8]) -> Option<Box<str>> {
    // istiod, once at start; ztunnel prints its configuration at start.
    const MARKS: [&str; 3] = ["Starting Istiod Server with primary cluster ", "clusterId: ", "\"clusterId\":\""];
    for (at, mark) in MARKS.iter().enumerate() {
        if at > 0 && memchr::memmem::find(first, b"running with config").is_none() {
            continue;
        }
        if let Some(found) = memchr::memmem::find(first, mark.as_bytes()) {
            return name_at(&first[found + mark.len()..]);
        }
    }
    // ztunnel 1.31+: the source of an outbound connection is always a local pod.
    for mark in ["src.cluster=\"", "\"src.cluster\":\""] {
        for found in memchr::memmem::find_iter(first, mark.as_bytes()).take(64) {
            let begin = memchr::memrchr(b'\n', &first[..found]).map_or(0, |at| at + 1);
            let end = memchr::memchr(b'\n', &first[found..]).map_or(first.len(), |at| found + at);
            let line = &first[begin..end];
            let is_outbound = [&b"direction=\"outbound\""[..], b"\"direction\":\"outbound\""]
                .iter()
                .any(|word| memchr::memmem::find(line, word).is_some());
            if is_outbound {
                return name_at(&first[found + mark.len()..]);
            }
        }
    }
    None
}

/// A cluster ID at the start of these bytes.
fn name_at(bytes: &[u8]) -> Option<Box<str>> {
    let end = bytes.iter().position(|c| !c.is_ascii_alphanumeric() && !b"-_.:/".contains(c)).unwrap_or(bytes.len());
    let name = std::str::from_utf8(&bytes[..end]).ok()?.trim_end_matches(['.', ':']);
    (!name.is_empty() && name.len() < 200).then(|| name.into())
}

/// The cluster a kubeconfig context means: one of the known ones, where the context's name is one with what tools add
/// to it (`kind-`, `k3d-`, `arn:…:cluster/`, `gke_project_zone_`, `user@`), or with the name of the variable that holds
/// it (`CTX_WEST`), else the context itself.
pub fn cluster_of_context<'c>(context: &'c str, known: &'c [Box<str>]) -> &'c str {
    let variable = context.strip_prefix("CTX_").map(|name| name.replace('_', "-"));
    let fits = |name: &str| {
        context == name
            || variable.as_ref().is_some_and(|variable| variable.eq_ignore_ascii_case(&name.replace('_', "-")))
            || context.strip_suffix(name).is_some_and(|front| front.ends_with(['-', '_', '/', '@', ':']))
    };
    known.iter().filter(|name| fits(name)).max_by_key(|name| name.len()).map_or(context, |name| name)
}

/// What is known of one file before its cluster is settled.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Hints {
    /// The cluster the user named for it.
    pub given: Option<Box<str>>,
    /// What its path tells.
    pub place: Place,
    /// The kubeconfig context that its bug report names.
    pub context: Option<Box<str>>,
    /// The cluster ID that its own lines tell.
    pub told: Option<Box<str>>,
}

/// Settles the cluster of every file, all files of the mesh at hand.
///
/// A name the user gave wins. Then the ID that the files of a group (a folder, a bug report) tell of themselves, as
/// istiod calls remote clusters by their IDs; but the default `Kubernetes`, or an ID told by two groups that have names
/// of their own, tells clusters apart badly: then the group's name stands. Files that lie flat beside each other are
/// one cluster, unless they tell two.
pub fn clusters(files: &[Hints]) -> Vec<Box<str>> {
    let mut told_in: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut groups_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut context_in: BTreeMap<&str, &str> = BTreeMap::new();
    for file in files {
        let group = &*file.place.group;
        if let Some(told) = file.told.as_deref().filter(|told| *told != DEFAULT_ID) {
            told_in.entry(group).or_default().insert(told);
            groups_of.entry(told).or_default().insert(group);
        }
        if let Some(context) = file.context.as_deref() {
            context_in.insert(group, context);
        }
    }
    let known: BTreeSet<&str> = groups_of.keys().copied().collect();
    files.iter().map(|file| settle(file, &told_in, &groups_of, &context_in, &known).into()).collect()
}

/// The cluster ID that Istio gives a cluster nobody named.
const DEFAULT_ID: &str = "Kubernetes";

fn settle<'h>(
    file: &'h Hints,
    told_in: &BTreeMap<&str, BTreeSet<&'h str>>,
    groups_of: &BTreeMap<&str, BTreeSet<&str>>,
    context_in: &BTreeMap<&str, &'h str>,
    known: &BTreeSet<&'h str>,
) -> &'h str {
    if let Some(given) = &file.given {
        return given;
    }
    let group = &*file.place.group;
    let path_name = context_in.get(group).copied().unwrap_or(&file.place.cluster);
    let told = told_in.get(group);
    if let Some(id) = told.filter(|ids| ids.len() == 1).and_then(|ids| ids.first())
        && (path_name.is_empty() || groups_of.get(id).is_some_and(|groups| groups.len() == 1))
    {
        // The one ID of the group, unless this file's name says that it comes from elsewhere.
        return named_by_stem(&file.place.stem, known).unwrap_or(id);
    }
    let lies_flat = told.is_some_and(|ids| 1 < ids.len());
    if let Some(id) = file.told.as_deref().filter(|id| lies_flat || path_name.is_empty() && *id != DEFAULT_ID) {
        return id;
    }
    if let Some(name) = named_by_stem(&file.place.stem, known) {
        return name;
    }
    match path_name {
        "" => UNNAMED,
        name => name,
    }
}

/// The cluster in a file's name: `istiod-east` is `east`; `state-east` is, where `east` is known otherwise.
fn named_by_stem<'n>(stem: &'n str, known: &BTreeSet<&'n str>) -> Option<&'n str> {
    let ends_with =
        |name: &str| stem == name || stem.strip_suffix(name).is_some_and(|front| front.ends_with(['-', '_', '.']));
    if let Some(name) = known.iter().filter(|name| ends_with(name)).max_by_key(|name| name.len()) {
        return Some(name);
    }
    if let Some(at) = stem.find("cluster")
        && stem[at + "cluster".len()..].trim_start_matches(['-', '_']).starts_with(|c: char| c.is_ascii_digit())
        && (at == 0 || stem[..at].ends_with(['-', '_', '.']))
    {
        return Some(&stem[at..]);
    }
    let name = stem
        .strip_prefix("istiod-")
        .or_else(|| stem.strip_prefix("istiod_"))
        .or_else(|| stem.strip_suffix("-istiod"))?;
    (!name.is_empty() && !is_pod_suffix(name)).then_some(name)
}

/// Whether this is what a Deployment appends to its pods' names: `7f8d9c6b5-r2k8w`.
fn is_pod_suffix(name: &str) -> bool {
    let mut parts = name.rsplit('-');
    let last = parts.next().unwrap_or("");
    let hash = parts.next().unwrap_or("");
    let looks_random = |part: &str| part.bytes().any(|c| c.is_ascii_digit()) && part.len() >= 5;
    last.len() == 5 && hash.len() >= 6 && looks_random(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(path: &str, above: &str) -> (String, String, String, String, Role) {
        let place = place(path, above);
        (place.cluster.into(), place.namespace.into(), place.pod.into(), place.container.into(), place.role)
    }

    fn expect(path: &str, above: &str, parts: [&str; 4], role: Role) {
        let [cluster, namespace, pod, container] = parts.map(String::from);
        assert_eq!(told_of(path, above), (cluster, namespace, pod, container, role), "{path} in {above}");
    }

    #[test]
    fn a_path_tells_cluster_namespace_pod_and_role() {
        expect("east/shop/web-1/istio-proxy.log", "input", ["east", "shop", "web-1", "istio-proxy"], Role::Sidecar);
        expect("east/ztunnel.log", "input", ["east", "", "", ""], Role::Ztunnel);
        expect("input/east/istiod.log", "saved", ["east", "", "", ""], Role::Istiod);
        expect("ztunnel.log", "east", ["east", "", "", ""], Role::Ztunnel);
        expect("istiod.log", "input", ["", "", "", ""], Role::Istiod);
        expect("east/istio-system/istiod-1.log", "", ["east", "istio-system", "istiod-1", ""], Role::Istiod);
        let asked = "east/istio-system/istiod-1/debug/clusterz.json";
        expect(asked, "input", ["east", "istio-system", "istiod-1", ""], Role::Istiod);
        expect("east/k8s/secrets.yaml", "input", ["east", "", "", ""], Role::Unknown);
        expect("istio-ingressgateway.log", "tmp.Ab3", ["", "", "", ""], Role::Gateway);
        expect(
            "west/istio-system_istiod-1_0f8fad5b-d9cb-469f-a165-70867728950e/discovery/0.log",
            "logs",
            ["west", "istio-system", "istiod-1", "discovery"],
            Role::Istiod,
        );
    }

    #[test]
    fn a_bug_report_tells_where_its_logs_come_from() {
        let istiod = "bug-report/istio/istio-system/istiod-1/discovery.log";
        expect(istiod, "bug-report.tar.gz", ["", "istio-system", "istiod-1", ""], Role::Istiod);
        let proxy = "east/bug-report/proxies/shop/web-1/istio-proxy.log";
        expect(proxy, "saved", ["east", "shop", "web-1", ""], Role::Sidecar);
        let ztunnel = "proxies/istio-system/ztunnel-x/config_dump";
        expect(ztunnel, "bug-report", ["", "istio-system", "ztunnel-x", ""], Role::Ztunnel);
        expect("bug-report/cni/istio-cni-node-1/cni.log", "x", ["x", "", "istio-cni-node-1", ""], Role::Cni);
    }

    #[test]
    fn a_cluster_info_dump_tells_namespace_and_pod() {
        expect("east/istio-system/istiod-1/logs.txt", "dump", ["east", "istio-system", "istiod-1", ""], Role::Istiod);
        expect("istio-system/istiod-1/logs.txt", "east", ["east", "istio-system", "istiod-1", ""], Role::Istiod);
        expect("east/istio-system/events.json", "dump", ["east", "istio-system", "", ""], Role::Unknown);
    }

    #[test]
    fn a_log_tells_its_cluster() {
        let cases = [
            ("2026-01-02T03:04:05Z\tinfo\tStarting Istiod Server with primary cluster north-1\n", Some("north-1")),
            ("info ztunnel running with config: caAddress: x\nclusterId: north-1\nlocalNode: n", Some("north-1")),
            ("direction=\"outbound\" src.cluster=\"north-1\"\n", Some("north-1")),
            ("direction=\"inbound\" src.cluster=\"north-1\"\n", None),
            ("clusterId: somewhere\n", None),
        ];
        for (text, cluster) in cases {
            assert_eq!(told(text.as_bytes()).as_deref(), cluster, "{text}");
        }
    }

    fn hints(path: &str, above: &str, told: Option<&str>) -> Hints {
        Hints { place: place(path, above), told: told.map(Into::into), ..Hints::default() }
    }

    fn settled(files: &[Hints]) -> Vec<String> {
        clusters(files).into_iter().map(String::from).collect()
    }

    #[test]
    fn files_beside_each_other_are_one_cluster() {
        let files = [hints("istio-proxy.log", "input", None), hints("pods.txt", "input", None)];
        assert_eq!(settled(&files), [UNNAMED, UNNAMED]);
        let files = [hints("istio-proxy.log", "input", None), hints("istiod.log", "input", Some("north"))];
        assert_eq!(settled(&files), ["north", "north"]);
        let files = [hints("a.log", "north", None), hints("b.log", "north", None)];
        assert_eq!(settled(&files), ["north", "north"]);
    }

    #[test]
    fn files_beside_each_other_that_name_clusters_are_apart() {
        let files = [hints("istiod-east.log", "input", None), hints("istiod-west.log", "input", None)];
        assert_eq!(settled(&files), ["east", "west"]);
        let files = [hints("istiod-east.log", "x", Some("east")), hints("state-east.txt", "x", None)];
        assert_eq!(settled(&files), ["east", "east"]);
        let files = [hints("curl-cluster2.txt", "input", None), hints("endpoints.txt", "input", None)];
        assert_eq!(settled(&files), ["cluster2", UNNAMED]);
        let files = [hints("istiod-7f8d9c6b5-r2k8w.log", "input", None)];
        assert_eq!(settled(&files), [UNNAMED]);
    }

    #[test]
    fn the_id_of_a_cluster_stands_before_its_folder_unless_it_tells_nothing_apart() {
        let files = [hints("a/istiod.log", "input", Some("north")), hints("a/istio-proxy.log", "input", None)];
        assert_eq!(settled(&files), ["north", "north"]);
        let files = [hints("a/istiod.log", "x", Some("Kubernetes")), hints("b/istiod.log", "x", Some("Kubernetes"))];
        assert_eq!(settled(&files), ["a", "b"]);
        let files = [hints("a/istiod.log", "x", Some("same")), hints("b/istiod.log", "x", Some("same"))];
        assert_eq!(settled(&files), ["a", "b"]);
    }

    #[test]
    fn a_bug_report_is_named_by_its_context_and_a_given_name_stands_before_all() {
        let mut files = [
            hints("bug-report/cluster/cluster-context", "r.tgz", None),
            hints("bug-report/proxies/shop/web-1/istio-proxy.log", "r.tgz", None),
        ];
        files[0].context = Some("kind-east".into());
        assert_eq!(settled(&files), ["kind-east", "kind-east"]);
        files[1].given = Some("mine".into());
        assert_eq!(settled(&files)[1], "mine");
    }

    #[test]
    fn reports_in_a_folder_that_is_called_like_one_are_each_a_cluster() {
        let of = |report: &str, id: &str| {
            hints(&format!("our-bug-reports/input/{report}/bug-report/istio/istio-system/istiod-1/x"), "work", Some(id))
        };
        assert_eq!(settled(&[of("bug-report-a", "alpha"), of("bug-report-b", "beta")]), ["alpha", "beta"]);
    }

    #[test]
    fn a_context_means_the_cluster_whose_name_it_holds() {
        let known = ["east".into(), "north-east".into()];
        assert_eq!(cluster_of_context("kind-east", &known), "east");
        assert_eq!(cluster_of_context("gke_p_z_north-east", &known), "north-east");
        assert_eq!(cluster_of_context("feast", &known), "feast");
        assert_eq!(cluster_of_context("CTX_EAST", &known), "east");
        assert_eq!(cluster_of_context("CTX_NORTH_EAST", &known), "north-east");
        assert_eq!(cluster_of_context("CTX_WEST", &known), "CTX_WEST");
    }
}
