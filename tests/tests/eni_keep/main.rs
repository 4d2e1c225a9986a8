//! `snat-ctl run` keeps policy routes: what happens to them is put right within a second, measured from outside, while
//! connections by the other interface notice nothing and nothing with eth1's sources leaves by eth0.

mod away;
mod connections;
mod events;
mod hotplug;
mod kept;
mod lost;
mod operator;
mod speaker;
mod starts;
mod sweep;
mod undone;
mod watched;

/// The rule of eth1's primary address, as `ip rule` takes it.
fn rule_of_eth1() -> String {
    let addr = snat_tests::topology::enis::ETH1.addr;
    format!("priority 20400 from {addr} lookup 1001 protocol 201")
}
