//! Envoy's access log: Istio's text default of every version since 1.6, and JSON with Istio's keys in any order
//! (`istio/istio: pilot/pkg/model/telemetry_logging.go`).

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{char, space1};
use nom::combinator::{map, opt, verify};
use nom::multi::many_m_n;
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

use crate::errors::{self, Fault, What};
use crate::event::{Addr, Text};
use crate::header;
use crate::signature::refuse;
use crate::time::{self, Time};

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
    /// The upstream address chosen; behind `envoy://connect_originate/` the one that HBONE leads to.
    pub upstream: Option<Addr>,
    /// Whether the upstream is reached through an HBONE tunnel of this proxy (`envoy://connect_originate/...`).
    pub tunnelled: bool,
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
    /// `inbound|8080||`: the application behind this proxy.
    Inbound {
        /// Port.
        port: u16,
    },
    /// `inbound-vip|8080|http|host`: a service or, as `inbound-pod`, a pod behind this waypoint.
    Waypoint {
        /// Port.
        port: u16,
        /// Subset: `http`, `tcp`, `http/v1`.
        subset: Text,
        /// Service host name, or the pod's address.
        host: Text,
    },
    /// `PassthroughCluster`: an address that no service of the mesh owns.
    Passthrough,
    /// `InboundPassthroughCluster`, with or without an IP family: a port that no service names.
    InboundPassthrough,
    /// `BlackHoleCluster`.
    BlackHole,
    /// Anything else, as printed.
    Other(Text),
}

impl ClusterName {
    /// The service's host name; `None` where the name carries none.
    pub fn host(&self) -> Option<&str> {
        match self {
            ClusterName::Outbound { host, .. } | ClusterName::Waypoint { host, .. } => Some(host),
            ClusterName::None
            | ClusterName::Inbound { .. }
            | ClusterName::Passthrough
            | ClusterName::InboundPassthrough
            | ClusterName::BlackHole
            | ClusterName::Other(_) => None,
        }
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterName::None => f.write_str("-"),
            ClusterName::Outbound { port, subset, host } => write!(f, "outbound|{port}|{subset}|{host}"),
            ClusterName::Inbound { port } => write!(f, "inbound|{port}||"),
            ClusterName::Waypoint { port, subset, host } => write!(f, "inbound-vip|{port}|{subset}|{host}"),
            ClusterName::Passthrough => f.write_str("PassthroughCluster"),
            ClusterName::InboundPassthrough => f.write_str("InboundPassthroughCluster"),
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

impl Flag {
    /// Reads one flag, short as in text lines or long as newer JSON formats print it.
    pub fn from_word(word: &str) -> Flag {
        let known = FLAGS.iter().find(|(short, long, _)| *short == word || *long == word);
        known.map_or_else(|| Flag::Other(word.into()), |(_, _, flag)| flag.clone())
    }

    /// As printed in text lines.
    pub fn word(&self) -> &str {
        match self {
            Flag::Other(word) => word,
            flag => FLAGS.iter().find(|(_, _, known)| known == flag).map_or("", |(short, _, _)| short),
        }
    }
}

/// Short and long names (`envoyproxy/envoy: envoy/stream_info/stream_info.h`).
static FLAGS: &[(&str, &str, Flag)] = &[
    ("UH", "NoHealthyUpstream", Flag::NoHealthyUpstream),
    ("UF", "UpstreamConnectionFailure", Flag::UpstreamConnectionFailure),
    ("UO", "UpstreamOverflow", Flag::UpstreamOverflow),
    ("NR", "NoRouteFound", Flag::NoRoute),
    ("URX", "UpstreamRetryLimitExceeded", Flag::RetryLimitExceeded),
    ("NC", "NoClusterFound", Flag::NoCluster),
    ("DT", "DurationTimeout", Flag::DurationTimeout),
    ("DC", "DownstreamConnectionTermination", Flag::DownstreamConnectionTermination),
    ("LH", "FailedLocalHealthCheck", Flag::LocalHealthCheckFailed),
    ("UT", "UpstreamRequestTimeout", Flag::UpstreamRequestTimeout),
    ("LR", "LocalReset", Flag::LocalReset),
    ("UR", "UpstreamRemoteReset", Flag::UpstreamRemoteReset),
    ("UC", "UpstreamConnectionTermination", Flag::UpstreamConnectionTermination),
    ("DI", "DelayInjected", Flag::DelayInjected),
    ("FI", "FaultInjected", Flag::FaultInjected),
    ("RL", "RateLimited", Flag::RateLimited),
    ("UAEX", "UnauthorizedExternalService", Flag::UnauthorizedExternal),
    ("RLSE", "RateLimitServiceError", Flag::RateLimitServiceError),
    ("IH", "InvalidEnvoyRequestHeaders", Flag::InvalidHeader),
    ("SI", "StreamIdleTimeout", Flag::StreamIdleTimeout),
    ("DPE", "DownstreamProtocolError", Flag::DownstreamProtocolError),
    ("UPE", "UpstreamProtocolError", Flag::UpstreamProtocolError),
    ("UMSDR", "UpstreamMaxStreamDurationReached", Flag::MaxStreamDuration),
    ("RFCF", "ResponseFromCacheFilter", Flag::ResponseFromCache),
    ("NFCF", "NoFilterConfigFound", Flag::NoFilterConfig),
    ("OM", "OverloadManagerTerminated", Flag::OverloadManager),
    ("DF", "DnsResolutionFailed", Flag::DnsFailure),
    ("DO", "DropOverload", Flag::DropOverload),
    ("DR", "DownstreamRemoteReset", Flag::DownstreamRemoteReset),
];

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Answered; also a refusal by the application itself (4xx that came via upstream).
    Served,
    /// The caller went away first.
    ClientGone,
    /// A policy of the mesh refused it: authorization, token, rate limit.
    RefusedByPolicy,
    /// Something failed.
    Failed,
}

/// What a failing line says, taken together: flags, details, transport and status contradict or repeat each other, so
/// one reading is made of them, the most telling part first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sign {
    /// Nothing failed.
    Served,
    /// The caller went away.
    ClientGone,
    /// A configured fault aborted it.
    FaultInjected,
    /// A rate limit of the mesh, or of the application, refused it.
    RateLimited,
    /// An authorization policy refused it.
    RbacDenied,
    /// The external authorizer refused it.
    ExternalDenied,
    /// The external authorizer could not be asked.
    ExternalFailed,
    /// The rate-limit service could not be asked, and the proxy refuses rather than lets pass.
    LimiterFailed,
    /// The end user's token was refused, or the keys to check it are missing.
    JwtRefused,
    /// Headers are too many or too big.
    HeaderLimit,
    /// A protocol upgrade is not allowed here, or the protocol is too old.
    UpgradeRefused,
    /// The client broke the protocol.
    ClientProtocol,
    /// The upstream broke the protocol.
    UpstreamProtocol,
    /// TLS with the upstream failed; the transport fault says how.
    Tls,
    /// The upstream's port is closed.
    Refused,
    /// The connection to the upstream was not made in time.
    ConnectTimedOut,
    /// No route to the upstream's host or network.
    HostUnreachable,
    /// The connection to the upstream failed, and nothing says why.
    ConnectFailed,
    /// A name did not resolve.
    NameUnresolved,
    /// The proxy has no certificate to speak TLS with.
    NoSecret,
    /// The upstream closed the connection before it answered, or in the middle of it.
    Closed,
    /// One side reset the stream.
    StreamReset,
    /// This proxy closed the connection because its listener changed.
    ListenerDrained,
    /// A connection or request limit of this proxy.
    Overflow,
    /// The answer did not come in the configured time.
    TimedOut,
    /// The stream was idle for too long.
    IdleTimedOut,
    /// No endpoint is usable.
    NoHealthyUpstream,
    /// No filter chain of the listener fits the connection: plain text to STRICT, or an unknown server name.
    NoFilterChain,
    /// No route fits the request.
    NoRoute,
    /// The route's cluster does not exist.
    NoCluster,
    /// Sent into the black hole: the outbound policy knows no such destination.
    BlackHole,
    /// The route answers by itself with an error, as the control plane lets it where a backend is missing.
    DirectError,
    /// The overload manager refused it.
    Overload,
    /// An extension's configuration never came.
    NoFilterConfig,
    /// The upstream answered 5xx.
    AnsweredError,
    /// The upstream answered with a failing gRPC status under HTTP 200.
    AnsweredGrpcError,
    /// Failed in a way that is not known.
    Unknown,
}

impl Request {
    /// What became of it.
    pub fn outcome(&self) -> Outcome {
        match self.sign() {
            Sign::Served => Outcome::Served,
            Sign::ClientGone => Outcome::ClientGone,
            Sign::RateLimited | Sign::RbacDenied | Sign::ExternalDenied | Sign::JwtRefused => Outcome::RefusedByPolicy,
            _ => Outcome::Failed,
        }
    }

    /// What the line says, taken together.
    pub fn sign(&self) -> Sign {
        if self.is_upgraded() && self.details.starts_with("via_upstream") {
            return Sign::Served;
        }
        self.sign_of_policy()
            .or_else(|| self.sign_of_details())
            .or_else(|| self.sign_of_transport())
            .or_else(|| self.sign_of_flags())
            .unwrap_or_else(|| self.sign_of_answer())
    }

    /// Whether the connection was upgraded (WebSocket) and served until one side closed it, as every such connection ends.
    fn is_upgraded(&self) -> bool {
        let ends = |flag: &Flag| {
            matches!(
                flag,
                Flag::UpstreamConnectionTermination
                    | Flag::DownstreamConnectionTermination
                    | Flag::UpstreamRemoteReset
                    | Flag::DownstreamRemoteReset
            )
        };
        self.code == 101 && self.flags.iter().all(ends)
    }

    /// Whether the details or the connection's termination begin so.
    fn says(&self, what: &str) -> bool {
        self.details.starts_with(what) || self.termination.starts_with(what)
    }

    fn sign_of_policy(&self) -> Option<Sign> {
        if self.says("rbac_access_denied") {
            return Some(Sign::RbacDenied);
        }
        if self.says("jwt_authn") {
            return Some(Sign::JwtRefused);
        }
        if self.says("ext_authz_denied") {
            // A redirect to a login page is how an authorizer answers a browser.
            return Some(if self.is_redirect() { Sign::Served } else { Sign::ExternalDenied });
        }
        if self.says("ext_authz") || self.has(&Flag::UnauthorizedExternal) && self.code >= 500 {
            return Some(Sign::ExternalFailed);
        }
        if self.has(&Flag::UnauthorizedExternal) {
            return Some(if self.is_redirect() { Sign::Served } else { Sign::ExternalDenied });
        }
        if (self.says("rate_limiter_error") || self.has(&Flag::RateLimitServiceError)) && self.code >= 400 {
            return Some(Sign::LimiterFailed);
        }
        let limited = ["local_rate_limited", "request_rate_limited"].iter().any(|what| self.says(what));
        if limited || self.has(&Flag::RateLimited) {
            return Some(Sign::RateLimited);
        }
        (self.has(&Flag::FaultInjected) || self.says("fault_filter_abort")).then_some(Sign::FaultInjected)
    }

    fn is_redirect(&self) -> bool {
        (200..400).contains(&self.code)
    }

    /// Details that Envoy writes for answers of its own.
    fn sign_of_details(&self) -> Option<Sign> {
        let drained = |text: &str| text.contains("filter_chain_is_being_removed") || text.contains("listener_drain");
        if drained(&self.details) || drained(&self.termination) {
            return Some(Sign::ListenerDrained);
        }
        const PARTS: &[(&str, Sign)] = &[
            ("headers_too_large", Sign::HeaderLimit),
            ("header_too_large", Sign::HeaderLimit),
            ("header_list_size", Sign::HeaderLimit),
            ("too_many_headers", Sign::HeaderLimit),
            ("headers_count", Sign::HeaderLimit),
            ("too_many_trailers", Sign::HeaderLimit),
            ("trailers_too_large", Sign::HeaderLimit),
            ("upgrade_failed", Sign::UpgradeRefused),
            ("low_version", Sign::UpgradeRefused),
            ("filter_chain_not_found", Sign::NoFilterChain),
            ("route_not_found", Sign::NoRoute),
            ("cluster_not_found", Sign::NoCluster),
            ("no_healthy_upstream", Sign::NoHealthyUpstream),
            ("dns_resolution_failure", Sign::NameUnresolved),
            ("dns_failure", Sign::NameUnresolved),
            ("{overflow", Sign::Overflow),
            ("|overflow", Sign::Overflow),
            ("overload_manager", Sign::Overload),
            ("envoy_overload", Sign::Overload),
        ];
        let found = PARTS.iter().find(|(part, _)| self.details.contains(part)).map(|(_, sign)| *sign);
        // An older proxy says "no healthy upstream" of a cluster it does not have.
        if self.has(&Flag::NoCluster) {
            return Some(Sign::NoCluster);
        }
        // The black hole answers with whatever its route or its missing endpoints give.
        if self.cluster == ClusterName::BlackHole || &*self.route == "block_all" {
            return Some(Sign::BlackHole);
        }
        found.or_else(|| {
            let timed_out = self.details.contains("response_timeout")
                || self.details.contains("per_try")
                || self.details.contains("max_duration_timeout")
                || self.details.contains("max_stream_duration_reached")
                || self.details.contains("overall_timeout");
            timed_out.then_some(Sign::TimedOut)
        })
    }

    fn sign_of_transport(&self) -> Option<Sign> {
        let fault = self.transport.as_ref()?;
        if fault.text.contains("not supplied by SDS") || fault.text.contains("not_supplied_by_SDS") {
            return Some(Sign::NoSecret);
        }
        match &fault.what {
            What::Refused => Some(Sign::Refused),
            What::TimedOut | What::HandshakeTimedOut => Some(Sign::ConnectTimedOut),
            What::NoRoute | What::NetworkUnreachable => Some(Sign::HostUnreachable),
            What::NameUnknown(_) | What::NameLookupFailed(_) => Some(Sign::NameUnresolved),
            What::Overflow => Some(Sign::Overflow),
            What::Cut => Some(Sign::Closed),
            What::UnknownAuthority
            | What::SameNameOtherKey
            | What::Expired
            | What::NotYetValid
            | What::WrongName { .. }
            | What::WrongTrustDomain { .. }
            | What::Revoked
            | What::NoCertificate
            | What::BadCertificate
            | What::Malformed
            | What::NotTls
            | What::TlsPolicy
            | What::Tls => Some(Sign::Tls),
            What::ViaProxy
            | What::Unreachable
            | What::Unauthorized
            | What::Forbidden { .. }
            | What::NoSuchType(_)
            | What::NoSuchObject(_)
            | What::ServerUnavailable
            | What::ServerError
            | What::Status(_)
            | What::WrongProtocol
            | What::TooBig
            | What::Kubeconfig(_)
            | What::Benign
            | What::Other => None,
        }
    }

    fn sign_of_flags(&self) -> Option<Sign> {
        let reset = self.reset();
        let has = |flag: Flag| self.has(&flag);
        if has(Flag::UpstreamOverflow) || has(Flag::DropOverload) {
            return Some(Sign::Overflow);
        }
        match reset.as_str() {
            "connection_timeout" => return Some(Sign::ConnectTimedOut),
            "connection_termination" | "remote_connection_termination" => return Some(Sign::Closed),
            "protocol_error" => return Some(Sign::UpstreamProtocol),
            "connection_failure" | "remote_connection_failure" => return Some(Sign::ConnectFailed),
            // This host could not open a socket: it says nothing about the upstream.
            "local_connection_failure" => return Some(Sign::Unknown),
            "remote_reset"
            | "local_reset"
            | "remote_refused_stream_reset"
            | "local_refused_stream_reset"
            | "connect_error" => return Some(Sign::StreamReset),
            _ => {}
        }
        if has(Flag::DnsFailure) {
            return Some(Sign::NameUnresolved);
        }
        if has(Flag::UpstreamConnectionFailure) {
            return Some(Sign::ConnectFailed);
        }
        if has(Flag::NoHealthyUpstream) {
            return Some(Sign::NoHealthyUpstream);
        }
        if has(Flag::NoCluster) {
            return Some(Sign::NoCluster);
        }
        if has(Flag::NoRoute) {
            // A connection without a request found no filter chain; a request found no route.
            return Some(if self.method.is_empty() { Sign::NoFilterChain } else { Sign::NoRoute });
        }
        if has(Flag::UpstreamRequestTimeout) || has(Flag::DurationTimeout) || has(Flag::MaxStreamDuration) {
            return Some(Sign::TimedOut);
        }
        // Before the protocol flags: Envoy ends an idle stream with DPE beside it.
        if has(Flag::StreamIdleTimeout) || self.details.starts_with("stream_idle_timeout") {
            return Some(Sign::IdleTimedOut);
        }
        if has(Flag::UpstreamProtocolError) {
            return Some(Sign::UpstreamProtocol);
        }
        if has(Flag::DownstreamProtocolError) || self.details.contains("codec_error") {
            return Some(Sign::ClientProtocol);
        }
        if has(Flag::UpstreamConnectionTermination) {
            return Some(Sign::Closed);
        }
        if has(Flag::DownstreamConnectionTermination)
            || has(Flag::DownstreamRemoteReset)
            || self.details.starts_with("downstream_remote_disconnect")
            || self.details.starts_with("downstream_remote_reset")
            || self.details.contains("remote_disconnect")
        {
            return Some(Sign::ClientGone);
        }
        if has(Flag::UpstreamRemoteReset) || has(Flag::LocalReset) {
            return Some(Sign::StreamReset);
        }
        if has(Flag::OverloadManager) {
            return Some(Sign::Overload);
        }
        has(Flag::NoFilterConfig).then_some(Sign::NoFilterConfig)
    }

    /// Without a telling flag: the status.
    fn sign_of_answer(&self) -> Sign {
        let own_answer = self.details.starts_with("direct_response");
        let grpc_failed = self.grpc_status.as_deref().is_some_and(|status| GRPC_FAILURES.contains(&status));
        match self.code {
            431 => Sign::HeaderLimit,
            429 => Sign::RateLimited,
            426 => Sign::UpgradeRefused,
            500.. if own_answer => Sign::DirectError,
            504 => Sign::TimedOut,
            500.. if self.upstream.is_some() || self.details.starts_with("via_upstream") => Sign::AnsweredError,
            500.. => Sign::Unknown,
            _ if grpc_failed => Sign::AnsweredGrpcError,
            _ => {
                let harmless = |flag: &Flag| {
                    matches!(flag, Flag::ResponseFromCache | Flag::DelayInjected | Flag::RetryLimitExceeded)
                };
                if self.flags.iter().all(harmless) { Sign::Served } else { Sign::Unknown }
            }
        }
    }

    /// Whether something went wrong that someone may want to fix: anything but an answer.
    pub fn is_failure(&self) -> bool {
        self.outcome() != Outcome::Served
    }

    /// Why the upstream stream was reset: `connection_failure`, `connection_timeout`, `connection_termination`,
    /// `overflow`, `remote_reset`, ...; empty where it was not, or where the details do not say.
    pub fn reset(&self) -> String {
        let Some((_, inner)) = self.details.split_once("upstream_reset").and_then(|(_, rest)| rest.split_once('{'))
        else {
            return String::new();
        };
        let end = inner.find(['}', ',', '|', ':']).unwrap_or(inner.len());
        inner[..end].trim().replace(' ', "_").to_ascii_lowercase()
    }

    /// Whether this line was written on the side of the application: the proxy in front of it took the request in.
    pub fn is_inbound(&self) -> bool {
        let app = |addr: &Addr| &*addr.host == "127.0.0.6" || &*addr.host == "::6";
        match &self.cluster {
            ClusterName::Inbound { .. } | ClusterName::InboundPassthrough => true,
            ClusterName::None => {
                self.route.starts_with("inbound|")
                    || self.sni.starts_with("outbound_.")
                    || self.upstream_local.as_ref().is_some_and(app)
            }
            _ => false,
        }
    }

    /// The service as people name it: the cluster's host, else the authority, else the address dialled.
    pub fn service(&self) -> String {
        let named = match &self.cluster {
            ClusterName::Outbound { host, .. } | ClusterName::Waypoint { host, .. } => Some(host.to_string()),
            ClusterName::Other(name) => Some(name.to_string()),
            ClusterName::Inbound { .. } | ClusterName::InboundPassthrough | ClusterName::None => {
                service_of_sni(&self.sni)
            }
            ClusterName::Passthrough | ClusterName::BlackHole => None,
        };
        let authority = || (!self.authority.is_empty()).then(|| self.authority.to_string());
        let sni = || (!self.sni.is_empty()).then(|| self.sni.to_string());
        let dialled = || self.upstream.as_ref().or(self.downstream_local.as_ref()).map(ToString::to_string);
        named.or_else(authority).or_else(sni).or_else(dialled).unwrap_or_else(|| "unknown destination".to_string())
    }

    /// Whether one later success at the same place proves that this failure is over: so it is where a connection, an
    /// endpoint or configuration was missing, and not where some calls fail among others that work.
    pub fn is_over_once_it_works(&self) -> bool {
        use Flag::{DnsFailure, NoCluster, NoFilterConfig, NoHealthyUpstream, NoRoute, UpstreamConnectionFailure};
        let missing = |flag: &Flag| {
            matches!(
                flag,
                UpstreamConnectionFailure | NoHealthyUpstream | NoRoute | NoCluster | DnsFailure | NoFilterConfig
            )
        };
        self.flags.iter().any(missing) && !self.has(&Flag::UpstreamOverflow)
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: &Flag) -> bool {
        self.flags.contains(flag)
    }
}

/// Reads what Envoy answers to callers, and what their tools print: the body of a 503, a line of curl. It says the same
/// as an access line, without place and time.
pub fn sentence(text: &str) -> Option<Request> {
    /// Words in the text, the details they stand for and the status that goes with them.
    const SENTENCES: &[(&str, &str, u16)] = &[
        ("no healthy upstream", "no_healthy_upstream", 503),
        ("RBAC: access denied", "rbac_access_denied", 403),
        ("upstream request timeout", "upstream_response_timeout", 504),
        ("stream timeout", "stream_idle_timeout", 504),
        ("fault filter abort", "fault_filter_abort", 0),
        ("local_rate_limited", "local_rate_limited", 429),
        ("Request Header Fields Too Large", "headers_too_large", 431),
        ("426 Upgrade Required", "low_version", 426),
    ];
    if let Some((_, rest)) = text.split_once("reset reason: ") {
        let (reason, transport) = rest.split_once(", transport failure reason: ").unwrap_or((rest, ""));
        let reason = reason.lines().next().unwrap_or("").trim().trim_end_matches(['"', '.']);
        let details = format!("upstream_reset_before_response_started{{{}}}", reason.replace(' ', "_"));
        let transport = transport_fault(transport.trim(), &details);
        return Some(Request { code: 503, details: details.into(), transport, ..Request::default() });
    }
    let answered = |details: &str, code: u16| Request { code, details: details.into(), ..Request::default() };
    if let Some((_, details, code)) = SENTENCES.iter().find(|(words, _, _)| text.contains(words)) {
        return Some(answered(details, *code));
    }
    let jwt = ["Jwt ", "Jwks ", "Audiences in Jwt"].iter().filter_map(|word| text.find(word)).min();
    if let Some(reason) = jwt.and_then(|at| text.get(at..)).and_then(|rest| rest.lines().next()) {
        let reason = reason.trim().trim_end_matches('"').replace(' ', "_");
        return Some(answered(&format!("jwt_authn_access_denied{{{reason}}}"), 401));
    }
    let transport = |text: &str| Some(Request { transport: Some(errors::fault(text)), ..Request::default() });
    const PLAIN: &[&str] =
        &["Client sent an HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS port"];
    if PLAIN.iter().any(|words| text.contains(words)) {
        return transport("TLS error: 268435612:SSL routines:OPENSSL_internal:HTTP_REQUEST");
    }
    if text.contains("server gave HTTP response to HTTPS client") || text.contains("wrong version number") {
        return transport("TLS error: 268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER");
    }
    if let Some(request) = unconnected(text) {
        return Some(request);
    }
    if text.contains("alert certificate required") {
        return transport("TLS error: 268436508:SSL routines:OPENSSL_internal:TLSV1_ALERT_CERTIFICATE_REQUIRED");
    }
    // A handshake that is cut says nothing of plain text.
    let in_handshake = text.contains("SSL_connect");
    if text.contains("Empty reply from server") || text.contains("Connection reset by peer") && !in_handshake {
        return Some(answered("upstream_reset_before_response_started{connection_termination}", 0));
    }
    None
}

/// `curl: (7) Failed to connect to cart port 9080 after 2 ms: Connection refused`, and (28) where it timed out.
fn unconnected(text: &str) -> Option<Request> {
    let (_, rest) = text.split_once("Failed to connect to ")?;
    let (host, rest) = rest.split_once(" port ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let addr = Addr { host: host.trim().into(), port: rest.get(..digits)?.parse().ok()? };
    let timed_out = text.contains("(28)") || text.contains("imed out") || text.contains("Timeout");
    let reset = if timed_out { "connection_timeout" } else { "remote_connection_failure" };
    let transport = (!timed_out).then(|| errors::fault("Connection refused"));
    Some(Request {
        code: 503,
        flags: vec![Flag::UpstreamConnectionFailure],
        details: format!("upstream_reset_before_response_started{{{reset}}}").into(),
        transport,
        upstream: Some(addr),
        ..Request::default()
    })
}

/// `outbound_.8080_._.mock-server.default.svc.cluster.local`: the service that the calling proxy had in mind.
fn service_of_sni(sni: &str) -> Option<String> {
    let (_, rest) = sni.strip_prefix("outbound_.")?.split_once("_.")?;
    let (_, host) = rest.split_once('.')?;
    Some(host.trim_start_matches("_.").to_string())
}

/// gRPC statuses that say the server failed; the others are answers of the application.
const GRPC_FAILURES: &[&str] =
    &["Unavailable", "UNAVAILABLE", "14", "Internal", "INTERNAL", "13", "DeadlineExceeded", "DEADLINE_EXCEEDED", "4"];

/// Reads an access line, text or JSON, with the time the request ended.
pub fn read(text: &str) -> Option<(Option<Time>, Request)> {
    // Notes and issues quote a line between backticks.
    let text = text.trim().trim_matches('`');
    let (started, request) = match text.as_bytes().first()? {
        b'{' => json(text, 0)?,
        _ => columns(text).or_else(|| untimed(text)).or_else(|| logfmt(text))?,
    };
    let ended = started.map(|at| request.duration.map_or(at, |duration| at.plus(duration)));
    Some((ended, request))
}

/// How many columns of a line are read.
const COLUMNS_MAX: usize = 48;

/// One column: as printed, and whether it stood in quotes.
#[derive(Clone, Copy, Debug)]
struct Column<'a> {
    text: &'a str,
    quoted: bool,
}

/// A text line. Since 1.9, where the `"-"` before the sizes is the transport's failure (long ago a second one, of Mixer,
/// stood before it, and the details were missing):
/// `[start] "GET /x HTTP/1.1" 503 UF details termination "transport" 0 91 10 - "xff" "agent" "request id" "authority"
/// "10.0.0.1:80" outbound|80||web.shop.svc.cluster.local local local remote sni route`
fn columns(text: &str) -> Option<(Option<Time>, Request)> {
    let (started, rest) = start(text)?;
    let (rest, request_line) = quoted(rest).ok()?;
    let (rest, code) = preceded(space1, status).parse(rest).ok()?;
    let (rest, flags) = preceded(space1, flags).parse(rest).ok()?;
    let (_, columns) = many_m_n(0, COLUMNS_MAX, preceded(space1, column)).parse(rest).ok()?;
    let mut request = Request { code, flags, ..Request::default() };
    set_request_line(&mut request, request_line);

    // The sizes are the first two bare numbers in a row; what stands before them differs between versions.
    let is_number = |column: &Column<'_>| !column.quoted && column.text.bytes().all(|c| c.is_ascii_digit());
    let sizes = columns.windows(2).position(|pair| pair.iter().all(is_number));
    let (before, after) = columns.split_at(sizes.unwrap_or(columns.len().min(1)));
    let mut bare = before.iter().filter(|column| !column.quoted).map(|column| column.text);
    let details = bare.next().unwrap_or("");
    let termination = bare.next().unwrap_or("");
    let transport = before.iter().rev().find(|column| column.quoted).map_or("", |column| column.text);
    // Two columns at least follow the flags in every known format; a lone status line of another program has none.
    if columns.len() < 2 {
        return None;
    }
    let shortened = |column: &Column<'_>| !column.quoted && matches!(column.text, "..." | "\u{2026}");
    request.details = present(if details == "..." { "" } else { details });
    request.termination = present(termination);
    request.transport = transport_fault(transport, details);
    if columns.iter().any(shortened) || sizes.is_none() {
        by_shape(&mut request, after);
    } else {
        request.duration = after.get(2).and_then(|column| millis(column.text));
        request.upstream_time = after.get(3).filter(|column| !column.quoted).and_then(|column| millis(column.text));
        let mut quoted = after.iter().filter(|column| column.quoted).map(|column| column.text);
        let _forwarded_for = quoted.next();
        request.user_agent = present(quoted.next().unwrap_or(""));
        request.request_id = present(quoted.next().unwrap_or(""));
        request.authority = present(quoted.next().unwrap_or(""));
        set_upstream(&mut request, quoted.next().unwrap_or(""));
        let last_quoted = after.iter().rposition(|column| column.quoted).unwrap_or(3);
        // Extra columns that other formats add behind may be quoted again, so count from the fifth quoted one.
        let fifth =
            after.iter().enumerate().filter(|(_, column)| column.quoted).nth(4).map_or(last_quoted, |(at, _)| at);
        let mut bare = after.iter().skip(fifth + 1).map(|column| column.text);
        request.cluster = cluster(bare.next().unwrap_or(""));
        request.upstream_local = bare.next().and_then(Addr::parse);
        request.downstream_local = bare.next().and_then(Addr::parse);
        request.downstream_remote = bare.next().and_then(Addr::parse);
        request.sni = present(bare.next().unwrap_or(""));
        request.route = present(bare.next().unwrap_or(""));
    }
    Some((started, request))
}

/// Columns of a shortened line, whose places say nothing: an address in quotes is the upstream, a name with bars the
/// cluster, a host name in quotes the authority.
fn by_shape(request: &mut Request, columns: &[Column<'_>]) {
    for column in columns {
        let text = column.text;
        if column.quoted && Addr::parse(text).is_some_and(|addr| addr.ip().is_some()) || text.starts_with("envoy://") {
            set_upstream(request, text);
        } else if text.contains('|') && !text.contains('{') || text.ends_with("Cluster") {
            request.cluster = cluster(text);
        } else if column.quoted && request.authority.is_empty() && is_host(text) {
            request.authority = text.into();
        }
    }
}

/// Whether a quoted column can be a host name, with or without a port.
fn is_host(text: &str) -> bool {
    let name = text.split(':').next().unwrap_or(text);
    let plain = name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_'));
    let long = name.len() > 1 && name.len() < 128 && name.starts_with(|c: char| c.is_ascii_alphabetic());
    // A request id has the same letters; it has four dashes and no dot.
    plain && long && (name.contains('.') || name.matches('-').count() < 4)
}

/// Lines without a time of which only a part is left, perhaps with a word of whoever quotes it in front.
fn untimed(text: &str) -> Option<(Option<Time>, Request)> {
    fragment(text).or_else(|| labelled(text)).map(|request| (None, request))
}

/// `Server - "GET /cart HTTP/1.1" 0 DC downstream_local_disconnect(filter_chain_is_being_removed)`: the request line and
/// what a fragment needs.
fn labelled(text: &str) -> Option<Request> {
    let begin = text.find('"')?;
    let label = text.get(..begin)?.trim_end_matches([' ', '-', ':', '>', '=']);
    if begin > 32 || !label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b' ')) {
        return None;
    }
    let (rest, request_line) = quoted(text.get(begin..)?).ok()?;
    let mut request = fragment(rest.trim_start())?;
    set_request_line(&mut request, request_line);
    Some(request)
}

/// Part of a line, as people quote it: `503 UF,URX upstream_reset_before_response_started{connection_termination}`.
/// A flag we know and details of Envoy's shape must stand at its begin.
fn fragment(text: &str) -> Option<Request> {
    if text.starts_with("upstream_reset_") && text.contains('{') {
        let mut request = Request { details: text.into(), ..Request::default() };
        request.transport = transport_fault("", text);
        return Some(request);
    }
    if text.starts_with("TLS_error:|") || text.starts_with("TLS error: 268") {
        return Some(Request { transport: transport_fault(text, ""), ..Request::default() });
    }
    let (rest, code) = opt(terminated(status, space1)).parse(text).ok()?;
    let (rest, flags) = flags(rest).ok()?;
    let (_, columns) = many_m_n(1, COLUMNS_MAX, preceded(space1, column)).parse(rest).ok()?;
    // Before 1.9 the quoted transport failure stood alone behind the flags.
    let failure = columns.iter().take(2).find(|column| column.quoted && column.text.starts_with("TLS error: "));
    if let Some(failure) = failure.filter(|_| flags.contains(&Flag::UpstreamConnectionFailure)) {
        let transport = transport_fault(failure.text, "");
        return Some(Request { code: code.unwrap_or(0), flags, transport, ..Request::default() });
    }
    let details = columns.first().filter(|column| !column.quoted)?.text;
    let of_envoy = DETAILS.iter().any(|known| details.starts_with(known));
    if !of_envoy || flags.iter().any(|flag| matches!(flag, Flag::Other(_))) || flags.is_empty() && code.is_none() {
        return None;
    }
    let quoted = |at: usize| columns.iter().filter(|column| column.quoted).nth(at).map_or("", |column| column.text);
    let mut request = Request { code: code.unwrap_or(0), flags, details: present(details), ..Request::default() };
    request.transport = transport_fault(quoted(0), details);
    by_shape(&mut request, &columns);
    Some(request)
}

/// How Envoy's details begin, for fragments.
const DETAILS: &[&str] = &[
    "upstream_reset_before_response_started",
    "upstream_reset_after_response_started",
    "no_healthy_upstream",
    "route_not_found",
    "cluster_not_found",
    "filter_chain_not_found",
    "response_timeout",
    "upstream_response_timeout",
    "upstream_per_try_timeout",
    "via_upstream",
    "downstream_remote_disconnect",
    "downstream_local_disconnect",
    "rbac_access_denied",
    "jwt_authn_access_denied",
    "ext_authz",
    "stream_idle_timeout",
    "max_duration_timeout",
    "http1.",
    "http2.",
];

/// The start time and what follows it. The opening bracket is often lost in pasting, and tools put names in front.
fn start(text: &str) -> Option<(Option<Time>, &str)> {
    if text.starts_with('"') {
        return Some((None, text));
    }
    // Names of a pod and a container fit in front of the time.
    let near = &text.as_bytes()[..text.len().min(320)];
    let close = memchr::memmem::find(near, b"] \"")?;
    let before = text.get(..close)?;
    let begin = before.rfind(['[', ' ', '\t', '#']).map_or(0, |at| at + 1);
    let stamp = &before[begin..];
    let rest = text.get(close + 2..)?;
    if matches!(stamp, "..." | "\u{2026}" | "ts" | "timestamp") {
        // People shorten what they paste.
        return Some((None, rest));
    }
    let (at, used) = time::rfc3339(stamp.as_bytes())?;
    (used == stamp.len()).then_some((Some(at), rest))
}

/// `"..."`; a quote inside ends it only where a blank or the end follows.
fn quoted(input: &str) -> IResult<&str, &str> {
    let (rest, _) = char('"').parse(input)?;
    let bytes = rest.as_bytes();
    for at in memchr::memchr_iter(b'"', bytes) {
        if bytes.get(at + 1).is_none_or(|next| matches!(next, b' ' | b'\t')) {
            return Ok((&rest[at + 1..], &rest[..at]));
        }
    }
    refuse(input)
}

/// A bare column: up to a blank that is not inside braces (old versions print blanks in details).
fn bare(input: &str) -> IResult<&str, &str> {
    let mut depth = 0u32;
    for (at, byte) in input.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b' ' | b'\t' if depth == 0 => {
                return if at == 0 { refuse(input) } else { Ok((&input[at..], &input[..at])) };
            }
            _ => {}
        }
    }
    if depth > 0 {
        // A brace that never closes is a cut line: the blank ends the column after all.
        return take_while1(|c| c != ' ' && c != '\t').parse(input);
    }
    if input.is_empty() { refuse(input) } else { Ok(("", input)) }
}

fn column(input: &str) -> IResult<&str, Column<'_>> {
    let in_quotes = map(quoted, |text| Column { text, quoted: true });
    let plain = map(bare, |text| Column { text, quoted: false });
    alt((in_quotes, plain)).parse(input)
}

/// `503`, or `-` and `0` where no status was sent.
fn status(input: &str) -> IResult<&str, u16> {
    let digits = verify(take_while1(|c: char| c.is_ascii_digit()), |digits: &str| digits.len() <= 3);
    alt((map(digits, |digits: &str| digits.parse().unwrap_or(0)), map(tag("-"), |_| 0))).parse(input)
}

/// `UF,URX`, or `-`.
fn flags(input: &str) -> IResult<&str, Vec<Flag>> {
    let word = take_while1(|c: char| c.is_ascii_uppercase() || c == ',');
    let end = |rest: &str| rest.is_empty() || rest.starts_with([' ', '\t']);
    let (rest, words) = alt((map(tag("-"), |_| ""), word)).parse(input)?;
    if !end(rest) {
        return refuse(input);
    }
    Ok((rest, words.split(',').filter(|word| !word.is_empty()).map(Flag::from_word).collect()))
}

/// `GET /a b HTTP/1.1`, or `- - -`.
fn set_request_line(request: &mut Request, line: &str) {
    let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (path, protocol) = rest.rsplit_once(' ').unwrap_or((rest, ""));
    request.method = present(method);
    request.path = present(path);
    request.protocol = present(protocol);
}

/// `10.0.0.1:80`, `envoy://connect_originate/10.0.0.1:8080`, `envoy://internal_client_address/`.
fn set_upstream(request: &mut Request, text: &str) {
    let inner: IResult<&str, &str> = delimited(tag("envoy://"), take_while(|c: char| c != '/'), char('/')).parse(text);
    match inner {
        Ok((address, listener)) => {
            request.tunnelled = listener.contains("connect_originate");
            request.upstream = Addr::parse(address);
        }
        Err(_) => request.upstream = Addr::parse(text.strip_prefix("tcp://").unwrap_or(text)),
    }
}

/// `outbound|9080|v1|host`, `outbound_.9080_.v1_.host`, `inbound|8080||`, `inbound-vip|8080|http|host`, ...
pub fn cluster(text: &str) -> ClusterName {
    if text.contains("\\|") {
        // A line that went through a table of Markdown.
        return cluster(&text.replace("\\|", "|"));
    }
    let parts = |rest: &str, separator: &str| -> Option<(u16, Text, Text)> {
        let mut parts = rest.splitn(3, separator);
        let port = parts.next()?.parse().ok()?;
        let subset = parts.next()?;
        let subset = if subset == "_" { "" } else { subset };
        Some((port, subset.into(), parts.next().unwrap_or("").into()))
    };
    let outbound = |(port, subset, host)| ClusterName::Outbound { port, subset, host };
    if let Some(rest) = text.strip_prefix("outbound|") {
        // Newer versions add `;` and a hash of the endpoint's settings.
        let rest = rest.split(';').next().unwrap_or(rest);
        return parts(rest, "|").map_or_else(|| ClusterName::Other(text.into()), outbound);
    }
    if let Some(rest) = text.strip_prefix("outbound_.") {
        return parts(rest, "_.").map_or_else(|| ClusterName::Other(text.into()), outbound);
    }
    for prefix in ["inbound-vip|", "inbound-pod|"] {
        if let Some((port, subset, host)) = text.strip_prefix(prefix).and_then(|rest| parts(rest, "|")) {
            return ClusterName::Waypoint { port, subset, host };
        }
    }
    if let Some((port, _, _)) = text.strip_prefix("inbound|").and_then(|rest| parts(rest, "|")) {
        return ClusterName::Inbound { port };
    }
    match text {
        "" | "-" => ClusterName::None,
        "BlackHoleCluster" => ClusterName::BlackHole,
        "PassthroughCluster" => ClusterName::Passthrough,
        _ if text.starts_with("InboundPassthroughCluster") => ClusterName::InboundPassthrough,
        _ => ClusterName::Other(text.into()),
    }
}

/// A value as printed; `-` stands for none.
fn present(text: &str) -> Text {
    if text == "-" { Text::default() } else { text.into() }
}

fn millis(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    matches!(unit, "" | "ms").then(|| number.parse().ok().map(Duration::from_millis))?
}

/// Why the transport failed: the field of that name, else what the details add behind the reset's reason.
fn transport_fault(field: &str, details: &str) -> Option<Fault> {
    if !matches!(field, "" | "-") {
        return Some(errors::fault(&with_blanks(field)));
    }
    let inner = details.split_once('{')?.1.trim_end_matches('}');
    let begin = inner.find(['|', ',']).map(|at| at + 1).or_else(|| inner.find("TLS"))?;
    let inner = inner.get(begin..)?.trim();
    // `connection_failure|` alone carries nothing.
    (!inner.is_empty() && !details.starts_with("jwt_")).then(|| errors::fault(&with_blanks(inner)))
}

/// Envoy prints underscores for blanks in details. What stays in capitals is a name of OpenSSL's.
fn with_blanks(text: &str) -> Cow<'_, str> {
    if !text.contains('_') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let is_name = |at: usize| bytes.get(at).is_some_and(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    let mut plain = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let inside_name = at > 0 && is_name(at - 1);
        plain.push(if c == '_' && !inside_name { ' ' } else { c });
    }
    Cow::Owned(plain.replace("SSL_routines", "SSL routines"))
}

/// How deep an access line may be nested in JSON.
const NESTING_MAX: u32 = 3;

/// A JSON line with Istio's default keys in any order, those of Envoy Gateway, or such an object inside another one.
fn json(text: &str, depth: u32) -> Option<(Option<Time>, Request)> {
    let wraps = ["response_", "\"log\"", "\"textPayload\""];
    if depth > NESTING_MAX || !wraps.iter().any(|key| memchr::memmem::find(text.as_bytes(), key.as_bytes()).is_some()) {
        return None;
    }
    let pairs = header::json_pairs(text)?;
    let value = |keys: &[&str]| -> &str {
        let found = pairs.iter().find(|(key, _)| keys.contains(&&**key));
        found.map_or("", |(_, value)| if value == "-" { "" } else { value })
    };
    let is_access = pairs.iter().any(|(key, _)| matches!(&**key, "response_code" | "response_flags"));
    if !is_access {
        let inner = value(&["jsonPayload", "json_payload", "log", "message", "msg", "textPayload"]).trim();
        return match inner.as_bytes().first()? {
            b'{' => json(inner, depth + 1),
            _ => columns(inner),
        };
    }
    Some(named_fields(&pairs))
}

/// `response_code="503", response_flags="UF", ...`: the same keys without JSON, as log viewers print them.
fn logfmt(text: &str) -> Option<(Option<Time>, Request)> {
    let has = |key: &str| memchr::memmem::find(text.as_bytes(), key.as_bytes()).is_some();
    if !has("response_flags=") || !has("response_code") {
        return None;
    }
    let mut pairs = Vec::new();
    let mut rest = text;
    while let Some((key, tail)) = rest.split_once('=') {
        let key = key.rsplit([' ', ',', '\t']).next().unwrap_or(key);
        let (value, left) = match tail.strip_prefix('"') {
            Some(inner) => inner.split_once('"').unwrap_or((inner, "")),
            None => tail.split_at(tail.find([' ', ',', '\t']).unwrap_or(tail.len())),
        };
        pairs.push((Cow::Borrowed(key), Cow::Borrowed(value)));
        rest = left;
    }
    Some(named_fields(&pairs))
}

/// A request told by Istio's keys, or by those of Envoy Gateway.
fn named_fields(pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> (Option<Time>, Request) {
    let value = |keys: &[&str]| -> &str {
        let found = pairs.iter().find(|(key, _)| keys.contains(&&**key));
        found.map_or("", |(_, value)| if value == "-" { "" } else { value })
    };
    let text = |keys: &[&str]| -> Text { value(keys).into() };
    let addr = |keys: &[&str]| Addr::parse(value(keys));
    let flags = value(&["response_flags"]).split(',').map(str::trim).filter(|word| !word.is_empty());
    let details = text(&["response_code_details"]);
    let transport = value(&["upstream_transport_failure_reason"]);
    let mut request = Request {
        method: text(&["method", ":method"]),
        path: text(&["path", ":path", "x-envoy-origin-path", "x-envoy-original-path"]),
        protocol: text(&["protocol"]),
        code: value(&["response_code"]).parse().unwrap_or(0),
        flags: flags.map(Flag::from_word).collect(),
        transport: transport_fault(transport, &details),
        termination: text(&["connection_termination_details"]),
        duration: millis(value(&["duration"])),
        upstream_time: Some(value(&["upstream_service_time", "x-envoy-upstream-service-time"]))
            .filter(|text| !text.is_empty())
            .and_then(millis),
        grpc_status: Some(text(&["grpc_status", "grpc-status"])).filter(|status| !status.is_empty()),
        request_id: text(&["request_id", "x-request-id"]),
        authority: text(&["authority", ":authority"]),
        user_agent: text(&["user_agent", "user-agent"]),
        cluster: cluster(value(&["upstream_cluster"])),
        upstream_local: addr(&["upstream_local_address"]),
        downstream_local: addr(&["downstream_local_address"]),
        downstream_remote: addr(&["downstream_remote_address"]),
        sni: text(&["requested_server_name"]),
        route: text(&["route_name"]),
        details,
        ..Request::default()
    };
    set_upstream(&mut request, value(&["upstream_host"]));
    let started = time::rfc3339(value(&["start_time", "timestamp", "@timestamp"]).as_bytes()).map(|(at, _)| at);
    (started, request)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the tests compare: code, flags, details, transport, authority, upstream, cluster, route.
    fn check(line: &str, want: &str) {
        let (at, request) = read(line).unwrap_or_else(|| panic!("not read: {line}"));
        let flags: Vec<&str> = request.flags.iter().map(Flag::word).collect();
        let have = format!(
            "{} {} {} {} [{}] {} | {} -> {} {} {} {}",
            at.map(|at| at.to_string()).unwrap_or_default(),
            request.method,
            request.path,
            request.code,
            flags.join(","),
            request.details,
            request.authority,
            request.upstream.as_ref().map(ToString::to_string).unwrap_or_default(),
            request.cluster,
            request.sni,
            request.route,
        );
        assert_eq!(have, want, "{line}");
    }

    /// Lines of every version and form, with what is read from them.
    const LINES: &[(&str, &str)] = &[
        // 1.9 and later
        (
            r#"[2025-02-03T09:02:11.852Z] "GET /hello HTTP/1.1" 503 UF,URX upstream_reset_before_response_started{connection_timeout} - "-" 0 91 30010 - "-" "curl/8.5.0" "7c7ca91e" "web.shop:5000" "10.20.3.18:5000" outbound|5000||web.shop.svc.cluster.local - 10.96.12.1:5000 10.20.1.6:45531 - default"#,
            "2025-02-03T09:02:41.862Z GET /hello 503 [UF,URX] upstream_reset_before_response_started{connection_timeout} | web.shop:5000 -> 10.20.3.18:5000 outbound|5000||web.shop.svc.cluster.local  default",
        ),
        // the opening bracket lost, IPv6
        (
            r#"2025-02-03T09:02:11.852Z] "GET / HTTP/1.1" 503 UF upstream_reset_before_response_started{remote_connection_failure,delayed_connect_error:_111} - "delayed_connect_error:_111" 0 152 0 - "-" "curl/8.7.1" "b79e" "app:8001" "[fd00::5]:8001" inbound|8001|| - [fd00::5]:8001 [fd00::17]:35780 outbound_.8001_._.app.dev.svc.cluster.local default"#,
            "2025-02-03T09:02:11.852Z GET / 503 [UF] upstream_reset_before_response_started{remote_connection_failure,delayed_connect_error:_111} | app:8001 -> [fd00::5]:8001 inbound|8001|| outbound_.8001_._.app.dev.svc.cluster.local default",
        ),
        // 1.8: details and no termination column
        (
            r#"[2020-11-25T21:26:18.409Z] "GET /status/418 HTTP/1.1" 418 - via_upstream "-" 0 135 4 3 "-" "curl/7.73.0" "84961386" "httpbin:8000" "10.44.1.27:80" outbound|8000||httpbin.foo.svc.cluster.local 10.44.1.23:37652 10.0.45.184:8000 10.44.1.23:46520 - default"#,
            "2020-11-25T21:26:18.413Z GET /status/418 418 [] via_upstream | httpbin:8000 -> 10.44.1.27:80 outbound|8000||httpbin.foo.svc.cluster.local  default",
        ),
        // 1.6 and 1.7: no details, a column of Mixer
        (
            r#"[2020-05-02T10:11:12.000Z] "GET /a HTTP/1.1" 503 UC "-" "-" 0 95 2 - "-" "curl" "id" "web:80" "10.1.1.1:80" outbound|80||web.ns.svc.cluster.local - 10.0.0.7:80 10.1.0.2:3000 - default"#,
            "2020-05-02T10:11:12.002Z GET /a 503 [UC]  | web:80 -> 10.1.1.1:80 outbound|80||web.ns.svc.cluster.local  default",
        ),
        // 1.8, blanks in the details
        (
            r#"[2021-02-18T09:00:00.000Z] "GET / HTTP/1.1" 503 UF,URX upstream_reset_before_response_started{connection failure,TLS error: 268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED} - "TLS error: 268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED" 0 200 50 - "-" "curl" "id" "web:80" "10.1.1.1:80" outbound|80||web.ns.svc.cluster.local - 10.0.0.7:80 10.1.0.2:3000 - default"#,
            "2021-02-18T09:00:00.050Z GET / 503 [UF,URX] upstream_reset_before_response_started{connection failure,TLS error: 268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED} | web:80 -> 10.1.1.1:80 outbound|80||web.ns.svc.cluster.local  default",
        ),
        // Envoy's own default
        (
            r#"[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0" "locations" "tcp://10.0.2.1:80""#,
            "2016-04-15T20:17:00.536Z POST /api/v1/locations 204 []  | locations -> 10.0.2.1:80 -  ",
        ),
        // TCP, refused by TLS
        (
            r#"[2023-03-01T08:00:00.000Z] "- - -" 0 UF,URX - - "TLS error: 268435612:SSL routines:OPENSSL_internal:HTTP_REQUEST" 0 0 12 - "-" "-" "-" "-" "10.1.1.1:3306" outbound|3306||mysql.db.svc.cluster.local - 10.0.0.9:3306 10.1.0.2:50000 - -"#,
            "2023-03-01T08:00:00.012Z   0 [UF,URX]  |  -> 10.1.1.1:3306 outbound|3306||mysql.db.svc.cluster.local  ",
        ),
        // no filter chain: cluster and upstream unknown
        (
            r#"[2022-08-15T15:58:51.232Z] "- - -" 0 NR filter_chain_not_found - "-" 0 0 0 - "-" "-" "-" "-" "-" - - 10.124.9.14:9879 10.124.9.15:53682 - -"#,
            "2022-08-15T15:58:51.232Z   0 [NR] filter_chain_not_found |  ->  -  ",
        ),
        // waypoint, with extra columns behind and names in front
        (
            r#"waypoint-5f istio-proxy [2025-02-03T09:02:11.852Z] "GET / HTTP/2" 503 UF upstream_reset_before_response_started{connection_termination} - "-" 0 91 10 - "-" "curl" "id" "web" "envoy://connect_originate/10.0.0.1:8080" inbound-vip|80|http|web.ns.svc.cluster.local envoy://internal_client_address/ 10.96.0.3:80 10.0.0.9:4711 - default 1 14 "x""#,
            "2025-02-03T09:02:11.862Z GET / 503 [UF] upstream_reset_before_response_started{connection_termination} | web -> 10.0.0.1:8080 inbound-vip|80|http|web.ns.svc.cluster.local  default",
        ),
        // a part of a line
        (
            r#"UF,URX upstream_reset_before_response_started{connection_termination} "envoy://connect_originate/10.0.0.1:8080""#,
            "   0 [UF,URX] upstream_reset_before_response_started{connection_termination} |  -> 10.0.0.1:8080 -  ",
        ),
        // keys of JSON without JSON
        (
            r#"authority="web" response_code="502", response_code_details="upstream_reset_before_response_started{protocol_error}", response_flags="UPE""#,
            "   502 [UPE] upstream_reset_before_response_started{protocol_error} | web ->  -  ",
        ),
        // shortened by who pasted it
        (
            r#"[...] "- - -" 0 UH - - "-" 0 0 1 - "-" "-" "-" "-" "-" BlackHoleCluster - 203.0.113.5:443 ..."#,
            "   0 [UH]  |  ->  BlackHoleCluster  ",
        ),
        (
            r#""GET /reviews/0 HTTP/1.1" 503 UH no_healthy_upstream ... outbound|9080|v1|web.ns.svc.cluster.local"#,
            " GET /reviews/0 503 [UH] no_healthy_upstream |  ->  outbound|9080|v1|web.ns.svc.cluster.local  ",
        ),
        (
            r#"[...] "POST /n HTTP/1.1" 503 NC no_healthy_upstream - "-" 0 19 0 - ... "web-service" "-" ..."#,
            " POST /n 503 [NC] no_healthy_upstream | web-service ->  -  ",
        ),
        // out of a table
        (
            r#"  | [2025-02-03T09:02:11.852Z] "GET / HTTP/2" 503 UC upstream_reset_before_response_started{connection_termination} - "-" 0 95 0 - "-" "curl" "id" "web" "10.0.0.1:80" outbound\|80\|\|web.ns.svc.cluster.local - 10.96.0.3:80 10.0.0.9:4711 - -"#,
            "2025-02-03T09:02:11.852Z GET / 503 [UC] upstream_reset_before_response_started{connection_termination} | web -> 10.0.0.1:80 outbound|80||web.ns.svc.cluster.local  ",
        ),
        // JSON, strings
        (
            r#"{"start_time":"2025-12-15T16:19:32.654Z","method":"GET","path":"/x","protocol":"HTTP/1.1","response_code":"503","response_flags":"UC","response_code_details":"upstream_reset_before_response_started{connection_termination}","duration":"1052","upstream_host":"10.244.1.4:8080","upstream_cluster":"inbound|8080||","authority":"mock:8080","requested_server_name":"outbound_.8080_._.mock.default.svc.cluster.local","route_name":"default"}"#,
            "2025-12-15T16:19:33.706Z GET /x 503 [UC] upstream_reset_before_response_started{connection_termination} | mock:8080 -> 10.244.1.4:8080 inbound|8080|| outbound_.8080_._.mock.default.svc.cluster.local default",
        ),
        // JSON of Envoy Gateway: numbers, nulls
        (
            r#"{":authority":"ratings:9080","duration":0,"method":"GET","response_code":503,"response_code_details":"upstream_reset_before_response_started{overflow}","response_flags":"UO","route_name":"r","start_time":"2025-07-22T09:14:19.407Z","upstream_cluster":"httproute/default/ratings/rule/0","upstream_host":"10.244.1.37:9080","requested_server_name":null,"x-envoy-origin-path":"/ratings/0"}"#,
            "2025-07-22T09:14:19.407Z GET /ratings/0 503 [UO] upstream_reset_before_response_started{overflow} | ratings:9080 -> 10.244.1.37:9080 httproute/default/ratings/rule/0  r",
        ),
        // JSON, nested by a collector
        (
            r#"{"insertId":"1","jsonPayload":{"response_code":404,"response_flags":"NR","response_code_details":"route_not_found","start_time":"2025-07-22T09:14:19.407Z","method":"GET","path":"/","authority":"shop.example"}}"#,
            "2025-07-22T09:14:19.407Z GET / 404 [NR] route_not_found | shop.example ->  -  ",
        ),
        (
            r#"{"log":"[2025-02-03T09:02:11.852Z] \"GET / HTTP/1.1\" 404 NR route_not_found - \"-\" 0 0 0 - \"-\" \"curl\" \"id\" \"shop\" \"-\" - - 10.0.0.1:80 10.0.0.9:4711 - -\n","stream":"stdout"}"#,
            "2025-02-03T09:02:11.852Z GET / 404 [NR] route_not_found | shop ->  -  ",
        ),
        (
            r#"`"- - -" 0 NR filter_chain_not_found - "-" 0 0 0 - "-" "-" "-" "-" "-" - - 10.0.0.8:8080 10.0.0.7:58394 - -`"#,
            "   0 [NR] filter_chain_not_found |  ->  -  ",
        ),
        (
            r#"Server - "GET /cart HTTP/1.1" 0 DC downstream_local_disconnect(filter_chain_is_being_removed)"#,
            " GET /cart 0 [DC] downstream_local_disconnect(filter_chain_is_being_removed) |  ->  -  ",
        ),
    ];

    #[test]
    fn lines_of_every_version_are_read() {
        for (line, want) in LINES {
            check(line, want);
        }
    }

    #[test]
    fn what_is_no_access_line_is_left_to_others() {
        for line in [
            "",
            "2025-02-03T09:00:00.596866Z\tinfo\tFLAG: --domain=\"cluster.local\"",
            r#"{"level":"info","time":"2025-02-03T09:00:00Z","msg":"response_code"}"#,
            r#"10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 2326"#,
            "UF is a flag that people write about",
            r#""GET / HTTP/1.1" 503"#,
            r#"Server - "GET / HTTP/1.1" 503 -"#,
            r#"web-1: "GET / HTTP/1.1" 500 1234"#,
            r#"`filter_chain_not_found` means that no filter chain takes the connection"#,
            "[2021-03-04 12:00:00.123][22][warning][config] [source/a.cc:1] gRPC config",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn cut_and_mutated_lines_never_panic() {
        for (line, _) in LINES {
            for at in 0..=line.len() {
                if let Some(cut) = line.get(..at) {
                    let _ = read(cut);
                }
                for with in ["\"", "{", "}", " ", "|", "\u{e9}", ","] {
                    if let (Some(before), Some(after)) = (line.get(..at), line.get(at..)) {
                        let _ = read(&format!("{before}{with}{after}"));
                    }
                }
            }
        }
    }

    #[test]
    fn the_transport_fault_comes_from_the_field_else_from_the_details() {
        let texts =
            |line: &str| read(line).and_then(|(_, request)| request.transport).map(|fault| fault.text.to_string());
        assert_eq!(texts(LINES[0].0), None);
        assert_eq!(texts(LINES[1].0).as_deref(), Some("delayed connect error: 111"));
        let line = LINES[4]
            .0
            .replace(r#""TLS error: 268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED""#, r#""-""#);
        assert_eq!(
            texts(&line).as_deref(),
            Some("TLS error: 268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED")
        );
        let underscored = line.replace(
            "connection failure,TLS error: 268435581:SSL routines",
            "connection_failure,TLS_error:_268435581:SSL_routines",
        );
        assert_eq!(
            texts(&underscored).as_deref(),
            Some("TLS_error: 268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED")
        );
    }

    #[test]
    fn an_answer_of_the_application_is_no_failure() {
        let outcome = |code: u16, flags: &str, details: &str| {
            let line = format!(
                r#"[2025-02-03T09:00:00.000Z] "GET / HTTP/1.1" {code} {flags} {details} - "-" 0 0 1 1 "-" "-" "-" "web" "10.0.0.1:80" outbound|80||web - - - - -"#
            );
            read(&line).expect("a line").1.outcome()
        };
        assert_eq!(outcome(200, "-", "via_upstream"), Outcome::Served);
        assert_eq!(outcome(404, "-", "via_upstream"), Outcome::Served);
        assert_eq!(outcome(404, "NR", "route_not_found"), Outcome::Failed);
        assert_eq!(outcome(200, "UO", "upstream_reset_before_response_started{overflow}"), Outcome::Failed);
        assert_eq!(outcome(503, "-", "via_upstream"), Outcome::Failed);
        assert_eq!(outcome(0, "DC", "downstream_remote_disconnect"), Outcome::ClientGone);
        assert_eq!(outcome(403, "-", "rbac_access_denied_matched_policy[none]"), Outcome::RefusedByPolicy);
        assert_eq!(outcome(200, "DI", "via_upstream"), Outcome::Served);
    }

    #[test]
    fn a_line_is_read_to_one_sign() {
        let sign = |middle: &str| {
            let line = format!(
                r#"[2025-02-03T09:00:00.000Z] "GET / HTTP/1.1" {middle} 0 0 1 1 "-" "-" "-" "web" "10.0.0.1:80" outbound|80||web - - - - -"#
            );
            read(&line).unwrap_or_else(|| panic!("not read: {line}")).1.sign()
        };
        for (middle, want) in [
            (r#"200 - via_upstream - "-""#, Sign::Served),
            (r#"503 UC upstream_reset_before_response_started{connection_termination} - "-""#, Sign::Closed),
            (
                r#"503 UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_111} - "delayed_connect_error:_111""#,
                Sign::Refused,
            ),
            (r#"503 UF,URX upstream_reset_before_response_started{connection_timeout} - "-""#, Sign::ConnectTimedOut),
            (r#"503 UF,URX "-" "-""#, Sign::ConnectFailed),
            (
                r#"503 UF upstream_reset_before_response_started{connection_failure,TLS_error:_268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER} - "-""#,
                Sign::Tls,
            ),
            (
                r#"503 UF upstream_reset_before_response_started{remote_connection_failure|TLS_error:_Secret_is_not_supplied_by_SDS} - "TLS_error: Secret is not supplied by SDS""#,
                Sign::NoSecret,
            ),
            (r#"504 UT response_timeout - "-""#, Sign::TimedOut),
            (r#"504 UT upstream_response_timeout - "-""#, Sign::TimedOut),
            (r#"504 UT upstream_per_try_timeout - "-""#, Sign::TimedOut),
            (r#"408 SI stream_idle_timeout - "-""#, Sign::IdleTimedOut),
            (r#"408 DPE,SI stream_idle_timeout - "-""#, Sign::IdleTimedOut),
            (r#"503 UO upstream_reset_before_response_started{overflow} - "-""#, Sign::Overflow),
            (r#"503 UPE upstream_reset_before_response_started{protocol_error} - "-""#, Sign::UpstreamProtocol),
            (r#"400 DPE http1.codec_error - "-""#, Sign::ClientProtocol),
            (r#"431 DPE http1.headers_too_large - "-""#, Sign::HeaderLimit),
            (r#"403 - upgrade_failed - "-""#, Sign::UpgradeRefused),
            (r#"403 - rbac_access_denied_matched_policy[ns[a]-policy[b]-rule[0]] - "-""#, Sign::RbacDenied),
            (r#"403 UAEX ext_authz_denied - "-""#, Sign::ExternalDenied),
            (r#"302 UAEX ext_authz_denied - "-""#, Sign::Served),
            (r#"403 UAEX ext_authz_error - "-""#, Sign::ExternalFailed),
            (r#"401 - jwt_authn_access_denied{Jwt_is_expired} - "-""#, Sign::JwtRefused),
            (r#"429 RL local_rate_limited - "-""#, Sign::RateLimited),
            (r#"500 - rate_limiter_error - "-""#, Sign::LimiterFailed),
            (r#"200 RLSE via_upstream - "-""#, Sign::Unknown),
            (r#"101 UC via_upstream - "-""#, Sign::Served),
            (r#"101 UF via_upstream - "-""#, Sign::ConnectFailed),
            (r#"500 FI fault_filter_abort - "-""#, Sign::FaultInjected),
            (r#"0 DC downstream_remote_disconnect - "-""#, Sign::ClientGone),
            (r#"500 - via_upstream - "-""#, Sign::AnsweredError),
            (r#"500 URX via_upstream - "-""#, Sign::AnsweredError),
            (r#"404 - via_upstream - "-""#, Sign::Served),
            (r#"503 XYZ - - "-""#, Sign::AnsweredError),
            (r#"200 XYZ - - "-""#, Sign::Unknown),
        ] {
            assert_eq!(sign(middle), want, "{middle}");
        }
    }

    #[test]
    fn a_fragment_without_details_keeps_its_transport_failure() {
        let line = r#"503 UF,URX "-" "TLS error: 268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER""#;
        let transport = read(line).and_then(|(_, request)| request.transport).map(|fault| fault.what);
        assert_eq!(transport, Some(What::NotTls));
    }

    #[test]
    fn a_cut_handshake_is_no_closed_connection() {
        assert!(sentence("OpenSSL SSL_connect: Connection reset by peer in connection to web.test:443").is_none());
        assert!(sentence("curl: (56) Recv failure: Connection reset by peer").is_some());
    }

    #[test]
    fn a_sentence_of_envoy_says_what_an_access_line_says() {
        let sign = |text: &str| sentence(text).map(|request| request.sign());
        let reset = "upstream connect error or disconnect/reset before headers. ";
        for (text, want) in [
            (format!("{reset}reset reason: connection termination"), Some(Sign::Closed)),
            (format!("{reset}reset reason: overflow"), Some(Sign::Overflow)),
            (format!("{reset}reset reason: connection timeout"), Some(Sign::ConnectTimedOut)),
            (
                format!(
                    "{reset}retried and the latest reset reason: remote connection failure, transport failure reason: delayed connect error: 111"
                ),
                Some(Sign::Refused),
            ),
            (
                format!(
                    "{reset}reset reason: connection failure, transport failure reason: TLS error: 268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED"
                ),
                Some(Sign::Tls),
            ),
            ("no healthy upstream".to_string(), Some(Sign::NoHealthyUpstream)),
            ("RBAC: access denied".to_string(), Some(Sign::RbacDenied)),
            ("Jwt verification fails".to_string(), Some(Sign::JwtRefused)),
            ("curl: (56) Recv failure: Connection reset by peer".to_string(), Some(Sign::Closed)),
            ("Hello version: v1".to_string(), None),
        ] {
            assert_eq!(sign(&text), want, "{text}");
        }
    }

    #[test]
    fn cluster_names_of_both_spellings_are_the_same() {
        let want = ClusterName::Outbound { port: 9080, subset: "v1".into(), host: "web.ns.svc".into() };
        assert_eq!(cluster("outbound|9080|v1|web.ns.svc"), want);
        assert_eq!(cluster("outbound_.9080_.v1_.web.ns.svc"), want);
        assert_eq!(cluster("outbound_.9080_._.web.ns.svc").to_string(), "outbound|9080||web.ns.svc");
        assert_eq!(cluster("inbound|8080|http|web.ns.svc"), ClusterName::Inbound { port: 8080 });
        assert_eq!(cluster("InboundPassthroughClusterIpv4"), ClusterName::InboundPassthrough);
        assert_eq!(cluster("outbound|x"), ClusterName::Other("outbound|x".into()));
    }
}
