//! What a file holds, told by its first bytes and its path.

use std::borrow::Cow;

use crate::{admin, cert, debug, dump};

/// How many bytes of a file's begin are looked at.
pub const HEAD_MAX: usize = 64 << 10;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines for the framer: logs, tables, transcripts, also JSON log lines and printed JSON access records.
    Log,
    /// ztunnel's `config_dump`.
    ZtunnelDump,
    /// Envoy's `config_dump`.
    EnvoyDump,
    /// Another JSON document.
    Json(Json),
    /// Kubernetes objects as YAML or as `kubectl describe` prints them, or what istioctl prints of a ztunnel.
    Yaml,
    /// Certificates: PEM, DER, or what openssl says of them.
    Certificates,
    /// Another document that [`crate::document::read`] may know: what an Envoy says about itself, metrics.
    Document,
    /// A report of a tool: its lines speak for themselves, and together they say more.
    Report,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// tar.
    Tar,
    /// zip.
    Zip,
    /// A compression we do not read, and the command that undoes it.
    OtherCompressed(&'static str, &'static str),
    /// Something else that is no text.
    Binary,
    /// Nothing, or blanks only.
    Empty,
}

/// A JSON document that is no log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {
    /// A Kubernetes object or list (`"apiVersion"`, `"kind"`).
    Kubernetes,
    /// An object of another kind.
    Object,
    /// An array.
    Array,
}

/// Tells what a file holds from its first bytes (up to [`HEAD_MAX`]) and its path.
pub fn format(head: &[u8], path: &str) -> Format {
    let head = &head[..head.len().min(HEAD_MAX)];
    if let Some(format) = by_magic(head) {
        return format;
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    if text.is_empty() {
        return if head.contains(&0) { Format::Binary } else { Format::Empty };
    }
    if cert::is_der(head) {
        return Format::Certificates;
    }
    if is_binary(text) {
        return Format::Binary;
    }
    match text[0] {
        b'{' => object(text, path),
        b'[' => array(text, path),
        // An empty list, as Go prints it.
        _ if text.trim_ascii_end() == b"null" => Format::Json(Json::Array),
        _ if is_yaml(text) || is_description(text) || dump::is_ztunnel_yaml(text) => Format::Yaml,
        _ if debug::is_report(&String::from_utf8_lossy(text)) => Format::Report,
        _ if cert::is_certs(text) => Format::Certificates,
        _ if admin::is_text(&whole_lines(head)) || debug::is_text(&whole_lines(head)) => Format::Document,
        _ => Format::Log,
    }
}

/// The lines of a begin, without the last one where the begin ends within it.
pub(crate) fn whole_lines(bytes: &[u8]) -> Cow<'_, str> {
    let head = &bytes[..bytes.len().min(HEAD_MAX)];
    let end = if head.len() < HEAD_MAX { None } else { memchr::memrchr(b'\n', head) };
    String::from_utf8_lossy(&head[..end.unwrap_or(head.len())])
}

fn by_magic(head: &[u8]) -> Option<Format> {
    let known: [(&[u8], Format); 9] = [
        (b"\x1f\x8b", Format::Gzip),
        (b"\x28\xb5\x2f\xfd", Format::Zstd),
        (b"PK\x03\x04", Format::Zip),
        (b"PK\x05\x06", Format::Zip),
        (b"BZh", Format::OtherCompressed("bzip2", "bunzip2")),
        (b"\xfd7zXZ\x00", Format::OtherCompressed("xz", "unxz")),
        (b"\x04\x22\x4d\x18", Format::OtherCompressed("lz4", "unlz4")),
        (b"7z\xbc\xaf\x27\x1c", Format::OtherCompressed("7-Zip", "7z x")),
        (b"Rar!\x1a\x07", Format::OtherCompressed("RAR", "unrar x")),
    ];
    if let Some((magic, format)) = known.into_iter().find(|(magic, _)| head.starts_with(magic)) {
        // Text may begin with these three letters; a level from 1 to 9 and the block's magic may not.
        let is_text = magic == b"BZh" && head.get(4..10) != Some(b"1AY&SY".as_slice());
        return (!is_text).then_some(format);
    }
    (head.get(257..262) == Some(b"ustar".as_slice())).then_some(Format::Tar)
}

/// A NUL, or more than one control byte in thirty: no log we know has them.
fn is_binary(text: &[u8]) -> bool {
    let is_control = |byte: &u8| matches!(*byte, 0..=8 | 14..=26 | 28..=31 | 127);
    let controls = text.iter().filter(|byte| is_control(byte)).count();
    // A log may hold stray NULs where a file system lost its last block; UTF-16 holds one in every second place.
    controls * 30 > text.len()
}

fn object(text: &[u8], path: &str) -> Format {
    let line_end = memchr::memchr(b'\n', text).unwrap_or(text.len());
    let keys = top_keys(text);
    let has = |key: &str| keys.iter().any(|(known, _)| known == key);
    if has("configs") && is_envoy_dump(&keys, text) {
        return Format::EnvoyDump;
    }
    let names: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
    if is_envoy(&names, text) {
        return Format::Document;
    }
    // ztunnel prints its keys sorted, and `certificates` may fill all that we look at.
    let first = keys.first().map(|(key, _)| key.as_str());
    let of_ztunnel = [
        "certificates",
        "config",
        "policies",
        "services",
        "stagedServices",
        "staticConfig",
        "version",
        "workloadState",
        "workloads",
    ];
    let ours = keys.iter().filter(|(key, _)| of_ztunnel.contains(&key.as_str())).count();
    let named = path.contains("config_dump") || path.contains("config-dump") || path.contains("ztunnel");
    // Envoy's `/certs` has this one key, too; what it holds is written in another style.
    let has_word = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
    let is_envoys = keys.len() == 1 && (has_word("\"cert_chain\"") || has_word("\"ca_cert\""));
    if ours == keys.len() && !is_envoys && (ours >= 2 || (ours == 1 && (named || first == Some("certificates")))) {
        return Format::ZtunnelDump;
    }
    if has("apiVersion") && has("kind") {
        return Format::Json(Json::Kubernetes);
    }
    // A message of `istioctl analyze -o json` has a level, too.
    if has("code") && has("documentationUrl") {
        return Format::Json(Json::Object);
    }
    // A record per line, or records printed over several lines: both are for the framer.
    let is_record = [
        "level",
        "severity",
        "msg",
        "message",
        "log",
        "time",
        "ts",
        "timestamp",
        "start_time",
        "response_code",
        "response_flags",
        ":authority",
        "upstream_cluster",
        "upstream_host",
        "src.addr",
    ]
    .iter()
    .any(|key| has(key));
    let more_lines = text[line_end..].trim_ascii_start().starts_with(b"{");
    if is_record || more_lines { Format::Log } else { Format::Json(Json::Object) }
}

/// Arrays of records are for the framer, too.
fn array(text: &[u8], path: &str) -> Format {
    let inner = text[1..].trim_ascii_start();
    match inner.first() {
        Some(b'{') => match object(inner, path) {
            Format::Log => Format::Log,
            Format::Json(Json::Kubernetes) => Format::Json(Json::Kubernetes),
            Format::Document => Format::Document,
            _ => Format::Json(Json::Array),
        },
        // `[2026-11-21T...] "GET ...` and `[pod/...` begin with a bracket, too.
        Some(b'[' | b'"' | b']') => Format::Json(Json::Array),
        _ => Format::Log,
    }
}

/// Envoy's dump is a list of typed parts; istiod's debug answers may have the same key. The type need not come first.
fn is_envoy_dump(keys: &[(String, bool)], text: &[u8]) -> bool {
    let has = |word: &[u8]| memchr::memmem::find(text, word).is_some();
    keys.iter().any(|(key, typed)| key == "configs" && *typed) || has(b"\"type.googleapis.com/envoy.")
}

/// Whether an object with these keys is what an Envoy says about itself, or a resource that istioctl lists.
fn is_envoy(keys: &[&str], text: &[u8]) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| keys.contains(name));
    let says = |words: &[&str]| words.iter().any(|word| memchr::memmem::find(text, word.as_bytes()).is_some());
    const ANSWERS: [&str; 9] = [
        "cluster_statuses",
        "clusterStatuses",
        "listener_statuses",
        "listenerStatuses",
        "dynamic_active_secrets",
        "dynamicActiveSecrets",
        "dynamic_warming_secrets",
        "dynamicWarmingSecrets",
        "hot_restart_version",
    ];
    const RESOURCES: [&str; 26] = [
        "addedViaApi",
        "added_via_api",
        "circuitBreakers",
        "circuit_breakers",
        "commonLbConfig",
        "common_lb_config",
        "connectTimeout",
        "connect_timeout",
        "edsClusterConfig",
        "eds_cluster_config",
        "filterChains",
        "filter_chains",
        "hostStatuses",
        "host_statuses",
        "lbPolicy",
        "lb_policy",
        "listenerFilters",
        "listener_filters",
        "transportSocket",
        "transport_socket",
        "transportSocketMatches",
        "transport_socket_matches",
        "validateClusters",
        "validate_clusters",
        "virtualHosts",
        "virtual_hosts",
    ];
    let only = |names: &[&str]| keys.iter().all(|key| names.contains(key));
    has(&ANSWERS)
        // A resource's name may come behind much else; what nobody else calls so is enough.
        || has(&RESOURCES)
        || (has(&["clusterName", "cluster_name"]) && has(&["endpoints"]))
        || (has(&["bootstrap"]) && only(&["@type", "bootstrap", "lastUpdated", "last_updated"]))
        // ztunnel's dump may begin with its certificates; Envoy's answer has nothing else.
        || (only(&["certificates"]) && says(&["\"ca_cert\"", "\"cert_chain\"", "\"caCert\""]))
        || (only(&["stats"]) && says(&["\"cluster_manager.", "\"cluster.", "\"listener_manager."]))
}

/// Whether text is YAML of what an Envoy says about itself, as istioctl prints it.
pub(crate) fn is_envoy_yaml(text: &str) -> bool {
    let mut keys = Vec::new();
    let mut indent = "";
    for line in text.lines().filter(|line| !line.is_empty() && *line != "---" && !line.starts_with('#')) {
        let is_first_item = line.starts_with("- ") && keys.is_empty();
        if is_first_item {
            indent = "  ";
        }
        let Some(rest) = line.strip_prefix(if is_first_item { "- " } else { indent }) else { break };
        if rest.starts_with([' ', '-']) {
            continue;
        }
        let Some((key, _)) = rest.split_once(':') else { return false };
        if key.contains(char::is_whitespace) {
            return false;
        }
        keys.push(key.trim_matches(['\'', '"']));
    }
    let is_dump = keys.first() == Some(&"configs") && text.contains("type.googleapis.com/envoy.");
    !keys.is_empty() && (is_dump || is_envoy(&keys, b""))
}

/// The keys of an object as far as they are seen, and whether an array of `@type` objects follows.
pub(crate) fn top_keys(text: &[u8]) -> Vec<(String, bool)> {
    let mut keys = Vec::new();
    let mut depth = 0u32;
    let mut at = 0;
    let mut key_comes = false;
    while at < text.len() && keys.len() < 64 {
        match text[at] {
            b'"' => {
                let Some(end) = string_end(text, at + 1) else { break };
                if depth == 1 && key_comes {
                    let rest = &text[end + 1..];
                    let typed = rest[..rest.len().min(256)].windows(7).any(|word| word == b"\"@type\"");
                    keys.push((String::from_utf8_lossy(&text[at + 1..end]).into_owned(), typed));
                    key_comes = false;
                }
                at = end;
            }
            b'{' | b'[' => {
                depth += 1;
                key_comes = depth == 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            b',' if depth == 1 => key_comes = true,
            _ => {}
        }
        at += 1;
    }
    keys
}

/// Where a string's closing quote is.
fn string_end(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// A line `apiVersion:` at the left edge before anything dated.
fn is_yaml(text: &[u8]) -> bool {
    let lines = text.split(|byte| *byte == b'\n').take(200);
    for line in lines {
        if line.starts_with(b"apiVersion:") || line.starts_with(b"- apiVersion:") {
            return true;
        }
        let passes = line.is_empty()
            || line.starts_with(b"#")
            || line.starts_with(b"---")
            || line.starts_with(b"kind:")
            || line.starts_with(b"Warning: ")
            || line.starts_with(b"items:")
            || line.starts_with(b"metadata:")
            || line.starts_with(b"spec:")
            || line.starts_with(b" ");
        if !passes {
            return false;
        }
    }
    false
}

/// `kubectl describe` begins with the name, and goes on with the namespace or what stands in its place.
fn is_description(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n');
    let named = lines.next().is_some_and(|line| line.starts_with(b"Name:  "));
    let second = lines.next().unwrap_or_default();
    named && ["Namespace:", "Labels:", "Roles:"].iter().any(|key| second.starts_with(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_begin() {
        let cases: [(&[u8], Format); 30] = [
            (b"2026-11-21T03:38:13Z\tinfo\tx\n", Format::Log),
            (b"[2026-11-21T03:38:13Z] \"GET / HTTP/1.1\" 200\n", Format::Log),
            (b"{\"level\":\"info\",\"time\":\"2026-11-21T03:38:13Z\"}\n{\"level\":\"info\"}\n", Format::Log),
            (b"{\n  \"start_time\": \"2026-11-21T03:38:13Z\",\n  \"method\": \"GET\"\n}\n", Format::Log),
            (b"{\"log\":\"x\\n\",\"stream\":\"stdout\"}\n", Format::Log),
            (b"NAME   READY\nweb    1/1\n", Format::Log),
            (b"{\n  \"certificates\": [\n    {\n      \"certChain\": [", Format::ZtunnelDump),
            (b"{\n \"certificates\": [\n  {\n   \"ca_cert\": [", Format::Document),
            (b"{\"config\":{},\"policies\":[],\"workloads\":[]}", Format::ZtunnelDump),
            (
                b"{\n \"configs\": [\n  {\n   \"@type\": \"type.googleapis.com/envoy.admin.v3.BootstrapConfigDump\"",
                Format::EnvoyDump,
            ),
            (b"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[]}", Format::Json(Json::Kubernetes)),
            (b"{\"meshNetworks\":{}}", Format::Json(Json::Object)),
            (b"[{\"clusterID\":\"a\"}]", Format::Json(Json::Array)),
            (b"[\n{\n\"start_time\": \"x\"}]", Format::Log),
            (b"- certChain:\n  - pem: LS0t\n  identity: spiffe://cluster.local/ns/a/sa/b\n", Format::Yaml),
            (b"-----BEGIN CERTIFICATE-----\r\nMIIB\r\n", Format::Certificates),
            (b"Certificate:\n    Data:\n        Version: 3 (0x2)\n", Format::Certificates),
            (b"# saved\n---\napiVersion: v1\nkind: Secret\n", Format::Yaml),
            (b"Warning: v1 Endpoints is deprecated in v1.33+\napiVersion: v1\nitems:\n", Format::Yaml),
            (b"Name:         istio-system\nLabels:       <none>\n", Format::Yaml),
            (b"Name: x\nLabels: y\n", Format::Log),
            (b"\x1f\x8b\x08\x00", Format::Gzip),
            (b"\x28\xb5\x2f\xfd\x00", Format::Zstd),
            (b"PK\x03\x04\x14", Format::Zip),
            (b"\xfd7zXZ\x00", Format::OtherCompressed("xz", "unxz")),
            (b"BZh91AY&SY", Format::OtherCompressed("bzip2", "bunzip2")),
            (b"BZh is a name\n", Format::Log),
            (b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00", Format::Binary),
            (b" \n\n", Format::Empty),
            (b"null\n", Format::Json(Json::Array)),
        ];
        for (head, wanted) in cases {
            assert_eq!(format(head, "a/b"), wanted, "{}", String::from_utf8_lossy(head));
        }
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(format(&tar, "x"), Format::Tar);
    }

    #[test]
    fn no_begin_of_a_file_panics() {
        let text = br#"{"a":{"b":"c\"d","e":[1,{}]},"configs":[{"@type":"x"}]}"#;
        for end in 0..text.len() {
            for from in 0..end {
                format(&text[from..end], "x");
            }
        }
    }
}
