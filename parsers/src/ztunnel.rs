//! ztunnel's log, text and JSON (`istio/ztunnel: src/telemetry.rs`, `src/proxy/metrics.rs`).

use std::time::Duration;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_until};
use nom::sequence::delimited;
use nom::{IResult, Parser};

use crate::errors::{self, Fault, What};
use crate::event::{
    Addr, Certificate, CertificateWhat, Cni, Dns, Exhausted, Fact, Handshake, Nack, Policy, PolicyWhat, Process, Side,
    Stream, StreamWhat, Text,
};
use crate::header;
use crate::signature::{Said, Signature, refuse};

/// Which way a connection goes, seen from the ztunnel that prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From a local workload.
    Outbound,
    /// To a local workload.
    Inbound,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Peer {
    /// Address: the socket for the source; the address really dialled for the destination.
    pub addr: Option<Addr>,
    /// Pod, `NetworkGateway/...`, or empty.
    pub workload: Text,
    /// Namespace, or empty.
    pub namespace: Text,
    /// SPIFFE identity, or empty; for a destination the expected one.
    pub identity: Text,
    /// Cluster ID (1.31 and later), or empty.
    pub cluster: Text,
}

/// A ztunnel access line.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Source.
    pub src: Peer,
    /// Destination.
    pub dst: Peer,
    /// The CONNECT authority, for HBONE only: a pod address, or `host:port` across networks.
    pub hbone: Option<Addr>,
    /// Service host name, or empty.
    pub service: Text,
    /// Direction.
    pub direction: Direction,
    /// Whole life of the connection.
    pub duration: Option<Duration>,
    /// Bytes, sent and received as printed.
    pub bytes: Option<(u64, u64)>,
    /// How it failed; `None` where it worked.
    pub error: Option<ConnectionError>,
}

/// How a connection failed.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionError {
    /// The text of the `error` field, unescaped.
    pub text: Text,
    /// What it says.
    pub what: ConnectionWhat,
}

/// What the `error` field of an access line says (numbers: the catalogue of ztunnel errors).
#[derive(Clone, Debug, PartialEq)]
pub enum ConnectionWhat {
    /// TCP connect on the HBONE port timed out.
    HboneTimedOut,
    /// `io error: ...`: connect, TLS, or the stream.
    Io(Fault),
    /// The CONNECT was answered with this status.
    HttpStatus(u16),
    /// HTTP/2 setup or stream error.
    H2(Fault),
    /// Our own certificate is not available.
    Identity(Fault),
    /// No server certificate for the pod.
    Signing(Fault),
    /// Inbound: the application refused or did not answer.
    App(Fault),
    /// A policy refused: its key where it was named (`<namespace>/<name>`).
    PolicyDenied {
        /// The denying policy; `None` where ALLOW policies exist and none matched.
        policy: Option<Text>,
    },
    /// A policy update cut a live connection.
    PolicyChanged,
    /// A revocation list cut it.
    Revoked,
    /// Shut down before it ended.
    Drained,
    /// Failed while copying.
    Copy(Fault),
    /// The VIP has no usable endpoint.
    NoHealthyUpstream(Addr),
    /// The endpoint has no usable address: workload name and uid.
    NoRoutingDestination {
        /// Workload name.
        name: Text,
        /// xDS uid.
        uid: Text,
    },
    /// The network gateway is not in ztunnel's state.
    UnknownGateway(Text),
    /// The waypoint is not in ztunnel's state.
    UnknownWaypoint(Text),
    /// The VIP is not known under ztunnel's own network.
    NoServiceForAddress(Addr),
    /// The host name of this workload uid did not resolve.
    NoAddresses(Text),
    /// The local pod is not known from xDS: `<sa>.<ns> (<pod>)`.
    UnknownLocalWorkload(Text),
    /// The target is one of ztunnel's own ports.
    Recursive,
    /// Inbound TLS accept failed.
    TlsAccept(Fault),
    /// The CONNECT names another address than the pod's.
    IpMismatch {
        /// The pod's.
        local: Text,
        /// The requested.
        requested: Text,
    },
    /// A cross-network request for a service unknown here.
    NoServiceForHost(Text),
    /// The service is known, but not the port or an address.
    PortUnresolved(Text),
    /// Not an HBONE client.
    NotConnect(Text),
    /// Something else.
    Other,
}

impl Connection {
    /// Whether the destination is a network gateway (`NetworkGateway/<network>/<address>/<port>`).
    pub fn to_gateway(&self) -> bool {
        // Only across networks the CONNECT names a service by its host name.
        let names_service = || self.hbone.as_ref().is_some_and(|hbone| hbone.ip().is_none());
        self.dst.workload.starts_with("NetworkGateway/") || (self.direction == Direction::Outbound && names_service())
    }

    /// The source as people name it: workload, else address.
    pub fn source_name(&self) -> String {
        match (&*self.src.workload, &self.src.addr) {
            ("", Some(addr)) => addr.host.to_string(),
            ("", None) => "unknown source".to_string(),
            (workload, _) => workload.to_string(),
        }
    }
}

/// Reads an access line. `connection opened` is none: it says nothing about how the connection ends.
pub fn connection(said: &Said<'_>) -> Option<Connection> {
    if said.scope.starts_with("proxy::") {
        return before_access_lines(said);
    }
    let bare;
    let fields = match &*said.message {
        "connection complete" | "connection failed" if said.scope == "access" => &said.fields,
        message => {
            bare = header::fields(bare_access(message)?);
            &bare
        }
    };
    let field = |key: &str| fields.iter().find(|(known, _)| known == key).map(|(_, value)| &**value);
    let direction = match field("direction")? {
        "outbound" => Direction::Outbound,
        "inbound" => Direction::Inbound,
        _ => return None,
    };
    let text = |key: &str| Text::from(field(key).unwrap_or(""));
    let addr = |key: &str| field(key).and_then(Addr::parse);
    let count = |key: &str| field(key).and_then(|value| value.parse::<u64>().ok());
    Some(Connection {
        src: Peer {
            addr: addr("src.addr"),
            workload: text("src.workload"),
            namespace: text("src.namespace"),
            identity: text("src.identity"),
            cluster: text("src.cluster"),
        },
        dst: Peer {
            addr: addr("dst.addr"),
            workload: text("dst.workload"),
            namespace: text("dst.namespace"),
            identity: text("dst.identity"),
            cluster: text("dst.cluster"),
        },
        hbone: addr("dst.hbone_addr"),
        service: text("dst.service"),
        direction,
        duration: field("duration").and_then(milliseconds),
        bytes: count("bytes_sent").zip(count("bytes_recv")),
        error: field("error").map(|error| {
            // Wrapped lines leave line ends inside the quotes.
            let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
            ConnectionError { what: what(&error), text: error.into() }
        }),
    })
}

/// What ztunnel said of a failed connection up to 1.20, before it had access lines:
/// `failed dur=8.256389ms err=http status: 401 Unauthorized`, `RBAC rejected conn=10.1.0.5(spiffe://...)->10.1.0.9:5000`.
fn before_access_lines(said: &Said<'_>) -> Option<Connection> {
    let direction = if said.scope.ends_with("::outbound") { Direction::Outbound } else { Direction::Inbound };
    let failed = |what: ConnectionWhat, text: &str| Connection {
        src: Peer::default(),
        dst: Peer::default(),
        hbone: None,
        service: "".into(),
        direction,
        duration: None,
        bytes: None,
        error: Some(ConnectionError { what, text: text.into() }),
    };
    if let Some(behind) = said.message.strip_prefix("failed dur=") {
        let (_, error) = behind.split_once(" err=")?;
        return Some(failed(what(error), error));
    }
    let (from, to) = said.message.strip_prefix("RBAC rejected conn=")?.split_once("->")?;
    let (host, identity) = from.split_once('(').unwrap_or((from, ""));
    let identity = identity.trim_end_matches(')');
    let mut denied = failed(ConnectionWhat::PolicyDenied { policy: None }, "RBAC rejected");
    denied.src.addr = Some(Addr { host: host.into(), port: 0 });
    denied.src.identity = if identity.starts_with("spiffe://") { identity.into() } else { "".into() };
    denied.dst.addr = Addr::parse(to);
    Some(denied)
}

/// The fields of an access line that lost its header: `access connection complete src.addr=...`.
fn bare_access(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("access").map_or(message, str::trim_start);
    let fields =
        ["connection complete", "connection failed"].iter().find_map(|text| rest.strip_prefix(text))?.trim_start();
    fields.starts_with("src.addr=").then_some(fields)
}

/// `10001ms`.
fn milliseconds(text: &str) -> Option<Duration> {
    text.strip_suffix("ms")?.parse().ok().map(Duration::from_millis)
}

/// Reads the `error` field: the outer prefix says which step failed, the inner text why.
fn what(text: &str) -> ConnectionWhat {
    let after = |prefix: &str| text.strip_prefix(prefix).map(str::trim);
    if text.starts_with("connection timed out, maybe a NetworkPolicy is blocking HBONE port") {
        return ConnectionWhat::HboneTimedOut;
    }
    if let Some(reason) =
        after("connection closed due to policy rejection").map(|rest| rest.trim_start_matches([':', ' ']))
    {
        let policy = reason.strip_prefix("explicitly denied by: ").map(Text::from);
        return ConnectionWhat::PolicyDenied { policy };
    }
    match text {
        "connection closed due to policy change" => return ConnectionWhat::PolicyChanged,
        "connection closed: peer certificate revoked by CRL" => return ConnectionWhat::Revoked,
        "connection closed due to connection drain"
        | "connection failed to drain within the timeout"
        | "pool draining" => {
            return ConnectionWhat::Drained;
        }
        "attempted recursive call to ourselves" => return ConnectionWhat::Recursive,
        _ => {}
    }
    type Step = fn(Fault) -> ConnectionWhat;
    let nested: [(&str, Step); 13] = [
        ("io error: ", ConnectionWhat::Io),
        ("http2 handshake failed: ", ConnectionWhat::H2),
        ("h2 failed: ", ConnectionWhat::H2),
        ("identity error: ", ConnectionWhat::Identity),
        ("signing error: ", ConnectionWhat::Signing),
        ("connection failed: ", ConnectionWhat::App),
        ("tls handshake error: ", ConnectionWhat::TlsAccept),
        ("tls error: ", ConnectionWhat::TlsAccept),
        ("ssl error: ", ConnectionWhat::TlsAccept),
        ("while closing connection: ", ConnectionWhat::Copy),
        ("send: ", ConnectionWhat::Copy),
        ("receive: ", ConnectionWhat::Copy),
        // Up to 1.23 as a text of its own.
        ("san verification error: ", ConnectionWhat::Io),
    ];
    if let Some(said) = nested.iter().find_map(|(prefix, of)| after(prefix).map(|inner| of(errors::fault(inner)))) {
        return said;
    }
    if let Some(status) = after("http status: ") {
        let code = status.split(' ').next().and_then(|code| code.parse().ok());
        return code.map_or(ConnectionWhat::Other, ConnectionWhat::HttpStatus);
    }
    if let Some(vip) = after("no healthy upstream: ") {
        return Addr::parse(vip).map_or(ConnectionWhat::Other, ConnectionWhat::NoHealthyUpstream);
    }
    if let Some(vip) = after("no service for target address: ") {
        return Addr::parse(vip).map_or(ConnectionWhat::Other, ConnectionWhat::NoServiceForAddress);
    }
    if let Some((name, uid)) = after("no valid routing destination for workload: Workload{").and_then(named_with_uid) {
        return ConnectionWhat::NoRoutingDestination { name: name.into(), uid: uid.into() };
    }
    if let Some(gateway) = after("unknown network gateway: ") {
        return ConnectionWhat::UnknownGateway(missing_destination(gateway).into());
    }
    if let Some(waypoint) = after("unknown waypoint: ") {
        return ConnectionWhat::UnknownWaypoint(missing_destination(waypoint).into());
    }
    if let Some(uid) = after("no ip addresses were resolved for workload: ") {
        return ConnectionWhat::NoAddresses(uid.into());
    }
    if let Some((uid, _)) = after("ip addresses were resolved for workload ").and_then(|rest| rest.split_once(", but"))
    {
        return ConnectionWhat::NoAddresses(uid.into());
    }
    if let Some(workload) = after("failed to fetch information about local workload: ") {
        return ConnectionWhat::UnknownLocalWorkload(workload.into());
    }
    // Up to 1.23.
    if let Some(address) = after("unknown source: ") {
        return ConnectionWhat::UnknownLocalWorkload(address.into());
    }
    if let Some((local, requested)) = after("ip mismatch: ").and_then(|rest| rest.split_once(" != ")) {
        return ConnectionWhat::IpMismatch { local: local.into(), requested: requested.into() };
    }
    if let Some(host) = after("no service or workload for hostname: ") {
        return ConnectionWhat::NoServiceForHost(host.into());
    }
    if let Some((host, _)) = after("requested service ").and_then(|rest| rest.split_once(" found, but")) {
        return ConnectionWhat::PortUnresolved(host.into());
    }
    let not_connect = ["expected method CONNECT", "invalid CONNECT address", "no valid authority pseudo header"];
    if not_connect.iter().any(|prefix| text.starts_with(prefix)) {
        return ConnectionWhat::NotConnect(text.into());
    }
    ConnectionWhat::Other
}

/// `reviews-v2 with uid c2//Pod/bookinfo/reviews-v2 (HBONE)}`.
fn named_with_uid(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once(" with uid ")?;
    Some((name, rest.rsplit_once(" (").map_or(rest, |(uid, _)| uid)))
}

/// The destination out of `network gateway <host> not found` or of the Debug text of a GatewayAddress: `<network>/<ip>`,
/// `<namespace>/<host>` or the host.
fn missing_destination(text: &str) -> String {
    let plain = text.strip_suffix(" not found").unwrap_or(text);
    let plain = ["network gateway ", "waypoint "].iter().find_map(|kind| plain.strip_prefix(kind)).unwrap_or(plain);
    let quoted = |key: &str| {
        let (_, rest) = plain.split_once(key)?;
        Some(rest.split('"').next().unwrap_or(""))
    };
    if let Some((network, address)) = quoted("network: \"").zip(plain.split_once("address: ").map(|(_, rest)| rest)) {
        let address = address.split([' ', '}', ',']).next().unwrap_or("");
        return format!("{network}/{address}");
    }
    if let Some((namespace, host)) = quoted("namespace: \"").zip(quoted("hostname: \"")) {
        return format!("{namespace}/{host}");
    }
    plain.to_string()
}

/// The known messages besides the access log.
pub static SIGNATURES: &[Signature] = &[
    Signature {
        name: "ztunnel-xds-established",
        printed_by: "istio/ztunnel: src/xds/client.rs",
        versions: "1.22+",
        meaning: "ztunnel's xDS stream to istiod is up.",
        points_to: &[],
        examples: &["2026-03-02T07:10:46.833156Z\tinfo\txds::client:xds{id=1}\tStream established\t"],
        read: xds_established,
    },
    Signature {
        name: "ztunnel-xds-refused",
        printed_by: "istio/ztunnel: src/xds/client.rs",
        versions: "all",
        meaning: "ztunnel could not open its xDS stream and retries.",
        points_to: &["istiod-unreachable", "istiod-down", "root-of-trust-mismatch", "jwt-invalid", "dns-failure"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\twarn\txds::client:xds{id=2}\tXDS client connection error: gRPC connection error connecting to https://istiod.istio-system.svc:15012: status: Unknown, message: \"client error (Connect)\", source: tcp connect error, retrying in 40ms\t",
            "2024-05-11T08:37:59.078700Z  WARN xds{id=1}: ztunnel::xds::client: XDS client connection error: gRPC connection error (Unknown error): client error (Connect), retrying in 20ms",
        ],
        read: xds_refused,
    },
    Signature {
        name: "ztunnel-xds-broken",
        printed_by: "istio/ztunnel: src/xds/client.rs",
        versions: "all",
        meaning: "ztunnel's xDS stream broke; it is opened again.",
        points_to: &["istiod-down", "istiod-unreachable", "jwt-invalid"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\twarn\txds::client:xds{id=3}\tXDS client error: gRPC error status: Internal, message: \"push failed\", retrying in 10ms\t",
            "2026-03-02T07:10:46.833156Z\twarn\txds::client:xds{id=3}\tXDS client error: TLS Error: no root certificate, retrying\t",
        ],
        read: xds_broken,
    },
    Signature {
        name: "ztunnel-xds-ended",
        printed_by: "istio/ztunnel: src/xds/client.rs",
        versions: "all",
        meaning: "istiod ended the stream without an error: connection age, restart, rebalancing.",
        points_to: &[],
        examples: &[
            "2026-03-02T07:10:46.833156Z\twarn\txds::client:xds{id=2}\tXDS client complete\t",
            "2026-03-02T07:10:46.833156Z\tdebug\txds::client:xds{id=2}\tXDS client terminated: gRPC error status: Unavailable, message: \"transport is closing\", retrying in 10ms\t",
        ],
        read: xds_ended,
    },
    Signature {
        name: "ztunnel-nack",
        printed_by: "istio/ztunnel: src/xds/client.rs",
        versions: "all",
        meaning: "ztunnel rejects resources of a push; they keep their former state.",
        points_to: &["xds-rejected", "version-skew"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\terror\txds::client:xds{id=1}\tsending response\ttype_url=\"type.googleapis.com/istio.workload.Address\" nonce=\"n-1/3\" type=Nack error=\"west//Pod/shop/cart-1: unknown enum: unsupported tunnel protocol: legacy istio mtls\"",
        ],
        read: nack,
    },
    Signature {
        name: "ztunnel-unknown-type",
        printed_by: "istio/ztunnel: src/xds/client.rs",
        versions: "all",
        meaning: "istiod pushed a type ztunnel does not know; it is acknowledged and ignored.",
        points_to: &[],
        examples: &[
            "2026-03-02T07:10:46.833156Z\terror\txds::client:xds{id=1}\tunknown type\ttype_url=type.googleapis.com/envoy.config.cluster.v3.Cluster",
        ],
        read: unknown_type,
    },
    Signature {
        name: "ztunnel-cert-failed",
        printed_by: "istio/ztunnel: src/identity/manager.rs",
        versions: "all",
        meaning: "The CA gave no certificate for an identity and there is no old one to fall back on.",
        points_to: &["ca-provider-unavailable", "root-of-trust-mismatch", "jwt-invalid"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\twarn\tidentity::manager\tcertificate fetch failed (signing gRPC error (Unknown error): client error (Connect)) and no valid existing certificate; will retry in 1.04s (backoff capped at 150s)\tid=spiffe://cluster.local/ns/shop/sa/cart",
        ],
        read: cert_failed,
    },
    Signature {
        name: "ztunnel-cert-renewal-failed",
        printed_by: "istio/ztunnel: src/identity/manager.rs",
        versions: "1.28+",
        meaning: "A renewal failed; the old certificate is still valid.",
        points_to: &["ca-provider-unavailable", "root-of-trust-mismatch"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\tinfo\tidentity::manager\tcertificate renewal failed (signing gRPC error (The service is currently unavailable): upstream down); retaining existing valid certificate until Instant { tv_sec: 99, tv_nsec: 0 }; next retry at Instant { tv_sec: 9, tv_nsec: 0 }\tid=spiffe://cluster.local/ns/shop/sa/cart",
        ],
        read: renewal_failed,
    },
    Signature {
        name: "ztunnel-cert-prefetch-failed",
        printed_by: "istio/ztunnel: src/cert_fetcher.rs",
        versions: "all",
        meaning: "The first certificate of a pod could not be fetched; this event carries the transport's reason.",
        points_to: &["ca-provider-unavailable", "root-of-trust-mismatch"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\terror\tcert_fetcher\tunable to prefetch cert for \"spiffe://cluster.local/ns/shop/sa/cart\", skipping, SigningRequest(Status { code: Unknown, message: \"client error (Connect)\", source: Some(client error (Connect)\n\nCaused by:\n    0: tcp connect error\n    1: Connection refused (os error 111)) })\t",
            "2026-03-02T07:10:46.833156Z\terror\tcert_fetcher\tunable to prefetch cert for \"spiffe://cluster.local/ns/shop/sa/cart\", skipping, EmptyResponse(Spiffe { trust_domain: \"cluster.local\", namespace: \"shop\", service_account: \"cart\" })\t",
        ],
        read: prefetch_failed,
    },
    Signature {
        name: "ztunnel-cert-unusable",
        printed_by: "istio/ztunnel: src/identity/caclient.rs",
        versions: "all",
        meaning: "The CA answered without a chain, or with a certificate of another identity.",
        points_to: &["ca-provider-unavailable"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\twarn\tidentity::caclient:fetch_certificate\tno chain certs for: spiffe://cluster.local/ns/shop/sa/cart\t",
            "2026-03-02T07:10:46.833156Z\terror\tidentity::caclient:fetch_certificate\texpected identity Spiffe { trust_domain: \"cluster.local\", namespace: \"shop\", service_account: \"cart\" }, got Some(Spiffe { trust_domain: \"cluster.local\", namespace: \"ops\", service_account: \"job\" })\t",
        ],
        read: cert_unusable,
    },
    Signature {
        name: "ztunnel-cert-issued",
        printed_by: "istio/ztunnel: src/identity/manager.rs, src/cert_fetcher.rs",
        versions: "all",
        meaning: "A certificate was issued.",
        points_to: &[],
        examples: &[
            "2026-03-02T07:10:46.833156Z\tdebug\tidentity::manager\tcertificate fetch succeeded\tid=spiffe://cluster.local/ns/shop/sa/cart",
            "2026-03-02T07:10:46.833156Z\tdebug\tcert_fetcher\tprefetched cert for \"spiffe://cluster.local/ns/shop/sa/cart\"\t",
        ],
        read: cert_issued,
    },
    Signature {
        name: "ztunnel-cni-unreachable",
        printed_by: "istio/ztunnel: src/inpod/workloadmanager.rs",
        versions: "all",
        meaning: "ztunnel cannot reach the node agent's socket: it hears of no new pods.",
        points_to: &["cni-failure"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\twarn\tinpod::workloadmanager\tfailed to connect to the Istio CNI node agent over \"/var/run/ztunnel/ztunnel.sock\", is the node agent healthy? details: Os { code: 2, kind: NotFound, message: \"No such file or directory\" }. retrying in 40ms\t",
            "2026-03-02T07:10:46.833156Z\terror\tinpod::workloadmanager\tnode agent announcement failed (broken pipe), retrying in 15s\t",
        ],
        read: cni_unreachable,
    },
    Signature {
        name: "ztunnel-cni-connected",
        printed_by: "istio/ztunnel: src/inpod/workloadmanager.rs, src/inpod/statemanager.rs",
        versions: "all",
        meaning: "The link to the node agent is up.",
        points_to: &[],
        examples: &[
            "2026-03-02T07:10:46.833156Z\tinfo\tinpod::workloadmanager\thandling new stream\t",
            "2026-03-02T07:10:46.833156Z\tinfo\tinpod::statemanager\treceived snapshot sent\t",
        ],
        read: cni_connected,
    },
    Signature {
        name: "ztunnel-pod-received",
        printed_by: "istio/ztunnel: src/inpod/statemanager.rs",
        versions: "1.22+",
        meaning: "The node agent handed a pod over.",
        points_to: &[],
        examples: &[
            "2026-03-02T07:10:46.833156Z\tinfo\tinpod::statemanager\tpod received, starting proxy\tuid=\"6f0c2a55-1f1e-4a59-8a0a-27d1c2d7e001\" name=\"cart-7d9c-x2\" namespace=\"shop\"",
        ],
        read: pod_received,
    },
    Signature {
        name: "ztunnel-pod-failed",
        printed_by: "istio/ztunnel: src/inpod/statemanager.rs",
        versions: "all",
        meaning: "A pod's proxy could not be started.",
        points_to: &["port-conflict", "cni-failure"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\terror\tinpod::statemanager\tfailed to start proxy: Bind([::]:15008, Os { code: 98, kind: AddrInUse, message: \"Address already in use\" })\tuid=6f0c2a55-1f1e-4a59-8a0a-27d1c2d7e001",
            "2026-03-02T07:10:46.833156Z\tinfo\tinpod::statemanager\tretrying workload failed: Bind([::]:15008, Os { code: 98, kind: AddrInUse, message: \"Address already in use\" })\t",
        ],
        read: pod_failed,
    },
    Signature {
        name: "ztunnel-cni-protocol",
        printed_by: "istio/ztunnel: src/inpod/workloadmanager.rs",
        versions: "all",
        meaning: "ztunnel and the node agent do not understand each other.",
        points_to: &["version-skew", "cni-failure"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\terror\tinpod::workloadmanager\tprotocol mismatch error while processing stream, shutting down\t",
        ],
        read: cni_protocol,
    },
    Signature {
        name: "ztunnel-workload-missing",
        printed_by: "istio/ztunnel: src/state.rs",
        versions: "1.24+",
        meaning: "The node agent handed a pod over that istiod did not send within five seconds.",
        points_to: &["ztunnel-not-ready", "discovery-selectors"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\twarn\tstate:proxy{wl=shop/cart-7d9c-x2}\ttimed out waiting for workload 'cart.shop (cart-7d9c-x2)' from xds\t",
        ],
        read: workload_missing,
    },
    Signature {
        name: "ztunnel-dns-failed",
        printed_by: "istio/ztunnel: src/state.rs",
        versions: "all",
        meaning: "The host name of a workload or gateway did not resolve.",
        points_to: &["dns-failure"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\twarn\tstate:proxy{wl=shop/cart-7d9c-x2}:outbound{id=7f}\tdns lookup failed\terr=Dns(NoRecordsFound(NoRecords { query: Query { name: Name(\"east.example.net.\"), query_type: A, query_class: IN }, soa: None, ns: None })) hostname=east.example.net",
        ],
        read: dns_failed,
    },
    Signature {
        name: "ztunnel-dns-forward-failed",
        printed_by: "istio/ztunnel: src/dns/server.rs",
        versions: "all",
        meaning: "The DNS proxy asked the cluster's DNS and got no answer; an unknown name is the client's business.",
        points_to: &["dns-failure"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\tdebug\tdns\tsrc.workload=\"cart-7d9c-x2\" src.namespace=\"shop\" query=\"A\" domain=\"api.example.net.\" result=\"forwarding failed (net error: DNS error: error response: Server Failure)\" endpoints=0",
            "2026-03-02T07:10:46.833156Z\tdebug\tdns\tsrc.workload=\"cart-7d9c-x2\" src.namespace=\"shop\" query=\"A\" domain=\"api.example.net.\" result=\"forwarded\" endpoints=1",
        ],
        read: dns_access,
    },
    Signature {
        name: "ztunnel-version",
        printed_by: "istio/ztunnel: src/main.rs",
        versions: "all",
        meaning: "ztunnel starts.",
        points_to: &[],
        examples: &[
            "2026-03-02T07:10:46.833156Z\tinfo\tztunnel\tversion: version.BuildInfo{Version:\"1.28.1\", GitRevision:\"1f0c\", RustVersion:\"1.90.0\", BuildProfile:\"release\", BuildStatus:\"Clean\", IstioVersion:\"1.28.1\", CryptoProvider:\"tls-aws-lc\"}\t",
        ],
        read: version,
    },
    Signature {
        name: "ztunnel-config",
        printed_by: "istio/ztunnel: src/main.rs",
        versions: "all",
        meaning: "The running configuration as YAML: cluster, network, control plane.",
        points_to: &[],
        examples: &[
            "2026-03-02T07:10:46.833156Z\tinfo\tztunnel\trunning with config: proxy: true\ndnsProxy: true\nnetwork: net-west\nlocalNode: node-3\nclusterId: west\nxdsAddress: https://istiod.istio-system.svc:15012\n",
        ],
        read: running_config,
    },
    Signature {
        name: "ztunnel-ready",
        printed_by: "istio/ztunnel: src/readiness.rs",
        versions: "all",
        meaning: "ztunnel is ready.",
        points_to: &[],
        examples: &[
            "2026-03-02T07:10:46.833156Z\tinfo\treadiness\tTask 'workload proxy manager' complete (21.7ms), marking server ready\t",
        ],
        read: ready,
    },
    Signature {
        name: "ztunnel-not-ready",
        printed_by: "istio/ztunnel: src/readiness/server.rs",
        versions: "all",
        meaning: "The readiness answer names what ztunnel still waits for.",
        points_to: &["ztunnel-not-ready"],
        examples: &["not ready, pending: state manager, workload proxy manager"],
        read: not_ready,
    },
    Signature {
        name: "ztunnel-stopping",
        printed_by: "istio/ztunnel: src/signal.rs",
        versions: "all",
        meaning: "ztunnel was asked to stop.",
        points_to: &[],
        examples: &["2026-03-02T07:10:46.833156Z\tinfo\tsignal::imp\treceived signal SIGTERM, starting shutdown\t"],
        read: stopping,
    },
    Signature {
        name: "ztunnel-rbac-decision",
        printed_by: "istio/ztunnel: src/state.rs",
        versions: "all; at info since 1.30 with AUTHZ_POLICY_INFO_LOGGING",
        meaning: "A policy decided on a connection.",
        points_to: &["authz-denied", "plaintext-to-mtls-strict"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\tdebug\tstate:proxy{wl=shop/cart-7d9c-x2}:inbound{id=7f peer=10.1.0.4:40112}\tdeny policy match\tpolicy=\"shop/deny-all\"",
            "2026-03-02T07:10:46.833156Z\tdebug\tstate:proxy{wl=shop/cart-7d9c-x2}:inbound{id=7f peer=10.1.0.4:40112}\tno allow policies matched\t",
            "2026-03-02T07:10:46.833156Z\tdebug\tstate:proxy{wl=shop/cart-7d9c-x2}:inbound{id=7f peer=10.1.0.4:40112}\tallow policy match\tpolicy=\"shop/allow-web\"",
        ],
        read: rbac_decision,
    },
    Signature {
        name: "ztunnel-ping-timeout",
        printed_by: "istio/ztunnel: src/proxy/h2/client.rs",
        versions: "1.22+",
        meaning: "An open HBONE tunnel went silent: the HTTP/2 ping got no answer for 20 seconds.",
        points_to: &["hbone-blocked", "node-network-broken"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\twarn\tproxy::h2::client:proxy{wl=shop/cart-7d9c-x2}:outbound{id=7f}\tHBONE ping timeout/error\t",
        ],
        read: ping_timeout,
    },
    Signature {
        name: "ztunnel-not-redirected",
        printed_by: "istio/ztunnel: src/socket.rs",
        versions: "all",
        meaning: "A connection reached a redirect port without redirection.",
        points_to: &[],
        examples: &[
            "2026-03-02T07:10:46.833156Z\twarn\tsocket\tfailed to read SO_ORIGINAL_DST: No such file or directory (os error 2), Protocol not available (os error 92)\tpeer=10.1.0.4:40112 local=10.1.0.9:15006",
        ],
        read: not_redirected,
    },
    Signature {
        name: "ztunnel-accept-failed",
        printed_by: "istio/ztunnel: src/proxy/",
        versions: "all",
        meaning: "A connection could not be accepted; mostly file descriptors ran out.",
        points_to: &["resource-exhaustion"],
        examples: &[
            "2026-03-02T07:10:46.833156Z\terror\tproxy::outbound:proxy{wl=shop/cart-7d9c-x2}\tFailed TCP handshake Too many open files (os error 24)\t",
        ],
        read: accept_failed,
    },
    Signature {
        name: "ztunnel-fatal",
        printed_by: "istio/ztunnel: src/main.rs (stderr)",
        versions: "all",
        meaning: "ztunnel could not start.",
        points_to: &["ztunnel-not-ready", "port-conflict"],
        examples: &[
            "Error: invalid env var PROXY_MODE=both (PROXY_MODE must be one of dedicated, shared)",
            "Error: error parsing proxy config: mapping values are not allowed here",
            "Error: admin server starts\n\nCaused by:\n    Address already in use (os error 98)",
        ],
        read: fatal,
    },
    Signature {
        name: "ztunnel-drain-expired",
        printed_by: "istio/ztunnel: src/drain.rs",
        versions: "all",
        meaning: "Long-lived connections were still open when the drain time was over: planned at a shutdown.",
        points_to: &[],
        examples: &[
            "2026-03-02T07:10:46.833156Z\twarn\tdrain:proxy{wl=shop/cart-7d9c-x2}\tdrain duration expired with pending connections, forcefully shutting down\tcomponent=\"inbound\"",
        ],
        read: drain_expired,
    },
    Signature {
        name: "ztunnel-known",
        printed_by: "istio/ztunnel: src/",
        versions: "all",
        meaning: "Normal operation.",
        points_to: &[],
        examples: &[
            "2026-03-02T07:10:46.833156Z\tinfo\tproxy::outbound\tlistener established\taddress=0.0.0.0:15001 component=\"outbound\" transparent=true",
            "2026-03-02T07:10:46.833156Z\twarn\tstate:proxy{wl=shop/cart-7d9c-x2}:inbound{id=7f peer=10.1.0.4:40112}\tskipping unknown policy shop/gone\t",
            "2026-03-02T07:10:46.833156Z\tdebug\taccess\tconnection opened\tsrc.addr=10.1.0.4:40112 dst.addr=10.1.0.9:15008 direction=\"outbound\"",
            "2024-05-20T11:48:57.029161Z  INFO outbound{id=92a2}: ztunnel::proxy::outbound: proxy to 10.96.172.67:8080 using HBONE via 10.0.2.107:15008 type ToServerWaypoint",
            "2026-03-02T07:10:46.833156Z\terror\tproxy::h2::client:proxy{wl=shop/cart-7d9c-x2}:outbound{id=7f}\tError in HBONE connection handshake: Error { kind: Io(Kind(BrokenPipe)) }\t",
        ],
        read: known,
    },
];

/// Beginnings of lines that tell of normal operation, or that repeat what an access line tells better.
const KNOWN: &[&str] = &[
    "listener established",
    "listener drained",
    "drain requested",
    "drain duration expired",
    "shutdown complete",
    "shutting down",
    "completing shutdown",
    "set file descriptor limits",
    "shared proxy mode",
    "dedicated proxy mode",
    "starting local DNS server",
    "Task '",
    "in-pod mode",
    "handling RBAC",
    "handling existing",
    "skipping unknown policy",
    "ignoring invalid SAN",
    "connection opened",
    "connection ",
    "proxy to ",
    "complete dur=",
    "Error in HBONE connection handshake",
    "ping error",
    "checked out connection is Pending",
    "pod keep received",
    "pod delete request",
    "scheduling retry",
    "retrying workload",
    "process stream ended",
    "Validating netns FD",
    "tried to remove service",
    "received response",
    "received on demand request",
    "sending initial request",
    "sending request",
    "sending response",
    "outbound stream complete",
    "dry-run: ",
    "allow policy match",
    "no allow policies, allow",
    "couldn't prefetch",
    "couldn't clear identity",
    "root cert directory changed",
    "failed to send HTTP response",
    "failed to set freebind",
    "failed to bind local addr",
    "unimplemented op_code",
    "got a response as a request",
    "crl file not found",
    "crl index",
    "wait for workload",
    "current log level",
    "ztunnel exits",
    "bound to ",
    "accepted connection",
    "fetch cert",
    "creating ztunnel self-proxy listener",
    "workload proxy manager: drain requested",
    "dns server drained",
    "Starting ztunnel inbound listener",
    "TLS handshake error",
    "hbone client copy",
    "hbone server copy",
    "tcp -> hbone",
    "hbone -> tcp",
];

fn drain_expired<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = tag("drain duration expired with pending connections").parse(&*said.message)?;
    Ok((rest, Fact::Known))
}

fn known<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    // `connection ...` is too common a beginning to claim outside ztunnel's own targets.
    let ours = said.scope.contains("::") || header::TARGETS.contains(&&*said.scope);
    match KNOWN.iter().find_map(|begin| message.strip_prefix(begin)) {
        Some(rest) if ours => Ok((rest, Fact::Known)),
        _ => refuse(message),
    }
}

fn stream(what: StreamWhat, address: Option<Addr>) -> Fact {
    Fact::Stream(Stream { side: Side::Client, address, node: None, what })
}

fn xds_established<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = tag("Stream established").parse(&*said.message)?;
    Ok((rest, stream(StreamWhat::Opened, None)))
}

/// `XDS client connection error: gRPC connection error connecting to <url>: <status>, retrying in <dur>`; up to 1.22
/// `gRPC connection error:<status>`, up to 1.21 `gRPC connection error (<description>): <message>`.
fn xds_refused<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (text, _) = tag("XDS client connection error: ").parse(&*said.message)?;
    let status = without_retry(text);
    let url = status.strip_prefix("gRPC connection error connecting to ").and_then(|rest| rest.split_once(": "));
    let (address, status) = url.map_or((None, status), |(url, status)| (host_of(url), status));
    let mut fault = errors::fault(status);
    fault.text = status.into();
    Ok(("", stream(StreamWhat::Refused(fault), address)))
}

fn xds_broken<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (text, _) = tag("XDS client error: ").parse(&*said.message)?;
    let status = without_retry(text);
    let status = status.strip_prefix("gRPC error ").unwrap_or(status);
    Ok(("", stream(StreamWhat::Closed(errors::fault(status)), None)))
}

fn xds_ended<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = alt((tag("XDS client complete"), tag("XDS client terminated: "))).parse(&*said.message)?;
    Ok((rest, stream(StreamWhat::Ended, None)))
}

fn without_retry(text: &str) -> &str {
    text.rsplit_once(", retrying").map_or(text, |(status, _)| status)
}

/// The host and port of `https://istiod.istio-system.svc:15012`.
fn host_of(url: &str) -> Option<Addr> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    Addr::parse(rest.split('/').next().unwrap_or(rest))
}

fn nack<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = tag("sending response").parse(&*said.message)?;
    let (Some("Nack"), Some(reason)) = (said.field("type"), said.field("error")) else { return refuse(rest) };
    let kind = said.field("type_url").unwrap_or("");
    let kind = kind.rsplit_once('/').map_or(kind, |(_, name)| name);
    let resource = reason.split_once(": ").map(|(name, _)| name.into());
    Ok((rest, Fact::Nack(Nack { side: Side::Client, kind: kind.into(), node: None, resource, reason: reason.into() })))
}

fn unknown_type<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = tag("unknown type").parse(&*said.message)?;
    if said.field("type_url").is_some() { Ok((rest, Fact::Known)) } else { refuse(rest) }
}

fn certificate(identity: Option<&str>, what: CertificateWhat) -> Fact {
    Fact::Certificate(Certificate { side: Side::Client, identity: identity.map(Text::from), what })
}

/// What failed between the parentheses: a transport or gRPC failure, or an answer of no use.
fn ca_failure(error: &str) -> CertificateWhat {
    let unusable = ["chain returned from CA is empty", "did not find expected SAN", "failed to create CSR"];
    if unusable.iter().any(|begin| error.starts_with(begin)) {
        return CertificateWhat::Unusable(error.into());
    }
    CertificateWhat::Failed(errors::fault(error))
}

fn cert_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, error) =
        delimited(tag("certificate fetch failed ("), take_until(") and no valid"), tag(") and no valid"))
            .parse(&*said.message)?;
    Ok((rest, certificate(said.field("id"), ca_failure(error))))
}

fn renewal_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, error) = delimited(tag("certificate renewal failed ("), take_until("); retaining"), tag("); retaining"))
        .parse(&*said.message)?;
    Ok((rest, certificate(said.field("id"), CertificateWhat::RenewalFailed(errors::fault(error)))))
}

fn prefetch_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, identity) = delimited(tag("unable to prefetch cert for \""), take_until("\""), tag("\", skipping, "))
        .parse(&*said.message)?;
    let what = match rest.split_once("Caused by:") {
        Some((_, causes)) => CertificateWhat::Failed(errors::fault(&chain(causes))),
        None if rest.starts_with("SigningRequest(") => CertificateWhat::Failed(errors::fault(rest)),
        None => CertificateWhat::Unusable(rest.into()),
    };
    Ok(("", certificate(Some(identity), what)))
}

/// The numbered causes as one chain, outermost first: `tcp connect error: Connection refused (os error 111)`.
fn chain(causes: &str) -> String {
    let line = |line: &str| {
        let text = line.trim();
        let text =
            text.split_once(": ").filter(|(n, _)| n.bytes().all(|c| c.is_ascii_digit())).map_or(text, |(_, text)| text);
        let text = text.split(") })").next().unwrap_or(text);
        let unbalanced = text.matches(')').count() > text.matches('(').count();
        if unbalanced { text.trim_end_matches(')') } else { text }.to_string()
    };
    let lines: Vec<String> =
        causes.lines().map(line).filter(|text| !text.is_empty() && !text.starts_with([')', '}'])).collect();
    lines.join(": ")
}

fn cert_unusable<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    let (rest, _) = alt((tag("no chain certs for: "), tag("expected identity Spiffe {"))).parse(message)?;
    let identity = rest.starts_with("spiffe://").then(|| rest.trim().to_string()).or_else(|| {
        let part = |key: &str| rest.split_once(key).and_then(|(_, rest)| rest.split('"').next());
        let (domain, namespace) = part("trust_domain: \"").zip(part("namespace: \""))?;
        Some(format!("spiffe://{domain}/ns/{namespace}/sa/{}", part("service_account: \"")?))
    });
    Ok(("", certificate(identity.as_deref(), CertificateWhat::Unusable(message.into()))))
}

fn cert_issued<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = alt((tag("certificate fetch succeeded"), tag("prefetched cert for "))).parse(&*said.message)?;
    let identity = said.field("id").or_else(|| rest.trim().strip_prefix('"')?.strip_suffix('"'));
    Ok(("", certificate(identity, CertificateWhat::Issued)))
}

fn cni_unreachable<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = alt((
        tag("failed to connect to the Istio CNI node agent"),
        // Up to 1.23.
        tag("failed to connect to server \"/var/run/ztunnel/"),
        tag("node agent announcement failed"),
    ))
    .parse(&*said.message)?;
    let details = rest.split_once("details: ").or_else(|| rest.split_once("\": ")).map_or(rest, |(_, details)| details);
    let details = details.rsplit_once("retrying in").map_or(details, |(details, _)| details);
    Ok(("", Fact::Cni(Cni::AgentUnreachable(details.trim_matches([' ', '.', ',']).into()))))
}

fn cni_connected<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = alt((tag("handling new stream"), tag("received snapshot sent"), tag("pod received snapshot sent")))
        .parse(&*said.message)?;
    Ok((rest, Fact::Cni(Cni::AgentConnected)))
}

fn pod_received<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = tag("pod received, starting proxy").parse(&*said.message)?;
    let uid = said.field("uid").unwrap_or("").into();
    let pod = format!("{}/{}", said.field("namespace").unwrap_or(""), said.field("name").unwrap_or("")).into();
    Ok((rest, Fact::Cni(Cni::PodReceived { uid, pod })))
}

fn pod_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (reason, _) = alt((tag("failed to start proxy: "), tag("retrying workload failed: "))).parse(&*said.message)?;
    let uid = said.field("uid").unwrap_or("").into();
    Ok(("", Fact::Cni(Cni::PodFailed { uid, reason: reason.into() })))
}

fn cni_protocol<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let message = &*said.message;
    let (rest, _) = alt((
        tag("protocol mismatch error while processing stream"),
        tag("failed to read message: "),
        tag("failed to process message: "),
    ))
    .parse(message)?;
    if !said.scope.starts_with("inpod") {
        return refuse(rest);
    }
    Ok((rest, Fact::Cni(Cni::AgentUnreachable(message.into()))))
}

fn workload_missing<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, workload) =
        delimited(tag("timed out waiting for workload '"), take_until("'"), tag("'")).parse(&*said.message)?;
    Ok((rest, Fact::Process(Process::WorkloadMissing(workload.into()))))
}

fn dns_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = tag("dns lookup failed").parse(&*said.message)?;
    let host: Text = said.field("hostname").unwrap_or("").into();
    let text = said.field("err").unwrap_or("");
    let mut fault = errors::fault(text);
    // The resolver's Debug text: no records is an unknown name, anything else a lookup that failed.
    fault.what = if text.contains("NoRecords") || text.contains("NXDomain") {
        What::NameUnknown(host.clone())
    } else {
        What::NameLookupFailed(host.clone())
    };
    Ok((rest, Fact::Dns(Dns { host, fault })))
}

/// `src.workload=... query="A" domain="x." result="..." endpoints=1`, without a message.
fn dns_access<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let bare;
    let fields = if said.message.contains("result=") {
        bare = header::fields(&said.message);
        &bare
    } else {
        &said.fields
    };
    let field = |key: &str| fields.iter().find(|(known, _)| known == key).map(|(_, value)| &**value);
    let (true, Some(result), Some(domain)) = (said.scope == "dns", field("result"), field("domain")) else {
        return refuse(&said.message);
    };
    let server_failed =
        result.starts_with("forwarding failed") && !result.contains("no records found") && !result.contains("NXDomain");
    if !server_failed {
        return Ok(("", Fact::Known));
    }
    let host: Text = domain.trim_end_matches('.').into();
    let mut fault = errors::fault(result);
    fault.what = What::NameLookupFailed(host.clone());
    Ok(("", Fact::Dns(Dns { host, fault })))
}

fn version<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = tag("version: version.BuildInfo").parse(&*said.message)?;
    let part =
        |key: &str| rest.split_once(key).and_then(|(_, rest)| rest.split('"').next()).filter(|text| !text.is_empty());
    // Older builds have a commit for a version, and the version as `GitTag`.
    let named = |text: &&str| *text != "unknown";
    let version =
        part("IstioVersion:\"").filter(named).or(part("GitTag:\"")).or(part("{Version:\"")).unwrap_or("unknown");
    // istiod prints the same form without these.
    if !rest.contains("RustVersion:") {
        return refuse(rest);
    }
    Ok(("", Fact::Process(Process::Started { version: version.into() })))
}

fn running_config<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (yaml, _) = tag("running with config:").parse(&*said.message)?;
    let key = |key: &str| {
        // Up to 1.21 the keys are in snake case.
        let snake: String = key
            .chars()
            .flat_map(|c| [c.is_ascii_uppercase().then_some('_'), Some(c.to_ascii_lowercase())])
            .flatten()
            .collect();
        let of_key = |line: &'a str, key: &str| line.trim_end().strip_prefix(key)?.strip_prefix(':');
        let value = yaml.lines().find_map(|line| of_key(line, key).or_else(|| of_key(line, &snake)));
        Text::from(value.unwrap_or("").trim().trim_matches(['\'', '"']))
    };
    let identity =
        Process::Identity { cluster: key("clusterId"), network: key("network"), xds_address: key("xdsAddress") };
    Ok(("", Fact::Process(identity)))
}

fn ready<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = tag("Task '").parse(&*said.message)?;
    if rest.ends_with("marking server ready") { Ok(("", Fact::Process(Process::Ready))) } else { refuse(rest) }
}

fn not_ready<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (pending, _) = tag("not ready, pending: ").parse(&*said.message)?;
    Ok(("", Fact::Process(Process::NotReady(pending.trim().into()))))
}

fn stopping<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = alt((tag("received signal "), tag("received explicit shutdown signal"))).parse(&*said.message)?;
    Ok((rest, Fact::Process(Process::Stopping)))
}

fn rbac_decision<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, text) = alt((tag("deny policy match"), tag("no allow policies matched"), tag("allow policy match")))
        .parse(&*said.message)?;
    if said.scope != "state" {
        return refuse(rest);
    }
    let fact = match text {
        "allow policy match" => Fact::Known,
        _ => Fact::Policy(Policy { policy: said.field("policy").map(Text::from), what: PolicyWhat::Denied }),
    };
    Ok((rest, fact))
}

fn ping_timeout<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, text) = tag("HBONE ping timeout/error").parse(&*said.message)?;
    let fault = Fault { what: What::TimedOut, text: text.into(), code: None, address: None, url: None, by_peer: false };
    Ok((rest, Fact::Handshake(Handshake { side: Side::Client, peer: None, fault })))
}

fn not_redirected<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (rest, _) = tag("failed to read SO_ORIGINAL_DST").parse(&*said.message)?;
    Ok((rest, Fact::Cni(Cni::NotRedirected(said.field("local").unwrap_or("").into()))))
}

fn accept_failed<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (reason, _) = tag("Failed TCP handshake").parse(&*said.message)?;
    if !reason.contains("Too many open files") {
        return Ok(("", Fact::Known));
    }
    Ok(("", Fact::Exhausted(Exhausted { what: "file descriptors".into(), reason: reason.trim().into() })))
}

fn fatal<'a>(said: &'a Said<'a>) -> IResult<&'a str, Fact> {
    let (reason, _) = tag("Error: ").parse(&*said.message)?;
    let begins = [
        "invalid env var ",
        "invalid configuration: ",
        "error parsing proxy config: ",
        "invalid uri: ",
        "admin server starts",
    ];
    if !begins.iter().any(|begin| reason.starts_with(begin)) {
        return refuse(reason);
    }
    if reason.contains("Address already in use") {
        return Ok(("", Fact::Process(Process::PortTaken(reason.into()))));
    }
    Ok(("", Fact::Process(Process::Died(reason.into()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Connection> {
        let (said, _) = header::read(text, None);
        connection(&said)
    }

    #[test]
    fn text_json_and_wrapped_lines_say_the_same() {
        let text = "2026-03-02T07:10:46.833156Z\terror\taccess\tconnection complete\tsrc.addr=10.1.0.4:40112 src.workload=\"cart-1\" src.namespace=\"shop\" src.identity=\"spiffe://cluster.local/ns/shop/sa/cart\" dst.addr=10.2.0.9:15008 dst.hbone_addr=10.2.0.9:8080 dst.service=\"pay.shop.svc.cluster.local\" dst.workload=\"pay-1\" dst.namespace=\"shop\" direction=\"outbound\" bytes_sent=0 bytes_recv=0 duration=\"10001ms\" error=\"connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: deadline has elapsed\"";
        let json = r#"{"level":"error","time":"2026-03-02T07:10:46.833156Z","scope":"access","message":"connection complete","src.addr":"10.1.0.4:40112","src.workload":"cart-1","src.namespace":"shop","src.identity":"spiffe://cluster.local/ns/shop/sa/cart","dst.addr":"10.2.0.9:15008","dst.hbone_addr":"10.2.0.9:8080","dst.service":"pay.shop.svc.cluster.local","dst.workload":"pay-1","dst.namespace":"shop","direction":"outbound","bytes_sent":0,"bytes_recv":0,"duration":"10001ms","error":"connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: deadline has elapsed"}"#;
        let wrapped = text.replace('\t', " ").replace(" src.", "\n   src.").replace(" deadline", "\n deadline");
        let unquoted = text.replace("=\"cart-1\"", "=cart-1").replace("=\"shop\"", "=shop");
        let first = read(text).expect("an access line");
        assert_eq!(first.error.as_ref().map(|error| &error.what), Some(&ConnectionWhat::HboneTimedOut));
        assert_eq!(first.duration, Some(Duration::from_millis(10_001)));
        for other in [json.to_string(), wrapped, unquoted] {
            assert_eq!(read(&other).as_ref(), Some(&first), "{other}");
        }
    }

    #[test]
    fn a_line_without_its_header_is_still_an_access_line() {
        let early = "access connection failed src.addr=10.1.0.4:40112 dst.addr=10.9.0.9:80 direction=\"outbound\" error=\"no healthy upstream: 10.9.0.9:80\"";
        let read = read(early).expect("an access line");
        let vip = Addr { host: "10.9.0.9".into(), port: 80 };
        assert_eq!(read.error.map(|error| error.what), Some(ConnectionWhat::NoHealthyUpstream(vip)));
    }

    #[test]
    fn an_opened_connection_is_no_success_yet() {
        assert_eq!(
            read(
                "2026-03-02T07:10:46.833156Z\tdebug\taccess\tconnection opened\tsrc.addr=10.1.0.4:40112 dst.addr=10.2.0.9:15008 direction=\"outbound\""
            ),
            None
        );
    }

    #[test]
    fn errors_carry_what_they_name() {
        let named = |text: &str| format!("{:?}", what(text));
        let cases = [
            (
                "connection closed due to policy rejection: explicitly denied by: shop/deny-web",
                "PolicyDenied { policy: Some(\"shop/deny-web\") }",
            ),
            (
                "connection closed due to policy rejection: allow policies exist, but none allowed",
                "PolicyDenied { policy: None }",
            ),
            ("connection closed due to policy rejection", "PolicyDenied { policy: None }"),
            ("http status: 503 Service Unavailable", "HttpStatus(503)"),
            (
                "no valid routing destination for workload: Workload{pay-1 with uid east//Pod/shop/pay-1 (HBONE)}",
                "NoRoutingDestination { name: \"pay-1\", uid: \"east//Pod/shop/pay-1\" }",
            ),
            (
                "unknown network gateway: network gateway GatewayAddress { destination: Address(NetworkAddress { network: \"net-2\", address: 172.18.0.9 }), hbone_mtls_port: 15008 } not found",
                "UnknownGateway(\"net-2/172.18.0.9\")",
            ),
            (
                "unknown waypoint: waypoint wp.shop.svc.cluster.local not found",
                "UnknownWaypoint(\"wp.shop.svc.cluster.local\")",
            ),
            (
                "unknown waypoint: waypoint GatewayAddress { destination: Hostname(NamespacedHostname { namespace: \"shop\", hostname: \"wp.shop.svc.cluster.local\" }), hbone_mtls_port: 15008 } not found",
                "UnknownWaypoint(\"shop/wp.shop.svc.cluster.local\")",
            ),
            (
                "ip addresses were resolved for workload a/b/c, but valid dns response had no A/AAAA records",
                "NoAddresses(\"a/b/c\")",
            ),
            ("ip mismatch: 10.1.0.4 != 10.1.0.5", "IpMismatch { local: \"10.1.0.4\", requested: \"10.1.0.5\" }"),
            (
                "requested service pay.shop.svc.cluster.local:81 found, but cannot resolve port",
                "PortUnresolved(\"pay.shop.svc.cluster.local:81\")",
            ),
            ("attempted recursive call to ourselves", "Recursive"),
            ("something new", "Other"),
        ];
        for (text, expected) in cases {
            assert_eq!(named(text), expected, "{text}");
        }
    }

    #[test]
    fn the_causes_of_a_failed_prefetch_become_one_chain() {
        assert_eq!(
            chain(
                "\n    0: invalid peer certificate: UnknownIssuer\n    1: invalid peer certificate: UnknownIssuer\n) })\t"
            ),
            "invalid peer certificate: UnknownIssuer: invalid peer certificate: UnknownIssuer"
        );
        assert_eq!(
            chain("\n    0: tcp connect error\n    1: Connection refused (os error 111)) })"),
            "tcp connect error: Connection refused (os error 111)"
        );
    }
}
