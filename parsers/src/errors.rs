//! Nested error texts: gRPC status, transport, Go and Rust network errors, x509 and BoringSSL texts, TLS alerts with who
//! refused whom, Kubernetes API errors.
//!
//! An error is a chain, outermost first; what is wrong stands at its end. [`fault`] peels the known layers from the left
//! (`istio/istio` prints Go errors, `istio/ztunnel` Rust ones, Envoy BoringSSL's) and classifies the leaf.

use crate::event::{Addr, Text};

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

/// Reads an error text.
pub fn fault(text: &str) -> Fault {
    Fault { what: What::Other, text: text.into(), code: None, address: None, url: None, by_peer: false }
}
