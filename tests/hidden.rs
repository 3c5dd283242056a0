//! `record --hide-names`: no name and no address is left in a bundle, and it says the same as one with them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::common::kube_api::{KubeApi, kubeconfig, kubeconfig_file, pod};
use crate::common::tls::Authority;
use crate::common::{base64, each, meshwhy, readable_samples, walk};
use meshwhy::redact::Names;

/// Words of all names that are planted; none may be left anywhere.
const PLANTED: &[&str] = &[
    "wombat",
    "lemur",
    "platypus",
    "quokka",
    "7d9f8c6b5",
    "x2x4z",
    "numbat",
    "echidna",
    "bilby",
    "potoroo",
    "dunnart",
    "10.11.12.13",
    "10-11-12-13",
    "10.11.99.7",
    "198.18.77.7",
    "35.77.12.9",
    "fd12:3456",
    "kowari",
];

/// A pod of a cluster in which everything has a name that tells.
fn planted_pod(namespace: &str, name: &str, labels: &[(&str, &str)], containers: &[&str]) -> Value {
    let mut pod = pod(namespace, name, labels, containers);
    pod["spec"]["nodeName"] = json!("ip-10-11-12-13.eu.numbat.example");
    pod["spec"]["serviceAccountName"] = json!("echidna");
    pod["status"]["podIP"] = json!("10.11.99.7");
    pod["status"]["podIPs"] = json!([{"ip": "10.11.99.7"}, {"ip": "fd12:3456::9"}]);
    pod["status"]["hostIP"] = json!("10.11.12.13");
    pod
}

/// Two clusters of which one cannot reach the other.
fn planted_clusters() -> (KubeApi, KubeApi) {
    let (wombat, lemur) = (KubeApi::start("wombat-lab"), KubeApi::start("lemur-lab"));
    let mesh = Authority::of_mesh("numbat.example");
    let leaf = mesh.workload("spiffe://numbat.example/ns/platypus/sa/echidna");
    let leaf = leaf.certificate;
    for api in [&wombat, &lemur] {
        let other = if api.name() == "wombat-lab" { "lemur-lab" } else { "wombat-lab" };
        api.apply(planted_pod("istio-system", "istiod-1", &[("app", "istiod")], &["discovery"]));
        api.apply(planted_pod("istio-system", "gateway-1", &[("istio", "eastwestgateway")], &["istio-proxy"]));
        api.apply(planted_pod(
            "platypus",
            "quokka-7d9f8c6b5-x2x4z",
            &[("app", "quokka"), ("team", "kowari")],
            &["quokka", "istio-proxy"],
        ));
        api.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "platypus", "labels":
            {"topology.istio.io/network": "bilby-net"}}}));
        api.apply(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "quokka", "namespace": "platypus"},
            "spec": {"clusterIP": "10.11.99.200", "selector": {"app": "quokka"},
            "ports": [{"name": "http", "port": 80}]}}),
        );
        api.apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"mesh": format!("trustDomain: {}.numbat.example\ndefaultConfig:\n  discoveryAddress: api.numbat.example:15012\n", api.name())}}));
        let clusters = json!([{"id": other, "secretName": format!("istio-system/istio-remote-secret-{other}"), "syncStatus": "timeout"}]);
        api.serve("istio-system", "istiod-1", 15014, move |path| match path {
            "/debug/clusterz" => (200, clusters.to_string()),
            _ => (404, String::new()),
        });
        let dump = json!({"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
            "dynamic_active_clusters": [{"cluster": {"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": "outbound|80||quokka.platypus.svc.cluster.local", "type": "EDS"}}]},
            {"@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump", "dynamic_active_secrets": [{"name": "default",
            "secret": {"name": "default", "tls_certificate": {"certificate_chain": {"inline_bytes": base64(leaf.as_bytes())}}}},
            {"name": "ROOTCA", "secret": {"name": "ROOTCA", "validation_context": {"trusted_ca": {"inline_bytes": base64(mesh.pem().as_bytes())}}}}]}]});
        api.serve("platypus", "quokka-7d9f8c6b5-x2x4z", 15000, move |path| match path {
            "/config_dump?include_eds" => (200, dump.to_string()),
            _ => (404, String::new()),
        });
        let log =
            |text: String| api.log("istio-system", "istiod-1", "discovery", format!("{:.6}\t{text}", Timestamp::now()));
        log(format!(
            "error\twatch error in cluster {other}: failed to list *v1.Pod: Get \"https://api.dunnart.example:6443/api/v1/pods\": dial tcp 35.77.12.9:6443: i/o timeout"
        ));
        log("info\tads\tADS: new connection for node:potoroo-7d9f8c6b5-x2x4z.platypus-12".to_string());
    }
    let config = kubeconfig(&[&lemur]).replace("127.0.0.1", "198.18.77.7");
    wombat.apply(json!({"apiVersion": "v1", "kind": "Secret", "data": {"lemur-lab": base64(config.as_bytes())}, "metadata": {
        "name": "istio-remote-secret-lemur-lab", "namespace": "istio-system", "labels": {"istio/multiCluster": "true"}}}));
    (wombat, lemur)
}

/// All files of a bundle, with their paths in it.
fn files(bundle: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    walk(bundle, &mut files);
    let file = |path: PathBuf| {
        (path.strip_prefix(bundle).expect("it is inside").to_path_buf(), fs::read(&path).expect("it is there"))
    };
    files.into_iter().map(file).collect()
}

/// Fails where a planted name stands in bytes, as it is or in base64, however often.
fn assert_nameless(what: &str, bytes: &[u8]) {
    let mut texts = vec![(String::from_utf8_lossy(bytes).into_owned(), 0)];
    while let Some((text, depth)) = texts.pop() {
        let lower = text.to_lowercase();
        for name in PLANTED {
            assert!(!lower.contains(name), "{what} holds {name} at depth {depth}: {text}");
        }
        let is_coded = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
        let runs = text.split(|c| !is_coded(c)).filter(|run| 16 <= run.len() && depth < 4);
        let decoded: Vec<_> = runs.filter_map(|run| meshwhy_parsers::cert::base64(run.as_bytes())).collect();
        // Certificates of authorities stay, with the organisation they name.
        let decoded = decoded.into_iter().filter(|bytes| {
            let certs = meshwhy_parsers::cert::parse(bytes);
            certs.is_empty() || !certs.iter().all(|cert| cert.is_ca)
        });
        texts.extend(decoded.map(|bytes| (String::from_utf8_lossy(&bytes).into_owned(), depth + 1)));
    }
}

/// Which causes a command names in a bundle.
fn causes(args: &[&str], bundle: &Path) -> BTreeSet<String> {
    let output: Output = meshwhy().args(args).args(["--output=ndjson"]).arg(bundle).output().expect("it starts");
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    let records = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let findings = records.filter(|record| record["type"] == "finding");
    findings.filter_map(|finding| finding["cause"].as_str().map(str::to_string)).collect()
}

/// The folder of the cluster in which this file lies, and the words of the only pod beside the control plane.
fn call(bundle: &Path) -> (String, String) {
    let all = files(bundle);
    let (path, _) = all
        .iter()
        .find(|(path, _)| path.ends_with("istio-proxy.log") && !path.to_string_lossy().contains("gateway-1"))
        .expect("the pod's log is saved");
    let parts: Vec<String> = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let [cluster, _, namespace, pod, _] = &parts[..] else { panic!("{parts:?}") };
    let service = pod.split('-').next().expect("a name");
    (format!("{cluster}/{pod}.{namespace}"), format!("{service}.{namespace}:80"))
}

#[test]
fn a_bundle_without_names_holds_none_and_says_the_same() {
    let (wombat, lemur) = planted_clusters();
    for api in [&wombat, &lemur] {
        api.log(
            "platypus",
            "quokka-7d9f8c6b5-x2x4z",
            "istio-proxy",
            format!("{:.6}\tinfo\tEnvoy proxy is ready", Timestamp::now()),
        );
    }
    let config = kubeconfig_file(&[&wombat, &lemur]);
    let kubeconfig = format!("--kubeconfig={}", config.path().display());
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (plain, hidden, other) =
        (folder.path().join("plain"), folder.path().join("hidden"), folder.path().join("other"));
    for (out, further) in [(&plain, None), (&hidden, Some("--hide-names")), (&other, Some("--hide-names"))] {
        let args = ["record", "--context=wombat-lab", "--context=lemur-lab", &kubeconfig];
        let saved = meshwhy().args(args).args(further).arg("-o").arg(out).output().expect("it starts");
        assert_eq!(saved.status.code(), Some(0), "{}", String::from_utf8_lossy(&saved.stderr));
    }
    let all = files(&hidden);
    for (path, bytes) in &all {
        assert_nameless("a path", path.to_string_lossy().as_bytes());
        assert_nameless(&path.display().to_string(), bytes);
    }
    assert_eq!(all.len(), files(&plain).len(), "no two files fall together");
    let names = |bundle: &Path| files(bundle).into_iter().map(|(path, _)| path).collect::<BTreeSet<_>>();
    assert_ne!(names(&hidden), names(&other), "others cannot be told by the names of one");
    let roots = |bundle: &Path| {
        let text: String = files(bundle).iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
        text.matches("\"trusted_ca\"").count()
    };
    assert!(0 < roots(&plain) && roots(&plain) == roots(&hidden), "roots are kept");

    let replayed = causes(&["replay"], &plain);
    assert!(replayed.contains("remote-api-unreachable"), "{replayed:?}");
    assert_eq!(causes(&["replay"], &hidden), replayed);
    let checked = causes(&["check"], &plain);
    assert!(!checked.is_empty());
    assert_eq!(causes(&["check"], &hidden), checked);
    let ((from, to), (hidden_from, hidden_to)) = (call(&plain), call(&hidden));
    assert_nameless("a call", format!("{hidden_from} {hidden_to}").as_bytes());
    let walked = causes(&["trace", &from, &to], &plain);
    assert!(!walked.is_empty());
    assert_eq!(causes(&["trace", &hidden_from, &hidden_to], &hidden), walked);
}

#[test]
fn samples_without_names_have_the_same_causes() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    // All of them take minutes.
    let some: Vec<_> = readable_samples().into_iter().step_by(10).collect();
    let broken = each(&some, |sample| {
        let input = sample.dir().join("input");
        let saved = files(&input);
        let mut names = Names::default();
        for (path, bytes) in &saved {
            path.parent().into_iter().flatten().for_each(|part| names.name(&part.to_string_lossy()));
            names.read(bytes);
        }
        let (hidden, out) = (names.hide([3, 4]), folder.path().join(&sample.name));
        for (path, bytes) in &saved {
            let path = out.join(hidden.text(&path.to_string_lossy()));
            fs::create_dir_all(path.parent().expect("it is inside")).expect("it can be made");
            fs::write(path, hidden.bytes(bytes)).expect("it can be written");
        }
        let (with, without) = (causes(&["replay"], &input), causes(&["replay"], &out));
        (with != without).then(|| format!("{}: {with:?} became {without:?}", sample.name))
    });
    let broken: Vec<String> = broken.into_iter().flatten().collect();
    assert!(broken.is_empty(), "{broken:#?}");
}
