//! What the bytes of an input say: a list of things that happen.

use snat_common::Verdict;

use crate::{
    checks,
    host::{Hook, Host},
    network::{self, CLIENTS, EXTERNAL, INTERNAL, LAN, POOLED, SERVERS, WAN, mac},
};

/// Things that happen for one input.
const MOST: usize = 200;

/// Plays an input to its end, and checks all that must hold.
pub(crate) fn play(data: &[u8]) {
    let mut input = Input(data);
    let mut host = network::host(input.byte(), input.byte(), input.byte());
    let mut last = Vec::new();
    for _ in 0..MOST {
        if input.0.is_empty() {
            break;
        }
        let frame = match input.byte() % 8 {
            0 => input.raw(),
            1..=3 => input.packet(),
            4 | 5 => input.answer(&last),
            6 => input.error(&last),
            _ => {
                input.meanwhile(&mut host);
                continue;
            }
        };
        let frame = input.damaged(frame);
        let ingress = if input.byte() & 1 == 0 { LAN } else { WAN };
        let hook = if input.byte() & 1 == 0 {
            Hook::Xdp
        } else {
            Hook::Tc
        };
        let (outcome, out) = host.run(hook, ingress, &frame);
        checks::frame(outcome.verdict, &frame, &out);
        if matches!(
            outcome.verdict,
            Verdict::TranslatedOut | Verdict::TranslatedIn
        ) {
            last = out;
        }
    }
    checks::tables(&mut host);
    for _ in 0..3 {
        host.clock = host.clock.wrapping_add(2_000);
        host.sweep();
    }
    checks::tables(&mut host);
    checks::empty(&mut host);
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn raw(&mut self) -> Vec<u8> {
        let len = usize::from(self.byte()).min(self.0.len());
        let (frame, rest) = self.0.split_at(len);
        self.0 = rest;
        frame.to_vec()
    }

    /// A whole packet with right checksums.
    fn packet(&mut self) -> Vec<u8> {
        let word = self.byte();
        let all = [EXTERNAL, POOLED, INTERNAL, [127, 0, 0, 1]];
        let client = CLIENTS[usize::from(word & 3)];
        let other = match word >> 4 & 3 {
            0 => all[usize::from(word >> 2 & 3)],
            _ => SERVERS[usize::from(word >> 2 & 3)],
        };
        let (src, dst) = if word & 0x80 == 0 {
            (client, other)
        } else {
            (other, EXTERNAL)
        };
        let protocol = [6, 6, 17, 17, 1, 132, 47, self.byte()][usize::from(self.byte() & 7)];
        // Few ports, so that packets meet: most of them of the port sets.
        let ports = [
            1016 + u16::from(self.byte() & 31),
            1016 + u16::from(self.byte() & 31),
        ];
        let flags = self.byte();
        let extra = usize::from(self.byte());
        let transport = match protocol {
            6 => [
                &head(ports)[..],
                &[0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 255, 255, 0, 0, 0, 0],
            ]
            .concat(),
            17 => [&head(ports)[..], &(8 + extra as u16).to_be_bytes(), &[0, 0]].concat(),
            1 => [&[flags, 0, 0, 0][..], &ports[0].to_be_bytes(), &[0, 1]].concat(),
            _ => [&head(ports)[..], &[0; 8]].concat(),
        };
        let total = (20 + transport.len() + extra) as u16;
        let mut frame = [
            &mac(if src == client && client[1] != 2 {
                INTERNAL
            } else {
                EXTERNAL
            })[..],
            &mac(src),
            &[8, 0, 0x45, 0],
            &total.to_be_bytes(),
            &[0, 7, self.byte() & 0x40, 0, self.byte(), protocol, 0, 0],
            &src,
            &dst,
            &transport,
        ]
        .concat();
        frame.resize(14 + usize::from(total), 0xa5);
        repair(&mut frame);
        frame
    }

    /// The last packet that was translated, sent back.
    fn answer(&mut self, last: &[u8]) -> Vec<u8> {
        let mut frame = last.to_vec();
        if frame.len() < 42 {
            return frame;
        }
        turn(&mut frame);
        let transport = 14 + usize::from(frame[14] & 15) * 4;
        let flags = self.byte();
        match frame[23] {
            6 => set(&mut frame, transport + 13, flags),
            1 => set(&mut frame, transport, flags & 0x0f),
            _ => {}
        }
        repair(&mut frame);
        frame
    }

    /// An ICMP error about the last packet that was translated.
    fn error(&mut self, last: &[u8]) -> Vec<u8> {
        if last.len() < 42 {
            return Vec::new();
        }
        let kind = [3, 11, 12, 5][usize::from(self.byte() & 3)];
        let len = usize::from(self.byte()).min(last.len() - 14);
        let quoted = &last[14..14 + len];
        let mut frame = last[..34].to_vec();
        frame[14] = 0x45;
        turn(&mut frame);
        frame.extend([kind, self.byte(), 0, 0, 0, 0, 5, 0]);
        frame.extend(quoted);
        let total = (frame.len() - 14) as u16;
        frame[16..18].copy_from_slice(&total.to_be_bytes());
        frame[20..22].fill(0);
        (frame[22], frame[23]) = (64, 1);
        repair(&mut frame);
        frame
    }

    /// A frame with a byte changed, cut or grown, or none of it.
    fn damaged(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        let how = self.byte();
        match how & 7 {
            0 | 1 => {
                let at = usize::from(self.byte());
                let value = self.byte();
                set(&mut frame, at, value);
            }
            2 => {
                let len = usize::from(self.byte());
                frame.truncate(len);
            }
            3 => frame.extend([1, 2, 3, 4, 5]),
            _ => return frame,
        }
        if how & 8 != 0 {
            repair(&mut frame);
        }
        frame
    }

    /// Time, the sweep, new limits.
    fn meanwhile(&mut self, host: &mut Host) {
        match self.byte() % 4 {
            0 => host.clock = host.clock.wrapping_add(u32::from(self.byte())),
            1 => host.clock = host.clock.wrapping_add(u32::from(self.word() % 2_000)),
            2 => {
                host.sweep();
                checks::tables(host);
            }
            _ => {
                let settings = &mut host.contents.settings;
                settings.flows_per_source = u32::from(self.byte() & 15);
                settings.new_flows_per_source = u32::from(self.byte() & 15);
                settings.mss = 0;
            }
        }
    }
}

fn head([src, dst]: [u16; 2]) -> [u8; 4] {
    let ([a, b], [c, d]) = (src.to_be_bytes(), dst.to_be_bytes());
    [a, b, c, d]
}

/// Swaps who sends and who receives.
fn turn(frame: &mut [u8]) {
    let transport = 14 + usize::from(frame[14] & 15) * 4;
    let mac_of_ours = if network::is_client(checks::addr(frame, 30)) {
        INTERNAL
    } else {
        EXTERNAL
    };
    frame[..6].copy_from_slice(&mac(mac_of_ours));
    for at in 26..30 {
        frame.swap(at, at + 4);
    }
    if frame[23] != 1 && frame.len() >= transport + 4 {
        frame.swap(transport, transport + 2);
        frame.swap(transport + 1, transport + 3);
    }
}

fn set(frame: &mut [u8], at: usize, value: u8) {
    if let Some(byte) = frame.get_mut(at) {
        *byte = value;
    }
}

/// Makes the checksums right, as far as there are headers.
fn repair(frame: &mut [u8]) {
    if frame.len() < 34 {
        return;
    }
    let header = usize::from(frame[14] & 15) * 4;
    let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    if header < 20 || total < header || frame.len() < 14 + total {
        return;
    }
    frame[24..26].fill(0);
    let sum = !checks::sum(&frame[14..14 + header], 0);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    let transport = 14 + header;
    let (at, pseudo) = match frame[23] {
        6 => (16, true),
        17 => (6, true),
        1 => (2, false),
        _ => return,
    };
    let mut end = 14 + total;
    if frame[23] == 17 && transport + 8 <= end {
        let length = u16::from_be_bytes([frame[transport + 4], frame[transport + 5]]);
        end = end.min(transport + usize::from(length));
    }
    if transport + at + 2 > end {
        return;
    }
    let start = if pseudo {
        let words = [&frame[26..34], &[0, frame[23]]].concat();
        u32::from(checks::sum(&words, 0)) + (end - transport) as u32
    } else {
        0
    };
    frame[transport + at..transport + at + 2].fill(0);
    let sum = match !checks::sum(&frame[transport..end], start) {
        0 if frame[23] == 17 => 0xffff,
        sum => sum,
    };
    frame[transport + at..transport + at + 2].copy_from_slice(&sum.to_be_bytes());
}
