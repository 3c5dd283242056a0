//! Answers to requests: who may ask, what is there, and the faults that a test ordered.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::unfold;
use futures::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Close;
use super::ask::Asked;
use super::logs::{LogOptions, Reader};
use super::review;
use super::store::{Resource, Shape, Store};
use super::wire::Wire;
use super::{Failure, Shared, State, USER, forward, watch};

/// What is sent back.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// How long the bytes before a cut have to leave the server.
const FLUSH: Duration = Duration::from_millis(10);

/// A request that is not granted: what its Status says.
pub struct Refusal {
    code: u16,
    message: String,
    details: Value,
}

impl Refusal {
    /// One that names no object.
    pub fn new(code: u16, message: &str) -> Refusal {
        Refusal { code, message: message.to_string(), details: Value::Null }
    }

    fn about(code: u16, message: &str, asked: &Asked) -> Refusal {
        let kind = asked.resource.split('/').next();
        let details = json!({"name": asked.name.as_deref().unwrap_or(""), "group": asked.group, "kind": kind});
        Refusal { code, message: message.to_string(), details }
    }

    fn not_found(resource: &Resource, asked: &Asked) -> Refusal {
        let name = asked.name.as_deref().unwrap_or("");
        Refusal::about(404, &format!("{} {name:?} not found", resource.qualified()), asked)
    }

    fn response(&self) -> Response<Body> {
        let mut status = status(self.code, &self.message);
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        json_response(self.code, &status)
    }
}

/// A `Status` of `v1` that tells a failure.
pub fn status(code: u16, message: &str) -> Value {
    let reason = match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        410 => "Expired",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code,
    })
}

/// Answers one request of a connection.
pub async fn answer(
    shared: Arc<Shared>,
    wire: Arc<Wire>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let asked = Asked::new(request.method(), request.uri());
    wire.carries(&asked);
    let (number, failure) = shared.record(asked.clone());
    let closing = move |close| wire.end.will_close(close);
    let response = as_ordered(failure, granted(&shared, &asked, request), closing).await;
    shared.lock().asked[number].status = Some(response.status().as_u16());
    Ok(response)
}

/// An answer, or the failure that a test ordered in its place. `closing` is told how a connection that is cut ends.
pub async fn as_ordered(
    failure: Option<Failure>,
    answer: impl Future<Output = Response<Body>>,
    closing: impl FnOnce(Close) + Send + 'static,
) -> Response<Body> {
    match failure {
        None => answer.await,
        Some(Failure::Status(code)) => {
            let message = match code {
                401 => "Unauthorized",
                500 => "etcdserver: request timed out",
                503 => "the server is currently unable to handle the request",
                504 => "Timeout: request did not complete within the allotted timeout",
                _ => "a test ordered this",
            };
            Refusal::new(code, message).response()
        }
        // No Status: `kubernetes/kubernetes: staging/src/k8s.io/apiserver/pkg/server/filters/maxinflight.go`.
        Some(Failure::Busy { retry_after }) => {
            let mut response = text_response(429, "Too many requests, please try again later.\n");
            response.headers_mut().insert(RETRY_AFTER, retry_after.into());
            response
        }
        Some(Failure::Silence) => pending().await,
        Some(Failure::Cut { after, close }) => {
            let (parts, body) = answer.await.into_parts();
            Response::from_parts(parts, cut(body, after, move || closing(close)))
        }
    }
}

/// The answer, if the token is good and its permissions suffice.
async fn granted(shared: &Arc<Shared>, asked: &Asked, request: Request<Incoming>) -> Response<Body> {
    let token = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    {
        let state = shared.lock();
        if token.is_none() || token != state.token.as_deref() && token != Some(&*state.operator) {
            return Refusal::new(401, "Unauthorized").response();
        }
        if !state.may(asked) {
            return forbidden(asked).response();
        }
    }
    if asked.resource == "pods/portforward" {
        return forward::forward(shared, asked, request).unwrap_or_else(|refusal| refusal.response());
    }
    if (asked.verb.as_str(), asked.resource.as_str()) == ("create", "selfsubjectaccessreviews") {
        let Ok(body) = request.into_body().collect().await else { return pending().await };
        return review(&shared.lock(), &body.to_bytes()).unwrap_or_else(|refusal| refusal.response());
    }
    let wants_metadata = |accept: &str| accept.split(',').next().is_some_and(|first| first.contains("PartialObject"));
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let shape = if accept.is_some_and(wants_metadata) { Shape::Metadata } else { Shape::Whole };
    let mut state = shared.lock();
    about_server(&state.store, asked)
        .or_else(|| {
            about_objects(shared, &mut state, asked, shape)
                .transpose()
                .map(|answer| answer.unwrap_or_else(|refusal| refusal.response()))
        })
        // What no handler is for is refused in plain text.
        .unwrap_or_else(|| text_response(404, "404 page not found\n"))
}

/// The refusal of RBAC (`staging/src/k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go`).
fn forbidden(asked: &Asked) -> Refusal {
    let verb = &asked.verb;
    if asked.version.is_empty() {
        let message = format!("forbidden: User \"{USER}\" cannot {verb} path \"{}\"", asked.path);
        return Refusal::new(403, &message);
    }
    let (resource, _) = asked.resource.split_once('/').unwrap_or((&asked.resource, ""));
    let group = if asked.group.is_empty() { String::new() } else { format!(".{}", asked.group) };
    let name = asked.name.as_ref().map(|name| format!(" {name:?}")).unwrap_or_default();
    let place = match &asked.namespace {
        Some(namespace) => format!("in the namespace {namespace:?}"),
        None => "at the cluster scope".to_string(),
    };
    let message = format!(
        "{resource}{group}{name} is forbidden: User \"{USER}\" cannot {verb} resource \"{}\" in API group \"{}\" {place}",
        asked.resource, asked.group
    );
    Refusal::about(403, &message, asked)
}

/// What a server says of itself: its version, and what it serves.
fn about_server(store: &Store, asked: &Asked) -> Option<Response<Body>> {
    if !asked.version.is_empty() || asked.method != "GET" {
        return None;
    }
    let parts: Vec<&str> = asked.path.split('/').filter(|part| !part.is_empty()).collect();
    let body = match parts.as_slice() {
        ["healthz" | "livez" | "readyz"] => return Some(text_response(200, "ok")),
        ["version"] => json!({
            "major": "1", "minor": "33", "gitVersion": "v1.33.1", "gitTreeState": "clean", "platform": "linux/amd64",
        }),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ["apis"] => {
            let mut names: Vec<&str> = store.resources().iter().map(|resource| resource.group.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            let groups: Vec<Value> = names.iter().filter_map(|name| group(store, name)).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["apis", name] => {
            let mut group = group(store, name)?;
            group["kind"] = "APIGroup".into();
            group["apiVersion"] = "v1".into();
            group
        }
        ["api", version] => resources(store, "", version)?,
        ["apis", group, version] => resources(store, group, version)?,
        _ => return None,
    };
    Some(json_response(200, &body))
}

/// An API group and its versions.
fn group(store: &Store, name: &str) -> Option<Value> {
    let mut versions: Vec<&str> = Vec::new();
    for resource in store.resources().iter().filter(|resource| !name.is_empty() && resource.group == name) {
        for version in &resource.versions {
            if !versions.contains(&version.as_str()) {
                versions.push(version);
            }
        }
    }
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    let preferred = versions.first()?.clone();
    Some(json!({"name": name, "versions": versions, "preferredVersion": preferred}))
}

/// The resources of a version of a group.
fn resources(store: &Store, group: &str, version: &str) -> Option<Value> {
    let served = store.resources().iter();
    let served = served.filter(|one| one.group == group && one.versions.iter().any(|served| served == version));
    let mut list: Vec<Value> = served
        .map(|one| {
            json!({
                "name": one.plural, "singularName": one.kind.to_lowercase(), "namespaced": one.is_namespaced,
                "kind": one.kind, "verbs": ["get", "list", "watch"],
            })
        })
        .collect();
    if list.is_empty() {
        return None;
    }
    if group.is_empty() {
        for (name, kind, verb) in [("pods/log", "Pod", "get"), ("pods/portforward", "PodPortForwardOptions", "create")]
        {
            list.push(json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": [verb]}));
        }
    }
    let group_version = if group.is_empty() { version.to_string() } else { format!("{group}/{version}") };
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list}))
}

/// Objects: one, a list, a watch, a log. `None` where no such resource is served.
fn about_objects(
    shared: &Arc<Shared>,
    state: &mut State,
    asked: &Asked,
    shape: Shape,
) -> Result<Option<Response<Body>>, Refusal> {
    let (plural, part) = asked.resource.split_once('/').unwrap_or((&asked.resource, ""));
    let Some(resource) = state.store.resource(&asked.group, &asked.version, plural).cloned() else { return Ok(None) };
    if !["get", "list", "watch"].contains(&asked.verb.as_str()) {
        let message = format!("the server does not allow this method on the requested resource: {}", asked.method);
        return Err(Refusal::about(405, &message, asked));
    }
    let api_version = resource.api_version(&asked.version);
    let body = match (asked.verb.as_str(), part) {
        ("watch", "") => {
            let lines = watch::watch(shared, state, &resource, asked, shape)?;
            return Ok(Some(stream_response("application/json", lines)));
        }
        ("list", "") => watch::list(&state.store, &resource, asked, shape)?,
        (_, "log") => return log(shared, state, &resource, asked).map(Some),
        (_, "") => {
            let (namespace, name) = (asked.namespace.as_deref().unwrap_or(""), asked.name.as_deref().unwrap_or(""));
            let object = state.store.get(&resource, namespace, name);
            shape.of(object.ok_or_else(|| Refusal::not_found(&resource, asked))?, &api_version)
        }
        _ => return Ok(None),
    };
    Ok(Some(json_response(200, &body)))
}

/// A container's log. Messages as in `kubernetes/kubernetes: pkg/registry/core/pod/strategy.go` and of the kubelet.
fn log(shared: &Arc<Shared>, state: &mut State, resource: &Resource, asked: &Asked) -> Result<Response<Body>, Refusal> {
    let (namespace, pod) = (asked.namespace.as_deref().unwrap_or(""), asked.name.as_deref().unwrap_or(""));
    let object = state.store.pod(namespace, pod).ok_or_else(|| Refusal::not_found(resource, asked))?;
    let containers = containers(object);
    let container = match (asked.value("container"), object["spec"]["containers"].as_array().map(Vec::as_slice)) {
        ("", Some([only])) => only["name"].as_str().unwrap_or("").to_string(),
        ("", _) => {
            let all = containers.join(" ");
            let message = format!("a container name must be specified for pod {pod}, choose one of: [{all}]");
            return Err(Refusal::new(400, &message));
        }
        (name, _) if containers.iter().any(|one| one == name) => name.to_string(),
        (name, _) => return Err(Refusal::new(400, &format!("container {name} is not valid for pod {pod}"))),
    };
    // A pod without a node has an empty log, which a follower sees end at once.
    if object["spec"]["nodeName"].as_str().is_none_or(str::is_empty) {
        return Ok(text_response(200, ""));
    }
    if let Some(why) = waits(object, &container).filter(|_| !asked.is_set("previous")) {
        let message = format!("container {container:?} in pod {pod:?} is waiting to start: {why}");
        return Err(Refusal::new(400, &message));
    }
    let number = |name: &str| asked.query.get(name).and_then(|text| text.parse::<u32>().ok());
    let since_time = match asked.value("sinceTime") {
        "" => None,
        text => Some(text.parse().map_err(|_| Refusal::new(400, &format!("unable to decode sinceTime {text:?}")))?),
    };
    let since_seconds = number("sinceSeconds").map(|seconds| Timestamp::now() - Duration::from_secs(seconds.into()));
    let options = LogOptions {
        since: since_time.or(since_seconds),
        tail_lines: number("tailLines").map(|lines| lines as usize),
        has_timestamps: asked.is_set("timestamps"),
        limit_bytes: number("limitBytes").map(|bytes| bytes as usize),
    };
    let life = if asked.is_set("previous") {
        let message = format!("previous terminated container {container:?} in pod {pod:?} not found");
        state.logs.previous(namespace, pod, &container).ok_or_else(|| Refusal::new(400, &message))?
    } else {
        state.logs.current(namespace, pod, &container)
    };
    let reader = Reader::new(life, &options);
    let changed = shared.changed.subscribe();
    let follows = asked.is_set("follow");
    let bytes = unfold((reader, changed), move |(mut reader, mut changed)| async move {
        loop {
            changed.borrow_and_update();
            let bytes = reader.read();
            if !bytes.is_empty() {
                return Some((Bytes::from(bytes), (reader, changed)));
            }
            if !follows || reader.is_at_end() || changed.changed().await.is_err() {
                return None;
            }
        }
    });
    Ok(stream_response("text/plain", bytes))
}

/// Why a container that never ran does not run (`pkg/kubelet/kubelet_pods.go`).
fn waits<'a>(pod: &'a Value, container: &str) -> Option<&'a str> {
    let lists =
        ["containerStatuses", "initContainerStatuses"].iter().filter_map(|list| pod["status"][*list].as_array());
    let status = lists.flatten().find(|status| status["name"] == *container)?;
    if !status["lastState"]["terminated"].is_null() {
        return None;
    }
    Some(match status["state"]["waiting"]["reason"].as_str()? {
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        reason => reason,
    })
}

/// The names of a pod's containers, in the order in which the server lists them.
pub fn containers(pod: &Value) -> Vec<String> {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let containers = lists.iter().filter_map(|list| pod["spec"][*list].as_array()).flatten();
    containers.filter_map(|container| container["name"].as_str().map(String::from)).collect()
}

/// `SelfSubjectAccessReview`: whether the asker may do a thing. Asked in JSON or, as kubectl does, in protobuf; answered
/// in JSON, which both take.
fn review(state: &State, body: &[u8]) -> Result<Response<Body>, Refusal> {
    let bad = |error: String| Refusal::new(400, &error);
    let mut review: Value = match review::of_protobuf(body) {
        Some(review) => review.map_err(|error| bad(error.to_string()))?,
        None => serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?,
    };
    let attributes = &review["spec"]["resourceAttributes"];
    let text = |name: &str| attributes[name].as_str().unwrap_or("").to_string();
    let some = |name: &str| Some(text(name)).filter(|text| !text.is_empty());
    let resource = match some("subresource") {
        Some(part) => format!("{}/{part}", text("resource")),
        None => text("resource"),
    };
    let asked = Asked {
        verb: text("verb"),
        resource,
        group: text("group"),
        namespace: some("namespace"),
        name: some("name"),
        ..Asked::default()
    };
    review["status"] = json!({"allowed": state.may(&asked)});
    Ok(json_response(201, &review))
}

/// Lets so many bytes of a body pass and breaks the connection in the middle of it.
fn cut(body: Body, after: usize, closing: impl FnOnce() + Send + 'static) -> Body {
    let frames = unfold((body, after, Some(closing)), async |(mut body, left, mut closing)| {
        if left > 0 {
            let mut bytes = body.frame().await?.ok()?.into_data().ok()?;
            bytes.truncate(left);
            let left = left - bytes.len();
            return Some((Ok(Frame::data(bytes)), (body, left, closing)));
        }
        sleep(FLUSH).await;
        closing.take()?();
        Some((Err(io::Error::other("cut")), (body, left, closing)))
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

/// A response of known length.
pub fn response(code: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).expect("a test names a status that exists");
    response.headers_mut().insert(CONTENT_TYPE, content_type.parse().expect("content types are plain"));
    response
}

fn json_response(code: u16, body: &Value) -> Response<Body> {
    response(code, "application/json", body.to_string())
}

fn text_response(code: u16, body: &'static str) -> Response<Body> {
    response(code, "text/plain; charset=utf-8", body)
}

/// A response that goes on for as long as its stream does.
fn stream_response(content_type: &'static str, chunks: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let frames = chunks.map(|bytes| Ok(Frame::data(bytes)));
    let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)));
    response.headers_mut().insert(CONTENT_TYPE, content_type.parse().expect("content types are plain"));
    response
}
