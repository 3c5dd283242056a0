//! What installs the program: permissions, a Deployment, the kubectl plugin.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use meshwhy::inputs::kube::review::needed;
use serde_json::{Value, json};

use crate::common::{meshwhy, root};

/// The documents of a file in `deploy/`.
fn documents(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(root().join("deploy").join(file)).expect("it can be read");
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).expect(file)).collect()
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(String::from).collect()
}

/// One resource of a rule.
struct Permitted {
    group: String,
    resource: String,
    verbs: BTreeSet<String>,
}

/// What all roles permit.
fn rules() -> Vec<Permitted> {
    let documents = documents("rbac.yaml");
    let rules = documents.iter().filter_map(|document| document["rules"].as_array()).flatten();
    let mut all = Vec::new();
    for rule in rules {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                all.push(Permitted { group: group.clone(), resource, verbs: texts(&rule["verbs"]) });
            }
        }
    }
    all
}

#[test]
fn the_roles_permit_exactly_what_is_asked_for_and_nothing_that_writes() {
    let asked: BTreeSet<(String, String)> =
        needed("istio-system").into_iter().map(|need| (need.group, need.resource)).collect();
    let permitted: BTreeSet<(String, String)> = rules().into_iter().map(|rule| (rule.group, rule.resource)).collect();
    assert_eq!(permitted, asked);
    for Permitted { group, resource, verbs } in rules() {
        let allowed = match &*resource {
            "pods/log" => vec!["get"],
            // Neither makes anything: it is how a port is forwarded.
            "pods/portforward" => vec!["get", "create"],
            _ => vec!["get", "list", "watch"],
        };
        let allowed: BTreeSet<String> = allowed.into_iter().map(String::from).collect();
        assert_eq!(verbs, allowed, "{resource} of {group:?}");
        assert!(!resource.contains('*') && !group.contains('*'));
    }
}

#[test]
fn what_is_more_than_reading_is_bound_by_hand_only() {
    let documents = documents("rbac.yaml");
    let bound: BTreeSet<&str> = documents.iter().filter_map(|document| document["roleRef"]["name"].as_str()).collect();
    assert_eq!(bound, BTreeSet::from(["meshwhy"]));
    for document in documents.iter().filter(|document| document["metadata"]["name"] == "meshwhy") {
        for rule in document["rules"].as_array().into_iter().flatten() {
            let resources = texts(&rule["resources"]);
            assert!(!resources.contains("pods/portforward"));
            if resources.contains("secrets") {
                assert_eq!((&document["kind"], &rule["resourceNames"]), (&json!("Role"), &json!(["cacerts"])));
            }
        }
    }
}

#[test]
fn the_deployment_runs_without_privileges_and_with_flags_that_exist() {
    let documents = documents("deployment.yaml");
    let pod = &documents[0]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let security = &container["securityContext"];
    assert_eq!((&security["readOnlyRootFilesystem"], &security["privileged"]), (&json!(true), &json!(false)));
    assert_eq!(
        (&security["allowPrivilegeEscalation"], &security["capabilities"]["drop"]),
        (&json!(false), &json!(["ALL"]))
    );
    assert!(container["resources"]["limits"]["memory"].is_string());
    let account = self::documents("rbac.yaml").into_iter().find(|document| document["kind"] == "ServiceAccount");
    assert_eq!(account.expect("it is there")["metadata"]["name"], pod["serviceAccountName"]);
    let args: Vec<&str> = container["args"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let text = fs::read_to_string(root().join("deploy/deployment.yaml")).expect("it can be read");
    let comments = text.lines().filter_map(|line| line.trim().strip_prefix("# - --"));
    let run = meshwhy().args([args[0], "--help"]).output().expect("the program starts");
    let help = String::from_utf8_lossy(&run.stdout).into_owned();
    for flag in args[1..].iter().map(|arg| arg.trim_start_matches("--")).chain(comments) {
        let name = flag.split('=').next().unwrap_or(flag);
        assert!(help.contains(&format!("--{name} ")), "{flag}");
    }
}

#[test]
fn the_manifest_of_krew_has_this_version_and_leaves_open_only_what_a_release_tells() {
    let documents = documents("krew.yaml");
    let spec = &documents[0]["spec"];
    assert_eq!(spec["version"], concat!("v", env!("CARGO_PKG_VERSION")));
    for platform in spec["platforms"].as_array().expect("a list") {
        assert_eq!(platform["bin"], "kubectl-meshwhy");
        for (key, value) in platform.as_object().expect("a map") {
            let is_open = value.to_string().contains("{{");
            assert_eq!(is_open, ["uri", "sha256"].contains(&key.as_str()), "{key}: {value}");
        }
    }
}

#[test]
fn as_a_plugin_of_kubectl_it_calls_itself_so() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let plugin = folder.path().join("kubectl-meshwhy");
    symlink(env!("CARGO_BIN_EXE_meshwhy"), &plugin).expect("it can be linked");
    let said = |command: &mut Command| {
        let run = command.output().expect("it starts");
        String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned()
    };
    let help = said(Command::new(&plugin).arg("--help"));
    assert!(help.contains("Usage: kubectl meshwhy <COMMAND>"), "{help}");
    assert!(help.contains("\n  kubectl meshwhy check --context east --context west\n"), "{help}");
    let help = said(Command::new(&plugin).args(["tail", "--help"]));
    assert!(help.contains("Usage: kubectl meshwhy tail"), "{help}");
    let error = said(Command::new(&plugin).arg("tale"));
    assert!(error.contains("Usage: kubectl meshwhy") && error.contains("'tail'"), "{error}");
    assert!(said(meshwhy().arg("--help")).contains("Usage: meshwhy <COMMAND>"));

    let is_found = Command::new("kubectl").args(["version", "--client"]).output().is_ok();
    if !is_found {
        let is_required = std::env::var("MESHWHY_REQUIRE_PEERS").is_ok_and(|value| value == "1");
        assert!(!is_required, "no kubectl");
        eprintln!("skipped: no kubectl");
        return;
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let help = said(
        Command::new("kubectl")
            .env("PATH", format!("{}:{path}", folder.path().display()))
            .args(["meshwhy", "doctor", "--help"]),
    );
    assert!(help.contains("Usage: kubectl meshwhy doctor"), "{help}");
}
