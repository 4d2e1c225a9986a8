//! Metrics: read by a real Prometheus, held against what was on the wire; and a server that nobody can hold up.

mod ground;
mod health;
mod hostile;
mod http;
mod names;
mod one_way;
mod restart;
mod shipped;
mod wire;
