//! A remote cluster's istiod service or endpoint leads to a wrong or stale address of the control plane.

use std::collections::BTreeSet;
use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};
use meshwhy_parsers::state::State;

use super::control_link;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "istiod-remote-misaddressed",
    severity: Severity::Critical,
    summary: "proxies of {cluster} dial the control plane at {address}, which is not where it is ({right})",
    mechanism: "A cluster without a control plane of its own finds istiod through a service and an endpoint that someone wrote \
                there, or through `remotePilotAddress`. The address is the one its east-west gateway had on that day. When the \
                load balancer is made anew, or the value was copied from another cluster or from a laptop, proxies dial an \
                address that belongs to nobody or to themselves. It looks like a firewall: the dial times out or is refused. \
                The difference stands in the address, so compare it before anyone opens ports.",
    remedy: "Write {right} into the istiod endpoint of {cluster} (or reinstall with the right remotePilotAddress).",
    verify: "kubectl -n istio-system get endpoints istiod -o wide",
    explains: &[
        ("istiod-unreachable", Within::Token),
        ("istiod-down", Within::Token),
        ("crossnetwork-port-blocked", Within::Token),
        ("ca-provider-unavailable", Within::File),
    ],
    hits: &["control-plane-address-is-stale", "state-joined-control-plane-address-old"],
    near_misses: &[
        "control-plane-port-dropped",
        "state-joined-control-plane-filtered",
        "state-joined-control-plane-killed",
        "state-joined-control-plane-refuses",
    ],
    rules: &[Rule::after(Kind::Stream, 5, judge_link), Rule::after(Kind::Certificate, 5, judge_link)],
};

fn judge_link(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, fault) = control_link::failure(event)?;
    if fault.what == What::NotTls || fault.what == What::WrongProtocol && fault.address.is_some() {
        return Some(wrong_port(view, event));
    }
    let by_network = matches!(
        fault.what,
        What::Refused | What::TimedOut | What::NoRoute | What::NetworkUnreachable | What::HandshakeTimedOut
    );
    if !by_network {
        return None;
    }
    let address = control_link::dialled(event)?;
    let cluster = control_link::cluster_of(event);
    let exposed = exposed(view);
    let right: Vec<&str> = exposed.iter().map(|(address, _)| *address).collect();
    let right = right.join(" or ");
    let verdict = if address.is_loopback() {
        Verdict::likely(&format!("{address} in {cluster}"))
            .because(event, "the proxy dials itself: a loopback address stands where the control plane's should")
    } else {
        let endpoint = view.states().find(|(row, state)| match state {
            State::Endpoints { name, addresses, .. } => {
                *row.origin.cluster == *event.origin.cluster
                    && control_link::is_istiod(name)
                    && addresses.iter().any(|known| host_of(known) == &*address.host)
            }
            _ => false,
        });
        let is_right = exposed.iter().any(|(known, _)| *known == &*address.host);
        let (row, (_, gateway)) = (endpoint?.0, exposed.first()?);
        if is_right {
            return None;
        }
        Verdict::certain(&format!("{address} in {cluster}"))
            .because(event, "the proxy dials this address in vain")
            .because(row, "because the cluster's istiod endpoint says so")
            .because(gateway, "the control plane is exposed at another address")
    };
    let verdict = verdict
        .slot("cluster", cluster)
        .slot("address", &address)
        .slot("right", if right.is_empty() { "not shown here" } else { &right })
        .token(&address);
    Some(verdict)
}

/// Something answers there, but it is no control plane.
fn wrong_port(view: &View<'_>, event: &Arc<Event>) -> Verdict {
    let address = control_link::control_plane(view, event);
    let cluster = control_link::cluster_of(event);
    Verdict::possible(&format!("{address} in {cluster}"))
        .says("what answers proxies of {cluster} at {address} does not speak as a control plane does")
        .slot("cluster", cluster)
        .slot("address", &address)
        .slot("right", "not shown here")
        .token(&address)
        .because(event, "the answer is no TLS, or of another protocol: another port or program than meant")
        .settle_by(format!("openssl s_client -connect {address} </dev/null"))
}

/// The addresses at which services expose a control plane (port 15012) to other clusters, each with its row.
fn exposed<'v>(view: &View<'v>) -> Vec<(&'v str, &'v Arc<Event>)> {
    let mut seen = BTreeSet::new();
    let rows = view.states().filter_map(|(row, state)| match state {
        State::Service { external, ports, .. } if ports.contains("15012") => Some((row, external)),
        _ => None,
    });
    rows.flat_map(|(row, external)| external.split(',').map(move |address| (address.trim(), row)))
        .filter(|(address, _)| address.starts_with(|c: char| c.is_ascii_alphanumeric()) && seen.insert(*address))
        .collect()
}

fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}
