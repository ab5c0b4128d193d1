//! Who runs OBI: the program itself, or Docker; and by what right.

use std::path::{Path, PathBuf};

use crate::launch::in_path;
use crate::machine::Machine;
use crate::tool::first_line;

/// What OBI is run by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Runner {
    /// OBI's own program.
    Program(PathBuf),
    /// Docker's client, for OBI's image.
    Docker(PathBuf),
}

/// By what right OBI's program may load its probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rights {
    /// Ours will do.
    Own,
    /// Root's, by this program.
    Sudo(PathBuf),
    /// We have none.
    None,
}

/// The program in `$OBI`, else `obi` in PATH, else Docker. The error says what was looked for.
pub(crate) fn find() -> Result<Runner, String> {
    choose(std::env::var_os("OBI").map(PathBuf::from), in_path)
}

fn choose(told: Option<PathBuf>, in_path: impl Fn(&str) -> Option<PathBuf>) -> Result<Runner, String> {
    if let Some(told) = told.filter(|told| !told.as_os_str().is_empty()) {
        let program = std::path::absolute(&told).ok().filter(|program| program.is_file());
        return program.map(Runner::Program).ok_or_else(|| format!("$OBI is {}, and there is no such file", told.display()));
    }
    let program = in_path("obi").map(Runner::Program);
    program.or_else(|| in_path("docker").map(Runner::Docker)).ok_or_else(|| "neither a program `obi` nor Docker in PATH".to_owned())
}

/// What we would run the program by; whether sudo asks for a password is not tried.
pub(crate) fn rights(machine: &Machine) -> Rights {
    if machine.missing_capabilities().is_empty() {
        return Rights::Own;
    }
    in_path("sudo").map_or(Rights::None, Rights::Sudo)
}

/// Whether sudo does it without asking.
pub(crate) async fn sudo_asks_nothing(sudo: &Path) -> bool {
    first_line(sudo, &["-n", "true"]).await.is_some()
}

/// The version of Docker's server; none if it does not answer.
pub(crate) async fn docker_server(docker: &Path) -> Option<String> {
    first_line(docker, &["version", "--format", "{{.Server.Version}}"]).await.filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(found: &'static [&'static str]) -> impl Fn(&str) -> Option<PathBuf> {
        move |name| found.contains(&name).then(|| Path::new("/bin").join(name))
    }

    #[test]
    fn the_program_that_was_named_comes_first_then_the_path_then_docker() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let both = &["obi", "docker"];
        assert_eq!(choose(Some(file.path().to_owned()), path(both)), Ok(Runner::Program(file.path().to_owned())));
        assert_eq!(choose(Some(PathBuf::new()), path(both)), Ok(Runner::Program("/bin/obi".into())));
        assert_eq!(choose(None, path(&["docker"])), Ok(Runner::Docker("/bin/docker".into())));
        assert!(choose(None, path(&[])).unwrap_err().contains("neither"));
    }

    #[test]
    fn a_name_that_leads_nowhere_is_told_and_nothing_else_is_taken() {
        let error = choose(Some("/nonexistent/obi".into()), path(&["obi"])).unwrap_err();
        assert!(error.contains("/nonexistent/obi"), "{error}");
    }
}
