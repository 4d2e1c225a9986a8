//! Which XDP mode a NIC's driver can be expected to give, and what is known to stand in its way.
//!
//! An expectation only: `run` tries, and says what it got.

use super::{Finding, Severity, ethtool::Channels};
use crate::config::Datapath;

/// What is known of an interface.
pub(super) struct Nic {
    pub(super) driver: Option<String>,
    pub(super) mtu: u32,
    pub(super) channels: Option<Channels>,
    pub(super) cpus: usize,
}

/// `ENA_XDP_MAX_MTU` with pages of 4 KiB.
const ENA_MTU: u32 = 3498;
/// A page less headroom (256), `skb_shared_info` (320) and Ethernet header: virtio_net and veth.
const PAGE_MTU: u32 = 3506;
/// gVNIC: a 2 KiB buffer less Ethernet header and padding.
const GVE_MTU: u32 = 2032;

/// Drivers with native XDP, transmit and redirect included, and no trap that is known here.
const NATIVE: [&str; 16] = [
    "bnxt_en",
    "dpaa2-eth",
    "hv_netvsc",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "mlx4_en",
    "mlx5_core",
    "mvneta",
    "nfp",
    "sfc",
    "stmmac",
    "tun",
];

pub(super) fn finding(name: &str, nic: &Nic, datapath: Datapath) -> Finding {
    judge(name, nic, datapath).about(name)
}

fn judge(name: &str, nic: &Nic, datapath: Datapath) -> Finding {
    let id = "interface.xdp_mode";
    let driver = nic.driver.as_deref().unwrap_or("unknown");
    match datapath {
        Datapath::Tc => {
            return Finding::ok(id, format!("{name} (driver {driver}): TC, as configured"));
        }
        Datapath::XdpGeneric => {
            return Finding::ok(
                id,
                format!("{name} (driver {driver}): generic XDP, as configured"),
            );
        }
        Datapath::Auto | Datapath::Xdp => {}
    }
    match obstacle(name, nic) {
        None => match note(name, driver, nic) {
            None => Finding::ok(id, format!("{name} (driver {driver}): native XDP expected")),
            Some((what, fix)) => Finding::info(
                id,
                format!("{name} (driver {driver}): native XDP expected; {what}"),
                "it decides whether native XDP attaches, and how fast it is",
                fix,
            ),
        },
        Some((what, fix)) => {
            let forced = datapath == Datapath::Xdp;
            Finding::new(
                if forced {
                    Severity::Fatal
                } else {
                    Severity::Info
                },
                id,
                format!("{name} (driver {driver}): native XDP will be refused: {what}"),
                if forced {
                    "datapath = \"xdp\" asks for native XDP and nothing else"
                } else {
                    "datapath = \"auto\" uses TC here: all works, at a lower packet rate"
                },
                fix,
            )
        }
    }
}

/// What makes the driver refuse an XDP program, and the remedy.
fn obstacle(name: &str, nic: &Nic) -> Option<(String, String)> {
    let driver = nic.driver.as_deref()?;
    let too_big = |limit: u32| {
        (nic.mtu > limit).then(|| {
            let what = format!("MTU {} is above the driver's limit of {limit}", nic.mtu);
            (what, format!("ip link set {name} mtu {limit}, or less"))
        })
    };
    match driver {
        "ena" => too_big(ENA_MTU).or_else(|| {
            let channels = nic.channels?;
            let half = channels.max_combined / 2;
            (channels.combined > half).then(|| {
                let what = format!(
                    "{} of {} queues are in use, and XDP needs as many again",
                    channels.combined, channels.max_combined
                );
                (what, format!("ethtool -L {name} combined {half}"))
            })
        }),
        "virtio_net" | "veth" => too_big(PAGE_MTU),
        "gve" => too_big(GVE_MTU),
        driver if NATIVE.contains(&driver) => None,
        _ => Some((
            "the driver is not known to have it".to_owned(),
            "datapath = \"tc\" says so in the configuration; a NIC of another kind is faster"
                .to_owned(),
        )),
    }
}

/// What is worth knowing where nothing is known to refuse.
fn note(name: &str, driver: &str, nic: &Nic) -> Option<(String, String)> {
    let (what, fix) = match driver {
        "ena" => (
            "on some instance types its native XDP_TX is slower than TC".to_owned(),
            "measure both with datapath = \"xdp\" and \"tc\"".to_owned(),
        ),
        "virtio_net" => {
            let refused = format!("if attaching is refused: ethtool -K {name} rx-gro-hw off");
            let needed = |channels: Channels| u64::from(channels.combined) + nic.cpus as u64;
            match nic
                .channels
                .filter(|own| needed(*own) > u64::from(own.max_combined))
            {
                Some(few) => (
                    format!(
                        "too few queues ({}) for one more per CPU ({}): XDP shares them under a lock",
                        few.max_combined, nic.cpus
                    ),
                    format!("give the VM twice as many queues as CPUs; {refused}"),
                ),
                None => (
                    "it refuses where the host does GRO_HW or checksums for it".to_owned(),
                    refused,
                ),
            }
        }
        "gve" => (
            "it needs as many receive as transmit queues, and at most half of them".to_owned(),
            format!(
                "if attaching is refused: ethtool -L {name} rx N tx N, N at most half of the maximum"
            ),
        ),
        "veth" => (
            "the other end must run an XDP program or have GRO on to take what is sent by XDP"
                .to_owned(),
            "ethtool -K PEER gro on, in the other end's namespace".to_owned(),
        ),
        _ => return None,
    };
    Some((what, fix))
}

#[cfg(test)]
mod tests {
    use super::{Channels, Datapath, Nic, Severity, finding};

    fn nic(driver: &str, mtu: u32, combined: u32, max_combined: u32) -> Nic {
        let channels = Some(Channels {
            combined,
            max_combined,
        });
        Nic {
            driver: Some(driver.to_owned()),
            mtu,
            channels,
            cpus: 2,
        }
    }

    #[test]
    fn known_traps_are_fatal_when_native_xdp_is_demanded_and_told_otherwise() {
        for (trap, words) in [
            (
                nic("ena", 9001, 2, 8),
                "MTU 9001 is above the driver's limit of 3498",
            ),
            (nic("ena", 1500, 5, 8), "5 of 8 queues are in use"),
            (
                nic("virtio_net", 9000, 1, 8),
                "MTU 9000 is above the driver's limit of 3506",
            ),
            (
                nic("veth", 9000, 1, 1),
                "MTU 9000 is above the driver's limit of 3506",
            ),
            (
                nic("gve", 8896, 1, 8),
                "MTU 8896 is above the driver's limit of 2032",
            ),
            (
                nic("e1000", 1500, 1, 1),
                "the driver is not known to have it",
            ),
        ] {
            let forced = finding("eth0", &trap, Datapath::Xdp);
            assert_eq!(forced.severity, Severity::Fatal, "{forced}");
            assert!(forced.what.contains(words), "{forced}");
            assert_eq!(
                finding("eth0", &trap, Datapath::Auto).severity,
                Severity::Info
            );
            assert_eq!(finding("eth0", &trap, Datapath::Tc).severity, Severity::Ok);
            assert_eq!(
                finding("eth0", &trap, Datapath::XdpGeneric).severity,
                Severity::Ok
            );
        }
    }

    #[test]
    fn native_xdp_is_expected_where_nothing_stands_in_its_way() {
        for fine in [
            nic("mlx5_core", 9000, 8, 8),
            nic("ena", 3498, 4, 8),
            nic("veth", 1500, 1, 1),
        ] {
            let finding = finding("eth0", &fine, Datapath::Xdp);
            assert!(finding.severity <= Severity::Info, "{finding}");
            assert!(finding.what.contains("native XDP expected"), "{finding}");
        }
    }

    #[test]
    fn too_few_virtio_queues_are_told() {
        let few = finding("eth0", &nic("virtio_net", 1500, 1, 2), Datapath::Xdp);
        assert!(few.what.contains("too few queues (2)"), "{few}");
        let enough = finding("eth0", &nic("virtio_net", 1500, 2, 4), Datapath::Xdp);
        assert!(!enough.what.contains("too few"), "{enough}");
    }
}
