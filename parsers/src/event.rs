//! The vocabulary: what a line or a state document says, as types.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::access::Request;
use crate::errors::Fault;
use crate::origin::{Origin, SharedOrigin};
use crate::state::State;
use crate::time::Time;
use crate::ztunnel::Connection;

/// Text taken from a line, as it was written.
pub type Text = Box<str>;

/// One record of an origin: usually a line, several where the format says so. Without its line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it comes from.
    pub origin: SharedOrigin,
    /// Byte offset of the record within its origin.
    pub seq: u64,
    /// Number of its first line within its origin, from 1.
    pub number: u64,
    /// How many lines it takes.
    pub lines: u32,
    /// The timestamp that the transport put in front (CRI, `kubectl logs --timestamps`, a collector).
    pub outer_at: Option<Time>,
    /// The command whose output this is, where a person saved `$ command` above it.
    pub command: Option<Arc<str>>,
    /// The header of the table this line is a row of.
    pub header: Option<Arc<str>>,
    /// The record itself, prefixes and colours removed.
    pub text: Text,
}

impl Line {
    /// A record that stands alone: the first of its origin, with nothing around it.
    pub fn alone(origin: Origin, text: &str) -> Line {
        Line {
            origin: Arc::new(origin),
            seq: 0,
            number: 1,
            lines: 1,
            outer_at: None,
            command: None,
            header: None,
            text: text.into(),
        }
    }
}

/// What arrives from a source.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrival<T> {
    /// This origin is being watched from here on.
    Begin(SharedOrigin),
    /// A line or what it says.
    Item(T),
    /// Lines of this origin were lost.
    Gap(SharedOrigin),
    /// The wall clock.
    Clock(Time),
    /// Nothing more of this origin will come.
    End(SharedOrigin),
}

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Level {
    /// Finer than debug.
    Trace,
    /// For developers.
    Debug,
    /// Normal operation, and anything without a level.
    #[default]
    Info,
    /// `warn`, `warning`.
    Warn,
    /// `error`.
    Error,
    /// `critical`, `fatal`, a panic.
    Fatal,
}

impl Level {
    /// Reads a level word in any spelling in use, upper or lower case.
    pub fn from_word(word: &str) -> Option<Level> {
        const WORDS: [(&str, Level); 12] = [
            ("trace", Level::Trace),
            ("debug", Level::Debug),
            ("info", Level::Info),
            ("notice", Level::Info),
            ("warn", Level::Warn),
            ("warning", Level::Warn),
            ("error", Level::Error),
            ("err", Level::Error),
            ("critical", Level::Fatal),
            ("fatal", Level::Fatal),
            ("panic", Level::Fatal),
            ("alert", Level::Fatal),
        ];
        WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, level)| *level)
    }
}

/// A host, as address or name, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Addr {
    /// IP address without brackets, or a host name.
    pub host: Text,
    /// Port; 0 where none was written.
    pub port: u16,
}

impl Addr {
    /// Reads `10.0.0.1:15008`, `[fd00::1]:15008` or `host.name:9080`.
    pub fn parse(text: &str) -> Option<Addr> {
        let (host, port) = match text.strip_prefix('[') {
            Some(v6) => {
                let (host, rest) = v6.split_once(']')?;
                (host, rest.strip_prefix(':')?)
            }
            None => text.rsplit_once(':')?,
        };
        let fits = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '"');
        let v6_needs_brackets = host.contains(':') && !text.starts_with('[');
        (fits && !v6_needs_brackets).then_some(())?;
        Some(Addr { host: host.into(), port: port.parse().ok()? })
    }

    /// The IP address, where the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether the host lies in 240.0.0.0/4, which no network routes.
    pub fn is_class_e(&self) -> bool {
        matches!(self.ip(), Some(IpAddr::V4(v4)) if v4.octets()[0] >= 240 && v4.octets()[0] < 255)
    }

    /// Whether the host is a loopback address or `localhost`.
    pub fn is_loopback(&self) -> bool {
        &*self.host == "localhost" || self.ip().is_some_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.contains(':'), self.port) {
            (_, 0) => f.write_str(&self.host),
            (true, port) => write!(f, "[{}]:{port}", self.host),
            (false, port) => write!(f, "{}:{port}", self.host),
        }
    }
}

/// What a line or a document says, with where and when it was said.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it happened: the completion, where a line prints its start. `None` where the line has no time.
    pub at: Option<Time>,
    /// Where it comes from.
    pub origin: SharedOrigin,
    /// Byte offset of its record within its origin.
    pub seq: u64,
    /// Line number within its origin, from 1; 0 for a document as a whole.
    pub number: u64,
    /// How loud the line is.
    pub level: Level,
    /// The record, kept up to [`TEXT_MAX`] bytes; empty for ordinary successes.
    pub text: Text,
    /// Name of the signature that read it; `None` for a line of a known format without one.
    pub signature: Option<&'static str>,
    /// What it says.
    pub fact: Fact,
}

/// The name that stands for a signature where a state document said it.
pub const DOCUMENT: &str = "document";

impl Event {
    /// What a state document says that was taken, or last changed, at `taken`. Only what has a time of its own, `at`,
    /// happened then.
    pub fn of_document(origin: SharedOrigin, at: Option<Time>, taken: Option<Time>, fact: Fact) -> Event {
        Event {
            at: at.or(taken),
            origin,
            seq: 0,
            number: 0,
            level: Level::Info,
            text: Text::default(),
            signature: at.is_none().then_some(DOCUMENT),
            fact,
        }
    }

    /// `file:line`, or the file alone for a document.
    pub fn place(&self) -> String {
        match self.number {
            0 => self.origin.file.to_string(),
            number => format!("{}:{number}", self.origin.file),
        }
    }

    /// Whether a state document said it, which shows what was so when it was taken, and not that something happened then.
    pub fn is_document(&self) -> bool {
        self.signature == Some(DOCUMENT)
    }
}

/// How many bytes of a record's text an event keeps.
pub const TEXT_MAX: usize = 4_096;

/// What a line or a state document says. Unknown codes are kept as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A ztunnel access line.
    Connection(Box<Connection>),
    /// An Envoy access line.
    Request(Box<Request>),
    /// A proxy's or ztunnel's xDS stream to istiod, seen from either side.
    Stream(Stream),
    /// A proxy rejected a pushed resource.
    Nack(Nack),
    /// What istiod says about a remote cluster.
    Remote(Remote),
    /// The link between peered control planes (deltaadsc).
    Peer(Peer),
    /// A workload's certificate was issued or not.
    Certificate(Certificate),
    /// istiod refused a client, or a client's identity.
    ClientRefused(ClientRefused),
    /// What istiod says about its CA, its roots and trust domains.
    Trust(Trust),
    /// Networks and their gateways, as istiod sees them.
    Network(Network),
    /// A service's endpoints or a config object changed in istiod.
    Push(Push),
    /// A webhook was called, patched, or its caller failed.
    Webhook(Webhook),
    /// istio-cni and the link between it and ztunnel.
    Cni(Cni),
    /// A name did not resolve.
    Dns(Dns),
    /// A TLS handshake failed outside an access line.
    Handshake(Handshake),
    /// A program started, became ready, stopped or died.
    Process(Process),
    /// A user's resource is refused, ignored or does not do what it says.
    Config(Config),
    /// An authorization or authentication decision outside an access line.
    Policy(Policy),
    /// A resource ran out: memory, disk, file descriptors, inotify watches.
    Exhausted(Exhausted),
    /// State: a row of a table, an answer of a command, a dump.
    State(Box<State>),
    /// A line that a signature of the user's own knows.
    User(User),
    /// A known line that says nothing about a failure.
    Known,
    /// A line no signature knows.
    Opaque(Opaque),
}

/// The kinds of facts, for triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the same words as `Fact`
pub enum Kind {
    Connection,
    Request,
    Stream,
    Nack,
    Remote,
    Peer,
    Certificate,
    ClientRefused,
    Trust,
    Network,
    Push,
    Webhook,
    Cni,
    Dns,
    Handshake,
    Process,
    Config,
    Policy,
    Exhausted,
    State,
    User,
    Worked,
    Known,
    Opaque,
}

impl Fact {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Fact::Connection(_) => Kind::Connection,
            Fact::Request(_) => Kind::Request,
            Fact::Stream(_) => Kind::Stream,
            Fact::Nack(_) => Kind::Nack,
            Fact::Remote(_) => Kind::Remote,
            Fact::Peer(_) => Kind::Peer,
            Fact::Certificate(_) => Kind::Certificate,
            Fact::ClientRefused(_) => Kind::ClientRefused,
            Fact::Trust(_) => Kind::Trust,
            Fact::Network(_) => Kind::Network,
            Fact::Push(_) => Kind::Push,
            Fact::Webhook(_) => Kind::Webhook,
            Fact::Cni(_) => Kind::Cni,
            Fact::Dns(_) => Kind::Dns,
            Fact::Handshake(_) => Kind::Handshake,
            Fact::Process(_) => Kind::Process,
            Fact::Config(_) => Kind::Config,
            Fact::Policy(_) => Kind::Policy,
            Fact::Exhausted(_) => Kind::Exhausted,
            Fact::State(_) => Kind::State,
            Fact::User(_) => Kind::User,
            Fact::Known => Kind::Known,
            Fact::Opaque(_) => Kind::Opaque,
        }
    }
}

/// An xDS stream of a proxy or ztunnel to istiod.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// Who speaks: the proxy in its own log, or istiod about a proxy.
    pub side: Side,
    /// The control plane's address as dialled, where the line names it.
    pub address: Option<Addr>,
    /// The proxy (`<pod>.<namespace>` or connection id), where istiod speaks.
    pub node: Option<Text>,
    /// What happened.
    pub what: StreamWhat,
}

/// Which end of a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The client: proxy, ztunnel, agent, or istiod where it dials.
    Client,
    /// The server: istiod where it is dialled.
    Server,
}

/// What happened to an xDS stream.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamWhat {
    /// Established.
    Opened,
    /// It could not be established.
    Refused(Fault),
    /// It broke.
    Closed(Fault),
    /// It ended as planned (connection age, shutdown, client gone).
    Ended,
    /// The proxy reports that it has no configuration yet.
    NotReady {
        /// Configurations rejected so far (CDS and LDS).
        rejected: u32,
    },
    /// The proxy has its configuration and is ready.
    Ready,
}

/// A proxy rejected a pushed resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Nack {
    /// Who speaks.
    pub side: Side,
    /// `CDS`, `LDS`, `WDS`, ... or the type URL.
    pub kind: Text,
    /// The rejecting proxy, where istiod speaks.
    pub node: Option<Text>,
    /// The first rejected resource's name, where the reason names it.
    pub resource: Option<Text>,
    /// The proxy's reason, first line.
    pub reason: Text,
}

/// What istiod says about a remote cluster (or, for `Watch`, about any cluster).
#[derive(Clone, Debug, PartialEq)]
pub struct Remote {
    /// Cluster ID: the data key of the remote secret. Empty where the line does not name it.
    pub cluster: Text,
    /// `<namespace>/<name>` of the remote secret, where named.
    pub secret: Option<Text>,
    /// What happened.
    pub what: RemoteWhat,
}

/// What happened to a remote cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum RemoteWhat {
    /// istiod watches for remote secrets from here on.
    ControllerStarted,
    /// A secret event was taken up.
    SecretEvent,
    /// The kubeconfig was accepted for reading.
    Added,
    /// The kubeconfig changed.
    Updated,
    /// The kubeconfig did not change.
    Unchanged,
    /// The kubeconfig is unusable; not retried.
    Rejected(Fault),
    /// A second secret carries the same cluster ID.
    Duplicate,
    /// The secret names istiod's own cluster ID.
    OverwritesLocal,
    /// The cluster was removed.
    Deleted,
    /// How many remote clusters there are.
    Count(u32),
    /// The first sync timed out.
    SyncTimedOut,
    /// The first sync was stopped.
    SyncStopped,
    /// The cluster contributes no workloads (ambient).
    Omitted,
    /// A list or watch failed: the resource and why.
    Watch {
        /// `*v1.Pod`, `customresourcedefinitions`, ...; empty for the watch step.
        resource: Text,
        /// Why.
        fault: Fault,
    },
    /// All informers listed once, or the registry synced.
    Synced,
    /// Waiting for a sync, or a wait that was stopped.
    Waiting {
        /// What is waited for.
        name: Text,
        /// How long so far.
        so_far: Duration,
    },
    /// Removing it left something behind.
    CleanupFailed,
    /// A second identity: `proxy is in cluster <a>, but controller is for cluster <b>`, `client claims to be in cluster`.
    UnknownToUs {
        /// Cluster IDs istiod knows, where the line lists them (the local one first).
        known: Vec<Text>,
    },
    /// Its credential was refused when validating a client's token.
    TokenReviewFailed(Fault),
}

/// The link between peered control planes.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// The `target` label: `peering-<cluster>` in vendor builds, else the discovery address.
    pub target: Text,
    /// What happened.
    pub what: PeerWhat,
}

/// What happened to a peer link.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerWhat {
    /// The stream is up.
    Connected,
    /// It broke or never came up; retried.
    Disconnected(Fault),
    /// The peer was removed or we shut down.
    Stopped,
}

/// A certificate was issued or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// Who speaks: the asking proxy, or the CA.
    pub side: Side,
    /// Whose certificate (SPIFFE id or resource name), where named.
    pub identity: Option<Text>,
    /// What happened.
    pub what: CertificateWhat,
}

/// What happened to a certificate request.
#[derive(Clone, Debug, PartialEq)]
pub enum CertificateWhat {
    /// Issued.
    Issued,
    /// The request failed and is retried.
    Failed(Fault),
    /// The CA answered, but with nothing usable (empty chain, foreign identity, no root).
    Unusable(Text),
    /// The CA refused to sign or to let the caller impersonate.
    Refused(Text),
    /// A renewal failed; the old one is still valid.
    RenewalFailed(Fault),
    /// SDS never delivered a certificate, or the Secret is missing.
    Missing(Text),
}

/// istiod refused a client.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientRefused {
    /// The client's address.
    pub peer: Option<Addr>,
    /// The cluster the client claims, where named.
    pub cluster: Option<Text>,
    /// Why.
    pub why: RefusedWhy,
}

/// Why istiod refused a client.
#[derive(Clone, Debug, PartialEq)]
pub enum RefusedWhy {
    /// It claims a cluster istiod does not know.
    UnknownCluster {
        /// What istiod knows, the local cluster first.
        known: Vec<Text>,
    },
    /// The API server refused its token.
    Token(Text),
    /// The token review itself failed.
    ReviewFailed(Fault),
    /// It sent no credential at all: a scanner, a probe, a plain client.
    NoCredential,
    /// Its identity does not match what it claims to be.
    Identity(Text),
    /// It may not impersonate (ztunnel).
    Impersonation(Text),
    /// Something else.
    Other(Text),
}

/// What istiod says about its CA.
#[derive(Clone, Debug, PartialEq)]
pub enum Trust {
    /// `Use self-signed certificate as the CA certificate`, or a new root is made.
    SelfSigned,
    /// A plugged-in `cacerts` is used.
    PluggedIn,
    /// A new root on disk is ignored until restart.
    RootIgnored,
    /// The signing CA's files are incomplete or do not fit each other.
    Broken(Fault),
    /// A policy or a client names another trust domain.
    ForeignDomain {
        /// The foreign trust domain.
        domain: Text,
        /// The principal or peer that carries it.
        who: Text,
    },
    /// 15012 trusts this many certificates for a trust domain.
    Domain {
        /// Trust domain.
        domain: Text,
    },
    /// A SPIFFE trust bundle could not be fetched.
    BundleUnreachable(Fault),
    /// The root's SHA-256 sum as a tool printed it.
    RootDigest {
        /// Cluster it belongs to.
        cluster: Text,
        /// Hexadecimal SHA-256.
        digest: Text,
    },
    /// Somebody compared two roots: `istioctl proxy-config rootca-compare`, `diff`, `cmp`.
    RootsCompared {
        /// The one: a cluster, a proxy or a file.
        one: Text,
        /// The other.
        other: Text,
        /// Whether they are the same. Two files may differ and still hold a root in common.
        same: bool,
    },
}

/// Networks and gateways as istiod sees them.
#[derive(Clone, Debug, PartialEq)]
pub enum Network {
    /// No gateway is known for a network.
    NoGateway(Text),
    /// A gateway's host name does not resolve.
    HostnameUnresolved(Text),
    /// The gateway service listens on neither 15443 nor 15008.
    GatewayPortMissing(Text),
    /// A cluster's system namespace has no network label.
    NoLabel(Text),
    /// Two workloads share one address on one network.
    SharedAddress(Text),
    /// A Gateway's class is not installed.
    ClassMissing {
        /// GatewayClass.
        class: Text,
        /// `<namespace>/<name>`.
        gateway: Text,
    },
    /// No Gateway selects this gateway proxy: it has no listeners.
    NoListeners(Text),
    /// The meshNetworks configuration is unusable.
    MeshNetworksInvalid(Text),
    /// The gateway list changed.
    GatewaysChanged,
    /// A service has other ports in another cluster.
    ServiceDiffers(Text),
    /// An ambient flag needs another flag that is not set.
    FlagIgnored(Text),
}

/// Something changed in istiod.
#[derive(Clone, Debug, PartialEq)]
pub enum Push {
    /// A service's last endpoint at a shard went away.
    NoEndpoints {
        /// Service host name.
        host: Text,
        /// Cluster of the shard.
        cluster: Text,
    },
    /// A service got its first endpoints.
    NewService(Text),
    /// Config objects caused a push: `<Kind>/<namespace>/<name>`.
    ConfigChanged(Text),
}

/// A webhook call or its configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum Webhook {
    /// The API server could not call a webhook.
    CallFailed {
        /// Webhook name.
        name: Text,
        /// `https://istiod.istio-system.svc:443/inject...`
        url: Text,
        /// Why.
        fault: Fault,
    },
    /// The webhook answered and denied: a user's object is refused.
    Denied {
        /// Webhook name.
        name: Text,
        /// The reason as printed.
        reason: Text,
    },
    /// A client refused istiod's webhook certificate, or hung up (15017 or 15012).
    ServerHandshake {
        /// The client.
        peer: Addr,
        /// Why.
        fault: Fault,
    },
    /// istiod could not write its CA into a webhook configuration.
    PatchFailed(Text),
    /// An injection request was handled.
    Injected,
}

/// istio-cni and the link to ztunnel.
#[derive(Clone, Debug, PartialEq)]
pub enum Cni {
    /// ztunnel cannot reach the node agent's socket.
    AgentUnreachable(Text),
    /// The link is up.
    AgentConnected,
    /// ztunnel took over a pod.
    PodReceived {
        /// Kubernetes pod UID.
        uid: Text,
        /// `<namespace>/<pod>`.
        pod: Text,
    },
    /// ztunnel could not start a pod's proxy.
    PodFailed {
        /// Pod UID.
        uid: Text,
        /// Why.
        reason: Text,
    },
    /// A pod could not be added to the mesh, or its network not set up.
    SetupFailed {
        /// `<namespace>/<pod>` where named.
        pod: Option<Text>,
        /// Why.
        fault: Fault,
    },
    /// iptables or nftables rules could not be installed.
    RulesFailed(Text),
    /// A connection reached a redirect port without redirection.
    NotRedirected(Text),
}

/// A name did not resolve.
#[derive(Clone, Debug, PartialEq)]
pub struct Dns {
    /// The name.
    pub host: Text,
    /// Why.
    pub fault: Fault,
}

/// A TLS handshake failed outside an access line.
#[derive(Clone, Debug, PartialEq)]
pub struct Handshake {
    /// Who speaks.
    pub side: Side,
    /// The other end, where named.
    pub peer: Option<Addr>,
    /// Why.
    pub fault: Fault,
}

/// A program's life.
#[derive(Clone, Debug, PartialEq)]
pub enum Process {
    /// Started, with its version where printed.
    Started {
        /// `1.27.1`, a tag, or `unknown`.
        version: Text,
    },
    /// What it says of itself: cluster ID and, for ztunnel, network and node.
    Identity {
        /// Cluster ID.
        cluster: Text,
        /// Network; empty where none.
        network: Text,
        /// Control-plane address; empty where none.
        xds_address: Text,
    },
    /// Ready.
    Ready,
    /// Not ready, with what is pending.
    NotReady(Text),
    /// Asked to stop.
    Stopping,
    /// Draining connections ran out of time.
    DrainTimedOut,
    /// Died: panic, fatal error, exit with an error.
    Died(Text),
    /// ztunnel waited in vain for a workload from xDS.
    WorkloadMissing(Text),
    /// A part needed an API type that is not installed.
    CrdMissing(Text),
    /// A vendor build refuses for want of a licence.
    LicenseInvalid(Text),
    /// The token policy does not fit the API server.
    TokenUnsupported(Text),
    /// A feature is not supported here.
    Unsupported(Text),
    /// A port is already taken.
    PortTaken(Text),
}

/// A user's resource that does not do what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `<Kind>/<namespace>/<name>` or what the line names.
    pub resource: Text,
    /// What is wrong.
    pub what: ConfigWhat,
    /// The reason as printed.
    pub reason: Text,
}

/// What is wrong with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigWhat {
    /// Invalid: refused or ignored.
    Invalid,
    /// A Wasm extension cannot be fetched, loaded or run.
    Wasm,
    /// A listener conflicts with another: port or address taken.
    PortConflict,
    /// Ignored, harmlessly (an HTTP rule on a TCP port).
    Skipped,
    /// istioctl or kubectl could not do what was asked (`create-remote-secret`).
    ToolFailed,
}

/// An authorization or authentication decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The policy that decided, where named.
    pub policy: Option<Text>,
    /// The decision.
    pub what: PolicyWhat,
}

/// A decision.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyWhat {
    /// Denied.
    Denied,
    /// The external authorizer could not be asked.
    AuthorizerFailed(Text),
    /// An end user's token was refused.
    JwtRefused(Text),
    /// The keys to check tokens could not be fetched.
    JwksFailed(Text),
}

/// A resource ran out.
#[derive(Clone, Debug, PartialEq)]
pub struct Exhausted {
    /// `memory`, `file descriptors`, `inotify watches`, `disk`, `connection tracking`.
    pub what: Text,
    /// As printed.
    pub reason: Text,
}

/// What a signature of the user's own read.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// The signature's name.
    pub name: &'static str,
    /// What the line is about, by the field the user chose; else the signature's name.
    pub subject: Text,
    /// The named parts of the line.
    pub fields: Vec<(&'static str, Text)>,
    /// Whether it was said often enough, this line included, to mean something.
    pub enough: bool,
}

/// A line no signature knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Opaque {
    /// The line with numbers, addresses, quoted values and ids replaced, for counting.
    pub template: Text,
    /// Whether a format was recognised (time, level, scope).
    pub format_known: bool,
}

/// Something that can fail and work again: a destination as seen by a source, a stream, a remote cluster.
/// A hash of its name; equal names are equal things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thing(pub u64);

impl Thing {
    /// The thing named by these parts.
    pub fn named(parts: &[&str]) -> Thing {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let mut hash = OFFSET;
        for part in parts {
            // The length keeps ("ab", "c") apart from ("a", "bc").
            for byte in (part.len() as u32).to_le_bytes().iter().chain(part.as_bytes()) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
            }
        }
        Thing(hash)
    }
}

/// What an event means for the things it speaks of.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct About {
    /// What failed, and how: events that agree in both are repeats of one symptom.
    pub failed: Option<Symptom>,
    /// What worked.
    pub worked: Vec<Thing>,
}

/// One way in which one thing fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symptom {
    /// The failing thing; its success is this symptom's recovery.
    pub thing: Thing,
    /// How it fails.
    pub class: Thing,
}

impl Event {
    /// The event's origin.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What this event means for the things it speaks of.
    pub fn about(&self) -> About {
        crate::about::about(self)
    }
}
