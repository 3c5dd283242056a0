//! What clusters say when they are asked once, saved: state, answers of the mesh's own pods, logs.

use std::collections::BTreeMap;

use anyhow::Context;
use meshwhy_parsers::origin::Role;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::WORKERS_MAX;
use crate::config::RecordConfig;
use crate::inputs::bundle::Bundle;
use crate::inputs::clock;
use crate::inputs::kube::gather::{self, Gathered, Lines};
use crate::inputs::kube::{self, Cluster};
use crate::outputs::printable;

/// Answers that wait to be saved.
const WAITING_MAX: usize = 4;
/// The pods that are asked what they say of themselves, and whose logs are saved.
const ROLES: &[Role] = &[Role::Istiod, Role::Gateway, Role::Waypoint, Role::Ztunnel, Role::Cni, Role::Sidecar];
/// The manifest's name.
const MANIFEST: &str = "manifest.json";

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
    let mut bundle = Bundle::create(&config.out)?;
    let cannot = || format!("cannot save to {}", config.out.display());
    let (to, mut answers) = mpsc::channel(WAITING_MAX);
    let mut tasks = JoinSet::new();
    let mut refused: Vec<String> = connected.refused.iter().map(|(_, why)| why.clone()).collect();
    for cluster in connected.clusters {
        tasks.spawn_on(ask(cluster, config.clone(), to.clone()), runtime.handle());
    }
    drop(to);
    let begun = clock::now();
    let mut saved: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
    while let Some(gathered) = answers.blocking_recv() {
        match gathered {
            Gathered::Answer(answer) => {
                let path = bundle.save(&answer).with_context(cannot)?;
                let taken = answer.taken.map(|taken| taken.to_string());
                let entry = json!({"path": path, "taken": taken, "bytes": answer.bytes.len()});
                saved.entry(answer.origin.cluster.to_string()).or_default().push(entry);
            }
            Gathered::Refused(one) => refused.push(one.what),
        }
    }
    saved.values_mut().for_each(|files| files.sort_by_key(|file| file["path"].as_str().map(str::to_string)));
    refused.iter_mut().for_each(|what| *what = printable(what).into_owned());
    refused.sort();
    let manifest = json!({
        "meshwhy": "bundle",
        "version": env!("CARGO_PKG_VERSION"),
        "begun": begun.map(|begun| begun.to_string()),
        "since_seconds": config.since.map(|since| since.as_secs()),
        "clusters": saved,
        "refused": refused,
    });
    let text = serde_json::to_string_pretty(&manifest).context("a manifest is JSON")?;
    bundle.add(MANIFEST, text.as_bytes(), begun.map_or(0, |begun| begun.0 / 1_000_000_000)).with_context(cannot)?;
    bundle.finish().with_context(cannot)?;
    runtime.shutdown_background();
    for what in &refused {
        eprintln!("meshwhy: {what}");
    }
    Ok(if saved.is_empty() { 2 } else { 0 })
}

/// Asks a cluster for everything, until nobody listens.
async fn ask(cluster: Cluster, config: RecordConfig, to: mpsc::Sender<Gathered>) {
    let limits = config.limits;
    let Ok(parts) = gather::objects(&cluster, &limits, &to).await else { return };
    let parts = gather::first_of_each(&parts, ROLES, limits.gathered_max);
    // Nobody listens only where everything is over.
    let _ = gather::pods(&cluster, &parts, &limits, &to).await;
    for previous in [false, true] {
        let _ = gather::logs(&cluster, &parts, Lines { since: config.since, previous }, &limits, &to).await;
    }
}
