//! istiod asked by xDS, as a proxy asks it: what it would push now, to be held against what proxies hold, and what its
//! debug endpoints say. It only subscribes and acknowledges.

mod connect;
mod debug;
mod held;
mod json;
mod node;
mod stream;
mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, bail};
use meshwhy_parsers::origin::{Origin, Role, SharedOrigin};
use meshwhy_parsers::time::Time;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tonic::codegen::http::Uri;

use super::kube::Cluster;
use super::source::{Deaf, Feed, Read, Said, Status};
use connect::Door;
use debug::Debug;
use stream::Stream;

pub use connect::Credentials;
pub use node::Node;
pub use wire::Form;

/// How istiods are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// As whom, with the cluster that it is for; `None` for all.
    pub nodes: Vec<(Option<String>, Node)>,
    /// What shows who asks.
    pub credentials: Credentials,
    /// Which form of the protocol sidecars and gateways speak; ztunnels speak delta.
    pub form: Form,
}

/// The address of an istiod, and the cluster it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Cluster, as contexts and folders name it; `None` where there is only one.
    pub cluster: Option<String>,
    uri: Uri,
}

impl Address {
    /// Reads `http://istiod.istio-system:15010`, `east=https://192.0.2.7:15012`.
    ///
    /// # Errors
    ///
    /// It is no address with a scheme and a host.
    pub fn parse(text: &str) -> anyhow::Result<Address> {
        const HINT: &str = "hint: http://HOST:15010 or https://HOST:15012, with the cluster in front where there are several: east=https://...";
        let (cluster, address) = match text.split_once('=') {
            Some((cluster, address)) if !cluster.contains("://") => (Some(cluster), address),
            _ => (None, text),
        };
        let uri: Uri =
            address.parse().ok().with_context(|| format!("cannot read {text:?} as istiod's address\n{HINT}"))?;
        let is_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        let has_path = !matches!(uri.path(), "" | "/") || uri.query().is_some();
        if !is_scheme || uri.host().is_none_or(str::is_empty) || has_path || cluster == Some("") {
            bail!("cannot read {text:?} as istiod's address\n{HINT}");
        }
        Ok(Address { cluster: cluster.map(String::from), uri })
    }

    /// Whether it is asked by TLS.
    pub fn is_secure(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Its host.
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or("")
    }
}

/// Asks the istiod at an address, until nobody listens. The proxies that come by `wanted` are asked after.
pub async fn at(address: Address, cluster: String, asked: Asked, feed: Feed, mut wanted: mpsc::Receiver<SharedOrigin>) {
    let (to, sick) = mpsc::channel(feed.limits.asking_max);
    let forwarding = async move {
        while let Some(origin) = wanted.recv().await {
            if is_envoy(&origin) {
                let _ = to.try_send(origin);
            }
        }
    };
    tokio::join!(forwarding, ask(Door::At(address.uri), cluster, asked, feed, sick));
}

/// Asks an istiod of a cluster through port-forwards, until nobody listens. Istiods and proxies come by `wanted`.
pub fn through(
    cluster: &Cluster,
    asked: Asked,
    feed: Feed,
    mut wanted: mpsc::Receiver<SharedOrigin>,
) -> impl Future<Output = ()> + Send + use<> {
    let (found, istiods) = watch::channel(Vec::new());
    let (to, sick) = mpsc::channel(feed.limits.asking_max);
    let door = Door::Through { client: cluster.client().clone(), istiods };
    let name = cluster.name.clone();
    async move {
        let sorting = async move {
            while let Some(origin) = wanted.recv().await {
                if origin.role == Role::Istiod {
                    found.send_if_modified(|known: &mut Vec<SharedOrigin>| {
                        let is_new =
                            !known.iter().any(|known| known.pod == origin.pod && known.namespace == origin.namespace);
                        if is_new {
                            // The newest first: the others may be gone.
                            known.insert(0, origin);
                            known.truncate(ISTIODS_MAX);
                        }
                        is_new
                    });
                } else if is_envoy(&origin) {
                    let _ = to.try_send(origin);
                }
            }
        };
        tokio::join!(sorting, ask(door, name, asked, feed, sick));
    }
}

/// Istiods of a cluster that are remembered.
const ISTIODS_MAX: usize = 16;

fn is_envoy(origin: &Origin) -> bool {
    matches!(origin.role, Role::Sidecar | Role::Gateway | Role::Waypoint)
}

async fn ask(door: Door, cluster: String, asked: Asked, feed: Feed, wanted: mpsc::Receiver<SharedOrigin>) {
    let named = asked.nodes.iter().filter(|(of, _)| of.as_ref().is_none_or(|of| *of == cluster));
    let named: Vec<Node> = named.map(|(_, node)| node.clone()).collect();
    let observer = (!named.iter().any(Node::is_ztunnel)).then(|| (Node::observer(), false));
    let mut all = JoinSet::new();
    for (node, is_named) in named.into_iter().map(|node| (node, true)).chain(observer) {
        let form = if node.is_ztunnel() { Form::Delta } else { asked.form };
        let (door, credentials) = (door.clone(), asked.credentials.clone());
        let stream = Stream { cluster: cluster.clone(), node, is_named, form, door, credentials, feed: feed.clone() };
        all.spawn(stream.keep());
    }
    // In plain text nobody is known, and istiod answers debug endpoints only to whom it knows.
    if door.is_secure(&asked.credentials) {
        let debug = Debug { cluster, door, credentials: asked.credentials, feed, wanted };
        all.spawn(debug.keep());
    }
    while all.join_next().await.is_some() {}
}

/// Where a document of an istiod has its place, as if it had been saved there: that it is said to be istiod's view is what
/// keeps it from being taken for what a proxy holds.
fn place(cluster: &str, istiod: &str, endpoint: &str) -> String {
    let istiod = if istiod.is_empty() { "xds" } else { istiod };
    format!("{cluster}/istio-system/{istiod}/debug/{endpoint}")
}

fn origin(cluster: &str, istiod: &str, file: &str) -> SharedOrigin {
    Arc::new(Origin {
        cluster: cluster.into(),
        pod: istiod.into(),
        file: file.into(),
        role: Role::Istiod,
        ..Origin::default()
    })
}

/// Hands documents on; says once what of them is lost.
struct Documents {
    feed: Feed,
    lost: BTreeSet<String>,
}

impl Documents {
    fn new(feed: Feed) -> Documents {
        Documents { feed, lost: BTreeSet::new() }
    }

    async fn say(&mut self, origin: &SharedOrigin, bytes: &[u8], at: Option<Time>) -> Result<(), Deaf> {
        let losses = match self.feed.document(origin, bytes, at).await? {
            Read::Broken(error) => vec![error],
            Read::Said(losses) => losses,
            Read::Unknown => Vec::new(),
        };
        for loss in losses {
            let what = format!("{}: {loss}", origin.file);
            if self.lost.len() < self.feed.limits.remembered_max && self.lost.insert(what.clone()) {
                self.feed.say(Said::Status(Status::Lost { what })).await?;
            }
        }
        Ok(())
    }
}

/// What does not work, said once, and that it works again.
struct Trouble {
    cluster: String,
    feed: Feed,
    said: Option<String>,
}

impl Trouble {
    fn new(cluster: &str, feed: Feed) -> Trouble {
        Trouble { cluster: cluster.to_string(), feed, said: None }
    }

    async fn is(&mut self, what: String) -> Result<(), Deaf> {
        if self.said.as_deref() != Some(&*what) {
            self.feed.trouble(&self.cluster, &*what).await?;
            self.said = Some(what);
        }
        Ok(())
    }

    async fn is_over(&mut self) -> Result<(), Deaf> {
        match self.said.take() {
            Some(_) => self.feed.trouble(&self.cluster, "istiod answers xDS again").await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_people_write_it() {
        let read = |text: &str| {
            let address = Address::parse(text).expect(text);
            (address.cluster.clone(), address.host().to_string(), address.is_secure())
        };
        assert_eq!(read("http://istiod.istio-system:15010"), (None, "istiod.istio-system".into(), false));
        assert_eq!(read("east=https://192.0.2.7:15012/"), (Some("east".into()), "192.0.2.7".into(), true));
        for text in ["", "istiod:15010", "grpc://istiod:15010", "=http://a:1", "east=", "http://a:1/debug", "http://"] {
            let error = Address::parse(text).expect_err(text).to_string();
            assert!(error.contains("hint: "), "{error}");
        }
    }
}
