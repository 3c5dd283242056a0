//! 15443, 15008, 15012 or 15017 between clusters is blocked.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};
use meshwhy_parsers::state::State;

use super::tunnel;
use crate::engine::cause::{Cause, Rule, Severity, Verdict};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "crossnetwork-port-blocked",
    severity: Severity::Critical,
    summary: "the gateway of {network} at {addr} does not answer: the port is blocked between the clusters",
    mechanism: "Between networks everything goes through one address: the remote east-west gateway's load balancer, port \
                15008 for ambient and 15443 for sidecars; istiod itself needs 15012 and 15017. A security group, a firewall \
                or a load balancer without that listener drops the packets, so the connect runs into its time limit. \
                ztunnel then prints the same hint at a NetworkPolicy as for a pod; the destination's name \
                NetworkGateway/<network>/<address> tells the two apart. Health checks of the load balancer use 15021 and \
                stay green.",
    remedy: "Open {addr} from the nodes of {from} to the load balancer of {network}, and check that the gateway's Service \
             and its load balancer have that port.",
    verify: "nc -vz {host} {port}",
    explains: &[("hbone-blocked", crate::engine::cause::Within::Token)],
    hits: &["gateway-port-black-holed"],
    near_misses: &["gateway-refuses-15008", "hbone-port-blocked"],
    rules: &[Rule::after(Kind::Connection, 5, connection)],
};

/// Reads a ztunnel connect to a gateway that timed out.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::outbound(event)?;
    let (network, address) = tunnel::gateway(connection)?;
    let shows = match tunnel::connect_fault(what)? {
        What::TimedOut => "connecting to the gateway timed out: packets are dropped",
        What::NoRoute | What::NetworkUnreachable => "there is no way to the gateway's address",
        _ => return None,
    };
    let to = tunnel::dialled_port(connection);
    let probe = view.states().find_map(|(document, state)| match state {
        State::Probe { addr, fault } if Some(addr) == connection.dst.addr.as_ref() => Some((document, fault)),
        _ => None,
    });
    let subject = tunnel::gateway_subject(connection)?;
    let mut verdict = match &probe {
        Some((_, Some(_))) => Verdict::certain(&subject),
        Some((_, None)) => Verdict::possible(&subject)
            .settle_by(format!("kubectl exec -n istio-system ds/ztunnel -- nc -vz {address} 15008")),
        None => Verdict::likely(&subject),
    };
    verdict = verdict.because(event, shows);
    verdict = match probe {
        Some((document, Some(_))) => verdict.because(document, "a probe by hand does not get through either"),
        Some((document, None)) => verdict.against(document, "a probe by hand got through"),
        None => verdict,
    };
    if let Some((document, workload)) =
        view.dump_for(event).and_then(|(document, dump)| Some((document, view.workload_at(dump, address)?)))
    {
        verdict = verdict.because_quote(document, &tunnel::quote(workload), "the address is the gateway's");
    }
    Some(
        verdict
            .slot("network", network)
            .slot("addr", &to)
            .slot("from", tunnel::own_cluster(view, event))
            .slot("host", address)
            .slot("port", connection.dst.addr.as_ref().map_or(15008, |addr| addr.port))
            .token(address)
            .token(network)
            .token(&connection.service),
    )
}
