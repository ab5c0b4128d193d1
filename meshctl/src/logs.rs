//! Log files of the processes: `NAME.log` of this run, `NAME.log.1` of the one before.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::home::Home;

/// How much of the end of a file is searched for its last lines, in bytes.
const TAIL: u64 = 256 * 1024;

/// How often a followed log is looked at again.
const POLL: Duration = Duration::from_millis(100);

/// Moves the log of the run before aside.
pub(crate) fn rotate(path: &Path) -> Result<()> {
    let mut before = path.as_os_str().to_owned();
    before.push(".1");
    match std::fs::rename(path, PathBuf::from(before)) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err).with_context(|| format!("cannot rotate {}", path.display())),
        _ => Ok(()),
    }
}

/// Opens a log for appending.
pub(crate) fn append(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("cannot write {}", path.display()))
}

/// The last `count` lines of a file, fewer if it is short; empty if there is none.
pub(crate) fn tail(path: &Path, count: usize) -> Vec<String> {
    let Ok(mut file) = File::open(path) else { return Vec::new() };
    let length = file.metadata().map_or(0, |meta| meta.len());
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).and_then(|_| file.read_to_end(&mut bytes));
    if read.is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
}

/// Prints the last `count` lines of the log of `name`, then, with `follow`, what is added until interrupted.
pub(crate) fn show(home: &Home, name: &str, follow: bool, count: usize, json: bool) -> Result<()> {
    let path = home.log(name);
    let mut file =
        File::open(&path).with_context(|| format!("{name} has no log yet ({}): start the mesh with ./mesh up", path.display()))?;
    let lines = tail(&path, count);
    if json && !follow {
        return crate::output::json(&serde_json::json!({ "service": name, "log": path, "lines": lines }));
    }
    file.seek(SeekFrom::End(0))?;
    for line in lines {
        crate::output::line(&line)?;
    }
    if !follow {
        return Ok(());
    }
    loop {
        std::thread::sleep(POLL);
        copy_new(&path, &mut file)?;
    }
}

/// Prints what was added since; starts again at the top of a new file when the log was rotated.
fn copy_new(path: &Path, file: &mut File) -> Result<()> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let replaced = std::fs::metadata(path).is_ok_and(|now| !same_file(&now, file));
    if replaced && let Ok(new) = File::open(path) {
        *file = new;
        file.read_to_end(&mut bytes)?;
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(&bytes)?;
    stdout.flush()?;
    Ok(())
}

fn same_file(now: &std::fs::Metadata, open: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    open.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (now.dev(), now.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_before_is_kept_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("orders.log");
        rotate(&path).unwrap();
        std::fs::write(&path, "first\n").unwrap();
        rotate(&path).unwrap();
        append(&path).unwrap().write_all(b"second\nthird\n").unwrap();
        assert_eq!(tail(&path, 1), ["third"]);
        assert_eq!(tail(&path, 9), ["second", "third"]);
        assert_eq!(tail(&dir.path().join("orders.log.1"), 9), ["first"]);
    }
}
