//! What a failing request shows, for every cause that judges access lines and the sentences callers see.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::access::{self, ClusterName, Flag, Request, Sign};
use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Addr, Event, Fact, Kind};
use meshwhy_parsers::origin::Role;
use meshwhy_parsers::state::State;

use crate::engine::cause::{Confidence, Verdict};
use crate::engine::view::View;

/// A failing request: a line of an access log, or a sentence that says the same without a place.
pub(super) struct Seen<'a> {
    /// Where it was said.
    pub(super) event: &'a Arc<Event>,
    /// What was said.
    pub(super) request: &'a Request,
    /// The one reading of it.
    pub(super) sign: Sign,
}

/// How a cause judges one failing request.
pub(super) type Judge = fn(&View<'_>, &Seen<'_>) -> Option<Verdict>;

/// Judges an access line. Where another line says why the same request failed, that one is judged in its place, and both
/// become one finding.
pub(super) fn judge(view: &View<'_>, event: &Arc<Event>, judge: Judge) -> Option<Verdict> {
    let Fact::Request(request) = &event.fact else { return None };
    let seen = Seen { event, request, sign: request.sign() };
    // Retries that failed like the first try leave a flag of their own.
    let no_flag = seen.request.flags.iter().all(|flag| *flag == Flag::RetryLimitExceeded);
    let passed_on = matches!(seen.sign, Sign::AnsweredError | Sign::TimedOut) && no_flag;
    let Some((event, request)) = passed_on.then(|| seen.reason_line(view)).flatten() else {
        return judge(view, &seen);
    };
    let verdict = judge(view, &Seen { event, request, sign: request.sign() })?;
    Some(verdict.because(seen.event, "this line only passes the failure on"))
}

/// Judges the sentences that callers saw, where no proxy's own line says more. They name neither the proxy nor the
/// upstream, so each verdict is one step weaker than an access line's.
pub(super) fn judge_sentences(view: &View<'_>, judge: Judge) -> Vec<Verdict> {
    if lines_say_more(view) {
        return Vec::new();
    }
    let mut verdicts: Vec<Verdict> = Vec::new();
    for (event, state) in view.states() {
        let State::CallFailed { fault, .. } = state else { continue };
        let Some(request) = access::sentence(&fault.text) else { continue };
        let Some(mut verdict) = judge(view, &Seen { event, request: &request, sign: request.sign() }) else { continue };
        verdict.confidence = match verdict.confidence {
            Confidence::Certain => Confidence::Likely,
            Confidence::Likely => Confidence::Possible,
            // A hint of a hint is none.
            Confidence::Possible => continue,
        };
        verdicts.push(verdict);
    }
    verdicts
}

/// Whether a proxy's own line tells of a failure: then what callers saw adds nothing.
pub(super) fn lines_say_more(view: &View<'_>) -> bool {
    view.events(Kind::Request).chain(view.events(Kind::Connection)).any(is_failing)
}

fn is_failing(event: &Arc<Event>) -> bool {
    match &event.fact {
        Fact::Request(request) => request.is_failure(),
        Fact::Connection(connection) => connection.error.is_some(),
        _ => false,
    }
}

impl<'a> Seen<'a> {
    /// The upstream's port; 0 where none was chosen.
    pub(super) fn upstream_port(&self) -> u16 {
        self.request.upstream.as_ref().map_or(0, |addr| addr.port)
    }

    /// Whether the upstream is an east-west gateway's port for sidecars.
    pub(super) fn to_eastwest_gateway(&self) -> bool {
        self.upstream_port() == 15443 && !self.request.is_inbound()
    }

    /// Whether the upstream is reached through HBONE.
    pub(super) fn over_hbone(&self) -> bool {
        self.request.tunnelled || self.upstream_port() == 15008
    }

    /// Whether a gateway wrote the line: by its origin, else by the port and name a client dialled.
    pub(super) fn at_gateway(&self) -> bool {
        let origin = &*self.event.origin;
        let named = [&origin.pod, &origin.file].iter().any(|name| {
            let base = name.rsplit('/').next().unwrap_or(name);
            base.contains("gateway") || base.contains("ingress") || base.contains("egress")
        });
        let front_port =
            self.request.downstream_local.as_ref().is_some_and(|addr| matches!(addr.port, 443 | 8443 | 10443 | 15443));
        origin.role == Role::Gateway || named || front_port
    }

    /// Whether the upstream is a gateway of the mesh.
    pub(super) fn to_gateway(&self) -> bool {
        let name = self.name_and_namespace().map(|(name, _)| name).unwrap_or_default();
        !self.request.is_inbound() && ["gateway", "ingress", "egress"].iter().any(|word| name.contains(word))
    }

    /// Whether an egress gateway wrote the line.
    pub(super) fn at_egress(&self) -> bool {
        let origin = &*self.event.origin;
        [&origin.pod, &origin.file].iter().any(|name| name.contains("egress"))
    }

    /// Whether a stranger of the Internet called: somebody who asks a gateway for its bare address, for no name at all, or
    /// in no protocol, a few times, while the same gateway serves others by name.
    pub(super) fn is_stranger(&self, view: &View<'_>) -> bool {
        /// A client that is meant to be served and does not name what it wants does so on every call.
        const TRIES_MAX: u64 = 4;
        let request = self.request;
        let names_nothing = match self.sign {
            // CONNECT looks for a proxy that is open to anybody.
            Sign::NoRoute => is_address(&request.authority) || &*request.method == "CONNECT",
            Sign::NoFilterChain => request.sni.is_empty(),
            Sign::ClientProtocol => request.method.is_empty(),
            _ => false,
        };
        let tries = || view.repeats(self.event).map_or(1, |known| known.count);
        // Of a sidecar, only what comes in dials its own address.
        let here = |request: &Request| request.downstream_local.as_ref().map(|addr| addr.host.clone());
        let served_by_name = || -> u64 {
            let served = view.known(Kind::Request).filter(|known| match &known.first.fact {
                Fact::Request(other) => {
                    known.first.origin.file == self.event.origin.file
                        && here(other) == here(request)
                        && matches!(other.cluster, ClusterName::Outbound { .. })
                        && !other.authority.is_empty()
                        && !is_address(&other.authority)
                        && other.sign() == Sign::Served
                }
                _ => false,
            });
            served.map(|known| known.count).sum()
        };
        // Who asks for the address may try some paths of it; nobody tries TLS without a name twice for nothing.
        let as_often = if self.sign == Sign::NoRoute { 1 } else { tries() };
        names_nothing && tries() <= TRIES_MAX && as_often <= served_by_name()
    }

    /// Whether the upstream's cluster is a service of the mesh, as opposed to a host outside.
    pub(super) fn in_mesh(&self) -> bool {
        let host = match &self.request.cluster {
            ClusterName::Outbound { host, .. } | ClusterName::Waypoint { host, .. } => host,
            ClusterName::Inbound { .. } | ClusterName::InboundPassthrough => return true,
            _ => return false,
        };
        host.contains(".svc.") || host.ends_with(".svc") || host.ends_with(".local") || host.ends_with(".global")
    }

    /// Whether the upstream's cluster is a host outside the mesh, as a ServiceEntry names it.
    pub(super) fn is_outside(&self) -> bool {
        matches!(&self.request.cluster, ClusterName::Outbound { host, .. } if host.contains('.')) && !self.in_mesh()
    }

    /// Whether the call lasted at least so long.
    pub(super) fn took(&self, at_least: Duration) -> bool {
        self.request.duration.is_some_and(|duration| duration >= at_least)
    }

    /// Who wrote the line: the pod, else the file.
    pub(super) fn speaker(&self) -> &'a str {
        let origin = &*self.event.origin;
        if origin.pod.is_empty() { &origin.file } else { &origin.pod }
    }

    /// Whether it lasted a second or more: long for a connect that is refused, short for one that times out.
    pub(super) fn took_long(&self) -> bool {
        self.took(Duration::from_secs(1))
    }

    /// The duration in words where it is a round number of a configured time-out, with what the proxy adds.
    pub(super) fn round_duration(&self) -> Option<String> {
        let millis = u64::try_from(self.request.duration?.as_millis()).ok()?;
        let steps: [u64; 4] = [60_000, 5_000, 1_000, 500];
        let round = steps.iter().find_map(|step| {
            let times = millis / step;
            let over = millis - times * step;
            (times > 0 && over <= 20 + times * step / 200).then_some(times * step)
        })?;
        Some(if round % 1_000 == 0 { format!("{} s", round / 1_000) } else { format!("{round} ms") })
    }

    /// Name and namespace of the service, where the host has the cluster's form.
    pub(super) fn name_and_namespace(&self) -> Option<(String, String)> {
        name_and_namespace(&self.request.service())
    }

    /// The subset of the cluster; empty where none.
    pub(super) fn subset(&self) -> &'a str {
        match &self.request.cluster {
            ClusterName::Outbound { subset, .. } => subset,
            _ => "",
        }
    }

    /// Puts what every verdict about a request carries into it: slots, tokens and the line itself, with what it shows.
    pub(super) fn fill(&self, verdict: Verdict, shows: &str) -> Verdict {
        let request = self.request;
        let service = request.service();
        let mut verdict = verdict.because(self.event, shows).slot("service", &service).token(&service);
        if let Some((name, namespace)) = self.name_and_namespace() {
            verdict = verdict.slot("name", name).slot("namespace", namespace);
        }
        if let Some(upstream) = &request.upstream {
            verdict = verdict.slot("upstream", upstream).token(upstream).token(&upstream.host);
            verdict = verdict.slot("addr", upstream).slot("host", &upstream.host).slot("port", upstream.port);
        } else {
            // A client's sentence about its call does not say where the call went.
            verdict = verdict.slot("upstream", "the address called").slot("addr", "the address called");
        }
        if let Some(local) = &request.downstream_local {
            verdict = verdict.slot("local", local);
            if request.is_inbound() || self.sign == Sign::NoFilterChain {
                // On the server's side this is the address that the client's line calls its upstream.
                verdict = verdict.token(local).token(&local.host);
            }
        }
        if request.cluster != ClusterName::None {
            verdict = verdict.slot("cluster", &request.cluster);
        }
        let origin = &*self.event.origin;
        if !origin.pod.is_empty() {
            let proxy = match &*origin.namespace {
                "" => origin.pod.to_string(),
                namespace => format!("{}.{namespace}", origin.pod),
            };
            verdict = verdict.slot("proxy", proxy);
        }
        let client = request.downstream_remote.as_ref().map_or("a caller".to_string(), |addr| addr.host.to_string());
        let own = if origin.cluster.is_empty() { "this cluster" } else { &*origin.cluster };
        verdict = verdict.slot("from", client).slot("to", &service).slot("own", own);
        let took = request.duration.map_or("an unknown time".to_string(), |duration| format!("{duration:?}"));
        let call = match (&*request.method, &*request.path) {
            ("", _) => "the connection".to_string(),
            (method, path) => format!("{method} {}", path.split('?').next().unwrap_or(path)),
        };
        verdict.slot("code", request.code).slot("took", took).slot("call", call).slot("authority", &request.authority)
    }

    /// The subject of a finding about the upstream: the service, and its address where the fault is of that address.
    pub(super) fn upstream_subject(&self) -> String {
        let service = self.request.service();
        match &self.request.upstream {
            Some(upstream) if upstream.to_string() != service => format!("{service} at {upstream}"),
            _ => service,
        }
    }

    /// Earlier lines for the same upstream cluster that had an upstream, in the same file.
    pub(super) fn earlier(&self, view: &View<'a>) -> impl Iterator<Item = (&'a Arc<Event>, &'a Request)> {
        let (file, cluster) = (self.event.origin.file.clone(), self.request.cluster.clone());
        let at = self.event.at;
        requests(view).filter(move |(event, request)| {
            let before = event.at.zip(at).is_none_or(|(theirs, ours)| theirs <= ours);
            event.origin.file == file && request.cluster == cluster && request.upstream.is_some() && before
        })
    }

    /// Whether the same service was answered through the same address: then the way to it is open.
    pub(super) fn passed_before(&self, view: &View<'a>) -> bool {
        requests(view).any(|(_, other)| {
            other.upstream == self.request.upstream
                && other.cluster == self.request.cluster
                && matches!(other.sign(), Sign::Served | Sign::AnsweredError)
        })
    }

    /// The line that says why: of another proxy on the way about the same request, or of this pod's own proxy about the
    /// call that the application made to answer it (the application passes the request id on).
    pub(super) fn reason_line(&self, view: &View<'a>) -> Option<(&'a Arc<Event>, &'a Request)> {
        let request = self.request;
        requests(view).find(|(event, other)| {
            let own_failure = !matches!(other.sign(), Sign::Served | Sign::AnsweredError | Sign::ClientGone);
            let passed_on = other.details.starts_with("via_upstream");
            let same_id = !request.request_id.is_empty() && other.request_id == request.request_id;
            let here = other.is_inbound() || matches!(other.cluster, ClusterName::Waypoint { .. });
            let same_place = here && request.upstream.is_some() && other.downstream_local == request.upstream;
            let same_answer = other.code == request.code && event.origin.file != self.event.origin.file;
            own_failure && !passed_on && (same_id || same_place && same_answer)
        })
    }
}

/// Whether an authority is an address, with or without a port.
fn is_address(authority: &str) -> bool {
    authority.parse::<IpAddr>().is_ok() || authority.parse::<SocketAddr>().is_ok()
}

/// All access lines known, by first mention; of repeats the first and the last.
pub(super) fn requests<'w>(view: &View<'w>) -> impl Iterator<Item = (&'w Arc<Event>, &'w Request)> {
    view.known(Kind::Request).flat_map(|known| [&known.first, &known.last]).filter_map(|event| match &event.fact {
        Fact::Request(request) => Some((event, &**request)),
        _ => None,
    })
}

/// `reviews.default.svc.cluster.local` as name and namespace.
pub(super) fn name_and_namespace(host: &str) -> Option<(String, String)> {
    let host = host.split(':').next().unwrap_or(host);
    let mut parts = host.split('.');
    let (name, namespace) = (parts.next()?, parts.next()?);
    let in_cluster = parts.next().is_none_or(|part| part == "svc");
    (in_cluster && !name.is_empty() && !namespace.is_empty()).then(|| (name.to_string(), namespace.to_string()))
}

/// Why a cluster has no usable endpoint.
pub(super) enum Empty<'w> {
    /// Its hosts failed before and were taken out.
    Ejected(&'w Arc<Event>, &'static str),
    /// The subset selects none of the service's endpoints.
    Subset(&'w Arc<Event>, &'static str),
    /// State says that nothing is there.
    Gone(&'w Arc<Event>, &'static str),
    /// Nothing says why.
    Unsaid,
}

/// Weighs why a cluster has no usable endpoint: state first, then what the log said before.
pub(super) fn why_empty<'w>(view: &View<'w>, seen: &Seen<'w>) -> Empty<'w> {
    let cluster = seen.request.cluster.to_string();
    let (name, subset) = (seen.name_and_namespace().map(|(name, _)| name).unwrap_or_default(), seen.subset());
    let mut pods_of_service = Vec::new();
    let mut has_endpoints = None;
    let mut healthy_elsewhere = None;
    for (event, state) in view.states() {
        match state {
            State::ProxyEndpoint { cluster: of, outlier, .. } if **of == cluster && &**outlier == "FAILED" => {
                return Empty::Ejected(event, "outlier detection has taken this endpoint out");
            }
            State::ProxyEndpoint { cluster: of, status, .. }
                if **of != cluster
                    && &**status == "HEALTHY"
                    && !name.is_empty()
                    && access::cluster(of).host() == seen.request.cluster.host() =>
            {
                healthy_elsewhere = Some(event);
            }
            State::Endpoints { name: of, addresses, .. } if **of == name && !name.is_empty() => {
                if addresses.is_empty() {
                    return Empty::Gone(event, "the service has no endpoints: no ready pod carries its labels");
                }
                has_endpoints = Some(event);
            }
            State::Pod { name: pod, .. } if !name.is_empty() && pod.starts_with(&format!("{name}-")) => {
                pods_of_service.push((event, pod));
            }
            _ => {}
        }
    }
    // A deployment per subset carries the subset's name: `reviews-v1-...`.
    let subset_has_pod = pods_of_service.iter().any(|(_, pod)| pod.contains(&format!("-{subset}-")));
    if let Some((event, _)) = pods_of_service.first().filter(|_| !subset.is_empty() && !subset_has_pod) {
        return Empty::Gone(event, "pods of the service run, but none of this subset");
    }
    let failed_before = seen.earlier(view).find(|(event, request)| {
        event.seq != seen.event.seq
            && !matches!(request.sign(), Sign::Served | Sign::ClientGone | Sign::NoHealthyUpstream)
    });
    if let Some((event, _)) = failed_before {
        return Empty::Ejected(event, "an endpoint of this cluster failed shortly before");
    }
    if !subset.is_empty() && seen.earlier(view).next().is_none() {
        if let Some(event) = healthy_elsewhere.or(has_endpoints) {
            return Empty::Subset(event, "the service itself has endpoints");
        }
        let answered = requests(view).find(|(_, request)| {
            request.cluster != seen.request.cluster
                && request.cluster.host() == seen.request.cluster.host()
                && request.upstream.is_some()
        });
        if let Some((event, _)) = answered {
            return Empty::Subset(event, "other endpoints of the service are there");
        }
    }
    Empty::Unsaid
}

/// Whether saved state shows this address as one of another cluster than the one whose proxy dialled it.
pub(super) fn elsewhere<'w>(view: &View<'w>, seen: &Seen<'_>) -> Option<(&'w Arc<Event>, Addr)> {
    let upstream = seen.request.upstream.as_ref()?;
    let here = &*seen.event.origin.cluster;
    let found = view.states().find(|(event, state)| {
        let foreign = !event.origin.cluster.is_empty() && *event.origin.cluster != *here;
        let holds = match state {
            State::Pod { ip, .. } => **ip == *upstream.host,
            State::Endpoints { addresses, .. } => {
                addresses.iter().any(|known| **known == *upstream.host || **known == *upstream.to_string())
            }
            State::Workload { address, .. } => **address == *upstream.host,
            _ => false,
        };
        foreign && holds
    })?;
    Some((found.0, upstream.clone()))
}

/// What kind of TLS trouble a transport fault is, for causes that share them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TlsTrouble {
    /// No common root, in so many words.
    UnknownRoot,
    /// The verification failed; why is not said.
    Unverified,
    /// Expired.
    Expired,
    /// Not yet valid.
    NotYetValid,
    /// Another name than expected.
    WrongName,
    /// The peer wants a certificate and got none, or one it does not take.
    ClientCertificate,
    /// Plain text reached a port that speaks TLS.
    PlainToTls,
    /// TLS reached a port that speaks plain text.
    TlsToPlain,
    /// Anything else.
    Other,
}

/// Reads a TLS fault of a transport. `in_mesh` tells whether the other side is a proxy of the mesh, which takes any
/// certificate of a common root.
pub(super) fn tls_trouble(what: &What, text: &str, by_peer: bool, in_mesh: bool) -> TlsTrouble {
    match what {
        What::UnknownAuthority | What::SameNameOtherKey => TlsTrouble::UnknownRoot,
        What::Expired => TlsTrouble::Expired,
        What::NotYetValid => TlsTrouble::NotYetValid,
        What::WrongName { .. } => TlsTrouble::WrongName,
        What::NoCertificate => TlsTrouble::ClientCertificate,
        What::NotTls if text.contains("HTTP_REQUEST") || text.contains("268435612") => TlsTrouble::PlainToTls,
        What::NotTls => TlsTrouble::TlsToPlain,
        What::BadCertificate if by_peer && !in_mesh => TlsTrouble::ClientCertificate,
        What::BadCertificate => TlsTrouble::Unverified,
        What::Tls | What::TlsPolicy if by_peer && text.contains("HANDSHAKE_FAILURE") => TlsTrouble::ClientCertificate,
        _ => TlsTrouble::Other,
    }
}

impl Seen<'_> {
    /// The TLS trouble of this request, where that is its sign.
    pub(super) fn tls(&self) -> Option<TlsTrouble> {
        let fault = self.request.transport.as_ref().filter(|_| self.sign == Sign::Tls)?;
        let in_mesh = self.in_mesh() || self.request.cluster == ClusterName::None;
        Some(tls_trouble(&fault.what, &fault.text, fault.by_peer, in_mesh))
    }

    /// Whether the other side said it, by an alert.
    pub(super) fn by_peer(&self) -> bool {
        self.request.transport.as_ref().is_some_and(|fault| fault.by_peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(millis: u64) -> Option<String> {
        let request = Request { duration: Some(Duration::from_millis(millis)), ..Request::default() };
        let event = Arc::new(Event {
            at: None,
            origin: Arc::default(),
            seq: 0,
            number: 1,
            level: meshwhy_parsers::event::Level::Info,
            text: "".into(),
            signature: None,
            fact: Fact::Known,
        });
        Seen { event: &event, request: &request, sign: Sign::TimedOut }.round_duration()
    }

    #[test]
    fn a_duration_near_a_configured_time_out_is_called_by_it() {
        assert_eq!(round(500).as_deref(), Some("500 ms"));
        assert_eq!(round(15_003).as_deref(), Some("15 s"));
        assert_eq!(round(60_012).as_deref(), Some("60 s"));
        assert_eq!(round(7_318), None);
        assert_eq!(round(3), None);
    }

    #[test]
    fn a_service_is_named_only_where_its_host_has_the_clusters_form() {
        let named = |host: &str| name_and_namespace(host).map(|(name, namespace)| format!("{namespace}/{name}"));
        assert_eq!(named("stock.shop.svc.cluster.local").as_deref(), Some("shop/stock"));
        assert_eq!(named("stock.shop:8080").as_deref(), Some("shop/stock"));
        assert_eq!(named("api.partner.example"), None);
        assert_eq!(named("stock"), None);
    }
}
