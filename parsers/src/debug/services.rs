//! Clusters, services, endpoints and gateways as an istiod knows them: `/debug/clusterz`, `/debug/endpointShardz`,
//! `/debug/endpointz`, `/debug/registryz`, `/debug/networkz`, `/debug/pushcontext`, `/debug/push_status`, `/debug/mcsz`,
//! `/debug/ndsz`, `/debug/krtz` (`istio/istio: pilot/pkg/xds/debug.go`, `pilot/pkg/model/`, `pkg/kube/multicluster/`).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess};

use super::Body;
use super::lenient::{Each, Fields, Known, Lax, Object, TakeField, drive, lax};
use crate::event::Text;
use crate::state::istiod::{
    McsService, NetworkGateway, PushProblem, RegistryService, RemoteRow, Said, Shard, ShardEndpoint,
};

/// `/debug/clusterz`. The row without a secret is the local cluster (1.22 and later).
pub(super) fn clusterz(bytes: &[u8], body: &mut Body) {
    let mut rows = Vec::new();
    let read = drive(bytes, Each(&mut |Known(row): Known<Cluster>| rows.push(row.known())));
    body.ended(read, rows.len());
    let mut local = rows.iter().filter(|row| row.secret.is_empty());
    if let (Some(row), None) = (local.next(), local.next()) {
        body.is_of(&row.id);
    }
    body.say(Said::Clusters(rows));
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Cluster {
    #[serde(deserialize_with = "lax")]
    id: Text,
    #[serde(deserialize_with = "lax")]
    secret_name: Text,
    #[serde(deserialize_with = "lax")]
    sync_status: Text,
}

impl Cluster {
    fn known(self) -> RemoteRow {
        RemoteRow { id: self.id, secret: self.secret_name, status: self.sync_status }
    }
}

/// `/debug/endpointShardz`: host, namespace, `Shards`, `<provider>/<cluster>`, endpoints.
pub(super) fn shards(bytes: &[u8], body: &mut Body) {
    let mut found = Vec::new();
    let read = drive(bytes, Object(&mut Hosts(&mut found)));
    body.ended(read, found.len());
    body.say(Said::Shards(found));
}

struct Hosts<'a>(&'a mut Vec<Shard>);

impl TakeField for Hosts<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, host: &str, fields: &mut A) -> Result<(), A::Error> {
        fields.next_value_seed(Object(&mut Namespaces { host, found: self.0 }))
    }
}

struct Namespaces<'a> {
    host: &'a str,
    found: &'a mut Vec<Shard>,
}

impl TakeField for Namespaces<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, namespace: &str, fields: &mut A) -> Result<(), A::Error> {
        fields.next_value_seed(Object(&mut OfService { host: self.host, namespace, found: self.found }))
    }
}

struct OfService<'a> {
    host: &'a str,
    namespace: &'a str,
    found: &'a mut Vec<Shard>,
}

impl TakeField for OfService<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
        match key {
            "Shards" => fields.next_value_seed(Object(&mut Registries(self))),
            _ => fields.next_value::<IgnoredAny>().map(|_| ()),
        }
    }
}

struct Registries<'a, 'b>(&'a mut OfService<'b>);

impl TakeField for Registries<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
        let (provider, cluster) = key.split_once('/').unwrap_or(("", key));
        let mut shard = Shard {
            host: self.0.host.into(),
            namespace: self.0.namespace.into(),
            provider: provider.into(),
            cluster: cluster.into(),
            endpoints: Vec::new(),
        };
        let read = fields.next_value_seed(Each(&mut |Known(endpoint): Known<Endpoint>| {
            shard.endpoints.push(endpoint.known());
        }));
        self.0.found.push(shard);
        read
    }
}

/// `IstioEndpoint`.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Endpoint {
    #[serde(deserialize_with = "lax")]
    labels: Fields<Text>,
    /// Up to 1.23.
    #[serde(deserialize_with = "lax")]
    address: Text,
    /// 1.24 and later.
    #[serde(deserialize_with = "lax")]
    addresses: Vec<Text>,
    #[serde(deserialize_with = "lax")]
    service_port_name: Text,
    #[serde(deserialize_with = "lax")]
    service_account: Text,
    #[serde(deserialize_with = "lax")]
    network: Text,
    #[serde(deserialize_with = "lax")]
    locality: Known<Locality>,
    #[serde(deserialize_with = "lax")]
    endpoint_port: u16,
    #[serde(rename = "TLSMode", deserialize_with = "lax")]
    tls_mode: Text,
    #[serde(deserialize_with = "lax")]
    namespace: Text,
    #[serde(deserialize_with = "lax")]
    workload_name: Text,
    #[serde(deserialize_with = "lax")]
    health_status: u64,
    #[serde(deserialize_with = "lax")]
    node_name: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Locality {
    #[serde(rename = "Label", deserialize_with = "lax")]
    label: Text,
    #[serde(rename = "ClusterID", deserialize_with = "lax")]
    cluster: Text,
}

impl Endpoint {
    fn known(self) -> ShardEndpoint {
        let Known(locality) = self.locality;
        let addresses = match &*self.address {
            "" => self.addresses,
            _ => vec![self.address],
        };
        ShardEndpoint {
            addresses,
            port: self.endpoint_port,
            port_name: self.service_port_name,
            network: self.network,
            workload: self.workload_name,
            namespace: self.namespace,
            service_account: self.service_account,
            tls_mode: self.tls_mode,
            // 1 healthy, 2 unhealthy, 3 draining, 4 terminating; it was not set before 1.14.
            healthy: self.health_status <= 1,
            locality: locality.label,
            node: self.node_name,
            labels: self.labels.0.into_iter().collect(),
        }
    }
}

/// `/debug/endpointz` up to 1.16: a list of `{"svc":"<host>:<port name>","ep":[{"Endpoint":{...}}]}`.
pub(super) fn endpointz(bytes: &[u8], body: &mut Body) {
    let mut found: BTreeMap<(Text, Text), Shard> = BTreeMap::new();
    let mut count = 0;
    let read = drive(
        bytes,
        Each(&mut |Known(entry): Known<OfPort>| {
            count += 1;
            let host = entry.svc.rsplit_once(':').map_or(&*entry.svc, |(host, _)| host);
            for Known(instance) in entry.ep {
                let Known(endpoint) = instance.endpoint;
                let Known(locality) = &endpoint.locality;
                let shard = found.entry((host.into(), locality.cluster.clone())).or_insert_with(|| Shard {
                    host: host.into(),
                    cluster: locality.cluster.clone(),
                    ..Shard::default()
                });
                let endpoint = endpoint.known();
                // The service's namespace is not told; Kubernetes services live with their workloads.
                shard.namespace.clone_from(&endpoint.namespace);
                shard.endpoints.push(endpoint);
            }
        }),
    );
    body.ended(read, count);
    body.say(Said::Shards(found.into_values().collect()));
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OfPort {
    #[serde(deserialize_with = "lax")]
    svc: Text,
    #[serde(deserialize_with = "lax")]
    ep: Vec<Known<Instance>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Instance {
    #[serde(rename = "Endpoint", deserialize_with = "lax")]
    endpoint: Known<Endpoint>,
}

/// `/debug/registryz`.
pub(super) fn registryz(bytes: &[u8], body: &mut Body) {
    let mut rows = Vec::new();
    let read = drive(bytes, Each(&mut |Known(service): Known<Service>| rows.push(service.known())));
    body.ended(read, rows.len());
    body.say(Said::Services(rows));
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Service {
    #[serde(rename = "Attributes", deserialize_with = "lax")]
    attributes: Known<Attributes>,
    #[serde(deserialize_with = "lax")]
    ports: Vec<Known<Port>>,
    #[serde(deserialize_with = "lax")]
    hostname: Text,
    #[serde(rename = "clusterVIPs", deserialize_with = "lax")]
    cluster_vips: Known<Addresses>,
    #[serde(deserialize_with = "lax")]
    default_address: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Attributes {
    #[serde(deserialize_with = "lax")]
    service_registry: Text,
    #[serde(deserialize_with = "lax")]
    namespace: Text,
    #[serde(deserialize_with = "lax")]
    labels: Fields<Text>,
    #[serde(deserialize_with = "lax")]
    label_selectors: Fields<Text>,
    #[serde(deserialize_with = "lax")]
    cluster_external_addresses: Known<Addresses>,
    #[serde(rename = "Type", deserialize_with = "lax")]
    kind: Text,
}

/// Addresses by cluster.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Addresses {
    #[serde(deserialize_with = "lax")]
    addresses: Fields<Vec<Text>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Port {
    #[serde(deserialize_with = "lax")]
    name: Text,
    #[serde(deserialize_with = "lax")]
    port: u16,
    #[serde(deserialize_with = "lax")]
    protocol: Text,
}

impl Service {
    fn known(self) -> RegistryService {
        let Known(attributes) = self.attributes;
        let Known(vips) = self.cluster_vips;
        let Known(external) = attributes.cluster_external_addresses;
        RegistryService {
            host: self.hostname,
            namespace: attributes.namespace,
            registry: attributes.service_registry,
            kind: attributes.kind,
            labels: attributes.labels.0.into_iter().collect(),
            selector: attributes.label_selectors.0.into_iter().collect(),
            ports: self.ports.into_iter().map(|Known(port)| (port.port, port.name, port.protocol)).collect(),
            vips: vips.addresses.0,
            external: external.addresses.0,
            default_address: self.default_address,
        }
    }
}

/// `/debug/networkz`.
pub(super) fn networkz(bytes: &[u8], body: &mut Body) {
    let mut rows = Vec::new();
    let read = drive(bytes, Each(&mut |Known(gateway): Known<Gateway>| rows.push(gateway.known())));
    body.ended(read, rows.len());
    body.say(Said::NetworkGateways(rows));
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Gateway {
    #[serde(deserialize_with = "lax")]
    network: Text,
    #[serde(deserialize_with = "lax")]
    cluster: Text,
    #[serde(deserialize_with = "lax")]
    addr: Text,
    #[serde(deserialize_with = "lax")]
    port: u16,
    /// 1.23 and later.
    #[serde(rename = "HBONEPort", deserialize_with = "lax")]
    hbone_port: u16,
}

impl Gateway {
    fn known(self) -> NetworkGateway {
        NetworkGateway {
            network: self.network,
            cluster: self.cluster,
            address: self.addr,
            port: self.port,
            hbone_port: self.hbone_port,
        }
    }
}

/// `/debug/pushcontext`: the gateways, and before they are resolved.
pub(super) fn pushcontext(bytes: &[u8], body: &mut Body) {
    #[derive(Default)]
    struct Gateways {
        resolved: Option<Vec<NetworkGateway>>,
        unresolved: Option<Vec<NetworkGateway>>,
    }
    impl TakeField for Gateways {
        fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
            let list = match key {
                "NetworkGateways" => self.resolved.insert(Vec::new()),
                "UnresolvedGateways" => self.unresolved.insert(Vec::new()),
                _ => return fields.next_value::<IgnoredAny>().map(|_| ()),
            };
            fields.next_value_seed(Each(&mut |Known(gateway): Known<Gateway>| list.push(gateway.known())))
        }
    }
    let mut gateways = Gateways::default();
    let read = drive(bytes, Object(&mut gateways));
    body.ended(read, usize::from(gateways.resolved.is_some()) + usize::from(gateways.unresolved.is_some()));
    if let Some(list) = gateways.resolved {
        body.say(Said::NetworkGateways(list));
    }
    if let Some(list) = gateways.unresolved {
        body.say(Said::UnresolvedGateways(list));
    }
}

/// `/debug/push_status`: by metric and by what it is about.
pub(super) fn push_status(bytes: &[u8], body: &mut Body) {
    struct Metrics(Vec<PushProblem>);
    impl TakeField for Metrics {
        fn field<'de, A: MapAccess<'de>>(&mut self, metric: &str, fields: &mut A) -> Result<(), A::Error> {
            fields.next_value_seed(Object(&mut OfMetric { metric, found: &mut self.0 }))
        }
    }
    struct OfMetric<'a> {
        metric: &'a str,
        found: &'a mut Vec<PushProblem>,
    }
    impl TakeField for OfMetric<'_> {
        fn field<'de, A: MapAccess<'de>>(&mut self, id: &str, fields: &mut A) -> Result<(), A::Error> {
            #[derive(Deserialize, Default)]
            #[serde(default)]
            struct Problem {
                #[serde(deserialize_with = "lax")]
                proxy: Text,
                #[serde(deserialize_with = "lax")]
                message: Text,
            }
            let Lax(Known(problem)) = fields.next_value::<Lax<Known<Problem>>>()?;
            self.found.push(PushProblem {
                metric: self.metric.into(),
                id: id.into(),
                proxy: problem.proxy,
                message: problem.message,
            });
            Ok(())
        }
    }
    let mut metrics = Metrics(Vec::new());
    let read = drive(bytes, Object(&mut metrics));
    body.ended(read, metrics.0.len());
    body.say(Said::PushStatus(metrics.0));
}

/// `/debug/mcsz`.
pub(super) fn mcsz(bytes: &[u8], body: &mut Body) {
    #[derive(Deserialize, Default)]
    #[serde(default, rename_all = "PascalCase")]
    struct Row {
        #[serde(deserialize_with = "lax")]
        cluster: Text,
        #[serde(deserialize_with = "lax")]
        name: Text,
        #[serde(deserialize_with = "lax")]
        namespace: Text,
        #[serde(deserialize_with = "lax")]
        exported: bool,
        #[serde(deserialize_with = "lax")]
        imported: bool,
        #[serde(rename = "ClusterSetVIP", deserialize_with = "lax")]
        vip: Text,
    }
    let mut rows = Vec::new();
    let read = drive(
        bytes,
        Each(&mut |Known(row): Known<Row>| {
            rows.push(McsService {
                cluster: row.cluster,
                namespace: row.namespace,
                name: row.name,
                is_exported: row.exported,
                is_imported: row.imported,
                vip: row.vip,
            });
        }),
    );
    body.ended(read, rows.len());
    body.say(Said::Exports(rows));
}

/// `/debug/ndsz`: `{"configs":[{"@type":"...NameTable","table":{...}}]}`; up to 1.22 one `{"resource":{"table":{...}}}`.
pub(super) fn ndsz(bytes: &[u8], proxy: Text, body: &mut Body) {
    struct Tables<'a>(&'a mut Vec<(Text, Vec<Text>)>);
    impl TakeField for Tables<'_> {
        fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
            match key {
                "resource" => fields.next_value_seed(Object(self)),
                "table" => fields.next_value_seed(Object(&mut Hosts(self.0))),
                "configs" => fields.next_value_seed(Each(&mut |Known(config): Known<NameTable>| {
                    let hosts = config.table.0.into_iter().map(|(host, Known(name))| (host, name.ips));
                    self.0.extend(hosts);
                })),
                _ => fields.next_value::<IgnoredAny>().map(|_| ()),
            }
        }
    }
    struct Hosts<'a>(&'a mut Vec<(Text, Vec<Text>)>);
    impl TakeField for Hosts<'_> {
        fn field<'de, A: MapAccess<'de>>(&mut self, host: &str, fields: &mut A) -> Result<(), A::Error> {
            let Lax(Known(Name { ips })) = fields.next_value()?;
            self.0.push((host.into(), ips));
            Ok(())
        }
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct NameTable {
        #[serde(deserialize_with = "lax")]
        table: Fields<Known<Name>>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Name {
        #[serde(deserialize_with = "lax")]
        ips: Vec<Text>,
    }
    let mut table = Vec::new();
    let read = drive(bytes, Object(&mut Tables(&mut table)));
    body.ended(read, table.len());
    body.say(Said::Names { proxy, table });
}

/// `/debug/krtz` (1.25 and later).
pub(super) fn krtz(bytes: &[u8], body: &mut Body) {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Collection {
        #[serde(deserialize_with = "lax")]
        name: Text,
        #[serde(deserialize_with = "lax")]
        state: Known<Dump>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Dump {
        #[serde(deserialize_with = "lax")]
        synced: bool,
    }
    let mut rows = Vec::new();
    let read = drive(
        bytes,
        Each(&mut |Known(Collection { name, state: Known(dump) }): Known<Collection>| rows.push((name, dump.synced))),
    );
    body.ended(read, rows.len());
    body.say(Said::Collections(rows));
}

/// `/debug/inject`: the names of its templates; their text is not kept.
pub(super) fn inject(bytes: &[u8], body: &mut Body) {
    struct Templates(Vec<Text>);
    impl TakeField for Templates {
        fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, fields: &mut A) -> Result<(), A::Error> {
            self.0.push(name.into());
            fields.next_value::<IgnoredAny>().map(|_| ())
        }
    }
    let mut templates = Templates(Vec::new());
    let read = drive(bytes, Object(&mut templates));
    body.ended(read, templates.0.len());
    body.say(Said::Templates(templates.0));
}

#[cfg(test)]
mod tests {
    use super::super::tests::{document, said};
    use super::*;

    fn shards_of(text: &str) -> Vec<Shard> {
        match said("x.json", text).as_slice() {
            [(_, Said::Shards(shards))] => shards.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn endpoints_of_both_generations_are_read() {
        let new = r#"{"cart.shop.svc.cluster.local":{"shop":{
          "Shards":{"Kubernetes/east":[{"Labels":{"app":"cart","topology.istio.io/network":"net-east"},
              "Addresses":["10.10.0.11","fd00::11"],"ServicePortName":"http","LegacyClusterPortKey":0,
              "ServiceAccount":"spiffe://cluster.local/ns/shop/sa/cart","Network":"net-east",
              "Locality":{"Label":"us-east1/us-east1-b","ClusterID":"east"},"EndpointPort":5000,"LbWeight":0,"TLSMode":"istio",
              "Namespace":"shop","WorkloadName":"cart-v1","HostName":"","SubDomain":"","HealthStatus":2,
              "SendUnhealthyEndpoints":false,"NodeName":"node-1"}],
           "Kubernetes/west":[]},
          "ServiceAccounts":{"spiffe://cluster.local/ns/shop/sa/cart":{}}}}}"#;
        let read = shards_of(new);
        assert_eq!(read.len(), 2);
        assert_eq!((&*read[0].provider, &*read[0].cluster, &*read[0].namespace), ("Kubernetes", "east", "shop"));
        let endpoint = &read[0].endpoints[0];
        assert_eq!(endpoint.addresses, ["10.10.0.11".into(), Text::from("fd00::11")]);
        assert_eq!((endpoint.port, &*endpoint.network, endpoint.healthy), (5000, "net-east", false));
        assert_eq!(
            (&*endpoint.tls_mode, &*endpoint.locality, &*endpoint.node),
            ("istio", "us-east1/us-east1-b", "node-1")
        );
        assert_eq!((&*read[1].cluster, read[1].endpoints.len()), ("west", 0));
        let old = r#"{"cart.shop.svc.cluster.local":{"shop":{"Shards":{"Kubernetes/west":[{"Labels":null,"Address":"10.20.0.7",
            "ServicePortName":"http","Network":"","EndpointPort":5000,"TLSMode":"disabled","HealthStatus":1}]},"ServiceAccounts":null}}}"#;
        let endpoint = &shards_of(old)[0].endpoints[0];
        assert_eq!((endpoint.addresses.as_slice(), endpoint.healthy), (&["10.20.0.7".into()][..], true));
        assert_eq!(&*endpoint.network, "");
    }

    #[test]
    fn shards_cut_off_keep_what_came_before() {
        let cut = r#"{"a.shop.svc.cluster.local":{"shop":{"Shards":{"Kubernetes/east":[{"Addresses":["10.0.0.1"]},{"Addresses":["10.0"#;
        let document = document("endpointShardz", cut);
        assert_eq!((document.facts.len(), document.losses.len()), (1, 1));
        assert_eq!(shards_of(cut)[0].endpoints.len(), 1);
    }

    #[test]
    fn the_old_endpointz_is_put_together_by_service_and_cluster() {
        let text = r#"[{"svc":"cart.shop.svc.cluster.local:http","ep":[
            {"Service":{"hostname":"cart.shop.svc.cluster.local"},"ServicePort":{"name":"http","port":5000},
             "Endpoint":{"Address":"10.10.0.11","ServicePortName":"http","EndpointPort":5000,"Network":"net-east","Namespace":"shop",
               "Locality":{"Label":"","ClusterID":"east"},"TLSMode":"istio","HealthStatus":1}},
            {"Endpoint":{"Address":"10.20.0.11","EndpointPort":5000,"Namespace":"shop","Locality":{"ClusterID":"west"}}}]},
            {"svc":"web.shop.svc.cluster.local:http","ep":null}]"#;
        let read = shards_of(text);
        let told: Vec<String> =
            read.iter().map(|shard| format!("{} {}", shard.cluster, shard.endpoints.len())).collect();
        assert_eq!(told, ["east 1", "west 1"]);
        assert_eq!((&*read[0].host, &*read[0].namespace), ("cart.shop.svc.cluster.local", "shop"));
    }

    #[test]
    fn services_are_merged_over_clusters() {
        let text = r#"[{"Attributes":{"ServiceRegistry":"Kubernetes","Name":"istio-eastwestgateway","Namespace":"istio-system",
            "Labels":{"app":"istio-eastwestgateway","topology.istio.io/network":"net-east"},"ExportTo":null,
            "LabelSelectors":{"app":"istio-eastwestgateway"},
            "ClusterExternalAddresses":{"Addresses":{"east":["172.18.255.1"]}},"ClusterExternalPorts":{"east":{"15443":31443}},
            "Type":"LoadBalancer","ExternalName":"","NodeLocal":false},
          "ports":[{"name":"status-port","port":15021,"protocol":"TCP"},{"name":"tls","port":15443,"protocol":"TLS"}],
          "creationTime":"2026-01-02T15:04:05Z","hostname":"istio-eastwestgateway.istio-system.svc.cluster.local",
          "clusterVIPs":{"Addresses":{"east":["10.96.12.1"],"west":["10.97.3.4"]}},"defaultAddress":"10.96.12.1",
          "Resolution":0,"MeshExternal":false,"ResourceVersion":"1234"},
         {"Attributes":{"ServiceRegistry":"External","Name":"api.example.org","Namespace":"shop","ClusterExternalAddresses":{"Addresses":null}},
          "ports":[{"name":"https","port":443,"protocol":"TLS"}],"hostname":"api.example.org","defaultAddress":"240.240.0.7",
          "clusterVIPs":{"Addresses":null},"Resolution":1,"MeshExternal":true}]"#;
        let read = said("registryz", text);
        let [(_, Said::Services(services))] = read.as_slice() else { panic!("{read:?}") };
        let gateway = &services[0];
        assert_eq!((&*gateway.kind, gateway.ports.len(), gateway.ports[1].0), ("LoadBalancer", 2, 15443));
        assert_eq!(gateway.external, [("east".into(), vec!["172.18.255.1".into()])]);
        assert_eq!(gateway.vips.iter().map(|(cluster, _)| &**cluster).collect::<Vec<_>>(), ["east", "west"]);
        assert_eq!((&*services[1].registry, &*services[1].default_address), ("External", "240.240.0.7"));
        assert!(services[1].vips.is_empty());
    }

    #[test]
    fn gateways_are_read_before_and_after_their_names_are_resolved() {
        let text = r#"[{"Network":"net-west","Cluster":"west","Addr":"172.18.255.1","Port":15443},
            {"Network":"net-west","Cluster":"west","Addr":"172.18.255.2","Port":0,"HBONEPort":15008,
             "ServiceAccount":{"Namespace":"istio-system","Name":"istio-eastwestgateway"}}]"#;
        let read = said("networkz", text);
        let [(_, Said::NetworkGateways(gateways))] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!((gateways[0].port, gateways[0].hbone_port), (15443, 0));
        assert_eq!((gateways[1].port, gateways[1].hbone_port, &*gateways[1].address), (0, 15008, "172.18.255.2"));
        let context = r#"{"AuthorizationPolicies":{"namespace_to_policies":{}},"NetworkGateways":null,
            "UnresolvedGateways":[{"Network":"net-west","Cluster":"west","Addr":"ew.example.org","Port":15443,"HBONEPort":0}]}"#;
        let read = said("pushcontext", context);
        let [(_, Said::NetworkGateways(resolved)), (_, Said::UnresolvedGateways(all))] = read.as_slice() else {
            panic!("{read:?}")
        };
        assert_eq!((resolved.len(), &*all[0].address), (0, "ew.example.org"));
    }

    #[test]
    fn conflicts_of_the_last_push_are_read() {
        let text = r#"{
            "pilot_duplicate_envoy_clusters": {"outbound|80||a.example.org": {"proxy": "web-1.shop", "message": "duplicate cluster"}},
            "pilot_eds_no_instances": {"outbound|5000||cart.shop.svc.cluster.local": {}}
        }"#;
        let read = said("push_status", text);
        let [(_, Said::PushStatus(problems))] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!((&*problems[0].metric, &*problems[0].proxy), ("pilot_duplicate_envoy_clusters", "web-1.shop"));
        assert_eq!(&*problems[1].id, "outbound|5000||cart.shop.svc.cluster.local");
    }

    #[test]
    fn names_that_a_proxy_resolves_are_read_in_both_forms() {
        let new = r#"{"configs":[{"@type":"type.googleapis.com/istio.networking.nds.v1.NameTable","table":{
            "cart.shop.svc.cluster.local":{"ips":["10.96.12.1"],"registry":"Kubernetes","shortname":"cart","namespace":"shop"},
            "api.example.org":{"ips":["240.240.0.7"],"registry":"External"}}}]}"#;
        let old = r#"{"name":"","resource":{"@type":"type.googleapis.com/istio.networking.nds.v1.NameTable","table":{
            "cart.shop.svc.cluster.local":{"ips":["10.96.12.1"],"registry":"Kubernetes"},"api.example.org":{"ips":["240.240.0.7"]}}}}"#;
        for text in [new, old] {
            let read = said("ndsz?proxyID=web-1.shop", text);
            let [(_, Said::Names { proxy, table })] = read.as_slice() else { panic!("{read:?}") };
            assert_eq!(&**proxy, "web-1.shop");
            let host = table.iter().find(|(host, _)| &**host == "api.example.org");
            assert_eq!(host.map(|(_, ips)| ips.as_slice()), Some(&["240.240.0.7".into()][..]), "{text}");
        }
    }

    #[test]
    fn collections_and_exports_are_read() {
        let krt = r#"[{"name":"ambient/Pods[west]","state":{"outputs":{"west//Pod/shop/cart-1":{"ResourceVersion":"1"}},"synced":false},"uid":7},
            {"name":"ConfigMap","state":{"inputCollection":"informer","inputs":{"a":{"outputs":["b"]}},"synced":true},"uid":8}]"#;
        let rows = vec![("ambient/Pods[west]".into(), false), ("ConfigMap".into(), true)];
        assert_eq!(said("krtz", krt), [("".into(), Said::Collections(rows))]);
        let mcs = r#"[{"Cluster":"east","Name":"cart","Namespace":"shop","Exported":true,"Imported":false,"ClusterSetVIP":"",
            "Discoverability":{"cart.shop.svc.cluster.local":"CLUSTER_LOCAL"}}]"#;
        let read = said("mcsz", mcs);
        let [(_, Said::Exports(services))] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!((services[0].is_exported, services[0].is_imported, &*services[0].cluster), (true, false, "east"));
    }
}
