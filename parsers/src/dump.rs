//! ztunnel's config dump (`GET :15000/config_dump`, 1.22 and later) reduced to what causes ask of it.
//!
//! Unknown keys are skipped and absent ones are empty, since every minor release adds some. Private keys are not part of
//! a dump, and of certificates only validity and fingerprints are kept.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};

use crate::document::{Document, Found};
use crate::event::Text;
use crate::sniff::{self, Format};
use crate::state::{State, ZtunnelCertificate, ZtunnelDump, ZtunnelService, ZtunnelWorkload};
use crate::time::{self, Time};

/// Reads a config dump. What is no JSON object of a dump is an error that says where it fails.
pub fn ztunnel(reader: impl std::io::Read) -> Result<ZtunnelDump, String> {
    let dump: Dump = serde_json::from_reader(std::io::BufReader::new(reader))
        .map_err(|error| format!("not a ztunnel config dump: {error}"))?;
    if dump.config.is_none() && dump.workloads.is_none() {
        return Err("not a ztunnel config dump: neither `config` nor `workloads`".to_string());
    }
    let config = dump.config.unwrap_or_default();
    Ok(ZtunnelDump {
        network: config.network,
        cluster: config.cluster_id,
        node: config.local_node,
        version: dump.version.unwrap_or_default().istio_version,
        workloads: dump.workloads.map_or_else(Vec::new, |many| many.0).into_iter().map(Workload::known).collect(),
        services: dump.services.map_or_else(Vec::new, |many| many.0).into_iter().map(Service::known).collect(),
        certificates: dump.certificates.into_iter().map(Certificate::known).collect(),
        policies: dump.policies.map_or_else(Vec::new, |many| many.0).into_iter().map(Policy::known).collect(),
        pods: dump.workload_state.into_values().map(Pod::known).collect(),
    })
}

/// Reads a document, if it is ztunnel's.
pub fn read(bytes: &[u8], _found: Found<'_>) -> Option<Result<Document, String>> {
    if sniff::format(bytes, "") != Format::ZtunnelDump {
        return None;
    }
    Some(ztunnel(bytes).map(|dump| {
        let cluster = dump.cluster.clone();
        Document { cluster, ..Document::of(State::Ztunnel(dump)) }
    }))
}

/// A list; up to 1.21 it was a map, whose values are the same.
struct Many<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Values<T> {
            type Value = Many<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or a map")
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dump {
    workloads: Option<Many<Workload>>,
    services: Option<Many<Service>>,
    policies: Option<Many<Policy>>,
    #[serde(default)]
    certificates: Vec<Certificate>,
    #[serde(default)]
    workload_state: BTreeMap<String, Pod>,
    config: Option<Config>,
    version: Option<Version>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    network: Text,
    cluster_id: Text,
    local_node: Text,
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
    workload_ips: Vec<Text>,
    hostname: Text,
    network: Text,
    network_gateway: Option<Gateway>,
    waypoint: Option<Gateway>,
    protocol: Text,
    status: Text,
    cluster_id: Text,
    service_account: Text,
    node: Text,
}

impl Workload {
    fn known(self) -> ZtunnelWorkload {
        ZtunnelWorkload {
            uid: self.uid,
            name: self.name,
            namespace: self.namespace,
            addresses: self.workload_ips,
            hostname: self.hostname,
            network: self.network,
            gateway: destination(self.network_gateway),
            waypoint: destination(self.waypoint),
            protocol: self.protocol,
            cluster: self.cluster_id,
            node: self.node,
            status: self.status,
            service_account: self.service_account,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Service {
    hostname: Text,
    namespace: Text,
    vips: Vec<Text>,
    ports: BTreeMap<String, IgnoredAny>,
    endpoints: BTreeMap<String, Endpoint>,
    subject_alt_names: Vec<Text>,
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
            vips: self.vips,
            ports: self.ports.keys().filter_map(|port| port.parse().ok()).collect(),
            endpoints: self.endpoints.into_iter().map(endpoint).collect(),
            sans: self.subject_alt_names,
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
    cert_chain: Vec<Cert>,
    root_certs: Vec<Cert>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Cert {
    pem: String,
    valid_from: Text,
    expiration_time: Text,
}

impl Certificate {
    fn known(self) -> ZtunnelCertificate {
        let valid = |cert: &Cert| Some((instant(&cert.valid_from)?, instant(&cert.expiration_time)?));
        ZtunnelCertificate {
            identity: self.identity,
            state: self.state,
            valid: self.cert_chain.first().and_then(valid),
            roots: self.root_certs.iter().filter_map(|cert| fingerprint(&cert.pem)).collect(),
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

/// SHA-256 of the certificate in a PEM block that is itself base64-coded, as a dump carries it; a bare block is read too.
fn fingerprint(pem: &str) -> Option<Text> {
    let block = match pem.contains("-----BEGIN") {
        true => pem.to_string(),
        false => String::from_utf8(base64(pem)?).ok()?,
    };
    let (_, rest) = block.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END")?;
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(base64(body)?) {
        write!(hex, "{byte:02x}").ok()?;
    }
    Some(hex.into())
}

/// Standard base64, white space ignored.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let dump = ztunnel(text.as_bytes()).expect("a dump");
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

    #[test]
    fn what_is_no_dump_is_refused() {
        assert!(ztunnel("{\"a\": 1}".as_bytes()).is_err());
        assert!(ztunnel("{\"workloads\": [".as_bytes()).is_err());
    }

    #[test]
    fn base64_of_any_length_is_read() {
        let read = |text: &str| base64(text).and_then(|bytes| String::from_utf8(bytes).ok());
        assert_eq!(read("YWJj"), Some("abc".to_string()));
        assert_eq!(read("YWI="), Some("ab".to_string()));
        assert_eq!(read("YQ=="), Some("a".to_string()));
        assert_eq!(read("Y*=="), None);
    }
}
