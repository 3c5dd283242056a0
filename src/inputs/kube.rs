//! Clusters by their Kubernetes API: objects watched and logs followed, each cluster on its own, so that one that is dead
//! never stops the others. Only `get`, `list`, `watch` and the `log` subresource of pods are asked for.

mod admin;
pub(super) mod backoff;
mod client;
mod followers;
pub mod gather;
mod log;
mod objects;
mod question;
pub mod review;
mod troubles;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use ::kube::config::{KubeConfigOptions, Kubeconfig};
use ::kube::{Client, Config};
use anyhow::{Context, bail};
use meshwhy_parsers::frame::Scan;
use meshwhy_parsers::origin::SharedOrigin;
use tokio::sync::mpsc;

use super::source::{Feed, LiveLimits};
use backoff::Rest;
use followers::Followers;

/// The namespace istiod lives in where nothing tells another.
pub const ISTIOD_NAMESPACE: &str = "istio-system";

/// What to watch of each cluster.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Where logs begin.
    pub since: Since,
    /// Whether lines that cannot matter are skipped unparsed.
    pub scan: Scan,
    /// Sidecars and applications to follow beside the mesh's own parts, as label selectors with an optional namespace.
    pub also: Vec<Selection>,
}

/// Where the logs that are followed begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long ago.
    Ago(Duration),
    /// At this many lines before their end.
    Lines(u32),
}

/// Pods that a person chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Namespace; empty for all.
    pub namespace: String,
    /// Labels that a pod must have, each `key` or `key=value`.
    pub labels: Vec<(String, Option<String>)>,
}

impl Selection {
    /// Reads `app=reviews`, `shop/app=reviews,version=v2`, `shop/`.
    pub fn parse(text: &str) -> anyhow::Result<Selection> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        // A label's key may hold a slash as well; a namespace holds no dot and no equals sign.
        let (namespace, labels) = match text.split_once('/') {
            Some((namespace, labels)) if is_name(namespace) => (namespace, labels),
            _ => ("", text),
        };
        let labels: Vec<(String, Option<String>)> = labels
            .split(',')
            .filter(|label| !label.is_empty())
            .map(|label| match label.split_once('=') {
                Some((key, value)) => (key.to_string(), Some(value.trim_start_matches('=').to_string())),
                None => (label.to_string(), None),
            })
            .collect();
        if namespace.is_empty() && labels.is_empty() {
            bail!(
                "cannot read {text:?} as a selection of pods\nhint: app=reviews, shop/app=reviews, or shop/ for all of a namespace"
            );
        }
        Ok(Selection { namespace: namespace.to_string(), labels })
    }

    /// Whether a pod of this namespace with these labels is chosen.
    pub fn selects(&self, namespace: &str, labels: impl Fn(&str) -> Option<String>) -> bool {
        (self.namespace.is_empty() || self.namespace == namespace)
            && self.labels.iter().all(|(key, wanted)| match (labels(key), wanted) {
                (Some(value), Some(wanted)) => value == *wanted,
                (Some(_), None) => true,
                (None, _) => false,
            })
    }
}

/// A cluster that can be asked.
pub struct Cluster {
    /// Its name: the context's.
    pub name: String,
    client: Client,
    rest: Rest,
    /// The namespace of istiod, where none is found: where one is, its namespace tells.
    istio_namespace: String,
}

impl Cluster {
    /// What it is asked by.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }
}

/// The clusters that can be asked, and those that cannot.
#[derive(Default)]
pub struct Connected {
    /// Those that can be.
    pub clusters: Vec<Cluster>,
    /// Names of those for which no client can be made, each with the reason: a plug-in that gives no credentials, say.
    pub refused: Vec<(String, String)>,
}

impl Connected {
    /// The same, with istiod expected in this namespace.
    pub fn with_istio_namespace(mut self, namespace: &str) -> Connected {
        self.clusters.iter_mut().for_each(|cluster| cluster.istio_namespace = namespace.to_string());
        self
    }
}

/// Reads the kubeconfig and makes a client for each context; without any the current one, or the cluster this runs in.
///
/// # Errors
///
/// No kubeconfig, or a context that is not in it.
pub async fn connect(kubeconfig: Option<PathBuf>, contexts: &[String]) -> anyhow::Result<Connected> {
    let read = match &kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let mut connected = Connected::default();
    let config = match read {
        Ok(config) => config,
        Err(error) => {
            // Inside a cluster there is none.
            if kubeconfig.is_none()
                && contexts.is_empty()
                && let Ok(config) = Config::incluster()
            {
                connected.clusters.push(cluster("this-cluster", config)?);
                return Ok(connected);
            }
            bail!("no cluster to ask: {error}\nhint: name a kubeconfig with --kubeconfig or KUBECONFIG");
        }
    };
    let known: Vec<&str> = config.contexts.iter().map(|context| &*context.name).collect();
    let mut wanted: Vec<String> = match (contexts, &config.current_context) {
        ([], Some(current)) => vec![current.clone()],
        ([], None) => bail!("the kubeconfig has no current context\nhint: --context, one of {}", known.join(", ")),
        (contexts, _) => contexts.to_vec(),
    };
    if let Some(name) = wanted.iter().find(|name| !known.contains(&&***name)) {
        bail!("the kubeconfig has no context {name:?}\nhint: one of {}", known.join(", "));
    }
    let mut seen = BTreeSet::new();
    wanted.retain(|name| seen.insert(name.clone()));
    for name in wanted {
        let options = KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
        let made = match Config::from_custom_kubeconfig(config.clone(), &options).await {
            Ok(config) => cluster(&name, config),
            Err(error) => Err(error).with_context(|| format!("context {name} of the kubeconfig cannot be used")),
        };
        match made {
            Ok(cluster) => connected.clusters.push(cluster),
            Err(error) => connected.refused.push((name, format!("{error:#}"))),
        }
    }
    Ok(connected)
}

fn cluster(name: &str, config: Config) -> anyhow::Result<Cluster> {
    let rest = Rest::new(LiveLimits::default().retry_after_max);
    let client = client::client(config, rest.clone()).with_context(|| format!("no client for {name} can be made"))?;
    Ok(Cluster { name: name.to_string(), client, rest, istio_namespace: ISTIOD_NAMESPACE.to_string() })
}

/// Watches a cluster until nobody listens any more. The pods that come by `wanted` are asked what they say of themselves.
pub async fn watch(cluster: Cluster, watched: Watched, feed: Feed, wanted: mpsc::Receiver<SharedOrigin>) {
    let Cluster { name, client, rest, .. } = &cluster;
    let followers = Followers::new(name.clone(), client.clone(), rest.clone(), watched, feed.clone());
    let asking = admin::ask(client.clone(), feed.clone(), name, wanted, followers.standing());
    let (_, _) = tokio::join!(objects::watch(&cluster, &feed, followers), asking);
}

/// How the errors of clients begin that only wrap another.
const WRAPS: &[&str] = &[
    "Error reading events stream",
    "ServiceError",
    "HyperError",
    "client error (",
    "error reading a body from connection",
    "error trying to connect",
    "tcp connect error",
    "failed to perform initial object list",
    "failed to start watching object",
    "watch stream failed",
];

/// What a client error says, in a few words: what only wraps another is left out, and nothing is said twice.
pub(super) fn plain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        next = error.source();
        let text = match error.downcast_ref::<::kube::Error>() {
            Some(::kube::Error::Api(status)) => {
                said.push(format!("the API server says {} {}", status.code, status.message));
                break;
            }
            _ => error.to_string(),
        };
        let wraps = next.is_some() && WRAPS.iter().any(|wrap| text.starts_with(wrap));
        if !wraps && !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
    }
    let said = said.join(": ");
    let said = said.split(" (os error").next().unwrap_or(&said);
    match () {
        () if said.contains("close_notify") || said.contains("unexpected EOF") || said.contains("IncompleteBody") => {
            "the connection was cut".to_string()
        }
        () if said.ends_with("deadline has elapsed") || said.ends_with("timed out") => "no answer in time".to_string(),
        () if said.starts_with("Connection ") => said.replacen('C', "c", 1),
        () => said.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_are_read_as_people_write_them() {
        let selects = |text: &str, namespace: &str, labels: &[(&str, &str)]| {
            let labels = labels.to_vec();
            let of = move |key: &str| labels.iter().find(|(of, _)| *of == key).map(|(_, value)| value.to_string());
            Selection::parse(text).expect(text).selects(namespace, of)
        };
        assert!(selects("app=reviews", "shop", &[("app", "reviews")]));
        assert!(!selects("app=reviews", "shop", &[("app", "ratings")]));
        assert!(selects("shop/app=reviews,version", "shop", &[("app", "reviews"), ("version", "v2")]));
        assert!(!selects("shop/app=reviews", "bank", &[("app", "reviews")]));
        assert!(selects("shop/", "shop", &[]));
        assert!(selects("app.kubernetes.io/name=x", "any", &[("app.kubernetes.io/name", "x")]));
        assert!(Selection::parse("").is_err());
    }
}
