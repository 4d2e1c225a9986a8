//! Kernels that lack something, or will not say.

use anyhow::anyhow;

use super::*;

const XDP_LOOP: Feature = Feature::Helper(ProgramType::Xdp, BpfHelper::BPF_FUNC_loop);
const TC_NEIGH: Feature = Feature::Helper(
    ProgramType::SchedClassifier,
    BpfHelper::BPF_FUNC_redirect_neigh,
);

/// A kernel that has everything but one feature.
fn without(lacking: Feature) -> impl Fn(Feature) -> Answer {
    move |feature| Ok(feature != lacking)
}

/// A kernel that gives no answer about one feature.
fn silent_about(unknown: Feature) -> impl Fn(Feature) -> Answer {
    move |feature| {
        if feature == unknown {
            return Err(anyhow!("permission denied").context("bpf_prog_load failed"));
        }
        Ok(true)
    }
}

/// The findings that are not `ok`: id, severity, and the text that a person reads.
fn problems(findings: &[Finding]) -> Vec<(&str, Severity, String)> {
    findings
        .iter()
        .filter(|finding| finding.severity != Severity::Ok)
        .map(|finding| (finding.id, finding.severity, finding.to_string()))
        .collect()
}

fn lacking(what: &str) -> String {
    format!(
        "{what}\n    why: the datapath is built on it\n    \
         fix: boot a kernel at least as new as the versions named"
    )
}

#[test]
fn a_kernel_with_everything_is_found_well_once_per_probed_part() {
    for (datapath, wanted) in [
        (
            Datapath::Auto,
            &["feature.maps", "feature.xdp", "feature.tc"][..],
        ),
        (Datapath::Tc, &["feature.maps", "feature.tc"][..]),
    ] {
        let findings = judge(datapath, |_| Ok(true));
        let ids: Vec<_> = findings.iter().map(|finding| finding.id).collect();
        assert_eq!(ids, wanted);
        assert_eq!(problems(&findings), []);
    }
}

#[test]
fn what_a_kernel_lacks_is_named_with_why_and_what_to_do() {
    use Severity::{Fatal, Warn};
    let trie = Feature::Map(MapType::LpmTrie);
    let xdp = Feature::Program(ProgramType::Xdp);
    for (datapath, feature, id, severity, what) in [
        (
            Datapath::Auto,
            trie,
            "feature.maps",
            Fatal,
            "map types: the kernel lacks lpm_trie (Linux 4.11)",
        ),
        (
            Datapath::Auto,
            TC_NEIGH,
            "feature.tc",
            Fatal,
            "TC: the kernel lacks bpf_redirect_neigh (Linux 5.10)",
        ),
        (
            Datapath::Xdp,
            XDP_LOOP,
            "feature.xdp",
            Fatal,
            "XDP: the kernel lacks bpf_loop (Linux 5.17)",
        ),
        (
            Datapath::Auto,
            XDP_LOOP,
            "feature.xdp",
            Warn,
            "XDP: the kernel lacks bpf_loop (Linux 5.17)",
        ),
        (
            Datapath::XdpGeneric,
            xdp,
            "feature.xdp",
            Fatal,
            "XDP: the kernel lacks XDP programs (Linux 4.8)",
        ),
    ] {
        let findings = judge(datapath, without(feature));
        assert_eq!(problems(&findings), [(id, severity, lacking(what))]);
        assert_eq!(findings.iter().filter(|found| found.id == id).count(), 1);
    }
}

#[test]
fn a_feature_that_cannot_be_probed_is_a_warning_and_not_taken_for_there() {
    for (feature, id, what) in [
        (
            Feature::Map(MapType::Hash),
            "feature.maps",
            "map types: could not be probed: hash",
        ),
        (
            TC_NEIGH,
            "feature.tc",
            "TC: could not be probed: bpf_redirect_neigh",
        ),
    ] {
        let findings = judge(Datapath::Auto, silent_about(feature));
        let problems = problems(&findings);
        let [(found, Severity::Warn, text)] = &problems[..] else {
            panic!("{problems:?}")
        };
        assert_eq!(*found, id);
        let whole = format!("{what} (bpf_prog_load failed: permission denied)\n    why: ");
        assert!(text.starts_with(&whole) && text.contains("fix: "), "{text}");
        assert_eq!(findings.iter().filter(|found| found.id == id).count(), 1);
    }
}

#[test]
fn what_is_lacking_is_fatal_also_beside_what_cannot_be_probed() {
    let findings = judge(Datapath::Tc, |feature| match feature {
        Feature::Map(MapType::Hash) => Ok(false),
        Feature::Map(MapType::LpmTrie) => Err(anyhow!("out of memory")),
        _ => Ok(true),
    });
    let severities: Vec<_> = problems(&findings)
        .iter()
        .map(|(_, severity, _)| *severity)
        .collect();
    assert_eq!(severities, [Severity::Fatal, Severity::Warn]);
}

#[test]
fn a_hook_that_refuses_a_trivial_program_is_fatal_with_the_kernels_reason() {
    let tc = Feature::Program(ProgramType::SchedClassifier);
    let findings = judge(Datapath::Auto, silent_about(tc));
    let problems = problems(&findings);
    let [("feature.tc", Severity::Fatal, text)] = &problems[..] else {
        panic!("{problems:?}")
    };
    let whole = "the kernel refuses to load a trivial TC program: bpf_prog_load failed: permission denied\n";
    assert!(text.starts_with(whole), "{text}");
}
