//! A user's Istio or Gateway API resource is wrong and is refused or ignored before any proxy sees it.

use std::sync::Arc;

use meshwhy_parsers::event::{ConfigWhat, Event, Fact, Kind, Webhook};
use meshwhy_parsers::state::State;

use super::routing;
use crate::engine::cause::{Cause, Rule, Severity, Verdict};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "config-invalid",
    severity: Severity::Error,
    summary: "{resource} is invalid: {reason}",
    mechanism: "istiod checks resources twice: when they are applied, through its validation webhook, and when it turns them into \
                proxy configuration. A refused one never exists, which is loud; one that slipped in (validation was off, the \
                object is older than the rule, a reference points to nothing) is ignored with one line in istiod's log, and the \
                mesh behaves as if nobody had written it. The proxies are healthy, so the search starts in the wrong place.",
    remedy: "Correct {resource}: {reason}",
    verify: "istioctl analyze --all-namespaces",
    explains: &[],
    hits: &["virtual-service-refused"],
    near_misses: &["validation-tests-itself"],
    rules: &[Rule::on(Kind::Config, judge_config), Rule::on(Kind::Webhook, judge_denied), Rule::Mesh(judge_analysis)],
};

fn judge_config(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Config(config) = &event.fact else { return None };
    if config.what != ConfigWhat::Invalid || routing::is_about_subset(&config.reason) {
        return None;
    }
    let verdict = Verdict::certain(&config.resource)
        .slot("resource", &config.resource)
        .slot("reason", first_line(&config.reason))
        .token(&config.resource)
        .because(event, "it is refused or ignored");
    Some(verdict)
}

fn judge_denied(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Webhook(Webhook::Denied { name, reason }) = &event.fact else { return None };
    if !name.contains("istio.io") {
        return None;
    }
    let verdict = Verdict::certain(reason)
        .slot("resource", "the object that was applied")
        .slot("reason", first_line(reason))
        .because(event, "istiod's validation refuses it");
    Some(verdict)
}

/// Errors of `istioctl analyze` about a resource; warnings are opinions.
fn judge_analysis(view: &View<'_>) -> Vec<Verdict> {
    let errors = view.states().filter_map(|(event, state)| match state {
        State::Check { passed: false, text, .. } if event.text.contains("Error [IST") => Some((event, text)),
        _ => None,
    });
    let verdict = |(event, text): (&Arc<Event>, &meshwhy_parsers::event::Text)| {
        let resource =
            text.split_once('(').and_then(|(_, left)| left.split_once(')')).map_or("a resource", |(name, _)| name);
        Verdict::likely(resource)
            .slot("resource", resource)
            .slot("reason", first_line(text))
            .token(resource)
            .because(event, "istioctl analyze finds an error")
    };
    errors.map(verdict).collect()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}
