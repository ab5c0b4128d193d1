//! Certificates for TLS inside a local mesh: an authority that lasts as long as the signing, and what it has signed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use chrono::{Datelike, Utc};
use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use serde_json::json;

use crate::failure::usage;
use crate::mesh::Mesh;
use crate::output;
use crate::secrets::write_private;
use crate::services::{SERVICES, Server};

/// The certificate of the authority.
pub(crate) const CA: &str = "ca.pem";

/// Whose certificate the launcher shows when it calls a service.
pub(crate) const LAUNCHER: &str = "mesh";

const DAY: Duration = Duration::from_hours(24);

/// How long certificates are good for, and how old `up` lets them become.
const DAYS: u32 = 90;
const RENEWED_AFTER: u32 = 60;

/// Where to put certificates.
#[derive(Debug, Args)]
pub(crate) struct CertsArgs {
    /// Folder for ca.pem, and SERVICE.pem and SERVICE.key of each service [default: certs in the home]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace what is there
    #[arg(long)]
    force: bool,
}

/// `mesh certs`
pub(crate) fn run(mesh: &Mesh, args: &CertsArgs, as_json: bool) -> Result<()> {
    let dir = args.out.clone().unwrap_or_else(|| mesh.home.certs());
    let dir = std::path::absolute(&dir).with_context(|| format!("{} is no path", dir.display()))?;
    if let Some(taken) = files(&dir).find(|path| path.exists()).filter(|_| !args.force) {
        return Err(usage(format!("{} is there already: --force replaces it and all others", taken.display())));
    }
    make(&dir)?;
    if as_json {
        return output::json(&json!({ "directory": dir, "days": DAYS, "files": files(&dir).collect::<Vec<_>>() }));
    }
    for path in files(&dir) {
        output::line(&path.display().to_string())?;
    }
    Ok(())
}

/// Has certificates ready where the settings ask for TLS. Those of a mesh that runs are kept, whatever their age.
pub(crate) fn prepare(mesh: &Mesh, runs: bool) -> Result<()> {
    if !mesh.settings.tls.is_on() {
        return Ok(());
    }
    if mesh.settings.telemetry.is_ebpf() {
        let mode = &mesh.settings.tls.mode;
        return Err(usage(format!(
            "telemetry.mode = ebpf and tls.mode = {mode} do not go together: OBI cannot read what rustls encrypts; \
             docs/tls.md tells where else TLS can end"
        )));
    }
    let dir = mesh.home.certs();
    let complete = files(&dir).all(|path| path.exists());
    if complete && (runs || age(&dir) < DAY * RENEWED_AFTER) {
        return Ok(());
    }
    mesh.progress.say(&format!("making certificates in {}", dir.display()));
    make(&dir)
}

/// What a service is told about TLS.
pub(crate) fn environment(mesh: &Mesh, service: &str) -> Vec<(&'static str, String)> {
    if !mesh.settings.tls.is_on() {
        return Vec::new();
    }
    let file = |name: String| mesh.home.certs().join(name).display().to_string();
    vec![
        ("TLS__MODE", mesh.settings.tls.mode.clone()),
        ("TLS__CA", file(CA.to_owned())),
        ("TLS__CERTIFICATE", file(certificate(service))),
        ("TLS__KEY", file(key(service))),
    ]
}

/// The file with the certificate of `name`.
pub(crate) fn certificate(name: &str) -> String {
    format!("{name}.pem")
}

/// The file with the key of `name`.
pub(crate) fn key(name: &str) -> String {
    format!("{name}.key")
}

/// Who needs a certificate.
fn names() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().filter(|service| service.server != Server::None).map(|service| service.name).chain([LAUNCHER])
}

fn files(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let signed = names().flat_map(|name| [certificate(name), key(name)]);
    [CA.to_owned()].into_iter().chain(signed).map(|name| dir.join(name))
}

fn age(dir: &Path) -> Duration {
    let made = fs::metadata(dir.join(CA)).and_then(|meta| meta.modified());
    made.ok().and_then(|made| SystemTime::now().duration_since(made).ok()).unwrap_or_default()
}

/// Makes an authority and a certificate of everybody. The key of the authority is not kept.
fn make(dir: &Path) -> Result<()> {
    let cannot = || format!("cannot make certificates in {}", dir.display());
    fs::create_dir_all(dir).with_context(cannot)?;
    let mut params = dated(Vec::new(), "Throughline local authority")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    for name in names() {
        let mut params = dated(vec![name.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()], name)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        // ECDSA, P-256
        let pair = KeyPair::generate()?;
        let signed = params.signed_by(&pair, &authority)?;
        write_private(&dir.join(key(name)), &pair.serialize_pem()).with_context(cannot)?;
        fs::write(dir.join(certificate(name)), signed.pem()).with_context(cannot)?;
    }
    fs::write(dir.join(CA), authority.pem()).with_context(cannot)
}

/// Good from the beginning of yesterday, for clocks that are late.
fn dated(names: Vec<String>, subject: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, subject);
    let today = Utc::now().date_naive();
    let (month, day) = (u8::try_from(today.month())?, u8::try_from(today.day())?);
    params.not_before = date_time_ymd(today.year(), month, day) - DAY;
    params.not_after = params.not_before + DAY * (DAYS + 1);
    Ok(params)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::ring;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;

    fn verifies(dir: &Path, name: &str, server: &str, days: u32) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(dir.join(CA)).unwrap()).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider())).build().unwrap();
        let certificate = CertificateDer::from_pem_file(dir.join(certificate(name))).unwrap();
        let when = SystemTime::now() + DAY * days;
        let when = UnixTime::since_unix_epoch(when.duration_since(SystemTime::UNIX_EPOCH).unwrap());
        verifier.verify_server_cert(&certificate, &[], &ServerName::try_from(server).unwrap(), &[], when).is_ok()
    }

    #[test]
    fn everybody_gets_a_certificate_for_its_own_name_and_this_machine_for_ninety_days() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path()).unwrap();
        for name in ["gateway", "auth", "catalog-cache", "orders", LAUNCHER] {
            for server in [name, "localhost", "127.0.0.1"] {
                assert!(verifies(dir.path(), name, server, 0), "{name} as {server}");
            }
            assert!(!verifies(dir.path(), name, "example.org", 0));
            assert!(verifies(dir.path(), name, name, DAYS - 1) && !verifies(dir.path(), name, name, DAYS + 1));
            let mode = fs::metadata(dir.path().join(key(name))).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), files(dir.path()).count(), "and no key of the authority");
    }

    #[test]
    fn two_authorities_do_not_know_each_other() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make(one.path()).unwrap();
        make(other.path()).unwrap();
        fs::copy(one.path().join(CA), other.path().join(CA)).unwrap();
        assert!(!verifies(other.path(), "orders", "orders", 0));
    }
}
