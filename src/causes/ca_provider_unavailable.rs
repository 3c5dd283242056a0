//! The CA that signs workload certificates refuses, answers nonsense or cannot be reached, while the configuration comes.

use std::sync::Arc;

use meshwhy_parsers::errors::{What, meaning};
use meshwhy_parsers::event::{CertificateWhat, Event, Fact, Kind, Side, Trust};

use super::ambient_path;
use super::control_link::{self, Way};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "ca-provider-unavailable",
    severity: Severity::Critical,
    summary: "workloads of {cluster} get no certificate: {reason}",
    mechanism: "Certificates and configuration come over two connections, often from the same istiod, but the signing part may be \
                another program: cert-manager's istio-csr, a cloud CA, Vault, or a CA inside istiod that lost its key. When only \
                that part fails, proxies receive all their configuration and still cannot open or accept mutual TLS, since they \
                have nothing to show. The access logs then speak of TLS and of unready pods; the reason stands with the \
                certificate request alone.",
    remedy: "Look at the program behind the CA address of {cluster}: is it running, does its log refuse the request, does it hold \
             a valid signing key.",
    verify: "istioctl proxy-config secret <pod>",
    explains: &[
        ("sds-secret-missing", Within::Cluster),
        ("ztunnel-not-ready", Within::File),
        ("istiod-unreachable", Within::File),
        ("san-mismatch", Within::File),
    ],
    hits: &[
        "signing-service-without-pods",
        "ca-answers-without-a-chain",
        "signing-bundle-incomplete",
        "issuer-refuses-to-sign",
    ],
    near_misses: &["control-plane-port-dropped", "state-joined-signing-certificate-renewed"],
    rules: &[
        Rule::after(Kind::Certificate, 5, judge),
        Rule::after(Kind::Stream, 5, judge_stream),
        Rule::after(Kind::Connection, 5, ambient_path::no_certificate),
        Rule::after(Kind::Certificate, 5, ambient_path::impersonation),
        Rule::after(Kind::ClientRefused, 5, ambient_path::impersonation),
        Rule::on(Kind::Trust, own_ca_broken),
        Rule::Mesh(ambient_path::certificates_unavailable),
    ],
};

/// istiod cannot use its own signing certificate; where that has only ended, `ca-cert-expired` says it better.
fn own_ca_broken(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Trust(Trust::Broken(fault)) = &event.fact else { return None };
    if fault.what == What::Expired {
        return None;
    }
    let cluster = control_link::cluster_of(event);
    Some(
        Verdict::certain(cluster)
            .says("istiod of {cluster} cannot use its own signing certificate: {reason}")
            .slot("cluster", cluster)
            .slot("ca", "istiod")
            .slot("reason", first_line(&fault.text))
            .because(event, "the files of the CA are incomplete or do not fit each other"),
    )
}

fn judge(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Certificate(certificate) = &event.fact else { return None };
    let cluster = control_link::cluster_of(event);
    let (verdict, reason) = match (&certificate.what, certificate.side) {
        (CertificateWhat::Unusable(text), Side::Client) => {
            let verdict =
                Verdict::certain(cluster).because(event, "the CA answered, but not with a usable certificate");
            (verdict, first_line(text).to_string())
        }
        (CertificateWhat::Failed(fault) | CertificateWhat::RenewalFailed(fault), Side::Client) => {
            if let Some(better) = control_link::told_better(view, event) {
                // One line of the same log names the reason for all of them.
                return (better.fact.kind() == Kind::Certificate).then(|| judge(view, better))?;
            }
            let (way, _) = control_link::failure(event)?;
            let refused = matches!(fault.what, What::Unauthorized | What::TooBig);
            let by_ca = matches!(fault.what, What::ServerError | What::Forbidden { .. } | What::WrongProtocol)
                || control_link::answered(fault) && !refused
                // A control plane without a CA of its own.
                || fault.text.ends_with("no CA");
            let by_network = matches!(
                fault.what,
                What::Refused
                    | What::TimedOut
                    | What::Unreachable
                    | What::NoRoute
                    | What::ServerUnavailable
                    | What::NameUnknown(_)
                    | What::Cut
            );
            let elsewhere = control_link::dialled(event).filter(|address| {
                address.ip().is_none() && !control_link::is_istiod(&address.host) && !address.host.is_empty()
            });
            let works = control_link::configuration_works(view, event).filter(|_| way == Way::Signing);
            let verdict = match (works, elsewhere) {
                (Some(up), _) if by_network || by_ca => Verdict::likely(cluster)
                    .because(event, "the certificate request fails")
                    .because(up, "while the configuration comes"),
                (_, Some(_)) if by_network || by_ca => {
                    Verdict::likely(cluster).because(event, "the request goes to a CA of its own, and fails there")
                }
                _ if by_ca => Verdict::likely(cluster).because(event, "the CA itself fails or refuses"),
                _ => return None,
            };
            (verdict, meaning(&fault.what).to_string())
        }
        (CertificateWhat::Refused(text), Side::Client) => {
            (Verdict::likely(cluster).because(event, "the CA refuses to sign"), first_line(text).to_string())
        }
        (CertificateWhat::Failed(fault), Side::Server) => {
            let verdict = Verdict::likely(cluster).because(event, "the CA itself says that it cannot sign");
            (verdict, first_line(&fault.text).to_string())
        }
        _ => return None,
    };
    Some(verdict.slot("cluster", cluster).slot("reason", reason))
}

/// Up to 1.9 secrets come over a stream that carries no name of its own: a CA that refuses is told by its words.
fn judge_stream(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, fault) = control_link::failure(event)?;
    let of_ca = ["Certificate Authority", "certificate authority", "create certificate", "failed to get root cert"];
    if !of_ca.iter().any(|words| fault.text.contains(words))
        || !matches!(fault.what, What::Forbidden { .. } | What::Other)
    {
        return None;
    }
    let cluster = control_link::cluster_of(event);
    let verdict = Verdict::likely(cluster)
        .slot("cluster", cluster)
        .slot("reason", first_line(&fault.text))
        .because(event, "the CA refuses, in its own words");
    Some(verdict)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}
