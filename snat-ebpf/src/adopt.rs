//! Takes over a connection of the kernel's NAT: here, because only the datapath writes flows.

use core::mem::MaybeUninit;

use aya_ebpf::{bindings::__sk_buff, helpers::bpf_skb_load_bytes};
use snat_common::{
    Env as _,
    adopt::{self, ADOPTION_AT, Adoption},
};

use crate::{kernel::Kernel, maps::ADOPTING};

/// Takes over what the packet asks for; a number of [`adopt::Adopted`], or 0 where it asks for nothing.
#[inline(always)]
pub(crate) fn adopt(skb: *mut __sk_buff, kernel: &Kernel<true>) -> i32 {
    let mut adoption = MaybeUninit::<Adoption>::uninit();
    let Some(work) = ADOPTING.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: the helper fills exactly as many bytes or fails, and `snat-ctl adopt` sends an adoption. That is the only
    // one to run this program, and does so once at a time: nobody else has the element.
    unsafe {
        let size = size_of::<Adoption>() as u32;
        if bpf_skb_load_bytes(skb.cast(), ADOPTION_AT, adoption.as_mut_ptr().cast(), size) != 0 {
            return 0;
        }
        let work = &mut *work;
        adopt::adopt(kernel, adoption.assume_init_ref(), work, kernel.now()) as i32
    }
}
