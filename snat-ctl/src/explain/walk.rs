//! A packet's way through the programs, decided by the engine itself.

use snat_common::{Action, Verdict, answer, next_hop::Hop, policy::leaks, process};

use super::{
    ExplainError,
    evidence::Asked,
    packet::{self, Frame},
    view::View,
};

/// What became of a packet.
pub(super) struct Walk {
    /// What each round was decided with, and how it ended: one, or two of a hairpinned packet.
    pub(super) rounds: Vec<(Vec<Asked>, Verdict)>,
    /// The way out.
    pub(super) hop: Hop,
    /// The packet as it left; as it came where it did not leave.
    pub(super) frame: Frame,
    /// What its sender is told, where it was refused.
    pub(super) answer: Option<Frame>,
}

impl Walk {
    /// How it ended.
    pub(super) fn verdict(&self) -> Verdict {
        self.rounds
            .last()
            .map_or(Verdict::NotOurs, |(_, verdict)| *verdict)
    }
}

/// Sends the packet through, in by interface `ingress`.
pub(super) fn walk(
    view: &View,
    ingress: u32,
    packet: &packet::Asked,
) -> Result<Walk, ExplainError> {
    let env = view.at(ingress);
    let mut frame = packet.frame(view.station(ingress)?);
    let mut rounds = Vec::new();
    let outcome = loop {
        let outcome = process(&mut frame, &env, !rounds.is_empty());
        rounds.push((view.evidence()?, outcome.verdict));
        // A packet goes round twice at most, as in the kernel.
        if outcome.verdict.action() != Action::Again || rounds.len() > 1 {
            break outcome;
        }
    };
    let mut refused = frame.clone();
    let is_told = outcome.verdict.action() == Action::Refuse
        && answer(&mut refused, &env, outcome.verdict, outcome.hop.mtu);
    // How the answer was found is no part of the packet's way.
    view.evidence()?;
    Ok(Walk {
        rounds,
        hop: outcome.hop,
        frame,
        answer: is_told.then_some(refused),
    })
}

/// Whether the guard would stop this packet if the stack sent it out by a managed interface.
pub(super) fn is_stopped(
    view: &View,
    ingress: u32,
    packet: &packet::Asked,
) -> Result<bool, ExplainError> {
    let stopped = leaks(&packet.frame([0; 6]), &view.at(ingress));
    view.evidence()?;
    Ok(stopped)
}
