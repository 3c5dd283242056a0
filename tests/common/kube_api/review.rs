//! Access reviews in protobuf, which kubectl sends (`kubernetes/api: authorization/v1/generated.proto`, in the envelope of
//! `kubernetes/apimachinery: pkg/runtime/serializer/protobuf/protobuf.go`).

use prost::Message;
use serde_json::{Value, json};

/// What every message begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The envelope: the message is told apart from its kind.
#[derive(Clone, PartialEq, Message)]
struct Unknown {
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Review {
    #[prost(message, optional, tag = "2")]
    spec: Option<Spec>,
}

#[derive(Clone, PartialEq, Message)]
struct Spec {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    verb: String,
    #[prost(string, tag = "3")]
    group: String,
    #[prost(string, tag = "5")]
    resource: String,
    #[prost(string, tag = "6")]
    subresource: String,
    #[prost(string, tag = "7")]
    name: String,
}

/// The same as JSON; `None` where it is no protobuf.
pub fn of_protobuf(body: &[u8]) -> Option<Result<Value, prost::DecodeError>> {
    let envelope = body.strip_prefix(MAGIC)?;
    let review = Unknown::decode(envelope).and_then(|envelope| Review::decode(envelope.raw.as_slice()));
    Some(review.map(|review| {
        let Resource { namespace, verb, group, resource, subresource, name } =
            review.spec.and_then(|spec| spec.resource).unwrap_or_default();
        let attributes = json!({"namespace": namespace, "verb": verb, "group": group, "resource": resource,
            "subresource": subresource, "name": name});
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {},
            "spec": {"resourceAttributes": attributes}})
    }))
}
