//! What tests of checks share: a mesh made of the texts that people save.

use std::sync::Arc;

use meshwhy_parsers::document::{self, Found};
use meshwhy_parsers::event::{DOCUMENT, Event, Level};
use meshwhy_parsers::frame::{Framer, Scan};
use meshwhy_parsers::origin::{self, Origin};

use crate::engine::check::{Check, Item, Outcome};
use crate::engine::view::View;
use crate::engine::world::World;

/// A saved file: its cluster, its path below the cluster's folder (`pods.yaml`, `istio-system/istiod-1/discovery.log`)
/// and its text: a document, a log or a table.
pub type Saved<'a> = (&'a str, &'a str, &'a str);

/// The world of these files: documents first, then lines in the order in which they are given.
pub fn world(files: &[Saved<'_>]) -> World {
    let mut world = World::default();
    let mut ordinal = 0;
    let mut lines = Vec::new();
    for (cluster, path, text) in files {
        let place = origin::place(&format!("{cluster}/{path}"), "");
        let origin = Arc::new(Origin {
            cluster: (*cluster).into(),
            namespace: place.namespace,
            pod: place.pod,
            container: place.container,
            file: format!("{cluster}/{path}").into(),
            role: place.role,
        });
        let Some(read) = document::read(text.as_bytes(), Found { path, command: "" }) else {
            let mut framer = Framer::new(origin, Scan::Off);
            framer.push(text.as_bytes(), &mut |line| lines.push(line));
            framer.finish(&mut |line| lines.push(line));
            continue;
        };
        let document = read.unwrap_or_else(|error| panic!("{cluster}/{path}: {error}"));
        assert_eq!(document.losses, [""; 0], "{cluster}/{path} is read whole");
        for (at, fact) in document.facts {
            ordinal += 1;
            let event = Event {
                at: at.or(document.taken),
                origin: Arc::clone(&origin),
                seq: 0,
                number: 0,
                level: Level::Info,
                text: "".into(),
                signature: at.is_none().then_some(DOCUMENT),
                fact,
            };
            world.note(&Arc::new(event), ordinal);
        }
    }
    for line in &lines {
        ordinal += 1;
        world.note(&Arc::new(meshwhy_parsers::parse(line)), ordinal);
    }
    world
}

/// What a check says about these files.
pub fn run(check: &Check, files: &[Saved<'_>]) -> Vec<Item> {
    (check.run)(&View::new(&world(files), true))
}

/// The same as one line an item: `fail west Secret istio-system/x: reason [slug: subject]`.
pub fn told(check: &Check, files: &[Saved<'_>]) -> Vec<String> {
    let tell = |item: Item| {
        let cause = item.cause.map(|(slug, verdict)| format!(" [{slug}: {}]", verdict.subject)).unwrap_or_default();
        format!("{} {} {}: {}{cause}", item.outcome.word(), item.cluster, item.object, item.reason)
    };
    run(check, files).into_iter().map(tell).collect()
}

/// The slugs of what fails.
pub fn failed(check: &Check, files: &[Saved<'_>]) -> Vec<&'static str> {
    let items = run(check, files);
    let failed = items.iter().filter(|item| item.outcome == Outcome::Fail);
    failed.filter_map(|item| item.cause.as_ref().map(|(slug, _)| *slug)).collect()
}
