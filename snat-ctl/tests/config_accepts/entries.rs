//! `[[snat]]` and `[[bypass]]`.

use std::net::Ipv4Addr;

use snat_ctl::config::{External, Filtering, Mapping, Ports};

use super::{parse, with_entry};

#[test]
fn external_ranges_are_all_their_addresses() {
    let config = with_entry("external=['203.0.113.9', '203.0.113.254-203.0.114.1']");
    let addr = |c, d| External::Addr(Ipv4Addr::new(203, 0, c, d));
    let wanted = [
        addr(113, 9),
        addr(113, 254),
        addr(113, 255),
        addr(114, 0),
        addr(114, 1),
    ];
    assert_eq!(config.snat[0].external, wanted);
}

#[test]
fn ports_take_a_range_a_comma_list_or_a_list_and_come_out_sorted() {
    let cases = [
        ("'1024-65535'", vec![1024..=65535]),
        ("'4096-8191, 1024-2047'", vec![1024..=2047, 4096..=8191]),
        ("['4096-8191', '1024-2047']", vec![1024..=2047, 4096..=8191]),
        ("[5001, '5000']", vec![5000..=5000, 5001..=5001]),
        ("'1-1'", vec![1..=1]),
    ];
    for (text, ranges) in cases {
        let config = with_entry(&format!("ports={text}"));
        assert_eq!(config.snat[0].ports, Ports::Ranges(ranges), "{text}");
    }
}

#[test]
fn nested_prefixes_and_shared_external_addresses_are_nobodys_mistake() {
    let config = parse(
        "[gateway]\ninterfaces=['eth0']\n\
         [[snat]]\nsource=['10.0.0.0/8']\nexternal=['10.0.0.1']\nports='1024-2000'\n\
         [[snat]]\nsource=['10.1.0.0/16']\nexternal=['10.0.0.1']\nports='1500-3000'",
    );
    assert_eq!(config.warnings, [] as [&str; 0]);
    assert_eq!(config.snat[1].name, "snat-2");
}

#[test]
fn every_mapping_and_filtering_is_accepted() {
    for (word, mapping) in [
        ("auto", Mapping::Auto),
        ("endpoint-independent", Mapping::EndpointIndependent),
        (
            "address-and-port-dependent",
            Mapping::AddressAndPortDependent,
        ),
    ] {
        let config = with_entry(&format!("mapping='{word}'"));
        assert_eq!(config.snat[0].mapping, mapping);
        assert_eq!(config.warnings, [] as [&str; 0]);
    }
    for (word, filtering) in [
        ("endpoint-independent", Filtering::EndpointIndependent),
        ("address-dependent", Filtering::AddressDependent),
        (
            "address-and-port-dependent",
            Filtering::AddressAndPortDependent,
        ),
    ] {
        let config = with_entry(&format!("filtering='{word}'"));
        assert_eq!(config.snat[0].filtering, filtering);
        assert_eq!(config.warnings, [] as [&str; 0]);
    }
}

#[test]
fn filtering_that_the_mapping_cannot_have_is_warned_about() {
    let mapping = "mapping='address-and-port-dependent'";
    for filtering in ["address-dependent", "endpoint-independent"] {
        let config = with_entry(&format!("{mapping}\nfiltering='{filtering}'"));
        let wanted = "t.toml:6: snat[1].filtering: has no effect with mapping = \
                      \"address-and-port-dependent\": a port that is no client endpoint's own cannot \
                      be opened to others, so it stays address-and-port-dependent";
        assert_eq!(config.warnings, [wanted]);
    }
}

#[test]
fn prefixes_that_take_everything_are_kept_and_warned_about() {
    let text = "[gateway]\ninterfaces=['eth0']\n[[snat]]\nsource=['0.0.0.0/0']\n\
                [[bypass]]\ndestination=['0.0.0.0/0']";
    let wanted = [
        "t.toml:4: snat[1].source[1]: every source but the host's own is translated",
        "t.toml:6: bypass[1].destination[1]: everything is bypassed: nothing is translated",
    ];
    assert_eq!(parse(text).warnings, wanted);
}
