//! What of BPF this kernel has, found by trying: a version number says nothing about backports.

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported},
};

use super::{Finding, Severity};
use crate::config::Datapath;

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
    judge(datapath, ask_kernel)
}

/// One thing that a kernel has or lacks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Feature {
    Map(MapType),
    Program(ProgramType),
    Helper(ProgramType, BpfHelper),
}

/// Whether it is there; an error says that trying told nothing about it.
type Answer = anyhow::Result<bool>;

fn ask_kernel(feature: Feature) -> Answer {
    Ok(match feature {
        Feature::Map(map) => is_map_supported(map)?,
        Feature::Program(hook) => is_program_supported(hook)?,
        Feature::Helper(hook, helper) => is_helper_supported(hook, helper)?,
    })
}

fn judge(datapath: Datapath, ask: impl Fn(Feature) -> Answer) -> Vec<Finding> {
    let maps = MAPS.map(|(name, map, since)| (name, ask(Feature::Map(map)), since));
    let mut findings = conclude("feature.maps", "map types", maps, Severity::Fatal);
    if datapath != Datapath::Tc {
        // With `auto` a kernel without XDP is served by TC.
        let severity = if datapath == Datapath::Auto {
            Severity::Warn
        } else {
            Severity::Fatal
        };
        let xdp = ("feature.xdp", "XDP", ProgramType::Xdp, "4.8");
        findings.extend(probe_hook(xdp, &[], severity, &ask));
    }
    let tc = ("feature.tc", "TC", ProgramType::SchedClassifier, "4.1");
    findings.extend(probe_hook(tc, &TC_HELPERS, Severity::Fatal, &ask));
    findings
}

fn probe_hook(
    (id, name, hook, since): (&'static str, &str, ProgramType, &str),
    own: &[(&'static str, BpfHelper, &'static str)],
    severity: Severity,
    ask: &impl Fn(Feature) -> Answer,
) -> Vec<Finding> {
    match ask(Feature::Program(hook)) {
        Ok(true) => {}
        Ok(false) => {
            let what = format!("{name} programs (Linux {since})");
            return vec![lacks(id, name, &what, severity)];
        }
        Err(error) => {
            return vec![Finding::new(
                severity,
                id,
                format!("the kernel refuses to load a trivial {name} program: {error:#}"),
                "the datapath is such a program",
                "look for lockdown, seccomp or a user namespace around this process; in containers \
                 run privileged",
            )];
        }
    }
    let helpers = HELPERS
        .iter()
        .chain(own)
        .map(|&(name, helper, since)| (name, ask(Feature::Helper(hook, helper)), since));
    conclude(id, name, helpers, severity)
}

/// What is missing, what nobody could tell, or that all is there.
fn conclude<'a>(
    id: &'static str,
    of: &str,
    answers: impl IntoIterator<Item = (&'a str, Answer, &'a str)>,
    severity: Severity,
) -> Vec<Finding> {
    let (mut missing, mut unknown) = (Vec::new(), Vec::new());
    for (name, answer, since) in answers {
        match answer {
            Ok(true) => {}
            Ok(false) => missing.push(format!("{name} (Linux {since})")),
            Err(error) => unknown.push(format!("{name} ({error:#})")),
        }
    }
    let mut findings = Vec::new();
    if !missing.is_empty() {
        findings.push(lacks(id, of, &missing.join(", "), severity));
    }
    if !unknown.is_empty() {
        findings.push(Finding::warn(
            id,
            format!("{of}: could not be probed: {}", unknown.join(", ")),
            "the datapath is built on it; without it, loading fails",
            "look for lockdown, seccomp or a memory limit around this process; `snat-ctl run` \
             changes nothing where the kernel refuses, and says what it refused",
        ));
    }
    if findings.is_empty() {
        let what = format!("{of}: the kernel has all that is needed");
        findings.push(Finding::ok(id, what));
    }
    findings
}

fn lacks(id: &'static str, of: &str, what: &str, severity: Severity) -> Finding {
    Finding::new(
        severity,
        id,
        format!("{of}: the kernel lacks {what}"),
        "the datapath is built on it",
        "boot a kernel at least as new as the versions named",
    )
}

#[cfg(test)]
mod tests;
