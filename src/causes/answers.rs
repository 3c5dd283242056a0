//! Nothing to fix: callers that went away, and answers that the mesh was configured to give.

use std::time::Duration;

use meshwhy_parsers::access::Sign;
use meshwhy_parsers::event::Kind;

use super::requests::{self, Seen};
use crate::engine::cause::{Cause, Rule, Severity, Verdict};
use crate::engine::view::View;

/// The caller went away.
pub static CLIENT_DISCONNECTED: Cause = Cause {
    slug: "client-disconnected",
    severity: Severity::Info,
    summary: "callers of {service} went away before the answer was complete ({call} after {took})",
    mechanism: "Envoy writes DC or DR when the client closes its connection or resets its stream: an aborted download, a closed \
                browser tab, a caller whose own time-out is shorter than the answer takes. The status is 0 because nobody was \
                left to receive one. It looks like a failure of the proxy, but the proxy and the upstream did nothing wrong. \
                Only where many calls end after the same time is there something to look at: the caller's time-out.",
    remedy: "Nothing to fix in the mesh. If the calls end after the same time again and again, raise the caller's time-out or \
             make {service} answer faster.",
    verify: "the caller's own log shows that it cancelled",
    explains: &[],
    hits: &["callers-hang-up"],
    near_misses: &[
        "app-closes-connection",
        "push-drains-streams",
        "websockets-end",
        "lines-of-others-quoted-in-notes",
        "lines-quoted-behind-a-word",
    ],
    rules: &[Rule::on(Kind::Request, |view, event| requests::judge(view, event, client_gone))],
};

fn client_gone(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.sign == Sign::ClientGone).then_some(())?;
    let verdict = seen.fill(Verdict::certain(&seen.request.service()), "the client closed first (DC, DR)");
    Some(match seen.round_duration().filter(|_| seen.took(Duration::from_secs(1))) {
        Some(round) => verdict
            .slot("round", round)
            .says("callers of {service} gave up after {round}, which looks like a time-out of their own"),
        None => verdict,
    })
}

/// A configured fault answered.
pub static FAULT_INJECTED: Cause = Cause {
    slug: "fault-injected",
    severity: Severity::Info,
    summary: "a configured fault aborted calls to {service} with {code}",
    mechanism: "A VirtualService may abort or delay a share of the requests on purpose. Envoy then answers by itself, with flag FI \
                and the details fault_filter_abort (DI for a delay). The status is whatever the fault names, so it looks like an \
                error of the application, which never saw the request.",
    remedy: "Nothing to do if the test is meant. Else remove `fault` from the VirtualService of {service}.",
    verify: "kubectl get virtualservice -A -o yaml | grep -n -A8 'fault:'",
    explains: &[("app-error", crate::engine::cause::Within::Token)],
    hits: &["configured-abort"],
    near_misses: &["app-answers-500"],
    rules: &[
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, fault_injected)),
        Rule::Mesh(|view| requests::judge_sentences(view, fault_injected)),
    ],
};

fn fault_injected(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.sign == Sign::FaultInjected).then_some(())?;
    Some(seen.fill(Verdict::certain(&seen.request.service()), "the proxy answered by a configured fault (FI)"))
}

/// A rate limit answered.
pub static RATE_LIMITED: Cause = Cause {
    slug: "rate-limited",
    severity: Severity::Info,
    summary: "a rate limit refused calls to {service} with {code}",
    mechanism: "A local rate limit (an EnvoyFilter with a token bucket) or a global one (the rate-limit service) answers 429 by \
                itself: flag RL, details local_rate_limited or request_rate_limited. With via_upstream the 429 came from further \
                on: another proxy's limit, or the application's own.",
    remedy: "Nothing to fix if the limit is meant. Else raise it where it is set: the EnvoyFilter of {service}'s namespace, or the \
             rate-limit service's configuration.",
    verify: "kubectl get envoyfilter -A -o yaml | grep -n -i ratelimit",
    explains: &[],
    hits: &["rate-limit-answers-429"],
    near_misses: &["connection-pool-overflow", "rate-limiter-does-not-answer"],
    rules: &[
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, rate_limited)),
        Rule::Mesh(|view| requests::judge_sentences(view, rate_limited)),
    ],
};

fn rate_limited(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.sign == Sign::RateLimited).then_some(())?;
    let subject = seen.request.service();
    if seen.request.details.starts_with("via_upstream") {
        return Some(seen.fill(Verdict::likely(&subject), "429 came from the upstream"));
    }
    Some(seen.fill(Verdict::certain(&subject), "this proxy's rate limit refused it"))
}
