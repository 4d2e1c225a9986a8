//! `weight`: the host's own connections and those of a gateway's clients, shared among ENIs as the configuration says.
//! All through the command line, and seen from the server and on the wire.

mod by_source;
mod confirm;
mod death;
mod forward;
mod forwarded;
mod gateway;
mod host;
mod own;
mod unplugged;
