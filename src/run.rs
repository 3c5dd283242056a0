//! The whole program: sources, parsing, engine, output.

mod gathering;
mod saving;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind::BrokenPipe};
use std::path::PathBuf;

use anyhow::{Context, bail};
use meshwhy_parsers::event::{Arrival, Event, Fact, Level};
use meshwhy_parsers::origin::{SharedOrigin, UNNAMED};
use meshwhy_parsers::time::Time;

use crate::checks;
use crate::config::{Asked, ReplayConfig, TailConfig, Task, XdsConfig};
use crate::engine::check::{Check, Outcome};
use crate::engine::trace::Trace;
use crate::engine::{Asks, Engine};
use crate::inputs::follow::{self, Followed};
use crate::inputs::kube::review::Review;
use crate::inputs::live::Live;
use crate::inputs::source::{Feed, Said};
use crate::inputs::stdin::{self, Heard, Stdin};
use crate::inputs::stop::Enough;
use crate::inputs::tape::{self, Recorder, Tape};
use crate::inputs::{self, Batch, Counts, Item, Losses, Wanted, clock, direct, kube, stop, xds};
use crate::outputs::events::is_followed;
use crate::outputs::{Output, Summary, printable, worst_severity};
use crate::signatures::Counting;
use crate::sink::Sink;
use crate::trace;
use watching::Asking;

use gathering::Gathering;
pub use saving::record;

/// Threads that read live sources; the engine has one of its own.
const WORKERS_MAX: usize = 2;

/// Reads saved logs and prints their causes; returns the exit code.
pub fn replay(config: &ReplayConfig, output: &mut dyn Output, out: &mut dyn io::Write) -> anyhow::Result<u8> {
    if is_tape(config) {
        return replay_tape(config, output, out);
    }
    let wanted = Wanted {
        paths: &config.paths,
        cluster_names: &config.cluster_names,
        since: config.since,
        until: config.until,
        threads: config.threads,
        scan: config.scan,
        limits: config.input_limits,
    };
    let mut run = Run {
        config,
        engine: engine(config),
        followed: None,
        counting: config.signatures.counting(),
        tally: Tally::new(wanted.limits.templates_max),
        output,
        out,
    };
    // Before anything is read: what is named wrongly is said at once.
    let asking = config.asked.as_ref().map(Gathering::begin).transpose()?;
    let wants_stdin = config.paths.iter().any(|path| path.as_os_str() == "-");
    let mut stdin = wants_stdin.then(Stdin::open).transpose().context("cannot listen to standard input")?;
    if let [_] = &config.paths[..]
        && config.task == Task::Replay
        && let Some(stdin) = stdin.take_if(|stdin| stdin.is_lines(&wanted.limits))
    {
        let (counts, losses) = run.live(&wanted, stdin)?;
        return run.close(&counts, losses);
    }
    let mut batch = inputs::read(&wanted, stdin)?;
    if !batch.refused.is_empty() && batch.counts.files + batch.counts.documents == 0 {
        bail!("{}", batch.refused.join("\n"));
    }
    for document in std::mem::take(&mut batch.documents) {
        run.feed(document);
    }
    let lines = match asking {
        Some(asking) => asking.gather(&mut run, &mut batch)?,
        None => Vec::new(),
    };
    run.print()?;
    run.batch(&mut batch, lines)?;
    let code = run.close(&batch.counts, batch.losses)?;
    for refusal in &batch.refused {
        eprint!("{}", complaint(refusal));
    }
    Ok(if batch.refused.is_empty() { code } else { 2 })
}

/// Asks what may be asked of each cluster.
///
/// # Errors
///
/// No kubeconfig, or a context that is not in it.
pub fn review(asked: &Asked) -> anyhow::Result<Vec<Review>> {
    Ok(Gathering::begin(asked)?.review())
}

/// Whether what is to be read is a tape.
pub fn is_tape(config: &ReplayConfig) -> bool {
    config.paths.iter().any(|path| tape::is_tape(path, config.input_limits))
}

/// Replays a watch as it was recorded.
fn replay_tape(config: &ReplayConfig, output: &mut dyn Output, out: &mut dyn io::Write) -> anyhow::Result<u8> {
    let [path] = &config.paths[..] else {
        bail!("a tape holds all that a watch took, in its order\nhint: replay it alone");
    };
    if config.since.is_some() || config.until.is_some() || !config.cluster_names.is_empty() {
        bail!("a tape is replayed whole and names its clusters\nhint: leave out --since, --until and --cluster");
    }
    if config.asked.is_some() {
        bail!("a tape tells of another time than clusters that are asked now\nhint: leave out --context, or the tape");
    }
    let mut tape = Tape::open(path, config.input_limits)?;
    let run = Run {
        config,
        engine: racing(config),
        followed: None,
        counting: config.signatures.counting(),
        tally: Tally::new(config.input_limits.templates_max),
        output,
        out,
    };
    watching::Watching::new(run, BTreeSet::new(), Asking::default()).replay(&mut tape)
}

/// Watches clusters and prints causes as they show; returns the exit code of what is open when the person has seen
/// `enough`.
pub fn tail(
    config: &TailConfig,
    output: &mut dyn Output,
    out: &mut dyn io::Write,
    enough: Enough,
) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.replay.threads.min(WORKERS_MAX))
        .enable_all()
        .build()
        .context("cannot start")?;
    let (mut feed, mut heard) = Feed::new(config.limits);
    if config.record.is_some() {
        feed = feed.recorded();
    }
    feed.clock = config.clock;
    let mut asking = Asking::default();
    let mut clusters = BTreeSet::new();
    if let Some(watched) = &config.watched {
        let has_no_istiods = config.xds.as_ref().is_none_or(|xds| xds.addresses.is_empty());
        let has_nothing = config.replay.paths.is_empty() && config.addresses.is_empty() && has_no_istiods;
        let connected = runtime.block_on(kube::connect(config.kubeconfig.clone(), &config.contexts))?;
        let connected = connected.with_istio_namespace(&config.istio_namespace);
        if connected.clusters.is_empty() && has_nothing {
            let why = connected.refused.into_iter().map(|(_, why)| why);
            bail!("no cluster can be watched\n{}", why.collect::<Vec<_>>().join("\n"));
        }
        for (_, why) in &connected.refused {
            eprint!("{}", complaint(why));
        }
        for cluster in connected.clusters {
            clusters.insert(cluster.name.clone());
            if let Some(xds) = config.xds.as_ref().filter(|xds| xds.through_contexts) {
                let wanted = asking.add(&cluster.name, config.limits.asking_max);
                runtime.spawn(xds::through(&cluster, xds.asked.clone(), feed.clone(), wanted));
            }
            let wanted = asking.add(&cluster.name, config.limits.asking_max);
            runtime.spawn(kube::watch(cluster, watched.clone(), feed.clone(), wanted));
        }
    }
    for address in &config.addresses {
        let only = clusters.first().filter(|_| clusters.len() == 1).cloned();
        runtime.spawn(direct::watch(address.clone(), only, feed.clone()));
    }
    if let Some(xds) = &config.xds {
        for address in &xds.addresses {
            let cluster = cluster_of(address, &clusters, xds)?;
            let wanted = asking.add(&cluster, config.limits.asking_max);
            runtime.spawn(xds::at(address.clone(), cluster, xds.asked.clone(), feed.clone(), wanted));
        }
    }
    let (piped, paths): (Vec<PathBuf>, _) =
        config.replay.paths.iter().cloned().partition(|path| path.as_os_str() == "-");
    for path in &paths {
        std::fs::metadata(path).with_context(|| format!("cannot follow {}", path.display()))?;
    }
    let followed = Followed {
        paths,
        cluster_names: config.replay.cluster_names.clone(),
        scan: config.replay.scan,
        lines: config.lines,
        limits: config.replay.input_limits,
    };
    if !piped.is_empty() {
        let has_istiods = config.xds.as_ref().is_some_and(|xds| !xds.addresses.is_empty());
        let is_alone = clusters.is_empty() && config.addresses.is_empty() && followed.paths.is_empty() && !has_istiods;
        let only = clusters.first().filter(|_| clusters.len() == 1).cloned();
        let (followed, feed) = (followed.clone(), feed.clone());
        runtime.spawn_blocking(move || {
            let heard = stdin::follow(Stdin::beside(), &followed, only.as_deref(), &feed);
            if is_alone && heard.is_ok() {
                // Who does not hear it has ended already.
                let _ = feed.say_blocking(Said::Stop);
            }
        });
    }
    if !followed.paths.is_empty() {
        let feed = feed.clone();
        runtime.spawn_blocking(move || follow::follow(followed, feed));
    }
    let told = Sink::stderr(enough.clone()).context("cannot write to standard error")?;
    // Last of what may fail, so that no tape without a watch is left behind.
    let recorder = config.record.as_deref().map(Recorder::create).transpose()?;
    runtime.spawn(clock::tick(feed.clone()));
    runtime.spawn(stop::listen(feed, enough.clone()));
    let run = Run {
        config: &config.replay,
        engine: racing(&config.replay),
        followed: config.follow_events.then(Vec::new),
        counting: config.replay.signatures.counting(),
        tally: Tally::new(config.replay.input_limits.templates_max),
        output,
        out: &mut *out,
    };
    let code =
        watching::Watching::new(run, clusters, asking).recording(recorder).telling(told).hear(&mut heard, &enough);
    // While interrupts are still heard. Whether anybody reads it makes no difference any more.
    let flushed = out.flush().or_else(|error| if error.kind() == BrokenPipe { Ok(()) } else { Err(error) });
    // Connections that wait need not be waited for.
    runtime.shutdown_background();
    flushed?;
    code
}

/// The cluster that an istiod is of: as it was named, or the only one.
fn cluster_of(address: &xds::Address, clusters: &BTreeSet<String>, xds: &XdsConfig) -> anyhow::Result<String> {
    match (&address.cluster, clusters.len()) {
        (Some(cluster), _) => Ok(cluster.clone()),
        (None, 1) => Ok(clusters.first().cloned().unwrap_or_default()),
        (None, 0) if xds.addresses.len() == 1 => Ok(UNNAMED.to_string()),
        _ => bail!(
            "which cluster is the istiod at {} of?\nhint: name it: --xds CLUSTER={}",
            address.host(),
            if address.is_secure() { "https://..." } else { "http://..." }
        ),
    }
}

/// The engine that does what is asked of what is saved.
fn engine(config: &ReplayConfig) -> Engine {
    let (checks, asks) = asked(config);
    Engine::presorted(config.causes.clone(), config.limits).with_checks(checks, asks)
}

/// The same for sources that race.
fn racing(config: &ReplayConfig) -> Engine {
    let (checks, asks) = asked(config);
    Engine::racing(config.causes.clone(), config.limits).with_checks(checks, asks)
}

/// The checks that answer what is asked.
fn asked(config: &ReplayConfig) -> (Vec<&'static Check>, Asks) {
    let all = || checks::ALL.iter().copied();
    match config.task {
        Task::Replay => (all().collect(), Asks::Why),
        Task::Check { before_linking } => {
            (all().filter(|check| !before_linking || check.before_linking).collect(), Asks::State)
        }
        Task::Trace(..) => (all().collect(), Asks::Nothing),
    }
}

/// What does not work, on one line however it is written, and its hint on another.
fn complaint(what: &str) -> String {
    const HINT: &str = "\nhint: ";
    match what.rsplit_once(HINT) {
        Some((what, hint)) => format!("meshwhy: {}{HINT}{}\n", printable(what), printable(hint)),
        None => format!("meshwhy: {}\n", printable(what)),
    }
}

/// A run under way.
struct Run<'r> {
    config: &'r ReplayConfig,
    engine: Engine,
    /// Events that are to be printed; `None` where nobody follows them.
    followed: Option<Vec<Event>>,
    counting: Counting,
    tally: Tally,
    output: &'r mut dyn Output,
    out: &'r mut dyn io::Write,
}

impl Run<'_> {
    /// Takes in what is saved with what was gathered, `lines`, the latest first, in the order of their times.
    fn batch(&mut self, batch: &mut Batch, mut lines: Vec<(Time, Item)>) -> anyhow::Result<()> {
        let mut at = Time::MIN;
        while let Some(item) = batch.next_item()? {
            // What has no time of its own stands behind what does.
            at = gathering::time_of(&item).unwrap_or(at);
            while let Some((_, earlier)) = lines.pop_if(|(time, _)| *time < at) {
                self.item(earlier)?;
            }
            self.item(item)?;
        }
        while let Some((_, item)) = lines.pop() {
            self.item(item)?;
        }
        Ok(())
    }

    /// Acts on standard input while it is still open; ends with it, or when nobody reads what is found.
    fn live(&mut self, wanted: &Wanted<'_>, mut stdin: Stdin) -> anyhow::Result<(Counts, Losses)> {
        let mut live = Live::new(wanted, stdin.origin(wanted.cluster_names));
        let mut losses = Losses::default();
        loop {
            let mut idle = None;
            let mut is_over = false;
            match stdin.hear() {
                Heard::Bytes(bytes) => live.push(&bytes),
                Heard::Pause(pause) => {
                    live.pause();
                    idle = Some(pause);
                }
                Heard::End => is_over = true,
                Heard::Failed(error) => {
                    losses.add(&wanted.limits, format!("standard input cannot be read to its end: {error}"));
                    is_over = true;
                }
            }
            if is_over {
                live.finish();
            }
            while let Some(item) = live.pop() {
                self.item(item)?;
            }
            if let Some(idle) = idle {
                self.engine.idle(idle);
                self.print()?;
            }
            if self.out.flush().is_err() || is_over {
                return Ok((live.counts(), losses));
            }
        }
    }

    fn item(&mut self, item: Item) -> anyhow::Result<()> {
        self.take(item);
        self.print()
    }

    /// Takes an item in; returns who said it where it is a symptom.
    fn take(&mut self, item: Item) -> Option<SharedOrigin> {
        match item {
            Item::Event(event) => {
                self.feed(event);
                None
            }
            Item::Line(line) => {
                let event = meshwhy_parsers::parse(&line);
                let sick = event.about().failed.map(|_| SharedOrigin::clone(&event.origin));
                self.tally.take(&event, line.lines);
                self.feed(event);
                self.config.signatures.events(&line).into_iter().for_each(|event| self.feed(event));
                sick
            }
        }
    }

    fn feed(&mut self, mut event: Event) {
        self.counting.mark(&mut event);
        if let Some(followed) = self.followed.as_mut().filter(|_| is_followed(&event)) {
            followed.push(event.clone());
        }
        self.engine.feed(Arrival::Item(event));
    }

    fn print(&mut self) -> anyhow::Result<()> {
        while let Some(finding) = self.engine.poll() {
            self.output.finding(self.out, &finding)?;
        }
        Ok(())
    }

    /// Judges what is left and prints the end; returns the exit code.
    fn close(mut self, counts: &Counts, losses: Losses) -> anyhow::Result<u8> {
        self.engine.finish();
        self.print()?;
        let understood = self.tally.understood.saturating_add(counts.quiet);
        let summary = Summary {
            files: counts.files,
            documents: counts.documents,
            lines: counts.lines,
            understood,
            not_understood: counts.lines.saturating_sub(understood),
            templates: self.tally.templates(),
            losses: losses.sentences(),
            engine: self.engine.stats().clone(),
        };
        match &self.config.task {
            Task::Replay => {}
            Task::Check { .. } => self.output.checks(self.out, self.engine.checked(), self.engine.findings())?,
            Task::Trace(from, to) => {
                let trace =
                    trace::walk(&self.engine.view(), self.engine.checked(), from, to).map_err(anyhow::Error::msg)?;
                return self.close_trace(&trace, &summary);
            }
        }
        self.output.close(self.out, self.engine.findings(), &summary)?;
        Ok(self.config.fail_on.exit_code(worst_severity(self.engine.findings())))
    }

    /// Prints a walked call; a hop that fails makes the exit code 1, whether a cause is known or not.
    fn close_trace(self, trace: &Trace, summary: &Summary) -> anyhow::Result<u8> {
        let finding = trace.cause.as_ref().and_then(|(slug, verdict)| self.engine.finding(slug, verdict));
        self.output.trace(self.out, trace, finding.as_ref())?;
        if let Some(finding) = &finding {
            self.output.finding(self.out, finding)?;
        }
        let findings: Vec<_> = finding.into_iter().collect();
        self.output.close(self.out, &findings, summary)?;
        let fails = trace.hops.iter().any(|hop| hop.outcome == Outcome::Fail);
        Ok(self.config.fail_on.exit_code(worst_severity(&findings)).max(u8::from(fails)))
    }
}

/// What was understood, and the most frequent of what was not.
struct Tally {
    understood: u64,
    templates: BTreeMap<Box<str>, u64>,
    templates_max: usize,
    others: u64,
}

/// Templates shown at the end.
const TEMPLATES_SHOWN: usize = 10;

impl Tally {
    fn new(templates_max: usize) -> Tally {
        Tally { understood: 0, templates: BTreeMap::new(), templates_max, others: 0 }
    }

    fn take(&mut self, event: &Event, lines: u32) {
        match &event.fact {
            Fact::Opaque(opaque) if event.level >= Level::Warn => self.unknown(&opaque.template),
            Fact::Opaque(opaque) if !opaque.format_known => {}
            _ => self.understood = self.understood.saturating_add(lines.into()),
        }
    }

    fn unknown(&mut self, template: &str) {
        if let Some(count) = self.templates.get_mut(template) {
            *count += 1;
        } else if self.templates.len() < self.templates_max {
            self.templates.insert(template.into(), 1);
        } else {
            self.others += 1;
        }
    }

    /// The most frequent ones; what did not fit stands last.
    fn templates(&self) -> Vec<(String, u64)> {
        let mut all: Vec<(String, u64)> =
            self.templates.iter().map(|(template, count)| (template.to_string(), *count)).collect();
        all.sort_by(|(a, x), (b, y)| y.cmp(x).then(a.cmp(b)));
        all.truncate(TEMPLATES_SHOWN);
        if 0 < self.others {
            all.push(("(further kinds of lines, not told apart)".to_string(), self.others));
        }
        all
    }
}
