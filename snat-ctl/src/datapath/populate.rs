//! Brings the maps to what the configuration and the host want.

use std::io::Read as _;

use snat_common::{
    Interface, PortSet, Settings,
    settings::{ABI_VERSION, MAX_INTERFACES, PORT_WORDS},
};

use super::{
    Desired, Host, Pins, forwards,
    map::{Map, MapError, bytes, value},
};

/// Writes everything. Flows stay as they are.
///
/// What others point to is written before what points to it, so that a packet never finds an entry
/// whose addresses or ports are not there yet.
///
/// # Errors
///
/// [`MapError`] of the first map that refused; calling again goes on.
pub fn populate(pins: &Pins, desired: &Desired, host: &Host) -> Result<(), MapError> {
    let open = |name| Map::open(pins.dir(), name);
    let port_sets = open("PORT_SETS")?;
    let mut changed = false;
    for (index, ports) in desired.port_sets.iter().enumerate() {
        let (key, set) = (index_key(index), port_set(ports));
        // Not in place under running traffic unless it must be.
        if port_sets.get(&key)?.as_ref() != Some(&set) {
            port_sets.set(&key, &set)?;
            changed = true;
        }
    }
    // What searches have learned was of the ports that were there before.
    if changed {
        let busy = open("BUSY")?;
        busy.keys()?.iter().try_for_each(|key| busy.remove(key))?;
    }
    set_all(&open("POOL")?, &desired.pool)?;
    set_all(&open("ENTRIES")?, &desired.entries)?;
    let externals: Vec<_> = desired
        .externals
        .iter()
        .map(|(addr, sets)| (addr.to_vec(), sets.to_ne_bytes().to_vec()))
        .collect();
    open("EXTERNALS")?.replace(&externals)?;
    refresh_interfaces(pins, &host.interfaces)?;
    let bypass: Vec<_> = desired
        .bypass
        .iter()
        .map(|prefix| (bytes(prefix).to_vec(), 0_u32.to_ne_bytes().to_vec()))
        .collect();
    open("BYPASS")?.replace(&bypass)?;
    forwards::reconcile(pins, &desired.forwards)?;
    update_settings(pins, |settings| {
        // The instance's own.
        let Settings {
            abi,
            generation,
            secret,
            transfer,
            ..
        } = *settings;
        *settings = Settings {
            abi,
            generation,
            secret,
            transfer,
            ..desired.settings
        };
    })?;
    // Last: from here on clients' packets are taken.
    let sources: Vec<_> = desired
        .sources
        .iter()
        .map(|(prefix, entry)| (bytes(prefix).to_vec(), bytes(entry).to_vec()))
        .collect();
    open("SOURCES")?.replace(&sources)
}

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
    let slots: Vec<_> = arranged
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
    let free = arranged.iter_mut().filter(|slot| slot.ifindex == 0);
    for (slot, new) in free.zip(wanted) {
        *slot = *new;
    }
    arranged
}

pub(super) fn update_settings(
    pins: &Pins,
    change: impl FnOnce(&mut Settings),
) -> Result<(), MapError> {
    let map = Map::open(pins.dir(), "SETTINGS")?;
    let mut settings: Settings = map
        .get(&index_key(0))?
        .map_or_else(Settings::unset, |bytes| value(&bytes));
    settings.abi = ABI_VERSION;
    if settings.secret == [0, 0] {
        settings.secret = secret();
    }
    change(&mut settings);
    map.set(&index_key(0), bytes(&settings))
}

/// Sixteen bytes nobody can guess; made once per instance, so that ports stay as they were.
fn secret() -> [u64; 2] {
    let mut words = [[0; 8]; 2];
    let random = std::fs::File::open("/dev/urandom").and_then(|mut file| {
        file.read_exact(&mut words[0])?;
        file.read_exact(&mut words[1])
    });
    match random {
        Ok(()) => words.map(u64::from_ne_bytes),
        // Port choice only: better a guessable one than no gateway.
        Err(_) => [u64::from(std::process::id()), 1],
    }
}

fn set_all<T: super::map::Plain>(map: &Map, values: &[T]) -> Result<(), MapError> {
    for (index, value) in values.iter().enumerate() {
        map.set(&index_key(index), bytes(value))?;
    }
    Ok(())
}

/// As `PortSet` lays it out. `ports` are ascending.
fn port_set(ports: &[u16]) -> Vec<u8> {
    let low = ports.partition_point(|port| *port < 1024);
    let mut allowed = [0_u64; PORT_WORDS as usize];
    for port in ports {
        allowed[usize::from(port / 64)] |= 1 << (port % 64);
    }
    let mut bytes = Vec::with_capacity(size_of::<PortSet>());
    bytes.extend((ports.len() as u32).to_ne_bytes());
    bytes.extend((low as u32).to_ne_bytes());
    bytes.extend(allowed.iter().flat_map(|word| word.to_ne_bytes()));
    bytes.extend(ports.iter().flat_map(|port| port.to_ne_bytes()));
    bytes.resize(size_of::<PortSet>(), 0);
    bytes
}

fn index_key(index: usize) -> [u8; 4] {
    (index as u32).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::{Interface, PortSet, UNUSED, arrange, port_set};

    #[test]
    fn a_port_set_says_the_same_in_numbers_bits_and_a_list() {
        let ports = [1, 1023, 1024, 65535];
        let bytes = port_set(&ports);
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(offset_of!(PortSet, len)), 4);
        assert_eq!(word(offset_of!(PortSet, low)), 2);
        for port in 0..=u16::MAX {
            let at = offset_of!(PortSet, allowed) + usize::from(port / 64) * 8;
            let word = u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
            assert_eq!(
                word >> (port % 64) & 1 == 1,
                ports.contains(&port),
                "{port}"
            );
        }
        let list = bytes[offset_of!(PortSet, ports)..].chunks_exact(2);
        let list = list.map(|port| u16::from_ne_bytes(port.try_into().unwrap()));
        assert_eq!(list.take(5).collect::<Vec<_>>(), [1, 1023, 1024, 65535, 0]);
        assert_eq!(bytes.len(), size_of::<PortSet>());
    }

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
        assert_eq!((then[0].ifindex, then[1]), (9, interface(8, 9000)));
        assert!(then[2..].iter().all(|slot| *slot == UNUSED));
    }
}
