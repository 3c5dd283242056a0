//! What a Secret says about itself: its keys, certificates and kubeconfigs. Private keys, tokens and passwords are
//! passed over, and what had to be decoded to find the rest is dropped here.

use serde_json::Value;

use super::field::{Field, short};
use super::yaml;
use crate::cert::{self, Certs};
use crate::event::Text;
use crate::state::object::{KubeAuth, Kubeconfig, Object, Secret};
use crate::time::Time;

/// The label by which istiod finds remote secrets (`istio/istio: pkg/kube/multicluster/secretcontroller.go`).
const REMOTE_LABEL: &str = "istio/multiCluster";
/// Keys that hold certificates (`istio/istio: security/pkg/pki/ca/ca.go`, `kubernetes.io/tls`, gateway credentials).
const CERTIFICATES: [&str; 7] =
    ["ca-cert.pem", "root-cert.pem", "cert-chain.pem", "tls.crt", "ca.crt", "cert", "cacert"];

/// Reads a Secret.
pub(super) fn secret(value: Field<'_>, object: &Object) -> Secret {
    let mut found = Secret { kind: value.at("type").text(), ..Secret::default() };
    // What is given in `stringData` takes the place of the same key in `data`.
    let plain = value.at("stringData");
    let coded = value.at("data").entries().filter(|(key, _)| !plain.at(key).is_set());
    let coded = coded.map(|(key, value)| (key, value, true));
    let is_remote = object.label(REMOTE_LABEL) == Some("true")
        || object.name.starts_with("istio-remote-secret-")
        || &*object.name == "istio-kubeconfig";
    for (key, value, is_coded) in coded.chain(plain.entries().map(|(key, value)| (key, value, false))) {
        found.keys.push(short(key));
        let is_certificate = CERTIFICATES.contains(&key);
        if !is_remote && !is_certificate {
            continue;
        }
        let text = value.str();
        let bytes = if is_coded { cert::base64(text.as_bytes()) } else { Some(text.as_bytes().to_vec()) };
        let Some(bytes) = bytes else {
            found.unreadable.push((short(key), "not base64".into()));
            continue;
        };
        if is_remote {
            found.kubeconfigs.push(kubeconfig(key, &bytes));
            continue;
        }
        let read = cert::read(&bytes);
        if let Some(why) = why_unreadable(&bytes, &read) {
            found.unreadable.push((short(key), why));
        }
        if !read.certs.is_empty() {
            found.certs.push((short(key), read.certs));
        }
    }
    found.keys.sort();
    found.keys_count = u32::try_from(found.keys.len()).unwrap_or(u32::MAX);
    found
}

/// Why a key that should hold certificates does not, or not only.
pub(super) fn why_unreadable(bytes: &[u8], read: &Certs) -> Option<Text> {
    if bytes.trim_ascii().is_empty() {
        return Some("empty".into());
    }
    if !read.unreadable.is_empty() {
        return Some(read.unreadable.join("; ").into());
    }
    read.certs.is_empty().then(|| "no certificate in it".into())
}

/// Reads a kubeconfig as istiod does (`istio/istio: pkg/kube/multicluster/secretcontroller.go`, `client-go:
/// tools/clientcmd/validation.go`): the cluster and user of its current context decide.
fn kubeconfig(key: &str, bytes: &[u8]) -> Kubeconfig {
    let mut found = Kubeconfig { cluster: short(key), ..Kubeconfig::default() };
    let text = String::from_utf8_lossy(bytes);
    if text.trim().is_empty() {
        found.problem = "the key holds nothing".into();
        return found;
    }
    let config = match yaml::value(&text) {
        Ok(config) if config.is_object() => config,
        Ok(_) => {
            found.problem = "no kubeconfig".into();
            return found;
        }
        Err(line) => {
            found.problem = format!("no valid YAML at line {line}").into();
            return found;
        }
    };
    let config = Field::from(&config);
    let mut problems = Vec::new();
    let current = config.at("current-context").str();
    let named = |list: &str, name: &str| config.at(list).items().find(|entry| entry.at("name").str() == name);
    let context = named("contexts", current).map(|context| context.at("context"));
    // What no context tells is told by the only entry there is.
    let only = |list: &str| config.at(list).items().next().filter(|_| config.at(list).items().count() == 1);
    let of = |context: Field<'_>, list: &str, key: &str, problems: &mut Vec<&str>| {
        let entry = named(list, context.at(key).str());
        if entry.is_none() {
            problems.push(if list == "clusters" {
                "the current context names a cluster that is not there"
            } else {
                "the current context names a user that is not there"
            });
        }
        entry
    };
    let (cluster, user) = match context {
        Some(context) => {
            (of(context, "clusters", "cluster", &mut problems), of(context, "users", "user", &mut problems))
        }
        None => {
            problems.push(if current.is_empty() { "no current-context" } else { "current-context names no context" });
            (only("clusters"), only("users"))
        }
    };
    if let Some(cluster) = cluster.map(|entry| entry.at("cluster")) {
        reach(cluster, &mut found, &mut problems);
    }
    if let Some(user) = user.map(|entry| entry.at("user")) {
        found.auth = login(user, &mut problems);
    }
    found.problem = problems.join("; ").into();
    found
}

/// How the API server is reached.
fn reach(cluster: Field<'_>, found: &mut Kubeconfig, problems: &mut Vec<&str>) {
    found.server = without_user(cluster.at("server").str());
    found.insecure = cluster.at("insecure-skip-tls-verify").flag().unwrap_or(false);
    found.tls_server_name = cluster.at("tls-server-name").text();
    found.proxy_url = without_user(cluster.at("proxy-url").str());
    if found.server.is_empty() {
        problems.push("the cluster has no server");
    }
    let ca = cluster.at("certificate-authority-data").str();
    if !ca.is_empty() {
        found.ca = cert::base64(ca.as_bytes()).map(|pem| cert::parse(&pem)).unwrap_or_default();
        if found.ca.is_empty() {
            problems.push("certificate-authority-data holds no certificate");
        } else if found.insecure {
            problems.push("certificate-authority-data stands beside insecure-skip-tls-verify");
        }
    } else if !cluster.at("certificate-authority").str().is_empty() {
        problems.push("certificate-authority names a file, which istiod does not have");
    }
}

/// How istiod logs in; the credential itself stays behind.
fn login(user: Field<'_>, problems: &mut Vec<&str>) -> KubeAuth {
    let has = |key: &str| !user.at(key).str().is_empty();
    if has("tokenFile") {
        problems.push("tokenFile names a file, which istiod does not take");
    }
    if has("client-certificate") || has("client-key") {
        problems.push("client-certificate names a file, which istiod does not take");
    }
    if user.at("exec").is_set() {
        return KubeAuth::Exec(user.at("exec").at("command").text());
    }
    if has("token") {
        return token(user.at("token").str());
    }
    if has("client-certificate-data") {
        let certs = cert::base64(user.at("client-certificate-data").str().as_bytes()).map(|pem| cert::parse(&pem));
        let certs = certs.unwrap_or_default();
        if certs.is_empty() {
            problems.push("client-certificate-data holds no certificate");
        }
        if !has("client-key-data") && !has("client-key") {
            problems.push("the client certificate has no key");
        }
        return KubeAuth::Certificate(certs);
    }
    if user.at("auth-provider").is_set() {
        return KubeAuth::Other("auth-provider".into());
    }
    if has("username") || has("password") {
        return KubeAuth::Other("password".into());
    }
    if has("tokenFile") || has("client-certificate") {
        return KubeAuth::Other("file".into());
    }
    problems.push(if user.at("token").is_set() { "the token is empty" } else { "the user has no credential" });
    KubeAuth::None
}

/// What a token says about itself; its claims are empty where it is no JWT.
fn token(token: &str) -> KubeAuth {
    let mut parts = token.trim().split('.');
    let payload = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(payload), Some(_), None) => payload,
        _ => "",
    };
    // The URL alphabet differs in two characters.
    let standard = payload.replace('-', "+").replace('_', "/");
    let claims = cert::base64(standard.as_bytes()).and_then(|json| serde_json::from_slice::<Value>(&json).ok());
    let claims = claims.unwrap_or_default();
    let claims = Field::from(&claims);
    let time = |key: &str| claims.at(key).number().map(Time::from_unix);
    KubeAuth::Token {
        subject: claims.at("sub").text(),
        issuer: without_user(claims.at("iss").str()),
        issued: time("iat"),
        expires: time("exp"),
    }
}

/// A URL without user information, query and fragment.
pub(super) fn without_user(url: &str) -> Text {
    let url = url.split(['?', '#']).next().unwrap_or("").trim();
    let (scheme, rest) = url.find("://").map_or(("", url), |at| url.split_at(at + 3));
    let authority = rest.find('/').unwrap_or(rest.len());
    let host = rest[..authority].rfind('@').map_or(0, |at| at + 1);
    short(&format!("{scheme}{}", &rest[host..]))
}

/// Whether a setting is a credential, as far as its name and its form tell.
pub fn is_secret(name: &str, value: &str) -> bool {
    const ANYWHERE: [&str; 7] = ["password", "passwd", "passphrase", "secret", "credential", "credentials", "apikey"];
    const LAST: [&str; 7] = ["key", "token", "pass", "pwd", "auth", "license", "dsn"];
    let mut words = words(name);
    let last = words.pop().unwrap_or_default();
    let by_name = ANYWHERE.iter().chain(&LAST).any(|word| *word == last)
        || words.iter().any(|word| ANYWHERE.contains(&word.as_str()));
    by_name && !value.is_empty() && !matches!(value, "true" | "false") || holds_credential(value)
}

/// The words of `PILOT_JWT_KEY`, `redis-password`, `authToken`, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let begins = !c.is_ascii_alphanumeric() || c.is_ascii_uppercase() && was_lower;
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        was_lower = c.is_ascii_lowercase();
        if c.is_ascii_alphanumeric() {
            words.last_mut().into_iter().for_each(|word| word.push(c.to_ascii_lowercase()));
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A private key, a JWT, a URL with a password.
fn holds_credential(value: &str) -> bool {
    let user = value.split("://").skip(1).any(|rest| rest.split('/').next().is_some_and(|host| host.contains('@')));
    user || value.contains("PRIVATE KEY-----") || value.contains("eyJ") && value.matches('.').count() >= 2
}

/// Arguments without those that are credentials and without whole scripts, which may hold some.
pub(super) fn arguments(all: &[Text]) -> Vec<Text> {
    const SCRIPT: usize = 512;
    let mut kept = Vec::new();
    let mut value_comes = false;
    for argument in all {
        let is_value = std::mem::take(&mut value_comes);
        let is_flag = argument.starts_with('-');
        if is_value && !is_flag || argument.len() > SCRIPT || argument.contains('\n') {
            continue;
        }
        match argument.split_once('=') {
            Some((name, value)) if is_secret(name, value) => continue,
            None if is_flag && is_secret(argument, "x") => value_comes = true,
            None if !is_flag && holds_credential(argument) => continue,
            _ => {}
        }
        kept.push(argument.clone());
    }
    kept
}
