//! Who is measured: the limits, the kernel's ways, and the gateway in each datapath.

use anyhow::{Context as _, Result, bail};
use aya::maps::{Array, Map, MapData};
use snat_tests::gateway::Gateway;

use crate::{
    stage::Stage,
    traffic::{Attached, Traffic},
};

/// A way for packets through the gateway's namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Contender {
    /// Dropped on arrival: what the generator can do at most.
    Drop,
    /// Ethernet addresses rewritten and sent on: the limit of any XDP router.
    Redirect,
    /// The same with one lookup in a map like the gateway's: the floor of any NAT that has its flows there.
    Find,
    /// The same without it, back out of the interface it came by.
    Transmit,
    /// The kernel forwards; nobody translates.
    Routing,
    /// The kernel's NAT.
    Masquerade,
    /// The kernel's NAT with a flowtable for what is established.
    Flowtable,
    /// `snat-ctl`.
    Snat(&'static str),
}

/// A contender at work; ends with [`Running::stop`].
pub(crate) struct Running {
    attached: Option<Attached>,
    /// The gateway, if it is ours.
    pub(crate) gateway: Option<Gateway>,
    masquerades: bool,
}

/// All of them, in the order of a table.
pub(crate) const ALL: [Contender; 10] = [
    Contender::Drop,
    Contender::Redirect,
    Contender::Find,
    Contender::Transmit,
    Contender::Routing,
    Contender::Masquerade,
    Contender::Flowtable,
    Contender::Snat("xdp"),
    Contender::Snat("xdp-generic"),
    Contender::Snat("tc"),
];

impl Contender {
    /// Its name in tables and documents.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop (generator)",
            Self::Redirect => "bare XDP redirect",
            Self::Find => "redirect + one lookup",
            Self::Transmit => "bare XDP_TX",
            Self::Routing => "kernel routing",
            Self::Masquerade => "nft masquerade",
            Self::Flowtable => "nft flowtable",
            Self::Snat("xdp") => "snat-ctl xdp",
            Self::Snat("xdp-generic") => "snat-ctl xdp-generic",
            Self::Snat("tc") => "snat-ctl tc",
            Self::Snat(_) => "snat-ctl",
        }
    }

    /// Puts it to work.
    pub(crate) fn start(self, stage: &Stage, traffic: &mut Traffic) -> Result<Running> {
        self.start_with(stage, traffic, "")
    }

    /// The same; a gateway of ours has this line more in its `[[snat]]`.
    pub(crate) fn start_with(
        self,
        stage: &Stage,
        traffic: &mut Traffic,
        entry: &str,
    ) -> Result<Running> {
        let mut running = Running {
            attached: None,
            gateway: None,
            masquerades: false,
        };
        match self {
            Self::Drop => running.attached = Some(traffic.sink(&stage.lan()?)?),
            Self::Redirect => {
                running.attached = Some(traffic.redirect("redirect", stage)?);
            }
            Self::Find => running.attached = Some(traffic.redirect("find", stage)?),
            Self::Transmit => running.attached = Some(traffic.transmit(&stage.lan()?)?),
            Self::Routing => {}
            Self::Masquerade | Self::Flowtable => {
                running.masquerades = true;
                stage
                    .gateway()
                    .nft(&ruleset(self == Self::Flowtable))
                    .with_context(|| format!("setting up {}", self.name()))?;
                for timeout in ["udp_timeout", "udp_timeout_stream"] {
                    let key = format!("net/netfilter/nf_conntrack_{timeout}");
                    stage.gateway().sysctl(&key, "600")?;
                }
            }
            Self::Snat(datapath) => running.gateway = Some(gateway(stage, datapath, entry)?),
        }
        Ok(running)
    }
}

impl Running {
    /// How many flows it knows; `None` if it keeps none.
    pub(crate) fn flows(&self, stage: &Stage) -> Result<Option<u64>> {
        if let Some(gateway) = &self.gateway {
            return Ok(Some(flows_of(gateway)?));
        }
        if !self.masquerades {
            return Ok(None);
        }
        let count = stage.gateway().enter(|| {
            Ok(std::fs::read_to_string(
                "/proc/sys/net/netfilter/nf_conntrack_count",
            )?)
        })?;
        Ok(Some(count.trim().parse()?))
    }

    /// The same at once: what the gateway's programs count, without a look at the flows themselves.
    pub(crate) fn counted(&self, stage: &Stage) -> Result<u64> {
        if self.gateway.is_none() {
            return self.flows(stage)?.context("it keeps no flows");
        }
        let pin = "/sys/fs/bpf/snat/bench/SHARED";
        let map = MapData::from_pin(pin).with_context(|| format!("opening {pin}"))?;
        let shared = Array::<_, [u64; 6]>::try_from(Map::Array(map))?;
        let [flows, ..] = shared.get(&0, 0)?;
        Ok(flows)
    }

    /// Takes it away again, flows and all.
    pub(crate) fn stop(self, stage: &Stage, traffic: &mut Traffic) -> Result<()> {
        let Self {
            attached,
            gateway,
            masquerades,
        } = self;
        drop(gateway);
        if let Some(attached) = attached {
            traffic.detach(attached)?;
        }
        if masquerades {
            stage.gateway().nft("flush ruleset\n")?;
        }
        Ok(())
    }
}

fn ruleset(flowtable: bool) -> String {
    let (table, rule) = if flowtable {
        (
            "flowtable fast { hook ingress priority 0;\n devices = { lan0, wan0 }; }",
            "\nchain forward { type filter hook forward priority 0;\n meta l4proto { tcp, udp } flow add @fast; }",
        )
    } else {
        ("", "")
    };
    format!(
        "table ip nat {{ {table}\n {rule}\n
             chain post {{ type nat hook postrouting priority srcnat;
                 ip saddr 172.16.0.0/16 ip daddr 198.18.0.0/15 masquerade; }}
         }}"
    )
}

/// Ours, with more lines in its configuration, behind those that every contender has: of the `[[snat]]`, then sections.
pub(crate) fn gateway(stage: &Stage, datapath: &str, more: &str) -> Result<Gateway> {
    let config = config(stage, datapath, more);
    let gateway = Gateway::start_in(stage.gateway().name(), "bench", &config, &[])?;
    let status = gateway.ctl_json(&["status", "--interval", "0"])?;
    let interfaces = status.pointer("/interfaces").and_then(|it| it.as_array());
    let modes = interfaces.map(|all| all.iter().filter_map(|one| one.get("mode")?.as_str()));
    if !modes.is_some_and(|mut modes| modes.all(|mode| mode == datapath)) {
        bail!("asked for datapath {datapath}, and status does not show it: {status}");
    }
    Ok(gateway)
}

/// Its configuration.
pub(crate) fn config(stage: &Stage, datapath: &str, more: &str) -> String {
    format!(
        r#"[gateway]
name       = "bench"
interfaces = {:?}
datapath   = "{datapath}"

[[snat]]
name     = "private"
source   = ["172.16.0.0/16"]
external = ["auto"]
ports    = "1024-65535"
{more}
"#,
        stage.interfaces()
    )
}

/// How many flows a gateway of ours knows.
pub(crate) fn flows_of(gateway: &Gateway) -> Result<u64> {
    let status = gateway.ctl_json(&["status", "--interval", "0"])?;
    let flows = status.pointer("/flows/used");
    flows
        .and_then(serde_json::Value::as_u64)
        .with_context(|| format!("no count of flows in {status}"))
}
