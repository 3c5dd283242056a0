//! What `meshwhy causes` and `meshwhy explain` tell: the catalogue, one cause, or what a pasted line means.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::bail;
use meshwhy_parsers::access::{Flag, Request};
use meshwhy_parsers::errors::{self, Fault, What};
use meshwhy_parsers::event::{Arrival, Event, Fact, Line};
use meshwhy_parsers::frame::{Framer, Scan};
use meshwhy_parsers::header::{self, Form};
use meshwhy_parsers::origin::Origin;
use meshwhy_parsers::signature::Signature;

use crate::causes;
use crate::config::nearest_hint;
use crate::engine::cause::Within;
use crate::engine::{Engine, Limits};
use crate::outputs::fields::{fields, word};
use crate::outputs::printable;
use crate::outputs::text::wrap;

/// How many records of a pasted text are explained; who pastes more wants `replay`.
pub const RECORDS_MAX: usize = 20;

/// The catalogue as a table: slug, severity, one line each.
pub fn catalogue(width: usize) -> String {
    let widest = causes::ALL.iter().map(|cause| cause.slug.len()).max().unwrap_or(0);
    let mut page = String::new();
    for cause in causes::ALL {
        let indent = widest + 12;
        let lines = wrap(&plain_slots(cause.summary), width.saturating_sub(indent).max(30));
        for (at, line) in lines.iter().enumerate() {
            if at == 0 {
                let _ = writeln!(page, "{:<widest$}  {:<8}  {line}", cause.slug, cause.severity.word());
            } else {
                let _ = writeln!(page, "{:indent$}{line}", "");
            }
        }
    }
    page
}

/// The page of one cause.
pub fn slug(slug: &str, width: usize) -> anyhow::Result<String> {
    let Some(cause) = causes::find(slug) else {
        let hint = nearest_hint(slug, causes::ALL.iter().map(|cause| cause.slug));
        bail!("no cause is called {slug:?}\nhint: {hint}");
    };
    let mut page = Page { width, text: String::new() };
    page.line(&format!("{}  {}", cause.slug, cause.severity.word()));
    page.prose(&plain_slots(cause.summary));
    page.section("What happens", cause.mechanism);
    page.section("What to do", &plain_slots(cause.remedy));
    page.title("How to see that it is fixed");
    page.line(&format!("  {}", plain_slots(cause.verify)));
    let within = |(slug, within): &(&str, Within)| format!("{slug} ({})", within_words(*within));
    page.items("Explains, and then silences", cause.explains.iter().map(within));
    let explainers = causes::ALL.iter().filter(|other| other.explains.iter().any(|(slug, _)| *slug == cause.slug));
    page.items("Is explained by", explainers.map(|other| other.slug.to_string()));
    let lines = meshwhy_parsers::signatures().filter(|signature| signature.points_to.contains(&cause.slug));
    page.items("Lines that can point to it", lines.map(|row| format!("{}: {}", row.name, row.meaning)));
    let samples = cause.hits.iter().map(|name| format!("samples/{name}: here it is the cause"));
    let near_misses = cause.near_misses.iter().map(|name| format!("samples/{name}: looks like it, and is not"));
    page.items("Samples", samples.chain(near_misses));
    Ok(page.text)
}

/// What a pasted text means, record by record.
pub fn line(text: &str, width: usize) -> anyhow::Result<String> {
    let mut records: Vec<Line> = Vec::new();
    let mut framer = Framer::new(Arc::new(Origin::new("", "pasted line")), Scan::Off);
    let mut take = |line: Line| {
        if records.len() < RECORDS_MAX && !line.text.trim().is_empty() {
            records.push(line);
        }
    };
    framer.push(text.as_bytes(), &mut take);
    framer.push(b"\n", &mut take);
    framer.finish(&mut take);
    if records.is_empty() && !text.trim().is_empty() {
        // Told apart as the header of a table, a command or the like: then it is explained as it stands.
        records.push(Line::alone(Origin::new("", "pasted line"), text.trim()));
    }
    if records.is_empty() {
        bail!(
            "cannot explain an empty line\nhint: put the line in single quotes: --line '2026-03-01T09:30:00Z error ...'"
        );
    }
    let mut page = Page { width, text: String::new() };
    for (at, record) in records.iter().enumerate() {
        if at > 0 {
            page.line("");
        }
        page.record(record);
    }
    Ok(page.text)
}

struct Page {
    width: usize,
    text: String,
}

impl Page {
    fn record(&mut self, line: &Line) {
        let event = meshwhy_parsers::parse(line);
        let signature = event.signature.and_then(|name| meshwhy_parsers::signatures().find(|row| row.name == name));
        match (signature, &event.fact) {
            (Some(signature), _) => self.signature(signature),
            (None, Fact::Request(request)) => self.request(request),
            (None, Fact::Connection(_)) => {
                self.row("line", "ztunnel access line: one connection, printed when it ends");
                self.row("printed by", "istio/ztunnel: src/proxy/metrics.rs");
            }
            (None, Fact::Opaque(opaque)) => {
                self.row("line", "no signature knows this line");
                let (said, form) = header::read(&line.text, line.outer_at);
                self.row("format", &format_words(form, &said.scope));
                self.row("template", &opaque.template);
                self.row("", "if it matters to you, write a signature of your own: `meshwhy signatures check --help`");
            }
            (None, fact) => {
                self.row("line", &format!("a row or an answer that a command printed: {}", word(&fact.kind())))
            }
        }
        if let Some(at) = event.at {
            self.row("time", &at.to_string());
        }
        self.row("level", &word(&event.level));
        let read = fields(&event.fact);
        if !matches!(event.fact, Fact::Opaque(_)) {
            for (at, (name, value)) in read.iter().enumerate() {
                self.row(if at == 0 { "read" } else { "" }, &format!("{name} = {value}"));
            }
        }
        if let Some(fault) = fault_of(&event.fact)
            && fault.what != What::Other
        {
            let by = if fault.by_peer { "; the other end found it" } else { "" };
            self.row("error", &format!("{}{by}", errors::meaning(&fault.what)));
        }
        self.points_to(signature, event);
    }

    fn signature(&mut self, signature: &Signature) {
        self.row("signature", signature.name);
        self.row("means", signature.meaning);
        self.row("printed by", signature.printed_by);
        self.row("versions", signature.versions);
    }

    fn request(&mut self, request: &Request) {
        self.row("line", "Envoy access line: one request or connection, printed when it ends");
        self.row("printed by", "istio/istio: pilot/pkg/model/telemetry_logging.go (the default format)");
        self.row("outcome", &word(&request.outcome()));
        for (at, flag) in request.flags.iter().enumerate() {
            let label = if at == 0 { "flags" } else { "" };
            self.row(label, &format!("{}: {}", flag.word(), flag_meaning(flag)));
        }
        for (label, details) in [("details", &request.details), ("termination", &request.termination)] {
            if let Some(meaning) = details_meaning(details) {
                self.row(label, &format!("{details}: {meaning}"));
            }
        }
    }

    /// What the line can point to, and what it says alone.
    fn points_to(&mut self, signature: Option<&Signature>, event: Event) {
        let said: Vec<String> = alone(event);
        let named = |slug: &&str| causes::find(slug).map(|cause| (cause.slug, plain_slots(cause.summary)));
        let mut label = "points to";
        for (slug, summary) in signature.iter().flat_map(|row| row.points_to).filter_map(named) {
            self.row(label, &format!("{slug}: {summary}"));
            label = "";
        }
        let mut label = "alone";
        for text in said {
            self.row(label, &text);
            label = "";
        }
    }

    fn row(&mut self, label: &str, text: &str) {
        const LABEL: usize = 12;
        let text = printable(text);
        for (at, line) in wrap(&text, self.width.saturating_sub(LABEL).max(30)).into_iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            self.line(&format!("{label:<LABEL$}{line}"));
        }
    }

    fn title(&mut self, title: &str) {
        self.line("");
        self.line(title);
    }

    fn section(&mut self, title: &str, text: &str) {
        self.title(title);
        self.prose(text);
    }

    fn prose(&mut self, text: &str) {
        for line in wrap(text, self.width.saturating_sub(2).max(30)) {
            self.line(&format!("  {line}"));
        }
    }

    fn items(&mut self, title: &str, items: impl Iterator<Item = String>) {
        let mut items = items.peekable();
        if items.peek().is_none() {
            return;
        }
        self.title(title);
        for item in items {
            for (at, line) in wrap(&item, self.width.saturating_sub(4).max(30)).into_iter().enumerate() {
                self.line(&format!("  {}{line}", if at == 0 { "- " } else { "  " }));
            }
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// What the causes say of this line alone, as a replay of it would.
fn alone(event: Event) -> Vec<String> {
    let mut engine = Engine::presorted(causes::ALL.to_vec(), Limits::default());
    engine.feed(Arrival::Item(event));
    engine.finish();
    let mut said = Vec::new();
    for finding in engine.findings() {
        said.push(format!("{} ({}): {}", finding.cause.slug, finding.confidence.word(), finding.summary));
        for candidate in &finding.candidates {
            said.push(format!("{} ({}): {}", candidate.slug, candidate.confidence.word(), candidate.summary));
        }
    }
    said
}

/// The nested error of a fact.
fn fault_of(fact: &Fact) -> Option<Fault> {
    match fact {
        Fact::Request(request) => request.transport.clone(),
        Fact::Connection(connection) => connection.error.as_ref().map(|error| errors::fault(&error.text)),
        Fact::Known | Fact::State(_) => None,
        // Every other fact with a fault carries its text as the field `error`.
        other => {
            let error = fields(other).into_iter().find(|(name, _)| *name == "error" || *name == "reason");
            error.map(|(_, text)| errors::fault(&text))
        }
    }
}

fn format_words(form: Form, scope: &str) -> String {
    let form = match form {
        Form::Console => "time, level and message in columns",
        Form::Json => "a JSON record",
        Form::Klog => "klog, as Kubernetes components print",
        Form::Bare => "none that we know: the whole line is the message",
    };
    if scope.is_empty() { form.to_string() } else { format!("{form}; scope {scope}") }
}

fn within_words(within: Within) -> &'static str {
    match within {
        Within::File => "of the same file",
        Within::Cluster => "of the same cluster",
        Within::Token => "of the same address, cluster, service or proxy",
        Within::Mesh => "anywhere in the mesh",
    }
}

/// `{slots}` as `<slots>`: outside a finding they have no value.
fn plain_slots(text: &str) -> String {
    crate::engine::finding::fill(text, &[])
}

/// What a response flag means, and whose side it blames.
fn flag_meaning(flag: &Flag) -> &'static str {
    match flag {
        Flag::NoHealthyUpstream => "the cluster has no endpoint that may be used",
        Flag::UpstreamConnectionFailure => "the connection to the endpoint could not be made: TCP or TLS failed",
        Flag::UpstreamOverflow => "a circuit breaker of the DestinationRule is open: too many connections or requests",
        Flag::NoRoute => "no route fits the request, or for TCP no filter chain fits the connection",
        Flag::RetryLimitExceeded => "all retries failed (HTTP), or all connection attempts (TCP)",
        Flag::NoCluster => "the route names a cluster that this proxy does not have",
        Flag::DurationTimeout => "the connection or request took longer than its maximum duration",
        Flag::DownstreamConnectionTermination => "the caller closed the connection first",
        Flag::LocalHealthCheckFailed => "this proxy is failing its own health check",
        Flag::UpstreamRequestTimeout => "the endpoint did not answer within the route's timeout",
        Flag::LocalReset => "this proxy reset the connection itself",
        Flag::UpstreamRemoteReset => "the endpoint reset the stream",
        Flag::UpstreamConnectionTermination => "the endpoint closed the connection amid the request",
        Flag::DelayInjected => "a configured fault delayed the request",
        Flag::FaultInjected => "a configured fault aborted the request",
        Flag::RateLimited => "a configured rate limit answered",
        Flag::UnauthorizedExternal => "the external authorizer denied, or could not be asked",
        Flag::RateLimitServiceError => "the rate-limit service could not be asked",
        Flag::InvalidHeader => "a header that is checked strictly has an invalid value",
        Flag::StreamIdleTimeout => "nothing moved on the stream for the idle timeout",
        Flag::DownstreamProtocolError => {
            "the caller broke the protocol: often plain text against TLS, or HTTP/1 against HTTP/2"
        }
        Flag::UpstreamProtocolError => "the endpoint broke the protocol: often a wrong port name or appProtocol",
        Flag::MaxStreamDuration => "the stream reached its maximum duration",
        Flag::ResponseFromCache => "a cache answered",
        Flag::NoFilterConfig => "the configuration of a filter did not come in time",
        Flag::OverloadManager => "this proxy is overloaded and refuses",
        Flag::DnsFailure => "the name of the endpoint did not resolve",
        Flag::DropOverload => "dropped by a drop-overload policy",
        Flag::DownstreamRemoteReset => "the caller reset the stream",
        Flag::Other(_) => "a flag that we do not know",
    }
}

/// What response code details or termination details mean; the braces hold what varies.
fn details_meaning(details: &str) -> Option<&'static str> {
    const MEANINGS: &[(&str, &str)] = &[
        ("via_upstream", "the application answered; the code is its own"),
        ("upstream_reset_before_response_started", "the connection to the endpoint ended before it answered"),
        ("upstream_reset_after_response_started", "the connection to the endpoint ended amid its answer"),
        ("upstream_response_timeout", "the endpoint did not answer within the route's timeout"),
        ("upstream_per_try_timeout", "no try was answered within the timeout of one try"),
        ("upstream_max_stream_duration_reached", "the stream reached its maximum duration"),
        ("no_healthy_upstream", "the cluster has no endpoint that may be used"),
        ("cluster_not_found", "the route names a cluster that this proxy does not have"),
        ("route_not_found", "no route fits the request"),
        ("filter_chain_not_found", "the listener has no filter chain for this connection: port, SNI or TLS do not fit"),
        ("direct_response", "a route answers by itself: a redirect, a fixed answer, or the block of REGISTRY_ONLY"),
        ("downstream_remote_disconnect", "the caller went away"),
        ("downstream_local_disconnect", "this proxy closed the caller's connection"),
        ("downstream_remote_reset", "the caller reset the stream"),
        ("rbac_access_denied", "an AuthorizationPolicy denied it; the braces name the policy, where one matched"),
        ("jwt_authn_access_denied", "the end user's token was refused"),
        ("ext_authz_denied", "the external authorizer denied it"),
        ("ext_authz_error", "the external authorizer could not be asked"),
        ("fault_filter_abort", "a configured fault answered"),
        ("local_rate_limited", "a configured local rate limit answered"),
        ("request_rate_limited", "the rate-limit service refused it"),
        ("request_overall_timeout", "the whole request did not arrive within request_timeout"),
        ("stream_idle_timeout", "nothing moved on the stream for the idle timeout"),
        ("overload", "this proxy is overloaded and refuses"),
        ("http1.codec_error", "what arrived is not HTTP/1: often TLS or HTTP/2 on a plain port"),
        ("http2.", "the HTTP/2 stream broke the protocol"),
        ("missing_host_header", "the request has no Host or :authority"),
        ("upgrade_failed", "the upgrade (WebSocket, CONNECT) is not allowed here"),
        ("maintenance_mode", "the cluster is in maintenance mode"),
        ("internal_redirect", "an internal redirect answered"),
        ("response_payload_too_large", "the answer is larger than the buffer"),
        ("request_payload_too_large", "the request is larger than the buffer"),
    ];
    MEANINGS.iter().find(|(start, _)| details.starts_with(start)).map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(text: &str) -> String {
        line(text, 100).expect("a line")
    }

    #[test]
    fn an_access_line_is_told_by_its_flags_and_details() {
        let page = explained(
            r#"[2026-03-01T09:30:00.000Z] "GET /a HTTP/1.1" 503 UF upstream_reset_before_response_started{connection_timeout} - "-" 0 91 10000 - "-" "curl/8" "8f0e" "web.shop.svc.cluster.local" "10.8.0.7:8080" outbound|80||web.shop.svc.cluster.local - 10.4.0.9:80 10.4.0.3:50000 - default"#,
        );
        assert!(page.contains("UF: the connection to the endpoint could not be made"), "{page}");
        assert!(page.contains("before it answered"), "{page}");
        assert!(page.contains("upstream = 10.8.0.7:8080"), "{page}");
    }

    #[test]
    fn an_unknown_line_is_said_to_be_unknown_with_its_format_and_template() {
        let page = explained("2026-03-01T09:30:00.000000Z\terror\tads\tthe frobnicator lost 12 widgets");
        assert!(page.contains("no signature knows this line"), "{page}");
        assert!(page.contains("the frobnicator lost # widgets"), "{page}");
        assert!(page.contains("scope ads"), "{page}");
    }

    #[test]
    fn every_example_of_every_signature_is_explained_by_its_name() {
        for signature in meshwhy_parsers::signatures() {
            for example in signature.examples {
                let page = explained(example);
                assert!(page.contains("means") || page.contains("line  "), "{example}\n{page}");
            }
        }
    }

    #[test]
    fn secrets_of_a_pasted_line_are_not_printed_back() {
        let page = explained("2026-03-01T09:30:00Z\terror\tgot password: hunter2 for it");
        assert!(!page.contains("hunter2"), "{page}");
    }
}
