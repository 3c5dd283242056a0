//! An xDS server inside the tests: the aggregated discovery service in both its forms, on a port of this machine, in
//! plain text as istiod's 15010 or over TLS as its 15012, with faults to order. A real Envoy takes its configuration
//! from it.
//!
//! Waiting blocks: a test that also runs a client inside itself has more than one thread (`flavor = "multi_thread"`).
//!
//! It does not know what the resources mean: a change of a type is told to those who subscribe to it, in one response
//! for each type, types in the order of their URLs (clusters, endpoints, listeners, routes). It makes no resources on
//! demand, and knows no names but the resources' own.
//!
//! ```no_run
//! let istiod = XdsServer::tls();
//! istiod.set(CLUSTER, "outbound|80||web.sample.svc.cluster.local", &cluster);
//! // A client opens a stream to istiod.url(), trusting istiod.authority().
//! istiod.wait_for("an ACK of clusters", 1, |asked| asked.accepts(CLUSTER));
//! istiod.remove(CLUSTER, "outbound|80||web.sample.svc.cluster.local");
//! istiod.refuse(Code::Unauthenticated, "authentication failure", 2);
//! istiod.cut(Close::Reset);
//! istiod.wait_for_streams(3);                                   // two refused, and one that holds
//! istiod.wait_until_told();                                     // everybody has what the server has
//! ```

mod asked;
mod serve;
mod session;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use envoy_types::pb::google::protobuf::Any;
use prost::Message;
use tokio::sync::watch as signal;
use tokio_rustls::TlsAcceptor;
use tonic::{Code, Status};

pub use asked::{Asked, Form, Opened};

use super::tls::{Authority, Identity};
use super::wire::{Background, Close, Cut, Faults};
use session::{Resources, World};

/// Envoy's clusters.
pub const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
/// The endpoints of one of them.
pub const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
/// Envoy's listeners.
pub const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
/// Envoy's routes.
pub const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
/// Certificates and roots.
pub const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/// A workload or a service, as istiod tells ztunnels.
pub const ADDRESS: &str = "type.googleapis.com/istio.workload.Address";
/// A policy, as istiod tells ztunnels.
pub const AUTHORIZATION: &str = "type.googleapis.com/istio.security.Authorization";

/// The names that an istiod's certificate carries, and this machine's.
const NAMES: [&str; 4] = ["istiod.istio-system.svc", "istiod-remote.istio-system.svc", "localhost", "127.0.0.1"];

/// An xDS server, running until it is dropped. It runs on a thread of its own, so that tests may block.
pub struct XdsServer {
    address: SocketAddr,
    authority: Option<Authority>,
    shared: Arc<Shared>,
    /// Tells the listening to end; gone while it is stopped.
    listening: Mutex<Option<tokio::task::JoinHandle<()>>>,
    background: Background,
}

/// What connections and the test's hand share.
struct Shared {
    state: Mutex<State>,
    /// Told after each change of the state, for those who stream.
    changed: signal::Sender<()>,
    /// With what the running streams are to end.
    end: signal::Sender<Option<Status>>,
    /// How long the running connections may go on after they were told to leave.
    leave: signal::Sender<Duration>,
    faults: Faults,
}

#[derive(Default)]
struct State {
    world: World,
    tls: Option<TlsAcceptor>,
    /// Grows with every change of the world.
    generation: u64,
    delay: Duration,
    withheld: bool,
    refusals: Vec<(usize, Status)>,
    opened: Vec<Opened>,
    asked: Vec<Asked>,
    live: BTreeMap<usize, Live>,
    connections: BTreeMap<u64, Arc<Cut>>,
    next_connection: u64,
}

/// A stream that is open and not refused.
#[derive(Default)]
struct Live {
    /// The generation of the world that it was told.
    told: u64,
    /// The last nonce of each type that is not answered yet.
    unanswered: BTreeMap<String, String>,
}

impl State {
    fn connect(&mut self, cut: Arc<Cut>) -> u64 {
        self.next_connection += 1;
        self.connections.insert(self.next_connection, cut);
        self.next_connection
    }

    fn refusal(&mut self) -> Option<Status> {
        let (left, status) = self.refusals.iter_mut().find(|(left, _)| *left > 0)?;
        *left -= 1;
        Some(status.clone())
    }

    fn take(&mut self, asked: Asked) {
        if let Some(live) = self.live.get_mut(&asked.stream) {
            live.unanswered.retain(|_, nonce| *nonce != asked.nonce);
        }
        self.asked.push(asked);
    }

    fn told(&mut self, stream: usize, responses: impl Iterator<Item = (String, String)>) {
        if let Some(live) = self.live.get_mut(&stream) {
            live.told = self.generation;
            live.unanswered.extend(responses);
        }
    }

    fn is_told(&self) -> bool {
        let mut live = self.live.values();
        !self.live.is_empty() && live.all(|live| live.told == self.generation && live.unanswered.is_empty())
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
}

/// Several changes of the world that are told at once.
pub struct Changes<'a> {
    world: &'a mut World,
}

impl Changes<'_> {
    /// Creates or replaces a resource.
    pub fn set(&mut self, type_url: &str, name: &str, resource: &impl Message) {
        let resource = Any { type_url: type_url.to_string(), value: resource.encode_to_vec() };
        let resources = self.changed(type_url);
        resources.all.insert(name.to_string(), (resources.version, resource));
    }

    /// Removes a resource.
    pub fn remove(&mut self, type_url: &str, name: &str) {
        let removed = self.changed(type_url).all.remove(name);
        assert!(removed.is_some(), "no {type_url} {name} to remove");
    }

    fn changed(&mut self, type_url: &str) -> &mut Resources {
        let resources = self.world.entry(type_url.to_string()).or_default();
        resources.version += 1;
        resources
    }
}

impl XdsServer {
    /// Starts a server that speaks plain text.
    pub fn plaintext() -> XdsServer {
        XdsServer::start(None)
    }

    /// Starts a server with an authority of its own, as istiod's default is. A client may show a certificate that this
    /// authority signed.
    pub fn tls() -> XdsServer {
        XdsServer::start(Some(Authority::of_mesh("cluster.local")))
    }

    fn start(authority: Option<Authority>) -> XdsServer {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            changed: signal::Sender::new(()),
            end: signal::Sender::new(None),
            leave: signal::Sender::new(Duration::ZERO),
            faults: Faults::new(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (background, listening) = (Background::start(), Mutex::new(None));
        let server = XdsServer { address, authority, shared, listening, background };
        if let Some(authority) = &server.authority {
            server.present(&authority.server("istiod", &NAMES));
        }
        server.listen(listener);
        server
    }

    fn listen(&self, listener: TcpListener) {
        listener.set_nonblocking(true).expect("sockets can");
        let shared = self.shared.clone();
        let task = self.background.runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime runs this");
            serve::listen(shared, listener).await;
        });
        *self.listening.lock().expect("no thread panics while it holds this") = Some(task);
    }

    // --- where it is, and whom to trust

    /// Where it listens, on this machine.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same with `http` or `https`.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.authority.is_some() { "https" } else { "http" }, self.address)
    }

    /// The authority that signed its certificate, and that signs certificates for clients.
    pub fn authority(&self) -> &Authority {
        self.authority.as_ref().expect("a server that speaks plain text has none")
    }

    /// From the next connection on it shows this certificate: of another authority, or for other names.
    pub fn present(&self, identity: &Identity) {
        let acceptor = identity.acceptor(&["h2"], Some(self.authority()));
        self.shared.lock().tls = Some(acceptor);
    }

    /// From the next connection on it shows the certificate that it began with, or one like it.
    pub fn present_own(&self) {
        self.present(&self.authority().server("istiod", &NAMES));
    }

    // --- resources

    /// Creates or replaces a resource, and tells those who subscribe.
    pub fn set(&self, type_url: &str, name: &str, resource: &impl Message) {
        self.change(|changes| changes.set(type_url, name, resource));
    }

    /// Removes a resource, and tells those who subscribe.
    pub fn remove(&self, type_url: &str, name: &str) {
        self.change(|changes| changes.remove(type_url, name));
    }

    /// Makes several changes, and tells them in one response for each type.
    pub fn change(&self, change: impl FnOnce(&mut Changes<'_>)) {
        self.shared.change(|state| {
            state.generation += 1;
            change(&mut Changes { world: &mut state.world });
        });
    }

    /// All resources of a type, by name.
    pub fn resources(&self, type_url: &str) -> BTreeMap<String, Any> {
        let state = self.shared.lock();
        let all = state.world.get(type_url).map(|resources| &resources.all);
        all.into_iter().flatten().map(|(name, (_, resource))| (name.clone(), resource.clone())).collect()
    }

    // --- faults

    /// The next so many streams are refused with this status.
    pub fn refuse(&self, code: Code, message: &str, times: usize) {
        self.shared.lock().refusals.push((times, Status::new(code, message)));
    }

    /// The running streams end with this status.
    pub fn end_streams(&self, code: Code, message: &str) {
        self.shared.end.send_replace(Some(Status::new(code, message)));
    }

    /// The running connections are told to leave (GOAWAY), and closed after this grace: what istiod does with each
    /// connection every half hour. New ones are served.
    pub fn go_away(&self, grace: Duration) {
        self.shared.leave.send_replace(grace);
    }

    /// Cuts all connections; gives how many.
    pub fn cut(&self, close: Close) -> usize {
        self.shared.lock().connections.values().map(|cut| cut.cut(close)).count()
    }

    /// From now on every connection breaks, anyhow, after a random number of bytes.
    pub fn cut_at_random(&self, seed: u64, bytes_mean: usize) {
        self.shared.faults.cut_at_random(Some(seed), bytes_mean);
    }

    /// New connections hold again.
    pub fn cut_no_more(&self) {
        self.shared.faults.cut_at_random(None, 0);
    }

    /// Requests are taken and not answered; the connection is well.
    pub fn withhold(&self) {
        self.shared.lock().withheld = true;
    }

    /// Answers what was asked meanwhile, and everything from now on.
    pub fn answer(&self) {
        self.shared.change(|state| state.withheld = false);
    }

    /// Every answer and every push comes so much later.
    pub fn delay(&self, delay: Duration) {
        self.shared.lock().delay = delay;
    }

    /// Connections are accepted and held, but not a byte is sent.
    pub fn silence(&self) {
        self.shared.faults.be_silent(true);
    }

    /// Sends again, also what was to be sent meanwhile.
    pub fn speak(&self) {
        self.shared.faults.be_silent(false);
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
        self.cut(close);
    }

    /// It listens again, on the same port.
    pub fn restart(&self) {
        self.listen(TcpListener::bind(self.address).expect("the port is still free"));
    }

    // --- the record

    /// All streams so far, in the order in which they were opened.
    pub fn opened(&self) -> Vec<Opened> {
        self.shared.lock().opened.clone()
    }

    /// All requests so far, in the order in which they came.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.lock().asked.clone()
    }

    /// Waits (blocking) until so many requests of a sort came; fails the test after ten seconds.
    pub fn wait_for(&self, sort: &str, count: usize, is: impl Fn(&Asked) -> bool) -> Vec<Asked> {
        let what = format!("{count} times {sort}");
        self.wait(&what, |state| {
            let met = state.asked.iter().filter(|asked| is(asked)).cloned().collect::<Vec<_>>();
            (met.len() >= count).then_some(met)
        })
    }

    /// Waits (blocking) until so many streams were opened, refused ones too; fails the test after ten seconds.
    pub fn wait_for_streams(&self, count: usize) -> Vec<Opened> {
        let what = format!("{count} streams");
        self.wait(&what, |state| (state.opened.len() >= count).then(|| state.opened.clone()))
    }

    /// Waits (blocking) until there is a stream, and all streams were told everything and accepted or refused it;
    /// fails the test after ten seconds.
    pub fn wait_until_told(&self) {
        self.wait("an answer to all that was told", |state| state.is_told().then_some(()));
    }

    fn wait<R>(&self, what: &str, met: impl Fn(&State) -> Option<R>) -> R {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let state = self.shared.lock();
            if let Some(result) = met(&state) {
                return result;
            }
            if Instant::now() >= end {
                let (opened, asked) = (state.opened.clone(), state.asked.clone());
                drop(state);
                panic!("{what} did not come. Streams: {opened:#?}\nRequests: {asked:#?}");
            }
            drop(state);
            thread::sleep(Duration::from_millis(5));
        }
    }
}
