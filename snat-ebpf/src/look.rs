//! Answers what `explain` asks, by the functions that the datapath asks with: so it hears what a packet would.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::{bpf_skb_load_bytes, bpf_skb_store_bytes},
};
use snat_common::{
    Env as _, FlowKey, Protocol, RouteQuery,
    look::{ANSWER_AT, ANSWERED, Answer, Kind, QUESTION_AT, Question},
};

use crate::kernel::Kernel;

/// Answers the question in the packet; [`ANSWERED`] if that is done.
#[inline(always)]
pub(crate) fn look(skb: *mut __sk_buff, kernel: &Kernel<true>) -> i32 {
    let mut question = MaybeUninit::<Question>::uninit();
    // SAFETY: the helper fills exactly as many bytes or fails, and any pattern is a question.
    let question = unsafe {
        let size = size_of::<Question>() as u32;
        if bpf_skb_load_bytes(skb.cast(), QUESTION_AT, question.as_mut_ptr().cast(), size) != 0 {
            return 0;
        }
        question.assume_init_ref()
    };
    let answer = if question.kind == Kind::Socket as u8 {
        Answer {
            kind: has_socket(kernel, question).into(),
            ..Answer::default()
        }
    } else {
        Answer::of_route(&kernel.route(&query(question)))
    };
    let size = size_of::<Answer>() as u32;
    // SAFETY: the helper reads exactly as many bytes of the stack.
    let written =
        unsafe { bpf_skb_store_bytes(skb, ANSWER_AT, (&raw const answer).cast(), size, 0) };
    if written == 0 { ANSWERED as i32 } else { 0 }
}

#[inline(always)]
fn query(question: &Question) -> RouteQuery {
    RouteQuery {
        src: question.src,
        dst: question.dst,
        ports: (question.src_port, question.dst_port),
        protocol: question.protocol,
        tos: question.tos,
    }
}

#[inline(always)]
fn has_socket(kernel: &Kernel<true>, question: &Question) -> bool {
    let protocol = if question.protocol == Protocol::Tcp as u8 {
        Protocol::Tcp
    } else {
        Protocol::Udp
    };
    kernel.has_socket(&FlowKey {
        src: question.src,
        dst: question.dst,
        src_port: question.src_port,
        dst_port: question.dst_port,
        protocol,
        number: 0,
        zero: [0; 2],
    })
}
