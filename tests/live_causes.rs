//! Causes that are named while they happen, in clusters that are asked while it happens, and resolved after repair.

use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::common::kube_api::{KubeApi, operator_config_file, pod};
use crate::common::{base64, meshwhy};
use crate::live::Running;

/// A second, and what a machine that has much else to do adds to it.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// The program, watching two clusters with credentials of its own.
fn tail(east: &KubeApi, west: &KubeApi) -> Watching {
    let config = operator_config_file(&[east, west]);
    let args = ["tail", "--context=east", "--context=west", "--output=ndjson", "--kubeconfig"];
    let program = Running::start(meshwhy().args(args).arg(config.path()).stderr(Stdio::null()));
    Watching { program, _config: config }
}

struct Watching {
    program: Running,
    _config: tempfile::NamedTempFile,
}

impl Watching {
    /// The next word about a cause, which must be of this stage.
    fn finding(&mut self, cause: &str, stage: &str) -> Value {
        loop {
            let line = self.program.until(r#""type":"finding""#);
            let finding: Value = serde_json::from_str(&line).expect("a record");
            if finding["cause"] == cause && finding["stage"] == stage {
                return finding;
            }
            assert!(finding["cause"] != cause || finding["stage"] == "updated", "{stage} is awaited: {line}");
        }
    }
}

#[test]
fn a_token_that_one_of_two_clusters_revokes_is_named_with_what_istiod_says_and_resolved_when_it_is_renewed() {
    let (east, west) = (KubeApi::start("east"), KubeApi::start("west"));
    east.apply(pod("istio-system", "istiod-1", &[("app", "istiod")], &["discovery"]));
    east.serve("istio-system", "istiod-1", 15014, |path| match path {
        "/debug/clusterz" => {
            let row = |id: &str, secret: &str| json!({"id": id, "secretName": secret, "syncStatus": "synced"});
            (200, json!([row("east", ""), row("west", "istio-system/istio-remote-secret-west")]).to_string())
        }
        _ => (404, "404 page not found\n".to_string()),
    });
    let links = || {
        let access = base64(west.kubeconfig().as_bytes());
        east.apply(json!({"apiVersion": "v1", "kind": "Secret", "data": {"west": access}, "metadata": {
            "name": "istio-remote-secret-west", "namespace": "istio-system", "labels": {"istio/multiCluster": "true"}}}));
    };
    let says = |level: &str, said: &str| {
        let line = format!("{:.6}\t{level}\t{said}", Timestamp::now());
        east.log("istio-system", "istiod-1", "discovery", line);
    };
    links();
    says("info", "Starting Istiod Server with primary cluster east");
    says("info", "Add cluster\tcluster=west secret=istio-system/istio-remote-secret-west");
    says("info", "kube\tkube controller for west synced after 611.302ms");
    let mut tail = tail(&east, &west);
    east.wait_for("get pods/log", 1);
    // One is asked after the other: what this istiod knows of its clusters has arrived by then.
    east.wait_for("tunnel /debug/networkz", 1);

    let revoked = west.token();
    west.revoke_token();
    for what in ["*v1.Pod", "*v1.Service", "*v1.EndpointSlice"] {
        says("error", &format!("watch error in cluster west: failed to list {what}: Unauthorized"));
    }
    let opened = tail.finding("remote-api-unauthorized", "opened");
    assert_eq!((&opened["subject"], &opened["clusters"]), (&json!("east -> west"), &json!(["east", "west"])));
    let quotes = opened["because"].to_string();
    assert!(quotes.contains("failed to list *v1.Pod: Unauthorized"), "{opened}");
    let answered = "cluster west of secret istio-system/istio-remote-secret-west: synced";
    assert!(quotes.contains(answered), "what istiod answers is told with what it prints: {opened}");

    west.rotate_token();
    links();
    says("info", "Update cluster\tcluster=west secret=istio-system/istio-remote-secret-west");
    says("info", "kube\tkube controller for west synced after 511.302ms");
    let resolved = tail.finding("remote-api-unauthorized", "resolved");
    for secret in [revoked, west.token()] {
        assert!(!resolved.to_string().contains(&secret), "no token is printed");
    }
}

/// What a ztunnel of east holds of a service that runs in west.
fn dump(network_of_west: &str) -> String {
    let workload = |cluster: &str, name: &str, network: &str, address: &str| {
        let uid = format!("{cluster}//Pod/shop/{name}");
        json!({
            "uid": uid, "clusterId": cluster, "name": name, "namespace": "shop", "network": network,
            "networkMode": "Standard", "protocol": "HBONE", "serviceAccount": "cart", "status": "Healthy",
            "trustDomain": "cluster.local", "workloadIps": [address], "workloadName": name, "workloadType": "deployment",
        })
    };
    let mut cart = workload("west", "autogen.west.shop.cart", network_of_west, "240.240.0.3");
    cart["networkGateway"] = json!({"destination": "west/198.51.100.40", "hboneMtlsPort": 15008});
    json!({
        "config": {"clusterId": "east", "network": "east", "localNode": "node-1", "proxyMode": "Shared"},
        "services": [], "policies": [], "certificates": [], "version": {"istioVersion": "1.28.2"},
        "workloadState": {"uid-0": {"info": {"name": "web-1", "namespace": "shop", "serviceAccount": "web"}, "state": "Up"}},
        "workloads": [workload("east", "web-1", "east", "10.61.0.8"), cart],
    })
    .to_string()
}

#[test]
fn a_wrong_network_is_named_by_the_dump_of_the_one_ztunnel_that_times_out_and_resolved_when_its_calls_arrive() {
    let (east, west) = (KubeApi::start("east"), KubeApi::start("west"));
    let is_repaired = Arc::new(AtomicBool::new(false));
    for name in ["ztunnel-a", "ztunnel-b"] {
        for api in [&east, &west] {
            let is_repaired = Arc::clone(&is_repaired);
            api.apply(pod("istio-system", name, &[("app", "ztunnel")], &["istio-proxy"]));
            api.serve("istio-system", name, 15000, move |_| {
                (200, dump(if is_repaired.load(Ordering::Relaxed) { "west" } else { "east" }))
            });
        }
    }
    let says = |level: &str, to: &str, ended: &str| {
        let line = format!(
            "{:.6}\t{level}\taccess\tconnection complete\tsrc.addr=10.61.0.8:40112 src.workload=\"web-1\" \
             src.namespace=\"shop\" src.identity=\"spiffe://cluster.local/ns/shop/sa/web\" {to} \
             dst.service=\"cart.shop.svc.cluster.local\" direction=\"outbound\" {ended}",
            Timestamp::now()
        );
        east.log("istio-system", "ztunnel-b", "istio-proxy", line);
    };
    let mut tail = tail(&east, &west);
    east.wait_for("get pods/log", 2);
    let asked = || [&east, &west].map(|api| api.asked("tunnel *")).concat();
    assert!(asked().is_empty(), "proxies that are in order are left alone: {:?}", asked());

    says(
        "error",
        "dst.addr=240.240.0.3:15008 dst.hbone_addr=240.240.0.3:9080",
        "bytes_sent=0 bytes_recv=0 duration=\"10001ms\" error=\"connection timed out, maybe a NetworkPolicy is blocking \
         HBONE port 15008: deadline has elapsed\"",
    );
    let opened = tail.finding("network-label-wrong", "opened");
    assert_eq!((&opened["subject"], &opened["confidence"]), (&json!("east and west"), &json!("certain")), "{opened}");
    assert!(opened["because"].to_string().contains("east/istio-system/ztunnel-b/config_dump"), "{opened}");
    let asked = asked();
    let of: Vec<_> = asked.iter().map(|asked| (asked.name.as_deref(), asked.path.as_str())).collect();
    assert_eq!(of, [(Some("ztunnel-b"), "/config_dump")], "exactly the one that fails is asked");

    is_repaired.store(true, Ordering::Relaxed);
    // From now on the service is called through the gateway: nobody ever reaches the address that was dialled.
    says(
        "info",
        "dst.addr=198.51.100.40:15008 dst.hbone_addr=cart.shop.svc.cluster.local:9080 dst.workload=\"eastwest-1\" \
         dst.namespace=\"istio-system\"",
        "bytes_sent=210 bytes_recv=980 duration=\"6ms\"",
    );
    tail.finding("network-label-wrong", "resolved");
}

#[test]
fn an_interrupt_ends_a_watch_at_once_whose_cluster_hangs() {
    let east = KubeApi::start("east");
    east.silence();
    let config = operator_config_file(&[&east]);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let line = format!(
        "{:.6}\terror\twatch error in cluster west: failed to list *v1.Pod: Get \"https://10.64.3.2:443/api/v1/pods\": \
         dial tcp 10.64.3.2:443: i/o timeout\n",
        Timestamp::now()
    );
    fs::write(folder.path().join("istiod.log"), line).expect("it can be written");
    let args = ["tail", "--context=east", "--output=ndjson", "--kubeconfig"];
    let command = &mut meshwhy();
    command.args(args).arg(config.path()).arg(folder.path()).stderr(Stdio::null());
    let mut program = Running::start(command);
    program.until("remote-api-unreachable");
    let begun = Instant::now();
    let said = program.interrupt();
    assert!(begun.elapsed() < ENDS_WITHIN, "it took {:?}", begun.elapsed());
    assert!(said.iter().any(|line| line.contains(r#""type":"summary""#)), "{said:?}");
}
