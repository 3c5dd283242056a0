//! Connections and streams: TLS, HTTP/2, gRPC, and how they end.

use std::collections::BTreeMap;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::{Service as _, async_trait};
use tonic::metadata::KeyAndValueRef;
use tonic::{Request, Response, Status, Streaming};

use super::asked::{Asked, Form, Opened};
use super::session::{Delta, Sotw, World};
use super::{Live, Shared};
use crate::common::wire::{Close, Cut, Socket, carry};

/// Requests of a client may be as large as pushes of an istiod.
const MAX_MESSAGE: usize = 64 << 20;

/// Whether the client of a connection showed a certificate.
#[derive(Clone, Copy)]
struct Certificate(bool);

/// Accepts connections for as long as it is polled.
pub async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let cut = Arc::new(Cut::new());
        let number = shared.lock().connect(cut.clone());
        let shared = shared.clone();
        tokio::spawn(async move {
            accept(&shared, stream, &cut).await;
            shared.lock().connections.remove(&number);
        });
    }
}

async fn accept(shared: &Arc<Shared>, stream: TcpStream, cut: &Cut) {
    let _ = stream.set_nodelay(true);
    let tls = shared.lock().tls.clone();
    let Some(tls) = tls else {
        return serve(shared, stream, cut, Certificate(false)).await;
    };
    let handshake = async {
        shared.faults.speaking().await;
        tls.accept(stream).await
    };
    let stream = tokio::select! {
        () = cut.ordered() => return,
        stream = handshake => stream,
    };
    // A client that does not trust us is its own business.
    let Ok(stream) = stream else { return };
    let certificate = Certificate(stream.get_ref().1.peer_certificates().is_some());
    serve(shared, stream, cut, certificate).await;
}

/// Speaks HTTP/2 into a pipe of our own, so that what stands between it and the client can be cut at any byte.
async fn serve(shared: &Arc<Shared>, stream: impl Socket, cut: &Cut, certificate: Certificate) {
    let (inner, outer) = io::duplex(64 << 10);
    let ads = AggregatedDiscoveryServiceServer::new(Ads { shared: shared.clone() })
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let ads = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(certificate);
        ads.clone().call(request)
    });
    let http = async {
        let mut leave = shared.leave.subscribe();
        let builder = auto::Builder::new(TokioExecutor::new()).http2_only();
        let mut connection = pin!(builder.serve_connection(TokioIo::new(inner), ads));
        let grace = tokio::select! {
            _ = connection.as_mut() => return pending().await,
            _ = leave.changed() => *leave.borrow(),
        };
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection.as_mut() => {}
            () = tokio::time::sleep(grace) => cut.cut(Close::Notified),
        }
        pending().await
    };
    tokio::select! {
        () = http => {}
        () = carry(stream, outer, &shared.faults, cut) => {}
    }
}

struct Ads {
    shared: Arc<Shared>,
}

#[async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = ReceiverStream<Result<DiscoveryResponse, Status>>;
    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        self.open::<Sotw>(request).await
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        self.open::<Delta>(request).await
    }
}

/// A form of stream, as far as they are served alike.
trait Session: Default + Send + 'static {
    type Request: Send + 'static;
    type Response: Send + 'static;
    const FORM: Form;
    fn asked(stream: usize, request: &Self::Request) -> Asked;
    fn take(&mut self, request: &Self::Request);
    fn due(&mut self, world: &World) -> Vec<Self::Response>;
    /// Type and nonce.
    fn answer_to(response: &Self::Response) -> (String, String);
}

impl Session for Sotw {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;
    const FORM: Form = Form::Sotw;

    fn asked(stream: usize, request: &DiscoveryRequest) -> Asked {
        Asked::sotw(stream, request)
    }

    fn take(&mut self, request: &DiscoveryRequest) {
        self.take(request);
    }

    fn due(&mut self, world: &World) -> Vec<DiscoveryResponse> {
        self.due(world)
    }

    fn answer_to(response: &DiscoveryResponse) -> (String, String) {
        (response.type_url.clone(), response.nonce.clone())
    }
}

impl Session for Delta {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;
    const FORM: Form = Form::Delta;

    fn asked(stream: usize, request: &DeltaDiscoveryRequest) -> Asked {
        Asked::delta(stream, request)
    }

    fn take(&mut self, request: &DeltaDiscoveryRequest) {
        self.take(request);
    }

    fn due(&mut self, world: &World) -> Vec<DeltaDiscoveryResponse> {
        self.due(world)
    }

    fn answer_to(response: &DeltaDiscoveryResponse) -> (String, String) {
        (response.type_url.clone(), response.nonce.clone())
    }
}

impl Ads {
    async fn open<S: Session>(
        &self,
        request: Request<Streaming<S::Request>>,
    ) -> Result<Response<ReceiverStream<Result<S::Response, Status>>>, Status> {
        let text = request.metadata().iter().filter_map(|entry| match entry {
            KeyAndValueRef::Ascii(key, value) => Some((key.to_string(), value.to_str().ok()?.to_string())),
            KeyAndValueRef::Binary(..) => None,
        });
        let metadata = text.collect::<BTreeMap<_, _>>();
        let certificate = request.extensions().get::<Certificate>().is_some_and(|Certificate(shown)| *shown);
        // Whoever looks at the record sees the refusal in it.
        let stream = {
            let mut state = self.shared.lock();
            let refusal = state.refusal();
            state.opened.push(Opened { form: S::FORM, metadata, certificate, refused: refusal.is_some() });
            if let Some(refusal) = refusal {
                return Err(refusal);
            }
            let stream = state.opened.len() - 1;
            state.live.insert(stream, Live::default());
            stream
        };
        let (answers, answered) = mpsc::channel(16);
        // Before the client knows that the stream is open: what a test orders then is not missed.
        let end = self.shared.end.subscribe();
        let (shared, mut requests) = (self.shared.clone(), request.into_inner());
        tokio::spawn(async move {
            let end = converse::<S>(&shared, stream, &mut requests, &answers, end).await;
            shared.lock().live.remove(&stream);
            if let Some(status) = end {
                let _ = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(answered)))
    }
}

/// Serves a stream until the client is gone or the server ends it, which gives the status to end it with.
async fn converse<S: Session>(
    shared: &Shared,
    stream: usize,
    requests: &mut Streaming<S::Request>,
    answers: &mpsc::Sender<Result<S::Response, Status>>,
    mut end: watch::Receiver<Option<Status>>,
) -> Option<Status> {
    let mut changed = shared.changed.subscribe();
    let mut session = S::default();
    loop {
        tokio::select! {
            request = requests.message() => {
                let Ok(Some(request)) = request else { return None };
                shared.lock().take(S::asked(stream, &request));
                session.take(&request);
            }
            _ = changed.changed() => {}
            _ = end.changed() => return end.borrow().clone(),
            () = answers.closed() => return None,
        }
        let delay = shared.lock().delay;
        tokio::time::sleep(delay).await;
        let due = {
            let mut state = shared.lock();
            if state.withheld {
                continue;
            }
            let due = session.due(&state.world);
            state.told(stream, due.iter().map(S::answer_to));
            due
        };
        for response in due {
            if answers.send(Ok(response)).await.is_err() {
                return None;
            }
        }
    }
}
