//! What `snat-ctl eni` refuses: as a whole, with the reason, and rules, routes and files stay as they were.

mod caller;
mod files;
mod host;

use std::{collections::BTreeMap, ffi::OsString, fs};

use anyhow::Result;
use snat_tests::{
    eni::{Ended, EniCtl, Snapshot, section},
    topology::{
        enis::{ETH1, Enis},
        unique_prefix,
    },
};

/// A host with two interfaces, and the configuration of the documented example.
struct Scene {
    ctl: EniCtl,
    enis: Enis,
    name: String,
}

impl Scene {
    fn new() -> Result<Self> {
        let prefix = unique_prefix();
        let enis = Enis::build(&prefix)?;
        let name = format!("{prefix}eni");
        Ok(Self {
            ctl: EniCtl::new(&enis.vm, &name, &section(&ETH1, ""))?,
            enis,
            name,
        })
    }

    /// Fails unless the verb ends with this code and these words, and changes nothing.
    fn refuses(&self, verb: &str, code: i32, words: &[&str]) -> Result<()> {
        self.unchanged(|| self.ctl.run(verb), code, words)
    }

    /// The same, whatever is run.
    fn unchanged(
        &self,
        run: impl FnOnce() -> Result<Ended>,
        code: i32,
        words: &[&str],
    ) -> Result<()> {
        let before = (Snapshot::take(&self.enis.vm)?, self.notes()?);
        run()?.expect(code)?.says(words)?;
        Snapshot::take(&self.enis.vm)?.expect_as(&before.0)?;
        assert_eq!(self.notes()?, before.1);
        Ok(())
    }

    /// What is noted of this host in /run/snat; not the lock, which is empty and stays.
    fn notes(&self) -> Result<BTreeMap<OsString, Vec<u8>>> {
        let Ok(files) = fs::read_dir("/run/snat") else {
            return Ok(BTreeMap::new());
        };
        let ours = format!("eni-{}.", self.cookie()?);
        let files = files.flatten().filter(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            name.starts_with(&ours) && !name.ends_with("lock")
        });
        files
            .map(|file| Ok((file.file_name(), fs::read(file.path())?)))
            .collect()
    }

    fn cookie(&self) -> Result<u64> {
        self.enis.vm.enter(|| Ok(snat_ctl::netns::cookie()?))
    }
}
