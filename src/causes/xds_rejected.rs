//! A proxy received the configuration and rejected it; the rejected resource is the cause.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, Nack, StreamWhat};
use meshwhy_parsers::state::proxy::Rejected;

use super::{control_link, tables};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::mesh::Cluster;
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "xds-rejected",
    severity: Severity::Error,
    summary: "{who} rejects {kind} {resource}: {reason}",
    mechanism: "istiod pushes whole sets of resources; a proxy checks them and refuses what it cannot use. Envoy keeps the old \
                version of what it refused, so a running proxy goes on with stale routes, while a new one never gets listeners \
                and stays unready. The two look unlike, and neither has to do with the network. The line that names the \
                resource and the reason is printed once per push, by the proxy at warning and by istiod as ACK ERROR. Most often \
                an EnvoyFilter put something there that this version of Envoy does not take.",
    remedy: "Find what produced {resource} (EnvoyFilter, Gateway, ServiceEntry, WasmPlugin) and correct or remove it: {reason}",
    verify: "istioctl proxy-status",
    explains: &[("istiod-unreachable", Within::File), ("sds-secret-missing", Within::File)],
    hits: &["envoy-broken-and-repaired", "listener-names-a-missing-file", "listener-rejected-for-its-filter"],
    near_misses: &["wasm-module-does-not-load", "service-on-reserved-port"],
    rules: &[
        Rule::Mesh(tables::proxy_status),
        Rule::Mesh(in_dumps),
        Rule::on(Kind::Nack, judge_nack),
        Rule::after(Kind::Stream, 5, judge_count),
    ],
};

fn judge_nack(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Nack(nack) = &event.fact else { return None };
    if is_port_conflict(&nack.reason) {
        return None;
    }
    let resource = resource_of(nack);
    let who = nack.node.as_deref().unwrap_or_else(|| control_link::speaker(event));
    let subject = format!("{} {resource}", nack.kind);
    let shows = "the proxy names what it rejects and why";
    let verdict = if is_about_wasm(&nack.reason) { Verdict::likely(&subject) } else { Verdict::certain(&subject) };
    let verdict = verdict
        .slot("who", who)
        .slot("kind", &nack.kind)
        .slot("resource", resource)
        .slot("reason", short(&nack.reason))
        .token(resource)
        .because(event, shows);
    Some(verdict)
}

/// A proxy's dump keeps what it refuses, for as long as it is not told better.
fn in_dumps(view: &View<'_>) -> Vec<Verdict> {
    let refused = refused(view).filter(|(.., one)| !is_port_conflict(&one.details));
    let verdicts = refused.map(|(who, event, one)| {
        let resource = if one.name.is_empty() { "(not named)" } else { &*one.name };
        let kind = kind_of(&one.kind);
        let subject = format!("{kind} {resource}");
        let verdict = if is_about_wasm(&one.details) { Verdict::likely(&subject) } else { Verdict::certain(&subject) };
        let quote = format!("{} {resource} refused: {}", one.kind, short(&one.details));
        verdict
            .slot("who", who)
            .slot("kind", kind)
            .slot("resource", resource)
            .slot("reason", short(&one.details))
            .token(resource)
            .because_quote(event, &quote, "the proxy keeps what it refused, and why")
    });
    verdicts.collect()
}

/// What proxies refuse by their dumps: who, the dump, what.
pub(super) fn refused<'w>(view: &View<'w>) -> impl Iterator<Item = (&'w str, &'w Arc<Event>, &'w Rejected)> {
    let proxies = view.mesh().clusters().flat_map(Cluster::proxies);
    let refused = proxies.filter_map(|proxy| Some((&*proxy.name, proxy.rejected()?)));
    refused.flat_map(|(who, (event, all))| all.iter().map(move |one| (who, event, one)))
}

/// The short name of a type, as lines have it.
fn kind_of(dumped: &str) -> &str {
    match dumped {
        "listener" => "LDS",
        "cluster" => "CDS",
        "route" => "RDS",
        "endpoint" => "EDS",
        "secret" => "SDS",
        "extension" => "ECDS",
        other => other,
    }
}

/// Readiness counts rejections even where the line that explains them is cut off.
fn judge_count(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Stream(stream) = &event.fact else { return None };
    let StreamWhat::NotReady { rejected } = stream.what else { return None };
    let explained = view.events(Kind::Nack).any(|known| known.origin.file == event.origin.file);
    if rejected == 0 || explained {
        return None;
    }
    let who = control_link::speaker(event);
    let verdict = Verdict::likely(who)
        .slot("who", who)
        .slot("kind", "configuration")
        .slot("resource", "that is not named here")
        .slot("reason", "the proxy's log says it where the push arrived")
        .because(event, "the proxy counts rejected updates")
        .settle_by(format!("kubectl logs {who} -c istio-proxy | grep rejected"));
    Some(verdict)
}

/// The rejected resource, or the kind of it where the reason names none.
fn resource_of(nack: &Nack) -> &str {
    nack.resource.as_deref().unwrap_or("(not named)")
}

/// A reason that is short enough for a sentence.
fn short(reason: &str) -> &str {
    const CHARS_MAX: usize = 240;
    let line = reason.lines().next().unwrap_or("");
    &line[..line.floor_char_boundary(CHARS_MAX)]
}

/// Whether a listener was rejected because its port is taken.
pub(super) fn is_port_conflict(reason: &str) -> bool {
    const WORDS: [&str; 4] =
        ["duplicate address", "has duplicate address", "Address already in use", "address already in use"];
    WORDS.iter().any(|words| reason.contains(words))
}

/// Whether a rejection is about a Wasm extension.
pub(super) fn is_about_wasm(reason: &str) -> bool {
    reason.contains("Wasm") || reason.contains("wasm")
}
