//! The engine in the kernel: the real object and maps, in a namespace made like the [`crate::world`].

use std::{mem::offset_of, net::Ipv4Addr};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, PerCpuArray},
    programs::{ProgramError, SchedClassifier, TestRun as _, TestRunOptions, Xdp},
};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use snat_common::{
    Addr, Busy, BusyKey, Client, Event, FlowEntry, FlowKey, Mapping, MappingKey, Settings, Verdict,
    sweep::{FLAGS_AT, KEYS_AT, Kind, LOOKED_AT, MAX_KEYS},
};
use snat_ctl::datapath::{EniHint, Pins, follow_enis, load, populate, sweep::now};
use snat_tests::{netns::Netns, topology::unique_prefix};

use crate::{
    host::Hook,
    world::{self, Change, WAN, mac},
};

/// Keys and values of maps as bytes.
pub(crate) type RawKey = [u8; size_of::<FlowKey>()];
pub(crate) type RawEntry = [u8; size_of::<FlowEntry>()];
pub(crate) type RawMappingKey = [u8; size_of::<MappingKey>()];
pub(crate) type RawMapping = [u8; size_of::<Mapping>()];
pub(crate) type RawClient = [u8; size_of::<Client>()];
type RawBusyKey = [u8; size_of::<BusyKey>()];
type RawBusy = [u8; size_of::<Busy>()];

/// Whether the kernel runs the TC programs on this frame (`bpf_prog_test_run_skb()`): it refuses what no
/// driver would hand up, and an IP packet without a whole header.
pub(crate) fn runs(frame: &[u8]) -> bool {
    let least = match frame.get(12..14) {
        Some([0x08, 0x00]) => 34,
        Some([0x86, 0xdd]) => 54,
        _ => 15,
    };
    frame.len() >= least
}

/// What became of a frame.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Whose word it was: that of TC, too, where XDP passed the frame on.
    pub(crate) hook: Hook,
    /// What that program returned.
    pub(crate) code: i32,
    /// The frame as it is then.
    pub(crate) frame: Vec<u8>,
}

/// Room for what comes back.
const LARGEST: usize = 4096;

/// The loaded programs and their maps.
pub(crate) struct Kernel {
    pub(crate) ebpf: Ebpf,
    pub(crate) pins: Pins,
    flows: HashMap<MapData, RawKey, RawEntry>,
    mappings: HashMap<MapData, RawMappingKey, RawMapping>,
    clients: HashMap<MapData, Addr, RawClient>,
    busy: HashMap<MapData, RawBusyKey, RawBusy>,
    shared: Array<MapData, [u64; 6]>,
    counters: PerCpuArray<MapData, [u64; 2]>,
    events: PerCpuArray<MapData, u64>,
}

/// Runs `body` with the datapath loaded, in a namespace of its own; both are gone afterwards.
pub(crate) fn in_kernel<T: Send>(body: impl FnOnce(&mut Kernel) -> Result<T> + Send) -> Result<T> {
    ensure!(
        statfs("/sys/fs/bpf").is_ok_and(|fs| fs.filesystem_type() == BPF_FS_MAGIC),
        "/sys/fs/bpf is no BPF file system: run this through `cargo xtask test`, which makes one of its own"
    );
    let name = unique_prefix();
    let netns = Netns::create(&format!("{name}engine"))?;
    netns.ip(world::LINKS)?;
    netns.sysctl("net/ipv4/ip_forward", "1")?;
    let mut neighbours = String::new();
    for (ifindex, addr) in world::neighbours() {
        let named = world::NAMES.iter().find(|(index, _)| *index == ifindex);
        let (_, dev) = named.context("an interface without a name")?;
        let ip = Ipv4Addr::from(addr);
        let mac = mac(addr).map(|byte| format!("{byte:02x}")).join(":");
        neighbours += &format!("neigh replace {ip} lladdr {mac} dev {dev} nud permanent\n");
    }
    netns.ip(&neighbours)?;
    netns.enter(|| body(&mut Kernel::load(&name)?))
}

impl Kernel {
    fn load(name: &str) -> Result<Self> {
        let config = world::config(name)?;
        let pins = Pins::of(name);
        let ebpf = load(&pins, &config.gateway, None)?;
        let open = |map: &str| MapData::from_pin(pins.dir().join(map));
        let counters = PerCpuArray::try_from(Map::PerCpuArray(open("VERDICTS")?))?;
        let events = PerCpuArray::try_from(Map::PerCpuArray(open("EVENTS")?))?;
        let flows = HashMap::try_from(Map::HashMap(open("FLOWS")?))?;
        let mappings = HashMap::try_from(Map::HashMap(open("MAPPINGS")?))?;
        let clients = HashMap::try_from(Map::HashMap(open("CLIENTS")?))?;
        let busy = HashMap::try_from(Map::LruHashMap(open("BUSY")?))?;
        let shared = Array::try_from(Map::Array(open("SHARED")?))?;
        let mut settings: Array<_, [u8; size_of::<Settings>()]> =
            Array::try_from(Map::Array(open("SETTINGS")?))?;
        let kernel = Self {
            ebpf,
            flows,
            mappings,
            clients,
            busy,
            shared,
            counters,
            events,
            pins,
        };
        // Known to both sides; the control plane keeps what is there.
        let mut known = [0; size_of::<Settings>()];
        let secret = world::SECRET.map(u64::to_ne_bytes).concat();
        known[offset_of!(Settings, secret)..][..16].copy_from_slice(&secret);
        settings.set(0, known, 0)?;
        kernel.configure(world::AS_IT_IS)?;
        Ok(kernel)
    }

    /// Brings the maps to the world's configuration with a change.
    pub(crate) fn configure(&self, change: Change) -> Result<()> {
        let mut desired = world::contents("kernel")?;
        change(&mut desired);
        Ok(populate(&self.pins, &desired, &world::interfaces()).map(drop)?)
    }

    /// Tells the datapath of policy routes.
    pub(crate) fn follow(&self, sources: &[Addr], hints: &[EniHint]) -> Result<()> {
        let sources = sources.iter().map(|addr| Ipv4Addr::from(*addr).into());
        let sources: Vec<_> = sources.collect();
        Ok(follow_enis(&self.pins, &sources, hints).map(drop)?)
    }

    /// Gives a frame to a program, and one that XDP passes to those of TC.
    pub(crate) fn run(&mut self, hook: Hook, ingress: u32, frame: &[u8]) -> Result<Ran> {
        if hook == Hook::Xdp {
            let ran = self.run_one(hook, ingress, frame)?;
            if ran.code != XDP_PASS {
                return Ok(ran);
            }
            ensure!(ran.frame == frame, "XDP changed a frame that it passed on");
        }
        self.run_one(Hook::Tc, ingress, frame)
    }

    fn run_one(&mut self, hook: Hook, ingress: u32, frame: &[u8]) -> Result<Ran> {
        let mut out = vec![0; LARGEST];
        let words = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_ne_bytes()).collect()
        };
        let context = match hook {
            // `xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
            Hook::Xdp => words(&[0, frame.len() as u32, 0, ingress, 0, 0]),
            // `__sk_buff` up to ifindex, its eleventh word.
            Hook::Tc => words(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ingress]),
        };
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        options.ctx_in = Some(&context);
        let result = match hook {
            Hook::Xdp => xdp(&mut self.ebpf)?.test_run(options),
            Hook::Tc => tc(&mut self.ebpf, "snat_tc")?.test_run(options),
        };
        let result =
            result.with_context(|| format!("{hook:?} on {} bytes of {frame:02x?}", frame.len()))?;
        out.truncate(result.data_size_out as usize);
        Ok(Ran {
            hook,
            code: result.return_value.cast_signed(),
            frame: out,
        })
    }

    /// Whether the program on the way out stops the frame, which came in by `ingress`, or is the
    /// host's own if that is 0.
    pub(crate) fn stops(&mut self, ingress: u32, frame: &[u8]) -> Result<bool> {
        let mut context = [0; 44];
        context[36..40].copy_from_slice(&ingress.to_ne_bytes());
        context[40..].copy_from_slice(&WAN.to_ne_bytes());
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.ctx_in = Some(&context);
        let result = tc(&mut self.ebpf, "snat_guard")?.test_run(options)?;
        Ok(result.return_value.cast_signed() == TC_ACT_SHOT)
    }

    /// Hands the `Out` keys of flows to the sweep, dead or alive; how many are gone.
    pub(crate) fn bury(&mut self, keys: &[RawKey]) -> Result<usize> {
        let mut buried = 0;
        for portion in keys.chunks(MAX_KEYS as usize) {
            let mut frame = vec![0; KEYS_AT as usize];
            frame[FLAGS_AT as usize] = Kind::Flows as u8;
            frame[LOOKED_AT as usize..].copy_from_slice(&now().to_ne_bytes());
            frame.extend(portion.iter().flatten());
            let mut options = TestRunOptions::new();
            options.data_in = Some(&frame);
            let result = tc(&mut self.ebpf, "snat_sweep")?.test_run(options)?;
            buried += result.return_value as usize;
        }
        Ok(buried)
    }

    /// Packets and bytes counted for a verdict.
    pub(crate) fn counted(&self, verdict: Verdict) -> Result<(u64, u64)> {
        let per_cpu = self.counters.get(&(verdict as u32), 0)?;
        Ok(per_cpu.iter().fold((0, 0), |sum, [packets, bytes]| {
            (sum.0 + packets, sum.1 + bytes)
        }))
    }

    /// Every entry of the flow table.
    pub(crate) fn entries(&self) -> Result<Vec<(RawKey, RawEntry)>> {
        Ok(self.flows.iter().collect::<Result<_, _>>()?)
    }

    /// Every element of the mapping table.
    pub(crate) fn mappings(&self) -> Result<Vec<(RawMappingKey, RawMapping)>> {
        Ok(self.mappings.iter().collect::<Result<_, _>>()?)
    }

    /// Every client that is counted.
    pub(crate) fn clients(&self) -> Result<Vec<(Addr, RawClient)>> {
        Ok(self.clients.iter().collect::<Result<_, _>>()?)
    }

    /// Flows there are, and clients that have any.
    pub(crate) fn shared(&self) -> Result<(u64, u64)> {
        let [flows, clients, ..] = self.shared.get(&0, 0)?;
        Ok((flows, clients))
    }

    /// How often something happened.
    pub(crate) fn happened(&self, event: Event) -> Result<u64> {
        let per_cpu = self.events.get(&(event as u32), 0)?;
        Ok(per_cpu.iter().sum())
    }

    /// Removes everything that came of packets.
    pub(crate) fn clear(&mut self) -> Result<()> {
        const IS_STATIC_AT: usize = offset_of!(Mapping, is_static);
        for (key, _) in self.entries()? {
            self.flows.remove(&key)?;
        }
        for (key, mut mapping) in self.mappings()? {
            if mapping[IS_STATIC_AT] == 0 {
                self.mappings.remove(&key)?;
            } else {
                mapping[..8].fill(0);
                self.mappings.insert(key, mapping, 0)?;
            }
        }
        for (addr, _) in self.clients()? {
            self.clients.remove(&addr)?;
        }
        let busy: Vec<_> = self.busy.keys().collect::<Result<_, _>>()?;
        for key in busy {
            self.busy.remove(&key)?;
        }
        Ok(self.shared.set(0, [0; 6], 0)?)
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if let Err(error) = self.pins.remove() {
            eprintln!("leaving {} behind: {error}", self.pins.dir().display());
        }
    }
}

/// What the programs return.
pub(crate) const XDP_DROP: i32 = 1;
pub(crate) const XDP_PASS: i32 = 2;
pub(crate) const XDP_TX: i32 = 3;
pub(crate) const XDP_REDIRECT: i32 = 4;
pub(crate) const TC_ACT_UNSPEC: i32 = -1;
pub(crate) const TC_ACT_SHOT: i32 = 2;
pub(crate) const TC_ACT_REDIRECT: i32 = 7;

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    let program = ebpf.program_mut("snat_xdp").context("no snat_xdp")?;
    program
        .try_into()
        .map_err(|error: ProgramError| error.into())
}

fn tc<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier> {
    let program = ebpf.program_mut(name).context("no such program")?;
    program
        .try_into()
        .map_err(|error: ProgramError| error.into())
}
