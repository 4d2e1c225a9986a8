//! No room, nothing may be written, nothing is mounted.

use anyhow::{Result, ensure};

use super::{refused, unnoticed};

#[test]
fn a_second_daemon_is_refused() -> Result<()> {
    unnoticed(|gateway| {
        gateway.start_again()?;
        let process = format!("already running (process {})", gateway.pid());
        refused(gateway, "", &[&process, "stop it first"])
    })
}

#[test]
fn without_a_bpf_file_system_it_is_refused_with_the_mount_command() -> Result<()> {
    unnoticed(|gateway| {
        refused(
            gateway,
            "mount -t tmpfs none /sys/fs/bpf;",
            &["mount -t bpf bpf /sys/fs/bpf"],
        )
    })
}

#[test]
fn on_a_read_only_bpf_file_system_it_is_refused() -> Result<()> {
    unnoticed(|gateway| {
        let read_only =
            "mount --bind /sys/fs/bpf /sys/fs/bpf; mount -o remount,bind,ro /sys/fs/bpf;";
        refused(
            gateway,
            read_only,
            &["/sys/fs/bpf", "Read-only file system"],
        )
    })
}

#[test]
fn where_nothing_may_be_written_about_it_it_is_refused() -> Result<()> {
    unnoticed(|gateway| {
        let read_only = "mount -t tmpfs -o ro none /run/snat;";
        refused(gateway, read_only, &["/run/snat", "Read-only file system"])
    })
}

#[test]
fn without_room_for_what_is_written_about_it_it_is_refused() -> Result<()> {
    unnoticed(|gateway| {
        // A page for the lock, none for the record.
        let full = "mount -t tmpfs -o size=4k none /run/snat;";
        refused(gateway, full, &["/run/snat", "No space left on device"])?;
        gateway.start_again()?;
        ensure!(gateway.ctl_json(&["status"])?["daemon"] == gateway.pid());
        Ok(())
    })
}
