//! A question to a cluster: put again where it fails in a way that may pass, until a deadline.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, ListParams};
use kube::{Client, ResourceExt};
use meshwhy_parsers::origin::{Origin, SharedOrigin};
use tokio::time::{Instant, sleep, timeout_at};

use super::backoff::{Backoff, Rest};
use super::objects::{Kind, PAGE, plain_object};
use super::{Cluster, followers, plain};
use crate::inputs::source::LiveLimits;

/// How often a question is put that fails in a way that may pass.
const TRIES_MAX: u32 = 3;

/// A pod by which the mesh runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Cluster, namespace, pod, the container that matters, and what it is.
    pub origin: SharedOrigin,
    /// Its node.
    pub node: Box<str>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A cluster that is asked.
pub(super) struct Questions<'a> {
    /// Its name.
    pub cluster: &'a str,
    /// Its client.
    pub client: &'a Client,
    /// How long its API server wants to be left alone.
    pub rest: &'a Rest,
    /// The limits.
    pub limits: &'a LiveLimits,
    /// When it is over.
    pub deadline: Instant,
}

impl<'a> Questions<'a> {
    /// Questions to a cluster, from now to its deadline.
    pub fn of(cluster: &'a Cluster, limits: &'a LiveLimits) -> Questions<'a> {
        let deadline = Instant::now() + limits.gather_max;
        Questions { cluster: &cluster.name, client: &cluster.client, rest: &cluster.rest, limits, deadline }
    }

    /// Puts a question, again where it fails in a way that may pass, until the deadline. The error says why there is no
    /// answer, with the code of the API server's refusal or 0.
    pub async fn put<'q, T>(&self, question: impl Fn() -> BoxFuture<'q, kube::Result<T>>) -> Result<T, (u16, String)> {
        let mut backoff = Backoff::default();
        let mut tries = 0;
        let asked = async {
            loop {
                let error = match question().await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                };
                let code = code(&error);
                tries += 1;
                if TRIES_MAX <= tries || !matches!(code, 0 | 429 | 500..) {
                    return Err((code, why(&error)));
                }
                sleep(backoff.next_after(self.rest)).await;
            }
        };
        timeout_at(self.deadline, asked)
            .await
            .unwrap_or_else(|_| Err((0, format!("there was no answer within {} s", self.limits.gather_max.as_secs()))))
    }

    /// Whether the API server answers at all, and takes the credentials; its version where it tells.
    pub async fn reach(&self) -> Result<String, String> {
        match self.put(|| self.client.apiserver_version().boxed()).await {
            Err((code @ (0 | 401 | 429 | 500..), why)) => {
                let verb = if code == 401 { "may not be asked" } else { "cannot be reached" };
                Err(format!("{} {verb}: {why}", self.cluster))
            }
            Ok(version) => Ok(version.git_version),
            // Who may not ask for the version may still list.
            Err(_) => Ok(String::new()),
        }
    }

    /// Lists a kind page by page, in the best version that is served; a list whose pages expire meanwhile is begun anew.
    pub async fn list(
        &self,
        kind: &Kind,
        namespace: &str,
        bytes: &mut Vec<u8>,
        parts: &mut Vec<Part>,
    ) -> Result<(), String> {
        let (begin, known) = (bytes.len(), parts.len());
        for version in kind.versions {
            let api = kind.api(self.client, version, namespace);
            let mut token = String::new();
            let mut restarts = 0;
            loop {
                let params =
                    ListParams { continue_token: Some(token).filter(|token| !token.is_empty()), ..kind.params(PAGE) };
                let page = match self.put(|| api.list(&params).boxed()).await {
                    Ok(page) => page,
                    // This version is not served.
                    Err((404, _)) => break,
                    Err((410, _)) if restarts < TRIES_MAX => {
                        restarts += 1;
                        bytes.truncate(begin);
                        parts.truncate(known);
                        token = String::new();
                        continue;
                    }
                    Err((_, why)) => return Err(why),
                };
                for object in page.items {
                    self.take(kind, version, object, bytes, parts);
                }
                token = page.metadata.continue_.unwrap_or_default();
                if token.is_empty() {
                    return Ok(());
                }
            }
        }
        // The kind is not installed: there are none.
        Ok(())
    }

    fn take(&self, kind: &Kind, version: &str, object: DynamicObject, bytes: &mut Vec<u8>, parts: &mut Vec<Part>) {
        let Ok(object) = serde_json::to_vec(&plain_object(kind, version, object)) else { return };
        if kind.kind == "Pod"
            && let Ok(pod) = serde_json::from_slice::<Pod>(&object)
        {
            parts.extend(self.part(&pod));
        }
        if bytes.last() != Some(&b'[') {
            bytes.push(b',');
        }
        bytes.extend_from_slice(&object);
    }

    /// A running pod as a part of the mesh.
    fn part(&self, pod: &Pod) -> Option<Part> {
        let (container, role) = followers::part_of_mesh(pod)?;
        let (namespace, name) = (pod.metadata.namespace.as_deref().unwrap_or_default(), pod.name_any());
        let has_ended =
            pod.status.as_ref().and_then(|status| status.phase.as_deref()).is_some_and(|phase| phase != "Running");
        let origin = Origin {
            cluster: self.cluster.into(),
            namespace: namespace.into(),
            pod: name.as_str().into(),
            container: container.into(),
            file: format!("{}/{namespace}/{name}/{container}.log", self.cluster).into(),
            role,
        };
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default().into();
        let labels = pod.metadata.labels.clone().unwrap_or_default();
        (!has_ended).then(|| Part { origin: Arc::new(origin), node, labels })
    }
}

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        _ => 0,
    }
}

/// What an error says: of a refusal its reason alone, which is the same for all that are refused.
pub(super) fn why(error: &(dyn std::error::Error + 'static)) -> String {
    let mut next = Some(error);
    while let Some(of) = next {
        match of.downcast_ref::<kube::Error>() {
            Some(kube::Error::Api(status)) if status.code == 401 => {
                return "the API server does not accept the credentials (401)".to_string();
            }
            Some(kube::Error::Api(status)) if status.code == 403 => return "that is not permitted (403)".to_string(),
            _ => next = of.source(),
        }
    }
    plain(error)
}
