//! The broker's jars: resolved by Maven from the pinned pom, once for all meshes of this checkout.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::fingerprint;
use crate::home::LIBS;
use crate::launch::in_path;
use crate::progress::Step;
use crate::tool::Tool;

const POM: &str = include_str!("../../../deploy/kafka/pom.xml");

/// A folder per pom, so that another version of the broker never meets half of this one's jars.
fn libs(cache: &Path) -> PathBuf {
    cache.join(format!("{LIBS}{}", fingerprint::of(POM)))
}

/// Copies the jars into the cache unless they are there. The folder appears whole; a second mesh waits for the first.
pub(crate) async fn resolve(cache: &Path, log: &Path, step: &Step) -> Result<()> {
    let libs = libs(cache);
    if libs.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(cache).with_context(|| format!("cannot create {}", cache.display()))?;
    open_up(cache)?;
    let lock = File::create(cache.join("lock"))?;
    if lock.try_lock().is_err() {
        step.doing("waiting for another mesh that is getting the broker");
        lock.lock()?;
    }
    if libs.is_dir() {
        return Ok(());
    }
    step.doing("getting the broker (47 jars, 45 MB) by Maven");
    let new = cache.join("libs.new");
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    maven(cache, &new, log).await?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    for jar in fs::read_dir(&new)? {
        fs::set_permissions(jar?.path(), fs::Permissions::from_mode(0o644))?;
    }
    fs::rename(&new, &libs)?;
    Ok(())
}

async fn maven(cache: &Path, target: &Path, log: &Path) -> Result<()> {
    let program = in_path("mvn").context("no mvn in PATH: install the package maven")?;
    let pom = cache.join("pom.xml");
    fs::write(&pom, POM)?;
    let args = [
        "--quiet".to_owned(),
        "--batch-mode".to_owned(),
        format!("--file={}", pom.display()),
        "dependency:copy-dependencies".to_owned(),
        "-DincludeScope=runtime".to_owned(),
        format!("-DoutputDirectory={}", target.display()),
    ];
    let tool = Tool { name: "Maven", program: &program, args: args.to_vec(), env: BTreeMap::new(), user: None, dir: cache, input: "" };
    tool.run(log).await.context("the Kafka broker could not be fetched; when the network is back, ./mesh up goes on")
}

/// Lets the servers' user pass down to `cache`, where a strict umask made the folders that we created for it.
fn open_up(cache: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let ours = |dir: &&Path| dir.file_name().is_some_and(|name| ["kafka", "cache", ".mesh", "throughline"].iter().any(|own| name == *own));
    for dir in cache.ancestors().take_while(ours) {
        let mode = fs::metadata(dir)?.mode() & 0o7777;
        if mode & 0o011 != 0o011 {
            fs::set_permissions(dir, fs::Permissions::from_mode(mode | 0o011))?;
        }
    }
    Ok(())
}

/// The jars in a fixed order, as `CLASSPATH`: an archive of classes is only valid for the same order.
pub(super) fn class_path(cache: &Path) -> Result<String> {
    let libs = libs(cache);
    let entries = fs::read_dir(&libs).with_context(|| format!("the broker's jars are not in {}", libs.display()))?;
    let mut jars: Vec<String> = entries.flatten().map(|jar| jar.path().display().to_string()).collect();
    jars.sort_unstable();
    Ok(jars.join(":"))
}

/// A file in the cache that belongs to these jars at this place and to the program `java` as it is now.
pub(super) fn keyed(cache: &Path, name: &str, java: &Path, extension: &str) -> PathBuf {
    let build = fs::metadata(java).and_then(|meta| meta.modified()).ok();
    let key = fingerprint::of(format!("{} {} {build:?}", libs(cache).display(), java.display()));
    cache.join(format!("{name}-{key}.{extension}"))
}
