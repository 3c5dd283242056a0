//! The client of one cluster: as kube makes it of a kubeconfig, but with small buffers, as each followed log is a connection
//! of its own, and with an ear for `Retry-After`, which kube does not pass on.

use std::time::Duration;

use anyhow::{Context, bail};
use hyper::Response;
use hyper::body::Incoming;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

use super::backoff::Rest;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the API server may be silent on one answer. Watches are asked to end before, and say bookmarks meanwhile; a
/// log that says nothing for so long is asked for again, as a dead connection looks the same.
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// Bytes that a connection buffers: by default it would be 400 KiB, for each log that is behind.
const BUFFER_MAX: usize = 32 << 10;

/// A client that never tries again by itself, which would hide for minutes that a cluster does not answer.
///
/// # Errors
///
/// What the kubeconfig names cannot be used: certificates, a plug-in that gives no credentials, a proxy.
pub(super) fn client(config: Config, rest: Rest) -> anyhow::Result<Client> {
    if let Some(proxy) = &config.proxy_url {
        bail!("the kubeconfig asks for the proxy {}, which is not supported", proxy.host().unwrap_or_default());
    }
    let mut connector = TimeoutConnector::new(config.rustls_https_connector()?);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_read_timeout(Some(SILENCE_MAX));
    connector.set_write_timeout(config.write_timeout);
    let connection: legacy::Client<_, Body> =
        legacy::Client::builder(TokioExecutor::new()).http1_max_buf_size(BUFFER_MAX).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().context("no credentials")?)
        .layer(config.extra_headers_layer()?)
        .map_response(move |response: Response<Incoming>| {
            rest.note(response.status(), response.headers());
            response
        })
        .map_err(BoxError::from)
        .service(connection);
    Ok(Client::new(service, config.default_namespace))
}
