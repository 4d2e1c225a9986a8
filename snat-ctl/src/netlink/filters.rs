//! BPF filters on an interface's `clsact` qdisc.

use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption},
};

use super::{NetlinkError, dump::dump};

/// `TC_H_CLSACT` with `TC_H_MIN_INGRESS` and `TC_H_MIN_EGRESS` of `linux/pkt_sched.h`.
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;

/// A filter that is a BPF program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BpfFilter {
    /// Lower comes first.
    pub priority: u16,
    /// Number within its priority.
    pub handle: u32,
    /// The name that whoever attached it gave it.
    pub name: Option<String>,
}

/// Those on the way in, or on the way out; none where there is no such qdisc.
///
/// # Errors
///
/// [`NetlinkError`] when the kernel's list cannot be had.
pub fn bpf_filters(link: u32, ingress: bool) -> Result<Vec<BpfFilter>, NetlinkError> {
    let mut request = TcMessage::default();
    request.header.index = link.cast_signed();
    request.header.parent = TcHandle::from(if ingress { INGRESS } else { EGRESS });
    let answer = dump("filters", &RouteNetlinkMessage::GetTrafficFilter(request))?;
    Ok(answer
        .into_iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewTrafficFilter(filter) => to_filter(&filter),
            _ => None,
        })
        .collect())
}

/// For each priority the kernel tells of the priority itself as well: that has no handle.
fn to_filter(message: &TcMessage) -> Option<BpfFilter> {
    let handle = u32::from(message.header.handle);
    let is_bpf = message
        .attributes
        .iter()
        .any(|attribute| matches!(attribute, TcAttribute::Kind(kind) if kind == "bpf"));
    if handle == 0 || !is_bpf {
        return None;
    }
    let mut options = message
        .attributes
        .iter()
        .filter_map(|attribute| match attribute {
            TcAttribute::Options(options) => Some(options),
            _ => None,
        });
    let name = options.next().and_then(|options| {
        options.iter().find_map(|option| match option {
            TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => Some(name.clone()),
            _ => None,
        })
    });
    Some(BpfFilter {
        // TC_H_MAJ of tcm_info.
        priority: (message.header.info >> 16) as u16,
        handle,
        name,
    })
}
