//! What the control plane lacks in its own cluster, as its own lines decide it: types, permissions, the API server, a
//! licence, its environment, its selectors, its CA.

use std::sync::Arc;

use meshwhy_parsers::errors::{Fault, What};
use meshwhy_parsers::event::{
    Certificate, CertificateWhat, Event, Fact, Kind, Network, Process, Remote, RemoteWhat, Side, Trust, Webhook,
};

use super::remote_api::shortened;
use super::tables;
use crate::engine::cause::{Cause, Confidence, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// A type that is not installed.
pub static CRD_MISSING: Cause = Cause {
    slug: "crd-missing",
    severity: Severity::Error,
    summary: "{resource} is not installed in {cluster}, or too old for this istiod",
    mechanism: "istiod lists and watches every type it knows of. A type that is not installed answers 404 (`the server could not find the requested \
                resource`) to every list, and istiod waits for that informer; Gateway API types come in an experimental and a \
                standard channel and in versions, so that some may be there and others not. The symptom is far away: a start that never \
                ends, or routes that are ignored. It looks like a broken API server or missing permissions.",
    remedy: "Install the CRDs of {resource} in {cluster} in the version this Istio release asks for (for Gateway API the experimental channel where TCPRoute or TLSRoute is used), then restart istiod.",
    verify: "kubectl get crd | grep -E 'gateway.networking.k8s.io|istio.io'",
    explains: &[
        ("istiod-down", Within::File),
        ("ztunnel-not-ready", Within::Cluster),
        ("sds-secret-missing", Within::Cluster),
    ],
    hits: &["gateway-api-types-missing"],
    near_misses: &["istiod-without-role"],
    rules: &[Rule::on(Kind::Remote, type_missing), Rule::on(Kind::Process, crd_named)],
};

/// A permission of istiod in its own cluster.
pub static RBAC_MISSING: Cause = Cause {
    slug: "rbac-missing",
    severity: Severity::Error,
    summary: "the control plane of {cluster} ({user}) is not allowed to use {resource} in its own cluster",
    mechanism: "istiod, istio-cni and the gateways work with roles that the chart installs. After an upgrade of one part, a rename of the namespace \
                or revision, or a hand-made installation, a role lacks a type that the newer program asks for. The API server \
                answers 403 and names user, verb and type. The part keeps retrying; what depends on that type silently stops. In lines of \
                a remote cluster the same words mean the remote reader role instead.",
    remedy: "Give {user} the permission on {resource}: reinstall the chart of the same version as the program, then kubectl auth can-i list {resource} --as {user}.",
    verify: "kubectl auth can-i list {resource} --as {user}",
    explains: &[("istiod-down", Within::File), ("crd-missing", Within::Token), ("sds-secret-missing", Within::Cluster)],
    hits: &["istiod-without-role"],
    near_misses: &[
        "remote-reader-without-role",
        "gateway-api-types-missing",
        "issuer-refuses-to-sign",
        "reader-may-not-review-tokens",
    ],
    rules: &[Rule::on(Kind::Remote, own_forbidden), Rule::on(Kind::Webhook, patch_forbidden)],
};

/// istiod's own API server does not answer.
pub static KUBE_API_UNREACHABLE: Cause = Cause {
    slug: "kube-api-unreachable",
    severity: Severity::Critical,
    summary: "the control plane of {cluster} cannot use its own API server: {reason}",
    mechanism: "istiod reads everything it knows from its own API server. When that is down, overloaded or cut off (a network policy, kube-proxy, \
                an expired control-plane certificate), istiod serves what it last knew, leases are lost, and new pods get neither \
                injection nor certificates. The lines look like those about a remote cluster; only the cluster ID tells them apart.",
    remedy: "Check the API server of {cluster} first (kubectl get --raw /readyz), then the way from istiod's pod to the service kubernetes.default.",
    verify: "kubectl get --raw /readyz",
    explains: &[
        ("istiod-down", Within::Cluster),
        ("webhook-unreachable", Within::Cluster),
        ("ca-provider-unavailable", Within::Cluster),
        ("ztunnel-not-ready", Within::Cluster),
        ("sds-secret-missing", Within::Cluster),
    ],
    hits: &["own-api-server-down"],
    near_misses: &["remote-api-private-endpoint", "remote-api-restarted", "remote-api-ca-not-in-secret"],
    // The client library's own line stands in front of the one that names the cluster.
    rules: &[Rule::after(Kind::Remote, 2, own_unreachable)],
};

/// A vendor build without a licence.
pub static LICENSE_INVALID: Cause = Cause {
    slug: "license-invalid",
    severity: Severity::Critical,
    summary: "istiod of {cluster} refuses features for want of a licence: {reason}",
    mechanism: "Vendor builds switch multicluster features off when their licence is missing, expired or for another product. The mesh of the \
                single cluster goes on, peering and ambient across clusters do not, and the only sign is a line at start. It looks like a peering fault.",
    remedy: "Put a valid licence into the installation's values or Secret in {cluster} and restart istiod; first check the end date of the one in use.",
    verify: "kubectl -n istio-system logs deploy/istiod | grep -i licen",
    explains: &[
        ("peering-disconnected", Within::Cluster),
        ("istiod-env-incompatible", Within::Cluster),
        ("service-not-global", Within::Cluster),
    ],
    hits: &["vendor-licence-expired"],
    near_misses: &["ambient-flag-without-ambient"],
    rules: &[Rule::on(Kind::Process, licence)],
};

/// Environment variables that contradict each other.
pub static ISTIOD_ENV_INCOMPATIBLE: Cause = Cause {
    slug: "istiod-env-incompatible",
    severity: Severity::Error,
    summary: "an environment variable of istiod in {cluster} has no effect: {reason}",
    mechanism: "Multicluster and ambient features hang on environment variables of istiod, and some need others: AMBIENT_ENABLE_MULTI_NETWORK needs \
                PILOT_ENABLE_AMBIENT, peering needs its discovery switched on and the workload-entry selection off. A variable alone, or with a \
                value that is not read, is ignored with one warning at start; the feature is simply absent, and nothing fails but the calls.",
    remedy: "Set the variables together in istiod's environment (values: pilot.env) of {cluster}, as the line says, and restart istiod.",
    verify: "kubectl -n istio-system get deploy istiod -o jsonpath='{.spec.template.spec.containers[0].env}'",
    explains: &[
        ("service-not-global", Within::Cluster),
        ("eastwest-gateway-misconfigured", Within::Cluster),
        ("peering-disconnected", Within::Cluster),
    ],
    hits: &["ambient-flag-without-ambient"],
    near_misses: &["vendor-licence-expired"],
    rules: &[
        Rule::Mesh(|view| tables::failed_check(view, "environment variable")),
        Rule::on(Kind::Network, environment),
    ],
};

/// Discovery selectors that cannot be used.
pub static DISCOVERY_SELECTORS: Cause = Cause {
    slug: "discovery-selectors",
    severity: Severity::Critical,
    summary: "the discovery selectors of {cluster} show istiod the wrong namespaces: {reason}",
    mechanism: "Discovery selectors limit which namespaces istiod reads, in its own and in every remote cluster. An expression that cannot be used, or \
                one that misses a namespace, hides services, gateways and, for a system namespace, the network label, without any \
                failing line in the proxies: names do not resolve, or endpoints are simply not there.",
    remedy: "Correct discoverySelectors in the mesh configuration of {cluster} (valid operators, and labels that the needed namespaces carry), then restart istiod.",
    verify: "kubectl get ns --show-labels",
    explains: &[
        ("config-invalid", Within::File),
        ("ztunnel-not-ready", Within::Cluster),
        ("no-healthy-upstream", Within::Cluster),
    ],
    hits: &["discovery-selector-unreadable", "state-joined-no-endpoint-hidden"],
    near_misses: &[
        "ambient-flag-without-ambient",
        "state-joined-no-endpoint-no-secret",
        "state-joined-no-endpoint-not-ready",
        "state-joined-no-endpoint-other-port",
    ],
    rules: &[Rule::on(Kind::Config, selectors)],
};

/// The CA's own certificate is past its end.
pub static CA_CERT_EXPIRED: Cause = Cause {
    slug: "ca-cert-expired",
    severity: Severity::Critical,
    summary: "the signing or root certificate of {cluster} has expired: {reason}",
    mechanism: "Self-signed Istio roots live ten years, plugged-in intermediates often one. When the signing certificate ends, istiod can sign nothing \
                any more; when the root ends, nobody verifies anything. Workload certificates of a day's life run out one by one, so \
                the mesh fails over hours, first where pods restart. Proxies speak of expired certificates as if their own were at fault.",
    remedy: "Renew cacerts in {cluster} with a certificate of the same root (or both roots, if the root itself ended), restart istiod, then the workloads. First check: openssl x509 -noout -dates of ca-cert.pem and root-cert.pem.",
    verify: "kubectl -n istio-system get secret cacerts -o jsonpath='{.data.ca-cert\\.pem}' | base64 -d | openssl x509 -noout -enddate",
    explains: &[
        ("workload-cert-expired", Within::Mesh),
        ("ca-provider-unavailable", Within::Mesh),
        ("root-of-trust-mismatch", Within::Cluster),
        ("istiod-down", Within::File),
    ],
    hits: &["signing-certificate-ended", "state-joined-signing-certificate-ended"],
    near_misses: &["remote-api-ca-not-in-secret", "state-joined-signing-certificate-renewed"],
    rules: &[
        Rule::Mesh(tables::root_certificate),
        Rule::on(Kind::Trust, ca_broken),
        Rule::on(Kind::Certificate, csr_failed),
    ],
};

/// The name of the cluster a line of its own control plane is about.
fn home<'v>(view: &'v View<'_>, event: &'v Event) -> &'v str {
    view.own_id(event).unwrap_or(&event.origin.cluster)
}

/// A request of istiod to its own API server that failed and goes on failing: resource and reason.
fn own_request<'e>(view: &View<'_>, event: &'e Arc<Event>) -> Option<(&'e str, &'e Fault)> {
    let Fact::Remote(Remote { cluster, what: RemoteWhat::Watch { resource, fault }, .. }) = &event.fact else {
        return None;
    };
    let istiods_own = matches!(&fault.what, What::Forbidden { user, .. } if user.contains(":istiod"));
    let own = view.is_own(event, cluster) || (istiods_own && view.own_id(event).is_none());
    if !own || is_over(view, event) || (cluster.is_empty() && is_said_again(view, event, fault)) {
        return None;
    }
    Some((resource, fault))
}

fn is_over(view: &View<'_>, event: &Arc<Event>) -> bool {
    view.repeats(event).is_some_and(|known| view.stopped(known))
}

/// The client library's own line says what istiod says again with the cluster's name.
fn is_said_again(view: &View<'_>, event: &Event, fault: &Fault) -> bool {
    view.events(Kind::Remote).any(|other| match &other.fact {
        Fact::Remote(Remote { cluster, what: RemoteWhat::Watch { fault: said, .. }, .. }) => {
            !cluster.is_empty() && said.what == fault.what && other.origin.file == event.origin.file
        }
        _ => false,
    })
}

/// The type a list was for, from its name in Go or from the API's answer.
fn type_of(resource: &str, fault: &Fault) -> String {
    let answered = fault.text.rsplit_once("(get ").map(|(_, name)| name.trim_end_matches(')'));
    match (&fault.what, answered) {
        (What::NoSuchType(named), _) if !named.is_empty() => named.to_string(),
        (_, Some(named)) => named.to_string(),
        _ if resource.is_empty() => "a type it asks for".to_string(),
        _ => resource.trim_start_matches('*').to_string(),
    }
}

fn type_missing(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Remote(Remote { cluster, what: RemoteWhat::Watch { resource, fault }, .. }) = &event.fact else {
        return None;
    };
    if !matches!(fault.what, What::NoSuchType(_)) || is_over(view, event) {
        return None;
    }
    if cluster.is_empty() && is_said_again(view, event, fault) {
        return None;
    }
    let place = if cluster.is_empty() { home(view, event) } else { cluster };
    let name = type_of(resource, fault);
    Some(
        Verdict::certain(&format!("{place}: {name}"))
            .slot("resource", &name)
            .slot("cluster", place)
            .token(place)
            .because(event, "the API server does not know the type that istiod lists"),
    )
}

fn crd_named(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Process(Process::CrdMissing(text)) = &event.fact else { return None };
    let name = text.split_whitespace().find(|word| word.contains('.') || word.ends_with("Export")).unwrap_or("a type");
    let place = home(view, event);
    Some(
        Verdict::certain(&format!("{place}: {name}"))
            .slot("resource", name)
            .slot("cluster", place)
            .because(event, "a part of the control plane says that it does without the type"),
    )
}

fn forbidden(view: &View<'_>, event: &Arc<Event>, user: &str, resource: &str) -> Verdict {
    let place = home(view, event);
    let named = |text: &str, other: &str| if text.is_empty() { other.to_string() } else { text.to_string() };
    Verdict::certain(&format!("{place}: {user} {resource}"))
        .slot("cluster", place)
        .slot("user", named(user, "its service account"))
        .slot("resource", named(resource, "an object"))
        .because(event, "the API server answers 403 and names who may not do what")
}

fn own_forbidden(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, fault) = own_request(view, event)?;
    let What::Forbidden { user, resource } = &fault.what else { return None };
    Some(forbidden(view, event, user, resource))
}

fn patch_forbidden(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Webhook(Webhook::PatchFailed(text)) = &event.fact else { return None };
    let What::Forbidden { user, resource } = meshwhy_parsers::errors::fault(text).what else { return None };
    Some(forbidden(view, event, &user, &resource))
}

fn own_unreachable(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, fault) = own_request(view, event)?;
    let place = home(view, event);
    let blip = view.repeats(event).is_none_or(|known| known.count < 3) && worked_before(view, event);
    let mut verdict = match fault.what {
        ref what if what.is_unreached() => Verdict::certain(place),
        What::Cut
        | What::Unreachable
        | What::ServerUnavailable
        | What::ServerError
        | What::Unauthorized
        | What::UnknownAuthority
        | What::SameNameOtherKey
        | What::Expired
        | What::NotYetValid
        | What::WrongName { .. } => Verdict::likely(place),
        _ => return None,
    };
    if blip {
        verdict.confidence = Confidence::Possible;
    }
    Some(
        verdict
            .slot("cluster", place)
            .slot("reason", shortened(&fault.text))
            .token(place)
            .because(event, "istiod cannot read its own cluster"),
    )
}

/// Whether istiod had read its own cluster before: a line or two are then perhaps only a restart of the API server.
fn worked_before(view: &View<'_>, event: &Arc<Event>) -> bool {
    let ordinal = view.repeats(event).map_or(0, |known| known.first_ordinal);
    view.known(Kind::Remote).any(|known| match &known.first.fact {
        Fact::Remote(Remote { cluster, what: RemoteWhat::Synced, .. }) => {
            known.first.origin.file == event.origin.file && view.is_own(event, cluster) && known.first_ordinal < ordinal
        }
        _ => false,
    })
}

fn licence(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Process(Process::LicenseInvalid(text)) = &event.fact else { return None };
    let place = home(view, event);
    Some(
        Verdict::certain(place)
            .slot("cluster", place)
            .slot("reason", shortened(text))
            .because(event, "the build says that its licence does not allow the feature"),
    )
}

fn environment(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Network(Network::FlagIgnored(text)) = &event.fact else { return None };
    let place = home(view, event);
    // A value that cannot be read falls back to its default, which may well be right.
    let only_unread = text.starts_with("Invalid environment variable value");
    let verdict = if only_unread { Verdict::possible(place) } else { Verdict::certain(place) };
    Some(
        verdict
            .slot("cluster", place)
            .slot("reason", shortened(text))
            .because(event, "istiod says which variable it ignores, and why")
            .settle_by(
                "kubectl -n istio-system get deploy istiod -o jsonpath='{.spec.template.spec.containers[0].env}'",
            ),
    )
}

fn selectors(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Config(config) = &event.fact else { return None };
    if !config.resource.contains("discoverySelectors") {
        return None;
    }
    let place = home(view, event);
    Some(
        Verdict::certain(place)
            .slot("cluster", place)
            .slot("reason", shortened(&config.reason))
            .because(event, "istiod cannot use a selector"),
    )
}

fn expired(view: &View<'_>, event: &Arc<Event>, fault: &Fault) -> Option<Verdict> {
    let ended = fault.what == What::Expired || fault.text.contains("chain has expired");
    let place = home(view, event);
    ended.then(|| {
        Verdict::certain(place)
            .slot("cluster", place)
            .slot("reason", shortened(&fault.text))
            .because(event, "istiod's own chain is past its end")
    })
}

fn ca_broken(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Trust(Trust::Broken(fault)) = &event.fact else { return None };
    expired(view, event, fault)
}

fn csr_failed(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Certificate(Certificate { side: Side::Server, what: CertificateWhat::Failed(fault), .. }) = &event.fact
    else {
        return None;
    };
    expired(view, event, fault)
}
