//! Kernel settings that decide what the stack does with the packets that the datapath hands to it.

use std::fs;

use super::Finding;
use crate::config::Config;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    judge(&config.gateway.interfaces, |key| {
        // This file system shows the network namespace of the thread that opens the file.
        fs::read_to_string(format!("/proc/sys/net/{key}"))
            .ok()?
            .trim()
            .parse()
            .ok()
    })
}

/// `read` knows a setting by its path below `net/`: an interface's name may have dots of its own.
fn judge(interfaces: &[String], read: impl Fn(&str) -> Option<u32>) -> Vec<Finding> {
    let ip_forward = read("ipv4/ip_forward").unwrap_or(0);
    let mut findings = vec![forwarding(ip_forward)];
    let conf = |scope: &str, name: &str| read(&format!("ipv4/conf/{scope}/{name}"));
    let all = |name: &str| conf("all", name).unwrap_or(0);
    // One arm: what the stack forwards leaves by the interface it came in on.
    let one_arm = interfaces.len() == 1;
    for interface in interfaces {
        // Turning ip_forward on turns this on too.
        if ip_forward != 0 && conf(interface, "forwarding") == Some(0) {
            findings.push(interface_forwarding(interface));
        }
        if conf(interface, "rp_filter").is_some_and(|own| own.max(all("rp_filter")) == 1) {
            findings.push(rp_filter(interface));
        }
        let redirects = conf(interface, "send_redirects");
        if one_arm && redirects.is_some_and(|own| own | all("send_redirects") != 0) {
            findings.push(send_redirects(interface));
        }
    }
    if read("core/bpf_jit_enable") == Some(0) {
        findings.push(Finding::warn(
            "sysctl.bpf_jit_enable",
            "net.core.bpf_jit_enable is 0",
            "the datapath is interpreted instead of compiled, at a fraction of the speed",
            "sysctl -w net.core.bpf_jit_enable=1",
        ));
    }
    findings
}

fn forwarding(value: u32) -> Finding {
    let id = "sysctl.ip_forward";
    if value != 0 {
        return Finding::ok(id, "IPv4 forwarding is on");
    }
    Finding::fatal(
        id,
        "net.ipv4.ip_forward is 0",
        "the kernel neither routes for the datapath nor answers for it",
        "snat-ctl check --fix sets it, now and for the next boot; or sysctl -w net.ipv4.ip_forward=1",
    )
}

fn interface_forwarding(interface: &str) -> Finding {
    Finding::fatal(
        "sysctl.forwarding",
        format!("net.ipv4.conf.{interface}.forwarding is 0"),
        "the kernel routes nothing that comes in by this interface",
        format!("snat-ctl check --fix, or sysctl -w net/ipv4/conf/{interface}/forwarding=1"),
    )
    .about(interface)
}

fn rp_filter(interface: &str) -> Finding {
    Finding::warn(
        "sysctl.rp_filter",
        format!("rp_filter is strict (1) on {interface}"),
        "what the datapath leaves to the kernel (bypassed prefixes, ICMP answers, first packets) is \
         dropped without a trace when the route back to its source leaves by another interface",
        format!(
            "sysctl -w net/ipv4/conf/{interface}/rp_filter=2 (loose); the larger of this and \
             net/ipv4/conf/all/rp_filter counts"
        ),
    )
    .about(interface)
}

fn send_redirects(interface: &str) -> Finding {
    Finding::warn(
        "sysctl.send_redirects",
        format!("ICMP redirects are on for {interface}, the only interface"),
        "a packet that the kernel itself forwards out of the interface it came in on makes it tell \
         the client to bypass this gateway; translated packets never do",
        format!(
            "snat-ctl check --fix, or \
             sysctl -w net/ipv4/conf/all/send_redirects=0 net/ipv4/conf/{interface}/send_redirects=0"
        ),
    )
    .about(interface)
}

#[cfg(test)]
mod tests {
    use super::{super::Severity, judge};

    /// Ids and severities of what is not ok, with these settings changed from a good host's.
    fn complaints(interfaces: &[&str], changed: &[(&str, u32)]) -> Vec<(&'static str, Severity)> {
        let interfaces: Vec<_> = interfaces.iter().map(ToString::to_string).collect();
        let read = |key: &str| {
            let changed = changed
                .iter()
                .find(|(name, _)| *name == key)
                .map(|(_, value)| *value);
            let forwarding = key.ends_with("forward") || key.ends_with("forwarding");
            Some(changed.unwrap_or(u32::from(forwarding || key.ends_with("jit_enable"))))
        };
        let findings = judge(&interfaces, read).into_iter();
        findings
            .filter(|finding| finding.severity > Severity::Ok)
            .map(|finding| (finding.id, finding.severity))
            .collect()
    }

    #[test]
    fn a_router_is_fine() {
        assert_eq!(complaints(&["eth0"], &[]), []);
    }

    #[test]
    fn forwarding_that_is_off_anywhere_is_fatal() {
        let off = [("ipv4/ip_forward", 0), ("ipv4/conf/eth0/forwarding", 0)];
        assert_eq!(
            complaints(&["eth0"], &off),
            [("sysctl.ip_forward", Severity::Fatal)]
        );
        let off = [("ipv4/conf/eth1/forwarding", 0)];
        assert_eq!(
            complaints(&["eth0", "eth1"], &off),
            [("sysctl.forwarding", Severity::Fatal)]
        );
    }

    #[test]
    fn of_rp_filter_the_larger_counts() {
        let warned = [("sysctl.rp_filter", Severity::Warn)];
        assert_eq!(
            complaints(&["eth0"], &[("ipv4/conf/all/rp_filter", 1)]),
            warned
        );
        assert_eq!(
            complaints(&["eth0"], &[("ipv4/conf/eth0/rp_filter", 1)]),
            warned
        );
        let loose = [
            ("ipv4/conf/all/rp_filter", 1),
            ("ipv4/conf/eth0/rp_filter", 2),
        ];
        assert_eq!(complaints(&["eth0"], &loose), []);
    }

    #[test]
    fn redirects_matter_with_one_arm_only_and_either_switch_sends_them() {
        let warned = [("sysctl.send_redirects", Severity::Warn)];
        assert_eq!(
            complaints(&["eth0"], &[("ipv4/conf/all/send_redirects", 1)]),
            warned
        );
        assert_eq!(
            complaints(&["eth0"], &[("ipv4/conf/eth0/send_redirects", 1)]),
            warned
        );
        assert_eq!(
            complaints(&["eth0", "eth1"], &[("ipv4/conf/all/send_redirects", 1)]),
            []
        );
    }

    #[test]
    fn an_interpreted_datapath_is_warned_about() {
        let off = [("core/bpf_jit_enable", 0)];
        assert_eq!(
            complaints(&["eth0"], &off),
            [("sysctl.bpf_jit_enable", Severity::Warn)]
        );
    }
}
