//! Envoy's access log: Istio's text default of every version since 1.6, and JSON with Istio's keys in any order
//! (`istio/istio: pilot/pkg/model/telemetry_logging.go`).

use std::fmt;
use std::time::Duration;

use crate::errors::Fault;
use crate::event::{Addr, Text};
use crate::time::Time;

/// An Envoy access line.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Request {
    /// Method, empty for TCP.
    pub method: Text,
    /// Path, empty for TCP.
    pub path: Text,
    /// Protocol as printed; empty for TCP.
    pub protocol: Text,
    /// HTTP status; 0 for TCP or where none was sent.
    pub code: u16,
    /// Response flags.
    pub flags: Vec<Flag>,
    /// Response code details as printed (`via_upstream`, `upstream_reset_before_response_started{...}`); empty for `-`.
    pub details: Text,
    /// Connection termination details; empty for `-`.
    pub termination: Text,
    /// Why the transport to the upstream failed: from the field of that name, else from the details.
    pub transport: Option<Fault>,
    /// Total duration.
    pub duration: Option<Duration>,
    /// What the upstream took; `None` where it did not answer.
    pub upstream_time: Option<Duration>,
    /// gRPC status, where logged.
    pub grpc_status: Option<Text>,
    /// `x-request-id`, which both sides share; empty for `-`.
    pub request_id: Text,
    /// Authority; empty for `-`.
    pub authority: Text,
    /// User agent; empty for `-`.
    pub user_agent: Text,
    /// The upstream address chosen.
    pub upstream: Option<Addr>,
    /// The upstream cluster.
    pub cluster: ClusterName,
    /// Local address of the upstream connection, as printed.
    pub upstream_local: Option<Addr>,
    /// The address the client dialled.
    pub downstream_local: Option<Addr>,
    /// The client.
    pub downstream_remote: Option<Addr>,
    /// SNI; empty for `-`.
    pub sni: Text,
    /// Route name; empty for `-`.
    pub route: Text,
}

/// An upstream cluster as Istio names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ClusterName {
    /// `-`: none was chosen.
    #[default]
    None,
    /// `outbound|9080|v1|reviews.default.svc.cluster.local`, also `outbound_.9080_...`.
    Outbound {
        /// Service port.
        port: u16,
        /// Subset; empty where none.
        subset: Text,
        /// Service host name.
        host: Text,
    },
    /// `inbound|8080||` and `inbound-vip|8080|http|host`.
    Inbound {
        /// Port.
        port: u16,
    },
    /// `PassthroughCluster`, `InboundPassthroughCluster...`.
    Passthrough,
    /// `BlackHoleCluster`.
    BlackHole,
    /// Anything else, as printed.
    Other(Text),
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterName::None => f.write_str("-"),
            ClusterName::Outbound { port, subset, host } => write!(f, "outbound|{port}|{subset}|{host}"),
            ClusterName::Inbound { port } => write!(f, "inbound|{port}||"),
            ClusterName::Passthrough => f.write_str("PassthroughCluster"),
            ClusterName::BlackHole => f.write_str("BlackHoleCluster"),
            ClusterName::Other(text) => f.write_str(text),
        }
    }
}

/// An Envoy response flag (`envoyproxy/envoy: source/common/stream_info/utility.h`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    /// UH: no healthy upstream.
    NoHealthyUpstream,
    /// UF: upstream connection failure.
    UpstreamConnectionFailure,
    /// UO: upstream overflow (circuit breaker).
    UpstreamOverflow,
    /// NR: no route.
    NoRoute,
    /// URX: retry or connect-attempt limit exceeded.
    RetryLimitExceeded,
    /// NC: upstream cluster not found.
    NoCluster,
    /// DT: a request or connection exceeded its maximum duration.
    DurationTimeout,
    /// DC: the client closed the connection.
    DownstreamConnectionTermination,
    /// LH: the local service failed its health check.
    LocalHealthCheckFailed,
    /// UT: upstream request timeout.
    UpstreamRequestTimeout,
    /// LR: local reset.
    LocalReset,
    /// UR: upstream remote reset.
    UpstreamRemoteReset,
    /// UC: upstream connection termination.
    UpstreamConnectionTermination,
    /// DI: a fault delayed the request.
    DelayInjected,
    /// FI: a fault aborted the request.
    FaultInjected,
    /// RL: rate limited.
    RateLimited,
    /// UAEX: the external authorizer denied, or could not be asked.
    UnauthorizedExternal,
    /// RLSE: the rate-limit service failed.
    RateLimitServiceError,
    /// IH: an invalid value of a strictly checked header.
    InvalidHeader,
    /// SI: stream idle timeout.
    StreamIdleTimeout,
    /// DPE: the client broke the protocol.
    DownstreamProtocolError,
    /// UPE: the upstream broke the protocol.
    UpstreamProtocolError,
    /// UMSDR: maximum stream duration reached.
    MaxStreamDuration,
    /// RFCF: a response from the cache filter.
    ResponseFromCache,
    /// NFCF: no filter configuration found in time.
    NoFilterConfig,
    /// OM: the overload manager terminated the request.
    OverloadManager,
    /// DF: DNS resolution failed.
    DnsFailure,
    /// DO: dropped for overload.
    DropOverload,
    /// DR: the client reset the stream.
    DownstreamRemoteReset,
    /// Any other, as printed.
    Other(Text),
}

impl Request {
    /// Whether something went wrong: a response flag, a 5xx, or a refusal by policy.
    pub fn is_failure(&self) -> bool {
        let flagged = self.flags.iter().any(|flag| *flag != Flag::ResponseFromCache);
        let refused =
            ["rbac_access_denied", "jwt_authn", "ext_authz"].iter().any(|what| self.details.starts_with(what));
        flagged || self.code >= 500 || refused
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: &Flag) -> bool {
        self.flags.contains(flag)
    }
}

/// Reads an access line, text or JSON, with the time the request ended.
pub fn read(_text: &str) -> Option<(Option<Time>, Request)> {
    None
}
