//! Connections to an istiod: by its address, or through a port-forward of the API server; in plain text or by TLS, with a
//! token or a certificate. Files are read anew for every connection, as they rotate.

use std::error::Error;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{Api, Client};
use meshwhy_parsers::origin::SharedOrigin;
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tonic::codegen::{BoxFuture, Service, http::Uri};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::inputs::kube::plain;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A dead connection is noticed after a question without an answer. istiod takes offence at more than one in 15 s
/// (istio/istio: pilot/pkg/bootstrap/server.go, `KeepaliveEnforcementPolicy`).
const ALIVE_PERIOD: Duration = Duration::from_secs(30);
const ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes that may be on their way unread. HTTP/2 closes a connection whose small frames pile up beyond a part of it.
const WINDOW_BYTES: u32 = 16 << 20;
/// The ports of istiod.
const PLAIN_PORT: u16 = 15010;
const TLS_PORT: u16 = 15012;
/// The name that every istiod's certificate carries, and the namespace it is in, where nobody says otherwise.
const SERVER_NAME: &str = "istiod.istio-system.svc";
/// Where istiod publishes its root in every namespace.
const ROOT_MAP: &str = "istio-ca-root-cert";
const ROOT_KEY: &str = "root-cert.pem";

/// How to show who asks, and whom to trust. Holds the names of files, never what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// A service account's token.
    pub token: Option<PathBuf>,
    /// A client certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The roots that istiod's certificate must come from.
    pub ca: Option<PathBuf>,
    /// The name that istiod's certificate must carry; by default the host, or `istiod.istio-system.svc` for an address.
    pub server_name: Option<String>,
}

impl Credentials {
    /// Whether there is anything to show.
    pub fn are_some(&self) -> bool {
        self.token.is_some() || self.identity.is_some()
    }
}

/// Where an istiod is found.
#[derive(Clone)]
pub(super) enum Door {
    /// By its address.
    At(Uri),
    /// In a cluster, among the istiods that were found there.
    Through { client: Client, istiods: watch::Receiver<Vec<SharedOrigin>> },
}

/// A connection, and where it leads.
pub(super) struct Connection {
    pub channel: Channel,
    /// The pod of the istiod; empty where only an address is known.
    pub pod: String,
}

impl Door {
    /// Whether what is sent through it is encrypted and shows who asks.
    pub fn is_secure(&self, credentials: &Credentials) -> bool {
        match self {
            Door::At(uri) => uri.scheme_str() == Some("https"),
            Door::Through { .. } => credentials.are_some(),
        }
    }

    /// How it is called in a message.
    pub fn name(&self) -> String {
        match self {
            Door::At(uri) => uri.to_string().trim_end_matches('/').to_string(),
            Door::Through { .. } => "istiod".to_string(),
        }
    }

    /// Connects; of several istiods to another one after each failure.
    ///
    /// # Errors
    ///
    /// There is no istiod, no connection, or a file that cannot be read.
    pub async fn connect(&mut self, credentials: &Credentials, failures: usize) -> anyhow::Result<Connection> {
        let is_secure = self.is_secure(credentials);
        match self {
            Door::At(uri) => {
                let endpoint = endpoint(uri.clone())?;
                let endpoint = match is_secure {
                    true => endpoint.tls_config(tls(credentials, &server_name(uri), None).await?)?,
                    false => endpoint,
                };
                let channel = endpoint.connect().await.map_err(|error| explained(&error))?;
                Ok(Connection { channel, pod: String::new() })
            }
            Door::Through { client, istiods } => {
                // Until one is found there is nothing to say.
                let known = istiods.wait_for(|known| !known.is_empty()).await?.clone();
                let istiod = known.get(failures % known.len().max(1)).context("no istiod was found")?;
                let name = format!("istiod.{}.svc", istiod.namespace);
                let scheme = if is_secure { "https" } else { "http" };
                let endpoint = endpoint(format!("{scheme}://{name}").parse::<Uri>()?)?;
                let endpoint = match is_secure {
                    true => {
                        let root = match &credentials.ca {
                            Some(_) => None,
                            None => Some(published_root(client, &istiod.namespace).await?),
                        };
                        endpoint.tls_config(tls(credentials, &name, root).await?)?
                    }
                    false => endpoint,
                };
                let pods = Api::namespaced(client.clone(), &istiod.namespace);
                let forward =
                    Forward { pods, pod: istiod.pod.to_string(), port: if is_secure { TLS_PORT } else { PLAIN_PORT } };
                let channel = endpoint.connect_with_connector(forward).await.map_err(|error| explained(&error))?;
                Ok(Connection { channel, pod: istiod.pod.to_string() })
            }
        }
    }
}

fn endpoint(uri: Uri) -> anyhow::Result<Endpoint> {
    Ok(Endpoint::from(uri)
        .user_agent(concat!("meshwhy/", env!("CARGO_PKG_VERSION")))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(ALIVE_PERIOD)
        .keep_alive_timeout(ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES))
}

/// What a certificate must carry: the host, which a forwarded port or an address is not.
fn server_name(uri: &Uri) -> String {
    let host = uri.host().unwrap_or("").trim_matches(['[', ']']);
    let is_name = !host.is_empty() && host != "localhost" && host.parse::<IpAddr>().is_err();
    if is_name { host.to_string() } else { SERVER_NAME.to_string() }
}

async fn tls(credentials: &Credentials, name: &str, root: Option<String>) -> anyhow::Result<ClientTlsConfig> {
    let root = match (&credentials.ca, root) {
        (Some(path), _) => read("--xds-ca", path).await?,
        (None, Some(root)) => root.into_bytes(),
        (None, None) => {
            bail!("nothing tells which root to trust\nhint: --xds-ca, with {ROOT_KEY} of the ConfigMap {ROOT_MAP}")
        }
    };
    let name = credentials.server_name.as_deref().unwrap_or(name);
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(root)).domain_name(name);
    Ok(match &credentials.identity {
        None => config,
        Some((cert, key)) => {
            config.identity(Identity::from_pem(read("--xds-cert", cert).await?, read("--xds-key", key).await?))
        }
    })
}

async fn read(flag: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    tokio::fs::read(path).await.with_context(|| format!("cannot read {flag} {}", path.display()))
}

/// The root that istiod publishes in its own namespace.
async fn published_root(client: &Client, namespace: &str) -> anyhow::Result<String> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let hint = "hint: --xds-ca names a file instead";
    let map = maps.get(ROOT_MAP).await.with_context(|| format!("cannot read ConfigMap {ROOT_MAP}\n{hint}"))?;
    let root = map.data.and_then(|mut data| data.remove(ROOT_KEY));
    root.with_context(|| format!("ConfigMap {ROOT_MAP} has no {ROOT_KEY}\n{hint}"))
}

/// What shows who asks, in the head of a request.
///
/// istio/istio: pkg/security/security.go (`authorization`, `clusterid`)
///
/// # Errors
///
/// The file of the token cannot be read or holds none.
pub(super) async fn head(credentials: &Credentials, cluster_id: Option<&str>) -> anyhow::Result<MetadataMap> {
    let mut head = MetadataMap::new();
    if let Some(path) = &credentials.token {
        let token = read("--xds-token", path).await?;
        let token = String::from_utf8(token).ok().map(|token| token.trim().to_string());
        // What a header cannot carry is not said: it may be a part of the token.
        let value = token.filter(|token| !token.is_empty());
        let value = value.and_then(|token| format!("Bearer {token}").parse::<MetadataValue<Ascii>>().ok());
        let mut value = value.with_context(|| format!("--xds-token {} holds no token", path.display()))?;
        value.set_sensitive(true);
        head.insert("authorization", value);
    }
    if let Some(id) = cluster_id.and_then(|id| id.parse::<MetadataValue<Ascii>>().ok()) {
        head.insert("clusterid", id);
    }
    Ok(head)
}

/// A failure to connect, with what is to be done where it tells.
fn explained(error: &(dyn Error + 'static)) -> anyhow::Error {
    let said = plain(error);
    match () {
        // Istio's own roots all carry one name, so that another cluster's root fails by its signature.
        () if said.contains("invalid peer certificate: NotValidForName") => anyhow::anyhow!(
            "istiod's certificate does not carry the name that was asked for: {said}\nhint: --xds-server-name"
        ),
        () if said.contains("invalid peer certificate") => anyhow::anyhow!(
            "istiod's certificate does not come from the root that is trusted: {said}\nhint: --xds-ca, with {ROOT_KEY} \
             of the ConfigMap {ROOT_MAP} of the same mesh"
        ),
        () => anyhow::anyhow!("{said}"),
    }
}

/// Connects through a port-forward.
struct Forward {
    pods: Api<Pod>,
    pod: String,
    port: u16,
}

impl Service<Uri> for Forward {
    type Response = TokioIo<DuplexStream>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (pods, pod, port) = (self.pods.clone(), self.pod.clone(), self.port);
        Box::pin(async move {
            let mut forward = pods.portforward(&pod, &[port]).await?;
            let stream = forward.take_stream(port).ok_or("the API server forwards no port")?;
            Ok(TokioIo::new(stream))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_must_carry_the_host_where_it_is_a_name() {
        let of = |uri: &str| server_name(&uri.parse().expect(uri));
        assert_eq!(of("https://istiod-canary.istio-system.svc:15012"), "istiod-canary.istio-system.svc");
        for address in ["https://192.0.2.7:15012", "https://[2001:db8::7]:15012", "https://localhost:15012"] {
            assert_eq!(of(address), SERVER_NAME, "{address}");
        }
    }
}
