//! What an istiod says about the mesh: its debug endpoints, its metrics, and what istioctl prints of them.
//!
//! A document is recognised by its keys; its name (`istio/<namespace>/<pod>/debug/<name>`, `clusterz.json`) or the command
//! that printed it decide only where there are none, as for an empty list.

mod ambient;
mod clients;
mod lenient;
mod mesh;
mod outline;
mod services;
mod tools;

use std::sync::Arc;

use crate::admin;
use crate::document::{self, Document, Found};
use crate::event::{Fact, Text};
use crate::sniff;
use crate::state::State;
use crate::state::istiod::{IstiodState, Said};
use crate::time::{self, Time};
use lenient::{Object, TakeField, drive};
use outline::Outline;

pub use mesh::mesh_config;

/// Reads a document, if it is one of these.
pub fn read(bytes: &[u8], found: Found<'_>) -> Option<Result<Document, String>> {
    let outline = Outline::of(bytes);
    let mut body = Body { istiod: istiod_of(found), ..Body::default() };
    if outline == Outline::Unseen || outline == Outline::Plain {
        return text(bytes, body);
    }
    if let Some(endpoint) = Endpoint::of(&outline, found) {
        body.read(endpoint, bytes, found);
        return Some(body.document(endpoint.name()));
    }
    replicas(bytes, &outline, found)
}

/// Whether the begin of a text shows it to be one of the plain texts that are read whole.
pub(crate) fn is_text(head: &str) -> bool {
    tools::version(head).is_some() || head.starts_with("clientVersion:")
}

/// Whether the begin of a text shows it to be a report that is read whole for its sections and by line for its words.
pub(crate) fn is_report(head: &str) -> bool {
    tools::is_check(head)
}

/// Reads what is no JSON.
fn text(bytes: &[u8], mut body: Body) -> Option<Result<Document, String>> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(sniff::HEAD_MAX)]);
    let head = &*head;
    let whole = || document::text(bytes);
    match () {
        () if tools::version(head).is_some() => {
            tools::version(head).into_iter().for_each(|version| body.say(Said::Version(version.into())));
        }
        () if head.starts_with("clientVersion:") => tools::versions_yaml(bytes, &mut body),
        () if tools::is_check(head) => tools::check(&whole(), &mut body),
        () if admin::is_prometheus(head) && admin::is_of_istiod(&whole()) => {
            let series = admin::series(&whole());
            if series.left_out > 0 {
                body.lose(format!("{} more series were left out", series.left_out));
            }
            body.say(Said::Metrics(series.stats));
        }
        () => return None,
    }
    Some(body.document("an answer"))
}

/// What answers of one endpoint hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Clusterz,
    Syncz,
    ProxyStatus,
    Connections,
    Instancesz,
    Shards,
    OldEndpoints,
    Registryz,
    Networkz,
    PushContext,
    PushStatus,
    Mcsz,
    Ndsz,
    Krtz,
    Ambientz,
    Mesh,
    Inject,
    /// `istioctl version -o json`, `kubectl version -o json`.
    Versions,
    /// `istioctl analyze -o json`.
    Analysis,
    /// One that no cause asks anything: known, and no more.
    Other,
}

impl Endpoint {
    /// What a document is: by its keys, else by its name.
    fn of(outline: &Outline, found: Found<'_>) -> Option<Endpoint> {
        by_content(outline).or_else(|| {
            let is_bare = match outline {
                Outline::Null | Outline::Array(None) => true,
                Outline::Object(fields) => {
                    fields.iter().all(|(_, value)| matches!(value, Outline::Null | Outline::Array(None)))
                }
                _ => false,
            };
            let named = named(found)?;
            // The names of these are words that other documents have, too, but not their content.
            let is_other = named == Endpoint::Other && !matches!(outline, Outline::Unseen);
            (is_bare || is_other).then_some(named)
        })
    }

    /// How its answers are called.
    fn name(self) -> &'static str {
        NAMES.iter().find(|(_, endpoint)| *endpoint == self).map_or("an answer of istiod", |(name, _)| *name)
    }
}

/// Names of endpoints; the first one of each is its own.
const NAMES: [(&str, Endpoint); 26] = [
    ("clusterz", Endpoint::Clusterz),
    ("syncz", Endpoint::Syncz),
    ("config_distribution", Endpoint::Syncz),
    ("proxy-status", Endpoint::ProxyStatus),
    ("adsz", Endpoint::Connections),
    ("connections", Endpoint::Connections),
    ("instancesz", Endpoint::Instancesz),
    ("endpointShardz", Endpoint::Shards),
    ("endpointz", Endpoint::OldEndpoints),
    ("registryz", Endpoint::Registryz),
    ("networkz", Endpoint::Networkz),
    ("pushcontext", Endpoint::PushContext),
    ("push_status", Endpoint::PushStatus),
    ("mcsz", Endpoint::Mcsz),
    ("ndsz", Endpoint::Ndsz),
    ("krtz", Endpoint::Krtz),
    ("ambientz", Endpoint::Ambientz),
    ("mesh", Endpoint::Mesh),
    ("inject", Endpoint::Inject),
    ("authorizationz", Endpoint::Other),
    ("telemetryz", Endpoint::Other),
    ("resourcesz", Endpoint::Other),
    ("cachez", Endpoint::Other),
    ("sidecarz", Endpoint::Other),
    ("ecdsz", Endpoint::Other),
    ("configz", Endpoint::Other),
];

/// What a document's keys tell.
fn by_content(outline: &Outline) -> Option<Endpoint> {
    let row = outline.element();
    let of_row: [(bool, Endpoint); 10] = [
        (row.has(&["code", "level", "message", "documentationUrl"]), Endpoint::Analysis),
        (row.has(&["id", "secretName"]) || row.has(&["id", "syncStatus"]), Endpoint::Clusterz),
        (row.has(&["proxy"]) && row.has_any(&SYNC_KEYS), Endpoint::Syncz),
        (row.has(&["svc", "ep"]), Endpoint::OldEndpoints),
        (row.has(&["hostname", "Attributes"]), Endpoint::Registryz),
        (row.has(&["Network", "Addr", "Port"]), Endpoint::Networkz),
        (row.has(&["Cluster", "Name", "Exported", "Imported"]), Endpoint::Mcsz),
        (row.has(&["name", "state"]) && row.get("state").has_any(&["synced", "outputs", "inputs"]), Endpoint::Krtz),
        (row.has_only(&["group", "version", "kind"]) && row.has(&["version", "kind"]), Endpoint::Other),
        (matches!(row, Outline::Text(name) if name == "adsz"), Endpoint::Other),
    ];
    if let Some((_, endpoint)) = of_row.into_iter().find(|(is_it, _)| *is_it) {
        return Some(endpoint);
    }
    let fields = outline.fields();
    let first = outline.first();
    let config = outline.get("configs").element().get("@type");
    let is_config = |of: &str| matches!(config, Outline::Text(url) if url.ends_with(of));
    let is_template = |value: &Outline| matches!(value, Outline::Text(text) if text.contains("{{"));
    let is_template_or_cut = |value: &Outline| is_template(value) || *value == Outline::Unseen;
    let of_object: [(bool, Endpoint); 14] = [
        (outline.has_any(&["clientVersion", "serverVersion"]) && outline.has_only(&VERSION_KEYS), Endpoint::Versions),
        (outline.has(&["totalClients"]), Endpoint::Connections),
        (is_config(".NameTable") || is_name_table(outline), Endpoint::Ndsz),
        (is_config("/istio.workload.Address") || is_config("/istio.workload.Workload"), Endpoint::Ambientz),
        (is_ambientz(outline), Endpoint::Ambientz),
        (is_proxy_status(outline), Endpoint::ProxyStatus),
        (outline.has_any(&["NetworkGateways", "UnresolvedGateways", "AuthorizationPolicies"]), Endpoint::PushContext),
        (outline.has_only(&["authorization_policies"]) || outline.has_only(&["telemetries"]), Endpoint::Other),
        (outline.has(&["egressListeners", "rootNamespace"]), Endpoint::Other),
        (!fields.is_empty() && fields.iter().all(|(key, value)| is_push_metric(key, value)), Endpoint::PushStatus),
        (is_mesh(outline), Endpoint::Mesh),
        (is_type_url(fields), Endpoint::Other),
        (is_template(first) && fields.iter().all(|(_, value)| is_template_or_cut(value)), Endpoint::Inject),
        (fields.iter().any(|(_, value)| value.element().has(&["Service", "Port"])), Endpoint::Instancesz),
    ];
    if let Some((_, endpoint)) = of_object.into_iter().find(|(is_it, _)| *is_it) {
        return Some(endpoint);
    }
    first.first().has_any(&["Shards", "ServiceAccounts"]).then_some(Endpoint::Shards)
}

const VERSION_KEYS: [&str; 5] =
    ["clientVersion", "serverVersion", "kustomizeVersion", "meshVersion", "dataPlaneVersion"];

const SYNC_KEYS: [&str; 9] = [
    "cluster_id",
    "proxy_type",
    "istio_version",
    "cluster_sent",
    "cluster_acked",
    "listener_sent",
    "listener_acked",
    "endpoint_sent",
    "resources",
];

fn is_name_table(outline: &Outline) -> bool {
    let table = match outline.get("resource") {
        Outline::Unseen => outline.get("table"),
        resource => resource.get("table"),
    };
    table.first().has(&["ips"])
}

/// A ztunnel dump has the same lists; its workloads have other fields.
fn is_ambientz(outline: &Outline) -> bool {
    let workload = outline.get("workloads").element();
    let service = outline.get("services").element();
    let of_dump = ["workloadIps", "protocol", "vips", "endpoints", "canonicalName"];
    outline.has_only(&["workloads", "services", "policies"])
        && (workload.has(&["uid"]) && !workload.has_any(&["workloadIps", "protocol"])
            || service.has(&["hostname"]) && !service.has_any(&of_dump) && !workload.has_any(&of_dump))
}

fn is_proxy_status(outline: &Outline) -> bool {
    let is_config =
        |of: &Outline| matches!(of, Outline::Text(url) if url.ends_with("envoy.service.status.v3.ClientConfig"));
    outline.has(&["resources"])
        && (is_config(outline.get("resources").element().get("@type")) || is_config(outline.get("typeUrl")))
}

fn is_push_metric(key: &str, value: &Outline) -> bool {
    (key.starts_with("pilot_") || key == "endpoint_no_pod") && matches!(value, Outline::Object(_))
}

fn is_mesh(outline: &Outline) -> bool {
    let known = ["proxyListenPort", "rootNamespace", "trustDomain", "ingressClass", "enableAutoMtls", "configSources"];
    outline.has(&["defaultConfig"]) && known.iter().filter(|key| outline.has(&[key])).count() >= 2
}

/// The cache: names, or sizes with their total, by type URL.
fn is_type_url(fields: &[(String, Outline)]) -> bool {
    let is_type = |key: &str| key.starts_with("type.googleapis.com/") || key == "total";
    !fields.is_empty() && fields.iter().all(|(key, _)| is_type(key))
}

/// The endpoint that the command or the file's name names.
fn named(found: Found<'_>) -> Option<Endpoint> {
    let words = found.command.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
    let asked = words.map(|word| word.split(['?', '&']).next().unwrap_or(word).rsplit('/').next().unwrap_or(word));
    let file = found.path.rsplit('/').next().unwrap_or(found.path);
    let stem = file.split(['?', '.']).next().unwrap_or(file);
    // `clusterz.json`, `east-clusterz.json`, `istiod-7d9c_clusterz`.
    let of_file = |name: &str| {
        let before = stem.strip_suffix(name);
        before.is_some_and(|before| before.is_empty() || before.ends_with(['-', '_', '.', ' ']))
    };
    let is_asked = |name: &str| asked.clone().any(|word| word == name);
    // `mesh` and `connections` end the names of many a file.
    let is_common = |name: &str| matches!(name, "mesh" | "inject" | "connections");
    let is_debug = found.path.contains("/debug/") || found.path.starts_with("debug/");
    let (_, endpoint) = NAMES.iter().find(|(name, _)| {
        let is_file = of_file(name) && (is_debug || !is_common(name));
        is_file || is_asked(name) && (!is_common(name) || found.command.contains("debug"))
    })?;
    Some(*endpoint)
}

/// The istiod that a path or a command names: the folder above `debug`, or a pod's name in either.
fn istiod_of(found: Found<'_>) -> Text {
    let folders: Vec<&str> = found.path.split('/').collect();
    if let Some(at) = folders.iter().rposition(|folder| *folder == "debug")
        && let Some(pod) = at.checked_sub(1).and_then(|above| folders.get(above))
        && pod.contains('-')
    {
        return (*pod).into();
    }
    let words = found.command.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    // `istiod-7d9c6f5b4-x2lqf`, with or without `.istio-system`, `_clusterz.json`.
    let pod = |word: &&str| word.starts_with("istiod-") && word.matches('-').count() >= 2;
    let word = folders.iter().rev().copied().chain(words).find(|word| pod(word)).unwrap_or("");
    let word = word.split(['.', '_', '?']).next().unwrap_or("");
    let word = NAMES.iter().find_map(|(name, _)| word.strip_suffix(name)?.strip_suffix('-')).unwrap_or(word);
    if pod(&word) { word.into() } else { Text::default() }
}

/// `istioctl x internal-debug <name> --all`: the answers of all replicas by their pods.
fn replicas(bytes: &[u8], outline: &Outline, found: Found<'_>) -> Option<Result<Document, String>> {
    let is_pod = |key: &str| {
        let is_label = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        key.contains('-') && key.bytes().all(is_label)
    };
    let fields = outline.fields();
    let known = fields.iter().any(|(_, answer)| Endpoint::of(answer, found).is_some());
    if !known || !fields.iter().all(|(key, _)| is_pod(key)) {
        return None;
    }
    struct Answers<'a> {
        found: Found<'a>,
        body: Body,
    }
    impl TakeField for Answers<'_> {
        fn field<'de, A: serde::de::MapAccess<'de>>(&mut self, pod: &str, fields: &mut A) -> Result<(), A::Error> {
            let answer: Box<serde_json::value::RawValue> = fields.next_value()?;
            let bytes = answer.get().as_bytes();
            self.body.istiod = pod.into();
            match Endpoint::of(&Outline::of(bytes), self.found) {
                Some(endpoint) => self.body.read(endpoint, bytes, self.found),
                None => self.body.lose(format!("the answer of {pod} is not understood")),
            }
            Ok(())
        }
    }
    let mut answers = Answers { found, body: Body::default() };
    let read = drive(bytes, Object(&mut answers));
    let count = answers.body.document.facts.len();
    answers.body.ended(read, count);
    Some(answers.body.document("answers of istiod"))
}

/// A document as it is read.
#[derive(Default)]
struct Body {
    document: Document,
    /// The istiod that says what follows; empty where it is not told.
    istiod: Text,
    /// Why nothing at all could be read.
    failed: Option<String>,
}

impl Body {
    fn read(&mut self, endpoint: Endpoint, bytes: &[u8], found: Found<'_>) {
        match endpoint {
            Endpoint::Clusterz => services::clusterz(bytes, self),
            Endpoint::Syncz => clients::syncz(bytes, self),
            Endpoint::ProxyStatus => clients::proxy_status(bytes, self),
            Endpoint::Connections => clients::connections(bytes, self),
            Endpoint::Instancesz => clients::instancesz(bytes, self),
            Endpoint::Shards => services::shards(bytes, self),
            Endpoint::OldEndpoints => services::endpointz(bytes, self),
            Endpoint::Registryz => services::registryz(bytes, self),
            Endpoint::Networkz => services::networkz(bytes, self),
            Endpoint::PushContext => services::pushcontext(bytes, self),
            Endpoint::PushStatus => services::push_status(bytes, self),
            Endpoint::Mcsz => services::mcsz(bytes, self),
            Endpoint::Ndsz => services::ndsz(bytes, asked_proxy(found), self),
            Endpoint::Krtz => services::krtz(bytes, self),
            Endpoint::Ambientz => ambient::ambientz(bytes, self),
            Endpoint::Mesh => match serde_json::from_slice(bytes) {
                Ok(value) => self.say(Said::Mesh(Box::new(mesh_config(&value)))),
                Err(error) => self.failed = Some(error.to_string()),
            },
            Endpoint::Inject => services::inject(bytes, self),
            Endpoint::Versions => tools::versions_json(bytes, self),
            Endpoint::Analysis => tools::analysis(bytes, self),
            Endpoint::Other => {}
        }
    }

    /// Adds what the istiod says.
    fn say(&mut self, said: Said) {
        self.say_of(self.istiod.clone(), said);
    }

    /// Adds what an istiod says that the document itself names; else the one that is known already.
    fn say_of(&mut self, istiod: Text, said: Said) {
        let istiod = if istiod.is_empty() { self.istiod.clone() } else { istiod };
        self.document.push(State::Istiod(Arc::new(IstiodState { istiod, said })));
    }

    /// Adds a state that is not an istiod's own.
    fn state(&mut self, state: State) {
        self.document.push(state);
    }

    /// Adds a fact.
    fn fact(&mut self, fact: Fact) {
        self.document.facts.push((None, fact));
    }

    /// A time that stands in it.
    fn saw(&mut self, at: Option<Time>) {
        self.document.saw(at);
    }

    /// The cluster whose istiod says this. Replicas agree, or nothing is known.
    fn is_of(&mut self, cluster: &str) {
        self.document.cluster = cluster.into();
    }

    fn lose(&mut self, loss: String) {
        self.document.losses.push(loss);
    }

    /// How reading ended, and how much there is of it.
    fn ended(&mut self, read: Result<(), String>, count: usize) {
        match read {
            Ok(()) => {}
            Err(error) if count == 0 => self.failed = Some(error),
            Err(error) => self.lose(format!("cut off or malformed behind entry {count}: {error}")),
        }
    }

    fn document(self, name: &str) -> Result<Document, String> {
        match self.failed {
            Some(error) => Err(format!("looks like {name} of istiod but cannot be read: {error}")),
            None => Ok(self.document),
        }
    }
}

/// The proxy that a command asks for: `ndsz?proxyID=web-1.shop`.
fn asked_proxy(found: Found<'_>) -> Text {
    let asked = [found.command, found.path].into_iter().find_map(|text| Some(text.split_once("proxyID=")?.1));
    let end = |c: char| c.is_whitespace() || matches!(c, '&' | '"' | '\'' | '/');
    asked.and_then(|proxy| proxy.split(end).next()).unwrap_or("").trim_end_matches(".json").into()
}

/// A time as Go prints it; its zero value is no time.
fn instant(text: &str) -> Option<Time> {
    time::rfc3339(text.as_bytes()).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::istiod::RemoteRow;

    /// What a document says, each with its istiod.
    pub(super) fn said(path: &str, text: &str) -> Vec<(Text, Said)> {
        states(&document(path, text))
    }

    pub(super) fn document(path: &str, text: &str) -> Document {
        let found = Found { path, command: "" };
        read(text.as_bytes(), found)
            .unwrap_or_else(|| panic!("not known: {text}"))
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn states(document: &Document) -> Vec<(Text, Said)> {
        let state = |fact: &Fact| match fact {
            Fact::State(state) => match &**state {
                State::Istiod(istiod) => Some((istiod.istiod.clone(), istiod.said.clone())),
                _ => None,
            },
            _ => None,
        };
        document.facts.iter().filter_map(|(_, fact)| state(fact)).collect()
    }

    const CLUSTERZ: &str = r#"[{"id":"east","secretName":"","syncStatus":"synced"},
        {"id":"west","secretName":"istio-system/istio-remote-secret-west","syncStatus":"timeout"}]"#;

    #[test]
    fn a_bug_report_tells_the_istiod_and_clusterz_the_cluster() {
        let path = "bug-report/istio/istio-system/istiod-7d9c6f5b4-x2lqf/debug/clusterz";
        let document = document(path, CLUSTERZ);
        assert_eq!(&*document.cluster, "east");
        let rows = vec![
            RemoteRow { id: "east".into(), secret: "".into(), status: "synced".into() },
            RemoteRow {
                id: "west".into(),
                secret: "istio-system/istio-remote-secret-west".into(),
                status: "timeout".into(),
            },
        ];
        assert_eq!(states(&document), [("istiod-7d9c6f5b4-x2lqf".into(), Said::Clusters(rows))]);
        // Up to 1.21 there is no local row.
        let old = r#"[{"id":"west","secretName":"istio-system/istio-remote-secret-west","syncStatus":"synced"}]"#;
        assert_eq!(&*super::tests::document("x.json", old).cluster, "");
    }

    #[test]
    fn names_and_commands_tell_istiods() {
        let of = |path: &str, command: &str| istiod_of(Found { path, command }).to_string();
        assert_eq!(of("east/istio-system/istiod-5d8f-abcde/clusterz.json", ""), "istiod-5d8f-abcde");
        assert_eq!(of("east/istiod-5d8f-abcde-clusterz.json", ""), "istiod-5d8f-abcde");
        assert_eq!(of("east/istiod-5d8f-abcde_syncz.json", ""), "istiod-5d8f-abcde");
        assert_eq!(of("east/clusterz.json", ""), "");
        assert_eq!(of("east/istiod.json", ""), "");
        let exec = "kubectl exec -n istio-system istiod-5d8f-abcde -- pilot-discovery request GET /debug/syncz";
        assert_eq!(of("-", exec), "istiod-5d8f-abcde");
        assert_eq!(of("-", "kubectl exec -n istio-system deploy/istiod -- curl -s localhost:15014/debug/syncz"), "");
    }

    #[test]
    fn an_empty_list_is_told_by_its_name() {
        let named = |path: &str, command: &str, text: &str| {
            let read = read(text.as_bytes(), Found { path, command })?.ok()?;
            states(&read).into_iter().next().map(|(_, said)| said)
        };
        let none = Some(Said::NetworkGateways(Vec::new()));
        assert_eq!(named("istio/istio-system/istiod-1-2/debug/networkz", "", "null"), none);
        assert_eq!(named("networkz.json", "", "[]\n"), none);
        let command = "kubectl exec deploy/istiod -n istio-system -- curl -s 'localhost:15014/debug/networkz?pretty'";
        assert_eq!(named("notes.txt", command, "[]"), none);
        assert_eq!(named("x", "istioctl x internal-debug endpointShardz", "{}"), Some(Said::Shards(Vec::new())));
        let ambient = Said::Ambient { workloads: Vec::new(), services: Vec::new(), policies: Vec::new() };
        let nothing = r#"{"workloads":null,"services":null,"policies":null}"#;
        assert_eq!(named("debug/ambientz", "", nothing), Some(ambient));
        for (path, text) in [("answer.json", "[]"), ("mesh.json", "{}"), ("a-connections.json", "null")] {
            assert_eq!(named(path, "", text), None, "{path}");
        }
    }

    #[test]
    fn answers_of_all_replicas_are_kept_apart() {
        let text = format!(
            "{{\n  \"istiod-5d8f-abcde\": {CLUSTERZ},\n  \"istiod-5d8f-fghij\": [\n    {{\n      \"id\": \"east\", \
             \"secretName\": \"\", \"syncStatus\": \"synced\"\n    }}\n  ]\n}}"
        );
        let all = said("clusterz.json", &text);
        let rows = |at: usize| match &all[at] {
            (istiod, Said::Clusters(rows)) => (istiod.to_string(), rows.len()),
            other => panic!("{other:?}"),
        };
        assert_eq!((rows(0), rows(1)), (("istiod-5d8f-abcde".into(), 2), ("istiod-5d8f-fghij".into(), 1)));
        // An answer that is no JSON becomes a string.
        let mixed = format!("{{\"istiod-5d8f-abcde\": {CLUSTERZ}, \"istiod-5d8f-fghij\": \"404 page not found\"}}");
        let document = document("clusterz.json", &mixed);
        assert_eq!(document.facts.len(), 1);
        assert_eq!(document.losses, ["the answer of istiod-5d8f-fghij is not understood"]);
    }

    #[test]
    fn endpoints_that_nobody_asks_are_known_and_say_nothing() {
        for (path, text) in [
            (
                "debug/authorizationz",
                r#"{"authorization_policies":{"namespace_to_policies":{},"root_namespace":"istio-system"}}"#,
            ),
            ("debug/telemetryz", r#"{"telemetries":{"NamespaceToTelemetries":{},"RootNamespace":"istio-system"}}"#),
            (
                "debug/resourcesz",
                r#"[{"group":"networking.istio.io","version":"v1","kind":"Gateway"},{"group":"","version":"v1","kind":"Secret"}]"#,
            ),
            (
                "debug/cachez",
                r#"{"type.googleapis.com/envoy.config.cluster.v3.Cluster":["outbound|80||a.b.svc.cluster.local"]}"#,
            ),
            ("x", r#"{"total":"12.4kB","type.googleapis.com/envoy.config.cluster.v3.Cluster":"12.4kB"}"#),
            ("debug/list", r#"["adsz","ambientz","authorizationz"]"#),
        ] {
            let document = document(path, text);
            assert_eq!((document.facts.len(), document.losses.len()), (0, 0), "{path}");
        }
    }

    #[test]
    fn what_others_own_is_left_to_them() {
        for (path, text) in [
            (
                "config_dump",
                r#"{"configs":[{"@type":"type.googleapis.com/envoy.admin.v3.BootstrapConfigDump","bootstrap":{}}]}"#,
            ),
            (
                "edsz",
                r#"{"configs":[{"@type":"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment","clusterName":"a"}]}"#,
            ),
            ("x", r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"}}"#),
            (
                "x",
                r#"{"workloads":[{"uid":"a//Pod/b/c","workloadIps":["10.0.0.1"],"protocol":"HBONE"}],"services":[],"policies":[]}"#,
            ),
            ("x", r#"{"level":"info","msg":"hello"}"#),
            ("x", r#"[{"name":"web","status":"ok"}]"#),
            ("x", "2026-01-01T00:00:00Z\tinfo\thello"),
            ("x", "{"),
            ("x", ""),
        ] {
            assert_eq!(read(text.as_bytes(), Found { path, command: "" }), None, "{text}");
        }
    }

    #[test]
    fn a_cut_document_says_what_it_held_and_where_it_ends() {
        let cut = &CLUSTERZ[..CLUSTERZ.len() - 20];
        let document = document("clusterz", cut);
        assert_eq!(document.facts.len(), 1);
        assert_eq!(document.losses.len(), 1);
        assert!(document.losses[0].starts_with("cut off or malformed behind entry 1: EOF"), "{:?}", document.losses);
        let error = read(&CLUSTERZ.as_bytes()[..30], Found::default()).and_then(Result::err).unwrap_or_default();
        assert!(error.starts_with("looks like clusterz of istiod but cannot be read: EOF"), "{error}");
    }

    #[test]
    fn no_cut_and_no_changed_byte_panics() {
        let texts =
            [CLUSTERZ, r#"{"a.b":{"ns":{"Shards":{"Kubernetes/c":[{"Address":"1.1.1.1","HealthStatus":1}]}}}}"#];
        for text in texts {
            for at in 0..text.len() {
                let mut bytes = text.as_bytes().to_vec();
                let _ = read(&bytes[..at], Found { path: "debug/clusterz", command: "" });
                bytes[at] = b'[';
                let _ = read(&bytes, Found { path: "debug/syncz", command: "" });
            }
        }
    }

    #[test]
    fn templates_of_the_injector_are_known_by_name_only() {
        let text = r#"{"gateway":"{{- $containers := list }}","sidecar":"{{- define \"x\" }}","waypoint":"apiVersion: {{ .v }}"}"#;
        let names = ["gateway", "sidecar", "waypoint"].map(Text::from).to_vec();
        assert_eq!(said("inject.json", text), [("".into(), Said::Templates(names))]);
    }

    #[test]
    fn metrics_of_an_istiod_are_its_own_and_others_are_not() {
        let text = "# HELP pilot_info Pilot version and build information.\n# TYPE pilot_info gauge\n\
                    pilot_info{version=\"1.27.3-8e5e-Clean\"} 1\n\
                    # TYPE controller_sync_errors_total counter\ncontroller_sync_errors_total{cluster=\"west\"} 41\n\
                    # TYPE istiod_managed_clusters gauge\nistiod_managed_clusters{cluster_type=\"remote\"} 0\n";
        let read = said("bug-report/istio/istio-system/istiod-5d8f-abcde/metrics", text);
        let [(istiod, Said::Metrics(stats))] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!(&**istiod, "istiod-5d8f-abcde");
        assert!(stats.iter().any(|stat| &*stat.name == "controller_sync_errors_total" && stat.value == 41.0));
        let of_envoy = "# TYPE envoy_cluster_upstream_cx_total counter\nenvoy_cluster_upstream_cx_total{} 1\n";
        assert_eq!(read_as_istiods(of_envoy), None);
    }

    fn read_as_istiods(text: &str) -> Option<Result<Document, String>> {
        super::read(text.as_bytes(), Found::default())
    }
}
