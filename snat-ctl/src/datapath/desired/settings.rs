//! The configuration's part of map `SETTINGS`.

use std::time::Duration;

use snat_common::{
    Settings, State, flow::TIMED_STATES, log::Detail, recycle, settings::TICK_SHIFT,
};

use crate::config::{Answers, Config, Gateway, Limits, MssClamp, Refusal, Timeouts};

/// All but ABI, generation and secret.
pub(super) fn settings(config: &Config) -> Settings {
    let Gateway {
        max_flows,
        mss_clamp,
        ..
    } = config.gateway;
    let Limits {
        flows_per_source,
        new_flows_per_source,
        fragments_per_source,
        answers_per_second,
    } = config.limits;
    let Answers { refused, reset } = config.answers;
    Settings {
        timeouts: timeouts(&config.timeouts),
        port_rest: ticks(config.timeouts.port_rest),
        max_flows,
        flows_per_source,
        new_flows_per_source,
        fragments_per_source,
        answers_per_second,
        mss: match mss_clamp {
            MssClamp::Off => 0,
            MssClamp::Auto => 1,
            MssClamp::To(mss) => mss,
        },
        // Codes of ICMP destination unreachable (RFC 792, RFC 1812 §5.2.7.1).
        refusal_code: match refused {
            Refusal::AdminProhibited => 13,
            Refusal::HostUnreachable => 1,
            Refusal::Silence => 255,
        },
        resets: reset,
        ring_mask: recycle::ring(max_flows) - 1,
        protocols: config.protocols,
        log: match &config.log {
            None => Detail::Off,
            Some(log) if log.destinations => Detail::Destinations,
            Some(_) => Detail::Mappings,
        } as u8,
        ..Settings::unset()
    }
}

/// A duration in the datapath's ticks, rounded up.
fn ticks(duration: Duration) -> u32 {
    let ticks = duration.as_nanos().div_ceil(1 << TICK_SHIFT);
    ticks.min(u128::from(u32::MAX / 2)) as u32
}

fn timeouts(timeouts: &Timeouts) -> [u32; TIMED_STATES] {
    let Timeouts {
        tcp_opening,
        tcp_established,
        tcp_closing,
        udp,
        icmp,
        other,
        port_rest: _,
    } = *timeouts;
    let mut ticks_of = [0; TIMED_STATES];
    for (state, duration) in [
        (State::IcmpEcho, icmp),
        (State::Udp, udp),
        (State::TcpSynSent, tcp_opening),
        (State::TcpSynReceived, tcp_opening),
        (State::TcpEstablished, tcp_established),
        // One side may go on sending: half-closed is as good as open (RFC 5382 REQ-5).
        (State::TcpFinOut, tcp_established),
        (State::TcpFinIn, tcp_established),
        (State::TcpClosing, tcp_closing),
        (State::TcpReset, tcp_closing),
        (State::Other, other),
    ] {
        ticks_of[state as usize] = ticks(duration);
    }
    ticks_of
}
