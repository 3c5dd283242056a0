//! Certificates: read from PEM or base64, told apart by key and fingerprint, chains verified.

use crate::event::Text;
use crate::time::Time;

/// A certificate. Public by nature: nothing of a private key is ever part of it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Cert {
    /// Subject, `CN=x,O=cluster.local`.
    pub subject: Text,
    /// Issuer.
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
    /// The certificate itself (DER).
    pub der: Box<[u8]>,
}

impl Cert {
    /// The first 16 digits of its fingerprint: enough for a person to compare.
    pub fn short(&self) -> &str {
        self.fingerprint.get(..16).unwrap_or(&self.fingerprint)
    }
}
