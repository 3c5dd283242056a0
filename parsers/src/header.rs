//! What stands in front of a message: time, level, scope; and the fields behind it. Console and JSON forms of istiod,
//! the agent, Envoy's application log, ztunnel, klog.
//!
//! Sources: `istio/istio: pkg/log/`, `istio/ztunnel: src/telemetry.rs`, `envoyproxy/envoy: source/common/common/logger.cc`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};

use crate::event::Level;
use crate::signature::{Fields, Said};
use crate::time::{self, Time};

/// Which form a header has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Time, level and the rest in columns.
    Console,
    /// One JSON object.
    Json,
    /// klog: `E0102 15:04:05.000000 1 file.go:12] text`.
    Klog,
    /// No header: the whole record is the message.
    Bare,
}

/// Scopes of istiod, the agent and istioctl: field 3 of a console line is one of these or the message already
/// (`istio/istio: pkg/log/scope.go` and its callers).
const SCOPES: &[&str] = &[
    "ads",
    "adsc",
    "ambient",
    "analysis",
    "authn",
    "authorization",
    "ca",
    "cache",
    "citadelclient",
    "cli",
    "cni",
    "cni-agent",
    "cni-plugin",
    "controllers",
    "default",
    "delta",
    "deltaadsc",
    "dns",
    "ebpf",
    "file",
    "fullpush",
    "gateway",
    "gatewaycommon",
    "gcecred",
    "googleca",
    "googlecas",
    "grpc",
    "grpcgen",
    "hbone",
    "healthcheck",
    "install",
    "ip-autoallocate",
    "iptables",
    "klog",
    "krt",
    "kube",
    "model",
    "monitor",
    "monitoring",
    "pkica",
    "pkira",
    "probes",
    "processing",
    "push",
    "repair",
    "rootcertrotator",
    "sds",
    "secretcontroller",
    "secretfetcher",
    "security",
    "serverca",
    "serviceentry",
    "simulation",
    "spiffe",
    "status",
    "stsclient",
    "stsserver",
    "tag-watcher",
    "token",
    "trustBundle",
    "untaint",
    "validation",
    "validationController",
    "validationServer",
    "wasm",
    "wle",
    "xdsproxy",
];

/// ztunnel's targets without a path.
pub(crate) const TARGETS: &[&str] = &[
    "access",
    "state",
    "proxy",
    "xds",
    "app",
    "drain",
    "dns",
    "cert_fetcher",
    "proxyfactory",
    "readiness",
    "telemetry",
    "ztunnel",
    "hyper_util",
    "socket",
];

fn is_scope(word: &str) -> bool {
    SCOPES.contains(&word) || TARGETS.contains(&word)
}

/// Messages whose first word is also the name of a scope.
const BEGIN_MESSAGES: &[&str] =
    &["processing secret event", "processing remote config", "gateway has zero", "gateway weight", "proxy "];

/// Label keys that istiod puts behind a message; where TABs were turned into blanks, the tail begins at the first of them.
const LABELS: &[&str] = &[
    "cluster",
    "secret",
    "config",
    "name",
    "attempt",
    "controller",
    "client",
    "target",
    "node",
    "type",
    "path",
    "pod",
    "webhook",
    "resource version",
    "runtime",
    "owner",
    "thread",
    "error",
    "latency",
    "ttl",
    "time",
    "size",
    "removes",
    "id",
];

/// Reads the header of a record. Always succeeds: without a header the whole record is the message.
pub fn read(text: &str, outer_at: Option<Time>) -> (Said<'_>, Form) {
    let trimmed = text.trim_start_matches([' ', '\t']);
    // Up to Istio 1.6 the agent put the epoch in front of Envoy's lines.
    let epoch = trimmed.strip_prefix("[Envoy (Epoch ").and_then(|rest| rest.split_once(")] "));
    let trimmed = epoch.map_or(trimmed, |(_, line)| line);
    if trimmed.starts_with('{')
        && let Some(said) = json(trimmed, outer_at)
    {
        return (said, Form::Json);
    }
    if let Some(said) = bracketed(trimmed, outer_at) {
        return (said, Form::Console);
    }
    if let Some(said) = console(trimmed, outer_at) {
        return (said, Form::Console);
    }
    if let Some(said) = klog(trimmed, outer_at) {
        return (said, Form::Klog);
    }
    let said = Said {
        at: outer_at,
        level: Level::Info,
        scope: Cow::Borrowed(""),
        spans: Cow::Borrowed(""),
        message: Cow::Borrowed(trimmed),
        fields: Vec::new(),
    };
    (said, Form::Bare)
}

/// `2026-11-21T04:01:19.718048Z⇥info⇥[scope⇥][caller⇥]message[⇥labels]`, also without the time, also with blanks for TABs.
fn console(text: &str, outer_at: Option<Time>) -> Option<Said<'_>> {
    let (at, rest) = match time::rfc3339(text.as_bytes()) {
        Some((at, used)) => (Some(at), &text[used..]),
        None => (outer_at, text),
    };
    let dated = rest.len() < text.len();
    let rest = if dated { rest.strip_prefix(['\t', ' ', '\n'])? } else { rest };
    let rest = rest.trim_start_matches(['\t', ' ', '\n']);
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let level = Level::from_word(&rest[..end])?;
    let after = &rest[end..];
    let gap = after.len() - after.trim_start_matches(['\t', ' ']).len();
    // `error: could not ...` is a sentence of some tool, not a level column.
    if gap == 0 || (!dated && !after.starts_with('\t') && gap < 2 && !known_scope_follows(after)) {
        return None;
    }
    let body = after.trim_start_matches(['\t', ' ']);
    let (scope, spans, body) = scope_of(body, after.starts_with('\t'));
    let (message, fields) = tail(body, &scope);
    Some(Said { at, level, scope, spans, message, fields })
}

fn known_scope_follows(after: &str) -> bool {
    let word = after.trim_start().split([' ', '\t']).next().unwrap_or("");
    is_scope(word) || word.contains("::") || word == "envoy"
}

/// Splits the scope column off: `scope⇥message`, `target:span{..}⇥message`, `envoy config file.cc:12⇥message`,
/// ztunnel up to 1.21 `span{..}: target: message`.
fn scope_of(body: &str, tabbed: bool) -> (Cow<'_, str>, Cow<'_, str>, &str) {
    let none = (Cow::Borrowed(""), Cow::Borrowed(""), body);
    if let Some(rest) = body.strip_prefix("envoy ") {
        let component_end = rest.find([' ', '\t']).unwrap_or(rest.len());
        let component = &rest[..component_end];
        let message = rest[component_end..].trim_start_matches([' ', '\t']);
        // `external/envoy/source/...h:201⇥message`, only in newer versions.
        let first = message.split(['\t', ' ']).next().unwrap_or("");
        let is_place = first.contains(".cc:") || first.contains(".h:");
        let message = if is_place { message[first.len()..].trim_start_matches(['\t', ' ']) } else { message };
        return (Cow::Owned(format!("envoy {component}")), Cow::Borrowed(""), message);
    }
    let Some(end) = scope_end(body) else { return none };
    let column = &body[..end];
    let after = &body[end..];
    let rest = after.trim_start_matches([':']).trim_start_matches(['\t', ' ']);
    let name_end = column
        .find(['{', ':'])
        .map_or(column.len(), |at| if column[at..].starts_with("::") { target_end(column) } else { at });
    let (name, spans) = (&column[..name_end], column[name_end..].trim_start_matches(':'));
    // Up to 1.21 the spans come first: `xds{id=1}: ztunnel::xds::client: message`.
    if !spans.is_empty() && after.starts_with(": ") {
        let target = rest.split(": ").next().unwrap_or("");
        if target.contains("::") && !target.contains(' ') {
            let message = rest[target.len()..].trim_start_matches(": ");
            return (Cow::Owned(target.trim_start_matches("ztunnel::").to_string()), Cow::Borrowed(column), message);
        }
    }
    let name = name.trim_start_matches("ztunnel::");
    // Where TABs separate the columns, a scope's name before a blank is the message's first word: `processing secret`.
    let a_word =
        spans.is_empty() && after.starts_with(' ') && (tabbed || BEGIN_MESSAGES.iter().any(|w| body.starts_with(w)));
    let listed = is_scope(name) && !a_word;
    if listed || name.contains("::") || after.starts_with('\t') && is_scope_word(name) {
        return (Cow::Borrowed(name), Cow::Borrowed(spans), rest);
    }
    none
}

/// Where a target such as `xds::client` ends in `xds::client:xds{id=1}`.
fn target_end(column: &str) -> usize {
    let bytes = column.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b':' if bytes.get(at + 1) == Some(&b':') => at += 2,
            b':' | b'{' => return at,
            _ => at += 1,
        }
    }
    at
}

fn is_scope_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
}

/// The end of the scope column: at the first TAB or blank outside braces.
fn scope_end(body: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in body.bytes().enumerate().take(512) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'\t' => return (at > 0).then_some(at),
            b' ' if depth == 0 => {
                let column = body[..at].trim_end_matches(':');
                return (at > 0).then_some(column.len());
            }
            _ => {}
        }
    }
    None
}

/// Splits the fields off the message's end.
fn tail<'a>(body: &'a str, scope: &str) -> (Cow<'a, str>, Fields<'a>) {
    if scope == "access" || scope == "dns" {
        for text in ["connection complete", "connection failed", "connection opened"] {
            if let Some(rest) = body.strip_prefix(text) {
                return (Cow::Borrowed(text), fields(rest));
            }
        }
    }
    // A caller column stands in front of the message with --log_caller: `pkg/file.go:12⇥message`.
    let body = match body.split_once('\t') {
        Some((caller, rest)) if caller.contains(".go:") && !caller.contains(' ') => rest,
        _ => body,
    };
    if let Some((message, labels)) = body.rsplit_once('\t')
        && (labels.is_empty() || starts_like_field(labels))
    {
        return (Cow::Borrowed(message.trim_end()), fields(labels));
    }
    let begins = LABELS
        .iter()
        .filter_map(|label| body.match_indices(label).find(|(at, _)| is_label_at(body, *at, label)).map(|(at, _)| at))
        .min();
    match begins {
        Some(at) if at > 0 => (Cow::Borrowed(body[..at].trim_end()), fields(&body[at..])),
        _ => (Cow::Borrowed(body.trim_end()), Vec::new()),
    }
}

fn is_label_at(body: &str, at: usize, label: &str) -> bool {
    let bytes = body.as_bytes();
    let before = at.checked_sub(1).map(|at| bytes[at]);
    // Inside quotes or URLs (`?limit=500`, `{ code=...}`) nothing is a label.
    let begins = matches!(before, Some(b' ' | b'\t'));
    begins && bytes.get(at + label.len()) == Some(&b'=') && bytes.get(at + label.len() + 1).is_some_and(|c| *c != b' ')
}

fn starts_like_field(text: &str) -> bool {
    let end = text.find('=').unwrap_or(0);
    end > 0 && end < 64 && text[..end].bytes().all(|c| c.is_ascii_alphanumeric() || b"._- ".contains(&c))
}

/// Reads `key=value key="quoted value" key=value with blanks`. A value without quotes reaches to the next ` key=`.
pub fn fields(text: &str) -> Fields<'_> {
    let mut found: Fields<'_> = Vec::new();
    let mut rest = text.trim();
    while let Some(equals) = rest.find('=') {
        let key = rest[..equals].trim();
        let value = &rest[equals + 1..];
        if let Some(quoted) = value.strip_prefix('"') {
            let (content, used) = unquote(quoted);
            found.push((Cow::Borrowed(key), content));
            rest = quoted[used..].trim_start();
            continue;
        }
        let end = next_key(value).unwrap_or(value.len());
        found.push((Cow::Borrowed(key), Cow::Borrowed(value[..end].trim_end())));
        rest = value[end..].trim_start();
    }
    found
}

/// Where the next ` key=` begins.
fn next_key(value: &str) -> Option<usize> {
    let bytes = value.as_bytes();
    let mut from = 0;
    while let Some(equals) = memchr::memchr(b'=', &bytes[from..]) {
        let equals = from + equals;
        let begin = value[..equals].rfind(|c: char| c.is_whitespace());
        if let Some(begin) = begin {
            let key = &value[begin + 1..equals];
            let is_key = !key.is_empty()
                && key.starts_with(|c: char| c.is_ascii_alphabetic())
                && key.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c));
            if is_key {
                // `resource version=166264`: the key has a blank.
                let begin = if value[..begin].ends_with(" resource") { begin - " resource".len() } else { begin };
                return Some(begin);
            }
        }
        from = equals + 1;
    }
    None
}

/// Reads a Go or Rust string literal without its opening quote: the content, and how many bytes it took with the closing quote.
pub fn unquote(text: &str) -> (Cow<'_, str>, usize) {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut plain = true;
    while at < bytes.len() && bytes[at] != b'"' {
        if bytes[at] == b'\\' {
            plain = false;
            at += 1;
        }
        at += 1;
    }
    let end = at.min(bytes.len());
    let used = (end + 1).min(bytes.len());
    if plain {
        return (Cow::Borrowed(&text[..end]), used);
    }
    (Cow::Owned(unescape(text.get(..end).unwrap_or(text))), used)
}

/// Undoes `\"`, `\\`, `\n`, `\t`, `\r`, `\0`, `\u{hex}`; anything else stays.
pub fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let mut escaped = rest[at + 1..].chars();
        match escaped.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('0') => plain.push('\0'),
            Some('u') if escaped.as_str().starts_with('{') => {
                let code = escaped.as_str()[1..].split('}').next().unwrap_or("");
                if let Some(c) = u32::from_str_radix(code, 16).ok().and_then(char::from_u32) {
                    plain.push(c);
                    rest = escaped.as_str()[1 + code.len()..].strip_prefix('}').unwrap_or("");
                    continue;
                }
                plain.push('u');
            }
            Some(other) => plain.push(other),
            None => {}
        }
        rest = escaped.as_str();
    }
    plain.push_str(rest);
    plain
}

/// Components of Envoy's log that people paste (`envoyproxy/envoy: source/common/common/logger.h`).
const ENVOY_COMPONENTS: &[&str] = &[
    "assert",
    "backtrace",
    "client",
    "config",
    "conn_handler",
    "connection",
    "dns",
    "ext_authz",
    "filter",
    "forward_proxy",
    "hc",
    "http",
    "http2",
    "init",
    "jwt",
    "lua",
    "main",
    "misc",
    "pool",
    "rbac",
    "router",
    "runtime",
    "secret",
    "tracing",
    "upstream",
    "wasm",
];

/// `[2021-03-04 12:00:00.123][22][warning][config] [source/file.cc:101] message`: Envoy's own old form.
fn bracketed(text: &str, outer_at: Option<Time>) -> Option<Said<'_>> {
    let inside = text.strip_prefix('[')?;
    // The time is cut off now and then: `[warning][config] ...`.
    let (at, mut rest) = match time::rfc3339(inside.as_bytes()) {
        Some((at, used)) => (Some(at), inside.get(used..)?.strip_prefix("][")?),
        None => (outer_at, inside),
    };
    let dated = rest.len() < inside.len();
    let mut columns = Vec::new();
    while let Some((column, after)) = rest.split_once(']') {
        columns.push(column);
        match after.strip_prefix('[') {
            Some(next) if columns.len() < 4 => rest = next,
            _ => {
                rest = after;
                break;
            }
        }
    }
    let level = columns.iter().find_map(|column| Level::from_word(column))?;
    let component = columns
        .iter()
        .rev()
        .find(|column| Level::from_word(column).is_none() && !column.starts_with(|c: char| c.is_ascii_digit()))?;
    // Without a time only Envoy's own components tell its lines from those of any other program.
    if !dated && !ENVOY_COMPONENTS.contains(component) {
        return None;
    }
    let rest = rest.trim_start();
    let message = match rest.strip_prefix('[').unwrap_or(rest).split_once("] ") {
        Some((place, message)) if place.contains(".cc:") || place.contains(".h:") => message,
        _ => rest,
    };
    Some(Said {
        at,
        level,
        scope: Cow::Owned(format!("envoy {component}")),
        spans: Cow::Borrowed(""),
        message: Cow::Borrowed(message),
        fields: Vec::new(),
    })
}

/// `E0102 15:04:05.678901       1 file.go:12] message`; the year is that of the transport's time, else 2025.
fn klog(text: &str, outer_at: Option<Time>) -> Option<Said<'_>> {
    let level = match text.as_bytes().first()? {
        b'I' => Level::Info,
        b'W' => Level::Warn,
        b'E' => Level::Error,
        b'F' => Level::Fatal,
        _ => return None,
    };
    let year = outer_at.map_or(2025, |at| at.to_string()[..4].parse().unwrap_or(2025));
    let (at, _) = time::klog(text.as_bytes().get(1..)?, year)?;
    let (_, message) = text.split_once("] ")?;
    Some(Said {
        at: outer_at.or(Some(at)),
        level,
        scope: Cow::Borrowed("klog"),
        spans: Cow::Borrowed(""),
        message: Cow::Borrowed(message),
        fields: Vec::new(),
    })
}

/// One JSON object with a level and a message. Keys may occur twice (istiod's label `time`): the first one wins.
fn json(text: &str, outer_at: Option<Time>) -> Option<Said<'_>> {
    let pairs = json_pairs(text)?;
    let first = |keys: &[&str]| pairs.iter().position(|(key, _)| keys.contains(&&**key));
    let level_at = first(&["level", "severity"])?;
    let message_at = first(&["msg", "message"]);
    let time_at = first(&["time", "timestamp", "ts"]);
    let scope_at = first(&["scope", "logger"]);
    // An access line of ztunnel may lack the message (DNS); anything else without one is not a log record.
    if message_at.is_none() && scope_at.is_none() {
        return None;
    }
    let level = Level::from_word(&pairs[level_at].1).unwrap_or_default();
    let at = time_at.and_then(|at| time::rfc3339(pairs[at].1.as_bytes())).map(|(at, _)| at).or(outer_at);
    let mut scope = scope_at.map_or(String::new(), |at| pairs[at].1.to_string());
    if let Some(target) = scope.strip_prefix("ztunnel::") {
        scope = target.to_string();
    }
    let message = message_at.map_or(Cow::Borrowed(""), |at| pairs[at].1.clone());
    let taken = [Some(level_at), message_at, time_at, scope_at];
    let fields =
        pairs.iter().enumerate().filter(|(at, _)| !taken.contains(&Some(*at))).map(|(_, pair)| pair.clone()).collect();
    Some(Said { at, level, scope: Cow::Owned(scope), spans: Cow::Borrowed(""), message, fields })
}

/// The pairs of a JSON object in order, duplicates kept, values as text; nested values as compact JSON.
pub fn json_pairs(text: &str) -> Option<Fields<'static>> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Fields<'static>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(key) = map.next_key::<String>()? {
                let value = match map.next_value::<serde_json::Value>()? {
                    serde_json::Value::String(text) => text,
                    serde_json::Value::Null => String::new(),
                    other => other.to_string(),
                };
                pairs.push((Cow::Owned(key), Cow::Owned(value)));
            }
            Ok(pairs)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_map(Pairs).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, scope: &str, message: &str, fields: &[(&str, &str)]) {
        let (said, _) = read(text, None);
        let have: Vec<(&str, &str)> = said.fields.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!((&*said.scope, &*said.message, have.as_slice()), (scope, message, fields), "{text}");
    }

    #[test]
    fn console_lines_of_istiod_are_split() {
        check(
            "2026-11-21T04:01:19.718048Z\tinfo\tStarting Istiod Server with primary cluster c1",
            "",
            "Starting Istiod Server with primary cluster c1",
            &[],
        );
        check(
            "2026-11-21T04:01:19.718107Z\tinfo\tAdd cluster\tcluster=c2 secret=istio-system/s",
            "",
            "Add cluster",
            &[("cluster", "c2"), ("secret", "istio-system/s")],
        );
        check(
            "2025-12-04T22:09:22.474517Z warn deltaadsc disconnected, retrying in 24.7s: delta stream: EOF target=peering-c2",
            "deltaadsc",
            "disconnected, retrying in 24.7s: delta stream: EOF",
            &[("target", "peering-c2")],
        );
        check(
            "2025-01-22T06:23:30.910631Z     info    validationController    successfully updated    name=v resource version=1",
            "validationController",
            "successfully updated",
            &[("name", "v"), ("resource version", "1")],
        );
        check(
            "error\taccess\tconnection failed\tsrc.addr=1.2.3.4:5 error=\"a \\\"b\\\" c\"",
            "access",
            "connection failed",
            &[("src.addr", "1.2.3.4:5"), ("error", "a \"b\" c")],
        );
    }

    #[test]
    fn lines_of_ztunnel_and_envoy_are_split() {
        check(
            "2026-11-21T03:30:46.833156Z\tinfo\txds::client:xds{id=1}\tStream established\t",
            "xds::client",
            "Stream established",
            &[],
        );
        check(
            "2023-05-11T08:37:59.078700Z  WARN xds{id=1}: ztunnel::xds::client: XDS client connection error: x",
            "xds::client",
            "XDS client connection error: x",
            &[],
        );
        check(
            "2023-05-04T10:18:55.134527Z     warning envoy config external/envoy/source/common/config/grpc_stream.h:201      Stream closed: 14, x  thread=13",
            "envoy config",
            "Stream closed: 14, x",
            &[("thread", "13")],
        );
        check("[warning][config] [a.cc:126] gRPC config rejected", "envoy config", "gRPC config rejected", &[]);
        check("[warning][config] bazel-out/a.h:70] gRPC config rejected", "envoy config", "gRPC config rejected", &[]);
        check("[warning][billing] nothing of ours", "", "[warning][billing] nothing of ours", &[]);
        check(
            "[Envoy (Epoch 0)] [2020-03-06 14:33:59.538][19][warning][config] [a.h:91] gRPC config stream closed: 13,",
            "envoy config",
            "gRPC config stream closed: 13,",
            &[],
        );
        check(
            "[2021-03-04 12:00:00.123][22][warning][config] [source/a.cc:1] gRPC config rejected",
            "envoy config",
            "gRPC config rejected",
            &[],
        );
    }

    #[test]
    fn of_two_equal_json_keys_the_first_wins() {
        let text = r#"{"level":"info","time":"2026-11-21T04:01:19.734747Z","msg":"waiting for sync...","name":"x","time":"5.01s"}"#;
        let (said, form) = read(text, None);
        assert_eq!(
            (form, said.at.map(|at| at.to_string())),
            (Form::Json, Some("2026-11-21T04:01:19.734Z".to_string()))
        );
        assert_eq!(said.field("time"), Some("5.01s"));
    }

    #[test]
    fn a_sentence_that_begins_with_error_has_no_header() {
        let (said, form) = read("error: could not get access token", None);
        assert_eq!((form, &*said.message), (Form::Bare, "error: could not get access token"));
    }
}
