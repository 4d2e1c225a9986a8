//! What a gateway says of itself in numbers: for Prometheus over HTTP, or printed once.
//!
//! A [`Sample`] is read from the pinned maps when it is asked for: counters, and what the datapath counts exactly. What
//! only a walk over the tables can tell is in the last [`crate::datapath::Census`], which the sweep takes on its way. So a
//! scrape costs the same with a million flows as with none.

mod families;
mod json;
mod page;
mod sample;
mod server;
mod text;
mod vitals;

pub use self::{
    json::{Family, families},
    sample::{Census, Sample},
    server::{Listener, ServeError, Serving},
    text::Format,
    vitals::{Part, Vitals},
};
