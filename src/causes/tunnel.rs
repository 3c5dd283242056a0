//! Questions about a ztunnel connection that several causes ask. No cause of its own.

use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind, Process};
use meshwhy_parsers::state::{ZtunnelDump, ZtunnelService, ZtunnelWorkload};
use meshwhy_parsers::time::Time;
use meshwhy_parsers::ztunnel::{Connection, ConnectionWhat, Direction};

use crate::engine::view::View;

/// How far apart the two ends of one connection may print it: both print at its end, on two clocks.
const APART_MAX: Duration = Duration::from_secs(15);

/// Ports that ztunnel itself listens on inside a pod.
pub const OWN_PORTS: [u16; 5] = [15001, 15006, 15008, 15053, 15080];

/// A failed connection and how it failed.
pub fn failed(event: &Arc<Event>) -> Option<(&Connection, &ConnectionWhat)> {
    let Fact::Connection(connection) = &event.fact else { return None };
    Some((&**connection, &connection.error.as_ref()?.what))
}

/// A failed outbound connection.
pub fn outbound(event: &Arc<Event>) -> Option<(&Connection, &ConnectionWhat)> {
    failed(event).filter(|(connection, _)| connection.direction == Direction::Outbound)
}

/// A failed inbound connection.
pub fn inbound(event: &Arc<Event>) -> Option<(&Connection, &ConnectionWhat)> {
    failed(event).filter(|(connection, _)| connection.direction == Direction::Inbound)
}

/// Why the TCP connect of an outbound connection failed, if that is what failed.
pub fn connect_fault(what: &ConnectionWhat) -> Option<&What> {
    match what {
        ConnectionWhat::HboneTimedOut => Some(&What::TimedOut),
        ConnectionWhat::Io(fault) => match &fault.what {
            what @ (What::TimedOut | What::Refused | What::NoRoute | What::NetworkUnreachable) => Some(what),
            _ => None,
        },
        _ => None,
    }
}

/// Why the TLS handshake failed, and whether the peer said so.
pub fn tls_fault(what: &ConnectionWhat) -> Option<(&What, bool)> {
    match what {
        ConnectionWhat::Io(fault) | ConnectionWhat::H2(fault) | ConnectionWhat::TlsAccept(fault) => {
            Some((&fault.what, fault.by_peer))
        }
        _ => None,
    }
}

/// The pod, `<namespace>/<pod>`, out of the span of a ztunnel line, text or JSON; empty where there is none.
pub fn span_pod(line: &str) -> &str {
    let rest = line.split_once("{wl=").or_else(|| line.split_once("\"wl\":\"")).map_or("", |(_, rest)| rest);
    rest.split(['}', ' ', '"']).next().unwrap_or("")
}

/// The address dialled, without its port.
pub fn dialled(connection: &Connection) -> &str {
    connection.dst.addr.as_ref().map_or("", |addr| &addr.host)
}

/// The address and port dialled.
pub fn dialled_port(connection: &Connection) -> String {
    connection.dst.addr.as_ref().map_or_else(|| "unknown address".to_string(), ToString::to_string)
}

/// Whether the connection goes through a waypoint: the tunnel ends at one address, the CONNECT names another one.
pub fn to_waypoint(connection: &Connection) -> bool {
    let hbone = connection.hbone.as_ref();
    !connection.to_gateway() && hbone.is_some_and(|hbone| hbone.ip().is_some() && *hbone.host != *dialled(connection))
}

/// The destination as people name it: namespace and pod, else the service, else the address; across networks the service.
pub fn destination(connection: &Connection) -> String {
    // Behind a gateway the line names the gateway; what was called is the service.
    if connection.to_gateway() && !connection.service.is_empty() {
        return connection.service.to_string();
    }
    match (&*connection.dst.namespace, &*connection.dst.workload, &*connection.service) {
        (_, "", "") => dialled_port(connection),
        (_, "", service) => service.to_string(),
        ("", workload, _) => workload.to_string(),
        (namespace, workload, _) => format!("{namespace}/{workload}"),
    }
}

/// The source as people name it: namespace and pod, else the address.
pub fn source(connection: &Connection) -> String {
    match &*connection.src.namespace {
        "" => connection.source_name(),
        namespace => format!("{namespace}/{}", connection.source_name()),
    }
}

/// Network and address of a `NetworkGateway/<network>/<address>/<port>`, or of a gateway known by what it is asked for.
pub fn gateway(connection: &Connection) -> Option<(&str, &str)> {
    if let Some(named) = connection.dst.workload.strip_prefix("NetworkGateway/") {
        let mut parts = named.split('/');
        return Some((parts.next()?, parts.next()?));
    }
    connection.to_gateway().then(|| ("another network", dialled(connection)))
}

/// How a finding names a gateway, so that all lines about it agree.
pub fn gateway_subject(connection: &Connection) -> Option<String> {
    let (network, _) = gateway(connection)?;
    Some(format!("gateway of {network} at {}", dialled_port(connection)))
}

/// The cluster a ztunnel log belongs to: as its lines, its dump or its start-up say, else as the path does.
pub fn own_cluster(view: &View<'_>, event: &Arc<Event>) -> String {
    if let Fact::Connection(connection) = &event.fact {
        let local = if connection.direction == Direction::Outbound { &connection.src } else { &connection.dst };
        if !local.cluster.is_empty() {
            return local.cluster.to_string();
        }
    }
    if let Some((_, dump)) = view.dump_for(event).filter(|(_, dump)| !dump.cluster.is_empty()) {
        return dump.cluster.to_string();
    }
    let told = view.events(Kind::Process).find_map(|said| match &said.fact {
        Fact::Process(Process::Identity { cluster, .. }) if said.origin.file == event.origin.file => Some(&**cluster),
        _ => None,
    });
    told.filter(|cluster| !cluster.is_empty()).unwrap_or(&event.origin.cluster).to_string()
}

/// Where the far end of an outbound connection lives: its cluster, or the network behind a gateway; empty where unknown.
pub fn far_side(view: &View<'_>, event: &Arc<Event>, connection: &Connection) -> String {
    if let Some((network, _)) = gateway(connection) {
        return network.to_string();
    }
    if !connection.dst.cluster.is_empty() {
        return connection.dst.cluster.to_string();
    }
    let known = view.dump_for(event).and_then(|(_, dump)| view.workload_at(dump, dialled(connection)));
    known.map_or_else(String::new, |workload| workload.cluster.to_string())
}

/// The two ends of a connection as one name, whichever end speaks.
pub fn pair(one: &str, other: &str) -> String {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    match (first, second) {
        ("", only) => only.to_string(),
        (first, second) if first == second => first.to_string(),
        (first, second) => format!("{first} and {second}"),
    }
}

/// What the other end printed about this connection.
pub fn other_side<'w>(
    view: &View<'w>,
    event: &Arc<Event>,
    connection: &Connection,
) -> Option<(&'w Arc<Event>, &'w Connection)> {
    let fits = |other: &Connection| {
        let same_call = match (&connection.hbone, &other.hbone) {
            (Some(one), Some(two)) => one == two && connection.src.identity == other.src.identity,
            // An early deny knows addresses alone.
            _ => connection.src.addr.as_ref().map(|addr| &addr.host) == other.src.addr.as_ref().map(|addr| &addr.host),
        };
        // Across networks each end names another address; the service in the tunnel is the same.
        let across = connection.to_gateway() || other.to_gateway();
        other.direction != connection.direction
            && same_call
            && if across {
                connection.hbone.is_some() && connection.hbone == other.hbone
            } else {
                other.dst.addr == connection.dst.addr
            }
    };
    view.known(Kind::Connection).find_map(|known| {
        let Fact::Connection(other) = &known.first.fact else { return None };
        let near = near(event.at, known.first.at)
            || near(event.at, known.last.at)
            || within(event.at, known.first.at, known.last.at);
        (other.error.is_some() && near && fits(other)).then_some((&known.first, &**other))
    })
}

fn near(one: Option<Time>, other: Option<Time>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.max(other).since(one.min(other)) <= APART_MAX,
        // Undated lines keep their place; time windows do not apply to them.
        _ => true,
    }
}

fn within(at: Option<Time>, from: Option<Time>, to: Option<Time>) -> bool {
    matches!((at, from, to), (Some(at), Some(from), Some(to)) if from <= at && at <= to)
}

/// Whether pods of that cluster answer the same source when dialled at their own addresses.
pub fn reaches(view: &View<'_>, dump: &ZtunnelDump, connection: &Connection, cluster: &str) -> bool {
    let source = connection.source_name();
    let pods = dump.workloads.iter().filter(|workload| *workload.cluster == *cluster);
    pods.flat_map(|workload| &workload.addresses)
        .any(|address| view.worked(meshwhy_parsers::way_to(&source, &format!("{address}:15008"))).is_some())
}

/// The service of a dump that owns a VIP on any network, and that network.
pub fn service_at<'d>(dump: &'d ZtunnelDump, address: &str) -> Option<(&'d ZtunnelService, &'d str)> {
    dump.services.iter().find_map(|service| {
        let vip = service.vips.iter().find_map(|vip| vip.rsplit_once('/').filter(|(_, ip)| *ip == address))?;
        Some((service, vip.0))
    })
}

/// A workload of a dump by its xDS uid.
pub fn workload_by_uid<'d>(dump: &'d ZtunnelDump, uid: &str) -> Option<&'d ZtunnelWorkload> {
    dump.workloads.iter().find(|workload| *workload.uid == *uid)
}

/// The network a source sends from: its own workload's, else the one ztunnel was told.
pub fn source_network<'d>(dump: &'d ZtunnelDump, connection: &Connection) -> &'d str {
    let own = dump.workloads.iter().find(|workload| {
        *workload.name == *connection.src.workload && *workload.namespace == *connection.src.namespace
    });
    own.map_or(&dump.network, |workload| &workload.network)
}

/// A workload of a dump as a short quotation.
pub fn quote(workload: &ZtunnelWorkload) -> String {
    let gateway =
        if workload.gateway.is_empty() { String::new() } else { format!(" networkGateway={}", workload.gateway) };
    format!(
        "workload {} workloadIps=[{}] network=\"{}\" clusterId={} status={}{gateway}",
        workload.uid,
        workload.addresses.join(","),
        workload.network,
        workload.cluster,
        workload.status
    )
}
