//! Removes what has ended, a packet full of keys at a time: as a program, for only here a key is decided on and
//! removed without racing traffic.

use core::mem::MaybeUninit;

use aya_ebpf::{bindings::__sk_buff, helpers::bpf_skb_load_bytes};
use snat_common::{
    Addr, Env as _, FlowKey, MappingKey, Packet as _, clients,
    env::Step,
    life::bury,
    mappings,
    sweep::{FILTERING_AT, FLAGS_AT, KEYS_AT, Kind, LOOKED_AT, MAX_KEYS, end_flow, flush},
};

use crate::{frame::SkbFrame, kernel::Kernel};

/// Decides on every key in the packet; of how many the elements are gone, or changed.
#[inline(always)]
pub(crate) fn sweep(skb: *mut __sk_buff, kernel: &Kernel<true>) -> i32 {
    let frame = SkbFrame::new(skb);
    let kind = frame.window::<1>(FLAGS_AT).map_or(0, |flags| flags[0]);
    let looked = frame
        .window(LOOKED_AT)
        .map_or(0, |tick| u32::from_ne_bytes(*tick));
    let mut sweep = Sweep {
        skb,
        kernel,
        now: kernel.now(),
        kind,
        filtering: frame
            .window::<1>(FILTERING_AT)
            .map_or(0, |number| number[0]),
        looked,
        gone: 0,
    };
    kernel.repeat(MAX_KEYS, &mut sweep);
    sweep.gone
}

struct Sweep<'a> {
    skb: *mut __sk_buff,
    kernel: &'a Kernel<true>,
    now: u32,
    kind: u8,
    filtering: u8,
    looked: u32,
    gone: i32,
}

impl Sweep<'_> {
    #[inline(always)]
    fn of_mappings(&self) -> bool {
        [Kind::Mappings, Kind::Refilter, Kind::Revoke]
            .iter()
            .any(|kind| *kind as u8 == self.kind)
    }

    /// The key of this turn, while there is one.
    ///
    /// # Safety
    /// The caller of the program sends valid keys of type `T`.
    #[inline(always)]
    unsafe fn key<T>(&self, index: u32, key: &mut MaybeUninit<T>) -> bool {
        let size = size_of::<T>() as u32;
        // SAFETY: the helper fills exactly `size` bytes or fails.
        unsafe {
            bpf_skb_load_bytes(
                self.skb.cast(),
                KEYS_AT + index * size,
                key.as_mut_ptr().cast(),
                size,
            ) == 0
        }
    }
}

impl Step for Sweep<'_> {
    #[inline(always)]
    fn turn(&mut self, index: u32) -> bool {
        let (env, now) = (self.kernel, self.now);
        // SAFETY: the daemon sends keys of the maps.
        let gone = unsafe {
            if self.of_mappings() {
                let mut key = MaybeUninit::<MappingKey>::uninit();
                if !self.key(index, &mut key) {
                    return true;
                }
                let key = key.assume_init_ref();
                if self.kind == Kind::Refilter as u8 {
                    mappings::refilter(env, key, self.filtering)
                } else if self.kind == Kind::Revoke as u8 {
                    mappings::revoke(env, key)
                } else {
                    mappings::retire(env, key, now)
                }
            } else if self.kind == Kind::Clients as u8 {
                let mut key = MaybeUninit::<Addr>::uninit();
                if !self.key(index, &mut key) {
                    return true;
                }
                clients::retire(env, *key.assume_init_ref(), now)
            } else {
                let mut key = MaybeUninit::<FlowKey>::uninit();
                if !self.key(index, &mut key) {
                    return true;
                }
                let (key, kind) = (key.assume_init_ref(), self.kind);
                let unused = kind == Kind::Unused as u8;
                if unused || kind == Kind::Flows as u8 {
                    flush(env, key, self.looked, unused, now)
                } else if kind == Kind::End as u8 {
                    end_flow(env, key, self.looked, now)
                } else {
                    bury(env, key, now, false)
                }
            }
        };
        self.gone += i32::from(gone);
        false
    }
}
