//! Connections of the kernel's own NAT change hands, to the gateway and back, and go on as the same to their servers.

mod back;
mod churn;
mod crowd;
mod ground;
mod over;
mod refused;
