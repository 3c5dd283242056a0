//! Certificates or tokens are refused as not yet valid or expired because a clock is wrong.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};

use super::{control_link, policy, requests, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "clock-skew",
    severity: Severity::Critical,
    summary: "a clock is wrong: the certificate of {who} is not valid yet for its peer",
    mechanism: "A fresh certificate begins a little before the moment it was issued, on the clock of the CA. A node whose clock \
                is behind refuses it as not valid yet, and the server only sees an alert that reads \"certificate expired\". \
                Nothing is wrong with the certificate, and renewing it makes it younger still. Tokens fail the same way on \
                the way to istiod. The line carries the two times: their distance is the least by which the clocks differ.",
    remedy: "Compare the clocks of the nodes of both sides (`date -u`, chrony or the hypervisor's time), and mend time \
             synchronisation where they differ.",
    verify: "for n in <nodes>; do kubectl debug node/$n -it --image=busybox -- date -u; done",
    explains: &[("workload-cert-expired", Within::Token)],
    hits: &["ambient-clock-behind", "machine-clock-behind"],
    near_misses: &["ambient-certificate-expired"],
    rules: &[
        Rule::after(Kind::Connection, 5, connection),
        Rule::after(Kind::Stream, 5, control_plane),
        Rule::after(Kind::Certificate, 5, control_plane),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, policy::not_yet_valid)),
    ],
};

/// Reads a ztunnel handshake that failed over a certificate of the future.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::failed(event)?;
    let (what, by_peer) = tunnel::tls_fault(what)?;
    let who = tunnel::destination(connection);
    match what {
        What::NotYetValid => Some(
            named(Verdict::certain(&who), &who, tunnel::dialled(connection))
                .because(event, "the peer's certificate begins in the future of this node's clock"),
        ),
        What::Expired if by_peer => {
            let (far, line) = tunnel::other_side(view, event, connection)?;
            let (What::NotYetValid, _) = tunnel::tls_fault(&line.error.as_ref()?.what)? else { return None };
            let who = tunnel::destination(line);
            Some(
                named(Verdict::certain(&who), &who, tunnel::dialled(connection))
                    .because(far, "the certificate begins in the future of this node's clock")
                    .because(event, "the alert that the server saw says expired, which is sent for both"),
            )
        }
        // The certificate is called expired, while the cluster it comes from holds a valid one at that moment.
        What::Expired => {
            let at = event.at?;
            let (document, certificate, from, to) = view.dumps().find_map(|(document, dump)| {
                let known = dump.certificates.iter().find(|known| {
                    known.identity == connection.dst.identity && dump.cluster == connection.dst.cluster
                })?;
                let (from, to) = known.valid?;
                (from <= at && at <= to).then_some((document, known, from, to))
            })?;
            Some(
                named(Verdict::possible(&who), &who, tunnel::dialled(connection))
                    .says("the certificate of {who} is called expired, but its own cluster holds a valid one: a clock may be wrong")
                    .because(event, "the peer's certificate is past its end on this node's clock")
                    .because_quote(document, &format!("certificate {} valid {from} to {to}", certificate.identity), "it is valid according to its own ztunnel")
                    .settle_by("date -u on the nodes of both sides"),
            )
        }
        _ => None,
    }
}

/// Reads a proxy that refuses its control plane's certificate as one of the future.
fn control_plane(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, fault) = control_link::failure(event)?;
    (fault.what == What::NotYetValid).then_some(())?;
    let who = control_link::control_plane(view, event);
    let verdict =
        Verdict::likely(&who).because(event, "the control plane's certificate begins in the future of this clock");
    Some(named(verdict, &who, &who))
}

fn named(verdict: Verdict, who: &str, address: &str) -> Verdict {
    verdict.slot("who", who).token(who).token(address)
}
