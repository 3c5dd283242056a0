//! Lists and watches.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::stream::unfold;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::{Refusal, status};
use super::ask::Asked;
use super::store::{Resource, Shape, Store, Wanted};
use super::{Shared, State};

/// Waiting so long is waiting for ever.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// The body of a list.
///
/// Pages continue after the last object of the page before, in what is there then; the resource version stays that of
/// the first page, so that a watch from it tells again what changed in between. A real server keeps a snapshot.
pub fn list(store: &Store, resource: &Resource, asked: &Asked, shape: Shape) -> Result<Value, Refusal> {
    let wanted = wanted(resource, asked)?;
    let api_version = resource.api_version(&asked.version);
    let mut items = store.list(resource, &wanted);
    let mut version = store.version();
    let token = asked.value("continue");
    if !token.is_empty() {
        let wrong = || Refusal::new(400, "continue key is not valid");
        let (at, after) = token.split_once('/').ok_or_else(wrong)?;
        version = at.parse().map_err(|_| wrong())?;
        if store.since(resource, &wanted, version).is_err() {
            let message = "The provided continue parameter is too old to display a consistent list result. \
                           You can start a new list without the continue parameter.";
            return Err(Refusal::new(410, message));
        }
        items.retain(|item| place(item).as_str() > after);
    } else if asked.value("resourceVersionMatch") == "Exact" {
        let exact = position(asked)?;
        store.since(resource, &wanted, exact).map_err(|old| Refusal::new(410, &old.message()))?;
    }
    let mut metadata = json!({"resourceVersion": version.to_string()});
    let limit = asked.value("limit").parse().unwrap_or(0);
    if limit > 0 && limit < items.len() {
        metadata["continue"] = format!("{version}/{}", place(&items[limit - 1])).into();
        if asked.value("labelSelector").is_empty() && asked.value("fieldSelector").is_empty() {
            metadata["remainingItemCount"] = (items.len() - limit).into();
        }
        items.truncate(limit);
    }
    let (list_version, kind) = match shape {
        Shape::Whole => (api_version.as_str(), format!("{}List", resource.kind)),
        Shape::Metadata => ("meta.k8s.io/v1", "PartialObjectMetadataList".to_string()),
    };
    let items = items.iter().map(|item| {
        let mut item = shape.of(item, &api_version);
        // Kubernetes' own kinds leave out in a list what the list says; custom resources do not.
        if shape == Shape::Whole && !resource.is_custom() {
            let item = item.as_object_mut().expect("objects are objects");
            item.retain(|key, _| key != "kind" && key != "apiVersion");
        }
        item
    });
    let items: Vec<Value> = items.collect();
    Ok(json!({"kind": kind, "apiVersion": list_version, "metadata": metadata, "items": items}))
}

/// Where an item of a list stands in its order.
fn place(item: &Value) -> String {
    let metadata = &item["metadata"];
    format!("{}/{}", metadata["namespace"].as_str().unwrap_or(""), metadata["name"].as_str().unwrap_or(""))
}

/// The resource version of a request.
fn position(asked: &Asked) -> Result<u64, Refusal> {
    let text = asked.value("resourceVersion");
    text.parse().map_err(|_| Refusal::new(400, &format!("resourceVersion: Invalid value: {text:?}")))
}

fn wanted(resource: &Resource, asked: &Asked) -> Result<Wanted, Refusal> {
    let namespace = asked.namespace.as_deref();
    Wanted::new(resource, namespace, asked.value("labelSelector"), asked.value("fieldSelector"))
        .map_err(|message| Refusal::new(400, &message))
}

/// A watch that is being told.
struct Watch {
    shared: Arc<Shared>,
    changed: watch::Receiver<()>,
    resource: Resource,
    api_version: String,
    wanted: Wanted,
    shape: Shape,
    /// The resource version up to which all is told.
    position: u64,
    /// How many bookmarks had been ordered, if it takes bookmarks.
    bookmarks: Option<u64>,
    /// How often all watches had been ended.
    expirations: u64,
    deadline: Instant,
    lines: VecDeque<Bytes>,
    is_over: bool,
}

/// The lines of a watch: from the resource version asked for, or with none from the state as it is.
pub fn watch(
    shared: &Arc<Shared>,
    state: &State,
    resource: &Resource,
    asked: &Asked,
    shape: Shape,
) -> Result<impl Stream<Item = Bytes> + use<>, Refusal> {
    let wanted = wanted(resource, asked)?;
    let sends_state = asked.is_set("sendInitialEvents");
    let starts_anew = sends_state || ["", "0"].contains(&asked.value("resourceVersion"));
    let timeout = asked.value("timeoutSeconds").parse().map_or(FOR_EVER, Duration::from_secs);
    let mut watch = Watch {
        shared: shared.clone(),
        changed: shared.changed.subscribe(),
        resource: resource.clone(),
        api_version: resource.api_version(&asked.version),
        wanted,
        shape,
        position: if starts_anew { state.store.version() } else { position(asked)? },
        bookmarks: asked.is_set("allowWatchBookmarks").then_some(state.bookmarks),
        expirations: state.expirations,
        deadline: Instant::now() + timeout,
        lines: VecDeque::new(),
        is_over: false,
    };
    if starts_anew {
        for object in state.store.list(resource, &watch.wanted) {
            watch.tell("ADDED", shape.of(&object, &watch.api_version));
        }
    }
    if sends_state && watch.bookmarks.is_some() {
        watch.bookmark(json!({"k8s.io/initial-events-end": "true"}));
    }
    Ok(unfold(watch, async |mut watch| watch.next().await.map(|line| (line, watch))))
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.is_over {
                return None;
            }
            self.changed.borrow_and_update();
            self.catch_up();
            if !self.lines.is_empty() {
                continue;
            }
            if tokio::time::timeout_at(self.deadline, self.changed.changed()).await.is_err() {
                // A server that ends a watch in order says first how far it got.
                if self.bookmarks.is_some() {
                    self.bookmark(Value::Null);
                }
                self.is_over = true;
            }
        }
    }

    /// Puts into lines what happened since.
    fn catch_up(&mut self) {
        let shared = self.shared.clone();
        let state = shared.lock();
        if state.expirations != self.expirations {
            return self.fail("The resourceVersion for the provided watch is too old.");
        }
        match state.store.since(&self.resource, &self.wanted, self.position) {
            Ok(told) => {
                for event in told {
                    self.tell(event.what, self.shape.of(&event.object, &self.api_version));
                }
                self.position = self.position.max(state.store.version());
            }
            Err(too_old) => return self.fail(&too_old.message()),
        }
        if self.bookmarks.is_some_and(|seen| seen != state.bookmarks) {
            self.bookmarks = Some(state.bookmarks);
            self.bookmark(Value::Null);
        }
    }

    fn tell(&mut self, what: &str, object: Value) {
        self.lines.push_back(Bytes::from(format!("{}\n", json!({"type": what, "object": object}))));
    }

    fn bookmark(&mut self, annotations: Value) {
        let mut metadata = json!({"resourceVersion": self.position.to_string()});
        if !annotations.is_null() {
            metadata["annotations"] = annotations;
        }
        // No shape is applied: what a bookmark holds is metadata anyway.
        self.tell(
            "BOOKMARK",
            json!({"kind": self.resource.kind, "apiVersion": self.api_version, "metadata": metadata}),
        );
    }

    /// The end that comes inside a stream whose status was 200.
    fn fail(&mut self, message: &str) {
        self.tell("ERROR", status(410, message));
        self.is_over = true;
    }
}
