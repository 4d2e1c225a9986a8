//! Reports of dropped packets: none while nobody watches, no more than were asked for while somebody does.

use std::{mem::offset_of, time::Duration};

use anyhow::{Context as _, Result, ensure};
use aya::{
    maps::{Array, Map, MapData, RingBuf},
    programs::{SchedClassifier, TestRun as _, TestRunOptions},
};
use snat_common::{
    Event, Verdict,
    report::{Dropped, LEASE, Watch},
};
use snat_ctl::datapath::sweep;

use crate::{
    frames::{Frame, ingress},
    kernel::{Kernel, in_kernel},
    world::ROUTED,
};

const LINK_LOCAL: [u8; 4] = [169, 254, 1, 1];
/// Fewer than the ring has room for.
const PACKETS: u32 = 1000;
const ALL: u32 = 1_000_000;

#[test]
fn a_dropped_packet_is_reported_only_to_who_asked_and_as_often_as_he_asked() -> Result<()> {
    in_kernel(|kernel| {
        let nobody = Watch::default();
        let asked = Watch {
            verdicts: 1 << Verdict::Martian as u8,
            per_second: ALL,
            ..Watch::default()
        };
        let other = Watch {
            verdicts: 1 << Verdict::TooBig as u8,
            ..asked
        };
        let few = Watch {
            per_second: 10,
            ..asked
        };
        let cases = [
            ("nobody watches", nobody, 0, 0),
            ("a watcher that was killed", asked, 0, 0),
            // Half the clock's way round later: what it asked for lies in the future again.
            ("a watcher of last year", asked, LEASE + 3600, 0),
            ("another reason", other, LEASE, 0),
            ("ten a second", few, LEASE, 10),
            ("all of them", asked, LEASE, PACKETS),
        ];
        for (who, watch, left, least) in cases {
            let until = sweep::now().wrapping_add(left);
            let watch = Watch { until, ..watch };
            let before = kernel.happened(Event::ReportHeldBack)?;
            let (each, reported) = run(kernel, watch)?;
            let held_back = kernel.happened(Event::ReportHeldBack)? - before;
            println!("{who}: {each:?} a packet, {reported} reported, {held_back} held back");
            ensure!(reported >= least, "{who}: {reported}");
            let wanted = if least == 0 { 0 } else { PACKETS };
            ensure!(
                u64::from(reported) + held_back == u64::from(wanted),
                "{who}"
            );
        }
        // A run takes a few milliseconds: no second's worth flows in.
        ensure!(kernel.happened(Event::ReportHeldBack)? >= u64::from(PACKETS) - 30);
        ensure!(kernel.happened(Event::ReportLost)? == 0);
        Ok(())
    })
}

/// Drops a packet many times; how long each took, and how many reports there are.
fn run(kernel: &mut Kernel, watch: Watch) -> Result<(Duration, u32)> {
    let open = |name: &str| MapData::from_pin(kernel.pins.dir().join(name));
    let mut ring = RingBuf::try_from(Map::RingBuf(open("DROPS")?))?;
    let mut map: Array<_, [u8; size_of::<Watch>()]> = Array::try_from(Map::Array(open("WATCH")?))?;
    map.set(0, words(&watch), 0)?;
    let frame = Frame::udp((ROUTED, 4000), (LINK_LOCAL, 53)).by_client();
    let context: Vec<u8> = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ingress(ROUTED)]
        .iter()
        .flat_map(|word: &u32| word.to_ne_bytes())
        .collect();
    let bytes = frame.bytes();
    let mut options = TestRunOptions::new();
    options.data_in = Some(&bytes);
    options.ctx_in = Some(&context);
    options.repeat = PACKETS;
    let program = kernel.ebpf.program_mut("snat_tc").context("no snat_tc")?;
    let program: &mut SchedClassifier = program.try_into()?;
    let ran = program.test_run(options)?;
    let mut reported = 0;
    while let Some(item) = ring.next() {
        let at = offset_of!(Dropped, verdict);
        ensure!(item[at] == Verdict::Martian as u8, "another reason");
        reported += 1;
    }
    Ok((ran.duration, reported))
}

/// As they are in the map.
fn words(watch: &Watch) -> [u8; size_of::<Watch>()] {
    let mut bytes = [0; size_of::<Watch>()];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(offset_of!(Watch, verdicts), &watch.verdicts.to_ne_bytes());
    put(
        offset_of!(Watch, per_second),
        &watch.per_second.to_ne_bytes(),
    );
    put(offset_of!(Watch, until), &watch.until.to_ne_bytes());
    bytes
}
