//! What an event means for the things it speaks of: which symptom it is, and what it proves to work.

use crate::access::{ClusterName, Request};
use crate::event::{
    About, CertificateWhat, Cni, Event, Fact, Network, PeerWhat, Process, RemoteWhat, StreamWhat, Symptom, Thing,
    Trust, Webhook,
};
use crate::ztunnel::Connection;

/// See [`Event::about`].
pub(crate) fn about(event: &Event) -> About {
    let origin = &*event.origin;
    let class = || Thing::named(&[event.signature.unwrap_or("-"), &format!("{:?}", event.fact.kind())]);
    let failed = |thing: Thing, class: Thing| About { failed: Some(Symptom { thing, class }), worked: Vec::new() };
    let worked = |things: Vec<Thing>| About { failed: None, worked: things };
    match &event.fact {
        Fact::Connection(connection) => connection_about(connection),
        Fact::Request(request) => request_about(request, &origin.file),
        Fact::Worked(things) => worked(things.clone()),
        Fact::User(user) if user.enough => {
            failed(Thing::named(&["user", user.name, &user.subject]), Thing::named(&["user", user.name]))
        }
        Fact::User(_) => About::default(),
        Fact::Stream(stream) => {
            let node = stream.node.as_deref().unwrap_or("");
            let thing = Thing::named(&["stream", &origin.file, &origin.pod, node]);
            match &stream.what {
                StreamWhat::Opened | StreamWhat::Ready => worked(vec![thing]),
                StreamWhat::Ended => About::default(),
                StreamWhat::Refused(fault) | StreamWhat::Closed(fault) => {
                    failed(thing, Thing::named(&[&format!("{:?}", fault.what)]))
                }
                StreamWhat::NotReady { .. } => failed(thing, Thing::named(&["not ready"])),
            }
        }
        Fact::Remote(remote) => {
            let thing = Thing::named(&["remote", &origin.cluster, &remote.cluster]);
            match &remote.what {
                RemoteWhat::Synced | RemoteWhat::Deleted => worked(vec![thing]),
                RemoteWhat::Rejected(fault) | RemoteWhat::TokenReviewFailed(fault) => {
                    failed(thing, Thing::named(&["rejected", &format!("{:?}", fault.what)]))
                }
                RemoteWhat::Watch { fault, .. } => {
                    failed(thing, Thing::named(&["watch", &format!("{:?}", fault.what)]))
                }
                RemoteWhat::SyncTimedOut | RemoteWhat::Omitted => failed(thing, Thing::named(&["sync"])),
                RemoteWhat::Duplicate | RemoteWhat::UnknownToUs { .. } | RemoteWhat::OverwritesLocal => {
                    failed(thing, Thing::named(&["identity"]))
                }
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
                Cni::PodReceived { .. } => About::default(),
                _ => failed(thing, class()),
            }
        }
        Fact::Process(process) => match process {
            Process::Started { .. } | Process::Identity { .. } | Process::Stopping => About::default(),
            Process::Ready => worked(vec![Thing::named(&["process", &origin.file, &origin.pod])]),
            _ => failed(Thing::named(&["process", &origin.file, &origin.pod]), class()),
        },
        Fact::State(_) | Fact::Known | Fact::Opaque(_) | Fact::Push(_) => About::default(),
        Fact::Trust(Trust::SelfSigned | Trust::PluggedIn | Trust::Domain { .. } | Trust::RootDigest { .. })
        | Fact::Network(Network::GatewaysChanged)
        | Fact::Webhook(Webhook::Injected) => About::default(),
        other => failed(Thing::named(&["line", &origin.cluster, &format!("{other:?}")]), class()),
    }
}

/// The things a ztunnel connection speaks of: the destination as its source sees it.
pub fn connection_things(source: &str, destination: &str) -> Thing {
    Thing::named(&["connection", source, destination])
}

fn connection_about(connection: &Connection) -> About {
    let destination = connection.dst.addr.as_ref().map(ToString::to_string).unwrap_or_default();
    let thing = connection_things(&connection.source_name(), &destination);
    match &connection.error {
        None => About { failed: None, worked: vec![thing] },
        Some(error) => About {
            failed: Some(Symptom { thing, class: Thing::named(&[&format!("{:?}", error.what)]) }),
            worked: Vec::new(),
        },
    }
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
