//! Nanoseconds that a program takes for a packet, by the way the packet takes through it.
//!
//! Measured by `prog_test_run`, of the programs that a running gateway has attached. It leaves the frame to the next run
//! as the run before has left it, so each run begins with a program that writes it anew and goes on by tail call
//! (`snat-ebpf/src/replay.rs`). The cost of that is measured with a program that does nothing behind it, and taken off.
//! It is one flow's packet over and over: everything it needs is in the CPU's cache. What waiting for memory costs is
//! in the rates over flows.

use anyhow::{Context as _, Result, ensure};
use aya::programs::ProgramFd;
use snat_tests::{gateway::Gateway, scrape::Scrape};

use crate::{
    bench::Bench,
    contender,
    measure::{
        Measure,
        frames::{self, Ground},
    },
    replay::{Frame, Hook, Replayer, behind},
    results::{Quantity, Results},
    stage::{Shape, Stage},
    sys,
};

/// The measurement.
pub(crate) const MEASURE: Measure = Measure {
    name: "programs",
    about: "each program's cost per packet, by the packet's way",
    rounds: u32::MAX,
    run,
};

/// Each program on each way.
pub(crate) const COST: Quantity = Quantity {
    name: "program, per packet",
    unit: "ns",
    over: "",
};

const REPEAT: u32 = 100_000;
/// New flows, each once.
const NEW: u32 = 8192;

/// A way through a program.
struct Way {
    who: &'static str,
    hook: Hook,
    from: Side,
    frames: Vec<Frame>,
    repeat: u32,
    /// What the program returns then.
    code: i32,
    /// What it counts then; XDP counts nothing that it passes on.
    verdict: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Side {
    Inside,
    Outside,
}

/// A gateway's programs, and the interfaces they are on.
struct Programs {
    xdp: ProgramFd,
    tc: ProgramFd,
    inside: u32,
    outside: u32,
}

const XDP_PASS: i32 = 2;
const XDP_REDIRECT: i32 = 4;
const TC_ACT_UNSPEC: i32 = -1;
const TC_ACT_SHOT: i32 = 2;
const TC_ACT_REDIRECT: i32 = 7;

const BYPASS: &str = "[[bypass]]\ndestination = [\"198.19.0.0/16\"]\n";

fn run(bench: &mut Bench) -> Result<()> {
    let stage = Stage::build(Shape::Routed)?;
    let gateway = contender::gateway(&stage, "xdp", BYPASS)?;
    let links = gateway.pins().join("links");
    let programs = Programs {
        xdp: behind(&links.join("xdp-lan0"))?,
        tc: behind(&links.join("ingress-lan0"))?,
        inside: stage.lan()?.ifindex,
        outside: stage.wan()?.ifindex,
    };
    let ground = Ground::of(&stage)?;
    let Bench {
        traffic, results, ..
    } = bench;
    stage.gateway().enter(|| {
        sys::enter_busy_cpu()?;
        let mut replayer = traffic.replayer();
        for way in ways(&ground, &programs, &mut replayer)? {
            measure(&way, &programs, &gateway, &mut replayer, results)
                .with_context(|| way.who.to_owned())?;
        }
        Ok(())
    })
}

/// All of them. Opens the flow that is hit.
fn ways(ground: &Ground, programs: &Programs, replayer: &mut Replayer<'_>) -> Result<Vec<Way>> {
    let hit = frames::out(ground, 0);
    for (hook, code) in [(Hook::Tc, TC_ACT_REDIRECT), (Hook::Xdp, XDP_REDIRECT)] {
        let program = Some(programs.of(hook));
        let ran = replayer.run(hook, program, programs.inside, &[hit], 1)?;
        ensure!(
            ran.code == code,
            "a flow's packet was not translated: {hook:?} returned {}",
            ran.code
        );
    }
    let sent = replayer.run(Hook::Xdp, Some(&programs.xdp), programs.inside, &[hit], 1)?;
    let answer = frames::answer(ground, &sent.frame)?;
    let new = (1..=NEW).map(|number| frames::out(ground, number));
    let tc = |who, from, frame, code, verdict| Way {
        who,
        hook: Hook::Tc,
        from,
        frames: vec![frame],
        repeat: REPEAT,
        code,
        verdict: Some(verdict),
    };
    let xdp = |who, from, frame, code, verdict| Way {
        hook: Hook::Xdp,
        code,
        verdict,
        ..tc(who, from, frame, 0, "")
    };
    use Side::{Inside, Outside};
    let (bypassed, own) = (frames::bypassed(ground), frames::to_gateway(ground));
    let (stray, arp) = (frames::unsolicited(ground), frames::not_ipv4(ground));
    let (out, back) = ("translated_out", "translated_in");
    Ok(vec![
        xdp("snat_xdp: flow, out", Inside, hit, XDP_REDIRECT, Some(out)),
        xdp(
            "snat_xdp: flow, in",
            Outside,
            answer,
            XDP_REDIRECT,
            Some(back),
        ),
        xdp(
            "snat_xdp: no flow, passed on",
            Inside,
            bypassed,
            XDP_PASS,
            None,
        ),
        xdp("snat_xdp: not IPv4, passed on", Inside, arp, XDP_PASS, None),
        tc("snat_tc: flow, out", Inside, hit, TC_ACT_REDIRECT, out),
        tc("snat_tc: flow, in", Outside, answer, TC_ACT_REDIRECT, back),
        tc(
            "snat_tc: bypassed",
            Inside,
            bypassed,
            TC_ACT_UNSPEC,
            "bypass",
        ),
        tc(
            "snat_tc: to the gateway",
            Inside,
            own,
            TC_ACT_UNSPEC,
            "not_forwarded",
        ),
        tc("snat_tc: not IPv4", Inside, arp, TC_ACT_UNSPEC, "not_ipv4"),
        tc(
            "snat_tc: unsolicited, dropped",
            Outside,
            stray,
            TC_ACT_SHOT,
            "unsolicited",
        ),
        Way {
            frames: new.collect(),
            repeat: NEW,
            ..tc("snat_tc: new flow", Inside, hit, TC_ACT_REDIRECT, out)
        },
    ])
}

fn measure(
    way: &Way,
    programs: &Programs,
    gateway: &Gateway,
    replayer: &mut Replayer<'_>,
    results: &mut Results,
) -> Result<()> {
    let ingress = match way.from {
        Side::Inside => programs.inside,
        Side::Outside => programs.outside,
    };
    let nothing = replayer.run(way.hook, None, ingress, &way.frames, way.repeat)?;
    let before = Counted::by(gateway)?;
    let program = Some(programs.of(way.hook));
    let ran = replayer.run(way.hook, program, ingress, &way.frames, way.repeat)?;
    ensure!(
        ran.code == way.code,
        "it returned {}, and was to return {}; {}",
        ran.code,
        way.code,
        Counted::by(gateway)?.since(&before)
    );
    if let Some(verdict) = way.verdict {
        let counted = Counted::by(gateway)?.since(&before);
        let all = format!("{verdict} {}", way.repeat);
        ensure!(
            counted == all,
            "it counted {counted}, and was to count {all}"
        );
    }
    let cost = ran.each.as_nanos() as f64 - nothing.each.as_nanos() as f64;
    results.add(COST, 0, way.who, cost);
    Ok(())
}

impl Programs {
    fn of(&self, hook: Hook) -> &ProgramFd {
        match hook {
            Hook::Xdp => &self.xdp,
            Hook::Tc => &self.tc,
        }
    }
}

/// Packets by verdict.
struct Counted(Scrape);

impl Counted {
    fn by(gateway: &Gateway) -> Result<Self> {
        Ok(Self(Scrape::parse(&gateway.ctl(&["metrics"])?)?))
    }

    /// What has been counted since, in words.
    fn since(&self, before: &Self) -> String {
        let counted = self.0.0.iter().filter_map(|(name, count)| {
            let labels = name.strip_prefix("snat_verdict_packets_total{")?;
            let verdict = labels.split("verdict=\"").nth(1)?.split('"').next()?;
            let more = count - before.0.0.get(name).unwrap_or(&0.0);
            (more > 0.0).then(|| format!("{verdict} {more}"))
        });
        counted.collect::<Vec<_>>().join(", ")
    }
}
