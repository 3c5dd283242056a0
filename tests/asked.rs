//! `check` and `trace` of clusters that are asked while they run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use meshwhy::doctor::causes_without;
use meshwhy::inputs::kube::review;
use serde_json::{Value, json};

use crate::common::kube_api::{Close, Failure, KubeApi, kubeconfig_file};
use crate::common::{Random, Sample, each, fail_if_any, readable_samples, seed, told_of_state};

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

/// Samples of which every cluster's objects are saved whole.
fn whole_samples() -> Vec<Sample> {
    let is_known = |file: &Path| {
        file.extension().is_some_and(|ext| ext == "json") || file.iter().nth(2).is_some_and(|folder| folder == "k8s")
    };
    let is_whole = |sample: &Sample| {
        sample.check.is_some() && sample.files().iter().all(|file| is_known(file) && file.iter().count() > 3)
    };
    readable_samples().into_iter().filter(is_whole).collect()
}

fn sample(name: &str) -> Sample {
    whole_samples().into_iter().find(|sample| sample.name == name).expect("it is a sample of whole clusters")
}

/// What a check or a trace says fails: slugs of causes, or IDs of checks.
fn failed(sample: &Sample, args: &[&str]) -> BTreeSet<String> {
    let (told, _) = told_of_state(sample, args);
    told.into_iter().filter(|(outcome, _)| outcome == "fail").map(|(_, cause)| cause).collect()
}

#[test]
fn what_is_found_in_saved_state_is_found_in_clusters_that_are_asked() {
    let samples = whole_samples();
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
        let checked: Vec<&str> = ["check"].into_iter().chain(asking.iter().map(String::as_str)).collect();
        let failed = failed(sample, &checked);
        if !failed.iter().map(String::as_str).eq(wanted.iter().copied()) {
            broken.push(format!("check of {} must name {wanted:?} and names {failed:?}", sample.name));
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

/// Everything that may be refused: resource and group, as a pattern.
fn refusals() -> BTreeSet<(String, String, String)> {
    let pattern = |resource: &str, group: &str| match (resource.split_once('/'), group) {
        (_, "") => format!("* {resource}"),
        (Some((resource, part)), group) => format!("* {resource}.{group}/{part}"),
        (None, group) => format!("* {resource}.{group}"),
    };
    let needed = review::needed("istio-system").into_iter();
    needed.map(|need| (pattern(&need.resource, &need.group), need.resource, need.group)).collect()
}

#[test]
fn who_may_read_less_is_told_less_and_nothing_false_and_doctor_says_what() {
    let samples = whole_samples();
    let healthy: Vec<&Sample> = samples.iter().filter(|sample| sample.check == Some(Vec::new())).collect();
    let broken: Vec<&Sample> = samples.iter().filter(|sample| sample.check != Some(Vec::new())).collect();
    let seed = seed();
    let mut random = Random(seed);
    let runs: Vec<(&Sample, (String, String, String))> = refusals()
        .into_iter()
        .flat_map(|refusal| {
            [(healthy[random.below(healthy.len())], refusal.clone()), (broken[random.below(broken.len())], refusal)]
        })
        .collect();
    let wrong = each(&runs, |(sample, (pattern, resource, group))| {
        let clusters = clusters(sample);
        clusters.iter().for_each(|api| api.forbid(pattern));
        let config = kubeconfig_file(&clusters.iter().collect::<Vec<_>>());
        let asking = asking(&clusters, config.path());
        let args: Vec<&str> = ["check"].into_iter().chain(asking.iter().map(String::as_str)).collect();
        let failed = failed(sample, &args);
        let wanted: BTreeSet<String> = sample.check.iter().flatten().cloned().collect();
        let told = causes_without(resource, group);
        let lost = wanted.difference(&failed).filter(|slug| !told.contains(slug.as_str())).cloned().collect::<Vec<_>>();
        let is_false = wanted.is_empty() && !failed.is_empty();
        let what = format!("{} without {pattern:?} (seed {seed})", sample.name);
        let blame = is_false.then(|| format!("{what}: falsely {failed:?}"));
        let untold = (!lost.is_empty()).then(|| format!("{what}: doctor does not tell of {lost:?}"));
        blame.into_iter().chain(untold).collect::<Vec<_>>()
    });
    fail_if_any("less permission", &wrong.concat());
}

#[test]
fn a_cluster_that_does_not_answer_is_said_and_nobody_is_blamed_for_it() {
    let sample = sample("state-healthy-multi-primary");
    for way in ["gone", "silent", "refusing", "busy"] {
        let clusters = clusters(&sample);
        let west = clusters.iter().find(|api| api.name() == "west").expect("it has one");
        match way {
            "gone" => west.stop(Close::Reset),
            "silent" => west.silence(),
            "refusing" => west.revoke_token(),
            _ => west.fail("* *", 1_000, Failure::Busy { retry_after: 1 }),
        }
        let config = kubeconfig_file(&clusters.iter().collect::<Vec<_>>());
        let asking = asking(&clusters, config.path());
        let run = |args: &[&str]| {
            let run = sample.run(&args.iter().copied().chain(asking.iter().map(String::as_str)).collect::<Vec<_>>());
            let said = String::from_utf8(run.stdout).expect("text");
            let records: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
            (records, String::from_utf8(run.stderr).expect("text"), run.status.code())
        };
        let (records, error, code) = run(&["check", "--timeout=3s"]);
        assert!(error.contains("west"), "{way}: {error}");
        assert_eq!(code, Some(2), "{way}: {error}");
        let of = |outcome: &str| records.iter().filter(|record| record["outcome"] == outcome).count();
        assert_eq!(of("fail"), 0, "{way}: {records:#?}");
        assert!(of("pass") > 5, "{way}: the other cluster is judged: {records:#?}");
        let (records, error, code) = run(&["trace", "east/sleep.sample", "helloworld.sample:5000", "--timeout=3s"]);
        assert_eq!(code, Some(2), "{way}: {error}");
        let hops = records.iter().filter_map(|record| record["hops"].as_array()).flatten();
        let failed: Vec<&Value> = hops.filter(|hop| hop["outcome"] == "fail").collect();
        assert!(failed.is_empty(), "{way}: {failed:?}");
        assert!(!error.contains(&west.token()) || west.token().is_empty(), "no token is printed");
    }
}
