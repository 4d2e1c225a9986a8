//! What the netlink layer says of rules, routes and addresses, and does to them, beside what `ip` says.

mod addresses;
mod errors;
mod foreign_routes;
mod host;
mod lookups;
mod routes;
mod rules;
