//! What ztunnel's lines say about causes whose pages belong to every data plane. No cause of its own.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{CertificateWhat, ClientRefused, Cni, Event, Fact, Kind, RefusedWhy, StreamWhat};
use meshwhy_parsers::state::ZtunnelDump;
use meshwhy_parsers::ztunnel::{Connection, ConnectionWhat, Direction};

use super::{control_link, tunnel};
use crate::engine::cause::Verdict;
use crate::engine::view::View;

/// Two ends of a tunnel do not share a root (root-of-trust-mismatch).
pub fn roots_differ(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::failed(event)?;
    if let ConnectionWhat::Identity(fault) | ConnectionWhat::Signing(fault) = what {
        return unsigned(view, event, &fault.what);
    }
    let (fault, by_peer) = tunnel::tls_fault(what)?;
    let far = tunnel::other_side(view, event, connection);
    if !is_root(fault) {
        // A tunnel that only breaks: the other end knows that it refused the certificate.
        let (far_event, line) = far.filter(|_| matches!(fault, What::Cut | What::BadCertificate | What::Tls))?;
        let (far_fault, _) = tunnel::tls_fault(&line.error.as_ref()?.what)?;
        if !is_root(far_fault) {
            return None;
        }
        let verdict = between(view, event, connection)
            .because(far_event, "this side refuses the other one's certificate: its root is not trusted")
            .because(event, "the other end of the same connection");
        return Some(with_roots(view, verdict));
    }
    // The caller knows both ends; the server's line takes its names.
    let (named_event, named) = match far {
        Some((far_event, line)) if connection.direction == Direction::Inbound => (far_event, line),
        _ => (event, connection),
    };
    let shows = match (fault, by_peer) {
        (What::SameNameOtherKey, _) => {
            "a root of the same name is trusted, but with another key: two CAs with one name"
        }
        (_, true) => "the other end says that it does not trust our root",
        (_, false) => "the peer's certificate does not end in a root that is trusted here",
    };
    let mut verdict = between(view, named_event, named).because(event, shows);
    if let Some((far_event, _)) = far {
        verdict = verdict.because(far_event, "the other end of the same connection");
    }
    Some(with_roots(view, verdict))
}

fn is_root(fault: &What) -> bool {
    matches!(fault, What::UnknownAuthority | What::SameNameOtherKey)
}

/// A verdict about the two sides of a connection.
fn between(view: &View<'_>, event: &Arc<Event>, connection: &Connection) -> Verdict {
    let own = tunnel::own_cluster(view, event);
    let far = match connection.direction {
        Direction::Outbound => tunnel::far_side(view, event, connection),
        Direction::Inbound => String::new(),
    };
    let pair = tunnel::pair(&own, &far);
    let verdict = Verdict::certain(&pair)
        .says("{pair} do not trust each other's roots: calls to {to} fail in the TLS handshake")
        .slot("pair", &pair)
        .slot("to", tunnel::destination(connection))
        .slot("who", &own)
        .slot("other", if far.is_empty() { "the other side" } else { &far })
        .token(tunnel::dialled(connection))
        .token(tunnel::destination(connection));
    if far.is_empty() { verdict.cluster(&own) } else { verdict.cluster(&own).cluster(&far) }
}

/// Adds the roots of the sides whose dumps are at hand: equal ones speak against it.
fn with_roots(view: &View<'_>, mut verdict: Verdict) -> Verdict {
    let sides: Vec<_> = view
        .dumps()
        .filter(|(_, dump)| verdict.clusters.iter().any(|cluster| **cluster == *dump.cluster))
        .filter_map(|(document, dump)| Some((document, dump, *roots(dump).first()?)))
        .collect();
    let all_equal = sides.len() > 1 && sides.iter().all(|(_, _, root)| *root == sides[0].2);
    for (document, dump, root) in sides {
        let quote = format!("cluster {} root SHA-256 {}", dump.cluster, short(root));
        verdict = match all_equal {
            true => verdict.against_quote(document, &quote, "both sides hold this root now"),
            false => verdict.because_quote(document, &quote, "the root this side holds"),
        };
    }
    verdict
}

/// Two clusters that send each other traffic hold different roots: dumps alone show it (root-of-trust-mismatch).
pub fn roots_in_dumps(view: &View<'_>) -> Vec<Verdict> {
    let dumps: Vec<_> = view.dumps().filter(|(_, dump)| !dump.cluster.is_empty()).collect();
    let mut verdicts = Vec::new();
    for (at, (one_document, one)) in dumps.iter().enumerate() {
        for (other_document, other) in dumps.iter().skip(at + 1) {
            let knows = |dump: &ZtunnelDump, far: &ZtunnelDump| {
                dump.workloads
                    .iter()
                    .find(|workload| workload.cluster == far.cluster)
                    .map(|workload| workload.uid.clone())
            };
            let Some(peer) = knows(one, other).or_else(|| knows(other, one)) else { continue };
            let (ours, theirs) = (roots(one), roots(other));
            let shared = ours.iter().any(|root| theirs.contains(root));
            if one.cluster == other.cluster || shared || ours.is_empty() || theirs.is_empty() {
                continue;
            }
            let pair = tunnel::pair(&one.cluster, &other.cluster);
            let mut verdict = Verdict::certain(&pair)
                .says("{pair} hold different roots, and workloads of one are endpoints in the other: calls between them fail")
                .slot("pair", &pair)
                .slot("who", &one.cluster)
                .slot("other", &other.cluster)
                .token(peer);
            for (document, dump, root) in [(one_document, one, ours[0]), (other_document, other, theirs[0])] {
                let quote = format!("cluster {} root SHA-256 {}", dump.cluster, short(root));
                verdict = verdict.because_quote(document, &quote, "the root this side holds");
            }
            verdicts.push(verdict);
        }
    }
    verdicts
}

/// No identity of a ztunnel has a certificate: its dump alone shows it (ca-provider-unavailable).
pub fn certificates_unavailable(view: &View<'_>) -> Vec<Verdict> {
    let none_available = |dump: &ZtunnelDump| {
        dump.certificates.len() > 1 && dump.certificates.iter().all(|known| known.state.starts_with("Unavailable"))
    };
    view.dumps()
        .filter(|(document, dump)| {
            // A log of the same ztunnel tells the reason better.
            let told = view.events(Kind::Certificate).any(|event| event.origin.cluster == document.origin.cluster);
            none_available(dump) && !told
        })
        .map(|(document, dump)| {
            let state = dump.certificates.first().map_or("", |known| &known.state);
            let reason = state.strip_prefix("Unavailable: ").unwrap_or(state);
            Verdict::likely(control_link::cluster_of(document))
                .slot("cluster", control_link::cluster_of(document))
                .slot("reason", reason)
                .because_quote(
                    document,
                    &format!("{} certificates, all {state}", dump.certificates.len()),
                    "no identity has a certificate",
                )
        })
        .collect()
}

/// The fingerprints of a dump's roots, each once.
fn roots(dump: &ZtunnelDump) -> Vec<&str> {
    let mut roots: Vec<&str> =
        dump.certificates.iter().flat_map(|certificate| certificate.roots.iter().map(|root| &**root)).collect();
    roots.sort_unstable();
    roots.dedup();
    roots
}

/// As much of a fingerprint as a person compares.
fn short(fingerprint: &str) -> &str {
    fingerprint.get(..16).unwrap_or(fingerprint)
}

/// A control-plane connection over which no certificate comes, because its root is not trusted. Most lines only say that
/// the connection failed; the one that names the reason counts for all of the same log.
fn unsigned(view: &View<'_>, event: &Arc<Event>, fault: &What) -> Option<Verdict> {
    let told = match fault {
        fault if is_root(fault) => event,
        What::Unreachable => untrusted_in(view, event)?,
        _ => return None,
    };
    let verdict = Verdict::certain(control_link::cluster_of(event))
        .slot("who", format!("ztunnel of {}", control_link::cluster_of(event)))
        .slot("other", "the CA it asks")
        .slot("reason", "its certificate does not end in a trusted root")
        .because(told, "the certificate of the control plane or CA does not end in a trusted root");
    Some(if Arc::ptr_eq(told, event) {
        verdict
    } else {
        verdict.because(event, "so that there is no certificate for this pod")
    })
}

/// The line of the same log in which the CA's or istiod's certificate is refused.
fn untrusted_in<'w>(view: &View<'w>, event: &Arc<Event>) -> Option<&'w Arc<Event>> {
    view.events(Kind::Certificate).chain(view.events(Kind::Stream)).find(|other| {
        let fault = match &other.fact {
            Fact::Certificate(certificate) => match &certificate.what {
                CertificateWhat::Failed(fault) | CertificateWhat::RenewalFailed(fault) => fault,
                _ => return false,
            },
            Fact::Stream(stream) => match &stream.what {
                StreamWhat::Refused(fault) | StreamWhat::Closed(fault) => fault,
                _ => return false,
            },
            _ => return false,
        };
        other.origin.file == event.origin.file && is_root(&fault.what)
    })
}

/// A connection for which ztunnel has no certificate, and the CA is the reason (ca-provider-unavailable).
pub fn no_certificate(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, what) = tunnel::failed(event)?;
    let (ConnectionWhat::Identity(fault) | ConnectionWhat::Signing(fault)) = what else { return None };
    if fault.text.contains("workload is unknown") || fault.text.contains("no longer needed") {
        return None;
    }
    if fault.text.contains("impersonation") {
        return Some(may_not_ask(view, event));
    }
    let nonsense = ["chain returned from CA is empty", "did not find expected SAN", "failed to create CSR"];
    let cluster = control_link::cluster_of(event);
    let verdict = if nonsense.iter().any(|text| fault.text.contains(text)) {
        Verdict::certain(cluster)
            .slot("reason", &fault.text)
            .because(event, "the CA answered, but not with a usable certificate")
    } else {
        // Refused tokens and roots are pages of their own; here the CA fails or is not there.
        if untrusted_in(view, event).is_some() || is_root(&fault.what) || matches!(fault.what, What::Unauthorized) {
            return None;
        }
        Verdict::likely(cluster)
            .slot("reason", meshwhy_parsers::errors::meaning(&fault.what))
            .because(event, "there is no certificate for this connection")
    };
    Some(verdict.slot("cluster", cluster).token(cluster))
}

/// istiod takes ztunnel's own token, but does not let it ask for the certificate of a pod (ca-provider-unavailable).
pub fn impersonation(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let refused = match &event.fact {
        Fact::Certificate(certificate) => match &certificate.what {
            CertificateWhat::Failed(fault) | CertificateWhat::RenewalFailed(fault) => {
                fault.text.contains("impersonation")
            }
            CertificateWhat::Refused(text) => text.contains("impersonation"),
            _ => false,
        },
        Fact::ClientRefused(refused) => matches!(refused.why, RefusedWhy::Impersonation(_)),
        _ => false,
    };
    refused.then(|| may_not_ask(view, event))
}

fn may_not_ask(view: &View<'_>, event: &Arc<Event>) -> Verdict {
    const REASON: &str =
        "the pod is not known on ztunnel's node, or ztunnel's account is not in CA_TRUSTED_NODE_ACCOUNTS";
    let cluster = control_link::cluster_of(event);
    let told = view.events(Kind::ClientRefused).find_map(|known| match &known.fact {
        Fact::ClientRefused(ClientRefused { why: RefusedWhy::Impersonation(reason), .. }) => Some((known, reason)),
        _ => None,
    });
    let verdict = match told {
        Some((known, reason)) => Verdict::certain(cluster)
            .slot("reason", reason.lines().next().unwrap_or(REASON))
            .because(known, "istiod says why it refuses"),
        None => Verdict::likely(cluster)
            .slot("reason", REASON)
            .settle_by("kubectl logs -n istio-system deploy/istiod | grep -i impersonation"),
    };
    verdict
        .says("istiod of {cluster} does not let ztunnel ask for the certificates of its pods: {reason}")
        .slot("cluster", cluster)
        .token(cluster)
        .because(event, "the request for a pod's certificate is refused")
}

/// A host name that ztunnel had to resolve and could not (dns-failure).
pub fn name_unresolved(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, what) = tunnel::failed(event)?;
    let ConnectionWhat::NoAddresses(uid) = what else { return None };
    // `NetworkGateway/<network>/<host>/<port>`, `<cluster>/<kind>/ServiceEntry/<ns>/<name>/<host>`.
    let host = match uid.strip_prefix("NetworkGateway/") {
        Some(rest) => rest.split('/').nth(1).unwrap_or(uid),
        None => uid.rsplit('/').next().unwrap_or(uid),
    };
    let says = if uid.starts_with("NetworkGateway/") {
        "the gateway's name {host} does not resolve, so that nothing gets to its network"
    } else {
        "{host} does not resolve, so that the calls to it fail"
    };
    Some(
        Verdict::likely(host)
            .says(says)
            .slot("host", host)
            .slot("who", control_link::cluster_of(event))
            .token(host)
            .because(event, "ztunnel has no address for the name"),
    )
}

/// A service address without a usable endpoint (no-healthy-upstream).
pub fn no_endpoint(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, what) = tunnel::outbound(event)?;
    let ConnectionWhat::NoHealthyUpstream(vip) = what else { return None };
    let known = view
        .dump_for(event)
        .and_then(|(document, dump)| Some((document, dump, tunnel::service_at(dump, &vip.host)?.0)));
    let Some((document, dump, service)) = known else {
        let address = vip.to_string();
        return Some(
            Verdict::likely(&address)
                .says("{service} has no usable endpoint")
                .slot("service", &address)
                .slot("namespace", "<namespace>")
                .slot("name", "<service>")
                .token(&vip.host)
                .because(event, "the service address is known, but none of its endpoints can be used")
                .settle_by(format!("istioctl ztunnel-config service | grep {}", vip.host)),
        );
    };
    let endpoints: Vec<String> = service
        .endpoints
        .iter()
        .map(|(uid, status)| {
            let known = tunnel::workload_by_uid(dump, uid).map(|workload| &*workload.status);
            format!("{uid} {}", known.unwrap_or(if status.is_empty() { "unknown workload" } else { status }))
        })
        .collect();
    let quote = format!("service {} ports={:?} endpoints=[{}]", service.hostname, service.ports, endpoints.join(", "));
    let (says, shows): (&'static str, &str) = if !service.ports.contains(&vip.port) {
        ("{service} is called on port {port}, which the service does not have", "the service has other ports")
    } else if endpoints.is_empty() {
        ("{service} has no endpoint at all", "its list of endpoints is empty")
    } else if *service.lb_mode == *"Strict" {
        ("{service} has endpoints, but its strict locality rule leaves none", "its load balancing is strict")
    } else {
        ("{service} has endpoints, but none of them is healthy and reachable", "none of these can be used")
    };
    Some(
        Verdict::certain(&service.hostname)
            .says(says)
            .slot("service", &service.hostname)
            .slot("namespace", &service.namespace)
            .slot("name", service.hostname.split('.').next().unwrap_or(&service.hostname))
            .slot("port", vip.port)
            .token(&vip.host)
            .token(&service.hostname)
            .because(event, "none of the service's endpoints can be used")
            .because_quote(document, &quote, shows),
    )
}

/// The application refuses: seen by the server's ztunnel, or only as a 503 by the caller's (upstream-not-listening).
pub fn not_listening(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::failed(event)?;
    match what {
        ConnectionWhat::App(fault) if fault.what == What::Refused => {
            let target = target(connection);
            Some(
                listening(Verdict::certain(&target), connection, &target)
                    .because(event, "the application's port in the pod refuses the connection"),
            )
        }
        ConnectionWhat::HttpStatus(503)
            if connection.direction == Direction::Outbound
                && !connection.to_gateway()
                && !tunnel::to_waypoint(connection)
                && !dials_own_port(connection) =>
        {
            let target = target(connection);
            match tunnel::other_side(view, event, connection) {
                Some((far, line)) => {
                    let ConnectionWhat::App(fault) = &line.error.as_ref()?.what else { return None };
                    (fault.what == What::Refused).then_some(())?;
                    Some(
                        listening(Verdict::certain(&target), connection, &target)
                            .because(far, "the application's port in the pod refuses the connection")
                            .because(event, "the caller's ztunnel only sees the status"),
                    )
                }
                None => Some(
                    listening(Verdict::likely(&target), connection, &target)
                        .because(event, "the server's ztunnel took the tunnel and could not reach the application")
                        .settle_by("kubectl logs -n istio-system ds/ztunnel | grep 'connection failed'"),
                ),
            }
        }
        ConnectionWhat::Io(fault)
            if fault.what == What::Refused
                && connection.hbone.is_none()
                && connection.direction == Direction::Outbound =>
        {
            let target = tunnel::dialled_port(connection);
            Some(
                listening(Verdict::likely(&target), connection, &target)
                    .because(event, "a plain connection to the port was refused"),
            )
        }
        _ => None,
    }
}

/// The address and port behind the tunnel, else the one dialled.
fn target(connection: &Connection) -> String {
    connection.hbone.as_ref().map_or_else(|| tunnel::dialled_port(connection), ToString::to_string)
}

fn dials_own_port(connection: &Connection) -> bool {
    let port = connection.hbone.as_ref().or(connection.dst.addr.as_ref()).map(|addr| addr.port);
    port.is_some_and(|port| tunnel::OWN_PORTS.contains(&port))
}

fn listening(verdict: Verdict, connection: &Connection, target: &str) -> Verdict {
    let to = tunnel::destination(connection);
    verdict
        .slot("upstream", target)
        .slot("service", &to)
        .slot("name", if connection.dst.workload.is_empty() { &to } else { &*connection.dst.workload })
        .token(tunnel::dialled(connection))
        .token(&to)
}

/// A plain connect or the application's accept queue that got no answer (upstream-connect-timeout).
pub fn connect_timeout(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::failed(event)?;
    let timed_out = match what {
        ConnectionWhat::App(fault) => fault.what == What::TimedOut,
        ConnectionWhat::Io(fault) => connection.hbone.is_none() && fault.what == What::TimedOut,
        _ => false,
    };
    timed_out.then_some(())?;
    let target = target(connection);
    let to = tunnel::destination(connection);
    // A service address that ztunnel passes through is unknown to it: that is no slow server.
    let unknown_vip =
        view.dump_for(event).is_some_and(|(_, dump)| tunnel::service_at(dump, tunnel::dialled(connection)).is_some())
            || connection.dst.workload.is_empty() && connection.dst.addr.as_ref().is_some_and(|addr| addr.is_class_e());
    if unknown_vip {
        return None;
    }
    Some(
        Verdict::likely(&target)
            .slot("upstream", &target)
            .slot("service", &to)
            .token(tunnel::dialled(connection))
            .token(&to)
            .because(event, "nothing answered within the time limit"),
    )
}

/// A caller dials one of ztunnel's own ports (port-conflict).
pub fn own_port_dialled(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::failed(event)?;
    let recursive = match what {
        ConnectionWhat::Recursive => true,
        ConnectionWhat::HttpStatus(503) => dials_own_port(connection) && connection.hbone.is_some(),
        _ => false,
    };
    recursive.then_some(())?;
    let port = connection.hbone.as_ref().or(connection.dst.addr.as_ref()).map_or(0, |addr| addr.port);
    Some(
        Verdict::likely("ports of ztunnel")
            .says("{from} dials port {number}, which is ztunnel's own in every pod")
            .slot("from", tunnel::source(connection))
            .slot("port", port)
            .slot("number", port)
            .token(tunnel::dialled(connection))
            .because(event, "the target is a port that ztunnel listens on itself"),
    )
}

/// ztunnel could not listen in a pod, since something in it holds the port (port-conflict).
pub fn pod_port_taken(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Cni(Cni::PodFailed { reason, .. }) = &event.fact else { return None };
    if !reason.contains("AddrInUse") {
        return None;
    }
    let address = reason.split_once("Bind(").map_or("", |(_, rest)| rest.split(", ").next().unwrap_or(""));
    let port = address.rsplit(':').next().unwrap_or("a port");
    Some(
        Verdict::certain(&format!("port {port}"))
            .slot("port", format!("port {port}"))
            .slot("number", port)
            .slot("why", "a program in the pod listens on it, and ztunnel needs it there")
            .token(port)
            .because(event, "ztunnel cannot start its proxy in the pod"),
    )
}
