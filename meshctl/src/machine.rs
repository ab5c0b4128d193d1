//! What the kernel offers and what we may do, read from `/proc` and `/sys`.

use std::path::{Path, PathBuf};

/// The first kernel that OBI runs on; kernels of the Red Hat family are patched and may be older.
const KERNEL: (u32, u32) = (5, 8);

/// What OBI needs where it has not `CAP_SYS_ADMIN`: bit and name, as capabilities(7) has them.
const CAPABILITIES: [(u32, &str); 7] = [
    (2, "DAC_READ_SEARCH"),
    (12, "NET_ADMIN"),
    (13, "NET_RAW"),
    (19, "SYS_PTRACE"),
    (38, "PERFMON"),
    (39, "BPF"),
    (40, "CHECKPOINT_RESTORE"),
];

/// `CAP_SYS_ADMIN` includes all of them.
const SYS_ADMIN: u32 = 21;

/// This machine, or a folder that stands for one.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    root: PathBuf,
}

impl Machine {
    /// This machine; where `MESH_DOCTOR_ROOT` is set, which only tests do, the files below that folder.
    pub(crate) fn here() -> Self {
        Self::below(std::env::var_os("MESH_DOCTOR_ROOT").map_or_else(|| PathBuf::from("/"), PathBuf::from))
    }

    /// A machine whose `/proc` and `/sys` are below `root`.
    pub(crate) fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The release of the kernel, `6.1.0-18-amd64`.
    pub(crate) fn kernel(&self) -> Option<String> {
        Some(self.read("proc/sys/kernel/osrelease")?.trim().to_owned())
    }

    /// Whether the kernel is new enough for OBI.
    pub(crate) fn has_new_kernel(&self) -> bool {
        self.kernel().as_deref().and_then(version).is_some_and(|version| version >= KERNEL)
    }

    /// Whether the kernel tells its types, without which no eBPF program of OBI loads.
    pub(crate) fn has_btf(&self) -> bool {
        self.path("sys/kernel/btf/vmlinux").exists()
    }

    /// Whether functions of the kernel can be probed. Its symbols tell where the tracing file system is not mounted.
    pub(crate) fn has_kprobes(&self) -> bool {
        let files = ["sys/kernel/tracing/kprobe_events", "sys/kernel/debug/tracing/kprobe_events"];
        let symbols = || self.read("proc/kallsyms").unwrap_or_default();
        files.iter().any(|file| self.path(file).exists()) || symbols().lines().any(is_register_kprobe)
    }

    /// The capabilities that OBI needs and we have not; none of them for root.
    pub(crate) fn missing_capabilities(&self) -> Vec<&'static str> {
        let status = self.read("proc/self/status").unwrap_or_default();
        let effective = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok()).unwrap_or(0);
        let has = |bit: u32| effective & (1 << bit) != 0;
        if has(SYS_ADMIN) {
            return Vec::new();
        }
        CAPABILITIES.iter().filter(|(bit, _)| !has(*bit)).map(|(_, name)| *name).collect()
    }

    /// Memory that can still be had without swapping, in MiB.
    pub(crate) fn available_memory_mb(&self) -> Option<u64> {
        let meminfo = self.read("proc/meminfo")?;
        let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? / 1024)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path))
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.path(path)).ok()
    }
}

/// `6.1.0-18-amd64` as (6, 1).
pub(crate) fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A line of kallsyms: address, kind, name, and for modules their name.
fn is_register_kprobe(line: &str) -> bool {
    line.split_ascii_whitespace().nth(2) == Some("register_kprobe")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let machine = Machine::below(dir.path());
        (dir, machine)
    }

    #[test]
    fn a_machine_without_these_files_has_nothing() {
        let (_dir, machine) = machine(&[]);
        assert!(!machine.has_new_kernel() && !machine.has_btf() && !machine.has_kprobes());
        assert_eq!(machine.missing_capabilities().len(), CAPABILITIES.len());
        assert_eq!(machine.available_memory_mb(), None);
    }

    #[test]
    fn kernels_from_5_8_on_are_new_enough() {
        for (release, enough) in
            [("5.8.0", true), ("6.1.0-18-amd64", true), ("10.0", true), ("5.7.19", false), ("4.19.0+", false), ("?", false)]
        {
            let (_dir, machine) = machine(&[("proc/sys/kernel/osrelease", release)]);
            assert_eq!(machine.has_new_kernel(), enough, "{release}");
        }
    }

    #[test]
    fn kprobes_show_in_the_tracing_folder_or_among_the_symbols() {
        let only_similar = "ffffffff81000000 T arch_prepare_kprobe\nffffffff81000010 t __register_kprobe\n";
        assert!(!machine(&[("proc/kallsyms", only_similar)]).1.has_kprobes());
        let (_dir, with) = machine(&[("proc/kallsyms", "0000000000000000 T register_kprobe\n")]);
        assert!(with.has_kprobes());
        let (_dir, with) = machine(&[("sys/kernel/tracing/kprobe_events", "")]);
        assert!(with.has_kprobes());
    }

    #[test]
    fn root_needs_nothing_more_and_others_are_told_what() {
        let (_dir, root) = machine(&[("proc/self/status", "Name:\tmesh\nCapEff:\t000001ffffffffff\n")]);
        assert_eq!(root.missing_capabilities(), Vec::<&str>::new());
        let (_dir, some) = machine(&[("proc/self/status", "CapEff:\t000001c000003004\n")]);
        assert_eq!(some.missing_capabilities(), ["SYS_PTRACE"]);
    }

    #[test]
    fn memory_is_what_the_kernel_says_is_available() {
        let (_dir, machine) = machine(&[("proc/meminfo", "MemTotal: 24684092 kB\nMemAvailable:   2048000 kB\n")]);
        assert_eq!(machine.available_memory_mb(), Some(2000));
    }
}
