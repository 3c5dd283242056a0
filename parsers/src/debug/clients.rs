//! Who is connected to an istiod, and what each client was sent and acknowledged: `/debug/syncz`, `/debug/adsz`,
//! `/debug/connections`, `/debug/instancesz` (`istio/istio: pilot/pkg/xds/debug.go`), `istioctl proxy-status -o json`
//! (`istio/istio: istioctl/pkg/writer/pilot/status.go`).

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess};

use super::lenient::{Each, Fields, Known, Lax, Object, TakeField, drive, lax};
use super::{Body, instant};
use crate::event::{Addr, Text};
use crate::state::istiod::{AttachedProxy, Connected, Said, SyncRow};
use crate::time::Time;

/// `/debug/syncz`.
pub(super) fn syncz(bytes: &[u8], body: &mut Body) {
    let mut rows = Vec::new();
    let read = drive(
        bytes,
        Each(&mut |Known(status): Known<Status>| {
            body.saw(status.resources.0.iter().filter_map(|(_, Known(one))| instant(&one.sent_time)).max());
            rows.push(status.known());
        }),
    );
    body.ended(read, rows.len());
    body.say(Said::Sync(rows));
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    #[serde(deserialize_with = "lax")]
    cluster_id: Text,
    #[serde(deserialize_with = "lax")]
    proxy: Text,
    #[serde(deserialize_with = "lax")]
    proxy_type: Text,
    #[serde(deserialize_with = "lax")]
    istio_version: Text,
    #[serde(deserialize_with = "lax")]
    cluster_sent: Text,
    #[serde(deserialize_with = "lax")]
    cluster_acked: Text,
    #[serde(deserialize_with = "lax")]
    listener_sent: Text,
    #[serde(deserialize_with = "lax")]
    listener_acked: Text,
    #[serde(deserialize_with = "lax")]
    route_sent: Text,
    #[serde(deserialize_with = "lax")]
    route_acked: Text,
    #[serde(deserialize_with = "lax")]
    endpoint_sent: Text,
    #[serde(deserialize_with = "lax")]
    endpoint_acked: Text,
    #[serde(deserialize_with = "lax")]
    extensionconfig_sent: Text,
    #[serde(deserialize_with = "lax")]
    extensionconfig_acked: Text,
    /// By type URL; 1.23 and later.
    #[serde(deserialize_with = "lax")]
    resources: Fields<Known<Resource>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Resource {
    #[serde(deserialize_with = "lax")]
    sent: Text,
    #[serde(deserialize_with = "lax")]
    acked: Text,
    #[serde(deserialize_with = "lax")]
    sent_time: Text,
    #[serde(deserialize_with = "lax")]
    last_error: Text,
}

impl Status {
    fn known(self) -> SyncRow {
        let mut row = SyncRow {
            proxy: self.proxy,
            cluster: self.cluster_id,
            version: self.istio_version,
            kind: self.proxy_type,
            ..SyncRow::default()
        };
        for (url, Known(one)) in &self.resources.0 {
            let state = state_of(&one.sent, &one.acked, &one.last_error);
            note(&mut row, short_type(url), state, instant(&one.sent_time), &one.last_error);
        }
        // The fields of all versions; they say nothing that `resources` does not.
        for (short, sent, acked) in [
            ("CDS", &self.cluster_sent, &self.cluster_acked),
            ("LDS", &self.listener_sent, &self.listener_acked),
            ("EDS", &self.endpoint_sent, &self.endpoint_acked),
            ("RDS", &self.route_sent, &self.route_acked),
            ("ECDS", &self.extensionconfig_sent, &self.extensionconfig_acked),
        ] {
            if self.resources.0.is_empty() && !sent.is_empty() {
                note(&mut row, short, state_of(sent, acked, ""), None, "");
            }
        }
        row
    }
}

/// What istiod itself makes of it (`debugSyncStatus` in `pilot/pkg/xds/statusgen.go`).
fn state_of(sent: &str, acked: &str, error: &str) -> &'static str {
    match () {
        () if !error.is_empty() => "ERROR",
        () if sent.is_empty() => "NOT SENT",
        () if sent == acked => "SYNCED",
        () => "STALE",
    }
}

/// Adds a type that is not in sync. That nothing was sent is normal for all types but those that every Envoy needs.
fn note(row: &mut SyncRow, short: &str, state: &str, sent_at: Option<Time>, error: &str) {
    let is_behind = match state {
        "STALE" | "ERROR" => true,
        "NOT SENT" => matches!(short, "CDS" | "LDS"),
        _ => false,
    };
    if !is_behind {
        return;
    }
    row.behind.push((short.into(), state.into()));
    if state == "STALE" {
        row.waits_since = [row.waits_since, sent_at].into_iter().flatten().min();
    }
    if row.last_error.is_empty() {
        row.last_error = error.into();
    }
}

/// The short name of a type URL (`istio/istio: pkg/model/xds.go`); the URL's last word for one we do not know.
fn short_type(url: &str) -> &str {
    match url.rsplit_once('/').map_or(url, |(_, name)| name) {
        "envoy.config.cluster.v3.Cluster" => "CDS",
        "envoy.config.listener.v3.Listener" => "LDS",
        "envoy.config.route.v3.RouteConfiguration" => "RDS",
        "envoy.config.endpoint.v3.ClusterLoadAssignment" => "EDS",
        "envoy.extensions.transport_sockets.tls.v3.Secret" => "SDS",
        "envoy.config.core.v3.TypedExtensionConfig" => "ECDS",
        "istio.networking.nds.v1.NameTable" => "NDS",
        "istio.mesh.v1alpha1.ProxyConfig" => "PCDS",
        "istio.workload.Address" | "istio.workload.Workload" => "WDS",
        "istio.security.Authorization" => "WADS",
        "envoy.config.bootstrap.v3.Bootstrap" => "BDS",
        name => name.rsplit('.').next().unwrap_or(name),
    }
}

/// `/debug/adsz` and `/debug/connections`.
pub(super) fn connections(bytes: &[u8], body: &mut Body) {
    struct Clients<'a> {
        rows: Vec<Connected>,
        body: &'a mut Body,
    }
    impl TakeField for Clients<'_> {
        fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
            if key != "clients" {
                return fields.next_value::<IgnoredAny>().map(|_| ());
            }
            fields.next_value_seed(Each(&mut |Known(client): Known<Client>| {
                let row = client.known();
                self.body.saw(row.at);
                self.rows.push(row);
            }))
        }
    }
    let mut clients = Clients { rows: Vec::new(), body };
    let read = drive(bytes, Object(&mut clients));
    let Clients { rows, body } = clients;
    body.ended(read, rows.len());
    body.say(Said::Connections(rows));
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Client {
    #[serde(deserialize_with = "lax")]
    connection_id: Text,
    #[serde(deserialize_with = "lax")]
    connected_at: Text,
    #[serde(deserialize_with = "lax")]
    address: Text,
    #[serde(deserialize_with = "lax")]
    labels: Fields<Text>,
    #[serde(deserialize_with = "lax")]
    metadata: Known<Metadata>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
struct Metadata {
    #[serde(deserialize_with = "lax")]
    cluster_id: Text,
    #[serde(deserialize_with = "lax")]
    network: Text,
    #[serde(deserialize_with = "lax")]
    istio_version: Text,
    #[serde(deserialize_with = "lax")]
    node_name: Text,
    #[serde(deserialize_with = "lax")]
    labels: Fields<Text>,
}

impl Client {
    fn known(self) -> Connected {
        let Known(metadata) = self.metadata;
        let labels = if self.labels.0.is_empty() { metadata.labels } else { self.labels };
        Connected {
            id: self.connection_id,
            addr: Addr::parse(&self.address).unwrap_or_default(),
            at: instant(&self.connected_at),
            cluster: metadata.cluster_id,
            network: metadata.network,
            version: metadata.istio_version,
            node: metadata.node_name,
            labels: labels.0.into_iter().collect(),
        }
    }
}

/// `/debug/instancesz`.
pub(super) fn instancesz(bytes: &[u8], body: &mut Body) {
    struct Proxies(Vec<AttachedProxy>);
    impl TakeField for Proxies {
        fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
            let mut services: Vec<Text> = Vec::new();
            fields.next_value_seed(Each(&mut |Known(target): Known<Target>| {
                let Known(service) = target.service;
                if !services.contains(&service.hostname) {
                    services.push(service.hostname);
                }
            }))?;
            self.0.push(AttachedProxy { proxy: key.into(), services });
            Ok(())
        }
    }
    let mut proxies = Proxies(Vec::new());
    let read = drive(bytes, Object(&mut proxies));
    body.ended(read, proxies.0.len());
    body.say(Said::Attached(proxies.0));
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Target {
    #[serde(rename = "Service", deserialize_with = "lax")]
    service: Known<Service>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Service {
    #[serde(deserialize_with = "lax")]
    hostname: Text,
}

/// `istioctl proxy-status -o json`: the answer of one istiod after the other.
pub(super) fn proxy_status(bytes: &[u8], body: &mut Body) {
    let mut count = 0;
    let mut read = Ok(());
    for answer in serde_json::Deserializer::from_slice(bytes).into_iter::<Lax<Known<Answer>>>() {
        let Known(answer) = match answer {
            Ok(Lax(answer)) => answer,
            Err(error) => {
                read = Err(error.to_string());
                break;
            }
        };
        let istiod = answer.istiod();
        let mut rows = Vec::new();
        for Known(config) in answer.resources {
            body.saw(config.generic_xds_configs.iter().filter_map(|Known(one)| instant(&one.last_updated)).max());
            rows.push(config.known(&istiod));
        }
        count += rows.len();
        body.say_of(istiod, Said::Sync(rows));
    }
    body.ended(read, count);
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Answer {
    #[serde(deserialize_with = "lax")]
    resources: Vec<Known<ClientConfig>>,
    #[serde(deserialize_with = "lax")]
    control_plane: Known<ControlPlane>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ControlPlane {
    #[serde(deserialize_with = "lax")]
    identifier: Text,
}

/// The identifier is JSON in a string.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Instance {
    #[serde(rename = "ID", deserialize_with = "lax")]
    id: Text,
}

impl Answer {
    fn istiod(&self) -> Text {
        let Known(control_plane) = &self.control_plane;
        serde_json::from_str(&control_plane.identifier).map(|Lax(Known(Instance { id }))| id).unwrap_or_default()
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ClientConfig {
    #[serde(deserialize_with = "lax")]
    node: Known<Node>,
    #[serde(deserialize_with = "lax")]
    generic_xds_configs: Vec<Known<XdsConfig>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Node {
    #[serde(deserialize_with = "lax")]
    id: Text,
    #[serde(deserialize_with = "lax")]
    metadata: Known<Metadata>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct XdsConfig {
    #[serde(deserialize_with = "lax")]
    type_url: Text,
    #[serde(deserialize_with = "lax")]
    config_status: Text,
    #[serde(deserialize_with = "lax")]
    last_updated: Text,
    #[serde(deserialize_with = "lax")]
    error_state: Known<ErrorState>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorState {
    #[serde(deserialize_with = "lax")]
    details: Text,
}

impl ClientConfig {
    fn known(self, istiod: &Text) -> SyncRow {
        let Known(Node { id, metadata: Known(metadata) }) = self.node;
        let mut row = SyncRow {
            // `sidecar~<address>~<pod>.<namespace>~<domain>`, or the third part alone.
            proxy: id.split('~').nth(2).unwrap_or(&id).into(),
            cluster: metadata.cluster_id,
            version: metadata.istio_version,
            istiod: istiod.clone(),
            ..SyncRow::default()
        };
        for Known(config) in self.generic_xds_configs {
            let state = config.config_status.replace('_', " ");
            let Known(error) = config.error_state;
            note(&mut row, short_type(&config.type_url), &state, instant(&config.last_updated), &error.details);
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{document, said};
    use super::*;

    fn rows(text: &str) -> Vec<SyncRow> {
        let all = said("x.json", text).into_iter().flat_map(|(_, said)| match said {
            Said::Sync(rows) => rows,
            other => panic!("{other:?}"),
        });
        all.collect()
    }

    fn behind(row: &SyncRow) -> Vec<String> {
        row.behind.iter().map(|(short, state)| format!("{short} {state}")).collect()
    }

    #[test]
    fn the_old_syncz_tells_stale_from_nonces() {
        let text = r#"[{"cluster_id":"east","proxy":"web-6f5d-abc.shop","istio_version":"1.20.3",
            "cluster_sent":"2026-01-02T15:04:05Z/41-aa","cluster_acked":"2026-01-02T15:04:05Z/41-aa",
            "listener_sent":"2026-01-02T15:04:05Z/41-bb","listener_acked":"2026-01-02T14:00:00Z/40-bb",
            "route_sent":"2026-01-02T15:04:05Z/41-cc","endpoint_sent":"41-dd","endpoint_acked":"41-dd"}]"#;
        let rows = rows(text);
        assert_eq!((&*rows[0].proxy, &*rows[0].cluster, &*rows[0].version), ("web-6f5d-abc.shop", "east", "1.20.3"));
        assert_eq!(behind(&rows[0]), ["LDS STALE", "RDS STALE"]);
        assert_eq!(rows[0].waits_since, None);
    }

    #[test]
    fn the_new_syncz_tells_rejections_with_their_text_and_since_when_an_answer_is_missing() {
        let text = r#"[{"cluster_id":"east","proxy":"web-6f5d-abc.shop","proxy_type":"sidecar","istio_version":"1.27.3",
            "cluster_sent":"b","cluster_acked":"b","listener_sent":"c","listener_acked":"a","endpoint_sent":"e","endpoint_acked":"d",
            "resources":{
              "type.googleapis.com/envoy.config.cluster.v3.Cluster":{"sent":"b","acked":"b","sentTime":"2026-01-02T15:04:05.678Z"},
              "type.googleapis.com/envoy.config.listener.v3.Listener":{"sent":"c","acked":"a","sentTime":"2026-01-02T15:04:06Z",
                "lastError":"Error adding/updating listener(s) 0.0.0.0_5000: duplicate address"},
              "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment":{"sent":"e","acked":"d","sentTime":"2026-01-02T15:01:00Z"},
              "type.googleapis.com/envoy.config.route.v3.RouteConfiguration":{"sentTime":"0001-01-01T00:00:00Z"}}},
            {"cluster_id":"west","proxy":"ztunnel-fvbjr.istio-system","proxy_type":"ztunnel","istio_version":"1.27.3",
            "resources":{"type.googleapis.com/istio.workload.Address":{"sent":"b","acked":"b","sentTime":"2026-01-02T15:05:00Z"}}}]"#;
        let rows = rows(text);
        assert_eq!(behind(&rows[0]), ["LDS ERROR", "EDS STALE"]);
        assert!(rows[0].last_error.starts_with("Error adding/updating listener(s)"));
        assert_eq!(rows[0].waits_since.map(|at| at.to_string()).as_deref(), Some("2026-01-02T15:01:00.000Z"));
        assert_eq!((&*rows[1].kind, rows[1].behind.len()), ("ztunnel", 0));
        let taken = document("syncz", text).taken.map(|at| at.to_string());
        assert_eq!(taken.as_deref(), Some("2026-01-02T15:05:00.000Z"));
    }

    #[test]
    fn connections_and_adsz_are_clients_with_what_they_say_about_themselves() {
        let text = r#"{"totalClients":2,"clients":[
            {"connectionId":"ztunnel-fvbjr.istio-system-47","connectedAt":"2026-01-02T15:04:05.678Z","address":"10.244.1.5:51234",
             "labels":{"app":"ztunnel","topology.istio.io/network":"net-east"},
             "metadata":{"ISTIO_VERSION":"1.27.3","NAMESPACE":"istio-system","NODE_NAME":"node-1","CLUSTER_ID":"east","NETWORK":"net-east",
               "INSTANCE_IPS":"10.244.1.5","PROXY_CONFIG":{"discoveryAddress":"istiod.istio-system.svc:15012"}},
             "locality":{"region":"us-east1","zone":"us-east1-b"},
             "watches":{"type.googleapis.com/istio.workload.Address":[]}},
            {"connectionId":"web-6f5d-abc.shop-48","connectedAt":"2026-01-02T16:00:00Z","address":"[fd00::5]:51000","labels":null,
             "metadata":{"CLUSTER_ID":"west","LABELS":{"app":"web"}}}]}"#;
        let read = said("adsz", text);
        let [(_, Said::Connections(clients))] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!((&*clients[0].cluster, &*clients[0].network, &*clients[0].node), ("east", "net-east", "node-1"));
        assert_eq!(clients[0].labels.get("topology.istio.io/network").map(|label| &**label), Some("net-east"));
        assert_eq!(clients[1].addr, Addr { host: "fd00::5".into(), port: 51_000 });
        assert_eq!(clients[1].labels.get("app").map(|label| &**label), Some("web"));
        assert_eq!(document("adsz", text).taken.map(|at| at.to_string()).as_deref(), Some("2026-01-02T16:00:00.000Z"));
        assert_eq!(said("x", r#"{"totalClients":0}"#), [("".into(), Said::Connections(Vec::new()))]);
    }

    #[test]
    fn a_proxy_without_services_is_seen() {
        let text = r#"{"cart-1.shop":[
            {"Service":{"Attributes":{"Name":"cart","Namespace":"shop"},"hostname":"cart.shop.svc.cluster.local"},
             "Port":{"name":"http","port":80,"protocol":"HTTP","TargetPort":8080}},
            {"Service":{"Attributes":{"Name":"cart","Namespace":"shop"},"hostname":"cart.shop.svc.cluster.local"},
             "Port":{"name":"grpc","port":81,"protocol":"GRPC","TargetPort":8081}}],
            "web-1.shop":null,"job-1.shop":[]}"#;
        let read = said("instancesz", text);
        let [(_, Said::Attached(proxies))] = read.as_slice() else { panic!("{read:?}") };
        let told: Vec<String> = proxies.iter().map(|one| format!("{} {:?}", one.proxy, one.services)).collect();
        assert_eq!(told, ["cart-1.shop [\"cart.shop.svc.cluster.local\"]", "web-1.shop []", "job-1.shop []"]);
    }

    #[test]
    fn proxy_status_as_json_has_one_answer_of_each_istiod() {
        let answer = |istiod: &str, proxy: &str, status: &str, error: &str| {
            format!(
                r#"{{"versionInfo":"2026-01-02T15:04:05Z/41","resources":[{{
                  "@type":"type.googleapis.com/envoy.service.status.v3.ClientConfig",
                  "node":{{"id":"{proxy}","metadata":{{"CLUSTER_ID":"east","ISTIO_VERSION":"1.27.3","NAMESPACE":"shop"}}}},
                  "genericXdsConfigs":[
                    {{"typeUrl":"type.googleapis.com/envoy.config.cluster.v3.Cluster","configStatus":"{status}",
                      "lastUpdated":"2026-01-02T15:04:05Z"{error}}},
                    {{"typeUrl":"type.googleapis.com/envoy.config.route.v3.RouteConfiguration","configStatus":"NOT_SENT"}},
                    {{"typeUrl":"type.googleapis.com/envoy.config.listener.v3.Listener","configStatus":"SYNCED"}}]}}],
                  "typeUrl":"istio.io/debug/syncz",
                  "controlPlane":{{"identifier":"{{\"Component\":\"istiod\",\"ID\":\"{istiod}\",\"Info\":{{\"version\":\"1.27.3\"}}}}"}}}}"#
            )
        };
        let error = r#","errorState":{"lastUpdateAttempt":"2026-01-02T15:04:05Z","details":"duplicate cluster"}"#;
        let text = format!(
            "{}\n{}\n",
            answer("istiod-1-a", "web-1.shop", "STALE", ""),
            answer("istiod-1-b", "sidecar~10.0.0.4~cart-1.shop~shop.svc.cluster.local", "ERROR", error)
        );
        let read = said("proxy-status.json", &text);
        assert_eq!(read.iter().map(|(istiod, _)| &**istiod).collect::<Vec<_>>(), ["istiod-1-a", "istiod-1-b"]);
        let rows = rows(&text);
        assert_eq!((behind(&rows[0]), &*rows[0].istiod), (vec!["CDS STALE".to_string()], "istiod-1-a"));
        assert_eq!((&*rows[1].proxy, &*rows[1].last_error), ("cart-1.shop", "duplicate cluster"));
        assert_eq!(behind(&rows[1]), ["CDS ERROR"]);
    }
}
