//! From a configuration by the program itself: what is rendered looks routes up as `eni apply` does.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use snat_ctl::eni::render::File;
use snat_tests::{
    eni::{EniCtl, Snapshot, section},
    netns::Netns,
    topology::{
        enis::{ETH0, ETH1, Enis, SERVER, SERVER6},
        unique_prefix,
    },
};

use super::{Script, intent, networkd::Networkd, state};

/// Behind eth1, and an address of the host so that it may ask from there.
const BEHIND: &str = "172.16.21.5";

const OF_ETH1: &str = "default_metric = 200
prefixes = [\"172.16.21.0/28\"]
mark = 0x101";

const ACCESS: &str = "
[[rule]]
destination = [\"192.0.2.0/24\"]
action = \"prohibit\"

[[rule]]
protocol = \"tcp\"
destination_ports = \"443\"
lookup = \"eth0\"
";

#[test]
fn the_script_looks_routes_up_as_apply_does_and_takes_all_of_it_back() -> Result<()> {
    let host = Applied::new("ash")?;
    let vm = &host.enis.vm;
    let script = Script::of(&host.ctl.done("render --format iproute2")?)?;
    for _ in 0..2 {
        script.run(vm, "add")?;
        expect_same(&answers(vm)?, &host.answers)?;
    }
    script.run(vm, "remove")?;
    Snapshot::take(vm)?.expect_as(&host.before)
}

#[test]
fn networkd_looks_routes_up_as_apply_does() -> Result<()> {
    let applied = Applied::new("anw")?;
    let files = files(&applied.ctl)?;
    let bare = intent::bare_host(&format!("{}bare", unique_prefix()))?;
    bare.ip(&format!("addr add {BEHIND}/32 dev lo"))?;
    let networkd = Networkd::start(&bare, &files, &[])?;
    networkd.settled(|| expect_same(&answers(&bare)?, &applied.answers))
}

/// A host on which the configuration was applied and removed, and what it answered meanwhile.
struct Applied {
    enis: Enis,
    ctl: EniCtl,
    before: Snapshot,
    answers: String,
}

impl Applied {
    fn new(name: &str) -> Result<Self> {
        let prefix = unique_prefix();
        let enis = Enis::build(&prefix)?;
        enis.vm.ip(&format!("addr add {BEHIND}/32 dev lo"))?;
        let before = Snapshot::take(&enis.vm)?;
        let config = section(&ETH0, "") + &section(&ETH1, OF_ETH1) + ACCESS;
        let ctl = EniCtl::new(&enis.vm, &format!("{prefix}{name}"), &config)?;
        let without = answers(&enis.vm)?;
        ctl.done("apply")?;
        let answers = answers(&enis.vm)?;
        ensure!(answers != without, "nothing was applied: {answers}");
        ctl.done("remove")?;
        Snapshot::take(&enis.vm)?.expect_as(&before)?;
        Ok(Self {
            enis,
            ctl,
            before,
            answers,
        })
    }
}

fn files(ctl: &EniCtl) -> Result<Vec<File>> {
    let json = ctl.json("render --format networkd")?;
    let files = json["files"].as_array().context("no files")?;
    let text = |file: &serde_json::Value, key: &str| {
        let text = file[key].as_str().with_context(|| format!("no {key}"))?;
        Ok::<_, anyhow::Error>(text.to_owned())
    };
    files
        .iter()
        .map(|file| {
            Ok(File {
                path: text(file, "path")?,
                text: text(file, "text")?,
                mode: u32::from_str_radix(&text(file, "mode")?, 8)?,
            })
        })
        .collect()
}

/// What the kernel says to each question, and its default routes by eth1 that wait behind eth0's.
fn answers(host: &Netns) -> Result<String> {
    let [secondary] = *ETH1.further else { panic!() };
    let (addr0, addr1) = (ETH0.addr, ETH1.addr);
    let mut questions: Vec<String> = [SERVER.to_string(), "172.16.10.77".to_owned()]
        .iter()
        .flat_map(|to| {
            let from = [addr0, addr1, secondary].map(|from| format!("{to} from {from}"));
            from.into_iter().chain([to.clone()])
        })
        .collect();
    for from in [ETH0.addr6, ETH1.addr6] {
        questions.push(format!("{SERVER6} from {from}"));
    }
    questions.extend([
        format!("{SERVER} from {BEHIND}"),
        format!("{SERVER} oif eth1"),
        format!("{SERVER} mark 0x101"),
        format!("{SERVER6}"),
        format!("{SERVER6} mark 0x101"),
        format!("192.0.2.9 from {addr1}"),
        format!("{SERVER} from {addr1} ipproto tcp sport 5000 dport 443"),
        format!("{SERVER} from {addr1} ipproto tcp sport 5000 dport 80"),
    ]);
    let mut text = String::new();
    for question in questions {
        let answer = state::get(host, &question);
        // Refused in the kernel's words; the rest is the command's.
        let answer = answer
            .rsplit("RTNETLINK answers: ")
            .next()
            .unwrap_or_default();
        writeln!(text, "{question}: {}", state::plain(answer).trim_end())?;
    }
    for family in ["-4", "-6"] {
        let routes = host.run(&format!("ip {family} -N route show exact default dev eth1"))?;
        text.extend(routes.lines().map(state::plain));
    }
    Ok(text)
}

fn expect_same(now: &str, applied: &str) -> Result<()> {
    ensure!(now == applied, "applied:\n{applied}\nnow:\n{now}");
    Ok(())
}
