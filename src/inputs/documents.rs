//! State documents: read from the stream, held until their cluster is known.

use std::io::{self, Read};

use meshwhy_parsers::dump;
use meshwhy_parsers::state::State;

use super::Intake;
use super::files::{self, Found};

/// Reads ztunnel's `/config_dump`. One that cannot be read is a loss.
pub(super) fn ztunnel(intake: &mut Intake<'_>, found: Found, bytes: &mut dyn Read) -> anyhow::Result<()> {
    match dump::ztunnel(io::BufReader::new(bytes)) {
        Ok(dump) => {
            let stream = intake.begin(&found)?;
            intake.streams[stream as usize].hints.told = (!dump.cluster.is_empty()).then(|| dump.cluster.clone());
            intake.documents.push((stream, State::Ztunnel(dump)));
            intake.counts.documents += 1;
        }
        Err(error) => {
            intake.lose(format!("{} looks like ztunnel's configuration but cannot be read: {error}", found.name));
        }
    }
    Ok(())
}

/// Whether this is the file of a bug report that names the kubeconfig context it was taken with.
pub(super) fn is_cluster_context(found: &Found) -> bool {
    found.path.ends_with("cluster/cluster-context")
}

/// Reads that file: `<context>` NL `<URL of the API server>` NL.
pub(super) fn cluster_context(intake: &mut Intake<'_>, found: Found, bytes: &mut dyn Read) -> anyhow::Result<()> {
    let (head, _) = files::head(bytes);
    let text = String::from_utf8_lossy(&head);
    let context = text.lines().next().map(str::trim).filter(|context| !context.is_empty());
    let stream = intake.begin(&found)?;
    intake.streams[stream as usize].hints.context = context.map(Into::into);
    Ok(())
}
