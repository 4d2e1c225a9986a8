//! The machine: privileges, kernel, BPF file system, type information.

use std::{fs, path::Path};

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::Finding;

/// Id of the finding that says whether BPF can be tried at all.
pub(super) const PRIVILEGES: &str = "privileges";

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// The first with `bpf_loop`.
const OLDEST: (u32, u32) = (5, 17);
const BPFFS: &str = "/sys/fs/bpf";
const BTF: &str = "/sys/kernel/btf/vmlinux";

pub(super) fn findings() -> Vec<Finding> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    vec![
        privileges(&read("/proc/thread-self/status")),
        kernel(read("/proc/sys/kernel/osrelease").trim()),
        bpffs(),
        btf(Path::new(BTF).exists()),
    ]
}

fn privileges(status: &str) -> Finding {
    let id = PRIVILEGES;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    let has = |capability: u32| effective & (1 << capability) != 0;
    let mut missing = Vec::new();
    if !has(CAP_NET_ADMIN) {
        missing.push("CAP_NET_ADMIN");
    }
    if !has(CAP_SYS_ADMIN) {
        missing.extend(
            [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")]
                .iter()
                .filter_map(|(capability, name)| (!has(*capability)).then_some(*name)),
        );
    }
    if missing.is_empty() {
        return Finding::ok(id, "may load BPF programs and attach them to interfaces");
    }
    Finding::fatal(
        id,
        format!("this process lacks {}", missing.join(", ")),
        "the kernel lets only privileged processes load BPF programs and attach them",
        "run as root: sudo snat-ctl ...",
    )
}

fn kernel(release: &str) -> Finding {
    let id = "kernel";
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    let version = numbers
        .next()
        .and_then(Result::ok)
        .zip(numbers.next().and_then(Result::ok));
    match version {
        Some(version) if version >= OLDEST => Finding::ok(id, format!("Linux {release}")),
        _ => Finding::fatal(
            id,
            format!("Linux {release} is older than {}.{}", OLDEST.0, OLDEST.1),
            "it lacks parts of BPF that the datapath is built on",
            "boot a newer kernel; Debian 12 and Ubuntu 24.04 have one",
        ),
    }
}

fn bpffs() -> Finding {
    let id = "bpffs";
    match statfs(BPFFS) {
        Ok(stat) if stat.filesystem_type() == BPF_FS_MAGIC => {
            Finding::ok(id, format!("BPF file system at {BPFFS}"))
        }
        _ => Finding::fatal(
            id,
            format!("no BPF file system is mounted at {BPFFS}"),
            "the datapath is pinned there, so that it outlives this program",
            format!("mount -t bpf bpf {BPFFS}"),
        ),
    }
}

fn btf(exists: bool) -> Finding {
    let id = "btf";
    if exists {
        return Finding::ok(id, "the kernel carries type information (BTF)");
    }
    Finding::warn(
        id,
        format!("{BTF} is missing"),
        "such kernels are built with less of BPF, and tools show less of the maps",
        "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions do",
    )
}

#[cfg(test)]
mod tests {
    use super::{super::Severity, btf, kernel, privileges};

    #[test]
    fn root_and_fitting_capabilities_suffice() {
        for (mask, missing) in [
            ("000001ffffffffff", ""),
            ("000000c000001000", ""),
            ("0000000000201000", ""),
            ("0000000000200000", "this process lacks CAP_NET_ADMIN"),
            ("0000008000001000", "this process lacks CAP_PERFMON"),
            (
                "0000000000000000",
                "this process lacks CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON",
            ),
        ] {
            let finding = privileges(&format!("Name:\tx\nCapEff:\t{mask}\nCapBnd:\t0\n"));
            let fatal = if finding.severity == Severity::Fatal {
                finding.what.as_str()
            } else {
                ""
            };
            assert_eq!(fatal, missing, "{mask}");
        }
        assert_eq!(privileges("").severity, Severity::Fatal);
    }

    #[test]
    fn kernels_before_5_17_are_fatal() {
        for (release, severity) in [
            ("5.17.0", Severity::Ok),
            ("6.1.0-18-cloud-amd64", Severity::Ok),
            ("10.0", Severity::Ok),
            ("5.16.20", Severity::Fatal),
            ("4.19.0", Severity::Fatal),
            ("", Severity::Fatal),
        ] {
            assert_eq!(kernel(release).severity, severity, "{release}");
        }
    }

    #[test]
    fn missing_type_information_is_no_obstacle() {
        assert_eq!(btf(false).severity, Severity::Warn);
    }
}
