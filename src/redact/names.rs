//! Collects the names that stand in objects, dumps and logs, so that all of them can be hidden everywhere.
//!
//! Names are made of words: `cart-7d9f8c6b5-x2x4z.shop.svc.cluster.local` of eight. Words are what is hidden, so that a
//! name hides in what is made of it (`outbound|80||cart.shop.svc.cluster.local`, `istio-remote-secret-west`), and what
//! belongs together still does. Words that readers of meshes know by heart (`words.txt`) stay.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::hidden::{Hidden, text_of_base64};

/// How many texts may be packed in texts.
pub(super) const DEPTH_MAX: usize = 5;
/// Shortest run of base64 that may hold names.
pub(super) const CODED_MIN: usize = 24;
/// Letters by which a word may tell something; `01T00` of a time has one.
const LETTERS_MIN: usize = 2;
/// Digits by which a number may be that of an account or a project.
const DIGITS_MIN: usize = 9;

/// Words that mean something to who reads a mesh, and to no one else: of Istio, Envoy, Kubernetes, and of messages.
static KNOWN: LazyLock<BTreeSet<&'static str>> =
    LazyLock::new(|| include_str!("words.txt").split_ascii_whitespace().collect());

/// The words of names that were met so far.
#[derive(Default)]
pub struct Names {
    words: BTreeSet<String>,
}

impl Names {
    /// Takes a name, with all that it is made of.
    pub fn name(&mut self, name: &str) {
        for word in name.split(|c: char| !c.is_ascii_alphanumeric()) {
            let word = word.to_ascii_lowercase();
            // Base64 is read for what it packs.
            let is_packed = word.starts_with("eyj") && CODED_MIN <= word.len();
            if tells(&word) && !is_packed {
                self.words.insert(word);
            }
        }
    }

    /// Takes the names that stand in a document or in lines.
    pub fn read(&mut self, bytes: &[u8]) {
        self.text(&String::from_utf8_lossy(bytes), 0);
    }

    /// What takes their place, as this key decides: others cannot tell what it was.
    pub fn hide(self, key: [u64; 2]) -> Hidden {
        Hidden::new(self.words, key)
    }

    fn text(&mut self, text: &str, depth: usize) {
        if DEPTH_MAX < depth {
            return;
        }
        for found in PATTERNS.coded.find_iter(text) {
            if let Some(inside) = text_of_base64(found.as_str()) {
                self.text(&inside, depth + 1);
            }
        }
        // Of texts in texts, what only escapes says nothing.
        let text = match text.contains(['\\', '%']) {
            true => PATTERNS.escape.replace_all(text, " "),
            false => Cow::Borrowed(text),
        };
        for pattern in &PATTERNS.names {
            for found in pattern.captures_iter(&text) {
                found.iter().skip(1).flatten().map(|name| name.as_str()).filter(|name| !is_type(name)).for_each(
                    |name| {
                        self.name(name);
                    },
                );
            }
        }
        for found in PATTERNS.host.find_iter(&text).map(|found| found.as_str()) {
            if is_host(found) {
                self.name(found);
            }
        }
    }
}

/// Whether a word may tell whose mesh it is.
pub(super) fn tells(word: &str) -> bool {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(?:\d+(?:ms|us|ns|mi|gi|ki|kb|mb|gb)|v\d+(?:(?:alpha|beta)\d+)?)$")
            .expect("the pattern is fixed and tested")
    });
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let is_long_number = letters == 0 && DIGITS_MIN <= word.len();
    (LETTERS_MIN <= letters || is_long_number) && !is_known(word) && !NUMBER.is_match(word)
}

/// Whether it is a word that all meshes have, with a number or without.
pub(super) fn is_known(word: &str) -> bool {
    let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
    KNOWN.contains(word) || (LETTERS_MIN < stem.len() && KNOWN.contains(stem))
}

/// Whether it names a type of Envoy's or Istio's own.
fn is_type(name: &str) -> bool {
    ["envoy.", "istio.", "type.googleapis.com", "google.", "xds.", "udpa."].iter().any(|known| name.starts_with(known))
}

/// Whether a dotted text may be a host, and is neither a type nor a file.
fn is_host(text: &str) -> bool {
    let is_long = 2 <= text.matches('.').count() || text.contains('-');
    let (of_all, files) =
        (["istio.io", "k8s.io", "kubernetes.io"], ["go", "rs", "cc", "h", "json", "yaml", "log", "pem"]);
    let is_file = text.rsplit('.').next().is_some_and(|last| files.contains(&last));
    is_long && !is_file && !is_type(text) && !of_all.iter().any(|known| text.ends_with(known))
}

struct Patterns {
    coded: Regex,
    escape: Regex,
    host: Regex,
    names: Vec<Regex>,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let pattern = |text: &str| Regex::new(text).expect("the patterns are fixed and tested");
    Patterns {
        coded: pattern(&format!("eyJ[A-Za-z0-9_-]{{{CODED_MIN},}}|[A-Za-z0-9+/]{{{CODED_MIN},}}={{0,2}}")),
        escape: pattern(r"\\+(?:u[0-9a-fA-F]{4}|[nrtbf])?|%[0-9A-Fa-f]{2}"),
        host: pattern(r"[A-Za-z0-9*_-]+(?:\.[A-Za-z0-9_-]+)+"),
        names: vec![
            // Fields of objects, dumps, kubeconfigs and log lines: `"namespace":"shop"`, `src.workload="cart-1"`,
            // `ISTIO_META_CLUSTER_ID: east`.
            pattern(concat!(
                r#"(?i)(?:\b|_)(?:name|generateName|namespace|ns|node|nodeName|host|hostname|pod|podName|workload|"#,
                r#"workloadName|canonicalName|service|serviceName|serviceAccount|serviceAccountName|account|sa|cluster|"#,
                r#"clusterName|cluster_?id|network|trust_?-?domain|identity|principal|server|user|context|owner|app|"#,
                r#"revision|secret|secretName|externalName|mesh_?id|domain|image|container|registry|id|source|"#,
                r#"destination|target|remote|authority)[\x22\x27]?\s*[:=]\s*[\x22\x27]?([^\s\x22\x27,;{}()\[\]<>]+)"#,
            )),
            pattern(
                r#"(?i)"(?:hosts|hostnames|namespaces|principals|domains|names|subjects|server_?names|exportTo|networks|clusters|services|serviceAccounts|service_accounts|subject_?alt_?names|trust_?domains?|trustDomainAliases)"\s*:\s*\[([^\]{}]*)\]"#,
            ),
            // What people choose by, and the keys of Secrets, which are names of clusters.
            pattern(r#"(?i)"(?:labels|pod_?labels|matchLabels|selector|nodeSelector)"\s*:\s*\{([^{}]*)\}"#),
            pattern(r#""(?:data|stringData)"\s*:\s*\{\s*"([^"]*)""#),
            pattern(r#""[A-Za-z0-9.-]+"\s*:\s*"[A-Za-z0-9+/=]{24,}"\s*,\s*"([A-Za-z0-9.-]+)"\s*:"#),
            pattern(r#"spiffe://([^/\s"]+)/ns/([^/\s"]+)/sa/([^/\s",;|]+)"#),
            pattern(r"system:serviceaccount:([^:\s]+):([A-Za-z0-9.-]+)"),
            pattern(r#"\b(?:sidecar|router|waypoint|ztunnel|agentgateway)~[^~\s]*~([^~\s"]+)~([^\s",]+)"#),
            pattern(r#"://(?:[^/\s"@]*@)?([^/\s"'?#:\[\]]+)"#),
            pattern(
                r#"(?i)\b(?:cluster|clusters|network|lookup|node|namespace|pod|service|host)\s+"?([A-Za-z0-9][A-Za-z0-9._/-]*)"#,
            ),
        ],
    }
});
