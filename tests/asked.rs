//! `check` and `trace` of clusters that are asked while they run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::kube_api::{KubeApi, kubeconfig_file};
use crate::common::{Sample, each, fail_if_any, readable_samples, told_of_state};

/// The clusters of a sample whose objects are saved whole, as servers that answer with what was saved.
fn clusters(sample: &Sample) -> Vec<KubeApi> {
    let mut clusters: BTreeMap<String, Vec<&Path>> = BTreeMap::new();
    let files = sample.files();
    for file in &files {
        let mut parts = file.iter().skip(1);
        let cluster = parts.next().expect("files lie in the folder of their cluster");
        clusters.entry(cluster.to_string_lossy().into_owned()).or_default().push(file);
    }
    let start = |(name, files): (String, Vec<&Path>)| {
        let api = KubeApi::start(&name);
        // istiod makes them wherever the Gateway API is installed; nobody saves them.
        for class in ["istio", "istio-remote", "istio-waypoint", "istio-east-west"] {
            api.apply(json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
                "metadata": {"name": class}, "spec": {"controllerName": "istio.io/gateway-controller"}}));
        }
        let mut said: BTreeMap<(String, String, u16), BTreeMap<String, String>> = BTreeMap::new();
        for file in files {
            let text = fs::read_to_string(sample.dir().join(file)).expect("it can be read");
            let path = file.to_string_lossy().trim_end_matches(".json").to_string();
            let parts: Vec<&str> = path.split('/').collect();
            match &parts[..] {
                [_, _, "k8s", _] => objects(&text).into_iter().for_each(|object| {
                    mirrored(&object).into_iter().chain([object]).for_each(|object| {
                        api.apply(object);
                    });
                }),
                [.., namespace, pod, "debug", endpoint] => {
                    let place = (namespace.to_string(), pod.to_string(), 15014);
                    said.entry(place).or_default().insert(format!("/debug/{endpoint}"), text);
                }
                [.., namespace, pod, endpoint] => {
                    let place = (namespace.to_string(), pod.to_string(), 15000);
                    said.entry(place).or_default().insert(format!("/{endpoint}"), text);
                }
                _ => panic!("{path} is nothing that a cluster says"),
            }
        }
        for ((namespace, pod, port), answers) in said {
            api.serve(&namespace, &pod, port, move |asked| {
                let endpoint = asked.split('?').next().unwrap_or(asked);
                answers.get(endpoint).map_or((404, "404 page not found".to_string()), |text| (200, text.clone()))
            });
        }
        api
    };
    clusters.into_iter().map(start).collect()
}

/// The objects of a file, as they are listed.
fn objects(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).or_else(|_| serde_saphyr::from_str(text)).expect("YAML or JSON");
    match file["items"].as_array() {
        Some(items) => items.clone(),
        None => vec![file],
    }
}

/// The slice that a cluster keeps of Endpoints that a person made.
fn mirrored(endpoints: &Value) -> Option<Value> {
    let metadata = &endpoints["metadata"];
    let subset = endpoints["subsets"].get(0).filter(|_| endpoints["kind"] == "Endpoints")?;
    let addresses = subset["addresses"].as_array()?;
    let name = metadata["name"].as_str()?;
    Some(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": subset["ports"],
        "metadata": {"name": format!("{name}-mirrored"), "namespace": metadata["namespace"],
            "labels": {"kubernetes.io/service-name": name}},
        "endpoints": addresses.iter().map(|of| json!({"addresses": [of["ip"]], "conditions": {"ready": true}}))
            .collect::<Vec<_>>(),
    }))
}

/// What asks these clusters.
fn asking(clusters: &[KubeApi], kubeconfig: &Path) -> Vec<String> {
    let contexts = clusters.iter().map(|api| format!("--context={}", api.name()));
    contexts.chain([format!("--kubeconfig={}", kubeconfig.display()), "--output=ndjson".to_string()]).collect()
}

#[test]
fn what_is_found_in_saved_state_is_found_in_clusters_that_are_asked() {
    let is_whole = |sample: &Sample| {
        let files = sample.files();
        let is_known = |file: &Path| {
            file.extension().is_some_and(|ext| ext == "json")
                || file.iter().nth(2).is_some_and(|folder| folder == "k8s")
        };
        sample.check.is_some() && files.iter().all(|file| is_known(file) && file.iter().count() > 3)
    };
    let samples: Vec<Sample> = readable_samples().into_iter().filter(|sample| is_whole(sample)).collect();
    assert!(samples.len() > 20, "samples of whole clusters are there: {}", samples.len());
    let broken = each(&samples, |sample| {
        let clusters = clusters(sample);
        let config = kubeconfig_file(&clusters.iter().collect::<Vec<_>>());
        let asking = asking(&clusters, config.path());
        let told = |args: &[&str]| {
            told_of_state(sample, &args.iter().copied().chain(asking.iter().map(String::as_str)).collect::<Vec<_>>())
        };
        let mut broken = Vec::new();
        let wanted: BTreeSet<&str> = sample.check.iter().flatten().map(String::as_str).collect();
        let (checks, _) = told(&["check"]);
        let failed: BTreeSet<&str> =
            checks.iter().filter(|(outcome, _)| outcome == "fail").map(|(_, cause)| &**cause).collect();
        if failed != wanted {
            broken.push(format!("check of {} must name {wanted:?} and says {checks:?}", sample.name));
        }
        for call in &sample.traces {
            let (_, cause) = told(&["trace", &call.from, &call.to]);
            let wanted = if call.stopped_by.is_empty() { "ok" } else { &call.stopped_by };
            if cause != wanted {
                broken.push(format!(
                    "{}: {} -> {} must name {wanted} and names {cause}",
                    sample.name, call.from, call.to
                ));
            }
        }
        broken
    });
    fail_if_any("check and trace of clusters that are asked", &broken.concat());
}
