//! The short way and the engine: what the one takes, the other does the same with, and so it is with all that follows.

mod accidents;
mod pair;

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use snat_common::{Protocol, Verdict};

use self::{accidents::accidents, pair::Pair};
use super::{MODES, mixture::Mixture, seed};
use crate::{
    both::hex,
    frames::{Endpoint, Frame, Transport, ingress},
    host::Hook,
    world::{
        self, AS_IT_IS, EXTERNAL, ONE_ARM, POOLED, PORT, ROUTED, SECOND_EXTERNAL, SERVER, WAN,
    },
};

const EPOCHS: u32 = 16;
/// Frames under one configuration.
const EPOCH: u32 = 5_000;
/// Frames of each kind that the short way must have taken.
const LEAST: u32 = 500;
const HOOKS: [Hook; 2] = [Hook::Xdp, Hook::Tc];
/// What the short way can take.
const KINDS: [(Protocol, Verdict); 4] = [
    (Protocol::Tcp, Verdict::TranslatedOut),
    (Protocol::Tcp, Verdict::TranslatedIn),
    (Protocol::Udp, Verdict::TranslatedOut),
    (Protocol::Udp, Verdict::TranslatedIn),
];

#[test]
fn the_short_way_does_as_the_engine_does_with_a_mixture_of_frames() -> Result<()> {
    let seed = seed()?;
    let mut random = Rng::with_seed(seed);
    let mut mixture = Mixture::new(seed);
    let mut taken = [0; KINDS.len()];
    for epoch in 0..EPOCHS {
        let mut pair = Pair::new(MODES[epoch as usize % MODES.len()]);
        if epoch % 2 == 1 {
            let hints = world::shared();
            pair.each(|host| host.follow(world::read_of(&hints), vec![SECOND_EXTERNAL]));
        }
        mixture.forget();
        for _ in 0..EPOCH {
            // Now and then enough for a route to be looked up anew, which adds up to what a flow may be idle.
            let ticks = if random.u8(..) == 0 { 1_100 } else { 1 };
            pair.each(|host| host.later(ticks));
            let segment = [None, None, Some(7)][random.usize(0..3)];
            let hook = HOOKS[random.usize(0..2)];
            let (ingress, frame) = mixture.next();
            let ran = pair
                .run(hook, ingress, &frame, segment)
                .with_context(|| format!("SNAT_SEED={seed}, {hook:?}: {}", hex(&frame)))?;
            if let Some(protocol) = ran.taken {
                let kind = KINDS
                    .iter()
                    .position(|kind| *kind == (protocol, ran.verdict));
                taken[kind.context("the short way took what is neither")?] += 1;
            }
            if ran.verdict == Verdict::TranslatedOut {
                mixture.learn(ingress, frame, ran.frame);
            }
        }
        pair.compare()
            .with_context(|| format!("SNAT_SEED={seed}"))?;
    }
    println!("the short way took {taken:?} of {KINDS:?}");
    ensure!(
        taken.iter().all(|count| *count >= LEAST),
        "the short way took only {taken:?} of {KINDS:?}"
    );
    Ok(())
}

const WEB: Endpoint = (SERVER, 80);
const CLIENT_PORT: u16 = 4321;

#[test]
fn the_short_way_does_as_the_engine_does_with_every_accident() -> Result<()> {
    for client in [ROUTED, ONE_ARM].map(|addr| (addr, CLIENT_PORT)) {
        let outside = (EXTERNAL, PORT);
        for (out, back) in [
            (
                Frame::tcp(client, WEB, "PA"),
                Frame::tcp(WEB, outside, "PA"),
            ),
            (Frame::udp(client, WEB), Frame::udp(WEB, outside)),
        ] {
            let [out, back] = [out, back].map(|frame| frame.with(with_mss));
            let by = ingress(client.0);
            every_accident(client, by, &out.by_client())?;
            every_accident(client, WAN, &back.by_internet())?;
        }
    }
    Ok(())
}

#[test]
fn the_short_way_leaves_to_the_engine_what_is_for_another_client() -> Result<()> {
    for hook in HOOKS {
        let mut pair = Pair::new(AS_IT_IS);
        let opening = Frame::udp((POOLED, CLIENT_PORT), WEB).by_client();
        let ran = pair.run(hook, ingress(POOLED), &opening.bytes(), None)?;
        let outside = (
            ran.frame[26..30].try_into()?,
            u16::from_be_bytes([ran.frame[34], ran.frame[35]]),
        );
        let call = Frame::udp((ROUTED, CLIENT_PORT), outside).by_client();
        for _ in 0..2 {
            let ran = pair.run(hook, ingress(ROUTED), &call.bytes(), None)?;
            ensure!(ran.taken.is_none(), "{hook:?} took it");
        }
    }
    Ok(())
}

/// That matters once an accident makes it a SYN.
fn with_mss(frame: &mut Frame) {
    if let Transport::Tcp(tcp) = &mut frame.transport {
        tcp.set_options_raw(&[2, 4, 5, 180]).expect("4 bytes");
    }
}

/// Of a client's connection or the answer.
fn every_accident(client: Endpoint, ingress: u32, frame: &Frame) -> Result<()> {
    for hook in HOOKS {
        for id_matters in [false, true] {
            let frame = frame.clone().with(|f| f.ip.dont_fragment = !id_matters);
            let mut pair = opened(client, &frame.transport)?;
            let usual = pair.run(hook, ingress, &frame.bytes(), None)?;
            ensure!(
                usual.taken.is_some(),
                "{hook:?} left a usual frame: {frame:?}"
            );
            for frame in accidents(&frame.bytes()) {
                pair.run(hook, ingress, &frame, None)
                    .with_context(|| format!("{hook:?} on {ingress}: {}", hex(&frame)))?;
            }
            pair.compare()?;
        }
    }
    Ok(())
}

/// With a flow that both sides have used.
fn opened(client: Endpoint, transport: &Transport) -> Result<Pair> {
    let outside = (EXTERNAL, PORT);
    let (out, back) = match transport {
        Transport::Tcp(_) => (Frame::tcp(client, WEB, "S"), Frame::tcp(WEB, outside, "SA")),
        _ => (Frame::udp(client, WEB), Frame::udp(WEB, outside)),
    };
    let mut pair = Pair::new(AS_IT_IS);
    pair.run(Hook::Tc, ingress(client.0), &out.by_client().bytes(), None)?;
    pair.run(Hook::Tc, WAN, &back.by_internet().bytes(), None)?;
    Ok(pair)
}
