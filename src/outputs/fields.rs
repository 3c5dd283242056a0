//! What an event says, as names and values: for records and for `explain`.

use std::fmt::Debug;
use std::time::Duration;

use meshwhy_parsers::access::Request;
use meshwhy_parsers::errors::Fault;
use meshwhy_parsers::event::{
    Addr, CertificateWhat, Cni, Fact, Network, PeerWhat, PolicyWhat, Process, Push, RefusedWhy, RemoteWhat, StreamWhat,
    Trust, Webhook,
};
use meshwhy_parsers::ztunnel::{Connection, Peer};

/// The fields of a fact, in the order in which a person reads them; empty values are left out.
pub fn fields(fact: &Fact) -> Vec<(&'static str, String)> {
    let mut fields = Fields(Vec::new());
    match fact {
        Fact::Connection(connection) => fields.connection(connection),
        Fact::Request(request) => fields.request(request),
        Fact::Stream(stream) => {
            fields.word("what", &stream.what);
            fields.addr("address", stream.address.as_ref());
            fields.text("node", stream.node.as_deref().unwrap_or(""));
            match &stream.what {
                StreamWhat::Refused(fault) | StreamWhat::Closed(fault) => fields.fault(fault),
                StreamWhat::NotReady { rejected } => fields.text("rejected", &rejected.to_string()),
                _ => {}
            }
        }
        Fact::Nack(nack) => {
            fields.text("resource_type", &nack.kind);
            fields.text("node", nack.node.as_deref().unwrap_or(""));
            fields.text("resource", nack.resource.as_deref().unwrap_or(""));
            fields.text("reason", &nack.reason);
        }
        Fact::Remote(remote) => {
            fields.word("what", &remote.what);
            fields.text("remote_cluster", &remote.cluster);
            fields.text("secret", remote.secret.as_deref().unwrap_or(""));
            match &remote.what {
                RemoteWhat::Rejected(fault) | RemoteWhat::TokenReviewFailed(fault) => fields.fault(fault),
                RemoteWhat::Watch { resource, fault } => {
                    fields.text("resource", resource);
                    fields.fault(fault);
                }
                RemoteWhat::UnknownToUs { known } => fields.text("known", &known.join(", ")),
                RemoteWhat::Waiting { name, so_far } => {
                    fields.text("name", name);
                    fields.span("so_far", Some(*so_far));
                }
                _ => {}
            }
        }
        Fact::Peer(peer) => {
            fields.word("what", &peer.what);
            fields.text("target", &peer.target);
            if let PeerWhat::Disconnected(fault) = &peer.what {
                fields.fault(fault);
            }
        }
        Fact::Certificate(certificate) => {
            fields.word("what", &certificate.what);
            fields.text("identity", certificate.identity.as_deref().unwrap_or(""));
            match &certificate.what {
                CertificateWhat::Failed(fault) | CertificateWhat::RenewalFailed(fault) => fields.fault(fault),
                CertificateWhat::Unusable(reason)
                | CertificateWhat::Refused(reason)
                | CertificateWhat::Missing(reason) => {
                    fields.text("reason", reason);
                }
                _ => {}
            }
        }
        Fact::ClientRefused(refused) => {
            fields.word("why", &refused.why);
            fields.addr("client", refused.peer.as_ref());
            fields.text("claimed_cluster", refused.cluster.as_deref().unwrap_or(""));
            match &refused.why {
                RefusedWhy::UnknownCluster { known } => fields.text("known", &known.join(", ")),
                RefusedWhy::ReviewFailed(fault) => fields.fault(fault),
                RefusedWhy::Token(reason)
                | RefusedWhy::Identity(reason)
                | RefusedWhy::Impersonation(reason)
                | RefusedWhy::Other(reason) => fields.text("reason", reason),
                _ => {}
            }
        }
        Fact::Trust(trust) => {
            fields.word("what", trust);
            match trust {
                Trust::Broken(fault) | Trust::BundleUnreachable(fault) => fields.fault(fault),
                Trust::ForeignDomain { domain, who } => {
                    fields.text("trust_domain", domain);
                    fields.text("who", who);
                }
                Trust::Domain { domain } => fields.text("trust_domain", domain),
                Trust::RootDigest { cluster, digest } => {
                    fields.text("of_cluster", cluster);
                    fields.text("digest", digest);
                }
                Trust::RootsCompared { one, other, same } => {
                    fields.text("one", one);
                    fields.text("other", other);
                    fields.word("same", same);
                }
                _ => {}
            }
        }
        Fact::Network(network) => {
            fields.word("what", network);
            match network {
                Network::ClassMissing { class, gateway } => {
                    fields.text("class", class);
                    fields.text("gateway", gateway);
                }
                Network::NoGateway(name) => fields.text("network", name),
                Network::HostnameUnresolved(text)
                | Network::GatewayPortMissing(text)
                | Network::NoLabel(text)
                | Network::SharedAddress(text)
                | Network::NoListeners(text)
                | Network::MeshNetworksInvalid(text)
                | Network::ServiceDiffers(text)
                | Network::FlagIgnored(text) => fields.text("of", text),
                _ => {}
            }
        }
        Fact::Push(push) => {
            fields.word("what", push);
            match push {
                Push::NoEndpoints { host, cluster } => {
                    fields.text("service", host);
                    fields.text("of_cluster", cluster);
                }
                Push::NewService(text) => fields.text("service", text),
                Push::ConfigChanged(text) => fields.text("resource", text),
            }
        }
        Fact::Webhook(webhook) => {
            fields.word("what", webhook);
            match webhook {
                Webhook::CallFailed { name, url, fault } => {
                    fields.text("webhook", name);
                    fields.text("url", url);
                    fields.fault(fault);
                }
                Webhook::Denied { name, reason } => {
                    fields.text("webhook", name);
                    fields.text("reason", reason);
                }
                Webhook::ServerHandshake { peer, fault } => {
                    fields.addr("client", Some(peer));
                    fields.fault(fault);
                }
                Webhook::PatchFailed(reason) => fields.text("reason", reason),
                _ => {}
            }
        }
        Fact::Cni(cni) => {
            fields.word("what", cni);
            match cni {
                Cni::PodReceived { uid, pod } => {
                    fields.text("pod", pod);
                    fields.text("uid", uid);
                }
                Cni::PodFailed { uid, reason } => {
                    fields.text("uid", uid);
                    fields.text("reason", reason);
                }
                Cni::SetupFailed { pod, fault } => {
                    fields.text("pod", pod.as_deref().unwrap_or(""));
                    fields.fault(fault);
                }
                Cni::AgentUnreachable(reason) | Cni::RulesFailed(reason) | Cni::NotRedirected(reason) => {
                    fields.text("reason", reason);
                }
                _ => {}
            }
        }
        Fact::Dns(dns) => {
            fields.text("host", &dns.host);
            fields.fault(&dns.fault);
        }
        Fact::Handshake(handshake) => {
            fields.word("side", &handshake.side);
            fields.addr("peer", handshake.peer.as_ref());
            fields.fault(&handshake.fault);
        }
        Fact::Process(process) => {
            fields.word("what", process);
            match process {
                Process::Started { version } => fields.text("version", version),
                Process::Identity { cluster, network, xds_address } => {
                    fields.text("own_cluster", cluster);
                    fields.text("network", network);
                    fields.text("xds_address", xds_address);
                }
                Process::NotReady(text)
                | Process::Died(text)
                | Process::WorkloadMissing(text)
                | Process::CrdMissing(text)
                | Process::LicenseInvalid(text)
                | Process::TokenUnsupported(text)
                | Process::Unsupported(text)
                | Process::PortTaken(text) => fields.text("reason", text),
                _ => {}
            }
        }
        Fact::Config(config) => {
            fields.word("what", &config.what);
            fields.text("resource", &config.resource);
            fields.text("reason", &config.reason);
        }
        Fact::Policy(policy) => {
            fields.word("what", &policy.what);
            fields.text("policy", policy.policy.as_deref().unwrap_or(""));
            match &policy.what {
                PolicyWhat::AuthorizerFailed(reason)
                | PolicyWhat::JwtRefused(reason)
                | PolicyWhat::JwksFailed(reason) => {
                    fields.text("reason", reason);
                }
                _ => {}
            }
        }
        Fact::Exhausted(exhausted) => {
            fields.text("what", &exhausted.what);
            fields.text("reason", &exhausted.reason);
        }
        Fact::State(state) => fields.word("document", &**state),
        Fact::User(user) => {
            for (name, value) in &user.fields {
                fields.text(name, value);
            }
        }
        Fact::Known => {}
        Fact::Opaque(opaque) => fields.text("template", &opaque.template),
    }
    fields.0
}

struct Fields(Vec<(&'static str, String)>);

impl Fields {
    fn text(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() && value != "-" {
            self.0.push((name, value.to_string()));
        }
    }

    fn word(&mut self, name: &'static str, value: &impl Debug) {
        self.0.push((name, word(value)));
    }

    fn addr(&mut self, name: &'static str, addr: Option<&Addr>) {
        if let Some(addr) = addr {
            self.0.push((name, addr.to_string()));
        }
    }

    fn span(&mut self, name: &'static str, span: Option<Duration>) {
        if let Some(span) = span {
            self.0.push((name, format!("{}ms", span.as_millis())));
        }
    }

    fn fault(&mut self, fault: &Fault) {
        self.word("fault", &fault.what);
        self.text("code", fault.code.as_deref().unwrap_or(""));
        self.addr("dialled", fault.address.as_ref());
        self.text("url", fault.url.as_deref().unwrap_or(""));
        if fault.by_peer {
            self.text("found_by", "peer");
        }
        self.text("error", &fault.text);
    }

    fn peer(&mut self, names: [&'static str; 4], peer: &Peer) {
        self.addr(names[0], peer.addr.as_ref());
        self.text(names[1], &peer.workload);
        self.text(names[2], &peer.namespace);
        self.text(names[3], &peer.identity);
    }

    fn connection(&mut self, connection: &Connection) {
        self.word("direction", &connection.direction);
        self.peer(["src", "src_workload", "src_namespace", "src_identity"], &connection.src);
        self.peer(["dst", "dst_workload", "dst_namespace", "dst_identity"], &connection.dst);
        self.addr("hbone", connection.hbone.as_ref());
        self.text("service", &connection.service);
        self.span("duration", connection.duration);
        if let Some(error) = &connection.error {
            self.word("what", &error.what);
            self.text("error", &error.text);
        }
    }

    fn request(&mut self, request: &Request) {
        self.text("method", &request.method);
        self.text("authority", &request.authority);
        self.text("path", &request.path);
        if request.code > 0 {
            self.text("code", &request.code.to_string());
        }
        let flags: Vec<&str> = request.flags.iter().map(|flag| flag.word()).collect();
        self.text("flags", &flags.join(","));
        self.text("details", &request.details);
        self.text("termination", &request.termination);
        self.text("upstream_cluster", &request.cluster.to_string());
        self.addr("upstream", request.upstream.as_ref());
        self.addr("downstream", request.downstream_remote.as_ref());
        self.text("sni", &request.sni);
        self.text("route", &request.route);
        self.text("grpc_status", request.grpc_status.as_deref().unwrap_or(""));
        self.text("request_id", &request.request_id);
        self.span("duration", request.duration);
        if let Some(fault) = &request.transport {
            self.fault(fault);
        }
    }
}

/// The name of a value's variant in words with dashes: `SyncTimedOut` is `sync-timed-out`.
pub fn word(value: &impl Debug) -> String {
    let debug = format!("{value:?}");
    let name: &str = debug.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("");
    let mut word = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.push(c.to_ascii_lowercase());
    }
    word
}

#[cfg(test)]
mod tests {
    use meshwhy_parsers::event::{Process, Remote};

    use super::*;

    #[test]
    fn a_fact_is_told_by_name_and_value_and_empty_values_are_left_out() {
        let remote = Remote { cluster: "west".into(), secret: None, what: RemoteWhat::SyncTimedOut };
        assert_eq!(
            fields(&Fact::Remote(remote)),
            [("what", "sync-timed-out".to_string()), ("remote_cluster", "west".to_string())]
        );
        assert_eq!(fields(&Fact::Process(Process::Ready)), [("what", "ready".to_string())]);
    }
}
