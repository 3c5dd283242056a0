//! The upstream and the way to it: endpoints, limits, connects, closes, time-outs, drains.

use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::access::{ClusterName, Flag, Sign};
use meshwhy_parsers::event::{Event, Fact, Kind, Process, Push};
use meshwhy_parsers::state::State;

use super::requests::{self, Empty, Seen, why_empty};
use super::{ambient_path, tables};
use crate::engine::cause::{Cause, Confidence, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// Endpoints were ejected.
pub static OUTLIER_EJECTED: Cause = Cause {
    slug: "outlier-ejected",
    severity: Severity::Error,
    summary: "outlier detection has taken the endpoints of {service} out after errors",
    mechanism: "Outlier detection counts 5xx answers and failed connects per endpoint and ejects it for a while; with few endpoints \
                and a high maxEjectionPercent all of them go. Then the proxy answers 503 UH by itself although the pods run and \
                are ready, and Kubernetes shows nothing. It mends itself after baseEjectionTime and comes back with the next \
                errors, so it looks like a flapping service.",
    remedy: "Look at the errors before the first UH: they are the reason. Then at outlierDetection in the DestinationRule of \
             {service}: maxEjectionPercent, minHealthPercent and consecutive5xxErrors.",
    verify: "istioctl proxy-config endpoints {proxy} --cluster '{cluster}'",
    explains: &[("no-healthy-upstream", Within::Token), ("app-error", Within::Token)],
    hits: &["ejected-after-errors"],
    near_misses: &["service-has-no-endpoints", "subset-labels-match-no-pod"],
    rules: &[
        Rule::Mesh(tables::outlier_check),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, ejected)),
    ],
};

fn ejected(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.sign == Sign::NoHealthyUpstream).then_some(())?;
    let Empty::Ejected(event, shows) = why_empty(view, seen) else { return None };
    let service = seen.request.service();
    let by_state = matches!(event.fact, Fact::State(_));
    let verdict = if by_state { Verdict::certain(&service) } else { Verdict::likely(&service) };
    Some(seen.fill(verdict, "no endpoint is left (UH)").because(event, shows))
}

/// Limits of this proxy.
pub static CIRCUIT_BREAKER_OVERFLOW: Cause = Cause {
    slug: "circuit-breaker-overflow",
    severity: Severity::Error,
    summary: "connection or request limits for {service} are exceeded: the caller's proxy refuses calls by itself",
    mechanism: "A DestinationRule's connectionPool (or a Gateway's circuit breaker) limits connections, pending and parallel requests. \
                What is beyond is refused by the caller's own proxy: flag UO, details overflow, at once. The upstream never sees \
                it and looks idle. gRPC hides it: the HTTP status stays 200 and only the flag and grpc-status Unavailable tell.",
    remedy: "Compare the load with connectionPool in the DestinationRule of {service}: http1MaxPendingRequests, http2MaxRequests, \
             maxConnections, maxRequestsPerConnection. Then find why calls pile up: a slow upstream or too few pods.",
    verify: "istioctl proxy-config cluster {proxy} --fqdn {service} -o json | grep -n -A12 circuitBreakers",
    explains: &[("app-error", Within::Token)],
    hits: &["connection-pool-overflow"],
    near_misses: &["rate-limit-answers-429"],
    rules: &[
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, overflow)),
        Rule::Mesh(|view| requests::judge_sentences(view, overflow)),
    ],
};

fn overflow(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.sign == Sign::Overflow).then_some(())?;
    Some(seen.fill(Verdict::certain(&seen.request.service()), "refused by this proxy's own limits (UO, overflow)"))
}

/// Nothing listens.
pub static UPSTREAM_NOT_LISTENING: Cause = Cause {
    slug: "upstream-not-listening",
    severity: Severity::Error,
    summary: "nothing listens at {upstream} for {service}: connection refused",
    mechanism: "The address answers with a reset: the host is there, the port is closed. On the server's own sidecar (cluster \
                inbound|...) it is the application: not started, on another port than the Service's targetPort, or bound to \
                127.0.0.1 or to one IP family while the sidecar calls the pod's address. On the caller's side of a mesh service a \
                pod with a sidecar takes every connection, so a refusal there means a pod without sidecar, one that is gone, or a \
                host that is no pod.",
    remedy: "In the pod compare the listening sockets with the Service's targetPort and the pod's address; bind to 0.0.0.0 and ::. \
             If the application is only slow to start, add a readiness probe.",
    verify: "kubectl exec deploy/{name} -c istio-proxy -- ss -ltn",
    explains: &[("app-error", Within::Token), ("outlier-ejected", Within::Token)],
    hits: &[
        "envoy-broken-and-repaired",
        "app-listens-on-loopback",
        "ambient-application-refuses",
        "database-is-not-there",
    ],
    near_misses: &["app-closes-connection", "gateway-port-refused", "database-speaks-first"],
    rules: &[
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, not_listening)),
        Rule::Mesh(|view| requests::judge_sentences(view, not_listening)),
        Rule::after(Kind::Connection, 5, ambient_path::not_listening),
    ],
};

fn not_listening(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let inbound = seen.request.is_inbound();
    if seen.to_eastwest_gateway() || seen.over_hbone() {
        return None;
    }
    let subject = seen.upstream_subject();
    let verdict = match seen.sign {
        Sign::Refused if seen.to_gateway() || inbound && seen.at_gateway() => {
            seen.fill(Verdict::possible(&subject), "connection refused")
        }
        Sign::Refused if inbound => {
            seen.fill(Verdict::certain(&subject), "the server's own proxy gets connection refused from the application")
        }
        Sign::Refused if requests::elsewhere(view, seen).is_some() => {
            seen.fill(Verdict::possible(&subject), "connection refused")
        }
        Sign::Refused => seen.fill(Verdict::likely(&subject), "connection refused"),
        // Versions before 1.10 print no transport failure for plain TCP.
        Sign::ConnectFailed if inbound => {
            seen.fill(Verdict::likely(&subject), "the server's own proxy cannot connect to the application")
        }
        Sign::ConnectFailed if seen.request.duration.is_none() => seen
            .fill(Verdict::possible(&subject), "the connect failed")
            .settle_by("kubectl exec into the caller's proxy: curl -v telnet://{the address}"),
        Sign::ConnectFailed if !seen.took_long() => seen
            .fill(Verdict::likely(&subject), "the connect failed at once")
            .settle_by("kubectl exec into the caller's proxy: curl -v telnet://{the address}"),
        Sign::HostUnreachable => seen
            .fill(Verdict::possible(&subject), "no route to the host")
            .settle_by("kubectl get pods -A -o wide: does a pod have this address?")
            .says("{upstream} of {service} cannot be reached: no route to host; the pod may be gone"),
        _ => return None,
    };
    let port = seen.upstream_port();
    let socket = view.states().find_map(|(event, state)| match state {
        State::Listening { addr } if addr.port == port => Some((event, addr)),
        _ => None,
    });
    Some(match socket {
        Some((event, addr)) if addr.is_loopback() => verdict.because(event, "the application listens on loopback only"),
        Some((event, addr))
            if &*addr.host == "0.0.0.0" && seen.request.upstream.as_ref().is_some_and(|up| up.host.contains(':')) =>
        {
            verdict.because(event, "the application listens on IPv4 only, the pod is called by IPv6")
        }
        Some((event, _)) => verdict.because(event, "this is what listens on that port"),
        None => verdict,
    })
}

/// Connects time out.
pub static UPSTREAM_CONNECT_TIMEOUT: Cause = Cause {
    slug: "upstream-connect-timeout",
    severity: Severity::Error,
    summary: "connects to {upstream} for {service} time out",
    mechanism: "No answer to the connect within the connectTimeout (10 s by default): the packets vanish. The host is gone, a firewall \
                or NetworkPolicy drops them, or the address lies in a network that is not routed from here. A closed port would \
                refuse at once. If the address is a pod of another cluster, the mesh takes two networks for one, and the fault is \
                in the configuration rather than on the wire.",
    remedy: "Ask who owns {upstream}: a pod of this cluster (then NetworkPolicy, node network, a pod that is gone), one of another \
             cluster (then network labels and gateways), or a host outside (then the firewall and the egress path).",
    verify: "kubectl exec deploy/<caller> -c istio-proxy -- curl -v --connect-timeout 5 telnet://{upstream}",
    explains: &[("app-error", Within::Token), ("outlier-ejected", Within::Token)],
    hits: &["external-host-does-not-answer"],
    near_misses: &[
        "gateway-port-times-out",
        "slow-answer",
        "default-deny-drops-mesh-port",
        "removed-cluster-stays-in-proxies",
    ],
    rules: &[
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, connect_timeout)),
        Rule::Mesh(|view| requests::judge_sentences(view, connect_timeout)),
        Rule::after(Kind::Connection, 5, ambient_path::connect_timeout),
    ],
};

fn connect_timeout(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    if seen.to_eastwest_gateway() || seen.over_hbone() {
        return None;
    }
    let subject = seen.upstream_subject();
    match seen.sign {
        Sign::ConnectTimedOut if requests::elsewhere(view, seen).is_some() => {
            Some(seen.fill(Verdict::possible(&subject), "the connect timed out"))
        }
        Sign::ConnectTimedOut => Some(seen.fill(Verdict::likely(&subject), "the connect timed out")),
        Sign::ConnectFailed if seen.took_long() && !seen.request.is_inbound() => {
            Some(seen.fill(Verdict::likely(&subject), "the connect failed only after seconds"))
        }
        _ => None,
    }
}

/// The upstream closes the connection.
pub static UPSTREAM_CLOSED_CONNECTION: Cause = Cause {
    slug: "upstream-closed-connection",
    severity: Severity::Error,
    summary: "{service} closes the connection instead of answering",
    mechanism: "UC, connection_termination: the connection stood, the request was sent, and the other side closed. Seen by the \
                server's own proxy (inbound|...) it is the application: it crashed, its keep-alive time-out is shorter than the \
                proxy's idle time so that a request meets a closing connection, or it hangs up on what it does not like. Seen only \
                by the caller's proxy it may also be the server's proxy: a shut-down, or plain text to STRICT. The caller's side \
                shows 503 with via_upstream when the server's proxy already answered; both lines are one failure.",
    remedy: "Look into the log of the application at that moment. If it is a keep-alive race, make the application's keep-alive longer \
             than the proxy's idle time-out, or set connectionPool.http.idleTimeout shorter and retry on reset-before-request.",
    verify: "kubectl -n {namespace} logs deploy/{name} -c istio-proxy | grep -c ' UC '",
    explains: &[("app-error", Within::Token), ("outlier-ejected", Within::Token)],
    hits: &["app-closes-connection"],
    near_misses: &[
        "drain-shorter-than-request",
        "waypoint-tunnel-refused",
        "scraper-calls-pod-address",
        "http2-to-http1-server",
        "app-listens-on-loopback",
        "gateway-does-not-expose-services",
        "websockets-end",
        "lines-of-others-quoted-in-notes",
        "lines-quoted-behind-a-word",
        "lines-quoted-in-notes",
    ],
    rules: &[
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, closed)),
        Rule::Mesh(|view| requests::judge_sentences(view, closed)),
    ],
};

fn closed(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let service = seen.request.service();
    let inbound = seen.request.is_inbound();
    let shows = if inbound { "the application closed the connection" } else { "the upstream closed the connection" };
    let verdict = match seen.sign {
        Sign::Closed if inbound => seen.fill(Verdict::certain(&service), shows),
        Sign::Closed if stopping_before(view, seen).is_some() => seen.fill(Verdict::possible(&service), shows),
        Sign::Closed
            if seen.request.tunnelled
                || seen.to_eastwest_gateway() && !seen.passed_before(view)
                || seen.request.cluster == ClusterName::Passthrough
                || seen.request.has(&Flag::UpstreamConnectionFailure) && seen.request.transport.is_none() =>
        {
            seen.fill(Verdict::possible(&service), shows).settle_by("the log of the server's own proxy at that moment")
        }
        Sign::Closed => seen.fill(Verdict::likely(&service), shows),
        Sign::StreamReset if seen.request.reset() == "remote_reset" => {
            seen.fill(Verdict::likely(&service), "the upstream reset the stream")
        }
        Sign::StreamReset => {
            seen.fill(Verdict::possible(&service), "the stream was reset").settle_by("the server's log at that moment")
        }
        _ => return None,
    };
    Some(match seen.round_duration().filter(|_| seen.took(Duration::from_secs(10))) {
        Some(round) => verdict
            .slot("round", round)
            .says("{service} or something on the way closes connections after {round}: an idle or request time-out"),
        None => verdict,
    })
}

/// Too late.
pub static UPSTREAM_TIMEOUT: Cause = Cause {
    slug: "upstream-timeout",
    severity: Severity::Error,
    summary: "{service} answers too late: the proxy gave up after {took}",
    mechanism: "The proxy waited as long as it may (UT, 504) and answered by itself. The limit is the route's: `timeout` or \
                `retries.perTryTimeout` of a VirtualService, the timeouts of an HTTPRoute, a stream's idle time (SI) or its longest \
                duration. A duration that is a round number is that limit. The upstream may have worked on and succeeded.",
    remedy: "Decide which of the two is wrong: the limit in the VirtualService or HTTPRoute of {service}, or the time the upstream \
             takes. With fault injection or retries, the limit covers them all.",
    verify: "istioctl proxy-config routes {proxy} -o json | grep -n -e '\"timeout\"' -e perTryTimeout",
    explains: &[("app-error", Within::Token)],
    hits: &["slow-answer"],
    near_misses: &["external-host-does-not-answer", "callers-hang-up"],
    rules: &[
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, timeout)),
        Rule::Mesh(|view| requests::judge_sentences(view, timeout)),
    ],
};

fn timeout(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let service = seen.request.service();
    let verdict = match seen.sign {
        Sign::TimedOut if seen.request.details.starts_with("via_upstream") || seen.request.details.is_empty() => seen
            .fill(Verdict::possible(&service), "504 came from further on")
            .settle_by("the log of the next proxy on the way"),
        Sign::TimedOut => seen.fill(Verdict::certain(&service), "the proxy gave up waiting for the answer"),
        Sign::IdleTimedOut => seen.fill(Verdict::likely(&service), "nothing moved on the stream for too long (SI)"),
        Sign::AnsweredGrpcError if grpc_deadline(seen) => seen
            .fill(Verdict::possible(&service), "gRPC deadline exceeded")
            .settle_by("the server's log at that moment"),
        _ => return None,
    };
    Some(match seen.round_duration() {
        Some(round) => {
            verdict.slot("round", round).says("{service} takes longer than the configured time-out of {round}")
        }
        None => verdict,
    })
}

fn grpc_deadline(seen: &Seen<'_>) -> bool {
    matches!(seen.request.grpc_status.as_deref(), Some("DeadlineExceeded" | "DEADLINE_EXCEEDED" | "4"))
}

/// The application answers 5xx.
pub static APP_ERROR: Cause = Cause {
    slug: "app-error",
    severity: Severity::Warning,
    summary: "{service} itself answers {code} ({call})",
    mechanism: "via_upstream: the status came over the wire and the proxy only passed it on. On the server's own proxy that is the \
                application's answer. On the caller's side a 503 may also come from the server's proxy, whose own line then says \
                why; 500 and 501 are hardly ever a proxy's.",
    remedy: "Read the log of {service} at that moment; nothing in the mesh refused the call. With only the caller's line, look at the \
             server's proxy first.",
    verify: "kubectl -n {namespace} logs deploy/{name} --since=10m | grep -i -e error -e exception",
    explains: &[],
    hits: &["app-answers-500"],
    near_misses: &[
        "app-closes-connection",
        "configured-abort",
        "rate-limiter-does-not-answer",
        "lines-of-others-quoted-in-notes",
    ],
    rules: &[Rule::on(Kind::Request, |view, event| requests::judge(view, event, app_error))],
};

fn app_error(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let service = seen.request.service();
    match seen.sign {
        Sign::AnsweredError if seen.request.is_inbound() => {
            Some(seen.fill(Verdict::likely(&service), "the application's own answer, seen by its proxy"))
        }
        Sign::AnsweredError if matches!(seen.request.code, 502..=504) => Some(
            seen.fill(Verdict::possible(&service), "the status came from the upstream, which may be its proxy")
                .settle_by("the log of the upstream's own proxy for the same request id"),
        ),
        Sign::AnsweredError => Some(seen.fill(Verdict::likely(&service), "the status came from the upstream")),
        Sign::AnsweredGrpcError if !grpc_deadline(seen) => Some(
            seen.fill(Verdict::likely(&service), "a failing gRPC status under HTTP 200")
                .slot("status", seen.request.grpc_status.as_deref().unwrap_or(""))
                .says("{service} itself answers gRPC status {status} under HTTP 200 ({call})"),
        ),
        _ => None,
    }
}

/// A listener update drains.
pub static LISTENER_DRAIN: Cause = Cause {
    slug: "listener-drain",
    severity: Severity::Warning,
    summary: "a configuration update closes connections that are in use, to {service}",
    mechanism: "When a push changes a listener or one of its filter chains, Envoy builds a new one and drains the old: connections on \
                it are closed when the drain time ends, long ones in the middle of their work. Every change of an EnvoyFilter, a \
                Gateway or an authentication policy does it, so long-lived streams and websockets break at the same moment in \
                many proxies while nothing failed.",
    remedy: "Find what changed at that moment (istiod: Push debounce stable ... config). Batch such changes, lengthen \
             drainDuration in the proxies' configuration, and let clients reconnect.",
    verify: "kubectl -n istio-system logs deploy/istiod --since=1h | grep 'Push debounce stable'",
    explains: &[("client-disconnected", Within::File), ("upstream-closed-connection", Within::Token)],
    hits: &["push-drains-streams", "lines-quoted-behind-a-word"],
    near_misses: &["callers-hang-up", "drain-shorter-than-request", "lines-of-others-quoted-in-notes"],
    rules: &[Rule::on(Kind::Request, |view, event| requests::judge(view, event, drained))],
};

fn drained(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let service = seen.request.service();
    let pushed = view.events(Kind::Push).filter(|event| is_shortly_before(event, seen.event, 60)).find(|event| {
        matches!(&event.fact, Fact::Push(Push::ConfigChanged(what))
            if ["EnvoyFilter", "Gateway", "PeerAuthentication", "Sidecar"].iter().any(|kind| what.contains(kind)))
    });
    match (seen.sign, pushed) {
        (Sign::ListenerDrained, Some(push)) => Some(
            seen.fill(Verdict::certain(&service), "closed because its filter chain was removed")
                .because(push, "the configuration changed just before"),
        ),
        (Sign::ListenerDrained, None) => {
            Some(seen.fill(Verdict::certain(&service), "closed because its filter chain was removed"))
        }
        (Sign::Closed | Sign::StreamReset, Some(push)) => Some(
            seen.fill(Verdict::possible(&service), "cut off shortly after a change of configuration")
                .because(push, "a change that rebuilds listeners")
                .settle_by("the proxy's own log at debug level: `draining` of a listener or filter chain"),
        ),
        _ => None,
    }
}

/// The drain is too short.
pub static PROXY_DRAIN_TOO_SHORT: Cause = Cause {
    slug: "proxy-drain-too-short",
    severity: Severity::Error,
    summary: "{service} is shut down while requests are in flight: its proxy ends before they do",
    mechanism: "A pod that stops gets SIGTERM for all containers at once. The sidecar drains for terminationDrainDuration (5 s by \
                default) and exits, whether or not requests still run; the application may also stop first, while endpoints still \
                send. Callers see UC and 503 at every rollout or scale-down and never in between.",
    remedy: "Set terminationDrainDuration longer than the longest request, or EXIT_ON_ZERO_ACTIVE_CONNECTIONS with a \
             MINIMUM_DRAIN_DURATION, and give the application a preStop sleep; terminationGracePeriodSeconds must cover them.",
    verify: "kubectl -n {namespace} get deploy {name} -o yaml | grep -n -e terminationDrainDuration -e EXIT_ON_ZERO -e preStop -A3",
    explains: &[("upstream-closed-connection", Within::Token), ("app-error", Within::Token)],
    hits: &["drain-shorter-than-request"],
    near_misses: &["app-closes-connection"],
    rules: &[Rule::on(Kind::Request, |view, event| requests::judge(view, event, drain_too_short))],
};

fn drain_too_short(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.sign == Sign::Closed || seen.sign == Sign::StreamReset).then_some(())?;
    let service = seen.request.service();
    let (stop, shows) = stopping_before(view, seen)?;
    Some(
        seen.fill(Verdict::likely(&service), "the connection was closed with a request in flight").because(stop, shows),
    )
}

/// A stop of the upstream's pod or proxy shortly before.
fn stopping_before<'w>(view: &View<'w>, seen: &Seen<'_>) -> Option<(&'w Arc<Event>, &'static str)> {
    let name = seen.name_and_namespace().map(|(name, _)| name).unwrap_or_default();
    let is_upstream = |event: &Event| {
        let other = event.origin.file != seen.event.origin.file || seen.request.is_inbound();
        let named = !name.is_empty() && (event.origin.pod.starts_with(&*name) || event.origin.file.contains(&*name));
        other && named
    };
    let process = view.known(Kind::Process).flat_map(|known| [&known.first, &known.last]).find(|event| {
        let stops = matches!(&event.fact, Fact::Process(Process::Stopping | Process::DrainTimedOut));
        stops && is_upstream(event) && is_shortly_before(event, seen.event, 60)
    });
    if let Some(event) = process {
        return Some((event, "the upstream's proxy was stopping"));
    }
    let killed = view.states().find(|(_, state)| match state {
        State::KubeEvent { reason, object, .. } => {
            &**reason == "Killing" && !name.is_empty() && object.contains(&*name)
        }
        _ => false,
    });
    killed.map(|(event, _)| (event, "Kubernetes stopped a pod of the service"))
}

/// Whether `event` was said within so many seconds before `of`.
fn is_shortly_before(event: &Event, of: &Event, seconds: u64) -> bool {
    let (Some(at), Some(of)) = (event.at, of.at) else { return false };
    at <= of.plus(Duration::from_secs(2)) && of.since(at) <= Duration::from_secs(seconds)
}

/// For `no-healthy-upstream`: an empty cluster.
pub(super) fn no_endpoint(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.sign == Sign::NoHealthyUpstream).then_some(())?;
    let service = seen.request.service();
    Some(match why_empty(view, seen) {
        Empty::Gone(event, shows) => {
            seen.fill(Verdict::certain(&service), "no endpoint is usable (UH)").because(event, shows)
        }
        Empty::Unsaid if seen.is_outside() => seen
            .fill(Verdict::possible(&service), "no endpoint is usable (UH)")
            .settle_by("kubectl get serviceentry -A -o yaml: which resolution and endpoints has this host?"),
        Empty::Unsaid => seen.fill(Verdict::likely(&service), "no endpoint is usable (UH)"),
        Empty::Ejected(..) | Empty::Subset(..) => {
            let mut weaker = seen.fill(Verdict::likely(&service), "no endpoint is usable (UH)");
            weaker.confidence = Confidence::Possible;
            weaker.settle_by("kubectl get endpointslices of the service: are there ready addresses?")
        }
    })
}

/// For `eastwest-gateway-misconfigured`: a door that does not know the service asked for, seen from either side of it.
pub(super) fn door_does_not_know(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let request = seen.request;
    let why = "it does not pass on the service it was asked for";
    let at_door = request.downstream_local.as_ref().filter(|addr| addr.port == 15443);
    if let (Sign::NoFilterChain, Some(door)) = (seen.sign, at_door) {
        let asked = if request.sni.is_empty() { "no server name" } else { &*request.sni };
        return Some(
            seen.fill(Verdict::likely(&door.to_string()), "no filter chain at the gateway for what was asked")
                .slot("gateway", door)
                .slot("why", format!("it has no way for {asked}")),
        );
    }
    let door = request.upstream.as_ref().filter(|_| seen.to_eastwest_gateway() && seen.sign == Sign::Closed)?;
    (!seen.took_long() && !seen.passed_before(view)).then(|| {
        seen.fill(Verdict::likely(&door.to_string()), "the gateway hung up on the call at once")
            .slot("gateway", door)
            .slot("why", why)
            .settle_by("the gateway's own access log: NR filter_chain_not_found on 15443 means not exposed")
    })
}

/// For `pod-ip-unreachable`: a pod of another cluster, dialled directly.
pub(super) fn foreign_pod(view: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let failed =
        matches!(seen.sign, Sign::ConnectTimedOut | Sign::HostUnreachable | Sign::Refused | Sign::ConnectFailed);
    failed.then_some(())?;
    let (event, addr) = requests::elsewhere(view, seen)?;
    Some(
        seen.fill(Verdict::likely(&addr.host), "the proxy dials the pod's own address")
            .because(event, "the address belongs to another cluster")
            .cluster(&event.origin.cluster)
            .slot("far", &event.origin.cluster)
            .says("{addr} is a pod of {far}, dialled directly, and does not answer from here"),
    )
}

/// For `hbone-blocked`: a tunnel that does not come to be.
pub(super) fn tunnel_fails(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let upstream = seen.request.upstream.as_ref().filter(|_| seen.over_hbone() && !seen.request.is_inbound())?;
    let failed = matches!(seen.sign, Sign::ConnectTimedOut | Sign::HostUnreachable | Sign::Refused);
    failed.then(|| seen.fill(Verdict::likely(&upstream.to_string()), "the tunnel (HBONE, 15008) to the workload fails"))
}

/// For `dns-failure`: a host name that does not resolve.
pub(super) fn name_unresolved(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    let shows = match seen.sign {
        Sign::NameUnresolved => "the proxy could not resolve the host's name",
        // Endpoints of a host outside come from DNS alone.
        Sign::NoHealthyUpstream if seen.is_outside() => {
            "a host outside the mesh has no address: its name does not resolve"
        }
        _ => return None,
    };
    let service = seen.request.service();
    Some(
        seen.fill(Verdict::likely(&service), shows)
            .slot("who", seen.speaker())
            .says("{who} cannot resolve the host of {service}"),
    )
}

/// For `resource-exhaustion`: a proxy that protects itself.
pub(super) fn overloaded(_: &View<'_>, seen: &Seen<'_>) -> Option<Verdict> {
    (seen.sign == Sign::Overload).then_some(())?;
    Some(
        seen.fill(Verdict::likely(&seen.event.origin.file), "the overload manager refused the request")
            .slot("who", seen.speaker())
            .slot("what", "memory or connections")
            .slot("reason", "its overload manager refuses requests"),
    )
}
