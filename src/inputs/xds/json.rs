//! What istiod pushes, as the JSON that its debug endpoints print of the same: one reader for both, and a tape of it
//! reads like a saved file.

use std::net::{Ipv4Addr, Ipv6Addr};

use envoy_types::pb::envoy::config::cluster::v3::{Cluster, cluster};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, LbEndpoint, lb_endpoint};
use envoy_types::pb::envoy::service::status::v3::{ClientConfig, ConfigStatus};
use envoy_types::pb::google::protobuf;
use serde_json::{Value, json};

/// istio/istio: pkg/workloadapi/workload.proto
mod workload {
    #![allow(missing_docs, clippy::all)]
    tonic::include_proto!("istio.workload");
}
pub(super) use workload::Address;
use workload::{
    GatewayAddress, NetworkMode, Service, TunnelProtocol, Workload, WorkloadStatus, address, gateway_address,
    load_balancing,
};

/// The endpoints of one cluster, as `/debug/edsz` prints them.
pub(super) fn assignment(of: &ClusterLoadAssignment) -> Value {
    let localities = of.endpoints.iter().map(|group| {
        let endpoints: Vec<Value> = group.lb_endpoints.iter().filter_map(endpoint).collect();
        let mut printed = json!({ "lbEndpoints": endpoints });
        if let Some(of) = &group.locality {
            printed["locality"] = json!({ "region": of.region, "zone": of.zone, "subZone": of.sub_zone });
        }
        if group.priority != 0 {
            printed["priority"] = json!(group.priority);
        }
        printed
    });
    json!({
        "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        "clusterName": of.cluster_name,
        "endpoints": localities.collect::<Vec<_>>(),
    })
}

fn endpoint(of: &LbEndpoint) -> Option<Value> {
    let Some(lb_endpoint::HostIdentifier::Endpoint(endpoint)) = &of.host_identifier else { return None };
    let address = match endpoint.address.as_ref()?.address.as_ref()? {
        core::address::Address::SocketAddress(socket) => {
            let port = match &socket.port_specifier {
                Some(core::socket_address::PortSpecifier::PortValue(port)) => *port,
                _ => 0,
            };
            json!({ "socketAddress": { "address": socket.address, "portValue": port } })
        }
        core::address::Address::EnvoyInternalAddress(internal) => {
            let mut printed = json!({ "endpointId": internal.endpoint_id });
            if let Some(core::envoy_internal_address::AddressNameSpecifier::ServerListenerName(name)) =
                &internal.address_name_specifier
            {
                printed["serverListenerName"] = json!(name);
            }
            json!({ "envoyInternalAddress": printed })
        }
        core::address::Address::Pipe(pipe) => json!({ "pipe": { "path": pipe.path } }),
    };
    let mut printed = json!({ "endpoint": { "address": address } });
    if let Ok(health) = core::HealthStatus::try_from(of.health_status)
        && health != core::HealthStatus::Unknown
    {
        printed["healthStatus"] = json!(health.as_str_name());
    }
    if let Some(metadata) = &of.metadata {
        let filters = metadata.filter_metadata.iter().map(|(name, of)| (name.clone(), structure(of)));
        printed["metadata"] = json!({ "filterMetadata": Value::Object(filters.collect()) });
    }
    Some(printed)
}

fn structure(of: &protobuf::Struct) -> Value {
    Value::Object(of.fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
}

fn plain(of: &protobuf::Value) -> Value {
    use protobuf::value::Kind;
    match &of.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => json!(number),
        Some(Kind::StringValue(text)) => json!(text),
        Some(Kind::BoolValue(is_so)) => json!(is_so),
        Some(Kind::StructValue(fields)) => structure(fields),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(plain).collect()),
    }
}

/// A cluster by its name alone, as `/debug/config_dump?types=cds` begins it: that its endpoints are pushed.
pub(super) fn cluster(name: &str) -> Value {
    json!({ "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": name, "type": "EDS" })
}

/// The name under which the endpoints of a cluster are asked for; `None` where they are not asked for.
pub(super) fn endpoints_of(of: Cluster) -> Option<String> {
    let is_eds = matches!(of.cluster_discovery_type, Some(cluster::ClusterDiscoveryType::Type(kind))
        if kind == cluster::DiscoveryType::Eds as i32);
    let named = of.eds_cluster_config.map(|config| config.service_name).filter(|name| !name.is_empty());
    is_eds.then(|| named.unwrap_or(of.name))
}

/// A workload or a service, as `/debug/config_dump` of a ztunnel lists them; `None` where it is neither.
pub(super) fn address(of: &Address) -> Option<Value> {
    let (key, printed) = match of.r#type.as_ref()? {
        address::Type::Workload(of) => ("workload", workload(of)),
        address::Type::Service(of) => ("service", service(of)),
    };
    Some(json!({ "@type": "type.googleapis.com/istio.workload.Address", key: printed }))
}

/// The name of a workload or a service: what it is removed by.
pub(super) fn name(of: &Address) -> String {
    match &of.r#type {
        Some(address::Type::Workload(of)) => of.uid.clone(),
        Some(address::Type::Service(of)) => format!("{}/{}", of.namespace, of.hostname),
        None => String::new(),
    }
}

fn workload(of: &Workload) -> Value {
    let tunnel = TunnelProtocol::try_from(of.tunnel_protocol).unwrap_or_default();
    let status = WorkloadStatus::try_from(of.status).unwrap_or_default();
    let mode = NetworkMode::try_from(of.network_mode).unwrap_or_default();
    let services = of.services.iter().map(|(service, ports)| {
        let ports = ports.ports.iter();
        let ports = ports.map(|port| json!({ "servicePort": port.service_port, "targetPort": port.target_port }));
        (service.clone(), json!({ "ports": ports.collect::<Vec<_>>() }))
    });
    json!({
        "uid": of.uid,
        "name": of.name,
        "namespace": of.namespace,
        "addresses": of.addresses.iter().filter_map(|bytes| ip(bytes)).collect::<Vec<_>>(),
        "hostname": of.hostname,
        "network": of.network,
        "tunnelProtocol": tunnel.as_str_name(),
        "trustDomain": of.trust_domain,
        "serviceAccount": of.service_account,
        "waypoint": gateway(of.waypoint.as_ref()),
        "networkGateway": gateway(of.network_gateway.as_ref()),
        "node": of.node,
        "status": status.as_str_name(),
        "clusterId": of.cluster_id,
        "networkMode": mode.as_str_name(),
        "authorizationPolicies": of.authorization_policies,
        "services": Value::Object(services.collect()),
    })
}

fn service(of: &Service) -> Value {
    let addresses = of.addresses.iter();
    let addresses = addresses.map(|of| json!({ "network": of.network, "address": ip(&of.address) }));
    let ports = of.ports.iter();
    let ports = ports.map(|port| json!({ "servicePort": port.service_port, "targetPort": port.target_port }));
    let mode = of.load_balancing.as_ref().map(|of| load_balancing::Mode::try_from(of.mode).unwrap_or_default());
    json!({
        "name": of.name,
        "namespace": of.namespace,
        "hostname": of.hostname,
        "addresses": addresses.collect::<Vec<_>>(),
        "ports": ports.collect::<Vec<_>>(),
        "subjectAltNames": of.subject_alt_names,
        "waypoint": gateway(of.waypoint.as_ref()),
        "loadBalancing": mode.map(|mode| json!({ "mode": mode.as_str_name() })),
    })
}

fn gateway(of: Option<&GatewayAddress>) -> Value {
    match of.and_then(|of| of.destination.as_ref()) {
        None => Value::Null,
        Some(gateway_address::Destination::Hostname(of)) => {
            json!({ "hostname": { "namespace": of.namespace, "hostname": of.hostname } })
        }
        Some(gateway_address::Destination::Address(of)) => {
            json!({ "address": { "network": of.network, "address": ip(&of.address) } })
        }
    }
}

/// An address of 4 or 16 bytes.
fn ip(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).to_string())).ok()
}

/// What a client was sent and acknowledged, as `istioctl proxy-status -o json` prints it.
pub(super) fn client(of: &ClientConfig) -> Value {
    let node = of.node.as_ref();
    let metadata = node.and_then(|node| node.metadata.as_ref()).map(structure);
    let configs = of.generic_xds_configs.iter().map(|one| {
        let status = ConfigStatus::try_from(one.config_status).unwrap_or_default();
        let mut printed = json!({ "typeUrl": one.type_url, "configStatus": status.as_str_name() });
        if let Some(at) = one.last_updated.as_ref().and_then(time) {
            printed["lastUpdated"] = json!(at);
        }
        if let Some(error) = &one.error_state {
            printed["errorState"] = json!({ "details": error.details });
        }
        printed
    });
    json!({
        "@type": "type.googleapis.com/envoy.service.status.v3.ClientConfig",
        "node": { "id": node.map(|node| &node.id), "metadata": metadata },
        "genericXdsConfigs": configs.collect::<Vec<_>>(),
    })
}

fn time(of: &protobuf::Timestamp) -> Option<String> {
    let nanos = of.seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(of.nanos))?;
    Some(meshwhy_parsers::time::Time(nanos).to_string())
}
