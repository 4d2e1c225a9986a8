//! A TCP flow lives as long as its connection may need it (RFC 5382, RFC 7857 §2), in real time at small timeouts.

mod matrix;
mod odd;
mod opening;
mod wire;
