//! Mesh config: `/debug/mesh`, and the key `mesh` of the ConfigMap `istio[-<revision>]` (`istio/api: mesh/v1alpha1/`).

use serde_json::Value;

use crate::cert;
use crate::event::Text;
use crate::state::object::{Map, MeshConfig, Selector};

/// Mesh config from its JSON form, which is also what its YAML says. What has another type than it should is left out.
pub fn mesh_config(mesh: &Value) -> MeshConfig {
    let selectors = || list(field(mesh, "discoverySelectors"));
    let proxy = field(mesh, "defaultConfig");
    MeshConfig {
        trust_domain: text(field(mesh, "trustDomain")),
        trust_domain_aliases: list(field(mesh, "trustDomainAliases")).map(text).collect(),
        ca_certificates: list(field(mesh, "caCertificates"))
            .filter_map(|authority| field(authority, "pem").as_str())
            .flat_map(|pem| cert::parse(pem.as_bytes()))
            .collect(),
        discovery_selectors: selectors().map(|selector| selector.to_string().into()).collect(),
        discovery_labels: selectors().map(match_labels).collect(),
        cluster_local_hosts: list(field(mesh, "serviceSettings"))
            .filter(|service| field(field(service, "settings"), "clusterLocal").as_bool() == Some(true))
            .flat_map(|service| list(field(service, "hosts")).map(text))
            .collect(),
        global_services: list(field(mesh, "serviceScopeConfigs"))
            .filter(|scope| field(scope, "scope").as_str() == Some("GLOBAL"))
            .map(|scope| {
                let services = field(scope, "servicesSelector");
                let is_alone = services.is_object() && field(scope, "namespaceSelector").is_null();
                is_alone.then(|| selector(services))
            })
            .collect(),
        outbound_mode: text(field(field(mesh, "outboundTrafficPolicy"), "mode")),
        discovery_address: text(field(proxy, "discoveryAddress")),
        root_namespace: text(field(mesh, "rootNamespace")),
        locality_lb: field(field(mesh, "localityLbSetting"), "enabled").as_bool(),
        proxy_metadata: map(field(proxy, "proxyMetadata")),
        auto_mtls: field(mesh, "enableAutoMtls").as_bool(),
    }
}

/// A field in camelCase; the YAML reader of istiod takes snake_case, too.
fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    let snake = || {
        let mut snake = String::with_capacity(name.len() + 4);
        for c in name.chars() {
            if c.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
        }
        snake
    };
    value.get(name).or_else(|| value.get(snake())).unwrap_or(&Value::Null)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A scalar as text; empty for anything else.
fn text(value: &Value) -> Text {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Number(_) | Value::Bool(_) => value.to_string().into(),
        Value::Null | Value::Array(_) | Value::Object(_) => Text::default(),
    }
}

fn map(value: &Value) -> Map {
    value.as_object().into_iter().flatten().map(|(key, value)| (Text::from(key.as_str()), text(value))).collect()
}

/// The labels of a Kubernetes selector: those it matches, and expressions that ask for one value. `None` where an
/// expression asks for more than equality.
fn match_labels(selector: &Value) -> Option<Map> {
    let mut labels = map(field(selector, "matchLabels"));
    for expression in list(field(selector, "matchExpressions")) {
        let mut values = list(field(expression, "values"));
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let key = text(field(expression, "key"));
        let is_same = labels.get(&key).is_none_or(|known| *known == text(value));
        if field(expression, "operator").as_str() != Some("In") || !is_same {
            return None;
        }
        labels.insert(key, text(value));
    }
    Some(labels)
}

fn selector(selector: &Value) -> Selector {
    let expression = |expression: &Value| {
        let values = list(field(expression, "values")).map(text).collect();
        (text(field(expression, "key")), text(field(expression, "operator")), values)
    };
    Selector {
        labels: map(field(selector, "matchLabels")),
        expressions: list(field(selector, "matchExpressions")).map(expression).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mesh_config_is_reduced_to_what_decides_about_multicluster() {
        let mesh = serde_json::json!({
            "proxyListenPort": 15001, "connectTimeout": "10s", "accessLogFile": "/dev/stdout", "ingressClass": "istio",
            "defaultConfig": {
                "configPath": "./etc/istio/proxy", "discoveryAddress": "istiod.istio-system.svc:15012",
                "proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"}, "statusPort": 15020, "meshId": "mesh1"
            },
            "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}, "enableAutoMtls": true,
            "trustDomain": "west.example.org", "trustDomainAliases": ["cluster.local"],
            "rootNamespace": "istio-system",
            "localityLbSetting": {"enabled": true},
            "serviceSettings": [
                {"settings": {"clusterLocal": true}, "hosts": ["*.kube-system.svc.cluster.local", "cart.shop.svc.cluster.local"]},
                {"settings": {}, "hosts": ["web.shop.svc.cluster.local"]}
            ],
            "discoverySelectors": [
                {"matchLabels": {"istio-discovery": "enabled"}},
                {"matchExpressions": [{"key": "env", "operator": "In", "values": ["prod"]}]},
                {"matchExpressions": [{"key": "env", "operator": "In", "values": ["prod", "dev"]}]},
                {"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["prod"]}]}
            ],
            "serviceScopeConfigs": [
                {"servicesSelector": {"matchLabels": {"istio.io/global": "true"}}, "scope": "GLOBAL"},
                {"servicesSelector": {"matchLabels": {"local": "yes"}}, "scope": "LOCAL"},
                {"servicesSelector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, "scope": "GLOBAL"},
                {"namespaceSelector": {"matchLabels": {"shared": "yes"}}, "scope": "GLOBAL"}
            ]
        });
        let read = mesh_config(&mesh);
        assert_eq!(
            (&*read.trust_domain, &*read.trust_domain_aliases),
            ("west.example.org", &["cluster.local".into()][..])
        );
        assert_eq!(read.cluster_local_hosts.len(), 2);
        let labels = |key: &str, value: &str| Map::from([(key.into(), value.into())]);
        let selects = |at: usize, labels: &Map| read.global_services[at].as_ref().map(|scope| scope.selects(labels));
        assert_eq!(selects(0, &labels("istio.io/global", "true")), Some(Some(true)));
        assert_eq!(selects(0, &labels("istio.io/global", "false")), Some(Some(false)));
        assert_eq!(selects(1, &labels("tier", "web")), Some(Some(true)));
        assert_eq!(selects(1, &labels("app", "web")), Some(Some(false)));
        assert_eq!(selects(2, &labels("app", "web")), None, "it selects namespaces");
        let selected = [("istio-discovery", "enabled"), ("env", "prod")];
        let selected = selected.map(|(key, value)| Some(Map::from([(key.into(), value.into())])));
        assert_eq!(read.discovery_labels, [&selected[..], &[None, None]].concat());
        assert_eq!(&*read.discovery_selectors[0], r#"{"matchLabels":{"istio-discovery":"enabled"}}"#);
        assert_eq!((&*read.outbound_mode, read.locality_lb, read.auto_mtls), ("REGISTRY_ONLY", Some(true), Some(true)));
        assert_eq!(&*read.discovery_address, "istiod.istio-system.svc:15012");
        assert_eq!(read.proxy_metadata.get("ISTIO_META_DNS_CAPTURE").map(|value| &**value), Some("true"));
    }

    #[test]
    fn what_is_not_set_and_what_has_another_type_is_empty() {
        assert_eq!(mesh_config(&serde_json::json!({})), MeshConfig::default());
        assert_eq!(mesh_config(&serde_json::json!(["trustDomain"])), MeshConfig::default());
        let odd = serde_json::json!({"trustDomain": {"a": 1}, "serviceSettings": "x", "defaultConfig": null});
        assert_eq!(mesh_config(&odd), MeshConfig::default());
    }
}
