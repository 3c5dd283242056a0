//! What saved tables and events say by themselves, for causes that logs tell first. No cause of its own.
//!
//! A table is a moment: pods that are starting look like pods that fail. So only what cannot be a start is judged.

use std::collections::BTreeMap;
use std::sync::Arc;

use meshwhy_parsers::event::{Event, Kind};
use meshwhy_parsers::state::State;

use super::saved::{self, Pod};
use crate::engine::cause::Verdict;
use crate::engine::view::View;

/// Whether a pod fails for good: a start looks different.
pub(super) fn is_stuck(pod: &Pod<'_>) -> bool {
    ["CrashLoopBackOff", "Error", "ImagePull", "ErrImagePull", "OOMKilled", "CreateContainer", "RunContainerError"]
        .iter()
        .any(|status| pod.status.contains(status))
}

fn why(pod: &Pod<'_>) -> String {
    format!("its pod {} is {} with {} of {} containers ready", pod.name, pod.status, pod.ready, pod.containers)
}

/// ztunnel pods that do not come up.
pub(super) fn ztunnel_pods(view: &View<'_>) -> Vec<Verdict> {
    stuck(
        view,
        &["ztunnel"],
        "ztunnel of {cluster} does not run on one of its nodes: {reason}",
        "a ztunnel pod does not come up",
    )
}

/// istio-cni pods that do not come up.
pub(super) fn cni_pods(view: &View<'_>) -> Vec<Verdict> {
    stuck(
        view,
        &["istio-cni"],
        "istio-cni of {cluster} does not run on one of its nodes: {reason}",
        "an istio-cni pod does not come up",
    )
}

/// Gateway and workload pods whose init container, which installs the capture rules, fails.
pub(super) fn init_fails(view: &View<'_>) -> Vec<Verdict> {
    let fails = |pod: &&Pod<'_>| {
        pod.containers > 1 && matches!(pod.status, "Init:CrashLoopBackOff" | "Init:Error" | "Init:0/1 CrashLoopBackOff")
    };
    let pods = saved::pods(view);
    let found = pods.iter().find(fails).map(|pod| {
        Verdict::possible(pod.name)
            .slot("who", pod.name)
            .slot("reason", "its init container fails; in a meshed pod that is the one that installs the rules")
            .because(pod.event, "the pod's init container fails again and again")
            .settle_by(format!("kubectl logs {} -c istio-init", pod.name))
    });
    found.into_iter().collect()
}

fn stuck(view: &View<'_>, names: &[&str], says: &'static str, shows: &str) -> Vec<Verdict> {
    let pods = saved::pods(view);
    let ours = pods.iter().find(|pod| names.iter().any(|name| pod.name.starts_with(name)) && is_stuck(pod));
    let verdict = ours.map(|pod| {
        let cluster = &pod.event.origin.cluster;
        Verdict::certain(pod.name)
            .says(says)
            .slot("cluster", cluster)
            .slot("pod", pod.name)
            .slot("namespace", "istio-system")
            .slot("name", pod.name)
            .slot("reason", why(pod))
            .token(pod.name)
            .because(pod.event, shows)
    });
    verdict.into_iter().collect()
}

/// All endpoints that a proxy holds for a service have failed their outlier check.
pub(super) fn outlier_check(view: &View<'_>) -> Vec<Verdict> {
    // By asker and upstream cluster: a row of it, and whether every row failed.
    let mut checked: BTreeMap<(&str, &str), (&Arc<Event>, bool)> = BTreeMap::new();
    for (event, state) in view.states() {
        let State::ProxyEndpoint { cluster, outlier, .. } = state else { continue };
        if !outlier.is_empty() && cluster.contains('|') {
            let (_, all_failed) = checked.entry((&event.origin.cluster, cluster)).or_insert((event, true));
            *all_failed &= &**outlier == "FAILED";
        }
    }
    let left_empty = checked.into_iter().filter(|(_, (_, all_failed))| *all_failed);
    left_empty
        .map(|((_, cluster), (event, _))| {
            let service = cluster.rsplit('|').next().unwrap_or(cluster);
            Verdict::likely(service)
                .slot("service", service)
                .slot("cluster", cluster)
                .slot("proxy", "<pod>")
                .token(service)
                .because(event, "the proxy has taken this endpoint out, and no other is left")
        })
        .collect()
}

/// A proxy's own certificate that istioctl calls invalid.
pub(super) fn workload_certificate(view: &View<'_>) -> Vec<Verdict> {
    invalid_secret(
        view,
        |name| name == "default" || name.starts_with("spiffe://"),
        |name, event| {
            Verdict::certain(name)
                .slot("who", if name == "default" { &*event.origin.cluster } else { name })
                .because(event, "istioctl lists the proxy's certificate as no longer valid")
        },
    )
}

/// A root that istioctl calls invalid.
pub(super) fn root_certificate(view: &View<'_>) -> Vec<Verdict> {
    invalid_secret(
        view,
        |name| name == "ROOTCA",
        |_, event| {
            Verdict::certain(&event.origin.cluster)
                .slot("cluster", &event.origin.cluster)
                .slot("reason", "a proxy holds a root that is no longer valid")
                .because(event, "istioctl lists the root as no longer valid")
        },
    )
}

fn invalid_secret(view: &View<'_>, of: fn(&str) -> bool, verdict: fn(&str, &Arc<Event>) -> Verdict) -> Vec<Verdict> {
    let row = view.states().find_map(|(event, state)| match state {
        State::ProxySecret { name, valid: Some(false), status, .. } if of(name) && !status.contains("WARMING") => {
            Some((event, name))
        }
        _ => None,
    });
    row.map(|(event, name)| verdict(name, event)).into_iter().collect()
}

/// A proxy whose configuration istiod lists as refused or not taken over.
pub(super) fn proxy_status(view: &View<'_>) -> Vec<Verdict> {
    let row = view.states().find_map(|(event, state)| match state {
        State::ProxyStatus { proxy, behind, .. } => {
            let (kind, cell) = behind.iter().max_by_key(|(_, cell)| cell.starts_with("ERROR"))?;
            Some((event, proxy, kind, cell))
        }
        _ => None,
    });
    let Some((event, proxy, kind, cell)) = row else { return Vec::new() };
    let is_error = cell.starts_with("ERROR");
    let verdict = if is_error { Verdict::certain(proxy) } else { Verdict::possible(proxy) };
    let reason = if is_error { "istiod lists it as refused" } else { "it was sent and not taken over" };
    vec![
        verdict
            .slot("who", proxy)
            .slot("kind", kind)
            .slot("resource", "(not named)")
            .slot("reason", reason)
            .token(proxy)
            .because(event, "the proxy is not in step with istiod")
            .settle_by(format!("istioctl proxy-status {proxy}")),
    ]
}

/// Envoy itself answered 404: its name is in the answer and no upstream's time.
pub(super) fn not_found_by_proxy(view: &View<'_>) -> Vec<Verdict> {
    let answer = |wanted: fn(&str) -> bool| {
        view.states().find_map(|(event, state)| match state {
            State::Answered { by, .. } if wanted(by) => Some(event),
            _ => None,
        })
    };
    let (Some(status), Some(server)) =
        (answer(|by| by.contains("HTTP/") && by.contains(" 404")), answer(|by| by == "server: istio-envoy"))
    else {
        return Vec::new();
    };
    let reached = answer(|by| by.starts_with("x-envoy-upstream-service-time")).is_some();
    let lines_say_more = view.events(Kind::Request).next().is_some();
    if reached || lines_say_more || status.origin.file != server.origin.file {
        return Vec::new();
    }
    vec![
        Verdict::possible("404 of a proxy")
            .slot("call", "the call")
            .slot("authority", "the host asked for")
            .slot("proxy", "<gateway pod>")
            .because(status, "the answer is 404")
            .because(server, "and Envoy gave it itself: no upstream's time is among the headers")
            .settle_by("kubectl -n istio-system logs deploy/istio-ingressgateway | grep ' 404 '"),
    ]
}

/// The kubelet's probe of an application's port is cut, as the mesh cuts plain text under STRICT.
pub(super) fn probe_cut(view: &View<'_>) -> Vec<Verdict> {
    let cut = view.states().find_map(|(event, state)| match state {
        State::KubeEvent { reason, message, object, .. } if &**reason == "Unhealthy" => {
            let is_cut = message.contains("connection reset by peer") || message.ends_with("EOF");
            // The agent's own ports answer for the proxy, not for the application.
            let is_agents = [":15020/", ":15021/", ":15000/"].iter().any(|port| message.contains(port));
            (is_cut && !is_agents).then_some((event, object))
        }
        _ => None,
    });
    let Some((event, object)) = cut else { return Vec::new() };
    let name = object.rsplit('/').next().unwrap_or("");
    let name = if name.is_empty() { "the pod" } else { name };
    vec![
        Verdict::possible(name)
            .slot("pod", name)
            .slot("namespace", "<namespace>")
            .slot("name", name)
            .because(event, "the probe's connection is accepted and cut, not refused")
            .settle_by("kubectl get peerauthentication -A"),
    ]
}

/// Every probe of an ambient pod times out: the answer to the address that istio-cni puts in the kubelet's place is lost.
pub(super) fn probe_unanswered(view: &View<'_>) -> Vec<Verdict> {
    let late = |message: &str| {
        ["context deadline exceeded", "Client.Timeout exceeded", "i/o timeout"]
            .iter()
            .any(|words| message.contains(words))
    };
    let probes = || {
        view.states().filter_map(|(event, state)| match state {
            State::KubeEvent { reason, message, object, .. } if &**reason == "Unhealthy" => {
                Some((event, message, object))
            }
            _ => None,
        })
    };
    // One kind of probe that is late may be a slow page; all kinds, and nothing else, are not.
    let both = ["Readiness probe failed", "Liveness probe failed"]
        .iter()
        .all(|kind| probes().any(|(_, message, _)| message.contains(kind)));
    let namespaces = view.mesh().clusters().flat_map(|cluster| cluster.objects("Namespace"));
    let ambient = namespaces.into_iter().find(|of| of.label("istio.io/dataplane-mode") == Some("ambient"));
    let (Some(namespace), Some((event, _, object))) =
        (ambient, probes().next().filter(|_| both && probes().all(|(_, message, _)| late(message))))
    else {
        return Vec::new();
    };
    let name = object.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("the pod");
    vec![
        Verdict::possible(name)
            .says("no probe of {pod} is answered since its namespace is ambient: the network loses what 169.254.7.127 asks")
            .slot("pod", name)
            .slot("namespace", &namespace.name)
            .slot("name", name)
            .because(event, "every probe times out, none is refused")
            .because(&namespace.event, "the namespace is ambient")
            .settle_by(
                "does a NetworkPolicy admit 169.254.7.127/32? With Cilium: cilium config view | grep -e bpf-masquerade \
                 -e host-legacy-routing",
            ),
    ]
}

/// A check of `istioctl multicluster check` that failed, by the name in front of its colon.
pub(super) fn failed_check(view: &View<'_>, name: &str) -> Vec<Verdict> {
    let failed = view.states().find_map(|(event, state)| match state {
        State::Check { passed: false, text, .. } => {
            let (title, what) = text.split_once(": ")?;
            let is_failure = ["❌", "✘", "✖"].iter().any(|mark| event.text.contains(mark));
            (is_failure && title.to_ascii_lowercase().contains(name)).then_some((event, title, what))
        }
        _ => None,
    });
    let verdict = failed.map(|(event, title, what)| {
        let what = what.lines().next().unwrap_or("");
        Verdict::likely(title)
            .says("{check} failed: {reason}")
            .slot("check", title)
            .slot("reason", what)
            .slot("cluster", &event.origin.cluster)
            .because(event, "istioctl's own check fails")
    });
    verdict.into_iter().collect()
}

/// A TLS server that hangs up in the handshake: no listener or no certificate for that name.
pub(super) fn handshake_cut(view: &View<'_>) -> Vec<Verdict> {
    let cut = view.states().find_map(|(event, state)| match state {
        State::CallFailed { fault, .. }
            if fault.text.contains("SSL_ERROR_SYSCALL") || fault.text.contains("SSL_connect") =>
        {
            Some((event, fault))
        }
        _ => None,
    });
    let Some((event, fault)) = cut.filter(|_| view.events(Kind::Request).next().is_none()) else { return Vec::new() };
    let host = fault.address.as_ref().map_or("the host", |address| &*address.host);
    vec![
        Verdict::possible(host)
            .slot("host", host)
            .slot("port", fault.address.as_ref().map_or(443, |address| address.port))
            .slot("authority", host)
            .slot("proxy", "<gateway pod>")
            .because(event, "the connection opens and is cut in the handshake, before any certificate")
            .settle_by("istioctl proxy-config listener <gateway pod> --port 443"),
    ]
}

/// The network plugin says that a policy dropped a packet to the HBONE port.
pub(super) fn hbone_dropped(view: &View<'_>) -> Vec<Verdict> {
    let dropped = view.states().find_map(|(event, state)| match state {
        State::PacketFilter { rule, .. } if rule.contains("olicy denied") && rule.contains(":15008") => {
            Some((event, rule))
        }
        _ => None,
    });
    let verdict = dropped.map(|(event, rule)| {
        let to = rule.split([' ', ',']).find(|word| word.ends_with(":15008")).unwrap_or("a pod");
        Verdict::certain(to)
            .slot("to", to)
            .slot("addr", to)
            .token(to)
            .because(event, "the network plugin dropped a packet to 15008 by policy")
    });
    verdict.into_iter().collect()
}
