//! One noisy client takes what is its own and nothing from anybody else (RFC 6888 REQ-4, REQ-11).

mod flood;
mod full;
mod per_source;
