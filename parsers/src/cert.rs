//! Certificates: read from PEM, base64 or DER, told apart by key and fingerprint, chains verified.
//!
//! A chain is verified link by link, by signature: istiod's self-signed roots all carry `O=cluster.local`, so names tell
//! nothing. Hosts, purposes and revocation are not looked at, since a mesh checks identities, not hosts.

mod document;

pub use document::document;
pub(crate) use document::{is_certs, is_der};

use std::fmt::{self, Write as _};

use rustls_pki_types::{SignatureVerificationAlgorithm, alg_id};
use sha2::{Digest, Sha256};
use x509_cert::certificate::{CertificateInner, Raw, TbsCertificateInner, Version};
use x509_cert::der::asn1::OctetString;
use x509_cert::der::{Decode, Encode, Header, Reader, SliceReader};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, SubjectAltName, SubjectKeyIdentifier};
use x509_cert::name::Name;

use crate::event::Text;
use crate::time::Time;

/// A certificate. Public by nature: nothing of a private key is ever part of it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Cert {
    /// Subject in the order of the certificate, as openssl prints it: `O=Istio,CN=Root CA`.
    pub subject: Text,
    /// Issuer, likewise.
    pub issuer: Text,
    /// Subject alternative names: URIs, DNS names and addresses.
    pub sans: Vec<Text>,
    /// Valid from.
    pub not_before: Option<Time>,
    /// Valid to.
    pub not_after: Option<Time>,
    /// Whether it may sign others.
    pub is_ca: bool,
    /// Serial number, lower-case hexadecimal.
    pub serial: Text,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub fingerprint: Text,
    /// SHA-256 of its public key (SPKI), lower-case hexadecimal: what tells two roots of one name apart, and a renewed
    /// root from a new one.
    pub key: Text,
    /// Key id of its issuer's key as it names it, lower-case hexadecimal; empty where it names none.
    pub issuer_key: Text,
    /// Key id of its own key as it names it, lower-case hexadecimal; empty where it names none.
    pub key_id: Text,
    /// The certificate itself (DER); empty where only a description of it was seen.
    pub der: Box<[u8]>,
}

impl Cert {
    /// The first 16 digits of its fingerprint: enough for a person to compare.
    pub fn short(&self) -> &str {
        self.fingerprint.get(..16).unwrap_or(&self.fingerprint)
    }

    /// What a person calls it: its subject, or its first other name where it has no subject, as workload certificates.
    pub fn called(&self) -> &Text {
        match &*self.subject {
            "" => self.sans.first().unwrap_or(&self.serial),
            _ => &self.subject,
        }
    }

    /// Reads one certificate (DER). An error says what is wrong with it.
    pub fn from_der(der: &[u8]) -> Result<Cert, String> {
        let parsed = CertificateInner::<Raw>::from_der(der).map_err(|error| format!("not a certificate: {error}"))?;
        let tbs = parsed.tbs_certificate();
        let sans = tbs.get_extension::<SubjectAltName>().ok().flatten();
        let issuer_key = tbs.get_extension::<AuthorityKeyIdentifier>().ok().flatten();
        let key_id = tbs.get_extension::<SubjectKeyIdentifier>().ok().flatten();
        let spki = tbs.subject_public_key_info().to_der().map_err(|error| format!("its public key: {error}"))?;
        let bytes_of = |id: &OctetString| hex(id.as_bytes());
        let serial = tbs.serial_number().as_bytes();
        let serial = serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(serial);
        Ok(Cert {
            subject: name(tbs.subject()),
            issuer: name(tbs.issuer()),
            sans: sans.map_or_else(Vec::new, |(_, names)| names.0.iter().filter_map(alternative_name).collect()),
            not_before: Some(instant(tbs.validity().not_before)),
            not_after: Some(instant(tbs.validity().not_after)),
            is_ca: may_sign(tbs),
            serial: hex(serial),
            fingerprint: fingerprint(der),
            key: fingerprint(&spki),
            issuer_key: issuer_key.and_then(|(_, id)| id.key_identifier.as_ref().map(bytes_of)).unwrap_or_default(),
            key_id: key_id.map(|(_, id)| bytes_of(&id.0)).unwrap_or_default(),
            der: der.into(),
        })
    }

    /// Why it is not valid at a time, by its dates alone.
    fn out_of_date(&self, at: Time) -> Option<ChainFault> {
        if let Some(since) = self.not_after.filter(|end| *end < at) {
            return Some(ChainFault::Expired { which: self.called().clone(), since });
        }
        let from = self.not_before.filter(|begin| at < *begin)?;
        Some(ChainFault::NotYetValid { which: self.called().clone(), from })
    }
}

/// A version 1 certificate cannot say that it is a CA; everybody takes a self-issued one for a root.
fn may_sign(tbs: &TbsCertificateInner<Raw>) -> bool {
    let says_so = tbs.get_extension::<BasicConstraints>().ok().flatten().is_some_and(|(_, basic)| basic.ca);
    says_so || tbs.version() == Version::V1 && tbs.subject() == tbs.issuer()
}

/// A name with its parts in the certificate's order.
fn name(name: &Name) -> Text {
    let parts: Vec<String> = name.iter_rdn().map(ToString::to_string).collect();
    parts.join(",").into()
}

fn alternative_name(name: &GeneralName) -> Option<Text> {
    match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str().into()),
        GeneralName::DnsName(dns) => Some(dns.as_str().into()),
        GeneralName::Rfc822Name(mail) => Some(mail.as_str().into()),
        GeneralName::IpAddress(octets) => match *octets.as_bytes() {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(a, b, c, d).to_string().into()),
            ref sixteen => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(sixteen).ok()?).to_string().into()),
        },
        _ => None,
    }
}

fn instant(at: x509_cert::time::Time) -> Time {
    // A certificate without an end says the year 9999, which nanoseconds in 64 bits do not reach.
    Time::from_unix(i64::try_from(at.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
}

fn hex(bytes: &[u8]) -> Text {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}

/// SHA-256 of bytes, lower-case hexadecimal.
pub fn fingerprint(bytes: &[u8]) -> Text {
    hex(&Sha256::digest(bytes))
}

/// The certificates of a text, and what of it could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Certs {
    /// The readable ones in their order.
    pub certs: Vec<Cert>,
    /// Why a block could not be read, one sentence each: `certificate 2: not base64`.
    pub unreadable: Vec<String>,
}

/// All certificates of a text; see [`read`].
pub fn parse(bytes: &[u8]) -> Vec<Cert> {
    read(bytes).certs
}

/// Reads all certificates of a text: PEM blocks whatever stands between them (`openssl s_client -showcerts`), base64 of
/// that (a Secret's data, a ztunnel dump), base64 of one certificate (a webhook's `caBundle` is the former), or DER.
pub fn read(bytes: &[u8]) -> Certs {
    let mut found = Certs::default();
    for (at, block) in blocks(bytes).into_iter().enumerate() {
        match block.and_then(|der| Cert::from_der(&der)) {
            Ok(cert) => found.certs.push(cert),
            Err(error) => found.unreadable.push(format!("certificate {}: {error}", at + 1)),
        }
    }
    found
}

/// The bytes of each certificate of a text, or why there are none.
pub(crate) fn blocks(bytes: &[u8]) -> Vec<Result<Vec<u8>, String>> {
    let pem = pem_blocks(bytes);
    if !pem.is_empty() {
        return pem;
    }
    let is_der = |bytes: &[u8]| bytes.first() == Some(&0x30) && bytes.get(1).is_some_and(|length| *length >= 0x80);
    if is_der(bytes) {
        return vec![Ok(bytes.to_vec())];
    }
    let Some(inner) = base64(bytes).filter(|inner| !inner.is_empty()) else { return Vec::new() };
    if is_der(&inner) {
        return vec![Ok(inner)];
    }
    pem_blocks(&inner)
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

fn pem_blocks(bytes: &[u8]) -> Vec<Result<Vec<u8>, String>> {
    let mut found = Vec::new();
    for begin in memchr::memmem::find_iter(bytes, BEGIN) {
        let body = bytes.get(begin + BEGIN.len()..).unwrap_or_default();
        let block = match memchr::memmem::find(body, b"-----") {
            Some(end) => base64(&body[..end]).filter(|der| !der.is_empty()).ok_or_else(|| "not base64".to_string()),
            None => Err("cut off".to_string()),
        };
        found.push(block);
    }
    found
}

/// Standard base64; white space is skipped, also where it is written as `\n`. `None` where it is something else.
pub fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0u32);
    let mut text = text.iter().copied();
    while let Some(byte) = text.next() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            b'\\' if matches!(text.next(), Some(b'n' | b'r' | b't')) => continue,
            _ if byte.is_ascii_whitespace() => continue,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

/// Bytes as standard base64 with its padding.
pub fn to_base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().chain([&0, &0]).take(3).fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// The roots of `ours` that `theirs` hold too, told by key: a renewed root counts as the same.
pub fn shared<'a>(ours: &'a [Cert], theirs: &[Cert]) -> Vec<&'a Cert> {
    ours.iter().filter(|our| !our.key.is_empty() && theirs.iter().any(|their| their.key == our.key)).collect()
}

/// Whether two sets of roots have any root in common.
pub fn same_roots(a: &[Cert], b: &[Cert]) -> bool {
    !shared(a, b).is_empty()
}

/// Why a chain does not lead to a root. The words of `Display` are for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainFault {
    /// There is no certificate to verify.
    NoChain,
    /// There is no root to trust.
    NoRoots,
    /// Nobody at hand signed it.
    Unsigned {
        /// The certificate at which the chain ends.
        which: Text,
        /// The issuer it names.
        by: Text,
        /// Whether somebody of that name is at hand, with a key that did not sign it.
        namesake: bool,
    },
    /// A certificate's time is over.
    Expired {
        /// Which one.
        which: Text,
        /// Since when.
        since: Time,
    },
    /// A certificate's time has not come.
    NotYetValid {
        /// Which one.
        which: Text,
        /// From when.
        from: Time,
    },
    /// A certificate signed another and may not.
    NotCa {
        /// The issuer.
        which: Text,
    },
    /// It cannot be checked: a signature algorithm or key size we do not verify, or only a description of it was seen.
    Unverifiable {
        /// Which one.
        which: Text,
    },
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChainFault::NoChain => f.write_str("there is no certificate"),
            ChainFault::NoRoots => f.write_str("there is no root certificate to trust"),
            ChainFault::Unsigned { which, by, namesake: true } => {
                write!(f, "`{which}` was signed by a `{by}` of another key than the one trusted")
            }
            ChainFault::Unsigned { which, by, namesake: false } => {
                write!(f, "`{which}` was signed by `{by}`, which is not trusted")
            }
            ChainFault::Expired { which, since } => write!(f, "`{which}` expired at {since}"),
            ChainFault::NotYetValid { which, from } => write!(f, "`{which}` is valid only from {from}"),
            ChainFault::NotCa { which } => write!(f, "`{which}` signed another certificate and is no CA"),
            ChainFault::Unverifiable { which } => write!(f, "the signature of `{which}` cannot be checked"),
        }
    }
}

/// Whether the first certificate of a chain leads to one of the roots: by signatures, by who may sign, and by dates where
/// a time is given. The first may be a leaf or a CA (`ca-cert.pem`); the others may stand in any order.
pub fn verifies(chain: &[Cert], roots: &[Cert], at: Option<Time>) -> Result<(), ChainFault> {
    let (first, others) = chain.split_first().ok_or(ChainFault::NoChain)?;
    if roots.is_empty() {
        return Err(ChainFault::NoRoots);
    }
    let mut climb = Climb { others, roots, at, path: vec![first], checks_left: CHECKS_MAX };
    climb.from(first).map_err(|reach| reach.fault)
}

/// How many signatures one verification checks: a chain can be made to branch without end.
const CHECKS_MAX: u32 = 64;

/// How long a chain may be.
const DEPTH_MAX: usize = 8;

/// The search for a way up.
struct Climb<'a> {
    others: &'a [Cert],
    roots: &'a [Cert],
    at: Option<Time>,
    path: Vec<&'a Cert>,
    checks_left: u32,
}

/// How far a failed search came. Of several failed ways, one that is signed all through tells most, then the longest.
struct Reach {
    signed: bool,
    depth: usize,
    fault: ChainFault,
}

impl<'a> Climb<'a> {
    fn from(&mut self, cert: &'a Cert) -> Result<(), Reach> {
        let depth = self.path.len();
        if let Some(fault) = self.at.and_then(|at| cert.out_of_date(at)) {
            return Err(Reach { signed: true, depth, fault });
        }
        if self.roots.iter().any(|root| root.key == cert.key && root.subject == cert.subject && !root.key.is_empty()) {
            return Ok(());
        }
        let unsigned = ChainFault::Unsigned { which: cert.called().clone(), by: cert.issuer.clone(), namesake: false };
        let mut furthest = Reach { signed: false, depth, fault: unsigned };
        // Every root is tried before any intermediate, so that the shortest way is found first.
        for issuer in self.roots.iter().chain(self.others) {
            let is_known = self.path.iter().any(|seen| seen.key == issuer.key && seen.subject == issuer.subject);
            if issuer.subject != cert.issuer || is_known || depth >= DEPTH_MAX || self.checks_left == 0 {
                continue;
            }
            self.checks_left -= 1;
            let failed = match signed_by(cert, issuer) {
                Signed::No => {
                    if let ChainFault::Unsigned { namesake, .. } = &mut furthest.fault {
                        *namesake |= furthest.depth == depth;
                    }
                    continue;
                }
                Signed::Unknown => {
                    Reach { signed: true, depth, fault: ChainFault::Unverifiable { which: cert.called().clone() } }
                }
                Signed::Yes if !issuer.is_ca => {
                    Reach { signed: true, depth, fault: ChainFault::NotCa { which: issuer.called().clone() } }
                }
                Signed::Yes => {
                    self.path.push(issuer);
                    let outcome = self.from(issuer);
                    self.path.pop();
                    match outcome {
                        Ok(()) => return Ok(()),
                        Err(reach) => reach,
                    }
                }
            };
            if (failed.signed, failed.depth) > (furthest.signed, furthest.depth) {
                furthest = failed;
            }
        }
        Err(furthest)
    }
}

/// Whether a key made a signature.
enum Signed {
    Yes,
    No,
    /// We do not know the algorithm, or have only a description of a certificate.
    Unknown,
}

/// RSA keys below this are refused by every party of a mesh and cannot be checked here.
const RSA_BYTES_MIN: usize = 256;

fn signed_by(cert: &Cert, issuer: &Cert) -> Signed {
    let Some((message, parsed)) = to_be_signed(&cert.der) else { return Signed::Unknown };
    let Some((_, above)) = to_be_signed(&issuer.der) else { return Signed::Unknown };
    let spki = above.tbs_certificate().subject_public_key_info();
    let (Some(key_algorithm), Some(signature_algorithm), Some(key), Some(signature)) = (
        algorithm(&spki.algorithm),
        algorithm(parsed.signature_algorithm()),
        spki.subject_public_key.as_bytes(),
        parsed.signature().as_bytes(),
    ) else {
        return Signed::Unknown;
    };
    let fits = |known: &&&dyn SignatureVerificationAlgorithm| {
        known.public_key_alg_id().as_ref() == key_algorithm && known.signature_alg_id().as_ref() == signature_algorithm
    };
    let mut known = webpki::ALL_VERIFICATION_ALGS.iter().filter(fits).peekable();
    let is_short = key_algorithm == alg_id::RSA_ENCRYPTION.as_ref() && key.len() < RSA_BYTES_MIN;
    if known.peek().is_none() || is_short {
        return Signed::Unknown;
    }
    match known.any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok()) {
        true => Signed::Yes,
        false => Signed::No,
    }
}

/// The bytes a certificate's signature is over, and the certificate.
fn to_be_signed(der: &[u8]) -> Option<(&[u8], CertificateInner<Raw>)> {
    let mut reader = SliceReader::new(der).ok()?;
    Header::decode(&mut reader).ok()?;
    Some((reader.tlv_bytes().ok()?, CertificateInner::from_der(der).ok()?))
}

/// An algorithm identifier as webpki compares it: without its outer header.
fn algorithm(id: &x509_cert::spki::AlgorithmIdentifierOwned) -> Option<Vec<u8>> {
    let der = id.to_der().ok()?;
    let mut reader = SliceReader::new(&der).ok()?;
    let header = Header::decode(&mut reader).ok()?;
    reader.read_slice(header.length()).ok().map(<[u8]>::to_vec)
}

/// Base64 with line breaks, as `base64` prints it.
#[cfg(test)]
pub(crate) fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (at, three) in bytes.chunks(3).enumerate() {
        if at > 0 && at % 19 == 0 {
            text.push('\n');
        }
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let shown = digit <= three.len();
            text.push(if shown { DIGITS[(bits >> (18 - 6 * digit) & 63) as usize] as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
    };

    #[test]
    fn bytes_are_written_as_base64_with_padding() {
        let written = [&b""[..], b"f", b"fo", b"foo", b"foob", &[0xfb, 0xff]].map(to_base64);
        assert_eq!(written, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "+/8="]);
    }

    fn named(parts: &[(DnType, &str)]) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        params
    }

    fn ca(parts: &[(DnType, &str)]) -> CertificateParams {
        let mut params = named(parts);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.use_authority_key_identifier_extension = true;
        params
    }

    /// An authority: what it signs with, and its certificate.
    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        pem: String,
    }

    impl Authority {
        fn root(params: CertificateParams) -> Authority {
            let key = KeyPair::generate().expect("a key");
            let pem = params.self_signed(&key).expect("a root").pem();
            Authority { issuer: Issuer::new(params, key), pem }
        }

        fn sign(&self, params: CertificateParams) -> Authority {
            let key = KeyPair::generate().expect("a key");
            let pem = params.signed_by(&key, &self.issuer).expect("signed").pem();
            Authority { issuer: Issuer::new(params, key), pem }
        }

        fn cert(&self) -> Cert {
            parse(self.pem.as_bytes()).remove(0)
        }
    }

    const ISTIO_ROOT: [(DnType, &str); 2] = [(DnType::OrganizationName, "Istio"), (DnType::CommonName, "Root CA")];
    const ISTIO_INTERMEDIATE: [(DnType, &str); 3] = [
        (DnType::OrganizationName, "Istio"),
        (DnType::CommonName, "Intermediate CA"),
        (DnType::LocalityName, "cluster1"),
    ];

    fn leaf() -> CertificateParams {
        let mut params = named(&[]);
        params.subject_alt_names =
            vec![SanType::URI("spiffe://cluster.local/ns/sample/sa/helloworld".try_into().expect("ASCII"))];
        params.use_authority_key_identifier_extension = true;
        params
    }

    fn at(year: i64, month: u32) -> Option<Time> {
        Time::from_civil((year, month, 1), (0, 0, 0), 0)
    }

    #[test]
    fn a_certificate_tells_its_names_dates_and_keys() {
        let root = Authority::root(ca(&ISTIO_ROOT));
        let between = root.sign(ca(&ISTIO_INTERMEDIATE));
        let (cert, leaf) = (between.cert(), between.sign(leaf()).cert());
        assert_eq!(&*cert.subject, "O=Istio,CN=Intermediate CA,L=cluster1");
        assert_eq!((&*cert.issuer, cert.is_ca), ("O=Istio,CN=Root CA", true));
        assert_eq!((cert.not_before, cert.not_after), (at(2026, 1), at(2027, 1)));
        assert_eq!((leaf.fingerprint.len(), leaf.key.len(), leaf.is_ca), (64, 64, false));
        assert_eq!((&*leaf.subject, &*leaf.sans[0]), ("", "spiffe://cluster.local/ns/sample/sa/helloworld"));
        assert!(!leaf.issuer_key.is_empty() && leaf.issuer_key == cert.key_id);
        assert_ne!(leaf.key, cert.key);
    }

    #[test]
    fn certificates_are_found_between_other_text_and_under_base64() {
        let root = Authority::root(ca(&ISTIO_ROOT));
        let other = root.sign(ca(&ISTIO_INTERMEDIATE));
        let both = [root.cert(), other.cert()];
        let show = format!(
            "CONNECTED(00000003)\r\n---\r\nCertificate chain\r\n 0 s:O = Istio, CN = Root CA\r\n{}---\nverify error:num=19\n{}",
            root.pem.replace('\n', "\r\n"),
            other.pem
        );
        assert_eq!(parse(show.as_bytes()), both);
        let encoded = encode(show.as_bytes());
        assert_eq!(parse(encoded.as_bytes()), both);
        assert_eq!(parse(encode(&both[0].der).as_bytes()), both[..1]);
        assert_eq!(parse(&both[1].der), both[1..]);
        assert_eq!(parse(root.pem.replace('\n', "\\n").as_bytes()), both[..1]);
        assert_eq!(parse(b"NAME READY\nx 1/1\n"), []);
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_the_rest_is_read() {
        let root = Authority::root(ca(&ISTIO_ROOT));
        let text = format!(
            "-----BEGIN CERTIFICATE-----\nMII???\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n{}\n-----BEGIN CERTIFICATE-----\nMIIB",
            root.pem
        );
        let found = read(text.as_bytes());
        assert_eq!(found.certs, [root.cert()]);
        assert_eq!(found.unreadable.len(), 3, "{:?}", found.unreadable);
        assert_eq!(
            (&*found.unreadable[0], &*found.unreadable[2]),
            ("certificate 1: not base64", "certificate 4: cut off")
        );
    }

    #[test]
    fn no_bytes_make_the_reader_fall() {
        let root = Authority::root(ca(&ISTIO_ROOT)).cert();
        for at in 0..root.der.len() {
            let mut der = root.der.to_vec();
            der[at] ^= 0x55;
            if let Ok(cert) = Cert::from_der(&der) {
                let _ = verifies(&[cert], std::slice::from_ref(&root), None);
            }
            let _ = Cert::from_der(&der[..at]);
        }
    }

    #[test]
    fn a_leaf_and_an_intermediate_lead_to_their_root() {
        let root = Authority::root(ca(&ISTIO_ROOT));
        let between = root.sign(ca(&ISTIO_INTERMEDIATE));
        let leaf = between.sign(leaf()).cert();
        let roots = [root.cert()];
        assert_eq!(verifies(&[leaf.clone(), between.cert()], &roots, at(2026, 6)), Ok(()));
        assert_eq!(verifies(&[between.cert()], &roots, at(2026, 6)), Ok(()));
        assert_eq!(verifies(&[leaf.clone(), root.cert(), between.cert()], &roots, None), Ok(()));
        assert_eq!(verifies(&[root.cert()], &roots, None), Ok(()));
        let missing =
            ChainFault::Unsigned { which: leaf.called().clone(), by: between.cert().subject, namesake: false };
        assert_eq!(verifies(&[leaf], &roots, None), Err(missing));
        assert_eq!(verifies(&[], &roots, None), Err(ChainFault::NoChain));
        assert_eq!(verifies(&roots, &[], None), Err(ChainFault::NoRoots));
    }

    #[test]
    fn a_root_of_the_same_name_with_another_key_signs_nothing() {
        let self_signed = [(DnType::OrganizationName, "cluster.local")];
        let (east, west) = (Authority::root(ca(&self_signed)), Authority::root(ca(&self_signed)));
        assert_eq!(east.cert().subject, west.cert().subject);
        let chain = [east.sign(leaf()).cert(), east.cert()];
        assert_eq!(verifies(&chain, &[east.cert()], None), Ok(()));
        let fault = verifies(&chain, &[west.cert()], None).expect_err("another key");
        assert!(matches!(&fault, ChainFault::Unsigned { by, .. } if &**by == "O=cluster.local"), "{fault:?}");
        let fault = verifies(&chain[..1], &[west.cert()], None).expect_err("another key");
        let words = "`spiffe://cluster.local/ns/sample/sa/helloworld` was signed by a `O=cluster.local` of another key than the one trusted";
        assert_eq!(fault.to_string(), words);
        assert_eq!(verifies(&chain, &[west.cert(), east.cert()], None), Ok(()));
        assert!(!same_roots(&[east.cert()], &[west.cert()]));
        assert!(same_roots(&[east.cert()], &[west.cert(), east.cert()]));
    }

    #[test]
    fn a_renewed_root_of_the_same_key_is_the_same_root() {
        let key = KeyPair::generate().expect("a key");
        let old = ca(&[(DnType::OrganizationName, "cluster.local")]);
        let mut new = old.clone();
        new.not_after = date_time_ymd(2036, 1, 1);
        let read = |params: &CertificateParams| parse(params.self_signed(&key).expect("a root").pem().as_bytes());
        let (old, new) = (read(&old), read(&new));
        assert_ne!(old[0].fingerprint, new[0].fingerprint);
        assert_eq!(shared(&old, &new), [&old[0]]);
        assert_eq!(verifies(&old, &new, None), Ok(()));
    }

    #[test]
    fn dates_count_where_a_time_is_given() {
        let root = Authority::root(ca(&ISTIO_ROOT));
        let mut params = leaf();
        params.not_before = date_time_ymd(2026, 3, 1);
        params.not_after = date_time_ymd(2026, 4, 1);
        let chain = [root.sign(params).cert()];
        let roots = [root.cert()];
        let check = |at| verifies(&chain, &roots, at).map_err(|fault| fault.to_string());
        assert_eq!(check(None), Ok(()));
        assert_eq!(
            check(at(2026, 2)),
            Err("`spiffe://cluster.local/ns/sample/sa/helloworld` is valid only from 2026-03-01T00:00:00.000Z"
                .to_string())
        );
        assert_eq!(
            check(at(2026, 5)),
            Err("`spiffe://cluster.local/ns/sample/sa/helloworld` expired at 2026-04-01T00:00:00.000Z".to_string())
        );
    }

    #[test]
    fn who_is_no_ca_may_not_sign() {
        let root = Authority::root(ca(&ISTIO_ROOT));
        let pretender = root.sign(named(&[(DnType::CommonName, "not a CA")]));
        let chain = [pretender.sign(leaf()).cert(), pretender.cert()];
        let fault = verifies(&chain, &[root.cert()], None);
        assert_eq!(fault, Err(ChainFault::NotCa { which: "CN=not a CA".into() }));
    }

    #[test]
    fn a_chain_that_branches_ends() {
        let twins: Vec<Authority> = (0..40).map(|_| Authority::root(ca(&ISTIO_ROOT))).collect();
        let mut chain = vec![twins[0].sign(leaf()).cert()];
        chain.extend(twins.iter().rev().map(Authority::cert));
        let other = Authority::root(ca(&ISTIO_ROOT)).cert();
        assert!(verifies(&chain, &[other], None).is_err());
    }

    #[test]
    fn base64_of_any_length_is_read() {
        let read = |text: &str| base64(text.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok());
        assert_eq!(read("YWJj"), Some("abc".to_string()));
        assert_eq!(read("YWI="), Some("ab".to_string()));
        assert_eq!(read("YQ=="), Some("a".to_string()));
        assert_eq!(read("Y*=="), None);
        assert_eq!(encode(b"abcd"), "YWJjZA==");
    }
}
