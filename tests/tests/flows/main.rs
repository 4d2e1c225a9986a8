//! `snat-ctl flows` lists, shows, watches and removes what was really sent, and nothing else.

mod filters;
mod flush;
mod ground;
mod order;
mod pools;
mod refused;
mod show;
mod watch;
