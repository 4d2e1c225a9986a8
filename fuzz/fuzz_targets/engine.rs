//! Packets, answers, errors, time and sweeps, decoded from bytes, through the engine on the host.
#![no_main]

#[path = "../src/checks.rs"]
mod checks;
#[path = "../../tests/tests/engine/fib.rs"]
mod fib;
#[path = "../../tests/tests/engine/host/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod host;
#[path = "../src/network.rs"]
mod network;
#[path = "../src/play.rs"]
mod play;

libfuzzer_sys::fuzz_target!(|data: &[u8]| play::play(data));
