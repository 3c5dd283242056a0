//! What istiod's debug endpoints say, asked for by xDS: the only way to them where the debug port is not to be reached.
//!
//! istio/istio: pilot/pkg/xds/debuggen.go, pilot/pkg/xds/statusgen.go

use std::collections::BTreeMap;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use envoy_types::pb::envoy::service::status::v3::ClientConfig;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use meshwhy_parsers::origin::SharedOrigin;
use prost::Message;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::{Request, Status, Streaming};

use super::connect::{self, Credentials, Door};
use super::node::Node;
use super::stream::{refusal, said};
use super::{Documents, Trouble, json, place, wire};
use crate::inputs::admin::{Program, Request as Asked};
use crate::inputs::clock::now;
use crate::inputs::kube::backoff::Backoff;
use crate::inputs::source::{Deaf, Feed};

/// How often is asked.
const PERIOD: Duration = Duration::from_secs(30);
/// How long after an answer it is not asked for the same proxy again, whatever names it.
const REST: Duration = Duration::from_secs(30);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Any endpoint: its name stands in the place of a resource's, its JSON in that of a message.
const ENDPOINT: &str = "istio.io/debug";
/// What every client was sent and acknowledged.
const SYNC: &str = "istio.io/debug/syncz";

/// What is asked of an istiod that is known by its address alone; one in a cluster is asked by its debug port.
const ENDPOINTS: &[&str] = &["clusterz", "networkz", "mesh", "endpointShardz"];

/// Asks the debug endpoints.
pub(super) struct Debug {
    pub cluster: String,
    pub door: Door,
    pub credentials: Credentials,
    pub feed: Feed,
    /// Proxies that symptoms name.
    pub wanted: mpsc::Receiver<SharedOrigin>,
}

/// Why a connection ended.
enum Ended {
    AfterWork,
    Failed(String),
}

impl Debug {
    /// Asks until nobody listens.
    pub async fn keep(mut self) -> Result<(), Deaf> {
        let mut trouble = Trouble::new(&self.cluster, self.feed.clone());
        let mut documents = Documents::new(self.feed.clone());
        let (mut backoff, mut failures) = (Backoff::default(), 0);
        loop {
            match self.once(&mut trouble, &mut documents, failures).await? {
                Ended::AfterWork => (backoff, failures) = (Backoff::default(), 0),
                Ended::Failed(why) => {
                    failures += 1;
                    trouble.is(why).await?;
                }
            }
            sleep(backoff.next()).await;
        }
    }

    async fn once(&mut self, trouble: &mut Trouble, documents: &mut Documents, failures: usize) -> Result<Ended, Deaf> {
        let name = self.door.name();
        let failed = |why: String| format!("{name} cannot be asked for its debug endpoints by xDS: {why}");
        let connection = match self.door.connect(&self.credentials, failures).await {
            Ok(connection) => connection,
            Err(error) => return Ok(Ended::Failed(failed(format!("{error:#}")))),
        };
        let head = match connect::head(&self.credentials, None).await {
            Ok(head) => head,
            Err(error) => return Ok(Ended::Failed(failed(format!("{error:#}")))),
        };
        let (asks, to_ask) = unbounded();
        let request = Request::from_parts(head, tonic::Extensions::default(), to_ask);
        let mut client = wire::client(connection.channel, self.feed.limits.answer_bytes_max);
        let mut talk = Talk { asks, answers: None, nonces: BTreeMap::new(), istiod: connection.pod };
        let is_in_cluster = matches!(self.door, Door::Through { .. });
        let endpoints = if is_in_cluster { &[][..] } else { ENDPOINTS };
        let mut rested: BTreeMap<String, Instant> = BTreeMap::new();
        let mut has_worked = false;
        // istiod opens its side with its first answer, so that the first question goes before.
        let _ = talk.asks.unbounded_send(question(SYNC, &[], Some(&Node::observer())));
        let opening = timeout(ANSWER_TIMEOUT, client.stream_aggregated_resources(request)).await;
        talk.answers = match opening {
            Ok(Ok(answers)) => Some(answers.into_inner()),
            Ok(Err(status)) => return Ok(Ended::Failed(self.refused(&status))),
            Err(_) => return Ok(Ended::Failed(failed("it says nothing".to_string()))),
        };
        let mut is_asked = true;
        loop {
            let due = Instant::now() + PERIOD;
            let syncz = std::iter::once((SYNC, ""));
            for (url, endpoint) in syncz.chain(endpoints.iter().map(|endpoint| (ENDPOINT, *endpoint))) {
                match talk.ask(url, endpoint, std::mem::take(&mut is_asked)).await {
                    Ok(Some(answer)) => self.hear(&mut talk, endpoint, answer, documents).await?,
                    Ok(None) => return Ok(Ended::AfterWork),
                    Err(status) if !has_worked => return Ok(Ended::Failed(self.refused(&status))),
                    Err(_) => return Ok(Ended::AfterWork),
                }
                has_worked = true;
                trouble.is_over().await?;
            }
            loop {
                let proxy = tokio::select! {
                    () = sleep_until(due) => break,
                    proxy = self.wanted.recv() => match proxy {
                        Some(origin) => format!("{}.{}", origin.pod, origin.namespace),
                        None => return Err(Deaf),
                    },
                };
                if rested.get(&proxy).is_some_and(|at| at.elapsed() < REST) {
                    continue;
                }
                if self.feed.limits.remembered_max <= rested.len() {
                    rested.retain(|_, at| at.elapsed() < REST);
                }
                rested.insert(proxy.clone(), Instant::now());
                let endpoint = format!("edsz?proxyID={proxy}");
                match talk.ask(ENDPOINT, &endpoint, false).await {
                    Ok(Some(answer)) => self.hear(&mut talk, &endpoint, answer, documents).await?,
                    // Some refuse what they do not know by ending the stream.
                    Ok(None) | Err(_) => return Ok(Ended::AfterWork),
                }
            }
        }
    }

    async fn hear(
        &self,
        talk: &mut Talk,
        endpoint: &str,
        answer: DiscoveryResponse,
        documents: &mut Documents,
    ) -> Result<(), Deaf> {
        if answer.type_url == SYNC {
            let identifier = answer.control_plane.map(|of| of.identifier).unwrap_or_default();
            if let Some(pod) = pod_of(&identifier) {
                talk.istiod = pod;
            }
            let clients = answer.resources.iter().filter_map(|any| ClientConfig::decode(&*any.value).ok());
            let document = json!({
                "typeUrl": SYNC,
                "resources": clients.map(|of| json::client(&of)).collect::<Vec<_>>(),
                "controlPlane": { "identifier": identifier },
            });
            let origin = super::origin(&self.cluster, &talk.istiod, &place(&self.cluster, &talk.istiod, "syncz"));
            return documents.say(&origin, document.to_string().as_bytes(), now()).await;
        }
        let origin = super::origin(&self.cluster, &talk.istiod, &place(&self.cluster, &talk.istiod, endpoint));
        for any in answer.resources {
            documents.say(&origin, &any.value, now()).await?;
        }
        Ok(())
    }

    fn refused(&self, status: &Status) -> String {
        match status.code() {
            tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => {
                refusal(&self.door.name(), status, "what its debug endpoints say")
            }
            _ => format!("{} does not answer for its debug endpoints by xDS: {}", self.door.name(), said(status)),
        }
    }
}

/// The pod that answers: `{"Component":"istiod","ID":"istiod-6d9cdf88cf-l47tf",...}`.
fn pod_of(identifier: &str) -> Option<String> {
    let read: serde_json::Value = serde_json::from_str(identifier).ok()?;
    let pod = read.get("ID")?.as_str()?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    (!pod.is_empty() && pod.chars().all(is_name)).then(|| pod.to_string())
}

fn question(url: &str, names: &[&str], node: Option<&Node>) -> DiscoveryRequest {
    DiscoveryRequest {
        node: node.map(Node::message),
        type_url: url.to_string(),
        resource_names: names.iter().map(|name| name.to_string()).collect(),
        ..DiscoveryRequest::default()
    }
}

/// Questions and answers in turn. An answer is not acknowledged: istiod would take that for the same question again.
struct Talk {
    asks: UnboundedSender<DiscoveryRequest>,
    answers: Option<Streaming<DiscoveryResponse>>,
    /// The nonce of the last answer, by type.
    nonces: BTreeMap<String, String>,
    /// The pod that answers; empty until it is known.
    istiod: String,
}

impl Talk {
    /// Asks, unless that was done, and waits for the answer; `None` where the stream ends.
    async fn ask(&mut self, url: &str, endpoint: &str, is_asked: bool) -> Result<Option<DiscoveryResponse>, Status> {
        // The list of what only reads holds here, too.
        if !endpoint.is_empty() && Asked::new(Program::Istiod, &format!("/debug/{endpoint}")).is_err() {
            return Err(Status::invalid_argument(format!("{endpoint} is not on the list of what only reads")));
        }
        let names: &[&str] = if endpoint.is_empty() { &[] } else { &[endpoint] };
        if !is_asked {
            let response_nonce = self.nonces.get(url).cloned().unwrap_or_default();
            let _ = self.asks.unbounded_send(DiscoveryRequest { response_nonce, ..question(url, names, None) });
        }
        let Some(answers) = &mut self.answers else { return Ok(None) };
        let answer = async {
            loop {
                match answers.message().await? {
                    Some(answer) if answer.type_url == url => {
                        self.nonces.insert(url.to_string(), answer.nonce.clone());
                        return Ok(Some(answer));
                    }
                    Some(_) => {}
                    None => return Ok(None),
                }
            }
        };
        timeout(ANSWER_TIMEOUT, answer).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_istiod_tells_its_pod_and_nothing_that_is_no_name() {
        let identifier = r#"{"Component":"istiod","ID":"istiod-6d9c-l47tf","Info":{"version":"1.27.3"}}"#;
        assert_eq!(pod_of(identifier).as_deref(), Some("istiod-6d9c-l47tf"));
        for odd in ["", "{}", r#"{"ID":""}"#, r#"{"ID":"../../x"}"#, r#"{"ID":7}"#] {
            assert_eq!(pod_of(odd), None, "{odd}");
        }
    }
}
