//! An interface of the host, as far as policy routes have to do with it.

use ipnet::IpNet;

use super::Route;

/// What is known of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub ifindex: u32,
    /// Its link-layer address; `None` where there is none of six bytes.
    pub mac: Option<[u8; 6]>,
    /// Its addresses, each with the length of its subnet's prefix.
    pub addresses: Vec<IpNet>,
    /// Default routes of the main table that lead by it and are not ours.
    pub default_routes: Vec<Route>,
    /// The file that systemd-networkd configures it from (`networkctl status` calls it "Network File"); `None` if it
    /// does not.
    pub network_file: Option<String>,
}
