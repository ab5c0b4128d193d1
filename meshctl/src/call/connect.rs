//! Who is called, and the connection there.

use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::{Surroundings, failure::Failure};
use crate::certs;

const TIMEOUT: Duration = Duration::from_secs(3);

/// The URL of a service of the mesh, of HOST:PORT, or the URL that was given.
pub(super) fn address(server: &str, around: &Surroundings) -> Result<String, Failure> {
    if server.contains("://") {
        return Ok(server.to_owned());
    }
    match (around.services.get(server), server.rsplit_once(':')) {
        (Some(url), _) => Ok(url.clone()),
        (None, Some((_, port))) if port.parse::<u16>().is_ok() => Ok(format!("http://{server}")),
        _ => Err(Failure::Usage(format!(
            "{server:?} is neither a gRPC service of the mesh that is running (./mesh status), nor HOST:PORT, nor a URL"
        ))),
    }
}

/// Connects; by TLS where the URL says so, then as the mesh's own launcher.
pub(super) async fn open(url: &str, around: &Surroundings) -> Result<Channel, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::Usage(format!("{url}: {error}"));
    let mut endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| wrong(&error))?.connect_timeout(TIMEOUT);
    match endpoint.uri().scheme_str() {
        Some("http") => {}
        Some("https") => endpoint = endpoint.tls_config(tls(around)?).map_err(|error| wrong(&error))?,
        _ => return Err(wrong(&"is neither http:// nor https://")),
    }
    endpoint.connect().await.map_err(|error| {
        let cause = std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
        let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
        Failure::Unreachable(format!("cannot connect to {url}: {cause}. Is it up (./mesh status)?"))
    })
}

/// Trusts the mesh's authority and shows the launcher's certificate; without a mesh, trusts what the system trusts.
fn tls(around: &Surroundings) -> Result<ClientTlsConfig, Failure> {
    let Some(folder) = &around.certs else { return Ok(ClientTlsConfig::new().with_native_roots()) };
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|error| Failure::Unreachable(format!("{}: {error}; ./mesh certs makes it", path.display())))
    };
    let identity = Identity::from_pem(read(&certs::certificate(certs::LAUNCHER))?, read(&certs::key(certs::LAUNCHER))?);
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(certs::CA)?)).identity(identity))
}
