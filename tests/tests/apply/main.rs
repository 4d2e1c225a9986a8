//! `snat-ctl apply` and SIGHUP: another configuration on a gateway at work.

mod addresses;
mod clients;
mod difference;
mod filtering;
mod ground;
mod interrupted;
mod load;
mod reload;
mod untouched;
