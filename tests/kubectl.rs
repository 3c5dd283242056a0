//! The Kubernetes API of the tests, asked by a genuine kubectl.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use crate::common::kube_api::{Close, Failure, KubeApi, kubeconfig_file, pod};
use crate::common::peers;

/// A kubectl and the cluster that it asks.
struct Kubectl {
    program: PathBuf,
    api: KubeApi,
    config: NamedTempFile,
    home: TempDir,
}

impl Kubectl {
    /// None where no kubectl is found.
    fn of_a_cluster() -> Option<Kubectl> {
        let program = peers::kubectl()?;
        let api = KubeApi::start("west");
        // Where a pod is not found, kubectl looks whether its namespace is there.
        api.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sample"}}));
        api.apply(pod("sample", "web-1", &[("app", "web")], &["app", "istio-proxy"]));
        api.apply(pod("sample", "sleep-1", &[("app", "sleep")], &["app"]));
        let (config, home) = (kubeconfig_file(&[&api]), tempfile::tempdir().expect("a folder can be made"));
        Some(Kubectl { program, api, config, home })
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(self.config.path()).arg("--cache-dir").arg(self.home.path());
        // It refuses to read a kubeconfig of a user's own.
        command.env("HOME", self.home.path()).args(["--namespace=sample", "--request-timeout=30s"]).args(args);
        command.output().expect("it was found")
    }

    /// What it prints; it must succeed.
    fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (said, error) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{args:?}: {said}{error}");
        said
    }

    /// How it fails.
    fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(!output.status.success(), "{args:?}: {}", text(&output.stdout));
        text(&output.stderr)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_string()
}

#[test]
fn kubectl_reads_objects_by_name_label_and_field() {
    let Some(kubectl) = Kubectl::of_a_cluster() else { return };
    let version: Value = serde_json::from_str(&kubectl.says(&["version", "--output=json"])).expect("it prints JSON");
    assert_eq!(version["serverVersion"]["gitVersion"], "v1.33.1");
    assert_eq!(kubectl.says(&["get", "pods", "--output=name"]), "pod/sleep-1\npod/web-1");
    assert_eq!(kubectl.says(&["get", "pods", "--selector=app in (web)", "--output=name"]), "pod/web-1");
    assert_eq!(kubectl.says(&["get", "pods", "--field-selector=metadata.name=web-1", "--output=name"]), "pod/web-1");
    let containers = ["get", "pod", "web-1", "--output=jsonpath={.spec.containers[*].name}"];
    assert_eq!(kubectl.says(&containers), "app istio-proxy");
    let table = kubectl.says(&["get", "pods"]);
    assert!(table.starts_with("NAME") && table.contains("\nweb-1"), "{table}");
    assert_eq!(kubectl.says(&["get", "--raw", "/readyz"]), "ok");
    let kinds = kubectl.says(&["api-resources", "--output=name"]);
    assert!(kinds.lines().any(|kind| kind == "authorizationpolicies.security.istio.io"), "{kinds}");
    let missing = kubectl.fails(&["get", "pod", "web-2"]);
    assert_eq!(missing, "Error from server (NotFound): pods \"web-2\" not found");
}

#[test]
fn kubectl_reads_logs_of_a_container_of_its_last_lines_and_of_the_one_before() {
    let Some(kubectl) = Kubectl::of_a_cluster() else { return };
    for line in ["one", "two", "three"] {
        kubectl.api.log("sample", "web-1", "istio-proxy", line);
    }
    let logs = ["logs", "web-1", "--container=istio-proxy"];
    assert_eq!(kubectl.says(&logs), "one\ntwo\nthree");
    assert_eq!(kubectl.says(&[&logs[..], &["--tail=1"]].concat()), "three");
    assert_eq!(kubectl.says(&[&logs[..], &["--since=1h", "--limit-bytes=4"]].concat()), "one");
    let stamped = kubectl.says(&[&logs[..], &["--timestamps", "--tail=1"]].concat());
    assert!(stamped.ends_with("Z three") && stamped.starts_with("20"), "{stamped}");
    let before = [&logs[..], &["--previous"]].concat();
    assert!(
        kubectl.fails(&before).contains("previous terminated container \"istio-proxy\" in pod \"web-1\" not found")
    );
    kubectl.api.restart_container("sample", "web-1", "istio-proxy");
    kubectl.api.log("sample", "web-1", "istio-proxy", "four");
    assert_eq!(kubectl.says(&before), "one\ntwo\nthree");
    assert_eq!(kubectl.says(&logs), "four");
    let other = kubectl.fails(&["logs", "web-1", "--container=other"]);
    assert!(other.contains("container other is not valid for pod web-1"), "{other}");
}

#[test]
fn kubectl_asks_what_it_may_and_is_refused_what_it_may_not() {
    let Some(kubectl) = Kubectl::of_a_cluster() else { return };
    kubectl.api.forbid("list secrets");
    kubectl.api.forbid("get pods/log");
    assert_eq!(kubectl.says(&["auth", "can-i", "list", "pods"]), "yes");
    assert_eq!(kubectl.says(&["auth", "can-i", "get", "pods", "--subresource=exec"]), "yes");
    for refused in [&["list", "secrets"][..], &["get", "pods", "--subresource=log"]] {
        let output = kubectl.run(&[&["auth", "can-i"], refused].concat());
        assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("no", Some(1)), "{refused:?}");
    }
    let secrets = kubectl.fails(&["get", "secrets"]);
    let why = "Error from server (Forbidden): secrets is forbidden: User \"system:serviceaccount:istio-system:mesh-reader\" \
               cannot list resource \"secrets\" in API group \"\" in the namespace \"sample\"";
    assert_eq!(secrets, why);
    kubectl.api.revoke_token();
    assert!(kubectl.fails(&["get", "pods"]).contains("You must be logged in to the server"), "401 is told as such");
}

#[test]
fn kubectl_tells_a_server_that_fails_as_one() {
    let Some(kubectl) = Kubectl::of_a_cluster() else { return };
    assert_eq!(kubectl.says(&["get", "pods", "--output=name"]), "pod/sleep-1\npod/web-1");
    kubectl.api.fail("list pods", 1, Failure::Status(500));
    assert!(kubectl.fails(&["get", "pods"]).contains("etcdserver: request timed out"));
    kubectl.api.fail("list pods", 1, Failure::Busy { retry_after: 1 });
    assert_eq!(kubectl.says(&["get", "pods", "--output=name"]), "pod/sleep-1\npod/web-1", "it waits and asks again");
    assert_eq!(kubectl.api.asked("list pods").iter().filter(|asked| asked.status == Some(429)).count(), 1);
    kubectl.api.compact();
    kubectl
        .api
        .apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "sample"}}));
    assert_eq!(kubectl.says(&["get", "configmaps", "--output=name"]), "configmap/a");
    kubectl.api.stop(Close::Reset);
    assert!(kubectl.fails(&["get", "pods"]).contains("refused"));
}
