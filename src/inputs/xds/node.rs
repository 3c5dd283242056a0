//! Who asks: the node that a proxy names itself by, which decides what istiod would push.

use std::collections::HashMap;
use std::net::IpAddr;

use anyhow::bail;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::google::protobuf;

/// The namespace of who asks where nobody is named.
const SYSTEM_NAMESPACE: &str = "istio-system";
/// Newer than any: every feature that depends on the version of a proxy is on, as for istioctl.
const NEWEST: &str = "65536.65536.65536";

/// A node: its ID and what else it says of itself.
///
/// istio/istio: pkg/model/proxy.go, pilot/pkg/model/context.go
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `sidecar~10.0.0.1~sleep-1.sample~sample.svc.cluster.local`.
    id: String,
    /// `NETWORK`, `CLUSTER_ID`, ... as given.
    metadata: Vec<(String, String)>,
}

impl Node {
    /// Who asks where nobody is named: it has no pod, so it is told what every ztunnel is told.
    pub fn observer() -> Node {
        let id = format!("ztunnel~10.0.0.1~meshwhy.{SYSTEM_NAMESPACE}~{SYSTEM_NAMESPACE}.svc.cluster.local");
        Node { id, metadata: Vec::new() }
    }

    /// Reads `sleep-1.sample` (a sidecar), or a whole node ID, each with metadata behind commas: `,NETWORK=net-1`.
    ///
    /// # Errors
    ///
    /// It is neither, its address is none, or a part of the metadata has no `=`.
    pub fn parse(text: &str) -> anyhow::Result<Node> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or("");
        let id = match name.split('~').collect::<Vec<_>>()[..] {
            [pod] if pod.split_once('.').is_some_and(|(pod, namespace)| !pod.is_empty() && !namespace.is_empty()) => {
                let namespace = pod.split_once('.').map_or("", |(_, namespace)| namespace);
                format!("sidecar~10.0.0.1~{pod}~{namespace}.svc.cluster.local")
            }
            [kind, address, pod, domain]
                if !kind.is_empty() && address.parse::<IpAddr>().is_ok() && pod.contains('.') && !domain.is_empty() =>
            {
                name.to_string()
            }
            _ => bail!(
                "cannot read {name:?} as a node\nhint: a pod with its namespace, sleep-1.sample, or all four parts: \
                 sidecar~10.0.0.1~sleep-1.sample~sample.svc.cluster.local"
            ),
        };
        let metadata = parts.map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_string(), value.to_string())),
            _ => bail!("cannot read {pair:?} as metadata of a node\nhint: NETWORK=net-1, CLUSTER_ID=east"),
        });
        Ok(Node { id, metadata: metadata.collect::<anyhow::Result<_>>()? })
    }

    /// `<pod>.<namespace>`.
    pub fn proxy(&self) -> &str {
        self.id.split('~').nth(2).unwrap_or("")
    }

    /// Whether it is a ztunnel, which asks for workloads; all others ask for clusters and endpoints.
    pub fn is_ztunnel(&self) -> bool {
        self.id.starts_with("ztunnel~")
    }

    /// The cluster ID it says it is of; `None` where it says none.
    pub fn cluster_id(&self) -> Option<&str> {
        self.metadata.iter().find(|(key, _)| key == "CLUSTER_ID").map(|(_, value)| &**value)
    }

    /// As it stands in a request.
    pub(super) fn message(&self) -> core::Node {
        let namespace = self.proxy().split_once('.').map_or(SYSTEM_NAMESPACE, |(_, namespace)| namespace);
        let defaults = [("NAMESPACE", namespace), ("ISTIO_VERSION", NEWEST)];
        let given = self.metadata.iter().map(|(key, value)| (&**key, &**value));
        let text = |value: &str| protobuf::Value { kind: Some(protobuf::value::Kind::StringValue(value.to_string())) };
        let fields: HashMap<String, protobuf::Value> =
            defaults.into_iter().chain(given).map(|(key, value)| (key.to_string(), text(value))).collect();
        core::Node {
            id: self.id.clone(),
            metadata: Some(protobuf::Struct { fields }),
            user_agent_name: "meshwhy".to_string(),
            ..core::Node::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_a_sidecar_and_a_whole_id_is_what_it_says() {
        let node = Node::parse("sleep-1.sample,CLUSTER_ID=east,NETWORK=net-1").expect("a pod");
        assert_eq!(node.id, "sidecar~10.0.0.1~sleep-1.sample~sample.svc.cluster.local");
        assert_eq!((node.proxy(), node.cluster_id(), node.is_ztunnel()), ("sleep-1.sample", Some("east"), false));
        let whole = "ztunnel~10.9.0.4~ztunnel-x.istio-system~istio-system.svc.cluster.local";
        let node = Node::parse(whole).expect("a whole ID");
        assert_eq!((&*node.id, node.is_ztunnel(), node.cluster_id()), (whole, true, None));
    }

    #[test]
    fn what_istiod_would_refuse_is_refused_with_an_example() {
        for text in ["", "sleep", ".sample", "sidecar~nowhere~a.b~c", "sidecar~10.0.0.1~a.b", "a.b,NETWORK"] {
            let error = Node::parse(text).expect_err(text).to_string();
            assert!(error.contains("hint: "), "{error}");
        }
    }

    #[test]
    fn the_message_says_the_namespace_and_what_was_given() {
        let message = Node::parse("sleep-1.sample,NETWORK=net-1").expect("a pod").message();
        let fields = message.metadata.expect("metadata").fields;
        let of = |key: &str| fields.get(key).and_then(|value| value.kind.clone());
        let text = |value: &str| Some(protobuf::value::Kind::StringValue(value.to_string()));
        assert_eq!((of("NAMESPACE"), of("NETWORK")), (text("sample"), text("net-1")));
    }
}
