//! The gateway's interfaces as the datapath knows them.

use snat_common::{Interface, settings::MAX_INTERFACES};

use super::{
    Pins,
    map::{Map, MapError, bytes, value},
    populate::{Elements, index_key, update_settings},
};

/// Tells the datapath which interfaces there are now, and that cached routes may be stale.
///
/// # Errors
///
/// [`MapError`] of the first map that refused.
pub fn refresh_interfaces(pins: &Pins, interfaces: &[Interface]) -> Result<(), MapError> {
    let table = Map::open(pins.dir(), "INTERFACES")?;
    let mut present = [UNUSED; MAX_INTERFACES as usize];
    for (slot, interface) in present.iter_mut().enumerate() {
        if let Some(found) = table.get(&index_key(slot))? {
            *interface = value(&found);
        }
    }
    let arranged = arrange(&present, interfaces);
    for (slot, interface) in arranged.iter().enumerate() {
        table.set(&index_key(slot), bytes(interface))?;
    }
    let slots: Elements = arranged
        .iter()
        .enumerate()
        .filter(|(_, interface)| interface.ifindex != 0)
        .map(|(slot, interface)| (bytes(&interface.ifindex).to_vec(), index_key(slot).to_vec()))
        .collect();
    Map::open(pins.dir(), "SLOTS")?.replace(&slots)?;
    update_settings(pins, |settings| {
        settings.generation = settings.generation.wrapping_add(1);
    })
}

const UNUSED: Interface = Interface {
    ifindex: 0,
    addr: [0; 4],
    mac: [0; 6],
    mtu: 0,
};

/// An interface that stays keeps its slot, for flows have that in their cached routes.
fn arrange(
    present: &[Interface; MAX_INTERFACES as usize],
    wanted: &[Interface],
) -> [Interface; MAX_INTERFACES as usize] {
    let mut arranged = [UNUSED; MAX_INTERFACES as usize];
    let mut wanted: Vec<_> = wanted
        .iter()
        .filter(|interface| interface.ifindex != 0)
        .collect();
    for (slot, old) in arranged.iter_mut().zip(present) {
        let found = wanted.iter().position(|new| new.ifindex == old.ifindex);
        if let Some(found) = found {
            *slot = *wanted.remove(found);
        }
    }
    // One that was somebody's until now comes last: a packet may have found it there.
    let unused = |slot: &usize| present[*slot].ifindex != 0;
    let mut free: Vec<_> = (0..arranged.len())
        .filter(|slot| arranged[*slot].ifindex == 0)
        .collect();
    free.sort_by_key(unused);
    for (slot, new) in free.into_iter().zip(wanted) {
        arranged[slot] = *new;
    }
    arranged
}

#[cfg(test)]
mod tests {
    use super::{Interface, UNUSED, arrange};

    #[test]
    fn an_interface_that_stays_keeps_its_slot() {
        let interface = |ifindex, mtu| Interface {
            ifindex,
            mtu,
            ..UNUSED
        };
        let first = arrange(&[UNUSED; 16], &[interface(7, 1500), interface(8, 1500)]);
        assert_eq!((first[0].ifindex, first[1].ifindex), (7, 8));
        let then = arrange(&first, &[interface(9, 1500), interface(8, 9000)]);
        // Not where another one was a moment ago.
        assert_eq!((then[1], then[2].ifindex), (interface(8, 9000), 9));
        assert!(then[0] == UNUSED && then[3..].iter().all(|slot| *slot == UNUSED));
    }
}
