//! The whole program: sources, parsing, engine, output.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use meshwhy_parsers::event::{Arrival, Event, Fact, Level};
use meshwhy_parsers::frame::{Framed, Framer};
use meshwhy_parsers::origin::Origin;
use meshwhy_parsers::time::Time;

use crate::config::ReplayConfig;
use crate::engine::Engine;
use crate::outputs::{Output, Summary, worst_severity};

/// Reads saved logs and prints their causes; returns the exit code.
pub fn replay(config: &ReplayConfig, output: &mut dyn Output, out: &mut dyn io::Write) -> anyhow::Result<u8> {
    let mut files = Vec::new();
    for path in &config.paths {
        walk(path, &mut files)?;
    }
    let mut summary = Summary::default();
    let mut events: Vec<(Time, Event)> = Vec::new();
    let mut templates: BTreeMap<String, u64> = BTreeMap::new();
    for file in &files {
        let name = file.display().to_string();
        let parent =
            file.parent().and_then(Path::file_name).map(|n| n.to_string_lossy().to_string()).unwrap_or_default();
        let stem = file.file_stem().map(|n| n.to_string_lossy().to_string()).unwrap_or_default();
        let cluster = if parent.is_empty() || parent == "input" { stem } else { parent };
        let origin = Arc::new(Origin::new(&cluster, &name));
        let mut framer = Framer::new(origin, config.scan);
        let mut bytes = Vec::new();
        std::fs::File::open(file)?.read_to_end(&mut bytes)?;
        let mut last = Time::MIN;
        let mut understood = 0;
        let mut take = |framed: Framed| {
            let Framed::Line(line) = framed else { return };
            let event = meshwhy_parsers::parse(&line);
            match &event.fact {
                Fact::Opaque(opaque) if event.level >= Level::Warn => {
                    *templates.entry(opaque.template.to_string()).or_default() += 1;
                }
                Fact::Opaque(opaque) if !opaque.format_known => {}
                _ => understood += u64::from(line.lines),
            }
            last = event.at.unwrap_or(last);
            events.push((last, event));
            events.extend(config.signatures.events(&line).into_iter().map(|event| (last, event)));
        };
        framer.push(&bytes, &mut take);
        framer.finish(&mut take);
        summary.files += 1;
        summary.lines += framer.counts().lines;
        summary.understood += understood + framer.counts().quiet;
    }
    events.sort_by(|(a, x), (b, y)| a.cmp(b).then(x.origin.cmp(&y.origin)).then(x.seq.cmp(&y.seq)));
    let mut engine = Engine::presorted(config.causes.clone(), config.limits);
    let mut counting = config.signatures.counting();
    for (_, mut event) in events {
        counting.mark(&mut event);
        engine.feed(Arrival::Item(event));
        while let Some(finding) = engine.poll() {
            output.finding(out, &finding)?;
        }
    }
    engine.finish();
    while let Some(finding) = engine.poll() {
        output.finding(out, &finding)?;
    }
    summary.templates = templates.into_iter().collect();
    summary.templates.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    summary.templates.truncate(10);
    summary.engine = engine.stats().clone();
    output.close(out, engine.findings(), &summary)?;
    Ok(config.fail_on.exit_code(worst_severity(engine.findings())))
}

fn walk(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_dir() {
        let mut inner: Vec<PathBuf> =
            std::fs::read_dir(path)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
        inner.sort();
        for path in inner {
            walk(&path, files)?;
        }
    } else {
        files.push(path.to_path_buf());
    }
    Ok(())
}
