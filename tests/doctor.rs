//! `doctor`: what may be read in clusters, and what is refused.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::common::kube_api::{Close, Failure, KubeApi, kubeconfig_file, pod};
use crate::common::meshwhy;

fn cluster(name: &str) -> KubeApi {
    let api = KubeApi::start(name);
    api.apply(pod("istio-system", "istiod-1", &[("app", "istiod")], &["discovery"]));
    api.apply(pod("istio-system", "ztunnel-a", &[("app", "ztunnel")], &["istio-proxy"]));
    api.apply(pod("shop", "cart-1", &[("app", "cart")], &["cart", "istio-proxy"]));
    api.log("istio-system", "istiod-1", "discovery", "2026-03-01T10:00:00Z\tinfo\tall is well");
    api.serve("istio-system", "istiod-1", 15014, |_| (200, "{}".to_string()));
    api
}

fn doctor(clusters: &[&KubeApi], args: &[&str]) -> Output {
    let config = kubeconfig_file(clusters);
    let mut command = meshwhy();
    command.arg("doctor").arg(format!("--kubeconfig={}", config.path().display())).args(args);
    command.args(clusters.iter().map(|api| format!("--context={}", api.name())));
    command.output().expect("the program starts")
}

fn records(run: &Output) -> Vec<Value> {
    let said = String::from_utf8(run.stdout.clone()).expect("text");
    said.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

/// Verb and resource of what is so.
fn permissions(records: &[Value], permitted: &str) -> Vec<String> {
    let of = records.iter().filter(|record| record["type"] == "permission" && record["permitted"] == permitted);
    of.map(|record| format!("{} {}", record["verb"], record["resource"]).replace('"', "")).collect()
}

#[test]
fn a_cluster_that_permits_all_is_said_to_in_both_formats() {
    let east = cluster("east");
    let run = doctor(&[&east], &[]);
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert_eq!(run.status.code(), Some(0), "{said}");
    assert!(said.starts_with("east: answers, v1.33.1\n"), "{said}");
    assert!(said.contains("Istio is installed, the Gateway API is installed"), "{said}");
    assert!(said.contains("1 istiod, 0 gateways, 0 waypoints, 1 ztunnel, 0 CNI agents, 1 sidecar"), "{said}");
    assert!(!said.contains("may not") && !said.contains(&east.token()), "{said}");

    let run = doctor(&[&east], &["--output=ndjson"]);
    let records = records(&run);
    assert_eq!(records[0]["type"], "cluster");
    assert!(permissions(&records, "yes").contains(&"get pods/portforward".to_string()));
    assert_eq!(permissions(&records, "no"), Vec::<String>::new());
    let schema = meshwhy().arg("schema").output().expect("the program starts").stdout;
    let schema: Value = serde_json::from_slice(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for record in &records {
        assert!(validator.is_valid(record), "{record}");
    }
}

#[test]
fn what_is_refused_is_told_with_what_it_costs_and_the_rule_to_add() {
    let (east, west) = (cluster("east"), cluster("west"));
    east.forbid("* secrets");
    east.forbid("* pods/portforward");
    east.forbid("watch gateways.gateway.networking.k8s.io");
    east.uninstall("networking.istio.io");
    let run = doctor(&[&east, &west], &[]);
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("Istio is not installed"), "{said}");
    for line in [
        "may not   list and watch secrets",
        "may not   list and watch secrets cacerts in istio-system",
        "may not   get pods/portforward",
        "may not   watch gateways.gateway.networking.k8s.io",
        "resources: [pods/portforward]",
        "verbs: [get, create]",
        "resourceNames: [cacerts]",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.contains("remote-secret-missing") && said.contains("remote-secrets"), "{said}");
    assert!(said.contains("west: answers"), "{said}");
    let records = records(&doctor(&[&east, &west], &["--output=ndjson"]));
    let refused = permissions(&records, "no");
    assert_eq!(refused.len(), 6, "{refused:?}");
    let secrets = records.iter().find(|record| record["resource"] == "secrets" && record["permitted"] == "no");
    let causes = secrets.expect("it is refused")["causes"].to_string();
    assert!(causes.contains("remote-secret-missing"), "{causes}");
}

#[test]
fn who_may_not_list_pods_is_told_how_much_is_lost_and_not_all_of_it() {
    let east = cluster("east");
    east.forbid("* pods");
    let said = String::from_utf8(doctor(&[&east], &[]).stdout).expect("text");
    assert!(said.contains("cannot be told: pods may not be listed"), "{said}");
    let all = meshwhy::causes::ALL.len();
    assert!(said.contains(&format!(" of {all}\n")), "{said}");
    assert!(said.len() < 2_000, "{said}");
}

#[test]
fn where_reviews_are_refused_it_is_tried() {
    let east = cluster("east");
    east.forbid("create selfsubjectaccessreviews");
    east.forbid("* secrets");
    east.forbid("* pods/log");
    east.forbid("* pods/portforward");
    east.uninstall("security.istio.io");
    let records = records(&doctor(&[&east], &["--output=ndjson"]));
    let mut refused = permissions(&records, "no");
    refused.sort();
    let wanted =
        ["get pods/log", "get pods/portforward", "list secrets", "list secrets", "watch secrets", "watch secrets"];
    assert_eq!(refused, wanted);
    assert_eq!(permissions(&records, "unknown"), Vec::<String>::new());
    assert!(
        east.asked("* *").iter().all(|asked| asked.method == "GET" || asked.resource == "selfsubjectaccessreviews")
    );
}

#[test]
fn a_cluster_that_does_not_answer_stops_no_other_and_nothing_at_all_is_an_error() {
    let (east, west) = (cluster("east"), cluster("west"));
    west.stop(Close::Reset);
    let run = doctor(&[&east, &west], &["--timeout=5s"]);
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("west cannot be reached") && said.contains("east: answers"), "{said}");
    east.revoke_token();
    let run = doctor(&[&east, &west], &["--timeout=5s"]);
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(said.contains("does not accept the credentials (401)"), "{said}");
    west.restart();
    west.fail("* *", 2, Failure::Status(503));
    assert_eq!(doctor(&[&west], &[]).status.code(), Some(0), "what passes is waited for");
}

/// Only pods and their logs.
fn permit_only_pods(api: &KubeApi) {
    for resource in [
        "secrets",
        "services",
        "namespaces",
        "nodes",
        "events",
        "configmaps",
        "endpointslices",
        "deployments",
        "daemonsets",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
        "gateways",
        "gatewayclasses",
        "destinationrules",
        "serviceentries",
        "workloadentries",
        "sidecars",
        "peerauthentications",
        "authorizationpolicies",
        "networkpolicies",
        "pods/portforward",
    ] {
        api.forbid(&format!("* {resource}"));
    }
}

#[test]
fn tail_that_may_only_read_pods_and_their_logs_still_names_what_lines_show() {
    let east = cluster("east");
    permit_only_pods(&east);
    let config = kubeconfig_file(&[&east]);
    let mut tail = meshwhy()
        .args(["tail", "--context=east", "--output=ndjson"])
        .arg(format!("--kubeconfig={}", config.path().display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    east.wait_for("get pods/log", 1);
    let line = format!(
        "{:.6}\terror\twatch error in cluster west: failed to list *v1.Pod: Get \
         \"https://10.64.3.2:443/api/v1/pods?limit=500\": dial tcp 10.64.3.2:443: i/o timeout",
        Timestamp::now()
    );
    east.log("istio-system", "istiod-1", "discovery", line);
    let lines = BufReader::new(tail.stdout.take().expect("it was asked for")).lines();
    let found = lines.map_while(Result::ok).find(|line| line.contains("remote-api-unreachable"));
    let _ = tail.kill();
    let _ = tail.wait();
    let found: Value = serde_json::from_str(&found.expect("it is named")).expect("a record");
    assert_eq!(found["clusters"], json!(["east", "west"]));
}
