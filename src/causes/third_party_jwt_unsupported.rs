//! The API server cannot issue the bound token that proxies are told to use, or the token is not there.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, Process};
use meshwhy_parsers::state::State;

use super::control_link;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "third-party-jwt-unsupported",
    severity: Severity::Critical,
    summary: "{who} has no service-account token for istiod: {reason}",
    mechanism: "Sidecars mount a token bound to the audience istio-ca, which the API server issues through its TokenRequest \
                endpoint. Clusters without that feature (older Kubernetes, or flags for issuer and signing key missing) cannot \
                make the volume, so pods hang in ContainerCreating; where the volume is left out or unreadable to the proxy's \
                user, the agent starts without a token and istiod refuses it. The refusal reads like a bad token, though there \
                is none.",
    remedy: "Enable TokenRequest in the API server (service-account-issuer, service-account-signing-key-file, api-audiences), or \
             on an old Istio set the JWT policy to first-party; where the file exists, check its permissions and the pod's fsGroup.",
    verify: "kubectl get --raw /api/v1 | grep serviceaccounts/token",
    explains: &[
        ("jwt-invalid", Within::File),
        ("ca-provider-unavailable", Within::File),
        ("sds-secret-missing", Within::File),
        ("istiod-unreachable", Within::File),
    ],
    hits: &["token-volume-cannot-be-mounted"],
    near_misses: &["token-of-a-machine-expired"],
    rules: &[Rule::on(Kind::Process, judge), Rule::Mesh(judge_events)],
};

fn judge(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Process(Process::TokenUnsupported(text)) = &event.fact else { return None };
    Some(verdict(event, control_link::speaker(event), text))
}

fn judge_events(view: &View<'_>) -> Vec<Verdict> {
    let events = view.states().filter_map(|(event, state)| match state {
        State::KubeEvent { message, object, .. } if message.contains("TokenRequest endpoints") => {
            Some(verdict(event, object, message))
        }
        _ => None,
    });
    events.collect()
}

fn verdict(event: &Arc<Event>, who: &str, text: &str) -> Verdict {
    let who = if who.is_empty() { "the pod" } else { who };
    let verdict = match text.contains("TokenRequest endpoints") {
        true => Verdict::certain("token").because(event, "the API server does not issue bound tokens"),
        false => Verdict::likely("token").because(event, "the token is not mounted or not readable"),
    };
    verdict.slot("who", who).slot("reason", text.lines().next().unwrap_or(""))
}
