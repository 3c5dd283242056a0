//! Files and outputs that are certificates: PEM and DER files, and what `openssl x509` prints of them.

use super::{BEGIN, Cert, read};
use crate::document::{Document, Found};
use crate::event::Text;
use crate::state::State;
use crate::time::{self, Time};

/// Reads a document, if it is certificates and nothing else. A private key is one, too, and nothing of it is kept.
pub fn document(bytes: &[u8], found: Found<'_>) -> Option<Result<Document, String>> {
    if is_der(bytes) {
        let cert = Cert::from_der(bytes).ok()?;
        let taken = cert.not_before;
        let document = Document::of(State::Certs { name: name(found), certs: vec![cert] });
        return Some(Ok(Document { taken, ..document }));
    }
    let bytes = bytes.trim_ascii_start();
    let begins = Begins::of(bytes)?;
    if begins != Begins::Coded && FOREIGN_MAX < foreign_lines(bytes) {
        return None;
    }
    let name = name(found);
    if begins == Begins::PrivateKey && memchr::memmem::find(bytes, BEGIN).is_none() {
        return Some(Ok(Document::default()));
    }
    let read = read(bytes);
    let certs = match begins {
        // A description stands above the certificate it describes, and says less.
        Begins::Description if read.certs.is_empty() => described(&String::from_utf8_lossy(bytes)),
        _ => read.certs,
    };
    if certs.is_empty() {
        return Some(Err(match read.unreadable.first() {
            Some(reason) => format!("no certificate in it can be read: {reason}"),
            None => "no certificate in it can be read".to_string(),
        }));
    }
    let taken = certs.iter().filter_map(|cert| cert.not_before).max();
    let document = Document::of(State::Certs { name, certs });
    Some(Ok(Document { taken, losses: read.unreadable, ..document }))
}

/// How many lines a document of certificates may have that are none of theirs: comments, a name above each block.
const FOREIGN_MAX: usize = 20;

fn foreign_lines(bytes: &[u8]) -> usize {
    let mut in_block = false;
    let is_foreign = |line: &&[u8]| {
        in_block = (in_block || line.starts_with(b"-----BEGIN ")) && !line.starts_with(b"-----END ");
        let is_ours = in_block || line.starts_with(b"-----END ") || line.trim_ascii().is_empty() || line[0] == b' ';
        !is_ours && !line.contains(&b'=') && !line.starts_with(b"Certificate:")
    };
    bytes.split(|byte| *byte == b'\n').filter(is_foreign).count()
}

/// Whether a file is one certificate as DER: a sequence that holds a sequence, and nothing behind it. A request for a
/// certificate and a list of revoked ones begin alike.
pub(crate) fn is_der(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, 0x82, _, _, 0x30, ..]) && Cert::from_der(bytes).is_ok()
}

/// Whether a document is certificates, by its first bytes.
pub(crate) fn is_certs(head: &[u8]) -> bool {
    Begins::of(head.trim_ascii_start()).is_some()
}

/// How a document of certificates begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begins {
    Pem,
    /// Base64 of PEM.
    Coded,
    PrivateKey,
    Description,
}

impl Begins {
    fn of(text: &[u8]) -> Option<Begins> {
        let first = &text[..memchr::memchr(b'\n', text).unwrap_or(text.len()).min(200)];
        let first = first.trim_ascii_end();
        if first.starts_with(BEGIN) || first == b"Bag Attributes" {
            return Some(Begins::Pem);
        }
        // Base64 of `-----BEGIN CERT`.
        if text.starts_with(b"LS0tLS1CRUdJTiBDRVJU") {
            return Some(Begins::Coded);
        }
        if first.starts_with(b"-----BEGIN ") && first.ends_with(b"PRIVATE KEY-----") {
            return Some(Begins::PrivateKey);
        }
        let is_whole = first == b"Certificate:" && text[first.len()..].trim_ascii_start().starts_with(b"Data:");
        let is_field = || Field::of(&String::from_utf8_lossy(first)).is_some_and(|field| field.is_of_noout());
        (is_whole || is_field()).then_some(Begins::Description)
    }
}

/// What certificates are called: by the command that printed them, else by their file.
fn name(found: Found<'_>) -> Text {
    match found.command {
        "" => found.path.rsplit('/').next().unwrap_or(found.path).into(),
        command => command.into(),
    }
}

/// A line of `openssl x509`: with `-text`, or with `-noout -subject -issuer -dates -serial -fingerprint`.
enum Field<'t> {
    Certificate,
    Subject(&'t str),
    Issuer(&'t str),
    Serial(&'t str),
    NotBefore(&'t str),
    NotAfter(&'t str),
    /// SHA-256; those of other hashes are passed over.
    Fingerprint(&'t str),
    /// An extension, whose value is the next line.
    Extension(&'t str),
}

impl<'t> Field<'t> {
    fn of(line: &'t str) -> Option<Field<'t>> {
        let text = line.trim();
        if text == "Certificate:" {
            return Some(Field::Certificate);
        }
        if let Some(extension) = text.strip_prefix("X509v3 ") {
            return Some(Field::Extension(extension.split(':').next().unwrap_or(extension)));
        }
        if let Some((kind, value)) = text.split_once(" Fingerprint=") {
            return kind.eq_ignore_ascii_case("sha256").then_some(Field::Fingerprint(value));
        }
        let (name, value) = match text.split_once('=').filter(|_| !line.starts_with(' ')) {
            Some(pair) => pair,
            None => text.split_once(':')?,
        };
        let value = value.trim();
        match name.trim() {
            "subject" | "Subject" => Some(Field::Subject(value)),
            "issuer" | "Issuer" => Some(Field::Issuer(value)),
            "serial" | "Serial Number" => Some(Field::Serial(value)),
            "notBefore" | "Not Before" => Some(Field::NotBefore(value)),
            "notAfter" | "Not After" => Some(Field::NotAfter(value)),
            _ => None,
        }
    }

    /// Whether a document may begin with it.
    fn is_of_noout(&self) -> bool {
        match self {
            Field::Subject(name) | Field::Issuer(name) => name.contains('=') || name.is_empty(),
            Field::Serial(hex) => hex.len() >= 8 && hex.bytes().all(|digit| digit.is_ascii_hexdigit()),
            Field::NotBefore(date) | Field::NotAfter(date) => instant(date).is_some(),
            Field::Fingerprint(value) => !digits(value).is_empty(),
            Field::Certificate | Field::Extension(_) => false,
        }
    }
}

/// The certificates that a text of `openssl x509` describes. Their keys are not in it, but for the ids they give them.
pub(crate) fn described(text: &str) -> Vec<Cert> {
    let mut found: Vec<Cert> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(field) = Field::of(line) else { continue };
        let is_next = match (&field, found.last()) {
            (_, None) => true,
            (Field::Certificate, Some(last)) => last.not_after.is_some(),
            (Field::Subject(_), Some(last)) => !last.subject.is_empty(),
            (Field::Issuer(_), Some(last)) => !last.issuer.is_empty(),
            (Field::NotBefore(_), Some(last)) => last.not_before.is_some(),
            (Field::Fingerprint(_), Some(last)) => !last.fingerprint.is_empty(),
            (Field::Serial(_) | Field::NotAfter(_) | Field::Extension(_), Some(_)) => false,
        };
        if is_next {
            found.push(Cert::default());
        }
        let Some(cert) = found.last_mut() else { continue };
        let mut value = || lines.next_if(|next| Field::of(next).is_none()).map_or("", str::trim);
        match field {
            Field::Certificate => {}
            Field::Subject(name) => cert.subject = plain_name(name),
            Field::Issuer(name) => cert.issuer = plain_name(name),
            Field::Serial("") => cert.serial = digits(value()),
            Field::Serial(number) => cert.serial = serial(number),
            Field::NotBefore(date) => cert.not_before = instant(date),
            Field::NotAfter(date) => cert.not_after = instant(date),
            Field::Fingerprint(hex) => cert.fingerprint = digits(hex),
            Field::Extension("Subject Alternative Name") => cert.sans = alternative_names(value()),
            Field::Extension("Basic Constraints") => cert.is_ca = value().starts_with("CA:TRUE"),
            Field::Extension("Subject Key Identifier") => cert.key_id = digits(value()),
            Field::Extension("Authority Key Identifier") => {
                cert.issuer_key = digits(value().trim_start_matches("keyid:"));
            }
            Field::Extension(_) => {}
        }
    }
    found.retain(|cert| cert.not_after.is_some() || !cert.subject.is_empty() || !cert.fingerprint.is_empty());
    found
}

/// A name as certificates have it: openssl 1.0 wrote `/O=Istio/CN=Root CA`, 1.1 `O = Istio, CN = Root CA`.
fn plain_name(name: &str) -> Text {
    match name.strip_prefix('/') {
        Some(old) => old.replace('/', ",").into(),
        None => name.replace(" = ", "=").replace(", ", ",").into(),
    }
}

/// `4660 (0x1234)`, or hexadecimal.
fn serial(number: &str) -> Text {
    match number.split_once("(0x") {
        Some((_, hex)) => digits(hex.trim_end_matches(')')),
        None => digits(number),
    }
}

/// Hexadecimal digits without the colons between them; empty where they are none.
fn digits(hex: &str) -> Text {
    let plain: String = hex.chars().filter(|c| *c != ':').collect();
    let is_hex = plain.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_hex { plain.to_ascii_lowercase().into() } else { Text::default() }
}

/// `URI:spiffe://..., DNS:x, IP Address:10.0.0.1`.
fn alternative_names(listed: &str) -> Vec<Text> {
    let names = listed.split(", ").filter_map(|name| name.split_once(':'));
    names.map(|(_, name)| name.into()).collect()
}

/// `Nov 21 03:37:01 2026 GMT`, or `2026-11-21 03:37:01Z` with `-dateopt iso_8601`.
fn instant(date: &str) -> Option<Time> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    if let Some((at, _)) = time::rfc3339(date.as_bytes()) {
        return Some(at);
    }
    let mut words = date.split_whitespace();
    let month = MONTHS.iter().position(|month| words.clone().next() == Some(month))?;
    let day: u32 = words.nth(1)?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(str::parse::<u32>);
    let clock = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    // A certificate without an end says the year 9999.
    let year = words.next()?.parse::<i64>().ok()?.min(2200);
    Time::from_civil((year, u32::try_from(month).ok()? + 1, day), clock, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Fact;
    use crate::sniff::{self, Format};

    fn certs(text: &str, found: Found<'_>) -> (String, Vec<Cert>) {
        let document = document(text.as_bytes(), found).expect("certificates").expect("readable");
        let Some((None, Fact::State(state))) = document.facts.into_iter().next() else { panic!("a state") };
        let State::Certs { name, certs } = *state else { panic!("certificates") };
        (name.to_string(), certs)
    }

    /// A root of istiod's own making.
    const ROOT: &str = "-----BEGIN CERTIFICATE-----
MIIBYjCCAQmgAwIBAgIUJf0hp/hSLCHz0uTtEjvVsZGkVrUwCgYIKoZIzj0EAwIw
GDEWMBQGA1UECgwNY2x1c3Rlci5sb2NhbDAeFw0yNjExMjExMjM2NTRaFw0zNjEx
MTgxMjM2NTRaMBgxFjAUBgNVBAoMDWNsdXN0ZXIubG9jYWwwWTATBgcqhkjOPQIB
-----END CERTIFICATE-----
";

    const TEXT: &str = "Certificate:
    Data:
        Version: 3 (0x2)
        Serial Number:
            5a:4b:0c:9e:11:d2:7f:30:8a:61:b5:c4:2d:e8:97:13
        Signature Algorithm: ecdsa-with-SHA256
        Issuer: O = Istio, CN = Intermediate CA, L = cluster1
        Validity
            Not Before: Nov 21 03:35:01 2026 GMT
            Not After : Nov 22 03:37:01 2026 GMT
        Subject: 
        Subject Public Key Info:
            Public Key Algorithm: id-ecPublicKey
                Public-Key: (256 bit)
                pub:
                    04:d5:1f:6e:0a:ab:33:61:c0:8c:3c:92:b0:11:0d:
                ASN1 OID: prime256v1
        X509v3 extensions:
            X509v3 Key Usage: critical
                Digital Signature, Key Encipherment
            X509v3 Extended Key Usage: 
                TLS Web Server Authentication, TLS Web Client Authentication
            X509v3 Basic Constraints: critical
                CA:FALSE
            X509v3 Authority Key Identifier: 
                keyid:2E:7A:0B:44:91:C3:5D:6F:88:12:AB:CD:EF:01:23:45:67:89:AB:CD
            X509v3 Subject Alternative Name: critical
                URI:spiffe://cluster.local/ns/sample/sa/helloworld, DNS:istiod.istio-system.svc
    Signature Algorithm: ecdsa-with-SHA256
    Signature Value:
        30:45:02:21:00:e5:29:8c:6f:cf:fc:84:d9:70:7c:08:ee:41:
";

    #[test]
    fn what_openssl_says_of_a_certificate_is_read() {
        let second = TEXT.replace("Subject: ", "Subject: O=Istio, CN=web").replace("5a:4b", "6a:4b");
        let (name, certs) = certs(&format!("{TEXT}{second}"), Found { path: "west/leaf.txt", command: "" });
        assert_eq!((&*name, certs.len()), ("leaf.txt", 2));
        let cert = &certs[0];
        assert_eq!((&*cert.subject, &*cert.issuer), ("", "O=Istio,CN=Intermediate CA,L=cluster1"));
        assert_eq!((&*cert.serial, cert.is_ca), ("5a4b0c9e11d27f308a61b5c42de89713", false));
        assert_eq!(cert.not_after.map(|at| at.to_string()).as_deref(), Some("2026-11-22T03:37:01.000Z"));
        assert_eq!(&*cert.sans[0], "spiffe://cluster.local/ns/sample/sa/helloworld");
        assert_eq!((&*cert.issuer_key, cert.sans.len()), ("2e7a0b4491c35d6f8812abcdef0123456789abcd", 2));
        assert_eq!((&*certs[1].subject, &certs[1].serial[..4]), ("O=Istio,CN=web", "6a4b"));
        assert!(cert.der.is_empty() && cert.key.is_empty());
    }

    #[test]
    fn chosen_fields_are_a_certificate_each() {
        let text = "subject=O = Istio, CN = Root CA\nissuer=O = Istio, CN = Root CA\nnotBefore=Nov  2 03:35:01 2026 GMT\nnotAfter=Dec 31 23:59:59 9999 GMT\nSHA256 Fingerprint=AB:CD:01\nSHA1 Fingerprint=FF:00\nsubject=O=cluster.local\nserial=0A1B2C3D4E\n";
        let (_, certs) = certs(text, Found { path: "", command: "openssl x509 -in root-cert.pem -noout -fingerprint" });
        assert_eq!((certs.len(), &*certs[0].subject, &*certs[0].fingerprint), (2, "O=Istio,CN=Root CA", "abcd01"));
        assert!(certs[0].not_before < certs[0].not_after);
        assert_eq!((&*certs[1].subject, &*certs[1].serial), ("O=cluster.local", "0a1b2c3d4e"));
    }

    #[test]
    fn other_texts_are_no_certificates() {
        for text in
            ["subject to change\n", "serial: x\n", "Certificate: expired\n", "issuer: letsencrypt\nkind: x\n", ""]
        {
            assert!(document(text.as_bytes(), Found::default()).is_none(), "{text}");
        }
    }

    #[test]
    fn of_a_private_key_nothing_is_kept() {
        let key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBsecret\n-----END EC PRIVATE KEY-----\n";
        assert_eq!(document(key.as_bytes(), Found::default()), Some(Ok(Document::default())));
        let error = document(format!("{key}{ROOT}").as_bytes(), Found::default()).expect("ours").expect_err("cut");
        assert!(error.starts_with("no certificate in it can be read: certificate 1: ") && !error.contains("secret"));
    }

    #[test]
    fn a_file_of_der_is_a_certificate_and_not_binary() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let root = rcgen::CertificateParams::default().self_signed(&key).expect("a root");
        let der: &[u8] = root.der();
        assert_eq!(sniff::format(der, "root.der"), Format::Certificates);
        let read = document(der, Found { path: "a/root.der", command: "" }).expect("a certificate").expect("readable");
        assert_eq!(read.facts.len(), 1);
        let key = key.serialize_der();
        assert_eq!((sniff::format(&key, "key.der"), document(&key, Found::default())), (Format::Binary, None));
        for end in 0..der.len() {
            assert_eq!(document(&der[..end], Found::default()), None);
        }
    }

    #[test]
    fn a_pem_file_is_named_by_itself_and_by_the_command_that_printed_it() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let root = rcgen::CertificateParams::default().self_signed(&key).expect("a root").pem();
        let text = format!("{root}{ROOT}");
        let read = document(text.as_bytes(), Found::default()).expect("certificates").expect("readable");
        assert_eq!((read.facts.len(), read.losses.len()), (1, 1));
        assert_eq!(certs(&root, Found { path: "a/root-cert.pem", command: "" }).0, "root-cert.pem");
        assert_eq!(certs(&root, Found { path: "a/all.txt", command: "cat ca-cert.pem" }).0, "cat ca-cert.pem");
        assert_eq!(certs(&super::super::encode(root.as_bytes()), Found::default()).1.len(), 1);
    }
}
