//! What a ztunnel knows: its config dump (`GET :15000/config_dump`, 1.22 and later), and what `istioctl ztunnel-config`
//! prints of it as JSON or YAML, reduced to what causes ask of it.
//!
//! Unknown keys are skipped and absent ones are empty, since every minor release adds some. `istioctl ztunnel-config all`
//! prints the dump as it came; the other verbs print one list of it, re-coded (`istio/istio:
//! istioctl/pkg/writer/ztunnel/configdump`): a list that is empty in Go is `null`, and endpoints lose their status.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::cert::{self, Cert};
use crate::command;
use crate::document::{Document, Found};
use crate::event::Text;
use crate::objects::json::Parts;
use crate::sniff::{self, Format};
use crate::state::{State, ZtunnelCertificate, ZtunnelDump, ZtunnelParts, ZtunnelService, ZtunnelWorkload};
use crate::time::{self, Time};

/// Reads a document, if it is ztunnel's.
pub fn read(bytes: &[u8], found: Found<'_>) -> Option<Result<Document, String>> {
    let head = bytes.get(..sniff::HEAD_MAX).unwrap_or(bytes).trim_ascii_start();
    let mut broken = Broken::default();
    let dump = match head.first()? {
        b'{' if sniff::format(bytes, found.path) == Format::ZtunnelDump => {
            Json::read(bytes).or_else(|error| broken.dump(bytes).ok_or(error))
        }
        b'{' => return None,
        b'[' => {
            let part = Part::of_json(head).or_else(|| Part::of_command(head, found.command))?;
            part.read::<Json>(bytes).or_else(|error| broken.list(part, bytes).ok_or(error))
        }
        _ if is_yaml(head) => Yaml::read(bytes),
        _ => Part::of_yaml(head)?.read::<Yaml>(bytes),
    };
    Some(dump.map_err(|error| format!("not a ztunnel config dump: {error}")).map(|dump| {
        // What a broken dump does not show may exist all the same.
        let (dump, issued) = dump.known(is_filtered(found.command) || broken.is_met());
        let cluster = dump.cluster.clone();
        Document { cluster, taken: issued, losses: broken.told(), ..Document::of(State::Ztunnel(dump)) }
    }))
}

/// A dump that was cut off or has broken parts: what is whole in it, and how much is not.
#[derive(Default)]
struct Broken {
    read: usize,
    lost: usize,
    is_cut: bool,
}

impl Broken {
    fn is_met(&self) -> bool {
        self.is_cut || 0 < self.lost
    }

    /// What was lost, in a sentence; none where nothing was.
    fn told(&self) -> Vec<String> {
        let what = if self.is_cut { "the dump was cut off" } else { "the dump is damaged" };
        let (read, lost) = (self.read, self.lost);
        let told = || format!("{what}: {read} of its entries were read, {lost} could not be");
        self.is_met().then(told).into_iter().collect()
    }

    /// The whole entries of a dump; `None` where there are none.
    fn dump(&mut self, bytes: &[u8]) -> Option<Dump> {
        let mut dump = Dump::default();
        let parts = Parts::of(bytes.trim_ascii_start());
        for (key, value) in &parts.parts {
            match *key {
                b"workloads" => dump.workloads = Some(self.items(value)),
                b"services" => dump.services = Some(self.items(value)),
                b"policies" => dump.policies = Some(self.items(value)),
                b"certificates" => dump.certificates = Some(self.items(value)),
                b"workloadState" => dump.workload_state = Some(self.items(value)),
                b"config" => dump.config = serde_json::from_slice(value).ok(),
                b"version" => dump.version = serde_json::from_slice(value).ok(),
                _ => {}
            }
        }
        self.is_cut |= parts.end.is_none();
        (0 < self.read).then_some(dump)
    }

    /// The whole entries of a list of a dump.
    fn list(&mut self, part: Part, bytes: &[u8]) -> Option<Dump> {
        let mut dump = Dump::default();
        let bytes = bytes.trim_ascii_start();
        match part {
            Part::Workloads => dump.workloads = Some(self.items(bytes)),
            Part::Services => dump.services = Some(self.items(bytes)),
            Part::Policies => dump.policies = Some(self.items(bytes)),
            Part::Certificates => dump.certificates = Some(self.items(bytes)),
            Part::Pods => dump.workload_state = Some(self.items(bytes)),
        }
        (0 < self.read).then_some(dump)
    }

    fn items<T: DeserializeOwned>(&mut self, list: &[u8]) -> Many<T> {
        let parts = Parts::of(list);
        self.is_cut |= parts.end.is_none();
        Many(parts.parts.iter().filter_map(|(_, item)| self.one(item)).collect())
    }

    fn one<T: DeserializeOwned>(&mut self, value: &[u8]) -> Option<T> {
        let read = serde_json::from_slice(value).ok();
        *(if read.is_some() { &mut self.read } else { &mut self.lost }) += 1;
        read
    }
}

/// How a document is written.
trait Notation {
    fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String>;
}

struct Json;

impl Notation for Json {
    fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

struct Yaml;

impl Notation for Yaml {
    fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
        // The dump of a large mesh has more nodes than a reader of small files allows; it has no aliases to multiply.
        let budget = serde_saphyr::budget! {
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
            max_reader_input_bytes: None,
            max_aliases: 0,
        };
        // Its errors quote the document.
        serde_saphyr::from_slice_with_options(bytes, serde_saphyr::options! { budget: budget })
            .map_err(|_| "not the YAML that istioctl prints".to_string())
    }
}

/// Whether a document is YAML of a ztunnel, by its first bytes.
pub(crate) fn is_ztunnel_yaml(head: &[u8]) -> bool {
    is_yaml(head) || Part::of_yaml(head).is_some()
}

/// Whether YAML begins like a whole dump.
fn is_yaml(head: &[u8]) -> bool {
    let has = |wanted: &str| memchr::memmem::find(head, wanted.as_bytes()).is_some();
    let first = head.strip_prefix(b"---\n").unwrap_or(head);
    let begins = ["certificates:", "config:", "policies:", "services:", "workloads:"];
    begins.iter().any(|key| first.starts_with(key.as_bytes()))
        && ["\n- certChain:", "\n  workloadIps:", "\n  localNode:"].into_iter().any(has)
}

/// A list of the dump.
#[derive(Clone, Copy)]
enum Part {
    Workloads,
    Services,
    Policies,
    Certificates,
    Pods,
}

impl Part {
    /// Keys of a list's first item that nothing else prints together.
    const KEYS: [(Part, [&str; 2]); 5] = [
        (Part::Workloads, ["workloadIps", "protocol"]),
        (Part::Services, ["vips", "endpoints"]),
        (Part::Policies, ["scope", "action"]),
        (Part::Certificates, ["certChain", "identity"]),
        (Part::Pods, ["info", "connections"]),
    ];

    fn of_json(head: &[u8]) -> Option<Part> {
        let first = head.strip_prefix(b"[")?.trim_ascii_start();
        let keys = sniff::top_keys(first);
        let has = |key: &&str| keys.iter().any(|(known, _)| known == key);
        Part::KEYS.into_iter().find(|(_, wanted)| wanted.iter().all(has)).map(|(part, _)| part)
    }

    /// An empty list says what is empty only by its command.
    fn of_command(head: &[u8], ran: &str) -> Option<Part> {
        let is_empty = head.strip_prefix(b"[").is_some_and(|rest| rest.trim_ascii() == b"]");
        let mut words = ran.split_whitespace().skip_while(|word| !matches!(*word, "ztunnel-config" | "zc")).skip(1);
        match words.next().filter(|_| is_empty)? {
            "workload" | "workloads" | "w" => Some(Part::Workloads),
            "service" | "services" | "svc" | "s" => Some(Part::Services),
            "policy" | "policies" | "pol" | "p" => Some(Part::Policies),
            "certificate" | "certificates" | "certs" | "cert" => Some(Part::Certificates),
            "connections" | "cons" => Some(Part::Pods),
            _ => None,
        }
    }

    fn of_yaml(head: &[u8]) -> Option<Part> {
        let text = String::from_utf8_lossy(head.strip_prefix(b"---\n").unwrap_or(head).strip_prefix(b"- ")?);
        let lines = text.lines().enumerate().take_while(|(at, line)| *at == 0 || !line.starts_with('-'));
        let keys: Vec<&str> = lines
            .filter_map(|(at, line)| if at == 0 { Some(line) } else { line.strip_prefix("  ") })
            .filter_map(|line| line.split(':').next())
            .collect();
        Part::KEYS.into_iter().find(|(_, wanted)| wanted.iter().all(|key| keys.contains(key))).map(|(part, _)| part)
    }

    /// Reads this list alone.
    fn read<N: Notation>(self, bytes: &[u8]) -> Result<Dump, String> {
        let mut dump = Dump::default();
        match self {
            Part::Workloads => dump.workloads = Some(N::read(bytes)?),
            Part::Services => dump.services = Some(N::read(bytes)?),
            Part::Policies => dump.policies = Some(N::read(bytes)?),
            Part::Certificates => dump.certificates = Some(N::read(bytes)?),
            Part::Pods => dump.workload_state = Some(N::read(bytes)?),
        }
        Ok(dump)
    }
}

/// Whether a command asked for some of a list only: then what is not in it may exist.
fn is_filtered(ran: &str) -> bool {
    let filters = [
        "--workload-namespace",
        "--service-namespace",
        "--policy-namespace",
        "--workload-node",
        "--node",
        "--address",
        "--direction",
    ];
    // Newer releases take a workload's pod as well, and show what is its own.
    let of_pod = command::proxy(ran).is_some_and(|pod| !pod.contains("ztunnel"));
    ran.contains('|') || of_pod || command::option(ran, &filters).is_some()
}

/// A list; `null` where istioctl printed an empty one, and up to 1.21 a map, whose values are the same.
struct Many<T>(Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Many<T> {
        Many(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Values<T> {
            type Value = Many<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or a map")
            }
            fn visit_unit<E>(self) -> Result<Many<T>, E> {
                Ok(Many::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Many<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Many(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Many<T>, A::Error> {
                let mut list = Vec::new();
                while let Some((_, item)) = items.next_entry::<IgnoredAny, T>()? {
                    list.push(item);
                }
                Ok(Many(list))
            }
        }
        deserializer.deserialize_any(Values(PhantomData))
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Dump {
    workloads: Option<Many<Workload>>,
    services: Option<Many<Service>>,
    policies: Option<Many<Policy>>,
    certificates: Option<Many<Certificate>>,
    workload_state: Option<Many<Pod>>,
    staged_services: BTreeMap<Text, IgnoredAny>,
    config: Option<Config>,
    version: Option<Version>,
}

impl Dump {
    /// The dump as causes see it, and when its newest certificate was issued.
    fn known(self, is_filtered: bool) -> (ZtunnelDump, Option<Time>) {
        let parts = ZtunnelParts {
            workloads: self.workloads.is_some() && !is_filtered,
            services: self.services.is_some() && !is_filtered,
            policies: self.policies.is_some() && !is_filtered,
            certificates: self.certificates.is_some() && !is_filtered,
            pods: self.workload_state.is_some() && !is_filtered,
            config: self.config.is_some(),
        };
        let config = self.config.unwrap_or_default();
        let dump = ZtunnelDump {
            parts,
            network: config.network,
            cluster: config.cluster_id,
            node: config.local_node,
            xds_address: config.xds_address,
            version: self.version.unwrap_or_default().istio_version,
            workloads: listed(self.workloads, Workload::known),
            services: listed(self.services, Service::known),
            awaited: self.staged_services.into_keys().collect(),
            certificates: listed(self.certificates, Certificate::known),
            policies: listed(self.policies, Policy::known),
            pods: listed(self.workload_state, Pod::known),
        };
        let issued = dump.certificates.iter().filter_map(|known| known.valid).map(|(from, _)| from).max();
        (dump, issued)
    }
}

fn listed<T, K>(many: Option<Many<T>>, known: impl FnMut(T) -> K) -> Vec<K> {
    many.unwrap_or_default().0.into_iter().map(known).collect()
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    network: Text,
    cluster_id: Text,
    local_node: Text,
    xds_address: Text,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Version {
    istio_version: Text,
}

/// A gateway or waypoint: `<network>/<ip>` or `<namespace>/<host>`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Gateway {
    destination: Text,
}

fn destination(gateway: Option<Gateway>) -> Text {
    gateway.unwrap_or_default().destination
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Workload {
    uid: Text,
    name: Text,
    namespace: Text,
    workload_ips: Many<Text>,
    hostname: Text,
    network: Text,
    network_gateway: Option<Gateway>,
    waypoint: Option<Gateway>,
    protocol: Text,
    status: Text,
    cluster_id: Text,
    trust_domain: Text,
    service_account: Text,
    node: Text,
    network_mode: Text,
    authorization_policies: Many<Text>,
}

impl Workload {
    fn known(self) -> ZtunnelWorkload {
        ZtunnelWorkload {
            uid: self.uid,
            name: self.name,
            namespace: self.namespace,
            addresses: self.workload_ips.0,
            hostname: self.hostname,
            network: self.network,
            gateway: destination(self.network_gateway),
            waypoint: destination(self.waypoint),
            protocol: self.protocol,
            cluster: self.cluster_id,
            node: self.node,
            status: self.status,
            trust_domain: self.trust_domain,
            service_account: self.service_account,
            on_host: &*self.network_mode == "HostNetwork",
            policies: self.authorization_policies.0,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Service {
    hostname: Text,
    namespace: Text,
    vips: Many<Text>,
    ports: Option<BTreeMap<String, u16>>,
    endpoints: Option<BTreeMap<String, Endpoint>>,
    subject_alt_names: Many<Text>,
    waypoint: Option<Gateway>,
    load_balancer: Option<LoadBalancer>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Endpoint {
    workload_uid: Text,
    status: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LoadBalancer {
    mode: Text,
}

impl Service {
    fn known(self) -> ZtunnelService {
        let endpoint = |(key, endpoint): (String, Endpoint)| match &*endpoint.workload_uid {
            "" => (Text::from(key), endpoint.status),
            _ => (endpoint.workload_uid, endpoint.status),
        };
        ZtunnelService {
            hostname: self.hostname,
            namespace: self.namespace,
            vips: self.vips.0,
            ports: self.ports.unwrap_or_default().keys().filter_map(|port| port.parse().ok()).collect(),
            endpoints: self.endpoints.unwrap_or_default().into_iter().map(endpoint).collect(),
            sans: self.subject_alt_names.0,
            waypoint: destination(self.waypoint),
            lb_mode: self.load_balancer.unwrap_or_default().mode,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Policy {
    name: Text,
    namespace: Text,
    action: Text,
    scope: Text,
}

impl Policy {
    fn known(self) -> (Text, Text, Text) {
        (format!("{}/{}", self.namespace, self.name).into(), self.action, self.scope)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Certificate {
    identity: Text,
    state: Text,
    cert_chain: Many<Coded>,
    root_certs: Many<Coded>,
}

/// A certificate: base64 of its PEM block, and its dates.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Coded {
    pem: String,
    valid_from: Text,
    expiration_time: Text,
}

impl Coded {
    /// The certificate; its dates at least, where somebody took the rest out.
    fn cert(&self) -> Cert {
        let (not_before, not_after) = (instant(&self.valid_from), instant(&self.expiration_time));
        let fingerprint = || cert::blocks(self.pem.as_bytes()).into_iter().flatten().next();
        cert::parse(self.pem.as_bytes()).into_iter().next().unwrap_or_else(|| Cert {
            not_before,
            not_after,
            fingerprint: fingerprint().map(|der| cert::fingerprint(&der)).unwrap_or_default(),
            ..Cert::default()
        })
    }
}

impl Certificate {
    fn known(self) -> ZtunnelCertificate {
        let valid = |cert: &Coded| Some((instant(&cert.valid_from)?, instant(&cert.expiration_time)?));
        let valid = self.cert_chain.0.first().and_then(valid);
        let mut chain: Vec<Cert> = self.cert_chain.0.iter().map(Coded::cert).collect();
        let mut root_certs: Vec<Cert> = self.root_certs.0.iter().map(Coded::cert).collect();
        // Up to 1.23 the root was the end of the chain.
        let ends_in_root =
            chain.len() > 1 && chain.last().is_some_and(|last| last.is_ca && last.subject == last.issuer);
        if root_certs.is_empty() && ends_in_root {
            root_certs.extend(chain.pop());
        }
        let fingerprints = root_certs.iter().map(|root| root.fingerprint.clone());
        ZtunnelCertificate {
            identity: self.identity,
            state: self.state,
            valid,
            roots: fingerprints.filter(|known| !known.is_empty()).collect(),
            chain,
            root_certs,
        }
    }
}

fn instant(text: &str) -> Option<Time> {
    time::rfc3339(text.as_bytes()).map(|(at, _)| at)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Pod {
    state: Text,
    info: PodInfo,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodInfo {
    name: Text,
    namespace: Text,
}

impl Pod {
    fn known(self) -> (Text, Text) {
        (format!("{}/{}", self.info.namespace, self.info.name).into(), self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(text: &str, command: &str) -> ZtunnelDump {
        let document = read(text.as_bytes(), Found { path: "", command }).expect("ztunnel's").expect("readable");
        let Some((None, crate::event::Fact::State(state))) = document.facts.into_iter().next() else {
            panic!("a state")
        };
        let State::Ztunnel(dump) = *state else { panic!("a dump") };
        dump
    }

    #[test]
    fn a_dump_is_reduced_to_what_causes_ask() {
        let text = r#"{
            "workloads": [
                {"uid":"east//Pod/shop/pay-1","name":"pay-1","namespace":"shop","workloadIps":["10.2.0.9"],"network":"net-a",
                 "networkGateway":{"destination":"net-a/172.18.0.9","hboneMtlsPort":15008},"protocol":"HBONE","status":"Healthy",
                 "clusterId":"east","newKey":{"x":[1]}},
                {"uid":"n/SplitHorizonWorkload/x","name":"x","namespace":"shop","workloadIps":[],"clusterId":"east"}
            ],
            "services": [{"name":"pay","namespace":"shop","hostname":"pay.shop.svc.cluster.local","vips":["net-a/10.9.0.1"],
                "ports":{"80":8080,"443":0},"endpoints":{"k":{"workloadUid":"east//Pod/shop/pay-1","port":{"80":8080},"status":"Healthy"}},
                "loadBalancer":{"routingPreferences":["Network"],"mode":"Strict"}}],
            "policies": [{"name":"deny","namespace":"shop","action":"Deny","scope":"Namespace","rules":[]}],
            "certificates": [{"identity":"spiffe://cluster.local/ns/shop/sa/pay","state":"Available",
                "certChain":[{"pem":"","serialNumber":"1","validFrom":"2026-03-01T00:00:00Z","expirationTime":"2026-03-02T00:00:00Z"}],
                "rootCerts":[{"pem":"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCllXSmoKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="}]}],
            "workloadState": {"uid-1":{"state":"Pending","info":{"name":"cart-1","namespace":"shop","serviceAccount":"cart"}}},
            "config": {"network":"net-a","clusterId":"west","localNode":"node-1","proxyMode":"Shared"},
            "version": {"istioVersion":"1.28.1"}
        }"#;
        let dump = dump(text, "");
        assert_eq!((&*dump.cluster, &*dump.network, &*dump.version), ("west", "net-a", "1.28.1"));
        assert_eq!((&*dump.workloads[0].gateway, &*dump.workloads[0].cluster), ("net-a/172.18.0.9", "east"));
        assert!(dump.workloads[1].addresses.is_empty());
        assert_eq!((dump.services[0].ports.as_slice(), &*dump.services[0].lb_mode), ([443, 80].as_slice(), "Strict"));
        assert_eq!(&*dump.services[0].endpoints[0].0, "east//Pod/shop/pay-1");
        assert_eq!(dump.policies, [("shop/deny".into(), "Deny".into(), "Namespace".into())]);
        assert_eq!(dump.pods, [("shop/cart-1".into(), "Pending".into())]);
        // SHA-256 of `abc`, which stands for the certificate.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(&*dump.certificates[0].roots[0], abc);
        assert_eq!(
            dump.certificates[0].valid.map(|(_, to)| to.to_string()),
            Some("2026-03-02T00:00:00.000Z".to_string())
        );
    }

    /// What `istioctl ztunnel-config` prints of a workload, a service and a policy.
    const WORKLOADS: &str = r#"[
    {
        "uid": "cluster1//Pod/sample/helloworld-v1-86f77cd7bd-cpxhv",
        "workloadIps": [
            "10.10.0.14"
        ],
        "waypoint": {
            "destination": "sample/waypoint.sample.mesh.internal"
        },
        "protocol": "HBONE",
        "name": "helloworld-v1-86f77cd7bd-cpxhv",
        "namespace": "sample",
        "serviceAccount": "default",
        "workloadName": "helloworld-v1",
        "workloadType": "deployment",
        "canonicalName": "helloworld",
        "canonicalRevision": "v1",
        "clusterId": "cluster1",
        "locality": {},
        "node": "cluster1-worker",
        "network": "network1",
        "status": "Healthy",
        "hostname": "",
        "capacity": 1,
        "applicationTunnel": {
            "protocol": ""
        },
        "authorizationPolicies": [
            "sample/allow-sleep"
        ]
    },
    {
        "uid": "network2/SplitHorizonWorkload/istio-system/istio-eastwestgateway/172.18.7.130/sample/helloworld.sample.svc.cluster.local",
        "workloadIps": null,
        "networkGateway": {
            "destination": "network2/172.18.7.130"
        },
        "protocol": "HBONE",
        "name": "network2/SplitHorizonWorkload/istio-system/istio-eastwestgateway/172.18.7.130/sample/helloworld.sample.svc.cluster.local",
        "namespace": "sample",
        "serviceAccount": "default",
        "workloadName": "",
        "workloadType": "pod",
        "canonicalName": "",
        "canonicalRevision": "",
        "clusterId": "cluster2",
        "locality": {},
        "node": "",
        "network": "network2",
        "status": "Healthy",
        "hostname": "",
        "capacity": 2,
        "applicationTunnel": {
            "protocol": ""
        }
    }
]
"#;

    const SERVICES: &str = "- endpoints:
    cluster1//Pod/sample/helloworld-v1-86f77cd7bd-cpxhv:
      port:
        \"5000\": 5000
      service: \"\"
      workloadUid: cluster1//Pod/sample/helloworld-v1-86f77cd7bd-cpxhv
  hostname: helloworld.sample.svc.cluster.local
  ipFamilies: IPv4
  loadBalancer:
    healthPolicy: OnlyHealthy
    mode: Failover
    routingPreferences:
    - Network
  name: helloworld
  namespace: sample
  ports:
    \"5000\": 5000
  subjectAltNames:
  - spiffe://cluster.local/ns/sample/sa/default
  vips:
  - network1/10.96.37.201
- endpoints: {}
  hostname: kubernetes.default.svc.cluster.local
  ipFamilies: IPv4
  name: kubernetes
  namespace: default
  ports:
    \"443\": 6443
  vips:
  - network1/10.96.0.1
";

    #[test]
    fn a_list_alone_says_nothing_of_the_others() {
        let listed = dump(WORKLOADS, "istioctl ztunnel-config workload ztunnel-4kq8z -o json");
        assert_eq!(listed.parts, ZtunnelParts { workloads: true, ..ZtunnelParts::default() });
        assert_eq!(&*listed.workloads[0].policies, ["sample/allow-sleep".into()]);
        assert_eq!((listed.workloads[1].addresses.len(), &*listed.workloads[1].gateway), (0, "network2/172.18.7.130"));
        let listed = dump(SERVICES, "istioctl zc svc -o yaml");
        assert_eq!(listed.parts, ZtunnelParts { services: true, ..ZtunnelParts::default() });
        assert_eq!(&*listed.services[0].sans, ["spiffe://cluster.local/ns/sample/sa/default".into()]);
        assert_eq!((listed.services[1].ports.as_slice(), listed.services[1].endpoints.len()), ([443].as_slice(), 0));
        let policies =
            r#"[{"name":"allow-sleep","namespace":"sample","scope":"WorkloadSelector","action":"Allow","rules":null}]"#;
        let listed = dump(policies, "");
        assert_eq!(listed.policies, [("sample/allow-sleep".into(), "Allow".into(), "WorkloadSelector".into())]);
    }

    #[test]
    fn a_filtered_list_is_not_whole() {
        for command in [
            "istioctl ztunnel-config workloads --workload-namespace sample -o json",
            "istioctl zc workload helloworld-v1-86f77cd7bd-cpxhv.sample -o json",
            "istioctl zc workload -o json | jq '[.[] | select(.namespace == \"sample\")]'",
        ] {
            assert_eq!(dump(WORKLOADS, command).parts, ZtunnelParts::default(), "{command}");
        }
    }

    #[test]
    fn an_empty_list_is_known_by_its_command() {
        let listed = dump("[]\n", "istioctl ztunnel-config services -o json");
        assert!(listed.parts.services && listed.services.is_empty());
        assert!(read(b"[]", Found::default()).is_none());
    }

    #[test]
    fn a_whole_dump_is_read_from_yaml() {
        let listed = SERVICES.replace("workloadIps", "").lines().map(|line| format!("{line}\n")).collect::<String>();
        let text = format!(
            "certificates: []\nconfig:\n  clusterId: cluster1\n  localNode: cluster1-worker\n  network: network1\n  xdsAddress: https://istiod.istio-system.svc:15012\npolicies: []\nservices:\n{listed}stagedServices:\n  sample/late.sample.svc.cluster.local:\n    x:\n      status: Healthy\nversion:\n  istioVersion: 1.31.0\nworkloadState: {{}}\nworkloads: []\n"
        );
        let dump = dump(&text, "istioctl ztunnel-config all -o yaml");
        assert!(dump.parts.is_whole() && dump.parts.pods);
        assert_eq!((&*dump.cluster, &*dump.version, dump.services.len()), ("cluster1", "1.31.0", 2));
        assert_eq!(dump.awaited, ["sample/late.sample.svc.cluster.local".into()]);
        assert_eq!(&*dump.xds_address, "https://istiod.istio-system.svc:15012");
    }

    #[test]
    fn certificates_are_read_with_their_chain_and_roots() {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "cluster.local");
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("a root").pem();
        let leaf =
            CertificateParams::default().signed_by(&KeyPair::generate().expect("a key"), &Issuer::new(params, key));
        let coded = |pem: &str| {
            let pem = cert::encode(pem.as_bytes()).replace('\n', "");
            format!(
                r#"{{"pem":"{pem}","serialNumber":"3933","validFrom":"2026-11-21T03:37:01Z","expirationTime":"2026-11-22T03:39:01Z"}}"#
            )
        };
        let (leaf, root) = (coded(&leaf.expect("a leaf").pem()), coded(&root));
        let identity = r#""identity":"spiffe://cluster.local/ns/sample/sa/default","state":"Available""#;
        let now = dump(&format!(r#"[{{{identity},"certChain":[{leaf}],"rootCerts":[{root}]}}]"#), "");
        let then = dump(&format!(r#"[{{{identity},"certChain":[{leaf},{root}]}}]"#), "");
        assert_eq!(now.certificates, then.certificates, "up to 1.23 the root was the end of the chain");
        let known = &now.certificates[0];
        assert_eq!(&*known.root_certs[0].subject, "CN=rcgen self signed cert,O=cluster.local");
        assert_eq!(cert::verifies(&known.chain, &known.root_certs, None), Ok(()));
        let bare = dump(
            &format!(r#"[{{{identity},"certChain":[{{"validFrom":"2026-11-21T03:37:01Z"}}],"rootCerts":null}}]"#),
            "",
        );
        assert!(bare.certificates[0].chain[0].not_before.is_some() && bare.certificates[0].roots.is_empty());
    }

    #[test]
    fn what_is_no_dump_is_refused() {
        assert!(read(b"{\"a\": 1}", Found::default()).is_none());
        assert!(read(b"[{\"identity\":\"x\"}]", Found::default()).is_none());
        assert!(read(b"{\"config\":{}, \"workloads\": [", Found::default()).is_some_and(|read| read.is_err()));
    }

    #[test]
    fn a_dump_that_was_cut_or_damaged_gives_what_is_whole_and_counts_the_rest() {
        let whole = r#"{"certificates":[],"config":{"clusterId":"west","localNode":"n1"},"policies":[],"services":[],
            "workloads":[{"uid":"a","name":"a","workloadIps":["10.2.0.1"]},{"uid":"b","name":"b"},{"uid":"c","name":"c"}]}"#;
        let read = |text: &str| {
            let document = read(text.as_bytes(), Found::default()).expect("a dump").expect("readable");
            let Some((_, crate::event::Fact::State(state))) = document.facts.first() else { panic!("a state") };
            let State::Ztunnel(dump) = &**state else { panic!("a dump") };
            let names: Vec<&str> = dump.workloads.iter().map(|workload| &*workload.name).collect();
            (names.join(" "), dump.cluster.to_string(), dump.parts.workloads, document.losses.concat())
        };
        assert_eq!(read(whole), ("a b c".into(), "west".into(), true, String::new()));
        let (names, cluster, is_whole, loss) = read(&whole[..whole.len() - 12]);
        assert_eq!((&*names, &*cluster, is_whole), ("a b", "west", false));
        assert_eq!(loss, "the dump was cut off: 2 of its entries were read, 1 could not be");
        let (names, _, is_whole, loss) = read(&whole.replace("\"name\":\"b\"", "\"name\":[7]"));
        assert_eq!((&*names, is_whole), ("a c", false));
        assert_eq!(loss, "the dump is damaged: 2 of its entries were read, 1 could not be");
        let (names, ..) = read(&WORKLOADS[..WORKLOADS.len() - 20]);
        assert!(names.starts_with("helloworld-v1-86f77cd7bd-cpxhv"), "{names}");
        for end in 0..whole.len() {
            let _ = super::read(&whole.as_bytes()[..end], Found::default());
        }
    }
}
