//! The end user's JWT was refused by a RequestAuthentication, or its keys could not be fetched.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, PolicyWhat};

use super::{control_link, policy, requests};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "jwt-authn-failed",
    severity: Severity::Error,
    summary: "{who} refuses the token of an end user: {reason}",
    mechanism: "A RequestAuthentication tells proxies which issuers and keys to accept. A request with a token that does not fit is \
                answered 401 by the proxy itself, with the reason in the body and in the details, and never reaches the \
                application. A request without a token passes, unless an AuthorizationPolicy asks for one; then it is a 403. Keys \
                are fetched by istiod or by the proxy; where that fails, istiod hands out a key that fits no token, so every \
                token is refused although all are good.",
    remedy: "Compare the token's issuer, audience, end and key id with the RequestAuthentication that selects {who}; where the keys \
             could not be fetched, open the jwksUri from istiod and from the proxy.",
    verify: "istioctl x describe pod {who}",
    explains: &[("authz-denied", Within::Token), ("app-error", Within::Token)],
    hits: &["end-user-token-expired", "expired-user-token"],
    near_misses: &["token-of-a-machine-expired", "policy-denies-path"],
    rules: &[
        Rule::after(Kind::Policy, 5, decision),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, policy::jwt_refused)),
        Rule::Mesh(|view| requests::judge_sentences(view, policy::jwt_refused)),
    ],
};

/// Reads the filter's own line.
fn decision(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Policy(policy) = &event.fact else { return None };
    let (reason, shows) = match &policy.what {
        PolicyWhat::JwtRefused(reason) => (reason, "the filter says why it refuses the token"),
        PolicyWhat::JwksFailed(reason) => (reason, "the keys to check tokens with could not be fetched"),
        PolicyWhat::Denied | PolicyWhat::AuthorizerFailed(_) => return None,
    };
    let who = control_link::speaker(event);
    let reason = reason.lines().next().unwrap_or("");
    Some(Verdict::certain(who).slot("who", who).slot("reason", reason).because(event, shows))
}
