//! Another build takes over from one at work, and gives back: no flow and no packet depends on which.

mod builds;
mod refused;
mod storm;
