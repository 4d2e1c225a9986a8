//! Independent judges of a NAT: what STUN clients of others find out about it (RFC 5780, RFC 3489).
//!
//! [`judge`] knows the clients and what each can say, [`server`] runs coturn, [`binding`] is the one STUN
//! message tests send themselves, to make the situations the clients are to judge in.

pub mod binding;
pub mod judge;
pub mod server;

/// On what an external endpoint depends (RFC 4787 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// On the inner endpoint alone.
    EndpointIndependent,
    /// On the remote endpoint too.
    AddressAndPortDependent,
}

/// Who may send to an external endpoint (RFC 4787 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filtering {
    /// Anybody.
    EndpointIndependent,
    /// Addresses that were sent to.
    AddressDependent,
    /// Endpoints that were sent to.
    AddressAndPortDependent,
}
