//! A real HTTP/1.1 server and client, to be put into namespaces.
//!
//! The server answers `GET /bytes/N` with N reproducible bytes, `GET /whoami` with the address and
//! port its peer has, and `POST /sha256` with the hash of what was sent.

mod body;
mod client;
mod server;

pub use body::sha256;
pub use client::{Client, Reply};
pub use server::HttpServer;
