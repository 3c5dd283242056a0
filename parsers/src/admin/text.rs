//! The plain text of `/clusters` and `/listeners`.

use super::fold::{Fold, locality_text};
use crate::event::{Addr, Text};
use crate::state::proxy::{ProxyCluster, ProxyEndpoint, ProxyListener};

/// Lines at the begin of a text that must all have its form.
const LINES: usize = 16;

/// Whether text is Envoy's `/clusters`, or some of its lines.
pub(super) fn is_clusters(head: &str) -> bool {
    let mut lines = head.lines().filter(|line| !line.is_empty()).take(LINES).peekable();
    lines.peek().is_some() && lines.all(|line| fact(line).is_some())
}

/// Whether text is Envoy's `/listeners`.
pub(super) fn is_listeners(head: &str) -> bool {
    let mut lines = head.lines().filter(|line| !line.is_empty()).take(LINES).peekable();
    lines.peek().is_some() && lines.all(|line| listener(line).is_some_and(|(_, addr)| addr.ip().is_some()))
}

/// Reads `/clusters`: `outbound|5000||helloworld.sample.svc.cluster.local::10.10.0.11:5000::health_flags::healthy`.
/// The lines of an endpoint follow one another.
pub(super) fn clusters(text: &str, fold: &mut Fold) {
    let mut of: (&str, &str) = ("", "");
    let mut endpoint: Option<Told> = None;
    let mut unread = 0usize;
    fold.state.endpoints.get_or_insert_default();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let Some(fact) = fact(line) else {
            unread += 1;
            continue;
        };
        if of.0 != fact.cluster {
            fold.keep_cluster(ProxyCluster { name: fact.cluster.into(), ..ProxyCluster::default() });
        }
        if of != (fact.cluster, fact.addr) {
            flush(endpoint.take(), fold);
            of = (fact.cluster, fact.addr);
        }
        if fact.addr.is_empty() {
            continue;
        }
        endpoint.get_or_insert_with(|| Told::new(&fact)).hear(fact.key, fact.value);
    }
    flush(endpoint, fold);
    if unread > 0 {
        fold.lose(format!("{unread} lines are none of /clusters"));
    }
}

fn flush(endpoint: Option<Told>, fold: &mut Fold) {
    let Some(told) = endpoint else { return };
    let locality = locality_text(&told.region, &told.zone, &told.sub_zone);
    fold.keep_endpoint(ProxyEndpoint { locality, ..told.endpoint });
}

/// An endpoint as far as its lines were read.
struct Told {
    endpoint: ProxyEndpoint,
    region: Text,
    zone: Text,
    sub_zone: Text,
}

impl Told {
    fn new(fact: &Fact<'_>) -> Told {
        let endpoint =
            ProxyEndpoint { cluster: fact.cluster.into(), addr: addr(fact.addr), ..ProxyEndpoint::default() };
        Told { endpoint, region: Text::default(), zone: Text::default(), sub_zone: Text::default() }
    }

    fn hear(&mut self, key: &str, value: &str) {
        match key {
            "cx_connect_fail" => self.endpoint.connect_failures = value.parse().ok(),
            "cx_total" => self.endpoint.connects = value.parse().ok(),
            "health_flags" => {
                // `healthy`, or a row of flags: `/failed_eds_health/failed_outlier_check`.
                let has = |flag: &str| value.split('/').any(|word| word == flag);
                self.endpoint.ejected = has("failed_outlier_check");
                self.endpoint.health = match () {
                    () if has("failed_eds_health") || has("failed_active_hc") => "UNHEALTHY".into(),
                    () if has("eds_status_draining") => "DRAINING".into(),
                    () if has("degraded_eds_health") || has("degraded_active_hc") => "DEGRADED".into(),
                    () => "HEALTHY".into(),
                };
            }
            "priority" => self.endpoint.priority = value.parse().unwrap_or(0),
            "region" => self.region = value.into(),
            "zone" => self.zone = value.into(),
            "sub_zone" => self.sub_zone = value.into(),
            _ => {}
        }
    }
}

/// What a line says of a cluster or of one of its endpoints.
struct Fact<'a> {
    cluster: &'a str,
    /// Empty where the line speaks of the cluster.
    addr: &'a str,
    key: &'a str,
    value: &'a str,
}

/// `envoyproxy/envoy: source/server/admin/clusters_renderer.cc`
const OF_CLUSTER: [&str; 13] = [
    "added_via_api",
    "eds_service_name",
    "observability_name",
    "max_connections",
    "max_connection_pools",
    "max_pending_requests",
    "max_requests",
    "max_retries",
    "retry_budget",
    "success_rate_average",
    "success_rate_ejection_threshold",
    "local_origin_success_rate_average",
    "local_origin_success_rate_ejection_threshold",
];

const OF_ENDPOINT: [&str; 10] = [
    "hostname",
    "health_flags",
    "weight",
    "region",
    "zone",
    "sub_zone",
    "canary",
    "priority",
    "success_rate",
    "local_origin_success_rate",
];

fn fact(line: &str) -> Option<Fact<'_>> {
    let (front, value) = line.rsplit_once("::")?;
    let (front, key) = front.rsplit_once("::")?;
    if OF_CLUSTER.contains(&key) {
        let cluster = match front.rsplit_once("::") {
            Some((cluster, "default_priority" | "high_priority" | "outlier")) => cluster,
            _ => front,
        };
        return (!cluster.is_empty()).then_some(Fact { cluster, addr: "", key, value });
    }
    let is_counter = key.starts_with("cx_") || key.starts_with("rq_");
    if !is_counter && !OF_ENDPOINT.contains(&key) {
        return None;
    }
    // `a::[fd00::1]:80`, `a::envoy://connect_originate/[fd00::1]:80`, `a::10.0.0.1:80`, `a::/run/socket`
    let inner = front.find("::envoy://").or_else(|| front.find("::[")).or_else(|| front.rfind("::"))?;
    let (cluster, addr) = (&front[..inner], &front[inner + 2..]);
    (!cluster.is_empty() && !addr.is_empty()).then_some(Fact { cluster, addr, key, value })
}

/// An address as Envoy prints it; that of an internal listener stands for the one behind its name.
fn addr(text: &str) -> Addr {
    let inner = text.strip_prefix("envoy://").and_then(|rest| rest.split_once('/')).map_or(text, |(_, inner)| inner);
    Addr::parse(inner).unwrap_or_else(|| Addr { host: inner.into(), port: 0 })
}

/// Reads `/listeners`: `virtualInbound::0.0.0.0:15006`.
pub(super) fn listeners(text: &str, fold: &mut Fold) {
    for (name, addr) in text.lines().filter_map(listener) {
        fold.keep_listener(ProxyListener { name: name.into(), addr, ..ProxyListener::default() });
    }
}

fn listener(line: &str) -> Option<(&str, Addr)> {
    let at = line.find("::[").or_else(|| line.rfind("::"))?;
    let (name, addr) = (&line[..at], &line[at + 2..]);
    let fits = !name.is_empty() && !line.contains(char::is_whitespace);
    let addr =
        Addr::parse(addr).or_else(|| addr.strip_prefix("envoy://").map(|name| Addr { host: name.into(), port: 0 }))?;
    fits.then_some((name, addr))
}
