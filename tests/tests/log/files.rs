//! Files that are moved away, and that cannot be written to.

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use snat_tests::{
    attempt::{Refusal, host},
    wait,
};

use crate::book::{Logged, SOON, lines};

#[test]
fn a_file_that_was_moved_away_is_followed_by_a_new_one_that_answers_by_itself() -> Result<()> {
    let logged = Logged::start("tc", "", "", "")?;
    let before = logged.speak(0, 4000)?;
    logged.book.await_event("mapping_made", before)?;
    let old = logged.book.path.with_extension("1");
    fs::rename(&logged.book.path, &old)?;
    wait::until(SOON, "there is a new file", || {
        ensure!(logged.book.path.exists());
        Ok(())
    })?;
    let after = logged.speak(1, 5000)?;
    logged.book.await_event("mapping_present", before)?;
    logged.book.await_event("mapping_made", after)?;
    let (old, new) = (lines(&old)?, logged.book.lines()?);
    ensure!(new[0]["event"] == "log_started", "{new:#?}");
    ensure!(
        old.iter().any(|line| line["event"] == "mapping_made"),
        "{old:#?}"
    );
    Ok(())
}

#[test]
fn a_file_that_cannot_be_written_to_is_refused_before_anything_is_changed() -> Result<()> {
    let host = host("lg")?;
    for path in ["/proc/snat/log", "/dev/null", "/etc/hostname/log"] {
        ensure!(Path::new("/proc").exists(), "no /proc");
        let config = format!(
            "[gateway]\nname = {:?}\ninterfaces = [\"eth0\"]\nmax_flows = 64\ndatapath = \"tc\"\n\n\
             [[snat]]\nsource = [\"172.16.0.0/16\"]\nports = \"1024-2047\"\n\n[log]\nmappings = {path:?}\n",
            host.name()
        );
        let refusal = Refusal::of(&host, host.name(), &config)?;
        refusal.expect(1, &["cannot open the log", path, "nothing was changed"])?;
    }
    Ok(())
}
