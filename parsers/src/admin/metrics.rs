//! Counters and gauges: Prometheus text of every part of a mesh, and Envoy's own `/stats`.
//!
//! A proxy prints tens of thousands of series. Kept are those that causes ask for, and of them the ones that say
//! something: a counter at zero says nothing, a gauge at zero may.

use std::borrow::Cow;

use crate::event::Text;
use crate::state::proxy::Stat;

/// Series kept of one document.
pub const SERIES_MAX: usize = 10_000;

/// The series of a document.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Series {
    /// Those that causes ask for, in their order.
    pub stats: Vec<Stat>,
    /// How many more there were than [`SERIES_MAX`].
    pub left_out: usize,
}

impl Series {
    fn keep(&mut self, stat: Stat) {
        match self.stats.len() < SERIES_MAX {
            true => self.stats.push(stat),
            false => self.left_out += 1,
        }
    }
}

/// When a series is worth keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    /// When it is not zero: counters, and gauges of trouble.
    NotZero,
    /// Always: a gauge whose zero says something.
    Always,
}
use Keep::{Always, NotZero};

/// Envoy's, by their names without what tells series apart. Prometheus text has `envoy_` in front and `_` for the dots.
/// `envoyproxy/envoy`: the statistics of its cluster manager, listener manager and server.
const OF_ENVOY: [(&str, Keep); 31] = [
    ("cluster.upstream_cx_connect_fail", NotZero),
    ("cluster.upstream_cx_connect_timeout", NotZero),
    ("cluster.upstream_cx_connect_attempts_exceeded", NotZero),
    ("cluster.upstream_cx_none_healthy", NotZero),
    ("cluster.upstream_cx_overflow", NotZero),
    ("cluster.upstream_rq_pending_overflow", NotZero),
    ("cluster.upstream_rq_pending_failure_eject", NotZero),
    ("cluster.upstream_rq_maintenance_mode", NotZero),
    ("cluster.upstream_rq_timeout", NotZero),
    ("cluster.ssl.connection_error", NotZero),
    ("cluster.ssl.fail_verify_error", NotZero),
    ("cluster.ssl.fail_verify_san", NotZero),
    ("cluster.ssl.fail_verify_cert_hash", NotZero),
    ("cluster.ssl.fail_verify_no_cert", NotZero),
    ("cluster.outlier_detection.ejections_active", NotZero),
    ("cluster.update_rejected", NotZero),
    ("listener.ssl.connection_error", NotZero),
    ("listener.ssl.fail_verify_error", NotZero),
    ("listener.ssl.fail_verify_san", NotZero),
    ("listener.ssl.fail_verify_no_cert", NotZero),
    ("listener.no_filter_chain_match", NotZero),
    ("http.rds.update_rejected", NotZero),
    ("sds.update_rejected", NotZero),
    ("cluster_manager.cds.update_rejected", NotZero),
    ("cluster_manager.warming_clusters", NotZero),
    ("listener_manager.lds.update_rejected", NotZero),
    ("listener_manager.listener_create_failure", NotZero),
    ("listener_manager.total_listeners_warming", NotZero),
    ("control_plane.connected_state", Always),
    ("server.days_until_first_cert_expiring", Always),
    ("server.state", Always),
];

/// The agent's, ztunnel's and istiod's, by their whole names.
/// `istio/istio: pilot/pkg, security/pkg/server, pkg/istio-agent/metrics`; `istio/ztunnel: src/**/metrics.rs`.
const OF_ISTIO: [(&str, Keep); 77] = [
    ("istio_build", NotZero),
    ("istio_agent_cert_expiry_seconds", Always),
    ("istio_agent_envoy_connection_terminations", NotZero),
    ("istio_agent_istiod_connection_cancellations", NotZero),
    ("istio_agent_istiod_connection_errors", NotZero),
    ("istio_agent_istiod_connection_failures", NotZero),
    ("istio_agent_num_failed_outgoing_requests", NotZero),
    ("istio_agent_num_outgoing_requests", NotZero),
    ("istio_active_proxy_count", Always),
    ("istio_pending_proxy_count", NotZero),
    ("istio_crl_policy_rejections_total", NotZero),
    ("istio_dns_upstream_failures_total", NotZero),
    ("istio_tcp_connections_failed_total", NotZero),
    ("istio_xds_connection_terminations_total", NotZero),
    ("istiod_managed_clusters", Always),
    ("istiod_remote_cluster_sync_status", NotZero),
    ("istiod_uptime_seconds", NotZero),
    ("ambient_istiod_managed_clusters", Always),
    ("ambient_remote_cluster_sync_timeouts_total", NotZero),
    ("remote_cluster_sync_timeouts_total", NotZero),
    ("remote_cluster_secret_events_total", NotZero),
    ("controller_sync_errors_total", NotZero),
    ("provider_lookup_cluster_failures", NotZero),
    ("pilot_info", NotZero),
    ("pilot_services", Always),
    ("pilot_virt_services", NotZero),
    ("pilot_xds", Always),
    ("pilot_xds_pushes", NotZero),
    ("pilot_push_triggers", NotZero),
    ("pilot_inbound_updates", NotZero),
    ("pilot_k8s_reg_events", NotZero),
    ("pilot_k8s_cfg_events", NotZero),
    ("pilot_k8s_endpoints_with_no_pods", NotZero),
    ("pilot_k8s_endpoints_pending_pod", NotZero),
    ("pilot_k8s_proxies_with_no_service_targets", NotZero),
    ("pilot_total_xds_rejects", NotZero),
    ("pilot_xds_cds_reject", NotZero),
    ("pilot_xds_eds_reject", NotZero),
    ("pilot_xds_lds_reject", NotZero),
    ("pilot_xds_rds_reject", NotZero),
    ("pilot_total_xds_internal_errors", NotZero),
    ("pilot_xds_expired_nonce", NotZero),
    ("pilot_xds_write_timeout", NotZero),
    ("pilot_xds_recv_max", NotZero),
    ("pilot_xds_push_context_errors", NotZero),
    ("pilot_eds_no_instances", NotZero),
    ("endpoint_no_pod", NotZero),
    ("pilot_endpoint_not_ready", NotZero),
    ("pilot_no_ip", NotZero),
    ("pilot_dns_cluster_without_endpoints", NotZero),
    ("pilot_duplicate_envoy_clusters", NotZero),
    ("pilot_destrule_subsets", NotZero),
    ("pilot_vservice_dup_domain", NotZero),
    ("pilot_conflict_inbound_listener", NotZero),
    ("pilot_conflict_outbound_listener_tcp_over_current_tcp", NotZero),
    ("pilot_total_rejected_configs", NotZero),
    ("pilot_envoy_filter_status", NotZero),
    ("pilot_worker_queue_depth", NotZero),
    ("pilot_sds_certificate_errors_total", NotZero),
    ("citadel_server_csr_count", NotZero),
    ("citadel_server_success_cert_issuance_count", NotZero),
    ("citadel_server_authentication_failure_count", NotZero),
    ("citadel_server_csr_parsing_err_count", NotZero),
    ("citadel_server_id_extraction_err_count", NotZero),
    ("citadel_server_csr_sign_err_count", NotZero),
    ("citadel_server_root_cert_expiry_timestamp", Always),
    ("citadel_server_cert_chain_expiry_timestamp", Always),
    ("citadel_server_root_cert_expiry_seconds", Always),
    ("citadel_server_cert_chain_expiry_seconds", Always),
    ("webhook_patch_attempts_total", NotZero),
    ("webhook_patch_retries_total", NotZero),
    ("webhook_patch_failures_total", NotZero),
    ("sidecar_injection_failure_total", NotZero),
    ("sidecar_injection_requests_total", NotZero),
    ("galley_validation_failed", NotZero),
    ("galley_validation_http_error", NotZero),
    ("galley_validation_config_update_error", NotZero),
];

/// Calls of istiod's gRPC server that did not succeed: `grpc_server_handled_total{grpc_code="Unauthenticated",...}`.
const GRPC_HANDLED: &str = "grpc_server_handled_total";

/// The series of a Prometheus text that causes ask for; see [`series`].
pub fn metrics(text: &str) -> Vec<Stat> {
    series(text).stats
}

/// Reads Prometheus text: `name{label="value",...} 3 [time]`, as istiod (`/metrics`), ztunnel (`/metrics`), the agent and
/// Envoy (`/stats/prometheus`) print it. Envoy's names lose their `envoy_` and get their dots back.
pub fn series(text: &str) -> Series {
    let mut series = Series::default();
    for sample in text.lines().filter_map(sample) {
        if let Some(stat) = wanted(&sample) {
            series.keep(stat);
        }
    }
    series
}

/// Names and values of a series.
type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// A line of Prometheus text.
struct Sample<'a> {
    name: &'a str,
    labels: Labels<'a>,
    value: f64,
}

fn wanted(sample: &Sample<'_>) -> Option<Stat> {
    let (name, keep) = match sample.name.strip_prefix("envoy_") {
        Some(rest) => *OF_ENVOY.iter().find(|(name, _)| is_flattened(rest, name))?,
        None if sample.name == GRPC_HANDLED => {
            let is_ok = |(label, value): &(&str, Cow<'_, str>)| *label == "grpc_code" && value == "OK";
            (!sample.labels.iter().any(is_ok)).then_some((GRPC_HANDLED, NotZero))?
        }
        None => *OF_ISTIO.iter().find(|(name, _)| *name == sample.name)?,
    };
    let label = |(label, value): &(&str, Cow<'_, str>)| {
        (Text::from(label.strip_prefix("envoy_").unwrap_or(label)), Text::from(&**value))
    };
    says_something(keep, sample.value).then(|| Stat {
        name: name.into(),
        labels: sample.labels.iter().map(label).collect(),
        value: sample.value,
    })
}

fn says_something(keep: Keep, value: f64) -> bool {
    value.is_finite() && (keep == Always || value != 0.0)
}

/// Whether a name is another one whose dots became underscores.
fn is_flattened(flat: &str, name: &str) -> bool {
    let same = |(flat, dotted): (u8, u8)| flat == dotted || (flat == b'_' && dotted == b'.');
    flat.len() == name.len() && flat.bytes().zip(name.bytes()).all(same)
}

/// Reads one line; `None` for a comment and for what is no sample.
fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.strip_prefix(' ')?.split(' ');
    let value = words.next()?.parse().ok()?;
    // A time in milliseconds, or an exemplar behind `#`, may follow; words of a sentence may not.
    let follows = words.next().is_none_or(|word| word == "#" || word.parse::<f64>().is_ok());
    follows.then_some(Sample { name, labels, value })
}

/// Labels behind their `{`, and what follows the `}`.
fn labels(mut rest: &str) -> Option<(Labels<'_>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, behind) = rest.split_once("=\"")?;
        if name.is_empty() || !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
            return None;
        }
        let (value, behind) = quoted(behind)?;
        labels.push((name, value));
        rest = behind.strip_prefix(',').map_or(behind, str::trim_start);
    }
}

/// A value up to its closing quote, without the escapes `\\`, `\"` and `\n`.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text[end..].starts_with('"') {
        return Some((text[..end].into(), &text[end + 1..]));
    }
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value.into(), &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            _ => value.push(c),
        }
    }
    None
}

/// Whether text is Prometheus text: every one of its first lines is a sample or a comment about one.
pub(crate) fn is_prometheus(head: &str) -> bool {
    let about = |line: &str| {
        let kind = ["# HELP ", "# TYPE ", "# UNIT "].iter().find_map(|mark| line.strip_prefix(mark));
        let name = kind.and_then(|rest| rest.split(' ').next()).unwrap_or("");
        name.starts_with(|c: char| c.is_ascii_lowercase()) && name.contains('_')
    };
    // A name alone could be a word of a log: a sample has the underscores that all series of a mesh have.
    let is_sample = |line: &str| sample(line).is_some_and(|sample| sample.name.contains('_'));
    let mut seen = 0;
    for line in head.lines().filter(|line| !line.is_empty()).take(16) {
        if !(about(line) || is_sample(line) || line == "# EOF") {
            return false;
        }
        seen += 1;
    }
    seen > 0
}

/// Whether Prometheus text is an istiod's.
pub(crate) fn is_of_istiod(text: &str) -> bool {
    const MARKS: [&str; 7] = [
        "pilot_",
        "citadel_server_",
        "galley_",
        "istiod_",
        "controller_sync_errors_total",
        "remote_cluster_",
        "webhook_",
    ];
    text.lines().any(|line| MARKS.iter().any(|mark| line.starts_with(mark)))
}

/// Reads Envoy's `/stats`: `cluster.outbound|5000||x.ns.svc.cluster.local.upstream_cx_connect_fail: 3`.
pub(super) fn stats_text(text: &str) -> Series {
    let mut series = Series::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        if let Some(stat) = value.trim_end().parse().ok().and_then(|value| stat(name, value)) {
            series.keep(stat);
        }
    }
    series
}

/// A stat of Envoy by its full name, where causes ask for it.
pub(super) fn stat(full: &str, value: f64) -> Option<Stat> {
    let (name, keep, labels) = OF_ENVOY.iter().find_map(|(name, keep)| Some((*name, *keep, parts(full, name)?)))?;
    says_something(keep, value).then(|| Stat { name: name.into(), labels, value })
}

/// What stands between the words of a name: the cluster of `cluster.<cluster>.upstream_cx_connect_fail`.
fn parts(full: &str, name: &str) -> Option<Vec<(Text, Text)>> {
    let (group, stat) = name.split_once('.')?;
    let rest = full.strip_prefix(group)?.strip_prefix('.')?;
    let label = |label: &str, value: &str| (Text::from(label), Text::from(value.trim_end_matches(';')));
    let middle = |label_name: &str| {
        let value = rest.strip_suffix(stat)?.strip_suffix('.')?;
        Some(vec![label(label_name, value)])
    };
    match group {
        "cluster" => middle("cluster_name"),
        "listener" => middle("listener_address"),
        "sds" => middle("secret"),
        "http" => {
            // `http.<prefix>.rds.<route>.update_rejected`
            let (prefix, route) = rest.split_once(".rds.")?;
            let route = route.strip_suffix(stat.strip_prefix("rds")?)?;
            Some(vec![label("http_conn_manager_prefix", prefix), label("rds_route_config", route)])
        }
        _ => (rest == stat).then(Vec::new),
    }
}

/// Whether text is Envoy's `/stats`: every one of its first lines is a name with dots and a number.
pub(super) fn is_stats(head: &str) -> bool {
    const GROUPS: [&str; 18] = [
        "access_log_file",
        "cluster",
        "cluster_manager",
        "control_plane",
        "dns",
        "filesystem",
        "http",
        "http1",
        "http2",
        "istio",
        "listener",
        "listener_manager",
        "main_thread",
        "runtime",
        "sds",
        "server",
        "vhost",
        "workers",
    ];
    let mut known = 0;
    for line in head.lines().filter(|line| !line.is_empty()).take(16) {
        let Some(group) = group_of(line) else { return false };
        known += usize::from(GROUPS.contains(&group));
    }
    known > 0
}

/// The first word of a line's name, where the line is shaped as a stat.
fn group_of(line: &str) -> Option<&str> {
    let (name, value) = line.split_once(": ")?;
    let value = value.trim_end();
    let is_number = value.parse::<u64>().is_ok();
    let is_value = is_number || value.starts_with("P0(") || value.starts_with('"') || value == "No recorded values";
    let is_name = name.contains('.') && !name.contains(char::is_whitespace);
    (is_name && is_value).then(|| name.split('.').next())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stats: &[Stat]) -> Vec<String> {
        let label = |(name, value): &(Text, Text)| format!("{name}={value}");
        let said = |stat: &Stat| {
            let labels: Vec<String> = stat.labels.iter().map(label).collect();
            format!("{} [{}] {}", stat.name, labels.join(" "), stat.value)
        };
        stats.iter().map(said).collect()
    }

    const OF_ISTIOD: &str = "\
# HELP controller_sync_errors_total Total number of errorMetric syncing controllers.
# TYPE controller_sync_errors_total counter
controller_sync_errors_total{cluster=\"west\"} 42
# HELP go_goroutines Number of goroutines that currently exist.
# TYPE go_goroutines gauge
go_goroutines 912
# HELP istiod_managed_clusters Number of clusters managed by istiod
# TYPE istiod_managed_clusters gauge
istiod_managed_clusters{cluster_type=\"local\"} 1
istiod_managed_clusters{cluster_type=\"remote\"} 0
# TYPE grpc_server_handled_total counter
grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"CreateCertificate\",grpc_service=\"istio.v1.auth.IstioCertificateService\",grpc_type=\"unary\"} 31
grpc_server_handled_total{grpc_code=\"Unauthenticated\",grpc_method=\"CreateCertificate\",grpc_service=\"istio.v1.auth.IstioCertificateService\",grpc_type=\"unary\"} 7
# TYPE pilot_proxy_convergence_time histogram
pilot_proxy_convergence_time_bucket{le=\"0.1\"} 1042
pilot_xds_lds_reject{err=\"Internal:Error adding/updating listener(s) 0.0.0.0_8443: \\\"bad\\\" chain\\nx\",node=\"gw-1.istio-system\"} 1
pilot_total_xds_rejects{type=\"cds\"} 0
citadel_server_root_cert_expiry_timestamp 2.09574e+09
webhook_patch_failures_total{name=\"istio-sidecar-injector\",reason=\"webhook_config_not_found\"} 3 1772434800000
";

    #[test]
    fn series_of_istiod_that_say_something_are_kept() {
        assert_eq!(
            said(&metrics(OF_ISTIOD)),
            [
                "controller_sync_errors_total [cluster=west] 42",
                "istiod_managed_clusters [cluster_type=local] 1",
                "istiod_managed_clusters [cluster_type=remote] 0",
                "grpc_server_handled_total [grpc_code=Unauthenticated grpc_method=CreateCertificate \
                 grpc_service=istio.v1.auth.IstioCertificateService grpc_type=unary] 7",
                "pilot_xds_lds_reject [err=Internal:Error adding/updating listener(s) 0.0.0.0_8443: \"bad\" chain\nx \
                 node=gw-1.istio-system] 1",
                "citadel_server_root_cert_expiry_timestamp [] 2095740000",
                "webhook_patch_failures_total [name=istio-sidecar-injector reason=webhook_config_not_found] 3",
            ]
        );
        assert!(is_prometheus(OF_ISTIOD) && is_of_istiod(OF_ISTIOD));
    }

    #[test]
    fn envoys_two_forms_of_a_stat_agree() {
        let text = "cluster.outbound|5000||helloworld.sample.svc.cluster.local;.upstream_cx_connect_fail: 3\n\
                    cluster.outbound|5000||helloworld.sample.svc.cluster.local;.upstream_cx_connect_timeout: 0\n\
                    cluster.xds-grpc.ssl.fail_verify_error: 2\n\
                    cluster_manager.cds.update_rejected: 1\n\
                    control_plane.connected_state: 0\n\
                    http.outbound_0.0.0.0_80;.rds.80.update_rejected: 4\n\
                    listener.0.0.0.0_15443.ssl.connection_error: 9\n\
                    server.version: 11\n\
                    http.admin.downstream_rq_time: P0(nan,0) P25(nan,0)\n";
        let prometheus = "# TYPE envoy_cluster_upstream_cx_connect_fail counter\n\
             envoy_cluster_upstream_cx_connect_fail{cluster_name=\"outbound|5000||helloworld.sample.svc.cluster.local\"} 3\n\
             envoy_cluster_ssl_fail_verify_error{envoy_cluster_name=\"xds-grpc\"} 2\n\
             envoy_cluster_manager_cds_update_rejected{} 1\n\
             envoy_control_plane_connected_state{} 0\n\
             envoy_http_rds_update_rejected{http_conn_manager_prefix=\"outbound_0.0.0.0_80\",rds_route_config=\"80\"} 4\n\
             envoy_listener_ssl_connection_error{listener_address=\"0.0.0.0_15443\"} 9\n";
        assert!(is_stats(text) && is_prometheus(prometheus) && !is_of_istiod(prometheus));
        let of_text = stats_text(text).stats;
        assert_eq!(
            said(&of_text),
            [
                "cluster.upstream_cx_connect_fail [cluster_name=outbound|5000||helloworld.sample.svc.cluster.local] 3",
                "cluster.ssl.fail_verify_error [cluster_name=xds-grpc] 2",
                "cluster_manager.cds.update_rejected [] 1",
                "control_plane.connected_state [] 0",
                "http.rds.update_rejected [http_conn_manager_prefix=outbound_0.0.0.0_80 rds_route_config=80] 4",
                "listener.ssl.connection_error [listener_address=0.0.0.0_15443] 9",
            ]
        );
        assert_eq!(said(&of_text), said(&metrics(prometheus)));
    }

    #[test]
    fn series_beyond_the_limit_are_counted() {
        let text: String =
            (0..SERIES_MAX + 5).map(|n| format!("pilot_total_xds_rejects{{type=\"t{n}\"}} 1\n")).collect();
        let series = series(&text);
        assert_eq!((series.stats.len(), series.left_out), (SERIES_MAX, 5));
    }

    #[test]
    fn logs_are_no_metrics() {
        for log in [
            "2026-03-02T00:00:00Z\tinfo\tads\tPush debounce stable[1]\n",
            "# a note of mine\nname 3\n",
            "retrying: 3\n",
            "error_count 3 seen today\n",
            "10.0.0.1: 5\n",
            "warn: cluster.x failed: 3\n",
        ] {
            assert!(!is_prometheus(log) && !is_stats(log), "{log}");
        }
    }

    #[test]
    fn no_piece_of_a_metric_panics() {
        let line = "pilot_xds_lds_reject{err=\"é\\\"\\n\",node=\"a\"} 1 2";
        for end in (0..line.len()).filter(|end| line.is_char_boundary(*end)) {
            metrics(&line[..end]);
            stats_text(&line[..end]);
        }
    }
}
