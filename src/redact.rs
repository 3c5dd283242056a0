//! Takes secrets out of texts and documents: tokens, private keys, passwords. What is left still tells which kind stood
//! there.

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod addresses;
mod document;
mod hidden;
mod json;
mod names;
mod yaml;

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

pub use document::{document, line};
pub use hidden::Hidden;
pub use names::Names;

/// What secrets look like. A text without any of these words is not looked at further.
const TELLS: [&str; 11] = [
    "eyJ",
    "PRIVATE KEY",
    "oken",
    "client-key-data",
    "://",
    "uthorization",
    "earer ",
    "assw",
    "LS0tLS1CRUdJTi",
    "AKIA",
    "ecret",
];

/// A text without the secrets in it.
pub fn redact(text: &str) -> Cow<'_, str> {
    if !tells(text) {
        return Cow::Borrowed(text);
    }
    RULES.iter().fold(Cow::Borrowed(text), |text, (regex, with)| match regex.replace_all(&text, with) {
        Cow::Borrowed(_) => text,
        Cow::Owned(changed) => Cow::Owned(changed),
    })
}

/// Whether a text may hold a secret.
fn tells(text: &str) -> bool {
    TELLS.iter().any(|tell| text.contains(tell))
}

/// What takes the place of a token's signature: the token keeps its form.
const SIGNATURE: &str = ".signature-redacted";

/// A text without secrets, in which tokens keep what they claim: who uses them, and until when.
fn redact_less_claims(text: &str) -> Cow<'_, str> {
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\b(eyJ[A-Za-z0-9_-]{6,}=*\.[A-Za-z0-9_-]*=*)\.[A-Za-z0-9_-]*=*(\.[A-Za-z0-9_.-]*)?")
            .expect("the pattern is fixed and tested")
    });
    if !tells(text) {
        return Cow::Borrowed(text);
    }
    let text = TOKEN.replace_all(text, |found: &Captures<'_>| match found.get(2) {
        None => format!("{}{SIGNATURE}", &found[1]),
        // An encrypted one claims nothing that can be read.
        Some(_) => "<redacted token>".to_string(),
    });
    RULES.iter().fold(text, |text, (regex, with)| {
        let changed = regex.replace_all(&text, |found: &Captures<'_>| {
            let is_done = [SIGNATURE, "-----<redacted>-----END"].iter().any(|done| found[0].contains(done));
            if is_done { found[0].to_string() } else { with(found) }
        });
        match changed {
            Cow::Borrowed(_) => text,
            Cow::Owned(changed) => Cow::Owned(changed),
        }
    })
}

/// What a secret looks like, and what takes its place.
type Rule = (Regex, fn(&Captures<'_>) -> String);

/// Every kind of secret.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let rule = |pattern: &str, with: fn(&Captures<'_>) -> String| {
        (Regex::new(pattern).expect("the patterns are fixed and tested"), with)
    };
    vec![
        // Also where the end is cut off or lies on another line.
        rule(r"(?s)-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", |found| {
            format!("-----BEGIN {}----- <redacted>", &found[1])
        }),
        // The same in base64, as Secrets and kubeconfigs carry it: PKCS#8, RSA and EC keys begin like this.
        rule(r"LS0tLS1CRUdJTi(?:BQUklWQVRF|BSU0EgUFJJVkFUR|BFQyBQUklWQVRF)[A-Za-z0-9+/=]*", |_| {
            "<redacted private key>".to_string()
        }),
        rule(r"(?i)(authorization[\x22']?\s*[:=]\s*[\x22']?(?:(?:bearer|basic)\s+)?)([^\s\x22',<]+)", |found| {
            let is_scheme = ["bearer", "basic"].contains(&&*found[2].to_ascii_lowercase());
            if is_scheme { found[0].to_string() } else { format!("{}<redacted>", &found[1]) }
        }),
        rule(r"eyJ[A-Za-z0-9_+/=-]{8,}(?:\.[A-Za-z0-9_+/=-]*){0,2}", |_| "<redacted token>".to_string()),
        rule(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{20,}", |found| format!("{}<redacted>", &found[1])),
        rule(r"(://)[^/\s:@\x22]+:[^/\s@\x22]+@", |found| format!("{}<redacted>@", &found[1])),
        rule(r"(client-key-data[\x22']?\s*[:=]\s*[\x22']?)[^\s\x22',<]+", |found| format!("{}<redacted>", &found[1])),
        rule(r"(?i)(passw(?:or)?d[\x22']?\s*[:=]\s*[\x22']?)[^\s\x22',<]+", |found| format!("{}<redacted>", &found[1])),
        // A document's own line: `token: abc`.
        rule(
            r"(?im)^(\s*(?:- )?[\x22']?(?:access|id|refresh|bearer)?-?_?token[\x22']?:\s+[\x22']?)[^\s\x22',<]+([\x22']?,?)$",
            |found| format!("{}<redacted>{}", &found[1], &found[2]),
        ),
        // Amid a sentence a token has no blanks and carries digits, or `token: context deadline exceeded` would be one.
        rule(
            r"(?i)((?:token|secret[_-]?(?:access[_-]?)?key|api[_-]?key)[\x22']?\s*[:=]\s*[\x22']?)([A-Za-z0-9._~+/=-]{16,})",
            |found| {
                if found[2].bytes().any(|c| c.is_ascii_digit()) {
                    format!("{}<redacted>", &found[1])
                } else {
                    found[0].to_string()
                }
            },
        ),
        rule(r"\bAKIA[0-9A-Z]{16}\b", |_| "<redacted access key>".to_string()),
    ]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out() {
        for (text, wanted) in [
            ("got eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrIn0.c2lnbmF0dXJl from pod", "got <redacted token> from pod"),
            ("Authorization: Bearer abc123", "Authorization: Bearer <redacted>"),
            ("authorization=Basic dXNlcjpwdw==, host=a", "authorization=Basic <redacted>, host=a"),
            ("sent bearer 0123456789abcdef01234", "sent bearer <redacted>"),
            ("Get \"https://admin:s3cret@api.example.com/x\"", "Get \"https://<redacted>@api.example.com/x\""),
            ("    client-key-data: c2VjcmV0", "    client-key-data: <redacted>"),
            ("tls.key: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t", "tls.key: <redacted private key>"),
            ("    token: s3cr3t", "    token: <redacted>"),
            ("  \"token\": \"s3cr3t\",", "  \"token\": \"<redacted>\","),
            ("using token=abcdef0123456789.xyz for it", "using token=<redacted> for it"),
            ("password: hunter2", "password: <redacted>"),
            ("key AKIAIOSFODNN7EXAMPLE refused", "key <redacted access key> refused"),
            (
                "a -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- b",
                "a -----BEGIN RSA PRIVATE KEY----- <redacted> b",
            ),
            ("-----BEGIN PRIVATE KEY-----\nMIIE cut here", "-----BEGIN PRIVATE KEY----- <redacted>"),
        ] {
            assert_eq!(redact(text), wanted);
        }
    }

    #[test]
    fn what_only_speaks_of_secrets_stays() {
        for text in [
            "failed to get access token: context deadline exceeded",
            "Failed to authenticate client: token: lookup 10.0.0.1: authentication handshake failed",
            "could not read token: open /var/run/secrets/tokens/istio-token: no such file",
            "client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0t",
            "-----BEGIN CERTIFICATE-----",
            "Get \"https://10.0.0.1:443/api?limit=500\": bearer token is invalid",
            "Add cluster secret=istio-system/istio-remote-secret-west",
            "dial tcp [fd00::1]:15012: i/o timeout",
        ] {
            assert!(matches!(redact(text), Cow::Borrowed(_)) || redact(text) == text, "{}", redact(text));
        }
    }

    #[test]
    fn what_was_taken_out_stays_out() {
        let once = redact("Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.e30.sig").into_owned();
        assert_eq!(once, "Authorization: Bearer <redacted>");
        assert_eq!(redact(&once), once);
    }
}
