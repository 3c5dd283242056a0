//! Ambient workloads and services as an istiod knows them: `/debug/ambientz` (1.23 and later) and `/debug/config_dump` of
//! a ztunnel (`istio/istio: pilot/pkg/xds/debug.go`, `pkg/workloadapi/workload.proto`).
//!
//! They are put into the shape of a ztunnel's own dump, so that both can be compared word by word.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess};

use super::Body;
use super::lenient::{Each, Fields, Known, Object, TakeField, drive, lax};
use crate::cert;
use crate::event::Text;
use crate::state::istiod::Said;
use crate::state::{ZtunnelService, ZtunnelWorkload};

/// `/debug/ambientz`, and a list of `istio.workload.Address`.
pub(super) fn ambientz(bytes: &[u8], body: &mut Body) {
    let mut index = Index::default();
    let read = drive(bytes, Object(&mut index));
    body.ended(read, index.workloads.len() + index.services.len());
    body.say(index.said());
}

#[derive(Default)]
struct Index {
    workloads: Vec<ZtunnelWorkload>,
    services: Vec<ZtunnelService>,
    policies: Vec<(Text, Text, Text)>,
    /// Workload uids and states by service: a workload names its services, a dump lists them the other way round.
    endpoints: BTreeMap<Text, Vec<(Text, Text)>>,
}

impl TakeField for Index {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
        match key {
            "workloads" => fields.next_value_seed(Each(&mut |Known(workload)| self.workload(workload))),
            "services" => fields.next_value_seed(Each(&mut |Known(service): Known<Service>| {
                self.services.push(service.known());
            })),
            "policies" => fields.next_value_seed(Each(&mut |Known(policy): Known<Policy>| {
                self.policies.push(policy.known());
            })),
            "configs" => fields.next_value_seed(Each(&mut |Known(address): Known<Address>| {
                let Known(workload) = address.workload;
                let Known(service) = address.service;
                if !workload.uid.is_empty() {
                    self.workload(workload);
                }
                if !service.hostname.is_empty() {
                    self.services.push(service.known());
                }
            })),
            _ => fields.next_value::<IgnoredAny>().map(|_| ()),
        }
    }
}

impl Index {
    fn workload(&mut self, mut workload: Workload) {
        let services = std::mem::take(&mut workload.services);
        let workload = workload.known();
        for (service, _) in services.0 {
            self.endpoints.entry(service).or_default().push((workload.uid.clone(), workload.status.clone()));
        }
        self.workloads.push(workload);
    }

    fn said(mut self) -> Said {
        for service in &mut self.services {
            let key = Text::from(format!("{}/{}", service.namespace, service.hostname));
            service.endpoints = self.endpoints.remove(&key).unwrap_or_default();
        }
        Said::Ambient { workloads: self.workloads, services: self.services, policies: self.policies }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Address {
    #[serde(deserialize_with = "lax")]
    workload: Known<Workload>,
    #[serde(deserialize_with = "lax")]
    service: Known<Service>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Workload {
    #[serde(deserialize_with = "lax")]
    uid: Text,
    #[serde(deserialize_with = "lax")]
    name: Text,
    #[serde(deserialize_with = "lax")]
    namespace: Text,
    #[serde(deserialize_with = "lax")]
    addresses: Vec<Text>,
    #[serde(deserialize_with = "lax")]
    hostname: Text,
    #[serde(deserialize_with = "lax")]
    network: Text,
    #[serde(deserialize_with = "lax", alias = "tunnel_protocol")]
    tunnel_protocol: Text,
    #[serde(deserialize_with = "lax", alias = "trust_domain")]
    trust_domain: Text,
    #[serde(deserialize_with = "lax", alias = "service_account")]
    service_account: Text,
    #[serde(deserialize_with = "lax", alias = "network_mode")]
    network_mode: Text,
    #[serde(deserialize_with = "lax", alias = "authorization_policies")]
    authorization_policies: Vec<Text>,
    #[serde(deserialize_with = "lax")]
    waypoint: Known<GatewayAddress>,
    #[serde(deserialize_with = "lax", alias = "network_gateway")]
    network_gateway: Known<GatewayAddress>,
    #[serde(deserialize_with = "lax")]
    node: Text,
    #[serde(deserialize_with = "lax")]
    status: Text,
    #[serde(deserialize_with = "lax", alias = "cluster_id")]
    cluster_id: Text,
    #[serde(deserialize_with = "lax")]
    services: Fields<()>,
}

impl Workload {
    fn known(self) -> ZtunnelWorkload {
        let Known(gateway) = self.network_gateway;
        let Known(waypoint) = self.waypoint;
        ZtunnelWorkload {
            uid: self.uid,
            name: self.name,
            namespace: self.namespace,
            addresses: self.addresses.iter().map(|address| plain_address(address)).collect(),
            hostname: self.hostname,
            network: self.network,
            gateway: gateway.destination(),
            waypoint: waypoint.destination(),
            protocol: if &*self.tunnel_protocol == "HBONE" { "HBONE" } else { "TCP" }.into(),
            cluster: self.cluster_id,
            node: self.node,
            trust_domain: self.trust_domain,
            on_host: &*self.network_mode == "HOST_NETWORK",
            policies: self.authorization_policies,
            status: if &*self.status == "UNHEALTHY" { "Unhealthy" } else { "Healthy" }.into(),
            service_account: if self.service_account.is_empty() { "default".into() } else { self.service_account },
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct GatewayAddress {
    #[serde(deserialize_with = "lax")]
    hostname: Known<NamespacedHostname>,
    #[serde(deserialize_with = "lax")]
    address: Known<NetworkAddress>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NamespacedHostname {
    #[serde(deserialize_with = "lax")]
    namespace: Text,
    #[serde(deserialize_with = "lax")]
    hostname: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NetworkAddress {
    #[serde(deserialize_with = "lax")]
    network: Text,
    #[serde(deserialize_with = "lax")]
    address: Text,
}

impl NetworkAddress {
    fn known(&self) -> Text {
        format!("{}/{}", self.network, plain_address(&self.address)).into()
    }
}

impl GatewayAddress {
    /// `<network>/<ip>` or `<namespace>/<host>`; empty where it names neither.
    fn destination(&self) -> Text {
        let (Known(name), Known(address)) = (&self.hostname, &self.address);
        match () {
            () if !name.hostname.is_empty() => format!("{}/{}", name.namespace, name.hostname).into(),
            () if !address.address.is_empty() => address.known(),
            () => Text::default(),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Service {
    #[serde(deserialize_with = "lax")]
    namespace: Text,
    #[serde(deserialize_with = "lax")]
    hostname: Text,
    #[serde(deserialize_with = "lax")]
    addresses: Vec<Known<NetworkAddress>>,
    #[serde(deserialize_with = "lax")]
    ports: Vec<Known<Port>>,
    #[serde(deserialize_with = "lax", alias = "subject_alt_names")]
    subject_alt_names: Vec<Text>,
    #[serde(deserialize_with = "lax")]
    waypoint: Known<GatewayAddress>,
    #[serde(deserialize_with = "lax", alias = "load_balancing")]
    load_balancing: Known<LoadBalancing>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Port {
    #[serde(deserialize_with = "lax", alias = "service_port")]
    service_port: u16,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LoadBalancing {
    #[serde(deserialize_with = "lax")]
    mode: Text,
}

impl Service {
    fn known(self) -> ZtunnelService {
        let Known(waypoint) = self.waypoint;
        let Known(balancing) = self.load_balancing;
        ZtunnelService {
            hostname: self.hostname,
            namespace: self.namespace,
            vips: self.addresses.iter().map(|Known(address)| address.known()).collect(),
            ports: self.ports.into_iter().map(|Known(port)| port.service_port).collect(),
            endpoints: Vec::new(),
            sans: self.subject_alt_names,
            waypoint: waypoint.destination(),
            lb_mode: camel(&balancing.mode),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Policy {
    #[serde(deserialize_with = "lax")]
    name: Text,
    #[serde(deserialize_with = "lax")]
    namespace: Text,
    #[serde(deserialize_with = "lax")]
    scope: Text,
    #[serde(deserialize_with = "lax")]
    action: Text,
}

impl Policy {
    /// The zero values are not printed.
    fn known(self) -> (Text, Text, Text) {
        let or = |value: &str, zero: &str| if value.is_empty() { zero.into() } else { camel(value) };
        let name = format!("{}/{}", self.namespace, self.name);
        (name.into(), or(&self.action, "Allow"), or(&self.scope, "Global"))
    }
}

/// `WORKLOAD_SELECTOR` as a ztunnel dump spells it: `WorkloadSelector`.
fn camel(word: &str) -> Text {
    let parts = word.split('_').filter(|part| !part.is_empty());
    let spelled = parts.map(|part| {
        let (first, rest) = part.split_at(part.chars().next().map_or(0, char::len_utf8));
        format!("{first}{}", rest.to_ascii_lowercase())
    });
    spelled.collect::<String>().into()
}

/// An address in base64: of its text in `ambientz`, of its bytes in a `config_dump`. What is neither stays as written.
fn plain_address(coded: &str) -> Text {
    let Some(bytes) = cert::base64(coded.as_bytes()) else { return coded.into() };
    let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse::<IpAddr>().ok());
    let raw = || match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes.as_slice()).ok().map(|v4| IpAddr::V4(Ipv4Addr::from(v4))),
        16 => <[u8; 16]>::try_from(bytes.as_slice()).ok().map(|v6| IpAddr::V6(Ipv6Addr::from(v6))),
        _ => None,
    };
    match text.or_else(raw) {
        Some(address) => address.to_string().into(),
        None => coded.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::said;
    use super::*;

    #[test]
    fn ambientz_is_put_into_the_shape_of_a_ztunnel_dump() {
        let text = r#"{"workloads":[
            {"uid":"west//Pod/shop/cart-v2-7f","name":"cart-v2-7f","namespace":"shop","addresses":["MTAuMTAuMC4xMQ=="],
             "network":"net-west","tunnelProtocol":"HBONE","trustDomain":"cluster.local","serviceAccount":"cart",
             "waypoint":{"hostname":{"namespace":"shop","hostname":"waypoint.shop.svc.cluster.local"},"hboneMtlsPort":15008},
             "networkGateway":{"address":{"network":"net-west","address":"MTcyLjE4LjAuOQ=="},"hboneMtlsPort":15008},
             "node":"node-2","canonicalName":"cart","canonicalRevision":"v2","workloadType":"POD","workloadName":"cart-v2",
             "clusterId":"west","services":{"shop/cart.shop.svc.cluster.local":{"ports":[{"servicePort":5000,"targetPort":5000}]}},
             "locality":{"region":"eu-west1"}},
            {"uid":"west//Pod/shop/plain-1","name":"plain-1","namespace":"shop","addresses":["ZmQwMDo6MTE="],"status":"UNHEALTHY","clusterId":"west"}],
          "services":[{"name":"cart","namespace":"shop","hostname":"cart.shop.svc.cluster.local",
             "addresses":[{"network":"net-west","address":"MTAuOTcuMy40"}],"ports":[{"servicePort":5000,"targetPort":5000}],
             "subjectAltNames":["spiffe://cluster.local/ns/shop/sa/cart"],"loadBalancing":{"routingPreference":["NETWORK"],"mode":"FAILOVER"}}],
          "policies":[{"name":"deny","namespace":"shop","scope":"WORKLOAD_SELECTOR","action":"DENY"},{"name":"all","namespace":"istio-system"}]}"#;
        let read = said("ambientz", text);
        let [(_, Said::Ambient { workloads, services, policies })] = read.as_slice() else { panic!("{read:?}") };
        let cart = &workloads[0];
        assert_eq!((cart.addresses[0].as_ref(), cart.gateway.as_ref()), ("10.10.0.11", "net-west/172.18.0.9"));
        assert_eq!((cart.waypoint.as_ref(), cart.protocol.as_ref()), ("shop/waypoint.shop.svc.cluster.local", "HBONE"));
        let plain = &workloads[1];
        assert_eq!(
            (plain.addresses[0].as_ref(), plain.protocol.as_ref(), plain.status.as_ref()),
            ("fd00::11", "TCP", "Unhealthy")
        );
        assert_eq!(plain.service_account.as_ref(), "default");
        assert_eq!((services[0].vips[0].as_ref(), services[0].ports.as_slice()), ("net-west/10.97.3.4", &[5000][..]));
        assert_eq!(services[0].endpoints, [("west//Pod/shop/cart-v2-7f".into(), "Healthy".into())]);
        assert_eq!(services[0].lb_mode.as_ref(), "Failover");
        let policy = |at: usize| (policies[at].0.as_ref(), policies[at].1.as_ref(), policies[at].2.as_ref());
        assert_eq!(policy(0), ("shop/deny", "Deny", "WorkloadSelector"));
        assert_eq!(policy(1), ("istio-system/all", "Allow", "Global"));
    }

    #[test]
    fn what_istiod_would_send_a_ztunnel_has_addresses_as_bytes() {
        let text = r#"{"configs":[
            {"@type":"type.googleapis.com/istio.workload.Address","workload":{"uid":"west//Pod/shop/cart-1","name":"cart-1",
              "addresses":["CgoACw=="],"clusterId":"west"}},
            {"@type":"type.googleapis.com/istio.workload.Address","service":{"name":"cart","namespace":"shop",
              "hostname":"cart.shop.svc.cluster.local","addresses":[{"network":"","address":"CmEDBA=="}]}}]}"#;
        let read = said("config_dump", text);
        let [(_, Said::Ambient { workloads, services, .. })] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!(workloads[0].addresses[0].as_ref(), "10.10.0.11");
        assert_eq!(services[0].vips[0].as_ref(), "/10.97.3.4");
    }

    #[test]
    fn an_address_that_is_none_stays_as_written() {
        for odd in ["10.0.0.1", "not base64!", "YWJj", ""] {
            assert_eq!(plain_address(odd).as_ref(), odd);
        }
    }
}
