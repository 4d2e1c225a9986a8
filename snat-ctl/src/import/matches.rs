//! What a rule asks of a packet.

use super::{
    names::Names,
    ranges::{self, Ranges},
};

const LAST_PROTOCOL: u32 = 255;
const LAST_PORT: u32 = 65_535;
pub(super) const TCP: u32 = 6;
pub(super) const UDP: u32 = 17;

/// Conditions, all of which a packet meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matches {
    pub(super) source: Ranges,
    pub(super) destination: Ranges,
    pub(super) protocol: Ranges,
    pub(super) source_ports: Ranges,
    pub(super) destination_ports: Ranges,
    pub(super) input: Names,
    pub(super) output: Names,
    /// The destination is an address of this host.
    pub(super) local: bool,
    /// For IPv6 packets only.
    pub(super) ipv6: bool,
    /// What else it asks, in the tool's words: no configuration says that.
    pub(super) others: Vec<String>,
}

/// What of a packet is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Source,
    Destination,
    Protocol,
    SourcePort,
    DestinationPort,
    Input,
    Output,
}

impl Matches {
    pub(super) fn everything() -> Self {
        Self {
            source: Ranges::everywhere(),
            destination: Ranges::everywhere(),
            protocol: Ranges::up_to(LAST_PROTOCOL),
            source_ports: Ranges::up_to(LAST_PORT),
            destination_ports: Ranges::up_to(LAST_PORT),
            input: Names::any(),
            output: Names::any(),
            local: false,
            ipv6: false,
            others: Vec::new(),
        }
    }

    /// Adds a condition: the field is one of these values, or none of them if `not`. `None` for values that are not
    /// understood, and then nothing is added.
    pub(super) fn restrict<T: AsRef<str>>(
        &mut self,
        field: Field,
        not: bool,
        values: &[T],
    ) -> Option<()> {
        let values = values.iter().map(AsRef::as_ref);
        // A variable of a file for `nft -f`: what it holds is not known.
        if values.clone().any(|value| value.starts_with('$')) {
            return None;
        }
        if let Field::Input | Field::Output = field {
            let names = values.map(|name| name.replace('+', "*")).collect();
            let names = if not {
                Names::AllBut(names)
            } else {
                Names::Only(names)
            };
            let own = if field == Field::Input {
                &mut self.input
            } else {
                &mut self.output
            };
            *own = own.and(&names);
            return Some(());
        }
        let read = match field {
            Field::Source | Field::Destination => ranges::addresses,
            Field::Protocol => protocol,
            _ => ranges::ports,
        };
        let all = Ranges::of(values.map(read).collect::<Option<_>>()?);
        let own = match field {
            Field::Source => &mut self.source,
            Field::Destination => &mut self.destination,
            Field::Protocol => &mut self.protocol,
            Field::SourcePort => &mut self.source_ports,
            _ => &mut self.destination_ports,
        };
        *own = if not {
            own.without(&all)
        } else {
            own.and(&all)
        };
        Some(())
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        Self {
            source: self.source.and(&other.source),
            destination: self.destination.and(&other.destination),
            protocol: self.protocol.and(&other.protocol),
            source_ports: self.source_ports.and(&other.source_ports),
            destination_ports: self.destination_ports.and(&other.destination_ports),
            input: self.input.and(&other.input),
            output: self.output.and(&other.output),
            local: self.local || other.local,
            ipv6: self.ipv6 || other.ipv6,
            others: [&self.others[..], &other.others[..]].concat(),
        }
    }

    /// Those that do not meet the others; `None` if that is more than one set of conditions can say.
    pub(super) fn without(&self, other: &Self) -> Option<Self> {
        let mut left = self.clone();
        let pairs = [
            (&mut left.source, &other.source),
            (&mut left.destination, &other.destination),
            (&mut left.protocol, &other.protocol),
            (&mut left.source_ports, &other.source_ports),
            (&mut left.destination_ports, &other.destination_ports),
        ];
        let names = other.input.covers(&self.input) && other.output.covers(&self.output);
        if !names || !other.others.is_empty() || (other.local && !self.local) {
            return None;
        }
        let mut uncovered: Vec<_> = pairs
            .into_iter()
            .filter(|(own, other)| !other.covers(own))
            .collect();
        match &mut uncovered[..] {
            [] => left.source = Ranges::none(),
            [(own, other)] => **own = own.without(other),
            _ => return None,
        }
        Some(left)
    }

    /// Whether no packet can meet them.
    pub(super) fn is_empty(&self) -> bool {
        let sets = [
            &self.source,
            &self.destination,
            &self.protocol,
            &self.source_ports,
            &self.destination_ports,
        ];
        sets.iter().any(|set| set.is_empty()) || self.input.is_empty() || self.output.is_empty()
    }

    /// Whether a packet may meet both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.ipv6 == other.ipv6 && !self.and(other).is_empty()
    }

    /// Whether every port will do, and whatever has no ports.
    pub(super) fn every_port(&self) -> bool {
        let all = Ranges::up_to(LAST_PORT);
        self.source_ports == all && self.destination_ports == all
    }

    /// Whether every protocol will do.
    pub(super) fn every_protocol(&self) -> bool {
        self.protocol == Ranges::up_to(LAST_PROTOCOL)
    }
}

fn protocol(text: &str) -> Option<(u32, u32)> {
    let number = match text {
        "icmp" => 1,
        "tcp" => TCP,
        "udp" => UDP,
        "gre" => 47,
        "esp" | "ipv6-crypt" => 50,
        "ah" => 51,
        "ipv6-icmp" | "icmpv6" => 58,
        "sctp" => 132,
        "udplite" => 136,
        "all" => return Some((0, LAST_PROTOCOL)),
        _ => text.parse::<u8>().ok()?.into(),
    };
    Some((number, number))
}
