//! A genuine Envoy as the proxy of a pod: configured by an xDS server of the tests, writing its log where `kubectl
//! logs` of that pod would be saved, and asked through its admin port.

pub mod config;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use super::peers;
use super::xds_server::{Form, XdsServer};

/// As Istio starts its proxies (`istio/istio: pkg/envoy/proxy.go`).
const LOG_FORMAT: &str = "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t";

/// How long an Envoy may take to start, or for what it is told.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running Envoy; it is killed when this is dropped.
pub struct Envoy {
    child: Child,
    admin: SocketAddr,
    log: PathBuf,
    /// Its files, as long as it runs.
    _own: TempDir,
}

impl Envoy {
    /// Starts an Envoy that takes everything from this server; none where no Envoy is found. `place` is the folder of
    /// its pod, `.../<cluster>/<namespace>/<pod>`: its log is `istio-proxy.log` in it.
    pub fn start(place: &Path, istiod: &XdsServer, form: Form) -> Option<Envoy> {
        let program = peers::envoy()?;
        let own = tempfile::tempdir().expect("a folder can be made");
        let bootstrap = own.path().join("envoy-rev.json");
        fs::write(&bootstrap, bootstrap_of(place, istiod, form).to_string()).expect("it can be written");
        fs::create_dir_all(place).expect("folders can be made");
        let (log, port) = (place.join("istio-proxy.log"), own.path().join("admin"));
        // Both descriptors append: with an access log on /dev/stdout they would overwrite each other.
        let append = || File::options().create(true).append(true).open(&log).expect("it can be written");
        let child = Command::new(program)
            .arg("--config-path")
            .arg(&bootstrap)
            .arg("--admin-address-path")
            .arg(&port)
            .args(["--concurrency", "1", "--use-dynamic-base-id", "--file-flush-interval-msec", "20"])
            .args(["--drain-time-s", "1", "--drain-strategy", "immediate"])
            .args(["--log-level", "warning", "--component-log-level", "misc:error,rbac:debug"])
            .args(["--log-format", LOG_FORMAT])
            .stdin(Stdio::null())
            .stdout(append())
            .stderr(append())
            .spawn()
            .expect("it was found");
        let mut envoy = Envoy { child, admin: SocketAddr::from(([127, 0, 0, 1], 0)), log, _own: own };
        envoy.admin = envoy.wait("say where its admin port is", || fs::read_to_string(&port).ok()?.trim().parse().ok());
        envoy.wait("be ready", || (envoy.ask("/ready")?.0 == 200).then_some(()));
        Some(envoy)
    }

    /// Where its admin port listens.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// What its admin port answers to a GET.
    pub fn admin(&self, path: &str) -> String {
        let (status, body) = self.ask(path).expect("the admin port answers");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn ask(&self, path: &str) -> Option<(u16, String)> {
        get(self.admin, "localhost", path).ok()
    }

    /// Saves what its admin port says, as people save it, in the folder of its pod.
    pub fn save_state(&self) {
        let place = self.log.parent().expect("a file has a folder");
        let documents = [
            ("config_dump.json", "/config_dump?include_eds"),
            ("clusters.json", "/clusters?format=json"),
            ("listeners.json", "/listeners?format=json"),
            ("certs.json", "/certs"),
            ("server_info.json", "/server_info"),
            ("stats.txt", "/stats?usedonly"),
        ];
        for (file, path) in documents {
            fs::write(place.join(file), self.admin(path)).expect("it can be written");
        }
    }

    /// The address of a listener, as soon as it serves.
    pub fn listener(&self, name: &str) -> SocketAddr {
        self.wait(&format!("listen as {name}"), || {
            let listeners = serde_json::from_str::<Value>(&self.admin("/listeners?format=json")).ok()?;
            let listeners = listeners["listener_statuses"].as_array()?;
            let address = &listeners.iter().find(|listener| listener["name"] == name)?["local_address"];
            let address = &address["socket_address"];
            format!("{}:{}", address["address"].as_str()?, address["port_value"]).parse().ok()
        })
    }

    /// Calls a path of a host through a listener; gives the status.
    pub fn call(&self, listener: &str, host: &str, path: &str) -> u16 {
        get(self.listener(listener), host, path).expect("it answers").0
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).expect("it is there")).into_owned()
    }

    /// Waits (blocking) until its log holds these words.
    pub fn wait_for_log(&self, words: &str) {
        self.wait(&format!("log {words:?}"), || self.log().contains(words).then_some(()));
    }

    fn wait<R>(&self, what: &str, met: impl Fn() -> Option<R>) -> R {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(result) = met() {
                return result;
            }
            assert!(Instant::now() < end, "Envoy did not {what}; its log:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What Istio's bootstrap holds that matters here (`istio/istio: tools/packaging/common/envoy_bootstrap.json`).
fn bootstrap_of(place: &Path, istiod: &XdsServer, form: Form) -> Value {
    let mut names = place.iter().rev().map(|name| name.to_string_lossy());
    let mut name = || names.next().expect("a pod's folder stands in its namespace's, that in its cluster's");
    let (pod, namespace, cluster) = (name(), name(), name());
    let ads = json!({
        "api_type": match form { Form::Sotw => "GRPC", Form::Delta => "DELTA_GRPC" },
        "transport_api_version": "V3",
        "set_node_on_first_message_only": true,
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
    });
    let http2 = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }});
    let address = istiod.address();
    let endpoint = json!({"endpoint": {"address": {"socket_address": {
        "address": address.ip().to_string(), "port_value": address.port(),
    }}}});
    json!({
        "node": {
            "id": format!("sidecar~10.10.0.7~{pod}.{namespace}~{namespace}.svc.cluster.local"),
            "cluster": format!("{pod}.{namespace}"),
            "metadata": {"CLUSTER_ID": cluster, "NAMESPACE": namespace, "NAME": pod, "MESH_ID": "cluster.local",
                "ISTIO_VERSION": "1.29.0", "LABELS": {"app": pod}},
        },
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "dynamic_resources": {
            "ads_config": ads,
            "cds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
            "lds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
        },
        "static_resources": {"clusters": [{
            "name": "xds-grpc", "type": "STATIC", "connect_timeout": "1s", "typed_extension_protocol_options": http2,
            "load_assignment": {"cluster_name": "xds-grpc", "endpoints": [{"lb_endpoints": [endpoint]}]},
        }]},
    })
}

/// A plain GET; gives status and body.
fn get(address: SocketAddr, host: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: sleep\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
    let (head, body) = answer.split_at(end);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let body = body.get(4..).unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = if head.contains("transfer-encoding: chunked") { joined(body) } else { body.to_vec() };
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// A body without the frames of its chunks.
fn joined(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let length = std::str::from_utf8(&body[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let (Some(length @ 1..), rest) = (length, &body[end + 2..]) else { break };
        let Some(chunk) = rest.get(..length) else { break };
        whole.extend_from_slice(chunk);
        body = rest.get(length + 2..).unwrap_or_default();
    }
    whole
}

/// An application that answers every request with 200, until the test ends.
pub fn application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_all(stream));
        }
    });
    address
}

fn answer_all(mut stream: TcpStream) {
    let mut asked = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        asked.extend_from_slice(&buffer[..length]);
        // A GET has no body: an empty line ends it.
        while let Some(end) = asked.windows(4).position(|window| window == b"\r\n\r\n") {
            asked.drain(..end + 4);
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\ncontent-type: text/plain\r\n\r\nhello\n";
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// An address of this machine that is taken, and where nobody listens.
pub struct Nobody(TcpSocket);

impl Nobody {
    /// A new one.
    pub fn new() -> Nobody {
        let socket = TcpSocket::new_v4().expect("sockets can be made");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port is free");
        Nobody(socket)
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is bound")
    }
}
