//! Names the state of the migrations and the seed: a test database template is shared by everybody who has the same.
#![allow(clippy::print_stdout, reason = "a build script talks to cargo on stdout")]

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// All that decides what a fresh test database holds.
const SOURCES: [&str; 6] = ["migrations", "src/migrate.rs", "src/migrate", "src/roles.rs", "src/seed.rs", "src/seed"];

fn main() -> io::Result<()> {
    let mut hasher = DefaultHasher::new();
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
        for file in files(Path::new(source))? {
            file.hash(&mut hasher);
            fs::read(&file)?.hash(&mut hasher);
        }
    }
    println!("cargo:rustc-env=DB_CONTENT_HASH={:016x}", hasher.finish());
    Ok(())
}

fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = fs::read_dir(path)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries.iter().map(|entry| files(entry)).collect::<io::Result<Vec<_>>>()?.concat())
}
