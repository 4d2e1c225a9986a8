//! Protocols besides TCP, UDP and ICMP, and UDP's own corners: translated by their rules or dropped, never leaked.

mod datagrams;
mod nat_t;
mod one_owner;
mod padding;
mod policy;
