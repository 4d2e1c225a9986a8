//! The kernel's own tables: routes, neighbours, sockets.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{bpf_fib_lookup, bpf_sock_tuple, bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1},
    helpers::{
        bpf_fib_lookup as fib_lookup, bpf_sk_lookup_udp, bpf_sk_release, bpf_skc_lookup_tcp,
    },
};
use snat_common::{FlowKey, Protocol, Route, RouteKind, RouteQuery, next_hop};

/// `BPF_F_CURRENT_NETNS`: that of the interface.
const CURRENT_NETNS: u64 = u64::MAX;
const AF_INET: u8 = 2;
const FIB_SUCCESS: i64 = 0;
const FIB_UNSUPPORTED_TUNNEL: i64 = 6;
const FIB_NO_NEIGHBOUR: i64 = 7;

/// Asks the FIB, as for a packet that came in by `ingress`; with `RESOLVES`, also for what a next hop takes that is yet to be
/// found.
#[inline(always)]
pub(crate) fn route<const RESOLVES: bool>(
    context: *mut c_void,
    ingress: u32,
    query: &RouteQuery,
) -> Route {
    // SAFETY: plain integers and byte arrays; all zero is valid, and the kernel reads it all.
    let mut aligned: Aligned<bpf_fib_lookup> = unsafe { core::mem::zeroed() };
    let params = &mut aligned.0;
    params.family = AF_INET;
    params.l4_protocol = query.protocol;
    params.sport = query.ports.0.to_be();
    params.dport = query.ports.1.to_be();
    params.ifindex = ingress;
    params.__bindgen_anon_2.tos = query.tos;
    params.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(query.src);
    params.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(query.dst);
    // Not 0, which would leave the MTU out of the answer; not the real length, for the kernel
    // knows nothing of merged packets here, and the engine compares itself.
    params.__bindgen_anon_1.tot_len = 1;
    // SAFETY: `context` is this program's, `params` lives on the stack and is of that size.
    let code = unsafe { fib_lookup(context, params, size_of::<bpf_fib_lookup>() as i32, 0) };
    let kind = match code {
        FIB_SUCCESS => RouteKind::Ready,
        FIB_NO_NEIGHBOUR if params.family == AF_INET => RouteKind::NoNeighbour,
        // An IPv6 next hop: not to be asked for from here.
        FIB_NO_NEIGHBOUR => RouteKind::Unusable,
        FIB_UNSUPPORTED_TUNNEL => RouteKind::Unusable,
        // Local, broadcast, no route, unreachable, prohibit, blackhole, forwarding off: in each
        // of these the stack forwards nothing, and answers as it should.
        code if code > 0 => return next_hop::not_forwarded(),
        _ => RouteKind::Unusable,
    };
    // SAFETY: the helper has written it, or it holds what was put there above.
    let gateway = unsafe { params.__bindgen_anon_4.ipv4_dst };
    // The helper writes it where it has read the type of service.
    // SAFETY: as above.
    let metric = unsafe { params.__bindgen_anon_2.rt_metric };
    let egress = params.ifindex;
    if RESOLVES && matches!(kind, RouteKind::NoNeighbour) {
        // Then the helper says nothing of the MTU. It does for a packet that is larger than any.
        params.ifindex = ingress;
        params.__bindgen_anon_1.tot_len = u16::MAX;
        params.__bindgen_anon_2.tos = query.tos;
        params.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(query.src);
        params.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(query.dst);
        // SAFETY: as above.
        unsafe { fib_lookup(context, params, size_of::<bpf_fib_lookup>() as i32, 0) };
    }
    // SAFETY: as above.
    let mtu = unsafe { params.__bindgen_anon_1.mtu_result };
    Route {
        kind,
        ifindex: egress,
        mtu,
        mac: params.dmac,
        gateway: gateway.to_ne_bytes(),
        metric,
    }
}

/// Asks the kernel for a socket that takes such a packet. In a TC program only.
#[inline(never)]
pub(crate) fn has_socket(context: *mut c_void, key: &FlowKey) -> bool {
    if !matches!(key.protocol, Protocol::Tcp | Protocol::Udp) {
        return false;
    }
    const TUPLE: u32 = size_of::<bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1>() as u32;
    // SAFETY: plain integers.
    let mut tuple: bpf_sock_tuple = unsafe { core::mem::zeroed() };
    tuple.__bindgen_anon_1.ipv4 = bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1 {
        saddr: u32::from_ne_bytes(key.src),
        daddr: u32::from_ne_bytes(key.dst),
        sport: key.src_port.to_be(),
        dport: key.dst_port.to_be(),
    };
    let tuple = &raw mut tuple;
    // SAFETY: `context` is this program's, the tuple of the size given; what is found is released.
    unsafe {
        let socket = if matches!(key.protocol, Protocol::Tcp) {
            bpf_skc_lookup_tcp(context, tuple, TUPLE, CURRENT_NETNS, 0)
        } else {
            bpf_sk_lookup_udp(context, tuple, TUPLE, CURRENT_NETNS, 0)
        };
        if socket.is_null() {
            return false;
        }
        bpf_sk_release(socket.cast());
    }
    true
}

/// Whole words, so that clearing it takes a few stores instead of a call.
#[repr(C, align(8))]
struct Aligned<T>(T);
