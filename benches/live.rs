//! What `meshwhy tail` costs: `cargo bench --bench live`, or `-- load`, `-- quiet`, `-- pods` for one of them.
//!
//! The clusters live in this process, as the Kubernetes API of the tests, over TLS; the program runs in another, so that
//! its CPU time and memory are its own. CPU time says more than the clock where the machine has other work.
//! `MESHWHY_BENCH_SECONDS` sets how long lines are printed (20 where unset).

#[allow(dead_code, unused_imports, reason = "the tests use all of it")]
#[path = "../tests/common/mod.rs"]
mod common;
#[allow(dead_code, reason = "the other benchmarks use all of it")]
mod corpus;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use common::kube_api::{KubeApi, kubeconfig_file, pod};
use corpus::{Call, Format, Random, Trouble};

/// Pods whose logs are followed under load.
const PODS: usize = 200;
/// Lines that they print together.
const LINES_PER_SECOND: u64 = 50_000;
/// How often they print: with 200 pods each prints five lines at a time.
const TICK: Duration = Duration::from_millis(20);
/// Between two lines of which a finding is awaited.
const PROBE_PAUSE: Duration = Duration::from_millis(130);
/// The program has so long for what the clusters hold, and for the last finding.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Under `cargo test` nothing is measured.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-'));
    let is_wanted = |name: &str| wanted.is_none_or(|wanted| wanted == name);
    let seconds = std::env::var("MESHWHY_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load of the machine before: {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
    if is_wanted("load") {
        tailed(PODS, LINES_PER_SECOND, Duration::from_secs(seconds));
    }
    if is_wanted("quiet") {
        tailed(PODS, 0, Duration::from_secs(seconds));
    }
    if is_wanted("pods") {
        watched(&["east", "west", "north"], 10_000);
    }
}

/// Logs of so many pods of two clusters are followed, which print so many lines a second together, while proxies reject
/// their configuration one after another: `xds-rejected` is judged with settle 0.
fn tailed(pods: usize, lines_per_second: u64, time: Duration) {
    let apis = [KubeApi::start("east"), KubeApi::start("west")];
    let printers: Vec<Printer> = (0..pods).map(|number| Printer::new(number, &apis)).collect();
    let config = kubeconfig_file(&[&apis[0], &apis[1]]);
    let tail = Tail::start(&["--context=east", "--context=west", "--pods=shop/"], config.path());
    wait("all logs are followed", || apis.iter().map(|api| api.asked("get pods/log").len()).sum::<usize>() >= pods);
    // After the first line of all, lines wait a second for what was before: that is no delay of a watch under way.
    let (namespace, pod, container, line) = printers[0].line(b"2026-03-01T09:00:00.000000Z\tinfo\tads\tbegun");
    apis[0].log(namespace, pod, container, line);
    thread::sleep(Duration::from_secs(2));

    let (begun, before) = (Instant::now(), tail.cpu());
    let mut random = Random(0x11fe);
    let (mut printed, mut probes, mut text) = (0, Vec::new(), Vec::new());
    while begun.elapsed() < time {
        let due = (begun.elapsed().as_secs_f64() * lines_per_second as f64) as u64;
        let nanos = Timestamp::now().as_nanosecond() as u64;
        let lines: Vec<(usize, Vec<u8>)> = (printed..due)
            .map(|number| {
                let printer = &printers[number as usize % pods];
                text.clear();
                let call = Call::to(&mut random, Trouble::Some, number % pods as u64, printer.calls);
                call.line(&mut text, printer.format, nanos).expect("memory is written to");
                (number as usize % pods, text.trim_ascii_end().to_vec())
            })
            .collect();
        for (number, api) in apis.iter().enumerate() {
            let lines = lines.iter().filter(|(of, _)| printers[*of].cluster == number);
            api.log_together(lines.map(|(of, line)| printers[*of].line(line)));
        }
        printed = printed.max(due);
        let last = probes.last().map_or(begun, |probe: &Instant| *probe);
        if last.elapsed() > PROBE_PAUSE + Duration::from_millis(random.below(40)) {
            let printer = &printers[probes.len() % 2];
            let line = rejection(probes.len());
            probes.push(Instant::now());
            let (namespace, pod, container, line) = printer.line(line.as_bytes());
            apis[printer.cluster].log(namespace, pod, container, line);
        }
        thread::sleep(
            TICK.saturating_sub(Duration::from_nanos(begun.elapsed().as_nanos() as u64 % TICK.as_nanos() as u64)),
        );
    }
    let wall = begun.elapsed().as_secs_f64();
    let found = tail.found(probes.len());
    let (cpu, lag) = (tail.cpu() - before, begun.elapsed().as_secs_f64() - wall);
    let (current, peak) = tail.memory();
    let summary = tail.end();

    println!(
        "\n{pods} pods followed, {lines_per_second} lines/s of them together for {wall:.0} s, five at a time each"
    );
    println!("  meshwhy: {cpu:.2} CPU seconds, {:.0} % of one core; behind at the end: {lag:.2} s", 100.0 * cpu / wall);
    println!("  memory: {current:.0} MiB, at most {peak:.0} MiB");
    println!("  lines printed {}, read {}", printed + probes.len() as u64, summary["lines"]);
    println!("  losses {}, late {}", summary["losses"], summary["limits_hit"]["late"]);
    let mut delays: Vec<Duration> =
        found.iter().filter_map(|(number, at)| Some(at.duration_since(*probes.get(*number)?))).collect();
    delays.sort_unstable();
    let at = |share: f64| {
        delays.get(((delays.len() as f64 * share) as usize).min(delays.len() - 1)).map_or(0, Duration::as_millis)
    };
    println!(
        "  from a line's print to its finding, cause of settle 0: {} of {}; median {} ms, 99th percentile {} ms, at most {} ms",
        delays.len(),
        probes.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// A container that prints.
struct Printer {
    cluster: usize,
    namespace: &'static str,
    pod: String,
    container: &'static str,
    format: Format,
    /// How many destinations it speaks of.
    calls: u64,
}

impl Printer {
    /// One of each ten is an istiod, three are ztunnels, the others sidecars; the first two are istiods.
    fn new(number: usize, apis: &[KubeApi; 2]) -> Printer {
        let cluster = number % 2;
        let (namespace, container, label, format) = match number / 2 % 10 {
            0 => ("istio-system", "discovery", ("app", "istiod"), Format::Istiod),
            1..=3 if cluster == 0 => ("istio-system", "istio-proxy", ("app", "ztunnel"), Format::Ztunnel),
            1..=3 => ("istio-system", "istio-proxy", ("app", "ztunnel"), Format::ZtunnelJson),
            _ => ("shop", "istio-proxy", ("app", "cart"), Format::Envoy),
        };
        let name = format!("{}-{number}", label.1);
        apis[cluster].apply(pod(namespace, &name, &[label], &[container]));
        let calls = match format {
            Format::Envoy => 20,
            Format::Ztunnel | Format::ZtunnelJson => 100,
            Format::Istiod => 500,
        };
        Printer { cluster, namespace, pod: name, container, format, calls }
    }

    fn line<'l>(&'l self, line: &'l [u8]) -> (&'l str, &'l str, &'l str, &'l [u8]) {
        (self.namespace, &self.pod, self.container, line)
    }
}

/// What istiod prints of the proxy that rejects a cluster.
fn rejection(number: usize) -> String {
    format!(
        "{:.6}\twarn\tads\tADS:CDS: ACK ERROR web-{number}-7d5c.shop-12 Internal:Error adding/updating cluster(s) \
         outbound|80||probe-{number}.shop.svc.cluster.local: no such transport socket",
        Timestamp::now()
    )
}

/// So many pods of clusters are watched, with their nodes, services and endpoints; the logs of each node's ztunnel are
/// followed.
fn watched(clusters: &[&str], pods: usize) {
    let apis: Vec<KubeApi> = clusters.iter().map(|name| KubeApi::start(name)).collect();
    let each = pods.div_ceil(apis.len());
    let mut bytes = 0;
    let mut apply = |api: &KubeApi, object: Value| {
        bytes += object.to_string().len();
        api.apply(object);
    };
    for api in &apis {
        apply(api, pod("istio-system", "istiod-1", &[("app", "istiod")], &["discovery"]));
        for number in 0..each {
            apply(api, workload(number));
        }
        for number in 0..each.div_ceil(PODS_EACH) {
            apply(api, service(number));
            apply(api, endpoints(number));
        }
        for number in 0..each.div_ceil(PODS_ON_A_NODE) {
            apply(api, node(number));
            apply(api, pod("istio-system", &format!("ztunnel-{number}"), &[("app", "ztunnel")], &["istio-proxy"]));
        }
    }
    let config = kubeconfig_file(&apis.iter().collect::<Vec<_>>());
    let contexts: Vec<String> = clusters.iter().map(|name| format!("--context={name}")).collect();
    let tail = Tail::start(&contexts.iter().map(|context| &**context).collect::<Vec<_>>(), config.path());
    for kind in ["pods", "services", "nodes", "endpointslices"] {
        wait("all is listed", || apis.iter().all(|api| !api.asked(&format!("watch {kind}")).is_empty()));
    }
    // What was listed last is still to be taken in, and asked for causes.
    let mut cpu = tail.cpu();
    loop {
        thread::sleep(Duration::from_secs(3));
        if tail.cpu() - cpu < 0.5 {
            break;
        }
        cpu = tail.cpu();
    }
    let (listed, peak) = (tail.cpu(), tail.memory().1);
    // Pods change: each tenth is ready anew.
    let begun = Instant::now();
    for number in (0..each).step_by(10) {
        let mut object = workload(number);
        object["metadata"]["annotations"]["rolled"] = json!("1");
        for api in &apis {
            api.apply(object.clone());
        }
    }
    thread::sleep(Duration::from_secs(10));
    let (changed, wall) = (tail.cpu() - listed, begun.elapsed().as_secs_f64());
    let (current, end) = tail.memory();
    println!("\n{pods} pods of {} clusters watched, {} MiB of objects", apis.len(), bytes >> 20);
    println!(
        "  memory: at most {peak:.0} MiB until all was listed, at most {end:.0} MiB in all, {current:.0} MiB at the end"
    );
    println!("  {listed:.2} CPU seconds to list; {changed:.2} in the {wall:.0} s in which a tenth of the pods changed");
    tail.end();
}

/// Pods of one service.
const PODS_EACH: usize = 10;
/// Pods of one node.
const PODS_ON_A_NODE: usize = 100;

fn address(number: usize) -> String {
    format!("10.{}.{}.{}", 20 + (number >> 16), number >> 8 & 255, number & 255)
}

fn name(number: usize) -> String {
    format!("cart-{}-6b9f8d7c5-{number:05}", number / PODS_EACH)
}

fn namespace(number: usize) -> String {
    format!("shop-{}", number / PODS_EACH % 40)
}

/// A pod with a sidecar as API servers give it: environment, probes, volumes, conditions, and who wrote which field.
fn workload(number: usize) -> Value {
    let app = format!("cart-{}", number / PODS_EACH);
    let (namespace, name) = (namespace(number), name(number));
    let labels =
        [("app", &*app), ("version", "v1"), ("pod-template-hash", "6b9f8d7c5"), ("security.istio.io/tlsMode", "istio")];
    let mut object = pod(&namespace, &name, &labels, &["cart", "istio-proxy"]);
    let fields: Vec<Value> = ["kube-controller-manager", "kubelet"]
        .iter()
        .map(|manager| {
            let keys: BTreeMap<String, Value> = (0..40)
                .map(|field| {
                    (format!("k:{{\"name\":\"FIELD_{field}\"}}"), json!({".": {}, "f:name": {}, "f:value": {}}))
                })
                .collect();
            json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                   "time": "2026-03-01T09:00:00Z", "fieldsV1": {"f:spec": {"f:containers": {"f:env": keys}}}})
        })
        .collect();
    object["metadata"]["managedFields"] = json!(fields);
    object["metadata"]["annotations"] = json!({
        "istio.io/rev": "default", "prometheus.io/path": "/stats/prometheus", "prometheus.io/port": "15020",
        "sidecar.istio.io/status": "{\"initContainers\":[\"istio-init\"],\"containers\":[\"istio-proxy\"],\"volumes\":\
            [\"workload-socket\",\"credential-socket\",\"workload-certs\",\"istio-envoy\",\"istio-data\",\"istio-podinfo\",\
            \"istio-token\",\"istiod-ca-cert\"],\"imagePullSecrets\":null,\"revision\":\"default\"}",
    });
    object["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-6b9f8d7c5"), "uid": "0", "controller": true}]);
    let environment: Vec<Value> = (0..25).map(|of| json!({"name": format!("ISTIO_META_FIELD_{of}"), "value": "kubernetes://apis/apps/v1/namespaces/shop/deployments/cart"})).collect();
    let mounts: Vec<Value> = (0..9).map(|of| json!({"name": format!("volume-{of}"), "mountPath": format!("/var/run/secrets/volume-{of}"), "readOnly": true})).collect();
    for container in [0, 1] {
        let container = &mut object["spec"]["containers"][container];
        container["env"] = json!(environment);
        container["volumeMounts"] = json!(mounts);
        container["resources"] =
            json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "128Mi"}});
        container["readinessProbe"] = json!({"httpGet": {"path": "/healthz/ready", "port": 15021, "scheme": "HTTP"}, "failureThreshold": 4, "periodSeconds": 15});
    }
    object["spec"]["volumes"] = json!(
        (0..9).map(|of| json!({"name": format!("volume-{of}"), "emptyDir": {"medium": "Memory"}})).collect::<Vec<_>>()
    );
    object["spec"]["nodeName"] = json!(format!("node-{}", number / PODS_ON_A_NODE));
    object["status"]["podIP"] = json!(address(number));
    object["status"]["podIPs"] = json!([{"ip": address(number)}]);
    object
}

fn service(number: usize) -> Value {
    let app = format!("cart-{number}");
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace(number * PODS_EACH), "name": app},
        "spec": {"selector": {"app": app}, "clusterIP": format!("10.96.{}.{}", number >> 8, number & 255), "type": "ClusterIP",
                 "ports": [{"name": "http", "port": 8080, "protocol": "TCP", "targetPort": 8080}]}})
}

fn endpoints(number: usize) -> Value {
    let endpoints: Vec<Value> = (number * PODS_EACH..(number + 1) * PODS_EACH)
        .map(|of| {
            json!({"addresses": [address(of)], "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": format!("node-{}", of / PODS_ON_A_NODE),
            "targetRef": {"kind": "Pod", "namespace": namespace(of), "name": name(of)}})
        })
        .collect();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": endpoints,
        "metadata": {"namespace": namespace(number * PODS_EACH), "name": format!("cart-{number}-x"),
                     "labels": {"kubernetes.io/service-name": format!("cart-{number}")}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]})
}

fn node(number: usize) -> Value {
    let images: Vec<Value> = (0..50)
        .map(|of| json!({"names": [format!("registry.example/image-{of}@sha256:{of:064}")], "sizeBytes": 1 << 20}))
        .collect();
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node-{number}"), "labels": {"topology.kubernetes.io/zone": "a"}},
        "spec": {"podCIDR": format!("10.20.{number}.0/24")},
        "status": {"images": images, "addresses": [{"type": "InternalIP", "address": format!("172.18.0.{number}")}],
                   "conditions": [{"type": "Ready", "status": "True"}]}})
}

/// The program that is measured.
struct Tail {
    child: Child,
    /// What it prints, and when.
    lines: Receiver<(Instant, String)>,
}

impl Tail {
    fn start(flags: &[&str], config: &std::path::Path) -> Tail {
        let mut command = common::meshwhy();
        command.args(["tail", "--output=ndjson", "--kubeconfig"]).arg(config).args(flags);
        let noise = if std::env::var_os("MESHWHY_BENCH_NOISE").is_some() { Stdio::inherit() } else { Stdio::null() };
        let mut child = command.stdout(Stdio::piped()).stderr(noise).spawn().expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("it was asked for"));
        let (to, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if to.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        Tail { child, lines }
    }

    /// When each of so many rejections was named first; fewer where it takes too long.
    fn found(&self, count: usize) -> BTreeMap<usize, Instant> {
        let mut found = BTreeMap::new();
        while found.len() < count
            && let Ok((at, line)) = self.lines.recv_timeout(PATIENCE)
        {
            let number = line.split_once("probe-").and_then(|(_, rest)| rest.split_once('.')?.0.parse().ok());
            if let Some(number) = number.filter(|_| line.contains(r#""stage":"opened""#)) {
                found.entry(number).or_insert(at);
            }
        }
        found
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// Seconds that it was on a processor so far.
    fn cpu(&self) -> f64 {
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = self.proc("stat");
        let columns = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
        columns.filter_map(|column| column.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
    }

    /// MiB of memory that it holds, and held at most.
    fn memory(&self) -> (f64, f64) {
        let status = self.proc("status");
        let of = |name: &str| {
            let kib = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse().ok());
            kib.unwrap_or(0.0) / 1_024.0
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    /// Interrupts it; what it says at the end.
    fn end(mut self) -> Value {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let mut summary = Value::Null;
        while let Ok((_, line)) = self.lines.recv_timeout(PATIENCE) {
            if line.contains(r#""type":"summary""#) {
                summary = serde_json::from_str(&line).unwrap_or_default();
            }
        }
        let _ = self.child.wait();
        summary
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn wait(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
