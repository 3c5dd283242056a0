//! Forwarded ports: WebSocket towards the client, HTTP inside it.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::Shared;
use super::answer::{Body, Refusal, as_ordered, response};
use super::ask::Asked;

/// What listens on a port of a pod: path and query to status and body.
pub type Handler = Arc<dyn Fn(&str) -> (u16, String) + Send + Sync>;

/// The protocol spoken: frames of a channel's number and its bytes, two channels for each port.
const PROTOCOL: &str = "v4.channel.k8s.io";

/// Answers a request to forward ports of a pod and forwards them for as long as client and pod are there.
pub fn forward(shared: &Arc<Shared>, asked: &Asked, mut request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let (namespace, pod) = (asked.namespace.clone().unwrap_or_default(), asked.name.clone().unwrap_or_default());
    {
        let state = shared.lock();
        let object = state.store.pod(&namespace, &pod);
        let object = object.ok_or_else(|| Refusal::new(404, &format!("pods {pod:?} not found")))?;
        if object["spec"]["nodeName"].as_str().is_none_or(str::is_empty) {
            return Err(Refusal::new(400, &format!("pod {pod} does not have a host assigned")));
        }
        // The kubelet's word for a pod that has no sandbox.
        if object["status"]["phase"] != "Running" {
            return Err(Refusal::new(500, &format!("pod not found ({:?})", format!("{pod}_{namespace}"))));
        }
    }
    let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or("");
    let speaks = header(SEC_WEBSOCKET_PROTOCOL).split(',').any(|protocol| protocol.trim() == PROTOCOL);
    if !header(UPGRADE).eq_ignore_ascii_case("websocket") || !speaks {
        return Err(Refusal::new(400, "Upgrade request required"));
    }
    let accept = derive_accept_key(header(SEC_WEBSOCKET_KEY).as_bytes());
    let ports: Option<Vec<u16>> = asked.value("ports").split(',').map(|port| port.parse().ok()).collect();
    let ports = ports.ok_or_else(|| Refusal::new(400, "query parameter \"ports\" is required"))?;

    let tunnel = Tunnel { shared: shared.clone(), namespace, pod };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let role = Role::Server;
            tunnel.run(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), role, None).await, &ports).await;
        }
    });
    let mut response = response(StatusCode::SWITCHING_PROTOCOLS.as_u16(), "text/plain", "");
    let headers = response.headers_mut();
    headers.clear();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept.parse().expect("base64 is plain"));
    Ok(response)
}

#[derive(Clone)]
struct Tunnel {
    shared: Arc<Shared>,
    namespace: String,
    pod: String,
}

impl Tunnel {
    async fn run(self, socket: WebSocketStream<TokioIo<Upgraded>>, ports: &[u16]) {
        let (mut to_client, mut from_client) = socket.split();
        let (frames, mut to_send) = mpsc::channel::<Vec<u8>>(16);
        let mut to_ports = Vec::new();
        for (at, port) in ports.iter().enumerate() {
            let channel = 2 * at as u8;
            // Each channel first says which port it is for.
            for channel in [channel, channel + 1] {
                let hello = [[channel].as_slice(), &port.to_le_bytes()].concat();
                if to_client.send(Message::binary(hello)).await.is_err() {
                    return;
                }
            }
            let handler = self.shared.lock().ports.get(&(self.namespace.clone(), self.pod.clone(), *port)).cloned();
            let Some(handler) = handler else {
                let refusal = [[channel + 1].as_slice(), refused(&self.pod, *port).as_bytes()].concat();
                if to_client.send(Message::binary(refusal)).await.is_err() {
                    return;
                }
                to_ports.push(None);
                continue;
            };
            let (ours, inside) = io::duplex(64 << 10);
            let (mut from_port, to_port) = io::split(ours);
            to_ports.push(Some(to_port));
            tokio::spawn(self.clone().serve(inside, handler));
            let frames = frames.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 16 << 10];
                while let Ok(length @ 1..) = from_port.read(&mut buffer).await {
                    if frames.send([[channel].as_slice(), &buffer[..length]].concat()).await.is_err() {
                        break;
                    }
                }
            });
        }
        drop(frames);
        let gone = self.gone();
        tokio::pin!(gone);
        loop {
            tokio::select! {
                () = &mut gone => break,
                frame = to_send.recv() => {
                    // When no port has more to say, kubelets close (`pkg/kubelet/server/portforward/websocket.go`).
                    let Some(frame) = frame else { break };
                    if to_client.send(Message::binary(frame)).await.is_err() {
                        break;
                    }
                }
                message = from_client.next() => match message {
                    Some(Ok(Message::Binary(bytes))) => {
                        let Some((channel, bytes)) = bytes.split_first() else { continue };
                        let port = to_ports.get_mut(usize::from(channel / 2)).and_then(Option::as_mut);
                        if let Some(port) = port.filter(|_| channel % 2 == 0) {
                            // A port that was closed loses what is sent to it.
                            let _ = port.write_all(bytes).await;
                        }
                    }
                    None | Some(Err(_) | Ok(Message::Close(_))) => break,
                    Some(Ok(_)) => {}
                },
            }
        }
        let _ = to_client.close().await;
    }

    /// Speaks HTTP to whoever came through the tunnel.
    async fn serve(self, stream: DuplexStream, handler: Handler) {
        let answers = service_fn(|request: Request<Incoming>| {
            let (tunnel, handler) = (self.clone(), handler.clone());
            async move { Ok::<_, Infallible>(tunnel.answer(&request, &handler).await) }
        });
        // A client that leaves in the middle is its own business.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answers).await;
    }

    async fn answer(&self, request: &Request<Incoming>, handler: &Handler) -> Response<Body> {
        let mut asked = Asked::new(request.method(), request.uri());
        asked.verb = "tunnel".to_string();
        asked.resource = asked.path.clone();
        (asked.group, asked.version) = Default::default();
        (asked.namespace, asked.name) = (Some(self.namespace.clone()), Some(self.pod.clone()));
        let (number, failure) = self.shared.record(asked);
        let answer = async {
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            let (code, body) = handler(target);
            let content_type = if body.starts_with(['{', '[']) { "application/json" } else { "text/plain" };
            response(code, content_type, Bytes::from(body))
        };
        // A connection in the tunnel has but one way to end.
        let answer = as_ordered(failure, answer, |_| ()).await;
        self.shared.lock().asked[number].status = Some(answer.status().as_u16());
        answer
    }

    /// Waits until the pod is deleted.
    async fn gone(&self) {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if self.shared.lock().store.pod(&self.namespace, &self.pod).is_none() {
                return;
            }
            if changed.changed().await.is_err() {
                return pending().await;
            }
        }
    }
}

/// What a container runtime says where nothing listens (`containerd/containerd: internal/cri/server`).
fn refused(pod: &str, port: u16) -> String {
    format!(
        "error forwarding port {port} to pod {pod}, uid : failed to execute portforward in network namespace \
         \"/var/run/netns/cni-0\": failed to connect to localhost:{port} inside namespace \"cni-0\", \
         IPv4: dial tcp4 127.0.0.1:{port}: connect: connection refused"
    )
}
