//! `snat-ctl explain`: what it says is what happens, and saying it changes nothing.

mod agreement;
mod cases;
mod enis;
mod ground;
mod limits;
mod packets;
mod reading;
mod world;
