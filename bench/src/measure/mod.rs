//! The measurements, one file each: every one sets up its stage, measures every contender once, and adds what it got.

pub(crate) mod established;
