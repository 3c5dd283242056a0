//! An AuthorizationPolicy, or an external authorizer that answered, denied the request.

use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::event::{Event, Fact, Kind, PolicyWhat};
use meshwhy_parsers::ztunnel::{Connection, ConnectionWhat};

use super::{plaintext_to_mtls_strict, policy, probe_blocked, requests, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "authz-denied",
    severity: Severity::Error,
    summary: "{from} is refused on its way to {to} by {policy}",
    mechanism: "An AuthorizationPolicy decides at the server: a DENY rule that matches, or ALLOW rules of which none does. ztunnel \
                decides on connections (identity, namespace, address, port) and closes them; the caller's ztunnel prints only \
                \"http status: 401 Unauthorized\", which has nothing to do with a token, and the application sees a reset. A \
                sidecar or waypoint decides on requests and answers 403. A policy that names HTTP properties on a workload \
                without a waypoint denies more than meant; one that selects pods behind a waypoint sees the waypoint's \
                identity, not the caller's. A new policy also cuts live connections (\"policy change\").",
    remedy: "Read {policy} and compare its rules with the caller's identity {identity}; if the call is wanted, allow that \
             principal, and where a waypoint stands between, the waypoint's.",
    verify: "istioctl ztunnel-config policy; kubectl get authorizationpolicy -n {namespace}",
    explains: &[("upstream-closed-connection", Within::Token), ("app-error", Within::Token)],
    hits: &[
        "envoy-broken-and-repaired",
        "ambient-policy-denies",
        "ambient-policy-cuts-live-connection",
        "policy-denies-path",
        "authorizer-says-no",
        "waypoint-tunnel-refused",
        "old-ztunnel-refuses-by-policy",
    ],
    near_misses: &[
        "ambient-strict-refuses-plaintext",
        "ambient-policy-unknown",
        "authorizer-does-not-answer",
        "expired-user-token",
    ],
    rules: &[
        Rule::after(Kind::Connection, 5, connection),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, policy::policy_denied)),
        Rule::Mesh(|view| requests::judge_sentences(view, policy::policy_denied)),
        Rule::after(Kind::Policy, 5, decision),
        Rule::after(Kind::Policy, 5, envoy_decision),
    ],
};

/// How far a decision line and the access line of its connection may be apart.
const APART_MAX: Duration = Duration::from_secs(15);

/// Reads a ztunnel connection that a policy closed, on either side.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::failed(event)?;
    if plaintext_to_mtls_strict::connection(view, event).is_some() || probe_blocked::connection(view, event).is_some() {
        return None;
    }
    match what {
        ConnectionWhat::PolicyDenied { policy: Some(policy) } => Some(named(
            Verdict::certain(policy).because(event, "the server's ztunnel names the policy"),
            connection,
            &format!("policy {policy}"),
        )),
        ConnectionWhat::PolicyDenied { policy: None } => {
            // Up to 1.23 the line does not say which kind of policy refused.
            let none_allowed = connection.error.as_ref().is_some_and(|error| error.text.contains("none allowed"));
            let (says, shows): (&'static str, &str) = match none_allowed {
                true => ("{policy} admit others, but not {from}", "ALLOW policies exist and none of them matches"),
                false => ("{policy} do not admit {from}", "a policy refused it; this version does not say which"),
            };
            Some(named(
                Verdict::certain(&tunnel::destination(connection)).says(says).because(event, shows),
                connection,
                &format!("the AuthorizationPolicies of {}", tunnel::destination(connection)),
            ))
        }
        ConnectionWhat::PolicyChanged => Some(named(
            Verdict::certain(&tunnel::destination(connection))
                .says("a new policy cut a live connection from {from} to {to}")
                .because(event, "the connection was no longer allowed after a policy update"),
            connection,
            &format!("a policy of {}", tunnel::destination(connection)),
        )),
        ConnectionWhat::HttpStatus(401) => Some(unauthorized(view, event, connection)),
        _ => None,
    }
}

/// The caller's side knows only the status: the server's line or its decision names the policy.
fn unauthorized(view: &View<'_>, event: &Arc<Event>, connection: &Connection) -> Verdict {
    let to = tunnel::destination(connection);
    let by_line =
        tunnel::other_side(view, event, connection).and_then(|(far, line)| match &line.error.as_ref()?.what {
            ConnectionWhat::PolicyDenied { policy } => Some((far, policy.as_deref())),
            _ => None,
        });
    if let Some((far, policy)) = by_line {
        let verdict = Verdict::certain(policy.unwrap_or(&to))
            .because(far, "the server's ztunnel refused it by policy")
            .because(event, "the caller's ztunnel only sees the status");
        return named(verdict, connection, &shown(policy, &to));
    }
    let decided = view.events(Kind::Policy).find_map(|decision| {
        let Fact::Policy(policy) = &decision.fact else { return None };
        let denied = policy.what == PolicyWhat::Denied && tunnel::span_pod(&decision.text) == to;
        let near = match (event.at, decision.at) {
            (Some(one), Some(other)) => one.max(other).since(one.min(other)) <= APART_MAX,
            _ => true,
        };
        (denied && near).then_some((decision, policy.policy.as_deref()))
    });
    if let Some((decision, policy)) = decided {
        let verdict = Verdict::certain(policy.unwrap_or(&to))
            .because(decision, "the server's ztunnel names the decision")
            .because(event, "the caller's ztunnel only sees the status");
        return named(verdict, connection, &shown(policy, &to));
    }
    let verdict = Verdict::likely(&to)
        .because(event, "the server's ztunnel refused the tunnel by policy: 401 has no other source")
        .settle_by("kubectl logs -n istio-system ds/ztunnel --context <server's> | grep 'policy rejection'");
    named(verdict, connection, &format!("an AuthorizationPolicy of {to}"))
}

/// Reads a decision line of ztunnel's RBAC, where no access line of the connection is at hand.
pub fn decision(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Policy(policy) = &event.fact else { return None };
    if policy.what != PolicyWhat::Denied || event.signature != Some("ztunnel-rbac-decision") {
        return None;
    }
    let pod = tunnel::span_pod(&event.text);
    let name = policy.policy.as_deref().unwrap_or(pod);
    if plaintext_to_mtls_strict::is_strict(name) {
        return None;
    }
    let shown = shown(policy.policy.as_deref(), pod);
    Some(
        Verdict::certain(name)
            .says("{policy} denies callers of {to}")
            .slot("policy", shown)
            .slot("to", pod)
            .slot("from", "a caller")
            .slot("identity", "(see the access line)")
            .slot("namespace", pod.split('/').next().unwrap_or("<namespace>"))
            .token(pod)
            .because(event, "ztunnel's decision"),
    )
}

/// Reads a decision of Envoy's RBAC or external authorization filter, in its own log.
pub fn envoy_decision(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Policy(policy) = &event.fact else { return None };
    let by_authorizer = event.signature == Some("envoy-ext-authz-decision");
    if policy.what != PolicyWhat::Denied || !by_authorizer && event.signature != Some("envoy-rbac-decision") {
        return None;
    }
    let who = if event.origin.pod.is_empty() { &event.origin.file } else { &event.origin.pod };
    let shown = match &policy.policy {
        _ if by_authorizer => "the external authorizer".to_string(),
        Some(policy) => format!("policy {policy}"),
        None => format!("the ALLOW policies of {who}, none of which matches,"),
    };
    Some(
        Verdict::certain(policy.policy.as_deref().unwrap_or(who))
            .says("{policy} denies callers of {to}")
            .slot("policy", shown)
            .slot("to", who)
            .slot("from", "a caller")
            .slot("identity", "(see the request lines before it)")
            .slot(
                "namespace",
                policy.policy.as_deref().map_or("<namespace>", |name| name.split('/').next().unwrap_or(name)),
            )
            .token(who)
            .because(event, "the proxy's own decision"),
    )
}

/// A policy as people read it; without a name, those of the workload.
fn shown(policy: Option<&str>, workload: &str) -> String {
    policy.map_or_else(|| format!("the AuthorizationPolicies of {workload}"), |policy| format!("policy {policy}"))
}

fn named(verdict: Verdict, connection: &Connection, policy: &str) -> Verdict {
    let identity = if connection.src.identity.is_empty() { "(none: plain text)" } else { &connection.src.identity };
    verdict
        .slot("policy", policy)
        .slot("from", tunnel::source(connection))
        .slot("to", tunnel::destination(connection))
        .slot("identity", identity)
        .slot("namespace", if connection.dst.namespace.is_empty() { "<namespace>" } else { &connection.dst.namespace })
        .token(tunnel::destination(connection))
}
