//! What clusters say when they are asked once, saved: state, answers of the mesh's own pods, logs.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;

use anyhow::Context;
use meshwhy_parsers::origin::Role;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::WORKERS_MAX;
use crate::config::RecordConfig;
use crate::inputs::bundle::{Bundle, Saved};
use crate::inputs::clock;
use crate::inputs::kube::gather::{self, Answer, Gathered, Lines, Part, Refused};
use crate::inputs::kube::{self, Cluster, Selection};
use crate::outputs::printable;
use crate::redact::{Hidden, Names};

/// Answers that wait to be saved.
const WAITING_MAX: usize = 4;
/// The pods that are asked what they say of themselves, and whose logs are saved.
const ROLES: &[Role] = &[Role::Istiod, Role::Gateway, Role::Waypoint, Role::Ztunnel, Role::Cni, Role::Sidecar];
/// The manifest's name.
const MANIFEST: &str = "manifest.json";
/// What the manifest says of names.
const NAMES_KEPT: &str = "as they are";
const NAMES_HIDDEN: &str = "hidden, and addresses with them; certificates of authorities are as they are, those of workloads \
                            are left out";
/// How well held answers are packed: quickly.
const HELD_LEVEL: i32 = 1;

/// Saves what all clusters say; returns the exit code: 0, or 2 where nothing was read.
///
/// # Errors
///
/// No kubeconfig, a context that is not in it, or a bundle that cannot be written.
pub fn record(config: &RecordConfig) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS_MAX)
        .enable_all()
        .build()
        .context("cannot start")?;
    let connected = runtime
        .block_on(kube::connect(config.kubeconfig.clone(), &config.contexts))?
        .with_istio_namespace(&config.istio_namespace);
    let bundle = Bundle::create(&config.out)?;
    let cannot = || format!("cannot save to {}", config.out.display());
    let (to, mut answers) = mpsc::channel(WAITING_MAX);
    let mut tasks = JoinSet::new();
    let mut refused: Vec<String> = connected.refused.iter().map(|(_, why)| why.clone()).collect();
    for cluster in connected.clusters {
        tasks.spawn_on(ask(cluster, config.clone(), to.clone()), runtime.handle());
    }
    drop(to);
    let begun = clock::now();
    let mut saving = Saving { bundle, held: config.hide_names.then(Held::default), clusters: BTreeMap::new() };
    while let Some(gathered) = answers.blocking_recv() {
        match gathered {
            Gathered::Answer(answer) => saving.take(&answer).with_context(cannot)?,
            Gathered::Refused(one) => refused.push(one.what),
        }
    }
    refused.iter_mut().for_each(|what| *what = printable(what).into_owned());
    refused.sort();
    let is_empty = saving.clusters.is_empty();
    let hidden = saving.release(&refused).with_context(cannot)?;
    let told = |text: &str| hidden.as_ref().map_or_else(|| text.to_string(), |hidden| hidden.text(text));
    let manifest = json!({
        "meshwhy": "bundle",
        "version": env!("CARGO_PKG_VERSION"),
        "begun": begun.map(|begun| begun.to_string()),
        "since_seconds": config.since.map(|since| since.as_secs()),
        "names": if hidden.is_some() { NAMES_HIDDEN } else { NAMES_KEPT },
        "clusters": saving.clusters(told),
        "refused": refused.iter().map(|what| told(what)).collect::<Vec<_>>(),
    });
    let bytes = serde_json::to_vec_pretty(&manifest).context("a manifest is JSON")?;
    let changed = begun.map_or(0, |begun| begun.0 / 1_000_000_000);
    saving.bundle.add(&Saved { path: MANIFEST.to_string(), bytes, changed }).with_context(cannot)?;
    saving.bundle.finish().with_context(cannot)?;
    runtime.shutdown_background();
    for what in &refused {
        eprintln!("meshwhy: {what}");
    }
    Ok(if is_empty { 2 } else { 0 })
}

/// What is being saved.
struct Saving {
    bundle: Bundle,
    /// What is held back until all names are known, where they are hidden: the first answers name what later ones tell of.
    held: Option<Held>,
    /// What was saved of each cluster, by its path, as the manifest tells it.
    clusters: BTreeMap<String, BTreeMap<String, Value>>,
}

/// What is held back, packed.
#[derive(Default)]
struct Held {
    names: Names,
    files: Vec<Saved>,
}

impl Saving {
    fn take(&mut self, answer: &Answer) -> io::Result<()> {
        let saved = Saved::of(answer);
        let taken = answer.taken.map(|taken| taken.to_string());
        let entry = json!({"taken": taken, "bytes": saved.bytes.len()});
        self.clusters.entry(answer.origin.cluster.to_string()).or_default().insert(saved.path.clone(), entry);
        let Some(held) = &mut self.held else { return self.bundle.add(&saved) };
        [&answer.origin.cluster, &answer.origin.namespace, &answer.origin.pod].into_iter().for_each(|name| {
            held.names.name(name);
        });
        held.names.read(&saved.bytes);
        held.files.push(Saved { bytes: zstd::encode_all(&saved.bytes[..], HELD_LEVEL)?, ..saved });
        Ok(())
    }

    /// Saves what was held back; returns what stands for names, where they are hidden.
    fn release(&mut self, refused: &[String]) -> io::Result<Option<Hidden>> {
        let Some(Held { mut names, files }) = self.held.take() else { return Ok(None) };
        refused.iter().for_each(|what| names.read(what.as_bytes()));
        // A key that nobody keeps: of the same clusters, each bundle has other names.
        let hidden = names.hide([RandomState::new().hash_one(0), RandomState::new().hash_one(1)]);
        for file in files {
            let bytes = hidden.bytes(&zstd::decode_all(&file.bytes[..])?);
            self.bundle.add(&Saved { path: hidden.text(&file.path), bytes, ..file })?;
        }
        Ok(Some(hidden))
    }

    /// What the manifest tells of each cluster.
    fn clusters(&self, told: impl Fn(&str) -> String) -> BTreeMap<String, Vec<Value>> {
        let entry = |(path, entry): (&String, &Value)| {
            let mut entry = entry.clone();
            entry["path"] = told(path).into();
            entry
        };
        let files = |files: &BTreeMap<String, Value>| files.iter().map(entry).collect();
        self.clusters.iter().map(|(cluster, of)| (told(cluster), files(of))).collect()
    }
}

/// Asks a cluster for everything, until nobody listens.
async fn ask(cluster: Cluster, config: RecordConfig, to: mpsc::Sender<Gathered>) {
    let limits = config.limits;
    let Ok(parts) = gather::objects(&cluster, &limits, &to).await else { return };
    let (parts, left) = chosen(&parts, &config.pods, limits.gathered_max);
    for what in left {
        let what = format!("{}: {what}", cluster.name);
        let refused = Refused { cluster: cluster.name.clone(), what, is_all: false };
        if to.send(Gathered::Refused(refused)).await.is_err() {
            return;
        }
    }
    // Nobody listens only where everything is over.
    let _ = gather::pods(&cluster, &parts, &limits, &to).await;
    for previous in [false, true] {
        let _ = gather::logs(&cluster, &parts, Lines { since: config.since, previous }, &limits, &to).await;
    }
}

/// The pods that are saved: all that a person chose, and of each role some; and what is left out.
fn chosen(parts: &[Part], pods: &[Selection], each_max: usize) -> (Vec<Part>, Vec<String>) {
    let is_chosen =
        |part: &&Part| pods.iter().any(|of| of.selects(&part.origin.namespace, |key| part.labels.get(key).cloned()));
    let mut saved: Vec<Part> = parts.iter().filter(is_chosen).cloned().collect();
    for part in gather::first_of_each(parts, ROLES, each_max) {
        if !saved.contains(&part) {
            saved.push(part);
        }
    }
    let left = ROLES.iter().filter_map(|role| {
        let of = |parts: &[Part]| parts.iter().filter(|part| part.origin.role == *role).count();
        let (name, further) = match role {
            Role::Istiod => ("istiods", ""),
            Role::Gateway => ("gateways", ""),
            Role::Waypoint => ("waypoints", ""),
            Role::Ztunnel => ("ztunnels", ""),
            Role::Cni => ("pods of istio-cni", ""),
            Role::Sidecar => ("pods with a sidecar", ", and those that --pods chooses"),
            Role::ApiServer | Role::Transcript | Role::Unknown => return None,
        };
        let left = of(parts).checked_sub(of(&saved)).filter(|left| 0 < *left)?;
        Some(format!("{left} further {name} are left out: {each_max} of them are saved{further}"))
    });
    let left = left.collect();
    (saved, left)
}
