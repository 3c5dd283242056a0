//! The admin endpoints of Envoy and ztunnel and the debug endpoints of istiod, reached through a port-forward of the API
//! server or directly. Several of their GETs change state, so only what is on this list can be asked for at all.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Whose endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// istiod, port 15014.
    Istiod,
    /// An Envoy, port 15000.
    Envoy,
    /// ztunnel, port 15000.
    Ztunnel,
}

/// What an istiod is asked.
const OF_ISTIOD: &[&str] = &["/version", "/debug/clusterz", "/debug/networkz", "/debug/mesh", "/debug/endpointShardz"];
/// What an Envoy is asked.
const OF_ENVOY: &[&str] = &["/config_dump?include_eds", "/clusters?format=json", "/certs"];
/// What a ztunnel is asked.
const OF_ZTUNNEL: &[&str] = &["/config_dump"];

impl Program {
    /// What it is asked again and again.
    pub fn questions(self) -> &'static [&'static str] {
        match self {
            Program::Istiod => OF_ISTIOD,
            Program::Envoy => OF_ENVOY,
            Program::Ztunnel => OF_ZTUNNEL,
        }
    }

    fn port(self) -> u16 {
        match self {
            Program::Istiod => 15014,
            Program::Envoy | Program::Ztunnel => 15000,
        }
    }
}

/// Endpoints that only read, each with the keys its query may hold.
///
/// istio/istio: pilot/pkg/xds/debug.go; envoyproxy/envoy: source/server/admin/admin.cc;
/// istio/ztunnel: src/admin.rs.
const ALLOWED: &[(Program, &str, &[&str])] = &[
    (Program::Istiod, "/version", &[]),
    (Program::Istiod, "/metrics", &[]),
    (Program::Istiod, "/debug/clusterz", &[]),
    (Program::Istiod, "/debug/syncz", &[]),
    (Program::Istiod, "/debug/adsz", &[]),
    (Program::Istiod, "/debug/connections", &[]),
    (Program::Istiod, "/debug/endpointShardz", &[]),
    (Program::Istiod, "/debug/registryz", &[]),
    (Program::Istiod, "/debug/networkz", &[]),
    (Program::Istiod, "/debug/mesh", &[]),
    (Program::Istiod, "/debug/ambientz", &[]),
    (Program::Istiod, "/debug/edsz", &["proxyID"]),
    (Program::Istiod, "/debug/ndsz", &["proxyID"]),
    (Program::Envoy, "/config_dump", &["include_eds"]),
    (Program::Envoy, "/clusters", &["format"]),
    (Program::Envoy, "/listeners", &["format"]),
    (Program::Envoy, "/certs", &[]),
    (Program::Envoy, "/server_info", &[]),
    (Program::Envoy, "/stats", &["usedonly", "filter"]),
    (Program::Envoy, "/stats/prometheus", &["usedonly", "filter"]),
    (Program::Ztunnel, "/config_dump", &[]),
];

/// A request that only reads: there is no other way to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    program: Program,
    path: String,
}

impl Request {
    /// A request for a path with its query; an error where it is not on the list.
    pub fn new(program: Program, path: &str) -> anyhow::Result<Request> {
        let (endpoint, query) = path.split_once('?').unwrap_or((path, ""));
        let Some((_, _, keys)) = ALLOWED.iter().find(|(of, allowed, _)| *of == program && *allowed == endpoint) else {
            bail!("{endpoint} of {program:?} is not on the list of what only reads");
        };
        let is_plain = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b'|'))
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !keys.contains(&key) || !is_plain(value) {
                bail!("{endpoint} of {program:?} may not be asked with {pair:?}");
            }
        }
        Ok(Request { program, path: path.to_string() })
    }

    /// Its path and query.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// A pod answers, but not with what it was asked for: an older version has no such endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declined {
    /// Pod and path.
    asked: String,
    /// The status.
    pub status: StatusCode,
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answers {}", self.asked, self.status)
    }
}

impl std::error::Error for Declined {}

/// Asks a pod through the API server; returns the body.
///
/// # Errors
///
/// No port-forward, no answer in time, a body of more than `bytes_max`, or [`Declined`].
pub async fn get(pods: &Api<Pod>, pod: &str, request: &Request, bytes_max: usize) -> anyhow::Result<Bytes> {
    let asked = ask(pods, pod, request, bytes_max);
    timeout(ANSWER_TIMEOUT, asked).await.with_context(|| format!("no answer from {pod}{}", request.path))?
}

async fn ask(pods: &Api<Pod>, pod: &str, request: &Request, bytes_max: usize) -> anyhow::Result<Bytes> {
    let port = request.program.port();
    let mut forward = pods.portforward(pod, &[port]).await?;
    let stream = forward.take_stream(port).context("the API server forwards no port")?;
    let answer = exchange(stream, pod, request, bytes_max).await;
    forward.abort();
    answer
}

/// Asks over a connection that is there; returns the body. `title` is who answers.
///
/// # Errors
///
/// No answer, a body of more than `bytes_max`, or [`Declined`].
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    title: &str,
    request: &Request,
    bytes_max: usize,
) -> anyhow::Result<Bytes> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    // Envoy and ztunnel answer only to a host that is their own.
    let asked = hyper::Request::get(&request.path)
        .header(hyper::header::HOST, format!("localhost:{}", request.program.port()))
        .header(hyper::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(asked).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), bytes_max).collect().await;
    connection.abort();
    if !status.is_success() {
        return Err(Declined { asked: format!("{title}{}", request.path), status }.into());
    }
    match body {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => bail!("the answer of {title}{} cannot be read: {error}", request.path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_state_cannot_be_asked_for() {
        let refused = [
            (Program::Istiod, "/debug/cachez?clear=true"),
            (Program::Istiod, "/debug/force_disconnect?proxyID=a.b"),
            (Program::Istiod, "/debug/pprof/heap"),
            (Program::Istiod, "/debug/clusterz?clear=true"),
            (Program::Istiod, "/debug/edsz?proxyID=a.b&force=1"),
            (Program::Istiod, "/debug/edsz?proxyID=a%26clear"),
            (Program::Istiod, "/debug/../debug/cachez"),
            (Program::Envoy, "/logging?level=debug"),
            (Program::Envoy, "/logging"),
            (Program::Envoy, "/quitquitquit"),
            (Program::Envoy, "/reset_counters"),
            (Program::Envoy, "/drain_listeners"),
            (Program::Envoy, "/healthcheck/fail"),
            (Program::Envoy, "/config_dump?resource=x"),
            (Program::Envoy, "/debug/clusterz"),
            (Program::Ztunnel, "/logging?level=debug"),
            (Program::Ztunnel, "/debug/pprof/heap/profiling?activate=true"),
            (Program::Ztunnel, "/"),
            (Program::Ztunnel, ""),
        ];
        for (program, path) in refused {
            assert!(Request::new(program, path).is_err(), "{program:?} {path}");
        }
    }

    #[test]
    fn what_only_reads_can_be_asked_for() {
        let allowed = [
            (Program::Istiod, "/debug/clusterz"),
            (Program::Istiod, "/debug/edsz?proxyID=sleep-5b7d.sample"),
            (Program::Envoy, "/config_dump?include_eds"),
            (Program::Envoy, "/clusters?format=json"),
            (Program::Ztunnel, "/config_dump"),
        ];
        for (program, path) in allowed {
            assert_eq!(Request::new(program, path).expect(path).path(), path);
        }
    }
}
