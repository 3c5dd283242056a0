//! What an event means for the things it speaks of: which symptom it is, and what it proves to work.

use crate::access;
use crate::access::{ClusterName, Request};
use crate::errors::What;
use crate::event::{
    About, Addr, CertificateWhat, Cni, Event, Fact, Network, PeerWhat, Process, RefusedWhy, RemoteWhat, StreamWhat,
    Symptom, Thing, Trust, Webhook,
};
use crate::origin::Origin;
use crate::state::State;
use crate::ztunnel::{Connection, ConnectionWhat, Direction};

/// See [`Event::about`].
pub(crate) fn about(event: &Event) -> About {
    let origin = &*event.origin;
    let class = || Thing::named(&[event.signature.unwrap_or("-"), &format!("{:?}", event.fact.kind())]);
    let failed = |thing: Thing, class: Thing| About { failed: Some(Symptom { thing, class }), worked: Vec::new() };
    let worked = |things: Vec<Thing>| About { failed: None, worked: things };
    match &event.fact {
        Fact::Connection(connection) => connection_about(connection, origin),
        Fact::Request(request) => request_about(request, &origin.file),
        Fact::User(user) if user.enough => {
            failed(Thing::named(&["user", user.name, &user.subject]), Thing::named(&["user", user.name]))
        }
        Fact::User(_) => About::default(),
        Fact::Stream(stream) => {
            let node = stream.node.as_deref().unwrap_or("");
            let thing = Thing::named(&["stream", &origin.file, &origin.pod, node]);
            match &stream.what {
                StreamWhat::Opened => worked(vec![thing]),
                // A proxy that is ready has its listeners, and these wait for their certificate.
                StreamWhat::Ready => worked(vec![
                    thing,
                    Thing::named(&["certificate", &origin.file, &origin.pod, ""]),
                    Thing::named(&["process", &origin.file, &origin.pod]),
                    Thing::named(&["config", &origin.file, &origin.pod, "", "LDS"]),
                    Thing::named(&["config", &origin.file, &origin.pod, "", "CDS"]),
                ]),
                StreamWhat::Ended => About::default(),
                StreamWhat::Refused(fault) | StreamWhat::Closed(fault) => {
                    failed(thing, Thing::named(&[&format!("{:?}", fault.what)]))
                }
                StreamWhat::NotReady { .. } => failed(thing, Thing::named(&["not ready"])),
            }
        }
        Fact::Nack(nack) => {
            let node = nack.node.as_deref().unwrap_or("");
            let thing = Thing::named(&["config", &origin.file, &origin.pod, node, &nack.kind]);
            failed(thing, Thing::named(&[nack.resource.as_deref().unwrap_or(""), &nack.reason]))
        }
        Fact::Remote(remote) => {
            let thing = Thing::named(&["remote", &origin.cluster, &remote.cluster]);
            match &remote.what {
                RemoteWhat::Synced | RemoteWhat::Deleted => worked(vec![thing]),
                RemoteWhat::Rejected(fault) | RemoteWhat::TokenReviewFailed(fault) => {
                    failed(thing, Thing::named(&["rejected", &format!("{:?}", fault.what)]))
                }
                // A relist or a retried conflict is how watches work.
                RemoteWhat::Watch { fault, .. } if fault.what == What::Benign => About::default(),
                RemoteWhat::Watch { fault, .. } => {
                    failed(thing, Thing::named(&["watch", &format!("{:?}", fault.what)]))
                }
                RemoteWhat::SyncTimedOut | RemoteWhat::Omitted => failed(thing, Thing::named(&["sync"])),
                RemoteWhat::Duplicate | RemoteWhat::UnknownToUs { .. } => failed(thing, Thing::named(&["identity"])),
                _ => About::default(),
            }
        }
        Fact::Peer(peer) => {
            let thing = Thing::named(&["peer", &origin.cluster, &peer.target]);
            match &peer.what {
                PeerWhat::Connected => worked(vec![thing]),
                PeerWhat::Stopped => About::default(),
                PeerWhat::Disconnected(fault) => failed(thing, Thing::named(&[&format!("{:?}", fault.what)])),
            }
        }
        Fact::ClientRefused(refused) => {
            // Clients of one cluster are refused alike; a client that claims nothing is known by its address.
            let host = refused.peer.as_ref().map(|peer| &*peer.host).unwrap_or("");
            let who = refused.cluster.as_deref().unwrap_or(host);
            let thing = Thing::named(&["client", &origin.cluster, who]);
            match &refused.why {
                // A scanner, a probe or a plain client: nothing of the mesh fails.
                RefusedWhy::NoCredential => About::default(),
                RefusedWhy::UnknownCluster { .. } => failed(thing, Thing::named(&["unknown cluster"])),
                RefusedWhy::Token(_) => failed(thing, Thing::named(&["token"])),
                RefusedWhy::ReviewFailed(fault) => {
                    failed(thing, Thing::named(&["review", &format!("{:?}", fault.what)]))
                }
                RefusedWhy::Identity(_) => failed(thing, Thing::named(&["identity"])),
                RefusedWhy::Impersonation(_) => failed(thing, Thing::named(&["impersonation"])),
                RefusedWhy::Other(_) => failed(thing, Thing::named(&["other"])),
            }
        }
        Fact::Certificate(certificate) => {
            let who = certificate.identity.as_deref().unwrap_or("");
            let thing = Thing::named(&["certificate", &origin.file, &origin.pod, who]);
            match &certificate.what {
                CertificateWhat::Issued => worked(vec![thing]),
                CertificateWhat::Failed(fault) | CertificateWhat::RenewalFailed(fault) => {
                    failed(thing, Thing::named(&[&format!("{:?}", fault.what)]))
                }
                CertificateWhat::Unusable(_) => failed(thing, Thing::named(&["unusable"])),
                CertificateWhat::Refused(_) => failed(thing, Thing::named(&["refused"])),
                CertificateWhat::Missing(_) => failed(thing, Thing::named(&["missing"])),
            }
        }
        Fact::Cni(cni) => {
            let thing = Thing::named(&["cni", &origin.file, &origin.pod]);
            match cni {
                Cni::AgentConnected => worked(vec![thing]),
                Cni::PodReceived { .. } | Cni::NotRedirected(_) => About::default(),
                Cni::PodFailed { uid, .. } => failed(Thing::named(&["cni pod", &origin.file, uid]), class()),
                Cni::SetupFailed { pod: Some(pod), .. } => failed(Thing::named(&["cni setup", pod]), class()),
                _ => failed(thing, class()),
            }
        }
        Fact::Process(process) => match process {
            Process::Started { .. } | Process::Identity { .. } | Process::Stopping => About::default(),
            Process::Ready => worked(vec![Thing::named(&["process", &origin.file, &origin.pod])]),
            Process::WorkloadMissing(workload) => {
                failed(named_workload(workload).unwrap_or_else(|| Thing::named(&["workload", workload])), class())
            }
            _ => failed(Thing::named(&["process", &origin.file, &origin.pod]), class()),
        },
        Fact::State(state) => match &**state {
            State::CallFailed { fault, .. } => {
                // A status line and the body behind it say different things about one call.
                let details = access::sentence(&fault.text).map(|request| request.details).unwrap_or_default();
                failed(Thing::named(&["call", &origin.file]), Thing::named(&[&format!("{:?}", fault.what), &details]))
            }
            _ => About::default(),
        },
        Fact::Known | Fact::Opaque(_) | Fact::Push(_) => About::default(),
        Fact::Trust(
            Trust::SelfSigned
            | Trust::PluggedIn
            | Trust::Domain { .. }
            | Trust::RootDigest { .. }
            | Trust::RootsCompared { .. },
        )
        | Fact::Network(Network::GatewaysChanged) => About::default(),
        // An injection that works later proves the way from that API server.
        Fact::Webhook(Webhook::Injected) => worked(vec![injection(origin)]),
        Fact::Webhook(Webhook::CallFailed { name, fault, .. }) if name.contains("sidecar-injector") => {
            failed(injection(origin), Thing::named(&[name, &format!("{:?}", fault.what)]))
        }
        other => failed(Thing::named(&["line", &origin.cluster, &format!("{other:?}")]), class()),
    }
}

/// What a ztunnel connection that worked proves: the way to the destination, the call through it, that both the local pod
/// and its certificate are there.
pub fn connection_things(connection: &Connection, origin: &Origin) -> Vec<Thing> {
    let (local, identity) = match connection.direction {
        Direction::Outbound => (&connection.src, &connection.src.identity),
        Direction::Inbound => (&connection.dst, &connection.dst.identity),
    };
    let mut things = vec![call_of(connection), way_of(connection)];
    // Instead of the address that stands for a service, one of its gateways is dialled once its network is right.
    if connection.to_gateway() {
        things.push(service_way(connection));
    }
    if !local.workload.is_empty() {
        things.push(local_workload(&local.namespace, &local.workload));
    }
    if !identity.is_empty() {
        things.push(Thing::named(&["certificate", &origin.file, &origin.pod, identity]));
    }
    things
}

/// The way from a source to an address: what a time-out, a refusal or a failed handshake breaks. What has an address of
/// 240.0.0.0/4 is no host, and nobody ever reaches it there: that way leads to the service, by whatever address.
fn way_of(connection: &Connection) -> Thing {
    if connection.dst.addr.as_ref().is_some_and(Addr::is_class_e) && !connection.service.is_empty() {
        return service_way(connection);
    }
    let to = connection.dst.addr.as_ref().map(ToString::to_string).unwrap_or_default();
    way_to(&connection.source_name(), &to)
}

/// The way from a source, as [`Connection::source_name`] names it, to `<address>:<port>`.
pub fn way_to(source: &str, to: &str) -> Thing {
    Thing::named(&["way", source, to])
}

/// The way from a source to a service.
fn service_way(connection: &Connection) -> Thing {
    Thing::named(&["service way", &connection.source_name(), &connection.service])
}

/// The call through a tunnel: what a policy, the application or a gateway refuses while the tunnel itself is well.
fn call_of(connection: &Connection) -> Thing {
    let to = connection.dst.addr.as_ref().map(ToString::to_string).unwrap_or_default();
    let inside = connection.hbone.as_ref().map(ToString::to_string).unwrap_or_default();
    Thing::named(&["call", &connection.source_name(), &to, &inside])
}

/// A pod as its own ztunnel knows it.
fn local_workload(namespace: &str, pod: &str) -> Thing {
    Thing::named(&["local workload", namespace, pod])
}

/// The pod of `<service account>.<namespace> (<pod>)`.
fn named_workload(text: &str) -> Option<Thing> {
    let (account, pod) = text.strip_suffix(')')?.split_once(" (")?;
    let (_, namespace) = account.split_once('.')?;
    Some(local_workload(namespace, pod))
}

/// The way from a cluster's API server to its injection webhook.
fn injection(origin: &Origin) -> Thing {
    Thing::named(&["injection", &origin.cluster])
}

fn connection_about(connection: &Connection, origin: &Origin) -> About {
    let Some(error) = &connection.error else {
        return About { failed: None, worked: connection_things(connection, origin) };
    };
    let (thing, class) = match &error.what {
        // Planned, or somebody knocking who is no mesh client: nothing failed.
        ConnectionWhat::Drained | ConnectionWhat::NotConnect(_) | ConnectionWhat::Copy(_) => return About::default(),
        ConnectionWhat::TlsAccept(fault) if is_knock(&fault.what) => return About::default(),
        ConnectionWhat::HboneTimedOut => (way_of(connection), "timed out".to_string()),
        ConnectionWhat::Io(fault) => (way_of(connection), format!("{:?}", fault.what)),
        ConnectionWhat::H2(fault) => (way_of(connection), format!("h2 {:?}", fault.what)),
        ConnectionWhat::TlsAccept(fault) => (way_of(connection), format!("tls {:?}", fault.what)),
        ConnectionWhat::UnknownLocalWorkload(workload) => {
            (named_workload(workload).unwrap_or_else(|| call_of(connection)), "unknown workload".to_string())
        }
        ConnectionWhat::Identity(fault) | ConnectionWhat::Signing(fault) => {
            let unknown =
                fault.text.split_once("workload is unknown: ").and_then(|(_, workload)| named_workload(workload));
            (unknown.unwrap_or_else(|| call_of(connection)), format!("identity {:?}", fault.what))
        }
        other => (call_of(connection), format!("{other:?}")),
    };
    About { failed: Some(Symptom { thing, class: Thing::named(&[&class]) }), worked: Vec::new() }
}

/// Whether an inbound handshake failed because of a port scan, a health check or a client that is no mesh client.
fn is_knock(what: &What) -> bool {
    matches!(what, What::NotTls | What::Cut | What::NoCertificate | What::TlsPolicy | What::TimedOut | What::Benign)
}

/// The things an Envoy request speaks of: the upstream host and the upstream cluster, as this proxy sees them.
pub fn request_things(file: &str, upstream: &str, cluster: &str) -> Vec<Thing> {
    let mut things = Vec::new();
    if upstream != "-" && !upstream.is_empty() {
        things.push(Thing::named(&["upstream", file, upstream]));
    }
    if cluster != "-" && !cluster.is_empty() {
        things.push(Thing::named(&["cluster", file, cluster]));
    }
    things
}

fn request_about(request: &Request, file: &str) -> About {
    let upstream = request.upstream.as_ref().map(ToString::to_string).unwrap_or_default();
    let cluster = match &request.cluster {
        ClusterName::None => String::new(),
        name => name.to_string(),
    };
    let things = request_things(file, &upstream, &cluster);
    if !request.is_failure() {
        return About { failed: None, worked: things };
    }
    let thing = match things.first() {
        Some(thing) if request.is_over_once_it_works() => *thing,
        _ => Thing::named(&["call", file, &cluster, &request.authority, &request.route]),
    };
    let class = Thing::named(&[
        &format!("{:?}", request.flags),
        &request.details,
        &request.code.to_string(),
        &format!("{:?}", request.transport.as_ref().map(|fault| &fault.what)),
    ]);
    About { failed: Some(Symptom { thing, class }), worked: Vec::new() }
}
