//! A service has no usable endpoint.

use meshwhy_parsers::event::Kind;

use super::{ambient_path, data_path, requests};
use crate::engine::cause::{Cause, Rule, Severity, Within};

/// The page.
pub static CAUSE: Cause = Cause {
    slug: "no-healthy-upstream",
    severity: Severity::Error,
    summary: "{service} has no usable endpoint",
    mechanism: "UH no_healthy_upstream: the route and the cluster exist, but the cluster holds no healthy address. \
        No ready pod carries the Service's labels, the deployment is scaled to zero, readiness fails, or all \
        endpoints are of a cluster or network that is not there. The proxy answers at once, so it is not a \
        time-out; the same flag appears when outlier detection has ejected every endpoint, or a subset \
        selects none.",
    remedy: "Look at the endpoints first: empty means labels or readiness, present means ejection, a subset, or \
        endpoints that this proxy does not get.",
    verify: "kubectl -n {namespace} get endpointslices -l kubernetes.io/service-name={name}",
    explains: &[("app-error", Within::Token)],
    hits: &[
        "service-has-no-endpoints",
        "ambient-service-without-endpoints",
        "state-joined-no-endpoint-not-ready",
        "state-joined-tunnel-service-not-ready",
    ],
    near_misses: &["ejected-after-errors", "subset-labels-match-no-pod", "route-to-missing-cluster"],
    rules: &[
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, data_path::no_endpoint)),
        Rule::Mesh(|view| requests::judge_sentences(view, data_path::no_endpoint)),
        Rule::after(Kind::Connection, 5, ambient_path::no_endpoint),
    ],
};
