//! ztunnel's log, text and JSON (`istio/ztunnel: src/telemetry.rs`, `src/proxy/metrics.rs`).

use std::time::Duration;

use crate::errors::Fault;
use crate::event::{Addr, Text};
use crate::signature::{Said, Signature};

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
        self.dst.workload.starts_with("NetworkGateway/")
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

/// The known messages besides the access log.
pub static SIGNATURES: &[Signature] = &[];

/// Reads an access line.
pub fn connection(said: &Said<'_>) -> Option<Connection> {
    (said.scope == "access").then_some(())?;
    None
}
