//! What was asked of the server, in the words of Kubernetes' authorization: verb, resource, namespace.

use std::collections::BTreeMap;

use hyper::{Method, Uri};

/// One request, as it was recorded.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `list`, `watch`, `get`, `create`, ...; `tunnel` for what came through a forwarded port.
    pub verb: String,
    /// `pods`, `pods/log`; of a request for no resource, and through a tunnel, its path.
    pub resource: String,
    /// API group, empty for the core.
    pub group: String,
    /// `v1`; empty where no resource is asked for.
    pub version: String,
    /// Namespace asked for, or in which the forwarded pod is.
    pub namespace: Option<String>,
    /// Object asked for, or pod whose port is forwarded.
    pub name: Option<String>,
    /// HTTP method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Query, decoded. The last of several values of a name wins.
    pub query: BTreeMap<String, String>,
    /// The answer's status, once there is one.
    pub status: Option<u16>,
}

impl Asked {
    /// Reads a request to the API server.
    pub fn new(method: &Method, uri: &Uri) -> Asked {
        let query = query(uri.query().unwrap_or(""));
        let path = uri.path();
        let mut asked = Asked {
            method: method.to_string(),
            path: path.to_string(),
            query,
            ..Asked { verb: "get".into(), ..Asked::default() }
        };
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => {
                asked.resource = path.to_string();
                return asked;
            }
        };
        (asked.group, asked.version) = (group.to_string(), version.to_string());
        let rest = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => {
                asked.namespace = Some(namespace.to_string());
                rest
            }
            rest => rest,
        };
        let resource = rest.first().copied().unwrap_or("");
        asked.name = rest.get(1).map(|name| name.to_string());
        asked.resource = match rest.get(2) {
            Some(part) => format!("{resource}/{part}"),
            None => resource.to_string(),
        };
        let is_watch = asked.is_set("watch");
        let verb = match (method.as_str(), asked.name.is_some()) {
            ("GET" | "HEAD", true) => "get",
            ("GET" | "HEAD", false) if is_watch => "watch",
            ("GET" | "HEAD", false) => "list",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "delete",
            ("DELETE", false) => "deletecollection",
            _ => "unknown",
        };
        asked.verb = verb.to_string();
        asked
    }

    /// A query value, empty if there is none.
    pub fn value(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// Whether a flag of the query is set.
    pub fn is_set(&self, name: &str) -> bool {
        matches!(self.value(name), "1" | "true")
    }
}

/// Decodes `a=b&c=%20d`.
fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        rest = match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                &tail[2..]
            }
            (b'+', _) => {
                bytes.push(b' ');
                tail
            }
            (byte, _) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Which requests are meant: `VERB RESOURCE`, then nothing, `in NAMESPACE`, or `everywhere`.
///
/// Verb and resource may be `*`. `list pods`, `get pods/log in sample`, `watch *`, `* gateways.networking.istio.io`,
/// `get /version`, `tunnel /config_dump`; `list pods everywhere` means lists over all namespaces, not those of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    verb: String,
    resource: String,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Any,
    In(String),
    Everywhere,
}

impl Pattern {
    /// Reads one; a wrong one is a wrong test.
    pub fn new(text: &str) -> Pattern {
        let words: Vec<&str> = text.split(' ').collect();
        let (verb, resource, place) = match words.as_slice() {
            [verb, resource] => (verb, resource, Place::Any),
            [verb, resource, "in", namespace] => (verb, resource, Place::In(namespace.to_string())),
            [verb, resource, "everywhere"] => (verb, resource, Place::Everywhere),
            _ => panic!("{text:?} is no `VERB RESOURCE [in NAMESPACE | everywhere]`"),
        };
        Pattern { verb: verb.to_string(), resource: resource.to_string(), place }
    }

    /// Whether a request is meant.
    pub fn meets(&self, asked: &Asked) -> bool {
        let (resource, part) = asked.resource.split_once('/').unwrap_or((&asked.resource, ""));
        let qualified = match part {
            "" => format!("{resource}.{}", asked.group),
            part => format!("{resource}.{}/{part}", asked.group),
        };
        let is_place = match &self.place {
            Place::Any => true,
            Place::In(namespace) => asked.namespace.as_ref() == Some(namespace),
            Place::Everywhere => asked.namespace.is_none(),
        };
        (self.verb == "*" || self.verb == asked.verb)
            && (self.resource == "*" || self.resource == asked.resource || self.resource == qualified)
            && is_place
    }
}
