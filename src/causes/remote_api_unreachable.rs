//! istiod cannot reach the remote API server.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};

use super::remote_api::{asked, told};
use super::remote_cluster_dark::unreachable_perhaps;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "remote-api-unreachable",
    severity: Severity::Critical,
    summary: "istiod of {local} cannot reach the API server of {remote} at {address}: {reason}",
    mechanism: "istiod dials the `server` of the kubeconfig in the remote secret, from inside its own pod. A private endpoint, authorised networks, a \
                firewall, a wrong port, a name that only resolves elsewhere or a loopback address (kind, minikube) make every list fail. \
                The user who created the secret reached that address from a laptop, which is why it looks right. istiod \
                serves without the cluster after 30 s; where it had synced before, the endpoints it serves grow stale and the \
                status still says `synced`.",
    remedy: "From the istiod pod in {local}, try the address {address} (kubectl exec, or a debug pod in istio-system: curl -k https://{address}/version). Open the path, or recreate {secret} with istioctl create-remote-secret --server and an address that is reachable from {local}.",
    verify: "istioctl remote-clusters --context {local}",
    explains: &[
        ("remote-cluster-dark", Within::Token),
        ("stale-endpoint", Within::Token),
        ("no-healthy-upstream", Within::Token),
        ("istiod-replicas-diverged", Within::Token),
        ("jwt-invalid", Within::Token),
    ],
    hits: &[
        "remote-api-private-endpoint",
        "remote-api-loopback",
        "remote-sync-without-reason",
        "state-remote-cluster-timeout",
        "state-joined-secret-with-loopback",
    ],
    near_misses: &[
        "remote-api-restarted",
        "remote-token-revoked",
        "removed-before-first-sync",
        "tunnel-mtu-too-small",
        "state-joined-secret-with-address",
    ],
    rules: &[
        Rule::on(Kind::Remote, judge),
        Rule::on(Kind::Remote, unreachable_perhaps),
        Rule::on(Kind::ClientRefused, judge),
    ],
};

fn judge(view: &View<'_>, trigger: &Arc<Event>) -> Option<Verdict> {
    let asked = asked(view, trigger)?;
    let subject = format!("{} -> {}", asked.local, asked.remote);
    let loopback = asked.fault.address.as_ref().is_some_and(|address| address.is_loopback());
    let verdict = match asked.fault.what {
        What::Refused if loopback => return Some(told(Verdict::certain(&subject), view, trigger, &asked).says(
            "the kubeconfig of {remote} names a loopback address ({address}): inside the istiod pod of {local} nothing answers there",
        )),
        What::ViaProxy | What::NotTls => Verdict::certain(&subject),
        ref what if what.is_unreached() => Verdict::certain(&subject),
        What::Cut | What::Unreachable | What::ServerUnavailable | What::ServerError | What::Status(_) | What::WrongProtocol => {
            Verdict::likely(&subject)
        }
        _ => return None,
    };
    Some(told(verdict, view, trigger, &asked))
}
