//! What a packet is answered with, what a SYN may offer, and which ICMP errors are sound: on frames in memory,
//! against checksums that are summed up anew.

mod env;
mod frame;

mod errors;
mod mss;
mod refused;
mod resets;
mod unanswered;
