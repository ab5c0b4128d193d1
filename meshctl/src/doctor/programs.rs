//! The programs that building and running a mesh needs. `deploy/packages.sh` decides what is missing, as `./mesh up` does.

use std::path::{Path, PathBuf};

use crate::doctor::{Check, Need};
use crate::launch::in_path;
use crate::mesh::Mesh;
use crate::tool::first_line;
use crate::{kafka, postgres, prometheus, redis};

/// Prints what `deploy/packages.sh` (its first argument) finds missing, one package a line.
const MISSING: &str = r#"have() { command -v "$1" >/dev/null 2>&1; }; . "$0" && missing_packages mesh | tr '\n' ' '"#;

/// Looks for Rust and for every package.
pub(super) async fn checks(mesh: &Mesh) -> Vec<Check> {
    let mut checks = vec![rust(mesh).await];
    let script = mesh.home.repository().join("deploy/packages.sh");
    let Some(missing) = missing_packages(&script).await else {
        let found = format!("{} does not run in bash", script.display());
        checks.push(Check::missing(Need::Always, "packages", found, "run ./mesh of a complete checkout"));
        return checks;
    };
    let mut missing: Vec<&str> = missing.split_whitespace().collect();
    let java = kafka::java_program();
    let postgres = postgres::bin_dir(&mesh.settings.postgres.bin_dir).ok().map(|dir| dir.join("postgres"));
    for (name, package, program, version) in [
        ("Postgres", "postgresql", postgres, "--version"),
        ("Redis ≥6.2", "redis-server", in_path("redis-server"), "--version"),
        ("Java ≥17", "jre-headless", java, "-version"),
        ("Maven", "maven", in_path("mvn"), ""),
        ("Prometheus", "prometheus", in_path(prometheus::NAME), "--version"),
    ] {
        let lacking = missing.iter().position(|missing| missing.contains(package)).map(|place| missing.remove(place));
        checks.push(program_of(name, lacking, program, version).await);
    }
    checks.push(match missing.as_slice() {
        [] => Check::ok(Need::Always, "build tools", "C compiler, make, protoc, pkg-config, curl, certificates"),
        packages => Check::missing(Need::Always, "build tools", format!("no {}", packages.join(", ")), install(&packages.join(" "))),
    });
    checks
}

async fn rust(mesh: &Mesh) -> Check {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    let installed = home.map(|home| home.join("bin/cargo")).filter(|cargo| cargo.is_file());
    let cargo = in_path("cargo").or(installed);
    let toolchain = mesh.home.repository().join("rust-toolchain.toml");
    match cargo {
        None => Check::missing(Need::Always, "Rust", "no cargo in PATH", "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"),
        Some(cargo) => match first_line(&cargo, &["--version"]).await {
            Some(version) => Check::ok(Need::Always, "Rust", version),
            None => Check::missing(
                Need::Always,
                "Rust",
                "cargo does not run",
                format!("rustup toolchain install, as {} asks", toolchain.display()),
            ),
        },
    }
}

async fn missing_packages(script: &Path) -> Option<String> {
    let script = script.to_str().filter(|script| Path::new(script).is_file())?;
    first_line(Path::new("bash"), &["-c", MISSING, script]).await
}

async fn program_of(name: &str, lacking: Option<&str>, program: Option<PathBuf>, version: &str) -> Check {
    let found = match &program {
        Some(program) if !version.is_empty() => first_line(program, &[version]).await,
        _ => None,
    };
    let place = program.map(|program| program.display().to_string());
    let found = found.map(|line| line.split(" sha=").next().unwrap_or_default().to_owned()).or(place);
    match lacking {
        None if found.as_deref().is_some_and(redis::is_too_old) => {
            Check::missing(Need::Always, name, format!("{} will not do", found.unwrap_or_default()), redis::WAY_OUT)
        }
        None => Check::ok(Need::Always, name, found.unwrap_or_else(|| "there".to_owned())),
        Some(package) => {
            let found = found.map_or_else(|| "none".to_owned(), |found| format!("{found} will not do"));
            Check::missing(Need::Always, name, found, install(package))
        }
    }
}

fn install(packages: &str) -> String {
    format!("./mesh up installs it, or: apt-get install --no-install-recommends {packages}")
}
