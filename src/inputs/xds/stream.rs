//! One stream as one node: what istiod would push to it, kept, acknowledged, and handed on as a document.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use meshwhy_parsers::time::Time;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tonic::{Code, Status};

use super::connect::{self, Credentials, Door};
use super::held::{Change, Held, Kind};
use super::node;
use super::wire::{self, Ask, Form, Pushed};
use super::{Documents, Trouble, place};
use crate::inputs::clock::now;
use crate::inputs::kube::backoff::Backoff;
use crate::inputs::kube::plain;
use crate::inputs::source::{Deaf, Feed, Said, Status as Fares};

/// How long what is pushed is collected before it is handed on.
const COLLECT: Duration = Duration::from_millis(500);
/// How long the endpoints of all clusters are waited for: as long as an Envoy waits before it does without.
const COMPLETE: Duration = Duration::from_secs(15);
/// How often is said again what has not changed: that it is still so is what makes a difference last.
const REPEAT: Duration = Duration::from_secs(30);
/// When it is said that nothing comes.
const SILENCE: Duration = Duration::from_secs(15);

/// A document and when it was true.
type Taken = (Option<Time>, Vec<u8>);

/// A stream.
pub(super) struct Stream {
    pub cluster: String,
    pub node: node::Node,
    /// Whether a person named the node: an istiod without ambient says nothing to an observer, and that is no trouble.
    pub is_named: bool,
    pub form: Form,
    pub door: Door,
    pub credentials: Credentials,
    pub feed: Feed,
}

/// How a connection ended.
enum Ended {
    /// Something came on it, and then it was over: istiod restarts, or ends all connections after half an hour.
    AfterWork,
    /// It never worked, for this reason.
    Failed(String),
    /// istiod refuses who asks.
    Refused(Status),
    /// This istiod does not speak delta.
    NoDelta,
}

impl Stream {
    /// Keeps the stream, over reconnects, until nobody listens.
    pub async fn keep(mut self) -> Result<(), Deaf> {
        // Who is slow to take documents must not keep the stream from being read.
        let (documents, mut ready) = mpsc::channel::<Taken>(1);
        let endpoint = if self.node.is_ztunnel() { "config_dump" } else { "edsz" };
        let file = format!("{}?proxyID={}", place(&self.cluster, "", endpoint), self.node.proxy());
        let origin = super::origin(&self.cluster, "", &file);
        let handing = {
            let feed = self.feed.clone();
            async move {
                let mut documents = Documents::new(feed);
                while let Some((at, bytes)) = ready.recv().await {
                    documents.say(&origin, &bytes, at).await?;
                }
                Ok(())
            }
        };
        let streaming = self.stream(documents);
        tokio::try_join!(handing, streaming).map(|_| ())
    }

    async fn stream(&mut self, documents: mpsc::Sender<Taken>) -> Result<(), Deaf> {
        let mut view = View {
            root: if self.node.is_ztunnel() { Kind::Addresses } else { Kind::Clusters },
            held: Held::default(),
            versions: BTreeMap::new(),
            is_confirmed: BTreeSet::new(),
            documents,
            changed: None,
            said: None,
            is_cut_said: false,
        };
        let mut trouble = Trouble::new(&self.cluster, self.feed.clone());
        let what = format!("what istiod would push to {}", self.node.proxy());
        let (mut backoff, mut failures) = (Backoff::default(), 0);
        loop {
            match self.once(&mut view, &mut trouble, failures).await? {
                // It is no news: istiod ends every connection after half an hour.
                Ended::AfterWork => (backoff, failures) = (Backoff::default(), 0),
                Ended::NoDelta => self.form = Form::StateOfTheWorld,
                Ended::Refused(status) => {
                    failures += 1;
                    trouble.is(refusal(&self.door.name(), &status, &what)).await?;
                }
                Ended::Failed(why) => {
                    failures += 1;
                    let name = self.door.name();
                    trouble.is(format!("{name} cannot be asked by xDS, so {what} is not known: {why}")).await?;
                }
            }
            sleep(backoff.next()).await;
        }
    }

    /// One connection, from its begin to its end.
    async fn once(&mut self, view: &mut View, trouble: &mut Trouble, failures: usize) -> Result<Ended, Deaf> {
        let connection = match self.door.connect(&self.credentials, failures).await {
            Ok(connection) => connection,
            Err(error) => return Ok(Ended::Failed(format!("{error:#}"))),
        };
        let head = match connect::head(&self.credentials, self.node.cluster_id()).await {
            Ok(head) => head,
            Err(error) => return Ok(Ended::Failed(format!("{error:#}"))),
        };
        let client = wire::client(connection.channel, self.feed.limits.answer_bytes_max);
        // Each answers what was pushed, so that there are no more of them than of that.
        let (asks, to_ask) = unbounded();
        let mut session = Session { asks, form: self.form, nonces: BTreeMap::new(), asked: BTreeSet::new() };
        session.begin(view, self.node.message());
        let silent_at = Instant::now() + SILENCE;
        let opening = wire::open(client, self.form, head, to_ask);
        tokio::pin!(opening);
        let mut pushes = match timeout_at(silent_at, &mut opening).await {
            Ok(opened) => opened,
            // istiod opens its side when it has something to say.
            Err(_) => {
                self.is_silent(trouble).await?;
                opening.await
            }
        };
        let mut has_worked = false;
        loop {
            let pushes = match &mut pushes {
                Ok(pushes) => pushes,
                Err(status) => return Ok(ended(status, has_worked, self.form)),
            };
            let due = view.due();
            tokio::select! {
                pushed = pushes.next() => match pushed {
                    Some(Ok(pushed)) => {
                        has_worked = true;
                        trouble.is_over().await?;
                        if let Some(wrong) = session.take(view, pushed, self.feed.limits.pushed_bytes_max) {
                            trouble.is(format!("{} pushes what cannot be read: {wrong}", self.door.name())).await?;
                        }
                    }
                    Some(Err(status)) => return Ok(ended(&status, has_worked, self.form)),
                    None if has_worked => return Ok(Ended::AfterWork),
                    None => return Ok(Ended::Failed("the stream ends at once".to_string())),
                },
                () = sleep_until(silent_at), if !has_worked && Instant::now() < silent_at => {
                    self.is_silent(trouble).await?;
                }
                () = sleep_until(due.unwrap_or(silent_at)), if due.is_some() => view.say()?,
            }
            if view.held.is_cut && !view.is_cut_said {
                view.is_cut_said = true;
                let max = self.feed.limits.pushed_bytes_max;
                let what = format!(
                    "{}: what istiod would push to {} is more than {max} bytes and is not compared",
                    self.cluster,
                    self.node.proxy()
                );
                self.feed.say(Said::Status(Fares::Lost { what })).await?;
            }
        }
    }

    async fn is_silent(&self, trouble: &mut Trouble) -> Result<(), Deaf> {
        if !self.is_named {
            return Ok(());
        }
        let (name, proxy) = (self.door.name(), self.node.proxy());
        trouble
            .is(format!("{name} has said nothing for {} s of what it would push to {proxy}", SILENCE.as_secs()))
            .await
    }
}

/// How a connection ended that did so with a status.
fn ended(status: &Status, has_worked: bool, form: Form) -> Ended {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Ended::Refused(status.clone()),
        Code::Unimplemented if form == Form::Delta => Ended::NoDelta,
        _ if has_worked => Ended::AfterWork,
        code => Ended::Failed(format!("{code:?}: {}", said(status))),
    }
}

/// What a status says, or what caused it.
pub(super) fn said(status: &Status) -> String {
    if status.message().is_empty() { plain(status) } else { status.message().to_string() }
}

/// That istiod refuses who asks, and what is not known therefore.
pub(super) fn refusal(name: &str, status: &Status, what: &str) -> String {
    format!(
        "{name} refuses who asks ({:?}: {}), so {what} is not known\nhint: --xds-token, with a token for the audience \
         istio-ca of a service account in the node's namespace; --xds-cert and --xds-key; or port 15010",
        status.code(),
        said(status)
    )
}

/// What is asked on one connection.
struct Session {
    asks: UnboundedSender<Ask>,
    form: Form,
    /// The nonce of what came last.
    nonces: BTreeMap<Kind, String>,
    /// The endpoints that were asked for.
    asked: BTreeSet<String>,
}

impl Session {
    /// Asks for everything of the first kind, and for the endpoints whose names are known from an earlier connection.
    fn begin(&mut self, view: &mut View, node: Node) {
        view.is_confirmed.clear();
        (view.changed, view.said) = (None, None);
        self.send(Ask { node: Some(node), ..self.first(view, view.root, BTreeSet::new()) });
        let wanted = view.held.wanted();
        if !wanted.is_empty() {
            self.send(self.first(view, Kind::Endpoints, wanted.clone()));
            self.asked = wanted;
        }
    }

    /// The first question of a kind, with what is held already.
    fn first(&self, view: &View, kind: Kind, names: BTreeSet<String>) -> Ask {
        let versions = if self.form == Form::Delta { view.held.versions(kind).collect() } else { HashMap::new() };
        Ask { add: names.iter().cloned().collect(), versions, ..self.question(view, kind, names) }
    }

    fn question(&self, view: &View, kind: Kind, names: BTreeSet<String>) -> Ask {
        Ask {
            nonce: self.nonces.get(&kind).cloned().unwrap_or_default(),
            version: view.versions.get(&kind).cloned().unwrap_or_default(),
            names: names.into_iter().collect(),
            ..Ask::of(kind)
        }
    }

    /// Takes in what was pushed and answers it; returns why it is rejected.
    fn take(&mut self, view: &mut View, pushed: Pushed, bytes_max: usize) -> Option<String> {
        let kind = pushed.kind?;
        self.nonces.insert(kind, pushed.nonce);
        let rejects = view.take(kind, pushed.change, pushed.version, bytes_max).err();
        let names = if kind == Kind::Endpoints { self.asked.clone() } else { BTreeSet::new() };
        self.send(Ask { is_answer: true, rejects: rejects.clone(), ..self.question(view, kind, names) });
        if kind == Kind::Clusters {
            let wanted = view.held.wanted();
            if wanted != self.asked {
                let add = wanted.difference(&self.asked).cloned().collect();
                let remove = self.asked.difference(&wanted).cloned().collect();
                self.send(Ask { add, remove, ..self.question(view, Kind::Endpoints, wanted.clone()) });
                self.asked = wanted;
            }
        }
        rejects
    }

    fn send(&self, ask: Ask) {
        // Where the connection is over, reading from it tells.
        let _ = self.asks.unbounded_send(ask);
    }
}

/// What was pushed, and what of it was handed on.
struct View {
    /// The kind that is asked for by no name.
    root: Kind,
    held: Held,
    /// The version of what was taken last, by kind.
    versions: BTreeMap<Kind, String>,
    /// The kinds that were answered on this connection: what is held of them is what istiod would push now.
    is_confirmed: BTreeSet<Kind>,
    documents: mpsc::Sender<Taken>,
    /// When something changed first that was not handed on.
    changed: Option<Instant>,
    /// When it was handed on last.
    said: Option<Instant>,
    is_cut_said: bool,
}

impl View {
    fn take(&mut self, kind: Kind, change: Change, version: String, bytes_max: usize) -> Result<(), String> {
        self.is_confirmed.insert(kind);
        self.changed.get_or_insert_with(Instant::now);
        self.held.take(kind, change, bytes_max)?;
        self.versions.insert(kind, version);
        Ok(())
    }

    fn is_complete(&self) -> bool {
        let has_endpoints = || {
            self.held.wanted().is_empty()
                || self.is_confirmed.contains(&Kind::Endpoints) && self.held.has_all_endpoints()
        };
        self.is_confirmed.contains(&self.root) && (self.root != Kind::Clusters || has_endpoints())
    }

    /// When something is to be handed on.
    fn due(&self) -> Option<Instant> {
        if self.held.is_cut {
            return None;
        }
        match (self.changed, self.said) {
            (Some(changed), _) => Some(changed + if self.is_complete() { COLLECT } else { COMPLETE }),
            (None, said) => said.map(|said| said + REPEAT),
        }
    }

    /// Hands on what istiod would push now.
    fn say(&mut self) -> Result<(), Deaf> {
        let document = if self.root == Kind::Addresses { self.held.addresses() } else { self.held.endpoints() };
        match self.documents.try_send((now(), document)) {
            Ok(()) => (self.changed, self.said) = (None, Some(Instant::now())),
            // The one before is still being taken: this one is made again, of what will be true then.
            Err(TrySendError::Full(_)) => self.changed = Some(Instant::now()),
            Err(TrySendError::Closed(_)) => return Err(Deaf),
        }
        Ok(())
    }
}
