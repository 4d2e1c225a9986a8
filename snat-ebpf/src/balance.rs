//! Shares the host's own connections among network interfaces: programs on a cgroup that mark sockets.
//!
//! A route is looked up by the socket's mark before it has a source address or a port, so what is chosen here decides
//! by which interface, and as whom, a connection begins. The mark stays the socket's.
//!
//! - `snat_connect4`, `snat_connect6`: TCP, and UDP sockets that have no mark yet, when they connect.
//! - `snat_create`: UDP sockets when they are made, for those that never connect. In `sendmsg` it is too late: the
//!   kernel has taken the datagram's mark when the hook runs (`udp_sendmsg()`: `ipcm_init_sk()` comes first).
//! - `snat_bind4`, `snat_bind6`: take that back from who binds a port or an address of his own. A server answers by
//!   the way the main table says, as without us.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "the attributes of the entry points hand the context over by value"
)]

use core::{
    ffi::c_void,
    net::{Ipv4Addr, Ipv6Addr},
    ptr::NonNull,
};

use aya_ebpf::{
    EbpfContext as _,
    bindings::{bpf_sock, bpf_sock_addr},
    btf_maps::{Array, HashMap},
    helpers::{bpf_get_netns_cookie, bpf_get_prandom_u32, bpf_setsockopt},
    macros::{btf_map, cgroup_sock, cgroup_sock_addr},
    programs::{SockAddrContext, SockContext},
};
use snat_common::balance::{Balance, MAX_SLOTS, count, is_far, is_far6};

/// Two tables: one counts, the other may be written.
#[btf_map]
static BALANCE: Array<Balance, 2> = Array::new();

/// Which of the two counts.
#[btf_map]
static CURRENT: Array<u32, 1> = Array::new();

/// How many sockets were given each mark. Not per CPU: these programs can be preempted by each other.
#[btf_map]
static CHOSEN: HashMap<u32, u64, { 2 * MAX_SLOTS }> = HashMap::new();

/// The system call goes on as it would.
const ALLOW: i32 = 1;

const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;
const SOL_SOCKET: i32 = 1;
const SO_MARK: i32 = 36;

#[cgroup_sock(sock_create)]
fn snat_create(ctx: SockContext) -> i32 {
    let socket = ctx.sock;
    // SAFETY: the program's context; the mark of a new socket may be written.
    unsafe {
        if field(&raw const (*socket).protocol) == IPPROTO_UDP
            && field(&raw const (*socket).mark) == 0
            && field(&raw const (*socket).bound_dev_if) == 0
            && let Some(balance) = balance(ctx.as_ptr())
            && let Some(mark) = choose(balance)
        {
            (&raw mut (*socket).mark).write_volatile(mark);
        }
    }
    ALLOW
}

#[cgroup_sock_addr(connect4)]
fn snat_connect4(ctx: SockAddrContext) -> i32 {
    // SAFETY: the program's context.
    let dst = unsafe { field(&raw const (*ctx.sock_addr).user_ip4) };
    connect(
        ctx.sock_addr,
        is_far(Ipv4Addr::from_bits(u32::from_be(dst))),
    )
}

#[cgroup_sock_addr(connect6)]
fn snat_connect6(ctx: SockAddrContext) -> i32 {
    connect(ctx.sock_addr, is_far6(user_ip6(ctx.sock_addr)))
}

#[cgroup_sock_addr(bind4)]
fn snat_bind4(ctx: SockAddrContext) -> i32 {
    // SAFETY: the program's context.
    let any = unsafe { field(&raw const (*ctx.sock_addr).user_ip4) } == 0;
    bind(ctx.sock_addr, any)
}

#[cgroup_sock_addr(bind6)]
fn snat_bind6(ctx: SockAddrContext) -> i32 {
    bind(ctx.sock_addr, user_ip6(ctx.sock_addr).is_unspecified())
}

/// Gives a socket that is free to leave by any interface a mark, and takes it from one that turns out not to be.
#[inline(always)]
fn connect(ctx: *mut bpf_sock_addr, far: bool) -> i32 {
    let Some((socket, balance)) = ours(ctx) else {
        return ALLOW;
    };
    // SAFETY: a socket that the kernel holds for this program's run.
    unsafe {
        let mark = field(&raw const (*socket).mark);
        if !far || field(&raw const (*socket).bound_dev_if) != 0 {
            if balance.is_ours(mark) {
                set_mark(ctx, 0);
            }
        } else if mark == 0
            && may_choose(socket)
            && let Some(mark) = choose(balance)
        {
            set_mark(ctx, mark);
        }
    }
    ALLOW
}

/// Takes the mark that a UDP socket got when it was made, if the program wants a port or an address of its own.
#[inline(always)]
fn bind(ctx: *mut bpf_sock_addr, any_address: bool) -> i32 {
    // SAFETY: the program's context.
    let any_port = unsafe { field(&raw const (*ctx).user_port) } == 0;
    if any_address && any_port {
        return ALLOW;
    }
    if let Some((socket, balance)) = ours(ctx) {
        // SAFETY: as in `connect`.
        unsafe {
            if balance.is_ours(field(&raw const (*socket).mark)) {
                set_mark(ctx, 0);
            }
        }
    }
    ALLOW
}

/// The socket and the table, if the socket is one of our namespace's.
#[inline(always)]
fn ours<'a>(ctx: *mut bpf_sock_addr) -> Option<(*mut bpf_sock, &'a Balance)> {
    // SAFETY: the program's context.
    let socket = unsafe { (&raw const (*ctx).__bindgen_anon_1.sk).read_volatile() };
    if socket.is_null() {
        return None;
    }
    Some((socket, balance(ctx.cast())?))
}

/// TCP or UDP, and no address of its own. Of UDP no port either: that is a server, or one whose mark was taken.
///
/// # Safety
/// `socket` can be read.
#[inline(always)]
unsafe fn may_choose(socket: *mut bpf_sock) -> bool {
    // SAFETY: the caller's.
    unsafe {
        let protocol = field(&raw const (*socket).protocol);
        let has_port = field(&raw const (*socket).src_port) != 0;
        let v6 = &raw const (*socket).src_ip6;
        let v6 = v6.cast::<u32>();
        (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP && !has_port)
            && field(&raw const (*socket).src_ip4) == 0
            && field(v6) == 0
            && field(v6.add(1)) == 0
            && field(v6.add(2)) == 0
            && field(v6.add(3)) == 0
    }
}

/// The table that counts, if the socket of this context is of the namespace it is for.
#[inline(always)]
fn balance<'a>(ctx: *mut c_void) -> Option<&'a Balance> {
    let current = *CURRENT.get(0)?;
    let balance = BALANCE.get(current & 1)?;
    // SAFETY: the program's context.
    (balance.cookie == unsafe { bpf_get_netns_cookie(ctx) }).then_some(balance)
}

/// A mark by the weights, counted.
#[inline(always)]
fn choose(balance: &Balance) -> Option<u32> {
    // SAFETY: no arguments.
    let mark = balance.choose(unsafe { bpf_get_prandom_u32() })?;
    if let Some(counter) = CHOSEN.get_ptr_mut(mark).and_then(NonNull::new) {
        // SAFETY: an element of that map.
        unsafe { count(counter) };
    }
    Some(mark)
}

#[inline(always)]
fn set_mark(ctx: *mut bpf_sock_addr, mut mark: u32) {
    // SAFETY: the program's context, and a mark of the size given. It cannot fail: any mark will do.
    unsafe {
        bpf_setsockopt(
            ctx.cast(),
            SOL_SOCKET,
            SO_MARK,
            (&raw mut mark).cast(),
            size_of::<u32>() as i32,
        );
    }
}

#[inline(always)]
fn user_ip6(ctx: *mut bpf_sock_addr) -> Ipv6Addr {
    // SAFETY: the program's context.
    let words = unsafe {
        let first = (&raw const (*ctx).user_ip6).cast::<u32>();
        [
            field(first),
            field(first.add(1)),
            field(first.add(2)),
            field(first.add(3)),
        ]
    };
    let word = |at: usize| u128::from(u32::from_be(words[at]));
    Ipv6Addr::from_bits(word(0) << 96 | word(1) << 64 | word(2) << 32 | word(3))
}

/// A word of a context or a socket. The kernel translates each access, and takes them one by one only.
///
/// # Safety
/// `word` can be read.
#[inline(always)]
unsafe fn field(word: *const u32) -> u32 {
    // SAFETY: the caller's.
    unsafe { word.read_volatile() }
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// On any other target there is nothing to run: it is only compiled there to be checked.
#[cfg(not(target_arch = "bpf"))]
fn main() {}

/// MIT or GPL, at the user's choice, as the kernel asks for its GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
