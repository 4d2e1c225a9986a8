//! Rules that translate nothing for clients.

use super::{Kind, import, notes, post, read};
use crate::config::MssClamp;

const MASQUERADE: &str = "*nat\n-A POSTROUTING -s 10.0.0.0/8 -o eth0 -j MASQUERADE\nCOMMIT\n";

#[test]
fn a_clamp_of_the_mss_is_ours() {
    for (rule, clamp) in [
        (
            "-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu",
            MssClamp::Auto,
        ),
        (
            "-A POSTROUTING -o eth0 -p tcp -m tcp --syn -m tcpmss --mss 1400:1536 -j TCPMSS --set-mss 1360",
            MssClamp::To(1360),
        ),
    ] {
        let read = read(&format!("*mangle\n{rule}\nCOMMIT\n{MASQUERADE}")).whole();
        assert_eq!(read.config.gateway.mss_clamp, clamp, "{rule}");
    }
    for (rule, clamp) in [
        (
            "tcp flags syn tcp option maxseg size set rt mtu",
            MssClamp::Auto,
        ),
        (
            "tcp flags syn / syn,rst counter packets 0 bytes 0 tcp option maxseg size set 1360",
            MssClamp::To(1360),
        ),
    ] {
        let rules = format!(
            "table ip m {{\n chain f {{\n type filter hook forward priority mangle; policy accept;\n {rule}\n }}\n \
             chain p {{\n type nat hook postrouting priority srcnat;\n oifname \"eth0\" masquerade\n }}\n}}\n"
        );
        assert_eq!(
            read(&rules).whole().config.gateway.mss_clamp,
            clamp,
            "{rule}"
        );
    }
    let two = "-A FORWARD -p tcp -j TCPMSS --set-mss 1400\n-A FORWARD -p tcp -j TCPMSS --set-mss 1300\n-A FORWARD -p tcp -j TCPMSS --set-mss 100";
    let two = read(&format!("*mangle\n{two}\nCOMMIT\n{MASQUERADE}"));
    assert_eq!(two.config.gateway.mss_clamp, MssClamp::To(1400));
    assert_eq!(
        two.notes(Kind::LeftOut).lines().count(),
        2,
        "{:#?}",
        two.imported
    );
}

#[test]
fn forward_filters_are_one_note_that_says_what_becomes_of_them() {
    let open = read(&format!(
        "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -i eth1 -o eth0 -j ACCEPT\n-A FORWARD -j ACCEPT\nCOMMIT\n{MASQUERADE}"
    ));
    assert!(
        open.imported.is_whole()
            && open
                .notes(Kind::Kept)
                .contains("filter FORWARD: 2 rules, line 3 to line 4"),
        "{:#?}",
        open.imported
    );

    for strict in [
        "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -i eth1 -o eth0 -j ACCEPT\nCOMMIT\n",
        "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n",
        "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -s 10.0.0.9/32 -j DROP\n-A FORWARD -j ACCEPT\nCOMMIT\n",
    ] {
        let read = read(&format!("{strict}{MASQUERADE}"));
        let left_out = read.notes(Kind::LeftOut);
        assert_eq!(left_out.lines().count(), 1, "{left_out}");
        assert!(
            left_out.contains("filter FORWARD") && left_out.contains("security groups"),
            "{left_out}"
        );
    }
}

#[test]
fn what_is_this_host_s_own_is_kept() {
    let rules = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -j DROP\nCOMMIT\n\
                 *nat\n-A OUTPUT -d 203.0.113.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5\nCOMMIT\n";
    let read = read(&format!("{rules}{MASQUERADE}"));
    assert!(read.imported.is_whole() && read.forwards().is_empty());
    let kept = read.notes(Kind::Kept);
    assert!(
        kept.contains("filter INPUT: 2 rules") && kept.contains("nat OUTPUT: line 7 `-A OUTPUT"),
        "{kept}"
    );
}

#[test]
fn rules_of_other_programs_are_left_to_them() {
    let docker = "*nat\n:DOCKER - [0:0]\n\
        -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n\
        -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER\n\
        -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n\
        -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE\n\
        -A DOCKER -i docker0 -j RETURN\n\
        -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\n\
        -A POSTROUTING -s 10.0.0.0/8 -o eth0 -j MASQUERADE\nCOMMIT\n";
    let read = read(docker);
    assert_eq!(read.entries(), ["10.0.0.0/8 > auto"]);
    assert!(read.forwards().is_empty());
    let left_out = read.notes(Kind::LeftOut);
    assert!(
        left_out.contains("rules of Docker: 4 rules") && left_out.contains("own bridge docker0"),
        "{left_out}"
    );
}

#[test]
fn marks_and_what_else_netfilter_does_are_named_one_by_one() {
    let rules = "*mangle\n-A PREROUTING -i eth1 -j CONNMARK --set-xmark 0x1/0xff\n-A FORWARD -j CONNMARK --restore-mark\n\
                 -A OUTPUT -j MARK --set-xmark 0x1/0xff\nCOMMIT\n*raw\n-A PREROUTING -j CT --notrack\nCOMMIT\n";
    let read = read(&format!("{rules}{MASQUERADE}"));
    let left_out = read.notes(Kind::LeftOut);
    assert_eq!(left_out.matches("CONNMARK:").count(), 2, "{left_out}");
    assert!(left_out.contains("says CT:"), "{left_out}");
    assert!(read.notes(Kind::Kept).contains("mangle OUTPUT"));
}

#[test]
fn nothing_to_import_is_no_configuration() {
    let empty = import("*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n");
    assert_eq!(
        (empty.config.clone(), empty.rules, empty.is_whole()),
        (None, 0, true)
    );
    let other = import("*filter\n-A INPUT -j ACCEPT\nCOMMIT\n");
    assert!(other.config.is_none() && notes(&other, Kind::Kept).contains("filter INPUT"));
}

#[test]
fn what_a_configuration_must_have_and_rules_do_not_say_is_put_there_and_told() {
    let anywhere = read(&post("-s 10.0.0.0/8 -j MASQUERADE"));
    assert_eq!(anywhere.config.gateway.interfaces, ["eth0"]);
    assert!(
        anywhere
            .notes(Kind::LeftOut)
            .contains("no rule names an interface")
    );

    let forward = "*nat\n-A PREROUTING -d 203.0.113.10/32 -i eth0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5\nCOMMIT\n";
    let forward = read(forward);
    assert_eq!(forward.entries(), ["10.0.0.5/32 > 203.0.113.10"]);
    assert!(
        forward
            .notes(Kind::LeftOut)
            .contains("a gateway needs clients")
    );
}
