//! The engine at home: on the host over plain collections, and in the kernel through `prog_test_run`.
//!
//! [`world`] is one small network that both are told of. [`host`] runs the engine in it without a
//! kernel; [`kernel`] makes it of real interfaces and runs the real programs. What [`frames`] writes is
//! computed by a library that shares no code with the engine.
//!
//! Not in the lab's library: that would make the lab's own build need the compiled datapath.

mod agreement;
mod both;
mod endings;
mod fib;
mod frames;
mod host;
mod kernel;
mod model;
mod scene;
mod world;

mod fixtures;
mod flushes;
mod lifetimes;
mod paths;
mod policies;
mod ports;
mod reports;
mod search;
mod shares;
