//! What cannot be taken over or gone back to is refused, and traffic does not notice.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::Gateway,
    netns::output,
    observe::bpftool,
    unnoticed::{refusal, unnoticed},
};

#[test]
fn a_rollback_without_an_earlier_build_is_refused() -> Result<()> {
    unchanged(|gateway| {
        let said = refusal(gateway, "", &["--rollback"])?;
        ensure!(
            said.contains("no programs of another build are kept; nothing was changed"),
            "{said}"
        );
        Ok(())
    })
}

#[test]
fn maps_of_a_newer_version_are_refused() -> Result<()> {
    unchanged(|gateway| other_abi(gateway, 1))
}

#[test]
fn maps_of_an_older_version_are_refused() -> Result<()> {
    unchanged(|gateway| other_abi(gateway, -1))
}

#[test]
fn another_room_for_flows_is_refused() -> Result<()> {
    unchanged(|gateway| {
        let text = std::fs::read_to_string(gateway.config())?;
        let more = text.replacen("datapath", "max_flows = 4096\ndatapath", 1);
        std::fs::write(gateway.config(), more)?;
        let said = refusal(gateway, "", &[])?;
        ensure!(said.contains("gateway.max_flows says 4096"), "{said}");
        ensure!(said.contains("nothing was changed"), "{said}");
        std::fs::write(gateway.config(), text)?;
        Ok(())
    })
}

/// Writes another ABI version into the settings, as a datapath of that version would have it.
fn other_abi(gateway: &mut Gateway, by: i32) -> Result<()> {
    let pin = gateway.pins().join("SETTINGS");
    let pin = pin.to_str().context("a path")?;
    let read = || -> Result<Vec<u8>> {
        let dump = bpftool(&["map", "lookup", "pinned", pin, "key", "0", "0", "0", "0"])?;
        let value = dump["value"].as_array().context("bytes")?;
        value
            .iter()
            .map(|byte| {
                let text = byte.as_str().context("a byte")?.trim_start_matches("0x");
                Ok(u8::from_str_radix(text, 16)?)
            })
            .collect()
    };
    let write = |bytes: &[u8]| {
        let mut command = Command::new("bpftool");
        command.args([
            "map", "update", "pinned", pin, "key", "0", "0", "0", "0", "value",
        ]);
        output(command.args(bytes.iter().map(u8::to_string))).map(drop)
    };
    let right = read()?;
    let abi = i32::from_ne_bytes(right[..4].try_into()?);
    let mut wrong = right.clone();
    wrong[..4].copy_from_slice(&(abi + by).to_ne_bytes());
    write(&wrong)?;
    for arguments in [&[][..], &["--rollback"]] {
        let said = refusal(gateway, "", arguments)?;
        let right = arguments.is_empty();
        ensure!(
            !right
                || said.contains(&format!(
                    "its ABI version is {}, this snat-ctl's is {abi}",
                    abi + by
                )),
            "{said}"
        );
        ensure!(said.contains("nothing was changed"), "{said}");
    }
    write(&right)
}

/// What `attempt` does changes nothing that is in the kernel, and the daemon can start again as before.
fn unchanged(attempt: impl FnOnce(&mut Gateway) -> Result<()>) -> Result<()> {
    unnoticed(|gateway| {
        let before = gateway.objects()?;
        attempt(gateway)?;
        let after = gateway.objects()?;
        ensure!(after == before, "{before:?} became {after:?}");
        gateway.start_again().context("as it was before")
    })
}
