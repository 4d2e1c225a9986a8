//! Who comes first and who goes last, when several do at once.

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    thread,
};

use snat_common::Held;

const TURNS: u32 = 200_000;

#[test]
fn of_those_that_come_and_go_at_once_one_is_first_and_one_is_last() {
    let word = AtomicU64::new(Held::by(0, 1));
    let present = AtomicI64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // SAFETY: aligned, lives longer than the threads, and every access is atomic.
                let held = unsafe { Held::new(NonNull::from(&word).cast()) };
                for now in 0..TURNS {
                    let before = loop {
                        if let Some(before) = held.join() {
                            break before;
                        }
                    };
                    if before == 0 {
                        present.fetch_add(1, Ordering::Relaxed);
                    }
                    let left = loop {
                        if let Some(left) = held.release(now) {
                            break left;
                        }
                    };
                    if left == 0 {
                        present.fetch_sub(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(Held::holders(word.into_inner()), 0);
    assert_eq!(present.into_inner(), 0);
}
