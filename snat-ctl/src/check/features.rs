//! What of BPF this kernel has, found by trying: a version number says nothing about backports.

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported},
};

use super::{Finding, Severity};
use crate::config::Datapath;

const HOOKS: [(&str, ProgramType); 2] = [
    ("XDP", ProgramType::Xdp),
    ("TC", ProgramType::SchedClassifier),
];

const MAPS: [(&str, MapType, &str); 4] = [
    ("hash", MapType::Hash, "3.19"),
    ("array", MapType::Array, "3.19"),
    ("percpu_array", MapType::PerCpuArray, "4.6"),
    ("lpm_trie", MapType::LpmTrie, "4.11"),
];

const HELPERS: [(&str, BpfHelper, &str); 4] = [
    ("bpf_redirect", BpfHelper::BPF_FUNC_redirect, "4.8"),
    ("bpf_fib_lookup", BpfHelper::BPF_FUNC_fib_lookup, "4.18"),
    (
        "bpf_ktime_get_coarse_ns",
        BpfHelper::BPF_FUNC_ktime_get_coarse_ns,
        "5.11",
    ),
    ("bpf_loop", BpfHelper::BPF_FUNC_loop, "5.17"),
];

const TC_HELPERS: [(&str, BpfHelper, &str); 1] = [(
    "bpf_redirect_neigh",
    BpfHelper::BPF_FUNC_redirect_neigh,
    "5.10",
)];

/// TC is always needed: it stands behind XDP too.
pub(super) fn findings(datapath: Datapath) -> Vec<Finding> {
    let mut findings = vec![maps()];
    for (name, hook) in HOOKS {
        let needed = hook != ProgramType::Xdp || !matches!(datapath, Datapath::Tc);
        if needed {
            findings.push(probe_hook(name, hook, datapath));
        }
    }
    findings
}

fn maps() -> Finding {
    let missing = MAPS
        .iter()
        .filter(|(_, map, _)| is_map_supported(*map).is_ok_and(|has| !has));
    let missing: Vec<_> = missing
        .map(|(name, _, since)| format!("{name} (Linux {since})"))
        .collect();
    conclude("feature.maps", "map types", &missing, Severity::Fatal)
}

fn probe_hook(name: &str, hook: ProgramType, datapath: Datapath) -> Finding {
    let id = if hook == ProgramType::Xdp {
        "feature.xdp"
    } else {
        "feature.tc"
    };
    // With `auto` a kernel without XDP is served by TC.
    let severity = if hook == ProgramType::Xdp && datapath == Datapath::Auto {
        Severity::Warn
    } else {
        Severity::Fatal
    };
    match is_program_supported(hook) {
        Ok(true) => {}
        Ok(false) => {
            return conclude(id, name, &[format!("{name} programs")], severity);
        }
        Err(error) => {
            return Finding::new(
                severity,
                id,
                format!("the kernel refuses to load a trivial {name} program: {error}"),
                "the datapath is such a program",
                "look for lockdown, seccomp or a user namespace around this process; in containers \
                 run privileged",
            );
        }
    }
    let own = if hook == ProgramType::Xdp {
        &[][..]
    } else {
        &TC_HELPERS[..]
    };
    let missing = HELPERS
        .iter()
        .chain(own)
        .filter(|(_, helper, _)| is_helper_supported(hook, *helper).is_ok_and(|has| !has));
    let missing: Vec<_> = missing
        .map(|(name, _, since)| format!("{name} (Linux {since})"))
        .collect();
    conclude(id, name, &missing, severity)
}

fn conclude(id: &'static str, of: &str, missing: &[String], severity: Severity) -> Finding {
    if missing.is_empty() {
        return Finding::ok(id, format!("{of}: the kernel has all that is needed"));
    }
    Finding::new(
        severity,
        id,
        format!("{of}: the kernel lacks {}", missing.join(", ")),
        "the datapath is built on it",
        "boot a kernel at least as new as the versions named",
    )
}
