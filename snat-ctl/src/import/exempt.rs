//! What is let go before a rule that translates sources.

use super::{host::Here, matches::Matches, names::Names, ranges::Ranges};

/// What it means to the rule.
pub(super) enum Effect {
    Sources(Ranges),
    Destinations(Ranges),
}

/// What packets that are let go before mean to a rule; or why that cannot be said.
pub(super) fn effect(
    exempt: &Matches,
    rule: &Matches,
    here: Option<&Here>,
) -> Result<Effect, String> {
    if !exempt.others.is_empty() {
        let asked = exempt.others.join(", ");
        return Err(format!(
            "it asks for \"{asked}\"; what is not translated is told by client or destination"
        ));
    }
    let every = exempt.protocol.covers(&rule.protocol)
        && exempt.destination_ports.covers(&rule.destination_ports)
        && exempt.source_ports.covers(&rule.source_ports)
        && exempt.input.covers(&rule.input)
        && !exempt.local;
    if !every {
        return Err("it is for some protocols, ports or interfaces only; what is not translated is told by client or destination".to_owned());
    }
    let all_clients = exempt.source.covers(&rule.source);
    let all_servers = exempt.destination.covers(&rule.destination);
    if !exempt.output.covers(&rule.output) {
        let routed = here.filter(|_| all_clients && all_servers);
        return match (&exempt.output, routed) {
            (Names::Only(names), Some(here)) => Ok(Effect::Destinations(
                here.elsewhere(&Names::AllBut(names.clone())),
            )),
            _ => Err(
                "it is by interface; what is not translated is told by client or destination"
                    .to_owned(),
            ),
        };
    }
    if all_servers {
        Ok(Effect::Sources(exempt.source.clone()))
    } else if all_clients {
        Ok(Effect::Destinations(exempt.destination.clone()))
    } else {
        Err(
            "it is for some clients and some destinations; a [[bypass]] is for all clients"
                .to_owned(),
        )
    }
}
