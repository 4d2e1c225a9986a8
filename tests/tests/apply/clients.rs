//! Clients that are no clients any more, and destinations that are bypassed from now on.

use anyhow::{Result, ensure};
use snat_tests::{raw::IcmpInbox, traffic::ECHO, udp::UdpEcho};

use crate::ground::{
    PATIENCE, SERVER, change, connection, datagrams, datapaths, is_reset, listen, seen_as, speaks,
    two_addresses,
};

const PORT: u16 = 5001;

datapaths! {
    who_is_no_client_any_more_is_told_xdp: no_client, "xdp";
    who_is_no_client_any_more_is_told_tc: no_client, "tc";
    what_is_bypassed_now_ends_its_flows_and_no_others_tc: bypassed, "tc";
    a_forward_that_goes_ends_what_came_by_it_xdp: forward_gone, "xdp";
    a_forward_that_goes_ends_what_came_by_it_tc: forward_gone, "tc";
}

fn no_client(datapath: &str) -> Result<()> {
    let scene = two_addresses(datapath).start()?;
    let _echo = UdpEcho::start(&scene.topology.server.netns, ECHO)?;
    let listener = listen(&scene, PORT)?;
    let client = scene.topology.clients[0].addr;
    let mut tcp = connection(&scene, &listener, client)?;
    speaks(&mut tcp)?;
    let udp = datagrams(&scene, 4500, ECHO)?;
    seen_as(&udp)?;

    let ended = change(&scene, "[\"172.16.0.0/16\"]", "[\"172.16.2.0/24\"]")?;
    ensure!(ended == 2, "{ended}");
    is_reset(&mut tcp.0)?;
    is_reset(&mut tcp.1)?;
    let mut inbox = IcmpInbox::open(&scene.topology.clients[0].netns)?;
    udp.send(b"still there?")?;
    inbox.next((3, 13), PATIENCE)?;
    Ok(())
}

fn bypassed(datapath: &str) -> Result<()> {
    let scene = two_addresses(datapath).start()?;
    scene.more_servers(30..31)?;
    let listener = listen(&scene, PORT)?;
    let client = scene.topology.clients[0].addr;
    let mut lost = connection(&scene, &listener, client)?;
    speaks(&mut lost)?;
    let other = scene
        .topology
        .server
        .netns
        .enter(|| Ok(std::net::TcpListener::bind(("198.51.100.30", PORT))?))?;
    let mut kept = connection(&scene, &other, client)?;
    speaks(&mut kept)?;
    let ended = change(
        &scene,
        "destination = [",
        &format!("destination = [\"{SERVER}/32\", "),
    )?;
    ensure!(ended == 1, "{ended}");
    speaks(&mut kept)?;
    is_reset(&mut lost.0)
}

fn forward_gone(datapath: &str) -> Result<()> {
    const FORWARD: &str = "\n[[forward]]\nprotocol = \"tcp\"\nexternal = \"203.0.113.10:8443\"\ninternal = \"172.16.1.11:443\"\n";
    let scene = two_addresses(datapath).start()?;
    let with = format!("{}{FORWARD}", crate::ground::text(&scene)?);
    crate::ground::write(&scene, &with)?;
    crate::ground::apply(&scene)?;
    let [client, _] = &scene.topology.clients;
    let listener = client
        .netns
        .enter(|| Ok(std::net::TcpListener::bind((client.addr, 443))?))?;
    let mut outside = scene.topology.server.netns.enter(|| {
        let to = "203.0.113.10:8443".parse()?;
        Ok(std::net::TcpStream::connect_timeout(&to, PATIENCE)?)
    })?;
    outside.set_read_timeout(Some(PATIENCE))?;
    let (mut inside, _) = listener.accept()?;
    inside.set_read_timeout(Some(PATIENCE))?;
    ensure!(change(&scene, FORWARD, "")? == 1);
    is_reset(&mut outside)?;
    is_reset(&mut inside)
}
