//! Events under the eyes of everybody who must not notice them.

use std::{net::IpAddr, time::Instant};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::Leaving,
    topology::enis::{ETH0, ETH1, Eni},
};

use super::{
    connections::Connections,
    kept::{A_SECOND, Kept, Ours, closely, expect_same},
    speaker::{Speaker, is_heard_by},
};

/// Long-lived connections by eth0, programs that speak from eth1's addresses, and a capture of what leaves by eth0.
pub(crate) struct Watched<'a> {
    kept: &'a Kept,
    whole: Ours,
    connections: Connections<'a>,
    by_eth0: Leaving,
    speaker: Speaker,
}

impl<'a> Watched<'a> {
    /// Begins, with what is there now as what must come back.
    pub(crate) fn begin(kept: &'a Kept) -> Result<Self> {
        let watched = Self {
            kept,
            whole: kept.ours()?,
            connections: Connections::open(&kept.enis)?,
            by_eth0: kept.enis.leaving(&[ETH0])?,
            speaker: Speaker::start(&kept.enis),
        };
        is_heard_by(&kept.enis, ETH1)?;
        Ok(watched)
    }

    /// What was there at the beginning.
    pub(crate) const fn whole(&self) -> &Ours {
        &self.whole
    }

    /// Lets it happen; fails unless all is there again within a second after it.
    pub(crate) fn whole_after(&self, what: &str, event: impl FnOnce() -> Result<()>) -> Result<()> {
        let is_whole = || expect_same(&self.kept.ours()?, &self.whole);
        self.mended_after(what, event, is_whole)
    }

    /// As [`Watched::whole_after`], with another idea of what is whole.
    pub(crate) fn mended_after(
        &self,
        what: &str,
        event: impl FnOnce() -> Result<()>,
        is_whole: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let repairs = self.kept.repairs();
        let start = Instant::now();
        event()?;
        let over = Instant::now();
        // What was not broken yet is not whole either.
        let repaired = || ensure_more(self.kept.repairs(), repairs);
        closely(A_SECOND * 5, repaired).with_context(|| what.to_owned())?;
        closely(A_SECOND * 5, is_whole).with_context(|| what.to_owned())?;
        // How long the event's own commands run says nothing of the daemon.
        let took = over.elapsed();
        println!(
            "{what}: whole {} ms after it began, {} ms after it was over",
            start.elapsed().as_millis(),
            took.as_millis()
        );
        ensure!(took < A_SECOND, "{what}: whole only {took:?} later");
        Ok(())
    }

    /// Ends it; fails if anybody noticed anything, or eth1 is not spoken by any more.
    pub(crate) fn finish(self) -> Result<()> {
        self.finish_by(ETH1)
    }

    /// As [`Watched::finish`], where eth1's addresses are on another interface now.
    pub(crate) fn finish_by(self, eni: Eni) -> Result<()> {
        is_heard_by(&self.kept.enis, eni)?;
        self.nobody_noticed()
    }

    /// As [`Watched::finish`], where eth1's addresses stay away.
    pub(crate) fn nobody_noticed(self) -> Result<()> {
        drop(self.speaker);
        self.connections.finish()?;
        let own: [IpAddr; 2] = [ETH0.addr.into(), ETH0.addr6.into()];
        let by_eth0 = self.by_eth0.count()?;
        let sources = by_eth0.keys().map(|(_, source)| *source);
        ensure!(
            sources.eq(own),
            "not exactly eth0's own left by eth0: {by_eth0:?}"
        );
        Ok(())
    }

    /// Ends it where a rule or an address was taken away: what has it as its source may leave by eth0 until then.
    pub(crate) fn eth0_noticed_nothing(self) -> Result<()> {
        drop(self.speaker);
        self.connections.finish()
    }
}

fn ensure_more(now: usize, before: usize) -> Result<()> {
    ensure!(now > before, "nothing had to be repaired");
    Ok(())
}
