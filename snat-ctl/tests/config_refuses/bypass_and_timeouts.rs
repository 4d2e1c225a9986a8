//! `[[bypass]]` and `[timeouts]`.

use super::{ENTRY, GATEWAY, check};

#[test]
fn wrong_bypasses_and_timeouts_are_refused() {
    let time = "accepted: a time from 100ms to 7days such as \"2h 4m\"";
    let cases = [
        ("[[bypass]]", "5: bypass[1].destination: missing; accepted: IPv4 prefixes such as \"172.16.0.0/16\"".to_owned()),
        ("[[bypass]]\ndestination=['10.0.0.1/8']", "6: bypass[1].destination[1]: \"10.0.0.1/8\" has host bits set; accepted: \"10.0.0.0/8\" for that prefix".to_owned()),
        ("[[bypass]]\ndestination=['10.0.0.0/8','10.0.0.0/8']", "6: bypass[1].destination[2]: 10.0.0.0/8 is listed twice; accepted: each once".to_owned()),
        ("[timeouts]\nudp='0s'", format!("6: timeouts.udp: \"0s\" is out of range; {time}")),
        ("[timeouts]\nudp='8days'", format!("6: timeouts.udp: \"8days\" is out of range; {time}")),
        ("[timeouts]\nudp=300", format!("6: timeouts.udp: 300 is an integer; {time}")),
        ("[timeouts]\nudp='5'", format!("6: timeouts.udp: \"5\" is not a time (time unit needed, for example 5sec or 5ms); {time}")),
        ("[timeouts]\ntcp_open='4m'", "6: timeouts.tcp_open: unknown key (nearest: tcp_opening); accepted: tcp_opening, tcp_established, tcp_closing, udp, icmp, other, port_rest".to_owned()),
    ];
    check(&cases, |wrong| format!("{GATEWAY}{ENTRY}{wrong}"));
}
