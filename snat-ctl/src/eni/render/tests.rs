use std::collections::BTreeMap;

use super::{Format, Intent, RenderError, Rendered, render};
use crate::eni::{Action, Family, Interface, LAST_METRIC, MAIN, PROTOCOL, Route, RouteKind, Rule};

/// eth1 of the documented example, with a table, a metric in the main table, and rules of three kinds.
struct Example {
    interfaces: Vec<Interface>,
    rules: Vec<(Rule, String)>,
    routes: Vec<(Route, String)>,
    tables: BTreeMap<u32, String>,
}

impl Example {
    fn new() -> Self {
        let rule = |priority, action| Rule::new(Family::Inet, priority, PROTOCOL, action);
        let source = Rule {
            source: "172.16.20.193/32".parse().ok(),
            ..rule(20_400, Action::Lookup(1001))
        };
        let access = Rule {
            iif: Some("eth1".to_owned()),
            ip_protocol: Some(253),
            ..rule(20_100, Action::Prohibit)
        };
        let mark = Rule {
            mark: Some((0x101, u32::MAX)),
            ..Rule::new(Family::Inet6, 20_500, PROTOCOL, Action::Lookup(1001))
        };
        let guard = Route {
            kind: RouteKind::Unreachable,
            metric: LAST_METRIC,
            gateway: None,
            dev: None,
            onlink: false,
            ..default(1001, 0)
        };
        Self {
            interfaces: vec![Interface {
                name: "eth1".to_owned(),
                ifindex: 3,
                mac: Some([2, 0, 0, 0, 0, 1]),
                addresses: vec!["172.16.20.193/24".parse().expect("a prefix")],
                default_routes: Vec::new(),
                network_file: None,
            }],
            rules: [source, access, mark]
                .map(|rule| (rule, "a reason".to_owned()))
                .to_vec(),
            routes: [guard, default(1001, 0), default(MAIN, 200)]
                .map(|route| (route, "a reason".to_owned()))
                .to_vec(),
            tables: BTreeMap::from([(1001, "eth1".to_owned())]),
        }
    }

    fn render(&self, format: Format) -> Result<Rendered, RenderError> {
        render(
            format,
            &Intent {
                interfaces: &self.interfaces,
                rules: &self.rules,
                routes: &self.routes,
                tables: &self.tables,
            },
        )
    }

    /// The only file, without comments, and what is left out.
    fn lines(&self, format: Format) -> (String, Vec<String>) {
        let rendered = self.render(format).expect("it can be rendered");
        let comment = |line: &&str| {
            let line = line.trim_start();
            !line.starts_with('#') && !line.starts_with("rem ")
        };
        let lines: Vec<_> = rendered.files[0].text.lines().filter(comment).collect();
        (lines.join("\n"), rendered.left_out)
    }
}

fn default(table: u32, metric: u32) -> Route {
    Route {
        table,
        destination: Family::Inet.everything(),
        metric,
        kind: RouteKind::Unicast,
        gateway: "172.16.20.253".parse().ok(),
        dev: Some("eth1".to_owned()),
        source: None,
        onlink: true,
        protocol: PROTOCOL,
        scope: 0,
        unknown: Vec::new(),
    }
}

#[test]
fn netplan_gets_what_it_has_keys_for() {
    let (text, left_out) = Example::new().lines(Format::Netplan);
    let expected = r#"network:
  version: 2
  ethernets:
    "eth1":
      routes:
        - to: "0.0.0.0/0"
          type: unreachable
          metric: 2147483647
          table: 1001
        - to: "0.0.0.0/0"
          via: "172.16.20.253"
          on-link: true
          table: 1001
        - to: "0.0.0.0/0"
          via: "172.16.20.253"
          on-link: true
          metric: 200
          table: 254
      routing-policy:
        - from: "172.16.20.193/32"
          table: 1001
          priority: 20400
        - to: "::/0"
          mark: 257
          table: 1001
          priority: 20500"#;
    assert_eq!(text, expected);
    let [said] = &left_out[..] else {
        panic!("{left_out:?}");
    };
    assert!(said.starts_with(
        "`ip -4 rule add from all iif eth1 ipproto 253 prohibit priority 20100` is left out: "
    ));
}

#[test]
fn networkd_does_not_get_a_protocol_it_would_ignore() {
    let (text, left_out) = Example::new().lines(Format::Networkd);
    assert!(
        left_out[0].contains("does not know that protocol number"),
        "{left_out:?}"
    );
    assert!(
        !text.contains("prohibit") && !text.contains("IPProtocol"),
        "{text}"
    );
    assert!(
        text.contains("Name=eth1\nMACAddress=02:00:00:00:00:01\n"),
        "{text}"
    );
}

#[test]
fn windows_gets_one_default_route_and_is_told_what_it_cannot_do() {
    let rendered = Example::new()
        .render(Format::Windows)
        .expect("it can be rendered");
    let text = &rendered.files[0].text;
    let route = "route add -p 0.0.0.0 mask 0.0.0.0 172.16.20.253 metric 200 if %IF_ETH1%\r\n";
    assert_eq!(text.matches("route add -p").count(), 1);
    assert!(
        text.contains(route) && text.contains("\r\nset IF_ETH1=\r\n"),
        "{text}"
    );
    assert!(text.contains("rem eth1, 02 00 00 00 00 01:"), "{text}");
    let said = rendered.left_out.join("\n");
    assert!(
        said.contains("priority 20100")
            && said.contains("priority 20500")
            && said.contains("guards")
    );
    assert!(
        !said.contains("priority 20400"),
        "Windows does by itself what `from` rules do: {said}"
    );
}

#[test]
fn an_interface_with_a_default_route_of_its_own_gets_none_in_windows() {
    let mut example = Example::new();
    example.interfaces[0].default_routes.push(default(MAIN, 0));
    assert!(!example.lines(Format::Windows).0.contains("route add"));
}

#[test]
fn a_drop_in_stands_beside_the_file_it_adds_to() {
    let mut example = Example::new();
    example.interfaces[0].network_file =
        Some("/run/systemd/network/10-netplan-eth1.network".to_owned());
    let rendered = example
        .render(Format::Networkd)
        .expect("it can be rendered");
    assert_eq!(
        rendered.files[0].path,
        "/etc/systemd/network/10-netplan-eth1.network.d/50-snat.conf"
    );
    assert!(!rendered.files[0].text.contains("[Match]"));
}

#[test]
fn a_reason_stays_in_its_comment_and_a_name_is_never_code() {
    let mut example = Example::new();
    example.routes[0].1 = "a\nreboot".to_owned();
    assert!(
        !example
            .lines(Format::Iproute2)
            .0
            .lines()
            .any(|line| line.starts_with("reboot"))
    );
    example.rules[1].0.iif = Some("$(reboot)".to_owned());
    assert_eq!(
        example.render(Format::Iproute2),
        Err(RenderError::Name("$(reboot)".to_owned()))
    );
}

#[test]
fn what_others_made_and_interfaces_that_are_no_enis_are_refused() {
    let mut example = Example::new();
    example.routes[1].0.dev = Some("eth2".to_owned());
    let error = example
        .render(Format::Networkd)
        .expect_err("eth2 is no ENI");
    assert!(
        error
            .to_string()
            .contains("leads by eth2, which is not among the ENIs"),
        "{error}"
    );
    example.routes.clear();
    example.rules[0].0.unknown = vec!["tos 8".to_owned()];
    assert!(matches!(
        example.render(Format::Iproute2),
        Err(RenderError::Foreign(_))
    ));
    example.interfaces.clear();
    assert_eq!(example.render(Format::Iproute2), Err(RenderError::Empty));
}
