//! A genuine Envoy between two clusters, configured by the xDS server of the tests and broken on purpose: what meshwhy
//! reads in its logs and behind its admin port.

use std::fs;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::envoy::config::{
    AccessFormat, bad_listener, certificate_secret, cluster, endpoints, inbound_listener, outbound_listener,
    root_secret, routes, secured_cluster,
};
use crate::common::envoy::{Envoy, Nobody, application};
use crate::common::meshwhy;
use crate::common::tls::Authority;
use crate::common::xds_server::{CLUSTER, ENDPOINTS, Form, LISTENER, ROUTES, SECRET, XdsServer};
use crate::live::Running;

const WEB: &str = "outbound|80||web.sample.svc.cluster.local";
const API: &str = "outbound|80||api.sample.svc.cluster.local";
const INBOUND: &str = "inbound|8080||";
const LISTENS: &str = "0.0.0.0_80";

/// A caller in one cluster, the service that it calls in another one, each with its own istiod.
struct Mesh {
    folder: TempDir,
    east: XdsServer,
    west: XdsServer,
    caller: Envoy,
    called: Envoy,
    root: Authority,
    format: AccessFormat,
    /// Where the endpoints of `api` are.
    _nobody: Nobody,
}

impl Mesh {
    /// A mesh in order; none where no Envoy is found.
    fn start(form: Form, format: AccessFormat) -> Option<Mesh> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (east, west) = (XdsServer::plaintext(), XdsServer::plaintext());
        let (root, nobody) = (Authority::of_mesh("cluster.local"), Nobody::new());
        let place = |cluster: &str, pod: &str| folder.path().join(cluster).join("sample").join(pod);
        let caller = Envoy::start(&place("east", "sleep-1"), &east, form)?;
        let called = Envoy::start(&place("west", "web-1"), &west, form)?;
        let mesh = Mesh { folder, east, west, caller, called, root, format, _nobody: nobody };
        mesh.give_certificates(&mesh.root);
        let application = application();
        mesh.west.change(|west| {
            west.set(CLUSTER, INBOUND, &cluster(INBOUND));
            west.set(ENDPOINTS, INBOUND, &endpoints(INBOUND, &[application]));
            west.set(LISTENER, "virtualInbound", &inbound_listener(INBOUND, None, format));
        });
        let web = mesh.called.listener("virtualInbound");
        let hosts = [("web.sample", WEB), ("api.sample", API)];
        mesh.east.change(|east| {
            let sni = "outbound_.80_._.web.sample.svc.cluster.local";
            east.set(CLUSTER, WEB, &secured_cluster(WEB, sni, "spiffe://cluster.local/ns/sample/sa/web"));
            east.set(CLUSTER, API, &cluster(API));
            east.set(ENDPOINTS, WEB, &endpoints(WEB, &[web]));
            east.set(ENDPOINTS, API, &endpoints(API, &[mesh._nobody.address()]));
            east.set(ROUTES, "80", &routes("80", &hosts));
            east.set(LISTENER, LISTENS, &outbound_listener(LISTENS, "80", format));
        });
        mesh.wait_until_told();
        Some(mesh)
    }

    /// The caller's certificate and root are of its cluster's authority; those of the called of this one.
    fn give_certificates(&self, of_west: &Authority) {
        let give = |istiod: &XdsServer, authority: &Authority, account: &str| {
            let identity = authority.workload(&format!("spiffe://cluster.local/ns/sample/sa/{account}"));
            istiod.change(|told| {
                told.set(SECRET, "default", &certificate_secret(&identity));
                told.set(SECRET, "ROOTCA", &root_secret(authority));
            });
        };
        give(&self.east, &self.root, "sleep");
        give(&self.west, of_west, "web");
    }

    fn wait_until_told(&self) {
        self.east.wait_until_told();
        self.west.wait_until_told();
    }

    /// A policy denies a path of the called.
    fn deny(&self, path: &str) {
        let policy = ("ns[sample]-policy[deny-admin]-rule[0]", path);
        self.west.set(LISTENER, "virtualInbound", &inbound_listener(INBOUND, Some(policy), self.format));
        self.west.wait_until_told();
    }

    /// The caller is told a listener that it refuses; gives its words.
    fn reject(&self) -> String {
        self.east.set(LISTENER, "0.0.0.0_443", &bad_listener("0.0.0.0_443", self.format));
        let refused = self.east.wait_for("a refused listener", 1, |asked| asked.refuses(LISTENER)).remove(0);
        refused.error.map(|(_, words)| words).unwrap_or_default()
    }

    fn call(&self, host: &str, path: &str) -> u16 {
        self.caller.call(LISTENS, host, path)
    }

    /// What a command says of all that was logged and saved, record by record.
    fn records(&self, command: &str) -> Vec<Value> {
        let said = meshwhy().args([command, "--output=ndjson"]).arg(self.folder.path()).output().expect("it runs");
        let said = String::from_utf8(said.stdout).expect("it prints text");
        said.lines().map(|line| serde_json::from_str(line).expect("it prints JSON")).collect()
    }

    fn summary(&self, command: &str) -> Value {
        self.records(command).pop().expect("it prints a summary")
    }
}

/// Runs a test with each form of xDS and each format of access lines once.
fn in_each_form(test: impl Fn(Mesh)) {
    for (form, format) in [(Form::Delta, AccessFormat::Text), (Form::Sotw, AccessFormat::Json)] {
        let Some(mesh) = Mesh::start(form, format) else { return };
        test(mesh);
    }
}

#[test]
fn of_a_healthy_envoy_every_line_is_understood_and_nothing_is_named() {
    in_each_form(|mesh| {
        assert_eq!(mesh.call("web.sample", "/"), 200);
        mesh.caller.wait_for_log("via_upstream");
        mesh.called.wait_for_log("via_upstream");
        mesh.caller.save_state();
        mesh.called.save_state();
        for command in ["replay", "check"] {
            let summary = mesh.summary(command);
            assert_eq!(summary["causes"], json!([]), "{summary:#}");
            assert_eq!(summary["notes"], json!([]), "{summary:#}");
            assert_eq!(summary["not_understood"], 0, "{summary:#}");
            assert_eq!(summary["documents"], 12, "{summary:#}");
        }
    });
}

#[test]
fn tail_names_what_breaks_a_real_envoy_and_says_when_it_is_repaired() {
    in_each_form(|mesh| {
        let mut tail = Running::start(meshwhy().args(["tail", "--output=ndjson"]).arg(mesh.folder.path()));

        mesh.give_certificates(&Authority::of_mesh("cluster.local"));
        mesh.wait_until_told();
        assert_eq!(mesh.call("web.sample", "/"), 503);
        let finding = tail.until("root-of-trust-mismatch");
        assert!(finding.contains(r#""stage":"opened""#) && finding.contains("web.sample"), "{finding}");
        mesh.give_certificates(&mesh.root);
        mesh.wait_until_told();
        assert_eq!(mesh.call("web.sample", "/"), 200);
        let finding = tail.until("root-of-trust-mismatch");
        assert!(finding.contains(r#""stage":"resolved""#), "{finding}");

        assert_eq!(mesh.call("api.sample", "/"), 503);
        let finding = tail.until("upstream-not-listening");
        assert!(finding.contains("api.sample"), "{finding}");

        mesh.deny("/admin");
        // Connections of before end with their next answer.
        assert!((0..5).any(|_| mesh.call("web.sample", "/admin") == 403));
        let finding = tail.until("authz-denied");
        assert!(finding.contains("sample/deny-admin"), "{finding}");

        let words = mesh.reject();
        assert!(words.contains("0.0.0.0_443"), "{words}");
        let finding = tail.until("xds-rejected");
        assert!(finding.contains("0.0.0.0_443"), "{finding}");
    });
}

#[test]
fn of_a_broken_envoy_its_admin_port_alone_says_why() {
    in_each_form(|mesh| {
        mesh.give_certificates(&Authority::of_mesh("cluster.local"));
        mesh.wait_until_told();
        assert_eq!(mesh.call("web.sample", "/"), 503);
        mesh.reject();
        mesh.caller.save_state();
        mesh.called.save_state();
        for pod in ["east/sample/sleep-1", "west/sample/web-1"] {
            fs::remove_file(mesh.folder.path().join(pod).join("istio-proxy.log")).expect("it is there");
        }
        let summary = mesh.summary("check");
        assert_eq!(summary["causes"], json!(["root-of-trust-mismatch", "xds-rejected"]), "{summary:#}");
    });
}

#[test]
fn of_a_broken_envoy_check_asks_the_admin_port_itself() {
    let Some(mesh) = Mesh::start(Form::Delta, AccessFormat::Text) else { return };
    mesh.give_certificates(&Authority::of_mesh("cluster.local"));
    mesh.wait_until_told();
    mesh.reject();
    let caller = format!("--envoy-admin=east/sample/sleep-1={}", mesh.caller.admin_url());
    let called = format!("--envoy-admin=west/sample/web-1={}", mesh.called.admin_url());
    let said = meshwhy().args(["check", "--output=ndjson", &caller, &called]).output().expect("it runs");
    let said = String::from_utf8(said.stdout).expect("it prints text");
    let summary: Value = serde_json::from_str(said.lines().last().expect("a summary")).expect("it prints JSON");
    assert_eq!(summary["causes"], json!(["root-of-trust-mismatch", "xds-rejected"]), "{said}");
}

#[test]
fn what_an_envoy_says_of_a_refused_listener_is_the_same_cause_in_the_log_of_its_istiod() {
    in_each_form(|mesh| {
        let words = mesh.reject();
        let place = mesh.folder.path().join("east/istio-system/istiod-1");
        fs::create_dir_all(&place).expect("folders can be made");
        let said =
            format!("{:.6}\twarn\tdelta\tADS:LDS: ACK ERROR sleep-1.sample-12 Internal:{words}\n", Timestamp::now());
        fs::write(place.join("discovery.log"), said).expect("it can be written");
        mesh.caller.wait_for_log("0.0.0.0_443");
        let mut records = mesh.records("replay");
        assert_eq!(records.pop().expect("it prints a summary")["causes"], json!(["xds-rejected"]));
        let because = records.pop().expect("it prints a finding")["because"].to_string();
        assert!(because.contains("discovery.log") && because.contains("istio-proxy.log"), "{because}");
    });
}
