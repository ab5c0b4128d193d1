//! Certificates for a test, in files of their own.

use std::path::PathBuf;

use chassis::tls::{Tls, TlsConfig, TlsMode};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};
use tempfile::TempDir;

/// Who signs. Its files last as long as it does.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Settings of a service whose certificate is signed by us.
    pub(crate) fn config(&self, mode: TlsMode, name: &str) -> TlsConfig {
        self.sign(mode, name, |_| {})
    }

    pub(crate) fn expired(&self, mode: TlsMode, name: &str) -> TlsConfig {
        self.sign(mode, name, |params| {
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(2000, 12, 31);
        })
    }

    fn sign(&self, mode: TlsMode, name: &str, change: impl FnOnce(&mut CertificateParams)) -> TlsConfig {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned(), name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let (certificate, private) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        std::fs::write(&certificate, signed.pem()).unwrap();
        std::fs::write(&private, key.serialize_pem()).unwrap();
        TlsConfig { mode, ca: self.file("ca.pem"), certificate, key: private, allow_with_ebpf: false }
    }

    pub(crate) fn tls(&self, mode: TlsMode, name: &str) -> Option<Tls> {
        Tls::load(&self.config(mode, name)).unwrap()
    }
}
