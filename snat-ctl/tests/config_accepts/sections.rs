//! Sections beside `[[snat]]`.

use std::time::Duration;

use snat_common::{
    Protocol,
    settings::{protocols, resets},
};
use snat_ctl::config::{Limits, Log, LogTo, MssClamp, Refusal};

use super::{parse, with_entry};

#[test]
fn mss_clamp_is_auto_off_or_a_value() {
    for (value, wanted) in [
        ("'auto'", MssClamp::Auto),
        ("'off'", MssClamp::Off),
        ("536", MssClamp::To(536)),
        ("65_495", MssClamp::To(65_495)),
    ] {
        let text = format!(
            "[gateway]\ninterfaces=['eth0']\nmss_clamp={value}\n[[snat]]\nsource=['10.0.0.0/8']"
        );
        assert_eq!(parse(&text).gateway.mss_clamp, wanted);
    }
}

#[test]
fn one_external_endpoint_is_forwarded_once_per_protocol() {
    let forward = |protocol| {
        format!(
            "[[forward]]\nprotocol='{protocol}'\nexternal='9.9.9.9:53'\ninternal='10.0.0.5:53'\n"
        )
    };
    let config = with_entry(&(forward("tcp") + &forward("udp")));
    let protocols: Vec<_> = config.forward.iter().map(|f| f.protocol).collect();
    assert_eq!(protocols, [Protocol::Tcp, Protocol::Udp]);
}

#[test]
fn limits_answers_and_protocols_mean_what_they_say() {
    let config = with_entry(
        "[limits]\nflows_per_source=500\nnew_flows_per_source=100\nfragments_per_source=0\n\
         answers_per_second=0\n\
         [answers]\nrefused='host-unreachable'\nreset=['servers']\n\
         [protocols]\nudp_lite='drop'\nsctp='drop'\ngre='address-only'\nothers='address-only'",
    );
    let wanted = Limits {
        flows_per_source: 500,
        new_flows_per_source: 100,
        fragments_per_source: 0,
        answers_per_second: 0,
    };
    assert_eq!(config.limits, wanted);
    assert_eq!(config.answers.refused, Refusal::HostUnreachable);
    assert_eq!(config.answers.reset, resets::SERVERS);
    assert_eq!(
        config.protocols,
        protocols::GRE | protocols::ESP | protocols::OTHERS
    );
    assert_eq!(config.warnings, [] as [&str; 0]);

    let config = with_entry("[answers]\nrefused='none'\nreset=[]");
    assert_eq!(config.answers.refused, Refusal::Silence);
    assert_eq!(config.answers.reset, 0);
}

#[test]
fn limits_that_break_clients_or_are_never_reached_are_warned_about() {
    let text = "[gateway]\ninterfaces=['eth0']\nmax_flows=1000\n[[snat]]\nsource=['10.0.0.0/8']\n\
                [limits]\nflows_per_source=1001\nnew_flows_per_source=63";
    let wanted = [
        "t.toml:7: limits.flows_per_source: 1001 is never reached: gateway.max_flows is 1000 for all \
         clients together",
        "t.toml:8: limits.new_flows_per_source: 63 is less than the 64 flows that a browser opens for a \
         page: pages may stay incomplete",
    ];
    assert_eq!(parse(text).warnings, wanted);
    let fine = text.replace("1001", "1000").replace("63", "64");
    assert_eq!(parse(&fine).warnings, [] as [&str; 0]);
    let few = text.replace("1001", "1").replace("63", "0");
    let wanted = "t.toml:7: limits.flows_per_source: 1 is less than the 64 flows that a browser opens for \
                  a page: pages may stay incomplete";
    assert_eq!(parse(&few).warnings, [wanted]);
}

#[test]
fn a_timeout_below_an_rfcs_floor_is_kept_and_warned_about_by_name() {
    for (key, least, why) in [
        (
            "tcp_opening",
            "4m",
            "RFC 5382, requirement 5: slow connects may break (RFC 7857, section 2.1, lets it be lower)",
        ),
        (
            "tcp_established",
            "2h 4m",
            "RFC 5382, requirement 5: idle flows may break",
        ),
        (
            "tcp_closing",
            "4m",
            "RFC 5382, requirement 5: idle flows may break",
        ),
        ("udp", "2m", "RFC 4787, requirement 5: idle flows may break"),
        (
            "icmp",
            "1m",
            "RFC 5508, requirement 2: idle flows may break",
        ),
        (
            "port_rest",
            "2m",
            "RFC 6888, requirement 8: what is late for one client may reach the next",
        ),
    ] {
        let warned = with_entry(&format!("[timeouts]\n{key}='30s'"));
        let wanted = format!("t.toml:6: timeouts.{key}: 30s is less than the {least} of {why}");
        assert_eq!(warned.warnings, [wanted]);
        let fine = with_entry(&format!("[timeouts]\n{key}='{least}'"));
        assert_eq!(fine.warnings, [""; 0], "{key}");
    }
    let config = with_entry("[timeouts]\nudp='30s'\nother='1s'\nport_rest='1s'");
    assert_eq!(config.timeouts.udp, Duration::from_secs(30));
    assert_eq!(config.timeouts.other, Duration::from_secs(1));
    assert_eq!(config.timeouts.port_rest, Duration::from_secs(1));
    // No RFC says anything of the others.
    assert_eq!(config.warnings.len(), 2);
}

#[test]
fn metrics_are_served_only_where_the_section_is_there() {
    assert_eq!(with_entry("").metrics, None);
    for (section, listen) in [
        ("[metrics]", "127.0.0.1:9469"),
        ("[metrics]\nlisten='0.0.0.0:9100'", "0.0.0.0:9100"),
        ("[metrics]\nlisten='[::1]:9100'", "[::1]:9100"),
    ] {
        let wanted = Some(listen.parse().unwrap());
        assert_eq!(with_entry(section).metrics, wanted, "{section}");
    }
}

#[test]
fn the_log_goes_to_a_file_or_the_journal_and_has_no_destinations_unless_asked() {
    assert_eq!(with_entry("").log, None);
    let file = Log {
        to: LogTo::File("/var/log/snat/mappings.jsonl".into()),
        destinations: false,
    };
    let config = with_entry("[log]\nmappings='/var/log/snat/mappings.jsonl'");
    assert_eq!(config.log, Some(file));
    let journal = Log {
        to: LogTo::Journal,
        destinations: true,
    };
    let config = with_entry("[log]\nmappings='journal'\ndestinations=true");
    assert_eq!(config.log, Some(journal));
}
