//! What OBI needs: a kernel that can be probed, the right to do it, and OBI itself.

use crate::doctor::{Check, Need};
use crate::machine::Machine;
use crate::mesh::Mesh;
use crate::obi::runner::{self, Rights, Runner};

/// Where OBI is to be had.
const RELEASES: &str = "https://github.com/open-telemetry/opentelemetry-ebpf-instrumentation/releases";

/// Looks at the kernel, at OBI, and at what it would be allowed.
pub(super) async fn checks(mesh: &Mesh, machine: &Machine) -> Vec<Check> {
    let runner = runner::find();
    let settings = crate::obi::settings_file(mesh);
    vec![
        kernel(machine),
        btf(machine),
        kprobes(machine),
        obi(runner.as_ref()).await,
        rights(machine, runner.as_ref()).await,
        file(&settings),
    ]
}

fn of(name: &str, ok: bool, found: String, way_out: impl Into<String>) -> Check {
    if ok { Check::ok(Need::Ebpf, name, found) } else { Check::missing(Need::Ebpf, name, found, way_out) }
}

fn kernel(machine: &Machine) -> Check {
    let found = machine.kernel().unwrap_or_else(|| "unknown (/proc/sys/kernel/osrelease cannot be read)".to_owned());
    of("kernel", machine.has_new_kernel(), found, "OBI wants Linux 5.8 or newer: run the mesh on such a machine")
}

fn btf(machine: &Machine) -> Check {
    let there = machine.has_btf();
    let found = if there { "/sys/kernel/btf/vmlinux" } else { "there is no /sys/kernel/btf/vmlinux" };
    of("BTF", there, found.to_owned(), "boot a kernel built with CONFIG_DEBUG_INFO_BTF; those of the distributions are")
}

fn kprobes(machine: &Machine) -> Check {
    let there = machine.has_kprobes();
    let found = if there { "the kernel has them" } else { "this kernel has none" };
    of(
        "kprobes",
        there,
        found.to_owned(),
        "boot a kernel built with CONFIG_KPROBES and CONFIG_KPROBE_EVENTS; those of the distributions are",
    )
}

async fn obi(runner: Result<&Runner, &String>) -> Check {
    let get = format!("put the program `obi` into PATH or name it in $OBI ({RELEASES}), or start Docker");
    match runner {
        Err(why) => of("OBI", false, why.clone(), get),
        Ok(Runner::Program(path)) => of("OBI", true, path.display().to_string(), ""),
        Ok(Runner::Docker(docker)) => match runner::docker_server(docker).await {
            Some(version) => of("OBI", true, format!("its image, by Docker {version}"), ""),
            None => of("OBI", false, "no program `obi`, and Docker's server does not answer".to_owned(), get),
        },
    }
}

async fn rights(machine: &Machine, runner: Result<&Runner, &String>) -> Check {
    let way_out = "run ./mesh as root, or let sudo ask for no password (sudo -v before it)";
    let missing = machine.missing_capabilities();
    if matches!(runner, Ok(Runner::Docker(_))) {
        return of("rights", true, "those of Docker's server".to_owned(), "");
    }
    match runner::rights(machine) {
        Rights::Own => of("rights", true, "root, or all capabilities that OBI needs".to_owned(), ""),
        Rights::Sudo(sudo) if runner::sudo_asks_nothing(&sudo).await => of("rights", true, "by sudo, without a password".to_owned(), ""),
        Rights::Sudo(_) => of("rights", false, format!("no {}, and sudo asks for a password", missing.join(", ")), way_out),
        Rights::None => of("rights", false, format!("no {}", missing.join(", ")), way_out),
    }
}

fn file(settings: &std::path::Path) -> Check {
    let found = if settings.is_file() { settings.display().to_string() } else { format!("there is no {}", settings.display()) };
    of("OBI's settings", settings.is_file(), found, "name the file in MESH_OBI__SETTINGS, or run ./mesh of a complete checkout")
}
