//! Dropped packets as a file that Wireshark opens: pcapng, the reason as each packet's comment.
//!
//! Each packet is written at once and whole: a reader may follow the file, and a disk that is full leaves a file that
//! ends with the last packet that had room.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _, Write},
    path::Path,
    time::SystemTime,
};

use anyhow::{Context as _, bail};
use pcap_file::{
    DataLink,
    pcapng::{
        PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
            section_header::{SectionHeaderBlock, SectionHeaderOption},
        },
    },
};
use snat_common::{
    Verdict,
    report::{Dropped, SNAP_LEN},
};

use super::packet::captured;
use crate::output::OutputClosed;

/// `if_tsresol`: nanoseconds.
const NANOSECONDS: u8 = 9;
/// `epb_flags`: which way the packet was going.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// A capture file that is being written.
pub(super) struct Capture {
    out: Out,
    name: String,
    /// Makes blocks of packets.
    blocks: PcapNgWriter<Vec<u8>>,
    /// Interfaces that have a block, by index; its number.
    interfaces: BTreeMap<u32, u32>,
}

enum Out {
    /// A file, and how much of it is good.
    File(File, u64),
    /// What can't be cut: a pipe.
    Stream(Box<dyn Write>),
}

impl Capture {
    /// Begins one. A regular file that is there is overwritten with `force` only.
    pub(super) fn create(path: &Path, force: bool) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let out = open(path, &name, force)?;
        let section = SectionHeaderBlock {
            options: vec![SectionHeaderOption::UserApplication(Cow::Borrowed(
                concat!("snat-ctl ", env!("CARGO_PKG_VERSION")),
            ))],
            ..SectionHeaderBlock::default()
        };
        let mut capture = Self {
            out,
            blocks: PcapNgWriter::with_section_header(Vec::new(), section)?,
            interfaces: BTreeMap::new(),
            name,
        };
        capture.write()?;
        Ok(capture)
    }

    /// Adds a packet.
    pub(super) fn add(
        &mut self,
        dropped: &Dropped,
        verdict: Verdict,
        time: SystemTime,
        interface: &str,
    ) -> anyhow::Result<()> {
        let interface_id = self.interface(dropped.ifindex, interface)?;
        let comment = format!("snat: {}: {}", verdict.name(), verdict.describe().trim());
        let way = if dropped.egress == 0 {
            INBOUND
        } else {
            OUTBOUND
        };
        self.blocks.write_pcapng_block(EnhancedPacketBlock {
            interface_id,
            timestamp: time
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
            original_len: dropped.len,
            data: Cow::Borrowed(captured(dropped)),
            options: vec![
                EnhancedPacketOption::Comment(comment.into()),
                EnhancedPacketOption::Flags(way),
            ],
        })?;
        self.write()
    }

    /// Writes the blocks that were made.
    fn write(&mut self) -> anyhow::Result<()> {
        let blocks = std::mem::take(self.blocks.get_mut());
        match self.out.write(&blocks) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(OutputClosed.into()),
            written => written
                .with_context(|| format!("cannot write to {}; what it has is whole", self.name)),
        }
    }

    fn interface(&mut self, ifindex: u32, name: &str) -> anyhow::Result<u32> {
        if let Some(id) = self.interfaces.get(&ifindex) {
            return Ok(*id);
        }
        let id = self.interfaces.len() as u32;
        self.blocks.write_pcapng_block(InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: SNAP_LEN,
            options: vec![
                InterfaceDescriptionOption::IfName(name.to_owned().into()),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        })?;
        self.interfaces.insert(ifindex, id);
        Ok(id)
    }
}

impl Out {
    fn write(&mut self, blocks: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.write_all(blocks).and_then(|()| stream.flush()),
            Self::File(file, good) => {
                if let Err(error) = file.write_all(blocks) {
                    // The first error is the one to tell.
                    let _ = file.set_len(*good);
                    return Err(error);
                }
                *good += blocks.len() as u64;
                Ok(())
            }
        }
    }
}

fn open(path: &Path, name: &str, force: bool) -> anyhow::Result<Out> {
    if path == Path::new("-") {
        let stdout = io::stdout();
        if stdout.is_terminal() {
            bail!(
                "a capture is not for a terminal: pipe it, as in `| wireshark -k -i -`, or name a file"
            );
        }
        return Ok(Out::Stream(Box::new(stdout)));
    }
    let mut options = OpenOptions::new();
    options.write(true);
    let made = match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
        made => Some(made.with_context(|| format!("cannot make {name}"))?),
    };
    if let Some(file) = made {
        return Ok(Out::File(file, 0));
    }
    let there = path
        .metadata()
        .with_context(|| format!("cannot open {name}"))?;
    if there.is_file() && !force {
        bail!("{name} is there already: name another file, or overwrite it with --force");
    }
    let file = options
        .truncate(there.is_file())
        .open(path)
        .with_context(|| format!("cannot open {name}"))?;
    Ok(if there.is_file() {
        Out::File(file, 0)
    } else {
        Out::Stream(Box::new(file))
    })
}
