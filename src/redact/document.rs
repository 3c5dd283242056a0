//! Takes secrets out of documents and leaves in place what is read of them: objects keep their form, Secrets their keys
//! and certificates, kubeconfigs their servers, tokens what they claim. What is cut or broken is treated alike.

use std::borrow::Cow;
use std::sync::LazyLock;

use meshwhy_parsers::cert;
use regex::{Captures, Regex};

use super::{json, redact, redact_less_claims, tells, yaml};

/// What takes the place of a secret.
pub(super) const REDACTED: &str = "<redacted>";
/// How many texts may be packed in texts, as base64 is in a kubeconfig in base64: a deeper one is taken out whole.
const DEPTH_MAX: usize = 5;
/// Shortest run of base64 that is looked into: a shorter one holds no key and no token.
const CODED_MIN: usize = 24;
/// Shortest line of base64 that may be a part of a key.
const PART_MIN: usize = 16;

/// A document without the secrets in it.
pub fn document(bytes: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(bytes) {
        Ok(text) => match inside(text, 0) {
            Cow::Borrowed(_) => Cow::Borrowed(bytes),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        },
        Err(_) if is_certificate(bytes) => Cow::Borrowed(bytes),
        Err(_) => Cow::Owned(inside(&String::from_utf8_lossy(bytes), 0).into_owned().into_bytes()),
    }
}

/// A line of a log without the secrets in it, as it is kept. Parts of keys come one a line, so what is nothing but base64
/// is not kept at all.
pub fn line(text: &str) -> Cow<'_, str> {
    static PART: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = format!(r"(?m)^[ \t]*[A-Za-z0-9+/]{{{PART_MIN},}}={{0,2}}[ \t]*\r?$");
        Regex::new(&pattern).expect("the pattern is fixed and tested")
    });
    let text = redact(text);
    if longest_coded(&text) < PART_MIN {
        return text;
    }
    let text = then(text, |text| PART.replace_all(text, REDACTED));
    then(text, |text| CODED.replace_all(text, |found: &Captures<'_>| decoded(&found[0], 1)))
}

/// A text within `depth` others, which may be a document itself.
pub(super) fn inside(text: &str, depth: usize) -> Cow<'_, str> {
    if DEPTH_MAX < depth {
        return Cow::Borrowed(REDACTED);
    }
    if text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']) && text.contains('"') {
        return json::redacted(text, depth);
    }
    then(yaml::redacted(text, depth), |text| words(text, depth))
}

/// The same for one of many short texts, most of which hold nothing.
pub(super) fn inside_short(text: &str, depth: usize) -> Cow<'_, str> {
    let is_worth_it = text.contains('\n') || tells(text) || holds_coded(text);
    if is_worth_it { inside(text, depth) } else { Cow::Borrowed(text) }
}

/// Keys, tokens and whatever else shows by its own form.
fn words(text: &str, depth: usize) -> Cow<'_, str> {
    let text = PRIVATE_KEY.replace_all(text, |found: &Captures<'_>| {
        let kind = found.get(1).or(found.get(2)).or(found.get(3)).map_or("", |kind| kind.as_str());
        format!("-----BEGIN {kind}-----{REDACTED}-----END {kind}-----")
    });
    let text = then(text, |text| CODED.replace_all(text, |found: &Captures<'_>| decoded(&found[0], depth)));
    then(text, redact_less_claims)
}

/// A change of what may have been changed before.
fn then<'t>(text: Cow<'t, str>, change: impl Fn(&str) -> Cow<'_, str>) -> Cow<'t, str> {
    match change(&text) {
        Cow::Owned(changed) => Cow::Owned(changed),
        Cow::Borrowed(_) => text,
    }
}

/// A private key: whole, cut at its end, cut at its begin.
static PRIVATE_KEY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        -----BEGIN\ ([A-Z0-9\ ]*PRIVATE\ KEY[A-Z\ ]*)-----(?s:.*?)-----END\ [A-Z0-9\ ]*PRIVATE\ KEY[A-Z\ ]*-----
        | -----BEGIN\ ([A-Z0-9\ ]*PRIVATE\ KEY[A-Z\ ]*)-----(?:[A-Za-z0-9+/=\s]|\\[nrt])*
        | (?:[A-Za-z0-9+/=]{16,}(?:\s|\\[nrt])*)+-----END\ ([A-Z0-9\ ]*PRIVATE\ KEY[A-Z\ ]*)-----",
    )
    .expect("the pattern is fixed and tested")
});

static CODED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!("[A-Za-z0-9+/]{{{CODED_MIN},}}={{0,2}}")).expect("the pattern is fixed and tested")
});

fn holds_coded(text: &str) -> bool {
    CODED_MIN <= longest_coded(text)
}

/// Bytes of the longest run of base64.
fn longest_coded(text: &str) -> usize {
    let is_coded = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    text.as_bytes().split(|byte| !is_coded(byte)).map(<[u8]>::len).max().unwrap_or(0)
}

/// A run of base64 without the secrets in it.
fn decoded(run: &str, depth: usize) -> String {
    let Some(bytes) = cert::base64(run.as_bytes()) else { return run.to_string() };
    if is_private_key(&bytes) {
        return cert::to_base64(REDACTED.as_bytes());
    }
    match std::str::from_utf8(&bytes).map(|text| inside(text, depth + 1)) {
        Ok(Cow::Owned(changed)) => cert::to_base64(changed.as_bytes()),
        // The same without the base64, or nothing at all.
        Ok(Cow::Borrowed(REDACTED)) => cert::to_base64(REDACTED.as_bytes()),
        Ok(Cow::Borrowed(_)) | Err(_) => run.to_string(),
    }
}

/// Whether DER begins as keys do (RFC 5958, RFC 8017, RFC 5915): with a version; certificates begin with a sequence.
fn is_private_key(der: &[u8]) -> bool {
    matches!(der, [0x30, 0x82, _, _, 2, 1, 0 | 1, ..] | [0x30, 0x81, _, 2, 1, 0 | 1, ..])
        || matches!(der, [0x30, length, 2, 1, 0 | 1, 0x30 | 4, ..] if *length < 0x80)
}

fn is_certificate(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, 0x82, _, _, 0x30, ..]) && !cert::parse(bytes).is_empty()
}

/// What a Secret says under a key, in base64; `None` where it may stay.
pub(super) fn coded_value(value: &str, depth: usize) -> Option<String> {
    if value.trim().is_empty() {
        return None;
    }
    // What is no base64 stays none.
    let Some(bytes) = cert::base64(value.as_bytes()) else { return Some(REDACTED.to_string()) };
    match String::from_utf8(bytes) {
        Ok(text) => plain_value(&text, depth).map(|text| cert::to_base64(text.as_bytes())),
        Err(bytes) if is_certificate(bytes.as_bytes()) => None,
        Err(_) => Some(cert::to_base64(REDACTED.as_bytes())),
    }
}

/// What a Secret says under a key; `None` where it may stay.
pub(super) fn plain_value(text: &str, depth: usize) -> Option<String> {
    if text.trim().is_empty() {
        return None;
    }
    let is_kubeconfig =
        ["clusters", "contexts", "current-context", "kind: Config"].iter().any(|word| text.contains(word));
    if is_kubeconfig {
        return owned(inside(text, depth + 1));
    }
    let mut kept: Vec<&str> = CERTIFICATES.find_iter(text).map(|found| found.as_str().trim_end()).collect();
    if kept.is_empty() {
        return Some(REDACTED.to_string());
    }
    if text.split_whitespace().collect::<String>() == kept.concat().split_whitespace().collect::<String>() {
        return owned(words(text, depth));
    }
    kept.push("");
    Some(words(&kept.join("\n"), depth).into_owned())
}

/// Certificates and lists of revoked ones; the last one may be cut.
static CERTIFICATES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s)-----BEGIN (?:(?:TRUSTED |X509 )?CERTIFICATE|X509 CRL)-----.*?(?:-----END [A-Z0-9 ]*-----|$)")
        .expect("the pattern is fixed and tested")
});

fn owned(text: Cow<'_, str>) -> Option<String> {
    match text {
        Cow::Owned(text) => Some(text),
        Cow::Borrowed(REDACTED) => Some(REDACTED.to_string()),
        Cow::Borrowed(_) => None,
    }
}

/// A credential: of a token what it claims is left. `None` where there is none.
pub(super) fn credential(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text == REDACTED {
        return None;
    }
    let less_claims = redact_less_claims(text);
    let is_token = text.starts_with("eyJ") && !text.contains(char::is_whitespace);
    Some(if is_token { less_claims.into_owned() } else { REDACTED.to_string() })
}

/// Whether what is called so is a credential, wherever it stands.
pub(super) fn is_credential(key: &str) -> bool {
    const NAMES: [&str; 20] = [
        "token",
        "idtoken",
        "accesstoken",
        "refreshtoken",
        "bearertoken",
        "authtoken",
        "passwd",
        "passphrase",
        "clientkeydata",
        "clientsecret",
        "secretkey",
        "secretaccesskey",
        "accesskey",
        "apikey",
        "privatekey",
        "authorization",
        "xapikey",
        "encryptionkey",
        "sharedkey",
        "hmackey",
    ];
    let mut name: String = key.chars().filter(|c| !matches!(c, '-' | '_' | '.')).collect();
    name.make_ascii_lowercase();
    NAMES.contains(&&*name) || name.ends_with("password")
}

/// Whether all that stands below a key is secret, in what Envoy is configured with
/// (`envoyproxy/envoy: api/envoy/extensions/transport_sockets/tls/v3/common.proto`, `secret.proto`).
pub(super) fn hides(key: &str) -> bool {
    const KEYS: [&str; 8] = [
        "private_key",
        "privateKey",
        "private_key_provider",
        "privateKeyProvider",
        "session_ticket_keys",
        "sessionTicketKeys",
        "generic_secret",
        "genericSecret",
    ];
    KEYS.contains(&key) || key.to_ascii_lowercase().ends_with("password")
}

/// Whether an annotation is a copy of its whole object.
pub(super) fn is_copy(key: &str) -> bool {
    key.contains("last-applied")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str) -> String {
        String::from_utf8(document(text.as_bytes()).into_owned()).expect("text stays text")
    }

    /// A token that claims `{"sub":"reader"}`.
    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyZWFkZXIifQ.c2lnbmF0dXJlLXRoYXQtbm9ib2R5LXNlZXM";
    const PEM: &str =
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIzWq3nWmE8PzHn0fQd2bVYxT4uR7sLkJhGf\n-----END EC PRIVATE KEY-----\n";

    fn kubeconfig() -> String {
        format!(
            "apiVersion: v1\nclusters:\n- name: west\n  cluster:\n    server: https://10.64.3.2:443\n    \
             certificate-authority-data: Y2VydGlmaWNhdGU=\nusers:\n- name: west\n  user:\n    token: {TOKEN}\n    \
             password: \"correct horse\"\n    client-key-data: {}\n- name: other\n  user: {{token: plain-token, password: x}}\n",
            cert::to_base64(PEM.as_bytes())
        )
    }

    fn assert_silent(text: &str) {
        let mut texts = vec![text.to_string()];
        while let Some(text) = texts.pop() {
            for secret in ["LXRoYXQtbm9ib2R5", "MHcCAQEEI", "correct horse", "plain-token", "hunter2", "s3cr3t"] {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
            let runs = CODED.find_iter(&text).filter_map(|run| cert::base64(run.as_str().as_bytes()));
            texts.extend(runs.filter_map(|bytes| String::from_utf8(bytes).ok()));
        }
    }

    #[test]
    fn a_remote_secret_keeps_its_server_and_what_its_token_claims() {
        let coded = cert::to_base64(kubeconfig().as_bytes());
        let note = format!(r#"{{\"data\":{{\"west\":\"{coded}\"}}}}"#);
        let json = format!(
            r#"{{"apiVersion":"v1","data":{{"west":"{coded}"}},"kind":"Secret","metadata":{{"name":"s","annotations":{{"kubectl.kubernetes.io/last-applied-configuration":"{note}"}}}}}}"#
        );
        let yaml = format!("apiVersion: v1\ndata:\n  west: {coded}\nkind: Secret\nmetadata:\n  name: s\n");
        let folded =
            format!("apiVersion: v1\ndata:\n  west: |\n    {}\n    {}\nkind: Secret\n", &coded[..40], &coded[40..]);
        let cut = &json[..json.len() - 700];
        for text in [&json, &yaml, &folded, cut] {
            let changed = changed(text);
            assert_silent(&changed);
            let kept: Vec<String> = CODED
                .find_iter(&changed)
                .filter_map(|run| String::from_utf8(cert::base64(run.as_str().as_bytes())?).ok())
                .collect();
            assert!(kept.iter().any(|text| text.contains("server: https://10.64.3.2:443")), "{changed}");
            assert!(kept.iter().any(|text| text.contains("eyJzdWIiOiJyZWFkZXIifQ.signature-redacted")), "{kept:?}");
        }
    }

    #[test]
    fn a_secret_keeps_its_certificates_and_nothing_else() {
        let chain = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let (chain_coded, key) = (cert::to_base64(chain.as_bytes()), cert::to_base64(PEM.as_bytes()));
        let both = cert::to_base64(format!("{chain}{PEM}").as_bytes());
        let plain = cert::to_base64(b"hunter2");
        let yaml = format!(
            "kind: List\nitems:\n- apiVersion: v1\n  data:\n    hunter: not a secret\n  kind: ConfigMap\n- apiVersion: v1\n  \
             data:\n    ca.crt: {chain_coded}\n    both: {both}\n    tls.key: {key}\n    pw: {plain}\n  kind: Secret\n"
        );
        let changed = changed(&yaml);
        assert_silent(&changed);
        assert!(changed.contains("hunter: not a secret"), "another kind's values stay: {changed}");
        assert!(changed.contains(&format!("ca.crt: {chain_coded}")), "{changed}");
        assert!(!changed.contains(&plain), "{changed}");
        let both = changed.lines().find_map(|line| line.trim().strip_prefix("both: \"")).expect("it is there");
        let both =
            String::from_utf8(cert::base64(both.trim_end_matches('"').as_bytes()).expect("base64")).expect("text");
        assert_eq!(both, chain);
    }

    #[test]
    fn a_dump_keeps_its_form_without_keys() {
        let dump = format!(
            r#"{{"configs":[{{"secret":{{"tls_certificate":{{"certificate_chain":{{"inline_bytes":"aGVsbG8="}},"private_key":{{"inline_bytes":"{}"}},"password":{{"inline_string":"s3cr3t"}}}}}}}},
            {{"headers":[{{"header":{{"key":"authorization","value":"Basic s3cr3t"}}}}],"auth_password":{{"inline_string":"s3cr3t"}},"cut": "#,
            cert::to_base64(PEM.as_bytes())
        );
        let changed = changed(&dump);
        assert_silent(&changed);
        assert!(changed.contains(r#""certificate_chain":{"inline_bytes":"aGVsbG8="}"#), "{changed}");
        assert!(changed.contains(r#""private_key":{"inline_bytes":"W3JlZGFjdGVkXQ=="}"#), "{changed}");
    }

    #[test]
    fn what_a_pod_is_told_loses_its_credentials() {
        let json = r#"{"kind":"Pod","spec":{"containers":[{"args":["--token","s3cr3t","--password=s3cr3t","--port","80"],
            "env":[{"name":"DB_PASSWORD","value":"hunter2"},{"name":"CLUSTER_ID","value":"east"}]}]}}"#;
        let yaml = "kind: Pod\nspec:\n  containers:\n  - args:\n    - --token\n    - s3cr3t\n    - --password=s3cr3t\n    - --port\n    \
                    - \"80\"\n    env:\n    - name: DB_PASSWORD\n      value: hunter2\n    - name: CLUSTER_ID\n      value: east\n";
        for text in [json, yaml] {
            let changed = changed(text);
            assert_silent(&changed);
            assert!(changed.contains("east") && changed.contains("--port") && changed.contains("80"), "{changed}");
        }
    }

    #[test]
    fn what_holds_no_secret_stays_as_it_is() {
        for text in [
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: token-issuer\nspec:\n  ports:\n  - port: 80\n",
            r#"{"apiVersion":"v1","kind":"ConfigMap","data":{"mesh":"trustDomain: cluster.local\n","flag":"true"}}"#,
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            r#"{"kind":"Secret","data":{"empty":""},"metadata":{"name":"cacerts"}}"#,
            "",
        ] {
            assert_eq!(changed(text), text);
        }
    }
}
