//! A Wasm extension cannot be fetched, loaded or run.

use std::sync::Arc;

use meshwhy_parsers::event::{ConfigWhat, Event, Fact, Kind};

use super::{control_link, xds_rejected};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "wasm-failure",
    severity: Severity::Error,
    summary: "a Wasm extension of {who} does not work: {reason}",
    mechanism: "The agent fetches a Wasm module from a registry or web server, and Envoy compiles and starts it. Each step can \
                fail: the registry refuses or is not reachable, the pull secret is missing, the checksum differs, the module was \
                built for another interface, or it crashes on a request. A module that fails closed makes Envoy refuse the whole \
                listener or answer 503 to every request, which looks like a broken service; one that fails open is silently \
                skipped, and what it should have checked is not checked.",
    remedy: "Check the module's URL or image, its pull secret and its checksum in the WasmPlugin or EnvoyFilter, and that it is \
             built for this version's interface.",
    verify: "kubectl logs {who} -c istio-proxy | grep -i wasm",
    explains: &[
        ("xds-rejected", Within::File),
        ("istiod-unreachable", Within::File),
        ("app-error", Within::File),
        ("config-invalid", Within::File),
    ],
    hits: &["wasm-module-does-not-load", "wasm-registry-refuses"],
    near_misses: &["listener-names-a-missing-file"],
    rules: &[Rule::on(Kind::Config, judge_config), Rule::on(Kind::Nack, judge_nack)],
};

fn judge_config(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Config(config) = &event.fact else { return None };
    if config.what != ConfigWhat::Wasm {
        return None;
    }
    Some(verdict(event, &config.resource, &config.reason).because(event, "the extension fails"))
}

fn judge_nack(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Nack(nack) = &event.fact else { return None };
    if !xds_rejected::is_about_wasm(&nack.reason) {
        return None;
    }
    Some(verdict(event, "", &nack.reason).because(event, "the listener is rejected because of its Wasm filter"))
}

fn verdict(event: &Arc<Event>, module: &str, reason: &str) -> Verdict {
    const CHARS_MAX: usize = 240;
    let who = control_link::speaker(event);
    let subject = if module.is_empty() { who } else { module };
    let reason = reason.lines().next().unwrap_or("");
    Verdict::certain(subject).slot("who", who).slot("reason", &reason[..reason.floor_char_boundary(CHARS_MAX)])
}
