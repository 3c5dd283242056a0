//! Where a line comes from: cluster, namespace, pod, container and the role of what printed it.

use std::sync::Arc;

/// What kind of program printed a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Role {
    /// istiod, the control plane.
    Istiod,
    /// ztunnel, the node proxy of ambient mode.
    Ztunnel,
    /// A sidecar: pilot-agent and Envoy share one log.
    Sidecar,
    /// An ingress, egress or east-west gateway.
    Gateway,
    /// A waypoint proxy of ambient mode.
    Waypoint,
    /// The istio-cni node agent or plugin.
    Cni,
    /// kube-apiserver.
    ApiServer,
    /// What a person ran by hand and saved: kubectl, istioctl, curl, openssl.
    Transcript,
    /// Not told by the path and not recognised yet.
    #[default]
    Unknown,
}

/// Where a line comes from. Shared by `Arc`, ordered by content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Origin {
    /// Cluster ID or, until one is known, the name the path gives it.
    pub cluster: Box<str>,
    /// Kubernetes namespace; empty where unknown.
    pub namespace: Box<str>,
    /// Pod; empty where unknown.
    pub pod: Box<str>,
    /// Container; empty where unknown.
    pub container: Box<str>,
    /// The file as the user named it, with `archive.tgz!inner/path` for archive members; `-` for standard input.
    pub file: Box<str>,
    /// What printed the lines, where the path tells it.
    pub role: Role,
}

impl Origin {
    /// An origin of which only the file and the cluster are known.
    pub fn new(cluster: &str, file: &str) -> Origin {
        Origin { cluster: cluster.into(), file: file.into(), ..Origin::default() }
    }
}

/// A shared origin.
pub type SharedOrigin = Arc<Origin>;
