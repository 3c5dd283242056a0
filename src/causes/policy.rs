//! Security policy and protocols, as single lines decide them: authorizers, tokens, TLS on the wrong port, headers.

use std::sync::Arc;

use meshwhy_parsers::access::{ClusterName, Sign};
use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind, PolicyWhat, Side};
use meshwhy_parsers::state::State;

use super::crossnetwork_port_blocked;
use super::requests::{self, Seen, TlsTrouble, tls_trouble};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The external authorizer could not be asked.
pub static EXT_AUTHZ_FAILED: Cause = Cause {
    slug: "ext-authz-failed",
    severity: Severity::Error,
    summary: "the external authorizer of {service} could not be asked, so calls are refused with {code}",
    mechanism: "An AuthorizationPolicy with action CUSTOM sends every request to an external authorizer first (OPA, oauth2-proxy, \
                an own service). When that cannot be reached or answers with an error, Envoy refuses the request: UAEX with \
                ext_authz_error, by default 403, or 503 where status_on_error says so. UAEX alone reads like a denial; only the \
                details tell ext_authz_denied (it answered no) from ext_authz_error (it did not answer).",
    remedy: "Look at the authorizer first: is its pod ready, does its service have endpoints, does it speak the protocol the \
             extensionProvider names (envoyExtAuthzGrpc or envoyExtAuthzHttp) on that port? Then at the provider's host name in \
             the mesh configuration.",
    verify: "kubectl -n istio-system get configmap istio -o yaml | grep -A8 envoyExtAuthz",
    explains: &[("app-error", Within::Token), ("authz-denied", Within::Token)],
    hits: &["authorizer-does-not-answer", "rate-limiter-does-not-answer"],
    near_misses: &["authorizer-says-no", "rate-limiter-skipped"],
    rules: &[
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, ext_authz_failed)),
        Rule::on(Kind::Policy, authorizer_failed),
    ],
};

fn ext_authz_failed(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    if seen.sign == Sign::LimiterFailed {
        let verdict = Verdict::certain(&seen.request.service());
        return Some(
            seen.fill(verdict, "the rate-limit service did not answer (rate_limiter_error)")
                .says("the rate-limit service of {service} could not be asked, so calls are refused with {code}"),
        );
    }
    (seen.sign == Sign::ExternalFailed).then_some(())?;
    Some(seen.fill(Verdict::certain(&seen.request.service()), "the authorizer did not answer (ext_authz_error)"))
}

fn authorizer_failed(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Policy(policy) = &event.fact else { return None };
    let PolicyWhat::AuthorizerFailed(_) = &policy.what else { return None };
    let subject = policy.policy.as_deref().unwrap_or("the external authorizer");
    Some(
        Verdict::likely(subject)
            .because(event, "the proxy could not ask the authorizer")
            .slot("service", subject)
            .says("the external authorizer could not be asked, so calls are refused"),
    )
}

/// For `jwt-authn-failed`: an end user's token, as access lines show it refused.
pub(super) fn jwt_refused(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.sign == Sign::JwtRefused).then_some(())?;
    let inner = seen.request.details.split_once('{').map_or("", |(_, inner)| inner.trim_end_matches('}'));
    let why = if inner.is_empty() { "the reason is not printed".to_string() } else { inner.replace('_', " ") };
    let verdict = seen
        .fill(Verdict::certain(&seen.request.service()), "the proxy refused the token")
        .slot("who", seen.speaker())
        .slot("reason", &why);
    Some(if why.contains("Jwks") {
        verdict.says("the proxy cannot check tokens for {service}: {reason}")
    } else {
        verdict.says("the token of an end user is refused for {service}: {reason}")
    })
}

/// Plain text to a TLS port.
pub static PLAINTEXT_TO_TLS_PORT: Cause = Cause {
    slug: "plaintext-to-tls-port",
    severity: Severity::Error,
    summary: "plain text is sent to a port of {service} that expects TLS",
    mechanism: "A TLS server that reads `GET ` or `POST` where a handshake should begin reports HTTP_REQUEST (BoringSSL 268435612). \
                Somebody speaks plain HTTP to it: a port that Istio takes for HTTP although the server behind it speaks HTTPS, a \
                gateway in TLS mode behind a load balancer that ends TLS itself, a client with http:// on an https port. Between \
                clusters a firewall or proxy that answers in the gateway's place shows the same number.",
    remedy: "Find who speaks plain text to {upstream}. For an HTTPS application behind Istio name the service port `https-...` or \
             originate TLS in a DestinationRule (tls.mode SIMPLE); behind a load balancer that ends TLS, let the gateway's server \
             be HTTP.",
    verify: "curl -vk https://{upstream}/",
    explains: &[("app-error", Within::Token), ("upstream-closed-connection", Within::Token)],
    hits: &["http-to-https-port"],
    near_misses: &["https-to-http-port"],
    rules: &[
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, plain_to_tls)),
        Rule::on(Kind::Handshake, plain_handshake),
        Rule::Mesh(|view| requests::judge_sentences(view, plain_to_tls)),
    ],
};

fn plain_to_tls(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.tls()? == TlsTrouble::PlainToTls).then_some(())?;
    Some(
        seen.fill(Verdict::likely(&seen.upstream_subject()), "HTTP_REQUEST: plain HTTP where a handshake should begin"),
    )
}

fn plain_handshake(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Handshake(handshake) = &event.fact else { return None };
    let fault = &handshake.fault;
    let is_plain = tls_trouble(&fault.what, &fault.text, fault.by_peer, false) == TlsTrouble::PlainToTls;
    // istiod's own ports are spoken to by scanners and by probes; that is not this cause.
    (is_plain && fault.text.contains("OPENSSL")).then_some(())?;
    let peer = handshake.peer.as_ref().map_or("an unnamed peer".to_string(), ToString::to_string);
    Some(
        Verdict::likely(&peer)
            .because(event, "plain HTTP where a TLS handshake should begin")
            .slot("service", &event.origin.pod)
            .slot("upstream", &peer)
            .says("plain text is sent to a TLS port, by {upstream}"),
    )
}

/// TLS to a plain-text port.
pub static TLS_TO_PLAINTEXT_PORT: Cause = Cause {
    slug: "tls-to-plaintext-port",
    severity: Severity::Error,
    summary: "TLS is sent to {service} at {upstream}, which answers in plain text",
    mechanism: "The client side begins a handshake and gets something that is no TLS record: WRONG_VERSION_NUMBER. Either a \
                DestinationRule (tls.mode ISTIO_MUTUAL or SIMPLE) forces TLS to a workload that has no sidecar or serves plain \
                text, or TLS is wrapped twice: the application calls https:// and the sidecar or egress gateway originates TLS \
                again. The message reads like an old TLS version; versions have nothing to do with it.",
    remedy: "Look at the DestinationRule that fits {service}: its tls.mode must be what the upstream speaks. Does the upstream pod \
             have a sidecar? Where the application speaks HTTPS itself, declare the port as TLS and do not originate TLS again.",
    verify: "istioctl proxy-config cluster {proxy} --fqdn {service} -o json | grep -n -A3 transportSocket",
    explains: &[("app-error", Within::Token), ("upstream-closed-connection", Within::Token)],
    hits: &["https-to-http-port"],
    near_misses: &["http-to-https-port", "strangers-at-the-gateway", "sidecar-sent-to-ambient-gateway"],
    rules: &[
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, tls_to_plain)),
        Rule::on(Kind::Handshake, tls_handshake),
        Rule::Mesh(|view| requests::judge_sentences(view, tls_to_plain)),
    ],
};

fn tls_handshake(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Handshake(handshake) = &event.fact else { return None };
    let fault = &handshake.fault;
    if handshake.side != Side::Client || !fault.text.contains("OPENSSL") {
        return None;
    }
    let is_tls = tls_trouble(&fault.what, &fault.text, fault.by_peer, false) == TlsTrouble::TlsToPlain;
    is_tls.then_some(())?;
    let peer = handshake.peer.as_ref().map_or("an unnamed peer".to_string(), ToString::to_string);
    Some(
        Verdict::likely(&peer)
            .because(event, "the other end did not answer with TLS")
            .slot("service", &peer)
            .slot("upstream", &peer)
            .slot("proxy", &event.origin.pod)
            .says("TLS is sent to {upstream}, which answers in plain text"),
    )
}

fn tls_to_plain(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    // A gateway that passes TLS on never answers in plain text: something before it does.
    if crossnetwork_port_blocked::answered_before(view, seen).is_some() {
        return None;
    }
    if seen.tls() == Some(TlsTrouble::TlsToPlain) {
        return Some(seen.fill(Verdict::certain(&seen.upstream_subject()), "the upstream did not answer with TLS"));
    }
    // A handshake on an HTTP listener is a request without a method.
    let shapeless = seen.sign == Sign::ClientProtocol && seen.request.method.is_empty() && !seen.is_stranger(view);
    shapeless.then(|| {
        seen.fill(Verdict::possible(&seen.request.service()), "the listener got bytes that are no HTTP request")
            .settle_by("tcpdump -A on the listener's port: a TLS handshake begins with the bytes 16 03")
            .says("something that is no HTTP, such as TLS, is sent to an HTTP port of {service}")
    })
}

/// For `client-cert-rejected`: a server that wants a client certificate, as access lines show it.
pub(super) fn client_certificate(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.tls()? == TlsTrouble::ClientCertificate).then_some(())?;
    let shows = if seen.by_peer() { "the server refused our client certificate" } else { "no client certificate came" };
    let service = seen.request.service();
    Some(seen.fill(Verdict::likely(&service), shows).slot("who", &service).slot("reason", shows))
}

/// Wrong protocol.
pub static PROTOCOL_MISMATCH: Cause = Cause {
    slug: "protocol-mismatch",
    severity: Severity::Error,
    summary: "{service} and its peer speak different protocols: {what}",
    mechanism: "Istio picks a port's protocol from its name or appProtocol, or sniffs it. A gRPC port named `http` is spoken to in \
                HTTP/1, a plain HTTP/1 server behind a port named `grpc` or `http2` is spoken to in HTTP/2, a websocket upgrade \
                meets a listener that does not allow it, HTTP/1.0 meets Envoy, which refuses it with 426. Envoy reports its side \
                (DPE, UPE, protocol_error, codec_error); the application logs a parse error or nothing. Answers that break the \
                rules, such as two Transfer-Encoding headers, look the same.",
    remedy: "Compare the port's name or appProtocol in the Service of {service} with what the application speaks. For one bad answer \
             look at its headers with curl past the proxy: duplicate Transfer-Encoding, spaces in names.",
    verify: "kubectl -n {namespace} get svc {name} -o jsonpath='{.spec.ports}'",
    explains: &[("app-error", Within::Token)],
    hits: &["http2-to-http1-server", "database-speaks-first"],
    near_misses: &["app-closes-connection", "cookies-too-big", "strangers-at-the-gateway", "database-is-not-there"],
    rules: &[
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, protocol)),
        Rule::Mesh(|view| requests::judge_sentences(view, protocol)),
        Rule::Mesh(no_greeting),
    ],
};

/// A client of a protocol in which the server speaks first, that waits for words a proxy holds back: to find out the
/// protocol, the proxy waits for the client.
fn no_greeting(view: &View<'_>) -> Vec<Verdict> {
    if requests::lines_say_more(view) {
        return Vec::new();
    }
    let silent = view.states().find_map(|(event, state)| match state {
        State::CallFailed { fault, .. } if fault.text.contains("reading initial communication packet") => Some(event),
        _ => None,
    });
    let verdict = silent.map(|event| {
        Verdict::possible("the database")
            .says("{service} is a server that speaks first, and the proxy waits for the client's first bytes")
            .slot("service", "the database")
            .slot("what", "the server speaks first")
            .slot("namespace", "<namespace>")
            .slot("name", "<service>")
            .because(event, "the connection opens, and the greeting does not come")
            .settle_by(
                "kubectl get svc -o yaml of the database: is the port named tcp-... or mysql, or appProtocol tcp? \
                 and kubectl get peerauthentication -A: is its port PERMISSIVE?",
            )
    });
    verdict.into_iter().collect()
}

fn protocol(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let subject = seen.request.service();
    let verdict = match seen.sign {
        Sign::UpgradeRefused if seen.request.details.contains("upgrade_failed") => seen
            .fill(Verdict::certain(&subject), "the listener does not allow the upgrade the client asked for")
            .slot("what", "the client asks for an upgrade (websocket) that the proxy does not allow here"),
        Sign::UpgradeRefused if seen.request.details.starts_with("via_upstream") => seen
            .fill(Verdict::likely(&subject), "426 from the upstream: it refuses this version of HTTP")
            .slot("what", "the upstream's proxy refuses this version of HTTP"),
        Sign::UpgradeRefused => seen
            .fill(Verdict::certain(&subject), "426: the client speaks a version of HTTP that the proxy refuses")
            .slot("what", "the client speaks HTTP/1.0, which Envoy refuses unless it is allowed"),
        Sign::UpstreamProtocol => seen
            .fill(Verdict::likely(&subject), "the upstream's bytes are not the protocol expected (UPE, protocol_error)")
            .slot("what", "the upstream breaks the protocol the proxy expects"),
        Sign::ClientProtocol if seen.is_stranger(view) => return None,
        Sign::ClientProtocol => seen
            .fill(Verdict::likely(&subject), "the client's bytes are not the protocol expected (DPE, codec error)")
            .slot("what", "the client breaks the protocol the proxy expects"),
        Sign::Tls if seen.request.transport.as_ref().is_some_and(|fault| fault.what == What::TlsPolicy) => seen
            .fill(Verdict::likely(&subject), "the two sides share no version or cipher of TLS")
            .slot("what", "they share no version or cipher of TLS"),
        // An HTTP/2 stream that the peer refuses before reading it.
        Sign::StreamReset if seen.request.reset() == "remote_refused_stream_reset" => seen
            .fill(Verdict::possible(&subject), "the upstream refused the HTTP/2 stream")
            .slot("what", "the upstream refuses HTTP/2 streams")
            .settle_by("curl --http2-prior-knowledge against the upstream's port, past the proxy"),
        _ => return None,
    };
    Some(verdict)
}

/// Headers too many or too big.
pub static HEADER_LIMIT_EXCEEDED: Cause = Cause {
    slug: "header-limit-exceeded",
    severity: Severity::Error,
    summary: "headers of a request or answer of {service} are too many or too big for the proxy",
    mechanism: "Envoy takes 60 KiB and 100 headers by default. A request beyond is answered 431 by the proxy, so the application \
                never sees it; an answer beyond is reset and becomes 502 or 503. Long cookies, big tokens and header-copying \
                middle ware are the usual reasons, so it hits single users and looks random.",
    remedy: "Find the header that grew (cookies, Authorization). Where it must stay, raise max_request_headers_kb or the header count \
             in an EnvoyFilter for the listener of {service}.",
    verify: "curl -sv {authority} -H 'x-fill: <as long as the failing request>' 2>&1 | grep '< HTTP'",
    explains: &[("app-error", Within::Token), ("protocol-mismatch", Within::Token)],
    hits: &["cookies-too-big"],
    near_misses: &["http2-to-http1-server"],
    rules: &[
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, header_limit)),
        Rule::Mesh(|view| requests::judge_sentences(view, header_limit)),
    ],
};

fn header_limit(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.sign == Sign::HeaderLimit).then_some(())?;
    let subject = seen.request.service();
    if seen.request.details.starts_with("via_upstream") {
        return Some(seen.fill(Verdict::likely(&subject), "431 came from the upstream"));
    }
    Some(seen.fill(Verdict::certain(&subject), "the proxy refused the headers"))
}

/// For `plaintext-to-mtls-strict`: what access lines say of it.
pub(super) fn plain_to_strict(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let request = seen.request;
    let dialled = request.downstream_local.as_ref().map(ToString::to_string).unwrap_or_default();
    match seen.sign {
        Sign::NoFilterChain if request.sni.is_empty() && !seen.at_gateway() => Some(
            seen.fill(Verdict::likely(&dialled), "no filter chain takes plain text on this port")
                .token(&dialled)
                .slot("policy", "STRICT")
                .says("{from} sends plain text to {local}, which takes mutual TLS only"),
        ),
        // A pod address that no service owns gets no automatic mutual TLS; a STRICT server hangs up at once.
        Sign::Closed if request.cluster == ClusterName::Passthrough && is_pod_address(seen) => {
            let upstream = request.upstream.as_ref().map(ToString::to_string).unwrap_or_default();
            let worked = seen.earlier(view).find(|(_, earlier)| earlier.sign() == Sign::Served);
            let verdict = seen
                .fill(Verdict::likely(&upstream), "called by pod address, so without mutual TLS, and cut off at once")
                .slot("policy", "STRICT")
                .settle_by("kubectl get peerauthentication -A")
                .says("{upstream} is called by its pod address in plain text and hangs up, as with STRICT mutual TLS");
            Some(match worked {
                Some((event, _)) => verdict.because(event, "the same address answered plain text before"),
                None => verdict,
            })
        }
        Sign::Closed if seen.in_mesh() && !request.is_inbound() && !seen.over_hbone() && !seen.took_long() => Some(
            seen.fill(Verdict::possible(&request.service()), "cut off before an answer")
                .slot("policy", "STRICT")
                .settle_by("istioctl x describe pod {upstream's pod}: which mutual TLS does it take?")
                .says("{service} may be called without the mutual TLS it requires"),
        ),
        // A sentence has no cluster: a plain client was cut off.
        Sign::Closed if request.cluster == ClusterName::None && seen.event.fact.kind() == Kind::State => {
            let cut_off = seen.event.text.contains("reset by peer");
            cut_off.then(|| {
                seen.fill(Verdict::likely("a caller without mutual TLS"), "the caller's connection was reset")
                    .slot("policy", "STRICT")
                    .settle_by("kubectl get peerauthentication -A; does the caller's pod have a sidecar?")
                    .says("the caller was cut off, as one without mutual TLS is by a STRICT server")
            })
        }
        _ => None,
    }
}

fn is_pod_address(seen: &Seen<'_>) -> bool {
    let Some(upstream) = &seen.request.upstream else { return false };
    let private = match upstream.ip() {
        Some(std::net::IpAddr::V4(v4)) => v4.is_private() || v4.octets()[0] == 100,
        Some(std::net::IpAddr::V6(v6)) => v6.segments()[0] & 0xfe00 == 0xfc00,
        None => false,
    };
    private && upstream.port != 443
}

/// For `authz-denied`: a policy, or an external authorizer that answered.
pub(super) fn policy_denied(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let service = seen.request.service();
    match seen.sign {
        Sign::ExternalDenied => Some(
            seen.fill(Verdict::certain(&service), "the external authorizer answered no (ext_authz_denied)")
                .slot("policy", "the external authorizer")
                .slot("identity", "(see the authorizer's log)")
                .says("the external authorizer refuses {call} on {service}"),
        ),
        Sign::RbacDenied => {
            let all = format!("{} {}", seen.request.details, seen.request.termination);
            let Some(policy) = matched_policy(&all) else {
                return Some(
                    seen.fill(Verdict::certain(&service), "no ALLOW policy matches (policy none)")
                        .slot("policy", "the ALLOW policies")
                        .slot("identity", "(the caller's)")
                        .says("no ALLOW policy lets {call} on {service} pass"),
                );
            };
            Some(
                seen.fill(Verdict::certain(&policy), "a policy matched and refused")
                    .slot("policy", &policy)
                    .slot("identity", "(the caller's)")
                    .token(&policy)
                    .says("AuthorizationPolicy {policy} refuses {call} on {service}"),
            )
        }
        // The waypoint's tunnel was opened and cut: a ztunnel refuses the waypoint's own identity so.
        Sign::Closed
            if (seen.request.tunnelled || seen.request.upstream.is_none())
                && seen.request.has(&meshwhy_parsers::access::Flag::UpstreamConnectionFailure) =>
        {
            let upstream = seen.upstream_subject();
            Some(
                seen.fill(Verdict::likely(&upstream), "the tunnel to the workload was refused, not the request")
                    .slot("policy", "a policy at the workload's ztunnel")
                    .slot("identity", "(the waypoint's)")
                    .settle_by("the workload's ztunnel log: `connection closed due to policy rejection` names the policy")
                    .says("the ztunnel of {upstream} refuses the waypoint's tunnel, as a policy that does not allow the waypoint's identity does"),
            )
        }
        _ => None,
    }
}

/// `rbac_access_denied_matched_policy[ns[shop]-policy[deny-all]-rule[0]]` as `shop/deny-all`; `None` for `[none]`.
fn matched_policy(details: &str) -> Option<String> {
    let namespace = details.split_once("ns[")?.1.split_once(']')?.0;
    let name = details.split_once("policy[")?.1;
    let name = name.split_once("policy[").map_or(name, |(_, inner)| inner).split_once(']')?.0;
    Some(format!("{namespace}/{name}"))
}

/// For `root-of-trust-mismatch`: certificates that do not verify.
pub(super) fn roots_differ(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let subject = seen.upstream_subject();
    let (verdict, reason) = match seen.tls()? {
        TlsTrouble::UnknownRoot if seen.by_peer() => (
            seen.fill(Verdict::likely(&subject), "the peer does not know the CA of our certificate"),
            "the server does not know the caller's CA",
        ),
        TlsTrouble::UnknownRoot => (
            seen.fill(Verdict::likely(&subject), "the peer's certificate is of a CA we do not know"),
            "the caller does not know the server's CA",
        ),
        TlsTrouble::Unverified => (
            seen.fill(Verdict::likely(&subject), "the certificate does not verify; the line does not say why")
                .settle_by(
                    "istioctl proxy-config secret {pod} on both sides: compare the ROOTCA serials, then NOT AFTER",
                ),
            "the certificate does not verify",
        ),
        _ => return None,
    };
    Some(verdict.slot("who", "the caller").slot("other", subject).slot("reason", reason))
}

/// For `workload-cert-expired`: certificates past their validity, and those that may be.
pub(super) fn certificate_expired(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let subject = seen.upstream_subject();
    match seen.tls()? {
        TlsTrouble::Expired if seen.by_peer() => Some(
            seen.fill(Verdict::certain(&subject), "the peer says that our certificate has expired")
                .slot("who", seen.speaker()),
        ),
        TlsTrouble::Expired => {
            Some(seen.fill(Verdict::certain(&subject), "the upstream's certificate has expired").slot("who", &subject))
        }
        TlsTrouble::Unverified => Some(
            seen.fill(Verdict::possible(&subject), "the certificate does not verify; it may have expired")
                .slot("who", &subject)
                .settle_by("istioctl proxy-config secret {pod} on both sides: NOT AFTER of the default certificate"),
        ),
        _ => None,
    }
}

/// For `san-mismatch`: a certificate that carries another identity.
pub(super) fn wrong_identity(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.tls()? == TlsTrouble::WrongName).then_some(())?;
    let What::WrongName { want, have } = &seen.request.transport.as_ref()?.what else { return None };
    let verdict =
        seen.fill(Verdict::likely(&seen.upstream_subject()), "the certificate carries another identity than expected");
    // Envoy does not say what it expects; only newer ones say what they found.
    let verdict = match (want.is_empty(), have.is_empty()) {
        (true, true) => verdict.says("{addr} presents another identity than the one that is expected there"),
        (true, false) => verdict.says("{addr} presents the identity {have}, and another one is expected there"),
        (false, _) => verdict,
    };
    let or_unsaid = |text: &str, unsaid: &str| if text.is_empty() { unsaid.to_string() } else { text.to_string() };
    Some(
        verdict
            .slot("want", or_unsaid(want, "the one that the caller expects"))
            .slot("have", or_unsaid(have, "another one")),
    )
}

/// For `clock-skew`: a certificate that is not valid yet.
pub(super) fn not_yet_valid(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.tls()? == TlsTrouble::NotYetValid).then_some(())?;
    Some(
        seen.fill(Verdict::likely(&seen.upstream_subject()), "the certificate is not valid yet by this clock")
            .slot("who", seen.upstream_subject()),
    )
}

/// For `sds-secret-missing`: no certificate to speak TLS with.
pub(super) fn no_secret(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.sign == Sign::NoSecret).then_some(())?;
    Some(
        seen.fill(Verdict::likely(&seen.upstream_subject()), "the proxy has no certificate from SDS")
            .slot("who", seen.speaker())
            .slot("what", format!("the certificate for TLS to {}", seen.request.service())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_names_its_policy_in_both_spellings() {
        let named = "rbac_access_denied_matched_policy[ns[shop]-policy[no-admin]-rule[0]]";
        assert_eq!(matched_policy(named).as_deref(), Some("shop/no-admin"));
        assert_eq!(matched_policy("rbac_access_denied_matched_policy[none]"), None);
        assert_eq!(matched_policy("ns[shop]-policy["), None);
    }
}
