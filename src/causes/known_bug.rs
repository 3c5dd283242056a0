//! The lines and the version match a known upstream bug.

use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind, Network, Process, Push, Remote, RemoteWhat};

use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;
use crate::engine::world::Known;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "known-bug",
    severity: Severity::Critical,
    summary: "istiod {version} of {cluster} has the known bug {issue}: {symptom} (affected {affected}, fixed in {fixed})",
    mechanism: "Some faults look like a wrong configuration and are bugs of istiod: informers that never recover, endpoints that a rotation \
                wipes, a panic while a cluster is taken away. They are named only where the lines fit and the log says a version in the \
                affected range; a restart of istiod usually hides them until the next time.",
    remedy: "Upgrade istiod of {cluster} to {fixed}; until then restart it after each change of a remote secret. Read {issue} for what else helps.",
    verify: "istioctl version",
    explains: &[
        ("remote-api-unreachable", Within::Token),
        ("remote-api-unauthorized", Within::Token),
        ("remote-cluster-dark", Within::Token),
        ("no-healthy-upstream", Within::Token),
        ("istiod-down", Within::File),
    ],
    hits: &["informers-keep-the-old-address", "endpoints-wiped-by-rotation", "secret-event-without-effect"],
    near_misses: &["rotation-in-a-fixed-version", "secret-taken-up-at-once"],
    rules: &[
        Rule::on(Kind::Remote, informers_never_recover),
        Rule::on(Kind::Process, panics),
        Rule::on(Kind::Network, hostname_never_retried),
        Rule::Mesh(endpoints_wiped),
        Rule::Mesh(secret_event_lost),
    ],
};

/// A bug: the versions from `from` on and before `fixed` have it.
struct Bug {
    issue: &'static str,
    symptom: &'static str,
    /// First affected and first fixed version, one pair a release line.
    affected: &'static [(Version, Version)],
}

type Version = (u32, u32, u32);

const INFORMERS: Bug = Bug {
    issue: "istio/istio#58047",
    symptom: "informers of a remote cluster that failed once keep the old address, even after the secret was corrected",
    affected: &[((1, 27, 0), (1, 28, 3))],
};

const ENDPOINTS_WIPED: Bug = Bug {
    issue: "istio/istio#61043",
    symptom: "the endpoints of a remote cluster are wiped when its secret is rotated",
    affected: &[((1, 30, 0), (1, 31, 0))],
};

const SECRET_LOST: Bug = Bug {
    issue: "istio/istio#60612",
    symptom: "a changed remote secret is noticed and then not taken up until istiod restarts",
    affected: &[((1, 27, 0), (1, 30, 3))],
};

const CLOSED_CHANNEL: Bug = Bug {
    issue: "panic in the stop of a remote cluster",
    symptom: "istiod panics with `close of closed channel` when a remote cluster is taken away",
    affected: &[((1, 29, 0), (1, 29, 5))],
};

const HOSTNAME_NOT_RETRIED: Bug = Bug {
    issue: "istio/istio#44155",
    symptom: "a gateway host name that failed to resolve once is not asked again",
    affected: &[((1, 13, 0), (1, 24, 0))],
};

/// The numbers of `1.28.0`, `1.27.1-solo`, `1.29-alpha.x`.
fn version(text: &str) -> Option<Version> {
    let mut parts = text.split(['.', '-', '+']);
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    let patch = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    Some((major, minor, patch))
}

fn shown((major, minor, patch): Version) -> String {
    format!("{major}.{minor}.{patch}")
}

/// istiod's version where the line was printed, with the line that says it.
fn running<'w>(view: &View<'w>, event: &Event) -> Option<(&'w Arc<Event>, &'w str)> {
    let started = || {
        view.events(Kind::Process).filter_map(|of| match &of.fact {
            Fact::Process(Process::Started { version }) if of.signature == Some("istiod-version") => {
                Some((of, &**version))
            }
            _ => None,
        })
    };
    started()
        .find(|(of, _)| of.origin.file == event.origin.file)
        .or_else(|| started().find(|(of, _)| of.origin.cluster == event.origin.cluster))
}

/// The verdict, where the version printed in the log has the bug.
fn matching(view: &View<'_>, event: &Arc<Event>, bug: &Bug, verdict: fn(&str) -> Verdict) -> Option<Verdict> {
    let (started, text) = running(view, event)?;
    let number = version(text)?;
    let (from, fixed) = bug.affected.iter().find(|(from, fixed)| *from <= number && number < *fixed)?;
    let cluster = view.own_id(event).unwrap_or(&event.origin.cluster);
    Some(
        verdict(&format!("{cluster}: {}", bug.issue))
            .slot("version", text)
            .slot("cluster", cluster)
            .slot("issue", bug.issue)
            .slot("symptom", bug.symptom)
            .slot("affected", format!("{} to before {}", shown(*from), shown(*fixed)))
            .slot("fixed", shown(*fixed))
            .because(event, bug.symptom)
            .because(started, "the version of this istiod is in the affected range"),
    )
}

/// The kubeconfig changed and the cluster synced, yet the old address is still asked.
fn informers_never_recover(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Remote(Remote { cluster, what: RemoteWhat::Watch { fault, .. }, .. }) = &event.fact else { return None };
    let network = matches!(fault.what, What::TimedOut | What::Refused | What::NoRoute | What::NameUnknown(_));
    let errors = view.repeats(event).filter(|_| network && !view.is_own(event, cluster))?;
    let last_of = |wanted: RemoteWhat| {
        view.remote(&event.origin.cluster, cluster)
            .filter(|(_, said)| said.what == wanted)
            .map(|(known, _)| known)
            .max_by_key(|known| known.last_ordinal)
    };
    let (updated, synced) = (last_of(RemoteWhat::Updated)?, last_of(RemoteWhat::Synced)?);
    let address = |event: &Event| match &event.fact {
        Fact::Remote(Remote { what: RemoteWhat::Watch { fault, .. }, .. }) => fault.address.clone(),
        _ => None,
    };
    let same_address = address(&errors.first).is_some() && address(&errors.first) == address(&errors.last);
    let in_order = errors.first_ordinal < updated.last_ordinal
        && updated.last_ordinal < synced.last_ordinal
        && later_by(errors, synced, Duration::from_secs(60));
    if !same_address || !in_order {
        return None;
    }
    let verdict = matching(view, &errors.last, &INFORMERS, Verdict::certain)?;
    Some(
        verdict
            .token(cluster)
            .because(&updated.last, "the secret had been changed before")
            .because(&synced.last, "and the cluster was read with the new kubeconfig"),
    )
}

fn later_by(later: &Known, earlier: &Known, span: Duration) -> bool {
    match (later.last.at, earlier.last.at) {
        (Some(later), Some(earlier)) => earlier.plus(span) <= later,
        _ => false,
    }
}

fn panics(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Process(Process::Died(text)) = &event.fact else { return None };
    text.contains("close of closed channel").then_some(())?;
    matching(view, event, &CLOSED_CHANNEL, Verdict::likely)
}

fn hostname_never_retried(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Network(Network::HostnameUnresolved(host)) = &event.fact else { return None };
    matching(view, event, &HOSTNAME_NOT_RETRIED, Verdict::possible).map(|verdict| verdict.token(host))
}

/// `Update cluster`, and seconds later the cluster's endpoints are gone and do not come back.
fn endpoints_wiped(view: &View<'_>) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = Vec::new();
    for known in view.known(Kind::Push) {
        let Fact::Push(Push::NoEndpoints { host, cluster }) = &known.first.fact else { continue };
        let updated = view.remote(&known.first.origin.cluster, cluster).find(|(update, said)| {
            said.what == RemoteWhat::Updated
                && matches!((update.last.at, known.last.at), (Some(updated), Some(gone)) if updated <= gone && gone <= updated.plus(Duration::from_secs(15)))
        });
        let Some((update, _)) = updated else { continue };
        let back = view.known(Kind::Push).any(|other| {
            matches!(&other.first.fact, Fact::Push(Push::NewService(of)) if of == host)
                && other.last_ordinal > known.last_ordinal
        });
        let went_on = known
            .last
            .at
            .is_some_and(|gone| view.covers(&known.last.origin.cluster, gone, gone.plus(Duration::from_secs(30))));
        if back || !went_on {
            continue;
        }
        let Some(verdict) = matching(view, &known.last, &ENDPOINTS_WIPED, Verdict::likely) else { continue };
        verdicts.push(verdict.token(cluster).token(host).because(&update.last, "the secret was rotated just before"));
    }
    verdicts
}

/// `processing secret event`, and then nothing about that secret, though istiod goes on.
fn secret_event_lost(view: &View<'_>) -> Vec<Verdict> {
    const NEAR: Duration = Duration::from_secs(30);
    let mut verdicts = Vec::new();
    for known in view.known(Kind::Remote) {
        let Fact::Remote(Remote { secret: Some(secret), what: RemoteWhat::SecretEvent, .. }) = &known.first.fact else {
            continue;
        };
        let Some(at) = known.last.at else { continue };
        // Two controllers print the event in some versions, so what was done may stand just before the last one.
        let done = view.known(Kind::Remote).any(|other| match &other.first.fact {
            Fact::Remote(said) => {
                let about_it = said.secret.as_deref() == Some(secret) && said.what != RemoteWhat::SecretEvent;
                let when = [other.first.at, other.last.at];
                about_it
                    && other.first.origin.file == known.first.origin.file
                    && when.into_iter().flatten().any(|then| at.minus(NEAR) <= then && then <= at.plus(NEAR))
            }
            _ => false,
        });
        if done || !view.covers(&known.last.origin.cluster, at, at.plus(Duration::from_secs(60))) {
            continue;
        }
        if let Some(verdict) = matching(view, &known.last, &SECRET_LOST, Verdict::likely) {
            verdicts.push(verdict.token(secret));
        }
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(version("1.28.10"), Some((1, 28, 10)));
        assert_eq!(version("1.27.1-solo"), Some((1, 27, 1)));
        assert_eq!(version("unknown"), None);
        assert!(version("1.9.0") < version("1.10.0"));
    }
}
