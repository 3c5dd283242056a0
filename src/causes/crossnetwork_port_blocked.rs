//! 15443, 15008, 15012 or 15017 between clusters is blocked.

use std::sync::Arc;

use meshwhy_parsers::access::Flag;
use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind};
use meshwhy_parsers::state::State;
use meshwhy_parsers::state::object::Body;

use super::requests::{Seen, TlsTrouble};
use super::{requests, saved, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
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
    explains: &[
        ("hbone-blocked", Within::Token),
        ("upstream-connect-timeout", Within::Token),
        ("istiod-unreachable", Within::Token),
        ("mtu-blackhole", Within::Token),
    ],
    hits: &[
        "gateway-port-black-holed",
        "gateway-port-times-out",
        "crossnetwork-port-filtered",
        "state-healthy-but-port-filtered",
        "state-joined-plain-answer-filtered",
    ],
    near_misses: &[
        "gateway-refuses-15008",
        "hbone-port-blocked",
        "external-host-does-not-answer",
        "gateway-pod-crashing",
        "tunnel-mtu-too-small",
        "state-gateway-without-15443",
        "state-joined-plain-answer-terminated",
        "state-joined-refused-ambient-gateway",
        "state-joined-refused-gateway-down",
    ],
    rules: &[
        Rule::after(Kind::Connection, 5, connection),
        Rule::after(Kind::Request, 5, request),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, answered_before)),
        Rule::Mesh(probes),
    ],
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

/// Plain text comes back from the port of another cluster's gateway, which passes TLS on: what answers stands before it.
pub(super) fn answered_before(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.tls()? == TlsTrouble::TlsToPlain).then_some(())?;
    let addr = seen.request.upstream.as_ref().filter(|addr| addr.port == 15443)?;
    let near = view.mesh().cluster(&seen.event.origin.cluster)?;
    let (far, gateway) = view.others(near).find_map(|far| {
        let gateway = far.own_gateways().find(|gateway| gateway.addresses.contains(&&*addr.host))?;
        Some((far, gateway.object))
    })?;
    let passes_on = far.objects("Gateway").find(|object| match &object.body {
        Body::IstioGateway(gateway) => {
            gateway.servers.iter().any(|server| server.port == addr.port && &*server.tls_mode == "AUTO_PASSTHROUGH")
        }
        _ => false,
    })?;
    Some(
        Verdict::likely(&addr.to_string())
            .says("what answers at {addr} is not the gateway of {network}: plain text comes back, and that gateway passes TLS on; a firewall or load balancer stands between the clusters")
            .slot("network", far.title())
            .slot("addr", addr)
            .slot("from", near.title())
            .slot("host", &addr.host)
            .slot("port", addr.port)
            .token(&addr.host)
            .token(addr)
            .cluster(near.title())
            .cluster(far.title())
            .because(seen.event, "the answer to the TLS handshake is no TLS")
            .because_object(gateway, &format!("status.loadBalancer: {}", addr.host), "the address is the gateway's")
            .because_object(passes_on, "tls.mode: AUTO_PASSTHROUGH", "the gateway passes TLS on and answers nothing itself"),
    )
}

/// Ports that cross clusters: data for sidecars and for ambient, istiod, its webhook.
const PORTS: [u16; 4] = [15443, 15008, 15012, 15017];

/// A probe by hand that got no answer on such a port, weighed against what answers on the same address.
pub fn probes(view: &View<'_>) -> Vec<Verdict> {
    let probes: Vec<_> = view
        .states()
        .filter_map(|(event, state)| match state {
            State::Probe { addr, fault } => Some((event, addr, fault.as_ref().map(|fault| &fault.what))),
            _ => None,
        })
        .collect();
    let mut verdicts: Vec<Verdict> = Vec::new();
    for (event, addr, what) in &probes {
        let is_silent = matches!(what, Some(What::TimedOut | What::NoRoute | What::NetworkUnreachable));
        if !is_silent || !PORTS.contains(&addr.port) || verdicts.iter().any(|known| known.subject == addr.to_string()) {
            continue;
        }
        let answers = |same: bool| {
            probes
                .iter()
                .find(|(_, other, what)| what.is_none() && other.host == addr.host && (other.port == addr.port) == same)
        };
        let (elsewhere, other_port) = (answers(true), answers(false));
        let gateway = saved::gateways(view).into_iter().find(|gateway| gateway.address() == Some(&addr.host));
        let known = elsewhere.is_some() || other_port.is_some();
        let mut verdict = if known { Verdict::certain(&addr.to_string()) } else { Verdict::likely(&addr.to_string()) };
        verdict = verdict.because(event, "a connection to the port gets no answer");
        if let Some((other, _, _)) = other_port {
            verdict = verdict.because(other, "while another port of the same address answers");
        }
        if let Some((other, _, _)) = elsewhere {
            verdict = verdict
                .because(other, "and the same port answers from elsewhere: the gateway is up, something between drops");
        }
        let network = gateway.as_ref().map_or("the other cluster", |gateway| gateway.cluster());
        if let Some(gateway) = &gateway {
            verdict = verdict.because(gateway.event, "the address is the gateway's");
        }
        verdicts.push(
            verdict
                .slot("network", network)
                .slot("addr", addr)
                .slot("from", &event.origin.cluster)
                .slot("host", &addr.host)
                .slot("port", addr.port)
                .token(&addr.host)
                .token(addr),
        );
    }
    verdicts
}

/// A sidecar's connect to a gateway on 15443 that timed out.
pub fn request(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Request(request) = &event.fact else { return None };
    let addr = request.upstream.as_ref().filter(|addr| addr.port == 15443)?;
    let is_silent = request.reset() == "connection_timeout"
        || request
            .transport
            .as_ref()
            .is_some_and(|fault| matches!(fault.what, What::TimedOut | What::NoRoute | What::NetworkUnreachable));
    if !is_silent || !request.has(&Flag::UpstreamConnectionFailure) {
        return None;
    }
    // A port that the gateway's Service does not offer needs no firewall to be silent.
    let gateways = saved::gateways(view);
    if gateways.iter().any(|gateway| gateway.address() == Some(&addr.host) && !gateway.offers(addr.port)) {
        return None;
    }
    let unready = saved::pods(view)
        .into_iter()
        .find(|pod| saved::is_east_west(pod.name, "") && !pod.is_ready() && !pod.is_over());
    let verdict = match &unready {
        Some(pod) => Verdict::possible(&addr.to_string()).against(pod.event, "a gateway pod is not ready"),
        None => Verdict::likely(&addr.to_string()),
    };
    Some(
        verdict
            .because(event, "connecting to the gateway timed out: packets are dropped")
            .slot("network", "the other cluster")
            .slot("addr", addr)
            .slot("from", &event.origin.cluster)
            .slot("host", &addr.host)
            .slot("port", addr.port)
            .token(&addr.host)
            .token(addr)
            .settle_by(format!("nc -vz {} 15443", addr.host)),
    )
}
