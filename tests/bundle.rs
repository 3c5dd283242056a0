//! Bundles: what is saved of clusters is read as the clusters themselves are, and holds no secret.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use meshwhy_parsers::document::{self, Found};
use meshwhy_parsers::event::Fact;
use meshwhy_parsers::state::State;
use serde_json::{Value, json};

use crate::common::kube_api::{Close, kubeconfig_file, pod};
use crate::common::{meshwhy, walk};
use crate::tape::{assert_silent, clusters, unreachable};

fn run(args: &[&str], path: &Path) -> Output {
    meshwhy().args(args).arg(path).output().expect("the program starts")
}

/// The causes that were found.
fn causes(output: &Output) -> BTreeSet<String> {
    let said = String::from_utf8_lossy(&output.stdout);
    let records = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let findings = records.filter(|record| record["type"] == "finding");
    findings.filter_map(|finding| finding["cause"].as_str().map(str::to_string)).collect()
}

/// The bytes of all files of a bundle.
fn bytes_of(bundle: &Path) -> Vec<u8> {
    if bundle.is_dir() {
        let mut files = Vec::new();
        walk(bundle, &mut files);
        return files.iter().flat_map(|file| fs::read(file).expect("it is there")).collect();
    }
    let bytes = fs::read(bundle).expect("it is there");
    match bundle.to_string_lossy().ends_with(".zst") {
        true => zstd::decode_all(&bytes[..]).expect("it is whole"),
        false => {
            let mut unpacked = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut unpacked).expect("whole");
            unpacked
        }
    }
}

#[test]
fn what_is_saved_of_clusters_is_found_again_and_holds_no_secret() {
    let (east, west) = clusters();
    east.log("istio-system", "istiod-1", "discovery", unreachable("10.64.3.2"));
    east.restart_container("istio-system", "istiod-1", "discovery");
    east.log("istio-system", "istiod-1", "discovery", unreachable("10.64.3.3"));
    for (name, api) in [("east", &east), ("west", &west)] {
        api.apply(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"mesh": format!("trustDomain: {name}.local\n")},
            "metadata": {"name": "istio", "namespace": "istio-system"}}),
        );
        api.apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80}], "selector": {"app": "cart"}}}));
    }
    let config = kubeconfig_file(&[&east, &west]);
    let kubeconfig = format!("--kubeconfig={}", config.path().display());
    let contexts = ["--context=east", "--context=west", &kubeconfig];
    let live = meshwhy().args(["check", "--output=ndjson"]).args(contexts).output().expect("the program starts");
    let call = ["trace", "east/gateway-1.istio-system", "cart.shop:80", "--output=ndjson"];
    let walked = meshwhy().args(call).args(contexts).output().expect("the program starts");
    assert!(matches!(walked.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&walked.stderr));
    let folder = tempfile::tempdir().expect("a folder can be made");
    for name in ["bundle.tar.zst", "bundle.tar.gz", "bundle"] {
        let bundle = folder.path().join(name);
        let saved = meshwhy().arg("record").args(contexts).arg("-o").arg(&bundle).output().expect("the program starts");
        let said = String::from_utf8_lossy(&saved.stderr).into_owned();
        assert_eq!(saved.status.code(), Some(0), "{said}");
        assert_silent(name, &bytes_of(&bundle));

        let checked = run(&["check", "--output=ndjson"], &bundle);
        assert!(!causes(&live).is_empty(), "something is wrong with these clusters");
        assert_eq!(causes(&checked), causes(&live), "{name}: {}", String::from_utf8_lossy(&checked.stderr));
        let replayed = run(&["replay", "--output=ndjson"], &bundle);
        assert!(causes(&replayed).contains("remote-api-unreachable"), "{name}");
        let text = String::from_utf8_lossy(&replayed.stdout).into_owned();
        assert!(text.contains("10.64.3.2"), "the log before the restart is saved: {text}");
        let traced = run(&call, &bundle);
        // A bundle holds more lines than are asked for where a call is walked live, among them why a hop cannot be told.
        assert!(causes(&traced).is_superset(&causes(&walked)), "{name}: {}", String::from_utf8_lossy(&traced.stderr));
        assert!(traced.status.code() >= walked.status.code(), "{name}");

        let again = meshwhy().arg("record").args(contexts).arg("-o").arg(&bundle).output().expect("the program starts");
        assert_eq!(again.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"), "nothing is written over");
    }
}

#[test]
fn a_cluster_that_is_dead_does_not_stop_the_others_and_is_told() {
    let (east, west) = clusters();
    west.stop(Close::Reset);
    let config = kubeconfig_file(&[&east, &west]);
    let kubeconfig = format!("--kubeconfig={}", config.path().display());
    let folder = tempfile::tempdir().expect("a folder can be made");
    let bundle = folder.path().join("bundle");
    let args = ["record", "--context=east", "--context=west", &kubeconfig, "--timeout=20s", "-o"];
    let saved = meshwhy().args(args).arg(&bundle).output().expect("the program starts");
    let said = String::from_utf8_lossy(&saved.stderr).into_owned();
    assert_eq!(saved.status.code(), Some(0), "{said}");
    assert!(said.contains("west cannot be reached"), "{said}");
    let manifest = fs::read_to_string(bundle.join("manifest.json")).expect("it is there");
    let manifest: Value = serde_json::from_str(&manifest).expect("it is JSON");
    assert!(manifest["clusters"]["east"].as_array().is_some_and(|files| files.len() > 10), "{manifest}");
    assert!(manifest["refused"].to_string().contains("west cannot be reached"), "{manifest}");
    assert!(bundle.join("east/istio/istio-system/istiod-1/debug/clusterz").exists(), "pods are asked");

    east.stop(Close::Reset);
    let nothing = folder.path().join("nothing");
    let saved = meshwhy().args(args).arg(&nothing).output().expect("the program starts");
    assert_eq!(saved.status.code(), Some(2), "nothing was read");
}

#[test]
fn pods_that_are_chosen_are_all_saved_and_how_many_others_are_left_out_is_told() {
    let (east, west) = clusters();
    for at in 0..8 {
        let labels = [("app", if at < 4 { "cart" } else { "web" })];
        east.apply(pod("shop", &format!("pod-{at}"), &labels, &["istio-proxy"]));
    }
    let config = kubeconfig_file(&[&east, &west]);
    let kubeconfig = format!("--kubeconfig={}", config.path().display());
    let folder = tempfile::tempdir().expect("a folder can be made");
    let bundle = folder.path().join("bundle");
    let args = ["record", "--context=east", "--context=west", &kubeconfig, "--pods=shop/app=web", "-o"];
    let saved = meshwhy().args(args).arg(&bundle).output().expect("the program starts");
    let said = String::from_utf8_lossy(&saved.stderr).into_owned();
    assert_eq!(saved.status.code(), Some(0), "{said}");
    let is_saved = |at: &usize| bundle.join(format!("east/proxies/shop/pod-{at}/istio-proxy.log")).exists();
    // The first five by name, and the four that are chosen.
    assert_eq!((0..8).filter(is_saved).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7]);

    let other = folder.path().join("other");
    let args = ["record", "--context=east", "--context=west", &kubeconfig, "-o"];
    let saved = meshwhy().args(args).arg(&other).output().expect("the program starts");
    let left = "east: 3 further pods with a sidecar are left out";
    assert!(String::from_utf8_lossy(&saved.stderr).contains(left), "{}", String::from_utf8_lossy(&saved.stderr));
    assert!(fs::read_to_string(other.join("manifest.json")).expect("it is there").contains(left));
}

#[test]
fn a_kind_of_which_there_is_none_is_known_to_have_none() {
    let (east, west) = clusters();
    let config = kubeconfig_file(&[&east, &west]);
    let kubeconfig = format!("--kubeconfig={}", config.path().display());
    let folder = tempfile::tempdir().expect("a folder can be made");
    let bundle = folder.path().join("bundle");
    let args = ["record", "--context=east", &kubeconfig, "-o"];
    let saved = meshwhy().args(args).arg(&bundle).output().expect("the program starts");
    assert_eq!(saved.status.code(), Some(0), "{}", String::from_utf8_lossy(&saved.stderr));
    let listed = |file: &str| -> Vec<(String, String, String)> {
        let bytes = fs::read(bundle.join("east").join(file)).expect("it is there");
        let found = Found { path: file, command: "" };
        let document = document::read(&bytes, found).expect("it is one").expect("it can be read");
        let listed = document.facts.into_iter().filter_map(|(_, fact)| match fact {
            Fact::State(state) => match *state {
                State::Listed { kind, group, namespace } => {
                    Some((kind.to_string(), group.to_string(), namespace.to_string()))
                }
                _ => None,
            },
            _ => None,
        });
        listed.collect()
    };
    let of = |kind: &str, group: &str, namespace: &str| vec![(kind.into(), group.into(), namespace.into())];
    assert_eq!(listed("sidecars.networking.istio.io.json"), of("Sidecar", "networking.istio.io", ""));
    assert_eq!(listed("nodes.json"), of("Node", "", ""));
    assert_eq!(listed("pods.json"), of("Pod", "", ""), "all pods are in one namespace, and are all there are anywhere");
    assert_eq!(listed("secrets.json"), of("Secret", "", "istio-system"));
}
