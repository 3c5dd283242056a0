//! Every sample, fed live: its logs are followed, its objects watched and its proxies asked through in-process clusters,
//! and `meshwhy tail` finds what `meshwhy replay` finds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use meshwhy_parsers::origin::{self, Role};
use meshwhy_parsers::time::rfc3339;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::kube_api::{KubeApi, kubeconfig_file, pod};
use crate::common::{Sample, fail_if_any, meshwhy, readable_samples};
use crate::live::Running;

/// Samples of which something else is found live, one `sample: reason` a line. An entry that holds fails the test.
const DIFFERENT: &str = include_str!("live_differently.txt");

/// Samples under way at once: each mostly waits.
const AT_ONCE: usize = 8;

/// Nothing is asked any more after so long without a request; a second try waits longer.
const QUIET: [Duration; 2] = [Duration::from_millis(400), Duration::from_secs(3)];

/// Kinds that are watched: of those that a sample says nothing of, nothing may be said, and they are refused.
const WATCHED: &[&str] = &[
    "namespaces",
    "nodes",
    "services",
    "events",
    "endpointslices.discovery.k8s.io",
    "deployments.apps",
    "daemonsets.apps",
    "configmaps",
    "secrets",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "gateways.gateway.networking.k8s.io",
    "gatewayclasses.gateway.networking.k8s.io",
    "gateways.networking.istio.io",
    "destinationrules.networking.istio.io",
    "serviceentries.networking.istio.io",
    "workloadentries.networking.istio.io",
    "sidecars.networking.istio.io",
    "peerauthentications.security.istio.io",
    "authorizationpolicies.security.istio.io",
    "networkpolicies.networking.k8s.io",
];

#[test]
fn tail_finds_in_every_sample_what_replay_finds() {
    let samples: Vec<Sample> = readable_samples().into_iter().filter(|sample| sample.is_replayed).collect();
    let only = std::env::var("MESHWHY_SAMPLE").unwrap_or_default();
    let left = Mutex::new(samples.iter().filter(|sample| sample.name.contains(&only)));
    let broken = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(sample) = next(&left) {
                    let wrong = beside_list(sample, differences(sample));
                    broken.lock().expect("no thread panics while it holds this").extend(wrong);
                }
            });
        }
    });
    let mut broken = broken.into_inner().expect("all threads ended well");
    broken.sort();
    fail_if_any("samples fed live", &broken);
}

fn next<'s>(left: &Mutex<impl Iterator<Item = &'s Sample>>) -> Option<&'s Sample> {
    left.lock().expect("no thread panics while it holds this").next()
}

/// What is wrong: nothing where it is known to be different, and where it is not any more, that.
fn beside_list(sample: &Sample, different: Vec<String>) -> Vec<String> {
    let is_listed = DIFFERENT.lines().any(|line| line.split(':').next() == Some(&sample.name));
    match (is_listed, different.is_empty()) {
        (true, true) => vec![format!("{}: it holds now; take it out of tests/live_differently.txt", sample.name)],
        (true, false) => Vec::new(),
        (false, _) => different.into_iter().map(|what| format!("{}: {what}", sample.name)).collect(),
    }
}

/// What `replay` finds in a sample and `tail` does not, and the other way round.
fn differences(sample: &Sample) -> Vec<String> {
    let replayed = sample.run(&["replay", "--output=ndjson", "input"]);
    let expected = found(String::from_utf8_lossy(&replayed.stdout).lines());
    let mut different = Vec::new();
    for quiet in QUIET {
        let live = Scene::new(sample).watch(quiet);
        different = expected.difference(&live).map(|lost| format!("not found live: {lost}")).collect();
        different.extend(live.difference(&expected).map(|new| format!("found live only: {new}")));
        if different.is_empty() {
            break;
        }
    }
    different
}

/// What is open at the end, as `cause: subject`.
fn found<'l>(lines: impl Iterator<Item = &'l str>) -> BTreeSet<String> {
    let mut open: BTreeMap<String, String> = BTreeMap::new();
    for record in lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let text = |key: &str| record[key].as_str().unwrap_or_default().to_string();
        if record["type"] != "finding" || text("cause").starts_with("user:") {
            continue;
        }
        if record["stage"] == "resolved" || record["severity"] == "info" || !record["explained_by"].is_null() {
            open.remove(&text("id"));
        } else {
            open.insert(text("id"), format!("{}: {}", text("cause"), text("subject")));
        }
    }
    open.into_values().collect()
}

/// A sample, spread over clusters that serve it and a folder of what no cluster serves.
struct Scene {
    clusters: BTreeMap<String, KubeApi>,
    /// The objects that were saved of each.
    objects: BTreeMap<String, Vec<Value>>,
    /// Namespaces whose sidecars are to be followed.
    chosen: BTreeSet<String>,
    folder: TempDir,
    /// Which request shows that a file is read by the API; those of which none comes are followed as files.
    served: Vec<(String, Request, PathBuf)>,
    root: PathBuf,
    /// The newest time that stands in its logs.
    newest: String,
}

/// A request that a file is the answer to.
struct Request {
    pattern: String,
    name: String,
}

impl Scene {
    fn new(sample: &Sample) -> Scene {
        let root = sample.dir().join("input");
        let mut scene = Scene {
            clusters: BTreeMap::new(),
            objects: BTreeMap::new(),
            chosen: BTreeSet::new(),
            folder: tempfile::tempdir().expect("a folder can be made"),
            served: Vec::new(),
            root: root.clone(),
            newest: newest(sample),
        };
        let mut others = Vec::new();
        for file in sample.files() {
            let below = file.strip_prefix("input").expect("it lies there").to_path_buf();
            let parts: Vec<&str> = below.iter().filter_map(|part| part.to_str()).collect();
            let bytes = fs::read(root.join(&below)).expect("it can be read");
            match (parts.as_slice(), manifests(&below, &bytes)) {
                ([cluster, _], Some(found)) => scene.objects.entry(cluster.to_string()).or_default().extend(found),
                ([_, _, _, ..], _) => others.push((below, bytes)),
                _ => scene.follow(&below),
            }
        }
        for (cluster, found) in &scene.objects.clone() {
            scene.apply(cluster, found);
        }
        for (below, bytes) in others {
            if !scene.serve(&below, bytes) {
                scene.follow(&below);
            }
        }
        for (name, api) in &scene.clusters {
            let told = scene.objects.get(name).map(Vec::as_slice).unwrap_or_default();
            for kind in WATCHED.iter().filter(|kind| !told.iter().any(|object| plural(object) == **kind)) {
                api.forbid(&format!("list {kind}"));
                api.forbid(&format!("watch {kind}"));
            }
        }
        scene
    }

    fn cluster(&mut self, name: &str) -> &KubeApi {
        self.clusters.entry(name.to_string()).or_insert_with(|| KubeApi::start(name))
    }

    /// Follows a file as it is.
    fn follow(&self, below: &Path) {
        let to = self.folder.path().join("input").join(below);
        fs::create_dir_all(to.parent().expect("it lies in the folder")).expect("folders can be made");
        fs::copy(self.root.join(below), &to).expect("it can be copied");
        // When a document was written is when it was taken.
        let (newest, _) = rfc3339(self.newest.as_bytes()).expect("it is a time");
        let newest = SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(newest.0).expect("it is after 1970"));
        let copy = fs::File::options().write(true).open(to).expect("it is ours");
        copy.set_modified(newest).expect("files have times");
    }

    fn apply(&mut self, cluster: &str, objects: &[Value]) {
        let api = self.cluster(cluster);
        for object in objects {
            let mut object = object.clone();
            if object["kind"] == "Pod" {
                runs(&mut object);
            }
            api.apply(object);
        }
    }

    /// Has a cluster serve a log or what a proxy or istiod answers; whether one can.
    fn serve(&mut self, below: &Path, bytes: Vec<u8>) -> bool {
        let path = below.to_str().expect("names are text");
        let parts: Vec<&str> = path.split('/').collect();
        let [cluster, namespace, name, rest @ ..] = parts.as_slice() else { return false };
        let role = origin::place(path, "").role;
        let (container, labels): (&str, &[(&str, &str)]) = match role {
            Role::Istiod => ("discovery", &[("app", "istiod")]),
            Role::Ztunnel => ("istio-proxy", &[("app", "ztunnel")]),
            Role::Cni => ("install-cni", &[("k8s-app", "istio-cni-node")]),
            Role::Gateway => ("istio-proxy", &[("istio", "eastwestgateway")]),
            Role::Waypoint => ("istio-proxy", &[("gateway.istio.io/managed", "istio.io-mesh-controller")]),
            _ => ("istio-proxy", &[]),
        };
        let (port, endpoint) = match (rest, role) {
            ([log], _) if *log == format!("{container}.log") => (0, String::new()),
            (["debug", file], Role::Istiod) => (15014, format!("/debug/{}", stem(file))),
            ([file], _) if role != Role::Istiod && file.ends_with(".json") => (15000, format!("/{}", stem(file))),
            _ => return false,
        };
        if labels.is_empty() {
            self.chosen.insert(namespace.to_string());
        }
        let environment = self.environment(cluster);
        let api = self.cluster(cluster);
        if !api.has_pod(namespace, name) {
            let mut made_up = pod(namespace, name, labels, &[container]);
            made_up["spec"]["containers"][0]["env"] = environment;
            // An address of its own, that no state and no line speaks of.
            for key in ["podIP", "podIPs"] {
                made_up["status"].as_object_mut().expect("it has a status").remove(key);
            }
            api.apply(made_up);
        } else if !api.has_container(namespace, name, container) {
            return false;
        }
        let pattern = if port == 0 {
            print(api, (namespace, name, container), &bytes);
            format!("get pods/log in {namespace}")
        } else {
            let body = String::from_utf8_lossy(&bytes).into_owned();
            api.serve_path(namespace, name, port, &endpoint, body);
            format!("tunnel {endpoint} in {namespace}")
        };
        self.served.push((cluster.to_string(), Request { pattern, name: name.to_string() }, below.to_path_buf()));
        true
    }

    /// A pod that the test makes up is set up as its mesh needs it: of this no sample tells.
    fn environment(&self, cluster: &str) -> Value {
        let system = self
            .objects
            .get(cluster)
            .into_iter()
            .flatten()
            .find(|object| object["kind"] == "Namespace" && object["metadata"]["name"] == "istio-system");
        let network = system.map(|system| system["metadata"]["labels"]["topology.istio.io/network"].clone());
        let network = network.filter(Value::is_string);
        network.into_iter().map(|network| json!({"name": "NETWORK", "value": network})).collect()
    }

    /// Has the program watch it all until it has read everything; what it says is open then.
    fn watch(&self, quiet: Duration) -> BTreeSet<String> {
        let clusters: Vec<&KubeApi> = self.clusters.values().collect();
        let config = kubeconfig_file(&clusters);
        let signatures = marker();
        let mut command = meshwhy();
        command.args(["tail", "--output=ndjson", "--since=1000000h", "--signatures"]).arg(signatures.path());
        if !clusters.is_empty() {
            command.arg("--kubeconfig").arg(config.path());
        }
        command.args(self.clusters.keys().map(|name| format!("--context={name}")));
        if !self.clusters.is_empty() {
            command.args(self.chosen.iter().map(|namespace| format!("--pods={namespace}/")));
        }
        command.arg(format!("--clock={}", self.newest));
        // From there, so that files are told of as `replay` tells of them.
        fs::create_dir_all(self.folder.path().join("input")).expect("folders can be made");
        let mut program = Running::start(command.current_dir(self.folder.path()).arg("input").stderr(Stdio::null()));
        self.wait_until_all_is_asked(quiet);
        for (cluster, request, below) in &self.served {
            let asked = self.clusters[cluster].asked(&request.pattern);
            // Why it does not come by the API does not matter: nobody asks for it.
            if !asked.iter().any(|asked| asked.name.as_ref() == Some(&request.name)) {
                self.follow(below);
            }
        }
        let last = self.folder.path().join("input/zz-last.log");
        fs::write(last, "the last line of all\n").expect("it can be written");
        let mut said = program.up_to("user:last");
        said.extend(program.interrupt());
        found(said.iter().map(String::as_str))
    }

    fn wait_until_all_is_asked(&self, quiet: Duration) {
        for api in self.clusters.values() {
            api.wait_for("list pods", 1);
        }
        let count = || self.clusters.values().map(|api| api.asked("* *").len()).sum::<usize>();
        let (mut asked, mut since) = (count(), Instant::now());
        while since.elapsed() < quiet {
            thread::sleep(Duration::from_millis(20));
            let now = count();
            if now != asked {
                (asked, since) = (now, Instant::now());
            }
        }
    }
}

/// A signature of its own names the line that is read last.
fn marker() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file can be made");
    let text = "[[signature]]\nname = \"last\"\nliterals = [\"the last line\"]\nregex = 'the last (?<what>line) of all'\n\
                subject = \"what\"\nseverity = \"info\"\nsummary = \"{what}\"\nmeaning = \"All is read.\"\n\
                remedy = \"None.\"\nverify = \"true\"\npositive = [\"the last line of all\"]\nnegative = [\"the first line\"]\n";
    file.write_all(text.as_bytes()).expect("it can be written");
    file
}

/// When a sample was saved: just after the last line that tells its time.
fn newest(sample: &Sample) -> String {
    let replayed = sample.run(&["replay", "--output=ndjson", "--quiet", "input"]);
    let summary: Value = serde_json::from_slice(&replayed.stdout).expect("a record");
    summary["last_at"].as_str().unwrap_or("2026-06-01T00:00:00Z").to_string()
}

fn stem(file: &str) -> &str {
    file.strip_suffix(".json").unwrap_or(file)
}

/// The objects in a file of manifests, as `kubectl get -o yaml` or `-o json` prints them.
fn manifests(path: &Path, bytes: &[u8]) -> Option<Vec<Value>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let documents: Vec<Value> = match path.extension()?.to_str()? {
        "json" => vec![serde_json::from_str(text).ok()?],
        "yaml" => serde_saphyr::from_multiple(text).ok()?,
        _ => return None,
    };
    let mut objects = Vec::new();
    for document in documents {
        match document["items"].as_array() {
            Some(items) => objects.extend(items.iter().cloned()),
            None => objects.push(document),
        }
    }
    let is_object = |object: &Value| object["apiVersion"].is_string() && object["metadata"]["name"].is_string();
    objects.iter().all(is_object).then_some(objects)
}

/// As [`WATCHED`] names its kind.
fn plural(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    let plural = match kind.strip_suffix('y') {
        Some(stem) if !kind.ends_with("ay") => format!("{stem}ies"),
        _ if kind.ends_with('s') => format!("{kind}es"),
        _ => format!("{kind}s"),
    };
    match object["apiVersion"].as_str().and_then(|version| version.split_once('/')) {
        Some((group, _)) => format!("{plural}.{group}"),
        None => plural,
    }
}

/// A pod that was saved without the standing of its containers runs.
fn runs(pod: &mut Value) {
    pod["spec"]["nodeName"] = pod["spec"]["nodeName"].as_str().unwrap_or("node-1").into();
    if pod["status"]["containerStatuses"].is_array() {
        return;
    }
    let containers = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let statuses = containers.iter().map(|container| {
        json!({"name": container["name"], "ready": true, "restartCount": 0, "image": "", "imageID": "",
            "state": {"running": {}}})
    });
    pod["status"]["containerStatuses"] = statuses.collect::<Vec<_>>().into();
}

/// A container printed all this, each line at the time that it tells.
fn print(api: &KubeApi, (namespace, pod, container): (&str, &str, &str), bytes: &[u8]) {
    let mut at = "2026-01-01T00:00:00Z".to_string();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let head = line.strip_prefix(b"[").unwrap_or(line);
        if let Some((told, _)) = rfc3339(&head[..head.len().min(40)]) {
            at = told.to_string();
        }
        api.log_at(namespace, pod, container, &at, line);
    }
}
