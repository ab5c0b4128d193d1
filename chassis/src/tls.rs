//! TLS between services and on the public port: settings, and what is made of them once, at the start.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use telemetry::Mode;
use tokio_rustls::TlsAcceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

use crate::config::Problems;

/// How long a handshake may take.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(5);

/// What is encrypted, and who has to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// Nothing.
    #[default]
    Off,
    /// Servers show a certificate.
    Tls,
    /// So do the services that call them. Callers of the public port need none.
    Mtls,
}

/// The `tls` table of every service's configuration: one certificate for what a service serves and for its calls.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// `off`, `tls` or `mtls`.
    pub mode: TlsMode,
    /// PEM file with the authorities to trust.
    pub ca: PathBuf,
    /// PEM file with this service's certificate, and those that lead from it to an authority.
    pub certificate: PathBuf,
    /// PEM file with the certificate's private key.
    pub key: PathBuf,
    /// Whether there may be TLS in telemetry mode `ebpf`, where OBI then sees no request.
    pub allow_with_ebpf: bool,
}

impl TlsConfig {
    /// See [`crate::config::ServiceConfig::check`].
    pub(crate) fn check(&self, telemetry: Mode, problems: &mut Problems) {
        if self.mode != TlsMode::Off && telemetry == Mode::Ebpf && !self.allow_with_ebpf {
            let allowed = "off where telemetry.mode is ebpf, since OBI cannot read what rustls encrypts \
                (tls.allow_with_ebpf = true has it all the same; docs/tls.md tells where else TLS can end)";
            problems.add("tls.mode", &self.mode, allowed);
        }
        if let Err(mistakes) = Tls::load(self) {
            for mistake in mistakes.0 {
                problems.add(mistake.key, &mistake.path, &mistake.allowed);
            }
        }
    }
}

/// Files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub struct TlsError(Vec<Mistake>);

#[derive(Debug)]
struct Mistake {
    key: &'static str,
    path: PathBuf,
    allowed: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(|it| format!("{} = {}: allowed is {}", it.key, it.path.display(), it.allowed)).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

/// Certificates and keys, read and found fit for use. Cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<Loaded>);

struct Loaded {
    mode: TlsMode,
    authorities: Certificate,
    identity: Identity,
    public: ServerConfig,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Tls").field(&self.0.mode).finish()
    }
}

impl Tls {
    /// What the settings ask for; none in mode `off`.
    ///
    /// # Errors
    /// [`TlsError`] names each file that cannot be read or used.
    pub fn load(config: &TlsConfig) -> Result<Option<Self>, TlsError> {
        if config.mode == TlsMode::Off {
            return Ok(None);
        }
        let mut files = Files { mistakes: Vec::new() };
        let ca = files.read("tls.ca", &config.ca, authorities);
        let chain = files.read("tls.certificate", &config.certificate, certificates);
        let key = files.read("tls.key", &config.key, |pem| {
            PrivateKeyDer::from_pem_slice(pem).map_err(|error| format!("a PEM file with a private key ({error})"))
        });
        let (Some((ca, ())), Some((certificate, chain)), Some((key, private))) = (ca, chain, key) else {
            return Err(TlsError(files.mistakes));
        };
        let public = public(chain, private)
            .map_err(|error| TlsError(vec![Mistake::new("tls.key", &config.key, format!("the key of tls.certificate ({error})"))]))?;
        let (authorities, identity) = (Certificate::from_pem(ca), Identity::from_pem(certificate, key));
        Ok(Some(Self(Arc::new(Loaded { mode: config.mode, authorities, identity, public }))))
    }

    /// For a server of gRPC.
    pub(crate) fn of_grpc_server(&self) -> ServerTlsConfig {
        let config = ServerTlsConfig::new().identity(self.0.identity.clone()).timeout(HANDSHAKE);
        if self.0.mode == TlsMode::Mtls { config.client_ca_root(self.0.authorities.clone()) } else { config }
    }

    /// For a channel.
    pub(crate) fn of_grpc_client(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().ca_certificate(self.0.authorities.clone());
        if self.0.mode == TlsMode::Mtls { config.identity(self.0.identity.clone()) } else { config }
    }

    /// For the public port, which asks nobody for a certificate. `protocols` are offered by ALPN (RFC 7301).
    pub(crate) fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let mut config = self.0.public.clone();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

struct Files {
    mistakes: Vec<Mistake>,
}

impl Mistake {
    fn new(key: &'static str, path: &Path, allowed: String) -> Self {
        Self { key, path: path.to_owned(), allowed }
    }
}

impl Files {
    /// A file as it is, and what `parse` makes of it.
    fn read<T>(&mut self, key: &'static str, path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Option<(Vec<u8>, T)> {
        let read = || {
            let pem = std::fs::read(path).map_err(|error: io::Error| format!("a readable PEM file ({error})"))?;
            let parsed = parse(&pem)?;
            Ok((pem, parsed))
        };
        read().map_err(|allowed| self.mistakes.push(Mistake::new(key, path, allowed))).ok()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("a PEM file with a certificate (there is none in it)".into()),
        Err(error) => Err(format!("a PEM file with a certificate ({error})")),
    }
}

fn authorities(pem: &[u8]) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| format!("a PEM file with certificates of authorities ({error})"))?;
    }
    Ok(())
}

/// What the public port shows. Fails where the key is not the certificate's.
fn public(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    builder.with_no_client_auth().with_single_cert(chain, key)
}
