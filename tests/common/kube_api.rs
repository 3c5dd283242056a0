//! A Kubernetes API server inside the tests: the real protocol over TLS on a port of this machine, with faults to order.
//!
//! It serves what a client that reads needs: lists, watches, logs, forwarded ports, discovery, access reviews. It keeps
//! no snapshots for paging, speaks HTTP/1.1 alone, changes nothing on request (405), and its kubelets are modelled:
//! a restart ends a follower in order, a rotated log begins anew for who asks anew.
//!
//! ```no_run
//! let east = KubeApi::start("east");
//! east.apply(pod("istio-system", "istiod-1", &[("app", "istiod")], &["discovery"]));
//! let config = kubeconfig_file(&[&east]);                       // for `--kubeconfig`
//! east.log("istio-system", "istiod-1", "discovery", "a line");
//! east.fail("get pods/log", 1, Failure::Cut { after: 3, close: Close::Reset });
//! east.wait_for("get pods/log", 2);                             // cut, and asked for again
//! ```

mod answer;
mod ask;
mod forward;
mod logs;
mod review;
mod store;
mod watch;
mod wire;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::sync::watch as signal;
use tokio_rustls::TlsAcceptor;

pub use ask::Asked;
pub use store::pod;

use ask::Pattern;
use forward::Handler;
use logs::Logs;
use store::Store;
use wire::Wires;

use super::base64;
use super::tls::Authority;
pub use super::wire::Close;
use super::wire::{Background, Faults};

/// As whom the server knows its client.
const USER: &str = "system:serviceaccount:istio-system:mesh-reader";

/// How a request fails.
#[derive(Clone, Debug)]
pub enum Failure {
    /// A Status of this code.
    Status(u16),
    /// 429 with `Retry-After` in seconds.
    Busy {
        /// Seconds, as the header has them.
        retry_after: u64,
    },
    /// It is never answered.
    Silence,
    /// The answer begins well; the connection breaks after so many bytes of its body.
    Cut {
        /// Bytes of the body, in front of any transfer coding.
        after: usize,
        /// How the connection ends.
        close: Close,
    },
}

/// An API server, running until it is dropped. It runs on a thread of its own, so that tests may block.
pub struct KubeApi {
    name: String,
    address: std::net::SocketAddr,
    authority: String,
    shared: Arc<Shared>,
    /// Tells the listening to end; gone while it is stopped.
    listening: Mutex<Option<tokio::task::JoinHandle<()>>>,
    background: Background,
}

/// What connections and the test's hand share.
struct Shared {
    tls: TlsAcceptor,
    state: Mutex<State>,
    /// Told after each change of the state, for those who stream.
    changed: signal::Sender<()>,
    faults: Faults,
}

struct State {
    store: Store,
    logs: Logs,
    ports: BTreeMap<(String, String, u16), Handler>,
    token: Option<String>,
    /// A token of someone else, which is good whatever becomes of the other.
    operator: String,
    tokens_given: u32,
    forbidden: Vec<Pattern>,
    failures: Vec<(Pattern, usize, Failure)>,
    asked: Vec<Asked>,
    wires: Wires,
    bookmarks: u64,
    expirations: u64,
}

impl State {
    fn may(&self, asked: &Asked) -> bool {
        !self.forbidden.iter().any(|pattern| pattern.meets(asked))
    }

    fn give_token(&mut self, cluster: &str) {
        self.tokens_given += 1;
        self.token = Some(format!("{cluster}-token-{}", self.tokens_given));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds this")
    }

    /// Changes the state and tells those who stream.
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.send_replace(());
        result
    }

    /// Records a request; gives its number in the record, and the failure that is ordered for it.
    fn record(&self, asked: Asked) -> (usize, Option<Failure>) {
        let mut state = self.lock();
        let ordered = state.failures.iter_mut().find(|(pattern, left, _)| *left > 0 && pattern.meets(&asked));
        let failure = ordered.map(|(_, left, failure)| {
            *left -= 1;
            failure.clone()
        });
        state.asked.push(asked);
        (state.asked.len() - 1, failure)
    }
}

impl KubeApi {
    /// Starts the server of a cluster of this name, with an authority, a token and no objects.
    pub fn start(name: &str) -> KubeApi {
        let authority = Authority::new(&format!("kubernetes {name}"));
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"];
        let tls = authority.server("kube-apiserver", &names).acceptor(&[], None);
        let authority = authority.pem();
        let mut state = State {
            store: Store::new(),
            logs: Logs::default(),
            ports: BTreeMap::new(),
            token: None,
            operator: format!("{name}-operator"),
            tokens_given: 0,
            forbidden: Vec::new(),
            failures: Vec::new(),
            asked: Vec::new(),
            wires: Wires::default(),
            bookmarks: 0,
            expirations: 0,
        };
        state.give_token(name);
        let (changed, faults) = (signal::Sender::new(()), Faults::new());
        let shared = Arc::new(Shared { tls, state: Mutex::new(state), changed, faults });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");

        let (background, listening) = (Background::start(), Mutex::new(None));
        let api = KubeApi { name: name.to_string(), address, authority, shared, listening, background };
        api.listen(listener);
        api
    }

    fn listen(&self, listener: TcpListener) {
        listener.set_nonblocking(true).expect("sockets can");
        let shared = self.shared.clone();
        let task = self.background.runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime runs this");
            wire::listen(shared, listener).await;
        });
        *self.listening.lock().expect("no thread panics while it holds this") = Some(task);
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A kubeconfig with one context, named after the cluster.
    pub fn kubeconfig(&self) -> String {
        kubeconfig(&[self])
    }

    // --- objects

    /// Creates or replaces an object, given as it stands in a manifest; gives its resource version.
    pub fn apply(&self, object: Value) -> u64 {
        self.shared.change(|state| state.store.apply(object))
    }

    /// Deletes an object. With a pod go its logs, its followers and its forwarded ports.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let deleted = self.shared.change(|state| {
            let deleted = state.store.delete(kind, namespace, name);
            if deleted.as_ref().is_some_and(|object| object["kind"] == "Pod") {
                state.logs.forget(namespace, name);
            }
            deleted
        });
        assert!(deleted.is_some(), "no {kind} {namespace}/{name} to delete");
    }

    /// Takes an API group away, as in a cluster without its CRDs: 404.
    pub fn uninstall(&self, group: &str) {
        self.shared.change(|state| state.store.uninstall(group));
    }

    /// Serves an API group in these versions alone, as an older cluster does.
    pub fn serve_versions(&self, group: &str, versions: &[&str]) {
        self.shared.change(|state| state.store.serve_versions(group, versions));
    }

    /// Forgets the history: a watch from before now is answered by ERROR 410 in a 200 stream. Running ones go on.
    pub fn compact(&self) {
        self.shared.change(|state| state.store.compact());
    }

    /// Ends every running watch by ERROR 410.
    pub fn expire_watches(&self) {
        self.shared.change(|state| state.expirations += 1);
    }

    /// Sends a bookmark on every watch that takes them. A real server does so about once a minute.
    pub fn bookmark(&self) {
        self.shared.change(|state| state.bookmarks += 1);
    }

    /// Whether there is a pod of this name.
    pub fn has_pod(&self, namespace: &str, pod: &str) -> bool {
        self.shared.lock().store.pod(namespace, pod).is_some()
    }

    /// Whether a pod that is there has such a container.
    pub fn has_container(&self, namespace: &str, pod: &str, container: &str) -> bool {
        let state = self.shared.lock();
        state.store.pod(namespace, pod).is_some_and(|pod| answer::containers(pod).iter().any(|name| name == container))
    }

    // --- logs

    /// A container prints a line, now.
    pub fn log(&self, namespace: &str, pod: &str, container: &str, line: impl AsRef<[u8]>) {
        self.print(namespace, pod, container, Timestamp::now(), line.as_ref(), true);
    }

    /// A container printed a line at this time (RFC 3339).
    pub fn log_at(&self, namespace: &str, pod: &str, container: &str, at: &str, line: impl AsRef<[u8]>) {
        let at = at.parse().expect("a test names a time that exists");
        self.print(namespace, pod, container, at, line.as_ref(), true);
    }

    /// Containers print lines, now; followers hear of all of them at once. Namespace, pod, container and line of each.
    pub fn log_together<'l>(&self, lines: impl IntoIterator<Item = (&'l str, &'l str, &'l str, &'l [u8])>) {
        let at = Timestamp::now();
        self.shared.change(|state| {
            for (namespace, pod, container, line) in lines {
                state.logs.current(namespace, pod, container).print(at, line, true);
            }
        });
    }

    /// A container prints the beginning or the middle of a line, whose rest comes with a later call.
    pub fn log_part(&self, namespace: &str, pod: &str, container: &str, part: impl AsRef<[u8]>) {
        self.print(namespace, pod, container, Timestamp::now(), part.as_ref(), false);
    }

    fn print(&self, namespace: &str, pod: &str, container: &str, at: Timestamp, bytes: &[u8], is_whole: bool) {
        self.expect_container(namespace, pod, container);
        self.shared.change(|state| state.logs.current(namespace, pod, container).print(at, bytes, is_whole));
    }

    /// The kubelet begins a new log file: who asks from now on sees what comes from now on.
    pub fn rotate_log(&self, namespace: &str, pod: &str, container: &str) {
        self.expect_container(namespace, pod, container);
        self.shared.lock().logs.current(namespace, pod, container).rotate();
    }

    /// A container ends and is started again: its log becomes the previous one, followers end in order, and the pod
    /// says so.
    pub fn restart_container(&self, namespace: &str, pod: &str, container: &str) {
        self.expect_container(namespace, pod, container);
        self.shared.change(|state| {
            state.logs.restart(namespace, pod, container);
            let mut object = state.store.pod(namespace, pod).map(|pod| Value::clone(pod)).unwrap_or_default();
            let statuses = object["status"]["containerStatuses"].as_array_mut();
            for status in statuses.into_iter().flatten().filter(|status| status["name"] == *container) {
                let now = format!("{:.0}", Timestamp::now());
                let restarts = status["restartCount"].as_u64().unwrap_or(0) + 1;
                status["restartCount"] = restarts.into();
                let started = status["state"]["running"]["startedAt"].clone();
                let ended = json!({"exitCode": 1, "reason": "Error", "startedAt": started, "finishedAt": now});
                status["lastState"] = json!({"terminated": ended});
                status["state"] = json!({"running": {"startedAt": now}});
                status["containerID"] = format!("containerd://{container}-{restarts}").into();
            }
            state.store.apply(object);
        });
    }

    fn expect_container(&self, namespace: &str, pod: &str, container: &str) {
        let names = self.shared.lock().store.pod(namespace, pod).map(|pod| answer::containers(pod)).unwrap_or_default();
        assert!(names.iter().any(|name| name == container), "no container {namespace}/{pod}/{container}: {names:?}");
    }

    // --- forwarded ports

    /// Something listens on a port of a pod: path and query to status and body. A test's record has what it was asked
    /// under the verb `tunnel`.
    pub fn serve(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
        handler: impl Fn(&str) -> (u16, String) + Send + Sync + 'static,
    ) {
        let place = (namespace.to_string(), pod.to_string(), port);
        self.shared.lock().ports.insert(place, Arc::new(handler));
    }

    /// Something on a port of a pod answers a path, whatever the query, with this; other paths as before, or by 404.
    pub fn serve_path(&self, namespace: &str, pod: &str, port: u16, path: &str, body: String) {
        let place = (namespace.to_string(), pod.to_string(), port);
        let before = self.shared.lock().ports.get(&place).cloned();
        let path = path.to_string();
        self.serve(namespace, pod, port, move |target| match &before {
            _ if target.split('?').next() == Some(&path) => (200, body.clone()),
            Some(before) => before(target),
            None => (404, "404 page not found\n".to_string()),
        });
    }

    // --- credentials and permissions

    /// The token that is good now; empty if none is.
    pub fn token(&self) -> String {
        self.shared.lock().token.clone().unwrap_or_default()
    }

    /// That token is not good any more: 401.
    pub fn revoke_token(&self) {
        self.shared.lock().token = None;
    }

    /// A new token is good, the old one is not.
    pub fn rotate_token(&self) {
        self.shared.lock().give_token(&self.name);
    }

    /// Requests of this pattern are forbidden from now on: 403. See [`KubeApi::fail`] for patterns.
    pub fn forbid(&self, pattern: &str) {
        self.shared.lock().forbidden.push(Pattern::new(pattern));
    }

    /// Takes back a [`KubeApi::forbid`] of the same words.
    pub fn permit(&self, pattern: &str) {
        let pattern = Pattern::new(pattern);
        self.shared.lock().forbidden.retain(|forbidden| *forbidden != pattern);
    }

    // --- faults

    /// The next so many requests of a pattern fail.
    ///
    /// A pattern is `VERB RESOURCE`, then nothing, `in NAMESPACE` or `everywhere` (no namespace asked for); verb and
    /// resource may be `*`: `list pods`, `get pods/log in sample`, `* *`, `get /version`, `tunnel /config_dump`.
    pub fn fail(&self, pattern: &str, times: usize, failure: Failure) {
        self.shared.lock().failures.push((Pattern::new(pattern), times, failure));
    }

    /// Cuts the connections whose present or last request is of this pattern; `* *` cuts all. Gives how many.
    pub fn cut(&self, pattern: &str, close: Close) -> usize {
        let (pattern, is_all) = (Pattern::new(pattern), pattern == "* *");
        let state = self.shared.lock();
        let meant = state.wires.open().filter(|wire| is_all || wire.asked().is_some_and(|asked| pattern.meets(&asked)));
        meant.map(|wire| wire.end.cut(close)).count()
    }

    /// From now on every connection breaks, anyhow, after a random number of bytes.
    pub fn cut_at_random(&self, seed: u64, bytes_mean: usize) {
        self.shared.faults.cut_at_random(Some(seed), bytes_mean);
    }

    /// New connections hold again.
    pub fn cut_no_more(&self) {
        self.shared.faults.cut_at_random(None, 0);
    }

    /// Nobody listens any more and all connections are cut: the server is gone.
    pub fn stop(&self, close: Close) {
        let task = self.listening.lock().expect("no thread panics while it holds this").take();
        let Some(task) = task else { return };
        task.abort();
        let (tell, told) = mpsc::channel();
        self.background.runtime.spawn(async move {
            let _ = task.await;
            let _ = tell.send(());
        });
        told.recv().expect("an aborted task ends");
        self.cut("* *", close);
    }

    /// It listens again, on the same port.
    pub fn restart(&self) {
        self.listen(TcpListener::bind(self.address).expect("the port is still free"));
    }

    /// Connections are accepted and held, but not a byte is answered.
    pub fn silence(&self) {
        self.shared.faults.be_silent(true);
    }

    /// Answers again, also what was asked meanwhile.
    pub fn speak(&self) {
        self.shared.faults.be_silent(false);
    }

    // --- the record

    /// All requests so far of a pattern, in order; `* *` gives all.
    pub fn asked(&self, pattern: &str) -> Vec<Asked> {
        let pattern = Pattern::new(pattern);
        self.shared.lock().asked.iter().filter(|asked| pattern.meets(asked)).cloned().collect()
    }

    /// Waits (blocking) until so many requests of a pattern came; fails the test after ten seconds.
    pub fn wait_for(&self, pattern: &str, count: usize) -> Vec<Asked> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let asked = self.asked(pattern);
            if asked.len() >= count {
                return asked;
            }
            assert!(Instant::now() < end, "{}: {} of {count} requests `{pattern}` came", self.name, asked.len());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A kubeconfig with a context for each cluster, named after it; the first is the current one.
pub fn kubeconfig(clusters: &[&KubeApi]) -> String {
    kubeconfig_with(clusters, KubeApi::token)
}

/// The same as a file, there for as long as the value is.
pub fn kubeconfig_file(clusters: &[&KubeApi]) -> NamedTempFile {
    file(&kubeconfig(clusters))
}

/// The same for a person, whose credentials are good whatever becomes of [`KubeApi::token`].
pub fn operator_config_file(clusters: &[&KubeApi]) -> NamedTempFile {
    file(&kubeconfig_with(clusters, |api| api.shared.lock().operator.clone()))
}

fn kubeconfig_with(clusters: &[&KubeApi], token: impl Fn(&KubeApi) -> String) -> String {
    let mut text = "apiVersion: v1\nkind: Config\npreferences: {}\n".to_string();
    text += &format!("current-context: {}\n", clusters.first().map_or("\"\"", |api| &api.name));
    text += "clusters:\n";
    for KubeApi { name, address, authority, .. } in clusters {
        let authority = base64(authority.as_bytes());
        text += &format!(
            "- name: {name}\n  cluster:\n    server: https://{address}\n    certificate-authority-data: {authority}\n"
        );
    }
    text += "users:\n";
    for api in clusters {
        text += &format!("- name: {}-reader\n  user:\n    token: {}\n", api.name, token(api));
    }
    text += "contexts:\n";
    for KubeApi { name, .. } in clusters {
        text += &format!("- name: {name}\n  context:\n    cluster: {name}\n    user: {name}-reader\n");
    }
    text
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file can be made");
    file.write_all(text.as_bytes()).expect("it can be written");
    file
}
