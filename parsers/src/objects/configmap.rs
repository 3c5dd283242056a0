//! What a ConfigMap says: mesh config, mesh networks, roots, and short values.

use super::field::{Field, short};
use super::{secret, yaml};
use crate::cert;
use crate::debug;
use crate::event::Text;
use crate::state::object::{ConfigMap, MeshConfig, MeshNetwork};

/// Longest value kept as it is.
const VALUE_MAX: usize = 256;
/// Keys that hold certificates wherever they stand (`istio-ca-root-cert`, `kube-root-ca.crt`, `cacerts`).
const ROOTS: [&str; 3] = ["root-cert.pem", "ca.crt", "ca-cert.pem"];

/// Reads a ConfigMap.
pub(super) fn configmap(value: Field<'_>) -> ConfigMap {
    let mut found = ConfigMap::default();
    found.keys.extend(value.at("data").entries().chain(value.at("binaryData").entries()).map(|(key, _)| short(key)));
    for (key, value) in value.at("data").entries() {
        let text = value.str();
        match key {
            "values" => found.values.extend(injected(text)),
            "mesh" => match read_mesh(text) {
                Ok(mesh) => found.mesh = Some(mesh),
                Err(why) => found.unreadable.push((key.into(), why)),
            },
            "meshNetworks" => match mesh_networks(text) {
                Ok(networks) => found.mesh_networks = networks,
                Err(why) => found.unreadable.push((key.into(), why)),
            },
            _ if ROOTS.contains(&key) || text.contains("-----BEGIN CERTIFICATE-----") => {
                let read = cert::read(text.as_bytes());
                if let Some(why) = secret::why_unreadable(text.as_bytes(), &read) {
                    found.unreadable.push((short(key), why));
                }
                if !read.certs.is_empty() {
                    found.certs.push((short(key), read.certs));
                }
            }
            _ if text.len() <= VALUE_MAX && !text.trim_end().contains('\n') && !secret::is_secret(key, text) => {
                found.values.insert(short(key), text.trim_end().into());
            }
            _ => {}
        }
    }
    found
}

/// What the injector gives every proxy of its cluster: `values` of `istio-sidecar-injector`, by their paths
/// (`istio/istio: manifests/charts/istio-control/istio-discovery/templates/istiod-injector-configmap.yaml`).
fn injected(text: &str) -> Vec<(Text, Text)> {
    // A ConfigMap of something else may have such a key.
    let Ok(values) = yaml::value(text) else { return Vec::new() };
    let values = Field::from(&values);
    let global = values.at("global");
    let named = [
        ("global.network", global.at("network")),
        ("global.multiCluster.clusterName", global.at("multiCluster").at("clusterName")),
    ];
    named.into_iter().filter(|(_, value)| value.is_set()).map(|(key, value)| (key.into(), value.text())).collect()
}

fn read_mesh(text: &str) -> Result<MeshConfig, Text> {
    match yaml::value(text) {
        Ok(mesh) if mesh.is_object() => Ok(debug::mesh_config(&mesh)),
        // An empty key is an empty configuration.
        Ok(serde_json::Value::Null) => Ok(debug::mesh_config(&serde_json::Value::Null)),
        Ok(_) => Err("no mapping".into()),
        Err(line) => Err(format!("no valid YAML at line {line}").into()),
    }
}

/// `meshNetworks` (`istio/api: mesh/v1alpha1/network.proto`).
fn mesh_networks(text: &str) -> Result<Vec<MeshNetwork>, Text> {
    let networks = yaml::value(text).map_err(|line| format!("no valid YAML at line {line}"))?;
    if !networks.is_object() && !networks.is_null() {
        return Err("no mapping".into());
    }
    let network = |(name, network): (&str, Field<'_>)| {
        let endpoints = |key: &'static str| {
            let values = network.at("endpoints").items().map(move |endpoint| endpoint.either(key).text());
            values.filter(|value| !value.is_empty()).collect()
        };
        let gateway = |gateway: Field<'_>| {
            let address = gateway.at("address").text();
            let address = if address.is_empty() { gateway.either("registryServiceName").text() } else { address };
            (address, gateway.at("port").number().unwrap_or(0))
        };
        MeshNetwork {
            name: short(name),
            registries: endpoints("fromRegistry"),
            cidrs: endpoints("fromCidr"),
            gateways: network.at("gateways").items().map(gateway).collect(),
        }
    };
    Ok(Field::from(&networks).at("networks").entries().map(network).collect())
}
