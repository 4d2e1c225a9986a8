//! The programs that the lab and the tests run, as packages bring them.

use std::{env, path::Path};

/// A program and the Debian or Ubuntu packages it comes in.
pub(crate) struct Tool {
    program: &'static str,
    /// Installed together.
    pub(crate) packages: &'static [&'static str],
    /// What we use it for.
    pub(crate) why: &'static str,
}

/// What everything here runs.
pub(crate) const LAB: &[Tool] = &[
    Tool {
        program: "ip",
        packages: &["iproute2"],
        why: "network namespaces and routes of the lab",
    },
    Tool {
        program: "ethtool",
        packages: &["ethtool"],
        why: "offloads of the lab's interfaces",
    },
    Tool {
        program: "bpftool",
        packages: &["bpftool"],
        why: "looking into pinned maps",
    },
    Tool {
        program: "nft",
        packages: &["nftables"],
        why: "the cloud's edge in the lab, the kernel's own NAT",
    },
    Tool {
        program: "ping",
        packages: &["iputils-ping"],
        why: "ICMP echo from the lab's hosts",
    },
    Tool {
        program: "curl",
        packages: &["curl"],
        why: "HTTP by hand in a lab that is left standing",
    },
    Tool {
        program: "tcpdump",
        packages: &["tcpdump"],
        why: "looking at the lab's packets",
    },
];

/// What only tests run.
pub(crate) const TESTS: &[Tool] = &[
    Tool {
        // The name in that package: `traceroute` may be another one.
        program: "traceroute.db",
        packages: &["traceroute"],
        why: "hop by hop through the gateway",
    },
    Tool {
        program: "mtr",
        packages: &["mtr-tiny"],
        why: "hop by hop through the gateway, again and again",
    },
    Tool {
        program: "tracepath",
        packages: &["iputils-tracepath"],
        why: "hop by hop through the gateway, with the path's MTU",
    },
    Tool {
        program: "tshark",
        packages: &["tshark"],
        why: "reading the captures that `drops --pcap` writes",
    },
    Tool {
        program: "stun",
        packages: &["stun-client"],
        why: "what kind of NAT the gateway is",
    },
    Tool {
        program: "pip3",
        packages: &["python3-pip"],
        why: "getting pystun3, which finds out the same, and Grafana's types",
    },
    Tool {
        program: "networkctl",
        packages: &["systemd"],
        why: "systemd-networkd, run in a namespace on the files that `eni render` writes",
    },
];

/// What only the bench runs.
pub(crate) const BENCH: &[Tool] = &[Tool {
    program: "iperf3",
    packages: &["iperf3"],
    why: "bulk TCP through the gateway",
}];

/// What only `dist --test` runs.
pub(crate) const TRIAL: &[Tool] = &[
    Tool {
        program: "mmdebstrap",
        packages: &["mmdebstrap"],
        why: "a clean Debian to install the package on",
    },
    Tool {
        program: "systemd-nspawn",
        packages: &["systemd-container"],
        why: "booting that Debian, with systemd, in namespaces",
    },
];

/// Those that are not on this machine.
pub(crate) fn missing(tools: &'static [Tool]) -> Vec<&'static Tool> {
    tools.iter().filter(|tool| !present(tool.program)).collect()
}

/// All of them, for a person.
pub(crate) fn names() -> String {
    let tools = LAB.iter().chain(TESTS).map(|tool| tool.program);
    tools.collect::<Vec<_>>().join(", ")
}

/// What to run to get `tools`.
pub(crate) fn commands(tools: &[&Tool]) -> String {
    let line = |tool: &&Tool| {
        format!(
            "  - {}: {}\n      sudo apt-get install {}",
            tool.program,
            tool.why,
            tool.packages.join(" ")
        )
    };
    tools.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The system folders count though a user's `PATH` may lack them: the programs run as root.
fn present(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(Into::into);
    env::split_paths(&path)
        .chain(system)
        .any(|dir| Path::new(&dir).join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::{Tool, commands, present};

    #[test]
    fn a_program_is_found_by_its_name_only_where_it_is() {
        assert!(present("sh"));
        assert!(!present("no-such-program-anywhere"));
    }

    #[test]
    fn a_missing_program_is_shown_with_its_package() {
        let tool = Tool {
            program: "nft",
            packages: &["nftables"],
            why: "rules",
        };
        let text = commands(&[&tool]);
        assert!(
            text.contains("nft: rules") && text.contains("sudo apt-get install nftables"),
            "{text}"
        );
    }
}
