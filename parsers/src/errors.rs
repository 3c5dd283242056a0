//! Nested error texts: gRPC status, transport, Go and Rust network errors, x509 and BoringSSL texts, TLS alerts with who
//! refused whom, Kubernetes API errors.
//!
//! An error is a chain, outermost first; what is wrong stands at its end. [`fault`] peels the known layers from the left
//! (`istio/istio` prints Go errors, `istio/ztunnel` Rust ones, Envoy BoringSSL's) and classifies the leaf.

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_until};
use nom::character::complete::digit1;
use nom::combinator::{opt, value};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use crate::event::{Addr, Text};
use crate::signature::refuse;

/// What an error text says.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What is wrong.
    pub what: What,
    /// The whole text, as written.
    pub text: Text,
    /// The gRPC code, where the text carries one (`Unavailable`, `Unauthenticated`, ...).
    pub code: Option<Text>,
    /// The address dialled, or whose name was looked up.
    pub address: Option<Addr>,
    /// The URL asked, where the text carries one.
    pub url: Option<Text>,
    /// Who found the fault: we, or the peer (a `remote error`, an alert received).
    pub by_peer: bool,
}

/// What is wrong, at the end of the chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    // the network
    /// No answer in time.
    TimedOut,
    /// The port is closed.
    Refused,
    /// No route to host, host down.
    NoRoute,
    /// Network unreachable.
    NetworkUnreachable,
    /// Cut by the peer or a middle box (reset, EOF, broken pipe).
    Cut,
    /// TCP works, the TLS handshake does not answer.
    HandshakeTimedOut,
    /// The name does not exist.
    NameUnknown(Text),
    /// The name could not be looked up (server failure, no DNS server).
    NameLookupFailed(Text),
    /// A proxy in between failed (`proxyconnect`).
    ViaProxy,
    /// A transport failure that names no reason (`client error (Connect)`, `connection failure`).
    Unreachable,
    /// A connection or request limit of the caller's proxy is used up (Envoy's `overflow`).
    Overflow,

    // certificates
    /// Signed by an unknown authority.
    UnknownAuthority,
    /// A root of the same name with another key.
    SameNameOtherKey,
    /// Expired.
    Expired,
    /// Not yet valid.
    NotYetValid,
    /// Valid for other names: the wanted and the found ones as printed.
    WrongName {
        /// Wanted.
        want: Text,
        /// Found.
        have: Text,
    },
    /// Another trust domain.
    WrongTrustDomain {
        /// Ours.
        ours: Text,
        /// Theirs.
        theirs: Text,
    },
    /// Revoked.
    Revoked,
    /// A certificate was required and none was sent.
    NoCertificate,
    /// Refused without a reason (`bad certificate`, `certificate unknown`, `CERTIFICATE_VERIFY_FAILED` alone).
    BadCertificate,
    /// Certificate data that cannot be read.
    Malformed,
    /// The peer speaks plain text where TLS was expected, or the reverse.
    NotTls,
    /// Version, cipher or ALPN do not fit.
    TlsPolicy,
    /// Another TLS alert or error.
    Tls,

    // answers
    /// Credentials refused (401, `Unauthenticated`, invalid token).
    Unauthorized,
    /// Not allowed (403, `is forbidden`, `PermissionDenied`).
    Forbidden {
        /// Kubernetes user; empty where not named.
        user: Text,
        /// Resource, with its group; empty where not named.
        resource: Text,
    },
    /// The resource type is not installed.
    NoSuchType(Text),
    /// The object does not exist: `service "istiod" not found`.
    NoSuchObject(Text),
    /// The server is not ready or overloaded (503, 429, 504, `no healthy upstream`).
    ServerUnavailable,
    /// The server failed (5xx).
    ServerError,
    /// An HTTP status that is not one of the above.
    Status(u16),
    /// A protocol that does not fit (HTTP/1 against HTTP/2, wrong service).
    WrongProtocol,
    /// Too big: message, header.
    TooBig,
    /// The kubeconfig is unusable: the reason.
    Kubeconfig(Text),

    // nothing to fix
    /// Cancelled, closed as planned, relisted, retried conflict.
    Benign,
    /// Not known.
    Other,
}

impl What {
    /// Whether the other end was never reached: its name did not resolve, or nothing answered at its address.
    pub fn is_unreached(&self) -> bool {
        matches!(
            self,
            What::TimedOut
                | What::Refused
                | What::NoRoute
                | What::NetworkUnreachable
                | What::HandshakeTimedOut
                | What::NameUnknown(_)
                | What::NameLookupFailed(_)
        )
    }
}

/// How many layers of an error are peeled.
const LAYERS_MAX: usize = 24;

/// How many bytes of an error text are read; the rest is a dump of something.
const READ_MAX: usize = 8_192;

/// Reads an error text.
pub fn fault(text: &str) -> Fault {
    let mut fault =
        Fault { what: What::Other, text: text.into(), code: None, address: None, url: None, by_peer: false };
    let whole = &text[..text.floor_char_boundary(READ_MAX)];
    let mut rest = whole.trim().to_string();
    let mut looked_up: Option<Text> = None;
    let mut via_proxy = false;
    for _ in 0..LAYERS_MAX {
        let Some((layer, left)) = outermost(&rest) else { break };
        match layer {
            Layer::Stage => {}
            Layer::Code(code) => fault.code = Some(code),
            Layer::Url(url) => fault.url = Some(url),
            Layer::Socket(address) => fault.address = address.or(fault.address),
            Layer::Lookup(host) => looked_up = Some(host),
            Layer::ViaProxy => via_proxy = true,
            Layer::ByPeer => fault.by_peer = true,
        }
        rest = left;
    }
    fault.what = leaf(&rest).or_else(|| leaf(whole)).unwrap_or(What::Other);
    if BY_PEER.iter().any(|words| fold(whole).contains(words)) {
        fault.by_peer = true;
    }
    if let Some(host) = looked_up {
        let port = fault.url.as_deref().and_then(authority).map_or(0, |addr| addr.port);
        fault.what = match fault.what {
            What::NameUnknown(_) => What::NameUnknown(host.clone()),
            _ => What::NameLookupFailed(host.clone()),
        };
        fault.address = Some(Addr { host, port });
    }
    if via_proxy {
        fault.what = What::ViaProxy;
    }
    if fault.what == What::Other {
        fault.what = fault.code.as_deref().map_or(What::Other, told_by_code);
    }
    if fault.address.is_none() {
        fault.address = fault.url.as_deref().and_then(authority);
    }
    fault
}

/// What it means, one sentence for a person.
pub fn meaning(what: &What) -> &'static str {
    match what {
        What::TimedOut => "nothing answered in time: packets are dropped, or the other end is stuck",
        What::Refused => "the host answers, but nothing listens on that port",
        What::NoRoute => "there is no way to that host, or it is down",
        What::NetworkUnreachable => "the network of that address is not reachable from here",
        What::Cut => "the connection was cut by the other end or by something between",
        What::HandshakeTimedOut => "TCP connects, but the TLS handshake gets no answer",
        What::NameUnknown(_) => "the name does not exist for the DNS server that was asked",
        What::NameLookupFailed(_) => "the DNS server failed or could not be reached",
        What::ViaProxy => "a forward proxy in between could not connect",
        What::Unreachable => "the connection failed, and the text does not say why",
        What::Overflow => "a connection or request limit is used up",
        What::UnknownAuthority => "the certificate is signed by an authority that is not trusted here",
        What::SameNameOtherKey => "a root of the same name is trusted, but with another key",
        What::Expired => "the certificate has expired",
        What::NotYetValid => "the certificate is not valid yet: a clock differs",
        What::WrongName { .. } => "the certificate is trusted, but carries another name",
        What::WrongTrustDomain { .. } => "the certificate belongs to another trust domain",
        What::Revoked => "the certificate is revoked",
        What::NoCertificate => "a certificate was required and none was sent",
        What::BadCertificate => "the certificate was refused without a reason",
        What::Malformed => "the certificate or key cannot be read",
        What::NotTls => "one side speaks TLS, the other plain text",
        What::TlsPolicy => "TLS versions, ciphers or application protocols do not fit",
        What::Tls => "TLS failed for a reason of its own",
        What::Unauthorized => "the credential was refused",
        What::Forbidden { .. } => "the credential is accepted, but may not do this",
        What::NoSuchType(_) => "the resource type is not installed",
        What::NoSuchObject(_) => "the object does not exist",
        What::ServerUnavailable => "the server is not ready or overloaded",
        What::ServerError => "the server failed",
        What::Status(_) => "the server answered with this HTTP status",
        What::WrongProtocol => "the protocols of the two sides do not fit",
        What::TooBig => "a message or header is too big",
        What::Kubeconfig(_) => "the kubeconfig cannot be used",
        What::Benign => "nothing to fix: closed as planned, cancelled or retried",
        What::Other => "not known",
    }
}

/// A layer of an error, and what it tells besides its own words.
#[derive(Clone, Debug, PartialEq)]
enum Layer {
    /// What was being done.
    Stage,
    /// A gRPC status.
    Code(Text),
    /// An HTTP request.
    Url(Text),
    /// A socket operation and its remote address.
    Socket(Option<Addr>),
    /// A name lookup.
    Lookup(Text),
    /// The way through a forward proxy.
    ViaProxy,
    /// The peer says what follows.
    ByPeer,
}

/// The first layer in a text, after words that are none, and what is left behind it.
fn outermost(text: &str) -> Option<(Layer, String)> {
    const STARTS_MAX: usize = 48;
    let after_colon = text.match_indices(": ").map(|(at, found)| at + found.len());
    std::iter::once(0).chain(after_colon).take(STARTS_MAX).find_map(|start| {
        let at = text.get(start..)?;
        if let Ok((rest, (layer, inner))) = quoting_layer(at) {
            return Some((layer, format!("{inner}{rest}")));
        }
        layer(at).ok().map(|(rest, layer)| (layer, rest.to_string()))
    })
}

/// The layers that quote what is inside them.
fn quoting_layer(input: &str) -> IResult<&str, (Layer, String)> {
    alt((connection_error, tonic_status)).parse(input)
}

/// `connection error: desc = "transport: Error while dialing: dial tcp ..."` (grpc-go)
fn connection_error(input: &str) -> IResult<&str, (Layer, String)> {
    let (rest, _) = tag("connection error: desc = ").parse(input)?;
    let (rest, inner) = quoted(rest)?;
    Ok((rest, (Layer::Stage, inner)))
}

/// `status: Unavailable, message: "..."[, source: ...]` (tonic, older ones write the sentence instead of the name)
fn tonic_status(input: &str) -> IResult<&str, (Layer, String)> {
    let (rest, _) = tag("status: ").parse(input)?;
    let (rest, code) = is_not(",\"").parse(rest)?;
    let (rest, _) = tag(", message: ").parse(rest)?;
    let (rest, inner) = quoted(rest)?;
    Ok((rest, (Layer::Code(code_name(code).into()), inner)))
}

/// The layers that stand in front of what is inside them.
fn layer(input: &str) -> IResult<&str, Layer> {
    alt((
        grpc_status,
        signing_error,
        envoy_status,
        http_request,
        bare_http_request,
        value(Layer::ViaProxy, tag("proxyconnect tcp: ")),
        lookup,
        socket_pair,
        socket,
        value(Layer::ByPeer, alt((tag("remote error: tls: "), tag("remote error: "), tag("received fatal alert: ")))),
        value(Layer::Stage, stage),
    ))
    .parse(input)
}

/// `rpc error: code = Unavailable desc = ` (grpc-go)
fn grpc_status(input: &str) -> IResult<&str, Layer> {
    let (rest, _) = tag("rpc error: code = ").parse(input)?;
    let (rest, code) = take_until(" desc = ").parse(rest)?;
    let (rest, _) = tag(" desc = ").parse(rest)?;
    Ok((rest, Layer::Code(code_name(code).into())))
}

/// `signing gRPC error (The service is currently unavailable): ` (ztunnel)
fn signing_error(input: &str) -> IResult<&str, Layer> {
    let (rest, _) = tag("signing gRPC error (").parse(input)?;
    let (rest, sentence) = take_until("): ").parse(rest)?;
    let (rest, _) = tag("): ").parse(rest)?;
    Ok((rest, Layer::Code(code_name(sentence).into())))
}

/// `14, upstream connect error ...` (Envoy: number of the gRPC code)
fn envoy_status(input: &str) -> IResult<&str, Layer> {
    let (rest, number) = digit1.parse(input)?;
    let (rest, _) = tag(", ").parse(rest)?;
    let known = CODES.iter().find(|(code, _, _)| number.parse() == Ok(*code));
    known.map_or_else(|| refuse(input), |(_, name, _)| Ok((rest, Layer::Code((*name).into()))))
}

/// `Get "https://172.18.0.3:6443/api/v1/pods?limit=500": ` (Go's HTTP client)
fn http_request(input: &str) -> IResult<&str, Layer> {
    let (rest, _) = verb(input)?;
    let (rest, url) = quoted(rest)?;
    let (rest, _) = tag(": ").parse(rest)?;
    Ok((rest, Layer::Url(url.into())))
}

/// `Post https://istiod.istio-system.svc:443/inject?timeout=10s: ` (Go before 1.14, and Kubernetes)
fn bare_http_request(input: &str) -> IResult<&str, Layer> {
    let (rest, _) = verb(input)?;
    let (_, _) = alt((tag("https://"), tag("http://"))).parse(rest)?;
    let (rest, url) = take_until(": ").parse(rest)?;
    let (rest, _) = tag(": ").parse(rest)?;
    Ok((rest, Layer::Url(url.into())))
}

fn verb(input: &str) -> IResult<&str, &str> {
    let verbs = alt((tag("Get"), tag("Post"), tag("Put"), tag("Patch"), tag("Delete"), tag("Head"), tag("Options")));
    terminated(verbs, tag(" ")).parse(input)
}

/// `lookup istiod.istio-system.svc[ on 10.96.0.10:53]: ` (Go's resolver)
fn lookup(input: &str) -> IResult<&str, Layer> {
    let (rest, _) = opt(tag("dial tcp: ")).parse(input)?;
    let (rest, _) = tag("lookup ").parse(rest)?;
    let (rest, host) = is_not(" \"").parse(rest)?;
    match opt(preceded(tag(" on "), take_until(": "))).parse(rest)? {
        (rest, Some(_)) => Ok((rest.strip_prefix(": ").unwrap_or(rest), Layer::Lookup(host.into()))),
        (rest, None) => match host.strip_suffix(':') {
            Some(host) => Ok((rest.trim_start(), Layer::Lookup(host.into()))),
            None => refuse(input),
        },
    }
}

/// `read tcp 10.244.0.5:41234->172.18.0.3:6443: ` (Go's `net.OpError` with both ends)
fn socket_pair(input: &str) -> IResult<&str, Layer> {
    let (rest, _) = operation(input)?;
    let (rest, _local) = is_not(" >").parse(rest)?;
    let (rest, _) = tag(">").parse(rest)?;
    let (rest, remote) = take_until(": ").parse(rest)?;
    let (rest, _) = tag(": ").parse(rest)?;
    Ok((rest, Layer::Socket(Addr::parse(remote))))
}

/// `dial tcp 172.18.0.3:6443: ` (Go's `net.OpError`)
fn socket(input: &str) -> IResult<&str, Layer> {
    let (rest, _) = operation(input)?;
    let (rest, remote) = take_until(": ").parse(rest)?;
    let (rest, _) = tag(": ").parse(rest)?;
    if remote.contains(' ') { refuse(input) } else { Ok((rest, Layer::Socket(Addr::parse(remote)))) }
}

fn operation(input: &str) -> IResult<&str, &str> {
    let (rest, operation) = alt((tag("dial"), tag("read"), tag("write"))).parse(input)?;
    let (rest, _) =
        alt((tag(" tcp4 "), tag(" tcp6 "), tag(" tcp "), tag(" udp4 "), tag(" udp6 "), tag(" udp "), tag(" unix ")))
            .parse(rest)?;
    Ok((rest, operation))
}

/// Words that only say what was being done.
fn stage(input: &str) -> IResult<&str, &str> {
    let grpc = alt((
        tag("transport: Error while dialing: "),
        tag("transport: error while dialing: "),
        tag("transport: Error while dialing "),
        tag("transport: error while dialing "),
        tag("transport: authentication handshake failed: "),
        tag("transport: failed to write client preface: "),
        tag("transport: per-RPC creds failed due to error: "),
        tag("error reading server preface: "),
        tag("error reading from server: "),
        tag("last connection error: "),
        tag("latest balancer error: "),
    ));
    let tls = alt((
        tag("tls: failed to verify certificate: "),
        tag("tls: failed to parse certificate from server: "),
        tag("tls: "),
        tag("x509: "),
        tag("invalid peer certificate: "),
        tag("tls handshake error: "),
    ));
    let rust = alt((
        tag("io error: "),
        tag("http2 handshake failed: "),
        tag("h2 failed: "),
        tag("identity error: "),
        tag("signing error: "),
        tag("connection failed: "),
        tag("tcp connect error: "),
        tag("dns error: "),
    ));
    alt((grpc, tls, rust)).parse(input)
}

/// A Go or Rust quoted string, unquoted.
fn quoted(input: &str) -> IResult<&str, String> {
    let (mut rest, _) = tag("\"").parse(input)?;
    let mut inner = String::new();
    loop {
        let mut chars = rest.chars();
        match chars.next() {
            None => return Ok(("", inner)), // cut in the middle: what there is, is read
            Some('"') => return Ok((chars.as_str(), inner)),
            Some('\\') => match chars.next() {
                Some('n' | 'r' | 't') => inner.push(' '),
                Some(escaped) => inner.push(escaped),
                None => {}
            },
            Some(plain) => inner.push(plain),
        }
        rest = chars.as_str();
    }
}

/// gRPC codes: number, name, and the sentence tonic prints for it.
const CODES: [(u32, &str, &str); 16] = [
    (1, "Canceled", "The operation was cancelled"),
    (2, "Unknown", "Unknown error"),
    (3, "InvalidArgument", "Client specified an invalid argument"),
    (4, "DeadlineExceeded", "Deadline expired before operation could complete"),
    (5, "NotFound", "Some requested entity was not found"),
    (6, "AlreadyExists", "Some entity that we attempted to create already exists"),
    (7, "PermissionDenied", "The caller does not have permission to execute the specified operation"),
    (8, "ResourceExhausted", "Some resource has been exhausted"),
    (9, "FailedPrecondition", "The system is not in a state required for the operation's execution"),
    (10, "Aborted", "The operation was aborted"),
    (11, "OutOfRange", "Operation was attempted past the valid range"),
    (12, "Unimplemented", "Operation is not implemented or not supported"),
    (13, "Internal", "Internal error"),
    (14, "Unavailable", "The service is currently unavailable"),
    (15, "DataLoss", "Unrecoverable data loss or corruption"),
    (16, "Unauthenticated", "The request does not have valid authentication credentials"),
];

/// The name of a gRPC code, however it is written.
fn code_name(written: &str) -> &str {
    let bare = written.trim_matches('\'');
    let known = CODES.iter().find(|(_, name, sentence)| {
        name.eq_ignore_ascii_case(bare) || bare == *sentence || (*name == "Canceled" && bare == "Cancelled")
    });
    known.map_or(written, |(_, name, _)| name)
}

/// What a gRPC code says where its text says nothing.
fn told_by_code(code: &str) -> What {
    match code {
        "Canceled" => What::Benign,
        "DeadlineExceeded" => What::TimedOut,
        "PermissionDenied" => What::Forbidden { user: "".into(), resource: "".into() },
        "ResourceExhausted" => What::ServerUnavailable,
        "Unimplemented" => What::WrongProtocol,
        "Unavailable" => What::Unreachable,
        "Unauthenticated" => What::Unauthorized,
        "Internal" => What::ServerError,
        _ => What::Other,
    }
}

/// The host and port of a URL.
fn authority(url: &str) -> Option<Addr> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let host = rest.get(..end)?;
    Addr::parse(host).or_else(|| {
        let port = if scheme == "http" { 80 } else { 443 };
        Addr::parse(&format!("{host}:{port}"))
    })
}

/// Lower case, and blanks where Envoy writes underscores: as long as the original, byte for byte.
fn fold(text: &str) -> String {
    text.to_ascii_lowercase().replace('_', " ")
}

/// Folded words by which the peer is the one who refused.
const BY_PEER: &[&str] =
    &["remote error: tls", "received fatal alert", "alertreceived(", "sslv3 alert ", "tlsv1 alert ", "tlsv13 alert "];

/// What the innermost text says.
fn leaf(text: &str) -> Option<What> {
    let folded = fold(text);
    told_with_names(text, &folded).or_else(|| {
        let known = LEAVES.iter().find(|(words, _)| folded.contains(words));
        known.map(|(_, what)| what.clone()).or_else(|| whole_words(folded.trim()))
    })
}

/// Folded words of resolvers, and whether they mean that the name does not exist.
const RESOLVER: &[(&str, bool)] = &[
    ("no such host", true),
    ("name or service not known", true),
    ("produced zero addresses", true),
    ("nodename nor servname", true),
    ("temporary failure in name resolution", false),
    ("server misbehaving", false),
    ("failed to lookup address information", false),
    ("dns error", false),
    ("dns resolution failed", false),
    ("dns resolution failure", false),
    ("dns cache resolution failure", false),
];

fn name_lookup(folded: &str) -> Option<What> {
    let (_, unknown) = RESOLVER.iter().find(|(words, _)| folded.contains(words))?;
    Some(if *unknown { What::NameUnknown("".into()) } else { What::NameLookupFailed("".into()) })
}

/// Leaves that are too short to be looked for inside other words.
fn whole_words(folded: &str) -> Option<What> {
    match folded.trim_end_matches(['.', ')', '}', '"']) {
        "eof" | "unexpected eof" => Some(What::Cut),
        "expired" | "other(expired" => Some(What::Expired),
        "unknown" => Some(What::ServerError),
        "overflow" => Some(What::Overflow),
        other if other.ends_with(": eof") || other.ends_with(" eof") => Some(What::Cut),
        other if other.ends_with("reset reason: overflow") => Some(What::Overflow),
        _ => None,
    }
}

/// Leaves that carry names.
fn told_with_names(text: &str, folded: &str) -> Option<What> {
    forbidden(text)
        .or_else(|| kubeconfig(text, folded))
        .or_else(|| wrong_trust_domain(text))
        .or_else(|| wrong_name(text))
        .or_else(|| http_status(folded))
        .or_else(|| missing_type(text))
        .or_else(|| missing_object(text))
        .or_else(|| name_lookup(folded))
}

/// `pods is forbidden: User "system:serviceaccount:a:b" cannot list resource "pods" in API group "" at the cluster scope`
fn forbidden(text: &str) -> Option<What> {
    let (_, behind) = text.split_once(" is forbidden")?;
    let Ok((rest, user)) = quoted(behind.trim_start_matches(": User ")) else {
        return Some(What::Forbidden { user: "".into(), resource: "".into() });
    };
    // The API server does not know who asks: the credential is what it refuses.
    if user == "system:anonymous" {
        return Some(What::Unauthorized);
    }
    let named = |before: &str| rest.split_once(before).and_then(|(_, at)| quoted(at).ok()).map(|(_, name)| name);
    let resource = named(" resource ").or_else(|| named(" path ")).unwrap_or_default();
    let resource = match named("API group ").filter(|group| !group.is_empty()) {
        Some(group) => format!("{resource}.{group}"),
        None => resource,
    };
    Some(What::Forbidden { user: user.into(), resource: resource.into() })
}

/// Words with which complaints about a kubeconfig begin, folded.
const KUBECONFIG: &[&str] = &[
    "kubeconfig is not allowed",
    "kubeconfig is not valid",
    "kubeconfig is empty",
    "invalid configuration: ",
    "no auth provider found for name",
    "getting credentials: ",
    "couldn't get version/kind",
    "error converting yaml to json",
    "unable to load root certificates",
    "specifying a root certificates file with the insecure flag",
    "failed to create restclient",
    "error loading kubeconfig",
];

fn kubeconfig(text: &str, folded: &str) -> Option<What> {
    let at = KUBECONFIG.iter().find_map(|words| folded.find(words))?;
    text.get(at..).map(|reason| What::Kubeconfig(reason.into()))
}

/// `SanTrustDomainError("cluster.local", [Spiffe { trust_domain: "other.org", ... }])` (ztunnel, inbound)
fn wrong_trust_domain(text: &str) -> Option<What> {
    let (_, behind) = text.split_once("SanTrustDomainError(")?;
    let (rest, ours) = quoted(behind).ok()?;
    let theirs = rest.split_once("trust_domain: ").and_then(|(_, at)| quoted(at).ok()).map(|(_, name)| name);
    Some(What::WrongTrustDomain { ours: ours.into(), theirs: theirs.unwrap_or_default().into() })
}

fn wrong_name(text: &str) -> Option<What> {
    let name = |want: &str, have: &str| Some(What::WrongName { want: want.into(), have: have.into() });
    if let Some((_, behind)) = text.split_once("did not present the expected SAN (") {
        let (want, rest) = behind.split_once(')').unwrap_or((behind, ""));
        return name(want, rest.trim_start_matches(", got ").trim_end_matches([')', '}', ' ']));
    }
    if let Some((_, behind)) = text.split_once("not valid for name ") {
        let (rest, want) = quoted(behind).ok()?;
        let have = rest.split_once("only valid for ").map_or("", |(_, have)| have);
        return name(&want, have.trim_end_matches([')', ' ']));
    }
    if let Some((_, behind)) = text.split_once("certificate is valid for ") {
        let none_matched = behind.split_once(", but none matched ");
        let (have, want) = none_matched.or_else(|| behind.rsplit_once(", not ")).unwrap_or((behind, ""));
        return name(want, have);
    }
    if let Some((_, behind)) = text.split_once("cannot validate certificate for ") {
        return name(behind.split(' ').next().unwrap_or(""), "");
    }
    if let Some((_, behind)) = text.split_once("not valid for any names, but wanted to match ") {
        return name(behind, "");
    }
    // Access lines have underscores for spaces.
    for words in ["certificate SANs are [", "certificate_SANs_are_["] {
        if let Some((_, behind)) = text.split_once(words) {
            return name("", behind.split(']').next().unwrap_or(""));
        }
    }
    let folded = fold(text);
    let unnamed =
        ["verify san list", "san matcher", "notvalidforname", "not valid for name", "not valid for any names"];
    if unnamed.iter().any(|words| folded.contains(words)) { name("", "") } else { None }
}

/// `unexpected HTTP status code received from server: 404 (Not Found)`, `http status: 503 Service Unavailable`
fn http_status(folded: &str) -> Option<What> {
    let before = ["http status code received from server: ", "http status: ", "http status code: ", "response code: "];
    let behind = before.iter().find_map(|words| folded.split_once(words)).map(|(_, behind)| behind)?;
    let digits = behind.get(..3)?;
    let status: u16 = digits.parse().ok()?;
    Some(match status {
        401 => What::Unauthorized,
        403 => What::Forbidden { user: "".into(), resource: "".into() },
        429 | 503 | 504 => What::ServerUnavailable,
        500 | 502 => What::ServerError,
        other => What::Status(other),
    })
}

/// `no matches for kind "Gateway" in version "gateway.networking.k8s.io/v1"`
fn missing_type(text: &str) -> Option<What> {
    if let Some((_, behind)) = text.split_once("no matches for kind ") {
        let (rest, kind) = quoted(behind).ok()?;
        let version = rest.strip_prefix(" in version ").and_then(|at| quoted(at).ok()).map(|(_, version)| version);
        return Some(What::NoSuchType(match version {
            Some(version) => format!("{kind} in {version}").into(),
            None => kind.into(),
        }));
    }
    if let Some((_, behind)) = text.split_once("doesn't have a resource type ") {
        return quoted(behind).ok().map(|(_, kind)| What::NoSuchType(kind.into()));
    }
    text.contains("could not find the requested resource").then(|| What::NoSuchType("".into()))
}

/// `services "istiod" not found`
fn missing_object(text: &str) -> Option<What> {
    let (before, _) = text.split_once("\" not found")?;
    let (kind, name) = before.rsplit_once('"')?;
    let kind = kind.trim_end().rsplit(' ').next().unwrap_or("");
    Some(What::NoSuchObject(format!("{kind} \"{name}\"").trim_start().into()))
}

/// Leaves without names, folded. The first that fits wins, so what is special stands above what is general.
static LEAVES: &[(&str, What)] = &[
    // closed as planned
    ("operation cannot be fulfilled on", What::Benign),
    ("the object has been modified", What::Benign),
    ("too old resource version", What::Benign),
    ("resourceversion for the provided watch is too old", What::Benign),
    ("code: no error", What::Benign),
    ("errcode=no error", What::Benign),
    ("goaway and there are no active streams", What::Benign),
    ("max age", What::Benign),
    ("graceful stop", What::Benign),
    ("transport is closing", What::Benign),
    ("the connection is draining", What::Benign),
    ("the client connection is closing", What::Benign),
    ("client disconnected", What::Benign),
    ("operation was canceled", What::Benign),
    ("use of closed network connection", What::Benign),
    ("use of closed connection", What::Benign),
    // certificates: the reason stands behind `certificate verify failed`
    ("verification failure\" while trying", What::SameNameOtherKey),
    ("verification error\" while trying", What::SameNameOtherKey),
    ("cannot sign this kind of certificate\" while trying", What::SameNameOtherKey),
    ("possibly because of", What::SameNameOtherKey),
    ("badsignature", What::SameNameOtherKey),
    ("decrypterror", What::SameNameOtherKey),
    ("decrypt error", What::SameNameOtherKey),
    ("certificate signature failure", What::SameNameOtherKey),
    ("unknown authority", What::UnknownAuthority),
    ("unknown certificate authority", What::UnknownAuthority),
    ("unknownissuer", What::UnknownAuthority),
    ("unknownca", What::UnknownAuthority),
    ("alert unknown ca", What::UnknownAuthority),
    ("unable to get local issuer certificate", What::UnknownAuthority),
    ("unable to get issuer certificate", What::UnknownAuthority),
    ("unable to verify the first certificate", What::UnknownAuthority),
    ("self signed certificate", What::UnknownAuthority),
    ("self-signed certificate", What::UnknownAuthority),
    ("no trust bundle", What::UnknownAuthority),
    ("failed to load system roots", What::UnknownAuthority),
    ("no valid chains built", What::UnknownAuthority),
    ("certificate is not yet valid", What::NotYetValid),
    ("certificate not valid yet", What::NotYetValid),
    ("notvalidyet", What::NotYetValid),
    ("is before 2", What::NotYetValid),
    ("certificate has expired", What::Expired),
    ("certificate expired", What::Expired),
    ("certificateexpired", What::Expired),
    ("expired certificate", What::Expired),
    ("invalidcertificate(expired", What::Expired),
    ("certificate revoked", What::Revoked),
    ("certificaterevoked", What::Revoked),
    ("revoked certificate", What::Revoked),
    ("revoked", What::Revoked),
    ("nocertificatespresented", What::NoCertificate),
    ("peer did not return a certificate", What::NoCertificate),
    ("certificate required", What::NoCertificate),
    ("certificaterequired", What::NoCertificate),
    ("client didn't provide a certificate", What::NoCertificate),
    ("no certificates configured", What::NoCertificate),
    ("no client certificate", What::NoCertificate),
    // the two sides speak different languages
    ("wrong version number", What::NotTls),
    ("268435703", What::NotTls),
    ("internal:http request", What::NotTls),
    ("internal:https proxy request", What::NotTls),
    ("268435612", What::NotTls),
    ("first record does not look like a tls handshake", What::NotTls),
    ("server gave http response to https client", What::NotTls),
    ("client sent an http request to an https server", What::NotTls),
    ("oversized record received", What::NotTls),
    ("invalidcontenttype", What::NotTls),
    ("frame header looked like an http/1.1 header", What::WrongProtocol),
    ("unexpected content-type", What::WrongProtocol),
    ("unknown service", What::WrongProtocol),
    ("unknown method", What::WrongProtocol),
    ("malformed http response", What::WrongProtocol),
    ("frame size error", What::WrongProtocol),
    ("frame with invalid size", What::WrongProtocol),
    ("protocol error", What::WrongProtocol),
    // versions, ciphers, protocols
    ("unsupported protocol version", What::TlsPolicy),
    ("only unsupported versions", What::TlsPolicy),
    ("protocol version", What::TlsPolicy),
    ("protocolversion", What::TlsPolicy),
    ("unsupported protocol", What::TlsPolicy),
    ("no cipher suite", What::TlsPolicy),
    ("no shared cipher", What::TlsPolicy),
    ("no common signature algorithms", What::TlsPolicy),
    ("insufficient security", What::TlsPolicy),
    ("insufficientsecurity", What::TlsPolicy),
    ("inappropriate fallback", What::TlsPolicy),
    ("inappropriatefallback", What::TlsPolicy),
    ("handshake failure", What::TlsPolicy),
    ("handshakefailure", What::TlsPolicy),
    ("no application protocol", What::TlsPolicy),
    ("noapplicationprotocol", What::TlsPolicy),
    ("unsupported application protocol", What::TlsPolicy),
    // certificates without a reason, or unreadable ones
    ("private key does not match public key", What::Malformed),
    ("key values mismatch", What::Malformed),
    ("failed to find any pem data", What::Malformed),
    ("unable to parse bytes as pem", What::Malformed),
    ("asn.1", What::Malformed),
    ("asn1:", What::Malformed),
    ("badencoding", What::Malformed),
    ("malformed certificate", What::Malformed),
    ("x509: malformed", What::Malformed),
    ("invalid root certificate", What::Malformed),
    ("bad certificate", What::BadCertificate),
    ("badcertificate", What::BadCertificate),
    ("unsupported certificate", What::BadCertificate),
    ("unsupportedcertificate", What::BadCertificate),
    ("unknown certificate", What::BadCertificate),
    ("certificate unknown", What::BadCertificate),
    ("certificateunknown", What::BadCertificate),
    ("certificate unobtainable", What::BadCertificate),
    ("access denied", What::BadCertificate),
    ("accessdenied", What::BadCertificate),
    ("not authorized to sign", What::BadCertificate),
    ("not authorized for an extended key usage", What::BadCertificate),
    ("path length constraint", What::BadCertificate),
    ("incompatible key usage", What::BadCertificate),
    ("issuer name does not match", What::BadCertificate),
    ("has name constraints", What::BadCertificate),
    ("legacy common name field", What::BadCertificate),
    ("unhandled critical extension", What::BadCertificate),
    ("unhandledcriticalextension", What::BadCertificate),
    ("invalidpurpose", What::BadCertificate),
    ("certificate verify failed", What::BadCertificate),
    ("268435581", What::BadCertificate),
    ("invalidcertificate(", What::BadCertificate),
    // the network
    ("tls handshake timeout", What::HandshakeTimedOut),
    ("handshake timed out", What::HandshakeTimedOut),
    ("tls handshake eof", What::Cut),
    ("message larger than max", What::TooBig),
    ("header list size", What::TooBig),
    ("request header fields too large", What::TooBig),
    ("connection refused", What::Refused),
    ("connectionrefused", What::Refused),
    ("os error 111", What::Refused),
    ("delayed connect error: 111", What::Refused),
    ("no route to host", What::NoRoute),
    ("hostunreachable", What::NoRoute),
    ("host is down", What::NoRoute),
    ("os error 113", What::NoRoute),
    ("delayed connect error: 113", What::NoRoute),
    ("network is unreachable", What::NetworkUnreachable),
    ("networkunreachable", What::NetworkUnreachable),
    ("os error 101", What::NetworkUnreachable),
    ("delayed connect error: 101", What::NetworkUnreachable),
    ("connection reset", What::Cut),
    ("connectionreset", What::Cut),
    ("connection aborted", What::Cut),
    ("broken pipe", What::Cut),
    ("brokenpipe", What::Cut),
    ("unexpectedeof", What::Cut),
    ("unexpected eof", What::Cut),
    ("os error 104", What::Cut),
    ("delayed connect error: 104", What::Cut),
    ("client connection lost", What::Cut),
    ("server sent goaway", What::Cut),
    ("goaway received", What::Cut),
    ("received prior goaway", What::Cut),
    ("stream terminated by rst stream", What::Cut),
    ("rst stream", What::Cut),
    ("stream error", What::Cut),
    ("stream closed because of", What::Cut),
    ("not a result of an error", What::Cut),
    ("connection error received", What::Cut),
    ("refused stream", What::Cut),
    ("closed connection without sending tls close", What::Cut),
    ("connection termination", What::Cut),
    ("remote reset", What::Cut),
    ("connection closed", What::Cut),
    ("disconnected before all data was written", What::Cut),
    // answers
    ("the server has asked for the client to provide credentials", What::Unauthorized),
    ("unauthorized", What::Unauthorized),
    ("invalid bearer token", What::Unauthorized),
    ("invalid token", What::Unauthorized),
    ("token has expired", What::Unauthorized),
    ("token is expired", What::Unauthorized),
    ("token has been invalidated", What::Unauthorized),
    ("tokens are not yet valid", What::Unauthorized),
    ("token not yet valid", What::Unauthorized),
    ("failed to validate the jwt", What::Unauthorized),
    ("authentication failure", What::Unauthorized),
    ("authenticate failure", What::Unauthorized),
    ("unable to authenticate the request", What::Unauthorized),
    ("does not have valid authentication credentials", What::Unauthorized),
    ("too many requests", What::ServerUnavailable),
    ("unable to handle the request", What::ServerUnavailable),
    ("a response in the time allotted", What::ServerUnavailable),
    ("apiserver not ready", What::ServerUnavailable),
    ("etcdserver: ", What::ServerUnavailable),
    ("no healthy upstream", What::ServerUnavailable),
    ("no endpoints available", What::ServerUnavailable),
    ("service unavailable", What::ServerUnavailable),
    ("bad gateway", What::ServerError),
    ("gateway timeout", What::ServerUnavailable),
    ("an error on the server", What::ServerError),
    ("rejected our request for an unknown reason", What::ServerError),
    ("internal error occurred", What::ServerError),
    ("internal server error", What::ServerError),
    // time, last: other words may stand beside it
    ("i/o timeout", What::TimedOut),
    ("deadline has elapsed", What::TimedOut),
    ("deadline exceeded", What::TimedOut),
    ("deadlineexceeded", What::TimedOut),
    ("client.timeout exceeded", What::TimedOut),
    ("connection timed out", What::TimedOut),
    ("connection timeout", What::TimedOut),
    ("os error 110", What::TimedOut),
    ("delayed connect error: 110", What::TimedOut),
    ("operation timed out", What::TimedOut),
    ("timed out", What::TimedOut),
    ("failed to receive ack within timeout", What::TimedOut),
    ("request timeout", What::TimedOut),
    ("timeout", What::TimedOut),
    // without a reason
    ("context canceled", What::Benign),
    ("context cancelled", What::Benign),
    ("grpc: canceled", What::Benign),
    ("internal error", What::Tls),
    ("internalerror", What::Tls),
    ("unrecognized name", What::Tls),
    ("unrecognisedname", What::Tls),
    ("bad record mac", What::Tls),
    ("tls error", What::Tls),
    ("ssl routines", What::Tls),
    ("alertreceived(", What::Tls),
    ("remote error: tls", What::Tls),
    ("connection failure", What::Unreachable),
    ("tcp connect error", What::Unreachable),
    ("client error (connect)", What::Unreachable),
    ("error trying to connect", What::Unreachable),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn name(want: &str, have: &str) -> What {
        What::WrongName { want: want.into(), have: have.into() }
    }

    /// Real shapes with what they say; each is also cut and mutated below.
    fn shapes() -> Vec<(&'static str, What)> {
        let forbidden = |user: &str, resource: &str| What::Forbidden { user: user.into(), resource: resource.into() };
        vec![
            // Go's network, alone and inside a Kubernetes client
            ("dial tcp 10.0.0.9:443: i/o timeout", What::TimedOut),
            (
                "failed to list *v1.Pod: Get \"https://172.18.0.3:6443/api/v1/pods?limit=500&resourceVersion=0\": dial tcp 172.18.0.3:6443: i/o timeout",
                What::TimedOut,
            ),
            (
                "Get \"https://127.0.0.1:1/api/v1/services?limit=500\": dial tcp 127.0.0.1:1: connect: connection refused",
                What::Refused,
            ),
            ("dial tcp 172.18.0.3:6443: connect: no route to host", What::NoRoute),
            ("dial tcp [fd00::1]:443: connect: network is unreachable", What::NetworkUnreachable),
            (
                "dial tcp: lookup api.west.invalid on 10.96.0.10:53: no such host",
                What::NameUnknown("api.west.invalid".into()),
            ),
            ("lookup istiod.istio-system.svc: i/o timeout", What::NameLookupFailed("istiod.istio-system.svc".into())),
            (
                "dial tcp: lookup api.west on 10.96.0.10:53: read udp 10.1.2.3:5353->10.96.0.10:53: i/o timeout",
                What::NameLookupFailed("api.west".into()),
            ),
            (
                "dial tcp: lookup api.west on 10.96.0.10:53: server misbehaving",
                What::NameLookupFailed("api.west".into()),
            ),
            ("read tcp 10.244.0.5:41234->172.18.0.3:6443: read: connection reset by peer", What::Cut),
            ("Get \"https://127.0.0.1:43193\": EOF", What::Cut),
            ("unexpected EOF", What::Cut),
            ("Get \"https://127.0.0.1:41619\": net/http: TLS handshake timeout", What::HandshakeTimedOut),
            (
                "Get \"https://10.1.1.1/api\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                What::TimedOut,
            ),
            ("Get \"https://127.0.0.1:43845\": http: server gave HTTP response to HTTPS client", What::NotTls),
            ("proxyconnect tcp: dial tcp 10.0.0.8:3128: connect: connection refused", What::ViaProxy),
            ("dial tcp 127.0.0.1:1: operation was canceled", What::Benign),
            ("Post https://istiod.istio-system.svc:443/inject?timeout=10s: context deadline exceeded", What::TimedOut),
            ("http2: client connection lost", What::Cut),
            // grpc-go
            (
                "delta stream: rpc error: code = Unavailable desc = connection error: desc = \"error reading server preface: remote error: tls: unknown certificate authority\"",
                What::UnknownAuthority,
            ),
            (
                "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp: lookup istiod.istio-system.svc on 10.96.0.10:53: no such host\"",
                What::NameUnknown("istiod.istio-system.svc".into()),
            ),
            (
                "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing dial tcp 10.108.1.2:15012: connect: connection refused\"",
                What::Refused,
            ),
            (
                "rpc error: code = Unavailable desc = connection error: desc = \"transport: authentication handshake failed: tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly because of \\\"crypto/rsa: verification error\\\" while trying to verify candidate authority certificate \\\"cluster.local\\\")\"",
                What::SameNameOtherKey,
            ),
            ("rpc error: code = Unavailable desc = error reading from server: EOF", What::Cut),
            (
                "rpc error: code = Unavailable desc = closing transport due to: connection error: desc = \"error reading from server: EOF\", received prior goaway: code: NO_ERROR, debug data: \"max_age\"",
                What::Benign,
            ),
            ("rpc error: code = Unavailable desc = transport is closing", What::Benign),
            (
                "rpc error: code = Unavailable desc = last connection error: connection error: desc = \"transport: Error while dialing: dial tcp 10.9.9.9:15012: i/o timeout\"",
                What::TimedOut,
            ),
            ("rpc error: code = Canceled desc = context canceled", What::Benign),
            ("rpc error: code = Unauthenticated desc = authentication failure", What::Unauthorized),
            ("rpc error: code = PermissionDenied desc = not today", forbidden("", "")),
            (
                "rpc error: code = Unimplemented desc = unknown service envoy.service.discovery.v3.AggregatedDiscoveryService",
                What::WrongProtocol,
            ),
            (
                "rpc error: code = Unimplemented desc = unexpected HTTP status code received from server: 404 (Not Found); transport: received unexpected content-type \"text/plain\"",
                What::Status(404),
            ),
            (
                "rpc error: code = Unavailable desc = unexpected HTTP status code received from server: 503 (Service Unavailable)",
                What::ServerUnavailable,
            ),
            (
                "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (9 vs. 4)",
                What::TooBig,
            ),
            (
                "rpc error: code = Unavailable desc = keepalive ping failed to receive ACK within timeout",
                What::TimedOut,
            ),
            ("rpc error: code = Unavailable desc = something new", What::Unreachable),
            ("rpc error: code = Code(42) desc = x", What::Other),
            // who refused whom
            ("remote error: tls: bad certificate", What::BadCertificate),
            ("remote error: tls: expired certificate", What::Expired),
            ("remote error: tls: certificate required", What::NoCertificate),
            ("remote error: tls: handshake failure", What::TlsPolicy),
            ("remote error: tls: no application protocol", What::TlsPolicy),
            ("remote error: tls: internal error", What::Tls),
            ("remote error: tls: unrecognized name", What::Tls),
            ("tls: first record does not look like a TLS handshake", What::NotTls),
            ("tls: client offered only unsupported versions: [302 301]", What::TlsPolicy),
            ("tls: client didn't provide a certificate", What::NoCertificate),
            ("tls: private key does not match public key", What::Malformed),
            // x509
            (
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                What::UnknownAuthority,
            ),
            (
                "x509: certificate has expired or is not yet valid: current time 2026-02-01T00:00:00Z is after 2026-01-01T00:00:00Z",
                What::Expired,
            ),
            (
                "x509: certificate has expired or is not yet valid: current time 2026-02-01T00:00:00Z is before 2026-03-01T00:00:00Z",
                What::NotYetValid,
            ),
            (
                "x509: certificate is valid for kubernetes, kubernetes.default, 10.96.0.1, not 203.0.113.9",
                name("203.0.113.9", "kubernetes, kubernetes.default, 10.96.0.1"),
            ),
            ("x509: certificate is valid for 12 names, but none matched api.west", name("api.west", "12 names")),
            (
                "x509: cannot validate certificate for 203.0.113.9 because it doesn't contain any IP SANs",
                name("203.0.113.9", ""),
            ),
            ("x509: certificate is not valid for any names, but wanted to match api.west", name("api.west", "")),
            ("x509: too many intermediates for path length constraint", What::BadCertificate),
            ("x509: malformed certificate", What::Malformed),
            // Kubernetes
            ("Unauthorized", What::Unauthorized),
            ("failed to list *v1.Node: Unauthorized", What::Unauthorized),
            ("the server has asked for the client to provide credentials (get pods)", What::Unauthorized),
            (
                "pods is forbidden: User \"system:serviceaccount:istio-system:reader\" cannot list resource \"pods\" in API group \"\" at the cluster scope",
                forbidden("system:serviceaccount:istio-system:reader", "pods"),
            ),
            (
                "gateways.gateway.networking.k8s.io is forbidden: User \"east-reader\" cannot watch resource \"gateways\" in API group \"gateway.networking.k8s.io\" in the namespace \"a\": RBAC: clusterrole \"x\" not found",
                forbidden("east-reader", "gateways.gateway.networking.k8s.io"),
            ),
            (
                "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" at the cluster scope",
                What::Unauthorized,
            ),
            ("services \"istiod\" not found", What::NoSuchObject("services \"istiod\"".into())),
            (
                "the server could not find the requested resource (get gateways.gateway.networking.k8s.io)",
                What::NoSuchType("".into()),
            ),
            (
                "no matches for kind \"Gateway\" in version \"gateway.networking.k8s.io/v1\"",
                What::NoSuchType("Gateway in gateway.networking.k8s.io/v1".into()),
            ),
            ("the server is currently unable to handle the request", What::ServerUnavailable),
            ("the server has received too many requests and has asked us to try again later", What::ServerUnavailable),
            (
                "an error on the server (\"<html>\") has prevented the request from succeeding (get pods)",
                What::ServerError,
            ),
            (
                "Operation cannot be fulfilled on configmaps \"istio-leader\": the object has been modified; please apply your changes to the latest version and try again",
                What::Benign,
            ),
            ("too old resource version: 1 (2)", What::Benign),
            (
                "failed calling webhook \"x.istio.io\": failed to call webhook: Post \"https://istiod.istio-system.svc:443/inject?timeout=10s\": no endpoints available for service \"istiod\"",
                What::ServerUnavailable,
            ),
            // kubeconfig
            (
                "kubeconfig is not allowed: exec is not allowed",
                What::Kubeconfig("kubeconfig is not allowed: exec is not allowed".into()),
            ),
            (
                "create remote cluster failed: kubeconfig is not valid: invalid configuration: no configuration has been provided",
                What::Kubeconfig(
                    "kubeconfig is not valid: invalid configuration: no configuration has been provided".into(),
                ),
            ),
            (
                "no Auth Provider found for name \"gcp\"",
                What::Kubeconfig("no Auth Provider found for name \"gcp\"".into()),
            ),
            (
                "Get \"https://a:443/api\": getting credentials: exec: executable aws not found",
                What::Kubeconfig("getting credentials: exec: executable aws not found".into()),
            ),
            // Rust
            ("io error: Connection refused (os error 111)", What::Refused),
            ("io error: No route to host (os error 113)", What::NoRoute),
            ("io error: deadline has elapsed", What::TimedOut),
            ("io error: invalid peer certificate: UnknownIssuer", What::UnknownAuthority),
            ("io error: invalid peer certificate: BadSignature", What::SameNameOtherKey),
            ("io error: invalid peer certificate: Expired", What::Expired),
            ("io error: invalid peer certificate: Revoked", What::Revoked),
            (
                "io error: invalid peer certificate: certificate expired: verification time 1700000100 (UNIX), but certificate is not valid after 1700000000 (100 seconds ago)",
                What::Expired,
            ),
            (
                "io error: invalid peer certificate: certificate not valid yet: verification time 1 (UNIX), but certificate is not valid before 2 (1 seconds in future)",
                What::NotYetValid,
            ),
            (
                "io error: invalid peer certificate: Other(OtherError(identity verification error: peer did not present the expected SAN (spiffe://cluster.local/ns/a/sa/b), got spiffe://cluster.local/ns/a/sa/c))",
                name("spiffe://cluster.local/ns/a/sa/b", "spiffe://cluster.local/ns/a/sa/c"),
            ),
            ("io error: tls handshake eof", What::Cut),
            ("h2 failed: received fatal alert: UnknownCA", What::UnknownAuthority),
            ("io error: received fatal alert: CertificateUnknown", What::BadCertificate),
            (
                "tls handshake error: Custom { kind: InvalidData, error: AlertReceived(DecryptError) }",
                What::SameNameOtherKey,
            ),
            ("tls handshake error: Custom { kind: InvalidData, error: InvalidCertificate(Expired) }", What::Expired),
            (
                "tls handshake error: Custom { kind: InvalidData, error: InvalidCertificate(Other(OtherError(SanTrustDomainError(\"cluster.local\", [Spiffe { trust_domain: \"west.example\", namespace: \"a\", service_account: \"b\" }])))) }",
                What::WrongTrustDomain { ours: "cluster.local".into(), theirs: "west.example".into() },
            ),
            ("tls handshake error: Custom { kind: InvalidData, error: NoCertificatesPresented }", What::NoCertificate),
            (
                "tls handshake error: Custom { kind: InvalidData, error: InvalidMessage(InvalidContentType) }",
                What::NotTls,
            ),
            (
                "identity error: signing gRPC error (The request does not have valid authentication credentials): request authenticate failure",
                What::Unauthorized,
            ),
            ("signing gRPC error (Unknown error): client error (Connect)", What::Unreachable),
            (
                "status: Unknown, message: \"client error (Connect)\", source: tcp connect error: Connection refused (os error 111)",
                What::Refused,
            ),
            (
                "gRPC connection error connecting to https://istiod.istio-system.svc:15012: status: Unknown, message: \"client error (Connect)\", source: invalid peer certificate: UnknownIssuer",
                What::UnknownAuthority,
            ),
            (
                "status: Unauthenticated, message: \"authentication failure\" (hint: check the control plane logs for more information)",
                What::Unauthorized,
            ),
            (
                "status: Unknown, message: \"client error (Connect)\", source: dns error: failed to lookup address information: Temporary failure in name resolution",
                What::NameLookupFailed("".into()),
            ),
            (
                "status: Unknown, message: \"client error (Connect)\", source: invalid peer certificate: certificate not valid for name \"istiod.x\"; certificate is only valid for DnsName(\"istiod.y\")",
                name("istiod.x", "DnsName(\"istiod.y\""),
            ),
            // Envoy
            (
                "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end",
                What::BadCertificate,
            ),
            (
                "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: verify SAN list",
                name("", ""),
            ),
            (
                "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_SAN_matcher,_certificate_SANs_are_[spiffe://cluster.local/ns/sample/sa/web]:TLS_error_end",
                name("", "spiffe://cluster.local/ns/sample/sa/web"),
            ),
            (
                "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:X509_verify_cert:_certificate_verification_error_at_depth_0:_certificate_has_expired",
                What::Expired,
            ),
            (
                "TLS error: 268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:X509_verify_cert: certificate verification error at depth 1: self-signed certificate in certificate chain",
                What::UnknownAuthority,
            ),
            ("TLS error: 268435612:SSL routines:OPENSSL_internal:HTTP_REQUEST", What::NotTls),
            (
                "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end",
                What::NotTls,
            ),
            ("TLS_error:_268436501:SSL_routines:OPENSSL_internal:SSLV3_ALERT_CERTIFICATE_EXPIRED", What::Expired),
            ("TLS error: 268436504:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA", What::UnknownAuthority),
            ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", What::BadCertificate),
            (
                "TLS error: 268435646:SSL routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE",
                What::NoCertificate,
            ),
            ("TLSV1_ALERT_ACCESS_DENIED", What::BadCertificate),
            ("delayed_connect_error:_111", What::Refused),
            ("delayed connect error: Connection refused", What::Refused),
            ("remote connection failure", What::Unreachable),
            ("connection_timeout", What::TimedOut),
            (
                "upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
                What::TimedOut,
            ),
            (
                "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
                What::Cut,
            ),
            ("upstream connect error or disconnect/reset before headers. reset reason: overflow", What::Overflow),
            ("no healthy upstream", What::ServerUnavailable),
            (
                "14, upstream connect error or disconnect/reset before headers. retried and the latest reset reason: remote connection failure, transport failure reason: delayed connect error: 111",
                What::Refused,
            ),
            ("16, request authenticate failure", What::Unauthorized),
            ("words nobody knows", What::Other),
            ("", What::Other),
        ]
    }

    #[test]
    fn known_shapes_are_told() {
        for (text, what) in shapes() {
            assert_eq!(fault(text).what, what, "{text}");
        }
    }

    #[test]
    fn the_parts_of_a_chain_are_kept() {
        let read = fault(
            "delta stream: rpc error: code = Unavailable desc = connection error: desc = \"error reading server preface: remote error: tls: unknown certificate authority\"",
        );
        assert_eq!(read.code.as_deref(), Some("Unavailable"));
        assert!(read.by_peer);
        let read = fault(
            "failed to list *v1.Pod: Get \"https://172.18.0.3:6443/api/v1/pods\": dial tcp 172.18.0.3:6443: i/o timeout",
        );
        assert_eq!(read.url.as_deref(), Some("https://172.18.0.3:6443/api/v1/pods"));
        assert_eq!(read.address.map(|addr| addr.to_string()).as_deref(), Some("172.18.0.3:6443"));
        assert!(!read.by_peer);
        let read = fault("read tcp 10.244.0.5:41234->172.18.0.3:6443: read: connection reset by peer");
        assert_eq!(read.address.map(|addr| addr.to_string()).as_deref(), Some("172.18.0.3:6443"));
        let read = fault("Get \"https://api.west:6443/api\": dial tcp: lookup api.west on 10.96.0.10:53: no such host");
        assert_eq!(read.address.map(|addr| addr.to_string()).as_deref(), Some("api.west:6443"));
        let read = fault("signing gRPC error (The service is currently unavailable): error trying to connect");
        assert_eq!(read.code.as_deref(), Some("Unavailable"));
    }

    #[test]
    fn an_alert_received_is_the_peers_word_and_our_own_check_is_not() {
        assert!(fault("TLS_error:|268436501:SSL routines:OPENSSL_internal:SSLV3_ALERT_CERTIFICATE_EXPIRED").by_peer);
        assert!(fault("tls handshake error: Custom { kind: InvalidData, error: AlertReceived(UnknownCA) }").by_peer);
        assert!(!fault("TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED").by_peer);
        assert!(!fault("tls: failed to verify certificate: x509: certificate signed by unknown authority").by_peer);
    }

    #[test]
    fn cut_and_mutated_texts_are_read_without_panic() {
        for (text, _) in shapes() {
            for at in 0..text.len() {
                fault(&text[..text.floor_char_boundary(at)]);
                fault(&text[text.ceil_char_boundary(at)..]);
                for byte in [b'"', b'\\', b':', b' ', b'(', 0x00, 0xc3] {
                    let mut bytes = text.as_bytes().to_vec();
                    bytes[at] = byte;
                    fault(&String::from_utf8_lossy(&bytes));
                }
            }
        }
    }
}
