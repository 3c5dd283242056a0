//! Both forms of the protocol as one: what is asked, and what is pushed; changes (delta), or all there is
//! (state-of-the-world).
//!
//! envoyproxy/envoy: api/envoy/service/discovery/v3/discovery.proto and the protocol's description, xds_protocol.rst

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3 as discovery;
use envoy_types::pb::google::rpc;
use futures::channel::mpsc::UnboundedReceiver;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::held::{Change, Kind};
use discovery::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient as AdsClient;

/// gRPC's code of an argument that cannot be used: what a proxy says of a resource that it rejects.
const INVALID_ARGUMENT: i32 = 3;

/// Which form of the protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Changes alone: what sidecars speak since 1.22, and ztunnels always.
    Delta,
    /// All there is, each time: what sidecars spoke before.
    StateOfTheWorld,
}

/// Something that is asked, or acknowledged.
pub(super) struct Ask {
    pub kind: Kind,
    /// Who asks: on the first of a stream.
    pub node: Option<Node>,
    /// The nonce of what was pushed last; empty where nothing was.
    pub nonce: String,
    /// The version of what was taken last, for state-of-the-world.
    pub version: String,
    /// What is asked for that was not; empty asks for everything of a kind that is asked for by no name.
    pub add: Vec<String>,
    /// What is not asked for any more.
    pub remove: Vec<String>,
    /// All that is asked for, for state-of-the-world.
    pub names: Vec<String>,
    /// What is held already, on the first of a stream.
    pub versions: HashMap<String, String>,
    /// Whether it answers what was pushed.
    pub is_answer: bool,
    /// Why what was pushed is rejected; `None` where it was taken.
    pub rejects: Option<String>,
}

impl Ask {
    /// A question about everything of a kind.
    pub fn of(kind: Kind) -> Ask {
        Ask {
            kind,
            node: None,
            nonce: String::new(),
            version: String::new(),
            add: Vec::new(),
            remove: Vec::new(),
            names: Vec::new(),
            versions: HashMap::new(),
            is_answer: false,
            rejects: None,
        }
    }

    fn detail(rejects: Option<String>) -> Option<rpc::Status> {
        rejects.map(|message| rpc::Status { code: INVALID_ARGUMENT, message, details: Vec::new() })
    }

    fn delta(self) -> discovery::DeltaDiscoveryRequest {
        discovery::DeltaDiscoveryRequest {
            node: self.node,
            type_url: self.kind.type_url().to_string(),
            resource_names_subscribe: self.add,
            resource_names_unsubscribe: self.remove,
            initial_resource_versions: self.versions,
            // A question of its own carries no nonce.
            response_nonce: if self.is_answer { self.nonce } else { String::new() },
            error_detail: Ask::detail(self.rejects),
            ..discovery::DeltaDiscoveryRequest::default()
        }
    }

    fn whole(self) -> discovery::DiscoveryRequest {
        discovery::DiscoveryRequest {
            node: self.node,
            type_url: self.kind.type_url().to_string(),
            resource_names: self.names,
            version_info: self.version,
            response_nonce: self.nonce,
            error_detail: Ask::detail(self.rejects),
            ..discovery::DiscoveryRequest::default()
        }
    }
}

/// Something that was pushed.
pub(super) struct Pushed {
    /// `None` where it is of a type that nobody asked for.
    pub kind: Option<Kind>,
    pub change: Change,
    pub nonce: String,
    pub version: String,
}

impl Pushed {
    fn delta(of: discovery::DeltaDiscoveryResponse) -> Pushed {
        let put = of.resources.into_iter();
        let put = put.filter_map(|resource| Some((resource.name, resource.version, resource.resource?))).collect();
        Pushed {
            kind: Kind::of(&of.type_url),
            change: Change { put, removed: of.removed_resources, is_all: false },
            nonce: of.nonce,
            version: of.system_version_info,
        }
    }

    fn whole(of: discovery::DiscoveryResponse) -> Pushed {
        let kind = Kind::of(&of.type_url);
        let put = of.resources.into_iter().map(|any| (String::new(), of.version_info.clone(), any)).collect();
        // Of endpoints those come that changed.
        let change = Change { put, removed: Vec::new(), is_all: kind == Some(Kind::Clusters) };
        Pushed { kind, change, nonce: of.nonce, version: of.version_info }
    }
}

/// What is pushed on a stream, in its order.
pub(super) type Pushes = BoxStream<'static, Result<Pushed, Status>>;

/// A client that takes messages of so many bytes.
pub(super) fn client(channel: Channel, bytes_max: usize) -> AdsClient<Channel> {
    AdsClient::new(channel).max_decoding_message_size(bytes_max)
}

/// Opens a stream on which is asked what comes from `asks`; istiod opens its side with its first answer.
///
/// # Errors
///
/// istiod refuses it.
pub(super) async fn open(
    mut client: AdsClient<Channel>,
    form: Form,
    head: MetadataMap,
    asks: UnboundedReceiver<Ask>,
) -> Result<Pushes, Status> {
    let empty = tonic::Extensions::default();
    Ok(match form {
        Form::Delta => {
            let request = Request::from_parts(head, empty, asks.map(Ask::delta));
            client.delta_aggregated_resources(request).await?.into_inner().map_ok(Pushed::delta).boxed()
        }
        Form::StateOfTheWorld => {
            let request = Request::from_parts(head, empty, asks.map(Ask::whole));
            client.stream_aggregated_resources(request).await?.into_inner().map_ok(Pushed::whole).boxed()
        }
    })
}
