//! What the server remembers of its clients.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use envoy_types::pb::google::rpc::Status;

/// In which form a stream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `StreamAggregatedResources`: the state of the world.
    Sotw,
    /// `DeltaAggregatedResources`: changes.
    Delta,
}

/// A stream that a client opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// In which form it speaks.
    pub form: Form,
    /// Headers of the request, such as `authorization` and `clusterid`; names are in lower case.
    pub metadata: BTreeMap<String, String>,
    /// Whether the client showed a certificate; one that the authority did not sign fails the handshake.
    pub certificate: bool,
    /// Whether the server refused the stream, as ordered.
    pub refused: bool,
}

/// A request on a stream.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The stream, as a place in [`super::XdsServer::opened`].
    pub stream: usize,
    /// In which form it speaks.
    pub form: Form,
    /// The type of resources that is meant.
    pub type_url: String,
    /// Who asks; clients say it in the first request of a stream at least.
    pub node: Option<Node>,
    /// The response that this answers; empty when it answers none.
    pub nonce: String,
    /// The version that the client holds to (SotW).
    pub version: String,
    /// Names that it wants (SotW: all of them; delta: from now on too).
    pub names: Vec<String>,
    /// Names that it wants no more (delta).
    pub unsubscribed: Vec<String>,
    /// What it has from an earlier stream: names and versions (delta).
    pub known: BTreeMap<String, String>,
    /// Why it refuses the response: code and words of a NACK.
    pub error: Option<(i32, String)>,
}

impl Asked {
    /// Whether it accepts a response of this type.
    pub fn accepts(&self, type_url: &str) -> bool {
        self.type_url == type_url && !self.nonce.is_empty() && self.error.is_none()
    }

    /// Whether it refuses a response of this type.
    pub fn refuses(&self, type_url: &str) -> bool {
        self.type_url == type_url && self.error.is_some()
    }

    pub(super) fn sotw(stream: usize, request: &DiscoveryRequest) -> Asked {
        Asked {
            stream,
            form: Form::Sotw,
            type_url: request.type_url.clone(),
            node: request.node.clone(),
            nonce: request.response_nonce.clone(),
            version: request.version_info.clone(),
            names: request.resource_names.clone(),
            unsubscribed: Vec::new(),
            known: BTreeMap::new(),
            error: request.error_detail.as_ref().map(error),
        }
    }

    pub(super) fn delta(stream: usize, request: &DeltaDiscoveryRequest) -> Asked {
        Asked {
            stream,
            form: Form::Delta,
            type_url: request.type_url.clone(),
            node: request.node.clone(),
            nonce: request.response_nonce.clone(),
            version: String::new(),
            names: request.resource_names_subscribe.clone(),
            unsubscribed: request.resource_names_unsubscribe.clone(),
            known: request.initial_resource_versions.clone().into_iter().collect(),
            error: request.error_detail.as_ref().map(error),
        }
    }
}

fn error(status: &Status) -> (i32, String) {
    (status.code, status.message.clone())
}
