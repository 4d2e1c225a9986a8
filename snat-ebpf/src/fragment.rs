//! Fragments that came too early: kept, and let in when the first of their datagram is there.
//!
//! Both sides of the race are here. Whoever enters a datagram looks for held fragments afterwards
//! ([`want_release`]); whoever holds one looks for its datagram afterwards ([`hold`]). A frame that is let in
//! comes in once more by the interface that it came in by, and goes the way of every packet.

use core::ptr::NonNull;

use aya_ebpf::{
    bindings::{
        __sk_buff, BPF_F_INGRESS, BPF_F_INVALIDATE_HASH, BPF_F_RECOMPUTE_CSUM, BPF_NOEXIST,
    },
    helpers::{bpf_clone_redirect, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes},
};
use snat_common::{
    Addr, DatagramKey, Env, Frame, HeldKey, Outcome, Verdict, bucket,
    clock::age,
    env::Step,
    fragment::{LIFE, is_decided},
    parse::parse,
    settings::{HELD_PER_SOURCE, MAX_HELD_FRAME, MAX_HELD_OF_ONE},
    stage::Release,
    verdict::Action,
    wire::within,
};

use crate::{
    frame::SkbFrame,
    kernel::Kernel,
    maps::{ASIDE, Aside, HELD, HOLDERS, RELEASE},
};

/// What a frame is written with: nothing that was known of its checksums or its hash is true any more.
pub(crate) const ANEW: u64 = (BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH) as u64;

/// Holds a fragment whose datagram is not known. `None`: now it is, so the packet goes on.
#[inline(always)]
pub(crate) fn hold(skb: *mut __sk_buff, env: &Kernel<true>) -> Option<Verdict> {
    let Some(parsed) = parse(&SkbFrame::new(skb)).ok().and_then(|it| env.keep(it)) else {
        return Some(Verdict::FragmentLimit);
    };
    let now = env.now();
    let mut place = Place {
        key: HeldKey {
            datagram: DatagramKey::of(parsed),
            number: 0,
        },
        now,
        done: false,
    };
    if !may_wait(parsed.key.src, now) {
        return Some(Verdict::FragmentLimit);
    }
    let Some(aside) = put_aside(skb, now) else {
        return Some(Verdict::FragmentLimit);
    };
    let _ = aside;
    env.repeat(MAX_HELD_OF_ONE, &mut place);
    if !place.done {
        return Some(Verdict::FragmentLimit);
    }
    if let Some(shared) = env.shared() {
        shared.fence();
    }
    if is_decided(env, &place.key.datagram, now) && HELD.remove(place.key).is_ok() {
        return None;
    }
    Some(Verdict::FragmentHeld)
}

/// Forgets what a packet before had to let in.
#[inline(always)]
pub(crate) fn nothing_to_release() {
    if let Some(release) = RELEASE.get_ptr_mut(0) {
        // SAFETY: this CPU's own element.
        unsafe { (*release).wanted = 0 };
    }
}

/// Notes that fragments may go on, if any of this datagram is held.
#[inline(always)]
pub(crate) fn want_release(env: &impl Env, key: &DatagramKey) {
    if let Some(shared) = env.shared() {
        shared.fence();
    }
    let first = HeldKey {
        datagram: *key,
        number: 0,
    };
    // SAFETY: not read.
    if unsafe { HELD.get(first) }.is_none() {
        return;
    }
    if let Some(release) = RELEASE.get_ptr_mut(0) {
        // SAFETY: this CPU's own element.
        unsafe {
            (*release).key = *key;
            (*release).wanted = 1;
        }
    }
}

/// Whether the packet lets others in; if so, what it is itself due is kept for [`release`].
#[inline(always)]
pub(crate) fn keep_for_release(outcome: &Outcome) -> bool {
    let Some(release) = RELEASE.get_ptr_mut(0) else {
        return false;
    };
    let forward = match outcome.verdict.action() {
        Action::Forward => 1,
        Action::Pass => 0,
        _ => return false,
    };
    // SAFETY: this CPU's own element.
    unsafe {
        (*release).hop = outcome.hop;
        (*release).forward = forward;
        (*release).wanted != 0
    }
}

/// Lets in what waited for this frame, which in the end is as it came. `None`: it could not be restored.
#[inline(always)]
pub(crate) fn release(skb: *mut __sk_buff, env: &Kernel<true>) -> Option<&'static Release> {
    let release = RELEASE.get_ptr_mut(0)?;
    // SAFETY: this CPU's own element.
    let release = unsafe { &mut *release };
    release.wanted = 0;
    // A larger frame stays what it is, and what waited for it is lost.
    let Some(aside) = put_aside(skb, env.now()) else {
        return Some(release);
    };
    let mut waiting = Waiting {
        skb,
        key: HeldKey {
            datagram: release.key,
            number: 0,
        },
        now: env.now(),
    };
    env.repeat(MAX_HELD_OF_ONE, &mut waiting);
    // SAFETY: this CPU's own element.
    if overwrite(skb, unsafe { &(*aside.as_ptr()).frame }) {
        Some(release)
    } else {
        None
    }
}

/// Keeps the whole frame, if it is not too large.
#[inline(always)]
pub(crate) fn put_aside(skb: *mut __sk_buff, now: u32) -> Option<NonNull<Aside>> {
    let aside = NonNull::new(ASIDE.get_ptr_mut(0)?)?;
    // SAFETY: the program's context.
    let (len, ifindex) = unsafe { ((*skb).len, (*skb).ifindex) };
    if len > MAX_HELD_FRAME {
        return None;
    }
    let size = within::<MAX_HELD_FRAME>(len);
    // SAFETY: this CPU's own element, which has room for `size` bytes.
    unsafe {
        let frame = &raw mut (*aside.as_ptr()).frame;
        (*frame).since = now;
        (*frame).len = size;
        (*frame).ifindex = ifindex;
        let to = (&raw mut (*frame).bytes).cast();
        (bpf_skb_load_bytes(skb.cast(), 0, to, size) == 0).then_some(aside)
    }
}

/// Makes the packet another one.
#[inline(always)]
fn overwrite(skb: *mut __sk_buff, frame: &Frame) -> bool {
    let size = within::<MAX_HELD_FRAME>(frame.len);
    // SAFETY: the program's context; the frame has that many bytes.
    unsafe {
        bpf_skb_change_tail(skb, size, 0) == 0
            && bpf_skb_store_bytes(skb.cast(), 0, frame.bytes.as_ptr().cast(), size, ANEW) == 0
    }
}

/// Sends a copy of the packet, as it is now, through the interface's ingress. False where the queue has no room.
#[inline(always)]
pub(crate) fn let_in(skb: *mut __sk_buff, ingress: u32) -> bool {
    // SAFETY: the program's context.
    unsafe { bpf_clone_redirect(skb, ingress, u64::from(BPF_F_INGRESS)) == 0 }
}

/// Whether one more fragment of this sender may be held now.
#[inline(always)]
fn may_wait(src: Addr, now: u32) -> bool {
    if HOLDERS.get_ptr_mut(src).is_none() {
        let _ = HOLDERS.insert(src, 0, u64::from(BPF_NOEXIST));
    }
    let Some(word) = HOLDERS.get_ptr_mut(src).and_then(NonNull::new) else {
        return false;
    };
    // SAFETY: an element of the map, which only `bucket::take` writes to.
    unsafe { bucket::take(word, HELD_PER_SOURCE, now) }
}

/// The search for a place among a datagram's held fragments.
struct Place {
    key: HeldKey,
    now: u32,
    done: bool,
}

impl Step for Place {
    #[inline(always)]
    fn turn(&mut self, index: u32) -> bool {
        self.key.number = index;
        // SAFETY: an element of the map, of which one number is read.
        let taken = unsafe { HELD.get(self.key) }.map(|frame| frame.since);
        let flags = match taken {
            None => u64::from(BPF_NOEXIST),
            Some(since) if age(self.now, since) > LIFE => 0,
            Some(_) => return false,
        };
        if let Some(aside) = ASIDE.get_ptr(0) {
            // SAFETY: this CPU's own element.
            let frame = unsafe { &(*aside).frame };
            self.done = HELD.insert(self.key, frame, flags).is_ok();
        }
        self.done
    }
}

/// The walk over a datagram's held fragments.
struct Waiting {
    skb: *mut __sk_buff,
    key: HeldKey,
    now: u32,
}

impl Step for Waiting {
    #[inline(always)]
    fn turn(&mut self, index: u32) -> bool {
        self.key.number = index;
        // SAFETY: an element of the map, which may be given to another fragment at this very moment: then it is
        // not found under its key any more.
        let Some(frame) = (unsafe { HELD.get(self.key) }) else {
            // One of those before may have been given away.
            return false;
        };
        let (since, ifindex) = (frame.since, frame.ifindex);
        if age(self.now, since) <= LIFE
            && overwrite(self.skb, frame)
            // SAFETY: as above.
            && unsafe { HELD.get(self.key) }.is_some_and(|frame| frame.since == since)
        {
            let_in(self.skb, ifindex);
        }
        let _ = HELD.remove(self.key);
        false
    }
}
