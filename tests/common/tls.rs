//! Certificates of the tests' servers and of their clients: authorities made anew, and what they sign.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// A certificate authority.
pub struct Authority {
    root: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Identity {
    /// The certificate, as PEM.
    pub certificate: String,
    /// Its private key (PKCS #8), as PEM.
    pub key: String,
    der: (CertificateDer<'static>, Vec<u8>),
}

impl Authority {
    /// A new root of this common name.
    pub fn new(common_name: &str) -> Authority {
        Authority::named(DnType::CommonName, common_name)
    }

    /// A new root as istiod signs itself: every mesh of a trust domain gives its root the same subject.
    pub fn of_mesh(trust_domain: &str) -> Authority {
        Authority::named(DnType::OrganizationName, trust_domain)
    }

    fn named(kind: DnType, name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(kind, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be made");
        let root = params.self_signed(&key).expect("it can sign itself");
        Authority { root, issuer: Issuer::new(params, key) }
    }

    /// The root's certificate, as PEM.
    pub fn pem(&self) -> String {
        self.root.pem()
    }

    /// A server's certificate for these DNS names and addresses.
    pub fn server(&self, common_name: &str, names: &[&str]) -> Identity {
        let names = names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).expect("the names are well formed");
        params.distinguished_name.push(DnType::CommonName, common_name);
        self.sign(params)
    }

    /// A workload's certificate: a SPIFFE identity and, as istiod signs them, no subject.
    pub fn workload(&self, spiffe: &str) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(spiffe.try_into().expect("a test names ASCII"))];
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority can sign");
        Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: (certificate.der().clone(), key.serialize_der()),
        }
    }
}

impl Identity {
    /// What accepts connections as this identity and speaks these application protocols. Clients may show a
    /// certificate of `clients`, and need none.
    pub fn acceptor(&self, protocols: &[&str], clients: Option<&Authority>) -> TlsAcceptor {
        let (certificate, key) = self.der.clone();
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring speaks them");
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.root.der().clone()).expect("a root of our own is well formed");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .expect("there is a root");
                config.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivatePkcs8KeyDer::from(key);
        let mut config = config.with_single_cert(vec![certificate], key.into()).expect("they belong together");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}
