//! The host's own connections are shared among its ENIs by weight, each stays where it began, and nobody else's are
//! touched.

mod lifetime;
mod tcp;
mod udp;
mod world;
