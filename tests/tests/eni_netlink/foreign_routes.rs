//! Routes of others where ours are to be.

use anyhow::Result;
use snat_ctl::eni::{Family, PROTOCOL};

use crate::{
    host::{host, ip, of, shown},
    routes::{THEIRS, add, default_by, delete, is_gone, ours, samples},
};

#[test]
fn a_foreign_ipv4_route_of_the_same_shape_stays_before_and_behind_ours() -> Result<()> {
    let host = host()?;
    for route in samples()?
        .into_iter()
        .filter(|route| route.family() == Family::Inet)
    {
        let list = || {
            shown(
                &host,
                Family::Inet,
                &format!("route show table {}", route.table),
            )
        };
        let theirs = |verb: &str| {
            ip(
                &host,
                Family::Inet,
                &format!("route {verb} {route}"),
                THEIRS,
            )
        };
        theirs("add")?;
        let before = list()?;
        add(&host, &route)?;
        let both = list()?;
        assert_eq!(
            of(&both[..1], PROTOCOL),
            of(&before, THEIRS),
            "{route}: ours is not first"
        );
        delete(&host, &route)?;
        assert_eq!(list()?, before, "{route}");
        theirs("delete")?;
        add(&host, &route)?;
        theirs("prepend")?;
        delete(&host, &route)?;
        assert_eq!(list()?, before, "{route}: theirs stood before ours");
        theirs("delete")?;
    }
    Ok(())
}

#[test]
fn a_foreign_ipv6_route_in_the_way_is_named_and_left_alone() -> Result<()> {
    let host = host()?;
    let route = default_by(Family::Inet6, "fd01::fe")?;
    for theirs in [
        "default via fd01::fe dev eth1",
        "default via fd01::fd dev eth1",
        "default dev eth0",
        "unreachable default",
    ] {
        let line = format!("{theirs} metric 100 table 1001");
        ip(&host, Family::Inet6, &format!("route add {line}"), THEIRS)?;
        let list = || shown(&host, Family::Inet6, "route show table 1001");
        let before = list()?;
        let refusal = add(&host, &route).expect_err("theirs is there");
        let text = format!("{refusal:#}");
        assert!(
            text.contains(&format!("`{theirs} ")) && text.contains("protocol 99"),
            "{text}"
        );
        assert!(delete(&host, &route).is_err_and(|error| is_gone(&error)));
        assert_eq!(list()?, before, "{theirs}");
        ip(
            &host,
            Family::Inet6,
            &format!("route delete {line}"),
            THEIRS,
        )?;
    }
    Ok(())
}

#[test]
fn an_ipv6_route_that_somebody_made_a_next_hop_of_theirs_goes_alone() -> Result<()> {
    let host = host()?;
    let route = default_by(Family::Inet6, "fd01::fe")?;
    let theirs = "default via fd01::fd dev eth1 metric 100 table 1001";
    ip(&host, Family::Inet6, &format!("route add {theirs}"), THEIRS)?;
    let before = shown(&host, Family::Inet6, "route show table 1001")?;
    ip(
        &host,
        Family::Inet6,
        &format!("route delete {theirs}"),
        THEIRS,
    )?;
    add(&host, &route)?;
    ip(
        &host,
        Family::Inet6,
        &format!("route append {theirs}"),
        THEIRS,
    )?;
    let joined = ours(&host)?;
    assert_eq!(
        joined[0].unknown,
        ["nexthop via fd01::fe dev eth1 weight 1 nexthop via fd01::fd dev eth1 weight 1"]
    );
    delete(&host, &route)?;
    assert_eq!(
        shown(&host, Family::Inet6, "route show table 1001")?,
        before
    );
    Ok(())
}
