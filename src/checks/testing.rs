//! What tests of checks share: a mesh made of the texts that people save.

use std::sync::Arc;

use meshwhy_parsers::document::{self, Found};
use meshwhy_parsers::event::Event;
use meshwhy_parsers::frame::{Framer, Scan};
use meshwhy_parsers::origin::{self, Origin};

use crate::engine::check::{Check, Item, Outcome};
use crate::engine::view::View;
use crate::engine::world::World;

/// A root `O=root A` as a `caBundle` or a Secret carries it.
pub const ROOT_A: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJlRENDQVIrZ0F3SUJBZ0lVSzVzYkZSWUlTT0ExYnp5QlhTeU1yNkZYTzFBd0NnWUlLb1\
    pJemowRUF3SXcKRVRFUE1BMEdBMVVFQ2d3R2NtOXZkQ0JCTUNBWERUSTJNVEV5TVRFMU5EUXlNRm9ZRHpJd05UWXhNVEV6TVRVMApOREl3V2pB\
    Uk1ROHdEUVlEVlFRS0RBWnliMjkwSUVFd1dUQVRCZ2NxaGtqT1BRSUJCZ2dxaGtqT1BRTUJCd05DCkFBU2cwdnZxaFYxb2ZlV24xMzlYOXZYS0\
    hxMmpJd212bmZJNXAxMGlOaWh4d1ZyVkNFNTFkNE15TWh0aDhqVkQKbHRHRXBaNk15NWtJQk8xdW5VMWdLODZibzFNd1VUQWRCZ05WSFE0RUZn\
    UVUzK2dGdGhEWm85Z2pVTExRd0EzWgo2Yzk2dXcwd0h3WURWUjBqQkJnd0ZvQVUzK2dGdGhEWm85Z2pVTExRd0EzWjZjOTZ1dzB3RHdZRFZSMF\
    RBUUgvCkJBVXdBd0VCL3pBS0JnZ3Foa2pPUFFRREFnTkhBREJFQWlBQTVyVHR0c25oZWtyUG40SFV2N3NBd0xycWs4VEgKS1FvdTIwWDBZY25X\
    bWdJZ1g1b294WTczNE0xWmxMa0tpQnc5YU1NWnpsVUtmV2luVFZoTzBWZTFMaFk9Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";
/// Another root, `O=root B`.
pub const ROOT_B: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJlRENDQVIrZ0F3SUJBZ0lVYjFWM0ZWTW52d2JuN2lDdlZ0ZzkvTzBuamFFd0NnWUlLb1\
    pJemowRUF3SXcKRVRFUE1BMEdBMVVFQ2d3R2NtOXZkQ0JDTUNBWERUSTJNVEV5TVRFMU5EUXlNRm9ZRHpJd05UWXhNVEV6TVRVMApOREl3V2pB\
    Uk1ROHdEUVlEVlFRS0RBWnliMjkwSUVJd1dUQVRCZ2NxaGtqT1BRSUJCZ2dxaGtqT1BRTUJCd05DCkFBVHJTYnpFTWpaZitrUjVHank0M1JpWn\
    dzMlFhci81bElvWEtRS0VJWUlNMEZDcW9HbGxxUWRmZGxiY3poQlMKTDNLSDc0Q1dRRW9nVEExaGVkcXhrRGIwbzFNd1VUQWRCZ05WSFE0RUZn\
    UVV5NFlVaWtMSExCSStVcjIrZ0JwdwpVYVI5NzRrd0h3WURWUjBqQkJnd0ZvQVV5NFlVaWtMSExCSStVcjIrZ0Jwd1VhUjk3NGt3RHdZRFZSMF\
    RBUUgvCkJBVXdBd0VCL3pBS0JnZ3Foa2pPUFFRREFnTkhBREJFQWlCZjFCUFlobjUwMHNpNnBSSGEyMnpTYWtzS012MjgKRE5CZWRnQ0FtcEpD\
    UWdJZ0ZTUXFpR25RLzF1WVoyK3loZHkzdTNOcEp1Y3RqQWRkYnplTkRzNHZxa2s9Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";

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
            let event = Event::of_document(Arc::clone(&origin), at, document.taken, fact);
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
    run(check, files).into_iter().map(as_told).collect()
}

/// The same where a person asks how the state is, and not why lines tell of failures.
pub fn asked(check: &Check, files: &[Saved<'_>]) -> Vec<String> {
    let world = world(files);
    (check.run)(&View::new(&world, true).asking_state(true)).into_iter().map(as_told).collect()
}

fn as_told(item: Item) -> String {
    let cause = item.cause.map(|(slug, verdict)| format!(" [{slug}: {}]", verdict.subject)).unwrap_or_default();
    format!("{} {} {}: {}{cause}", item.outcome.word(), item.cluster, item.object, item.reason)
}

/// The slugs of what fails.
pub fn failed(check: &Check, files: &[Saved<'_>]) -> Vec<&'static str> {
    let items = run(check, files);
    let failed = items.iter().filter(|item| item.outcome == Outcome::Fail);
    failed.filter_map(|item| item.cause.as_ref().map(|(slug, _)| *slug)).collect()
}
