//! Passwords of a mesh: random, generated once, kept in the home with mode 0600.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Everything secret that a mesh generated. All values are URL-safe text of 256 bits of randomness.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secrets {
    /// Password of the Postgres role `throughline_admin`.
    pub(crate) admin: String,
    /// Password of the role of auth.
    pub(crate) auth: String,
    /// Password of the role of catalog-cache.
    pub(crate) catalog: String,
    /// Password of the role of orders.
    pub(crate) orders: String,
    /// Password of the role of notification.
    pub(crate) notification: String,
    /// Password of the role of analytics.
    pub(crate) analytics: String,
    /// Key with which auth signs access tokens.
    pub(crate) jwt: String,
    /// Password of the demo user.
    pub(crate) demo: String,
    /// Password of the demo admin; empty in a file from before there was one.
    #[serde(default)]
    pub(crate) demo_admin: String,
}

impl Secrets {
    fn generate() -> Self {
        Self {
            admin: random(),
            auth: random(),
            catalog: random(),
            orders: random(),
            notification: random(),
            analytics: random(),
            jwt: random(),
            demo: random(),
            demo_admin: random(),
        }
    }

    /// The secrets at `path`, if a mesh was ever started there.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(err).with_context(|| format!("cannot read {}", path.display())),
        };
        serde_json::from_str(&text)
            .map(Some)
            .with_context(|| format!("{} is damaged: `./mesh reset` makes a new mesh (and loses its local data)", path.display()))
    }

    /// The secrets at `path`, generated if there are none. The file appears whole or not at all.
    pub(crate) fn read_or_create(path: &Path) -> Result<Self> {
        let secrets = match Self::read(path)? {
            Some(secrets) if secrets.demo_admin.is_empty() => Self { demo_admin: random(), ..secrets },
            Some(secrets) => return Ok(secrets),
            None => Self::generate(),
        };
        let whole = serde_json::to_string_pretty(&secrets)?;
        write_private(path, &whole).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(secrets)
    }
}

/// Writes `text` to a file that only we can read, by renaming a complete new file over it.
pub(crate) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension(format!("new{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

fn random() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secrets_are_made_once_and_only_we_can_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.json");
        assert!(Secrets::read(&path).unwrap().is_none());
        let first = Secrets::read_or_create(&path).unwrap();
        let second = Secrets::read_or_create(&path).unwrap();
        assert_eq!((&first.admin, &first.jwt), (&second.admin, &second.jwt));
        let older = std::fs::read_to_string(&path).unwrap().replace("demo_admin", "unknown_here");
        std::fs::write(&path, older).unwrap();
        let third = Secrets::read_or_create(&path).unwrap();
        assert!(third.admin == first.admin && third.demo_admin.len() > 32 && third.demo_admin != first.demo_admin);
        assert_eq!(Secrets::read(&path).unwrap().unwrap().demo_admin, third.demo_admin);
        assert_ne!(first.admin, first.demo);
        assert!(first.jwt.len() >= 32 && first.jwt.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
