//! What is served where and in which form; and where nothing can be.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use anyhow::{Result, ensure};
use serde_json::Value;
use snat_tests::{
    attempt::{Refusal, host},
    netns::Netns,
    scene::Plan,
    scrape::{get, request},
    topology::Shape,
};

use crate::ground::{LOOPBACK, start};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const FAILED: i32 = 1;

#[test]
fn each_path_and_method_has_its_answer() -> Result<()> {
    let scene = start("tc", Shape::Routed)?;
    let gateway = &scene.topology.gateway.netns;
    for (line, code, kind) in [
        ("GET /metrics", 200, TEXT),
        ("GET /metrics?name=x", 200, TEXT),
        ("GET /healthz", 200, "application/json"),
        ("HEAD /metrics", 200, TEXT),
        ("HEAD /healthz", 200, "application/json"),
        ("POST /metrics", 405, "text/plain; charset=utf-8"),
        ("DELETE /healthz", 405, "text/plain; charset=utf-8"),
        ("GET /", 404, "text/plain; charset=utf-8"),
        ("GET /metrics/", 404, "text/plain; charset=utf-8"),
        (
            "GET /../etc/snat/snat.toml",
            404,
            "text/plain; charset=utf-8",
        ),
    ] {
        let answer = request(gateway, LOOPBACK, &format!("{line} HTTP/1.1\r\n"))?;
        ensure!(answer.code == code, "{line}: {answer:?}");
        ensure!(answer.fields["content-type"] == kind, "{line}: {answer:?}");
        ensure!(
            answer.body.is_empty() == line.starts_with("HEAD"),
            "{line}: {answer:?}"
        );
        ensure!(
            (code == 405) == answer.fields.contains_key("allow"),
            "{line}: {answer:?}"
        );
    }
    let health: Value = serde_json::from_str(&get(gateway, LOOPBACK, "/healthz")?.body)?;
    ensure!(
        health == serde_json::json!({ "status": "ok", "problems": [] }),
        "{health}"
    );
    Ok(())
}

#[test]
fn openmetrics_is_served_to_who_asks_for_it_and_printed_if_wanted() -> Result<()> {
    let scene = start("tc", Shape::Routed)?;
    let gateway = &scene.topology.gateway.netns;
    let accept = "GET /metrics HTTP/1.1\r\naccept: application/openmetrics-text\r\n";
    let answer = request(gateway, LOOPBACK, accept)?;
    ensure!(answer.fields["content-type"] == OPENMETRICS, "{answer:?}");
    let printed = scene.gateway.ctl(&["metrics", "--format", "openmetrics"])?;
    for page in [&answer.body, &printed] {
        ensure!(page.ends_with("\n# EOF\n"), "{page}");
        ensure!(
            page.contains("\n# TYPE snat_drops counter\nsnat_drops_total{"),
            "{page}"
        );
    }
    let text = scene.gateway.ctl(&["metrics"])?;
    ensure!(!text.contains("# EOF"), "{text}");
    ensure!(
        text.contains("\n# TYPE snat_drops_total counter\nsnat_drops_total{"),
        "{text}"
    );
    Ok(())
}

#[test]
fn on_all_addresses_it_is_reached_from_outside_and_no_client_is_given_its_port() -> Result<()> {
    let plan = Plan {
        sections: "\n[metrics]\nlisten = \"0.0.0.0:9469\"\n",
        ..Plan::routed("xdp")
    };
    let scene = plan.start()?;
    let topology = &scene.topology;
    let clients = topology
        .clients
        .iter()
        .map(|client| (client, topology.gateway.addr));
    for (from, addr) in clients.chain([(&topology.server, topology.external)]) {
        let answer = get(&from.netns, SocketAddrV4::new(addr, 9469), "/metrics")?;
        ensure!(answer.code == 200, "from {}: {answer:?}", from.addr);
    }
    let path = scene.gateway.config().display().to_string();
    let found = scene.gateway.ctl_json(&["check", "--config", &path])?;
    let ports = found["findings"].as_array().into_iter().flatten();
    let auto = ports.filter(|finding| finding["id"] == "ports.auto");
    let what = auto
        .map(|finding| finding["what"].to_string())
        .collect::<String>();
    ensure!(what.contains("-9468, 9470-"), "{found:#}");
    Ok(())
}

#[test]
fn a_port_in_use_and_an_address_of_another_host_end_run_before_anything_is_changed() -> Result<()> {
    let host = host("me")?;
    let listen = |addr| host.enter(move || Ok(TcpListener::bind((addr, 9469))?));
    let busy = listen(Ipv4Addr::LOCALHOST)?;
    Refusal::of(&host, host.name(), &config(&host, "auto", "127.0.0.1:9469"))?.expect(
        FAILED,
        &[
            "cannot serve metrics on 127.0.0.1:9469: Address already in use",
            "ss -Hltnp sport = :9469",
        ],
    )?;
    drop(busy);
    Refusal::of(
        &host,
        host.name(),
        &config(&host, "auto", "192.0.2.99:9469"),
    )?
    .expect(
        FAILED,
        &[
            "cannot serve metrics on 192.0.2.99:9469: Cannot assign requested address",
            "must be an address of this host",
        ],
    )
}

#[test]
fn a_second_run_is_told_of_the_first_and_not_of_its_port() -> Result<()> {
    let scene = start("tc", Shape::Routed)?;
    let config = scene.gateway.config().display().to_string();
    let output = scene.gateway.ctl_output(&["run", "--config", &config])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(said.contains("is already running"), "{said}");
    Ok(())
}

#[test]
fn ports_and_forwards_that_would_take_its_port_are_refused() -> Result<()> {
    let host = host("me")?;
    let ports = config(&host, "9000-9999", "0.0.0.0:9469");
    Refusal::of(&host, host.name(), &ports)?.expect(
        FAILED,
        &["ports overlap the host's own: the host has services on 9469"],
    )?;
    let forward = "\n[[forward]]\nprotocol = \"tcp\"\nexternal = \"192.0.2.1:9469\"\n\
                   internal = \"172.16.1.5:80\"\n";
    let forward = config(&host, "auto", "192.0.2.1:9469") + forward;
    Refusal::of(&host, host.name(), &forward)?
        .expect(FAILED, &["a service of this host waits on tcp port 9469"])
}

fn config(host: &Netns, ports: &str, listen: &str) -> String {
    let name = host.name();
    format!(
        "[gateway]\nname = {name:?}\ninterfaces = [\"eth0\"]\n\n[[snat]]\nsource = [\"172.16.0.0/16\"]\n\
         ports = {ports:?}\n\n[metrics]\nlisten = {listen:?}\n"
    )
}
